/* SPDX-License-Identifier: MIT */
#include "wait/arm.h"

/* Waiters that are completed in one critical section. */
#define BATCH 32

void haft__arms_end_all(haft__link *queue, haft__lock *lock, int rc)
{
    /* In a list of its own, so that one that is woken and comes back is not met again. A node may take itself out of it,
     * under the lock, as from any other. */
    haft__link present;
    haft__list_init(&present);
    haft__list_move(queue, &present);
    for (;;) {
        haft__record *woken[BATCH];
        unsigned n = 0;
        haft__arm *w;
        while (n < BATCH && (w = haft__arms_take(&present)) != NULL)
            woken[n++] = haft__arm_complete(w, rc);
        if (n == 0)
            return;
        haft__lock_release(lock);
        for (unsigned i = 0; i < n; i++)
            haft__wake(woken[i]);
        haft__lock_acquire(lock);
    }
}
