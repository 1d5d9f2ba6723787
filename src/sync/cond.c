/* SPDX-License-Identifier: MIT
 *
 * Conditions. A waiter enters the queue before it releases the mutex, so a signal that is sent by whoever locks the
 * mutex next finds it. A signal takes the first waiter out of the queue; a broadcast takes those out that came in an
 * earlier epoch, some at a time, and no signal goes to one of them then. Whoever was taken out was signalled; whoever is refused has taken itself out. Then comes the mutex,
 * which nothing refuses. */
#include "sync/mutex.h"

_Static_assert(sizeof(haft_cond) <= 32, "a small value");

/* Waits for a signal with the mutex released. 0 or the refusal. */
static int wait_released(haft_cond *c, haft_mutex *m, haft__root *me)
{
    haft__lock *lock = haft__lock_at(&c->lock_);
    haft__waiter self = { .arm.record = me->record };
    haft__lock_acquire(lock);
    self.arm.amount = c->epoch_;
    haft__queue_append(&c->waiters_, &self);
    haft__lock_release(lock); /* the mutex may have to wake somebody */
    haft__mutex_unlock_quietly(m, me);
    int rc = 0;
    haft__lock_acquire(lock);
    while (!haft__waiter_is_done(&self) && (rc = haft__refusal(me)) == 0) {
        haft__park_unlocking_for(lock, "a condition", NULL);
        haft__lock_acquire(lock);
    }
    if (haft__waiter_is_done(&self))
        rc = 0;
    else
        haft__queue_remove(&c->waiters_, &self);
    haft__lock_release(lock);
    return rc;
}

int haft_cond_wait(haft_cond *c, haft_mutex *m)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    if (!haft__mutex_is_held(m, me))
        return HAFT_EINVAL;
    int rc = haft__tell(me, haft__refusal(me));
    if (rc != 0)
        return rc;
    rc = wait_released(c, m, me);
    int locked = haft__mutex_lock_again(m, me);
    return locked != 0 ? locked : haft__tell(me, rc);
}

void haft_cond_signal(haft_cond *c)
{
    haft__me();
    haft__wakes wakes;
    wakes.count = 0;
    haft__lock *lock = haft__lock_at(&c->lock_);
    haft__lock_acquire(lock);
    haft__waiter *w = haft__queue_first_of(c->waiters_, c->epoch_);
    if (w != NULL)
        haft__waiter_give(&c->waiters_, w, 0, &wakes);
    haft__lock_release(lock);
    haft__wakes_send(&wakes);
}

void haft_cond_broadcast(haft_cond *c)
{
    haft__me();
    haft__lock *lock = haft__lock_at(&c->lock_);
    haft__lock_acquire(lock);
    haft__queue_give_before(lock, &c->waiters_, ++c->epoch_, 0);
}
