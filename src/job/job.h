/* SPDX-License-Identifier: MIT
 *
 * Descriptors: what a queued or finished job is made of, two cache lines, and the steps of a job's life.
 *
 *     made ──> queued ──> runs ──> ends: DONE shows ──> its owner takes frame and outcome ──> recycled
 *
 * The owner is one of: the holder of the handle, who claims by one exchange of the state word; a group (set or scope),
 * for which GROUP is set and `group` points to an object that begins with the function to be told; nobody, for which
 * DETACHED is set and the job recycles itself, unless GROUP is set too: then it has disposed of its frame, and the
 * function recycles it.
 *
 * The end, in haft__job_end, is one compare-exchange of the state word, which either shows DONE or, for a detached
 * job, is not needed. What it saw in the word at that moment, and only that, tells whom to wake: the joiner's number
 * is in it. From then on the finisher touches nothing of the descriptor. A joiner that gives up takes its claim back
 * by compare-exchange, which fails once DONE shows; then the job was joined after all.
 *
 * haft_wait callers stand in a hash table of lists (job/watch.c); WATCHED makes the finisher show DONE under the
 * lock of the right list and wake them. */
#ifndef HAFT_JOB_JOB_H
#define HAFT_JOB_JOB_H

#include "base/copy.h"
#include "base/list.h"
#include "haft/group.h"
#include "haft/job.h"
#include "haft/metrics.h"
#include "haft/runtime.h"
#include "haft/time.h"
#include "sched/sched.h"

#define HAFT__INLINE_FRAME 24
#define HAFT__FRAME_ALIGNMENT 64 /* at most */

struct haft__job;

/* What a group begins with: told, by the finisher, that a job of the group has ended. From then on the job is the
 * group's. */
typedef void haft__group_done(void *group, struct haft__job *job);

/* A panic on its way from where it was raised to whoever takes it. */
typedef struct haft__panic {
    haft_panic_info info;
    struct haft__panic *next; /* of the same scope */
} haft__panic;

typedef struct haft__job {
    haft__record record;
    union {
        haft_fn *body;      /* until the end */
        haft__panic *panic; /* of a job that panicked, from its end on */
    };
    void *group; /* with HAFT__GROUP; points to a haft__group_done * */
    /* The inline frame, at an address aligned to 64; or the address of the frame (HAFT__HEAP_FRAME, HAFT__LOAN). */
    _Alignas(HAFT__CACHE_LINE) union {
        unsigned char bytes[HAFT__INLINE_FRAME];
        void *address;
    } frame;
    haft__atomic(char *) name; /* or null; ours */
    haft_drop_fn *drop;
    const char *place; /* "file.c:12" */
    haft__link link;   /* in its group */
} haft__job;

_Static_assert(sizeof(haft__job) == HAFT__DESCRIPTOR_SIZE, "two cache lines");
_Static_assert(offsetof(haft__job, record) == 0, "a job is its record");
_Static_assert(offsetof(haft__job, frame) == HAFT__CACHE_LINE, "frames may be aligned to a cache line");

struct haft_runtime {
    haft__sched sched;         /* first: a record's home is its runtime */
    struct haft_runtime *next; /* in the list of spare control blocks, which are never freed, or of those left behind */
    haft_runtime_options options;
    unsigned first_thread; /* 1 if worker 0 is the thread that called haft_run */

    /* Jobs made and ended outside of workers; those of workers are in the workers. */
    _Alignas(HAFT__CACHE_LINE) haft__atomic(uint64_t) spawned;
    haft__atomic(uint64_t) finished;
    haft__atomic(uint64_t) unmade; /* those that were counted as both, and never were any */
    uint64_t spawned_before;       /* by all runtimes that had this block; less those unmade */
    uint64_t finished_before;
    /* By haft_kind; those of tasks are what the others leave of the above. */
    haft__atomic(uint64_t) spawned_of[3];
    haft__atomic(uint64_t) finished_of[3];
    haft__atomic(uint64_t) panicked_of[3];
    haft__atomic(uint64_t) aborted_of[3];
    haft__atomic(uint32_t) aborting;       /* every job that lives or is being made is aborted */
    haft__atomic(uint32_t) closing;        /* no more spawns; every end wakes the closer */
    haft__atomic(uint32_t) is_left_behind; /* ended, but for jobs that are stuck */
    haft__atomic(haft__record *) closer;

    struct haft__pool *pool; /* made at the first blocking call */
    haft__lock pool_lock;
};

static inline haft__job *haft__job_of(haft__record *record)
{
    return (haft__job *)(void *)record;
}

static inline haft_runtime *haft__job_runtime(haft__job *job)
{
    return (haft_runtime *)(void *)haft__load_relaxed(&job->record.home);
}

