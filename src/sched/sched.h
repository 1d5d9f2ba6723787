/* SPDX-License-Identifier: MIT
 *
 * The scheduler: many tasks over a few OS threads, the workers. It knows records and stacks, and no job: what a task
 * does is one function, given when the scheduler is made, that runs a record to its end.
 *
 * Where runnable tasks wait, and who may touch it:
 *
 *  - the LIFO slot of a worker: what it woke or spawned last, and runs next. Its owner takes it with plain stores and the
 *    light fence; a thief first raises `want`, executes the heavy fence, and then either sees that the owner is busy
 *    taking, and leaves, or takes by exchange; while `want` is up the owner exchanges too. A slot is stolen only after
 *    it has been unchanged for 20 microseconds: tasks that talk to each other stay together.
 *  - the successor: whom a task woke as its last act before it ends or parks. It runs next and is never queued, unless
 *    it is another's turn. Nobody else sees it, for as long as the rest of the end takes, where nothing can get stuck.
 *  - the ring of a worker: its owner appends at the tail; owner and thieves take at the head by compare-exchange, a
 *    thief half of it at once. When it is full, half of it goes to the injection queue as one chain.
 *  - the inbox of a worker: pinned tasks, for it alone. A lock-free stack that anyone pushes to and the owner empties.
 *  - the guests of a worker: tasks that are to go on there for a while, see gather.h.
 *  - the injection queue: from threads that are no workers, and overflow. Pushes go to a lock-free stack, so that a
 *    signal handler may wake a task; workers move it into a list under a lock, oldest first.
 *
 * An offer is not a record yet, but something that a thief makes one of: see offer.h.
 *
 * Fairness: after 16 tasks from the LIFO slot, successors among them, the ring goes first; every 61st pick looks at
 * timers and the injection queue first; every second at inbox and guests.
 *
 * Sleeping and waking. A worker without work searches, if not half of the workers do so already, for 20 microseconds
 * and then sleeps: it announces itself (sleep word, sleepers), executes the heavy fence, looks at every queue once
 * more, and waits on its futex. Whoever makes a task runnable executes the light fence (the full one outside of
 * workers) and looks at `sleepers`: one of the two sees the other; but a ring whose tasks are to stay together is no work
 * for others until the end of the stay, at which whoever fell asleep in it looks. A worker is woken as a searcher; the last
 * searcher to find work wakes one more, unless all others sleep and nothing is left. While any worker runs, one sleeper, the
 * rescuer, wakes every 10 ms and takes what waits behind a worker that is stuck in a job: ring, LIFO slot, guests, timers.
 * When all sleep, nobody wakes. */
#ifndef HAFT_SCHED_SCHED_H
#define HAFT_SCHED_SCHED_H

#include <stdbool.h>

#include "os/os.h"
#include "sched/stack.h"
#include "sched/timer.h"
#include "wait/wait.h"

enum haft__sleep_word {
    HAFT__AWAKE = 0,
    HAFT__ASLEEP = 1,
    HAFT__WOKEN = 2,  /* and counted as a searcher by the waker */
    HAFT__CALLED = 3, /* for its inbox, or to stop */
};

/* Whether a worker stops. TOLD -> LEFT is made by the worker, once it has no task to finish; TOLD -> RUNS by whoever
 * ends the scheduler and will not wait for a worker that is stuck: that one serves what is left until it is told again,
 * and then ends by itself. */
enum haft__stop_word {
    HAFT__WORKER_RUNS = 0,
    HAFT__WORKER_TOLD = 1,
    HAFT__WORKER_LEFT = 2,
};

/* What the next computation on this worker does for the one that just left. */
enum haft__post {
    HAFT__POST_NONE,
    HAFT__POST_YIELD,  /* make it runnable, behind the others */
    HAFT__POST_PARK,   /* park it, unless a wake came first */
    HAFT__POST_UNLOCK, /* park it, look at its abort, release the lock */
    HAFT__POST_STACK,  /* it has ended: give its stack back */
    HAFT__POST_GUEST,  /* make it a guest of another worker */
};

typedef struct haft__offer haft__offer; /* sched/offer.h */

