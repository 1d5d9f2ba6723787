/* SPDX-License-Identifier: MIT
 *
 * Once. The state is
 *
 *     0 ──> runner:24 | RUNNING ──> DONE, or 0 again when the body failed
 *
 * changed under the lock, and read without it by those who find DONE. While a body runs, the once is among what its job
 * holds, so a panic, or the end of the job, puts the state back. DONE lets everybody go; a failure lets the first go,
 * who looks again and mostly runs its own body. A newcomer may be faster; then it waits again, and the newcomer's end
 * comes to the queue. */
#include "haft/once.h"
#include "base/list.h"
#include "job/job.h"
#include "sync/waiter.h"
#include "wait/held.h"

enum {
    DONE = 1,
    RUNNING = 2,
};
#define RUNNER_SHIFT 8

_Static_assert(sizeof(haft_once) <= 32, "the interface promises 32 bytes");

static haft__atomic(uint32_t) *state_of(const haft_once *once)
{
    return (haft__atomic(uint32_t) *)(void *)&((haft_once *)(uintptr_t)once)->state_;
}

static void end_run(haft_once *once, bool is_done)
{
    haft__lock *lock = haft__lock_at(&once->lock_);
    haft__lock_acquire(lock);
    /* Release: partner of the acquire of those who find DONE without the lock. */
    haft__store_release(state_of(once), is_done ? (uint32_t)DONE : 0);
    if (is_done) {
        haft__queue_give_all(lock, &once->waiters_, 0);
        return;
    }
    haft__wakes wakes;
    wakes.count = 0;
    if (once->waiters_ != NULL)
        haft__waiter_give(&once->waiters_, once->waiters_, 0, &wakes);
    haft__lock_release(lock);
    haft__wakes_send(&wakes);
}

static void abandon(haft_held_ *held, void *root)
{
    (void)root;
    end_run(HAFT__CONTAINER(held, haft_once, held_), false);
}

/* Becomes the runner, or learns that it is done. The lock is held on entry and on return. */
static int become_runner(haft_once *once, haft__root *me)
{
    for (;;) {
        uint32_t state = haft__load_relaxed(state_of(once)); /* changed under the lock only */
        if (state == DONE)
            return 0;
        if (state == 0) {
            haft__store_relaxed(state_of(once), me->index << RUNNER_SHIFT | RUNNING);
            return 0;
        }
        if (state >> RUNNER_SHIFT == me->index)
            return HAFT_EDEADLK;
        haft__waiter self = { .arm.amount = 0 };
        int rc = haft__queue_wait(haft__lock_at(&once->lock_), &once->waiters_, &self, me, "the one who does it once");
        if (rc != 0)
            return rc;
    }
}

int haft_once_call_raw(haft_once *once, haft_fn *body, void *loan, size_t size)
{
    if (haft_once_is_done(once))
        return 0;
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock *lock = haft__lock_at(&once->lock_);
    haft__lock_acquire(lock);
    rc = become_runner(once, me);
    bool runs = rc == 0 && haft__load_relaxed(state_of(once)) != DONE;
    haft__lock_release(lock);
    if (!runs)
        return haft__tell(me, rc);
    haft__held_push(me, &once->held_, abandon);
    rc = haft__call_body(body, loan, size);
    haft__held_remove(me, &once->held_);
    end_run(once, rc == 0);
    return rc;
}

bool haft_once_is_done(const haft_once *once)
{
    /* Acquire: partner of the release in end_run; what the body wrote is seen. */
    return haft__load_acquire(state_of(once)) == DONE;
}
