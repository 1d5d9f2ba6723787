/* SPDX-License-Identifier: MIT
 *
 * Mutexes. One word says it all to those who need not wait:
 *
 *     owner:24 | flags:8
 *
 * The owner is the number of the holder's record, 0 for nobody. WAITERS: the queue is not empty, so whoever unlocks has
 * somebody to wake, unless AWAKE: a woken waiter is on its way and will compete. POISONED stays until healed. PANICKING:
 * the holder was panicking already when it locked. FREE: it can be had, though other flags are set.
 *
 * Locking is one compare-exchange that finds the mutex free. Acquire: partner of the release in which the last holder put
 * no owner. Release: whoever reads the owner's number finds that record. Free is 0, or FREE with the flags that stay.
 * Unlocking subtracts the owner, whatever the flags are; if that leaves 0, it is done. If it leaves flags, the mutex is
 * not free by that, since FREE is missing: to all others it is held, by somebody without a number, until the unlocker has
 * put itself back as the owner and unlocked it the slow way. Until then nobody else clears the last flag.
 *
 * The rest happens under the queue's lock: only there are WAITERS and AWAKE set and cleared, so they hold still for an
 * owner that has the lock.
 *
 *  - A waiter stays in the queue until it owns the mutex or is refused; woken, it competes from there, and if it
 *    loses it keeps its place. It parks only after seeing, under the lock, an owner whose unlock will come to the queue: one
 *    that is to see WAITERS without AWAKE, or with an AWAKE waiter that will itself become the owner, lose, or pass on.
 *  - An unlock that finds a waiter marks the first as awake, frees the mutex, and wakes it. If that one has lost before
 *    and waited a millisecond, the mutex becomes its own directly. So a waiter loses for a millisecond at most, and
 *    then for as long as one holder holds.
 *  - A waiter that is refused and was awake passes that on, because the unlock that woke it woke nobody else.
 *
 * While a woken waiter is on its way, others lock and unlock past it, with WAITERS and AWAKE set. Whoever met a mutex in that
 * state expects it there again (root->lock_flags), so that neither needs a second exchange.
 *
 * The mutex is freed while the queue's lock is held only with waiters in the queue, and each of them leaves through that
 * lock; otherwise what frees it is the last touch. So the memory may go as soon as its last user has it unlocked. */
#include "sync/mutex.h"

#include "base/list.h"
#include "haft/panic.h"
#include "job/edge.h"
#include "os/os.h"
#include "wait/held.h"

#define OWNER_SHIFT 8

_Static_assert(sizeof(haft_mutex) <= 32, "the interface promises 32 bytes");
_Static_assert(sizeof(haft__atomic(uint32_t)) == sizeof(uint32_t), "the public struct holds the state as a plain word");

typedef struct contender {
    haft__waiter waiter; /* first; is_done: it was handed the mutex */
    int64_t since;
    bool is_awake;
    bool has_lost;
    bool panicking;
} contender;

static haft__atomic(uint32_t) *state_of(const haft_mutex *m)
{
    return (haft__atomic(uint32_t) *)(void *)&((haft_mutex *)(uintptr_t)m)->state_;
}

static uint32_t owner_of(uint32_t state)
{
    return state >> OWNER_SHIFT;
}

static bool is_free(uint32_t state)
{
    return state == 0 || (state & HAFT__MUTEX_FREE) != 0;
}

static uint32_t as_owner(const haft__root *me)
{
    return me->index << OWNER_SHIFT | (me->panicking != NULL ? (uint32_t)HAFT__MUTEX_PANICKING : 0);
}

static uint32_t release(haft_mutex *m, uint32_t poison);

static void abandon(haft_held_ *held, void *root)
{
    (void)root;
    release(HAFT__CONTAINER(held, haft_mutex, held_), HAFT__MUTEX_POISONED);
}

/* What a free one becomes. */
static uint32_t taken(uint32_t state, uint32_t mine)
{
    return (state & ~(uint32_t)HAFT__MUTEX_FREE) | mine;
}

/* What the next lock is to find: the state beside a woken waiter, or 0. WAITERS alone is for release(). */
static void expect(haft__root *me, uint32_t state)
{
    me->lock_flags = (state & (HAFT__MUTEX_WAITERS | HAFT__MUTEX_AWAKE)) == (HAFT__MUTEX_WAITERS | HAFT__MUTEX_AWAKE)
                         ? HAFT__MUTEX_AWAITED
                         : 0;
}

/* What a successful locker returns. */
static int held(haft_mutex *m, haft__root *me, uint32_t state)
{
    haft__held_push(me, &m->held_, abandon);
    return (state & HAFT__MUTEX_POISONED) != 0 ? HAFT_EPOISONED : 0;
}

