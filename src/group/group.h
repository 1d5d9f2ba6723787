/* SPDX-License-Identifier: MIT
 *
 * What scopes and sets share. */
#ifndef HAFT_GROUP_GROUP_H
#define HAFT_GROUP_GROUP_H

#include "job/job.h"

/* Aborts every job of a group's list. The group's lock is held. */
void haft__group_abort(haft__link *jobs);
/* A spawner with many jobs waiting lets some of them run: memory stays bounded, and stacks stay hot. */
void haft__group_give_way(void);

#endif
