/* SPDX-License-Identifier: MIT
 *
 * Jobs and their handles. A job is anything that runs and can be joined: a task on the scheduler, an OS thread, a
 * call on the pool for blocking calls. Each is started by the same verb, hands back the same owned handle, and ends
 * in one of the same outcomes. */
#ifndef HAFT_JOB_H
#define HAFT_JOB_H

#include <haft/codes.h>
#include <haft/frame.h>
#include <haft/panic.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What runs a job. */
typedef enum haft_kind {
    HAFT_TASK = 0, /* a lightweight task, on one of the runtime's workers; its stack is small unless asked otherwise */
    HAFT_THREAD,   /* an OS thread of its own */
    HAFT_BLOCKING, /* a thread of the runtime's pool for calls that block */
} haft_kind;

typedef struct haft_runtime haft_runtime;

/* The owned permission to join one job. A small value: copies may cross threads, and whichever copy is used first
 * spends the job for all of them. {0} is the null handle. The id is never used again in this process. */
typedef struct haft_handle {
    void *slot_;
    uint64_t id_;
} haft_handle;
#ifdef __cplusplus
#define HAFT_NULL_HANDLE (haft_handle{ nullptr, 0 })
#else
#define HAFT_NULL_HANDLE ((haft_handle){ NULL, 0 })
#endif

/* A copy of a handle that can only abort. */
typedef struct haft_abort_handle {
    void *slot_;
    uint64_t id_;
} haft_abort_handle;

/* How a job is to be started; zero is every option's default. A .drop, here and wherever there is one, may wait: it runs
 * shielded from abort and deadlines of whoever happens to run it. A panic of it is reported to the hook and is nobody's:
 * what it was called by goes on. */
typedef struct haft_spawn_options {
    size_t size_;          /* sizeof(haft_spawn_options), so that options can be added later */
    const char *place_;    /* where the spawn stands */
    const char *name;      /* copied; for reports, and for a thread's name, of which the kernel shows 15 bytes */
    size_t stack_size;     /* bytes; 0: for a task 64 KiB less the page of its guard, for a thread the system's default;
                            * ignored by the pool */
    haft_drop_fn *drop;    /* disposes of a frame that no joiner takes, by address, exactly once */
    haft_runtime *runtime; /* null: the caller's own, or else the default one, started at first use */
    haft_kind kind;        /* HAFT_TASK */
    bool pinned;           /* a task that, once started, stays on one worker */
} haft_spawn_options;

/* How a job ended. */
typedef enum haft_end {
    HAFT_RETURNED = 0, /* its body returned */
    HAFT_PANICKED,     /* it panicked */
    HAFT_ABORTED,      /* it was told that it was aborted, and ended */
    HAFT_NOT_STARTED,  /* its body never began: it was aborted before, or a stack or thread was refused */
} haft_end;

typedef struct haft_outcome {
    haft_end end;
    int code; /* what the body returned; for an aborted job too; 0 if it returned nothing. Of one that never began: why it
               * was refused, HAFT_ENOMEM or HAFT_EAGAIN, or 0 if it was aborted */
    haft_panic_info
        panic; /* of a job that panicked; its payload is the caller's: haft_panic_drop or haft_panic_resume */
} haft_outcome;

/* --- Spawn -------------------------------------------------------------------------------------------------------- */

/* haft_spawn(body, &frame, options...) or haft_spawn(body) for int body(void)
 *
 * Starts a job that runs body on its own copy of the frame and returns its handle. With options and no frame:
 * haft_spawn(tick, HAFT_NO_FRAME, .name = "tick").
 *
 * The frame is copied before the call returns and is the job's until it is joined; if the spawn fails it was never
 * taken. What a pointer in it points to is not copied and has to outlast the job. A failed spawn returns a handle that
 * carries the error, HAFT_ENOMEM, HAFT_EAGAIN (no thread to be had), HAFT_EINVAL (frame aligned to more than 64, a stack
 * of 2 GiB or more, unknown kind), HAFT_ESHUTDOWN or HAFT_EFORKED: haft_error(h) tells, and haft_join returns it. A task
 * is given its stack when it begins; if there is none to be had then, its body never runs, and haft_join returns
 * HAFT_ENOMEM.
 *
 * Never suspends. May be called from any thread and from any job; the first call from a plain thread starts the
 * default runtime. Every handle must be joined, detached, dropped, or handed to a set. */
