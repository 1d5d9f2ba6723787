/* SPDX-License-Identifier: MIT
 *
 * Sending: casts, calls, timers. The protocol stands in actor.h. */
#include <string.h>

#include "actor/actor.h"
#include "base/copy.h"
#include "sched/park.h"
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
    if (a->spare_count >= a->capacity + a->wanted) /* what the mailbox holds, and what runs */
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
static haft__message *fit_node(const haft__actor *a, haft__message *m, size_t size)
{
    if (m == NULL) {
        size_t room = a->is_pool ? sizeof(haft__keyed) : sizeof(haft__message);
        m = haft__os->allocate(room, _Alignof(haft__keyed));
        if (m == NULL)
            return NULL;
        memset(m, 0, room);
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

static void fill(const haft__actor *a, haft__message *m, const haft__sending *what)
{
    m->body = what->body;
    m->size = what->size;
    m->drop = what->options->drop;
    m->urgent = what->options->urgent;
    m->caller = NULL;
    m->period = 0;
    if (a->measures)
        m->due = haft__os->now();
    m->lane = NULL;
    if (what->key != NULL && a->is_pool) {
        m->lane = &((haft__keyed *)(void *)m)->lane;
        haft__lane_of(m->lane, *what->key);
    }
    haft__copy(m->frame, what->frame, what->size);
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

/* Puts a message in that may be begun. */
static void append(haft__actor *a, haft__message *m)
{
    haft__list_append(m->urgent ? &a->urgent : &a->ordinary, &m->link);
}

static void count_queued(haft__actor *a)
{
    if (++a->queued > a->stats.most_queued)
        a->stats.most_queued = a->queued;
}

/* Puts a message in; the server if one has to be woken, or null. The lock is held. */
static haft__record *enqueue(haft__actor *a, haft__message *m)
{
    count_queued(a);
    if (__builtin_expect(m->lane != NULL, 0) && !haft__lane_enter(a, m))
        return NULL;
    append(a, m);
    return haft__actor_take_idle(a);
}

/* Takes a call back out. The lock is held. */
static void withdraw(haft__actor *a, haft__message *m)
{
    haft__list_remove(&m->link);
    a->queued--;
    if (m->lane == NULL)
        return;
    haft__message *next = haft__lane_leave(m->lane);
    if (next != NULL) /* whoever was woken for this one finds that one */
        append(a, next);
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
    haft__actor_end_own_wait(a, &caster->own_wait);
    caster->is_settled = true;
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
            caster->rc = HAFT_ECLOSED;
            haft__actor_end_own_wait(a, &caster->own_wait);
            caster->is_settled = true;
        } else {
            record = haft__actor_take_idle(a);
        }
        haft__lock_release(&a->lock);
        if (record == NULL)
            return;
        haft__wake(record);
    }
}

/* --- waiting for oneself ------------------------------------------------------------------------------------------ */

/* A server of this actor is about to wait for it. False: nobody would be left to serve it. The lock is held. */
static bool begin_own_wait(haft__actor *a, const haft__root *me, uint8_t *wait)
{
    if (a->own_stuck + 1 >= a->serving)
        return false;
    *wait = me->deadline == INT64_MAX ? HAFT__OWN_STUCK : HAFT__OWN_TIMED;
    a->own_waiters++;
    a->own_stuck += *wait == HAFT__OWN_STUCK;
    return true;
}

void haft__actor_end_own_wait_slowly(haft__actor *a, uint8_t *wait)
{
    a->own_waiters--;
    a->own_stuck -= *wait == HAFT__OWN_STUCK;
    *wait = HAFT__NO_OWN_WAIT;
}

static bool is_own_server(const haft__actor *a, const haft__server *s)
{
    return s != NULL && s->core == a;
}

/* Only the caller, or workers that wait for it, could serve it. The lock is held, and released meanwhile. */
static int refuse_own(haft__actor *a, const haft__root *me, const char *what)
{
    const char *whose = a->sole.record != NULL ? "itself" : "a pool that waits for it";
    haft__lock_release(&a->lock);
    haft__edge_tell_of_self(me, what, whose);
    haft__lock_acquire(&a->lock);
    return HAFT_EDEADLK;
}

/* --- room --------------------------------------------------------------------------------------------------------- */

/* Waits for a place in the mailbox. The lock is held on entry and on return. */
static int await_room(haft__actor *a, haft__caster *self, haft__root *me, const haft__server *own)
{
    if (is_own_server(a, own) && !begin_own_wait(a, me, &self->own_wait))
        return refuse_own(a, me, "room in the mailbox of");
    haft__list_append(&a->casters, &self->link);
    int rc = 0;
    while (!self->is_settled && (rc = haft__refusal(me)) == 0) {
        haft__record *server = a->sole.record; /* null in a pool */
        haft__lock_release(&a->lock);
        haft__park_for(server != NULL ? "room in the mailbox of" : "room in the mailbox of a pool", server);
        haft__lock_acquire(&a->lock);
    }
    if (self->is_settled)
        return self->rc;
    haft__list_remove(&self->link);
    haft__actor_end_own_wait(a, &self->own_wait);
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
    if (me->record == a->sole.record)
        return refuse_own(a, me, "room in the mailbox of");
    const haft__server *own = haft__server_here(me);
    haft__caster self = { .record = me->record };
    haft__actor_wait wait;
    haft__lock_release(&a->lock);
    bool may_wait = haft__actor_begin_wait(&wait, a, me, own, NULL, &self);
    haft__lock_acquire(&a->lock);
    if (!may_wait)
        return HAFT_EDEADLK;
    int rc = a->is_closing ? HAFT_ECLOSED : 0;
    if (rc == 0 && a->used < a->capacity)
        a->used++;
    else if (rc == 0)
        rc = await_room(a, &self, me, own);
    self.is_settled = true;
    haft__lock_release(&a->lock); /* it comes behind that of the edges */
    haft__edge_leave(&wait.edge);
    haft__lock_acquire(&a->lock);
    return rc;
}

/* --- casts -------------------------------------------------------------------------------------------------------- */

static int check(const haft_actor_end *end, const haft__sending *what)
{
    if (end->core_ == NULL)
        return HAFT_ESTALE;
    bool ok =
        what->body != NULL && (what->frame != NULL || what->size == 0) && what->alignment <= HAFT__FRAME_ALIGNMENT;
    return ok ? 0 : HAFT_EINVAL;
}

/* Fills a place that was reserved. The lock is held on entry, not on return. */
static int cast_into(haft__actor *a, const haft__sending *what)
{
    haft__message *m = take_node(a);
    if (m == NULL || m->room < what->size || what->size > HAFT__ACTOR_COPY_MAX || a->measures) {
        haft__lock_release(&a->lock);
        m = fit_node(a, m, what->size);
        if (m != NULL)
            fill(a, m, what);
        haft__lock_acquire(&a->lock);
    } else {
        fill(a, m, what);
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
        if (record == NULL) /* a timer may have waited for it */
            record = haft__actor_take_idle(a);
    }
    haft__lock_release(&a->lock);
    wake_if(record);
    if (surplus != NULL)
        haft__actor_free_node(surplus);
    return rc;
}

int haft__actor_cast(const haft_actor_end *end, const haft__sending *what, bool waits)
{
    int rc = check(end, what);
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
        return cast_into(a, what);
    haft__lock_release(&a->lock);
    return rc;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

/* The caller is refused: takes the call back or leaves it. True: it is over, and *rc says how it was left. */
static bool leave(haft__actor *a, haft__message *m, haft__root *me, int *rc)
{
    haft__lock_acquire(&a->lock);
    uint32_t fate = haft__load_relaxed(&m->fate);
    if (fate == HAFT__MESSAGE_QUEUED) {
        withdraw(a, m);
        haft__tell(me, *rc);
    } else if (fate == HAFT__MESSAGE_BEGUN) {
        m->server->current = NULL;
        haft__tell(me, *rc);
        *rc = HAFT_EINDOUBT;
    }
    if (fate == HAFT__MESSAGE_QUEUED || fate == HAFT__MESSAGE_BEGUN)
        haft__actor_end_own_wait(a, &m->own_wait);
    haft__lock_release(&a->lock);
    if (fate == HAFT__MESSAGE_COPYING)
        haft__spin("a frame is being moved");
    return fate == HAFT__MESSAGE_QUEUED || fate == HAFT__MESSAGE_BEGUN;
}

/* Puts the call in. 0, or why not. The lock is held. */
static int put_in(haft__actor *a, haft__message *m, const haft__root *me, const haft__server *own, haft__record **idle)
{
    /* A call of its own is refused even while it ends, because that is what is wrong with it. */
    if (__builtin_expect(is_own_server(a, own), 0)) {
        bool is_own_key = m->lane != NULL && own->lane->at != NULL && own->lane->place == m->lane->place;
        if (is_own_key || !begin_own_wait(a, me, &m->own_wait))
            return refuse_own(a, me, "the answer of");
    }
    if (a->is_closing) {
        haft__actor_end_own_wait(a, &m->own_wait);
        return HAFT_ECLOSED;
    }
    *idle = enqueue(a, m);
    return 0;
}

/* Sends the call and waits. 0: it was answered. */
static inline int send_and_wait(haft__actor *a, haft__message *m, haft__root *me, const haft__server *own)
{
    haft__record *idle = NULL;
    haft__lock_acquire(&a->lock);
    int rc = put_in(a, m, me, own, &idle);
    haft__record *serving = a->sole.record; /* null in a pool */
    haft__lock_release(&a->lock);
    if (rc != 0)
        return rc;
    do {
        rc = haft__refusal(me);
        if (rc == 0) {
            haft__park_after_wake(idle, serving != NULL ? "the answer of" : "the answer of a pool", serving);
            idle = NULL;
        } else {
            wake_if(idle);
            idle = NULL;
            if (leave(a, m, me, &rc))
                return rc;
        }
    } while (haft__load_acquire(&m->fate) != HAFT__MESSAGE_ANSWERED);
    return 0;
}

/* Inline: after a wait every return that is left is one that the processor predicts wrongly. */
static inline __attribute__((always_inline)) int call(const haft_actor_end *end, const haft__sending *what,
                                                      haft__message *m)
{
    int rc = check(end, what);
    if (rc != 0)
        return rc;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__actor *a = end->core_;
    haft__lane lane;
    if (what->key != NULL && a->is_pool) {
        /* cppcheck-suppress autoVariables ; the message lives no longer */
        m->lane = &lane;
        haft__lane_of(&lane, *what->key);
    }
    if (a->measures)
        m->due = haft__os->now();
    m->caller = me->record;
    const haft__server *own = haft__server_here(me);
    haft__actor_wait wait;
    wait.edge.is_noted = false;
    if ((HAFT__NOTES_ALL_WAITS || own != NULL) && !haft__actor_begin_wait(&wait, a, me, own, m, NULL))
        return HAFT_EDEADLK;
    rc = send_and_wait(a, m, me, own);
    if (wait.edge.is_noted)
        haft__edge_leave(&wait.edge);
    return rc;
}

/* What the caller fills in of its node, and no more: to zero all of it costs as much as to take the lock. */
static inline void prepare_call(haft__message *m, const haft__sending *what)
{
    m->body = what->body;
    m->frame = what->frame;
    m->size = what->size;
    m->drop = what->options->drop;
    m->urgent = what->options->urgent;
    m->own_wait = HAFT__NO_OWN_WAIT;
    m->lane = NULL;
    m->panic = NULL;
    m->link.next = NULL;
    haft__atomic_init(&m->fate, HAFT__MESSAGE_QUEUED);
}

int haft__actor_call(const haft_actor_end *end, const haft__sending *what)
{
    haft__message m;
    prepare_call(&m, what);
    int rc = call(end, what, &m);
    if (rc != 0)
        return rc;
    return m.end == HAFT_PANICKED ? HAFT_EPANIC : m.code;
}

int haft__actor_call_outcome(const haft_actor_end *end, const haft__sending *what, haft_outcome *out)
{
    haft_panic_info panic;
    haft__message m;
    prepare_call(&m, what);
    m.panic = &panic;
    int rc = call(end, what, &m);
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

/* --- the interface of actors -------------------------------------------------------------------------------------- */

int haft_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size, size_t alignment,
                  const haft_message_options *options)
{
    haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    return haft__actor_cast(end, &what, true);
}

int haft_try_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size, size_t alignment,
                      const haft_message_options *options)
{
    haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    return haft__actor_cast(end, &what, false);
}

int haft_call_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size, size_t alignment,
                  const haft_message_options *options)
{
    haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    haft__message m;
    prepare_call(&m, &what);
    int rc = call(end, &what, &m);
    if (rc != 0)
        return rc;
    return m.end == HAFT_PANICKED ? HAFT_EPANIC : m.code;
}

