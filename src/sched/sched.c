/* SPDX-License-Identifier: MIT
 *
 * Picking, switching, sleeping: see sched.h for the protocol. This file is long because the hot path, from a park
 * through the pick to the switch, is kept where the compiler can inline it. */
#include "sched/sched.h"

#include <limits.h>
#include <string.h>

#include "base/hints.h"
#include "haft/codes.h"
#include "sched/gather.h"
#include "sched/offer.h"
#include "sched/park.h"
#include "sched/queue.h"

/* --- Waking workers ----------------------------------------------------------------------------------------------- */

/* The words and counters of this part are relaxed: they publish nothing, each queue does so for itself. What must not be
 * missed is ordered by the fences, between a change and a look. */

/* As WOKEN, which the waker must have counted as a searcher, or as CALLED, which nobody counts. */
static bool wake_worker(haft__worker *w, uint32_t as)
{
    uint32_t asleep = HAFT__ASLEEP;
    if (haft__load_relaxed(&w->sleep_word) != HAFT__ASLEEP || !haft__cas_relaxed(&w->sleep_word, &asleep, as))
        return false;
    haft__fetch_sub_relaxed(&w->sched->sleepers, 1);
    haft__os->futex_wake(&w->sleep_word, 1);
    return true;
}

static bool injection_is_empty(haft__sched *s)
{
    return haft__load_relaxed(&s->injected) == NULL && haft__load_relaxed(&s->injection_count) == 0;
}

/* The workers of one scheduler, kept with it for ever: a late waker may still look at them. When a bigger set is needed
 * the smaller one stays where it is. Wakers, who may be late, know the set and how many it has in use from `shown`. */
struct haft__worker_block {
    struct haft__worker_block *smaller;
    unsigned capacity;
    haft__atomic(unsigned) used;
    haft__worker workers[];
};

/* Acquire: partner of the release in haft__sched_init. */
static struct haft__worker_block *shown_workers(haft__sched *s, unsigned *count)
{
    struct haft__worker_block *block = haft__load_acquire(&s->shown);
    *count = haft__load_relaxed(&block->used);
    return block;
}

static bool shared_work_is_visible(haft__sched *s)
{
    if (!injection_is_empty(s))
        return true;
    unsigned count;
    struct haft__worker_block *block = shown_workers(s, &count);
    for (unsigned i = 0; i < count; i++) {
        haft__worker *w = &block->workers[i];
        if (haft__ring_length(w) != 0 && !haft__ring_stays_together(w))
            return true;
        if (haft__load_relaxed(&w->oldest_offer) != NULL)
            return true;
    }
    return false;
}

/* Behind a change, from anywhere: does a worker sleep, and nobody search? The fence's partner is the heavy one of a worker
 * that goes to sleep; a plain thread's compiler barrier would not do where membarrier is refused. */
static bool must_wake_one(haft__sched *s)
{
    haft__fence_full();
    return haft__load_relaxed(&s->sleepers) > 0 && haft__load_relaxed(&s->searchers) == 0;
}

static bool is_anybody_asleep(haft__sched *s)
{
    unsigned count;
    struct haft__worker_block *block = shown_workers(s, &count);
    for (unsigned i = 0; i < count; i++)
        if (haft__load_relaxed(&block->workers[i].sleep_word) == HAFT__ASLEEP)
            return true;
    return false;
}

void haft__sched_wake_one(haft__sched *s)
{
    do {
        uint32_t none = 0;
        if (!haft__cas_relaxed(&s->searchers, &none, 1))
            return;
        unsigned count;
        struct haft__worker_block *block = shown_workers(s, &count);
        for (unsigned i = 0; i < count; i++)
            if (wake_worker(&block->workers[i], HAFT__WOKEN))
                return;
        /* While this stood there as a searcher that found nobody, a worker may have gone to sleep and another waker
         * have relied on the searcher: look again, after the subtraction is visible. Heavy: that waker may be a worker,
         * whose fence between what it pushed and its look for searchers is a light one. By the words, not by `sleepers`,
         * which counts one that was woken a moment longer. */
        haft__fetch_sub_relaxed(&s->searchers, 1);
        haft__fence_full();
        if (!is_anybody_asleep(s))
            return;
        haft__fence_heavy();
    } while (shared_work_is_visible(s));
}

/* Anybody has made work visible. */
static void notify_from_outside(haft__sched *s)
{
    if (must_wake_one(s))
        haft__sched_wake_one(s);
}

void haft__sched_has_spare(haft__sched *s)
{
    haft__fence_full(); /* partner: the heavy fence of a worker that goes to sleep; it then looks at what is spare */
    unsigned count;
    struct haft__worker_block *block = shown_workers(s, &count);
    for (unsigned i = 0; i < count; i++)
        if (wake_worker(&block->workers[i], HAFT__CALLED))
            return;
}

/* --- The injection queue and the inboxes -------------------------------------------------------------------------- */

void haft__injection_append(haft__sched *s, haft__record *first, haft__record *last, uint32_t n)
{
    last->next = NULL;
    haft__lock_acquire(&s->injection_lock);
    if (s->injection_last != NULL)
        s->injection_last->next = first;
    else
        s->injection_first = first;
    s->injection_last = last;
    haft__store_relaxed(&s->injection_count, haft__load_relaxed(&s->injection_count) + n);
    haft__lock_release(&s->injection_lock);
}

static void stack_push(haft__atomic(haft__record *) *top, haft__record *record)
{
    haft__record *old = haft__load_relaxed(top);
    do
        record->next = old;
    while (!haft__cas_weak_release(top, &old, record)); /* partner: the acquire in stack_take_all */
}

