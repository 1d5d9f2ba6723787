/* SPDX-License-Identifier: MIT
 *
 * Sending: casts, calls, timers. The protocol stands in actor.h. */
#include <string.h>

#include "actor/actor.h"
#include "base/copy.h"
#include "wait/wait.h"

/* --- nodes of casts ----------------------------------------------------------------------------------------------- */

void haft__actor_free_node(haft__message *m)
{
    if (m->frame != NULL)
        haft__os->release(m->frame);
    haft__os->release(m);
}

haft__message *haft__actor_keep_node(haft__actor *a, haft__message *m)
{
    if (a->spare_count > a->capacity) /* one more than the mailbox holds: that which runs */
        return m;
    /* First in, first out of the same end: it is hot. */
    haft__list_append(a->spare.next, &m->link);
    a->spare_count++;
    return NULL;
}

static haft__message *take_node(haft__actor *a)
{
    haft__link *link = haft__list_take(&a->spare);
    if (link == NULL)
        return NULL;
    a->spare_count--;
    return HAFT__CONTAINER(link, haft__message, link);
}

/* A node with room for a frame of that size, made of m or anew; null, and m is freed, when there is no memory. */
static haft__message *fit_node(haft__message *m, size_t size)
{
    if (m == NULL) {
        m = haft__os->allocate(sizeof *m, _Alignof(haft__message));
        if (m == NULL)
            return NULL;
        memset(m, 0, sizeof *m);
    }
    if (size <= m->room)
        return m;
    if (m->frame != NULL)
        haft__os->release(m->frame);
    m->room = 0;
    if (size < HAFT__CACHE_LINE) /* so that most nodes fit most frames */
        size = HAFT__CACHE_LINE;
    m->frame = haft__os->allocate(size, HAFT__FRAME_ALIGNMENT);
    if (m->frame == NULL) {
        haft__os->release(m);
        return NULL;
    }
    m->room = size;
    return m;
}

static void fill(haft__message *m, haft_actor_fn *body, const void *frame, size_t size,
                 const haft_message_options *options)
{
    m->body = body;
    m->size = size;
    m->drop = options->drop;
    m->urgent = options->urgent;
    m->caller = NULL;
    m->period = 0;
    haft__copy(m->frame, frame, size);
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

/* Puts a message in; the worker if it has to be woken, or null. The lock is held. */
static haft__record *enqueue(haft__actor *a, haft__message *m)
{
    haft__list_append(m->urgent ? &a->urgent : &a->ordinary, &m->link);
    a->queued++;
    if (!a->is_idle)
        return NULL;
    a->is_idle = false;
    return a->worker;
}

static void wake_if(haft__record *record)
{
    if (record != NULL)
        haft__wake(record);
}

haft__record *haft__actor_release_room(haft__actor *a)
{
    haft__link *link = haft__list_take(&a->casters);
    if (link == NULL) {
        a->used--;
        return NULL;
    }
    haft__caster *caster = HAFT__CONTAINER(link, haft__caster, link);
    haft__record *record = caster->record;
    caster->is_granted = true;
    return record;
}

void haft__actor_closed(haft__actor *a)
{
    for (;;) {
        haft__lock_acquire(&a->lock);
        haft__link *link = haft__list_take(&a->casters);
        haft__record *record = NULL;
        if (link != NULL) {
            haft__caster *caster = HAFT__CONTAINER(link, haft__caster, link);
            record = caster->record;
            caster->is_refused = true;
        } else if (a->is_idle) {
            a->is_idle = false;
            record = a->worker;
        }
        haft__lock_release(&a->lock);
        if (record == NULL)
            return;
        haft__wake(record);
    }
}

/* Waits for a place in the mailbox. The lock is held on entry and on return. */
static int await_room(haft__actor *a, haft__root *me)
{
    haft__caster self = { .record = me->record };
    haft__list_append(&a->casters, &self.link);
    int rc = 0;
    while (!self.is_granted && !self.is_refused && (rc = haft__refusal(me)) == 0) {
        haft__record *worker = a->worker;
        haft__lock_release(&a->lock);
        haft__park_for("room in the mailbox of", worker);
        haft__lock_acquire(&a->lock);
    }
    if (self.is_granted)
        return 0;
    if (self.is_refused)
        return HAFT_ECLOSED;
    haft__list_remove(&self.link);
    return haft__tell(me, rc);
}

/* Gets a place in the mailbox. The lock is held on entry and on return. */
static int reserve(haft__actor *a, haft__root *me, bool waits)
{
    if (a->is_closing)
        return HAFT_ECLOSED;
    if (a->used < a->capacity) { /* then nobody stands in the list */
        a->used++;
        return 0;
    }
    if (!waits)
        return HAFT_EAGAIN;
    if (me->record == a->worker)
        return HAFT_EDEADLK;
    haft__actor *own;
    haft__lock_release(&a->lock);
    bool may_wait = haft__actor_begin_wait(a, me, &own);
    haft__lock_acquire(&a->lock);
    if (!may_wait)
        return HAFT_EDEADLK;
    int rc = a->is_closing ? HAFT_ECLOSED : 0;
    if (rc == 0 && a->used < a->capacity)
        a->used++;
    else if (rc == 0)
        rc = await_room(a, me);
    haft__actor_end_wait(own);
    return rc;
}

/* --- casts -------------------------------------------------------------------------------------------------------- */

static int check(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size, size_t alignment)
{
    if (end->core_ == NULL)
        return HAFT_ESTALE;
    bool ok = body != NULL && (frame != NULL || size == 0) && alignment <= HAFT__FRAME_ALIGNMENT;
    return ok ? 0 : HAFT_EINVAL;
}

/* Fills a place that was reserved. The lock is held on entry, not on return. */
static int cast_into(haft__actor *a, haft_actor_fn *body, const void *frame, size_t size,
                     const haft_message_options *options)
{
    haft__message *m = take_node(a);
    if (m == NULL || m->room < size || size > HAFT__ACTOR_COPY_MAX) {
        haft__lock_release(&a->lock);
        m = fit_node(m, size);
        if (m != NULL)
            fill(m, body, frame, size, options);
        haft__lock_acquire(&a->lock);
    } else {
        fill(m, body, frame, size, options);
    }
    int rc = m == NULL ? HAFT_ENOMEM : a->is_closing ? HAFT_ECLOSED : 0;
    haft__record *record;
    haft__message *surplus = NULL;
    if (rc == 0) {
        m->takes_room = true;
        record = enqueue(a, m);
    } else {
        if (m != NULL)
            surplus = haft__actor_keep_node(a, m);
        record = haft__actor_release_room(a);
        if (record == NULL && a->is_idle) { /* a timer may have waited for it */
            a->is_idle = false;
            record = a->worker;
        }
    }
    haft__lock_release(&a->lock);
    wake_if(record);
    if (surplus != NULL)
        haft__actor_free_node(surplus);
    return rc;
}

static int cast(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size, size_t alignment,
                const haft_message_options *options, bool waits)
{
    int rc = check(end, body, frame, size, alignment);
    if (rc != 0)
        return rc;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    rc = waits ? haft__refusal_on_entry(me) : 0;
    if (rc != 0)
        return rc;
    haft__actor *a = end->core_;
    haft__lock_acquire(&a->lock);
    rc = reserve(a, me, waits);
    if (rc == 0)
        return cast_into(a, body, frame, size, options);
    haft__lock_release(&a->lock);
    return rc;
}

int haft_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size, size_t alignment,
                  const haft_message_options *options)
{
    return cast(end, body, frame, size, alignment, options, true);
}

