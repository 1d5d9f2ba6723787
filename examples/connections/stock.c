/* SPDX-License-Identifier: MIT
 *
 * What the worker does. An answer that cannot be given yet is a sender that is kept. */
#include "stock.h"

#include <stdlib.h>

/* Replaces what does not work. */
static void renew(wire **w)
{
    if (*w != NULL && wire_ping(*w) == 0)
        return;
    wire_close(*w);
    *w = wire_open();
}

/* Gives what is idle to those who wait. */
static void hand_out(struct stock *s)
{
    lease_sender reply;
    while (s->n_idle > 0 && haft_try_recv(&s->queue, &reply) == 0) {
        wire **w = &s->idle[s->n_idle - 1];
        renew(w);
        lease l = { .wire = *w };
        int rc = *w != NULL ? haft_client_of(&s->self->actor, &l.home) : HAFT_ENOMEM;
        if (rc == 0)
            rc = haft_try_send(&reply, &l); /* HAFT_ECLOSED: it has not waited that long */
        if (rc == 0)
            s->n_idle--;
        else
            haft_client_drop(&l.home);
        haft_sender_drop(&reply);
    }
}

int do_acquire(struct stock *s, lease_sender *reply)
{
    int rc = haft_try_send(&s->queue_tx, HAFT_MOVE(reply));
    hand_out(s);
    return rc;
}

int do_release(struct stock *s, wire **w)
{
    s->idle[s->n_idle++] = *w;
    *w = NULL; /* it is the stock's now */
    hand_out(s);
    return 0;
}

int do_check(struct stock *s)
{
    for (unsigned i = 0; i < s->n_idle; i++)
        renew(&s->idle[i]);
    return 0;
}

void wire_drop(void *w)
{
    wire_close(*(wire **)w);
}

void stock_drop(void *stock)
{
    struct stock *s = stock;
    haft_sender_drop(&s->queue_tx);
    haft_receiver_drop(&s->queue); /* who still waits is told by HAFT_ECLOSED */
    while (s->n_idle > 0)
        wire_close(s->idle[--s->n_idle]);
    free(s->idle);
}
