/* SPDX-License-Identifier: MIT
 *
 * Clocks that jump. The wall clock may be set at any time: nothing in haft asks it. The monotonic clock may jump forward, when
 * a virtual machine goes on after hours: what is due then is due once. A table in front of Linux adds the jump to its
 * clock and takes it off deadlines; sleeps on a word are cut into short ones, so that they see it. */
#include <haft/haft.h>

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "channels.h"
#include "os/os.h"

TEST_FILE_NEEDS_KERNEL("it is about the kernel's clocks");

/* --- the wall clock ----------------------------------------------------------------------------------------------- */

static _Atomic bool watches_clocks;
static _Atomic unsigned asked_wall_clock;

/* In the place of the C library's, for the whole program: years back and forth with every question, once it is watched. */
int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    long rc = syscall(SYS_clock_gettime, clock_id, tp);
    if (rc == 0 && clock_id != CLOCK_MONOTONIC && atomic_load(&watches_clocks))
        tp->tv_sec += (atomic_fetch_add(&asked_wall_clock, 1) % 2 == 0 ? -1 : 1) * (time_t)100000000;
    return rc == 0 ? 0 : -1;
}

static int waits_a_little(void)
{
    HAFT_TIMEOUT(3 * HAFT_MS);
    return haft_park();
}

static int sleeps_and_ticks(void)
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, HAFT_MS), ==, 0);
    for (int i = 0; i < 4; i++)
        check_int(haft_ticker_wait(&t), ==, 0);
    check_int(haft_sleep(HAFT_MS), ==, 0);
    return haft_select(HAFT_ON_TIMEOUT(HAFT_MS));
}

TEST("the wall clock may be set while jobs wait: nothing asks it")
{
    atomic_store(&watches_clocks, true);
    haft_runtime *runtime = haft_runtime_new(.workers = 2);
    check_ptr(runtime, !=, NULL);
    for_each_kind(kind)
        for (int i = 0; i < 3; i++) {
            int64_t before = haft_now();
            haft_handle h = haft_spawn(waits_a_little, HAFT_NO_FRAME, .kind = kind, .runtime = runtime);
            check_int(haft_join(&h), ==, HAFT_ETIMEDOUT);
            h = haft_spawn(sleeps_and_ticks, HAFT_NO_FRAME, .kind = kind, .runtime = runtime);
            check_int(haft_join(&h), ==, 0);
            check_int(haft_now() - before, >=, 8 * HAFT_MS);
            check_int(haft_now() - before, <, 1000 * HAFT_S);
        }
    check_int(haft_runtime_drop(&runtime), ==, 0);
    atomic_store(&watches_clocks, false);
#ifndef __SANITIZE_ADDRESS__ /* whose own interceptors may come first */
    check_uint(atomic_load(&asked_wall_clock), ==, 0);
#endif
}

/* --- the monotonic clock ------------------------------------------------------------------------------------------ */

static struct haft__os os;
static _Atomic int64_t jumped;
static _Atomic uint64_t sleeps, questions;

static int64_t jumping_now(void)
{
    atomic_fetch_add(&questions, 1);
    return haft__os_linux.now() + atomic_load(&jumped);
}

static int jumping_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    atomic_fetch_add(&sleeps, 1);
    for (;;) {
        int64_t now = haft__os_linux.now(), end = now + HAFT_MS;
        bool is_last = deadline != INT64_MAX && deadline - atomic_load(&jumped) <= end;
        int rc = haft__os_linux.futex_wait(word, expected, is_last ? deadline - atomic_load(&jumped) : end);
        /* A word that has changed between two sleeps ends the second at once. */
        if (rc != -ETIMEDOUT || is_last)
            return rc;
    }
}

#define HOUR (3600 * HAFT_S)

struct waiter {
    struct ends *ends;
    _Atomic int *begun;
    int way;
};

enum { WAYS = 8 };

