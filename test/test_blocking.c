/* SPDX-License-Identifier: MIT
 *
 * The pool for calls that block: they hold up no worker, they are waited for in place, and once begun they complete. */
#include <haft/haft.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "callers.h"
#include "os/os.h"

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

/* A frame that is lent. */
struct lent {
    const void *seen_at;
    int thread;
    int code;
    bool panics;
};

static int notes_itself(struct lent *f)
{
    f->seen_at = f;
    f->thread = thread_id();
    if (f->panics)
        haft_panic("in the pool");
    return f->code;
}

TEST_FROM_EVERY_CALLER("haft_blocking lends its frame, waits in place and returns the body's code")
{
    static const int codes[] = { 0, 5, -5, HAFT_ECANCELED, HAFT_EPANIC };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct lent f = { .code = codes[i] };
        check_int(haft_blocking(notes_itself, &f), ==, codes[i]);
        check_ptr(f.seen_at, ==, &f);
        check_int(f.thread, >, 0);
    }
    check_int(haft_blocking(return_nothing, HAFT_NO_FRAME), ==, 0);
}

TEST_FROM_EVERY_CALLER("a panic in the pool is the caller's error")
{
    silence_panics();
    struct lent f = { .panics = true };
    check_int(haft_blocking(notes_itself, &f), ==, HAFT_EPANIC);
    check_ptr(f.seen_at, ==, &f);
}

TEST("from a plain thread haft_blocking is an ordinary call")
{
    struct lent f = { .code = 3 };
    check_int(haft_blocking(notes_itself, &f), ==, 3);
    check_int(f.thread, ==, thread_id());
}

struct gate {
    _Atomic int *entered, *open;
};

/* Blocks its thread, as a call to the system would. */
static int blocks(struct gate *g)
{
    atomic_fetch_add(g->entered, 1);
    while (!atomic_load(g->open))
        sched_yield();
    return 11;
}

static int calls_and_waits(struct gate *g)
{
    return haft_blocking(blocks, g);
}

static int opens(struct gate *g)
{
    while (!atomic_load(g->entered))
        check_int(haft_yield(), ==, 0);
    atomic_store(g->open, 1);
    return 0;
}

static int blocks_beside_others(void)
{
    _Atomic int entered = 0, open = 0;
    struct gate g = { &entered, &open };
    haft_handle opener = haft_spawn(opens, &g);
    check_int(haft_blocking(blocks, &g), ==, 11);
    check_int(haft_join(&opener), ==, 0);
    return 0;
}

