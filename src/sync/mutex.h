/* SPDX-License-Identifier: MIT
 *
 * What a condition needs of a mutex, and models know of it. */
#ifndef HAFT_SYNC_MUTEX_H
#define HAFT_SYNC_MUTEX_H

#include "haft/mutex.h"
#include "sync/waiter.h"

/* Flags in its word: what they mean stands in mutex.c. */
enum {
    HAFT__MUTEX_POISONED = 1,
    HAFT__MUTEX_WAITERS = 2,
    HAFT__MUTEX_AWAKE = 4,
    HAFT__MUTEX_PANICKING = 8,
    HAFT__MUTEX_FREE = 16,
    /* It is free, and a woken waiter is on its way. */
    HAFT__MUTEX_AWAITED = HAFT__MUTEX_WAITERS | HAFT__MUTEX_AWAKE | HAFT__MUTEX_FREE,
};

/* True if it is the running job's or thread's. */
bool haft__mutex_is_held(const haft_mutex *m, const haft__root *me);
/* Unlocks what is held, and poisons nothing. */
void haft__mutex_unlock_quietly(haft_mutex *m, haft__root *me);
/* haft_mutex_lock that is never refused, not even if it closes a ring of waits. */
int haft__mutex_lock_again(haft_mutex *m, haft__root *me);

#endif