/* --- Locking ------------------------------------------------------------------------------------------------------ */

/* A short while in which the holder may be done. Not worth it while the holder itself waits. True: locked. */
static bool spin(haft_mutex *m, uint32_t mine, uint32_t *state)
{
    unsigned pauses = HAFT__MUTEX_PAUSES;
    for (unsigned i = 0; i < HAFT__MUTEX_SPINS; i++) {
        *state = haft__load_acquire(state_of(m)); /* partner: the release of the locker; its record is looked at */
        if (is_free(*state)) {
            if (haft__cas_acq_rel_retry(state_of(m), state, taken(*state, mine)))
                return true;
            continue;
        }
        /* Relaxed: only a guess. Records are never unmapped. */
        if (owner_of(*state) != 0 &&
            (owner_of(*state) == mine >> OWNER_SHIFT ||
             haft__word_is_parked(haft__load_relaxed(&haft__record_at(owner_of(*state))->word))))
            return false;
        for (unsigned j = 0; j < pauses; j++)
            haft__spin("a mutex is held");
        pauses *= 2;
    }
    return false;
}

/* One attempt under the queue's lock: takes the mutex, or arranges that its owner's unlock comes to the queue. */
static bool compete(haft_mutex *m, contender *c, uint32_t mine, uint32_t *seen)
{
    haft__queue *queue = &m->waiters_;
    bool linked = c->waiter.arm.link.next != NULL;
    uint32_t state = haft__load_relaxed(state_of(m)), next;
    do {
        next = c->is_awake ? state & ~(uint32_t)HAFT__MUTEX_AWAKE : state;
        if (is_free(state)) {
            next = taken(next, mine);
            if (linked && c->waiter.arm.link.next == &c->waiter.arm.link)
                next &= ~(uint32_t)HAFT__MUTEX_WAITERS;
        } else {
            next |= HAFT__MUTEX_WAITERS;
        }
    } while (!haft__cas_weak_acq_rel_retry(state_of(m), &state, next));
    *seen = state;
    c->has_lost |= c->is_awake;
    c->is_awake = false;
    if (is_free(state)) {
        haft__queue_remove(queue, &c->waiter);
        return true;
    }
    if (!linked)
        haft__queue_append(queue, &c->waiter);
    return false;
}

/* Leaves the queue without the mutex. The lock is held, and released on return. */
static void give_up(haft_mutex *m, contender *c)
{
    haft__queue_remove(&m->waiters_, &c->waiter);
    contender *first = (contender *)(void *)m->waiters_;
    haft__record *record = NULL;
    uint32_t state = haft__load_relaxed(state_of(m)), next;
    do {
        next = c->is_awake ? state & ~(uint32_t)HAFT__MUTEX_AWAKE : state;
        if (is_free(state) && first != NULL && c->is_awake)
            next |= HAFT__MUTEX_AWAKE; /* for the next one; an owner will find WAITERS instead */
        else if (first == NULL && (is_free(state) || owner_of(state) != 0))
            next &= ~(uint32_t)HAFT__MUTEX_WAITERS;
        if (next == HAFT__MUTEX_FREE)
            next = 0;
    } while (!haft__cas_weak_relaxed(state_of(m), &state, next)); /* flags that the queue's lock orders */
    if (is_free(state) && first != NULL && c->is_awake) {
        first->is_awake = true;
        record = first->waiter.arm.record;
    }
    haft__lock_release(haft__lock_at(&m->lock_));
    if (record != NULL)
        haft__wake(record);
}

enum how {
    UNCONDITIONALLY,
    ABORTABLY,
    AGAIN, /* whatever it closes: the caller is promised the mutex */
};

static uint32_t owner_waited_for(const haft__edge *edge)
{
    return owner_of(haft__load_acquire(state_of(edge->object)));
}

/* Notes the wait in the checked build. False: it would close a ring. */
static bool begin_wait(haft__edge *edge, const haft_mutex *m, const haft__root *me, enum how how)
{
    edge->is_noted = false;
    if (!HAFT__NOTES_ALL_WAITS || (how == ABORTABLY && me->deadline != INT64_MAX))
        return true;
    *edge =
        (haft__edge){ .what = "the mutex of", .object = m, .whose = owner_waited_for, .heeds_abort = how == ABORTABLY };
    if (how != AGAIN)
        return haft__edge_enter(edge, me);
    haft__edge_enter_anyway(edge, me);
    return true;
}

