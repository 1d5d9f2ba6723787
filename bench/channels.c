/* SPDX-License-Identifier: MIT
 *
 * W5, W6 and W13: what goes through channels. A variant is the capacity, "1", "0" or "unbounded", for W6 with the shape
 * before it: "4x1-128" is four producers, one consumer, capacity 128. */
#include "channels.h"

#include <haft/haft.h>

#include <stdlib.h>
#include <string.h>

typedef HAFT_SENDER(uint64_t) number_sender;
typedef HAFT_RECEIVER(uint64_t) number_receiver;

static void open_channel(number_sender *tx, number_receiver *rx, const char *capacity)
{
    if (strcmp(capacity, "unbounded") == 0)
        sample_check(haft_channel_unbounded(tx, rx) == 0);
    else
        sample_check(haft_channel(tx, rx, strtoul(capacity, NULL, 10)) == 0);
}

/* --- W5: two talk to each other ----------------------------------------------------------------------------------- */

struct echo {
    number_receiver rx;
    number_sender tx;
};

static int echo(struct echo *e)
{
    uint64_t number;
    while (haft_recv(&e->rx, &number) == 0)
        sample_check(haft_send(&e->tx, &number) == 0);
    haft_receiver_drop(&e->rx);
    haft_sender_drop(&e->tx);
    return 0;
}

struct ping {
    const char *capacity;
    haft_kind other;
};

static void ping_pong(void *context, size_t n)
{
    const struct ping *p = context;
    struct echo e;
    number_sender tx;
    number_receiver rx;
    open_channel(&tx, &e.rx, p->capacity);
    open_channel(&e.tx, &rx, p->capacity);
    haft_handle h = haft_spawn(echo, &e, .kind = p->other);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t number = i + 1;
        sample_check(haft_send(&tx, &number) == 0 && haft_recv(&rx, &number) == 0);
        sum += number;
    }
    haft_sender_drop(&tx);
    sample_check(haft_join(&h) == 0);
    haft_receiver_drop(&rx);
    sample_check(sum == sample_expected_sum(n));
}

int w5_ping_pong(struct sample_request *request)
{
    struct ping p = { .capacity = request->variant };
    if (strcmp(request->workload, "W5") != 0)
        p.other = HAFT_THREAD; /* W5t: this is the main thread; W5x: this is a task */
    sample_cold_and_warm(ping_pong, &p, request->n, request->n);
    return 0;
}

/* --- W6: many numbers through one channel ------------------------------------------------------------------------- */

struct end {
    number_sender tx;
    number_receiver rx;
    uint64_t first, last, sum;
};

static int produce(struct end *e)
{
    for (uint64_t number = e->first; number <= e->last; number++)
        sample_check(haft_send(&e->tx, &number) == 0);
    haft_sender_drop(&e->tx);
    return 0;
}

static int consume(struct end *e)
{
    uint64_t number;
    while (haft_recv(&e->rx, &number) == 0)
        e->sum += number;
    haft_receiver_drop(&e->rx);
    return 0;
}

enum { ENDS = 8 };

struct flow {
    const char *capacity;
    size_t producers, consumers;
    haft_kind kind;
};

static void flow(void *context, size_t n)
{
    const struct flow *f = context;
    struct end e = { 0 }, mine = { 0 };
    haft_handle hs[2 * ENDS];
    size_t count = 0;
    open_channel(&e.tx, &mine.rx, f->capacity);
    for (size_t i = 0; i < f->producers; i++) {
        struct end p = { .first = n * i / f->producers + 1, .last = n * (i + 1) / f->producers };
        sample_check(haft_sender_clone(&e.tx, &p.tx) == 0);
        hs[count++] = haft_spawn(produce, &p, .kind = f->kind);
    }
    haft_sender_drop(&e.tx);
    for (size_t i = 1; i < f->consumers; i++) {
        struct end c = { 0 };
        sample_check(haft_receiver_clone(&mine.rx, &c.rx) == 0);
        hs[count++] = haft_spawn(consume, &c, .kind = f->kind);
    }
    consume(&mine);
    for (size_t i = 0; i < count; i++) {
        sample_check(haft_join(&hs[i], &e) == 0);
        mine.sum += e.sum;
    }
    sample_check(mine.sum == sample_expected_sum(n));
}

int w6_throughput(struct sample_request *request)
{
    struct flow f = { .kind = strcmp(request->workload, "W6") == 0 ? HAFT_TASK : HAFT_THREAD };
    char *rest;
    f.producers = strtoul(request->variant, &rest, 10);
    sample_check(*rest == 'x');
    f.consumers = strtoul(rest + 1, &rest, 10);
    sample_check(rest[0] == '-' && rest[1] != '\0');
    f.capacity = rest + 1;
    sample_check(f.producers <= ENDS && f.consumers <= ENDS);
    sample_cold_and_warm(flow, &f, request->n, request->n);
    return 0;
}

/* --- W13: select over four that are ready ------------------------------------------------------------------------- */

static void select_and_send_back(void *context, size_t n)
{
    (void)context;
    number_sender tx[4];
    number_receiver rx[4];
    uint64_t number = 1, sum = 0;
    for (int i = 0; i < 4; i++) {
        open_channel(&tx[i], &rx[i], "1");
        sample_check(haft_send(&tx[i], &number) == 0);
    }
    for (size_t i = 0; i < n; i++) {
        int arm = haft_select(HAFT_ON_RECV(&rx[0], &number), HAFT_ON_RECV(&rx[1], &number),
                              HAFT_ON_RECV(&rx[2], &number), HAFT_ON_RECV(&rx[3], &number));
        sample_check(arm >= 0 && haft_send(&tx[arm], &number) == 0);
        sum += number;
    }
    sample_check(sum == n);
    for (int i = 0; i < 4; i++) {
        haft_sender_drop(&tx[i]);
        haft_receiver_drop(&rx[i]);
    }
}

int w13_select(struct sample_request *request)
{
    sample_cold_and_warm(select_and_send_back, NULL, request->n, request->n);
    return 0;
}
