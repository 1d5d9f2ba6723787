/* SPDX-License-Identifier: MIT
 *
 * Locks for readers and writers as the checked build has them, under other names: see models_rings.c. */
#define HAFT_CHECKED 1
#define haft_rwlock_read checked_rwlock_read
#define haft_rwlock_try_read checked_rwlock_try_read
#define haft_rwlock_read_unlock checked_rwlock_read_unlock
#define haft_rwlock_write checked_rwlock_write
#define haft_rwlock_try_write checked_rwlock_try_write
#define haft_rwlock_write_unlock checked_rwlock_write_unlock
#define haft_rwlock_heal checked_rwlock_heal
#define haft_rwlock_is_poisoned checked_rwlock_is_poisoned
/* NOLINTNEXTLINE(bugprone-suspicious-include): it is compiled a second time, which is what this file is for */
#include "sync/rwlock.c"
