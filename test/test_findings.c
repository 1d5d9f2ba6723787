/* SPDX-License-Identifier: MIT
 *
 * What has once gone wrong, each as the behaviour that it must have. Where the kernel decides whether it goes wrong - by
 * the moment in which a thread sleeps, by refusing a thread or memory - a table with some functions changed decides in
 * its place, so that it goes wrong here whenever it can. Over 600 lines, and growing: nothing that has gone wrong is
 * left out. */
#include <haft/haft.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/sizes.h"
#include "callers.h"
#include "job/job.h"
#include "os/os.h"
#include "sched/sched.h"

/* --- in the kernel's place ---------------------------------------------------------------------------------------- */

static struct haft__os os;

/* Linux, for the test to change before any runtime exists. */
static struct haft__os *change_os(void)
{
    os = haft__os_linux;
    haft__os_replace(&os);
    return &os;
}

/* The worker whose idle loop asks, or null. */
static const haft__worker *idle_worker(void)
{
    const haft__thread *here = haft__here_or_null();
    return here != NULL && here->worker != NULL && here->root == &here->own ? here->worker : NULL;
}

/* For threads and bodies that wait for one another without haft. */
static void await(atomic_int *flag)
{
    while (atomic_load(flag) == 0)
        sched_yield();
}

static pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, body, argument), ==, 0);
    return thread;
}

/* --- waits that end by time --------------------------------------------------------------------------------------- */

static struct {
    haft_handle target; /* never ends by itself */
    size_t rounds;
    atomic_int waiter; /* the number of its worker and 1, while it waits */
    atomic_int is_over;
} hasty;

/* For whoever idles on another worker than the waiter's a second passes between one look at the clock and the next, and
 * each sleep is over at once: the waiter's timers fire as soon as they are armed. */
static bool is_hasty(void)
{
    int waiter = atomic_load(&hasty.waiter);
    const haft__worker *worker = waiter != 0 ? idle_worker() : NULL;
    return worker != NULL && (int)worker->number + 1 != waiter;
}

static int64_t hasty_now(void)
{
    static int64_t seconds;
    return haft__os_linux.now() + (is_hasty() ? ++seconds * HAFT_S : 0);
}

/* Without it a worker falls asleep faster. */
static int no_membarrier(void)
{
    return -ENOSYS;
}

static int hasty_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    if (deadline != INT64_MAX && is_hasty())
        return -ETIMEDOUT;
    return haft__os_linux.futex_wait(word, expected, deadline);
}

static int keeps_the_worker_busy(void)
{
    while (!atomic_load(&hasty.is_over))
        check_int(haft_yield(), ==, 0);
    return 0;
}

static int waits_in_haste(void)
{
    haft_handle busy = haft_spawn(keeps_the_worker_busy, HAFT_NO_FRAME, .pinned = true);
    atomic_store(&hasty.waiter, (int)haft__here_or_null()->worker->number + 1);
    /* The busy task gives its time slices away, and on a loaded machine they come back late. */
    int64_t start = haft_now();
    for (size_t i = 0; i < hasty.rounds && (i < 10 || haft_now() - start < (int64_t)rounds(2, 200) * HAFT_S); i++) {
        HAFT_TIMEOUT(20 * HAFT_US);
        check_int(haft_wait(hasty.target), ==, HAFT_ETIMEDOUT);
    }
    atomic_store(&hasty.waiter, 0);
    atomic_store(&hasty.is_over, 1);
    return haft_join(&busy);
}

static int begins_in_haste(void)
{
    hasty.target = haft_spawn(wait_for_token);
    haft_handle waiter = haft_spawn(waits_in_haste, HAFT_NO_FRAME, .pinned = true);
    check_int(haft_join(&waiter), ==, 0);
    haft_drop(&hasty.target);
    return 0;
}

