/* SPDX-License-Identifier: MIT
 *
 * Reports walk the table of records and name jobs that are none of their own, which may end, and whose records may be
 * used again, at that moment.
 *
 * A record does not go away, so what it holds can be read at any time; it was the same job's all the time if the state
 * shows the same generation, and no end, before and after. A name, though, is memory that is freed. It is freed
 * only by who holds the lock of the job's address, and a looker holds it while he copies. Jobs without a name take no
 * lock. */
#include "job/job.h"

#include <stdarg.h>
#include <stdio.h>

#define LOCKS 64

static struct {
    _Alignas(HAFT__CACHE_LINE) haft__lock lock;
} locks[LOCKS];

static haft__lock *lock_of(const haft__job *job)
{
    return &locks[((uintptr_t)job / HAFT__DESCRIPTOR_SIZE) % LOCKS].lock;
}

void haft__job_forget_name(haft__job *job)
{
    haft__lock *lock = lock_of(job);
    haft__lock_acquire(lock);
    char *name = haft__load_relaxed(&job->name);
    haft__store_relaxed(&job->name, NULL);
    haft__lock_release(lock);
    haft__os->release(name);
}

/* Uninstrumented: the place may be written for the next job while it is read; it is then not used. */
HAFT__UNINSTRUMENTED static const char *place_of(const haft__job *job)
{
    return job->place;
}

bool haft__job_peek(haft__record *record, haft__sight *out)
{
    haft__job *job = haft__job_of(record);
    uint64_t state = haft__load_acquire(&record->state); /* as in abort_visit: then home and kind are no older */
    /* Acquire: partner of the release in make(), the last step of a job's making. */
    if ((state & HAFT__DONE) != 0 || haft__load_acquire(&record->home) == NULL ||
        haft__load_relaxed(&record->kind) >= HAFT__KIND_PLAIN)
        return false;
    haft__lock *lock = lock_of(job);
    haft__lock_acquire(lock);
    haft__job_describe(job, out->name, sizeof out->name);
    haft__lock_release(lock);
    const char *place = place_of(job);
    out->place = place != NULL ? place : "?";
    uint64_t after = haft__load_relaxed(&record->state); /* a place that is a moment off does no harm */
    return haft__generation(after) == haft__generation(state) && (after & HAFT__DONE) == 0;
}

void haft__report(const char *format, ...)
{
    char line[800];
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): begun in the line above; the analyzer of clang 14 loses it */
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n > 0)
        haft__os->write_error(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}
