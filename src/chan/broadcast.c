/* SPDX-License-Identifier: MIT
 *
 * Broadcast: a ring of the last values, numbered from 0, and receivers that each know the number of the value they want
 * next. A send overwrites the oldest and never waits. Receivers that wait are all woken by a send, and look again.
 *
 * One lock guards everything, the place in a receiver's end included. Whoever takes `refs`, the number of ends, to 0
 * under it frees the channel. */
#include <string.h>

#include "base/copy.h"
#include "haft/channel.h"
#include "os/os.h"
#include "wait/arm.h"

typedef struct broadcast {
    haft__lock lock;
    size_t size;
    size_t capacity;
    uint64_t sent; /* the number of the next value */
    haft__link waiting;
    size_t senders, receivers, refs;
    unsigned char *values;
} broadcast;

/* What HAFT_BROADCAST_RECEIVER is in memory. */
typedef struct receiver {
    broadcast *channel;
    uint64_t next;
} receiver;

static broadcast *channel_of(const void *end)
{
    return *(broadcast *const *)end;
}

int haft_broadcast_raw(void *tx, void *rx, size_t capacity, size_t element_size, size_t alignment)
{
    receiver *r = rx;
    *(broadcast **)tx = NULL;
    *r = (receiver){ 0 };
    if (capacity == 0)
        return HAFT_EINVAL;
    if (alignment < _Alignof(broadcast))
        alignment = _Alignof(broadcast);
    size_t offset = (sizeof(broadcast) + alignment - 1) & ~(alignment - 1), bytes;
    if (__builtin_mul_overflow(capacity, element_size, &bytes) || __builtin_add_overflow(bytes, offset, &bytes) ||
        bytes > PTRDIFF_MAX)
        return HAFT_ENOMEM;
    broadcast *c = haft__os->allocate(bytes, alignment);
    if (c == NULL)
        return HAFT_ENOMEM;
    memset(c, 0, sizeof *c);
    c->size = element_size;
    c->capacity = capacity;
    c->values = (unsigned char *)c + offset;
    c->senders = c->receivers = 1;
    c->refs = 2;
    haft__list_init(&c->waiting);
    r->channel = *(broadcast **)tx = c;
    return 0;
}

int haft_broadcast_subscribe_raw(const void *tx, void *rx)
{
    broadcast *c = channel_of(tx);
    receiver *r = rx;
    *r = (receiver){ .channel = c };
    if (c == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&c->lock);
    r->next = c->sent;
    c->receivers++;
    c->refs++;
    haft__lock_release(&c->lock);
    return 0;
}

int haft_broadcast_sender_clone_raw(const void *from, void *to)
{
    broadcast *c = channel_of(from);
    *(broadcast **)to = c;
    if (c == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&c->lock);
    c->senders++;
    c->refs++;
    haft__lock_release(&c->lock);
    return 0;
}

int haft_broadcast_send_raw(const void *tx, const void *value)
{
    broadcast *c = channel_of(tx);
    if (c == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&c->lock);
    if (c->receivers == 0) {
        haft__lock_release(&c->lock);
        return HAFT_ECLOSED;
    }
    haft__copy(c->values + c->sent % c->capacity * c->size, value, c->size);
    c->sent++;
    haft__arms_end_all(&c->waiting, &c->lock, 0);
    haft__lock_release(&c->lock);
    return 0;
}

/* The lock is held. HAFT_EAGAIN: nothing yet. */
static int take(broadcast *c, receiver *r, void *value, uint64_t *missed)
{
    if (r->next == c->sent)
        return c->senders == 0 ? HAFT_ECLOSED : HAFT_EAGAIN;
    uint64_t behind = c->sent - r->next;
    if (behind > c->capacity) {
        if (missed != NULL)
            *missed = behind - c->capacity;
        r->next = c->sent - c->capacity;
        return HAFT_ELAGGED;
    }
    haft__copy(value, c->values + r->next % c->capacity * c->size, c->size);
    r->next++;
    return 0;
}

int haft_broadcast_recv_raw(void *rx, void *value, uint64_t *missed)
{
    broadcast *c = channel_of(rx);
    haft__thread *here = haft__here();
    if (here == NULL || c == NULL)
        return c == NULL ? HAFT_EINVAL : haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock_acquire(&c->lock);
    while ((rc = take(c, rx, value, missed)) == HAFT_EAGAIN) {
        haft__arm self;
        haft__arm_init(&self, me, NULL);
        haft__list_append(&c->waiting, &self.link);
        if (!haft__arm_wait(&self, &c->lock, me, "a broadcast")) {
            rc = haft__tell(me, self.rc);
            break;
        }
        haft__lock_acquire(&c->lock);
    }
    haft__lock_release(&c->lock);
    return rc;
}

int haft_broadcast_try_recv_raw(void *rx, void *value, uint64_t *missed)
{
    broadcast *c = channel_of(rx);
    if (c == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&c->lock);
    int rc = take(c, rx, value, missed);
    haft__lock_release(&c->lock);
    return rc;
}

static void drop_end(void *end, bool is_sender)
{
    broadcast *c = channel_of(end);
    if (c == NULL)
        return;
    *(broadcast **)end = NULL;
    haft__lock_acquire(&c->lock);
    if (!is_sender)
        c->receivers--;
    else if (--c->senders == 0)
        haft__arms_end_all(&c->waiting, &c->lock, 0);
    bool is_last = --c->refs == 0;
    haft__lock_release(&c->lock);
    if (is_last)
        haft__os->release(c);
}

void(haft_broadcast_sender_drop)(void *tx)
{
    drop_end(tx, true);
}

void(haft_broadcast_receiver_drop)(void *rx)
{
    drop_end(rx, false);
}
