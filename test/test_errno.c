/* SPDX-License-Identifier: MIT
 *
 * errno across a suspension after which the task goes on in another thread, and what .pinned keeps. Why a measure is
 * needed: docs/errno.md. */
#include <haft/haft.h>

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "callers.h"

TEST_FILE_NEEDS_KERNEL("simulated threads have the errno of the one that they run in");

static long thread_id(void)
{
    return syscall(SYS_gettid);
}

/* --- moving ------------------------------------------------------------------------------------------------------- */

/* Wakes the mover and holds on to its own worker until the mover has gone on: that can then only be elsewhere. */
static int holds_a_worker(const haft_handle *mover)
{
    check_int(haft_unpark(*mover), ==, 0);
    while (!haft_is_aborted())
        sched_yield();
    return 0;
}

/* Suspends until the calling task runs in another thread, and does not suspend again: a wait for the holder's end would
 * lead back to the holder's worker. */
static __attribute__((noinline)) void move_to_another_thread(void)
{
    long before = thread_id();
    do {
        haft_handle self = haft_self(), h = haft_spawn(holds_a_worker, &self);
        check_int(haft_park(), ==, 0);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_detach(&h), ==, 0);
    } while (thread_id() == before);
}

/* --- errno -------------------------------------------------------------------------------------------------------- */

/* All in one function, where a compiler may keep an address. */
static int reads_errno_on_two_threads(void)
{
    errno = EXDEV;
    move_to_another_thread();
    check_int(errno, ==, EXDEV); /* it came along */
    check_int(close(-1), ==, -1);
    check_int(errno, ==, EBADF); /* and is the one that the C library sets here */
    errno = 0;
    move_to_another_thread();
    check_int(errno, ==, 0);
    check_int(close(-1), ==, -1);
    return errno;
}

TEST("errno is right on both sides of a suspension after which the task runs in another thread")
{
    size_t n = rounds(20, 2000);
    for (size_t i = 0; i < n; i++)
        check_int(haft_run(reads_errno_on_two_threads, HAFT_NO_FRAME, .workers = 2 + (unsigned)(i % 2)), ==, EBADF);
}

static int leaves_errno_behind(void)
{
    errno = ENOTTY;
    move_to_another_thread();
    return 0;
}

static int looks_at_errno(void)
{
    errno = 0;
    move_to_another_thread();
    haft_handle h = haft_spawn(leaves_errno_behind);
    for (int i = 0; i < 10; i++)
        check_int(haft_yield(), ==, 0);
    int rc = haft_join(&h);
    check_int(errno, ==, 0);
    return rc;
}

TEST("the errno of one task is not another's, though they share threads")
{
    size_t n = rounds(20, 2000);
    for (size_t i = 0; i < n; i++)
        check_int(haft_run(looks_at_errno, HAFT_NO_FRAME, .workers = 2), ==, 0);
}

/* --- pinned jobs -------------------------------------------------------------------------------------------------- */

static _Thread_local int of_this_thread;

struct pinned {
    int id;
    _Atomic int *left;
};

static int keeps_its_thread(struct pinned *f)
{
    /* By the address of the first moment, as a compiler would. */
    int *mine = &of_this_thread;
    long thread = thread_id();
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    check_int(pthread_mutexattr_init(&attributes), ==, 0);
    check_int(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK), ==, 0);
    check_int(pthread_mutex_init(&mutex, &attributes), ==, 0);
    for (int i = 0; i < 100; i++) {
        check_int(pthread_mutex_lock(&mutex), ==, 0);
        *mine = f->id;
        check_int(i % 10 == 9 ? haft_sleep(10 * HAFT_US) : haft_yield(), ==, 0);
        check_int(thread_id(), ==, thread);
        check_ptr(&of_this_thread, ==, mine);
        check_int(pthread_mutex_unlock(&mutex), ==, 0); /* refused in another thread */
    }
    check_int(pthread_mutex_destroy(&mutex), ==, 0);
    check_int(pthread_mutexattr_destroy(&attributes), ==, 0);
    atomic_fetch_sub(f->left, 1);
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "a pinned job stays in one thread: thread-locals stay its, and locks that a thread owns can be released")
{
    enum { N = 12 };
    haft_handle hs[N];
    _Atomic int left = N;
    for (int i = 0; i < N; i++) {
        struct pinned f = { .id = i, .left = &left };
        hs[i] = haft_spawn(keeps_its_thread, &f, .pinned = true, .kind = i % 4 == 3 ? HAFT_THREAD : HAFT_TASK);
    }
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(atomic_load(&left), ==, 0);
}

static int is_alone_with_its_thread(struct pinned *f)
{
    of_this_thread = f->id;
    for (int i = 0; i < 200; i++) {
        check_int(haft_yield(), ==, 0);
        check_int(of_this_thread, ==, f->id);
    }
    of_this_thread = 0;
    return 0;
}

static int runs_one_pinned_job(void)
{
    _Atomic int left = 1;
    struct pinned f = { .id = 7, .left = &left };
    haft_handle h = haft_spawn(is_alone_with_its_thread, &f, .pinned = true);
    haft_handle others[8];
    for (int i = 0; i < 8; i++)
        others[i] = haft_spawn(return_nothing);
    for (int i = 0; i < 8; i++)
        check_int(haft_join(&others[i]), ==, 0);
    return haft_join(&h);
}

TEST("what a pinned job keeps in a thread-local is there after every suspension")
{
    for (unsigned workers = 1; workers <= 3; workers++)
        check_int(haft_run(runs_one_pinned_job, HAFT_NO_FRAME, .workers = workers), ==, 0);
}