static int lock_slowly(haft_mutex *m, haft__root *me, enum how how)
{
    uint32_t mine = as_owner(me), state;
    if (spin(m, mine, &state)) {
        expect(me, state);
        return held(m, me, state);
    }
    if (owner_of(state) == me->index) {
        haft__edge_tell_of_self(me, "the mutex of", "itself");
        return HAFT_EDEADLK;
    }
    haft__edge edge;
    if (!begin_wait(&edge, m, me, how))
        return HAFT_EDEADLK;
    contender c = { .waiter.arm.record = me->record, .since = haft__os->now(), .panicking = me->panicking != NULL };
    haft__shield shield = { 0 };
    if (how != ABORTABLY)
        shield = haft__shield_raise(me);
    int rc = 0;
    haft__lock *lock = haft__lock_at(&m->lock_);
    haft__lock_acquire(lock);
    for (;;) {
        if (haft__waiter_is_done(&c.waiter)) { /* was handed it; only the owner changes POISONED */
            state = haft__load_relaxed(state_of(m));
            break;
        }
        if (compete(m, &c, mine, &state))
            break;
        rc = haft__refusal(me);
        if (rc != 0)
            break;
        haft__park_unlocking_for(lock, "the mutex of", owner_of(state) != 0 ? haft__record_at(owner_of(state)) : NULL);
        haft__lock_acquire(lock);
    }
    if (rc != 0)
        give_up(m, &c);
    else
        haft__lock_release(lock);
    if (how != ABORTABLY)
        haft__shield_lower(me, shield);
    haft__edge_leave(&edge);
    return rc != 0 ? haft__tell(me, rc) : held(m, me, state);
}

static __attribute__((noinline)) int lock_as_expected(haft_mutex *m, haft__root *me)
{
    uint32_t state = me->lock_flags;
    if (state != 0 && haft__cas_acq_rel_retry(state_of(m), &state, taken(state, as_owner(me))))
        return held(m, me, 0);
    return lock_slowly(m, me, UNCONDITIONALLY);
}

/* A thread's first call. */
static __attribute__((noinline)) int lock_first(haft_mutex *m)
{
    return haft__me_unless_forked() != NULL ? haft_mutex_lock(m) : HAFT_EFORKED;
}

int haft_mutex_lock(haft_mutex *m)
{
    const haft__thread *here = haft__here_or_null();
    if (__builtin_expect(here == NULL, 0))
        return lock_first(m);
    haft__root *me = here->root;
    uint32_t state = 0;
    if (__builtin_expect(me->lock_flags == 0, 1) &&
        __builtin_expect(haft__cas_acq_rel_retry(state_of(m), &state, as_owner(me)), 1))
        return held(m, me, 0);
    return lock_as_expected(m, me);
}

int haft_mutex_lock_abortable(haft_mutex *m)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    uint32_t state = me->lock_flags;
    if (__builtin_expect(haft__cas_acq_rel_retry(state_of(m), &state, taken(state, as_owner(me))), 1))
        return held(m, me, 0);
    return lock_slowly(m, me, ABORTABLY);
}

int haft__mutex_lock_again(haft_mutex *m, haft__root *me)
{
    uint32_t state = 0; /* acquire alone: the unlock before the wait has released the record */
    if (__builtin_expect(haft__cas_acquire(state_of(m), &state, as_owner(me)), 1))
        return held(m, me, 0);
    return lock_slowly(m, me, AGAIN);
}

int haft_mutex_try_lock(haft_mutex *m)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    uint32_t state = haft__load_relaxed(state_of(m));
    while (is_free(state))
        if (haft__cas_weak_acq_rel_retry(state_of(m), &state, taken(state, as_owner(me))))
            return held(m, me, state);
    return HAFT_EAGAIN;
}

/* --- Unlocking ---------------------------------------------------------------------------------------------------- */

bool haft__mutex_is_held(const haft_mutex *m, const haft__root *me)
{
    /* Relaxed: if it is the caller's, the caller wrote it. */
    return owner_of(haft__load_relaxed(state_of(m))) == me->index;
}

