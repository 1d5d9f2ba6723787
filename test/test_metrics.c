/* SPDX-License-Identifier: MIT
 *
 * Metrics: exact where what happens is. */
#include <haft/haft.h>

#include <string.h>

#include "callers.h"
#include "fake_os.h"

static haft_runtime_metrics metrics_of(haft_runtime *runtime)
{
    haft_runtime_metrics m;
    memset(&m, 0xa5, sizeof m);
    check_int(haft_metrics(runtime, &m), ==, 0);
    check_uint(m.size_, ==, sizeof m);
    return m;
}

static void check_kind(const haft_runtime_metrics *m, haft_kind kind, uint64_t spawned, uint64_t finished,
                       uint64_t panicked, uint64_t aborted)
{
    check_uint(m->kinds[kind].spawned, ==, spawned);
    check_uint(m->kinds[kind].finished, ==, finished);
    check_uint(m->kinds[kind].panicked, ==, panicked);
    check_uint(m->kinds[kind].aborted, ==, aborted);
    check_uint(m->kinds[kind].live, ==, spawned - finished);
}

/* In this runtime alone, with one worker and no other thread. */
static void alone(int (*body)(void))
{
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
    for (int i = 0; i < 2; i++) /* the second one has the control block of the first, and begins from nothing */
        check_int(haft_run(body, HAFT_NO_FRAME, .workers = 1), ==, 0);
    fake_os_leave();
}

static int falls(void)
{
    haft_panic("fell");
}

static int ends_in_each_way(void)
{
    haft_runtime_metrics m = metrics_of(NULL);
    check_kind(&m, HAFT_TASK, 1, 0, 0, 0); /* this one */
    check_uint(m.workers, ==, 1);
    check_uint(m.all.finished, ==, 0);

    haft_handle h = haft_spawn(return_nothing);
    m = metrics_of(NULL);
    check_kind(&m, HAFT_TASK, 2, 0, 0, 0);
    check_int(haft_join(&h), ==, 0);
    m = metrics_of(NULL);
    check_kind(&m, HAFT_TASK, 2, 1, 0, 0);

    h = haft_spawn(falls);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    h = haft_spawn(wait_for_token);
    check_int(haft_yield(), ==, 0);
    haft_drop(&h); /* told */
    h = haft_spawn(wait_for_token);
    haft_drop(&h); /* never begun */
    m = metrics_of(NULL);
    check_kind(&m, HAFT_TASK, 5, 4, 1, 2);
    check_uint(m.all.finished, ==, 4);

    h = haft_spawn(return_nothing, HAFT_NO_FRAME, .stack_size = SIZE_MAX);
    check_int(haft_error(h), ==, HAFT_EINVAL);
    h = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = HAFT_THREAD); /* there are no threads here */
    check_int(haft_error(h), ==, HAFT_EAGAIN);
    m = metrics_of(NULL);
    check_kind(&m, HAFT_TASK, 5, 4, 1, 2);
    check_kind(&m, HAFT_THREAD, 0, 0, 0, 0);
    check_kind(&m, HAFT_BLOCKING, 0, 0, 0, 0);
    return 0;
}

TEST("tasks are counted by how they end, and failed spawns are not")
{
    silence_panics();
    alone(ends_in_each_way);
}

static int yields_thrice(void)
{
    for (int i = 0; i < 3; i++)
        check_int(haft_yield(), ==, 0);
    return 0;
}

static int takes_turns(void)
{
    haft_handle a = haft_spawn(yields_thrice), b = haft_spawn(yields_thrice);
    haft_runtime_metrics m = metrics_of(NULL);
    check_uint(m.all.runs, ==, 1); /* this one */
    check_int(haft_join(&a), ==, 0);
    check_int(haft_join(&b), ==, 0);
    m = metrics_of(NULL);
    check_uint(m.all.finished, ==, 2);
    /* Each was taken up once and after each of its yields. This task waited once or twice, whoever ended first. */
    check_uint(m.all.runs, >=, 1 + 2 * 4 + 1);
    check_uint(m.all.runs, <=, 1 + 2 * 4 + 2);
    check_uint(m.all.steals + m.all.adopted + m.all.overflowed + m.all.timers, ==, 0);
    return 0;
}

TEST("a worker counts what it runs")
{
    alone(takes_turns);
}

