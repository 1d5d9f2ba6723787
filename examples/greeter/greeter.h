/* SPDX-License-Identifier: MIT
 *
 * A greeter: it remembers whom it has greeted. The work is done in the background; these calls are safe from any thread
 * and any task. All that a caller sees. */
#ifndef GREETER_H
#define GREETER_H

typedef struct greeter greeter;               /* the owner */
typedef struct greeter_client greeter_client; /* many; cloned freely */

greeter *greeter_new(void);
greeter_client *greeter_connect(greeter *g);

/* Greets in the background; waits only while too many greetings are waiting already. */
int greeter_greet(greeter_client *c, const char *name);
/* How many were greeted before this. */
int greeter_count(greeter_client *c, unsigned *count);

void greeter_client_drop(greeter_client **c);
/* Ends the work: what was asked for before is done. */
void greeter_drop(greeter **g);

#endif