/* Frees it for the first waiter, or hands it over; *left is the state then. False: there is none any more. */
static bool release_to_waiter(haft_mutex *m, uint32_t poison, uint32_t *left)
{
    haft__lock *lock = haft__lock_at(&m->lock_);
    haft__lock_acquire(lock);
    contender *first = (contender *)(void *)m->waiters_;
    /* The caller owns the mutex and the lock is held, so nobody else changes the state. */
    uint32_t state = haft__load_relaxed(state_of(m));
    poison |= state & HAFT__MUTEX_POISONED;
    if (first == NULL) {
        /* Nobody takes the mutex by it, but whoever reads the owner's number here looks at its record: release. */
        haft__store_release(state_of(m), state & ~(uint32_t)HAFT__MUTEX_WAITERS);
        haft__lock_release(lock);
        return false;
    }
    haft__record *record = first->waiter.arm.record;
    if (first->has_lost && haft__os->now() - first->since >= HAFT__MUTEX_HAND_OVER_NS) {
        uint32_t owner =
            haft__record_index(record) << OWNER_SHIFT | (first->panicking ? (uint32_t)HAFT__MUTEX_PANICKING : 0);
        haft__queue_remove(&m->waiters_, &first->waiter);
        haft__store_relaxed(&first->waiter.arm.is_done, 1);
        *left = owner | poison | (m->waiters_ != NULL ? (uint32_t)HAFT__MUTEX_WAITERS : 0);
        /* Release: of the record to whoever reads its number. */
        haft__store_release(state_of(m), *left);
    } else {
        first->is_awake = true;
        *left = poison | HAFT__MUTEX_AWAITED;
        haft__store_release(state_of(m), *left); /* partner: whoever takes it past the queue */
    }
    haft__lock_release(lock);
    haft__wake(record);
    return true;
}

/* Returns the state that it left. */
static __attribute__((noinline)) uint32_t release(haft_mutex *m, uint32_t poison)
{
    uint32_t state = haft__load_relaxed(state_of(m)), next;
    for (;;) {
        if ((state & (HAFT__MUTEX_WAITERS | HAFT__MUTEX_AWAKE)) == HAFT__MUTEX_WAITERS) {
            if (release_to_waiter(m, poison, &next))
                return next;
            state = haft__load_relaxed(state_of(m));
            continue;
        }
        /* Release: partner of the next locker's acquire; the last touch. */
        next = (state & (HAFT__MUTEX_POISONED | HAFT__MUTEX_WAITERS | HAFT__MUTEX_AWAKE)) | poison;
        if (next != 0)
            next |= HAFT__MUTEX_FREE;
        if (haft__cas_weak_release(state_of(m), &state, next))
            return next;
    }
}

void haft__mutex_unlock_quietly(haft_mutex *m, haft__root *me)
{
    haft__held_remove(me, &m->held_);
    release(m, 0);
}

static __attribute__((noinline)) void unlock_slowly(haft_mutex *m)
{
    haft__root *me = haft__me();
    uint32_t state = haft__load_relaxed(state_of(m));
    if (owner_of(state) != me->index)
        haft_panic("haft_mutex_unlock: the caller does not hold this mutex");
    haft__held_remove(me, &m->held_);
    release(m, me->panicking != NULL && (state & HAFT__MUTEX_PANICKING) == 0 ? HAFT__MUTEX_POISONED : 0);
}

/* The caller has subtracted itself, and flags were left. */
static __attribute__((noinline)) void settle(haft_mutex *m, haft__root *me)
{
    /* Relaxed: whoever reads the number here acquires the release of the subtraction. */
    haft__fetch_add_relaxed(state_of(m), me->index << OWNER_SHIFT);
    expect(me, release(m, 0));
}

static __attribute__((noinline)) void unlock_as_expected(haft_mutex *m, haft__root *me)
{
    uint32_t flags = me->lock_flags, state = taken(flags, me->index << OWNER_SHIFT);
    if (!haft__cas_release(state_of(m), &state, flags))
        expect(me, release(m, 0));
}

void haft_mutex_unlock(haft_mutex *m)
{
    const haft__thread *here = haft__here_or_null();
    haft__root *me = here != NULL ? here->root : NULL;
    /* What was locked last is the caller's, and is in its list only while it is. */
    if (__builtin_expect(me == NULL || me->held != &m->held_ || me->panicking != NULL, 0)) {
        unlock_slowly(m);
        return;
    }
    me->held = m->held_.next_;
    uint32_t mine = me->index << OWNER_SHIFT;
    if (__builtin_expect(me->lock_flags != 0, 0)) {
        unlock_as_expected(m, me);
        return;
    }
    /* Release: partner of the next locker's acquire. The last touch, if nothing is left. */
    if (__builtin_expect(haft__fetch_sub_release(state_of(m), mine) != mine, 0))
        settle(m, me);
}

int haft_mutex_heal(haft_mutex *m)
{
    const haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    if (!haft__mutex_is_held(m, me))
        return HAFT_EINVAL;
    haft__fetch_and_relaxed(state_of(m), ~(uint32_t)HAFT__MUTEX_POISONED); /* the unlock publishes it */
    return 0;
}

bool haft_mutex_is_poisoned(const haft_mutex *m)
{
    return (haft__load_relaxed(state_of(m)) & HAFT__MUTEX_POISONED) != 0; /* what it guards is seen by who locks */
}
