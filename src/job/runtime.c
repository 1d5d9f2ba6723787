/* SPDX-License-Identifier: MIT
 *
 * Runtimes: a scheduler, a pool, and the count of the jobs that both and the threads run.
 *
 * The end of a runtime: `closing` is set, which makes every later spawn fail; after the grace every job is marked
 * and woken; the closer waits until the count is zero, and only then are workers and pool told to stop. If for long
 * enough no job has ended, those that are left are stuck: they are named, workers and threads of the pool that are not
 * in one of them are joined, and everything else is left to them for ever, control block, stacks and queues. Whatever
 * such a job calls, should it go on, still works, but for spawning; workers in it serve its like until all have ended.
 *
 * Counting costs no exchange on a worker: each counts what it made and ended. A spawner counts first and looks at `closing`
 * then; the closer sets it, executes the heavy fence, and sums up, the ended ones first, so that the difference is
 * never too small.
 *
 * Control blocks are reused and never freed: the thread that counts the last end still touches its block while the
 * closer goes on. */
#include "job/job.h"

#include "check/deadlock.h"

#include <string.h>

#include "sched/queue.h"

static struct {
    haft__lock lock;
    haft_runtime *spare;
    haft_runtime *left_behind; /* so that leak checkers find them */
    haft_runtime *standard;    /* the default one; null until first used */
    uint32_t starting;         /* some thread is starting it */
    unsigned live;
} all;

/* --- Counting ----------------------------------------------------------------------------------------------------- */

uint64_t haft__runtime_live(haft_runtime *runtime)
{
    uint64_t finished = haft__load_acquire(&runtime->finished);
    uint64_t live = haft__sched_live(&runtime->sched);
    /* Acquire above and in the sums: partner of the release in haft__runtime_count; who sees an end sees the beginning. */
    return live + haft__load_relaxed(&runtime->spawned) - finished;
}

/* The last of those that were left behind lets the workers go that were. */
static void end_if_deserted(haft_runtime *runtime)
{
    haft__fence_full(); /* of two that end at once, one sees the other's count, or the closer sees both */
    if (haft__load_relaxed(&runtime->is_left_behind) != 0 && haft__runtime_live(runtime) == 0)
        haft__sched_stop(&runtime->sched);
}

void haft__runtime_uncount(haft_runtime *runtime)
{
    haft__worker *w = haft__sched_worker_here(&runtime->sched);
    if (w != NULL)
        haft__count(&w->unmade, 1);
    else
        haft__fetch_add_relaxed(&runtime->unmade, 1);
    haft__runtime_leave(runtime);
}

void haft__runtime_tell_closer(haft_runtime *runtime)
{
    haft__record *closer = haft__load_relaxed(&runtime->closer); /* records are for ever, and a late wake is legal */
    if (closer != NULL)
        haft__wake(closer);
    end_if_deserted(runtime);
}

/* --- Ending ------------------------------------------------------------------------------------------------------- */

struct abort_all {
    haft_runtime *runtime;
    const haft__record *except;
    bool wake; /* the second pass */
};

static void abort_visit(haft__record *record, void *argument)
{
    struct abort_all *all_of = argument;
    /* Acquire: partner of the release with which a slot is given back; whoever sees the later generation does not take the
     * next one to have it for a job of this runtime by the home of the last one. */
    uint64_t state = haft__load_acquire(&record->state);
    if (record == all_of->except || haft__load_relaxed(&record->home) != &all_of->runtime->sched ||
        haft__load_relaxed(&record->kind) >= HAFT__KIND_PLAIN)
        return;
    if (!all_of->wake)
        haft__job_mark_aborted(record, haft__generation(state));
    else if ((state & HAFT__ABORT) != 0)
        haft__wake(record);
}

static void abort_jobs(haft_runtime *runtime, const haft__record *except)
{
    struct abort_all pass = { .runtime = runtime, .except = except };
    /* A job that is being made while the table is walked either is found, or sees this and marks itself: see make(). */
    haft__store_relaxed(&runtime->aborting, 1);
    haft__fence_heavy(); /* partner: the light fence in haft__job_heed_end */
    haft__record_each(abort_visit, &pass);
    haft__fence_heavy(); /* once for all: see haft__job_mark_aborted */
    pass.wake = true;
    haft__record_each(abort_visit, &pass);
}

