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
#ifndef HAFT__LIFO_RUNS
#define HAFT__LIFO_RUNS 16 /* jobs taken in a row from the LIFO slot while the ring has work */
#endif
#ifndef HAFT__FAIRNESS_TICKS
#define HAFT__FAIRNESS_TICKS 61 /* every so many picks look at the injection queue and the timers first */
#endif
#ifndef HAFT__LIFO_STEAL_NS
#define HAFT__LIFO_STEAL_NS 20000 /* a LIFO slot unchanged for so long may be stolen */
#endif
#ifndef HAFT__SEARCH_NS
#define HAFT__SEARCH_NS 20000 /* an idle worker looks for work for so long before it sleeps */
#endif
#ifndef HAFT__RESCUE_NS
#define HAFT__RESCUE_NS 10000000 /* how often a sleeper looks behind workers that run */
#endif

/* Tasks that fight for a lock; see sched/gather.h. */
#ifndef HAFT__GATHER_WINDOW_NS
#define HAFT__GATHER_WINDOW_NS 100000 /* their meetings are counted for so long, and at least for a tenth of it */
#endif
#ifndef HAFT__GATHER_MEETINGS
#define HAFT__GATHER_MEETINGS 8 /* and so many are a reason to gather */
#endif
#ifndef HAFT__GATHER_PACE_NS
#define HAFT__GATHER_PACE_NS 100 /* where an operation takes longer they have more to do than to fight */
#endif
#ifndef HAFT__GATHER_FIRST_NS
#define HAFT__GATHER_FIRST_NS 100000 /* the first stay */
#endif
#ifndef HAFT__GATHER_LONGEST_NS
#define HAFT__GATHER_LONGEST_NS 1000000 /* each is twice as long as the one before, but no longer */
#endif
#ifndef HAFT__GATHER_PAUSE_NS
#define HAFT__GATHER_PAUSE_NS 5000000 /* after one that was no gain; twice as long each time */
#endif
#ifndef HAFT__GATHER_LONGEST_PAUSE_NS
#define HAFT__GATHER_LONGEST_PAUSE_NS 100000000
#endif
#ifndef HAFT__GATHER_TURN_NS
#define HAFT__GATHER_TURN_NS 30000 /* on a worker that has another task every so often, at least */
#endif
#ifndef HAFT__GATHER_RING
#define HAFT__GATHER_RING 16 /* tasks in a ring that are left together */
#endif

/* Threads that wait. */
#ifndef HAFT__THREAD_SPINS
#define HAFT__THREAD_SPINS 300 /* pauses before a waiting thread sleeps */
#endif
#ifndef HAFT__THREAD_YIELDS
#define HAFT__THREAD_YIELDS 2 /* and time slices given away */
#endif
#ifndef HAFT__HABIT_WAITS
#define HAFT__HABIT_WAITS 16 /* waits in which it yields first because only a yield helped; see wait/turns.h */
#endif
#ifndef HAFT__LONG_YIELD_NS
#define HAFT__LONG_YIELD_NS 1000000 /* a yield that takes so long went to somebody else */
#endif
#ifndef HAFT__LONG_YIELDS
#define HAFT__LONG_YIELDS 3 /* so many of them in a row show that it is always so */
#endif
#ifndef HAFT__HABIT_CROWDED
#define HAFT__HABIT_CROWDED 1000 /* waits after them without a yield */
#endif
#ifndef HAFT__HABIT_TRIALS
#define HAFT__HABIT_TRIALS 32 /* so many trials of pauses that fail make it sleep */
#endif

/* Threads at channels: looks before they stand in a queue. */
#ifndef HAFT__LOOK_CAPACITY
#define HAFT__LOOK_CAPACITY 8 /* at channels that hold as many values as this */
#endif
#ifndef HAFT__LOOK_TURNS
#define HAFT__LOOK_TURNS 3 /* looks with pauses before them */
#endif
#ifndef HAFT__LOOK_PAUSES
#define HAFT__LOOK_PAUSES 32 /* before the first; each time twice as many */
#endif
#ifndef HAFT__LOOK_GAIN
#define HAFT__LOOK_GAIN 3 /* values or places beyond the first that make the look worth while */
#endif
#ifndef HAFT__LOOK_SKIPS
#define HAFT__LOOK_SKIPS 32 /* waits without a look after one that was not */
#endif

