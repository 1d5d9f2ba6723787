/* SPDX-License-Identifier: MIT
 *
 * Storms over channels: jobs of every kind send and receive in every way there is, under deadlines, aborts and closes, in
 * an order that follows from a printed seed as far as the machine's own order allows. Every value is a number, and at the
 * end each has had exactly one fate: it was received, dropped by the channel, or kept by the one who could not send it.
 *
 * Environment: HAFT_TEST_SEED=n takes that seed again. */
#include <haft/haft.h>

#include <inttypes.h>

#include "callers.h"
#include "chance.h"

/* --- fates -------------------------------------------------------------------------------------------------------- */

static _Atomic unsigned *fates; /* not bytes: as in storm.h */
static _Atomic size_t received, dropped, kept;

static void meets_its_fate(size_t number, _Atomic size_t *which)
{
    unsigned before = atomic_fetch_add(&fates[number], 1);
    check_msg(before == 0, "value %zu has had a fate before", number);
    atomic_fetch_add(which, 1);
}

static void drop_number(void *element)
{
    meets_its_fate(*(size_t *)element, &dropped);
}

typedef HAFT_SENDER(size_t) number_sender;
typedef HAFT_RECEIVER(size_t) number_receiver;
typedef HAFT_SLOT(size_t) number_slot;

enum { CHANNELS = 3 };

struct player {
    number_sender tx[CHANNELS];
    number_receiver rx[CHANNELS];
    size_t next, end; /* a sender's numbers; those before next have met their fate or are on their way */
    uint64_t chance;
};

/* --- senders ------------------------------------------------------------------------------------------------------ */

static int send_by_select(struct player *p, const size_t *number)
{
    unsigned k = below(&p->chance, CHANNELS);
    int rc = 0;
    int arm = haft_select(HAFT_ON_SEND(&p->tx[k], number, .rc = &rc),
                          HAFT_ON_SEND(&p->tx[(k + 1) % CHANNELS], number, .rc = &rc),
                          HAFT_ON_TIMEOUT(below(&p->chance, 50) * HAFT_US));
    return arm < 0 ? arm : arm == 2 ? HAFT_ETIMEDOUT : rc;
}

static int send_by_slot(struct player *p, number_sender *tx, const size_t *number)
{
    number_slot slot;
    int rc = haft_reserve(tx, &slot);
    if (rc != 0)
        return rc == HAFT_EINVAL ? HAFT_EAGAIN : rc; /* a rendezvous */
    if (below(&p->chance, 3) == 0) {
        haft_slot_drop(&slot);
        return HAFT_EAGAIN;
    }
    rc = haft_slot_send(&slot, number);
    haft_slot_drop(&slot); /* nothing, or the slot of a send that failed */
    return rc;
}

static int send_somehow(struct player *p, const size_t *number)
{
    number_sender *tx = &p->tx[below(&p->chance, CHANNELS)];
    switch (below(&p->chance, 5)) {
    case 0:
        return haft_try_send(tx, number);
    case 1:
        return send_by_select(p, number);
    case 2: {
        HAFT_TIMEOUT(below(&p->chance, 30) * HAFT_US);
        return send_by_slot(p, tx, number);
    }
    case 3: {
        HAFT_TIMEOUT(below(&p->chance, 30) * HAFT_US);
        return haft_send(tx, number);
    }
    default:
        return haft_send(tx, number);
    }
}

static int send_all(struct player *p)
{
    unsigned closed = 0;
    while (p->next < p->end) {
        int rc = send_somehow(p, &p->next);
        if (rc == HAFT_ECANCELED)
            return rc;
        if (rc == HAFT_ECLOSED && ++closed > 20)
            return 0;
        check_msg(rc == 0 || rc == HAFT_ECLOSED || rc == HAFT_EAGAIN || rc == HAFT_ETIMEDOUT, "%s", haft_errname(rc));
        p->next += rc == 0;
        if (rc == HAFT_EAGAIN && haft_yield() != 0)
            return HAFT_ECANCELED;
    }
    return 0;
}

/* --- receivers ---------------------------------------------------------------------------------------------------- */

static int receive_by_select(struct player *p, size_t *number)
{
    int rc = 0;
    int arm = haft_select(HAFT_ON_RECV(&p->rx[0], number, .rc = &rc), HAFT_ON_RECV(&p->rx[1], number, .rc = &rc),
                          HAFT_ON_RECV(&p->rx[2], number, .rc = &rc), HAFT_ON_TIMEOUT(below(&p->chance, 50) * HAFT_US));
    return arm < 0 ? arm : arm == 3 ? HAFT_ETIMEDOUT : rc;
}

