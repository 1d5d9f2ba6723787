/* SPDX-License-Identifier: MIT
 *
 * Bounded producers and consumers. Four tasks make lines, two threads take them; the channel holds eight at most, so who is
 * faster waits for the others. A line has one owner at any time, and is freed by whoever holds it last. */
#include <haft/haft.h>

#include <stdio.h>
#include <stdlib.h>

typedef HAFT_SENDER(char *) line_sender;
typedef HAFT_RECEIVER(char *) line_receiver;

struct producer {
    line_sender tx;
    int number;
};

static int produce(struct producer *p)
{
    HAFT_DEFER(haft_sender_drop, &p->tx);
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++) {
        char *line = malloc(32);
        if (line == NULL)
            return HAFT_ENOMEM;
        snprintf(line, 32, "line %d of producer %d", i, p->number);
        rc = haft_send(&p->tx, HAFT_MOVE(&line)); /* now it is the channel's, and line is null */
        free(line);                               /* or the send has failed, and it is still ours */
    }
    return rc;
}

struct consumer {
    line_receiver rx;
    int lines;
};

static int consume(struct consumer *c)
{
    HAFT_DEFER(haft_receiver_drop, &c->rx);
    char *line;
    int rc;
    while ((rc = haft_recv(&c->rx, &line)) == 0) {
        c->lines++;
        free(line);
    }
    return rc == HAFT_ECLOSED ? 0 : rc; /* every producer is gone, and all was received */
}

int main(void)
{
    line_sender tx;
    line_receiver rx;
    if (haft_channel(&tx, &rx, 8, .drop = haft_drop_free) != 0)
        return 1;
    haft_handle producers[4], consumers[2];
    for (int i = 0; i < 4; i++) {
        struct producer p = { .number = i };
        haft_sender_clone(&tx, &p.tx);
        producers[i] = haft_spawn(produce, &p);
    }
    for (int i = 0; i < 2; i++) {
        struct consumer c = { .lines = 0 };
        haft_receiver_clone(&rx, &c.rx);
        consumers[i] = haft_spawn(consume, &c, .kind = HAFT_THREAD);
    }
    haft_sender_drop(&tx);
    haft_receiver_drop(&rx);

    int rc = haft_join_all(producers, 4, NULL), lines = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        struct consumer c;
        rc = haft_join(&consumers[i], &c);
        lines += c.lines;
    }
    printf("%d lines, then %s\n", lines, haft_strerror(rc));
    return 0;
}