HAFT_MUST_ HAFT_API_ haft_handle haft_spawn_raw(haft_fn *body, const void *frame, size_t size, size_t alignment,
                                                const haft_spawn_options *options);

/* haft_spawn_blocking(body, &frame, options...): haft_spawn with .kind = HAFT_BLOCKING. The pool grows while calls
 * wait for a thread, up to 512, and shrinks again when threads have been idle for ten seconds. With 512 that run, calls
 * queue, so none should wait for another that may be queued. A call for which the machine gives no thread is refused,
 * HAFT_EAGAIN, even while others run. An abort before the call has begun prevents it; once begun it completes. */
HAFT_MUST_ HAFT_API_ haft_handle haft_spawn_blocking_raw(haft_fn *body, const void *frame, size_t size,
                                                         size_t alignment, const haft_spawn_options *options);

/* haft_blocking(body, &frame) or haft_blocking(body)
 *
 * Runs body on the pool for blocking calls and waits in place; the frame is lent, not copied. From a plain thread it
 * is an ordinary call. Returns the body's code; HAFT_EPANIC if it panicked; HAFT_ECANCELED or HAFT_ETIMEDOUT if the
 * caller was aborted or late before the call had begun, which then never begins; HAFT_ENOMEM or HAFT_EAGAIN if there
 * was no thread to run it. Once begun it is waited for. Suspends. Semantics: Tokio's spawn_blocking, awaited. */
HAFT_API_ int haft_blocking_raw(haft_fn *body, void *frame, size_t size, const char *place);

#ifndef __cplusplus
#define haft_spawn(...) HAFT_CAT_(haft_spawn_, HAFT_COUNT_(__VA_ARGS__))(haft_spawn_raw, __VA_ARGS__)
#define haft_spawn_blocking(...) HAFT_CAT_(haft_spawn_, HAFT_COUNT_(__VA_ARGS__))(haft_spawn_blocking_raw, __VA_ARGS__)
#define haft_spawn_1(raw, body) haft_spawn_at_(raw, body, HAFT_NO_FRAME, )
#define haft_spawn_M(raw, body, ...) haft_spawn_at_(raw, body, __VA_ARGS__, )
#define haft_spawn_at_(raw, body, frame, ...)                                                                          \
    raw(HAFT_BODY_(body), (frame), HAFT_BODY_FRAME_SIZE_(body, frame), HAFT_FRAME_ALIGN_(frame),                       \
        HAFT_SPAWN_OPTIONS_(__VA_ARGS__))
#define HAFT_SPAWN_OPTIONS_(...)                                                                                       \
    (&(haft_spawn_options){ .size_ = sizeof(haft_spawn_options), .place_ = HAFT_HERE_, __VA_ARGS__ })
#define haft_blocking(...) HAFT_CAT_(haft_blocking_, HAFT_COUNT_(__VA_ARGS__))(__VA_ARGS__)
#define haft_blocking_1(body) haft_blocking_M(body, HAFT_NO_FRAME)
#define haft_blocking_M(body, ...)                                                                                     \
    haft_blocking_raw(HAFT_BODY_(body), HAFT_LENT_((__VA_ARGS__)), HAFT_LOAN_SIZE_(body, (__VA_ARGS__)), HAFT_HERE_)
#endif

/* --- Handles: ending the ownership -------------------------------------------------------------------------------- */

