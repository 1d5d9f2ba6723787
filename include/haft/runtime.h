/* SPDX-License-Identifier: MIT
 *
 * Runtimes: the workers that run tasks, and the pool for blocking calls. Most programs never name one: the first
 * spawn from a plain thread starts the default runtime. */
#ifndef HAFT_RUNTIME_H
#define HAFT_RUNTIME_H

#include <haft/job.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Told of a job that would not stop: its name, or "task 17" for one without, and where it was spawned, "file.c:12". */
typedef void haft_stuck_hook(const char *name, const char *place);

typedef struct haft_runtime_options {
    size_t size_;
    const char *place_;
    unsigned workers; /* threads that run tasks; 0: haft_cpu_count() */
    int64_t grace;    /* at the end: nanoseconds that jobs are given to end by themselves before they are aborted */
    haft_stuck_hook *on_stuck; /* called at the end for each job that would not stop; null: a line on standard error */
    size_t stack_size;         /* bytes, for haft_run's main_body; 0: as for any task. haft_runtime_new ignores it */
} haft_runtime_options;

/* haft_run(main_body, &frame, options...) or haft_run(main_body, HAFT_NO_FRAME)
 *
 * Runs a runtime of its own from beginning to end, main_body as its first task, with the frame copied in and, at the
 * end, out. A single worker is the calling thread; several are threads of their own, and the caller waits. When
 * main_body has returned, no more jobs are accepted, the jobs that still run are given .grace, then aborted and waited
 * for. Returns the body's code, HAFT_EPANIC, or the error that kept the runtime from starting: HAFT_ENOMEM, HAFT_EAGAIN
 * (no threads), HAFT_EINVAL, HAFT_EDEADLK (called by a task). The frame is the caller's again in every case. Blocks the
 * thread.
 *
 * What would not stop: when, after the abort, no job has ended for one second, or for .grace if that is longer, those
 * that are left are stuck: in a loop, in a call that blocks, in a wait under a shield. Each is named to .on_stuck, by
 * the calling thread, or on standard error, and left behind with all it uses: its stack and its thread, if it has one,
 * stay, and the process may end without it. Should it go on, its calls work as ever, but for spawning, which is refused
 * with HAFT_ESHUTDOWN; what it borrowed from elsewhere must still be there. A task that waits and whose worker is gone
 * does not go on. A single worker that never comes back from a task keeps haft_run itself from returning. */
HAFT_API_ int haft_run_raw(haft_fn *body, void *frame, size_t size, size_t alignment,
                           const haft_runtime_options *options);
#ifndef __cplusplus
#define haft_run(...) HAFT_CAT_(haft_run_, HAFT_COUNT_(__VA_ARGS__))(__VA_ARGS__)
#define haft_run_1(body) haft_run_at_(body, HAFT_NO_FRAME, )
#define haft_run_M(body, ...) haft_run_at_(body, __VA_ARGS__, )
#define haft_run_at_(body, frame, ...)                                                                                 \
    haft_run_raw(HAFT_BODY_(body), HAFT_LENT_(frame), HAFT_LOAN_SIZE_(body, frame), HAFT_FRAME_ALIGN_(frame),          \
                 HAFT_RUNTIME_OPTIONS_(__VA_ARGS__))
#define HAFT_RUNTIME_OPTIONS_(...)                                                                                     \
    (&(haft_runtime_options){ .size_ = sizeof(haft_runtime_options), .place_ = HAFT_HERE_, __VA_ARGS__ })
#endif

/* haft_runtime_new(options...): starts a runtime whose workers are threads of its own; jobs are put on it by
 * .runtime. Null if there is no memory or no thread to be had. */
HAFT_MUST_ HAFT_API_ haft_runtime *haft_runtime_new_raw(const haft_runtime_options *options);
#ifndef __cplusplus
#define haft_runtime_new(...)                                                                                          \
    haft_runtime_new_raw(                                                                                              \
        &(haft_runtime_options){ .size_ = sizeof(haft_runtime_options), .place_ = HAFT_HERE_, __VA_ARGS__ })
#endif

/* Ends a runtime as haft_run does; *runtime is null afterwards. Handles of its jobs can still be joined, once each.
 * Not from one of its own jobs: HAFT_EDEADLK, nothing is done. HAFT_EBUSY: it has ended, but for jobs that would not
 * stop and were named; code and data that they use must stay. 0 otherwise, also for null. HAFT_EFORKED. Blocks the
 * thread. */
HAFT_API_ int haft_runtime_drop(haft_runtime **runtime);

/* Ends the default runtime, if it was started; the next spawn starts another. For plugins before they are unloaded,
 * and for tests. HAFT_EDEADLK from one of its own jobs; HAFT_EBUSY as for haft_runtime_drop: the plugin cannot be
 * unloaded. HAFT_EFORKED. Blocks the thread. */
HAFT_API_ int haft_runtime_stop(void);

/* Says whether haft names the job whose stack overflowed before the process ends, which it does by a handler of SIGSEGV and
 * SIGBUS from the first runtime on. Every fault that is no overflow goes on to the handler that was there before.
 *
 * haft_overflow_handler(false) before the first call that starts a runtime: no handler is installed. Later: it stays in
 * place, because others may have been installed over it, and hands every fault on. The guards below the stacks stay, so
 * an overflow is an ordinary fault then; a task whose guard is a canary still ends the process with haft's message. haft's
 * threads have an alternate signal stack either way, for whoever handles faults with SA_ONSTACK. haft_overflow_handler(true)
 * undoes it. Returns 0, HAFT_EFORKED, or the system's error if a handler could not be installed. Never suspends; from any
 * thread and any job. */
HAFT_API_ int haft_overflow_handler(bool on);

/* How many processors this process may really use: its affinity and every cgroup's quota, rounded up; at least 1. */
HAFT_API_ unsigned haft_cpu_count(void);

#ifdef __cplusplus
}
#endif

#endif
