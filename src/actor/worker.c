/* SPDX-License-Identifier: MIT
 *
 * The worker: takes messages one by one and runs them behind a wall, until it has drained, is aborted, or dies of a
 * panic. The protocol stands in actor.h. */
#include "actor/actor.h"

#include "base/copy.h"
#include "wait/wait.h"

typedef struct run {
    haft_actor_fn *body;
    void *state, *frame;
    size_t size;
    int code;
} run;

/* Called as what it is; see haft__call_body. */
#if defined(__clang__)
__attribute__((no_sanitize("function")))
#endif
static void
call_message(void *argument)
{
    run *r = argument;
    if (r->size == 0)
        r->code = ((int (*)(void *))(void (*)(void))r->body)(r->state);
    else
        r->code = r->body(r->state, r->frame);
}

haft__record *haft__actor_refuse(haft__message *m, int code)
{
    haft__record *caller = m->caller;
    m->end = HAFT_NOT_STARTED;
    m->code = code;
    /* Release: partner of the acquire of the caller, whose node it is again from here on. */
    haft__store_release(&m->fate, HAFT__MESSAGE_ANSWERED);
    return caller;
}

static void wake_answered(haft__actor *a)
{
    haft__record *record = a->to_wake;
    a->to_wake = NULL;
    if (record != NULL)
        haft__wake(record);
}

static haft__message *take_queued(haft__actor *a)
{
    haft__link *link = haft__list_take(&a->urgent);
    if (link == NULL)
        link = haft__list_take(&a->ordinary);
    if (link == NULL)
        return NULL;
    a->queued--;
    return HAFT__CONTAINER(link, haft__message, link);
}

/* The next message, or null: drained or aborted. Waits. The lock is held on entry and on return. */
static haft__message *next(haft__actor *a, haft__root *me)
{
    for (;;) {
        if (haft__refusal_on_entry(me) != 0)
            return NULL;
        if (!haft__list_is_empty(&a->timers) && !a->is_closing)
            haft__actor_run_timers(a);
        haft__message *m = take_queued(a);
        if (m != NULL || a->is_closing)
            return m;
        a->is_idle = true;
        /* Without room its caster is on the way, and wakes the worker. */
        if (!haft__list_is_empty(&a->timers) && a->used < a->capacity)
            me->deadline = HAFT__CONTAINER(a->timers.next, haft__message, link)->due;
        haft__lock_release(&a->lock);
        wake_answered(a);
        haft__park();
        me->deadline = INT64_MAX;
        haft__lock_acquire(&a->lock);
        a->is_idle = false;
    }
}

/* Makes the scratch large enough. The lock is not held. */
static bool grow_scratch(haft__actor *a, size_t size)
{
    if (size <= a->scratch_size)
        return true;
    void *larger = haft__os->allocate(size, HAFT__FRAME_ALIGNMENT);
    if (larger == NULL)
        return false;
    if (a->scratch != NULL)
        haft__os->release(a->scratch);
    a->scratch = larger;
    a->scratch_size = size;
    return true;
}

/* Moves the frame of a call in. False: no memory, and it was answered. The lock is held on entry and on return. */
static bool begin_call(haft__actor *a, haft__message *m)
{
    bool small = m->size <= HAFT__ACTOR_COPY_MAX && m->size <= a->scratch_size;
    if (!small) {
        haft__store_relaxed(&m->fate, HAFT__MESSAGE_COPYING);
        haft__lock_release(&a->lock);
        wake_answered(a);
        bool grown = grow_scratch(a, m->size < HAFT__ACTOR_COPY_MAX ? HAFT__ACTOR_COPY_MAX : m->size);
        if (grown)
            haft__copy(a->scratch, m->frame, m->size);
        haft__lock_acquire(&a->lock);
        if (!grown) {
            a->to_wake = haft__actor_refuse(m, HAFT_ENOMEM);
            return false;
        }
    } else {
        haft__copy(a->scratch, m->frame, m->size);
    }
    haft__store_relaxed(&m->fate, HAFT__MESSAGE_BEGUN);
    a->current = m;
    return true;
}

