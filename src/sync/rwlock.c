/* SPDX-License-Identifier: MIT
 *
 * Locks for readers and writers. Everything happens under the one-word lock: how many read, who writes, the poison, and a
 * queue of both. While the queue is not empty its first cannot have the lock; whatever releases, or takes the first away,
 * serves the queue from its front: one writer if nobody holds the lock, or readers up to the next writer. Newcomers wait
 * behind the queue.
 *
 * The writer is the number of its record. A writer's lock hangs in the list of what its job holds by itself; a reader's
 * by one of a few links in the job's root, because a lock has many readers. They tell who may read again, and who must
 * not write. */
#include "haft/rwlock.h"
#include "base/list.h"
#include "haft/panic.h"
#include "job/edge.h"
#include "sync/waiter.h"
#include "wait/held.h"

enum {
    POISONED = 1,
    PANICKING = 2, /* the writer was panicking already when it locked */
};
enum {
    READER = 0,
    WRITER = 1,
    PANICKING_WRITER = 2,
};

_Static_assert(sizeof(haft_rwlock) <= 48, "a small value");

/* --- What a job reads --------------------------------------------------------------------------------------------- */

static const haft__read *read_of(const haft__root *me, const haft_rwlock *l)
{
    for (unsigned i = 0; i < HAFT__READS; i++)
        if ((me->reads_used >> i & 1) != 0 && me->reads[i].lock == l)
            return &me->reads[i];
    return NULL;
}

static void abandon_read(haft_held_ *held, void *root);

static void remember_read(haft__root *me, haft_rwlock *l)
{
    unsigned i = 0;
    while (i < HAFT__READS && (me->reads_used >> i & 1) != 0)
        i++;
    if (i == HAFT__READS) {
        me->reads_beyond++;
        return;
    }
    me->reads_used |= 1u << i;
    me->reads[i].lock = l;
    haft__held_push(me, &me->reads[i].held, abandon_read);
}

/* --- The queue ---------------------------------------------------------------------------------------------------- */

/* Gives the lock to a writer. The lock is held. */
static void set_writer(haft_rwlock *l, uint32_t index, bool is_panicking)
{
    l->writer_ = index;
    l->flags_ = (l->flags_ & (uint32_t)POISONED) | (is_panicking ? (uint32_t)PANICKING : 0);
}

/* Serves the queue and releases the lock, which is held. */
static void serve_and_unlock(haft_rwlock *l)
{
    haft__lock *lock = haft__lock_at(&l->lock_);
    haft__wakes wakes;
    wakes.count = 0;
    while (l->waiters_ != NULL && l->writer_ == 0) {
        haft__waiter *first = l->waiters_;
        if (first->arm.amount != READER) {
            if (l->readers_ != 0)
                break;
            set_writer(l, haft__record_index(first->arm.record), first->arm.amount == PANICKING_WRITER);
        } else {
            l->readers_++;
        }
        haft__waiter_give(&l->waiters_, first, 0, &wakes);
        if (haft__wakes_full(&wakes)) {
            bool more = l->waiters_ != NULL; /* else the lock may be gone once it is released */
            haft__lock_release(lock);
            haft__wakes_send(&wakes);
            if (!more)
                return;
            haft__lock_acquire(lock);
        }
    }
    haft__lock_release(lock);
    haft__wakes_send(&wakes);
}

/* For the search for rings: who writes, and whether one who waits elsewhere reads. Whoever waits behind others waits for
 * them, and so for those who hold the lock. */
struct wait {
    haft_rwlock *l;
    haft__waiter *self;
};

static uint32_t writer_waited_for(const haft__edge *edge)
{
    const struct wait *wait = edge->object;
    haft__lock *lock = haft__lock_at(&wait->l->lock_);
    haft__lock_acquire(lock);
    uint32_t whose = haft__waiter_is_done(wait->self) ? edge->root->index : wait->l->writer_;
    haft__lock_release(lock);
    return whose;
}

static bool is_read_by(const haft__edge *edge, const haft__root *other)
{
    const struct wait *wait = edge->object;
    return read_of(other, wait->l) != NULL;
}

/* Waits for what cannot be had at once. 0, or HAFT_EDEADLK in the checked build: that would close a ring. The lock is held,
 * and released on return. */