/* Everything that was pushed, oldest first, and how many. */
static haft__record *stack_take_all(haft__atomic(haft__record *) *top, haft__record **last, uint32_t *n)
{
    haft__record *record = haft__exchange_acquire(top, NULL), *first = NULL;
    *last = record;
    *n = 0;
    while (record != NULL) {
        haft__record *next = record->next;
        record->next = first;
        first = record;
        record = next;
        ++*n;
    }
    return first;
}

/* The checked build (haft__must_move) moves every task that is not pinned at every suspension, so that a hidden dependence on the thread
 * shows: it goes through the injection queue, and the worker that it last ran on passes it on, for as long as another
 * worker takes to wake up. If all others are stuck it runs there after all. */
#define MOVE_PATIENCE 64

static inline bool is_passed_on(const haft__worker *w, haft__record *record)
{
    if (!haft__must_move(w->sched, record))
        return false;
    haft__root *root = record->root;
    bool is_mine = root->worker == w->number && root->passes < MOVE_PATIENCE;
    root->passes = is_mine ? root->passes + 1 : 0;
    return is_mine;
}

/* Takes up to max records: one to run, the others into the ring. */
static haft__record *injection_take(haft__worker *w, uint32_t max)
{
    haft__sched *s = w->sched;
    if (injection_is_empty(s))
        return NULL;
    haft__lock_acquire(&s->injection_lock);
    haft__record *last;
    uint32_t n;
    haft__record *fresh = stack_take_all(&s->injected, &last, &n);
    if (fresh != NULL) {
        if (s->injection_last != NULL)
            s->injection_last->next = fresh;
        else
            s->injection_first = fresh;
        s->injection_last = last;
        last->next = NULL;
    }
    uint32_t count = haft__load_relaxed(&s->injection_count) + n;
    uint32_t room = HAFT__RING_SIZE - haft__ring_length(w);
#ifdef HAFT_CHECKED
    max = 1; /* each is looked at */
#endif
    if (max > room + 1)
        max = room + 1;
    haft__record *record = s->injection_first, *at = record;
    uint32_t taken = 0;
    for (; at != NULL && taken < max; taken++) {
        haft__record *next = at->next;
        if (at != record)
            haft__ring_push(w, at);
        at = next;
    }
    s->injection_first = at;
    if (at == NULL)
        s->injection_last = NULL;
    haft__store_relaxed(&s->injection_count, count - taken);
    haft__lock_release(&s->injection_lock);
    if (taken > 1)
        haft__sched_notify(s); /* for those that stand in the ring now */
    if (record == NULL || !is_passed_on(w, record))
        return record;
    haft__injection_append(s, record, record, 1);
    haft__sched_notify(s);
    return NULL;
}

void haft__sched_inject(haft__sched *s, haft__record *record)
{
    stack_push(&s->injected, record);
    notify_from_outside(s);
}

static void inbox_put(haft__worker *w, haft__record *record)
{
    stack_push(&w->inbox, record);
    haft__fence_full(); /* partner: the heavy fence of the worker that goes to sleep */
    wake_worker(w, HAFT__CALLED);
}

/* Do tasks gather there? Notices the end of that, too. */
static bool is_gathering(haft__worker *w, int64_t now)
{
    int64_t until = haft__load_relaxed(&w->gathers_until);
    if (__builtin_expect(until == 0, 1))
        return false;
    if (now < until)
        return true;
    haft__cas_relaxed(&w->gathers_until, &until, 0); /* or it has just begun again */
    return false;
}

/* All of them, into the worker's ring but the first, which is returned; or null. */
static haft__record *guests_take(haft__worker *w, haft__worker *from)
{
    if (__builtin_expect(haft__load_relaxed(&from->guests) == NULL, 1))
        return NULL;
    haft__record *last;
    uint32_t n;
    haft__record *first = stack_take_all(&from->guests, &last, &n);
    for (haft__record *at = first != NULL ? first->next : NULL, *next; at != NULL; at = next) {
        next = at->next;
        haft__ring_push(w, at);
    }
    if (n > 1 && !haft__ring_stays_together(w))
        haft__sched_notify(w->sched);
    return first;
}

static void guests_put(haft__worker *w, haft__record *record)
{
    stack_push(&w->guests, record);
    haft__fence_light(); /* partner: the heavy fence of the worker that goes to sleep */
    wake_worker(w, HAFT__CALLED);
}

/* From the inbox, or a guest. */
static inline haft__record *inbox_take(haft__worker *w)
{
    if (w->pinned == NULL) {
        if (__builtin_expect(haft__load_relaxed(&w->inbox) == NULL, 1))
            return guests_take(w, w);
        haft__record *last;
        uint32_t n;
        w->pinned = stack_take_all(&w->inbox, &last, &n);
    }
    haft__record *record = w->pinned;
    w->pinned = record->next;
    return record;
}

/* --- Making records runnable -------------------------------------------------------------------------------------- */

static inline void ready_last(haft__worker *w, haft__record *record)
{
    haft__ring_push(w, record);
    if (!haft__ring_stays_together(w))
        haft__sched_notify(w->sched);
}

/* The worker that a started task must continue on, or null if any will do. */
static haft__worker *bound_worker(haft__sched *s, haft__record *record)
{
    bool is_bound = record->root != NULL && (record->flags & HAFT__PINNED) != 0;
    return is_bound ? &s->workers[record->root->worker] : NULL;
}

void haft__task_ready(haft__record *record)
{
    haft__sched *s = haft__load_relaxed(&record->home);
    haft__worker *bound = bound_worker(s, record);
    haft__worker *w = haft__sched_worker_here(s);
    if (__builtin_expect(bound != NULL, 0))
        inbox_put(bound, record);
    else if (w != NULL && !haft__must_move(s, record))
        haft__sched_ready_next(w, record);
    else
        haft__sched_inject(s, record);
}

