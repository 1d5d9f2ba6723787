/* SPDX-License-Identifier: MIT
 *
 * Joining many handles at once: all are spent, or none. Every job is claimed for the caller, then given a group that
 * lies on the caller's stack and counts the ends as they come. If the caller is refused half way, jobs that have not
 * ended are taken out of the group by one exchange each; those that have are waited for, because their finisher is
 * about to tell the group. */
#include "group/group.h"

typedef struct gathering {
    haft__group_done *done; /* first */
    haft__lock lock;
    size_t ended;
    int first;            /* the first failure, in the order of the ends */
    bool aborts;          /* the others at the first failure */
    haft__record *waiter; /* while it is parked */
} gathering;

static void member_ended(void *group, haft__job *job)
{
    gathering *g = group;
    int code = haft__job_code(job);
    haft__lock_acquire(&g->lock);
    g->ended++;
    if (g->first == 0)
        g->first = code;
    haft__record *waiter = g->waiter;
    g->waiter = NULL;
    haft__lock_release(&g->lock); /* the last touch of the group */
    if (waiter != NULL)
        haft__wake(waiter);
}

static haft__job *job_at(const haft_handle *h)
{
    return h->slot_ != NULL ? haft__job_of_handle(h) : NULL; /* null: it carries a failed spawn's error */
}

/* Claims the jobs behind n handles, or none of them. */
static int claim_all(haft_handle *hs, size_t n, haft__root *me)
{
    for (size_t i = 0; i < n; i++) {
        haft__job *job;
        bool was_done;
        if (haft_error(hs[i]) != 0)
            continue;
        int rc = haft__job_claim(&hs[i], me, &job, &was_done);
        if (rc == 0)
            continue;
        while (i-- > 0)
            if ((job = job_at(&hs[i])) != NULL)
                haft__job_unclaim(job);
        return rc;
    }
    return 0;
}

static void join_group(gathering *g, haft__job *job)
{
    job->group = g;
    uint64_t state;
    do {
        /* Acquire: partner of the release of DONE. Release below: of the finisher's acquire, who reads the group. */
        state = haft__load_acquire(&job->record.state);
        if ((state & HAFT__DONE) != 0) {
            member_ended(g, job);
            return;
        }
    } while (!haft__cas_weak_release(&job->record.state, &state, state | HAFT__GROUP));
}

/* True if the job is out of the group before its end; otherwise its end is counted, or about to be. */
static bool leave_group(haft__job *job)
{
    /* Relaxed: nothing of the job is read until it has ended, nor anything published by this. */
    uint64_t state = haft__load_relaxed(&job->record.state);
    do {
        if ((state & HAFT__DONE) != 0)
            return false;
    } while (!haft__cas_weak_relaxed(&job->record.state, &state, state & ~(uint64_t)HAFT__GROUP));
    return true;
}

static void abort_all(haft_handle *hs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (hs[i].slot_ != NULL)
            haft__job_mark_aborted(&job_at(&hs[i])->record, hs[i].id_);
    haft__fence_heavy(); /* once for all: see haft__job_mark_aborted */
    for (size_t i = 0; i < n; i++)
        if (hs[i].slot_ != NULL)
            haft__wake(&job_at(&hs[i])->record);
}

/* Waits until so many members have ended. 0, or the refusal. */
static int wait_for_ends(gathering *g, haft_handle *hs, size_t n, size_t members, haft__root *me)
{
    int rc = 0;
    haft__lock_acquire(&g->lock);
    while (g->ended < members && (rc = haft__refusal(me)) == 0) {
        if (g->aborts && g->first != 0) {
            g->aborts = false;
            haft__lock_release(&g->lock);
            abort_all(hs, n);
            haft__lock_acquire(&g->lock);
            continue;
        }
        g->waiter = me->record;
        haft__park_unlocking_for(&g->lock, "the ends of all its handles", NULL);
        haft__lock_acquire(&g->lock);
        g->waiter = NULL;
    }
    if (g->ended == members)
        rc = 0;
    haft__lock_release(&g->lock);
    return rc;
}

/* Undoes everything: the handles are as they were. */
static void disband(gathering *g, haft_handle *hs, size_t n, size_t members, haft__root *me)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++)
        if (job_at(&hs[i]) != NULL && leave_group(job_at(&hs[i])))
            left++;
    haft__shield shield = haft__shield_raise(me);
    g->aborts = false;
    wait_for_ends(g, hs, n, members - left, me);
    haft__shield_lower(me, shield);
    for (size_t i = 0; i < n; i++)
        if (job_at(&hs[i]) != NULL)
            haft__job_unclaim(job_at(&hs[i]));
}

static int join_all(haft_handle *hs, size_t n, int *rcs, bool aborts, int *first)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc == 0)
        rc = claim_all(hs, n, me);
    if (rc != 0)
        return rc;
    gathering g = { .done = member_ended, .aborts = aborts };
    size_t members = 0;
    for (size_t i = 0; i < n; i++) {
        if (job_at(&hs[i]) == NULL && g.first == 0)
            g.first = haft_error(hs[i]); /* nobody else has the group yet */
    }
    for (size_t i = 0; i < n; i++) {
        if (job_at(&hs[i]) != NULL) {
            members++;
            join_group(&g, job_at(&hs[i]));
        }
    }
    rc = wait_for_ends(&g, hs, n, members, me);
    if (rc != 0) {
        disband(&g, hs, n, members, me);
        return haft__tell(me, rc);
    }
    for (size_t i = 0; i < n; i++) {
        haft__job *job = job_at(&hs[i]);
        int code = job != NULL ? haft__job_reap(job, NULL, 0, NULL) : haft_error(hs[i]);
        if (rcs != NULL)
            rcs[i] = code;
        hs[i] = HAFT_NULL_HANDLE;
    }
    *first = g.first;
    return 0;
}

int haft_join_all(haft_handle *hs, size_t n, int *rcs)
{
    int first = 0;
    return join_all(hs, n, rcs, false, &first);
}

int haft_join_all_or_abort(haft_handle *hs, size_t n, int *rcs)
{
    int first = 0;
    int rc = join_all(hs, n, rcs, true, &first);
    return rc != 0 ? rc : first;
}
