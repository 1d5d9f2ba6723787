/* SPDX-License-Identifier: MIT
 *
 * Metrics: what a runtime has done and has. The counters are kept anyway, so asking costs the jobs nothing. */
#ifndef HAFT_METRICS_H
#define HAFT_METRICS_H

#include <haft/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Jobs of one kind, since the runtime began. */
typedef struct haft_kind_metrics {
    uint64_t spawned;  /* made; a spawn that failed is not counted */
    uint64_t finished; /* ended, whichever way; joined or not */
    uint64_t panicked; /* so many of the finished */
    uint64_t aborted;  /* so many of the finished ended as aborted, or never began */
    uint64_t live;     /* spawned and not finished: running, waiting or queued */
} haft_kind_metrics;

/* One worker, or all of a runtime together, since the runtime began. */
typedef struct haft_worker_metrics {
    uint64_t runs;       /* times that it took up a task, a new one or one that had waited */
    uint64_t finished;   /* tasks that ended on it */
    uint64_t steals;     /* times that it took tasks from another worker */
    uint64_t adopted;    /* sides of haft_both and halves of haft_for_each that it took and made tasks */
    uint64_t overflowed; /* tasks that its queue had no room for and that went to the common one */
    uint64_t timers;     /* sleeps and deadlines that were due on it */
    uint64_t parks;      /* times that it had nothing to do and went to sleep */
    int64_t parked;      /* how long it slept, in nanoseconds, up to its last wake */
} haft_worker_metrics;

typedef struct haft_runtime_metrics {
    size_t size_;               /* how many bytes were filled in */
    haft_kind_metrics kinds[3]; /* by haft_kind: HAFT_TASK, HAFT_THREAD, HAFT_BLOCKING */
    unsigned workers;
    unsigned pool_threads;   /* threads of the pool for blocking calls */
    uint64_t pool_queued;    /* calls that wait for one */
    haft_worker_metrics all; /* the sums over all workers */

    /* Stacks are shared by all runtimes of the process. */
    uint64_t stacks_used;   /* by tasks that have begun; up to 64 for each worker are only kept at hand */
    uint64_t stacks_cached; /* free, and still with memory */
    uint64_t stack_bytes;   /* of memory that both may have, at most */
} haft_runtime_metrics;

/* haft_metrics(runtime, &metrics) or haft_metrics(runtime, &metrics, workers, n)
 *
 * Fills in what the runtime has done since it began; with an array of haft_worker_metrics also what each of its first n
 * workers has. Null for the runtime means the caller's own, or else the default one. Each counter is exact for what the
 * caller knows to have happened, by a join for instance; what runs meanwhile may show in one and not yet in another.
 * 0, or HAFT_EINVAL if runtime is null and there is none. Never suspends. From anywhere but signal handlers. */
HAFT_API_ int haft_metrics_raw(haft_runtime *runtime, haft_runtime_metrics *out, size_t size,
                               haft_worker_metrics *workers, size_t worker_size, size_t n);
#ifndef __cplusplus
#define haft_metrics(runtime, ...) HAFT_CAT_(haft_metrics_, HAFT_COUNT_(__VA_ARGS__))(runtime, __VA_ARGS__)
#define haft_metrics_1(runtime, out) haft_metrics_raw((runtime), (out), sizeof *(out), NULL, 0, 0)
#define haft_metrics_M(runtime, out, workers, n)                                                                       \
    haft_metrics_raw((runtime), (out), sizeof *(out), (workers), sizeof *(workers), (n))
#endif

#ifdef __cplusplus
}
#endif

#endif