/* haft_join(&h, &frame) or haft_join(&h)
 *
 * Waits until the job has ended, moves its frame out as the body left it, and spends the handle: h is null afterwards.
 * Without a frame, the frame goes to the job's .drop.
 *
 * Returns the body's code, unchanged; HAFT_EPANIC if it panicked; HAFT_EABORTED if it ended as aborted; or the error
 * that the handle carries. In all these cases h is null. Returns HAFT_ECANCELED or HAFT_ETIMEDOUT if the caller was
 * aborted or its deadline passed: nothing has happened, h is still owned. HAFT_ESTALE: h is null or was spent by
 * another copy; HAFT_EBUSY: another copy is joining now; HAFT_EDEADLK: the job is the caller, or it joins, itself or over
 * others, the caller; HAFT_EINVAL: the frame has another size, or h came from haft_self(); h is unchanged. A code passed
 * on from an inner join may look like one of these: haft_is_null(h), or haft_join_outcome, tells.
 *
 * A ring of joins (A joins B, which joins C, which joins A) is refused to the one that would close it; the checked build
 * spells it out on standard error, and also finds rings that go through locks and calls of actors. Joins with a deadline,
 * those that an abort is about to end, and rings of more than 64 are left out. A program in which everything waits and
 * nothing can wake any of it is reported on standard error, in every build.
 *
 * Suspends. From any thread and any job. Semantics: Rust's JoinHandle, with the frame for the value. */
HAFT_API_ int haft_join_raw(haft_handle *h, void *frame, size_t size);

/* haft_try_join(&h, &frame) or haft_try_join(&h): haft_join that never waits, looks at no abort and no deadline.
 * HAFT_EAGAIN: the job has not ended; h is still owned. */
HAFT_API_ int haft_try_join_raw(haft_handle *h, void *frame, size_t size);

/* haft_join_outcome(&h, &frame, &out)
 *
 * haft_join that keeps apart what the caller and what the job did: returns 0 once the job was joined and describes
 * its end in *out, or one of the caller's own codes above, *out unchanged. For no frame pass HAFT_NO_FRAME. A handle
 * that carries an error returns that error and is null afterwards. The panic's payload passes to the caller.
 * Suspends. */
HAFT_API_ int haft_join_outcome_raw(haft_handle *h, void *frame, size_t size, haft_outcome *out);

#ifndef __cplusplus
#define haft_join(...) HAFT_CAT_(haft_join_, HAFT_COUNT_(__VA_ARGS__))(haft_join_raw, __VA_ARGS__)
#define haft_try_join(...) HAFT_CAT_(haft_join_, HAFT_COUNT_(__VA_ARGS__))(haft_try_join_raw, __VA_ARGS__)
#define haft_join_1(raw, h) raw((h), NULL, 0)
#define haft_join_M(raw, h, frame) raw((h), (frame), HAFT_FRAME_SIZE_(frame))
#define haft_join_outcome(h, frame, out) haft_join_outcome_raw((h), (frame), HAFT_FRAME_SIZE_(frame), (out))
#endif

/* Lets the job run on without an owner; its frame goes to its .drop when it has ended. h is null afterwards.
 * HAFT_ESTALE or HAFT_EBUSY as for haft_join, HAFT_EINVAL for haft_self(), h unchanged; the error that h carries
 * otherwise. Never suspends. */
HAFT_API_ int haft_detach(haft_handle *h);

/* Aborts the job, waits until it has ended, shielded from the caller's own abort and deadlines, and gives its frame
 * to its .drop. h is null afterwards. Does nothing on a null, spent or error handle, and cannot fail:
 * HAFT_DEFER(haft_drop, &h). A panic of the job's is not passed on. A job that drops a handle of its own, or of one that
 * waits for it, cannot wait: the job is aborted and detached. On haft_self() nothing happens. Suspends. */
HAFT_API_ void haft_drop(haft_handle *h);

/* Joins n jobs without their frames. Returns 0 when all were joined; rcs[i], if rcs is not null, is what haft_join
 * would have returned for hs[i]. HAFT_ECANCELED or HAFT_ETIMEDOUT: the caller was aborted or late before all had
 * ended, and none of the handles is spent. HAFT_ESTALE, HAFT_EBUSY, HAFT_EDEADLK, HAFT_EINVAL: one of them cannot be
 * joined; none is spent. Suspends. */
