/* SPDX-License-Identifier: MIT
 *
 * Timers: each worker has a pairing heap of them under a lock of its own. A timer lies on the stack of the task that
 * waits, so arming one allocates nothing; it is taken out by whoever fires it or, from any thread, by its task. Firing
 * only wakes: the task looks at the clock itself. Fredman, Sedgewick, Sleator, Tarjan: The Pairing Heap (1986). */
#ifndef HAFT_SCHED_TIMER_H
#define HAFT_SCHED_TIMER_H

#include "wait/lock.h"
#include "wait/record.h"

typedef struct haft__timer {
    struct haft__timer *child;
    struct haft__timer *next;
    struct haft__timer *previous; /* the left sibling, or the parent of a first child; null at the top */
    struct haft__timers *heap;    /* null once it was taken out */
    int64_t deadline;
    haft__record *record;
} haft__timer;

typedef struct haft__timers {
    haft__lock lock;
    haft__timer *top;
    haft__atomic(int64_t) earliest; /* INT64_MAX: none; read without the lock as a hint */
    haft__atomic(uint64_t) fired;   /* written under the lock */
} haft__timers;

void haft__timers_init(haft__timers *timers);
void haft__timer_arm(haft__timers *timers, haft__timer *timer, haft__record *record, int64_t deadline);
/* Does nothing if it has fired. The caller wrote it and is awake. */
void haft__timer_disarm(haft__timers *timers, haft__timer *timer);
/* Wakes every record whose deadline is not after now. */
void haft__timers_fire(haft__timers *timers, int64_t now);

#endif
