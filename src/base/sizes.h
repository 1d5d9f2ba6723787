/* SPDX-License-Identifier: MIT
 *
 * Every size, batch and cap that is a matter of tuning rather than of meaning, in one place, so that a model can shrink
 * them until its search is small enough to be complete. */
#ifndef HAFT_BASE_SIZES_H
#define HAFT_BASE_SIZES_H

#define HAFT__CACHE_LINE 64

/* Run queues. */
#ifndef HAFT__RING_SIZE
#define HAFT__RING_SIZE 256 /* jobs in a worker's ring; a power of two */
#endif
#define HAFT__LIFO_RUNS 16        /* jobs taken in a row from the LIFO slot while the ring has work */
#define HAFT__FAIRNESS_TICKS 61   /* every so many picks look at the injection queue and the timers first */
#define HAFT__LIFO_STEAL_NS 20000 /* a LIFO slot unchanged for so long may be stolen */
#define HAFT__SEARCH_NS 20000     /* an idle worker looks for work for so long before it sleeps */
#define HAFT__RESCUE_NS 10000000  /* how often a sleeper looks behind workers that run */

/* Threads that wait. */
#define HAFT__THREAD_SPINS 300 /* pauses before a waiting thread sleeps */

/* Locks: pauses of the back-off, doubled from the first to the last, then the time slice is given away. */
#define HAFT__LOCK_PAUSES_FIRST 32
#define HAFT__LOCK_PAUSES_LAST 512

#define HAFT__WAKE_BATCH 16              /* waiters woken after one hold of an object's lock */
#define HAFT__MUTEX_SPINS 6              /* rounds in which a contender of a mutex looks again before it waits */
#define HAFT__MUTEX_HAND_OVER_NS 1000000 /* a waiter that lost once and waited so long is handed the mutex */

#define HAFT__READS 4 /* locks that a job reads at once and that its end releases */

/* The table of records. */
#define HAFT__CHUNK_RECORDS 4096 /* records in one mapping; a power of two */
#define HAFT__CHUNK_COUNT 4096   /* mappings at most: 16 million records */
#define HAFT__MAGAZINE 64        /* records exchanged at once between a thread's cache and the depot */
#define HAFT__RECORDS_WARM 128   /* records that trimming leaves in the depot */

/* Stacks. */
#define HAFT__STACK_SIZE 65536       /* bytes of address space for the smallest stack, guard included */
#define HAFT__STACK_CLASSES 16       /* each twice the one before: 64 KiB to 2 GiB */
#define HAFT__ARENA_SIZE (64u << 20) /* bytes of address space reserved at once for small stacks */
#define HAFT__STACK_MAGAZINE 32      /* stacks exchanged at once between a worker's cache and the depot */
#define HAFT__STACK_WARM 8           /* stacks of the smallest class that trimming leaves in the depot */
#define HAFT__TRIM_BATCH 256         /* stacks that one step of trimming moves or gives back */
#define HAFT__TRIM_NS 250000000      /* what lay unused in the depot for so long is given back */

/* The end of a runtime: after the abort, jobs are stuck when none has ended for so long, or for the grace if that is
 * longer. A second is far more than a
 * processor takes to come round to everybody, and what somebody who pressed Ctrl-C still bears. */
#define HAFT__STUCK_NS INT64_C(1000000000)
#define HAFT__STUCK_TURN_NS INT64_C(20000000) /* it is counted in turns of this length */

/* The pool for blocking calls. */
#define HAFT__POOL_THREADS 512
#define HAFT__POOL_IDLE_NS INT64_C(10000000000)

#endif
