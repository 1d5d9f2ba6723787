/* SPDX-License-Identifier: MIT
 *
 * haft_blocking: a call on the pool, waited for in place. The frame is lent, because the caller certainly waits: a call
 * that has begun is waited for under a shield, one that has not is withdrawn. */
#include "job/job.h"

static bool has_ended(haft__job *job)
{
    /* Acquire: partner of the release of DONE. */
    return (haft__load_acquire(&job->record.state) & HAFT__DONE) != 0;
}

static int wait_for(haft__job *job, haft__root *me)
{
    while (!has_ended(job)) {
        int rc = haft__refusal(me);
        if (rc != 0 && haft__pool_withdraw(job)) {
            haft__job_unmake(job);
            return haft__tell(me, rc);
        }
        if (rc != 0) { /* begun */
            haft__shield shield = haft__shield_raise(me);
            while (!has_ended(job))
                haft__park_for("the end of", &job->record);
            haft__shield_lower(me, shield);
            break;
        }
        haft__park_for("the end of", &job->record);
    }
    return 0;
}

int haft_blocking_raw(haft_fn *body, void *frame, size_t size, const char *place)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    if (me->stack == NULL) /* a thread may block by itself */
        return haft_catch_raw(body, frame, size, NULL);

    const haft_spawn_options options = { .size_ = sizeof options, .place_ = place };
    /* Claimed before anybody else can know of it. */
    const haft__job_spec spec = { .body = body,
                                  .frame = frame,
                                  .size = size,
                                  .options = &options,
                                  .kind = HAFT_BLOCKING,
                                  .lend = true,
                                  .owner = HAFT__CLAIMED | (me->deadline == INT64_MAX ? HAFT__AWAITED : 0) |
                                           (uint64_t)me->index << HAFT__JOINER_SHIFT };
    haft__job *job = NULL;
    rc = haft__job_make(&spec, &job);
    if (rc != 0)
        return rc;
    rc = haft__job_start(job);
    if (rc != 0)
        haft__job_unmake(job);
    else
        rc = wait_for(job, me);
    return rc != 0 ? rc : haft__job_reap(job, NULL, 0, NULL);
}
