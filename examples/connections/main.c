/* SPDX-License-Identifier: MIT
 *
 * Five borrowers share two connections, whatever becomes of the borrowers and of the server. */
#include "connections.h"

#include <stdio.h>

struct borrower {
    lease lease; /* first: lease_drop disposes of a borrower, too */
    connections *from;
};

static int uses(struct borrower *b)
{
    int answer;
    int rc = connections_acquire(b->from, &b->lease);
    haft_yield();
    return rc == 0 ? wire_ask(b->lease.wire, 21, &answer) : rc; /* forgets to give it back: .drop does it */
}

static int panics(struct borrower *b)
{
    int rc = uses(b);
    haft_panic("with a connection in hand: %s", haft_errname(rc));
}

static void no_line(const haft_panic_info *panic)
{
    (void)panic;
}

static void five(connections *c, int (*body)(struct borrower *))
{
    haft_set *set = haft_set_new();
    if (set == NULL)
        return;
    for (int i = 0; i < 5; i++)
        haft_set_spawn(set, body, &(struct borrower){ .from = c }, .drop = lease_drop);
    int code;
    while (haft_set_next(set, HAFT_NO_FRAME, &code) == 0) /* nobody wants the frame back */
        printf("  %s\n", haft_strerror(code));
    haft_set_drop(&set);
}

int main(void)
{
    haft_on_panic(no_line);
    connections *c = connections_new(2, 5 * HAFT_MS);
    if (c == NULL)
        return 1;
    printf("five borrowers that forget to give back:\n");
    five(c, uses);
    printf("five that panic:\n");
    five(c, panics);

    lease a = { 0 }, b = { 0 }, none = { 0 };
    int answer, got_a = connections_acquire(c, &a), got_b = connections_acquire(c, &b);
    printf("two leases: %s, %s\n", haft_errname(got_a), haft_errname(got_b));
    {
        HAFT_TIMEOUT(5 * HAFT_MS);
        printf("a third: %s\n", haft_errname(connections_acquire(c, &none)));
    }
    server_restart();
    printf("the server is restarted: %s\n", haft_strerror(wire_ask(a.wire, 21, &answer)));
    lease_drop(&a);
    lease_drop(&b);
    while (server_accepted() < 4) /* idle ones are looked after */
        haft_sleep(HAFT_MS);
    connections_acquire(c, &a);
    printf("a new lease: %s\n", haft_strerror(wire_ask(a.wire, 21, &answer)));

    connections_drop(&c); /* while a lease is out */
    printf("the old lease: %s\n", haft_strerror(wire_ask(a.wire, 21, &answer)));
    lease_drop(&a);
    printf("%d connections were opened, %d are open\n", server_accepted(), server_connections());
    return 0;
}
