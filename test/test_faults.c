/* SPDX-License-Identifier: MIT
 *
 * Jobs, groups, panics and runtimes on a machine that refuses memory and threads: see scenario.h.
 *
 * Over 600 lines: a scenario for each thing, which are many and short. */
#include <haft/haft.h>

#include <pthread.h>

#include "scenario.h"

/* --- what the scenarios share ------------------------------------------------------------------------------------- */

struct frame {
    int n;
    char more[8];
};

struct large_frame {
    int n;
    char more[300];
};

static _Atomic int drops;

static void counts_a_drop(void *frame)
{
    (void)frame;
    atomic_fetch_add(&drops, 1);
}

static int adds_one(struct frame *f)
{
    f->n++;
    return 7;
}

static int adds_one_to_a_large_one(struct large_frame *f)
{
    f->n++;
    return 7;
}

static void until_dropped(int n)
{
    while (atomic_load(&drops) < n)
        if (haft_yield() != 0)
            poll(NULL, 0, 1);
    check_int(atomic_load(&drops), ==, n);
}

/* What joining a job with a code of 7 may come to. */
static void check_joined(int rc, bool ran)
{
    if (rc == 7)
        check(ran);
    else
        check_msg(is_refusal(rc) && !ran, "%d %s", rc, haft_errname(rc));
}

/* --- the scenarios ------------------------------------------------------------------------------------------------ */

SCENARIO("a spawn of any kind that is refused has taken nothing, and one that was not ends as it should")
{
    for_each_kind(kind)
        for (int variant = 0; variant < 4; variant++) {
            const char *name = (variant & 1) != 0 ? "a name" : NULL;
            size_t stack_size = (variant & 2) != 0 ? 200000 : 0;
            atomic_store(&drops, 0);
            struct frame f = { .n = 1 };
            haft_handle h =
                haft_spawn(adds_one, &f, .kind = kind, .name = name, .stack_size = stack_size, .drop = counts_a_drop);
            int error = haft_error(h);
            may_be_refused(error);
            int rc = haft_join(&h, &f);
            check(haft_is_null(h));
            if (error != 0)
                check_int(rc, ==, error);
            check_joined(rc, f.n == 2);

            struct large_frame large = { .n = 1 };
            h = haft_spawn(adds_one_to_a_large_one, &large, .kind = kind, .name = name, .drop = counts_a_drop);
            error = haft_error(h);
            may_be_refused(error);
            rc = haft_join(&h, &large);
            check(haft_is_null(h));
            if (error != 0)
                check_int(rc, ==, error);
            check_joined(rc, large.n == 2);
            check_int(atomic_load(&drops), ==, 0);
        }
}

SCENARIO("the frame of a job that was let go is dropped once, whether it could run or not")
{
    int made = 0;
    atomic_store(&drops, 0);
    for_each_kind(kind)
        for (int how = 0; how < 4; how++) {
            struct large_frame large = { .n = 1 };
            haft_handle h = haft_spawn(adds_one_to_a_large_one, &large, .kind = kind, .drop = counts_a_drop);
            if (haft_error(h) != 0) {
                may_be_refused(haft_error(h));
                haft_drop(&h);
                continue;
            }
            made++;
            int rc;
            switch (how) {
            case 0:
                check_int(haft_detach(&h), ==, 0);
                break;
            case 1:
                haft_drop(&h);
                break;
            case 2:
                check_int(haft_abort(h), ==, 0);
                rc = haft_join(&h);
                check_msg(rc == 7 || rc == HAFT_EABORTED || is_refusal(rc), "%s", haft_errname(rc));
                break;
            default:
                rc = haft_join(&h);
                check_msg(rc == 7 || is_refusal(rc), "%s", haft_errname(rc));
                break;
            }
            check(haft_is_null(h));
        }
    until_dropped(made);
}

SCENARIO("a tracker counts the jobs that could be started, until they have ended, whether they could run or not")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    int made = 0;
    atomic_store(&drops, 0);
    for_each_kind(kind) {
        struct large_frame large = { .n = 1 };
        int rc = haft_tracker_spawn(&t, adds_one_to_a_large_one, &large, .kind = kind, .drop = counts_a_drop);
        may_be_refused(rc);
        made += rc == 0;
        rc = haft_tracker_spawn(&t, return_nothing, HAFT_NO_FRAME, .kind = kind, .name = "tracked");
        may_be_refused(rc);
    }
    haft_tracker_close(&t);
    int rc = haft_tracker_wait(&t);
    if (rc != 0)
        may_be_refused(rc);
    until_dropped(made);
    check(haft_tracker_is_empty(&t));
}

