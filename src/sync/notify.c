/* SPDX-License-Identifier: MIT
 *
 * Notify. Under the lock: one notification may be stored, and only while nobody waits. Whoever is notified was taken out
 * of the queue with it, so a notification is never lost with a waiter that is refused; notify-all takes those out that
 * came in an earlier epoch, some at a time, and none of them is then notified by another. Semantics: Tokio's Notify. */
#include "haft/notify.h"
#include "sync/waiter.h"

_Static_assert(sizeof(haft_notify) <= 32, "the interface promises 32 bytes");

int haft_notify_wait(haft_notify *n)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock *lock = haft__lock_at(&n->lock_);
    haft__lock_acquire(lock);
    if (n->stored_ != 0) {
        n->stored_ = 0;
    } else {
        haft__waiter self = { .arm.amount = n->epoch_ };
        rc = haft__queue_wait(lock, &n->waiters_, &self, me, "a notification");
    }
    haft__lock_release(lock);
    return haft__tell(me, rc);
}

/* Notifies the first or the last, or stores it. */
static void notify(haft_notify *n, bool last)
{
    haft__wakes wakes;
    wakes.count = 0;
    haft__lock *lock = haft__lock_at(&n->lock_);
    haft__lock_acquire(lock);
    bool given = false;
    haft__waiter *w;
    while (!given && (w = last ? haft__queue_last_of(n->waiters_, n->epoch_)
                               : haft__queue_first_of(n->waiters_, n->epoch_)) != NULL)
        given = haft__waiter_give(&n->waiters_, w, 0, &wakes);
    if (!given)
        n->stored_ = 1;
    haft__lock_release(lock);
    haft__wakes_send(&wakes);
}

void haft_notify_one(haft_notify *n)
{
    notify(n, false);
}

void haft_notify_last(haft_notify *n)
{
    notify(n, true);
}

void haft_notify_all(haft_notify *n)
{
    haft__lock *lock = haft__lock_at(&n->lock_);
    haft__lock_acquire(lock);
    haft__queue_give_before(lock, &n->waiters_, ++n->epoch_, 0);
}

/* --- As an arm of a select ---------------------------------------------------------------------------------------- */

static haft__lock *arm_lock(const haft_arm *arm)
{
    return haft__lock_at(&((haft_notify *)arm->object_)->lock_);
}

static bool arm_attempt(const haft_arm *arm, int *rc, haft__record **wake)
{
    haft_notify *n = arm->object_;
    (void)wake;
    *rc = 0;
    bool was_stored = n->stored_ != 0;
    n->stored_ = 0;
    return was_stored;
}

static void arm_enrol(const haft_arm *arm, haft__arm *w)
{
    haft_notify *n = arm->object_;
    w->amount = n->epoch_;
    haft__queue_append(&n->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
}

static void arm_withdraw(const haft_arm *arm, haft__arm *w)
{
    haft_notify *n = arm->object_;
    haft__lock_acquire(haft__lock_at(&n->lock_));
    haft__queue_remove(&n->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
    haft__lock_release(haft__lock_at(&n->lock_));
}

/* Leaves through the lock, as every waiter does. */
static int arm_finish(const haft_arm *arm, const haft__arm *w)
{
    int rc = w->rc;
    haft__lock_acquire(arm_lock(arm));
    haft__lock_release(arm_lock(arm));
    return rc;
}

const haft__arm_ops haft__arm_notify = {
    .lock = arm_lock,
    .attempt = arm_attempt,
    .enrol = arm_enrol,
    .withdraw = arm_withdraw,
    .finish = arm_finish,
};
