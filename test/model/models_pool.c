/* SPDX-License-Identifier: MIT
 *
 * The pool for blocking calls: one thread at most here, so that calls queue; and the counters of a runtime's end. */
#include "world.h"

#include <errno.h>

WORLD_RUNTIME(runtime);

static int ran;

static int count_run(int *n)
{
    ran += *n;
    return *n;
}

static haft_handle call(int n)
{
    int frame = n;
    return haft_spawn_blocking(count_run, &frame, .runtime = &runtime);
}

static void stop(void)
{
    haft__pool_stop(&runtime, false);
    model_join_all();
    model_check(haft__load_relaxed(&runtime.spawned) == haft__load_relaxed(&runtime.finished));
    model_keep(runtime.pool);
}

MODEL("pool: two calls, one thread: the second is queued or handed over", .is_large = true)
{
    haft_handle a = call(1), b = call(2);
    model_check(haft_join(&a) == 1);
    model_check(haft_join(&b) == 2);
    stop();
    model_check(ran == 3);
}

MODEL("pool: it stops while its thread becomes idle, or has had enough")
{
    haft_handle a = call(1);
    model_check(haft_join(&a) == 1);
    stop();
    model_check(ran == 1);
}

MODEL("pool: a call comes while the thread gives up waiting", .is_large = true)
{
    haft_handle a = call(1);
    model_check(haft_join(&a) == 1);
    haft_handle b = call(2);
    model_check(haft_join(&b) == 2);
    stop();
    model_check(ran == 3);
}

static haft_handle shared;

static void abort_shared(void *argument)
{
    (void)argument;
    haft_abort(shared);
}

MODEL("pool: an aborted call is withdrawn by whoever joins it, or runs", .is_large = true, .stale = 1)
{
    haft_handle a = call(1), b = call(2);
    shared = b;
    int other = model_start(abort_shared, NULL);
    int rc = haft_join(&b);
    model_check(rc == 2 || rc == HAFT_EABORTED);
    model_check(haft_join(&a) == 1);
    model_join(other);
    stop();
    model_check(ran == (rc == 2 ? 3 : 1));
}

MODEL("pool: an aborted call is withdrawn by whoever selects its end, or what it did is seen", .stale = 1)
{
    int frame = 1, back = 0, rc = 0;
    haft_handle a = haft_spawn_blocking(count_run, &frame, .runtime = &runtime);
    model_check(haft_abort(a) == 0);
    model_check(haft_select(HAFT_ON_JOIN(&a, &back, .rc = &rc)) == 0);
    model_check((rc == 1 && back == 1 && ran == 1) || (rc == HAFT_EABORTED && ran == 0));
    stop();
}

MODEL("pool: no thread can be made: the call is refused")
{
    world.thread_failures = 1;
    int frame = 1;
    haft_handle a = haft_spawn_blocking(count_run, &frame, .runtime = &runtime);
    model_check(haft_error(a) != 0);
    model_check(haft_join(&a) == -EAGAIN);
    stop();
    model_check(ran == 0);
}

static void call_and_join(void *argument)
{
    int n = (int)(intptr_t)argument, frame = n;
    haft_handle h = haft_spawn_blocking(count_run, &frame, .runtime = &runtime);
    int rc = haft_join(&h);
    model_check(rc == n || rc == -EAGAIN);
}

MODEL("pool: no thread can be made while another call is queued", .is_large = true, .stale = 1)
{
    world.thread_failures = 1;
    int other = model_start(call_and_join, (void *)1);
    call_and_join((void *)2);
    model_join(other);
    stop();
}

/* --- counting --------------------------------------------------------------------------------------------------------------------- */

static haft__atomic(uint32_t) accepted;

static void enter_and_leave(void *argument)
{
    (void)argument;
    haft__thread *here = haft__here_always()->root->record != NULL ? haft__here_or_null() : NULL;
    if (haft__runtime_enter(here, &runtime) != 0)
        return;
    haft__fetch_add_relaxed(&accepted, 1);
    haft__fetch_sub_relaxed(&accepted, 1);
    haft__runtime_leave(&runtime);
}

/* As close_runtime does it. */
MODEL("runtime's end: whoever counts itself in is waited for, or sees that it is too late")
{
    haft__root *me = world_root();
    int one = model_start(enter_and_leave, NULL);
    haft__store_seq_cst(&runtime.closer, me->record);
    haft__store_seq_cst(&runtime.closing, 1);
    haft__fence_heavy();
    for (;;) {
        uint64_t finished = haft__load_acquire(&runtime.finished);
        if (haft__load_acquire(&runtime.spawned) == finished)
            break;
        haft__park();
    }
    model_check(haft__load_relaxed(&accepted) == 0);
    haft__store_seq_cst(&runtime.closer, NULL);
    model_join(one);
}