static int wait_in_queue(haft_rwlock *l, haft__root *me, size_t want)
{
    haft__lock *lock = haft__lock_at(&l->lock_);
    haft__waiter self = { .arm = { .record = me->record, .amount = want } };
    haft__queue_append(&l->waiters_, &self);
    const struct wait wait = { l, &self };
    haft__edge edge = { .what = "the lock of", .object = &wait, .whose = writer_waited_for, .is_held_by = is_read_by };
    bool is_ring = false;
    if (HAFT__NOTES_ALL_WAITS) {
        haft__lock_release(lock); /* it comes behind that of the edges */
        is_ring = !haft__edge_enter(&edge, me);
        haft__lock_acquire(lock);
    }
    haft__shield shield = haft__shield_raise(me);
    while (!is_ring && !haft__waiter_is_done(&self)) {
        haft__park_unlocking_for(lock, "a lock for readers and writers", NULL);
        haft__lock_acquire(lock);
    }
    haft__shield_lower(me, shield);
    is_ring = !haft__waiter_is_done(&self);
    if (is_ring) {
        haft__queue_remove(&l->waiters_, &self);
        serve_and_unlock(l);
    } else {
        haft__lock_release(lock);
    }
    haft__edge_leave(&edge);
    return is_ring ? HAFT_EDEADLK : 0;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

/* 0, HAFT_EAGAIN, HAFT_EDEADLK. The lock is held. */
static int take_read(haft_rwlock *l, haft__root *me)
{
    if (l->writer_ == me->index)
        return HAFT_EDEADLK;
    if (l->writer_ != 0 || (l->waiters_ != NULL && read_of(me, l) == NULL))
        return HAFT_EAGAIN;
    l->readers_++;
    return 0;
}

static int lock_read(haft_rwlock *l, bool waits)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    haft__lock *lock = haft__lock_at(&l->lock_);
    haft__lock_acquire(lock);
    int rc = take_read(l, me);
    if (rc == HAFT_EAGAIN && waits) {
        rc = wait_in_queue(l, me, READER);
        if (rc != 0)
            return rc;
        haft__lock_acquire(lock);
    }
    bool is_poisoned = (l->flags_ & (uint32_t)POISONED) != 0;
    haft__lock_release(lock);
    if (rc != 0)
        return waits ? rc : HAFT_EAGAIN;
    remember_read(me, l);
    return is_poisoned ? HAFT_EPOISONED : 0;
}

int haft_rwlock_read(haft_rwlock *l)
{
    return lock_read(l, true);
}

int haft_rwlock_try_read(haft_rwlock *l)
{
    return lock_read(l, false);
}

static void release_read(haft_rwlock *l)
{
    haft__lock_acquire(haft__lock_at(&l->lock_));
    l->readers_--;
    serve_and_unlock(l);
}

static void abandon_read(haft_held_ *held, void *root)
{
    haft__root *me = root;
    haft__read *read = HAFT__CONTAINER(held, haft__read, held);
    me->reads_used &= ~(1u << (read - me->reads));
    release_read(read->lock);
}

void haft_rwlock_read_unlock(haft_rwlock *l)
{
    haft__root *me = haft__me();
    const haft__read *read = read_of(me, l);
    if (read != NULL) {
        haft__held_remove(me, &read->held);
        me->reads_used &= ~(1u << (read - me->reads));
    } else if (me->reads_beyond != 0) {
        me->reads_beyond--;
    } else {
        haft_panic("haft_rwlock_read_unlock: the caller does not read under this lock");
    }
    release_read(l);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static void release_write(haft_rwlock *l, bool poisons)
{
    haft__lock_acquire(haft__lock_at(&l->lock_));
    l->writer_ = 0;
    l->flags_ = (l->flags_ & (uint32_t)POISONED) | (poisons ? (uint32_t)POISONED : 0);
    serve_and_unlock(l);
}

static void abandon_write(haft_held_ *held, void *root)
{
    (void)root;
    release_write(HAFT__CONTAINER(held, haft_rwlock, held_), true);
}

static int lock_write(haft_rwlock *l, bool waits)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    haft__lock *lock = haft__lock_at(&l->lock_);
    bool is_panicking = me->panicking != NULL;
    haft__lock_acquire(lock);
    bool is_free = l->writer_ == 0 && l->readers_ == 0 && l->waiters_ == NULL;
    if (is_free) {
        set_writer(l, me->index, is_panicking);
        haft__lock_release(lock);
    } else {
        bool is_own = l->writer_ == me->index || read_of(me, l) != NULL;
        if (!waits || is_own) {
            haft__lock_release(lock);
            return waits ? HAFT_EDEADLK : HAFT_EAGAIN;
        }
        int rc = wait_in_queue(l, me, is_panicking ? PANICKING_WRITER : WRITER);
        if (rc != 0)
            return rc;
    }
    haft__held_push(me, &l->held_, abandon_write);
    return (l->flags_ & (uint32_t)POISONED) != 0 ? HAFT_EPOISONED : 0; /* changed by the writer only */
}

int haft_rwlock_write(haft_rwlock *l)
{
    return lock_write(l, true);
}

int haft_rwlock_try_write(haft_rwlock *l)
{
    return lock_write(l, false);
}

/* True if the caller writes. */
static bool is_writer(haft_rwlock *l, const haft__root *me)
{
    haft__lock_acquire(haft__lock_at(&l->lock_));
    bool is = l->writer_ == me->index;
    haft__lock_release(haft__lock_at(&l->lock_));
    return is;
}

void haft_rwlock_write_unlock(haft_rwlock *l)
{
    haft__root *me = haft__me();
    if (!is_writer(l, me))
        haft_panic("haft_rwlock_write_unlock: the caller does not write under this lock");
    haft__held_remove(me, &l->held_);
    release_write(l, me->panicking != NULL && (l->flags_ & (uint32_t)PANICKING) == 0);
}

int haft_rwlock_heal(haft_rwlock *l)
{
    const haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    if (!is_writer(l, me))
        return HAFT_EINVAL;
    haft__lock_acquire(haft__lock_at(&l->lock_));
    l->flags_ &= ~(uint32_t)POISONED;
    haft__lock_release(haft__lock_at(&l->lock_));
    return 0;
}

bool haft_rwlock_is_poisoned(haft_rwlock *l)
{
    haft__lock_acquire(haft__lock_at(&l->lock_));
    bool is_poisoned = (l->flags_ & (uint32_t)POISONED) != 0;
    haft__lock_release(haft__lock_at(&l->lock_));
    return is_poisoned;
}
