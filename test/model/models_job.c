/* SPDX-License-Identifier: MIT
 *
 * The life of a job: end against join, detach, abort, wait, drop; the token of haft_park. The jobs are threads, which
 * need no worker, on a runtime that has none. */
#include "world.h"

WORLD_RUNTIME(runtime);

struct frame {
    int in, out;
};

static int dropped;
static haft_handle shared;
static haft__atomic(uint32_t) done;

static int double_it(struct frame *f)
{
    f->out = 2 * f->in;
    return 7;
}

static void count_drop(void *frame)
{
    (void)frame;
    dropped++;
}

static haft_handle start(int (*body)(struct frame *), haft_drop_fn *drop)
{
    struct frame f = { .in = 21 };
    haft_handle h = haft_spawn(body, &f, .kind = HAFT_THREAD, .runtime = &runtime, .drop = drop);
    model_check(haft_error(h) == 0);
    return h;
}

static void check_nothing_is_left(void)
{
    model_join_all();
    model_check(haft__load_relaxed(&runtime.spawned) == haft__load_relaxed(&runtime.finished));
}

MODEL("job: join gives the frame back, once")
{
    haft_handle h = start(double_it, NULL), copy = h;
    struct frame f = { 0 };
    model_check(haft_join(&h, &f) == 7);
    model_check(f.out == 42);
    model_check(haft_join(&copy, &f) == HAFT_ESTALE);
    check_nothing_is_left();
}

static int results[3];

static void join_shared(void *argument)
{
    int i = (int)(intptr_t)argument;
    haft_handle h = shared;
    struct frame f = { 0 };
    results[i] = haft_join(&h, &f);
    if (results[i] == 7)
        model_check(f.out == 42);
}

static bool is_refusal(int rc)
{
    return rc == HAFT_EBUSY || rc == HAFT_ESTALE;
}

MODEL("job: two join, one of them gets it")
{
    shared = start(double_it, NULL);
    int other = model_start(join_shared, (void *)1);
    join_shared((void *)0);
    model_join(other);
    model_check((results[0] == 7 && is_refusal(results[1])) || (results[1] == 7 && is_refusal(results[0])));
    check_nothing_is_left();
}

/* Gates of one waiter each, who sleeps. Order nothing. */
static haft__atomic(uint32_t) has_given_up, may_end, may_leave;

static void open_gate(haft__atomic(uint32_t) *gate)
{
    haft__store_relaxed(gate, 1);
    model_wake((volatile uint32_t *)gate, 1);
}

static void pass_gate(haft__atomic(uint32_t) *gate)
{
    while (haft__load_relaxed(gate) == 0)
        model_sleep((volatile uint32_t *)gate, 0, INT64_MAX);
}

static int double_it_late(struct frame *f)
{
    pass_gate(&may_end);
    model_calm(false);
    return double_it(f);
}

/* Stays afterwards, because the end of a thread orders what it did. */
static void join_in_vain(void *argument)
{
    {
        HAFT_TIMEOUT(100);
        join_shared(argument);
    }
    open_gate(&has_given_up);
    pass_gate(&may_leave);
}

MODEL("job: one gives up joining, and has looked at what the next job of the slot writes")
{
    model_calm(true);
    shared = start(double_it_late, NULL);
    haft_handle h = shared;
    int other = model_start(join_in_vain, (void *)1);
    pass_gate(&has_given_up);
    open_gate(&may_end);
    /* The newest is seen from here on, and nothing else. */
    haft__fetch_or_relaxed(&haft__job_of_handle(&h)->record.state, 0);
    model_check(haft_join(&h) == 7);
    model_calm(true);
    h = start(double_it, NULL); /* most likely in the same slot */
    open_gate(&may_leave);
    model_check(haft_join(&h) == 7);
    model_join(other);
    model_check(results[1] == HAFT_ETIMEDOUT);
    check_nothing_is_left();
}

MODEL("job: detach while it ends: its frame is dropped once")
{
    haft_handle h = start(double_it, count_drop);
    model_check(haft_detach(&h) == 0);
    model_join(1);
    model_check(dropped == 1);
    check_nothing_is_left();
}

static void detach_shared(void *argument)
{
    (void)argument;
    haft_handle h = shared;
    results[1] = haft_detach(&h);
}

MODEL("job: join against detach", .is_large = true)
{
    shared = start(double_it, count_drop);
    int other = model_start(detach_shared, NULL);
    join_shared((void *)0);
    model_join(other);
    model_join(1);
    model_check((results[0] == 7) != (results[1] == 0));
    model_check(is_refusal(results[0]) || is_refusal(results[1]));
    model_check(dropped == (results[1] == 0));
    check_nothing_is_left();
}

/* --- abort ------------------------------------------------------------------------------------------------------------------ */

static void abort_shared(void *argument)
{
    (void)argument;
    int rc = haft_abort(shared);
    model_check(rc == 0 || rc == HAFT_ESTALE);
}

static int park_once(struct frame *f)
{
    f->out = haft_park();
    return 3;
}

MODEL("abort: a parked job is told", .is_spurious = true)
{
    shared = start(park_once, NULL);
    haft_handle h = shared;
    abort_shared(NULL);
    struct frame f = { 0 };
    int rc = haft_join(&h, &f);
    model_check(rc == HAFT_EABORTED);
    model_check(f.out == HAFT_ECANCELED || f.out == 0); /* 0: it had not begun */
    check_nothing_is_left();
}

MODEL("abort: a job that ends keeps its own result or never began")
{
    shared = start(double_it, NULL);
    haft_handle h = shared;
    abort_shared(NULL);
    struct frame f = { 0 };
    int rc = haft_join(&h, &f);
    model_check((rc == 7 && f.out == 42) || (rc == HAFT_EABORTED && f.out == 0));
    check_nothing_is_left();
}

