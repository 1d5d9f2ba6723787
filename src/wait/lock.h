/* SPDX-License-Identifier: MIT
 *
 * The lock of the library's own objects: one word, held for tens of instructions, never across user code, an
 * allocation, a wake or a switch (but for haft__park_unlocking, where the successor releases it). A contender backs
 * off, then gives away its time slice: the holder may have been preempted. */
#ifndef HAFT_WAIT_LOCK_H
#define HAFT_WAIT_LOCK_H

#include <stdbool.h>

#include "base/atomic.h"

typedef haft__atomic(uint32_t) haft__lock;

void haft__lock_contended(haft__lock *lock);

/* False: it is held, and haft__lock_contended gets it. */
static inline bool haft__lock_try(haft__lock *lock)
{
    /* Acquire: partner of the release in haft__lock_release; nothing from inside moves out. */
    return haft__exchange_acquire(lock, 1) == 0;
}

static inline void haft__lock_acquire(haft__lock *lock)
{
    if (__builtin_expect(!haft__lock_try(lock), 0))
        haft__lock_contended(lock);
}

static inline void haft__lock_release(haft__lock *lock)
{
    haft__store_release(lock, 0);
}

#endif