void haft__task_ready_from_signal(haft__record *record)
{
    haft__sched *s = haft__load_relaxed(&record->home);
    haft__worker *w = haft__sched_worker_here(s);
    if (w != NULL && w->is_ours) {
        haft__task_ready(record); /* no handler runs on this thread, so this is none */
        return;
    }
    haft__worker *bound = bound_worker(s, record);
    if (bound != NULL)
        inbox_put(bound, record);
    else
        haft__sched_inject(s, record);
}

bool haft__sched_is_crowded(void)
{
    haft__thread *here = haft__here_or_null();
    return here->worker != NULL && here->root->record != NULL && here->root->stack != NULL &&
           haft__ring_length(here->worker) > HAFT__RING_SIZE / 2;
}

/* --- Picking ------------------------------------------------------------------------------------------------------ */

static void fire_timers(haft__worker *w)
{
    if (haft__load_relaxed(&w->timers.earliest) != INT64_MAX)
        haft__timers_fire(&w->timers, haft__os->now());
}

/* Every so many picks: what the others would keep waiting, or null; with owes_offer, null is the pick. */
static __attribute__((noinline)) haft__record *pick_in_fairness(haft__worker *w)
{
    fire_timers(w);
    if (haft__load_relaxed(&w->gathers_until) != 0 && !is_gathering(w, haft__os->now()) && haft__ring_length(w) != 0)
        haft__sched_notify(w->sched); /* it was silent so far */
    haft__record *record = guests_take(w, w);
    if (record == NULL)
        record = injection_take(w, 1);
    /* An offer becomes a job in the idle loop alone: here a lock may be held. */
    if (record == NULL && haft__load_relaxed(&w->oldest_offer) != NULL && w->thread.root != &w->thread.own) {
        w->owes_offer = true;
        haft__count(&w->empty_ticks, 1);
    }
    return record;
}

static __attribute__((noinline)) haft__record *pick_injected(haft__worker *w)
{
    haft__record *record = injection_take(w, HAFT__RING_SIZE / 2);
    if (record == NULL)
        haft__count(&w->empty_ticks, 1);
    return record;
}

/* Is that pick one that looks at the others first? 32 bits are divided faster. */
static inline bool is_fair(uint64_t ticks)
{
    return __builtin_expect((uint32_t)ticks % HAFT__FAIRNESS_TICKS == 0, 0);
}

/* The next record to run, or null. */
static inline haft__record *pick(haft__worker *w)
{
    haft__record *record;
    uint64_t ticks = haft__load_relaxed(&w->ticks) + 1;
    haft__store_relaxed(&w->ticks, ticks);
    if (is_fair(ticks)) {
        record = pick_in_fairness(w);
        if (record != NULL || w->owes_offer)
            return record;
    }
    if ((ticks & 1) != 0 && (record = inbox_take(w)) != NULL)
        return record;
    if (__builtin_expect(w->lifo_runs < HAFT__LIFO_RUNS, 1) || haft__ring_length(w) == 0) {
        if ((record = haft__lifo_take(w)) != NULL) {
            w->lifo_runs++;
            return record;
        }
    }
    w->lifo_runs = 0;
    if ((record = haft__ring_pop(w)) != NULL)
        return record;
    if ((record = haft__lifo_take(w)) != NULL)
        return record;
    if ((record = inbox_take(w)) != NULL)
        return record;
    return pick_injected(w);
}

/* The same for a task whose last act was perhaps to wake somebody: that one is next, unless it is somebody else's turn. */
static inline haft__record *pick_successor(haft__worker *w)
{
    haft__record *record = w->successor;
    if (record == NULL)
        return pick(w);
    w->successor = NULL;
    uint64_t ticks = haft__load_relaxed(&w->ticks) + 1;
    if (__builtin_expect(!is_fair(ticks) && w->pinned == NULL && haft__load_relaxed(&w->inbox) == NULL &&
                             (w->lifo_runs < HAFT__LIFO_RUNS || haft__ring_length(w) == 0),
                         1)) {
        haft__store_relaxed(&w->ticks, ticks);
        w->lifo_runs++;
        return record;
    }
    haft__sched_ready_next(w, record);
    return pick(w);
}

/* --- Switching ---------------------------------------------------------------------------------------------------- */

static void give_stack(haft__worker *w, haft__stack *stack);

/* False: a wake came first. Release: whoever reads PARKED sees the saved context. */
static inline bool shows_parked(haft__record *record)
{
    uint32_t running = HAFT__RUNNING;
    return haft__cas_release(&record->word, &running, HAFT__PARKED);
}

static void post_park(haft__record *record)
{
    if (__builtin_expect(shows_parked(record), 1))
        return;
    haft__exchange_acquire(&record->word, HAFT__RUNNING); /* what the early waker did is seen where it goes on */
    haft__task_ready(record);
}

static void post_yield(haft__worker *w, haft__record *record)
{
    haft__worker *bound = bound_worker(w->sched, record);
    if (__builtin_expect(bound != NULL, 0))
        inbox_put(bound, record);
    else if (haft__must_move(w->sched, record))
        haft__sched_inject(w->sched, record);
    else
        ready_last(w, record);
}

static void post_unlock(haft__worker *w, haft__record *record)
{
    /* Release: whoever reads PARKED sees the saved context. Then the light fence, whose partner is the heavy one of an
     * aborter: either he sees PARKED or this load sees the abort. After the store the record may run again. Only a
     * timer can have come before: everybody else needs the lock. No exchange: see wait.h. */
    haft__lock *lock = w->post_lock;
    bool heeds = w->post_heeds;
    uint32_t parked = HAFT__PARKED;
    if (!w->post_timed) {
        haft__store_release(&record->word, HAFT__PARKED);
    } else if (!shows_parked(record)) {
        haft__store_relaxed(&record->word, HAFT__RUNNING);
        haft__task_ready(record);
        haft__lock_release(lock);
        return;
    }
    haft__fence_light();
    if (heeds && (haft__load_relaxed(&record->state) & HAFT__ABORT) != 0 &&
        haft__cas_relaxed(&record->word, &parked, HAFT__RUNNING)) /* it was this worker that stored it */
        haft__task_ready(record);
    haft__lock_release(lock);
}

