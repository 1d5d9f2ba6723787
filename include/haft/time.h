/* SPDX-License-Identifier: MIT
 *
 * Time, deadlines and shields. Times are int64_t nanoseconds of a monotonic clock that no change of the wall clock
 * moves. */
#ifndef HAFT_TIME_H
#define HAFT_TIME_H

#include <haft/codes.h>
#include <haft/frame.h>
#include <haft/panic.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAFT_US INT64_C(1000)
#define HAFT_MS INT64_C(1000000)
#define HAFT_S INT64_C(1000000000)

/* Now, in nanoseconds since some moment in the past. From anywhere. */
HAFT_API_ int64_t haft_now(void);

/* Waits for at least that many nanoseconds; not at all for 0 or less, where it is a haft_checkpoint. 0;
 * HAFT_ECANCELED; HAFT_ETIMEDOUT if a deadline came first. Suspends a task, stops a plain thread. */
HAFT_API_ int haft_sleep(int64_t nanoseconds);

/* The time until the nearest deadline of the running job or plain thread, 0 or less once it has passed, INT64_MAX
 * without one. */
HAFT_API_ int64_t haft_time_left(void);

/* --- Ticks -------------------------------------------------------------------------------------------------------- */

/* What becomes of ticks that nobody waited for in time. */
typedef enum haft_missed_ticks {
    HAFT_TICK_BURST = 0, /* they are made up for at once, one after the other; the schedule stays */
    HAFT_TICK_DELAY,     /* the next one comes a period after the late one was taken; the schedule moves */
    HAFT_TICK_SKIP,      /* the next one comes at the next multiple of the period; the schedule stays */
} haft_missed_ticks;

typedef struct haft_ticker_options {
    size_t size_;
    haft_missed_ticks missed; /* HAFT_TICK_BURST */
} haft_ticker_options;

/* A plain value, anywhere in the user's memory; it may be copied, and each copy goes on by itself. Used by one at a
 * time. Its members are the library's. */
typedef struct haft_ticker {
    int64_t next_;
    int64_t period_;
    haft_missed_ticks missed_;
} haft_ticker;

/* haft_ticker_start(&t, period, .missed = HAFT_TICK_SKIP): a tick every period nanoseconds, the first at once. 0;
 * HAFT_EINVAL for a period of 0 or less: it is as if dropped. Never suspends. */
HAFT_API_ int haft_ticker_start_raw(haft_ticker *t, int64_t period, const haft_ticker_options *options);
#ifndef __cplusplus
#define haft_ticker_start(...) HAFT_TICKER_START_(__VA_ARGS__, )
#define HAFT_TICKER_START_(t, period, ...)                                                                             \
    haft_ticker_start_raw((t), (period), &(haft_ticker_options){ .size_ = sizeof(haft_ticker_options), __VA_ARGS__ })
#endif

/* Waits for the next tick and takes it; does not wait for one that is due already, but lets other tasks run first. A tick is
 * late if it is taken after its time; ticks were missed if by then the one after it was due, too, and then .missed says when
 * the next one is. A ticker of 10 ms whose tick of 10 is taken at 35 ticks next at 20 and 30 (both at once) and 40, or at 45,
 * or at 40. 0; HAFT_ECANCELED or HAFT_ETIMEDOUT: no tick was taken; HAFT_EINVAL: not started, or dropped. Suspends. From any
 * thread and any job. An arm of a select: HAFT_ON_TICK. Semantics: Tokio's Interval. */
HAFT_API_ int haft_ticker_wait(haft_ticker *t);

/* Ends the ticker, which owns nothing; nobody may be waiting for it. Never suspends. */
HAFT_API_ void haft_ticker_drop(haft_ticker *t);

/* --- To the end of the block -------------------------------------------------------------------------------------- */

/* HAFT_TIMEOUT(ns): a declaration. Until the end of the enclosing block, no wait of the running job or plain thread
 * goes beyond ns from now: it returns HAFT_ETIMEDOUT instead. A deadline is looked at only before waiting, so what
 * is ready succeeds at a timeout of 0. Timeouts nest, the nearest wins; no job inherits one. */
HAFT_API_ haft_block haft_timeout_raw(haft_block *self, int64_t nanoseconds);

/* HAFT_SHIELD: a declaration. Until the end of the enclosing block the running job's abort and every deadline from
 * outside the block are masked; a timeout declared inside counts. */
HAFT_API_ haft_block haft_shield_raw(haft_block *self);

#ifndef __cplusplus
#define HAFT_TIMEOUT(ns) HAFT_TIMEOUT__(ns, HAFT_BLOCK_NAME_)
#define HAFT_TIMEOUT__(ns, name) HAFT_TIMEOUT_(ns, name)
#define HAFT_TIMEOUT_(ns, name) HAFT_BLOCK_(name, haft_timeout_raw(&name, (ns)))
#define HAFT_SHIELD HAFT_SHIELD__(HAFT_BLOCK_NAME_)
#define HAFT_SHIELD__(name) HAFT_SHIELD_(name)
#define HAFT_SHIELD_(name) HAFT_BLOCK_(name, haft_shield_raw(&name))
#endif

#ifdef __cplusplus
}
#endif

#endif
