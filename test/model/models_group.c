/* SPDX-License-Identifier: MIT
 *
 * Sets, scopes and joining many, with jobs that are threads. */
#include "world.h"

WORLD_RUNTIME(runtime);

static haft__atomic(uint32_t) ended;
static haft_set *set;
static int dropped;

static int count_end(int *n)
{
    haft__fetch_add_relaxed(&ended, 1);
    return *n;
}

static void count_drop(void *frame)
{
    (void)frame;
    dropped++;
}

static void check_nothing_is_left(void)
{
    model_join_all(); /* a scope is told of an end before the runtime is */
    model_check(haft__load_relaxed(&runtime.spawned) == haft__load_relaxed(&runtime.finished));
}

static int set_spawn(int n)
{
    int frame = n;
    return haft_set_spawn(set, count_end, &frame, .kind = HAFT_THREAD, .runtime = &runtime, .drop = count_drop);
}

/* --- sets ------------------------------------------------------------------------------------------------------------------ */

MODEL("set: every end is told once", .is_large = true)
{
    set = haft_set_new();
    model_check(set_spawn(1) == 0 && set_spawn(2) == 0);
    int sum = 0, frame, code;
    while (haft_set_next(set, &frame, &code) == 0) {
        model_check(code == frame);
        sum += frame;
    }
    model_check(sum == 3 && dropped == 0);
    haft_set_drop(&set);
    check_nothing_is_left();
}

MODEL("set: what is beyond the limit starts when another ends", .is_large = true)
{
    set = haft_set_new(.limit = 1);
    model_check(set_spawn(1) == 0 && set_spawn(2) == 0);
    int sum = 0, frame, code;
    while (haft_set_next(set, &frame, &code) == 0)
        sum += frame;
    model_check(sum == 3);
    haft_set_drop(&set);
    check_nothing_is_left();
}

MODEL("set: a full queue lets the spawner wait for room", .is_large = true)
{
    set = haft_set_new(.limit = 1, .queue = 1);
    model_check(set_spawn(1) == 0 && set_spawn(2) == 0 && set_spawn(4) == 0);
    int sum = 0, frame, code;
    while (haft_set_next(set, &frame, &code) == 0)
        sum += frame;
    model_check(sum == 7);
    haft_set_drop(&set);
    check_nothing_is_left();
}

MODEL("set: dropped while its member ends")
{
    set = haft_set_new();
    model_check(set_spawn(1) == 0);
    haft_set_drop(&set);
    model_check(dropped == 1);
    check_nothing_is_left();
}

MODEL("set: let go while its member ends", .is_large = true)
{
    set = haft_set_new();
    model_check(set_spawn(1) == 0);
    haft_set_detach_all(set);
    haft_set_drop(&set);
    model_join(1);
    model_check(dropped == 1);
    check_nothing_is_left();
}

MODEL("set: a job is added while it ends")
{
    int frame = 5, code = 0;
    set = haft_set_new();
    haft_handle h = haft_spawn(count_end, &frame, .kind = HAFT_THREAD, .runtime = &runtime);
    model_check(haft_set_add(set, &h) == 0);
    frame = 0;
    model_check(haft_set_next(set, &frame, &code) == 0);
    model_check(frame == 5 && code == 5);
    model_check(haft_set_next(set, &frame, &code) == HAFT_EEMPTY);
    haft_set_drop(&set);
    check_nothing_is_left();
}

static int took[2];

static void take_one(void *argument)
{
    int frame = 0, code = 0, i = (int)(intptr_t)argument;
    int rc = haft_set_next(set, &frame, &code);
    model_check(rc == 0 || rc == HAFT_EEMPTY);
    took[i] = frame;
}

MODEL("set: two take, nobody sleeps beside what has ended", .is_large = true)
{
    set = haft_set_new();
    model_check(set_spawn(1) == 0);
    int other = model_start(take_one, (void *)1);
    take_one((void *)0);
    model_join(other);
    model_check(took[0] + took[1] == 1);
    haft_set_drop(&set);
    check_nothing_is_left();
}

static int park_once(int *n)
{
    int rc = haft_park();
    haft__fetch_add_relaxed(&ended, 1);
    return rc != 0 ? rc : *n;
}

MODEL("set: abort of all ends a member that waits", .is_large = true)
{
    int frame = 1, code = 0;
    set = haft_set_new();
    model_check(haft_set_spawn(set, park_once, &frame, .kind = HAFT_THREAD, .runtime = &runtime) == 0);
    haft_set_abort_all(set);
    model_check(haft_set_next(set, &frame, &code) == 0);
    model_check(code == HAFT_EABORTED);
    haft_set_drop(&set);
    check_nothing_is_left();
}

/* --- scopes ------------------------------------------------------------------------------------------------------------------- */

static int add_one(int *n)
{
    *n += 1;
    return 0;
}

