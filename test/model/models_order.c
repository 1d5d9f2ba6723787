/* SPDX-License-Identifier: MIT
 *
 * What is seen after what: plain data that one thread writes before an operation, and another reads behind its partner.
 * And the fences of aborts, whatever way they come. */
#include <string.h>

#include "os/os.h"
#include "sched/stack.h"
#include "world.h"

WORLD_RUNTIME(runtime);

static int plain, dropped;
static haft_handle shared;

static void check_nothing_is_left(void)
{
    model_join_all();
    model_check(haft__load_relaxed(&runtime.spawned) == haft__load_relaxed(&runtime.finished));
}

static int write_plain(int *n)
{
    plain = 42;
    return *n;
}

static int do_nothing(int *n)
{
    return *n;
}

static haft_handle start(int (*body)(int *), haft_drop_fn *drop)
{
    int n = 7;
    haft_handle h = haft_spawn(body, &n, .kind = HAFT_THREAD, .runtime = &runtime, .drop = drop);
    model_check(haft_error(h) == 0);
    return h;
}

/* --- ends -------------------------------------------------------------------------------------------------------------- */

static void drop_reads_plain(void *frame)
{
    (void)frame;
    model_check(plain == 42);
    dropped++;
}

MODEL("detach: a dropper that runs where the job ends sees what was done before")
{
    haft_handle h = start(do_nothing, drop_reads_plain);
    plain = 42;
    model_check(haft_detach(&h) == 0);
    model_join(1);
    model_check(dropped == 1);
    check_nothing_is_left();
}

MODEL("set: a dropper of what is let go sees what was done before")
{
    int n = 7;
    haft_set *set = haft_set_new();
    model_check(
        haft_set_spawn(set, do_nothing, &n, .kind = HAFT_THREAD, .runtime = &runtime, .drop = drop_reads_plain) == 0);
    plain = 42;
    haft_set_detach_all(set);
    haft_set_drop(&set);
    model_join(1);
    model_check(dropped == 1);
    check_nothing_is_left();
}

MODEL("wait: whoever has waited sees what the job did")
{
    haft_handle h = start(write_plain, NULL);
    model_check(haft_wait(h) == 0);
    model_check(plain == 42);
    model_check(haft_join(&h) == 7);
    check_nothing_is_left();
}

static void look_for_end(void *argument)
{
    (void)argument;
    if (haft_is_finished(shared))
        model_check(plain == 42);
}

MODEL("finished: whoever sees the end sees what the job did, though it was joined and its slot given back")
{
    shared = start(write_plain, NULL);
    haft_handle h = shared;
    int other = model_start(look_for_end, NULL);
    model_check(haft_join(&h) == 7);
    model_join(other);
    check_nothing_is_left();
}

MODEL("finished: the same when the slot goes beyond the cache of whoever joins")
{
    shared = start(write_plain, NULL);
    haft_handle h = shared;
    haft__record *more[2 * HAFT__MAGAZINE];
    haft__thread *here = haft__here();
    for (int i = 0; i < 2 * HAFT__MAGAZINE; i++)
        more[i] = haft__record_take(here);
    for (int i = 0; here->records.count < 2 * HAFT__MAGAZINE; i++)
        haft__record_give(here, more[i]);
    int other = model_start(look_for_end, NULL);
    model_check(haft_join(&h) == 7);
    model_join(other);
    check_nothing_is_left();
}

static int give_42(int *n)
{
    *n = 42;
    return 7;
}

/* A call of the pool, whose end is not that of a thread, which would order everything. */
MODEL("join: late, or the job has just ended, and its frame is whole")
{
    int n = 0, rc;
    haft_handle h = haft_spawn_blocking(give_42, &n, .runtime = &runtime);
    {
        HAFT_TIMEOUT(100);
        rc = haft_join(&h, &n);
    }
    model_check(rc == 7 || rc == HAFT_ETIMEDOUT);
    if (rc == HAFT_ETIMEDOUT)
        model_check(n == 0 && haft_join(&h, &n) == 7);
    model_check(n == 42);
    haft__pool_stop(&runtime, false);
    check_nothing_is_left();
    model_keep(runtime.pool);
}

static int park_for_token(int *n)
{
    int rc = haft_park();
    model_check(rc == 0 && plain == 42);
    return *n;
}