int haft_try_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size, size_t alignment,
                      const haft_message_options *options)
{
    return cast(end, body, frame, size, alignment, options, false);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

/* The caller is refused: takes the call back or leaves it. True: it is over, and *rc says how it was left. */
static bool leave(haft__actor *a, haft__message *m, haft__root *me, int *rc)
{
    haft__lock_acquire(&a->lock);
    uint32_t fate = haft__load_relaxed(&m->fate);
    if (fate == HAFT__MESSAGE_QUEUED) {
        haft__list_remove(&m->link);
        a->queued--;
        haft__tell(me, *rc);
    } else if (fate == HAFT__MESSAGE_BEGUN) {
        a->current = NULL;
        haft__tell(me, *rc);
        *rc = HAFT_EINDOUBT;
    }
    haft__lock_release(&a->lock);
    if (fate == HAFT__MESSAGE_COPYING)
        haft__spin("a frame is being moved");
    return fate == HAFT__MESSAGE_QUEUED || fate == HAFT__MESSAGE_BEGUN;
}

/* Sends the call and waits. 0: it was answered. */
static inline int send_and_wait(haft__actor *a, haft__message *m, haft__root *me)
{
    haft__lock_acquire(&a->lock);
    /* A call of its own is refused even while it ends, because that is what is wrong with it. */
    int rc = me->record == a->worker ? HAFT_EDEADLK : a->is_closing ? HAFT_ECLOSED : 0;
    haft__record *serving = a->worker, *idle = rc == 0 ? enqueue(a, m) : NULL;
    haft__lock_release(&a->lock);
    if (rc != 0)
        return rc;
    wake_if(idle);
    while (haft__load_acquire(&m->fate) != HAFT__MESSAGE_ANSWERED) {
        rc = haft__refusal(me);
        if (rc == 0)
            haft__park_for("the answer of", serving);
        else if (leave(a, m, me, &rc))
            return rc;
    }
    return 0;
}

/* Inline: after a wait every return that is left is one that the processor predicts wrongly. */
static inline __attribute__((always_inline)) int call(const haft_actor_end *end, haft__message *m, size_t alignment)
{
    int rc = check(end, m->body, m->frame, m->size, alignment);
    if (rc != 0)
        return rc;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__actor *a = end->core_, *own = NULL;
    m->caller = me->record;
    const haft__job *job = haft__job_here(me);
    if (job != NULL && job->group != NULL && !haft__actor_begin_wait(a, me, &own)) /* no worker is without a group */
        return HAFT_EDEADLK;
    rc = send_and_wait(a, m, me);
    if (own != NULL)
        haft__actor_end_wait(own);
    return rc;
}

/* What the caller fills in of its node, and no more: to zero all of it costs as much as to take the lock. */
static inline void fill_call(haft__message *m, haft_actor_fn *body, void *frame, size_t size, haft_panic_info *panic,
                             const haft_message_options *options)
{
    m->body = body;
    m->frame = frame;
    m->size = size;
    m->drop = options->drop;
    m->urgent = options->urgent;
    m->panic = panic;
    haft__atomic_init(&m->fate, HAFT__MESSAGE_QUEUED);
}

int haft_call_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size, size_t alignment,
                  const haft_message_options *options)
{
    haft__message m;
    fill_call(&m, body, frame, size, NULL, options);
    int rc = call(end, &m, alignment);
    if (rc != 0)
        return rc;
    return m.end == HAFT_PANICKED ? HAFT_EPANIC : m.code;
}

