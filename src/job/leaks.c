/* SPDX-License-Identifier: MIT
 *
 * The checked build lists, at process exit, every job that has not ended, with its name and where it was spawned.
 * The jobs run on meanwhile, so the list is a snapshot: a line may name a job that is just ending. */
#include "job/job.h"

#include "check/leaks.h"

#ifdef HAFT_CHECKED

static void print_job(haft__record *record, void *argument)
{
    (void)argument;
    haft__sight sight;
    if (!haft__job_peek(record, &sight))
        return;
    haft__report("haft: still alive at exit: %s, spawned at %s\n", sight.name, sight.place);
}

static void print_jobs(void)
{
    if (haft__is_forked())
        return; /* they live in the parent */
    haft__record_each(print_job, NULL);
}

void haft__job_leaks_setup(void)
{
    haft__leaks_at_exit(print_jobs);
}

#else

void haft__job_leaks_setup(void)
{
}

#endif
