/* SPDX-License-Identifier: MIT
 *
 * Events. Under the lock: nobody waits while it is set. Setting starts an epoch, and everybody who came before it is
 * let go, even if the event is reset before all are. */
#include "haft/notify.h"
#include "sync/waiter.h"

_Static_assert(sizeof(haft_event) <= 32, "the interface promises 32 bytes");

int haft_event_wait(haft_event *e)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock *lock = haft__lock_at(&e->lock_);
    haft__lock_acquire(lock); /* even if it is set: whoever sets it still touches it */
    if (e->set_ == 0) {
        haft__waiter self = { .arm.amount = e->epoch_ };
        rc = haft__queue_wait(lock, &e->waiters_, &self, me, "an event");
    }
    haft__lock_release(lock);
    return haft__tell(me, rc);
}

void haft_event_set(haft_event *e)
{
    haft__lock *lock = haft__lock_at(&e->lock_);
    haft__lock_acquire(lock);
    e->set_ = 1;
    haft__queue_give_before(lock, &e->waiters_, ++e->epoch_, 0);
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

/* --- As an arm of a select ---------------------------------------------------------------------------------------- */

static haft__lock *arm_lock(const haft_arm *arm)
{
    return haft__lock_at(&((haft_event *)arm->object_)->lock_);
}

static bool arm_attempt(const haft_arm *arm, int *rc, haft__record **wake)
{
    haft_event *e = arm->object_;
    (void)wake;
    *rc = 0;
    return e->set_ != 0;
}

static void arm_enrol(const haft_arm *arm, haft__arm *w)
{
    haft_event *e = arm->object_;
    w->amount = e->epoch_;
    haft__queue_append(&e->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
}

static void arm_withdraw(const haft_arm *arm, haft__arm *w)
{
    haft_event *e = arm->object_;
    haft__lock_acquire(haft__lock_at(&e->lock_));
    haft__queue_remove(&e->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
    haft__lock_release(haft__lock_at(&e->lock_));
}

/* Leaves through the lock, as every waiter does. */
static int arm_finish(const haft_arm *arm, const haft__arm *w)
{
    int rc = w->rc;
    haft__lock_acquire(arm_lock(arm));
    haft__lock_release(arm_lock(arm));
    return rc;
}

const haft__arm_ops haft__arm_event = {
    .lock = arm_lock,
    .attempt = arm_attempt,
    .enrol = arm_enrol,
    .withdraw = arm_withdraw,
    .finish = arm_finish,
};