MODEL("unpark: who has the token sees what was written before, though it has not waited")
{
    haft_handle h = start(park_for_token, NULL);
    plain = 42;
    model_check(haft_unpark(h) == 0);
    model_check(haft_join(&h) == 7);
    check_nothing_is_left();
}

static void join_with_deadline(void *argument)
{
    haft_handle h = shared;
    HAFT_TIMEOUT(100);
    int rc = haft_join_all(&h, 1, NULL);
    model_check(rc == 0 || rc == HAFT_ETIMEDOUT || rc == HAFT_EBUSY || rc == HAFT_ESTALE);
    if (rc == 0)
        *(int *)argument = 1;
}

MODEL("join all: one gives up, and another joins the same job", .is_large = true)
{
    int joined[2] = { 0 };
    shared = start(do_nothing, NULL);
    haft_handle h = shared;
    int other = model_start(join_with_deadline, &joined[1]);
    join_with_deadline(&joined[0]);
    model_join(other);
    model_check(joined[0] + joined[1] <= 1);
    if (joined[0] + joined[1] == 0)
        model_check(haft_join(&h) == 7);
    check_nothing_is_left();
}

static haft_handle in_ring[3];
static haft__atomic(uint32_t) ring_is_ready;
static int told;

static int join_next(int *n)
{
    while (haft__load_acquire(&ring_is_ready) == 0)
        haft_yield();
    haft_handle h = in_ring[(*n + 1) % 3];
    int rc = haft_join(&h);
    told += rc == HAFT_EDEADLK;
    return rc;
}

MODEL("ring of joins: of three at once at least one is told", .is_large = true, .stale = -1)
{
    for (int i = 0; i < 3; i++)
        in_ring[i] = haft_spawn(join_next, &i, .kind = HAFT_THREAD, .runtime = &runtime);
    haft__store_release(&ring_is_ready, 1);
    model_join_all();
    for (int i = 0; i < 3; i++) {
        haft_handle h = in_ring[i];
        haft_join(&h);
    }
}

/* --- aborts that come while a job parks --------------------------------------------------------------------------------- */

static haft_event never = HAFT_EVENT_INIT;

static int wait_for_ever(int *n)
{
    model_check(haft_event_wait(&never) == HAFT_ECANCELED);
    return *n;
}

MODEL("abort: it ends a wait in a queue, by the fences")
{
    haft_handle h = start(wait_for_ever, NULL);
    model_check(haft_abort(h) == 0);
    model_check(haft_join(&h) == HAFT_EABORTED);
    check_nothing_is_left();
}

static void without_membarrier(void)
{
    world.has_no_membarrier = true;
    haft__os_replace(haft__os);
    haft__fence_setup();
}

MODEL("abort: the same where the kernel has no membarrier")
{
    without_membarrier();
    haft_handle h = start(wait_for_ever, NULL);
    model_check(haft_abort(h) == 0);
    model_check(haft_join(&h) == HAFT_EABORTED);
    check_nothing_is_left();
}

MODEL("abort of a set: it ends a wait in a queue, by the fences")
{
    int n = 7, code = 0;
    haft_set *set = haft_set_new();
    model_check(haft_set_spawn(set, wait_for_ever, &n, .kind = HAFT_THREAD, .runtime = &runtime) == 0);
    haft_set_abort_all(set);
    model_check(haft_set_next(set, &n, &code) == 0 && code == HAFT_EABORTED);
    haft_set_drop(&set);
    check_nothing_is_left();
}

static int fail(int *n)
{
    return -*n;
}

MODEL("abort by join-all: the first failure ends another's wait in a queue, by the fences", .is_large = true,
      .stale = -1)
{
    haft_handle hs[] = { start(fail, NULL), start(wait_for_ever, NULL) };
    int rcs[2];
    model_check(haft_join_all_or_abort(hs, 2, rcs) == -7);
    model_check(rcs[0] == -7 && rcs[1] == HAFT_EABORTED);
    check_nothing_is_left();
}

typedef HAFT_ACTOR(int) owner;

static int wait_in_body(int *state)
{
    model_check(haft_event_wait(&never) == HAFT_ECANCELED);
    return *state;
}

MODEL("abort of an actor: it ends a wait in a queue, by the fences")
{
    owner actor;
    int state = 1;
    model_check(haft_actor_start(&actor, &state, .kind = HAFT_THREAD, .runtime = &runtime) == 0);
    model_check(haft_cast(&actor, wait_in_body, HAFT_NO_FRAME) == 0);
    model_check(haft_actor_abort(&actor) == 0);
    int rc = haft_actor_join(&actor);
    model_check(rc == 0 || rc == HAFT_EABORTED);
    check_nothing_is_left();
}