static int plain;

static int look_for_abort(struct frame *f)
{
    if (haft_is_aborted())
        model_check(plain == 42);
    return f->in;
}

MODEL("abort: the job that is told sees what was done before")
{
    haft_handle h = start(look_for_abort, NULL);
    plain = 42;
    model_check(haft_abort(h) == 0);
    int rc = haft_join(&h);
    model_check(rc == 21 || rc == HAFT_EABORTED);
    check_nothing_is_left();
}

static void unpark_shared(void *argument)
{
    (void)argument;
    int rc = haft_unpark(shared);
    model_check(rc == 0 || rc == HAFT_ESTALE);
}

MODEL("abort against unpark: one of them ends the wait")
{
    shared = start(park_once, NULL);
    haft_handle h = shared;
    int one = model_start(abort_shared, NULL), two = model_start(unpark_shared, NULL);
    struct frame f = { 0 };
    int rc = haft_join(&h, &f);
    model_check(rc == 3 || rc == HAFT_EABORTED);
    model_check(rc != 3 || f.out == 0);
    model_join(one);
    model_join(two);
    check_nothing_is_left();
}

MODEL("unpark: the token is kept for a park that comes later")
{
    shared = start(park_once, NULL);
    haft_handle h = shared;
    unpark_shared(NULL);
    struct frame f = { .out = 1 };
    model_check(haft_join(&h, &f) == 3);
    model_check(f.out == 0);
    check_nothing_is_left();
}

static int park_until(struct frame *f)
{
    HAFT_TIMEOUT(100);
    f->out = haft_park();
    return 3;
}

MODEL("abort against deadline: one of them ends the wait")
{
    shared = start(park_until, NULL);
    haft_handle h = shared;
    int one = model_start(abort_shared, NULL);
    struct frame f = { 0 };
    int rc = haft_join(&h, &f);
    model_check((rc == 3 && f.out == HAFT_ETIMEDOUT) || rc == HAFT_EABORTED);
    model_join(one);
    check_nothing_is_left();
}

MODEL("abort against deadline against unpark", .is_large = true)
{
    shared = start(park_until, NULL);
    haft_handle h = shared;
    int one = model_start(abort_shared, NULL), two = model_start(unpark_shared, NULL);
    struct frame f = { 0 };
    int rc = haft_join(&h, &f);
    model_check((rc == 3 && (f.out == HAFT_ETIMEDOUT || f.out == 0)) || rc == HAFT_EABORTED);
    model_join(one);
    model_join(two);
    check_nothing_is_left();
}

static int return_three(struct frame *f)
{
    f->out = 3;
    return 3;
}

MODEL("abort: a stale handle does not touch the next job of its slot")
{
    shared = start(double_it, NULL);
    haft_handle h = shared;
    model_check(haft_join(&h) == 7);
    int one = model_start(abort_shared, NULL);
    h = start(return_three, NULL); /* most likely in the same slot */
    struct frame f = { 0 };
    model_check(haft_join(&h, &f) == 3);
    model_check(f.out == 3);
    model_join(one);
    check_nothing_is_left();
}

/* --- waiting ------------------------------------------------------------------------------------------------------------------ */

static void wait_for_shared(void *argument)
{
    int i = (int)(intptr_t)argument;
    results[i] = haft_wait(shared);
    model_check(haft_is_finished(shared));
}

MODEL("wait: a waiter and a joiner", .is_large = true)
{
    shared = start(double_it, NULL);
    int one = model_start(wait_for_shared, (void *)1);
    join_shared((void *)0);
    model_check(results[0] == 7);
    model_join(one);
    model_check(results[1] == 0 || results[1] == HAFT_ESTALE);
    check_nothing_is_left();
}

MODEL("wait: two wait, and the job ends", .is_large = true, .stale = 1)
{
    shared = start(double_it, NULL);
    haft_handle h = shared;
    int one = model_start(wait_for_shared, (void *)1);
    wait_for_shared((void *)0);
    model_join(one);
    model_check(results[0] == 0 && results[1] == 0);
    model_check(haft_join(&h) == 7);
    check_nothing_is_left();
}

MODEL("wait: until the deadline strikes")
{
    shared = start(double_it, NULL);
    haft_handle h = shared;
    int rc;
    {
        HAFT_TIMEOUT(100);
        rc = haft_wait(h);
    }
    model_check(rc == 0 || rc == HAFT_ETIMEDOUT);
    model_check(haft_join(&h) == 7);
    check_nothing_is_left();
}

static int wait_in_job(struct frame *f)
{
    f->out = haft_wait(shared);
    return f->out;
}

static int until_done(struct frame *f)
{
    while (haft__load_acquire(&done) == 0)
        haft_park();
    return f->in;
}

MODEL("wait: an abort ends it: the fences of abort and of a park under a lock", .is_large = true)
{
    shared = start(until_done, NULL);
    haft_handle first = shared, second = start(wait_in_job, NULL);
    model_check(haft_abort(second) == 0);
    int rc = haft_join(&second);
    model_check(rc == HAFT_EABORTED);
    haft__store_release(&done, 1);
    haft_unpark(first);
    model_check(haft_join(&first) == 21);
    check_nothing_is_left();
}

MODEL("drop: it ends the job although another copy joins", .is_large = true)
{
    shared = start(park_once, count_drop);
    haft_handle h = shared;
    int other = model_start(join_shared, (void *)1);
    haft_drop(&h);
    model_join(other);
    model_check(results[1] == HAFT_EABORTED || is_refusal(results[1]));
    model_check(dropped == is_refusal(results[1]));
    check_nothing_is_left();
}