static int sleeps(void)
{
    uint64_t before = metrics_of(NULL).all.parks;
    int64_t parked = metrics_of(NULL).all.parked;
    for (int i = 0; i < 5; i++)
        check_int(haft_sleep(10 * HAFT_MS), ==, 0);
    haft_runtime_metrics m = metrics_of(NULL);
    check_uint(m.all.timers, ==, 5);
    check_uint(m.all.parks, ==, before + 5);
    check_int(m.all.parked - parked, >, 49 * HAFT_MS); /* the worker looks for work for a moment first */
    check_int(m.all.parked - parked, <=, 50 * HAFT_MS);
    return 0;
}

TEST("sleeps are timers that fire, and parks of a worker that has nothing else to do")
{
    alone(sleeps);
}

static int nothing_of(int *n)
{
    return *n;
}

static int fills_the_queue(void)
{
    enum { MANY = HAFT__RING_SIZE + HAFT__RING_SIZE / 2 };
    static haft_handle hs[MANY];
    for (int i = 0; i < MANY; i++)
        hs[i] = haft_spawn(return_nothing);
    haft_runtime_metrics m = metrics_of(NULL);
    check_uint(m.kinds[HAFT_TASK].live, ==, 1 + MANY);
    check_uint(m.all.overflowed, ==, HAFT__RING_SIZE / 2); /* the newest is not in the ring */
    check_int(haft_join_all(hs, MANY, NULL), ==, 0);
    m = metrics_of(NULL);
    check_kind(&m, HAFT_TASK, 1 + MANY, MANY, 0, 0);
    return 0;
}

TEST("what a worker's queue has no room for is counted")
{
    alone(fills_the_queue);
}

static int adopts_its_own(void)
{
    int n = 0;
    check_int(haft_both(yields_thrice, HAFT_NO_FRAME, nothing_of, &n), ==, 0);
    haft_runtime_metrics m = metrics_of(NULL);
    check_uint(m.all.adopted, ==, 1);
    check_kind(&m, HAFT_TASK, 2, 1, 0, 0);
    check_int(haft_both(nothing_of, &n, nothing_of, &n), ==, 0);
    m = metrics_of(NULL);
    check_uint(m.all.adopted, ==, 1);
    check_kind(&m, HAFT_TASK, 2, 1, 0, 0);
    return 0;
}

TEST("a side that was taken is a task, and one that was not is none")
{
    alone(adopts_its_own);
}

static int holds_stacks(void)
{
    enum { MANY = 200 };
    haft_handle hs[MANY];
    haft_runtime_metrics before = metrics_of(NULL);
    for (int i = 0; i < MANY; i++)
        hs[i] = haft_spawn(wait_for_token);
    check_uint(metrics_of(NULL).stacks_used, ==, before.stacks_used); /* none has begun */
    check_int(haft_yield(), ==, 0);
    haft_runtime_metrics m = metrics_of(NULL);
    check_uint(m.stacks_used + 64, >=, before.stacks_used + MANY);
    check_uint(m.stacks_used, <=, before.stacks_used + MANY + 64);
    check_uint(m.stack_bytes, >=, MANY * (HAFT__STACK_SIZE - FAKE_PAGE));
    check_uint(m.stack_bytes, ==, (m.stacks_used + m.stacks_cached) * (HAFT__STACK_SIZE - FAKE_PAGE));
    for (int i = 0; i < MANY; i++)
        haft_drop(&hs[i]);
    m = metrics_of(NULL);
    check_uint(m.stacks_used, <=, before.stacks_used + 128);
    check_uint(m.stacks_used + m.stacks_cached, >=, MANY);
    return 0;
}

TEST("stacks are used from the first run of a task on, and cached afterwards")
{
    alone(holds_stacks);
}

/* --- with a kernel ------------------------------------------------------------------------------------------------ */

/* An end is counted a moment after it can be seen. */
static haft_runtime_metrics metrics_at_rest(haft_runtime *rt, uint64_t live)
{
    haft_runtime_metrics m;
    do {
        m = metrics_of(rt);
        check_int(haft_yield(), ==, 0);
    } while (m.kinds[HAFT_TASK].live + m.kinds[HAFT_THREAD].live + m.kinds[HAFT_BLOCKING].live > live);
    return m;
}

