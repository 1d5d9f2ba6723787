/* SPDX-License-Identifier: MIT
 *
 * Telling others that something has happened, the same for tasks and threads: notify, for "look again"; event, for a
 * fact that is true or not; barrier, for meeting; waitgroup, for a number of things to be done. Each is a plain value
 * that is initialised statically; whoever returns from a wait may free it if nobody else will use it. */
#ifndef HAFT_NOTIFY_H
#define HAFT_NOTIFY_H

#include <haft/embed.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Notify: at most one notification is kept --------------------------------------------------------------------- */

typedef struct haft_notify {
    uint32_t lock_;
    uint32_t epoch_;
    struct haft_waiter_ *waiters_;
    uint32_t stored_;
} haft_notify;

/* Waits for a notification; takes the stored one if there is one. 0; HAFT_ECANCELED, HAFT_ETIMEDOUT: none was taken.
 * Suspends. From any thread and any job. */
HAFT_API_ int haft_notify_wait(haft_notify *n);

/* Notifies the one that has waited longest. If nobody waits, the notification is stored for the next who does; several
 * count as one. Never suspends. */
HAFT_API_ void haft_notify_one(haft_notify *n);

/* The same for the one that came last. Never suspends. */
HAFT_API_ void haft_notify_last(haft_notify *n);

/* Notifies everybody who waits now, and stores nothing. Never suspends. */
HAFT_API_ void haft_notify_all(haft_notify *n);

/* --- Event: set or not -------------------------------------------------------------------------------------------- */

typedef struct haft_event {
    uint32_t lock_;
    uint32_t epoch_;
    struct haft_waiter_ *waiters_;
    uint32_t set_;
} haft_event;

/* Waits until the event is set; it stays set. 0, also if it has been reset since; HAFT_ECANCELED, HAFT_ETIMEDOUT.
 * Suspends. */
HAFT_API_ int haft_event_wait(haft_event *e);

/* Sets it: everybody who waits goes on, and nobody waits until it is reset. What was done before is seen by those who
 * waited. Never suspends. */
HAFT_API_ void haft_event_set(haft_event *e);
HAFT_API_ void haft_event_reset(haft_event *e);
HAFT_API_ bool haft_event_is_set(haft_event *e);

/* --- Barrier: n meet ---------------------------------------------------------------------------------------------- */

typedef struct haft_barrier {
    uint32_t lock_;
    uint32_t epoch_;
    struct haft_waiter_ *waiters_;
    uint32_t n_;
    uint32_t arrived_;
} haft_barrier;

/* Waits until n have arrived, the caller included; then all go on, and the barrier can be used again. The last to arrive is
 * the leader: *is_leader, which may be null, is true for one in n. 0; HAFT_ECANCELED, HAFT_ETIMEDOUT: the caller has not
 * arrived. With n = 0 or 1 nobody waits. Suspends. */
HAFT_API_ int haft_barrier_wait(haft_barrier *b, bool *is_leader);

/* --- Waitgroup: a number of things to be done --------------------------------------------------------------------- */

typedef struct haft_waitgroup {
    uint32_t lock_;
    uint32_t epoch_;
    struct haft_waiter_ *waiters_;
    size_t count_;
} haft_waitgroup;

/* n more things are to be done. To be called before they are begun, not by them. A panic of the caller's if that is more
 * than a size_t holds. Never suspends. */
HAFT_API_ void haft_waitgroup_add(haft_waitgroup *g, size_t n);

/* One is done: to be called once for each. A panic of the caller's if none was left. Never suspends. */
HAFT_API_ void haft_waitgroup_done(haft_waitgroup *g);

/* Waits until nothing is left to be done; what was done is seen. 0; HAFT_ECANCELED, HAFT_ETIMEDOUT. Suspends. */
HAFT_API_ int haft_waitgroup_wait(haft_waitgroup *g);

#ifdef __cplusplus
}
#define HAFT_NOTIFY_INIT                                                                                               \
    {                                                                                                                  \
    }
#define HAFT_EVENT_INIT                                                                                                \
    {                                                                                                                  \
    }
#define HAFT_WAITGROUP_INIT                                                                                            \
    {                                                                                                                  \
    }
#else
#define HAFT_NOTIFY_INIT                                                                                               \
    {                                                                                                                  \
        0                                                                                                              \
    }
#define HAFT_EVENT_INIT                                                                                                \
    {                                                                                                                  \
        0                                                                                                              \
    }
#define HAFT_WAITGROUP_INIT                                                                                            \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif
/* = HAFT_BARRIER_INIT(n): for n. */
#define HAFT_BARRIER_INIT(n)                                                                                           \
    {                                                                                                                  \
        0, 0, 0, (n), 0                                                                                                \
    }

#endif
