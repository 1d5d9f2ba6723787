/* SPDX-License-Identifier: MIT
 *
 * Watch: one value with a version, which every set counts up. A receiver remembers in its end which version it has seen.
 * Receivers that wait are all woken by a set, and look again.
 *
 * One lock guards everything, the version in a receiver's end included. Whoever takes `refs`, the number of ends, to 0
 * under it frees the channel. */
#include <string.h>

#include "base/copy.h"
#include "haft/channel.h"
#include "os/os.h"
#include "wait/arm.h"

typedef struct watch {
    haft__lock lock;
    bool is_closed; /* the sender is gone */
    size_t size;
    uint64_t version;
    haft__link waiting;
    size_t receivers, refs;
    unsigned char *value;
} watch;

/* What HAFT_WATCH_RECEIVER is in memory. */
typedef struct receiver {
    watch *channel;
    uint64_t seen;
} receiver;

static watch *channel_of(const void *end)
{
    return *(watch *const *)end;
}

int haft_watch_raw(void *tx, void *rx, const void *first, size_t element_size, size_t alignment)
{
    receiver *r = rx;
    *(watch **)tx = NULL;
    *r = (receiver){ 0 };
    if (alignment < _Alignof(watch))
        alignment = _Alignof(watch);
    size_t offset = (sizeof(watch) + alignment - 1) & ~(alignment - 1);
    watch *c = haft__os->allocate(offset + element_size, alignment);
    if (c == NULL)
        return HAFT_ENOMEM;
    memset(c, 0, sizeof *c);
    c->size = element_size;
    c->value = (unsigned char *)c + offset;
    c->receivers = 1;
    c->refs = 2;
    haft__list_init(&c->waiting);
    haft__copy(c->value, first, element_size);
    r->channel = *(watch **)tx = c;
    return 0;
}

int haft_watch_subscribe_raw(const void *tx, void *rx)
{
    watch *c = channel_of(tx);
    receiver *r = rx;
    *r = (receiver){ .channel = c };
    if (c == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&c->lock);
    r->seen = c->version;
    c->receivers++;
    c->refs++;
    haft__lock_release(&c->lock);
    return 0;
}

int haft_watch_set_raw(const void *tx, const void *value)
{
    watch *c = channel_of(tx);
    if (c == NULL)
        return HAFT_EINVAL;
    int rc = HAFT_ECLOSED;
    haft__lock_acquire(&c->lock);
    if (c->receivers != 0) {
        haft__copy(c->value, value, c->size);
        c->version++;
        haft__arms_end_all(&c->waiting, &c->lock, 0);
        rc = 0;
    }
    haft__lock_release(&c->lock);
    return rc;
}

int haft_watch_changed_raw(const void *rx)
{
    const receiver *r = rx;
    watch *c = channel_of(rx);
    haft__thread *here = haft__here();
    if (here == NULL || c == NULL)
        return c == NULL ? HAFT_EINVAL : haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock_acquire(&c->lock);
    while (r->seen == c->version) {
        if (c->is_closed) {
            rc = HAFT_ECLOSED;
            break;
        }
        haft__arm self;
        haft__arm_init(&self, me, NULL);
        haft__list_append(&c->waiting, &self.link);
        if (!haft__arm_wait(&self, &c->lock, me, "a watched value to change")) {
            rc = haft__tell(me, self.rc);
            break;
        }
        haft__lock_acquire(&c->lock);
    }
    haft__lock_release(&c->lock);
    return rc;
}

int haft_watch_get_raw(void *rx, void *value)
{
    receiver *r = rx;
    watch *c = r->channel;
    if (c == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&c->lock);
    haft__copy(value, c->value, c->size);
    r->seen = c->version;
    haft__lock_release(&c->lock);
    return 0;
}

static void drop_end(void *end, bool is_sender)
{
    watch *c = channel_of(end);
    if (c == NULL)
        return;
    *(watch **)end = NULL;
    haft__lock_acquire(&c->lock);
    if (is_sender) {
        c->is_closed = true;
        haft__arms_end_all(&c->waiting, &c->lock, 0);
    } else {
        c->receivers--;
    }
    bool is_last = --c->refs == 0;
    haft__lock_release(&c->lock);
    if (is_last)
        haft__os->release(c);
}

void(haft_watch_sender_drop)(void *tx)
{
    drop_end(tx, true);
}

void(haft_watch_receiver_drop)(void *rx)
{
    drop_end(rx, false);
}
