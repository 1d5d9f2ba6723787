/* SPDX-License-Identifier: MIT
 *
 * The switch from one task to another, to be inlined. Processors predict where a return goes by a stack of the latest
 * calls. A function that switches away and returns once it is resumed therefore goes astray, unless the other task left in
 * the same functions. An actor and its callers do not: they switch without a call around it, by haft__park_after_wake. */
#ifndef HAFT_SCHED_PARK_H
#define HAFT_SCHED_PARK_H

#include "base/hints.h"
#include "sched/queue.h"

/* Where a worker goes on whose task is about to park and has woken that record as its last act. */
haft__root *haft__sched_next_after_wake(haft__worker *w, haft__record *woken);
/* Does what the computation that just left this worker needs done once its registers are saved. */
void haft__sched_post(haft__worker *w);
_Noreturn void haft__sched_stack_is_broken(const haft__root *root);

/* Leaves for that root; returns the worker on which the caller goes on. */
static inline __attribute__((always_inline)) haft__worker *haft__sched_switch(haft__worker *w, haft__root *me,
                                                                              haft__root *to)
{
    if (__builtin_expect(!haft__stack_is_whole(me), 0))
        haft__sched_stack_is_broken(me);
    int saved_errno = *w->thread.errno_address;
    w->thread.root = to;
    haft__announce_leave(me->note, to->note);
    w = haft__arch_switch(&me->context, to->context, w);
    haft__announce_arrive(me->note);
    haft__sched_post(w);
    me->worker = w->number;
    *w->thread.errno_address = saved_errno;
    return w;
}

/* haft__wake(woken), unless that is null, and then haft__park_for: between tasks of one worker it goes on with the one that
 * was woken, past all queues. */
static inline __attribute__((always_inline)) void haft__park_after_wake(haft__record *woken, const char *what,
                                                                        haft__record *whose)
{
    haft__thread *here = haft__here_or_null();
    haft__root *me = here->root;
    const haft__record *record = me->record;
    if (woken != NULL && haft__wins_wake(woken)) {
        if (haft__is_task(record) && me->deadline == INT64_MAX && haft__load_relaxed(&record->word) != HAFT__NOTIFIED) {
            haft__worker *w = here->worker;
            me->waits_for = what;
            me->waits_on = whose;
            haft__root *to = haft__sched_next_after_wake(w, woken);
            w->post = HAFT__POST_PARK;
            w->post_record = me->record;
            haft__sched_switch(w, me, to);
            return;
        }
        haft__task_ready(woken);
    }
    haft__park_for(what, whose);
}

#endif
