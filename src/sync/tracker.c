/* SPDX-License-Identifier: MIT
 *
 * Trackers. Under the lock: nobody waits while the tracker is closed and its count zero. Whatever makes it so, the last
 * to leave or the close, starts an epoch, and everybody who came before it is let go, whatever enters or is reopened
 * before all are.
 *
 * A tracked job is detached, and its end is told here, by the way in which groups are told of their members': its group
 * is `tracked`, the same for all trackers, and the tracker stands in its link, which no list needs. The job is recycled
 * first, so a tracker that is empty has nothing to do with any job any more; its lock is the finisher's last touch of
 * it. */
#include "haft/tracker.h"
#include "haft/panic.h"
#include "job/job.h"
#include "sync/waiter.h"

_Static_assert(sizeof(haft_tracker) <= 32, "a small value");

static haft__lock *enter(haft_tracker *t)
{
    haft__lock *lock = haft__lock_at(&t->lock_);
    haft__lock_acquire(lock);
    return lock;
}

/* Releases the lock, and lets everybody go if there is nothing left to wait for. */
static void settle(haft_tracker *t, haft__lock *lock)
{
    if (t->closed_ != 0 && t->count_ == 0)
        haft__queue_give_before(lock, &t->waiters_, ++t->epoch_, 0);
    else
        haft__lock_release(lock);
}

/* False: nothing was going on. */
static bool leave(haft_tracker *t)
{
    haft__lock *lock = enter(t);
    if (t->count_ == 0) {
        haft__lock_release(lock);
        return false;
    }
    t->count_--;
    settle(t, lock);
    return true;
}

void haft_tracker_enter(haft_tracker *t)
{
    haft__lock *lock = enter(t);
    t->count_++;
    haft__lock_release(lock);
}

void haft_tracker_leave(haft_tracker *t)
{
    if (!leave(t))
        haft_panic("haft_tracker_leave: nothing was going on");
}

void haft_tracker_close(haft_tracker *t)
{
    haft__lock *lock = enter(t);
    t->closed_ = 1;
    settle(t, lock);
}

void haft_tracker_reopen(haft_tracker *t)
{
    haft__lock *lock = enter(t);
    t->closed_ = 0;
    haft__lock_release(lock);
}

int haft_tracker_wait(haft_tracker *t)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock *lock = enter(t);
    if (t->closed_ == 0 || t->count_ != 0) {
        haft__waiter self = { .arm.amount = t->epoch_ };
        rc = haft__queue_wait(lock, &t->waiters_, &self, me, "a tracker");
    }
    haft__lock_release(lock);
    return haft__tell(me, rc);
}

size_t haft_tracker_count(haft_tracker *t)
{
    haft__lock *lock = enter(t);
    size_t count = t->count_;
    haft__lock_release(lock);
    return count;
}

bool haft_tracker_is_empty(haft_tracker *t)
{
    return haft_tracker_count(t) == 0;
}

bool haft_tracker_is_closed(haft_tracker *t)
{
    haft__lock *lock = enter(t);
    bool is_closed = t->closed_ != 0;
    haft__lock_release(lock);
    return is_closed;
}

/* --- Jobs that are tracked ---------------------------------------------------------------------------------------- */

static void job_ended(void *group, haft__job *job)
{
    (void)group;
    haft_tracker *t = (haft_tracker *)(void *)job->link.next;
    haft__job_recycle(job);
    leave(t);
}

static haft__group_done *const tracked = job_ended;

int haft_tracker_spawn_raw(haft_tracker *t, haft_fn *body, const void *frame, size_t size, size_t alignment,
                           const haft_spawn_options *options)
{
    const haft__job_spec spec = { .body = body,
                                  .frame = frame,
                                  .size = size,
                                  .alignment = alignment,
                                  .options = options,
                                  .kind = options->kind,
                                  .group = (void *)(uintptr_t)&tracked,
                                  .owner = HAFT__DETACHED | HAFT__GROUP };
    haft__job *job = NULL;
    int rc = haft__job_make(&spec, &job);
    if (rc != 0)
        return rc;
    job->link.next = (haft__link *)(void *)t;
    haft_tracker_enter(t);
    rc = haft__job_start(job);
    if (rc == 0)
        return 0;
    haft__job_unmake(job);
    leave(t);
    return rc;
}