static int receive_somehow(struct player *p, number_receiver *rx, size_t numbers[4], size_t *n)
{
    *n = 1;
    switch (below(&p->chance, 5)) {
    case 0:
        return haft_try_recv(rx, numbers);
    case 1:
        return receive_by_select(p, numbers);
    case 2: {
        HAFT_TIMEOUT(below(&p->chance, 30) * HAFT_US);
        return haft_recv_many(rx, numbers, 4, n);
    }
    case 3: {
        HAFT_TIMEOUT(below(&p->chance, 30) * HAFT_US);
        return haft_recv(rx, numbers);
    }
    default: /* a while without end would keep this job from the other channels when one gets no values any more */
        return below(&p->chance, 4) == 0 ? haft_try_recv(rx, numbers) : receive_by_select(p, numbers);
    }
}

static int receive_all(struct player *p)
{
    for (;;) {
        size_t numbers[4], n, number;
        unsigned k = below(&p->chance, CHANNELS);
        int rc = receive_somehow(p, &p->rx[k], numbers, &n);
        if (rc == HAFT_ECANCELED)
            return rc;
        check_msg(rc == 0 || rc == HAFT_ECLOSED || rc == HAFT_EAGAIN || rc == HAFT_ETIMEDOUT, "%s", haft_errname(rc));
        for (size_t i = 0; rc == 0 && i < n; i++)
            meets_its_fate(numbers[i], &received);
        if (rc == HAFT_EAGAIN && haft_yield() != 0)
            return HAFT_ECANCELED;
        if (rc != HAFT_ECLOSED)
            continue;
        unsigned ended = 0; /* one is; are all? */
        for (k = 0; k < CHANNELS; k++) {
            rc = haft_try_recv(&p->rx[k], &number);
            if (rc == 0)
                meets_its_fate(number, &received);
            ended += rc == HAFT_ECLOSED;
        }
        if (ended == CHANNELS)
            return 0;
    }
}

/* --- the storm ---------------------------------------------------------------------------------------------------- */

enum { SENDERS = 6, RECEIVERS = 5 };

struct storm {
    number_sender tx[CHANNELS];
    number_receiver rx[CHANNELS];
    haft_handle senders[SENDERS], receivers[RECEIVERS];
    uint64_t chance;
};

static void open_channels(struct storm *s)
{
    static const size_t capacities[] = { 0, 1, 2, 7, SIZE_MAX };
    for (int k = 0; k < CHANNELS; k++) {
        size_t capacity = capacities[below(&s->chance, 5)];
        check_int(capacity == SIZE_MAX ? haft_channel_unbounded(&s->tx[k], &s->rx[k], .drop = drop_number)
                                       : haft_channel(&s->tx[k], &s->rx[k], capacity, .drop = drop_number),
                  ==, 0);
    }
}

static struct player make_player(struct storm *s)
{
    struct player p = { .chance = next_random(&s->chance) };
    for (int k = 0; k < CHANNELS; k++) {
        check_int(haft_sender_clone(&s->tx[k], &p.tx[k]), ==, 0);
        check_int(haft_receiver_clone(&s->rx[k], &p.rx[k]), ==, 0);
    }
    return p;
}

static haft_kind some_kind(struct storm *s)
{
    return (haft_kind)(below(&s->chance, 4) % KINDS);
}

/* What nobody but the jobs themselves would do: abort some, close some. */
static void disturb(struct storm *s)
{
    for (unsigned n = below(&s->chance, 4); n > 0; n--) {
        check_int(haft_sleep(below(&s->chance, 300) * HAFT_US), ==, 0);
        switch (below(&s->chance, 4)) {
        case 0:
            haft_abort(s->senders[below(&s->chance, SENDERS)]);
            break;
        case 1:
            haft_abort(s->receivers[below(&s->chance, RECEIVERS - 1)]); /* the last one stays */
            break;
        case 2:
            haft_channel_close(&s->tx[below(&s->chance, CHANNELS)]);
            break;
        default:
            break;
        }
    }
}

static void end_player(struct player *p, bool is_sender)
{
    for (int k = 0; k < CHANNELS; k++) {
        if (is_sender)
            haft_sender_drop(&p->tx[k]);
        else
            haft_receiver_drop(&p->rx[k]);
    }
    while (is_sender && p->next < p->end)
        meets_its_fate(p->next++, &kept);
}