int haft_call_outcome_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size, size_t alignment,
                          haft_outcome *out, const haft_message_options *options)
{
    haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    return haft__actor_call_outcome(end, &what, out);
}

/* --- timers ------------------------------------------------------------------------------------------------------- */

void haft__actor_run_timers(haft__actor *a)
{
    int64_t now = haft__os->now();
    while (a->timers != NULL && a->timers->due <= now && a->used < a->capacity) {
        haft__message *m = haft__actor_take_timer(a);
        a->used++;
        m->takes_room = true;
        count_queued(a);
        append(a, m);
    }
}

static int schedule(const haft_actor_end *end, int64_t nanoseconds, bool repeats, haft_actor_fn *body,
                    const void *frame, size_t size, size_t alignment, const haft_message_options *options)
{
    const haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    int rc = check(end, &what);
    if (rc == 0 && repeats && nanoseconds <= 0)
        rc = HAFT_EINVAL;
    if (rc != 0)
        return rc;
    if (haft__here() == NULL)
        return haft__here_error();
    haft__actor *a = end->core_;
    haft__message *m = fit_node(a, NULL, size);
    if (m == NULL)
        return HAFT_ENOMEM;
    fill(a, m, &what);
    m->period = repeats ? nanoseconds : 0;
    if (nanoseconds < 0)
        nanoseconds = 0;
    if (__builtin_add_overflow(haft__os->now(), nanoseconds, &m->due))
        m->due = INT64_MAX;
    haft__record *server = NULL;
    haft__lock_acquire(&a->lock);
    if (a->is_closing) {
        rc = HAFT_ECLOSED;
    } else {
        haft__actor_set_timer(a, m);
        if (a->timers == m)
            server = haft__actor_take_idle(a);
    }
    haft__lock_release(&a->lock);
    wake_if(server);
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
