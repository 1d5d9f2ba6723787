/* SPDX-License-Identifier: MIT */
#include "connections.h"

#include <stdlib.h>

#include "stock.h"

connections *connections_new(unsigned n, int64_t check)
{
    connections *c = calloc(1, sizeof *c);
    struct stock s = { .self = c, .idle = calloc(n, sizeof *s.idle), .n_idle = n };
    if (c == NULL || s.idle == NULL || haft_channel_unbounded(&s.queue_tx, &s.queue, .drop = haft_sender_drop) != 0 ||
        haft_actor_start(&c->actor, &s, .name = "connections", .drop = stock_drop) != 0) {
        s.n_idle = 0; /* none is open yet */
        stock_drop(&s);
        free(c);
        return NULL;
    }
    if (haft_actor_every(&c->actor, check, do_check) != 0)
        connections_drop(&c);
    return c;
}

void connections_drop(connections **c)
{
    haft_actor_drop(&(*c)->actor);
    free(*c);
    *c = NULL;
}

int connections_acquire(connections *c, lease *l)
{
    lease_sender reply;
    lease_receiver answer;
    int rc = haft_oneshot(&reply, &answer, .drop = lease_drop);
    if (rc != 0)
        return rc;
    HAFT_DEFER(haft_receiver_drop, &answer); /* a lease that comes too late goes back by .drop */
    rc = haft_cast(&c->actor, do_acquire, &reply, .drop = haft_sender_drop);
    if (rc != 0)
        haft_sender_drop(&reply); /* it was not taken */
    return rc == 0 ? haft_recv(&answer, l) : rc;
}

void lease_drop(void *object)
{
    HAFT_SHIELD; /* by an aborted holder, too */
    lease *l = object;
    if (l->wire != NULL && haft_cast(&l->home, do_release, &l->wire, .drop = wire_drop) != 0)
        wire_close(l->wire); /* the stock is gone */
    l->wire = NULL;
    haft_client_drop(&l->home);
}
