/* SPDX-License-Identifier: MIT
 *
 * haft_all: a scope with one child for each arm, whose finishers note what each came to. A child works on its arm, which
 * lies in the caller's array, so that its finisher knows the arm's number; the arm leads to the loan. A code is stored
 * before the scope is told of the end and is read after the scope's end: the scope's lock is between. */
#include "group/group.h"

#include <string.h>

typedef struct gathering {
    haft_scope scope; /* first: it is the children's group */
    const haft_all_arm *arms;
    int *rcs; /* or null */
} gathering;

_Static_assert(offsetof(gathering, scope) == 0, "the group of the children is the scope");

static int run_arm(void *loan)
{
    const haft_all_arm *arm = loan;
    void *frame;
    memcpy(&frame, &arm->loan, sizeof frame);
    return haft__call_body(arm->body, frame, arm->size);
}

static void arm_ended(void *group, haft__job *job)
{
    gathering *g = group;
    const haft_all_arm *arm = job->frame.address;
    if (g->rcs != NULL)
        g->rcs[arm - g->arms] = haft__job_code(job);
    haft__scope_child_ended(&g->scope, job);
}

static void fill(int *rcs, size_t from, size_t n, int code)
{
    for (size_t i = from; rcs != NULL && i < n; i++)
        rcs[i] = code;
}

/* Spawns the arms. 0, or the refusal of a caller who was aborted meanwhile; the arms from there on never begin. */
static int spawn_arms(gathering *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *loan;
        const haft_all_arm *arm = &g->arms[i];
        memcpy(&loan, &arm, sizeof loan);
        int rc = haft_scope_spawn_raw(&g->scope, run_arm, loan, sizeof *arm, arm->options);
        if (rc == HAFT_ECANCELED) {
            fill(g->rcs, i, n, HAFT_EABORTED);
            return rc;
        }
        if (rc != 0)
            fill(g->rcs, i, i + 1, rc);
    }
    return 0;
}

static int all(int *rcs, const haft_all_arm *arms, size_t n, bool aborts, int *first)
{
    haft__thread *here = haft__here();
    int rc = here == NULL ? haft__here_error() : haft__refusal_on_entry(here->root);
    if (here == NULL || rc != 0) {
        fill(rcs, 0, n, here == NULL ? rc : HAFT_EABORTED);
        return rc;
    }
    haft__root *me = here->root;
    const haft_scope_options options = { .size_ = sizeof options,
                                         .result = rcs != NULL || aborts ? first : NULL,
                                         .on_error = aborts ? HAFT_ON_ERROR_ABORT : HAFT_ON_ERROR_WAIT };
    gathering g = { .arms = arms, .rcs = rcs };
    g.scope = haft_scope_open_raw(&g.scope, &options);
    g.scope.done_ = (void (*)(void))arm_ended;
    rc = spawn_arms(&g, n);
    if (rc != 0)
        haft_scope_abort(&g.scope);
    else
        rc = haft__scope_wait_or_abort(&g.scope, me);
    haft_scope_end_(&g.scope);
    return haft__tell(me, rc);
}

int haft_all_raw(int *rcs, const haft_all_arm *arms, size_t n)
{
    int first = 0;
    return all(rcs, arms, n, false, &first);
}

int haft_all_or_abort_raw(int *rcs, const haft_all_arm *arms, size_t n)
{
    int first = 0;
    int rc = all(rcs, arms, n, true, &first);
    return rc != 0 ? rc : first;
}
