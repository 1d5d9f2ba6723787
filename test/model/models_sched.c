/* SPDX-License-Identifier: MIT
 *
 * Whole schedulers of one to three workers, with tasks that are not jobs: nothing that was made runnable is forgotten, by
 * whatever way it came, and what a task did before it parked is seen where it goes on. */
#include <string.h>

#include "sched/gather.h"
#include "sched/queue.h"
#include "world.h"

enum { TASKS = 4 };
static haft__sched sched;
static haft__record *tasks[TASKS];
static void (*bodies[TASKS])(void);
static int runs[TASKS];
static haft__atomic(uint32_t) left, staying;
static haft__record *owner;

static void run(haft__record *record)
{
    int i = record->code;
    runs[i]++;
    if (bodies[i] != NULL)
        bodies[i]();
    /* The record stays: a late waker may look at it. */
    if (haft__fetch_sub_acq_rel(&left, 1) == 1)
        haft__wake(owner);
}

static haft__record *task(int i, void (*body)(void))
{
    haft__record *record = haft__record_new();
    haft__store_relaxed(&record->kind, HAFT__KIND_TASK);
    haft__store_relaxed(&record->home, &sched);
    haft__store_relaxed(&record->word, HAFT__RUNNING);
    record->code = i;
    record->flags = 0;
    record->stack_class = 0;
    record->root = NULL;
    tasks[i] = record;
    bodies[i] = body;
    haft__store_relaxed(&left, haft__load_relaxed(&left) + 1);
    haft__store_relaxed(&staying, haft__load_relaxed(&left));
    return record;
}

static void begin(unsigned workers)
{
    owner = world_root()->record;
    model_check(haft__sched_init(&sched, workers, run) == 0);
    model_name(&sched, sizeof sched, "sched");
    for (unsigned i = 0; i < workers; i++) {
        static const char *const names[][2] = { { "worker 0", "sleep word 0" },
                                                { "worker 1", "sleep word 1" },
                                                { "worker 2", "sleep word 2" } };
        model_name(&sched.workers[i], sizeof sched.workers[i], names[i][0]);
        model_name(&sched.workers[i].sleep_word, 4, names[i][1]);
    }
}

static bool nothing_is_left(void *argument)
{
    (void)argument;
    return haft__load_relaxed(&left) == 0;
}

static void wait_for_all(void)
{
    model_waits_for(nothing_is_left, NULL);
    while (haft__load_acquire(&left) != 0)
        haft__park();
    model_waits_for(NULL, NULL);
}

static void end(int n)
{
    wait_for_all();
    haft__sched_stop(&sched);
    haft__sched_join(&sched, 0);
    for (int i = 0; i < n; i++) {
        model_check(runs[i] == 1);
        haft__store_relaxed(&tasks[i]->state, UINT64_C(1) << HAFT__GENERATION_SHIFT);
    }
    haft__sched_fini(&sched);
    model_keep(sched.block);
}

MODEL("idle: a worker that falls asleep sees what comes from outside", .is_large = true)
{
    begin(1);
    haft__record *a = task(0, NULL);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    end(1);
}

MODEL("idle: two come from outside", .is_large = true)
{
    begin(1);
    haft__record *a = task(0, NULL), *b = task(1, NULL);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    haft__sched_inject(&sched, b);
    end(2);
}

static void inject_second(void *argument)
{
    (void)argument;
    haft__sched_inject(&sched, tasks[1]);
}

MODEL("idle: two come from two threads, and one of them relies on the other to wake the worker", .is_large = true,
      .stale = 1)
{
    begin(1);
    haft__record *a = task(0, NULL);
    task(1, NULL);
    haft__sched_start(&sched, 0);
    int other = model_start(inject_second, NULL);
    haft__sched_inject(&sched, a);
    model_join(other);
    end(2);
}

MODEL("idle: two workers, two from outside", .is_large = true, .stale = -1)
{
    begin(2);
    haft__record *a = task(0, NULL), *b = task(1, NULL);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    haft__sched_inject(&sched, b);
    end(2);
}

static void spawn_two(void)
{
    haft__sched_spawn(&sched, tasks[1]);
    haft__sched_spawn(&sched, tasks[2]);
}

