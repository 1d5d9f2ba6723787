/* SPDX-License-Identifier: MIT
 *
 * Spawning: a descriptor is filled and handed to whatever runs its kind. Until that moment a failure gives everything
 * back, and the caller's frame was only read. */
#include "job/job.h"

#include <string.h>

#include "base/copy.h"
#include "sched/queue.h"

void haft__job_recycle(haft__job *job)
{
    if (haft__load_relaxed(&job->name) != NULL)
        haft__job_forget_name(job);
    if ((job->record.flags & HAFT__HEAP_FRAME) != 0)
        haft__os->release(job->frame.address);
    haft__thread *here = haft__here_or_null();
    if (here != NULL)
        haft__record_give(here, &job->record);
    else
        haft__record_free(&job->record);
}

void haft__job_unmake(haft__job *job)
{
    haft_runtime *runtime = haft__job_runtime(job);
    haft__job_recycle(job);
    haft__runtime_leave(runtime);
}

void haft__job_drop_frame(haft__job *job)
{
    if (job->drop != NULL && job->record.frame_size != 0 && (job->record.flags & HAFT__LOAN) == 0)
        job->drop(haft__job_frame(job));
}

static inline int place_frame(haft__job *job, const haft__job_spec *spec)
{
    job->record.frame_size = (uint32_t)spec->size;
    if (spec->lend) {
        job->record.flags |= HAFT__LOAN;
        /* The lender says by its type whether the body may write. */
        memcpy(&job->frame.address, &spec->frame, sizeof spec->frame);
        return 0;
    }
    void *to = job->frame.bytes;
    if (spec->size > HAFT__INLINE_FRAME) {
        size_t alignment = spec->alignment < sizeof(void *) ? sizeof(void *) : spec->alignment;
        to = haft__os->allocate(spec->size, alignment);
        if (to == NULL)
            return HAFT_ENOMEM;
        job->record.flags |= HAFT__HEAP_FRAME;
        job->frame.address = to;
    }
    haft__copy(to, spec->frame, spec->size);
    return 0;
}

static int place_name(haft__job *job, const char *name)
{
    if (name == NULL)
        return 0;
    size_t size = strlen(name) + 1;
    char *copy = haft__os->allocate(size, sizeof(void *));
    if (copy == NULL)
        return HAFT_ENOMEM;
    memcpy(copy, name, size);
    haft__store_release(&job->name, copy); /* partner: haft__job_peek */
    return 0;
}

/* Threads round their stack size up to a power of two, too: class n stands for 64 KiB << (n - 1), 0 for the system's
 * default, because a queued job has one byte for it. */
static int thread_class(size_t size)
{
    if (size == 0)
        return 0;
    for (int n = 1; n <= HAFT__STACK_CLASSES; n++)
        if (size <= (size_t)HAFT__STACK_SIZE << (n - 1))
            return n;
    return -1;
}

static inline int check(const haft__job_spec *spec, int *class)
{
    const haft_spawn_options *options = spec->options;
    if (spec->body == NULL || (spec->frame == NULL && spec->size != 0) || spec->size > UINT32_MAX)
        return HAFT_EINVAL;
    if (spec->alignment > HAFT__FRAME_ALIGNMENT || (unsigned)spec->kind > HAFT_BLOCKING)
        return HAFT_EINVAL;
    switch (spec->kind) {
    case HAFT_TASK:
        *class = haft__stack_class(options->stack_size);
        break;
    case HAFT_THREAD:
        *class = thread_class(options->stack_size);
        break;
    default:
        *class = 0;
        break;
    }
    return *class < 0 ? HAFT_EINVAL : 0;
}

/* Inlined into the plain spawn, whose spec then needs no memory. */
static inline __attribute__((always_inline)) int make(const haft__job_spec *spec, haft__job **out)
{
    const haft_spawn_options *options = spec->options;
    int class;
    int rc = check(spec, &class);
    if (rc != 0)
        return rc;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft_runtime *runtime = options->runtime != NULL ? options->runtime : haft__runtime_here(here, &rc);
    if (runtime == NULL)
        return rc;
    rc = haft__runtime_enter(here, runtime);
    if (rc != 0)
        return rc;

    haft__job *job = haft__job_of(haft__record_take(here));
    if (job == NULL) {
        haft__runtime_leave(runtime);
        return HAFT_ENOMEM;
    }
    haft__store_relaxed(&job->record.word, HAFT__RUNNING);
    haft__store_relaxed(&job->record.kind, (uint8_t)spec->kind);
    job->record.stack_class = (uint8_t) class;
    job->record.flags = options->pinned ? HAFT__PINNED : 0;
    job->record.end = HAFT_RETURNED;
    job->record.code = 0;
    job->body = spec->body;
    job->group = spec->group;
    job->drop = options->drop;
    job->place = options->place_;
    haft__store_relaxed(&job->name, NULL);
    if (spec->owner != 0) /* nobody else has the record yet */
        haft__store_relaxed(&job->record.state, haft__load_relaxed(&job->record.state) | spec->owner);
    rc = place_frame(job, spec);
    if (rc == 0)
        rc = place_name(job, options->name);
    /* Release: whoever finds the job by its home, in the walk of abort_jobs, sees the rest. */
    haft__store_release(&job->record.home, &runtime->sched);
    if (rc != 0) {
        haft__job_unmake(job);
        return rc;
    }
    haft__fence_light(); /* partner: the heavy fence in abort_jobs; either the walk finds the job or this sees the flag */
    if (__builtin_expect(haft__load_relaxed(&runtime->aborting) != 0, 0))
        haft__job_mark_aborted(&job->record, haft__generation(haft__load_relaxed(&job->record.state)));
    *out = job;
    return 0;
}

int haft__job_make(const haft__job_spec *spec, haft__job **out)
{
    return make(spec, out);
}

int haft__job_start(haft__job *job)
{
    switch (haft__load_relaxed(&job->record.kind)) {
    case HAFT__KIND_THREAD:
        return haft__thread_job_start(job);
    case HAFT__KIND_BLOCKING:
        return haft__pool_submit(job);
    default:
        haft__sched_spawn(haft__load_relaxed(&job->record.home), &job->record);
        return 0;
    }
}

static inline haft_handle spawn(haft_fn *body, const void *frame, size_t size, size_t alignment,
                                const haft_spawn_options *options, haft_kind kind)
{
    const haft__job_spec spec = {
        .body = body, .frame = frame, .size = size, .alignment = alignment, .options = options, .kind = kind
    };
    haft__job *job = NULL;
    int rc = make(&spec, &job);
    if (job == NULL)
        return (haft_handle){ NULL, (uint64_t)(int64_t)rc };
    haft_handle h = { job, haft__generation(haft__load_relaxed(&job->record.state)) };
    if (__builtin_expect(kind == HAFT_TASK, 1)) {
        haft__sched_spawn(haft__load_relaxed(&job->record.home), &job->record);
        return h;
    }
    rc = haft__job_start(job);
    if (rc == 0)
        return h;
    haft__job_unmake(job);
    return (haft_handle){ NULL, (uint64_t)(int64_t)rc };
}

haft_handle haft_spawn_raw(haft_fn *body, const void *frame, size_t size, size_t alignment,
                           const haft_spawn_options *options)
{
    return spawn(body, frame, size, alignment, options, options->kind);
}

haft_handle haft_spawn_blocking_raw(haft_fn *body, const void *frame, size_t size, size_t alignment,
                                    const haft_spawn_options *options)
{
    return spawn(body, frame, size, alignment, options, HAFT_BLOCKING);
}