/* Does what the computation that just left this worker needs done once its registers are saved. Tests, the likely ones
 * first, and no table of jumps, which the processor would have to predict. */
static inline void do_post(haft__worker *w)
{
    haft__record *record = w->post_record;
    enum haft__post post = w->post;
    if (post == HAFT__POST_NONE)
        return;
    w->post = HAFT__POST_NONE;
    if (post == HAFT__POST_PARK) {
        post_park(record);
    } else if (post == HAFT__POST_YIELD) {
        post_yield(w, record);
    } else if (post == HAFT__POST_UNLOCK) {
        post_unlock(w, record);
    } else if (post == HAFT__POST_GUEST) {
        guests_put(w->post_to, record);
    } else {
        haft__announce_reuse(&w->post_stack->note);
        give_stack(w, w->post_stack);
    }
}

_Noreturn void haft__sched_stack_is_broken(const haft__root *root)
{
    static const char text[] = "haft: a task's stack was overwritten\n";
    const haft__stack *stack = haft__stack_at(root);
    haft__stack_reporter *report = haft__load_relaxed(&haft__stack_report);
    if (stack != NULL && report != NULL)
        report(root, stack);
    haft__os->write_error(text, sizeof text - 1);
    haft__os->abort();
    __builtin_trap();
}

/* The first root of a stack. */
static void make_root(haft__worker *w, haft__root *root, haft__record *record, haft__stack *stack)
{
    haft__root_init(root, record);
    root->stack = stack;
    root->low = stack->low;
    root->canary = stack->guard == HAFT__GUARD_CANARY ? (const uint64_t *)(const void *)stack->low : NULL;
    root->note = &stack->note;
    root->context = haft__arch_prepare_with(root, w->control);
    stack->is_used = true;
}

/* A root at the top of that stack for a record that begins. What the last job left there is renewed, which is cheaper
 * than to make it; memory that was given back meanwhile no longer holds the mark. */
static inline haft__root *root_on(haft__worker *w, haft__stack *stack, haft__record *record)
{
    haft__root *root = (haft__root *)(void *)((uintptr_t)(stack->top - sizeof *root) & ~(uintptr_t)63);
#ifdef HAFT__ANNOUNCED
    bool is_there = false; /* to a sanitizer everything on a stack that was left is dead */
#else
    bool is_there = stack->is_used && root->mark == HAFT__ROOT_MARK;
#endif
    if (__builtin_expect(is_there, 1)) {
        haft__root_renew(root, record);
        root->context = haft__arch_prepare_again(root, w->control);
    } else {
        make_root(w, root, record, stack);
    }
    root->worker = w->number;
    return root;
}

static HAFT__COLD haft__root *bind_to_reserve(haft__worker *w, haft__record *record)
{
    haft__stack *stack = w->reserve;
    w->reserve = NULL;
    if (stack == NULL)
        return NULL;
    haft__root *root = root_on(w, stack, record);
    root->is_refused = true;
    return root;
}

/* Gives a new record a stack and a context at its root. When there is no memory for one, the worker's reserve, on which
 * the job ends at once with HAFT_ENOMEM. Null: the reserve is in use, too; the record is to be tried again later. */
static inline haft__root *bind(haft__worker *w, haft__record *record)
{
    haft__stack *stack = haft__stack_take(&w->stacks, record->stack_class);
    return __builtin_expect(stack != NULL, 1) ? root_on(w, stack, record) : bind_to_reserve(w, record);
}

/* Puts a record back for which there was neither a stack nor the reserve. True if there is nothing else to pick. */
static bool try_later(haft__worker *w, haft__record *record)
{
    bool was_alone = haft__ring_length(w) == 0 && injection_is_empty(w->sched);
    haft__injection_append(w->sched, record, record, 1);
    return was_alone;
}

static void give_stack(haft__worker *w, haft__stack *stack)
{
    if (__builtin_expect(w->reserve == NULL && stack->class == 0, 0))
        w->reserve = stack;
    else
        haft__stack_give(&w->stacks, stack);
}

/* Where to go for what was picked: a task, or the idle loop when there is none. */
static inline haft__root *root_for(haft__worker *w, haft__record *record)
{
    for (;; record = pick(w)) {
        if (record == NULL)
            return &w->thread.own;
        if (__builtin_expect(record->root != NULL, 1))
            return record->root;
        haft__root *root = bind(w, record);
        if (root != NULL)
            return root;
        if (try_later(w, record))
            return &w->thread.own;
    }
}

static inline haft__root *next_root(haft__worker *w)
{
    return root_for(w, pick(w));
}

void haft__sched_post(haft__worker *w)
{
    do_post(w);
}

static inline void suspend(haft__worker *w, haft__root *me, enum haft__post post)
{
    haft__root *to = next_root(w);
    w->post = post;
    w->post_record = me->record;
    haft__sched_switch(w, me, to);
}

static inline haft__worker *my_worker(void)
{
    return haft__here_or_null()->worker;
}

/* Something is left in a depot that nobody needed for a while. */
static inline bool is_spare(void)
{
    return haft__stacks_are_spare() || haft__records_are_spare();
}

/* Returns when to do so again. */
static int64_t trim_once(int64_t now)
{
    int64_t stacks = haft__stacks_trim(now), records = haft__records_trim(now);
    return stacks < records ? stacks : records;
}