/* Waits until no more than `remaining` jobs live, or until the deadline. */
static bool wait_for_jobs(haft_runtime *runtime, uint64_t remaining, int64_t deadline)
{
    haft__root *me = haft__here_always()->root;
    haft__shield shield = haft__shield_raise(me);
    me->deadline = deadline;
    while (haft__runtime_live(runtime) > remaining && haft__os->now() < deadline)
        haft__park_for("the end of the other jobs", NULL);
    haft__shield_lower(me, shield);
    return haft__runtime_live(runtime) <= remaining;
}

/* Waits until no more than `remaining` jobs live. False if for so long no job has ended. Time is counted in turns of
 * the caller's own, so that a process that was stopped, or got no processor, is not taken for one that is stuck. */
static bool wait_while_jobs_end(haft_runtime *runtime, uint64_t remaining)
{
    int64_t patience = runtime->options.grace > HAFT__STUCK_NS ? runtime->options.grace : HAFT__STUCK_NS;
    uint64_t least = haft__runtime_live(runtime);
    for (int64_t waited = 0; least > remaining && waited < patience; waited += HAFT__STUCK_TURN_NS) {
        if (wait_for_jobs(runtime, remaining, haft__os->now() + HAFT__STUCK_TURN_NS))
            return true;
        uint64_t live = haft__runtime_live(runtime);
        if (live < least) {
            least = live;
            waited = 0;
        }
    }
    return least <= remaining;
}

/* Ends every job but the caller's own, if it is one of the runtime's. False: some are stuck. */
static bool close_runtime(haft_runtime *runtime, const haft__record *own)
{
    haft__root *me = haft__here_always()->root;
    uint64_t remaining = own != NULL ? 1 : 0;
    haft__store_relaxed(&runtime->closer, me->record);
    haft__store_relaxed(&runtime->closing, 1);
    haft__fence_heavy(); /* partner: the light fence in haft__runtime_count */
    int64_t deadline;
    if (__builtin_add_overflow(haft__os->now(), runtime->options.grace > 0 ? runtime->options.grace : 0, &deadline))
        deadline = INT64_MAX;
    bool have_ended = wait_for_jobs(runtime, remaining, deadline);
    if (!have_ended) {
        abort_jobs(runtime, own);
        have_ended = wait_while_jobs_end(runtime, remaining);
    }
    haft__store_relaxed(&runtime->closer, NULL);
    return have_ended;
}

/* --- Beginning ---------------------------------------------------------------------------------------------------- */

static haft_runtime *block_new(void)
{
    haft__lock_acquire(&all.lock);
    haft_runtime *runtime = all.spare;
    if (runtime != NULL)
        all.spare = runtime->next;
    all.live++;
    haft__lock_release(&all.lock);
    if (runtime != NULL)
        return runtime;
    runtime = haft__os->allocate(sizeof *runtime, _Alignof(haft_runtime));
    if (runtime != NULL) {
        memset(runtime, 0, sizeof *runtime);
        return runtime;
    }
    haft__lock_acquire(&all.lock);
    all.live--;
    haft__lock_release(&all.lock);
    return NULL;
}

unsigned haft__runtimes_live(void)
{
    haft__lock_acquire(&all.lock);
    unsigned live = all.live;
    haft__lock_release(&all.lock);
    return live;
}

static void block_free(haft_runtime *runtime)
{
    haft__lock_acquire(&all.lock);
    runtime->next = all.spare;
    all.spare = runtime;
    all.live--;
    haft__lock_release(&all.lock);
}

static int runtime_make(const haft_runtime_options *options, unsigned first_thread, haft_runtime **out)
{
    if (haft__here() == NULL)
        return haft__here_error();
    haft__fence_setup();
    haft__overflow_setup();
    haft__job_leaks_setup();
    haft__deadlock_setup(haft__job_print_waits);
    unsigned count_wanted = options->workers != 0 ? options->workers : haft__os->cpu_count();
    if (count_wanted > 1024)
        return HAFT_EINVAL;
    haft_runtime *runtime = block_new();
    if (runtime == NULL)
        return HAFT_ENOMEM;
    int rc = haft__sched_init(&runtime->sched, count_wanted, haft__job_run);
    if (rc != 0) {
        block_free(runtime);
        return rc;
    }
    runtime->options = *options;
    runtime->first_thread = first_thread;
    haft__metrics_begin(runtime);
    /* The counters go on: somebody late may still count himself in and out. */
    haft__store_relaxed(&runtime->closer, NULL);
    haft__store_relaxed(&runtime->aborting, 0);
    haft__store_relaxed(&runtime->closing, 0);
    rc = haft__sched_start(&runtime->sched, first_thread);
    if (rc != 0) {
        haft__sched_fini(&runtime->sched);
        block_free(runtime);
        return rc;
    }
    *out = runtime;
    return 0;
}