static inline void *haft__job_frame(haft__job *job)
{
    return (job->record.flags & (HAFT__HEAP_FRAME | HAFT__LOAN)) != 0 ? job->frame.address : (void *)job->frame.bytes;
}

/* The job that runs here, or null. */
static inline haft__job *haft__job_here(const haft__root *root)
{
    haft__record *record = root->record;
    return record != NULL && haft__load_relaxed(&record->kind) != HAFT__KIND_PLAIN ? haft__job_of(record) : NULL;
}

/* --- Making and unmaking (job/make.c) --- */

typedef struct haft__job_spec {
    haft_fn *body;
    const void *frame;
    size_t size;
    size_t alignment;
    const haft_spawn_options *options;
    haft_kind kind;
    bool lend;      /* the frame is not copied */
    void *group;    /* or null */
    uint64_t owner; /* flags, and joiner, that the state begins with: HAFT__OWNED_BY_GROUP for a group */
} haft__job_spec;
#define HAFT__OWNED_BY_GROUP (HAFT__GROUP | HAFT__CLAIMED)

/* Makes a job on the runtime that the options and the caller decide, counted there, and not yet queued. A negative
 * code and nothing made otherwise. */
int haft__job_make(const haft__job_spec *spec, haft__job **out);
/* The same for a member of a group whose frame is copied. */
int haft__job_make_member(haft__thread *here, haft_fn *body, const void *frame, size_t size, size_t alignment,
                          const haft_spawn_options *options, void *group, haft__job **out);
/* Hands it to whatever runs its kind. On error it is still the caller's, to be unmade or refused. */
int haft__job_start(haft__job *job);
/* Frees everything that a job which never started, or whose frame and panic were taken, still owns, and its slot. */
void haft__job_recycle(haft__job *job);
void haft__job_free_blocks(haft__job *job); /* its part that is not the slot */
static inline void haft__job_recycle_from(haft__thread *here, haft__job *job)
{
    if (__builtin_expect(haft__load_relaxed(&job->name) != NULL || (job->record.flags & HAFT__HEAP_FRAME) != 0, 0))
        haft__job_free_blocks(job);
    haft__record_give(here, &job->record);
}
/* The same for one that was counted but will never end: it is uncounted. */
void haft__job_unmake(haft__job *job);
/* Disposes of what a job leaves that has ended, or never began: its panic, and its frame unless a joiner took it. */
void haft__job_dispose(haft__job *job);

/* --- Running and ending (job/run.c) --- */

/* Runs the body of a job that its record's root is bound to, behind a wall, and ends it. */
void haft__job_run(haft__record *record);
/* The same without the last step: leaves end, code and panic in the job. */
void haft__job_run_body(haft__job *job, haft__root *root);
/* Gives a job the outcome of a body that was left by pthread_exit, on the thread that is ending. What was open in it is
 * gone with its frames. */
void haft__job_left(haft__job *job, haft__root *root);
/* Ends a job that never ran: it was aborted, 0, or the machine refused what it needs. */
void haft__job_refuse(haft__record *record, int code);
/* Counts a refusal by the machine; returns rc. Every code of a job that could not be made or begun comes by here. */
extern haft__atomic(uint64_t) haft__jobs_refused;
int haft__job_refused(int rc);
/* The end; see the top of this file. */
void haft__job_end(haft__job *job);
/* Calls a body as what it is: with the frame, or without. */
int haft__call_body(haft_fn *body, void *frame, size_t size);

/* --- Owning (job/join.c) --- */

/* Takes what a job that is DONE and owned by the caller left: moves its frame out, or drops it; fills *out, if not
 * null, which then owns the panic; recycles it. Returns what haft_join returns. */
int haft__job_reap(haft__job *job, void *frame, size_t size, haft_outcome *out);
/* The same for what is mostly left: a task's frame and code, and no outcome asked for. */
static inline int haft__job_reap_plainly(haft__job *job, void *frame, size_t size)
{
    if (__builtin_expect(haft__load_relaxed(&job->record.kind) != HAFT__KIND_TASK || job->record.end != HAFT_RETURNED ||
                             job->drop != NULL,
                         0))
        return haft__job_reap(job, frame, size, NULL);
    int rc = job->record.code;
    if (frame != NULL)
        haft__copy(frame, haft__job_frame(job), size);
    haft__job_recycle_from(haft__here_or_null(), job);
    return rc;
}
/* True if a frame of that size can be moved out of the job. */
static inline bool haft__job_fits(const haft__job *job, const void *frame, size_t size)
{
    return frame == NULL || size == 0 || size == job->record.frame_size;
}
/* Claims the job behind a handle for good, ended or not. 0, HAFT_ESTALE, HAFT_EBUSY, HAFT_EINVAL, the error that h
 * carries. *was_done tells whether it had ended. */
