/* SPDX-License-Identifier: MIT
 *
 * Sleeping, timeouts and shields. A timeout or shield saves in its block what it changes of the root, and puts it
 * back at the end of the block; they nest because blocks do. */
#include "job/job.h"

int64_t haft_now(void)
{
    return haft__os->now();
}

static int64_t after(int64_t nanoseconds)
{
    int64_t now = haft__os->now(), sum;
    if (nanoseconds < 0)
        nanoseconds = 0;
    /* INT64_MAX means no deadline; a time that far away is none. */
    return __builtin_add_overflow(now, nanoseconds, &sum) ? INT64_MAX : sum;
}

int haft__sleep_until(haft__root *me, int64_t until)
{
    int64_t outer = me->deadline;
    bool is_outer = outer <= until;
    while (haft__os->now() < until) {
        int rc = haft__refusal(me);
        if (rc != 0)
            return rc;
        me->deadline = is_outer ? outer : until;
        haft__park_for("a time to come", NULL);
        me->deadline = outer;
    }
    return 0;
}

int haft_sleep(int64_t nanoseconds)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal(me);
    if (rc == 0 && nanoseconds > 0)
        rc = haft__sleep_until(me, after(nanoseconds));
    return haft__tell(me, rc);
}

int64_t haft_time_left(void)
{
    haft__thread *here = haft__here_or_null();
    if (here == NULL || here->root->deadline == INT64_MAX)
        return INT64_MAX;
    return here->root->deadline - haft__os->now();
}

static void end_timeout(haft_block *block)
{
    haft__here_or_null()->root->deadline = block->c_;
}

haft_block haft_timeout_raw(haft_block *self, int64_t nanoseconds)
{
    haft__root *root = haft__here_always()->root;
    haft_block block = { .next_ = root->blocks, .end_ = end_timeout, .c_ = root->deadline };
    int64_t deadline = after(nanoseconds);
    if (deadline < root->deadline)
        root->deadline = deadline;
    root->blocks = self;
    return block;
}

static void end_shield(haft_block *block)
{
    haft__root *root = haft__here_or_null()->root;
    root->shields--;
    root->deadline = block->c_;
}

haft_block haft_shield_raw(haft_block *self)
{
    haft__root *root = haft__here_always()->root;
    haft_block block = { .next_ = root->blocks, .end_ = end_shield, .c_ = root->deadline };
    root->shields++;
    root->deadline = INT64_MAX;
    root->blocks = self;
    return block;
}
