/* SPDX-License-Identifier: MIT
 *
 * Barriers. Under the lock: how many of this epoch have arrived. The last one starts the next epoch and lets everybody of
 * the one before go; one who is refused after that has met the others all the same. */
#include "haft/notify.h"
#include "sync/waiter.h"

_Static_assert(sizeof(haft_barrier) <= 32, "the interface promises 32 bytes");

int haft_barrier_wait(haft_barrier *b, bool *is_leader)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock *lock = haft__lock_at(&b->lock_);
    haft__lock_acquire(lock);
    bool last = b->arrived_ + 1 >= b->n_;
    if (last) {
        b->arrived_ = 0;
        haft__queue_give_before(lock, &b->waiters_, ++b->epoch_, 0);
    } else {
        uint32_t epoch = b->epoch_;
        haft__waiter self = { .arm.amount = epoch };
        b->arrived_++;
        rc = haft__queue_wait(lock, &b->waiters_, &self, me, "the others at a barrier");
        if (rc != 0 && b->epoch_ == epoch)
            b->arrived_--;
        else
            rc = 0;
        haft__lock_release(lock);
    }
    if (rc == 0 && is_leader != NULL)
        *is_leader = last;
    return haft__tell(me, rc);
}
