/* SPDX-License-Identifier: MIT
 *
 * A lock for many readers or one writer, tasks and threads alike. First come, first served: nobody overtakes one who
 * waits, so that neither readers nor writers starve; but a job that reads already may read again at once, because it
 * would otherwise wait for itself.
 *
 * A writer that panics or ends while it holds the lock poisons and releases it, like the holder of a mutex; a reader only
 * releases it. Readers and writers are told of poison, and hold the lock all the same. */
#ifndef HAFT_RWLOCK_H
#define HAFT_RWLOCK_H

#include <haft/embed.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haft_rwlock {
    uint32_t lock_;
    uint32_t readers_;
    uint32_t writer_;
    uint32_t flags_;
    struct haft_waiter_ *waiters_;
    haft_held_ held_;
} haft_rwlock;
#ifdef __cplusplus
#define HAFT_RWLOCK_INIT                                                                                               \
    {                                                                                                                  \
    }
#else
#define HAFT_RWLOCK_INIT                                                                                               \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif

/* Locks for reading, or for writing. 0 or HAFT_EPOISONED: held in both cases. HAFT_EDEADLK: the caller writes already, or
 * reads and wants to write, or, in the checked build, would close a ring as in haft_mutex_lock; nothing has changed. Heeds
 * neither abort nor deadline. Suspends. */
HAFT_API_ int haft_rwlock_read(haft_rwlock *l);
HAFT_API_ int haft_rwlock_write(haft_rwlock *l);

/* The same without waiting: HAFT_EAGAIN. Never suspends. */
HAFT_API_ int haft_rwlock_try_read(haft_rwlock *l);
HAFT_API_ int haft_rwlock_try_write(haft_rwlock *l);

/* Release what was locked for reading, or for writing; while the writer panics, that poisons, as for a mutex. It is a
 * panic of the caller's to unlock what it does not hold. A job remembers four that
 * it reads at once, of which one that it reads again is another; for more than that, it must see to the release itself when
 * it panics or ends, and is not told when it waits for itself or unlocks what it does not hold. Never suspend. */
HAFT_API_ void haft_rwlock_read_unlock(haft_rwlock *l);
HAFT_API_ void haft_rwlock_write_unlock(haft_rwlock *l);

/* The writer takes the poison away. 0; HAFT_EINVAL: the caller does not write. Never suspends. */
HAFT_API_ int haft_rwlock_heal(haft_rwlock *l);
HAFT_API_ bool haft_rwlock_is_poisoned(haft_rwlock *l);

#ifdef __cplusplus
}
#endif

#endif
