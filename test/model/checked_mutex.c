/* SPDX-License-Identifier: MIT
 *
 * Mutexes as the checked build has them, under other names, for the models of rings: see models_rings.c. */
#define HAFT_CHECKED 1
#define haft_mutex_lock checked_mutex_lock
#define haft_mutex_lock_abortable checked_mutex_lock_abortable
#define haft_mutex_try_lock checked_mutex_try_lock
#define haft_mutex_unlock checked_mutex_unlock
#define haft_mutex_heal checked_mutex_heal
#define haft_mutex_is_poisoned checked_mutex_is_poisoned
#define haft__mutex_is_held checked__mutex_is_held
#define haft__mutex_unlock_quietly checked__mutex_unlock_quietly
#define haft__mutex_lock_again checked__mutex_lock_again
/* NOLINTNEXTLINE(bugprone-suspicious-include): it is compiled a second time, which is what this file is for */
#include "sync/mutex.c"
