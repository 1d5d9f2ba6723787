/* SPDX-License-Identifier: MIT
 *
 * A shared queue behind a lock, turned into channels. With a lock every user must know who may touch what when, how to
 * wait, and how all learn of the end. Here orders are handed over: the queue is `orders`, each order carries the way back
 * for its own answer, and the end is the last sender's drop. */
#include <haft/haft.h>

#include <stdio.h>

typedef HAFT_SENDER(int) reply_sender;
typedef HAFT_RECEIVER(int) reply_receiver;

struct order {
    int amount;
    reply_sender reply; /* a oneshot: it travels with the order */
};
typedef HAFT_SENDER(struct order) order_sender;
typedef HAFT_RECEIVER(struct order) order_receiver;
static void drop_order(void *order)
{
    haft_sender_drop(&((struct order *)order)->reply); /* whoever waits for the answer is told */
}
struct keeper {
    order_receiver orders;
    int stock;
};
/* The only one who ever touches the stock. */
static int keep(struct keeper *k)
{
    HAFT_DEFER(haft_receiver_drop, &k->orders);
    for (struct order o; haft_recv(&k->orders, &o) == 0;) {
        int delivered = o.amount <= k->stock ? o.amount : 0;
        k->stock -= delivered;
        haft_send(&o.reply, &delivered); /* refused if nobody waits any more */
        haft_sender_drop(&o.reply);
    }
    return 0;
}

struct customer {
    order_sender orders;
    int amount, got;
};
static int buy(struct customer *c)
{
    HAFT_DEFER(haft_sender_drop, &c->orders);
    reply_receiver answer;
    struct order o = { .amount = c->amount };
    int rc = haft_oneshot(&o.reply, &answer);
    if (rc == 0 && (rc = haft_send(&c->orders, &o)) != 0)
        drop_order(&o);
    if (rc == 0)
        rc = haft_recv(&answer, &c->got);
    haft_receiver_drop(&answer);
    return rc;
}

int main(void)
{
    order_sender orders;
    struct keeper k = { .stock = 1000 };
    int rc = haft_channel(&orders, &k.orders, 16, .drop = drop_order), sold = 0, served = 0;
    if (rc != 0)
        return rc;
    haft_handle keeper = haft_spawn(keep, &k), customers[100];
    for (int i = 0; i < 100; i++) {
        struct customer c = { .amount = 15 };
        haft_sender_clone(&orders, &c.orders);
        customers[i] = haft_spawn(buy, &c);
    }
    haft_sender_drop(&orders);
    for (int i = 0; i < 100; i++) {
        struct customer c = { 0 };
        served += haft_join(&customers[i], &c) == 0 && c.got > 0;
        sold += c.got;
    }
    rc = haft_join(&keeper, &k);
    printf("%d customers were served, %d sold, %d left\n", served, sold, k.stock);
    return rc;
}
