/* SPDX-License-Identifier: MIT
 *
 * What a condition needs of a mutex. */
#ifndef HAFT_SYNC_MUTEX_H
#define HAFT_SYNC_MUTEX_H

#include "haft/mutex.h"
#include "sync/waiter.h"

/* True if it is the running job's or thread's. */
bool haft__mutex_is_held(const haft_mutex *m, const haft__root *me);
/* Unlocks what is held, and poisons nothing. */
void haft__mutex_unlock_quietly(haft_mutex *m, haft__root *me);
/* haft_mutex_lock that is never refused, not even if it closes a ring of waits. */
int haft__mutex_lock_again(haft_mutex *m, haft__root *me);

#endif
