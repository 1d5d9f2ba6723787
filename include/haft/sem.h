/* SPDX-License-Identifier: MIT
 *
 * Semaphores: a number of permits, taken and given back by tasks and threads. Strictly first come, first served: nobody
 * takes a permit while somebody waits who came earlier, be it for more permits than there are.
 *
 * Whoever takes a permit and whoever gives it back need not be the same. A haft_permit is the right of one job at a
 * time: it remembers what was taken, travels in frames, and gives back by haft_permit_drop. */
#ifndef HAFT_SEM_H
#define HAFT_SEM_H

#include <haft/embed.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haft_sem {
    uint32_t lock_;
    uint32_t closed_;
    size_t permits_;
    struct haft_waiter_ *waiters_;
} haft_sem;
/* = HAFT_SEM_INIT(n): with n permits. */
#define HAFT_SEM_INIT(n)                                                                                               \
    {                                                                                                                  \
        0, 0, (n), 0                                                                                                   \
    }

/* Takes one permit, or n, waiting until they are there and everybody who came earlier has gone. None of the n is taken
 * before all are; no permits are there at once. 0; HAFT_ECANCELED, HAFT_ETIMEDOUT: aborted or late; HAFT_ECLOSED; none was
 * taken then. Suspends. From any thread and any job. */
HAFT_API_ int haft_sem_acquire(haft_sem *s);
HAFT_API_ int haft_sem_acquire_many(haft_sem *s, size_t n);

/* The same without waiting: HAFT_EAGAIN if there are too few, or somebody waits already. Never suspends. */
HAFT_API_ int haft_sem_try_acquire(haft_sem *s);
HAFT_API_ int haft_sem_try_acquire_many(haft_sem *s, size_t n);

/* Gives one permit back, or n; they need not have been taken before. A panic of the caller's if there would be more than a
 * size_t holds. Never suspends. */
HAFT_API_ void haft_sem_release(haft_sem *s);
HAFT_API_ void haft_sem_release_many(haft_sem *s, size_t n);

/* From now on nothing can be acquired, and everybody who waits is refused: HAFT_ECLOSED. Permits can still be given
 * back. For good. Never suspends. */
HAFT_API_ void haft_sem_close(haft_sem *s);
HAFT_API_ bool haft_sem_is_closed(haft_sem *s);

/* Takes up to n of the permits that are there now out of the world; returns how many. Never suspends. */
HAFT_API_ size_t haft_sem_forget(haft_sem *s, size_t n);

/* How many permits are there now. Never suspends. */
HAFT_API_ size_t haft_sem_available(haft_sem *s);

/* --- Permits that know where they belong -------------------------------------------------------------------------- */

/* n permits of a semaphore, to be given back or forgotten once. Assigning it moves it by convention; {0} is none. */
typedef struct haft_permit {
    haft_sem *sem_;
    size_t n_;
} haft_permit;

/* haft_sem_acquire_many into *p, which holds nothing before; unchanged on error. Suspends. */
HAFT_API_ int haft_sem_acquire_permit(haft_sem *s, size_t n, haft_permit *p);
/* haft_sem_try_acquire_many into *p. */
HAFT_API_ int haft_sem_try_acquire_permit(haft_sem *s, size_t n, haft_permit *p);
/* Gives the permits back; *p holds none afterwards; nothing happens if it held none. Never suspends; fits HAFT_DEFER. */
HAFT_API_ void haft_permit_drop(haft_permit *p);
/* Lets go of the permits without giving them back: the semaphore has so many fewer for good. Never suspends. */
HAFT_API_ void haft_permit_forget(haft_permit *p);

#ifdef __cplusplus
}
#endif

#endif