SCENARIO("waiting for a job, asking for it, waking it and aborting it are never refused")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = kind, .name = "waiter");
        if (haft_error(h) != 0) {
            int error = haft_error(h);
            may_be_refused(error);
            check_int(haft_join(&h), ==, error);
            continue;
        }
        haft_abort_handle a = haft_abort_handle_of(h);
        int rc = haft_try_join(&h);
        if (rc != HAFT_EAGAIN || haft_is_null(h)) { /* it could not run and has ended */
            check(is_refusal(rc));
            check(haft_is_null(h));
            continue;
        }
        {
            HAFT_TIMEOUT(HAFT_MS);
            rc = haft_wait(h);
            check(rc == HAFT_ETIMEDOUT || rc == 0);
        }
        if (kind == HAFT_TASK)
            check_int(haft_unpark(h), ==, 0);
        else
            check_int(haft_abort_by(a), ==, 0);
        check_int(haft_wait(h), ==, 0);
        check(haft_is_finished(h));
        haft_outcome out;
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check(out.end != HAFT_PANICKED);
        check(out.end != HAFT_NOT_STARTED || is_refusal(out.code) || kind != HAFT_TASK);
    }
}

static int counts_a_child(_Atomic int *count)
{
    atomic_fetch_add(count, 1);
    return 0;
}

SCENARIO("a scope ends with all its children, and a spawn that was refused is its failure")
{
    for (int on_error = HAFT_ON_ERROR_ABORT; on_error <= HAFT_ON_ERROR_WAIT; on_error++) {
        _Atomic int count = 0;
        int rc = -1, spawned = 0;
        {
            HAFT_SCOPE(s, .result = &rc, .on_error = (haft_on_error)on_error);
            for_each_kind(kind)
                for (int i = 0; i < 2; i++) {
                    int error = haft_scope_spawn(s, counts_a_child, &count, .kind = kind, .name = "child");
                    may_be_refused(error);
                    spawned += error == 0;
                }
        }
        may_be_refused(rc);
        check_int(atomic_load(&count), <=, spawned);
        if (rc == 0)
            check_int(atomic_load(&count), ==, 6);
    }
}

SCENARIO("a set gives each job that it took exactly once, and its frame")
{
    haft_set *set = haft_set_new(.limit = 2);
    if (set == NULL) {
        check_uint(atomic_load(&faults_state.refused), >, 0);
        return;
    }
    int made = 0, taken = 0, rc, code;
    atomic_store(&drops, 0);
    for_each_kind(kind)
        for (int i = 0; i < 2; i++) {
            struct large_frame large = { .n = 1 };
            rc = haft_set_spawn(set, adds_one_to_a_large_one, &large, .kind = kind, .drop = counts_a_drop);
            may_be_refused(rc);
            made += rc == 0;
            haft_handle h = haft_spawn(adds_one_to_a_large_one, &large, .kind = kind, .drop = counts_a_drop);
            if (haft_error(h) == 0) {
                check_int(haft_set_add(set, &h), ==, 0);
                made++;
            } else {
                may_be_refused(haft_error(h));
            }
        }
    check_uint(haft_set_len(set), ==, made);
    struct large_frame large;
    while (taken < made / 2 && haft_set_next(set, &large, &code) == 0) {
        check_joined(code, large.n == 2);
        taken++;
    }
    check_int(taken, ==, made / 2);
    check_int(atomic_load(&drops), ==, 0);
    haft_set_abort_all(set);
    if (made % 2 != 0)
        haft_set_shutdown(set);
    haft_set_drop(&set);
    check_int(atomic_load(&drops), ==, made - taken);
}

SCENARIO("jobs of a set that are let go end by themselves")
{
    haft_set *set = haft_set_new(.limit = 1);
    if (set == NULL)
        return;
    int made = 0;
    atomic_store(&drops, 0);
    for (int i = 0; i < 4; i++) {
        struct frame f = { .n = 1 };
        int rc = haft_set_spawn(set, adds_one, &f, .drop = counts_a_drop);
        may_be_refused(rc);
        made += rc == 0;
    }
    haft_set_detach_all(set);
    haft_set_drop(&set);
    until_dropped(made);
}

