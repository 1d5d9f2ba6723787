/* SPDX-License-Identifier: MIT
 *
 * Trackers: knowing when jobs that nobody joins have ended. A tracker counts what is going on, and keeps nothing of
 * what has ended; once it is closed, whoever waits for it goes on as soon as nothing is going on any more. Compared with
 * a waitgroup it need not be told beforehand how much there will be, and compared with a set nobody takes anything out.
 *
 * A tracker is a plain value, open and empty after = HAFT_TRACKER_INIT. Being closed ends nothing: things may still enter,
 * and those who wait then wait for them too. Semantics: Tokio's TaskTracker. */
#ifndef HAFT_TRACKER_H
#define HAFT_TRACKER_H

#include <haft/embed.h>
#include <haft/job.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haft_tracker {
    uint32_t lock_;
    uint32_t epoch_;
    struct haft_waiter_ *waiters_;
    size_t count_;
    uint32_t closed_;
} haft_tracker;
#ifdef __cplusplus
#define HAFT_TRACKER_INIT                                                                                              \
    {                                                                                                                  \
    }
#else
#define HAFT_TRACKER_INIT                                                                                              \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif

/* haft_tracker_spawn(&tracker, body, &frame, options...) or haft_tracker_spawn(&tracker, body)
 *
 * haft_spawn of a job that belongs to nobody and is tracked from now until it has ended, by whatever way: its body has
 * returned, panicked or was aborted, and its frame, a copy, has gone to .drop. There is no handle; the body may make
 * one that aborts, by haft_self(). 0, or the error that haft_spawn's handle would carry: the frame was not taken, and
 * nothing is tracked. Never suspends. From any thread and any job. */
HAFT_API_ int haft_tracker_spawn_raw(haft_tracker *t, haft_fn *body, const void *frame, size_t size, size_t alignment,
                                     const haft_spawn_options *options);
#ifndef __cplusplus
#define haft_tracker_spawn(t, ...) HAFT_CAT_(haft_tracker_spawn_, HAFT_COUNT_(__VA_ARGS__))(t, __VA_ARGS__)
#define haft_tracker_spawn_1(t, body) haft_tracker_spawn_at_(t, body, HAFT_NO_FRAME, )
#define haft_tracker_spawn_M(t, body, ...) haft_tracker_spawn_at_(t, body, __VA_ARGS__, )
#define haft_tracker_spawn_at_(t, body, frame, ...)                                                                    \
    haft_tracker_spawn_raw((t), HAFT_BODY_(body), (frame), HAFT_BODY_FRAME_SIZE_(body, frame),                         \
                           HAFT_FRAME_ALIGN_(frame), HAFT_SPAWN_OPTIONS_(__VA_ARGS__))
#endif

/* One more thing is going on: a request, a connection, a job that has a handle. Never suspends. */
HAFT_API_ void haft_tracker_enter(haft_tracker *t);

/* It has ended; to be called once for each that entered. A panic of the caller's if none is going on. The tracker may be
 * gone afterwards, if somebody waits for it and frees it. Never suspends; fits HAFT_DEFER(haft_tracker_leave, t). */
HAFT_API_ void haft_tracker_leave(haft_tracker *t);

/* From now on whoever waits goes on once nothing is going on, now if nothing is. Nothing happens the second time. Never
 * suspends. */
HAFT_API_ void haft_tracker_close(haft_tracker *t);

/* Takes the close back. Whoever had nothing left to wait for by then goes on all the same. Never suspends. */
HAFT_API_ void haft_tracker_reopen(haft_tracker *t);

/* Waits until the tracker is closed and nothing is going on, both at one moment; what was done before is seen. 0;
 * HAFT_ECANCELED, HAFT_ETIMEDOUT: aborted or late. Any number of callers. Suspends. From any thread and any job. */
HAFT_API_ int haft_tracker_wait(haft_tracker *t);

/* How many are going on; whether none is; whether it is closed. As of now: others may change it. Never suspend. */
HAFT_API_ size_t haft_tracker_count(haft_tracker *t);
HAFT_API_ bool haft_tracker_is_empty(haft_tracker *t);
HAFT_API_ bool haft_tracker_is_closed(haft_tracker *t);

#ifdef __cplusplus
}
#endif

#endif
