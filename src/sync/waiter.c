/* SPDX-License-Identifier: MIT */
#include "sync/waiter.h"

int haft__queue_wait(haft__lock *lock, haft__queue *queue, haft__waiter *self, haft__root *me, const char *what)
{
    int rc = haft__refusal(me);
    if (rc != 0)
        return rc;
    self->arm.record = me->record;
    haft__queue_append(queue, self);
    do {
        haft__park_unlocking_for(lock, what, NULL);
        haft__lock_acquire(lock);
    } while (!haft__waiter_is_done(self) && (rc = haft__refusal(me)) == 0);
    if (haft__waiter_is_done(self))
        return self->arm.rc;
    haft__queue_remove(queue, self);
    return rc;
}

/* epoch null: everybody. */
static bool has_one_before(const haft__queue *queue, const uint32_t *epoch)
{
    return *queue != NULL && (epoch == NULL || (int32_t)((uint32_t)(*queue)->arm.amount - *epoch) < 0);
}

static void give(haft__lock *lock, haft__queue *queue, const uint32_t *epoch, int result)
{
    haft__wakes wakes;
    wakes.count = 0;
    for (;;) {
        while (!haft__wakes_full(&wakes) && has_one_before(queue, epoch))
            haft__waiter_give(queue, *queue, result, &wakes);
        bool more = has_one_before(queue, epoch); /* else the object may be gone once the lock is released */
        haft__lock_release(lock);
        haft__wakes_send(&wakes);
        if (!more)
            return;
        haft__lock_acquire(lock);
    }
}

void haft__queue_give_before(haft__lock *lock, haft__queue *queue, uint32_t epoch, int result)
{
    give(lock, queue, &epoch, result);
}

void haft__queue_give_all(haft__lock *lock, haft__queue *queue, int result)
{
    give(lock, queue, NULL, result);
}