SCENARIO("join_all and join_all_or_abort spend every handle")
{
    for (int or_abort = 0; or_abort < 2; or_abort++) {
        haft_handle hs[6];
        int rcs[6], n = 0;
        for_each_kind(kind)
            for (int i = 0; i < 2; i++) {
                struct frame f = { .n = 1 };
                haft_handle h = haft_spawn(adds_one, &f, .kind = kind);
                if (haft_error(h) == 0)
                    hs[n++] = h;
            }
        int rc = or_abort ? haft_join_all_or_abort(hs, (size_t)n, rcs) : haft_join_all(hs, (size_t)n, rcs);
        if (!or_abort)
            may_be_refused(rc);
        for (int i = 0; i < n; i++) {
            if (!haft_is_null(hs[i])) {
                check(is_refusal(rc) && !or_abort);
                haft_drop(&hs[i]);
                continue;
            }
            check_msg(rcs[i] == 7 || rcs[i] == HAFT_EABORTED || is_refusal(rcs[i]), "%s", haft_errname(rcs[i]));
        }
    }
}

SCENARIO("haft_all, haft_both and haft_for_each do what they can and say what they could not")
{
    _Atomic int count = 0, one = 0, other = 0;
    int rcs[3];
    int rc = haft_all(rcs, HAFT_ARM(counts_a_child, &count), HAFT_ARM(counts_a_child, &count, .kind = HAFT_THREAD),
                      HAFT_ARM(counts_a_child, &count, .name = "third"));
    may_be_refused(rc);
    for (int i = 0; i < 3; i++)
        check_msg(rcs[i] == 0 || is_refusal(rcs[i]) || rcs[i] == HAFT_EABORTED, "%s", haft_errname(rcs[i]));
    rc = haft_all_or_abort(rcs, HAFT_ARM(counts_a_child, &count), HAFT_ARM(counts_a_child, &count));
    may_be_refused(rc);
    rc = haft_both(counts_a_child, &one, counts_a_child, &other);
    check_int(rc, ==, 0);
    check_int(atomic_load(&one) + atomic_load(&other), ==, 2);
    _Atomic int items[50] = { 0 };
    rc = haft_for_each(counts_a_child, items, 50);
    check_int(rc, ==, 0);
    for (int i = 0; i < 50; i++)
        check_int(atomic_load(&items[i]), ==, 1);
}

static int panics(void)
{
    haft_panic("out of %s", "order");
}

static int panics_with_a_payload(struct frame *f)
{
    haft_panic_with(f, counts_a_drop);
}

static int resumes_a_panic(void)
{
    haft_panic_info panic;
    int rc = haft_catch(panics, HAFT_NO_FRAME, &panic);
    check_int(rc, ==, HAFT_EPANIC);
    haft_panic_resume(&panic);
}

SCENARIO("a panic is a panic, even when there is no memory for its message, and its payload is dropped once")
{
    haft_panic_info panic;
    static struct frame payload;
    check_int(haft_catch(panics, HAFT_NO_FRAME, &panic), ==, HAFT_EPANIC);
    haft_panic_drop(&panic);
    atomic_store(&drops, 0);
    check_int(haft_catch(panics_with_a_payload, &payload, &panic), ==, HAFT_EPANIC);
    haft_panic_drop(&panic);
    check_int(atomic_load(&drops), ==, 1);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(resumes_a_panic, HAFT_NO_FRAME, .kind = kind);
        int rc = haft_join(&h);
        check_msg(rc == HAFT_EPANIC || is_refusal(rc), "%s", haft_errname(rc));
        h = haft_spawn(panics, HAFT_NO_FRAME, .kind = kind);
        haft_outcome out;
        if (haft_error(h) == 0) {
            check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
            check(out.end == HAFT_PANICKED || (out.end == HAFT_NOT_STARTED && is_refusal(out.code)));
            haft_panic_drop(&out.panic);
        }
    }
}

