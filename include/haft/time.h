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