typedef struct haft__worker {
    /* The owner's alone. */
    haft__thread thread; /* first: the calling thread's record while it works */
    struct haft__sched *sched;
    unsigned number;
    unsigned lifo_runs;
    unsigned empty_yields;
    enum haft__post post;
    bool post_heeds;   /* with POST_UNLOCK: an abort ends the wait */
    bool post_timed;   /* with POST_UNLOCK: a timer may have ended it already */
    bool is_ours;      /* the scheduler made the thread, so no signal handler runs on it */
    bool is_searching; /* and counted */
    bool owes_offer;   /* the idle loop is entered to take an offer of the own list */
    haft__record *post_record;
    struct haft__worker *post_to; /* with POST_GUEST */
    haft__lock *post_lock;
    haft__stack *post_stack;
    haft__record *successor;   /* woken by the task that ends or parks here */
    haft__fiber_note *leaving; /* of the stack that the root leaves for good */
    haft__stack_cache stacks;
    haft__record *pinned; /* taken from the inbox, oldest first */
    haft__stack *reserve; /* on which a job ends that cannot be given a stack */
    haft__os_thread native;
    haft__control control; /* the thread's own floating point control words: what a new task begins with */

    /* Written by the owner, read by thieves. */
    _Alignas(HAFT__CACHE_LINE) haft__atomic(uint32_t) tail;
    haft__atomic(uint32_t) lifo_busy;
    haft__atomic(haft__record *) lifo;
    haft__atomic(uint64_t) spawned; /* jobs made here and ended here; src/job counts */
    haft__atomic(uint64_t) finished;
    haft__atomic(uint64_t) unmade; /* jobs that were counted as both, and never were any */
    uint64_t finished_before;      /* less those unmade, by earlier runtimes */
    haft__atomic(uint64_t) ticks;  /* picks; relaxed, as those below: each counts by itself */
    haft__atomic(uint64_t) empty_ticks;
    haft__atomic(int64_t) gathers_until; /* 0: it does not; written by others, too, but seldom */

    /* Written by thieves. */
    _Alignas(HAFT__CACHE_LINE) haft__atomic(uint32_t) head;
    haft__atomic(uint32_t) lifo_want;
    haft__atomic(haft__record *) lifo_seen; /* what was in the slot when a thief last looked, and since when */
    haft__atomic(int64_t) lifo_since;

    /* The list of offers; see sched/offer.h. */
    _Alignas(HAFT__CACHE_LINE) haft__atomic(haft__offer *) oldest_offer;
    haft__offer *newest_offer;
    haft__atomic(uint32_t) offers_busy;
    haft__lock offers_lock;
    /* The owner's, and read by whoever asks. */
    haft__atomic(uint64_t) steals;
    haft__atomic(uint64_t) adopted;
    haft__atomic(uint64_t) overflowed;
    haft__atomic(uint64_t) parks;
    haft__atomic(int64_t) parked; /* ns */

    _Alignas(HAFT__CACHE_LINE) haft__atomic(uint32_t) sleep_word;
    haft__atomic(uint32_t) stop_word;
    haft__atomic(bool) is_left_behind; /* nobody joins its thread, and what it holds is its own */
    haft__atomic(haft__record *) inbox;
    haft__atomic(haft__record *) guests; /* see sched/gather.h */
    haft__timers timers;

    _Alignas(HAFT__CACHE_LINE) haft__atomic(haft__record *) ring[HAFT__RING_SIZE];
} haft__worker;

/* Adds to a counter that only the caller writes. */
#define haft__count(counter, n) haft__store_relaxed((counter), haft__load_relaxed(counter) + (n))

typedef struct haft__sched {
    haft__worker *workers;
    struct haft__worker_block *block; /* what they lie in */
    unsigned count;
    uint64_t serial;                                 /* another one each time that it is set up */
    haft__atomic(struct haft__worker_block *) shown; /* to whoever wakes, perhaps after the end and a new beginning */
    /* Runs the record, whose root is bound and current, to its end; if the root is_refused, ends it without running.
     * The record may be recycled when it returns. */
    void (*run)(haft__record *);

    _Alignas(HAFT__CACHE_LINE) haft__atomic(uint32_t) sleepers;
    haft__atomic(uint32_t) searchers;
    haft__atomic(uint32_t) rescuer;

    _Alignas(HAFT__CACHE_LINE) haft__atomic(haft__record *) injected; /* newest first */
    haft__lock injection_lock;
    haft__atomic(uint32_t) injection_count; /* in the list */
    haft__record *injection_first;
    haft__record *injection_last;
} haft__sched;

/* Sets up a scheduler of count workers; nothing runs yet. 0 or HAFT_ENOMEM. The struct was zeroed once, and may have
 * been used and ended before. */
int haft__sched_init(haft__sched *sched, unsigned count, void (*run)(haft__record *));
/* Gives stacks back. The workers have ended; their structs stay, because a late waker may look at them. */
void haft__sched_fini(haft__sched *sched);
/* Jobs counted as made and not yet as ended, by workers: the sum of differences that may each be of either sign. */
uint64_t haft__sched_live(const haft__sched *sched);
/* The three sums. The first is read first, so that no difference is too small. */
void haft__sched_sums(const haft__sched *sched, uint64_t *finished, uint64_t *spawned, uint64_t *unmade);
/* Sets the counters that only workers write to 0; no worker runs. */
void haft__sched_count_anew(haft__sched *sched);
/* Starts the workers from number `first` on as threads. On error none runs. */
int haft__sched_start(haft__sched *sched, unsigned first);
/* Makes the calling thread worker 0 until the scheduler is told to stop. */
void haft__sched_work(haft__sched *sched);
/* Tells every worker to stop. No job is left but those that are stuck. From anywhere. */
void haft__sched_stop(haft__sched *sched);
/* Joins the worker threads from number `first` on. */
void haft__sched_join(haft__sched *sched, unsigned first);
/* The same where jobs are stuck: workers that do not come back from a job are left behind. The scheduler then lives on
 * for ever; once its last job has ended, haft__sched_stop ends those workers. */
void haft__sched_join_or_leave(haft__sched *sched, unsigned first);

/* Gives way to others; true if there were any. The caller is a task on that worker. */
bool haft__sched_yield(haft__worker *w);
/* True when the calling worker has more than half a ring of tasks: a spawner should let some run. */
bool haft__sched_is_crowded(void);

#endif