/* Answers the call that ran, if its caller is still there. The lock is held on entry and on return. */
static void answer(haft__actor *a, haft__message *m, const run *r, const haft__panic *panic)
{
    if (m->size > HAFT__ACTOR_COPY_MAX) {
        haft__store_relaxed(&m->fate, HAFT__MESSAGE_COPYING);
        haft__lock_release(&a->lock);
        haft__copy(m->frame, a->scratch, m->size);
        haft__lock_acquire(&a->lock);
    } else {
        haft__copy(m->frame, a->scratch, m->size);
    }
    a->current = NULL;
    m->end = panic != NULL ? HAFT_PANICKED : HAFT_RETURNED;
    m->code = panic != NULL ? 0 : r->code;
    if (panic != NULL && m->panic != NULL) {
        *m->panic = panic->info;
        m->panic->payload = NULL; /* it stays with the one panic that there is */
        m->panic->payload_drop = NULL;
    }
    a->to_wake = m->caller;
    haft__store_release(&m->fate, HAFT__MESSAGE_ANSWERED); /* see haft__actor_refuse */
}

haft__record *haft__actor_answer_left(haft__actor *a)
{
    static const haft__panic left = { .info = { .message = "the thread was ended by pthread_exit" } };
    haft__lock_acquire(&a->lock);
    if (a->current != NULL) {
        run r = { 0 };
        answer(a, a->current, &r, &left);
    }
    haft__record *caller = a->to_wake;
    a->to_wake = NULL;
    haft__lock_release(&a->lock);
    return caller;
}

static haft__panic *serve_call(haft__actor *a, haft__root *me, haft__message *m)
{
    haft_drop_fn *drop = m->drop;
    run r = { .body = m->body, .state = a->state, .size = m->size };
    if (!begin_call(a, m))
        return NULL;
    r.frame = a->scratch;
    haft__lock_release(&a->lock);
    wake_answered(a);
    haft__panic *panic = haft__catch_call(me, call_message, &r);
    haft__lock_acquire(&a->lock);
    if (a->current == m) {
        answer(a, m, &r, panic);
    } else if (drop != NULL && r.size != 0) {
        /* The caller has left, and its frame is ours. */
        haft__lock_release(&a->lock);
        haft__actor_drop_object(drop, r.frame);
        haft__lock_acquire(&a->lock);
    }
    return panic;
}

static void drop_frame(const haft__message *m)
{
    if (m->drop != NULL && m->size != 0)
        haft__actor_drop_object(m->drop, m->frame);
}

static haft__panic *serve_cast(haft__actor *a, haft__root *me, haft__message *m)
{
    run r = { .body = m->body, .state = a->state, .frame = m->frame, .size = m->size };
    haft__record *caster = m->takes_room ? haft__actor_release_room(a) : NULL;
    m->takes_room = false;
    a->running = m;
    haft__lock_release(&a->lock);
    wake_answered(a);
    if (caster != NULL)
        haft__wake(caster);
    haft__panic *panic = haft__catch_call(me, call_message, &r);
    if (m->period == 0)
        drop_frame(m);
    haft__lock_acquire(&a->lock);
    a->running = NULL;
    if (m->period != 0) {
        /* Turns that have passed meanwhile are skipped. */
        int64_t late = haft__os->now() - m->due;
        int64_t ahead = late < 0 ? m->period : m->period - late % m->period + late;
        if (__builtin_add_overflow(m->due, ahead, &m->due))
            m->due = INT64_MAX;
        haft__actor_set_timer(a, m); /* at the end it is disposed of from there */
        return panic;
    }
    haft__message *surplus = haft__actor_keep_node(a, m);
    if (surplus != NULL) {
        haft__lock_release(&a->lock);
        haft__actor_free_node(surplus);
        haft__lock_acquire(&a->lock);
    }
    return panic;
}