static int has_children_that_panic(const haft_kind *kind)
{
    static struct frame payloads[4];
    HAFT_SCOPE(s, .on_error = HAFT_ON_ERROR_WAIT);
    for (int i = 0; i < 4; i++)
        may_be_refused(haft_scope_spawn(s, panics_with_a_payload, &payloads[i], .kind = *kind));
    return 0;
}

SCENARIO("of children that panic without memory the owner is told one, and all payloads are dropped")
{
    for_each_kind(kind) {
        haft_panic_info panic;
        haft_kind of = kind;
        atomic_store(&drops, 0);
        int rc = haft_catch(has_children_that_panic, &of, &panic);
        check_msg(rc == HAFT_EPANIC || atomic_load(&faults_state.refused) > 0, "%s", haft_errname(rc));
        if (rc == HAFT_EPANIC)
            haft_panic_drop(&panic);
        check(atomic_load(&drops) == 4 || atomic_load(&faults_state.refused) > 0);
    }
}

static int leaves_by_pthread_exit(void)
{
    pthread_exit(NULL);
}

SCENARIO("a job that is left by pthread_exit has ended")
{
    for_each_kind(kind) {
        if (kind == HAFT_TASK)
            continue; /* its thread is not its own */
        haft_handle h = haft_spawn(leaves_by_pthread_exit, HAFT_NO_FRAME, .kind = kind);
        int rc = haft_join(&h);
        check_msg(rc == HAFT_EPANIC || is_refusal(rc), "%s", haft_errname(rc));
    }
}

SCENARIO("waits with deadlines end in time")
{
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_sleep(10 * HAFT_US), ==, 0);
    haft_handle h = haft_spawn(wait_for_token);
    if (haft_error(h) == 0) {
        HAFT_TIMEOUT(HAFT_MS);
        int rc = haft_join(&h);
        check_msg(rc == HAFT_ETIMEDOUT || is_refusal(rc), "%s", haft_errname(rc));
        check_int(haft_is_null(h), ==, rc != HAFT_ETIMEDOUT);
    }
    haft_drop(&h);
}

SCENARIO("a blocking call is done or refused")
{
    for (int i = 0; i < 3; i++) {
        struct frame f = { .n = 1 };
        int rc = haft_blocking(adds_one, &f);
        check_joined(rc, f.n == 2);
    }
    haft_handle hs[4];
    for (int i = 0; i < 4; i++)
        hs[i] = haft_spawn_blocking(adds_one, (&(struct frame){ .n = 1 }));
    for (int i = 0; i < 4; i++) {
        struct frame f = { .n = 1 };
        int rc = haft_join(&hs[i], &f);
        check_joined(rc, f.n == 2);
    }
}

static int fails_at_once(struct large_frame *f)
{
    check_int(f->n++, ==, 1); /* a copy of the template */
    return -1;
}

SCENARIO(
    "a supervisor is made or is null, a child that is refused was not added, and one that is started again dies or is refused")
{
    int added = 0;
    atomic_store(&drops, 0);
    haft_supervisor *sup = haft_supervisor_new(.strategy = HAFT_REST_FOR_ONE, .restarts = 2, .within = 60 * HAFT_S);
    if (sup == NULL) {
        check_uint(atomic_load(&faults_state.refused), >, 0);
        return;
    }
    for_each_kind(kind) {
        struct large_frame f = { .n = 1 };
        int rc = haft_supervise(sup, fails_at_once, &f, .name = "a name", .kind = kind, .drop = counts_a_drop);
        if (rc != HAFT_ECLOSED) /* the ones before were too many already */
            may_be_refused(rc);
        added += rc == 0;
    }
    int rc = haft_supervisor_wait(sup);
    check_msg(added == 0 ? rc == 0 : rc == -1 || is_refusal(rc), "%s", haft_errname(rc));
    check_int(haft_supervisor_drop(&sup), ==, 0);
    check_int(atomic_load(&drops), ==, added);
}

struct served {
    int n;
};

static int serves_or_panics(struct served *s, struct large_frame *f)
{
    if (f->n < 0)
        haft_panic("a bad one");
    f->n = ++s->n;
    return 0;
}

