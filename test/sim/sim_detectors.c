/* SPDX-License-Identifier: MIT
 *
 * Each of the simulator's detectors, with a program that it must report and a near miss that it must not. */
#include <haft/haft.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "callers.h"
#include "job/job.h"
#include "sched/queue.h"
#include "sim.h"

/* --- failed ------------------------------------------------------------------------------------------------------- */

static int expects(int *expected)
{
    check_int(1 + 1, ==, *expected);
    return 0;
}

TEST_FINDS("an assertion that fails in a task is told with its place", SIM_FAILED, "sim_detectors.c:")
{
    haft_handle h = haft_spawn(expects, &(int){ 3 });
    (void)haft_join(&h);
}

TEST("an assertion that holds in a task is not")
{
    haft_handle h = haft_spawn(expects, &(int){ 2 });
    check_int(haft_join(&h), ==, 0);
}

TEST_FINDS("a fault is told with the thread and the place where it was last", SIM_FAILED, "signal 6 in thread t")
{
    abort();
}

/* --- deadlock ----------------------------------------------------------------------------------------------------- */

TEST_FINDS("a task that waits for ever, and who joins it, are told as a deadlock", SIM_DEADLOCK, "waits for its token")
{
    haft_handle h = haft_spawn(wait_for_token);
    (void)haft_join(&h);
}

static int unparks_much_later(haft_handle *h)
{
    int rc = haft_sleep(1000 * HAFT_S);
    return rc != 0 ? rc : haft_unpark(*h);
}

TEST("a task that is woken in a quarter of an hour is not")
{
    haft_handle h = haft_spawn(wait_for_token);
    haft_handle waker = haft_spawn(unparks_much_later, &h);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_join(&waker), ==, 0);
}

static pthread_t first;
static haft__atomic(uint32_t) word;

static void *joins_the_first(void *argument)
{
    (void)argument;
    return pthread_join(first, NULL) == 0 ? NULL : &first;
}

static void *joins_a_second(void *argument)
{
    pthread_t second;
    check_int(pthread_create(&second, NULL, argument != NULL ? joins_the_first : joins_a_second, NULL), ==, 0);
    return pthread_join(second, NULL) == 0 ? NULL : &first;
}

TEST_FINDS("two threads that join each other are told as a deadlock", SIM_DEADLOCK, "joins t")
{
    check_int(pthread_create(&first, NULL, joins_a_second, &word), ==, 0);
    check_int(pthread_join(first, NULL), ==, 0);
}

static void *ends(void *argument)
{
    return argument;
}

static void *joins_one_that_ends(void *argument)
{
    pthread_t second;
    check_int(pthread_create(&second, NULL, ends, argument), ==, 0);
    check_int(pthread_join(second, NULL), ==, 0);
    return argument;
}

TEST("a thread that joins one that ends is not")
{
    check_int(pthread_create(&first, NULL, joins_one_that_ends, NULL), ==, 0);
    check_int(pthread_join(first, NULL), ==, 0);
}

/* --- lost wake-ups ------------------------------------------------------------------------------------------------ */

static bool wakes;

static void *changes_the_word(void *argument)
{
    usleep(1000);
    haft__store_release(&word, 1);
    if (wakes)
        haft__os->futex_wake(&word, 1);
    return argument;
}

static void sleep_on_a_word(int64_t span)
{
    pthread_t thread;
    haft__store_relaxed(&word, 0);
    check_int(pthread_create(&thread, NULL, changes_the_word, NULL), ==, 0);
    while (haft__load_acquire(&word) == 0)
        (void)haft__os->futex_wait(&word, 0, span == INT64_MAX ? span : haft__os->now() + span);
    check_int(pthread_join(thread, NULL), ==, 0);
}

TEST_FINDS("who sleeps on a word that was changed without a wake is told", SIM_LOST_WAKE_UP, "sleeps on a word")
{
    sleep_on_a_word(INT64_MAX);
}