/* After so many yields to nobody the time slice is given away. */
#define EMPTY_YIELDS 16

bool haft__sched_yield(haft__worker *w)
{
    haft__root *me = w->thread.root, *to = next_root(w);
    if (to == &w->thread.own) {
        w->owes_offer = haft__load_relaxed(&w->oldest_offer) != NULL;
#ifndef HAFT_CHECKED
        if (!w->owes_offer) {
            /* Alone on this worker, but perhaps not on this processor. */
            if (++w->empty_yields % EMPTY_YIELDS == 0) {
                if (is_spare())
                    trim_once(haft__os->now());
                haft__os->yield();
            }
            return false;
        }
#endif
    }
    w->post = HAFT__POST_YIELD;
    w->post_record = me->record;
    haft__sched_switch(w, me, to);
    return true;
}

void haft__gather_join(haft__worker *to)
{
    haft__worker *w = my_worker();
    w->post_to = to;
    suspend(w, w->thread.root, HAFT__POST_GUEST);
}

void haft__task_park(haft__root *me)
{
    haft__worker *w = my_worker();
    if (__builtin_expect(me->deadline == INT64_MAX, 1)) {
        suspend(w, me, HAFT__POST_PARK);
        return;
    }
    haft__timer timer;
    haft__timers *timers = &w->timers;
    haft__timer_arm(timers, &timer, me->record, me->deadline);
    suspend(w, me, HAFT__POST_PARK);
    haft__timer_disarm(timers, &timer);
}

haft__root *haft__sched_next_after_wake(haft__worker *w, haft__record *woken)
{
    haft__sched_ready_at_end(w, woken);
    return root_for(w, pick_successor(w));
}

void haft__task_park_unlocking(haft__root *me, haft__lock *lock)
{
    haft__worker *w = my_worker();
    haft__timer timer;
    haft__timers *timers = &w->timers;
    bool timed = me->deadline != INT64_MAX;
    haft__root *to = next_root(w);
    w->post = HAFT__POST_UNLOCK;
    w->post_record = me->record;
    w->post_lock = lock;
    w->post_heeds = me->shields == 0;
    w->post_timed = timed;
    if (timed) {
        /* A wake from before this wait is not the timer's. */
        haft__store_relaxed(&me->record->word, HAFT__RUNNING);
        haft__timer_arm(timers, &timer, me->record, me->deadline);
    }
    haft__sched_switch(w, me, to);
    if (timed)
        haft__timer_disarm(timers, &timer);
}

/* Called by the root of every stack, at depth zero; returns what the root does next. */
haft__next haft__sched_root(void *value)
{
    haft__worker *w = value;
    haft__root *root = w->thread.root;
    haft__announce_arrive(root->note);
    do_post(w);
    w->sched->run(root->record);

    w = my_worker();
    haft__stack *stack = root->stack;
    if (__builtin_expect(!haft__stack_is_whole(root), 0)) {
        root->record = NULL; /* it may be another job's by now */
        haft__sched_stack_is_broken(root);
    }
#ifdef HAFT__ANNOUNCED
    /* The tools' picture of a stack is renewed by leaving it. */
    if (w->successor != NULL)
        haft__sched_ready_next(w, w->successor);
    w->successor = NULL;
    w->leaving = root->note;
    w->post = HAFT__POST_STACK;
    w->post_stack = stack;
    w->thread.root = &w->thread.own;
    return (haft__next){ w->thread.own.context, w };
#else
    haft__record *record;
    while ((record = pick_successor(w)) != NULL && record->root == NULL) {
        /* Not while the reserve is lent, perhaps as this very stack: the job would keep it for as long as it waits, and
         * what is queued could neither begin nor be refused. */
        bool has_reserve = w->reserve != NULL || stack->class != 0;
        if (record->stack_class == stack->class && __builtin_expect(has_reserve, 1)) {
            haft__root_renew(root, record);
            return (haft__next){ NULL, w };
        }
        if (bind(w, record) != NULL)
            break;
        /* No memory, and the reserve is in use, perhaps as this very stack: the job ends here. */
        haft__root_renew(root, record);
        root->is_refused = true;
        return (haft__next){ NULL, w };
    }
    /* Into this worker's cache, from which nobody takes before the root has left. */
    give_stack(w, stack);
    w->thread.root = record != NULL ? record->root : &w->thread.own;
    return (haft__next){ w->thread.root->context, w };
#endif
}

HAFT__UNINSTRUMENTED void haft__sched_announce(void *value)
{
    haft__worker *w = value;
    haft__announce_leave_final(w->leaving, w->thread.root->note);
}

/* --- Idling ------------------------------------------------------------------------------------------------------- */

static bool work_is_visible(haft__worker *w)
{
    haft__sched *s = w->sched;
    return haft__load_relaxed(&w->inbox) != NULL || haft__load_relaxed(&w->guests) != NULL ||
           haft__load_relaxed(&w->stop_word) != HAFT__WORKER_RUNS || shared_work_is_visible(s);
}

/* Makes an offer a record to run; null if there is none, or no memory for it, which its owner was told. */
static haft__record *adopt(haft__worker *w, haft__offer *offer)
{
    haft__record *record = offer != NULL ? offer->adopt(offer) : NULL;
    if (record != NULL)
        haft__count(&w->adopted, 1);
    return record;
}

