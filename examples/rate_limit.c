/* SPDX-License-Identifier: MIT
 *
 * Rate limiting with a ticker: however many want to, one request goes out in every two milliseconds. Each has to get a
 * ticket first, and whoever owns the ticker hands them out at its pace. With HAFT_TICK_DELAY a stall is not made up for
 * by a burst. */
#include <haft/haft.h>

#include <stdio.h>

enum { REQUESTS = 12, WORKERS = 4 };
#define PACE (2 * HAFT_MS)

typedef HAFT_SENDER(int) ticket_sender;
typedef HAFT_RECEIVER(int) ticket_receiver;

static int sell(ticket_sender *tickets)
{
    HAFT_DEFER(haft_sender_drop, tickets);
    haft_ticker ticker;
    int rc = haft_ticker_start(&ticker, PACE, .missed = HAFT_TICK_DELAY);
    HAFT_DEFER(haft_ticker_drop, &ticker);
    for (int number = 0; rc == 0; number++)
        if ((rc = haft_ticker_wait(&ticker)) == 0)
            rc =
                haft_send(tickets, &number); /* capacity 0: a ticket is sold when somebody wants it, and none is kept */
    return rc == HAFT_ECLOSED ? 0 : rc;
}

struct worker {
    ticket_receiver tickets;
    int requests, sent;
};

static int work(struct worker *w)
{
    HAFT_DEFER(haft_receiver_drop, &w->tickets);
    int ticket, rc = 0;
    while (w->sent < w->requests && (rc = haft_recv(&w->tickets, &ticket)) == 0)
        w->sent++; /* the request goes out here */
    return rc;
}

int main(void)
{
    ticket_sender tx;
    ticket_receiver rx;
    int rc = haft_channel(&tx, &rx, 0), sent = 0;
    if (rc != 0)
        return rc;
    int64_t begin = haft_now();
    haft_handle seller = haft_spawn(sell, &tx), workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        struct worker w = { .requests = REQUESTS / WORKERS };
        haft_receiver_clone(&rx, &w.tickets);
        workers[i] = haft_spawn(work, &w);
    }
    haft_receiver_drop(&rx);
    for (int i = 0; i < WORKERS; i++) {
        struct worker w = { 0 };
        rc = haft_join(&workers[i], &w);
        sent += w.sent;
    }
    int64_t least = (REQUESTS - 1) * PACE; /* the first at once */
    printf("%d requests, none too early: %s\n", sent, haft_now() - begin >= least ? "yes" : "no");
    printf("the seller, once nobody buys: %s\n", haft_strerror(haft_join(&seller)));
    return rc;
}