int haft_call_outcome_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size, size_t alignment,
                          haft_outcome *out, const haft_message_options *options)
{
    haft_panic_info panic;
    haft__message m;
    fill_call(&m, body, frame, size, &panic, options);
    int rc = call(end, &m, alignment);
    if (rc != 0)
        return rc;
    if (m.end == HAFT_NOT_STARTED)
        return m.code;
    memset(out, 0, sizeof *out);
    out->end = m.end;
    out->code = m.code;
    if (m.end == HAFT_PANICKED)
        out->panic = panic;
    return 0;
}

/* --- timers ------------------------------------------------------------------------------------------------------- */

void haft__actor_set_timer(haft__actor *a, haft__message *m)
{
    haft__link *before = a->timers.previous; /* late ones are usual: look from the end */
    while (before != &a->timers && HAFT__CONTAINER(before, haft__message, link)->due > m->due)
        before = before->previous;
    haft__list_append(before->next, &m->link);
}

void haft__actor_run_timers(haft__actor *a)
{
    int64_t now = haft__os->now();
    while (!haft__list_is_empty(&a->timers) && a->used < a->capacity) {
        haft__message *m = HAFT__CONTAINER(a->timers.next, haft__message, link);
        if (m->due > now)
            return;
        haft__list_remove(&m->link);
        a->used++;
        m->takes_room = true;
        haft__list_append(m->urgent ? &a->urgent : &a->ordinary, &m->link);
        a->queued++;
    }
}

static int schedule(const haft_actor_end *end, int64_t nanoseconds, bool repeats, haft_actor_fn *body,
                    const void *frame, size_t size, size_t alignment, const haft_message_options *options)
{
    int rc = check(end, body, frame, size, alignment);
    if (rc == 0 && repeats && nanoseconds <= 0)
        rc = HAFT_EINVAL;
    if (rc != 0)
        return rc;
    if (haft__here() == NULL)
        return haft__here_error();
    haft__message *m = fit_node(NULL, size);
    if (m == NULL)
        return HAFT_ENOMEM;
    fill(m, body, frame, size, options);
    m->period = repeats ? nanoseconds : 0;
    if (nanoseconds < 0)
        nanoseconds = 0;
    if (__builtin_add_overflow(haft__os->now(), nanoseconds, &m->due))
        m->due = INT64_MAX;
    haft__actor *a = end->core_;
    haft__record *worker = NULL;
    haft__lock_acquire(&a->lock);
    if (a->is_closing) {
        rc = HAFT_ECLOSED;
    } else {
        haft__actor_set_timer(a, m);
        if (a->timers.next == &m->link && a->is_idle) {
            a->is_idle = false;
            worker = a->worker;
        }
    }
    haft__lock_release(&a->lock);
    wake_if(worker);
    if (rc != 0)
        haft__actor_free_node(m);
    return rc;
}

int haft_actor_after_raw(const haft_actor_end *end, int64_t nanoseconds, haft_actor_fn *body, const void *frame,
                         size_t size, size_t alignment, const haft_message_options *options)
{
    return schedule(end, nanoseconds, false, body, frame, size, alignment, options);
}

int haft_actor_every_raw(const haft_actor_end *end, int64_t nanoseconds, haft_actor_fn *body, const void *frame,
                         size_t size, size_t alignment, const haft_message_options *options)
{
    return schedule(end, nanoseconds, true, body, frame, size, alignment, options);
}