HAFT_API_ int haft_join_all(haft_handle *hs, size_t n, int *rcs);

/* haft_join_all in which the first job that does not return 0 makes the others be aborted; they are joined all the
 * same. Returns 0 or the first failure. */
HAFT_API_ int haft_join_all_or_abort(haft_handle *hs, size_t n, int *rcs);

/* --- Handles: without ending the ownership ------------------------------------------------------------------------ */

/* Waits until the job has ended; spends nothing; any number of callers at once. 0; HAFT_ECANCELED, HAFT_ETIMEDOUT;
 * HAFT_ESTALE if the handle is null or was spent; HAFT_EDEADLK for the caller itself; the error that h carries.
 * Suspends. */
HAFT_API_ int haft_wait(haft_handle h);

/* True once the body, its defers, the thread's thread-local destructors and, for a detached job, .drop have run;
 * true for a null or spent handle. Never suspends. From anywhere. */
HAFT_API_ bool haft_is_finished(haft_handle h);

/* Asks the job to end: a job that has not begun never will, and a waiting one is told at its suspension point by
 * HAFT_ECANCELED, and then sees what the first caller did before. One that never begins runs no defer either: what its
 * frame owns goes with the frame, to .drop or to the joiner. A job that has ended is not changed, nor is one that
 * never waits again. Idempotent. Returns 0, also for a job that has ended; HAFT_ESTALE for a null or spent handle. Never
 * suspends; may be called from a signal handler. */
HAFT_API_ int haft_abort(haft_handle h);

/* A copy of h that can only abort, and aborting by it, as by haft_abort. */
HAFT_API_ haft_abort_handle haft_abort_handle_of(haft_handle h);
HAFT_API_ int haft_abort_by(haft_abort_handle a);

/* True for the null handle, which is what a spent one has become. A handle that carries an error is not null. */
static inline bool haft_is_null(haft_handle h)
{
    return h.slot_ == NULL && h.id_ == 0;
}

/* The error that a failed spawn's handle carries, 0 for any other handle. */
static inline int haft_error(haft_handle h)
{
    return h.slot_ == NULL ? (int)(int64_t)h.id_ : 0;
}

/* A number for the job that no other job of this process ever has; 0 for a null or error handle. */
HAFT_API_ uint64_t haft_id(haft_handle h);

/* The name given at spawn, whole, or "" when there is none or the handle is spent. The text is valid until the
 * handle is spent. */
HAFT_API_ const char *haft_name(haft_handle h);

/* --- Inside a job ------------------------------------------------------------------------------------------------- */

/* The running job. The handle names it (id, name, abort, unpark), it cannot be joined, detached or dropped. Null
 * outside of any job. Never suspends. */
HAFT_API_ haft_handle haft_self(void);

/* Lets others run. 0, HAFT_ECANCELED, or HAFT_ETIMEDOUT if a deadline has passed. Suspends. */
HAFT_API_ int haft_yield(void);

/* A suspension point that does not wait: 0, HAFT_ECANCELED or HAFT_ETIMEDOUT. For long computations that should be
 * abortable. */
HAFT_API_ int haft_checkpoint(void);

/* True if the running job was aborted and no shield masks it. Tells nobody: the job may still end with its own result. */
HAFT_API_ bool haft_is_aborted(void);

/* Waits for the running job's token and takes it; an unpark that came before is not lost, several count as one. 0,
 * HAFT_ECANCELED, HAFT_ETIMEDOUT. On a plain thread, which no handle names, HAFT_EDEADLK unless a deadline ends the
 * wait. Does not return without cause. Suspends. Semantics: Rust's thread::park without its spurious returns. */
HAFT_API_ int haft_park(void);

/* Gives the job its token. 0; HAFT_ESTALE if it was joined. Never suspends; may be called from a signal handler. */
HAFT_API_ int haft_unpark(haft_handle h);

#ifdef __cplusplus
}
#endif

#endif
