/* SPDX-License-Identifier: MIT
 *
 * What a channel is made of, and the two steps under its lock on which everything rests: give and take.
 *
 * Values lie in a ring (bounded) or in a chain of blocks (unbounded). `length` counts them, `reserved` the slots that are
 * held; their sum never exceeds the capacity. Two queues: takers wait for a value, givers for room; a giver without a
 * value wants a slot.
 *
 * Invariants whenever the lock is free, not counting nodes whose select has chosen another arm, and a select that waits
 * with both a receive and a send at one channel:
 *
 *  - there are takers only if length is 0, no giver has a value, and more values may come;
 *  - there are givers only if length + reserved is the capacity, and the channel is open to senders.
 *
 * So whoever makes room or brings a value serves the first waiter in the same critical section; the value goes straight
 * into, or comes straight from, the waiter's variable.
 *
 * `refs` counts ends and slots; whoever takes it to 0, under the lock, frees the channel after releasing the lock. Any call
 * is made through an end, which nobody drops meanwhile. */
#ifndef HAFT_CHAN_CHANNEL_H
#define HAFT_CHAN_CHANNEL_H

#include "base/copy.h"
#include "base/list.h"
#include "haft/channel.h"
#include "sched/gather.h"
#include "wait/arm.h"

enum haft__channel_kind {
    HAFT__BOUNDED,   /* a ring; a rendezvous has none */
    HAFT__ONESHOT,   /* a ring of one, closed by the first value */
    HAFT__UNBOUNDED, /* blocks */
};

/* Part of the chain that holds the values of an unbounded channel. The elements follow, suitably aligned. */
typedef struct haft__block {
    struct haft__block *next;
} haft__block;

typedef struct haft__channel {
    haft__lock lock;
    uint8_t kind; /* never changes, like size and capacity */
    bool is_closed;
    uint8_t taker_skips, giver_skips; /* waits of threads that do not look first; see channel.c */
    size_t size;                      /* of an element */
    size_t capacity;
    size_t length;
    size_t reserved;
    size_t head;           /* where the first value lies: its place in the ring, or in the first block */
    unsigned char *values; /* the ring; null if the capacity is 0 or there is none */
    uint64_t given;        /* values that were sent */

    haft__link takers;
    haft__link givers;
    size_t senders;
    size_t receivers;
    size_t refs;
    haft_drop_fn *drop;

    /* Of an unbounded channel. */
    haft__block *first, *last; /* null before the first value */
    haft__block *spare;        /* emptied, for the next need */
    size_t tail;               /* the next place in the last block */
    size_t block_places;
    size_t block_offset; /* of the first element in a block */
    size_t alignment;

    haft__gathering gathering; /* of those who fight for the lock */
} haft__channel;

static inline haft__channel *haft__channel_of(const void *end)
{
    return *(haft__channel *const *)end;
}

/* True once no value will come any more, but for those that are there. */
static inline bool haft__channel_has_ended(const haft__channel *c)
{
    return c->reserved == 0 && (c->is_closed || c->senders == 0);
}

/* True while senders may send. */
static inline bool haft__channel_is_open(const haft__channel *c)
{
    return !c->is_closed && c->receivers != 0;
}

/* A value was sent. */
static inline void haft__channel_was_given(haft__channel *c)
{
    c->given++;
    if (__builtin_expect(c->kind == HAFT__ONESHOT, 0))
        c->is_closed = true; /* whoever gave tells the others who wait: haft__channel_settle */
}

/* Memory for the next value of an unbounded channel, outside of the lock. See store.c. */
bool haft__channel_has_place(const haft__channel *c);
int haft__channel_grow(haft__channel *c);

/* The place of the first value, and that behind the last, which there is: capacity or haft__channel_grow saw to it. */
unsigned char *haft__block_front(haft__channel *c);
unsigned char *haft__block_back(haft__channel *c);
/* The first place was emptied. */
void haft__block_pop(haft__channel *c);
void haft__blocks_free(haft__channel *c);
/* A chain of emptied blocks beyond the one that is kept, to be freed once the lock is released. Or null. */
static inline haft__block *haft__blocks_surplus(haft__channel *c)
{
    if (__builtin_expect(c->spare == NULL || c->spare->next == NULL, 1))
        return NULL;
    haft__block *surplus = c->spare->next;
    c->spare->next = NULL;
    return surplus;
}
void haft__block_chain_free(haft__block *block);

/* Ends every wait that cannot succeed any more. The lock is held on entry and on return, and may be released meanwhile. */
void haft__channel_settle(haft__channel *c);
/* Gives one reference back, and settles before. No lock is held. */
void haft__channel_leave(haft__channel *c);

static inline unsigned char *haft__channel_front(haft__channel *c)
{
    return c->kind == HAFT__UNBOUNDED ? haft__block_front(c) : c->values + c->head * c->size;
}

static inline void haft__channel_pop(haft__channel *c)
{
    c->length--;
    if (__builtin_expect(c->kind == HAFT__UNBOUNDED, 0)) {
        haft__block_pop(c);
        return;
    }
    if (++c->head == c->capacity)
        c->head = 0;
}

static inline void haft__channel_push(haft__channel *c, const void *value)
{
    unsigned char *place;
    if (__builtin_expect(c->kind == HAFT__UNBOUNDED, 0)) {
        place = haft__block_back(c);
    } else {
        size_t at = c->head + c->length;
        if (at >= c->capacity)
            at -= c->capacity;
        place = c->values + at * c->size;
    }
    haft__copy(place, value, c->size);
    c->length++;
    haft__channel_was_given(c);
}

#endif
