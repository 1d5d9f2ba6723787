/* SPDX-License-Identifier: MIT
 *
 * Waitgroups. Under the lock: nobody waits while the count is zero. Reaching zero starts an epoch, so that those who wait
 * for the next use of the group are not let go with those of this one. */
#include "haft/notify.h"
#include "haft/panic.h"
#include "sync/waiter.h"

_Static_assert(sizeof(haft_waitgroup) <= 32, "the interface promises 32 bytes");

void haft_waitgroup_add(haft_waitgroup *g, size_t n)
{
    haft__lock_acquire(haft__lock_at(&g->lock_));
    bool is_too_much = n > SIZE_MAX - g->count_;
    if (!is_too_much)
        g->count_ += n;
    haft__lock_release(haft__lock_at(&g->lock_));
    if (is_too_much)
        haft_panic("haft_waitgroup_add: %zu more is more than a waitgroup counts", n);
}

void haft_waitgroup_done(haft_waitgroup *g)
{
    haft__lock *lock = haft__lock_at(&g->lock_);
    haft__lock_acquire(lock);
    if (g->count_ == 0) {
        haft__lock_release(lock);
        haft_panic("haft_waitgroup_done: nothing was left to be done");
    }
    if (--g->count_ == 0)
        haft__queue_give_before(lock, &g->waiters_, ++g->epoch_, 0);
    else
        haft__lock_release(lock);
}

int haft_waitgroup_wait(haft_waitgroup *g)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock *lock = haft__lock_at(&g->lock_);
    haft__lock_acquire(lock);
    if (g->count_ != 0) {
        haft__waiter self = { .arm.amount = g->epoch_ };
        rc = haft__queue_wait(lock, &g->waiters_, &self, me, "a waitgroup");
    }
    haft__lock_release(lock);
    return haft__tell(me, rc);
}
