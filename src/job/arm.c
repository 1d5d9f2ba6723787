/* SPDX-License-Identifier: MIT
 *
 * A join as an arm of a select. While the select waits it holds the claim of the handle, so the finisher wakes it as it
 * wakes any joiner; the select sees that the job is DONE and chooses for itself. If another arm happens the claim is given
 * back. The node's value is the claimed job. */
#include "wait/arm.h"
#include "job/job.h"

/* True if it takes effect: the job has ended and is the caller's, or w->rc is an error. */
static bool claim_for(const haft_arm *arm, haft__arm *w, bool must_have_ended)
{
    const haft_handle *h = arm->object_;
    haft__root *me = haft__here_or_null()->root;
    haft__job *job = NULL;
    bool was_done = false;
    if (must_have_ended && h->slot_ != NULL && !haft__is_self_handle(h) && !haft_is_finished(*h) &&
        haft__job_of_handle(h) != haft__job_here(me))
        return false;
    w->rc = haft__job_claim(h, me, &job, &was_done);
    if (w->rc != 0)
        return true;
    if (!haft__job_fits(job, arm->value_, (size_t)arm->amount_)) {
        haft__job_unclaim(job);
        w->rc = HAFT_EINVAL;
        return true;
    }
    w->value = job;
    return was_done;
}

static bool look(const haft_arm *arm, haft__arm *w)
{
    bool is_ready;
    if (w->choice == NULL)
        is_ready = claim_for(arm, w, true);
    else
        is_ready = w->rc != 0 || haft__job_claimed_has_ended(w->value);
    return is_ready && haft__arm_claim(w);
}

static void enrol(const haft_arm *arm, haft__arm *w)
{
    claim_for(arm, w, false);
}

static void withdraw(const haft_arm *arm, haft__arm *w)
{
    (void)arm;
    if (w->value != NULL)
        haft__job_unclaim(w->value);
}

static int finish(const haft_arm *arm, const haft__arm *w)
{
    haft_handle *h = arm->object_;
    if (w->value == NULL) {
        if (h->slot_ == NULL && h->id_ != 0)
            *h = HAFT_NULL_HANDLE; /* the failed spawn's error is delivered */
        return w->rc;
    }
    int rc = haft__job_reap(w->value, arm->value_, (size_t)arm->amount_, NULL);
    *h = HAFT_NULL_HANDLE;
    return rc;
}

const haft__arm_ops haft__arm_join = { .look = look, .enrol = enrol, .withdraw = withdraw, .finish = finish };
