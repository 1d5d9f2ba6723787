/* SPDX-License-Identifier: MIT
 *
 * A fixed number of connections that many share. Who needs one takes it on a lease, waiting until one is free, and gives
 * it back. Connections that no longer work are replaced. From any thread and task. */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <haft/haft.h>

#include "wire.h"

typedef struct connections connections;

/* The right to use one connection. It may travel in frames; {0} is none. */
typedef struct lease {
    wire *wire; /* to be used, not to be closed */
    HAFT_CLIENT(struct stock) home;
} lease;

/* Idle connections are looked after every `check` nanoseconds. Null: no memory. */
connections *connections_new(unsigned n, int64_t check);

/* Waits until a connection is free, first come, first served. HAFT_ECANCELED, HAFT_ETIMEDOUT: none was taken.
 * HAFT_ECLOSED: the connections are gone, and so is the right to wait. */
int connections_acquire(connections *c, lease *l);
/* Gives back; nothing on none. For HAFT_DEFER, and as .drop of what holds a lease as its first member. Suspends. */
void lease_drop(void *object);

/* Whoever waits is told. Leases remain valid: their connections are closed when they are given back. */
void connections_drop(connections **c);

#endif