/* --- the end of a runtime ------------------------------------------------------------------------------------------------ */

static void drop_runtime(void *argument)
{
    (void)argument;
    haft_runtime *closing = &runtime;
    model_check(haft_runtime_drop(&closing) == 0);
}

/* A job that is made, and given up as soon as it is aborted. */
static void make_while_it_ends(void)
{
    int n = 7;
    const haft_spawn_options job_options = { .size_ = sizeof job_options, .kind = HAFT_THREAD, .runtime = &runtime };
    const haft__job_spec spec = { .body = (haft_fn *)(void (*)(void))do_nothing,
                                  .frame = &n,
                                  .size = sizeof n,
                                  .alignment = _Alignof(int),
                                  .options = &job_options,
                                  .kind = HAFT_THREAD };
    haft__job *job;
    int other = model_start(drop_runtime, NULL);
    int rc = haft__job_make(&spec, &job);
    model_check(rc == 0 || rc == HAFT_ESHUTDOWN);
    while (rc == 0 && (haft__load_relaxed(&job->record.state) & HAFT__ABORT) == 0)
        model_spin();
    if (rc == 0)
        haft__job_unmake(job);
    model_join(other);
}

MODEL("runtime's end: a job that waits in a queue is aborted, by the fences", .is_large = true)
{
    haft_handle h = start(wait_for_ever, NULL);
    drop_runtime(NULL);
    model_check(haft_join(&h) == HAFT_EABORTED);
    model_join_all();
}

MODEL("runtime's end: a job that is made meanwhile is aborted, or refused", .is_large = true)
{
    make_while_it_ends();
}

MODEL("runtime's end: the same where the kernel has no membarrier", .is_large = true)
{
    without_membarrier();
    make_while_it_ends();
}

MODEL("runtime's end: its walk leaves alone what is given back meanwhile", .stale = 2)
{
    world_root();
    haft__record *record = haft__record_new();
    haft__store_relaxed(&record->kind, HAFT__KIND_TASK);
    haft__store_release(&record->home, &runtime.sched);
    haft__store_relaxed(&runtime.spawned, 1);
    int other = model_start(drop_runtime, NULL);
    haft__record_free(record);
    haft__runtime_leave(&runtime);
    model_join(other);
    model_check((haft__load_relaxed(&record->state) & HAFT__FLAGS) == 0);
}

static int spawn_and_end(int *n)
{
    haft_handle h = haft_spawn(do_nothing, n, .kind = HAFT_THREAD, .runtime = &runtime);
    haft_detach(&h);
    return *n;
}

MODEL("runtime's end: it waits for what a job spawned before it ended", .is_large = true)
{
    haft_runtime *closing = &runtime;
    runtime.options.grace = 1000000;
    haft_handle h = start(spawn_and_end, NULL);
    haft_detach(&h);
    int rc = haft_runtime_drop(&closing);
    model_check(rc == 0);
    /* By read-modify-writes, which see the newest. */
    model_check(haft__fetch_add_relaxed(&runtime.spawned, 0) == haft__fetch_add_relaxed(&runtime.finished, 0));
    model_join_all();
}

static void end_as_worker(void *argument)
{
    haft__thread *here = haft__here();
    here->worker = argument;
    haft__runtime_leave_from(here, &runtime);
    here->worker = NULL;
}

static void spawn_and_end_as_worker(void *argument)
{
    haft__thread *here = haft__here();
    here->worker = argument;
    haft__runtime_count(here, &runtime, false);
    haft__runtime_count(here, &runtime, true);
    here->worker = NULL;
}

static void run_nothing(haft__record *record)
{
    (void)record;
}

static void enter_and_leave(void *argument)
{
    haft__thread *here = haft__here();
    (void)argument;
    if (haft__runtime_enter(here, &runtime) == 0)
        haft__runtime_leave_from(here, &runtime);
}

MODEL("runtime's end: one that is refused is not counted for one that lives")
{
    haft__store_relaxed(&runtime.spawned, 1);
    int other = model_start(enter_and_leave, NULL);
    haft__store_relaxed(&runtime.closing, 1);
    haft__fence_heavy();
    model_check(haft__runtime_live(&runtime) != 0);
    model_join(other);
}