TEST_FINDS("even if a deadline would end the sleep", SIM_LOST_WAKE_UP, "sleeps on a word")
{
    sleep_on_a_word(HAFT_S);
}

TEST("who is woken after the change is not")
{
    wakes = true;
    sleep_on_a_word(INT64_MAX);
    sleep_on_a_word(100 * HAFT_US); /* wakes for nothing a few times before */
}

static haft__job *parked_job(haft_handle h)
{
    haft__job *job = haft__job_of_handle(&h);
    while (!haft__word_is_parked(haft__load_acquire(&job->record.word)))
        sched_yield();
    return job;
}

TEST_FINDS("a parked task that was aborted and not woken is told", SIM_LOST_WAKE_UP, "it was aborted")
{
    haft_handle h = haft_spawn(wait_for_token);
    haft__job_mark_aborted(&parked_job(h)->record, h.id_);
    (void)haft_join(&h);
}

static int waits_behind_a_shield(void)
{
    HAFT_SHIELD;
    return haft_park();
}

TEST("one that was aborted behind a shield is not")
{
    haft_handle h = haft_spawn(waits_behind_a_shield);
    parked_job(h);
    check_int(haft_abort(h), ==, 0);
    check_int(haft_sleep(HAFT_S), ==, 0);
    check_int(haft_unpark(h), ==, 0);
    check_int(haft_join(&h), ==, 0);
}

static void *ends_it_in_silence(void *argument)
{
    haft__job *job = argument;
    while ((haft__load_acquire(&job->record.state) & HAFT__CLAIMED) == 0)
        sched_yield();
    usleep(1000);
    haft__fetch_or_acq_rel(&job->record.state, HAFT__DONE);
    return NULL;
}

TEST_FINDS("who joins a job that has ended without a wake is told", SIM_LOST_WAKE_UP, "what it joins has ended")
{
    pthread_t thread;
    haft_handle h = haft_spawn(wait_for_token);
    check_int(pthread_create(&thread, NULL, ends_it_in_silence, parked_job(h)), ==, 0);
    (void)haft_join(&h);
}

TEST("who joins several of which some have ended is not")
{
    haft_handle hs[3] = { haft_spawn(return_nothing), haft_spawn(wait_for_token), haft_spawn(return_nothing) };
    haft_handle waker = haft_spawn(unparks_much_later, &hs[1]);
    int rcs[3];
    check_int(haft_join_all(hs, 3, rcs), ==, 0);
    check_int(haft_join(&waker), ==, 0);
}

static int waits_for_the_word(void)
{
    while (haft__load_acquire(&word) == 0)
        if (haft_sleep(HAFT_MS) != 0)
            return 1;
    return 0;
}

TEST_FINDS("a task in a queue while all workers sleep is told", SIM_LOST_WAKE_UP, "a task waits in the injection queue")
{
    haft_runtime *runtime = haft_runtime_new(.workers = 2);
    check_ptr(runtime, !=, NULL);
    check_int(haft_sleep(HAFT_S), ==, 0); /* they sleep by now */
    const haft_spawn_options options = { .size_ = sizeof options, .runtime = runtime };
    const haft__job_spec spec = { .body = (haft_fn *)(void (*)(void))waits_for_the_word, .options = &options };
    haft__job *job;
    check_int(haft__job_make(&spec, &job), ==, 0);
    haft__injection_append(&runtime->sched, &job->record, &job->record, 1);
    check_int(haft_sleep(HAFT_S), ==, 0);
}

TEST("a task that sleeps while all workers do is not")
{
    haft_runtime *runtime = haft_runtime_new(.workers = 2);
    check_ptr(runtime, !=, NULL);
    haft__store_relaxed(&word, 0);
    haft_handle h = haft_spawn(waits_for_the_word, HAFT_NO_FRAME, .runtime = runtime);
    check_int(haft_sleep(100 * HAFT_MS), ==, 0);
    haft__store_release(&word, 1);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_runtime_drop(&runtime), ==, 0);
}

