/* SPDX-License-Identifier: MIT
 *
 * Jobs that are OS threads. The thread runs the job's body at once; the job ends, though, only in the destructor of a
 * thread key that runs after every other one, so that thread-local destructors are done when haft_is_finished says so.
 * The joiner then waits for the last instructions of the thread itself. */
#include "job/job.h"

#include <string.h>

#include "wait/held.h"

/* What such a thread needs; lives as long as it. */
typedef struct thread_job {
    haft__thread thread; /* first */
    haft__job *job;
    bool has_returned;
} thread_job;

static void thread_ends(void *argument)
{
    thread_job *self = argument;
    haft__job *job = self->job;
    if (!self->has_returned)
        haft__job_left(job, &self->thread.own);
    haft__locals_end(&self->thread.own); /* what a thread-local destructor has set or locked */
    haft__held_abandon(&self->thread.own, NULL);
    void *signal_stack = self->thread.signal_stack;
    haft__job_end(job);
    haft__thread_leave(&self->thread);
    if (signal_stack != NULL)
        haft__os->alternate_stack_leave(signal_stack);
    haft__os->release(self);
}

static void thread_begins(void *argument)
{
    thread_job *self = argument;
    haft__job *job = self->job;
    haft__thread_enter(&self->thread);
    haft__announce_thread(&self->thread.note);
    self->thread.own.note = &self->thread.note;
    haft__os->alternate_stack_enter(&self->thread.signal_stack);
    if (haft__thread_at_exit(&self->thread, thread_ends) != 0) {
        /* No memory for a key's value: the body has not begun and will not. */
        job->record.end = HAFT_NOT_STARTED;
        job->record.code = haft__job_refused(HAFT_ENOMEM);
        self->has_returned = true;
        thread_ends(self);
        return;
    }
    haft__job_run_body(job, &self->thread.own);
    self->has_returned = true;
}

int haft__thread_job_start(haft__job *job)
{
    thread_job *self = haft__os->allocate(sizeof *self, _Alignof(thread_job));
    if (self == NULL)
        return haft__job_refused(HAFT_ENOMEM);
    memset(self, 0, sizeof *self);
    self->job = job;
    self->thread.home = haft__load_relaxed(&job->record.home);
    haft__root_init(&self->thread.own, &job->record);
    size_t class = job->record.stack_class; /* see thread_class in make.c */
    const haft__os_thread_options options = { .name = haft__load_relaxed(&job->name),
                                              .stack_size = class != 0 ? (size_t)HAFT__STACK_SIZE << (class - 1) : 0 };
    haft__os_thread native;
    int rc = haft__os->thread_create(&native, &options, thread_begins, self);
    if (rc != 0) {
        job->record.root = NULL;
        haft__os->release(self);
        haft__job_refused(rc);
    }
    return rc;
}

void haft__thread_job_reap(haft__job *job)
{
    if (job->record.root != NULL)
        haft__os->thread_join((haft__os_thread){ (uintptr_t)job->record.root });
    job->record.root = NULL;
}
