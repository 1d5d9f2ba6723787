/* SPDX-License-Identifier: MIT
 *
 * The simulated world itself: what a thread has of its own, what time does, what faults are.
 * That a run is determined by its seed is shown by bugs.sh. */
#include <haft/haft.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "callers.h"
#include "os/os.h"
#include "sim.h"

/* --- threads ------------------------------------------------------------------------------------------------------ */

enum { THREADS = 4 };

static _Thread_local int own = 7;
static _Thread_local char own_zeros[100];

static void *counts_in_its_own(void *argument)
{
    check_int(own, ==, 7);
    for (int i = 0; i < 100; i++) {
        check_int(own_zeros[i], ==, 0);
        own++;
        own_zeros[i] = 1;
        sched_yield();
    }
    check_int(own, ==, 107);
    return argument;
}

static void with_threads(void *(*body)(void *))
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        check_int(pthread_create(&threads[i], NULL, body, NULL), ==, 0);
    for (int i = 0; i < THREADS; i++)
        check_int(pthread_join(threads[i], NULL), ==, 0);
}

TEST("each thread has its own thread-local variables")
{
    with_threads(counts_in_its_own);
    check_int(own, ==, 7);
}

static void *keeps_its_errno(void *argument)
{
    for (int i = 1; i < 50; i++) {
        errno = i;
        sched_yield();
        check_int(errno, ==, i);
    }
    return argument;
}

TEST("each thread has its own errno")
{
    with_threads(keeps_its_errno);
}

static pthread_key_t key, other_key;
static _Atomic int destroyed;
static _Thread_local int step;

static void is_destroyed(void *value)
{
    check_ptr(value, ==, &own);
    check_int(step++, ==, 0);
    check_int(pthread_setspecific(other_key, &own), ==, 0); /* for the next round */
}

static void is_destroyed_later(void *value)
{
    check_ptr(value, ==, &own);
    check_int(step++, ==, 1);
}

static void is_destroyed_last(void *value)
{
    check_ptr(value, ==, &own_zeros);
    check_int(step++, ==, 2);
    atomic_fetch_add(&destroyed, 1);
}

static void *has_values(void *argument)
{
    check_int(pthread_setspecific(key, &own), ==, 0);
    check_ptr(pthread_getspecific(key), ==, &own);
    check_int(haft__os->thread_at_exit(is_destroyed_last, &own_zeros), ==, 0);
    return argument;
}

TEST("a thread's destructors run at its end, those that others set later, the library's last")
{
    check_int(pthread_key_create(&key, is_destroyed), ==, 0);
    check_int(pthread_key_create(&other_key, is_destroyed_later), ==, 0);
    sim_fault_rates[SIM_EXIT] = 0;
    with_threads(has_values);
    check_int(atomic_load(&destroyed), ==, THREADS);
    check_int(pthread_key_delete(key), ==, 0);
    check_int(pthread_key_delete(other_key), ==, 0);
}

static void *leaves_from_within(void *argument)
{
    pthread_exit(&own_zeros);
    return argument;
}

TEST("a thread may leave by pthread_exit")
{
    pthread_t thread;
    void *result = NULL;
    check_int(pthread_create(&thread, NULL, leaves_from_within, NULL), ==, 0);
    check_int(pthread_join(thread, &result), ==, 0);
    check_ptr(result, ==, &own_zeros);
}

static pthread_barrier_t barrier;
static _Atomic int arrived;

static void *meets_the_others(void *argument)
{
    for (int round = 1; round <= 10; round++) {
        atomic_fetch_add(&arrived, 1);
        (void)pthread_barrier_wait(&barrier);
        check_int(atomic_load(&arrived), >=, round * THREADS);
        (void)pthread_barrier_wait(&barrier);
    }
    return argument;
}

TEST("a barrier holds until all have come")
{
    check_int(pthread_barrier_init(&barrier, NULL, THREADS), ==, 0);
    with_threads(meets_the_others);
    check_int(pthread_barrier_destroy(&barrier), ==, 0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int guarded;

static void *takes_its_turn(void *argument)
{
    for (int i = 0; i < 20; i++) {
        check_int(pthread_mutex_lock(&mutex), ==, 0);
        int before = guarded;
        sched_yield();
        guarded = before + 1;
        check_int(pthread_mutex_unlock(&mutex), ==, 0);
    }
    return argument;
}

TEST("a mutex lets one in")
{
    with_threads(takes_its_turn);
    check_int(guarded, ==, 20 * THREADS);
}

/* --- orders ------------------------------------------------------------------------------------------------------- */

static haft__atomic(int) counter;

static void *counts_without_care(void *argument)
{
    for (int i = 0; i < 3; i++)
        haft__store_relaxed(&counter, haft__load_relaxed(&counter) + 1);
    return argument;
}

/* Whether one run loses an increment depends on its seed. */
TEST("increments in two steps are between three and all")
{
    with_threads(counts_without_care);
    int n = haft__load_relaxed(&counter);
    check_int(n, >=, 2);
    check_int(n, <=, 3 * THREADS);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

TEST("a sleep of a day is over at once, and the clock has gone on by a day")
{
    const int64_t hour = 3600 * HAFT_S;
    int64_t before = haft_now();
    check_int(haft_sleep(24 * hour), ==, 0);
    check_int(haft_now() - before, >=, 24 * hour);
    check_int(haft_now() - before, <, 25 * hour);
}

static int sleeps(int64_t *span)
{
    return haft_sleep(*span);
}

TEST("sleepers wake in the order of their times")
{
    enum { N = 5 };
    haft_set *set = haft_set_new();
    for (int i = 0; i < N; i++)
        check_int(haft_set_spawn(set, sleeps, &(int64_t){ (N - i) * HAFT_S }), ==, 0);
    int64_t last = 0, span;
    while (haft_set_next(set, &span, NULL) == 0) {
        check_int(span, >, last);
        last = span;
    }
    haft_set_drop(&set);
}

/* --- faults ------------------------------------------------------------------------------------------------------- */

TEST("faults come when they are asked for, and only then")
{
    for (int kind = 0; kind < SIM_FAULTS; kind++)
        sim_fault_rates[kind] = 0;
    uint64_t before = sim_fault_counts[SIM_ALLOCATION];
    for (int i = 0; i < 100; i++) {
        void *memory = haft__os->allocate(8, 8);
        check_ptr(memory, !=, NULL);
        haft__os->release(memory);
    }
    check_uint(sim_fault_counts[SIM_ALLOCATION], ==, before);
    sim_fault_rates[SIM_ALLOCATION] = 4;
    int refused = 0;
    for (int i = 0; i < 200; i++) {
        void *memory = haft__os->allocate(8, 8);
        refused += memory == NULL;
        haft__os->release(memory);
    }
    sim_fault_rates[SIM_ALLOCATION] = 0;
    check_int(refused, >, 10);
    check_int(refused, <, 100);
    check_uint(sim_fault_counts[SIM_ALLOCATION], ==, before + (uint64_t)refused);
}

static void returns(void *argument)
{
    (void)argument;
}

TEST("threads and mappings are refused when that is asked for")
{
    haft__os_thread thread;
    sim_fault_rates[SIM_THREAD] = 1;
    check_int(haft__os->thread_create(&thread, NULL, returns, NULL), ==, -EAGAIN);
    sim_fault_rates[SIM_THREAD] = 0;
    sim_fault_rates[SIM_MAPPING] = 1;
    check_ptr(haft__os->map(haft__os->page_size()), ==, NULL);
    sim_fault_rates[SIM_MAPPING] = 0;
}