/* Looks once behind every other worker. */
static haft__record *steal(haft__worker *w, int64_t now)
{
    haft__sched *s = w->sched;
    for (unsigned k = 1; k < s->count; k++) {
        haft__worker *victim = &s->workers[(w->number + k) % s->count];
        haft__record *record = is_gathering(victim, now) ? NULL : guests_take(w, victim);
        if (record == NULL && !haft__ring_stays_together(victim))
            record = haft__ring_steal(w, victim);
        if (record != NULL) {
            haft__count(&w->steals, 1);
            return record;
        }
        if ((record = adopt(w, haft__offer_steal(victim))) != NULL)
            return record;
        /* What the thieves saw of this slot is kept with the victim; thieves that race only misjudge the time. */
        haft__record *lifo = haft__load_relaxed(&victim->lifo);
        if (lifo == NULL)
            continue;
        if (haft__load_relaxed(&victim->lifo_seen) != lifo) {
            haft__store_relaxed(&victim->lifo_seen, lifo);
            haft__store_relaxed(&victim->lifo_since, now);
        } else if (now - haft__load_relaxed(&victim->lifo_since) >= HAFT__LIFO_STEAL_NS &&
                   (record = haft__lifo_steal(victim)) != NULL) {
            haft__store_relaxed(&victim->lifo_seen, NULL);
            haft__count(&w->steals, 1);
            return record;
        }
    }
    return NULL;
}

/* The rescuer: what a worker that is stuck in a job cannot do itself. */
static void rescue_timers(haft__worker *w, int64_t now)
{
    for (unsigned i = 0; i < w->sched->count; i++)
        haft__timers_fire(&w->sched->workers[i].timers, now);
}

static void stop_searching(haft__worker *w)
{
    if (!w->is_searching)
        return;
    w->is_searching = false;
    haft__fetch_sub_relaxed(&w->sched->searchers, 1);
}

static haft__record *search(haft__worker *w)
{
    haft__sched *s = w->sched;
    if (!w->is_searching) {
        uint32_t n = haft__load_relaxed(&s->searchers);
        if (2 * n >= s->count && s->count > 1)
            return NULL;
        w->is_searching = haft__cas_relaxed(&s->searchers, &n, n + 1);
        if (!w->is_searching)
            return NULL;
    }
    int64_t start = haft__os->now(), now = start;
    is_gathering(w, now); /* not any more, perhaps, and this worker has run dry */
    do {
        fire_timers(w);
        haft__record *record = pick(w);
        if (record == NULL)
            record = steal(w, now);
        if (record != NULL)
            return record;
        if (haft__load_relaxed(&w->stop_word) != HAFT__WORKER_RUNS)
            return NULL;
        for (int i = 0; i < 16; i++)
            haft__spin("an idle worker looks for work");
        now = haft__os->now();
    } while (now - start < HAFT__SEARCH_NS);
    return NULL;
}

/* Whose duty it is to look after what the depots have to spare: one worker of all runtimes, and only while it has
 * nothing else to do. Who has it may be woken for other work, and be the only worker of its runtime: another one that is
 * idle while there is something to spare looks again after a while. */
static haft__atomic(uint32_t) trimmer;

/* Gives memory back that lies unused, as long as there is no work. Returns when to look again; *trims tells whether the
 * worker must leave the duty to others when it wakes. */
static int64_t trim(haft__worker *w, bool *trims)
{
    uint32_t none = 0;
    *trims = false;
    if (__builtin_expect(!is_spare(), 1))
        return INT64_MAX;
    haft__stack_cache_flush(&w->stacks);
    haft__record_cache_flush(&w->thread.records);
    if (!haft__cas_relaxed(&trimmer, &none, 1)) /* what is trimmed has locks */
        return haft__os->now() + HAFT__TRIM_NS;
    stop_searching(w);
    int64_t now, again;
    do {
        now = haft__os->now();
        again = trim_once(now);
    } while (again <= now && haft__load_relaxed(&w->timers.earliest) > now && !work_is_visible(w));
    *trims = again != INT64_MAX;
    if (!*trims) /* nothing is left, and this worker may sleep for ever */
        haft__store_relaxed(&trimmer, 0);
    return again;
}

/* Behind a fence whose partner is that of a worker behind its sleep. */
static bool is_another_up(const haft__worker *w)
{
    const haft__sched *s = w->sched;
    for (unsigned i = 0; i < s->count; i++)
        if (&s->workers[i] != w && haft__load_relaxed(&s->workers[i].sleep_word) != HAFT__ASLEEP)
            return true;
    return false;
}

/* When the first stay is over that keeps tasks from thieves (see gather.h); INT64_MAX: there is none. */
static int64_t first_stay_end(const haft__worker *w)
{
    int64_t end = INT64_MAX;
    for (unsigned i = 0; i < w->sched->count; i++) {
        int64_t until = haft__load_relaxed(&w->sched->workers[i].gathers_until);
        if (until != 0 && until < end && i != w->number)
            end = until;
    }
    return end;
}

/* Sleeps until woken, until a timer is due, for the time of a rescue, until a stay is over, or until there is memory to be
 * given back. */