SCENARIO("a supervised actor is made or is not, and is started again whatever is refused")
{
    atomic_store(&drops, 0);
    haft_supervisor *sup = haft_supervisor_new();
    if (sup == NULL)
        return;
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        HAFT_ACTOR(struct served) a;
        struct served s = { 10 };
        int rc = haft_supervise_actor(sup, &a, &s, .name = "a name", .kind = kind, .drop = counts_a_drop);
        if (rc != HAFT_ECLOSED)
            may_be_refused(rc);
        if (rc != 0)
            continue;
        atomic_store(&drops, 0);
        struct large_frame good = { .n = 0 }, bad = { .n = -1 };
        rc = haft_call(&a, serves_or_panics, &bad);
        bool has_died = rc == HAFT_EPANIC;
        check(has_died || is_refusal(rc) || (rc == HAFT_ECLOSED && atomic_load(&faults_state.refused) > 0));
        rc = haft_call(&a, serves_or_panics, &good);
        check(rc == 0 || is_refusal(rc) || (rc == HAFT_ECLOSED && atomic_load(&faults_state.refused) > 0));
        if (rc == 0)
            check_int(good.n, ==, 11);
        rc = haft_actor_drop(&a);
        check(rc == 0 || is_refusal(rc));
        check_int(atomic_load(&drops), ==, has_died ? 2 : 1);
    }
    check_int(haft_supervisor_drop(&sup), ==, 0);
}

static int spawns_and_joins(void)
{
    struct frame f = { .n = 1 };
    haft_handle h = haft_spawn(adds_one, &f);
    int rc = haft_join(&h, &f);
    check_joined(rc, f.n == 2);
    return 0;
}

static int runs_a_runtime(void)
{
    return haft_run(spawns_and_joins, HAFT_NO_FRAME, .workers = 2);
}

SCENARIO("a runtime begins or does not, and ends")
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        haft_runtime *runtime = haft_runtime_new(.workers = workers);
        if (runtime == NULL) {
            check_uint(atomic_load(&faults_state.refused), >, 0);
            continue;
        }
        struct frame f = { .n = 1 };
        haft_handle h = haft_spawn(adds_one, &f, .runtime = runtime);
        int rc = haft_join(&h, &f);
        check_joined(rc, f.n == 2);
        h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .runtime = runtime);
        check_int(haft_runtime_drop(&runtime), ==, 0);
        rc = haft_join(&h);
        check_msg(rc == HAFT_EABORTED || is_refusal(rc), "%s", haft_errname(rc));
    }
    haft_handle thread = haft_spawn(runs_a_runtime, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    may_be_refused(haft_join(&thread));
}

static void *calls_from_its_own_thread(void *argument)
{
    struct frame f = { .n = 1 };
    haft_handle h = haft_spawn(adds_one, &f);
    int rc = haft_join(&h, &f);
    check_joined(rc, f.n == 2);
    return argument;
}

SCENARIO("a plain thread whose first call is refused can end, and call again")
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        check_int(pthread_create(&thread, NULL, calls_from_its_own_thread, NULL), ==, 0);
        check_int(pthread_join(thread, NULL), ==, 0);
    }
}

static int waits_among_others(_Atomic int **waiting)
{
    atomic_fetch_add(*waiting, 1);
    return haft_park();
}

static int serves(struct frame *state, struct large_frame *f)
{
    (void)state;
    f->n++;
    return 7;
}

/* Served, or refused for want of memory; closed, if there was none for the worker. */
static void check_served(int rc, bool ran)
{
    check(rc == 7 ? ran : !ran);
    check_msg(rc == 7 || is_refusal(rc) || (rc == HAFT_ECLOSED && atomic_load(&faults_state.refused) > 0), "%d %s", rc,
              haft_errname(rc));
}

static int was_taken(int rc)
{
    check_msg(rc == 0 || is_refusal(rc) || (rc == HAFT_ECLOSED && atomic_load(&faults_state.refused) > 0), "%d %s", rc,
              haft_errname(rc));
    return rc == 0;
}