static void run_storm(uint64_t seed, size_t numbers)
{
    struct storm s = { .chance = seed };
    fates = calloc(numbers, sizeof *fates);
    check_ptr(fates, !=, NULL);
    received = dropped = kept = 0;
    open_channels(&s);
    for (size_t i = 0; i < SENDERS; i++) {
        struct player p = make_player(&s);
        end_player(&p, false);
        p.next = numbers * i / SENDERS;
        p.end = numbers * (i + 1) / SENDERS;
        s.senders[i] = haft_spawn(send_all, &p, .kind = some_kind(&s));
    }
    for (size_t i = 0; i < RECEIVERS; i++) {
        struct player p = make_player(&s);
        end_player(&p, true);
        s.receivers[i] = haft_spawn(receive_all, &p, .kind = some_kind(&s));
    }
    disturb(&s);
    struct player p;
    haft_outcome out;
    for (size_t i = 0; i < SENDERS; i++) {
        check_int(haft_join_outcome(&s.senders[i], &p, &out), ==, 0);
        end_player(&p, true);
    }
    for (int k = 0; k < CHANNELS; k++)
        haft_sender_drop(&s.tx[k]);
    for (size_t i = 0; i < RECEIVERS; i++) {
        check_int(haft_join_outcome(&s.receivers[i], &p, &out), ==, 0);
        end_player(&p, false);
    }
    for (int k = 0; k < CHANNELS; k++)
        haft_receiver_drop(&s.rx[k]);
    for (size_t i = 0; i < numbers; i++)
        check_msg(fates[i] == 1, "value %zu has had %u fates (seed %" PRIu64 ")", i, fates[i], seed);
    check_uint(received + dropped + kept, ==, numbers);
    free((void *)fates);
}

TEST_LONG_FROM_EVERY_CALLER("whatever strikes, every value sent is received, dropped or kept exactly once")
{
    uint64_t seed = choose_seed();
    size_t left = rounds(4000, 200000); /* from each of five callers */
    while (left > 0) {
        size_t numbers = left < 1000 ? left : 1000;
        run_storm(next_random(&seed), numbers);
        left -= numbers;
    }
}

/* --- ends that come and go ---------------------------------------------------------------------------------------- */

static int send_until_closed(struct player *p)
{
    int rc = 0;
    while (p->next < p->end && (rc = haft_send(&p->tx[0], &p->next)) == 0)
        p->next++;
    end_player(p, true);
    return rc == HAFT_ECLOSED ? 0 : rc;
}

static int receive_some(struct player *p)
{
    size_t number;
    for (unsigned n = below(&p->chance, 20); n > 0 && haft_recv(&p->rx[0], &number) == 0; n--)
        meets_its_fate(number, &received);
    haft_receiver_drop(&p->rx[0]);
    return 0;
}

TEST_LONG_FROM_EVERY_CALLER(
    "when both sides drop their ends at any moment, every value has one fate and nothing is left")
{
    uint64_t chance = choose_seed();
    for (size_t left = rounds(150, 20000); left > 0; left--) {
        enum { NUMBERS = 60 };
        fates = calloc(NUMBERS, sizeof *fates);
        received = dropped = kept = 0;
        number_sender tx;
        number_receiver rx;
        check_int(haft_channel(&tx, &rx, below(&chance, 3), .drop = drop_number), ==, 0);
        haft_handle hs[4];
        for (size_t i = 0; i < 2; i++) {
            struct player s = { .next = NUMBERS / 2 * i, .end = NUMBERS / 2 * (i + 1) }, r = { .chance = chance + i };
            check_int(haft_sender_clone(&tx, &s.tx[0]), ==, 0);
            check_int(haft_receiver_clone(&rx, &r.rx[0]), ==, 0);
            haft_kind kind = (haft_kind)(below(&chance, 9) % 7 % KINDS);
            hs[2 * i] = haft_spawn(send_until_closed, &s, .kind = kind);
            hs[2 * i + 1] = haft_spawn(receive_some, &r, .kind = kind);
        }
        haft_sender_drop(&tx);
        haft_receiver_drop(&rx);
        for (size_t i = 0; i < 4; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        for (size_t i = 0; i < NUMBERS; i++)
            check_int(fates[i], ==, 1);
        free((void *)fates);
    }
}