/* --- leaks -------------------------------------------------------------------------------------------------------- */

TEST_FINDS("a job that was never joined is told", SIM_LEAK, "task")
{
    haft_handle h = haft_spawn(return_nothing);
    (void)h;
}

TEST("one that was detached is not")
{
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_detach(&h), ==, 0);
}

TEST_FINDS("a thread that was never joined is told", SIM_LEAK, "which nobody joined")
{
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, ends, NULL), ==, 0);
}

TEST("one that was detached and ends last is not")
{
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, changes_the_word, NULL), ==, 0);
    check_int(pthread_detach(thread), ==, 0);
}

TEST_FINDS("a runtime that was not ended is told", SIM_LEAK, "haft-worker")
{
    haft_runtime *runtime = haft_runtime_new(.workers = 2);
    check_ptr(runtime, !=, NULL);
}

static void *volatile kept;

TEST_FINDS("memory that nobody points to is told", SIM_LEAK, "123 bytes of memory")
{
    /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): it is to be forgotten */
    void *volatile memory = haft__os->allocate(123, 8);
    memory = NULL;
    (void)memory;
}

TEST("memory that is kept, directly or through other memory, is not")
{
    void **outer = haft__os->allocate(sizeof *outer, 8);
    check_ptr(outer, !=, NULL);
    *outer = haft__os->allocate(123, 8);
    kept = outer;
}

/* --- livelocks ---------------------------------------------------------------------------------------------------- */

static _Atomic bool go_on;

static void *says_go_on(void *argument)
{
    usleep(2000000);
    atomic_store(&go_on, true);
    return argument;
}

TEST_FINDS("who waits in a loop for what nobody does is told", SIM_LIVELOCK, "still running after")
{
    sim_limit_steps(200000);
    while (!atomic_load(&go_on))
        sched_yield();
}

TEST("who waits in a loop for what comes two seconds later is not")
{
    pthread_t thread;
    sim_limit_steps(2000000);
    check_int(pthread_create(&thread, NULL, says_go_on, NULL), ==, 0);
    while (!atomic_load(&go_on))
        ;
    check_int(pthread_join(thread, NULL), ==, 0);
}

/* --- misuse ------------------------------------------------------------------------------------------------------- */

TEST_FINDS("memory that is written after its release is told", SIM_MISUSE, "byte 5 of a released block of 40 bytes")
{
    char *volatile memory = haft__os->allocate(40, 8);
    haft__os->release(memory);
    memory[5] = 1;
}

TEST_FINDS("memory that is written behind its end is told", SIM_MISUSE, "behind a block of 40 bytes")
{
    char *volatile memory = haft__os->allocate(40, 8);
    memory[40] = 1;
    haft__os->release(memory);
}

TEST("memory that is written to its last byte, and released, is not")
{
    for (int i = 0; i < 200; i++) {
        char *volatile memory = haft__os->allocate(40, 8);
        for (int k = 0; k < 40; k++)
            memory[k] = (char)i;
        haft__os->release(memory);
    }
}

TEST_FINDS("memory that is released twice is told", SIM_MISUSE, "released that is not allocated")
{
    void *volatile memory = haft__os->allocate(40, 8);
    haft__os->release(memory);
    haft__os->release(memory);
}

static void returns_at_once(void *argument)
{
    (void)argument;
}

TEST_FINDS("a thread that is joined twice is told", SIM_MISUSE, "was joined")
{
    haft__os_thread thread;
    check_int(haft__os->thread_create(&thread, NULL, returns_at_once, NULL), ==, 0);
    haft__os->thread_join(thread);
    haft__os->thread_join(thread);
}

TEST("one that is joined once is not")
{
    haft__os_thread thread;
    check_int(haft__os->thread_create(&thread, NULL, returns_at_once, NULL), ==, 0);
    haft__os->thread_join(thread);
}