MODEL("steal: what a task spawns is found by the other worker, or runs here", .is_large = true, .stale = -1)
{
    begin(2);
    haft__record *a = task(0, spawn_two);
    task(1, NULL);
    task(2, NULL);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    end(3);
}

/* --- parking ------------------------------------------------------------------------------------------------------------------ */

static haft__atomic(uint32_t) flag;
static haft__lock lock;
static int plain;

static void park_until_flag(void)
{
    plain = 1;
    while (haft__load_seq_cst(&flag) == 0)
        haft__park();
    model_check(plain == 1);
    plain = 2;
}

MODEL("task: parked, and woken from outside", .is_large = true)
{
    begin(1);
    haft__record *a = task(0, park_until_flag);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    haft__store_seq_cst(&flag, 1);
    haft__wake(a);
    end(1);
    model_check(plain == 2);
}

static void park_once(void)
{
    haft__park();
    model_check(plain == 42);
}

MODEL("task: one wake, however early, shows what was written before it", .is_large = true)
{
    begin(1);
    haft__record *a = task(0, park_once);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    plain = 42;
    haft__wake(a);
    end(1);
}

MODEL("idle: a worker that sleeps is told that there are slots to be given back", .is_large = true)
{
    begin(1);
    haft__sched_start(&sched, 0);
    haft__store_relaxed(&haft__records_spare, 1);
    haft__sched_has_spare(&sched);
    while (haft__load_relaxed(&haft__records_spare) != 0)
        model_spin();
    end(0);
}

static void wake_late(void *argument)
{
    (void)argument;
    haft__sched_has_spare(&sched);
}

MODEL("idle: a waker who comes late finds whole workers, though a bigger set is put in their place")
{
    begin(1);
    int other = model_start(wake_late, NULL);
    haft__sched_fini(&sched);
    begin(2);
    model_join(other);
    haft__sched_fini(&sched);
    model_keep(sched.block);
}

/* In models whose body is itself a worker: the last task to end stops them all. */
static void leave(void)
{
    if (haft__fetch_sub_relaxed(&staying, 1) == 1)
        haft__sched_stop(&sched);
}

static void begin_without_rescuer(unsigned workers)
{
    begin(workers);
    haft__store_relaxed(&sched.rescuer, 1);
}

/* The body is worker 0, and begins with that record; the others have threads. */
static void work(haft__record *first)
{
    first->next = NULL;
    sched.workers[0].pinned = first; /* no other can take it */
    haft__sched_work(&sched);
}

static void stick_until_flag(void)
{
    while (haft__load_relaxed(&flag) == 0)
        model_spin();
}

static void set_flag(void)
{
    haft__store_relaxed(&flag, 1);
}

static void spawn_two_and_stick(void)
{
    spawn_two();
    stick_until_flag();
    leave();
}

static void set_flag_and_leave(void)
{
    set_flag();
    leave();
}

MODEL("steal: a worker that sleeps is told of what stands behind one that is stuck, and need not look by the clock",
      .is_large = true)
{
    begin_without_rescuer(2);
    haft__record *a = task(0, spawn_two_and_stick);
    task(1, set_flag_and_leave);
    task(2, leave);
    model_check(haft__sched_start(&sched, 1) == 0);
    work(a);
    end(3);
}

static void stick_and_leave(void)
{
    stick_until_flag();
    leave();
}

static void count_as_searcher(haft__worker *w)
{
    w->is_searching = true;
    haft__store_relaxed(&sched.searchers, 1);
}

MODEL("search: the last one who searched has found something, and the other is woken for what comes meanwhile",
      .is_large = true, .stale = -1)
{
    begin_without_rescuer(2);
    count_as_searcher(&sched.workers[0]);
    haft__record *a = task(0, stick_and_leave);
    task(1, set_flag_and_leave);
    model_check(haft__sched_start(&sched, 1) == 0);
    int other = model_start(inject_second, NULL);
    work(a);
    model_join(other);
    end(2);
}

/* Three workers. The last one sleeps, and is only its words. The first is the body's own thread, which counts as the last
 * that searches, and finds a task. The second is told meanwhile to go on with its pinned task, and has another one then. */
