/* SPDX-License-Identifier: MIT
 *
 * The first answer wins. Three servers are asked the same; whichever answers first is taken, the others are aborted, and
 * after 50 ms we would do without. Exactly one arm of a select happens: no answer is taken and thrown away. */
#include <haft/haft.h>

#include <stdio.h>

typedef HAFT_SENDER(int) answer_sender;
typedef HAFT_RECEIVER(int) answer_receiver;

struct server {
    int number;
    int64_t needs;
    answer_sender tx;
};

static int answer(struct server *s)
{
    HAFT_DEFER(haft_sender_drop, &s->tx);
    int rc = haft_sleep(s->needs); /* HAFT_ECANCELED: nobody wants it any more */
    int value = 100 * s->number;
    return rc == 0 ? haft_send(&s->tx, &value) : rc;
}

static void ask(const int64_t needs[3])
{
    answer_receiver rx[3];
    haft_handle servers[3];
    for (int i = 0; i < 3; i++) {
        struct server s = { .number = i, .needs = needs[i] };
        if (haft_oneshot(&s.tx, &rx[i]) != 0)
            return;
        servers[i] = haft_spawn(answer, &s);
    }
    int value = 0;
    switch (haft_select(HAFT_ON_RECV(&rx[0], &value), HAFT_ON_RECV(&rx[1], &value), HAFT_ON_RECV(&rx[2], &value),
                        HAFT_ON_TIMEOUT(50 * HAFT_MS))) {
    case 0:
    case 1:
    case 2:
        printf("the first answer is %d\n", value);
        break;
    case 3:
        printf("no answer in time\n");
        break;
    default:
        printf("a server has died\n");
        break;
    }
    for (int i = 0; i < 3; i++) {
        haft_drop(&servers[i]); /* aborts it, and waits until it has ended */
        haft_receiver_drop(&rx[i]);
    }
}

int main(void)
{
    ask((int64_t[]){ 5 * HAFT_S, HAFT_MS, 5 * HAFT_S });
    ask((int64_t[]){ 5 * HAFT_S, 5 * HAFT_S, 5 * HAFT_S });
    return 0;
}