TEST("threads and blocking calls are counted beside tasks, wherever they were spawned")
{
    silence_panics();
    for (int round = 0; round < 2; round++) {
        haft_runtime *rt = haft_runtime_new(.workers = 2);
        for_each_kind(kind) {
            haft_handle hs[7];
            for (int i = 0; i < 7; i++)
                hs[i] = i < 4 ? haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind, .runtime = rt)
                              : haft_spawn(i < 6 ? falls : wait_for_token, HAFT_NO_FRAME, .kind = kind, .runtime = rt);
            haft_drop(&hs[6]);
            for (int i = 0; i < 6; i++)
                check_int(haft_join(&hs[i]), ==, i < 4 ? 0 : HAFT_EPANIC);
        }
        haft_runtime_metrics m = metrics_at_rest(rt, 0);
        for_each_kind(kind)
            check_kind(&m, kind, 7, 7, 2, 1);
        check_uint(m.workers, ==, 2);
        check_uint(m.pool_threads, >=, 1);
        check_uint(m.pool_threads, <=, 7);
        check_uint(m.pool_queued, ==, 0);
        check_int(haft_runtime_drop(&rt), ==, 0);
    }
}

TEST_FROM_EVERY_JOB("a job asks for its own runtime, and the workers make up the whole")
{
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    haft_worker_metrics each[8];
    memset(each, 0, sizeof each);
    haft_runtime_metrics m;
    check_int(haft_metrics(NULL, &m, each, 8), ==, 0);
    haft_worker_metrics sum = { 0 };
    for (unsigned i = 0; i < m.workers && i < 8; i++) {
        sum.runs += each[i].runs;
        sum.finished += each[i].finished;
        sum.parks += each[i].parks;
    }
    if (m.workers <= 8) {
        check_uint(sum.runs, ==, m.all.runs);
        check_uint(sum.finished, ==, m.all.finished);
        check_uint(sum.parks, ==, m.all.parks);
    }
    check_uint(m.kinds[HAFT_TASK].spawned, >=, 1);
}

TEST("without a runtime there is nothing to tell")
{
    haft_runtime_metrics m;
    check_int(haft_metrics(NULL, &m), ==, HAFT_EINVAL);
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    m = metrics_at_rest(NULL, 0);
    check_kind(&m, HAFT_TASK, 1, 1, 0, 0);
}

TEST("a caller that knows a shorter struct gets as much as it knows")
{
    haft_runtime *rt = haft_runtime_new(.workers = 1);
    haft_runtime_metrics m;
    memset(&m, 0x5a, sizeof m);
    unsigned char before = ((unsigned char *)&m)[sizeof m - 1];
    check_int(haft_metrics_raw(rt, &m, offsetof(haft_runtime_metrics, workers), NULL, 0, 0), ==, 0);
    check_uint(m.size_, ==, offsetof(haft_runtime_metrics, workers));
    check_uint(((unsigned char *)&m)[sizeof m - 1], ==, before);
    check_int(haft_runtime_drop(&rt), ==, 0);
}

struct busy {
    _Atomic int *stop;
};

static int spawns_until(struct busy *b)
{
    while (atomic_load(b->stop) == 0) {
        haft_handle h = haft_spawn(yields_thrice);
        check_int(haft_join(&h), ==, 0);
    }
    return 0;
}

TEST("metrics may be asked for while everything runs")
{
    haft_runtime *rt = haft_runtime_new(.workers = 2);
    _Atomic int stop = 0;
    haft_handle hs[4];
    for (int i = 0; i < 4; i++)
        hs[i] = haft_spawn(spawns_until, &(struct busy){ &stop }, .runtime = rt);
    uint64_t spawned = 0;
    for (size_t i = 0; i < rounds(2000, 100000); i++) {
        haft_runtime_metrics m = metrics_of(rt);
        check_uint(m.kinds[HAFT_TASK].spawned, >=, spawned);
        spawned = m.kinds[HAFT_TASK].spawned;
    }
    atomic_store(&stop, 1);
    check_int(haft_join_all(hs, 4, NULL), ==, 0);
    haft_runtime_metrics m = metrics_at_rest(rt, 0);
    check_uint(m.kinds[HAFT_TASK].spawned, ==, m.kinds[HAFT_TASK].finished);
    check_uint(m.all.finished, ==, m.kinds[HAFT_TASK].finished);
    check_int(haft_runtime_drop(&rt), ==, 0);
}
