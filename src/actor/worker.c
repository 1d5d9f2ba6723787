/* SPDX-License-Identifier: MIT
 *
 * A server: takes messages one by one and runs them behind a wall, until the actor has drained or is dead, it is surplus,
 * is aborted, or its message panics. The protocol stands in actor.h. */
#include "actor/actor.h"

#include "base/copy.h"
#include "base/hints.h"
#include "base/sanitizer.h"
#include "sched/park.h"
#include "wait/wait.h"

typedef struct run {
    haft_actor_fn *body;
    void *state, *frame;
    size_t size;
    int code;
} run;

/* Called as what it is; see haft__call_body. */
HAFT__CALLS_ANY_TYPE
static void call_message(void *argument)
{
    run *r = argument;
    if (r->size == 0)
        r->code = ((int (*)(void *))(void (*)(void))r->body)(r->state);
    else
        r->code = r->body(r->state, r->frame);
}

haft__record *haft__actor_refuse(haft__actor *a, haft__message *m, int code)
{
    haft__record *caller = m->caller;
    haft__actor_end_own_wait(a, &m->own_wait);
    m->end = HAFT_NOT_STARTED;
    m->code = code;
    /* Release: partner of the acquire of the caller, whose node it is again from here on. */
    haft__store_release(&m->fate, HAFT__MESSAGE_ANSWERED);
    return caller;
}

void haft__actor_wake_answered(haft__server *s)
{
    haft__record *record = s->to_wake;
    s->to_wake = NULL;
    if (record != NULL)
        haft__wake(record);
}

/* --- what next ---------------------------------------------------------------------------------------------------- */

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

/* More servers than wanted, and somebody is left who waits neither for the pool itself nor, without a deadline, for others:
 * a ring may lead through those who do, and would be closed by nobody's entering it. Without such a wait by whoever is the
 * last to look, there are as many as `serving` says when the ring is searched for, because both happen under the lock. */
static bool is_surplus(const haft__actor *a)
{
    return a->serving > a->wanted &&
           a->serving - 1 > haft__load_relaxed(&a->party.count) + (a->own_waiters - a->own_stuck);
}

static void enter_idle(haft__server *s)
{
    s->is_idle = true;
    if (!s->core->is_pool)
        return;
    s->next_idle = s->core->idle;
    s->core->idle = s;
}

static void leave_idle(haft__server *s)
{
    s->is_idle = false;
    if (!s->core->is_pool)
        return;
    haft__server **at = &s->core->idle;
    while (*at != s)
        at = &(*at)->next_idle;
    *at = s->next_idle;
}

/* Waits for a message or something else that is new. The lock is held on entry and on return. */
static void wait_idle(haft__server *s, haft__root *me)
{
    haft__actor *a = s->core;
    enter_idle(s);
    /* Without room its caster is on the way, and wakes a server. */
    if (a->timers != NULL && a->used < a->capacity)
        me->deadline = a->timers->due;
    haft__record *answered = s->to_wake;
    s->to_wake = NULL;
    haft__lock_release(&a->lock);
    haft__park_after_wake(answered, NULL, NULL);
    me->deadline = INT64_MAX;
    haft__lock_acquire(&a->lock);
    if (s->is_idle)
        leave_idle(s);
}

/* After many messages without a wait a task lets others run. A thread is not asked: the kernel takes turns. The lock is
 * held on entry and on return. */
static void give_turn(haft__server *s, const haft__root *me)
{
    haft__lock_release(&s->core->lock);
    haft__actor_wake_answered(s);
    if (me->stack != NULL)
        haft__sched_yield(haft__here_or_null()->worker);
    haft__lock_acquire(&s->core->lock);
}

