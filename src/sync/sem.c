/* SPDX-License-Identifier: MIT
 *
 * Semaphores. Everything happens under the lock: permits that are there, closed or not, and the queue. As long as the
 * queue is not empty its first waiter wants more than there are, and nobody else takes any; so whatever adds permits, or
 * takes the first waiter away, serves the queue from its front. A permit is never set aside for somebody who waits: one
 * who is refused leaves them all.
 *
 * Order of service: Tokio's Semaphore, but for the permits set aside. */
#include "haft/sem.h"
#include "haft/panic.h"
#include "sync/waiter.h"

_Static_assert(sizeof(haft_sem) <= 32, "the interface promises 32 bytes");

/* Serves from the front what can be served, one batch. The lock is held. False: there is more to do. */
static bool serve(haft_sem *s, haft__wakes *wakes)
{
    /* Closed: those who still stand in the queue are being refused. */
    while (s->closed_ == 0 && s->waiters_ != NULL && s->waiters_->arm.amount <= s->permits_) {
        if (haft__wakes_full(wakes))
            return false;
        size_t n = s->waiters_->arm.amount;
        if (haft__waiter_give(&s->waiters_, s->waiters_, 0, wakes))
            s->permits_ -= n;
    }
    return true;
}

/* Serves the queue and releases the lock, which is held. */
static void serve_and_unlock(haft_sem *s)
{
    haft__lock *lock = haft__lock_at(&s->lock_);
    if (s->waiters_ == NULL) {
        haft__lock_release(lock);
        return;
    }
    haft__wakes wakes;
    wakes.count = 0;
    for (;;) {
        bool all = serve(s, &wakes);
        haft__lock_release(lock);
        haft__wakes_send(&wakes);
        if (all)
            return;
        haft__lock_acquire(lock);
    }
}

/* 0, HAFT_ECLOSED, or HAFT_EAGAIN. The lock is held. */
static int take(haft_sem *s, size_t n)
{
    if (__builtin_expect(s->closed_ != 0, 0))
        return HAFT_ECLOSED;
    if (n != 0 && (s->waiters_ != NULL || s->permits_ < n))
        return HAFT_EAGAIN;
    s->permits_ -= n;
    return 0;
}

int haft_sem_acquire_many(haft_sem *s, size_t n)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock *lock = haft__lock_at(&s->lock_);
    haft__lock_acquire(lock);
    rc = take(s, n);
    if (__builtin_expect(rc != HAFT_EAGAIN, 1)) {
        haft__lock_release(lock);
        return rc;
    }
    haft__waiter self = { .arm.amount = n };
    rc = haft__queue_wait(lock, &s->waiters_, &self, me, "permits");
    /* If it was the first and left, those behind may want less. */
    serve_and_unlock(s);
    return haft__tell(me, rc);
}

int haft_sem_acquire(haft_sem *s)
{
    return haft_sem_acquire_many(s, 1);
}

int haft_sem_try_acquire_many(haft_sem *s, size_t n)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__lock *lock = haft__lock_at(&s->lock_);
    haft__lock_acquire(lock);
    int rc = take(s, n);
    haft__lock_release(lock);
    return rc;
}

int haft_sem_try_acquire(haft_sem *s)
{
    return haft_sem_try_acquire_many(s, 1);
}

void haft_sem_release_many(haft_sem *s, size_t n)
{
    haft__lock_acquire(haft__lock_at(&s->lock_));
    if (n > SIZE_MAX - s->permits_) {
        haft__lock_release(haft__lock_at(&s->lock_));
        haft_panic("haft_sem_release: %zu more is more than a semaphore counts", n);
    }
    s->permits_ += n;
    serve_and_unlock(s);
}

void haft_sem_release(haft_sem *s)
{
    haft_sem_release_many(s, 1);
}

void haft_sem_close(haft_sem *s)
{
    haft__lock *lock = haft__lock_at(&s->lock_);
    haft__lock_acquire(lock);
    s->closed_ = 1;
    haft__queue_give_all(lock, &s->waiters_, HAFT_ECLOSED);
}

bool haft_sem_is_closed(haft_sem *s)
{
    haft__lock *lock = haft__lock_at(&s->lock_);
    haft__lock_acquire(lock);
    bool is_closed = s->closed_ != 0;
    haft__lock_release(lock);
    return is_closed;
}

size_t haft_sem_forget(haft_sem *s, size_t n)
{
    haft__lock *lock = haft__lock_at(&s->lock_);
    haft__lock_acquire(lock);
    if (n > s->permits_)
        n = s->permits_;
    s->permits_ -= n;
    haft__lock_release(lock);
    return n;
}

size_t haft_sem_available(haft_sem *s)
{
    haft__lock *lock = haft__lock_at(&s->lock_);
    haft__lock_acquire(lock);
    size_t n = s->permits_;
    haft__lock_release(lock);
    return n;
}

int haft_sem_acquire_permit(haft_sem *s, size_t n, haft_permit *p)
{
    int rc = haft_sem_acquire_many(s, n);
    if (rc == 0)
        *p = (haft_permit){ s, n };
    return rc;
}

int haft_sem_try_acquire_permit(haft_sem *s, size_t n, haft_permit *p)
{
    int rc = haft_sem_try_acquire_many(s, n);
    if (rc == 0)
        *p = (haft_permit){ s, n };
    return rc;
}

void haft_permit_drop(haft_permit *p)
{
    haft_permit taken = *p;
    *p = (haft_permit){ NULL, 0 };
    if (taken.sem_ != NULL)
        haft_sem_release_many(taken.sem_, taken.n_);
}

void haft_permit_forget(haft_permit *p)
{
    *p = (haft_permit){ NULL, 0 };
}

/* --- As an arm of a select ---------------------------------------------------------------------------------------- */

static haft__lock *arm_lock(const haft_arm *arm)
{
    return haft__lock_at(&((haft_sem *)arm->object_)->lock_);
}

static bool arm_attempt(const haft_arm *arm, int *rc, haft__record **wake)
{
    haft_sem *s = arm->object_;
    (void)wake;
    *rc = take(s, (size_t)arm->amount_);
    return *rc != HAFT_EAGAIN;
}

static void arm_enrol(const haft_arm *arm, haft__arm *w)
{
    haft_sem *s = arm->object_;
    w->amount = (size_t)arm->amount_;
    haft__queue_append(&s->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
}

static void arm_withdraw(const haft_arm *arm, haft__arm *w)
{
    haft_sem *s = arm->object_;
    haft__lock_acquire(haft__lock_at(&s->lock_));
    haft__queue_remove(&s->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
    serve_and_unlock(s);
}

/* Leaves through the lock, as every waiter does. */
static int arm_finish(const haft_arm *arm, const haft__arm *w)
{
    int rc = w->rc;
    haft__lock_acquire(arm_lock(arm));
    haft__lock_release(arm_lock(arm));
    return rc;
}

const haft__arm_ops haft__arm_sem = {
    .lock = arm_lock,
    .attempt = arm_attempt,
    .enrol = arm_enrol,
    .withdraw = arm_withdraw,
    .finish = arm_finish,
};