SCENARIO("an actor starts or does not; what it took it serves or disposes of, once")
{
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++)
        for (int joins = 0; joins < 2; joins++) {
            HAFT_ACTOR(struct frame) a;
            struct frame state = { .n = 5 };
            atomic_store(&drops, 0);
            int rc = haft_actor_start(&a, &state, .kind = kind, .name = "actor", .drop = counts_a_drop);
            may_be_refused(rc);
            if (rc != 0)
                continue;
            int taken = 0;
            for (int i = 0; i < 2; i++) {
                struct large_frame f = { .n = 1 };
                taken += was_taken(haft_cast(&a, serves, &f, .drop = counts_a_drop));
                rc = haft_call(&a, serves, &f, .drop = counts_a_drop);
                check_served(rc, f.n == 2);
            }
            state.n = 0;
            rc = joins ? haft_actor_join(&a, &state) : haft_actor_drop(&a);
            may_be_refused(rc);
            check_int(state.n, ==, joins ? 5 : 0);
            check_int(atomic_load(&drops), ==, taken + !joins);
        }
}

SCENARIO("a pool starts or does not, grows or does not; what it took it serves or disposes of, once")
{
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++)
        for (int joins = 0; joins < 2; joins++) {
            HAFT_POOL(struct frame) p;
            struct frame state = { .n = 5 };
            atomic_store(&drops, 0);
            int rc = haft_pool_start(&p, &state, .workers = 2, .kind = kind, .name = "pool", .drop = counts_a_drop);
            may_be_refused(rc);
            if (rc != 0)
                continue;
            int taken = 0;
            unsigned wanted = 2;
            for (int i = 0; i < 3; i++) {
                struct large_frame f = { .n = 1 };
                taken += was_taken(haft_pool_cast_keyed(&p, 1, serves, &f, .drop = counts_a_drop));
                rc = haft_pool_call_keyed(&p, 1, serves, &f, .drop = counts_a_drop);
                check_served(rc, f.n == 2);
                if (was_taken(haft_pool_resize(&p, 4U - (unsigned)i)))
                    wanted = 4U - (unsigned)i;
                haft_actor_statistics stats; /* one that failed has changed nothing */
                do
                    check_int(haft_actor_stats(&p, &stats), ==, 0);
                while (stats.workers > wanted && haft_yield() == 0);
            }
            state.n = 0;
            rc = joins ? haft_pool_join(&p, &state) : haft_pool_drop(&p);
            may_be_refused(rc);
            check_int(state.n, ==, joins ? 5 : 0);
            check_int(atomic_load(&drops), ==, taken + !joins);
        }
}

SCENARIO("of many tasks that wait at once each ends, with or without a stack of its own")
{
    enum { N = 80 };
    haft_handle hs[N];
    _Atomic int waiting = 0, *p = &waiting;
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(waits_among_others, &p, .stack_size = i % 16 == 0 ? 100000u : 0);
    for (int i = 0; i < N; i++)
        if (haft_error(hs[i]) == 0)
            (void)haft_unpark(hs[i]);
    for (int i = 0; i < N; i++)
        may_be_refused(haft_join(&hs[i]));
}

static int parks_among_others(_Atomic int **waiting)
{
    atomic_fetch_add(*waiting, 1);
    return haft_park();
}

enum { TOO_MANY = 12000 };

/* How many have ended, once each has begun or ended, or after a while. */
static int count_ended(const haft_handle *hs)
{
    for (int i = 0; i < 2 * TOO_MANY; i++)
        check_int(haft_yield(), ==, 0);
    int ended = 0;
    for (int i = 0; i < TOO_MANY; i++)
        ended += haft_is_finished(hs[i]);
    return ended;
}

static int spawns_too_many(void)
{
    static haft_handle hs[TOO_MANY];
    _Atomic int waiting = 0, *p = &waiting;
    for (int i = 0; i < TOO_MANY; i++)
        hs[i] = haft_spawn(parks_among_others, &p);
    faults_arm((struct faults){ FAULT_ANY, .k = 1, .forever = true });
    int ended = count_ended(hs), begun = atomic_load(&waiting);
    faults_disarm();
    check_int(ended, >, 0);
    check_int(ended + begun, ==, TOO_MANY);
    int refused = 0;
    for (int i = 0; i < TOO_MANY; i++) {
        check_int(haft_unpark(hs[i]), ==, 0);
        int rc = haft_join(&hs[i]);
        check(rc == 0 || rc == HAFT_ENOMEM);
        refused += rc != 0;
    }
    check_int(refused, ==, ended);
    return 0;
}

TEST("of too many tasks that wait without an end those that get no stack are refused meanwhile")
{
    faults_begin();
    check_int(haft_run(spawns_too_many, HAFT_NO_FRAME, .workers = 1), ==, 0);
}
