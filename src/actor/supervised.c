/* SPDX-License-Identifier: MIT
 *
 * An actor under a supervisor. When a body panics, its caller is answered as ever; then the worker does not end but goes
 * down: it leaves the mailbox open, tells its child, and sleeps until the keeper has given a verdict. AGAIN: it disposes of
 * the state, takes a fresh copy of the template, and serves what is queued as if it had just begun. END: it goes on to end
 * as it would have without a supervisor. So a restart needs no memory, and whatever others know of the worker stays
 * true.
 *
 *     serving ── panic, or is_pausing ──> down ── AGAIN ──> serving
 *        └── drained, aborted, panic while it drains ──> ends <── END, abort ──┘
 *
 * To start siblings together the keeper pauses an actor, so that it goes down behind the message that it serves, and
 * after the grace marks the worker's job as aborted, so that this message ends. That mark is the keeper's, and is taken
 * off again by AGAIN. It is told apart from an abort for good by `is_aborting`, and from that of a runtime by looking at
 * the runtime afterwards. */
#include "actor/supervisor.h"

#include <string.h>

#include "base/copy.h"
#include "wait/held.h"
#include "wait/wait.h"

/* --- the worker --------------------------------------------------------------------------------------------------- */

static void tell_that_it_is_down(haft__actor *a, const haft__root *me, const haft__panic *panic)
{
    haft_outcome out;
    memset(&out, 0, sizeof out);
    if (panic != NULL) {
        out.end = HAFT_PANICKED;
        out.panic = panic->info;
    } else {
        out.end = me->told ? HAFT_ABORTED : HAFT_RETURNED;
    }
    haft__child_is_down(a->child, &out);
}

/* Somebody but the keeper wants it to end. The lock is held, here and below. */
static bool is_aborted_for_good(const haft__actor *a, const haft__root *me)
{
    return a->is_aborting || (!a->is_pausing && (haft__load_relaxed(&me->record->state) & HAFT__ABORT) != 0);
}

static void forget_abort(haft__root *me)
{
    haft__job *job = haft__job_here(me);
    haft__fetch_and_relaxed(&job->record.state, ~(uint64_t)HAFT__ABORT);
    me->told = false;
    haft__job_heed_end(job, haft__job_runtime(job));
}

/* No lock is held. */
static void take_fresh_state(haft__actor *a, haft__panic *panic)
{
    if (panic != NULL)
        haft__drop_object((haft_drop_fn *)(void (*)(void))haft__panic_free, panic);
    if (a->state_drop != NULL)
        haft__drop_object(a->state_drop, a->state);
    haft__copy(a->state, a->child->template, a->state_size);
}

bool haft__actor_goes_on(haft__server *s, haft__root *me, haft__panic **panic)
{
    haft__actor *a = s->core;
    if (*panic != NULL ? a->is_closing : !a->is_pausing)
        return false;
    haft__lock_release(&a->lock);
    haft__actor_wake_answered(s);
    haft__locals_end(me); /* as at the end of a job: nobody is to wait for what the worker holds */
    if (me->held != NULL)
        haft__held_abandon(me, NULL);
    tell_that_it_is_down(a, me, *panic);
    haft__lock_acquire(&a->lock);
    while (a->verdict == HAFT__VERDICT_NONE && !is_aborted_for_good(a, me)) {
        haft__lock_release(&a->lock);
        haft__park_for("its supervisor", NULL);
        haft__lock_acquire(&a->lock);
    }
    if (a->verdict != HAFT__VERDICT_AGAIN || is_aborted_for_good(a, me))
        return false;
    a->verdict = HAFT__VERDICT_NONE;
    if (a->is_pausing)
        forget_abort(me);
    a->is_pausing = false;
    haft__lock_release(&a->lock);
    take_fresh_state(a, *panic);
    *panic = NULL;
    haft__lock_acquire(&a->lock);
    return true;
}

/* --- the keeper --------------------------------------------------------------------------------------------------- */

void haft__actor_give_verdict(haft__actor *a, enum haft__verdict verdict)
{
    haft__lock_acquire(&a->lock);
    a->verdict = verdict;
    haft__record *server = a->sole.record;
    haft__lock_release(&a->lock);
    if (server != NULL)
        haft__wake(server);
}

void haft__actor_pause(haft__actor *a)
{
    haft__lock_acquire(&a->lock);
    a->is_pausing = true;
    haft__record *server = haft__actor_take_idle(a);
    haft__lock_release(&a->lock);
    if (server != NULL)
        haft__wake(server);
}

void haft__actor_abort_sole(haft__actor *a)
{
    haft__lock_acquire(&a->lock);
    haft__record *server = a->sole.record;
    if (server != NULL) /* under the lock the job is still the worker's */
        haft__job_mark_aborted(server, haft__generation(haft__load_relaxed(&server->state)));
    haft__lock_release(&a->lock);
    if (server == NULL)
        return;
    haft__job_wake_marked(server);
}