static void leave_when_last_was_woken(void)
{
    while (haft__load_relaxed(&sched.workers[2].sleep_word) == HAFT__ASLEEP)
        model_spin();
    leave();
}

static void push_when_flag(void)
{
    while (haft__load_relaxed(&flag) == 0)
        haft__park();
    haft__ring_push(haft__here()->worker, tasks[1]);
    haft__sched_notify(&sched);
    leave_when_last_was_woken();
}

static void flag_first(void *argument)
{
    (void)argument;
    haft__store_relaxed(&flag, 1);
    haft__wake(tasks[0]);
}

MODEL("search: the last one who searched sees that another is up, or what that one has is told of", .is_large = true)
{
    begin_without_rescuer(3);
    haft__worker *w = sched.workers;
    world.absent = 2;
    haft__store_relaxed(&w[2].sleep_word, HAFT__ASLEEP);
    haft__store_relaxed(&sched.sleepers, 1);
    count_as_searcher(&w[0]);
    haft__record *pinned = task(0, push_when_flag), *found = task(2, leave_when_last_was_woken);
    task(1, leave_when_last_was_woken);
    pinned->flags = HAFT__PINNED;
    haft__sched_inject(&sched, pinned);
    model_calm(true);
    model_check(haft__sched_start(&sched, 1) == 0);
    while (haft__load_relaxed(&w[1].sleep_word) != HAFT__ASLEEP)
        model_spin();
    model_calm(false);
    int other = model_start(flag_first, NULL);
    work(found);
    model_join(other);
    end(3);
}

static void wake_for_nothing(void *argument)
{
    (void)argument;
    haft__sched_wake_one(&sched);
}

MODEL("wake: who counted as searching and found nobody asleep looks behind a heavy fence at what others left to him",
      .is_large = true, .stale = 1)
{
    begin(2);
    haft__store_relaxed(&sched.rescuer, 1);
    haft__record *a = task(0, NULL);
    haft__sched_start(&sched, 1);
    int other = model_start(wake_for_nothing, NULL);
    haft__here()->worker = &sched.workers[0]; /* which is busy */
    haft__ring_push(&sched.workers[0], a);
    haft__sched_notify(&sched);
    haft__here()->worker = NULL;
    wait_for_all();
    model_join(other);
    haft__sched_stop(&sched);
    haft__sched_join(&sched, 1);
    model_check(runs[0] == 1);
    haft__sched_fini(&sched);
    model_keep(sched.block);
}

MODEL("left behind: a worker that was given up leaves nothing when it comes back", .is_large = true, .stale = -1)
{
    begin(1);
    haft__record *a = task(0, stick_until_flag);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    haft__sched_stop(&sched);
    haft__sched_join_or_leave(&sched, 0);
    haft__store_relaxed(&flag, 1);
    haft__sched_stop(&sched);
    model_join(1);
    haft__sched_fini(&sched);
    uint64_t used, cached, bytes;
    haft__stacks_count(&used, &cached, &bytes);
    model_check(used == 0);
    model_keep(sched.block);
}

static void park_under_lock(void)
{
    haft__lock_acquire(&lock);
    while (plain == 0) {
        haft__park_unlocking(&lock);
        haft__lock_acquire(&lock);
    }
    haft__lock_release(&lock);
}

MODEL("task: parked under a lock, and woken from outside", .is_large = true)
{
    begin(1);
    haft__record *a = task(0, park_under_lock);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    haft__lock_acquire(&lock);
    plain = 1;
    haft__lock_release(&lock);
    haft__wake(a);
    end(1);
}

static void park_until_aborted(void)
{
    haft__root *me = world_root();
    haft__lock_acquire(&lock);
    while (haft__refusal(me) == 0) {
        haft__park_unlocking(&lock);
        haft__lock_acquire(&lock);
    }
    haft__lock_release(&lock);
}

/* As haft_abort does it. */
static void abort_task(haft__record *record)
{
    haft__job_mark_aborted(record, haft__generation(haft__load_relaxed(&record->state)));
    haft__job_wake_marked(record);
}