/* Locks: pauses of the back-off, doubled from the first to the last, then the time slice is given away. */
#ifndef HAFT__LOCK_PAUSES_FIRST
#define HAFT__LOCK_PAUSES_FIRST 32
#endif
#ifndef HAFT__LOCK_PAUSES_LAST
#define HAFT__LOCK_PAUSES_LAST 512
#endif

#ifndef HAFT__WAKE_BATCH
#define HAFT__WAKE_BATCH 16 /* waiters woken after one hold of an object's lock */
#endif
#ifndef HAFT__MUTEX_SPINS
#define HAFT__MUTEX_SPINS 6 /* rounds in which a contender of a mutex looks again before it waits */
#endif
#ifndef HAFT__MUTEX_PAUSES
#define HAFT__MUTEX_PAUSES 4 /* pauses of the first, doubled from round to round */
#endif
#ifndef HAFT__MUTEX_HAND_OVER_NS
#define HAFT__MUTEX_HAND_OVER_NS 1000000 /* a waiter that lost once and waited so long is handed the mutex */
#endif

#ifndef HAFT__READS
#define HAFT__READS 4 /* locks that a job reads at once and that its end releases */
#endif

/* The table of records. */
#ifndef HAFT__CHUNK_RECORDS
#define HAFT__CHUNK_RECORDS 16384 /* records in one chunk, two pages of which are never given back; a power of two */
#endif
#ifndef HAFT__CHUNK_COUNT
#define HAFT__CHUNK_COUNT 1024 /* at most: 16 million records */
#endif
#ifndef HAFT__MAGAZINE
#define HAFT__MAGAZINE 64 /* records exchanged at once between a thread's cache and the depot */
#endif
#ifndef HAFT__RECORDS_WARM
#define HAFT__RECORDS_WARM 128 /* records that trimming leaves in the depot */
#endif

/* Stacks. */
#ifndef HAFT__STACK_SIZE
#define HAFT__STACK_SIZE 65536 /* bytes of address space for the smallest stack, guard included */
#endif
#ifndef HAFT__STACK_CLASSES
#define HAFT__STACK_CLASSES 16 /* each twice the one before: 64 KiB to 2 GiB */
#endif
#ifndef HAFT__ARENA_SIZE
#define HAFT__ARENA_SIZE (64u << 20) /* bytes of address space reserved at once for small stacks */
#endif
#ifndef HAFT__STACK_MAGAZINE
#define HAFT__STACK_MAGAZINE 32 /* stacks exchanged at once between a worker's cache and the depot */
#endif
#ifndef HAFT__STACK_WARM
#define HAFT__STACK_WARM 8 /* stacks of the smallest class that trimming leaves in the depot */
#endif
#ifndef HAFT__TRIM_BATCH
#define HAFT__TRIM_BATCH 256 /* stacks that one step of trimming moves or gives back */
#endif
#ifndef HAFT__TRIM_NS
#define HAFT__TRIM_NS 250000000 /* what lay unused in the depot for so long is given back */
#endif

/* The end of a runtime: after the abort, jobs are stuck when none has ended for so long, or for the grace if that is
 * longer. A second is far more than a
 * processor takes to come round to everybody, and what somebody who pressed Ctrl-C still bears. */
#ifndef HAFT__STUCK_NS
#define HAFT__STUCK_NS INT64_C(1000000000)
#endif
#ifndef HAFT__STUCK_TURN_NS
#define HAFT__STUCK_TURN_NS INT64_C(20000000) /* it is counted in turns of this length */
#endif

/* The pool for blocking calls. */
#ifndef HAFT__POOL_THREADS
#define HAFT__POOL_THREADS 512
#endif
#ifndef HAFT__POOL_IDLE_NS
#define HAFT__POOL_IDLE_NS INT64_C(10000000000)
#endif

#endif
