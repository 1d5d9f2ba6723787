/* SPDX-License-Identifier: MIT
 *
 * Watch: a fan of one value, whose receivers look at the newest. */
#include "base/copy.h"
#include "chan/fan.h"
#include "haft/channel.h"

int haft_watch_raw(void *tx, void *rx, const void *first, size_t element_size, size_t alignment)
{
    int rc = haft__fan_new(tx, rx, 1, element_size, alignment);
    if (rc == 0) /* nobody else has an end yet; it counts as seen */
        haft__copy(haft__fan_value(haft__fan_of(tx), 0), first, element_size);
    return rc;
}

int haft_watch_subscribe_raw(const void *tx, void *rx)
{
    return haft__fan_subscribe(tx, rx);
}

int haft_watch_set_raw(const void *tx, const void *value)
{
    return haft__fan_send(tx, value);
}

static int look(haft__fan *f, haft__fan_receiver *r, void *value, uint64_t *missed)
{
    (void)value;
    (void)missed;
    return haft__fan_is_news(f, r);
}

int haft_watch_changed_raw(const void *rx)
{
    /* Const, because look marks nothing. */
    return haft__fan_wait((haft__fan_receiver *)(uintptr_t)rx, look, NULL, NULL, "a watched value to change");
}

int haft_watch_get_raw(void *rx, void *value)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__fan_receiver *r = rx;
    haft__fan *f = r->fan;
    if (f == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&f->lock);
    haft__copy(value, haft__fan_value(f, 0), f->size);
    r->at = f->sent;
    haft__lock_release(&f->lock);
    return 0;
}

void(haft_watch_sender_drop)(void *tx)
{
    haft__fan_drop(tx, true);
}

void(haft_watch_receiver_drop)(void *rx)
{
    haft__fan_drop(rx, false);
}