/* --- What would not stop ------------------------------------------------------------------------------------------ */

struct stuck {
    haft_runtime *runtime;
    haft__sight sight;
};

static void name_stuck(void *argument)
{
    struct stuck *stuck = argument;
    haft_stuck_hook *hook = stuck->runtime->options.on_stuck;
    if (hook != NULL) {
        hook(stuck->sight.name, stuck->sight.place);
        return;
    }
    haft__report("haft: would not stop: %s, spawned at %s\n", stuck->sight.name, stuck->sight.place);
}

static void visit_stuck(haft__record *record, void *argument)
{
    struct stuck *stuck = argument;
    if (haft__load_relaxed(&record->home) != &stuck->runtime->sched || !haft__job_peek(record, &stuck->sight))
        return;
    /* The hook is the user's; a panic in it was reported, and the list goes on. */
    haft__panic *panic = haft__catch_call(haft__here_always()->root, name_stuck, stuck);
    if (panic != NULL)
        haft__panic_free(panic);
}

/* Names what is stuck and leaves it everything it may still use. The pool's idle threads have ended. */
static void leave_behind(haft_runtime *runtime)
{
    struct stuck stuck = { .runtime = runtime };
    haft__record_each(visit_stuck, &stuck);
    haft__store_relaxed(&runtime->is_left_behind, 1); /* then the fence in end_if_deserted */
    haft__sched_stop(&runtime->sched);
    haft__sched_join_or_leave(&runtime->sched, runtime->first_thread);
    haft__sched_fini(&runtime->sched);
    haft__lock_acquire(&all.lock);
    runtime->next = all.left_behind;
    all.left_behind = runtime;
    all.live--;
    haft__lock_release(&all.lock);
    end_if_deserted(runtime); /* the last may have ended before its worker was left behind */
}

/* After close_runtime, whose result it is given, and, for haft_run, after worker 0 has left its loop. */
static void runtime_unmake(haft_runtime *runtime, bool have_ended)
{
    haft__pool_stop(runtime, !have_ended);
    if (!have_ended) {
        leave_behind(runtime);
        return;
    }
    haft__sched_stop(&runtime->sched);
    haft__sched_join(&runtime->sched, runtime->first_thread);
    haft__sched_fini(&runtime->sched);
    block_free(runtime);
}

haft_runtime *haft_runtime_new_raw(const haft_runtime_options *options)
{
    haft_runtime *runtime = NULL;
    return runtime_make(options, 0, &runtime) == 0 ? runtime : NULL;
}

/* True if the running job is one of the runtime's. */
static bool is_inside(haft_runtime *runtime)
{
    haft__thread *here = haft__here_or_null();
    haft__job *job = here != NULL ? haft__job_here(here->root) : NULL;
    return job != NULL && haft__job_runtime(job) == runtime;
}

int haft_runtime_drop(haft_runtime **runtime)
{
    if (runtime == NULL || *runtime == NULL)
        return 0;
    if (haft__here() == NULL)
        return haft__here_error();
    if (is_inside(*runtime))
        return HAFT_EDEADLK;
    bool have_ended = close_runtime(*runtime, NULL);
    runtime_unmake(*runtime, have_ended);
    *runtime = NULL;
    return have_ended ? 0 : HAFT_EBUSY;
}

/* --- The default runtime ------------------------------------------------------------------------------------------ */

haft_runtime *haft__runtime_standard_or_null(void)
{
    haft__lock_acquire(&all.lock);
    haft_runtime *runtime = all.standard;
    haft__lock_release(&all.lock);
    return runtime;
}

