/* SPDX-License-Identifier: MIT
 *
 * Spawning: a descriptor is filled and handed to whatever runs its kind. Until that moment a failure gives everything
 * back, and the caller's frame was only read. */
#include "job/job.h"

#include <string.h>

#include "base/copy.h"
#include "base/hints.h"
#include "sched/queue.h"

HAFT__COLD void haft__job_free_blocks(haft__job *job)
{
    if (haft__load_relaxed(&job->name) != NULL)
        haft__job_forget_name(job);
    if ((job->record.flags & HAFT__HEAP_FRAME) != 0)
        haft__os->release(job->frame.address);
}

void haft__job_recycle(haft__job *job)
{
    haft__thread *here = haft__here_or_null();
    if (here != NULL) {
        haft__job_recycle_from(here, job);
        return;
    }
    haft__job_free_blocks(job);
    haft__record_free(&job->record);
}

void haft__job_unmake(haft__job *job)
{
    haft_runtime *runtime = haft__job_runtime(job);
    unsigned kind = haft__load_relaxed(&job->record.kind);
    haft__job_recycle(job);
    if (kind != HAFT_TASK)
        haft__fetch_sub_relaxed(&runtime->spawned_of[kind], 1);
    haft__runtime_uncount(runtime);
}

void haft__job_dispose(haft__job *job)
{
    if (job->record.end == HAFT_PANICKED) {
        job->record.end = HAFT_RETURNED;
        haft__drop_object((haft_drop_fn *)(void (*)(void))haft__panic_free, job->panic);
    }
    if (job->drop != NULL && job->record.frame_size != 0 && (job->record.flags & (HAFT__LOAN | HAFT__MOVED_OUT)) == 0)
        haft__drop_object(job->drop, haft__job_frame(job));
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
    haft__store_release(&job->name, copy); /* partners: haft_name, haft__job_describe */
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

static int make(const haft__job_spec *spec, haft__job **out)
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
        haft__runtime_uncount(runtime);
        return HAFT_ENOMEM;
    }
    if (__builtin_expect(spec->kind != HAFT_TASK, 0))
        haft__fetch_add_relaxed(&runtime->spawned_of[spec->kind], 1);
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
    if (spec->owner != 0) /* nobody else has the record yet; release: in the place of that of haft__record_free */
        haft__store_release(&job->record.state, haft__load_relaxed(&job->record.state) | spec->owner);
    rc = place_frame(job, spec);
    if (rc == 0)
        rc = place_name(job, options->name);
    /* Release: whoever finds the job by its home, in the walk of abort_jobs, sees the rest. */
    haft__store_release(&job->record.home, &runtime->sched);
    if (rc != 0) {
        haft__job_unmake(job);
        return rc;
    }
    haft__job_heed_end(job, runtime);
    *out = job;
    return 0;
}

int haft__job_make(const haft__job_spec *spec, haft__job **out)
{
    int rc = make(spec, out);
    return rc == 0 ? 0 : haft__job_refused(rc);
}

/* The same for the common case, which need not look at what it knows: a task without options of its own but for pinned
 * and drop, whose frame fits, made by a worker on its own runtime. Null: it is another case, or must be refused; nothing
 * was done. */
static inline haft__job *make_plain_task(haft__worker *w, haft_fn *body, const void *frame, size_t size,
                                         size_t alignment, const haft_spawn_options *options, void *group)
{
    bool is_plain = options->kind == HAFT_TASK && options->name == NULL && options->stack_size == 0 &&
                    options->runtime == NULL && size <= HAFT__INLINE_FRAME && alignment <= HAFT__FRAME_ALIGNMENT;
    if (__builtin_expect(!is_plain || body == NULL || (frame == NULL && size != 0), 0))
        return NULL;
    haft_runtime *runtime = (haft_runtime *)(void *)w->sched;
    haft__job *job = haft__job_of(haft__record_take_cached(&w->thread));
    if (__builtin_expect(job == NULL, 0))
        return NULL;
    haft__store_relaxed(&job->record.word, HAFT__RUNNING);
    haft__store_relaxed(&job->record.kind, HAFT__KIND_TASK);
    job->record.frame_size = (uint32_t)size;
    job->record.stack_class = 0;
    job->record.flags = options->pinned ? HAFT__PINNED : 0;
    job->body = body;
    job->drop = options->drop;
    job->place = options->place_;
    haft__store_relaxed(&job->name, NULL);
    haft__copy(job->frame.bytes, frame, size);
    if (group != NULL) {
        job->group = group;
        /* As in make(). */
        haft__store_release(&job->record.state, haft__load_relaxed(&job->record.state) | HAFT__OWNED_BY_GROUP);
    }
    haft__store_release(&job->record.home, &runtime->sched); /* as in make() */
    haft__runtime_count(&w->thread, runtime, false);
    bool is_ending = haft__load_relaxed(&runtime->closing) != 0 || haft__load_relaxed(&runtime->aborting) != 0;
    if (__builtin_expect(is_ending, 0)) {
        haft__job_unmake(job);
        return NULL;
    }
    return job;
}

int haft__job_make_member(haft__thread *here, haft_fn *body, const void *frame, size_t size, size_t alignment,
                          const haft_spawn_options *options, void *group, haft__job **out)
{
    *out = here->worker != NULL ? make_plain_task(here->worker, body, frame, size, alignment, options, group) : NULL;
    if (__builtin_expect(*out != NULL, 1))
        return 0;
    const haft__job_spec spec = { .body = body,
                                  .frame = frame,
                                  .size = size,
                                  .alignment = alignment,
                                  .options = options,
                                  .kind = options->kind,
                                  .group = group,
                                  .owner = HAFT__OWNED_BY_GROUP };
    return haft__job_make(&spec, out);
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

static HAFT__COLD haft_handle spawn(haft_fn *body, const void *frame, size_t size, size_t alignment,
                                    const haft_spawn_options *options, haft_kind kind)
{
    const haft__job_spec spec = {
        .body = body, .frame = frame, .size = size, .alignment = alignment, .options = options, .kind = kind
    };
    haft__job *job = NULL;
    int rc = haft__job_make(&spec, &job);
    if (job == NULL)
        return (haft_handle){ NULL, (uint64_t)(int64_t)rc };
    haft_handle h = { job, haft__generation(haft__load_relaxed(&job->record.state)) };
    rc = haft__job_start(job);
    if (rc == 0)
        return h;
    haft__job_unmake(job);
    return (haft_handle){ NULL, (uint64_t)(int64_t)rc };
}

haft_handle haft_spawn_raw(haft_fn *body, const void *frame, size_t size, size_t alignment,
                           const haft_spawn_options *options)
{
    haft__thread *here = haft__here_or_null();
    if (__builtin_expect(here != NULL && here->worker != NULL, 1)) {
        haft__job *job = make_plain_task(here->worker, body, frame, size, alignment, options, NULL);
        if (__builtin_expect(job != NULL, 1)) {
            /* Read before anybody else can have the job. */
            haft_handle h = { job, haft__generation(haft__load_relaxed(&job->record.state)) };
            haft__sched_ready_next(here->worker, &job->record);
            return h;
        }
    }
    return spawn(body, frame, size, alignment, options, options->kind);
}

haft_handle haft_spawn_blocking_raw(haft_fn *body, const void *frame, size_t size, size_t alignment,
                                    const haft_spawn_options *options)
{
    return spawn(body, frame, size, alignment, options, HAFT_BLOCKING);
}