static void sleep_until_woken(haft__worker *w)
{
    haft__sched *s = w->sched;
    bool trims;
    int64_t trim_at = trim(w, &trims);
    haft__store_relaxed(&w->sleep_word, HAFT__ASLEEP);
    haft__fetch_add_relaxed(&s->sleepers, 1);
    stop_searching(w);
    haft__fence_heavy(); /* partner: the light fence in notify, and the full one in haft__sched_has_spare */
    bool rescues = false;
    bool has_missed_spare = trim_at == INT64_MAX && is_spare();
    if (!has_missed_spare && !work_is_visible(w)) {
        int64_t deadline = haft__load_relaxed(&w->timers.earliest);
        if (deadline > trim_at)
            deadline = trim_at;
        int64_t stay_end = first_stay_end(w);
        if (deadline > stay_end)
            deadline = stay_end;
        uint32_t none = 0;
        /* Not by `sleepers`, in which whoever was just woken may count still: of two of which one goes to sleep and the
         * other one is woken, one sees the other up, or that one sees that there is no rescuer; see idle. */
        if (is_another_up(w) && haft__cas_relaxed(&s->rescuer, &none, 1)) {
            rescues = true;
            int64_t soon = haft__os->now() + HAFT__RESCUE_NS;
            if (deadline > soon)
                deadline = soon;
        }
        int64_t start = haft__os->now();
        haft__count(&w->parks, 1);
        while (haft__load_relaxed(&w->sleep_word) == HAFT__ASLEEP)
            if (haft__sleep(&w->thread.sleeper, &w->sleep_word, HAFT__ASLEEP, deadline, false) == -ETIMEDOUT)
                break;
        haft__count(&w->parked, haft__os->now() - start);
    }
    uint32_t word = haft__exchange_relaxed(&w->sleep_word, HAFT__AWAKE);
    haft__fence_full(); /* partner: the one in is_more, and the heavy one above of another worker, for `rescuer` */
    if (word == HAFT__ASLEEP)
        haft__fetch_sub_relaxed(&s->sleepers, 1);
    else
        w->is_searching = word == HAFT__WOKEN; /* then the waker counted us */
    if (trims)
        haft__store_relaxed(&trimmer, 0);
    if (rescues) {
        haft__store_relaxed(&s->rescuer, 0); /* timers have locks */
        rescue_timers(w, haft__os->now());
    }
}

/* One more look without the right to search, for a rescuer and for the one woken in vain. */
static haft__record *look_once(haft__worker *w)
{
    fire_timers(w);
    haft__record *record = pick(w);
    return record != NULL ? record : steal(w, haft__os->now());
}

/* The last searcher has found work: may there be more? If any other worker is up, perhaps: what it put into its ring while it
 * saw the searcher cannot be seen for certain. If all sleep, only who executes the full fence could have put something
 * somewhere, and that is seen. Partners of the fence here: his; and that of a worker behind its sleep, which either is seen
 * here to be up or sees there what was changed here. */
static bool is_more(const haft__worker *w)
{
    haft__fence_full();
    return is_another_up(w) || shared_work_is_visible(w->sched);
}

/* True if it was told to, and nobody has given up waiting for it meanwhile. */
static bool stops(haft__worker *w)
{
    /* Acquire: partner of the release in haft__sched_join_or_leave. */
    uint32_t told = HAFT__WORKER_TOLD;
    if (haft__load_relaxed(&w->stop_word) != HAFT__WORKER_TOLD ||
        !haft__cas_acquire(&w->stop_word, &told, HAFT__WORKER_LEFT))
        return false;
    haft__os->futex_wake(&w->stop_word, 1); /* see haft__sched_join_or_leave */
    return true;
}

/* Runs tasks until the scheduler stops. The root of this loop is the thread's own. */
static void idle(haft__worker *w)
{
    haft__sched *s = w->sched;
    while (!stops(w)) {
        haft__record *record = NULL;
        if (__builtin_expect(w->owes_offer, 0)) {
            w->owes_offer = false;
            record = adopt(w, haft__offer_take_own(w));
        }
        if (record == NULL)
            record = pick(w);
        if (record == NULL)
            record = adopt(w, haft__offer_take_own(w));
        if (record == NULL)
            record = search(w);
        if (record == NULL) {
            sleep_until_woken(w);
            record = look_once(w);
        }
        if (w->is_searching && record != NULL) {
            w->is_searching = false;
            /* A producer who still saw the searcher has woken nobody: look for him. */
            if (haft__fetch_sub_relaxed(&s->searchers, 1) == 1 && is_more(w))
                haft__sched_notify(s);
        }
        if (record == NULL)
            continue;
        /* While this one runs somebody must watch for what gets stuck behind it. */
        if (haft__load_relaxed(&s->rescuer) == 0 && haft__load_relaxed(&s->sleepers) > 0)
            haft__sched_wake_one(s);
        haft__root *root = record->root != NULL ? record->root : bind(w, record);
        if (root == NULL) {
            try_later(w, record);
            haft__os->yield(); /* somebody else must give a stack back */
            continue;
        }
        haft__sched_switch(w, &w->thread.own, root);
    }
    stop_searching(w);
}

/* --- Beginning and end -------------------------------------------------------------------------------------------- */

static void free_reserve(haft__worker *w)
{
    if (w->reserve != NULL)
        haft__stack_give(&w->stacks, w->reserve);
    w->reserve = NULL;
}

static void worker_runs(haft__worker *w)
{
    haft__thread_enter(&w->thread);
    haft__announce_thread(&w->thread.note);
    w->thread.own.note = &w->thread.note;
    w->control = haft__arch_control();
    void *signal_stack = NULL; /* without one an overflow is a plain fault */
    haft__os->alternate_stack_enter(&signal_stack);
    idle(w);
    if (signal_stack != NULL)
        haft__os->alternate_stack_leave(signal_stack);
    if (haft__load_relaxed(&w->is_left_behind)) /* see stops */
        free_reserve(w);
    haft__stack_cache_flush(&w->stacks);
    haft__thread_leave(&w->thread);
}

static void worker_thread(void *argument)
{
    worker_runs(argument);
}

static struct haft__worker_block *block_new(haft__sched *s, unsigned capacity)
{
    size_t size = sizeof(struct haft__worker_block) + capacity * sizeof(haft__worker);
    struct haft__worker_block *block = haft__os->allocate(size, _Alignof(struct haft__worker_block));
    if (block == NULL)
        return NULL;
    memset(block, 0, size);
    block->smaller = s->block;
    block->capacity = capacity;
    for (unsigned i = 0; i < capacity; i++) {
        block->workers[i].sched = s;
        block->workers[i].number = i;
        haft__timers_init(&block->workers[i].timers);
    }
    return block;
}