TEST("a call that blocks does not hold up the only worker")
{
    check_int(haft_run(blocks_beside_others, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

TEST_FROM_EVERY_CALLER("the pool grows: many calls block at once, and all are in there together")
{
    enum { N = 100 };
    int n = test_slowness() > 1 ? 20 : N;
    _Atomic int entered = 0, open = 0;
    struct gate g = { &entered, &open };
    haft_handle hs[N];
    for (int i = 0; i < n; i++)
        hs[i] = i % 2 == 0 ? haft_spawn_blocking(blocks, &g) : haft_spawn(calls_and_waits, &g);
    until(atomic_load(&entered) == n);
    atomic_store(&open, 1);
    for (int i = 0; i < n; i++)
        check_int(haft_join(&hs[i]), ==, 11);
}

TEST_LONG("more calls than the pool has threads for wait their turn")
{
    size_t n = rounds(600, 3000);
    _Atomic int entered = 0, open = 0;
    struct gate g = { &entered, &open };
    haft_handle *hs = malloc(n * sizeof *hs);
    check_ptr(hs, !=, NULL);
    for (size_t i = 0; i < n; i++) {
        hs[i] = haft_spawn_blocking(blocks, &g);
        check_int(haft_error(hs[i]), ==, 0);
    }
    size_t in_there = n < 512 ? n : 512;
    until(atomic_load(&entered) >= (int)in_there);
    for (int i = 0; i < 100; i++)
        check_int(haft_yield(), ==, 0);
    check_int(atomic_load(&entered), <=, 512);
    atomic_store(&open, 1);
    for (size_t i = 0; i < n; i++)
        check_int(haft_join(&hs[i]), ==, 11);
    check_int(atomic_load(&entered), ==, n);
    free(hs);
}

/* As many as the pool has threads at most, so that what comes after them cannot begin. */
enum { POOL = 512 };

static haft_handle pool_is_full[POOL];

static void fill_the_pool(struct gate *g)
{
    for (int i = 0; i < POOL; i++) {
        pool_is_full[i] = haft_spawn_blocking(blocks, g);
        check_int(haft_error(pool_is_full[i]), ==, 0);
    }
    until(atomic_load(g->entered) == POOL);
}

static void empty_the_pool(struct gate *g)
{
    atomic_store(g->open, 1);
    for (int i = 0; i < POOL; i++)
        check_int(haft_join(&pool_is_full[i]), ==, 11);
}

static int fill_and_abort(void)
{
    enum { QUEUED = 20 };
    _Atomic int entered = 0, open = 0, begun = 0;
    struct gate g = { &entered, &open }, q = { &begun, &open };
    haft_handle queued[QUEUED];
    fill_the_pool(&g);
    for (int i = 0; i < QUEUED; i++)
        queued[i] = haft_spawn_blocking(blocks, &q);
    for (int i = 0; i < QUEUED; i += 2)
        check_int(haft_abort(queued[i]), ==, 0);
    for (int i = 0; i < POOL; i++) /* once begun, it completes */
        check_int(haft_abort(pool_is_full[i]), ==, 0);
    check_int(atomic_load(&begun), ==, 0);
    empty_the_pool(&g);
    for (int i = 0; i < QUEUED; i++) {
        haft_outcome out;
        check_int(haft_join_outcome(&queued[i], HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, i % 2 == 0 ? HAFT_NOT_STARTED : HAFT_RETURNED);
        check_int(out.code, ==, i % 2 == 0 ? 0 : 11);
    }
    check_int(atomic_load(&begun), ==, QUEUED / 2);
    return 0;
}

static void skip_where_threads_are_dear(void)
{
    if (test_slowness() > 1 && !deep())
        skip("512 threads are many here");
}

TEST_LONG("a call that is aborted in the queue never begins; one that has begun completes")
{
    skip_where_threads_are_dear();
    check_int(fill_and_abort(), ==, 0);
    check_int(haft_run(fill_and_abort, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

static int fill_and_join_aborted(void)
{
    _Atomic int entered = 0, open = 0, begun = 0;
    struct gate g = { &entered, &open }, q = { &begun, &open };
    fill_the_pool(&g);
    haft_handle joined = haft_spawn_blocking(blocks, &q), dropped = haft_spawn_blocking(blocks, &q);
    check_int(haft_abort(joined), ==, 0);
    check_int(haft_join(&joined), ==, HAFT_EABORTED);
    haft_drop(&dropped);
    check_int(atomic_load(&begun), ==, 0);
    empty_the_pool(&g);
    return 0;
}

TEST_LONG("a call that is aborted in the queue has ended at once, without a thread of the pool")
{
    skip_where_threads_are_dear();
    check_int(fill_and_join_aborted(), ==, 0);
    check_int(haft_run(fill_and_join_aborted, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

struct queued_caller {
    struct gate gate;
    _Atomic int *about;
    bool late;
    int rc;
};

static int calls_a_full_pool(struct queued_caller *f)
{
    HAFT_TIMEOUT(f->late ? HAFT_MS : INT64_MAX);
    atomic_store(f->about, 1);
    f->rc = haft_blocking(blocks, &f->gate);
    return 0;
}

static int fill_and_call(void)
{
    _Atomic int entered = 0, open = 0, begun = 0, about = 0;
    struct gate g = { &entered, &open };
    fill_the_pool(&g);
    struct queued_caller f = { .gate = { &begun, &open }, .about = &about };
    haft_handle h = haft_spawn(calls_a_full_pool, &f);
    until(atomic_load(&about) == 1);
    for (int i = 0; i < 10; i++)
        check_int(haft_yield(), ==, 0);
    check_int(haft_abort(h), ==, 0);
    check_int(haft_join(&h, &f), ==, HAFT_EABORTED);
    check_int(f.rc, ==, HAFT_ECANCELED);
    f.late = true;
    h = haft_spawn(calls_a_full_pool, &f);
    check_int(haft_join(&h, &f), ==, 0);
    check_int(f.rc, ==, HAFT_ETIMEDOUT);
    empty_the_pool(&g);
    check_int(atomic_load(&begun), ==, 0);
    return 0;
}

TEST_LONG("a caller that waits in the pool's queue leaves when it is aborted or late, and its call never begins")
{
    skip_where_threads_are_dear();
    check_int(fill_and_call(), ==, 0);
    check_int(haft_run(fill_and_call, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

struct aborted_caller {
    struct gate gate;
    int rc;
    int after;
};

static int is_aborted_before_its_call(struct aborted_caller *f)
{
    check_int(haft_abort(haft_self()), ==, 0);
    f->rc = haft_blocking(blocks, &f->gate);
    return 0;
}

static int is_aborted_during_its_call(struct aborted_caller *f)
{
    f->rc = haft_blocking(blocks, &f->gate);
    f->after = haft_checkpoint();
    return 12;
}

TEST_FROM_EVERY_CALLER("a task that was aborted before its call returns without having begun it")
{
    _Atomic int entered = 0, open = 1;
    struct aborted_caller f = { .gate = { &entered, &open } };
    haft_handle h = haft_spawn(is_aborted_before_its_call, &f);
    check_int(haft_join(&h, &f), ==, HAFT_EABORTED);
    check_int(f.rc, ==, HAFT_ECANCELED);
    check_int(atomic_load(&entered), ==, 0);
}

TEST_FROM_EVERY_CALLER("a call that has begun is waited for, its caller's abort or deadline notwithstanding")
{
    _Atomic int entered = 0, open = 0;
    struct aborted_caller f = { .gate = { &entered, &open } };
    haft_handle h = haft_spawn(is_aborted_during_its_call, &f);
    until(atomic_load(&entered) == 1);
    check_int(haft_abort(h), ==, 0);
    for (int i = 0; i < 50; i++)
        check_int(haft_yield(), ==, 0);
    check(!haft_is_finished(h));
    atomic_store(&open, 1);
    haft_outcome out;
    check_int(haft_join_outcome(&h, &f, &out), ==, 0);
    check_int(f.rc, ==, 11);
    check_int(f.after, ==, HAFT_ECANCELED);
    check_int(out.end, ==, HAFT_ABORTED);
    check_int(out.code, ==, 12);
}

static int blocks_past_a_deadline(struct gate *g)
{
    atomic_fetch_add(g->entered, 1);
    int64_t end = haft_now() + 3 * HAFT_MS;
    while (haft_now() < end)
        sched_yield();
    return 13;
}

static int is_late_during_its_call(struct gate *g)
{
    HAFT_TIMEOUT(2 * HAFT_MS);
    int rc = haft_blocking(blocks_past_a_deadline, g);
    /* A slow machine may let the deadline pass before the call begins. */
    check(rc == 13 ? atomic_load(g->entered) == 1 : rc == HAFT_ETIMEDOUT && atomic_load(g->entered) == 0);
    return 0;
}

TEST_FROM_EVERY_CALLER("a deadline that passes during a call does not cut it short")
{
    for (int i = 0; i < 5; i++) {
        _Atomic int entered = 0, open = 0;
        struct gate g = { &entered, &open };
        haft_handle h = haft_spawn(is_late_during_its_call, &g);
        check_int(haft_join(&h), ==, 0);
    }
}

/* --- a machine that gives no more threads ------------------------------------------------------------------------- */

static struct haft__os os;
static _Atomic bool gives_no_thread;

static int may_refuse_a_thread(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                               void *argument)
{
    return atomic_load(&gives_no_thread) ? -EAGAIN : haft__os_linux.thread_create(out, options, entry, argument);
}

static int calls_the_pool(void)
{
    return haft_blocking(return_nothing, HAFT_NO_FRAME);
}

/* Each way in which a call may come to wait for another one. */
static int waits_for_another_call(void)
{
    atomic_store(&gives_no_thread, true);
    haft_handle h = haft_spawn_blocking(return_nothing);
    check_int(haft_error(h), ==, HAFT_EAGAIN);
    check_int(haft_join(&h), ==, HAFT_EAGAIN);
    h = haft_spawn(calls_the_pool);
    check_int(haft_join(&h), ==, HAFT_EAGAIN);
    int rc = 0;
    {
        HAFT_SCOPE(s, .result = &rc);
        check_int(haft_scope_spawn(s, return_nothing, HAFT_NO_FRAME, .kind = HAFT_BLOCKING), ==, HAFT_EAGAIN);
    }
    check_int(rc, ==, HAFT_EAGAIN);
    haft_set *set = haft_set_new();
    check_int(haft_set_spawn(set, return_nothing, HAFT_NO_FRAME, .kind = HAFT_BLOCKING), ==, HAFT_EAGAIN);
    haft_set_drop(&set);
    atomic_store(&gives_no_thread, false);
    return 5;
}

static int outlives_a_refusal(void)
{
    haft_handle h = haft_spawn_blocking(waits_for_another_call); /* the pool's only thread */
    check_int(haft_join(&h), ==, 5);
    return calls_the_pool();
}

TEST("a call for which there is no thread is refused, and does not wait for a call that waits for it")
{
    os = haft__os_linux;
    os.thread_create = may_refuse_a_thread;
    haft__os_replace(&os);
    for (unsigned i = 0; i < 10; i++)
        check_int(haft_run(outlives_a_refusal, HAFT_NO_FRAME, .workers = 1 + i % 2), ==, 0);
}

/* --- the pool's threads ------------------------------------------------------------------------------------------- */

/* To the pool's threads any time that they wait for, but no endless one, is over. */
static int wait_shortly(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    char name[16];
    bool is_of_pool = pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strcmp(name, "haft-blocking") == 0;
    if (is_of_pool && deadline != INT64_MAX)
        return -ETIMEDOUT;
    return haft__os_linux.futex_wait(word, expected, deadline);
}

static unsigned threads_of_pool(void)
{
    haft_runtime_metrics metrics;
    check_int(haft_metrics(NULL, &metrics), ==, 0);
    return metrics.pool_threads;
}

TEST("threads of the pool end when they had nothing to do for long, and the next calls have new ones")
{
    enum { CALLS = 5 };
    test_needs_kernel("the pool's threads wait on words of the kernel");
    os = haft__os_linux;
    os.futex_wait = wait_shortly;
    haft__os_replace(&os);
    for (int round = 0; round < 3; round++) {
        haft_handle hs[CALLS];
        for (int i = 0; i < CALLS; i++)
            hs[i] = haft_spawn_blocking(wait_for_token);
        until(threads_of_pool() == CALLS);
        for (int i = 0; i < CALLS; i++) {
            check_int(haft_unpark(hs[i]), ==, 0);
            check_int(haft_join(&hs[i]), ==, 0);
        }
        until(threads_of_pool() == 0);
    }
}

static pthread_key_t key;
static _Atomic int tidied;

static void tidies(void *value)
{
    (void)value;
    atomic_fetch_add(&tidied, 1);
}

static int is_a_job_like_others(void)
{
    check(!haft_is_null(haft_self()));
    check_int(haft_yield(), ==, 0);
    check_int(haft_sleep(1000), ==, 0);
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_unpark(haft_self()), ==, 0);
    check_int(haft_park(), ==, 0);
    check_int(haft_blocking(return_nothing, HAFT_NO_FRAME), ==, 0);
    HAFT_TIMEOUT(0);
    return haft_park();
}

TEST_FROM_EVERY_CALLER("a call on the pool is a job like others: it spawns, joins, sleeps, parks and calls the pool")
{
    haft_handle h = haft_spawn_blocking(is_a_job_like_others);
    check_int(haft_join(&h), ==, HAFT_ETIMEDOUT);
}

static int sets_thread_local_state(void)
{
    return -pthread_setspecific(key, &key);
}

TEST("the pool's threads are used again, and end with their runtime")
{
    check_int(pthread_key_create(&key, tidies), ==, 0);
    enum { CALLS = 200 };
    int seen[CALLS], again = 0;
    for (int i = 0; i < CALLS; i++) {
        haft_handle h = haft_spawn_blocking(thread_id);
        seen[i] = haft_join(&h);
        for (int k = 0; k < i; k++) {
            if (seen[k] == seen[i]) {
                again++;
                break;
            }
        }
    }
    check_int(again, >, 0);
    haft_handle h = haft_spawn_blocking(sets_thread_local_state);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_runtime_stop(), ==, 0);
    check_int(atomic_load(&tidied), ==, 1);
    check_int(pthread_key_delete(key), ==, 0);
}

TEST_LONG_FROM_EVERY_CALLER("many thousand calls go through the pool, from tasks and directly")
{
    size_t n = rounds(3000, 100000);
    for (size_t i = 0; i < n; i++) {
        struct lent f = { .code = (int)i };
        if (i % 2 == 0) {
            check_int(haft_blocking(notes_itself, &f), ==, i);
        } else {
            haft_handle h = haft_spawn_blocking(notes_itself, &f);
            check_int(haft_join(&h, &f), ==, i);
        }
        check_ptr(f.seen_at, !=, NULL);
    }
}
