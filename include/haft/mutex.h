/* SPDX-License-Identifier: MIT
 *
 * Mutexes and conditions, the same for tasks and threads, which may share one.
 *
 * A mutex belongs to the job or plain thread that locked it, and follows a task between workers. A holder that panics,
 * or ends, while it holds a mutex poisons and releases it: what it guards may be half changed. Everyone who locks it
 * from then on is told, and holds it all the same, until somebody heals it.
 *
 * A mutex is free for whoever comes first, woken waiter or newcomer; a waiter that has lost it once and has waited for a
 * millisecond is handed it by the next unlock. So it is fast, and nobody starves. */
#ifndef HAFT_MUTEX_H
#define HAFT_MUTEX_H

#include <haft/embed.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Mutex -------------------------------------------------------------------------------------------------------- */

typedef struct haft_mutex {
    uint32_t state_;
    uint32_t lock_;
    struct haft_waiter_ *waiters_;
    haft_held_ held_;
} haft_mutex;
#ifdef __cplusplus
#define HAFT_MUTEX_INIT                                                                                                \
    {                                                                                                                  \
    }
#else
#define HAFT_MUTEX_INIT                                                                                                \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif

/* Locks. 0, or HAFT_EPOISONED: held in both cases. HAFT_EDEADLK: the caller holds it already, or, in the checked build, its
 * holder waits, itself or over others, for the caller, by locks, joins or calls: a ring, which is spelled out on standard
 * error; nothing has changed. Heeds neither abort nor deadline. Suspends. From any thread and any job. */
HAFT_API_ int haft_mutex_lock(haft_mutex *m);

/* Locks if nobody holds it. 0, HAFT_EPOISONED (held), HAFT_EAGAIN: somebody holds it, perhaps the caller. Never
 * suspends. */
HAFT_API_ int haft_mutex_try_lock(haft_mutex *m);

/* haft_mutex_lock that may also be refused: HAFT_ECANCELED, HAFT_ETIMEDOUT: the caller was aborted or late; not held. With
 * a deadline it is no part of a ring. Suspends. */
HAFT_API_ int haft_mutex_lock_abortable(haft_mutex *m);

/* Releases. While the holder panics, poisons it too, unless it was locked during that panic, by a defer. It is a panic
 * of the caller's to unlock what it does not hold. Never suspends; fits HAFT_DEFER(haft_mutex_unlock, &m). */
HAFT_API_ void haft_mutex_unlock(haft_mutex *m);

/* Takes the poison away: the holder vouches that what the mutex guards is whole. 0; HAFT_EINVAL: the caller does not
 * hold it, nothing has changed. Never suspends. */
HAFT_API_ int haft_mutex_heal(haft_mutex *m);

/* True if it is poisoned now. Never suspends. */
HAFT_API_ bool haft_mutex_is_poisoned(const haft_mutex *m);

/* --- Condition ---------------------------------------------------------------------------------------------------- */

typedef struct haft_cond {
    uint32_t lock_;
    uint32_t epoch_;
    struct haft_waiter_ *waiters_;
} haft_cond;
#ifdef __cplusplus
#define HAFT_COND_INIT                                                                                                 \
    {                                                                                                                  \
    }
#else
#define HAFT_COND_INIT                                                                                                 \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif

/* Releases the mutex and waits for a signal at once, then locks the mutex again; the condition that the caller waits for
 * is to be looked at again in a loop. The mutex is held on return, whatever is returned, but for HAFT_EINVAL: the caller
 * does not hold it.
 *
 * 0: signalled. HAFT_ECANCELED, HAFT_ETIMEDOUT: aborted or late; no signal was taken. HAFT_EPOISONED: the mutex was poisoned
 * meanwhile, whether a signal came or not. Never returns 0 without a signal. Suspends. */
HAFT_API_ int haft_cond_wait(haft_cond *c, haft_mutex *m);

/* Wakes the one that has waited longest, if anybody waits. Never suspends; with or without the mutex held. */
HAFT_API_ void haft_cond_signal(haft_cond *c);

/* Wakes everybody who waits now. Never suspends. */
HAFT_API_ void haft_cond_broadcast(haft_cond *c);

#ifdef __cplusplus
}
#endif

#endif
