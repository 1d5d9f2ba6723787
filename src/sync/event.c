/* SPDX-License-Identifier: MIT
 *
 * Events. Under the lock: nobody waits while it is set. Setting starts an epoch, and everybody who came before it is
 * let go, even if the event is reset before all are. */
#include "haft/notify.h"
#include "sync/waiter.h"

_Static_assert(sizeof(haft_event) <= 32, "the interface promises 32 bytes");

int haft_event_wait(haft_event *e)
{
    haft__root *me = haft__me();
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock *lock = haft__lock_at(&e->lock_);
    haft__lock_acquire(lock); /* even if it is set: whoever sets it still touches it */
    if (e->set_ == 0) {
        haft__waiter self = { .epoch = e->epoch_ };
        rc = haft__queue_wait(lock, &e->waiters_, &self, me);
    }
    haft__lock_release(lock);
    return haft__tell(me, rc);
}

void haft_event_set(haft_event *e)
{
    haft__lock *lock = haft__lock_at(&e->lock_);
    haft__lock_acquire(lock);
    e->set_ = 1;
    haft__queue_give_all(lock, &e->waiters_, ++e->epoch_, 0);
}

void haft_event_reset(haft_event *e)
{
    haft__lock_acquire(haft__lock_at(&e->lock_));
    e->set_ = 0;
    haft__lock_release(haft__lock_at(&e->lock_));
}

bool haft_event_is_set(haft_event *e)
{
    haft__lock_acquire(haft__lock_at(&e->lock_));
    bool is_set = e->set_ != 0;
    haft__lock_release(haft__lock_at(&e->lock_));
    return is_set;
}