int haft__job_claim(const haft_handle *h, haft__root *me, haft__job **out, bool *was_done);
/* Gives the claim of a join back. False: the job has ended meanwhile and is the caller's to reap. */
bool haft__job_give_up(haft__job *job);
/* Gives a claim back, whether the job has ended or not. */
void haft__job_unclaim(haft__job *job);
/* True once a job that the caller has claimed has ended; ends a call that was aborted before it began. */
bool haft__job_claimed_has_ended(haft__job *job);
/* The job behind a handle that is not null and carries no error. */
haft__job *haft__job_of_handle(const haft_handle *h);
/* What haft_self() returns inside that job, which has not been recycled. */
haft_handle haft__job_self_handle(haft__job *job);
/* True for a handle that came from haft_self(). */
bool haft__is_self_handle(const haft_handle *h);
/* What haft_join returns for a job that has ended. */
int haft__job_code(const haft__job *job);
/* Requests the abort of one generation of a slot. False: stale. In two steps, so that many need one fence: mark,
 * fence, wake. */
bool haft__job_mark_aborted(haft__record *record, uint64_t generation);
/* The other two steps, for one that was marked. */
static inline void haft__job_wake_marked(haft__record *record)
{
    haft__fence_heavy(); /* partner: the light fence of whoever parks under a lock; see wait.h */
    haft__wake(record);
}
/* For one that was made, or forgets an abort, and must not miss that the runtime aborts all its jobs. */
static inline void haft__job_heed_end(haft__job *job, haft_runtime *runtime)
{
    haft__fence_light(); /* partner: the heavy fence in abort_jobs; either the walk finds the job or this sees the flag */
    if (__builtin_expect(haft__load_relaxed(&runtime->aborting) != 0, 0))
        haft__job_mark_aborted(&job->record, haft__generation(haft__load_relaxed(&job->record.state)));
}
void haft__job_abort(haft__job *job);

/* --- Rings of joins (job/ring.c) --- */

/* True if the caller, who has just claimed that job, would wait for itself by waiting for the job's end; the claim was
 * taken back. The checked build spells the ring out on standard error. */
bool haft__closes_ring_slowly(haft__job *job, const haft__root *me);
static inline bool haft__closes_ring(haft__job *job, const haft__root *me)
{
    /* Nobody waits for most of those who wait; a wait with a deadline closes nothing. Sequentially consistent: see
     * job/ring.c. */
    return __builtin_expect((haft__load_seq_cst(&me->record->state) & HAFT__AWAITED) != 0, 0) &&
           me->deadline == INT64_MAX && haft__closes_ring_slowly(job, me);
}

/* --- Watching (job/watch.c) --- */
int haft__watch(haft__job *job, uint64_t generation, haft__root *me);
/* Shows `next` in the state word in the place of `seen`, which has WATCHED, and wakes the watchers. False: the word
 * had changed. */
bool haft__watched_end(haft__job *job, uint64_t *seen, uint64_t next);

/* --- Threads and the pool (job/thread.c, job/pool.c) --- */
int haft__thread_job_start(haft__job *job);
/* What the record's root holds once a HAFT_THREAD has ended: its OS thread, to be joined by whoever reaps. */
static inline haft__root *haft__native_as_root(haft__os_thread thread)
{
    return (haft__root *)thread.native;
}
void haft__thread_job_reap(haft__job *job);
int haft__pool_submit(haft__job *job);
/* Takes a call that has not begun out of the queue; it is the caller's to unmake. */
bool haft__pool_withdraw(haft__job *job);
/* How many threads it has and how many calls wait for one. */
void haft__pool_count(haft_runtime *runtime, unsigned *threads, uint64_t *queued);
/* Tells the pool's idle threads to end and joins them. No blocking job is left, or, with leaves, only those that are
 * stuck: their threads end by themselves if they ever come back. */
void haft__pool_stop(haft_runtime *runtime, bool leaves);

/* --- Time (job/time.c) --- */

/* Waits until that moment. 0, or the refusal, which the caller tells. */
int haft__sleep_until(haft__root *me, int64_t until);

/* --- Panics (job/panic.c) --- */

/* A wall, and the blocks that are open outside of it. */
typedef struct haft__catch {
    haft__wall wall;
    struct haft__catch *outer;
    haft_block *blocks;
    haft__panic *outer_panicking;
    haft__panic *caught;
} haft__catch;

/* Calls what(argument) behind a wall. Null, or the panic that ended it, which is the caller's. */
haft__panic *haft__catch_call(haft__root *root, void (*what)(void *), void *argument);
/* Raises a panic that was already reported. */
_Noreturn void haft__panic_raise(haft__root *root, haft__panic *panic);
/* Makes and reports a panic of the job that runs here, without raising it. */
haft__panic *haft__panic_new(const char *file, int line, const char *message);
void haft__panic_free(haft__panic *panic);
/* Gives an object to a dropper of the user's: shielded, and behind a wall. A panic of it is reported and nobody's: whoever
 * happens to be the last has not asked for it, and has more to do. */
