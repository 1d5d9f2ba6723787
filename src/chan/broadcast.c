/* SPDX-License-Identifier: MIT
 *
 * Broadcast: a fan whose receivers get every value in turn, unless they fall too far behind. */
#include "base/copy.h"
#include "chan/fan.h"
#include "haft/channel.h"

int haft_broadcast_raw(void *tx, void *rx, size_t capacity, size_t element_size, size_t alignment)
{
    return haft__fan_new(tx, rx, capacity, element_size, alignment);
}

int haft_broadcast_subscribe_raw(const void *tx, void *rx)
{
    return haft__fan_subscribe(tx, rx);
}

int haft_broadcast_sender_clone_raw(const void *from, void *to)
{
    return haft__fan_clone_sender(from, to);
}

int haft_broadcast_send_raw(const void *tx, const void *value)
{
    return haft__fan_send(tx, value);
}

static int take(haft__fan *f, haft__fan_receiver *r, void *value, uint64_t *missed)
{
    int rc = haft__fan_is_news(f, r);
    if (rc != 0)
        return rc;
    uint64_t behind = f->sent - r->at;
    if (behind > f->capacity) {
        if (missed != NULL)
            *missed = behind - f->capacity;
        r->at = f->sent - f->capacity;
        return HAFT_ELAGGED;
    }
    haft__copy(value, haft__fan_value(f, r->at), f->size);
    r->at++;
    return 0;
}

int haft_broadcast_recv_raw(void *rx, void *value, uint64_t *missed)
{
    return haft__fan_wait(rx, take, value, missed, "a broadcast");
}

int haft_broadcast_try_recv_raw(void *rx, void *value, uint64_t *missed)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__fan *f = haft__fan_of(rx);
    if (f == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&f->lock);
    int rc = take(f, rx, value, missed);
    haft__lock_release(&f->lock);
    return rc;
}

void(haft_broadcast_sender_drop)(void *tx)
{
    haft__fan_drop(tx, true);
}

void(haft_broadcast_receiver_drop)(void *rx)
{
    haft__fan_drop(rx, false);
}
