/* SPDX-License-Identifier: MIT
 *
 * Inside: what is in stock, and who waits for it. */
#ifndef STOCK_H
#define STOCK_H

#include "connections.h"

typedef HAFT_SENDER(lease) lease_sender;
typedef HAFT_RECEIVER(lease) lease_receiver;

struct stock {
    connections *self; /* outlives the worker */
    wire **idle;       /* null: could not be opened, is tried again */
    unsigned n_idle;
    HAFT_SENDER(lease_sender) queue_tx; /* the queue of those who wait, as a channel: it knows how to be dropped */
    HAFT_RECEIVER(lease_sender) queue;
};
struct connections {
    HAFT_ACTOR(struct stock) actor;
};

int do_acquire(struct stock *s, lease_sender *reply);
int do_release(struct stock *s, wire **w);
int do_check(struct stock *s);

void wire_drop(void *w); /* the address of a pointer */
void stock_drop(void *stock);

#endif