/* Each waits for something that would be due in an hour or two, and is over at once after the jump. */
static int waits_for_hours(const struct waiter *w)
{
    haft_sem none = HAFT_SEM_INIT(0);
    haft_event never = HAFT_EVENT_INIT;
    haft_ticker t;
    int value;
    atomic_fetch_add(w->begun, 1);
    switch (w->way) {
    case 0:
        return haft_sleep(HOUR);
    case 1: {
        HAFT_TIMEOUT(HOUR);
        return haft_park() == HAFT_ETIMEDOUT ? 0 : 1;
    }
    case 2: {
        HAFT_TIMEOUT(2 * HOUR);
        return haft_recv(&w->ends->rx, &value) == HAFT_ETIMEDOUT ? 0 : 1;
    }
    case 3:
        return haft_select(HAFT_ON_RECV(&w->ends->rx, &value), HAFT_ON_TIMEOUT(HOUR)) == 1 ? 0 : 1;
    case 4: {
        HAFT_TIMEOUT(HOUR);
        return haft_sem_acquire(&none) == HAFT_ETIMEDOUT ? 0 : 1;
    }
    case 5: {
        HAFT_TIMEOUT(HOUR);
        return haft_event_wait(&never) == HAFT_ETIMEDOUT ? 0 : 1;
    }
    case 6:
        if (haft_ticker_start(&t, HOUR, .missed = HAFT_TICK_SKIP) != 0 || haft_ticker_wait(&t) != 0)
            return 1;
        return haft_ticker_wait(&t);
    default: {
        HAFT_TIMEOUT(HOUR);
        return haft_sleep(100 * HOUR) == HAFT_ETIMEDOUT ? 0 : 1;
    }
    }
}

struct state {
    int n;
};

static _Atomic int after, every;

static int counts_after(struct state *s)
{
    (void)s;
    return atomic_fetch_add(&after, 1) & 0;
}

static int counts_every(struct state *s)
{
    (void)s;
    return atomic_fetch_add(&every, 1) & 0;
}

static void jumps_while_they_wait(unsigned workers)
{
    enum { N = KINDS * WAYS };
    haft_runtime *runtime = haft_runtime_new(.workers = workers);
    check_ptr(runtime, !=, NULL);
    struct ends ends = channel_of(1);
    HAFT_ACTOR(struct state) actor;
    check_int(haft_actor_start(&actor, &(struct state){ 0 }, .runtime = runtime), ==, 0);
    int fired_before = atomic_load(&after), every_before = atomic_load(&every);
    check_int(haft_actor_after(&actor, HOUR, counts_after, HAFT_NO_FRAME), ==, 0);
    check_int(haft_actor_every(&actor, HOUR, counts_every, HAFT_NO_FRAME), ==, 0);
    _Atomic int begun = 0;
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(waits_for_hours, (&(struct waiter){ &ends, &begun, i % WAYS }), .runtime = runtime,
                           .kind = (haft_kind)(i / WAYS));
    until(atomic_load(&begun) == N);
    poll(NULL, 0, 5); /* most wait by now, in sleeps that the jump cuts short; the others find their deadline passed */
    uint64_t sleeps_before = atomic_load(&sleeps), questions_before = atomic_load(&questions);
    atomic_fetch_add(&jumped, 5 * HOUR + HAFT_S);
    for (int i = 0; i < N; i++)
        check_msg(haft_join(&hs[i]) == 0, "job %d did not end as it should", i);
    while (atomic_load(&after) == fired_before || atomic_load(&every) == every_before)
        poll(NULL, 0, 1);
    poll(NULL, 0, 20);
    check_int(atomic_load(&after), ==, fired_before + 1);
    check_int(atomic_load(&every), ==, every_before + 1);
    /* Nobody asks the clock, or goes to sleep, again and again: a storm would do so a million times. */
    check_uint(atomic_load(&sleeps) - sleeps_before, <, 20000);
    check_uint(atomic_load(&questions) - questions_before, <, 100000);
    check_int(haft_actor_join(&actor), ==, 0);
    drop_ends(&ends);
    check_int(haft_runtime_drop(&runtime), ==, 0);
}

TEST("a clock that jumps by hours ends each wait that is due once, and nothing storms")
{
    os = haft__os_linux;
    os.now = jumping_now;
    os.futex_wait = jumping_futex_wait;
    haft__os_replace(&os);
    for (unsigned workers = 1; workers <= 3; workers++)
        jumps_while_they_wait(workers);
}