static int fail_with(int *n)
{
    *n += 1;
    return -1;
}

MODEL("scope: the end of the block comes after the ends of its children", .is_large = true)
{
    int a = 1, b = 2, rc = 1;
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, add_one, &a, .kind = HAFT_THREAD, .runtime = &runtime);
        haft_scope_spawn(s, add_one, &b, .kind = HAFT_THREAD, .runtime = &runtime);
    }
    model_check(rc == 0 && a == 2 && b == 3);
    check_nothing_is_left();
}

static int wait_for_abort(int *n)
{
    *n = haft_park();
    return *n;
}

MODEL("scope: the first failure ends the sibling that waits", .is_large = true)
{
    int a = 1, b = 2, rc = 1;
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, wait_for_abort, &a, .kind = HAFT_THREAD, .runtime = &runtime);
        haft_scope_spawn(s, fail_with, &b, .kind = HAFT_THREAD, .runtime = &runtime);
    }
    model_check(rc == -1 && (a == HAFT_ECANCELED || a == 1) && b == 3);
    check_nothing_is_left();
}

MODEL("scope: late, it aborts the child and still waits for it")
{
    int a = 1, rc = 1;
    {
        HAFT_TIMEOUT(100);
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, wait_for_abort, &a, .kind = HAFT_THREAD, .runtime = &runtime);
    }
    model_check((rc == HAFT_EABORTED || rc == HAFT_ECANCELED) && (a == HAFT_ECANCELED || a == 1));
    check_nothing_is_left();
}

/* --- joining many --------------------------------------------------------------------------------------------------------------- */

static haft_handle start(int (*body)(int *), int n)
{
    int frame = n;
    return haft_spawn(body, &frame, .kind = HAFT_THREAD, .runtime = &runtime);
}

MODEL("join all: each end is counted once", .is_large = true)
{
    haft_handle hs[] = { start(count_end, 3), start(count_end, 4) };
    int rcs[2] = { 0 };
    model_check(haft_join_all(hs, 2, rcs) == 0);
    model_check(rcs[0] == 3 && rcs[1] == 4);
    check_nothing_is_left();
}

static haft_handle owner, first_member;

static int join_members(int *n)
{
    haft_handle hs[] = { first_member };
    int code = 0;
    int rc = haft_join_all(hs, 1, &code);
    *n = rc;
    if (rc != 0) { /* refused: the handle is still to be joined */
        HAFT_SHIELD;
        model_check(rc == HAFT_ECANCELED || rc == HAFT_EBUSY);
        model_check(haft_join(&hs[0]) == 3);
    } else {
        model_check(code == 3);
    }
    return rc;
}

MODEL("join all: an abort half way leaves the handles as they were", .is_large = true, .stale = 1)
{
    first_member = start(count_end, 3);
    owner = start(join_members, 0);
    haft_handle h = owner;
    model_check(haft_abort(owner) == 0);
    int frame = 0;
    int rc = haft_join(&h, &frame);
    model_check(rc == 0 || rc == HAFT_EABORTED);
    if (rc == HAFT_EABORTED && frame == 0) /* it had not begun */
        model_check(haft_join(&first_member) == 3);
    check_nothing_is_left();
}

/* --- a scope and a token --------------------------------------------------------------------------------------------------------- */

static haft_token token = HAFT_TOKEN_INIT;

static int reason;

static void cancel_token(void *argument)
{
    (void)argument;
    reason = 42;
    haft_token_cancel(&token);
}

MODEL("scope: a token aborts its child while the owner spawns and ends", .is_large = true)
{
    int a = 1, rc = 1;
    int other = model_start(cancel_token, NULL);
    {
        HAFT_SCOPE(s, .result = &rc);
        model_check(haft_scope_abort_on(s, &token) == 0);
        haft_scope_spawn(s, wait_for_abort, &a, .kind = HAFT_THREAD, .runtime = &runtime);
    }
    model_check(a == HAFT_ECANCELED || a == 1);
    model_join(other);
    haft_token_drop(&token);
    check_nothing_is_left();
}

static int see_reason(int *n)
{
    *n = haft_park();
    model_check(*n == HAFT_ECANCELED && reason == 42);
    return *n;
}

MODEL("scope: a child that a token aborts sees what was done before the cancel", .is_large = true, .stale = -1)
{
    int a = 1, rc = 1;
    int other = model_start(cancel_token, NULL);
    {
        HAFT_SCOPE(s, .result = &rc);
        model_check(haft_scope_abort_on(s, &token) == 0);
        haft_scope_spawn(s, see_reason, &a, .kind = HAFT_THREAD, .runtime = &runtime);
    }
    model_check(a == HAFT_ECANCELED || a == 1);
    model_join(other);
    haft_token_drop(&token);
    check_nothing_is_left();
}
