/* SPDX-License-Identifier: MIT */
#include "group/group.h"

void haft__group_abort(haft__link *jobs, void (*wake)(haft__record *))
{
    for (haft__link *at = jobs->next; at != jobs; at = at->next) {
        haft__record *record = &HAFT__CONTAINER(at, haft__job, link)->record;
        haft__job_mark_aborted(record, haft__generation(haft__load_relaxed(&record->state)));
    }
    haft__fence_heavy(); /* once for all: see haft__job_mark_aborted */
    for (haft__link *at = jobs->next; at != jobs; at = at->next)
        wake(&HAFT__CONTAINER(at, haft__job, link)->record);
}

void haft__group_give_way(void)
{
    if (haft__sched_is_crowded())
        haft__sched_yield(haft__here_or_null()->worker);
}
