/* SPDX-License-Identifier: MIT */
#include "sync/waiter.h"

int haft__queue_wait(haft__lock *lock, haft__queue *queue, haft__waiter *self, haft__root *me)
{
    int rc = haft__refusal(me);
    if (rc != 0)
        return rc;
    self->record = me->record;
    haft__queue_append(queue, self);
    do {
        haft__park_unlocking(lock);
        haft__lock_acquire(lock);
    } while (!self->is_done && (rc = haft__refusal(me)) == 0);
    if (self->is_done)
        return self->result;
    haft__queue_remove(queue, self);
    return rc;
}

static bool has_one_before(const haft__queue *queue, uint32_t epoch)
{
    return *queue != NULL && (int32_t)((*queue)->epoch - epoch) < 0;
}

void haft__queue_give_all(haft__lock *lock, haft__queue *queue, uint32_t epoch, int result)
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
