/* SPDX-License-Identifier: MIT
 *
 * Metrics: adding up what is counted anyway. Workers count in plain increments, made of relaxed atomics for those who
 * read; what is rare is counted by read-modify-writes. Tasks are what threads and blocking calls leave of all jobs, so
 * that a spawn counts once. Control blocks and workers are reused and some of their counters go on: a runtime begins with
 * what there was before it. */
#include "job/job.h"

#include <string.h>

static uint64_t difference(uint64_t a, uint64_t b)
{
    /* Counted one after the other, and read in between: it may be less than nothing for a moment. */
    return (int64_t)(a - b) > 0 ? a - b : 0;
}

/* All jobs that were spawned and ended with this control block, less those that never were any. */
static void count_jobs(haft_runtime *runtime, uint64_t *spawned, uint64_t *finished)
{
    uint64_t made, ended, unmade;
    uint64_t ended_outside = haft__load_relaxed(&runtime->finished);
    haft__sched_sums(&runtime->sched, &ended, &made, &unmade);
    unmade += haft__load_relaxed(&runtime->unmade);
    *finished = ended + ended_outside - unmade;
    *spawned = made + haft__load_relaxed(&runtime->spawned) - unmade;
}

void haft__metrics_begin(haft_runtime *runtime)
{
    haft__sched_count_anew(&runtime->sched);
    count_jobs(runtime, &runtime->spawned_before, &runtime->finished_before);
    for (unsigned kind = 0; kind < 3; kind++) {
        haft__store_relaxed(&runtime->spawned_of[kind], 0);
        haft__store_relaxed(&runtime->finished_of[kind], 0);
        haft__store_relaxed(&runtime->panicked_of[kind], 0);
        haft__store_relaxed(&runtime->aborted_of[kind], 0);
    }
}

void haft__metrics_count_end(haft__job *job)
{
    haft_runtime *runtime = haft__job_runtime(job);
    unsigned kind = haft__load_relaxed(&job->record.kind);
    if (job->record.end == HAFT_PANICKED)
        haft__fetch_add_relaxed(&runtime->panicked_of[kind], 1);
    else if (job->record.end != HAFT_RETURNED)
        haft__fetch_add_relaxed(&runtime->aborted_of[kind], 1);
    if (kind != HAFT_TASK)
        haft__fetch_add_relaxed(&runtime->finished_of[kind], 1);
}

static void fill_kinds(haft_runtime *runtime, haft_kind_metrics *kinds)
{
    uint64_t spawned, finished;
    count_jobs(runtime, &spawned, &finished);
    spawned = difference(spawned, runtime->spawned_before);
    finished = difference(finished, runtime->finished_before);
    for (unsigned kind = HAFT_BLOCKING; kind > HAFT_TASK; kind--) {
        kinds[kind].finished = haft__load_relaxed(&runtime->finished_of[kind]);
        kinds[kind].spawned = haft__load_relaxed(&runtime->spawned_of[kind]);
        finished = difference(finished, kinds[kind].finished);
        spawned = difference(spawned, kinds[kind].spawned);
    }
    kinds[HAFT_TASK].finished = finished;
    kinds[HAFT_TASK].spawned = spawned;
    for (unsigned kind = HAFT_TASK; kind <= HAFT_BLOCKING; kind++) {
        kinds[kind].panicked = haft__load_relaxed(&runtime->panicked_of[kind]);
        kinds[kind].aborted = haft__load_relaxed(&runtime->aborted_of[kind]);
        kinds[kind].live = difference(kinds[kind].spawned, kinds[kind].finished);
    }
}

static void fill_worker(haft__worker *w, haft_worker_metrics *out)
{
    uint64_t empty = haft__load_relaxed(&w->empty_ticks);
    out->steals = haft__load_relaxed(&w->steals);
    out->adopted = haft__load_relaxed(&w->adopted);
    out->runs = difference(haft__load_relaxed(&w->ticks), empty) + out->steals + out->adopted;
    out->finished = difference(haft__load_relaxed(&w->finished) - haft__load_relaxed(&w->unmade), w->finished_before);
    out->overflowed = haft__load_relaxed(&w->overflowed);
    out->timers = haft__load_relaxed(&w->timers.fired);
    out->parks = haft__load_relaxed(&w->parks);
    out->parked = haft__load_relaxed(&w->parked);
}

static void add(haft_worker_metrics *sum, const haft_worker_metrics *one)
{
    sum->runs += one->runs;
    sum->finished += one->finished;
    sum->steals += one->steals;
    sum->adopted += one->adopted;
    sum->overflowed += one->overflowed;
    sum->timers += one->timers;
    sum->parks += one->parks;
    sum->parked += one->parked;
}

int haft_metrics_raw(haft_runtime *runtime, haft_runtime_metrics *out, size_t size, haft_worker_metrics *workers,
                     size_t worker_size, size_t n)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    if (runtime == NULL)
        runtime = here->home != NULL ? (haft_runtime *)(void *)here->home : haft__runtime_standard_or_null();
    if (runtime == NULL)
        return HAFT_EINVAL;
    haft_runtime_metrics m = { .workers = runtime->sched.count };
    fill_kinds(runtime, m.kinds);
    for (unsigned i = 0; i < m.workers; i++) {
        haft_worker_metrics one;
        fill_worker(&runtime->sched.workers[i], &one);
        add(&m.all, &one);
        if (i < n)
            memcpy((char *)workers + i * worker_size, &one, worker_size < sizeof one ? worker_size : sizeof one);
    }
    haft__pool_count(runtime, &m.pool_threads, &m.pool_queued);
    haft__stacks_count(&m.stacks_used, &m.stacks_cached, &m.stack_bytes);
    m.size_ = size < sizeof m ? size : sizeof m;
    memcpy(out, &m, m.size_);
    return 0;
}