MODEL("task: parked under a lock, and aborted", .is_large = true)
{
    begin(1);
    haft__record *a = task(0, park_until_aborted);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    abort_task(a);
    end(1);
}

static void park_with_deadline(void)
{
    haft__root *me = world_root();
    me->deadline = model_now() + 100;
    while (haft__load_acquire(&flag) == 0 && haft__refusal(me) == 0)
        haft__park();
    me->deadline = INT64_MAX;
}

MODEL("task: a deadline strikes, or a wake comes before", .is_large = true)
{
    begin(1);
    haft__record *a = task(0, park_with_deadline);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    haft__store_release(&flag, 1);
    haft__wake(a);
    end(1);
}

static void timed_park_under_lock(void)
{
    haft__root *me = world_root();
    me->deadline = model_now() + 100;
    haft__lock_acquire(&lock);
    while (plain == 0 && haft__refusal(me) == 0) {
        haft__park_unlocking(&lock);
        haft__lock_acquire(&lock);
    }
    haft__lock_release(&lock);
    me->deadline = INT64_MAX;
}

MODEL("task: a deadline strikes in a park under a lock, or a wake, or an abort", .is_large = true)
{
    begin(1);
    haft__record *a = task(0, timed_park_under_lock);
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    haft__lock_acquire(&lock);
    plain = 1;
    haft__lock_release(&lock);
    abort_task(a);
    end(1);
}

/* --- pinned, moved, yielding ----------------------------------------------------------------------------------------------------- */

static void yield_twice(void)
{
    haft__sched_yield(haft__here_or_null()->worker);
    haft__sched_yield(haft__here_or_null()->worker);
}

MODEL("task: two give way to each other", .is_large = true, .stale = -1)
{
    begin(1);
    haft__record *a = task(0, yield_twice), *b = task(1, yield_twice);
    haft__sched_inject(&sched, a);
    haft__sched_inject(&sched, b);
    haft__sched_start(&sched, 0);
    end(2);
}

static unsigned ran_on[2];

static void park_pinned(void)
{
    ran_on[0] = haft__here_or_null()->worker->number;
    while (haft__load_seq_cst(&flag) == 0)
        haft__park();
    ran_on[1] = haft__here_or_null()->worker->number;
}

MODEL("task: a pinned one goes on where it was", .is_large = true, .stale = -1)
{
    begin(2);
    haft__record *a = task(0, park_pinned);
    a->flags = HAFT__PINNED;
    haft__sched_start(&sched, 0);
    haft__sched_inject(&sched, a);
    haft__store_seq_cst(&flag, 1);
    haft__wake(a);
    end(1);
    model_check(ran_on[0] == ran_on[1]);
}

/* --- guests ------------------------------------------------------------------------------------------------------- */

static void join_other(void)
{
    haft__worker *to = &sched.workers[1 - haft__here_or_null()->worker->number];
    haft__store_relaxed(&to->gathers_until, INT64_MAX);
    plain = 1;
    haft__gather_join(to);
    model_check(plain == 1);
}

static void join_other_and_leave(void)
{
    join_other();
    model_check(haft__here_or_null()->worker == &sched.workers[1]);
    leave();
}

MODEL("guests: a worker that falls asleep sees who comes, and goes on with it", .is_large = true)
{
    begin_without_rescuer(2);
    haft__record *a = task(0, join_other_and_leave);
    model_check(haft__sched_start(&sched, 1) == 0);
    work(a);
    end(1);
}

static haft__atomic(uint32_t) host_begun;

static void be_a_bad_host(void)
{
    haft__store_relaxed(&host_begun, 1);
    stick_and_leave();
}

static void join_bad_host(void)
{
    while (haft__load_relaxed(&host_begun) == 0)
        model_spin();
    haft__gather_join(&sched.workers[1]);
    set_flag_and_leave();
}

MODEL("guests: one whose host is stuck is taken back", .is_large = true, .stale = -1)
{
    begin(2);
    haft__record *a = task(0, join_bad_host), *b = task(1, be_a_bad_host);
    haft__sched_inject(&sched, b);
    model_check(haft__sched_start(&sched, 1) == 0);
    work(a);
    end(2);
}
