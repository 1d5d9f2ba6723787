/* SPDX-License-Identifier: MIT
 *
 * What the tests of mutexes, semaphores and the like share: how many wait now, chance, and a lock that jobs take in
 * storms. */
#ifndef HAFT_TEST_SYNC_H
#define HAFT_TEST_SYNC_H

#include <pthread.h>

#include "callers.h"
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
    void (*what)(void) = between_wakes;
    if (what == NULL || !pthread_equal(waking_thread, pthread_self()))
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

/* Steele, Lea and Flood's SplitMix. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(next_random(state) % n);
}

/* Environment: HAFT_TEST_SEED=n takes that seed again. */
static inline uint64_t choose_seed(void)
{
    const char *given = getenv("HAFT_TEST_SEED");
    uint64_t seed = given != NULL && *given != '\0' ? strtoull(given, NULL, 0) : (uint64_t)haft_now();
    fprintf(stderr, "HAFT_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

#endif