static void free_reserves(haft__sched *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        haft__worker *w = &s->workers[i];
        if (haft__load_relaxed(&w->is_left_behind))
            continue;
        free_reserve(w);
        haft__stack_cache_flush(&w->stacks);
    }
}

int haft__sched_init(haft__sched *s, unsigned count, void (*run)(haft__record *))
{
    if (s->block == NULL || s->block->capacity < count) {
        struct haft__worker_block *block = block_new(s, count);
        if (block == NULL)
            return HAFT_ENOMEM;
        s->block = block;
        s->workers = block->workers;
    }
    static haft__atomic(uint64_t) serials;
    s->serial = haft__fetch_add_relaxed(&serials, 1) + 1;
    s->count = count;
    haft__store_relaxed(&s->block->used, count); /* never beyond its capacity */
    haft__store_release(&s->shown, s->block);
    s->run = run;
    /* Queues, words and counters are at rest, and those that a late waker counts in are his to set right. */
    for (unsigned i = 0; i < count; i++) {
        haft__worker *w = &s->workers[i];
        haft__store_relaxed(&w->stop_word, HAFT__WORKER_RUNS); /* before its thread begins */
        haft__store_relaxed(&w->gathers_until, 0);
        memset(&w->thread, 0, sizeof w->thread);
        w->thread.worker = w;
        w->thread.home = s;
        w->is_ours = false;
        haft__root_init(&w->thread.own, NULL);
        w->reserve = haft__stack_take(&w->stacks, 0);
        if (w->reserve == NULL) {
            free_reserves(s);
            return HAFT_ENOMEM;
        }
    }
    return 0;
}

void haft__sched_fini(haft__sched *s)
{
    free_reserves(s);
    haft__stacks_trim_all();
    haft__records_trim_all();
}

void haft__sched_count_anew(haft__sched *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        haft__worker *w = &s->workers[i];
        w->finished_before = haft__load_relaxed(&w->finished) - haft__load_relaxed(&w->unmade);
        haft__atomic(uint64_t) *counters[] = { &w->ticks,      &w->empty_ticks, &w->steals,      &w->adopted,
                                               &w->overflowed, &w->parks,       &w->timers.fired };
        for (size_t k = 0; k < sizeof counters / sizeof *counters; k++)
            haft__store_relaxed(counters[k], 0);
        haft__store_relaxed(&w->parked, 0);
    }
}

static uint64_t sum_of(const haft__sched *s, size_t offset)
{
    uint64_t sum = 0;
    for (const struct haft__worker_block *b = s->block; b != NULL; b = b->smaller)
        for (unsigned i = 0; i < b->capacity; i++) {
            const char *at = (const char *)&b->workers[i] + offset;
            sum += haft__load_acquire((const haft__atomic(uint64_t) *)(const void *)at);
        }
    return sum;
}

void haft__sched_sums(const haft__sched *s, uint64_t *finished, uint64_t *spawned, uint64_t *unmade)
{
    *finished = sum_of(s, offsetof(haft__worker, finished));
    *spawned = sum_of(s, offsetof(haft__worker, spawned));
    *unmade = sum_of(s, offsetof(haft__worker, unmade));
}

uint64_t haft__sched_live(const haft__sched *s)
{
    uint64_t finished, spawned, unmade;
    haft__sched_sums(s, &finished, &spawned, &unmade);
    return spawned - finished;
}

int haft__sched_start(haft__sched *s, unsigned first)
{
    for (unsigned i = first; i < s->count; i++) {
        haft__worker *w = &s->workers[i];
        w->is_ours = true;
        const haft__os_thread_options options = { .name = "haft-worker" };
        int rc = haft__os->thread_create(&w->native, &options, worker_thread, w);
        if (rc != 0) {
            haft__sched_stop(s);
            for (unsigned k = first; k < i; k++)
                haft__os->thread_join(s->workers[k].native);
            return rc;
        }
    }
    return 0;
}

void haft__sched_work(haft__sched *s)
{
    worker_runs(&s->workers[0]);
}

void haft__sched_stop(haft__sched *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        uint32_t runs = HAFT__WORKER_RUNS;
        haft__cas_relaxed(&s->workers[i].stop_word, &runs, HAFT__WORKER_TOLD);
    }
    haft__fence_full(); /* partner: the heavy fence of a worker that goes to sleep */
    for (unsigned i = 0; i < s->count; i++)
        wake_worker(&s->workers[i], HAFT__CALLED);
}

void haft__sched_join(haft__sched *s, unsigned first)
{
    for (unsigned i = first; i < s->count; i++)
        haft__os->thread_join(s->workers[i].native);
}

/* A worker that has no task leaves within microseconds of being told, if it gets a processor: so many looks for all of
 * them together are enough for a machine with other things to do. */
#define LEAVING_LOOKS 100
#define LEAVING_LOOK_NS INT64_C(5000000)

void haft__sched_join_or_leave(haft__sched *s, unsigned first)
{
    unsigned looks = 0;
    for (unsigned i = first; i < s->count; i++) {
        haft__worker *w = &s->workers[i];
        while (haft__load_relaxed(&w->stop_word) != HAFT__WORKER_LEFT && looks < LEAVING_LOOKS)
            if (haft__os->futex_wait(&w->stop_word, HAFT__WORKER_TOLD, haft__os->now() + LEAVING_LOOK_NS) == -ETIMEDOUT)
                looks++;
        /* Release by the exchange: partner of the acquire in stops; a worker that is told again sees it. */
        uint32_t told = HAFT__WORKER_TOLD;
        haft__store_relaxed(&w->is_left_behind, true);
        if (haft__cas_release(&w->stop_word, &told, HAFT__WORKER_RUNS)) {
            haft__os->thread_detach(w->native);
            continue;
        }
        haft__os->thread_join(w->native);
        haft__store_relaxed(&w->is_left_behind, false);
    }
}