TEST("a wait with a deadline ends although its timer fires before its task has parked")
{
    struct haft__os *table = change_os();
    table->now = hasty_now;
    table->membarrier_register = no_membarrier;
    table->futex_wait = hasty_futex_wait;
    hasty.rounds = rounds(4000, 200000);
    check_int(haft_run(begins_in_haste, HAFT_NO_FRAME, .workers = 2), ==, 0);
}

/* --- threads that give their time slices away ------------------------------------------------------------------------ */

static struct {
    size_t yields, sleeps;
    int64_t cost; /* of a yield: for so long the processor is somebody else's */
    int64_t later, last;
    bool is_behind_yield;
} crowd;

/* Behind a yield exactly its cost has passed, however long this process had to wait for the processor meanwhile. */
static int64_t crowd_now(void)
{
    crowd.last = crowd.is_behind_yield ? crowd.last + crowd.cost : haft__os_linux.now() + crowd.later;
    crowd.is_behind_yield = false;
    return crowd.last;
}

static void crowd_yield(void)
{
    crowd.yields++;
    crowd.later += crowd.cost;
    crowd.is_behind_yield = true;
}

static int crowd_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    crowd.sleeps++;
    return haft__os_linux.futex_wait(word, expected, deadline == INT64_MAX ? deadline : deadline - crowd.later);
}

/* How often this thread yields in so many waits that end by their deadlines. */
static size_t yields_in_waits(size_t waits, int64_t cost)
{
    crowd.yields = 0;
    crowd.sleeps = 0;
    crowd.cost = cost;
    while (crowd.sleeps < waits) {
        HAFT_TIMEOUT(20 * HAFT_US);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    }
    return crowd.yields;
}

TEST("a thread that waits gives its time slice away, but seldom where others then keep the processor for long")
{
    struct haft__os *table = change_os();
    table->now = crowd_now;
    table->yield = crowd_yield;
    table->futex_wait = crowd_futex_wait;
    enum { WAITS = 300 };
    check_int(yields_in_waits(WAITS, 0), >=, WAITS);
    check_int(yields_in_waits(WAITS, 2 * HAFT_MS), <, WAITS / 10);
    /* It goes on trying, and does as before once they come back soon. */
    check_int(yields_in_waits(HAFT__HABIT_CROWDED + WAITS, 0), >=, WAITS);
}

/* --- workers that are busy ---------------------------------------------------------------------------------------- */

enum { BUSY = 2 };
static atomic_int busy_count;

struct flag {
    atomic_int *raised;
};

static int raises_flag(struct flag *f)
{
    atomic_store(f->raised, 1);
    return 0;
}

/* Both spawn at once, time and again, and wait for what they have spawned without giving their workers away. */
static int spawns_and_stays_busy(void)
{
    int n = (int)rounds(30, 2000);
    for (int i = 1; i <= n; i++) {
        atomic_fetch_add(&busy_count, 1);
        while (atomic_load(&busy_count) < BUSY * i)
            sched_yield();
        atomic_int raised = 0;
        struct flag f = { .raised = &raised };
        haft_handle child = haft_spawn(raises_flag, &f);
        await(&raised);
        check_int(haft_join(&child), ==, 0);
    }
    return 0;
}

static int is_busy_twice(void)
{
    haft_handle busy[BUSY];
    for (int i = 0; i < BUSY; i++)
        busy[i] = haft_spawn(spawns_and_stays_busy);
    return haft_join_all(busy, BUSY, NULL);
}

TEST("one idle worker takes over what two busy ones have just spawned")
{
    check_int(haft_run(is_busy_twice, HAFT_NO_FRAME, .workers = BUSY + 1), ==, 0);
}

static struct {
    haft_handle ended, lasting;
    atomic_int is_claimed, is_dropping, has_slept;
} idly;

static int notes_sleep(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    if (atomic_load(&idly.is_dropping) && idle_worker() != NULL)
        atomic_store(&idly.has_slept, 1);
    return haft__os_linux.futex_wait(word, expected, deadline);
}