MODEL("runtime's end: an end is not counted without the beginnings that came before it")
{
    model_check(haft__sched_init(&runtime.sched, 2, run_nothing) == 0);
    haft__worker *workers = runtime.sched.workers;
    haft__store_relaxed(&workers[0].spawned, 1);
    int other = model_start(spawn_and_end_as_worker, &workers[0]); /* one of two: one is left */
    model_check(haft__sched_live(&runtime.sched) != 0);
    model_join(other);
    haft__sched_fini(&runtime.sched);
    model_keep(runtime.sched.block);
}

MODEL("runtime left behind: of the last two ends one lets the workers go")
{
    model_check(haft__sched_init(&runtime.sched, 2, run_nothing) == 0);
    haft__worker *workers = runtime.sched.workers;
    for (int i = 0; i < 2; i++)
        haft__store_relaxed(&workers[i].spawned, 1);
    haft__store_relaxed(&runtime.closing, 1);
    haft__store_relaxed(&runtime.is_left_behind, 1);
    int other = model_start(end_as_worker, &workers[1]);
    end_as_worker(&workers[0]);
    model_join(other);
    for (int i = 0; i < 2; i++)
        model_check(haft__load_relaxed(&workers[i].stop_word) == HAFT__WORKER_TOLD);
    haft__sched_fini(&runtime.sched);
    model_keep(runtime.sched.block);
}

static void set_up_fences(void *argument)
{
    (void)argument;
    haft__fence_setup();
    model_check(haft__load_relaxed(&haft__fence_is_asymmetric));
}

MODEL("fences: two threads decide at once, and both see the decision")
{
    haft__os_replace(haft__os);
    int other = model_start(set_up_fences, NULL);
    set_up_fences(NULL);
    model_join(other);
}

/* --- reports ---------------------------------------------------------------------------------------------------------------- */

static haft__record *looked_at;

static void look_at_job(void *argument)
{
    haft__sight sight;
    (void)argument;
    if (haft__job_peek(looked_at, &sight))
        model_check(strcmp(sight.name, "one") == 0 || strcmp(sight.name, "two") == 0 || sight.name[0] == 't');
}

MODEL("reports: a job is looked at while it ends and another one takes its place", .is_large = true)
{
    int n = 7;
    haft_handle h = haft_spawn(do_nothing, &n, .kind = HAFT_THREAD, .runtime = &runtime, .name = "one");
    looked_at = &haft__job_of_handle(&h)->record;
    int other = model_start(look_at_job, NULL);
    model_check(haft_join(&h) == 7);
    h = haft_spawn(do_nothing, &n, .kind = HAFT_THREAD, .runtime = &runtime, .name = "two");
    model_check(haft_join(&h) == 7);
    model_join(other);
    check_nothing_is_left();
}

static void name_of_shared(void *argument)
{
    (void)argument;
    model_check(haft_name(shared)[0] == 0);
}

MODEL("name: a stale handle names nobody while its slot is used again")
{
    int n = 7;
    shared = start(do_nothing, NULL);
    haft_handle h = shared;
    int other = model_start(name_of_shared, NULL);
    model_check(haft_join(&h) == 7);
    h = haft_spawn(do_nothing, &n, .kind = HAFT_THREAD, .runtime = &runtime, .name = "next");
    model_join(other);
    model_check(haft_join(&h) == 7);
    check_nothing_is_left();
}

static void hook(const haft_panic_info *info)
{
    (void)info;
    model_check(plain == 42);
    dropped++;
}

static int panic_at_once(int *n)
{
    haft_panic("number %d", *n);
}

MODEL("panic: a hook sees what was done before it was put there")
{
    haft_handle h = start(panic_at_once, NULL);
    plain = 42;
    haft_on_panic(hook);
    model_check(haft_join(&h) == HAFT_EPANIC);
    model_check(dropped <= 1);
    check_nothing_is_left();
}

static void make_stack(void *argument)
{
    haft__stack_cache cache = { 0 };
    haft__stack *mine = haft__stack_take(&cache, 0);
    (void)argument;
    model_check(mine != NULL);
    haft__stack_give(&cache, mine);
    haft__stack_cache_flush(&cache);
}

MODEL("stacks: a fault is looked up while another thread makes an arena")
{
    int other = model_start(make_stack, NULL);
    haft__stack_is_guard(&plain);
    model_join(other);
}
