/* SPDX-License-Identifier: MIT
 *
 * What a broadcast and a watch are both: a ring of the last values, numbered from 0, senders that overwrite the oldest
 * and never wait, and receivers that each remember a number in their end. Receivers that wait are all woken by a send,
 * and look again.
 *
 * One lock guards everything, the number in a receiver's end included. Whoever takes `refs`, the number of ends that are
 * there or being dropped, to 0 under it frees the fan: to wake those who wait the lock is released for moments, when the last
 * sender no longer counts but is still at work. */
#ifndef HAFT_CHAN_FAN_H
#define HAFT_CHAN_FAN_H

#include "wait/arm.h"

typedef struct haft__fan {
    haft__lock lock;
    size_t size; /* of a value */
    size_t capacity;
    uint64_t sent; /* the number of the next value */
    haft__link waiting;
    size_t senders, receivers, refs;
    unsigned char *values;
} haft__fan;

/* What a receiver's end is in memory; a sender's is the first member alone. */
typedef struct haft__fan_receiver {
    haft__fan *fan;
    uint64_t at; /* up to which number it has seen them */
} haft__fan_receiver;

static inline haft__fan *haft__fan_of(const void *end)
{
    return *(haft__fan *const *)end;
}

/* The place of the value with that number. */
static inline unsigned char *haft__fan_value(const haft__fan *f, uint64_t number)
{
    return f->values + number % f->capacity * f->size;
}

/* A fan with one sender and one receiver. On error both ends are null. */
int haft__fan_new(void *tx, void *rx, size_t capacity, size_t size, size_t alignment);
/* Another receiver, which has seen everything so far; another sender. */
int haft__fan_subscribe(const void *tx, void *rx);
int haft__fan_clone_sender(const void *from, void *to);
void haft__fan_drop(void *end, bool is_sender);
/* HAFT_ECLOSED if there is no receiver. */
int haft__fan_send(const void *tx, const void *value);

/* What the receiver finds: 0, HAFT_EAGAIN to wait on, or why not. The lock is held. */
typedef int haft__fan_look(haft__fan *f, haft__fan_receiver *r, void *value, uint64_t *missed);
/* Looks until there is something; `what` is for reports. */
int haft__fan_wait(haft__fan_receiver *r, haft__fan_look *look, void *value, uint64_t *missed, const char *what);
/* HAFT_EAGAIN or HAFT_ECLOSED if the receiver has seen everything, else 0. The lock is held. */
int haft__fan_is_news(const haft__fan *f, const haft__fan_receiver *r);

#endif
