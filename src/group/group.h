/* SPDX-License-Identifier: MIT
 *
 * What scopes and sets share. */
#ifndef HAFT_GROUP_GROUP_H
#define HAFT_GROUP_GROUP_H

#include "job/job.h"

/* Aborts every job of a group's list; `wake` is haft__wake or, where this may be a signal handler, haft__wake_from_signal.
 * The group's lock is held. */
void haft__group_abort(haft__link *jobs, void (*wake)(haft__record *));
/* What a scope is told when a child has ended, and its wait for all of them: 0 or the caller's refusal, after which the
 * children that are left were aborted. */
void haft__scope_child_ended(void *group, haft__job *job);
int haft__scope_wait_or_abort(haft_scope *scope, haft__root *me);
/* A spawner with many jobs waiting lets some of them run: memory stays bounded, and stacks stay hot. */
void haft__group_give_way(void);

#endif
