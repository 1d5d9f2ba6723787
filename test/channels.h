/* SPDX-License-Identifier: MIT
 *
 * What the tests of channels share: ends of channels of int, and calls on them that must succeed. */
#ifndef HAFT_TEST_CHANNELS_H
#define HAFT_TEST_CHANNELS_H

#include "callers.h"

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;
typedef HAFT_WEAK_SENDER(int) int_weak;
typedef HAFT_SLOT(int) int_slot;

struct ends {
    int_sender tx;
    int_receiver rx;
};

static inline struct ends channel_of(size_t capacity)
{
    struct ends e;
    check_int(haft_channel(&e.tx, &e.rx, capacity), ==, 0);
    return e;
}

static inline void drop_ends(struct ends *e)
{
    haft_sender_drop(&e->tx);
    haft_receiver_drop(&e->rx);
}

static inline void send_int(int_sender *tx, int value)
{
    check_int(haft_send(tx, &value), ==, 0);
}

static inline int recv_int(int_receiver *rx)
{
    int value = -1;
    check_int(haft_recv(rx, &value), ==, 0);
    return value;
}

static inline int try_recv_code(int_receiver *rx)
{
    int value;
    return haft_try_recv(rx, &value);
}

static inline int try_send_code(int_sender *tx, int value)
{
    return haft_try_send(tx, &value);
}

/* Lets jobs that have begun a call come to wait in it, as far as a test can tell from outside. A yield that takes long has
 * let them: on a busy machine each one costs a whole time slice. */
static inline void let_them_wait(void)
{
    int64_t start = haft_now();
    for (int i = 0; i < 20 && haft_now() - start < HAFT_MS; i++)
        check_int(haft_yield(), ==, 0);
    check_int(haft_sleep(100 * HAFT_US), ==, 0);
}

#endif
