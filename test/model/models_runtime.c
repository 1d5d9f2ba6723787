/* SPDX-License-Identifier: MIT
 *
 * Whole runtimes of one worker, from a plain thread; stacks between workers and the depot; offers. */
#include "sched/offer.h"
#include "sched/stack.h"
#include "world.h"

static int ran;
static haft_runtime *runtime;
static haft_handle shared;
static int results[2];

static int count_run(int *n)
{
    ran += *n;
    return *n;
}

static haft_handle spawn(int (*body)(int *), int n)
{
    int frame = n;
    return haft_spawn(body, &frame, .runtime = runtime);
}

MODEL("runtime: a task is spawned and joined from outside", .is_large = true)
{
    runtime = haft_runtime_new(.workers = 1);
    haft_handle h = spawn(count_run, 5);
    int frame = 0;
    model_check(haft_join(&h, &frame) == 5 && frame == 5 && ran == 5);
    model_check(haft_runtime_drop(&runtime) == 0);
}

MODEL("runtime: its end waits for a task that is let go", .is_large = true)
{
    runtime = haft_runtime_new(.workers = 1, .grace = 1000000);
    haft_handle h = spawn(count_run, 5);
    haft_detach(&h);
    model_check(haft_runtime_drop(&runtime) == 0);
    model_check(ran == 5 || ran == 0);
}

static int park_once(int *n)
{
    ran += *n;
    return haft_park();
}

MODEL("runtime: its end aborts a task that is parked", .is_large = true)
{
    runtime = haft_runtime_new(.workers = 1);
    shared = spawn(park_once, 5);
    model_check(haft_runtime_drop(&runtime) == 0);
    model_check(haft_join(&shared) == HAFT_EABORTED);
}

static void join_shared(void *argument)
{
    (void)argument;
    haft_handle h = shared;
    int rc = haft_join(&h);
    model_check(rc == HAFT_EABORTED || rc == HAFT_EBUSY || rc == HAFT_ESTALE);
    results[1] = rc;
}

MODEL("task: parked, aborted, joined from two threads", .is_large = true, .stale = -1)
{
    runtime = haft_runtime_new(.workers = 1);
    shared = spawn(park_once, 5);
    int other = model_start(join_shared, NULL);
    haft_abort(shared);
    haft_handle h = shared;
    results[0] = haft_join(&h);
    model_join(other);
    model_check((results[0] == HAFT_EABORTED) != (results[1] == HAFT_EABORTED));
    model_check(haft_runtime_drop(&runtime) == 0);
}

static void join_three(void *argument)
{
    (void)argument;
    haft_handle h = shared;
    model_check(haft_join(&h) == 3);
}

static int spawn_inside(int *n)
{
    int frame = *n, out = 0;
    haft_handle h = haft_spawn(count_run, &frame);
    int rc = haft_join(&h, &out);
    model_check(rc == frame);
    haft__sched_stop(&runtime->sched);
    return rc;
}

/* The body itself is the first of the two workers. */
MODEL("task: it spawns another and joins it", .is_large = true, .stale = -1)
{
    world.absent = 1;
    runtime = haft_runtime_new(.workers = 2);
    haft_handle h = spawn(spawn_inside, 3);
    haft__sched_work(&runtime->sched);
    model_check(haft_join(&h) == 3);
    model_check(haft_runtime_drop(&runtime) == 0 && ran == 3);
}

static haft__atomic(int) opened;

static int wait_until_opened(int *n)
{
    while (haft__load_acquire(&opened) == 0)
        haft_park();
    return *n;
}

MODEL("task: its end finds a joiner whose record is in a chunk of its own", .is_large = true, .stale = -1)
{
    runtime = haft_runtime_new(.workers = 1);
    shared = spawn(wait_until_opened, 3);
    haft_handle h = shared;
    for (uint32_t index = 0; index < HAFT__CHUNK_RECORDS - 1;)
        index = haft__record_index(haft__record_new());
    int other = model_start(join_three, NULL);
    haft__store_release(&opened, 1);
    haft_unpark(h);
    model_join(other);
    model_check(haft_runtime_drop(&runtime) == 0);
}

static int block(int *n)
{
    *n += 1;
    return 0;
}

static int call_blocking(int *n)
{
    model_check(haft_blocking(block, n) == 0);
    return *n;
}

MODEL("blocking: a task calls it, and goes on with what it wrote", .is_large = true, .stale = -1)
{
    runtime = haft_runtime_new(.workers = 1);
    haft_handle h = spawn(call_blocking, 3);
    model_check(haft_join(&h) == 4);
    model_check(haft_runtime_drop(&runtime) == 0);
}

static int call_blocking_in_time(int *n)
{
    HAFT_TIMEOUT(100);
    int rc = haft_blocking(block, n);
    model_check((rc == 0 && *n == 4) || (rc == HAFT_ETIMEDOUT && *n == 3));
    return *n;
}

MODEL("blocking: late, it is withdrawn or waited for", .is_large = true, .stale = -1)
{
    runtime = haft_runtime_new(.workers = 1);
    haft_handle h = spawn(call_blocking_in_time, 3);
    int rc = haft_join(&h);
    model_check(rc == 3 || rc == 4);
    model_check(haft_runtime_drop(&runtime) == 0);
}

static int main_task(int *n)
{
    ran += *n;
    return 7;
}

MODEL("run: the caller goes on when the main task has ended", .is_large = true, .stale = -1)
{
    int n = 3;
    model_check(haft_run(main_task, &n, .workers = 2) == 7);
    model_check(ran == 3);
}

/* --- stacks ------------------------------------------------------------------------------------------------------------------ */

static void use_stacks(void *argument)
{
    haft__stack_cache cache = { 0 };
    haft__stack *mine[5];
    (void)argument;
    for (int i = 0; i < 5; i++) {
        mine[i] = haft__stack_take(&cache, 0);
        model_check(mine[i] != NULL);
        *(int *)(void *)mine[i]->low = model_self();
    }
    for (int i = 0; i < 5; i++) {
        model_check(*(int *)(void *)mine[i]->low == model_self());
        haft__stack_give(&cache, mine[i]);
    }
    haft__stack_cache_flush(&cache);
}

MODEL("stacks: two workers take and give back by magazines", .is_large = true)
{
    int other = model_start(use_stacks, NULL);
    use_stacks(NULL);
    model_join(other);
}

static void trim(void *argument)
{
    (void)argument;
    haft__stacks_trim_all();
}

MODEL("stacks: memory is given back while a worker takes some", .is_large = true)
{
    use_stacks(NULL);
    int other = model_start(trim, NULL);
    use_stacks(NULL);
    model_join(other);
}