/* The next message, or null: the server is to leave. Waits. The lock is held on entry and on return. */
static haft__message *next(haft__server *s, haft__root *me, unsigned *turns)
{
    haft__actor *a = s->core;
    for (;;) {
        if (__builtin_expect(++*turns > HAFT__ACTOR_TURNS, 0)) {
            *turns = 0;
            give_turn(s, me);
        }
        if (haft__refusal_on_entry(me) != 0 || a->is_dead || a->is_pausing || (a->is_pool && is_surplus(a)))
            return NULL;
        if (a->timers != NULL && !a->is_closing)
            haft__actor_run_timers(a);
        haft__message *m = take_queued(a);
        if (m != NULL || a->is_closing)
            return m;
        wait_idle(s, me);
        *turns = 0;
    }
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void add_time(int64_t *sum, int64_t *longest, int64_t time)
{
    if (time < 0) /* another processor's clock may be behind */
        time = 0;
    *sum += time;
    if (time > *longest)
        *longest = time;
}

static HAFT__COLD haft__panic *run_measured(haft__server *s, haft__root *me, run *r, int64_t due)
{
    haft__actor *a = s->core;
    int64_t began = haft__os->now();
    haft__panic *panic = haft__catch_call(me, call_message, r);
    int64_t ended = haft__os->now();
    haft__lock_acquire(&a->lock);
    add_time(&a->stats.waited, &a->stats.longest_wait, began - due);
    add_time(&a->stats.worked, &a->stats.longest_work, ended - began);
    haft__lock_release(&a->lock);
    return panic;
}

/* The body, behind a wall. The lock is not held. */
static inline haft__panic *run_body(haft__server *s, haft__root *me, run *r, int64_t due)
{
    if (__builtin_expect(s->core->measures, 0))
        return run_measured(s, me, r, due);
    return haft__catch_call(me, call_message, r);
}

/* The lock is held. */
static inline void count(haft__actor *a, const haft__panic *panic)
{
    a->stats.served++;
    if (__builtin_expect(panic != NULL, 0))
        a->stats.panicked++;
}

/* Makes the scratch large enough. The lock is not held. */
static bool grow_scratch(haft__server *s, size_t size)
{
    if (size <= s->scratch_size)
        return true;
    void *larger = haft__os->allocate(size, HAFT__FRAME_ALIGNMENT);
    if (larger == NULL)
        return false;
    if (s->scratch != NULL)
        haft__os->release(s->scratch);
    s->scratch = larger;
    s->scratch_size = size;
    return true;
}

/* Moves the frame of a call in. False: no memory, and it was answered. The lock is held on entry and on return. */
static bool begin_call(haft__server *s, haft__message *m)
{
    haft__actor *a = s->core;
    bool small = m->size <= HAFT__ACTOR_COPY_MAX && m->size <= s->scratch_size;
    if (!small) {
        haft__store_relaxed(&m->fate, HAFT__MESSAGE_COPYING);
        haft__lock_release(&a->lock);
        haft__actor_wake_answered(s);
        bool grown = grow_scratch(s, m->size < HAFT__CACHE_LINE ? HAFT__CACHE_LINE : m->size);
        if (grown)
            haft__copy(s->scratch, m->frame, m->size);
        haft__lock_acquire(&a->lock);
        if (!grown) {
            s->to_wake = haft__actor_refuse(a, m, HAFT_ENOMEM);
            return false;
        }
    } else {
        haft__copy(s->scratch, m->frame, m->size);
    }
    haft__store_relaxed(&m->fate, HAFT__MESSAGE_BEGUN);
    m->server = s;
    s->current = m;
    return true;
}

/* Answers the call that ran, if its caller is still there. The lock is held on entry and on return. */
static void answer(haft__server *s, haft__message *m, const run *r, const haft__panic *panic)
{
    haft__actor *a = s->core;
    if (m->size > HAFT__ACTOR_COPY_MAX) {
        haft__store_relaxed(&m->fate, HAFT__MESSAGE_COPYING);
        haft__lock_release(&a->lock);
        haft__copy(m->frame, s->scratch, m->size);
        haft__lock_acquire(&a->lock);
    } else {
        haft__copy(m->frame, s->scratch, m->size);
    }
    s->current = NULL;
    haft__actor_end_own_wait(a, &m->own_wait);
    m->end = panic != NULL ? HAFT_PANICKED : HAFT_RETURNED;
    m->code = panic != NULL ? 0 : r->code;
    if (panic != NULL && m->panic != NULL) {
        *m->panic = panic->info;
        m->panic->payload = NULL; /* it stays with the one panic that there is */
        m->panic->payload_drop = NULL;
    }
    s->to_wake = m->caller;
    haft__store_release(&m->fate, HAFT__MESSAGE_ANSWERED); /* see haft__actor_refuse */
}

haft__record *haft__actor_answer_left(haft__server *s)
{
    static const haft__panic left = { .info = { .message = "the thread was ended by pthread_exit" } };
    haft__lock_acquire(&s->core->lock);
    if (s->current != NULL) {
        run r = { 0 };
        answer(s, s->current, &r, &left);
    }
    haft__record *caller = s->to_wake;
    s->to_wake = NULL;
    haft__lock_release(&s->core->lock);
    return caller;
}

static haft__panic *serve_call(haft__server *s, haft__root *me, haft__message *m)
{
    haft__actor *a = s->core;
    haft_drop_fn *drop = m->drop;
    run r = { .body = m->body, .state = a->state, .size = m->size };
    int64_t due = a->measures ? m->due : 0;
    if (!begin_call(s, m))
        return NULL;
    r.frame = s->scratch;
    haft__lock_release(&a->lock);
    haft__actor_wake_answered(s);
    haft__panic *panic = run_body(s, me, &r, due);
    haft__lock_acquire(&a->lock);
    count(a, panic);
    if (s->current == m) {
        answer(s, m, &r, panic);
    } else if (drop != NULL && r.size != 0) {
        /* The caller has left, and its frame is ours. */
        haft__lock_release(&a->lock);
        haft__drop_object(drop, r.frame);
        haft__lock_acquire(&a->lock);
    }
    return panic;
}

static void drop_frame(const haft__message *m)
{
    if (m->drop != NULL && m->size != 0)
        haft__drop_object(m->drop, m->frame);
}

static haft__panic *serve_cast(haft__server *s, haft__root *me, haft__message *m)
{
    haft__actor *a = s->core;
    run r = { .body = m->body, .state = a->state, .frame = m->frame, .size = m->size };
    haft__record *caster = m->takes_room ? haft__actor_release_room(a) : NULL;
    m->takes_room = false;
    s->running = m;
    haft__lock_release(&a->lock);
    haft__actor_wake_answered(s);
    if (caster != NULL)
        haft__wake(caster);
    haft__panic *panic = run_body(s, me, &r, m->due);
    if (m->period == 0)
        drop_frame(m);
    haft__lock_acquire(&a->lock);
    count(a, panic);
    s->running = NULL;
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

/* The key of what ran is free for its next message. The lock is held. */
static void end_lane(haft__server *s)
{
    haft__message *next = haft__lane_leave(s->lane);
    if (next != NULL) /* this server is free for one more, so nobody needs to be woken */
        haft__list_append(next->urgent ? &s->core->urgent : &s->core->ordinary, &next->link);
}

/* Runs one message. The lock is held on entry and on return. */
static inline haft__panic *serve_one(haft__server *s, haft__root *me, haft__message *m)
{
    if (__builtin_expect(s->lane != NULL, 0) && m->lane != NULL)
        haft__lane_begin(s, m);
    haft__panic *panic = m->caller != NULL ? serve_call(s, me, m) : serve_cast(s, me, m);
    if (__builtin_expect(s->lane != NULL, 0))
        end_lane(s);
    return panic;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Nothing more is begun: answers every call that waits. Frames of casts are left to be disposed of. The lock is not held. */
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
        haft__record *caller = haft__actor_refuse(a, m, HAFT_ECLOSED);
        haft__lock_release(&a->lock);
        haft__wake(caller);
        haft__lock_acquire(&a->lock);
        at = queue->next; /* anything may have been withdrawn meanwhile */
    }
    haft__lock_release(&a->lock);
}

static void empty_lanes(haft__actor *a)
{
    bool is_more = a->is_pool;
    while (is_more) {
        haft__lock_acquire(&a->lock);
        is_more = haft__lane_empty_one(a);
        haft__lock_release(&a->lock);
    }
}

/* What is queued, then what waits for its time, taken out, or null. */
static haft__message *take_any(haft__actor *a)
{
    haft__lock_acquire(&a->lock);
    haft__message *m = take_queued(a);
    if (m == NULL)
        m = haft__actor_take_timer(a);
    haft__lock_release(&a->lock);
    return m;
}

static void dispose_of_messages(haft__actor *a)
{
    haft__message *m;
    while ((m = take_any(a)) != NULL) {
        drop_frame(m);
        haft__actor_free_node(m);
    }
}

void haft__actor_dispose(haft__actor *a)
{
    dispose_of_messages(a);
    if (!a->is_state_gone && a->state_drop != NULL)
        haft__drop_object(a->state_drop, a->state);
    a->is_state_gone = true;
}

void haft__actor_refuse_all(haft__actor *a)
{
    empty_lanes(a);
    refuse_calls(a, &a->urgent);
    refuse_calls(a, &a->ordinary);
    haft__actor_closed(a);
}

/* The server has left its loop; if `ends`, nothing more is begun. The lock is not held. */
static void end(haft__server *s, bool ends, haft__panic *panic)
{
    haft__actor *a = s->core;
    if (ends) {
        haft__actor_refuse_all(a);
        dispose_of_messages(a);
    }
    haft__lock_acquire(&a->lock);
    bool is_last = --a->present == 0, is_owner_gone = a->is_owner_gone;
    a->is_worker_done = is_last;
    haft__lock_release(&a->lock);
    if (is_owner_gone && panic != NULL) /* nobody can ask for its payload any more */
        haft__drop_object((haft_drop_fn *)(void (*)(void))haft_panic_drop, &panic->info);
    if (is_last && is_owner_gone)
        haft__actor_dispose(a);
}

/* A panic that is nobody's outcome. */
static void forget(haft__panic *panic)
{
    haft__drop_object((haft_drop_fn *)(void (*)(void))haft__panic_free, panic);
}

int haft__actor_serve(haft__server **frame)
{
    haft__server *s = *frame;
    haft__actor *a = s->core;
    haft__root *me = haft__here_or_null()->root;
    haft__panic *panic = NULL;
    haft__message *m;
    unsigned turns = 0;
    if (a->is_pool)
        me->party = &a->party;
    haft__lock_acquire(&a->lock);
    do {
        while (panic == NULL && (m = next(s, me, &turns)) != NULL) {
            panic = serve_one(s, me, m);
            if (panic != NULL && a->on_panic == HAFT_KEEP_SERVING) {
                haft__lock_release(&a->lock);
                haft__actor_wake_answered(s);
                forget(panic);
                panic = NULL;
                haft__lock_acquire(&a->lock);
            }
        }
    } while (a->child != NULL && haft__actor_goes_on(s, me, &panic));
    s->has_left = true;
    me->party = NULL;
    bool ends = --a->serving == 0 || panic != NULL || me->told;
    bool is_first_panic = panic != NULL && !a->has_panicked;
    if (ends)
        a->is_closing = a->is_dead = true;
    a->has_panicked = a->has_panicked || panic != NULL;
    /* Whoever woke this server for a message needs another one. */
    haft__record *instead =
        haft__list_is_empty(&a->ordinary) && haft__list_is_empty(&a->urgent) ? NULL : haft__actor_take_idle(a);
    haft__lock_release(&a->lock);
    haft__actor_wake_answered(s);
    if (instead != NULL)
        haft__wake(instead);
    haft__shield shield = haft__shield_raise(me);
    if (panic != NULL && !is_first_panic) {
        forget(panic);
        panic = NULL;
    }
    end(s, ends, panic);
    haft__shield_lower(me, shield);
    if (panic != NULL)
        haft__panic_raise(me, panic);
    return 0;
}
