/* SPDX-License-Identifier: MIT */
#include "wait/lock.h"

#include "base/sizes.h"
#include "os/os.h"
#include "wait/root.h"

void haft__lock_contended(haft__lock *lock)
{
    unsigned pauses = HAFT__LOCK_PAUSES_FIRST;
    if (haft__is_forked())
        haft__end_forked(); /* the holder is a thread of the parent's */
    for (;;) {
        for (unsigned i = 0; i < pauses; i++)
            haft__spin("a lock of the library is held");
        if (pauses < HAFT__LOCK_PAUSES_LAST)
            pauses *= 2;
        else
            haft__os->yield();
        /* Relaxed look first: a failed exchange would take the line away from the holder. By comparison, because the holder
         * of a scope's lock may have been left a mark in it. */
        uint32_t free = 0;
        if (haft__load_relaxed(lock) == 0 && haft__cas_acquire(lock, &free, 1))
            return;
    }
}