/* Nothing more is begun: answers every call that waits. Frames of casts are left for haft__actor_dispose. The lock is not
 * held. */
static void refuse_calls(haft__actor *a, haft__link *queue)
{
    haft__lock_acquire(&a->lock);
    for (haft__link *at = queue->next; at != queue;) {
        haft__message *m = HAFT__CONTAINER(at, haft__message, link);
        at = at->next;
        if (m->caller == NULL)
            continue;
        haft__list_remove(&m->link);
        a->queued--;
        haft__record *caller = haft__actor_refuse(m, HAFT_ECLOSED);
        haft__lock_release(&a->lock);
        haft__wake(caller);
        haft__lock_acquire(&a->lock);
        at = queue->next; /* anything may have been withdrawn meanwhile */
    }
    haft__lock_release(&a->lock);
}

static void dispose_of_queue(haft__actor *a, haft__link *queue)
{
    for (;;) {
        haft__lock_acquire(&a->lock);
        haft__link *link = haft__list_take(queue);
        if (link != NULL && queue != &a->timers)
            a->queued--;
        haft__lock_release(&a->lock);
        if (link == NULL)
            return;
        haft__message *m = HAFT__CONTAINER(link, haft__message, link);
        drop_frame(m);
        haft__actor_free_node(m);
    }
}

void haft__actor_dispose(haft__actor *a)
{
    dispose_of_queue(a, &a->urgent);
    dispose_of_queue(a, &a->ordinary);
    dispose_of_queue(a, &a->timers);
    if (!a->is_state_gone && a->state_drop != NULL)
        haft__actor_drop_object(a->state_drop, a->state);
    a->is_state_gone = true;
}

void haft__actor_refuse_all(haft__actor *a)
{
    refuse_calls(a, &a->urgent);
    refuse_calls(a, &a->ordinary);
    haft__actor_closed(a);
}

/* Nobody can ask for the payload of the panic any more once the owner has gone. The lock is not held. */
static void end(haft__actor *a, haft__panic *panic)
{
    haft__actor_refuse_all(a);
    dispose_of_queue(a, &a->urgent);
    dispose_of_queue(a, &a->ordinary);
    dispose_of_queue(a, &a->timers);
    haft__lock_acquire(&a->lock);
    a->is_worker_done = true;
    bool is_mine = a->is_owner_gone;
    haft__lock_release(&a->lock);
    if (is_mine && panic != NULL)
        haft__actor_drop_object((haft_drop_fn *)(void (*)(void))haft_panic_drop, &panic->info);
    if (is_mine)
        haft__actor_dispose(a);
}

int haft__actor_serve(haft__actor **frame)
{
    haft__actor *a = *frame;
    haft__root *me = haft__here_or_null()->root;
    haft__panic *panic = NULL;
    haft__message *m;
    haft__lock_acquire(&a->lock);
    while (panic == NULL && (m = next(a, me)) != NULL) {
        panic = m->caller != NULL ? serve_call(a, me, m) : serve_cast(a, me, m);
        if (panic != NULL && a->on_panic == HAFT_KEEP_SERVING) {
            haft__lock_release(&a->lock);
            wake_answered(a);
            haft__actor_drop_object((haft_drop_fn *)(void (*)(void))haft__panic_free, panic);
            panic = NULL;
            haft__lock_acquire(&a->lock);
        }
    }
    a->is_closing = true;
    a->is_dead = true;
    a->has_panicked = panic != NULL;
    haft__lock_release(&a->lock);
    wake_answered(a);
    haft__shield shield = haft__shield_raise(me);
    end(a, panic);
    haft__shield_lower(me, shield);
    if (panic != NULL)
        haft__panic_raise(me, panic);
    return 0;
}