haft_runtime *haft__runtime_standard(int *rc)
{
    for (;;) {
        haft__lock_acquire(&all.lock);
        haft_runtime *runtime = all.standard;
        bool mine = runtime == NULL && all.starting == 0;
        if (mine)
            all.starting = 1;
        haft__lock_release(&all.lock);
        if (runtime != NULL)
            return runtime;
        if (!mine) {
            haft__os->yield(); /* for as long as starting a few threads takes */
            continue;
        }
        const haft_runtime_options options = { .size_ = sizeof options };
        *rc = runtime_make(&options, 0, &runtime);
        haft__lock_acquire(&all.lock);
        all.starting = 0;
        if (*rc == 0)
            all.standard = runtime;
        haft__lock_release(&all.lock);
        return *rc == 0 ? runtime : NULL;
    }
}

int haft_runtime_stop(void)
{
    if (haft__here() == NULL)
        return haft__here_error();
    haft__lock_acquire(&all.lock);
    haft_runtime *runtime = all.standard;
    if (runtime != NULL && !is_inside(runtime))
        all.standard = NULL;
    else if (runtime != NULL) {
        haft__lock_release(&all.lock);
        return HAFT_EDEADLK;
    }
    haft__lock_release(&all.lock);
    return haft_runtime_drop(&runtime);
}

unsigned haft_cpu_count(void)
{
    return haft__os->cpu_count();
}

/* --- haft_run ----------------------------------------------------------------------------------------------------- */

/* The first task, as its own group: its end, whichever it is, stops the scheduler and lets the caller go on. */
struct main_call {
    haft__group_done *done; /* first */
    haft_runtime *runtime;
    haft_fn *body;
    void *frame;
    size_t size;
    int code;
    bool have_others_ended;
    haft__record *caller;
    haft__atomic(uint32_t) has_ended;
};

static void main_ended(void *group, haft__job *job)
{
    struct main_call *call = group;
    (void)job;
    haft__record *caller = call->caller;
    haft__sched_stop(&call->runtime->sched);
    /* Release: partner of the acquire in haft_run_raw; the last touch of the call. */
    haft__store_release(&call->has_ended, 1);
    haft__wake(caller);
}

static int main_body(void *argument)
{
    struct main_call *call = argument;
    /* The caller waits until this has ended, so lending the frame is as good as copying it in and out. */
    call->code = haft_catch_raw(call->body, call->frame, call->size, NULL);
    call->have_others_ended = close_runtime(call->runtime, haft__here_or_null()->root->record);
    return 0;
}

int haft_run_raw(haft_fn *body, void *frame, size_t size, size_t alignment, const haft_runtime_options *options)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    if (body == NULL || alignment > HAFT__FRAME_ALIGNMENT)
        return HAFT_EINVAL;
    if (here->worker != NULL)
        return HAFT_EDEADLK;
    haft__root *me = here->root;
    /* A main job that is refused a stack has made no others, so nothing is left behind then. */
    struct main_call call = { .done = main_ended,
                              .body = body,
                              .frame = frame,
                              .size = size,
                              .code = HAFT_ENOMEM,
                              .have_others_ended = true,
                              .caller = me->record };
    /* A single worker is this thread. Of several none is, because it could be the one that is stuck in the end. */
    bool is_worker = (options->workers != 0 ? options->workers : haft__os->cpu_count()) == 1;
    int rc = runtime_make(options, is_worker ? 1 : 0, &call.runtime);
    if (rc != 0)
        return rc;
    const haft_spawn_options spawn_options = { .size_ = sizeof spawn_options,
                                               .place_ = options->place_,
                                               .name = "main",
                                               .stack_size = options->stack_size,
                                               .runtime = call.runtime };
    const haft__job_spec spec = { .body = main_body,
                                  .frame = &call,
                                  .size = sizeof call,
                                  .options = &spawn_options,
                                  .lend = true,
                                  .group = &call,
                                  .owner = HAFT__OWNED_BY_GROUP };
    haft__job *job;
    rc = haft__job_make(&spec, &job);
    if (rc != 0) {
        close_runtime(call.runtime, NULL);
        runtime_unmake(call.runtime, true);
        return rc;
    }
    haft__job_start(job);
    if (is_worker)
        haft__sched_work(&call.runtime->sched);
    haft__shield shield = haft__shield_raise(me);
    while (haft__load_acquire(&call.has_ended) == 0)
        haft__park_for("the end of", &job->record);
    haft__shield_lower(me, shield);
    haft__job_reap(job, NULL, 0, NULL);
    runtime_unmake(call.runtime, call.have_others_ended);
    return call.code;
}
