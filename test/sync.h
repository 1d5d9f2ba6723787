/* SPDX-License-Identifier: MIT
 *
 * What the tests of mutexes, semaphores and the like share: how many wait now, what comes between two wakes, and the
 * crowds of their storms. */
#ifndef HAFT_TEST_SYNC_H
#define HAFT_TEST_SYNC_H

#include <pthread.h>

#include "callers.h"
#include "chance.h"
#include "os/os.h"
#include "sync/waiter.h"

/* How many stand in the queue of an object. Looked up inside, because no public call can tell. */
static inline unsigned count_waiters(uint32_t *lock, haft__waiter **queue)
{
    unsigned n = 0;
    haft__lock_acquire(haft__lock_at(lock));
    haft__waiter *w = *queue;
    if (w != NULL)
        do {
            n++;
            w = haft__waiter_of(w->arm.link.next);
        } while (w != *queue);
    haft__lock_release(haft__lock_at(lock));
    return n;
}
#define waiting(object) count_waiters(&(object)->lock_, &(object)->waiters_)

/* What happens when this thread next wakes another, in the midst of a call that wakes many; see interrupt_wakes. */
static void (*between_wakes)(void);
static pthread_t waking_thread;

static inline void wake_and_interrupt(haft__atomic(uint32_t) *word, int count)
{
    haft__os_linux.futex_wake(word, count);
    if (!pthread_equal(waking_thread, pthread_self()))
        return; /* what follows is that thread's own */
    void (*what)(void) = between_wakes;
    if (what == NULL)
        return;
    between_wakes = NULL;
    what();
}

/* To be called before anything else in a test. */
static inline void interrupt_wakes(void)
{
    static struct haft__os table;
    table = haft__os_linux;
    table.futex_wake = wake_and_interrupt;
    waking_thread = pthread_self();
    haft__os_replace(&table);
}

/* A job of a storm, with chance of its own. */
struct stormer {
    uint64_t chance;
    size_t turns;
};

enum { CROWD = 16 };

/* Spawns jobs of every kind, and tells how many turns they have together. */
static inline size_t spawn_crowd(haft_handle hs[CROWD], int (*job)(struct stormer *), uint64_t *chance)
{
    size_t turns = 0;
    for (int i = 0; i < CROWD; i++) {
        struct stormer s = { next_random(chance), 1 + below(chance, 200) };
        turns += s.turns;
        hs[i] = haft_spawn(job, &s, .kind = i % 8 == 0 ? HAFT_THREAD : i % 8 == 1 ? HAFT_BLOCKING : HAFT_TASK);
    }
    return turns;
}

/* Joins them all, after an abort of some. */
static inline void join_crowd(haft_handle hs[CROWD], bool may_panic, uint64_t *chance)
{
    for (int i = 0; i < CROWD; i++) {
        if (below(chance, 4) == 0)
            (void)haft_abort(hs[i]);
        int rc = haft_join(&hs[i]);
        check(rc == 0 || rc == HAFT_EABORTED || (may_panic && rc == HAFT_EPANIC));
    }
}

#endif