void haft__drop_object(haft_drop_fn *drop, void *object);
/* What it says; the payload is the caller's. */
haft_panic_info haft__panic_take(haft__panic *panic);
/* Adds one to the end of a chain by `next`. Where memory was short some of a chain's panics may be left out, not all. */
void haft__panic_append(haft__panic **chain, haft__panic *panic);
/* A short name for reports: the job's own, or "task 17". */
void haft__job_describe(const haft__job *job, char *text, size_t size);
/* Installs the report of stack overflows, once. */
void haft__overflow_setup(void);

/* --- Looking at others' jobs (job/peek.c) --- */

/* Writes a line to standard error; what does not fit into 800 bytes is cut off. */
__attribute__((format(printf, 1, 2))) void haft__report(const char *format, ...);

/* What a report says about a job. */
typedef struct haft__sight {
    char name[64]; /* its own, or "task 17" */
    const char *place;
} haft__sight;
/* Describes the job of a record, if it has one that lives: made, and not ended. Safe while the job ends and the record is
 * used again. */
bool haft__job_peek(haft__record *record, haft__sight *out);
/* Frees a job's name, which is not null, while others may be looking at it. */
void haft__job_forget_name(haft__job *job);

/* Writes to standard error what every job and thread waits for; for a program in which nothing moves. */
void haft__job_print_waits(void);

/* Arranges for the list of what is alive at exit; the checked build only. */
void haft__job_leaks_setup(void);

/* --- Metrics (job/metrics.c) --- */

/* Begins to count from 0. Nothing runs. */
void haft__metrics_begin(haft_runtime *runtime);
/* Counts the end of a job that is no task or did not return. */
void haft__metrics_count_end(haft__job *job);

/* --- Runtimes (job/runtime.c) --- */

/* The runtime for a job spawned here without .runtime; starts the default one. Null: *rc tells. */
haft_runtime *haft__runtime_standard(int *rc);
/* The default one if it was started. */
haft_runtime *haft__runtime_standard_or_null(void);
static inline haft_runtime *haft__runtime_here(haft__thread *here, int *rc)
{
    /* Workers, threads and the pool of a runtime know it; a plain thread does not. */
    return __builtin_expect(here->home != NULL, 1) ? (haft_runtime *)(void *)here->home : haft__runtime_standard(rc);
}
/* Runtimes that have begun and not ended. */
unsigned haft__runtimes_live(void);
/* Counts a job that was made or has ended. A worker of the runtime counts in plain increments, made of atomics for
 * those who sum up: only the owner writes. Release: whoever sees the count sees what was done before it. */
static inline void haft__runtime_count(haft__thread *here, haft_runtime *runtime, bool is_end)
{
    haft__worker *w = here != NULL ? here->worker : NULL;
    if (__builtin_expect(w != NULL && w->sched == &runtime->sched, 1)) {
        haft__atomic(uint64_t) *counter = is_end ? &w->finished : &w->spawned;
        haft__store_release(counter, haft__load_relaxed(counter) + 1);
    } else {
        haft__fetch_add_release(is_end ? &runtime->finished : &runtime->spawned, 1);
    }
    haft__fence_light(); /* partner: the heavy fence in close_runtime; what follows is a look at `closing` */
}
/* Jobs that were made and have not ended; once `closing` is set and fenced, never too few. */
uint64_t haft__runtime_live(haft_runtime *runtime);
void haft__runtime_tell_closer(haft_runtime *runtime);

/* Counts an ended job, and tells a closer. */
static inline void haft__runtime_leave_from(haft__thread *here, haft_runtime *runtime)
{
    haft__runtime_count(here, runtime, true);
    if (__builtin_expect(haft__load_relaxed(&runtime->closing) != 0, 0))
        haft__runtime_tell_closer(runtime);
}
static inline void haft__runtime_leave(haft_runtime *runtime)
{
    haft__runtime_leave_from(haft__here_or_null(), runtime);
}

/* Takes back the count of a job that will never be. */
void haft__runtime_uncount(haft_runtime *runtime);

/* Counts a new job; HAFT_ESHUTDOWN if the runtime accepts none. */
static inline int haft__runtime_enter(haft__thread *here, haft_runtime *runtime)
{
    haft__runtime_count(here, runtime, false);
    if (__builtin_expect(haft__load_relaxed(&runtime->closing) == 0, 1))
        return 0;
    haft__runtime_uncount(runtime);
    return HAFT_ESHUTDOWN;
}

#endif