static int claims_both(void)
{
    haft_handle both[] = { idly.ended, idly.lasting };
    atomic_store(&idly.is_claimed, 1);
    return haft_join_all(both, 2, NULL);
}

static void *ends_the_lasting_one(void *argument)
{
    await(&idly.has_slept);
    check_int(haft_unpark(idly.lasting), ==, 0);
    return argument;
}

static int drops_what_is_claimed(void)
{
    idly.ended = haft_spawn(return_nothing);
    idly.lasting = haft_spawn(wait_for_token);
    haft_handle joiner = haft_spawn(claims_both), copy = idly.ended;
    until(atomic_load(&idly.is_claimed));
    pthread_t thread = start(ends_the_lasting_one, NULL);
    atomic_store(&idly.is_dropping, 1);
    haft_drop(&copy);
    check_int(haft_join(&joiner), ==, 0);
    check_int(pthread_join(thread, NULL), ==, 0);
    return 0;
}

TEST("haft_drop of a job that others join lets its worker sleep")
{
    change_os()->futex_wait = notes_sleep;
    check_int(haft_run(drops_what_is_claimed, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

enum { LARGE = 400000, ARENA = HAFT__ARENA_SIZE / LARGE };

static atomic_int map_count;
static atomic_int has_no_memory;

static void *counted_map(size_t size)
{
    atomic_fetch_add(&map_count, 1);
    return haft__os_linux.map(size);
}

static void *refused_map(size_t size)
{
    return atomic_load(&has_no_memory) ? NULL : haft__os_linux.map(size);
}

static int spawns_large_ones_in_turn(void)
{
    int count = 0;
    for (int i = 0; i < 4 * ARENA; i++) {
        haft_handle large = haft_spawn(return_nothing, HAFT_NO_FRAME, .stack_size = LARGE);
        check_int(haft_join(&large), ==, 0);
        if (i == 0)
            count = atomic_load(&map_count);
    }
    check_int(atomic_load(&map_count), ==, count);
    return 0;
}

TEST("a large stack serves the next task that asks for one")
{
    change_os()->map = counted_map;
    check_int(haft_run(spawns_large_ones_in_turn, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

static int must_not_run(void)
{
    fail("a task runs, and there was no memory for its stack");
}

static int waits_for_those_without_memory(void)
{
    haft_set *set = haft_set_new();
    check_ptr(set, !=, NULL);
    atomic_store(&has_no_memory, 1);
    for (int i = 0; i < 3; i++)
        check_int(haft_set_spawn(set, must_not_run, HAFT_NO_FRAME, .stack_size = LARGE), ==, 0);
    int code = 0;
    for (int i = 0; i < 3; i++) {
        check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, 0);
        check_int(code, ==, HAFT_ENOMEM);
    }
    check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, HAFT_EEMPTY);
    {
        HAFT_SCOPE(scope, .result = &code);
        check_int(haft_scope_spawn(scope, must_not_run, HAFT_NO_FRAME, .stack_size = LARGE), ==, 0);
    }
    check_int(code, ==, HAFT_ENOMEM);
    atomic_store(&has_no_memory, 0);
    haft_set_drop(&set);
    return 0;
}

TEST("tasks for whose stacks there is no memory end while somebody parks to wait for them")
{
    change_os()->map = refused_map;
    for (unsigned workers = 1; workers <= 2; workers++)
        check_int(haft_run(waits_for_those_without_memory, HAFT_NO_FRAME, .workers = workers), ==, 0);
}

static int waits_for_the_first_without_memory(void)
{
    enum { N = 8 };
    haft_handle hs[N];
    atomic_store(&has_no_memory, 1);
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(must_not_run, HAFT_NO_FRAME, .stack_size = LARGE);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, HAFT_ENOMEM);
    atomic_store(&has_no_memory, 0);
    return 0;
}

/* The one that was spawned last ends first, on the reserve, and wakes nobody: the next one finds no reserve. */
TEST("tasks for whose stacks there is no memory all end, whichever of them is waited for")
{
    change_os()->map = refused_map;
    for (unsigned workers = 1; workers <= 2; workers++)
        check_int(haft_run(waits_for_the_first_without_memory, HAFT_NO_FRAME, .workers = workers), ==, 0);
}

/* --- the end of a runtime ----------------------------------------------------------------------------------------- */

static struct {
    haft_runtime *runtime;
    atomic_int is_making, is_closing, closer_waits;
} late;

static _Thread_local bool is_closer, is_maker;

/* A job is being made from the moment in which it is counted; the memory for its record comes when the runtime that it is
 * counted in has long aborted all others and waits. */
static void *late_allocate(size_t size, size_t alignment)
{
    if (is_maker && size == HAFT__CHUNK_BYTES && !atomic_load(&late.is_making)) {
        atomic_store(&late.is_making, 1);
        await(&late.closer_waits);
    }
    return haft__os_linux.allocate(size, alignment);
}

static int late_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    if (is_closer)
        atomic_store(&late.closer_waits, 1);
    return haft__os_linux.futex_wait(word, expected, deadline);
}

static int waits_if_late(void)
{
    return atomic_load(&late.is_closing) ? haft_park() : 0;
}

static void *makes_until_late(void *argument)
{
    static haft_handle made[2 * HAFT__CHUNK_RECORDS];
    size_t n = 0;
    is_maker = true;
    while (!atomic_load(&late.is_making)) {
        check_uint(n, <, sizeof made / sizeof made[0]);
        made[n++] = haft_spawn(waits_if_late, HAFT_NO_FRAME, .runtime = late.runtime);
    }
    check_int(haft_join(&made[--n]), ==, HAFT_EABORTED);
    while (n > 0) { /* those that the end found in the queue are aborted, too */
        int rc = haft_join(&made[--n]);
        check_msg(rc == 0 || rc == HAFT_EABORTED, "%s", haft_errname(rc));
    }
    return argument;
}

TEST("a job that is being made while its runtime aborts all others is aborted, too")
{
    struct haft__os *table = change_os();
    table->allocate = late_allocate;
    table->futex_wait = late_futex_wait;
    late.runtime = haft_runtime_new(.workers = 1);
    check_ptr(late.runtime, !=, NULL);
    /* So that this thread needs nothing that the maker holds. */
    haft_handle first = haft_spawn(return_nothing, HAFT_NO_FRAME, .runtime = late.runtime);
    check_int(haft_join(&first), ==, 0);
    pthread_t maker = start(makes_until_late, NULL);
    await(&late.is_making);
    atomic_store(&late.is_closing, 1);
    is_closer = true;
    check_int(haft_runtime_drop(&late.runtime), ==, 0);
    is_closer = false;
    check_int(pthread_join(maker, NULL), ==, 0);
}

static int spawns_until_refused(void)
{
    for (;;) {
        haft_handle job = haft_spawn(wait_for_token);
        if (haft_error(job) != 0)
            return 0;
        check_int(haft_detach(&job), ==, 0);
    }
}

TEST("a runtime ends although a job of its own spawns others that wait, and never stops")
{
    for (size_t n = rounds(40, 4000); n > 0; n--) {
        haft_runtime *runtime = haft_runtime_new(.workers = 1 + (unsigned)(n % 3));
        check_ptr(runtime, !=, NULL);
        haft_handle spawner = haft_spawn(spawns_until_refused, HAFT_NO_FRAME, .runtime = runtime);
        check_int(haft_detach(&spawner), ==, 0);
        for (size_t i = 0; i < n % 8; i++)
            sched_yield();
        check_int(haft_runtime_drop(&runtime), ==, 0);
    }
}

static struct {
    atomic_int is_ready; /* 1: the handle is good, 2: that was all */
    haft_handle parked;
} woken;

static int parks_once(void)
{
    woken.parked = haft_self();
    atomic_store(&woken.is_ready, 1);
    return haft_park();
}

static void *wakes_from_outside(void *argument)
{
    for (;;) {
        await(&woken.is_ready);
        if (atomic_load(&woken.is_ready) == 2)
            return argument;
        haft_handle parked = woken.parked;
        atomic_store(&woken.is_ready, 0);
        check_int(haft_unpark(parked), ==, 0);
    }
}

TEST("whoever wakes a runtime's last task from outside may be slower than the end of that runtime")
{
    pthread_t waker = start(wakes_from_outside, NULL);
    for (size_t n = rounds(400, 20000); n > 0; n--)
        check_int(haft_run(parks_once, HAFT_NO_FRAME, .workers = 1 + (unsigned)(n % 3)), ==, 0);
    atomic_store(&woken.is_ready, 2);
    check_int(pthread_join(waker, NULL), ==, 0);
}

/* --- sets --------------------------------------------------------------------------------------------------------- */

static struct {
    haft_set *set;
    haft_handle waiting; /* the first member */
    atomic_int is_spawning, over;
} full;

static int spawns_into_the_full_set(void)
{
    atomic_store(&full.is_spawning, 1);
    return haft_set_spawn(full.set, return_nothing);
}

static int waits_unmoved(void)
{
    HAFT_SHIELD;
    full.waiting = haft_self();
    return haft_park();
}

/* One member that waits, two in the queue, and one more job that would add a fourth, and is returned. */
static haft_handle fill_set(void)
{
    full.set = haft_set_new(.limit = 1, .queue = 2);
    check_ptr(full.set, !=, NULL);
    check_int(haft_set_spawn(full.set, waits_unmoved), ==, 0);
    for (int i = 0; i < 2; i++)
        check_int(haft_set_spawn(full.set, return_nothing), ==, 0);
    haft_handle spawner = haft_spawn(spawns_into_the_full_set);
    until(atomic_load(&full.is_spawning));
    return spawner;
}

static int detaches_a_full_set(void)
{
    haft_handle spawner = fill_set();
    haft_set_detach_all(full.set);
    check_int(haft_join(&spawner), ==, 0);
    check_int(haft_unpark(full.waiting), ==, 0);
    haft_set_drop(&full.set);
    return 0;
}

TEST("haft_set_detach_all makes room for whoever waits to spawn")
{
    check_int(haft_run(detaches_a_full_set, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

static int aborts_a_full_set(void)
{
    haft_handle spawner = fill_set();
    haft_set_abort_all(full.set);
    check_int(haft_join(&spawner), ==, 0); /* the member waits on */
    check_int(haft_unpark(full.waiting), ==, 0);
    haft_set_drop(&full.set);
    return 0;
}

TEST("haft_set_abort_all makes room for whoever waits to spawn")
{
    check_int(haft_run(aborts_a_full_set, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

static int adds_jobs(void)
{
    for (size_t n = rounds(5000, 500000); n > 0; n--) {
        haft_handle job = haft_spawn(return_nothing);
        check_int(haft_set_add(full.set, &job), ==, 0);
        check_int(haft_yield(), ==, 0);
    }
    atomic_fetch_add(&full.over, 1);
    return 0;
}

static int detaches_while_others_add(void)
{
    full.set = haft_set_new();
    check_ptr(full.set, !=, NULL);
    haft_handle adders[] = { haft_spawn(adds_jobs), haft_spawn(adds_jobs) };
    while (atomic_load(&full.over) < 2) {
        haft_set_detach_all(full.set);
        check_int(haft_yield(), ==, 0);
    }
    check_int(haft_join_all(adders, 2, NULL), ==, 0);
    haft_set_drop(&full.set);
    return 0;
}

TEST("a job may end, be added to a set and be let go by that set, all at once")
{
    check_int(haft_run(detaches_while_others_add, HAFT_NO_FRAME, .workers = 3), ==, 0);
}

/* --- the pool ----------------------------------------------------------------------------------------------------- */

enum { CALLERS_REFUSED = 2 };
static haft_runtime *refusing;
static atomic_int refused_count;
static atomic_int is_refusing;

/* Refuses no call before all of them have asked. */
static int refused_thread(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                          void *argument)
{
    if (!atomic_load(&is_refusing))
        return haft__os_linux.thread_create(out, options, entry, argument);
    atomic_fetch_add(&refused_count, 1);
    while (atomic_load(&refused_count) < CALLERS_REFUSED)
        sched_yield();
    return -EAGAIN;
}

static void *calls_without_threads(void *argument)
{
    haft_handle call = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = HAFT_BLOCKING, .runtime = refusing);
    check_int(haft_join(&call), ==, HAFT_EAGAIN);
    return argument;
}

TEST("calls that ask at once for threads that there are not all end with HAFT_EAGAIN")
{
    change_os()->thread_create = refused_thread;
    refusing = haft_runtime_new(.workers = 1);
    check_ptr(refusing, !=, NULL);
    atomic_store(&is_refusing, 1);
    pthread_t threads[CALLERS_REFUSED];
    for (int i = 0; i < CALLERS_REFUSED; i++)
        threads[i] = start(calls_without_threads, NULL);
    for (int i = 0; i < CALLERS_REFUSED; i++)
        check_int(pthread_join(threads[i], NULL), ==, 0);
    atomic_store(&is_refusing, 0);
    haft_handle call = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = HAFT_BLOCKING, .runtime = refusing);
    check_int(haft_join(&call), ==, 0);
    check_int(haft_runtime_drop(&refusing), ==, 0);
}

static int leaves_its_thread(void)
{
    pthread_exit(NULL);
}

TEST("a blocking call that leaves by pthread_exit ends like one that panics, and the pool goes on")
{
    silence_panics();
    for (int i = 0; i < 3; i++) {
        haft_handle call = haft_spawn_blocking(leaves_its_thread);
        check_int(haft_join(&call), ==, HAFT_EPANIC);
        call = haft_spawn_blocking(return_nothing);
        check_int(haft_join(&call), ==, 0);
    }
}

/* --- what panics carry -------------------------------------------------------------------------------------------- */

enum { PANICKING = 4 };
static atomic_int payload_count;

/* Suspends, ends other jobs and makes new ones, whoever it is that drops. */
static void drop_payload_slowly(void *payload)
{
    check_ptr(payload, ==, &payload_count);
    check_int(haft_yield(), ==, 0);
    haft_handle other = haft_spawn(haft_yield);
    check_int(haft_join(&other), ==, 0);
    atomic_fetch_add(&payload_count, 1);
}

static int panics_with_payload(void)
{
    check_int(haft_yield(), ==, 0);
    haft_panic_with(&payload_count, drop_payload_slowly);
}

static int takes_many_panics(void)
{
    size_t n = rounds(500, 20000);
    for (size_t i = 0; i < n; i++) {
        int code = 0;
        {
            HAFT_SCOPE(scope, .result = &code, .on_error = HAFT_ON_ERROR_WAIT);
            for (int k = 0; k < PANICKING; k++)
                check_int(haft_scope_spawn(scope, panics_with_payload), ==, 0);
        }
        check_int(code, ==, HAFT_EPANIC);
        check_int(atomic_load(&payload_count), ==, (intmax_t)(i + 1) * PANICKING);
    }
    return 0;
}

TEST("what the children of a scope panicked with is dropped once each, and dropping it may take its time")
{
    silence_panics();
    check_int(haft_run(takes_many_panics, HAFT_NO_FRAME, .workers = 2), ==, 0);
}
