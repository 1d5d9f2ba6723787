/* SPDX-License-Identifier: MIT
 *
 * A pipeline with back-pressure: read -> square -> sum, with a channel of four between the stages. It shuts down cleanly
 * from either end: when the first stage has no more, the end travels forward; when the last has enough, it drops its
 * receiver, and the refusal travels backward, each stage still holding what it could not send. */
#include <haft/haft.h>

#include <stdio.h>

typedef HAFT_SENDER(long) sender;
typedef HAFT_RECEIVER(long) receiver;

struct stage {
    receiver rx;
    sender tx;
    long limit, handled;
};

static int count_up(struct stage *s)
{
    HAFT_DEFER(haft_sender_drop, &s->tx);
    for (long n = 1; s->handled < s->limit; n++, s->handled++)
        if (haft_send(&s->tx, &n) != 0)
            break;
    return 0;
}

static int square(struct stage *s)
{
    HAFT_DEFER(haft_receiver_drop, &s->rx);
    HAFT_DEFER(haft_sender_drop, &s->tx);
    for (long n; haft_recv(&s->rx, &n) == 0; s->handled++) {
        n *= n;
        if (haft_send(&s->tx, &n) != 0)
            break;
    }
    return 0;
}

static int run(long numbers, long wanted)
{
    struct stage first = { .limit = numbers }, second = { 0 };
    receiver results;
    if (haft_channel(&first.tx, &second.rx, 4) != 0)
        return HAFT_ENOMEM;
    if (haft_channel(&second.tx, &results, 4) != 0) {
        haft_sender_drop(&first.tx);
        haft_receiver_drop(&second.rx);
        return HAFT_ENOMEM;
    }
    haft_handle counting = haft_spawn(count_up, &first), squaring = haft_spawn(square, &second, .kind = HAFT_THREAD);

    long sum = 0, n, got = 0;
    while (got < wanted && haft_recv(&results, &n) == 0) {
        sum += n;
        got++;
    }
    haft_receiver_drop(&results); /* enough, or there are no more */

    int rc = haft_join(&counting, &first);
    rc = rc != 0 ? rc : haft_join(&squaring, &second);
    printf("%ld of %ld, sum %ld; nobody ran far ahead: %d\n", got, numbers, sum, first.handled <= got + 12);
    return rc;
}

int main(void)
{
    int rc = run(1000, 5000); /* ends at the front */
    return rc != 0 ? rc : run(1000000, 10) != 0;
}
