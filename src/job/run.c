/* SPDX-License-Identifier: MIT
 *
 * Running a body behind its wall, and the one place where a job ends. */
#include "job/job.h"

#include "base/hints.h"
#include "base/sanitizer.h"
#include "sched/queue.h"
#include "wait/held.h"

/* A body is int f(T *), stored as int f(void *). The two are called alike on every machine that haft runs on; the
 * language leaves it undefined, and newer compilers check, so this one call is exempt. */
HAFT__CALLS_ANY_TYPE
int haft__call_body(haft_fn *body, void *frame, size_t size)
{
    if (size == 0)
        return ((int (*)(void))(void (*)(void))body)();
    return body(frame);
}

static void call_body(void *argument)
{
    haft__job *job = argument;
    job->record.code = haft__call_body(job->body, haft__job_frame(job), job->record.frame_size);
}

static HAFT__COLD void job_panicked(haft__job *job, haft__root *root, haft__panic *panic)
{
    root->panicking = NULL;
    root->shields = 0;
    root->deadline = INT64_MAX;
    job->record.end = HAFT_PANICKED;
    job->record.code = 0;
    job->panic = panic;
}

/* haft__catch_call on a root where nothing was done yet: there is nothing to put back. */
static inline void run_body(haft__job *job, haft__root *root)
{
    if (__builtin_expect((haft__load_relaxed(&job->record.state) & HAFT__ABORT) != 0, 0) &&
        (job->record.flags & HAFT__ALWAYS_BEGINS) == 0) {
        job->record.end = HAFT_NOT_STARTED;
        job->record.code = 0;
        return;
    }
    haft__catch wall;
    wall.outer = NULL;
    wall.blocks = NULL;
    wall.outer_panicking = NULL;
    wall.caught = NULL;
    root->catches = &wall;
    bool thrown = haft__arch_try(call_body, job, &wall.wall);
    root->catches = NULL;
    if (__builtin_expect(thrown, 0))
        job_panicked(job, root, wall.caught);
    else
        job->record.end = root->told ? HAFT_ABORTED : HAFT_RETURNED;
    haft__locals_end(root);
    if (__builtin_expect(root->held != NULL, 0)) /* it ended with a lock held */
        haft__held_abandon(root, NULL);
}

void haft__job_run_body(haft__job *job, haft__root *root)
{
    run_body(job, root);
}

/* haft__job_end for a task that has an owner and no watchers, at its root: what comes after is the root's, so a joiner
 * that is woken may follow on this worker at once. False: nothing was done, it is another end. */
static inline bool end_plain_task(haft__job *job)
{
    uint64_t state = haft__load_relaxed(&job->record.state);
    if (__builtin_expect((state & (HAFT__DETACHED | HAFT__WATCHED)) != 0, 0))
        return false;
    if (__builtin_expect(job->record.end != HAFT_RETURNED, 0))
        return false; /* counted there */
    haft_runtime *runtime = haft__job_runtime(job);
    haft__root *root = job->record.root;
    job->record.root = NULL;
    /* As in haft__job_end. */
    if (__builtin_expect(!haft__cas_acq_rel_retry(&job->record.state, &state, state | HAFT__DONE), 0)) {
        job->record.root = root;
        return false;
    }
    if ((state & HAFT__GROUP) != 0) {
        haft__group_done **group = job->group;
        (*group)(group, job);
        haft__runtime_leave(runtime);
        return true;
    }
    haft__thread *here = haft__here_or_null();
    if ((state & HAFT__CLAIMED) != 0) {
        haft__record *joiner = haft__record_at(haft__joiner(state));
        if (haft__wins_wake(joiner))
            haft__sched_ready_at_end(here->worker, joiner);
    }
    haft__runtime_leave_from(here, runtime);
    return true;
}

_Static_assert((int)HAFT__KIND_TASK == 0 && HAFT_RETURNED == 0, "haft__job_end looks at both at once");

void haft__job_end(haft__job *job)
{
    haft_runtime *runtime = haft__job_runtime(job);
    haft__root *root = job->record.root, *left = NULL;
    if (__builtin_expect((haft__load_relaxed(&job->record.kind) | job->record.end) != 0, 0)) {
        haft__metrics_count_end(job);
        if (haft__load_relaxed(&job->record.kind) == HAFT__KIND_THREAD && root != NULL) /* else it was refused */
            left = haft__native_as_root(haft__os->thread_self());
    }
    bool dropped = false;
    uint64_t state = haft__load_relaxed(&job->record.state);
    for (;;) {
        if ((state & HAFT__DETACHED) != 0 && !dropped) {
            /* Nobody claims a detached job, so nothing can come between. Acquire: partner of the release in haft_detach;
             * the dropper sees what was done before. */
            haft__load_acquire(&job->record.state);
            haft__job_dispose(job);
            dropped = true;
            state = haft__load_relaxed(&job->record.state);
        }
        uint64_t next = state | HAFT__DONE;
        if ((state & HAFT__WATCHED) != 0) {
            job->record.root = left;
            if (haft__watched_end(job, &state, next))
                break;
        } else {
            /* Release: partner of the acquire of whoever sees DONE; publishes frame and outcome. Acquire: what the
             * claimer wrote before is seen, its group and its record. */
            job->record.root = left;
            if (haft__cas_acq_rel_retry(&job->record.state, &state, next))
                break;
        }
        job->record.root = root;
    }
    if ((state & HAFT__DETACHED) != 0 && left != NULL)
        haft__os->thread_detach(haft__os->thread_self());
    if ((state & HAFT__GROUP) != 0) {
        haft__group_done **group = job->group;
        (*group)(group, job);
    } else if ((state & HAFT__DETACHED) != 0) {
        haft__job_recycle(job);
    } else if ((state & HAFT__CLAIMED) != 0) {
        haft__wake(haft__record_at(haft__joiner(state)));
    }
    haft__runtime_leave(runtime);
}

void haft__job_run(haft__record *record)
{
    haft__job *job = haft__job_of(record);
    if (__builtin_expect(record->root->is_refused, 0)) {
        haft__job_refuse(record, HAFT_ENOMEM);
        return;
    }
    run_body(job, record->root);
    if (!end_plain_task(job))
        haft__job_end(job);
}

void haft__job_left(haft__job *job, haft__root *root)
{
    root->blocks = NULL;
    root->catches = NULL;
    root->panicking = NULL;
    haft__locals_end(root);
    haft__held_abandon(root, NULL);
    job->record.end = HAFT_PANICKED;
    job->record.code = 0;
    job->panic = haft__panic_new(__FILE__, __LINE__, "the thread was ended by pthread_exit");
}

haft__atomic(uint64_t) haft__jobs_refused;

HAFT__COLD int haft__job_refused(int rc)
{
    if (rc == HAFT_ENOMEM || rc == HAFT_EAGAIN)
        haft__fetch_add_relaxed(&haft__jobs_refused, 1);
    return rc;
}

void haft__job_refuse(haft__record *record, int code)
{
    haft__job *job = haft__job_of(record);
    job->record.end = HAFT_NOT_STARTED;
    job->record.code = haft__job_refused(code);
    haft__job_end(job);
}
