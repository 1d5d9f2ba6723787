/* SPDX-License-Identifier: MIT
 *
 * Connections to a server that is made up. Each is used by one at a time. */
#ifndef WIRE_H
#define WIRE_H

typedef struct wire wire;

wire *wire_open(void); /* null: no memory */
void wire_close(wire *w);
/* The double of n, or -EPIPE once the server was restarted. */
int wire_ask(wire *w, int n, int *answer);
/* 0 or -EPIPE, without asking anything. */
int wire_ping(wire *w);

void server_restart(void);
int server_accepted(void);    /* how many connections it ever had */
int server_connections(void); /* how many are open */

#endif
