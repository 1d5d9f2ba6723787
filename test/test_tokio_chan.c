/* SPDX-License-Identifier: MIT
 *
 * What Tokio's own tests check of mpsc, oneshot, broadcast and watch, told again for haft: each test is named after the
 * original, and asserts what that does, from tasks and from threads. Over 600 lines: one original after the other. */
#include <haft/haft.h>

#include <string.h>

#include "channels.h"

/* --- mpsc --------------------------------------------------------------------------------------------------------- */

static int send_1_and_2(struct ends *e)
{
    send_int(&e->tx, 1);
    send_int(&e->tx, 2);
    haft_sender_drop(&e->tx);
    return 0;
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/async_send_recv_with_buffer: two values, then the end")
{
    for_each_kind(kind)
        for (size_t capacity = 0; capacity <= 16; capacity += 8) {
            struct ends e = channel_of(capacity);
            haft_handle h = haft_spawn(send_1_and_2, &e, .kind = kind);
            check_int(recv_int(&e.rx), ==, 1);
            check_int(recv_int(&e.rx), ==, 2);
            int value;
            check_int(haft_recv(&e.rx, &value), ==, HAFT_ECLOSED);
            check_int(haft_join(&h), ==, 0);
            haft_receiver_drop(&e.rx);
        }
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc/start_send_past_cap: senders beyond the capacity wait, and the end comes after the last")
{
    struct ends e = channel_of(1);
    int_sender second;
    check_int(haft_sender_clone(&e.tx, &second), ==, 0);
    check_int(try_send_code(&e.tx, 1), ==, 0);
    check_int(try_send_code(&second, 2), ==, HAFT_EAGAIN);
    haft_sender_drop(&e.tx);
    check_int(recv_int(&e.rx), ==, 1);
    check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
    haft_sender_drop(&second);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    haft_receiver_drop(&e.rx);
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/recv_close_gets_none_reserved: after a close a held permit may still be sent")
{
    struct ends e = channel_of(1);
    int_sender second;
    int_slot permit, refused;
    check_int(haft_sender_clone(&e.tx, &second), ==, 0);
    check_int(haft_reserve(&e.tx, &permit), ==, 0);
    haft_channel_close(&e.rx);
    check_int(haft_reserve(&second, &refused), ==, HAFT_ECLOSED);
    check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
    int value = 123;
    check_int(haft_slot_send(&permit, &value), ==, 0);
    check_int(recv_int(&e.rx), ==, 123);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    haft_sender_drop(&second);
    drop_ends(&e);
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/tx_close_gets_none, recv_close_gets_none_idle: nothing is left to come")
{
    struct ends e = channel_of(10);
    haft_channel_close(&e.rx);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    check_int(try_send_code(&e.tx, 1), ==, HAFT_ECLOSED);
    drop_ends(&e);
    e = channel_of(10);
    haft_sender_drop(&e.tx);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    haft_receiver_drop(&e.rx);
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc/try_reserve_fails, drop_permit_releases_permit: a dropped permit is room for the next")
{
    struct ends e = channel_of(1);
    int_slot first, second;
    check_int(haft_try_reserve(&e.tx, &first), ==, 0);
    check_int(haft_try_reserve(&e.tx, &second), ==, HAFT_EAGAIN);
    haft_slot_drop(&first);
    check_int(haft_try_reserve(&e.tx, &second), ==, 0);
    haft_slot_drop(&second);
    drop_ends(&e);
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/dropping_rx_closes_channel_for_try, ping_try_send_unbounded")
{
    struct ends e;
    check_int(haft_channel_unbounded(&e.tx, &e.rx), ==, 0);
    check_int(try_send_code(&e.tx, 1), ==, 0);
    check_int(recv_int(&e.rx), ==, 1);
    haft_receiver_drop(&e.rx);
    check(haft_channel_is_closed(&e.tx));
    check_int(try_send_code(&e.tx, 2), ==, HAFT_ECLOSED);
    haft_sender_drop(&e.tx);
}

static void count_drop(void *element)
{
    atomic_fetch_add(*(_Atomic int **)element, 1);
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc/dropping_rx_closes_channel: what was sent is dropped with the receiver, not with the sender")
{
    HAFT_SENDER(_Atomic int *) tx;
    HAFT_RECEIVER(_Atomic int *) rx;
    _Atomic int drops = 0, *message = &drops;
    check_int(haft_channel(&tx, &rx, 100, .drop = count_drop), ==, 0);
    check_int(haft_send(&tx, &message), ==, 0);
    haft_receiver_drop(&rx);
    check_int(drops, ==, 1);
    check_int(haft_try_send(&tx, &message), ==, HAFT_ECLOSED);
    haft_sender_drop(&tx);
    check_int(drops, ==, 1);
}

TEST_FROM_EVERY_CALLER("tokio:mpsc_weak/weak_sender, drop_strong_sender, downgrade_upgrade_sender")
{
    struct ends e = channel_of(11);
    int_weak weak;
    int_sender again;
    check_int(haft_sender_downgrade(&e.tx, &weak), ==, 0);
    for (int i = 0; i < 5; i++)
        send_int(&e.tx, i);
    check_int(haft_sender_upgrade(&weak, &again), ==, 0);
    send_int(&again, 5);
    haft_sender_drop(&e.tx);
    haft_sender_drop(&again);
    check_int(haft_sender_upgrade(&weak, &again), ==, HAFT_ECLOSED);
    for (int i = 0; i < 6; i++)
        check_int(recv_int(&e.rx), ==, i);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    haft_weak_sender_drop(&weak);
    haft_receiver_drop(&e.rx);
}

/* --- oneshot ------------------------------------------------------------------------------------------------------ */

static int wait_for_oneshot(struct ends *e)
{
    int value = 0, rc = haft_recv(&e->rx, &value);
    haft_receiver_drop(&e->rx);
    return rc != 0 ? rc : value;
}

TEST_FROM_EVERY_CALLER("tokio:oneshot/send_recv, async_send_recv, drop_sender_before_recv")
{
    for_each_kind(kind)
        for (int sends = 0; sends < 2; sends++) {
            struct ends e;
            check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
            haft_handle h = haft_spawn(wait_for_oneshot, &e, .kind = kind);
            if (sends)
                send_int(&e.tx, 1);
            haft_sender_drop(&e.tx);
            check_int(haft_join(&h), ==, sends ? 1 : HAFT_ECLOSED);
        }
}

TEST_FROM_EVERY_CALLER("tokio:oneshot/explicit_close_try_recv, close_after_recv, sender_changes_task")
{
    struct ends e;
    check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
    haft_channel_close(&e.rx);
    check(haft_channel_is_closed(&e.tx));
    check_int(try_send_code(&e.tx, 1), ==, HAFT_ECLOSED);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    drop_ends(&e);
    check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
    send_int(&e.tx, 17);
    haft_channel_close(&e.rx);
    check_int(recv_int(&e.rx), ==, 17);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    drop_ends(&e);
}

/* --- broadcast ---------------------------------------------------------------------------------------------------- */

typedef HAFT_BROADCAST_SENDER(int) int_broadcast;
typedef HAFT_BROADCAST_RECEIVER(int) int_listener;

static void broadcast_int(int_broadcast *tx, int value)
{
    check_int(haft_broadcast_send(tx, &value), ==, 0);
}

static void hears(int_listener *rx, int expected)
{
    int value = -1;
    check_int(haft_broadcast_try_recv(rx, &value, NULL), ==, 0);
    check_int(value, ==, expected);
}

static void hears_code(int_listener *rx, int expected)
{
    int value;
    check_int(haft_broadcast_try_recv(rx, &value, NULL), ==, expected);
}

TEST_FROM_EVERY_CALLER("tokio:broadcast/send_two_recv: two receivers get both; a late one only what came after")
{
    int_broadcast tx;
    int_listener one, two, late;
    check_int(haft_broadcast(&tx, &one, 16), ==, 0);
    check_int(haft_broadcast_subscribe(&tx, &two), ==, 0);
    hears_code(&one, HAFT_EAGAIN);
    broadcast_int(&tx, 1);
    check_int(haft_broadcast_subscribe(&tx, &late), ==, 0);
    hears(&one, 1);
    hears(&two, 1);
    hears_code(&late, HAFT_EAGAIN);
    broadcast_int(&tx, 2);
    hears(&one, 2);
    hears(&two, 2);
    hears(&late, 2);
    hears_code(&two, HAFT_EAGAIN);
    haft_broadcast_sender_drop(&tx);
    hears_code(&one, HAFT_ECLOSED);
    haft_broadcast_receiver_drop(&one);
    haft_broadcast_receiver_drop(&two);
    haft_broadcast_receiver_drop(&late);
}

TEST_FROM_EVERY_CALLER("tokio:broadcast/lagging_rx, lagging_receiver_recovers_after_wrap")
{
    int_broadcast tx;
    int_listener quick, slow;
    int value;
    uint64_t missed = 0;
    check_int(haft_broadcast(&tx, &quick, 2), ==, 0);
    check_int(haft_broadcast_subscribe(&tx, &slow), ==, 0);
    for (int i = 1; i <= 3; i++) {
        broadcast_int(&tx, i);
        hears(&quick, i);
    }
    check_int(haft_broadcast_try_recv(&slow, &value, &missed), ==, HAFT_ELAGGED);
    check_uint(missed, ==, 1);
    hears(&slow, 2);
    hears(&slow, 3);
    hears_code(&slow, HAFT_EAGAIN);
    for (int i = 4; i <= 10; i++)
        broadcast_int(&tx, i);
    check_int(haft_broadcast_recv(&slow, &value, &missed), ==, HAFT_ELAGGED);
    check_uint(missed, ==, 5);
    haft_broadcast_sender_drop(&tx);
    hears(&slow, 9);
    hears(&slow, 10);
    hears_code(&slow, HAFT_ECLOSED);
    haft_broadcast_receiver_drop(&quick);
    haft_broadcast_receiver_drop(&slow);
}

TEST_FROM_EVERY_CALLER("tokio:broadcast/change_tasks, unconsumed_messages_are_dropped, sending_with_no_receivers")
{
    int_broadcast tx;
    int_listener rx;
    check_int(haft_broadcast(&tx, &rx, 16), ==, 0);
    broadcast_int(&tx, 1);
    haft_broadcast_receiver_drop(&rx);
    int value = 2;
    check_int(haft_broadcast_send(&tx, &value), ==, HAFT_ECLOSED);
    check_int(haft_broadcast_subscribe(&tx, &rx), ==, 0);
    hears_code(&rx, HAFT_EAGAIN);
    haft_broadcast_receiver_drop(&rx);
    haft_broadcast_sender_drop(&tx);
}

/* --- watch -------------------------------------------------------------------------------------------------------- */

typedef HAFT_WATCH_SENDER(int) int_watch;
typedef HAFT_WATCH_RECEIVER(int) int_observer;

static int not_changed(int_observer *rx)
{
    HAFT_TIMEOUT(0);
    return haft_watch_changed(rx);
}

static int see(int_observer *rx)
{
    int value = -1;
    check_int(haft_watch_get(rx, &value), ==, 0);
    return value;
}

TEST_FROM_EVERY_CALLER(
    "tokio:watch/single_rx_recv, multi_rx: each receiver sees each change once, and the last after the end")
{
    int_watch tx;
    int_observer one, two;
    int value = 1;
    check_int(haft_watch(&tx, &one, &value), ==, 0);
    check_int(haft_watch_subscribe(&tx, &two), ==, 0);
    check_int(not_changed(&one), ==, HAFT_ETIMEDOUT);
    check_int(see(&one), ==, 1);
    value = 2;
    check_int(haft_watch_set(&tx, &value), ==, 0);
    check_int(haft_watch_changed(&one), ==, 0);
    check_int(see(&one), ==, 2);
    check_int(not_changed(&one), ==, HAFT_ETIMEDOUT);
    value = 3;
    check_int(haft_watch_set(&tx, &value), ==, 0);
    haft_watch_sender_drop(&tx);
    check_int(haft_watch_changed(&two), ==, 0);
    check_int(see(&two), ==, 3);
    check_int(haft_watch_changed(&two), ==, HAFT_ECLOSED);
    check_int(haft_watch_changed(&one), ==, 0);
    check_int(see(&one), ==, 3);
    check_int(haft_watch_changed(&one), ==, HAFT_ECLOSED);
    haft_watch_receiver_drop(&one);
    haft_watch_receiver_drop(&two);
}

TEST_FROM_EVERY_CALLER("tokio:watch/poll_close, rx_version_underflow: without receivers a set is refused")
{
    int_watch tx;
    int_observer rx;
    int value = 1;
    check_int(haft_watch(&tx, &rx, &value), ==, 0);
    haft_watch_receiver_drop(&rx);
    check_int(haft_watch_set(&tx, &value), ==, HAFT_ECLOSED);
    haft_watch_sender_drop(&tx);
}

/* --- the rest of mpsc --------------------------------------------------------------------------------------------- */

/* Not here: streams (send_recv_stream_*), bounds of types (no_t_bounds_*), counts of senders (test_tx_count_*), a capacity
 * of 0 that is refused (buffer_gteq_one: here it is a rendezvous), tasks that are dropped before they run (drops_tasks),
 * values whose clone or change panics (panic_in_clone, send_modify_panic), the number of a receiver's values
 * (receiver_len_with_lagged), and polls of a close (explicit_close_poll, close_try_recv_poll). */

static int send_many(struct ends *e)
{
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = haft_send(&e->tx, &i);
    haft_sender_drop(&e->tx);
    return rc;
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc/blocking_recv, blocking_send, send_recv_buffer_limited: a small buffer passes everything on, in order")
{
    for_each_kind(kind)
        for (size_t capacity = 0; capacity < 3; capacity++) {
            struct ends e = channel_of(capacity);
            haft_handle h = haft_spawn(send_many, &e, .kind = kind);
            for (int i = 0; i < 100; i++)
                check_int(recv_int(&e.rx), ==, i);
            check_int(haft_join(&h), ==, 0);
            check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
            haft_receiver_drop(&e.rx);
        }
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/send_recv_unbounded, async_send_recv_unbounded: all that was sent, then the end")
{
    for_each_kind(kind) {
        struct ends e;
        check_int(haft_channel_unbounded(&e.tx, &e.rx), ==, 0);
        haft_handle h = haft_spawn(send_many, &e, .kind = kind);
        check_int(haft_join(&h), ==, 0); /* nobody received meanwhile */
        for (int i = 0; i < 100; i++)
            check_int(recv_int(&e.rx), ==, i);
        check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
        haft_receiver_drop(&e.rx);
    }
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/try_send_fail, try_send_fail_with_try_recv: full is full until one is taken")
{
    struct ends e = channel_of(1);
    int value = -1;
    for (int i = 0; i < 4; i++) {
        check_int(try_send_code(&e.tx, i), ==, 0);
        check_int(try_send_code(&e.tx, 100), ==, HAFT_EAGAIN);
        check_int(i % 2 == 0 ? haft_recv(&e.rx, &value) : haft_try_recv(&e.rx, &value), ==, 0);
        check_int(value, ==, i);
    }
    check_int(try_send_code(&e.tx, 4), ==, 0);
    haft_sender_drop(&e.tx);
    check_int(recv_int(&e.rx), ==, 4);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    haft_receiver_drop(&e.rx);
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/try_recv_bounded, try_recv_unbounded: as many as were sent, and not one more")
{
    for (int unbounded = 0; unbounded < 2; unbounded++)
        for (int n = 0; n < 5; n++) {
            struct ends e;
            check_int(unbounded ? haft_channel_unbounded(&e.tx, &e.rx) : haft_channel(&e.tx, &e.rx, 5), ==, 0);
            for (int round = 0; round < 3; round++) {
                for (int i = 0; i < n; i++)
                    send_int(&e.tx, i);
                for (int i = 0; i < n; i++) {
                    int value = -1;
                    check_int(haft_try_recv(&e.rx, &value), ==, 0);
                    check_int(value, ==, i);
                }
                check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
            }
            haft_sender_drop(&e.tx);
            check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
            haft_receiver_drop(&e.rx);
        }
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc/try_recv_close_while_empty_bounded, _unbounded: empty while a sender is left, then ended")
{
    for (int unbounded = 0; unbounded < 2; unbounded++) {
        struct ends e;
        int_sender second;
        check_int(unbounded ? haft_channel_unbounded(&e.tx, &e.rx) : haft_channel(&e.tx, &e.rx, 5), ==, 0);
        check_int(haft_sender_clone(&e.tx, &second), ==, 0);
        haft_sender_drop(&e.tx);
        check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
        haft_sender_drop(&second);
        check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
        haft_receiver_drop(&e.rx);
    }
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/recv_timeout: late if nothing comes, and in time if something does")
{
    struct ends e = channel_of(5);
    int value = -1;
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_recv(&e.rx, &value), ==, HAFT_ETIMEDOUT);
    }
    send_int(&e.tx, 5);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_recv(&e.rx, &value), ==, 0);
        check_int(value, ==, 5);
    }
    haft_sender_drop(&e.tx);
    HAFT_TIMEOUT(0);
    check_int(haft_recv(&e.rx, &value), ==, HAFT_ECLOSED);
    haft_receiver_drop(&e.rx);
}

static int reserve_and_drop(int_sender *tx)
{
    int_slot slot;
    int rc = haft_reserve(tx, &slot);
    haft_slot_drop(&slot);
    haft_sender_drop(tx);
    return rc;
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/reserve_disarm: permits that are not used are the next ones'")
{
    struct ends e = channel_of(2);
    int_slot slots[2];
    for_each_kind(kind) {
        int_sender waits;
        for (int i = 0; i < 2; i++)
            check_int(haft_reserve(&e.tx, &slots[i]), ==, 0);
        check_int(haft_sender_clone(&e.tx, &waits), ==, 0);
        haft_handle h = haft_spawn(reserve_and_drop, &waits, .kind = kind);
        let_them_wait();
        check_int(try_send_code(&e.tx, 1), ==, HAFT_EAGAIN);
        haft_slot_drop(&slots[0]);
        check_int(haft_join(&h), ==, 0);
        int value = 7;
        check_int(haft_slot_send(&slots[1], &value), ==, 0);
        check_int(recv_int(&e.rx), ==, 7);
    }
    drop_ends(&e);
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc/ready_close_cancel_bounded, permit_available_not_acquired_close: room that nobody used is closed with the rest")
{
    for_each_kind(kind) {
        struct ends e = channel_of(1);
        int_slot first;
        int_sender waits;
        check_int(haft_reserve(&e.tx, &first), ==, 0);
        check_int(haft_sender_clone(&e.tx, &waits), ==, 0);
        haft_handle h = haft_spawn(reserve_and_drop, &waits, .kind = kind);
        let_them_wait();
        haft_channel_close(&e.rx);
        check_int(haft_join(&h), ==, HAFT_ECLOSED);
        check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN); /* the first may still send */
        haft_slot_drop(&first);
        check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
        check_int(haft_reserve(&e.tx, &first), ==, HAFT_ECLOSED);
        drop_ends(&e);
    }
}

TEST_FROM_EVERY_CALLER("tokio:mpsc/test_tx_capacity: room is what is neither filled nor promised")
{
    struct ends e = channel_of(3);
    int_slot slot;
    check_uint(haft_channel_capacity(&e.tx), ==, 3);
    send_int(&e.tx, 1);
    check_int(haft_reserve(&e.tx, &slot), ==, 0);
    check_uint(haft_channel_len(&e.tx), ==, 1);
    check_int(try_send_code(&e.tx, 2), ==, 0);
    check_int(try_send_code(&e.tx, 3), ==, HAFT_EAGAIN);
    haft_slot_drop(&slot);
    check_int(try_send_code(&e.tx, 3), ==, 0);
    check_uint(haft_channel_len(&e.rx), ==, 3);
    drop_ends(&e);
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc/unconsumed_messages_are_dropped, mpsc_weak/test_msgs_dropped_on_rx_drop: with the last end, each once")
{
    for (int unbounded = 0; unbounded < 2; unbounded++)
        for (int order = 0; order < 2; order++) {
            HAFT_SENDER(_Atomic int *) tx;
            HAFT_RECEIVER(_Atomic int *) rx;
            _Atomic int drops = 0, *message = &drops;
            check_int(unbounded ? haft_channel_unbounded(&tx, &rx, .drop = count_drop)
                                : haft_channel(&tx, &rx, 100, .drop = count_drop),
                      ==, 0);
            for (int i = 0; i < 50; i++)
                check_int(haft_send(&tx, &message), ==, 0);
            if (order == 0)
                haft_sender_drop(&tx);
            check_int(drops, ==, 0);
            haft_receiver_drop(&rx);
            check_int(drops, ==, 50);
            haft_sender_drop(&tx);
            check_int(drops, ==, 50);
        }
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc_weak/downgrade_drop_upgrade, downgrade_get_permit_upgrade_no_senders: a permit is a sender, a weak one is none")
{
    struct ends e = channel_of(1);
    int_weak weak;
    int_slot slot;
    int_sender again;
    check_int(haft_sender_downgrade(&e.tx, &weak), ==, 0);
    check_int(haft_reserve(&e.tx, &slot), ==, 0);
    haft_sender_drop(&e.tx);
    check_int(haft_sender_upgrade(&weak, &again), ==, 0); /* downgrade_upgrade_get_permit_no_senders */
    haft_slot_drop(&slot);
    check_int(haft_reserve(&again, &slot), ==, 0);
    haft_sender_drop(&again);
    int value = 3;
    check_int(haft_slot_send(&slot, &value), ==, 0);
    check_int(haft_sender_upgrade(&weak, &again), ==, HAFT_ECLOSED);
    check_int(recv_int(&e.rx), ==, 3);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    haft_weak_sender_drop(&weak);
    haft_receiver_drop(&e.rx);
}

struct counter {
    int_receiver rx;
    int_weak self;
    int next;
};

/* A worker that can make ends of its own mailbox without keeping it open. */
static int give_out_numbers(struct counter *c)
{
    int message, rc;
    while ((rc = haft_recv(&c->rx, &message)) == 0) {
        int_sender own;
        c->next += message;
        if (haft_sender_upgrade(&c->self, &own) == 0) {
            int again = 0;
            if (c->next < 10 && message != 0)
                again = haft_try_send(&own, &message);
            check(again == 0 || again == HAFT_EAGAIN);
            haft_sender_drop(&own);
        }
    }
    haft_weak_sender_drop(&c->self);
    haft_receiver_drop(&c->rx);
    return rc == HAFT_ECLOSED ? c->next : rc;
}

TEST_FROM_EVERY_CALLER(
    "tokio:mpsc_weak/actor_weak_sender: a worker that holds a weak end of its own mailbox ends with the last other one")
{
    for_each_kind(kind) {
        struct ends e = channel_of(4);
        struct counter c = { .rx = e.rx };
        check_int(haft_sender_downgrade(&e.tx, &c.self), ==, 0);
        haft_handle h = haft_spawn(give_out_numbers, &c, .kind = kind);
        send_int(&e.tx, 1);
        send_int(&e.tx, 0);
        haft_sender_drop(&e.tx);
        check_int(haft_join(&h), >=, 1);
    }
}

/* --- the rest of oneshot ------------------------------------------------------------------------------------------ */

static int wait_for_close(struct ends *e)
{
    until(haft_channel_is_closed(&e->tx));
    int rc = try_send_code(&e->tx, 1);
    haft_sender_drop(&e->tx);
    return rc;
}

TEST_FROM_EVERY_CALLER("tokio:oneshot/close_tx, close_rx, async_rx_closed: each side learns that the other has gone")
{
    for_each_kind(kind) {
        struct ends e;
        check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
        haft_handle h = haft_spawn(wait_for_close, &e, .kind = kind);
        haft_receiver_drop(&e.rx);
        check_int(haft_join(&h), ==, HAFT_ECLOSED);

        check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
        h = haft_spawn(wait_for_oneshot, &e, .kind = kind);
        let_them_wait();
        haft_sender_drop(&e.tx);
        check_int(haft_join(&h), ==, HAFT_ECLOSED);
    }
}

static int receive_late(struct ends *e)
{
    HAFT_TIMEOUT(HAFT_MS);
    int value;
    return haft_recv(&e->rx, &value);
}

TEST_FROM_EVERY_CALLER(
    "tokio:oneshot/receiver_changes_task, try_recv_after_completion: one waits in vain, the next has it, once")
{
    for_each_kind(kind) {
        struct ends e;
        check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
        haft_handle h = haft_spawn(receive_late, &e, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_ETIMEDOUT);
        h = haft_spawn(wait_for_oneshot, &e, .kind = kind);
        send_int(&e.tx, 17);
        check_int(haft_join(&h), ==, 17);
        check_int(try_send_code(&e.tx, 18), ==, HAFT_ECLOSED);
        haft_sender_drop(&e.tx);
    }
}

/* --- the rest of broadcast ---------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER(
    "tokio:broadcast/send_try_recv_bounded, single_capacity_recvs: what was sent is heard once, with one place too")
{
    for (size_t capacity = 1; capacity < 4; capacity++) {
        int_broadcast tx;
        int_listener rx;
        check_int(haft_broadcast(&tx, &rx, capacity), ==, 0);
        for (int i = 0; i < 5; i++) {
            hears_code(&rx, HAFT_EAGAIN);
            broadcast_int(&tx, i);
            hears(&rx, i);
        }
        broadcast_int(&tx, 9);
        haft_broadcast_sender_drop(&tx); /* dropping_sender_does_not_overwrite, single_capacity_recvs_after_drop_1 */
        hears(&rx, 9);
        hears_code(&rx, HAFT_ECLOSED);
        haft_broadcast_receiver_drop(&rx);
    }
}

TEST_FROM_EVERY_CALLER(
    "tokio:broadcast/single_capacity_recvs_after_drop_2, lagging_receiver_recovers_after_wrap_closed: the last ones outlast the sender")
{
    for (size_t capacity = 1; capacity < 4; capacity++) {
        int_broadcast tx;
        int_listener rx;
        int value;
        uint64_t missed = 0;
        check_int(haft_broadcast(&tx, &rx, capacity), ==, 0);
        for (int i = 0; i < 7; i++)
            broadcast_int(&tx, i);
        haft_broadcast_sender_drop(&tx);
        check_int(haft_broadcast_recv(&rx, &value, &missed), ==, HAFT_ELAGGED);
        check_uint(missed, ==, 7 - capacity);
        for (size_t i = 0; i < capacity; i++)
            hears(&rx, (int)(7 - capacity + i));
        hears_code(&rx, HAFT_ECLOSED);
        haft_broadcast_receiver_drop(&rx);
    }
}

TEST_FROM_EVERY_CALLER(
    "tokio:broadcast/lagging_receiver_recovers_after_wrap_open, send_slow_rx: who lags goes on with what is kept")
{
    int_broadcast tx;
    int_listener quick, slow;
    check_int(haft_broadcast(&tx, &quick, 2), ==, 0);
    check_int(haft_broadcast_subscribe(&tx, &slow), ==, 0);
    for (int i = 0; i < 3; i++) {
        broadcast_int(&tx, i);
        hears(&quick, i);
    }
    hears_code(&slow, HAFT_ELAGGED);
    hears(&slow, 1);
    broadcast_int(&tx, 3);
    hears(&slow, 2);
    hears(&slow, 3);
    hears_code(&slow, HAFT_EAGAIN);
    hears(&quick, 3);
    haft_broadcast_receiver_drop(&slow);
    broadcast_int(&tx, 4);
    hears(&quick, 4);
    haft_broadcast_receiver_drop(&quick);
    haft_broadcast_sender_drop(&tx);
}

static int hear_one(int_listener *rx)
{
    int value = -1, rc = haft_broadcast_recv(rx, &value, NULL);
    haft_broadcast_receiver_drop(rx);
    return rc != 0 ? rc : value;
}

TEST_FROM_EVERY_CALLER(
    "tokio:broadcast/send_recv_bounded, send_two_recv_bounded, dropping_tx_notifies_rx: all who wait hear it, or the end")
{
    for (int ends = 0; ends < 2; ends++) {
        int_broadcast tx;
        int_listener rx[KINDS + 1];
        haft_handle hs[KINDS];
        check_int(haft_broadcast(&tx, &rx[KINDS], 16), ==, 0);
        for_each_kind(kind) {
            check_int(haft_broadcast_subscribe(&tx, &rx[kind]), ==, 0);
            hs[kind] = haft_spawn(hear_one, &rx[kind], .kind = kind);
        }
        let_them_wait();
        if (ends == 0)
            broadcast_int(&tx, 5);
        haft_broadcast_sender_drop(&tx);
        for_each_kind(kind)
            check_int(haft_join(&hs[kind]), ==, ends == 0 ? 5 : HAFT_ECLOSED);
        haft_broadcast_receiver_drop(&rx[KINDS]);
    }
}

TEST_FROM_EVERY_CALLER(
    "tokio:broadcast/drop_rx_while_values_remain, send_no_rx: who goes keeps nothing from the others")
{
    int_broadcast tx;
    int_listener one, two;
    check_int(haft_broadcast(&tx, &one, 16), ==, 0);
    check_int(haft_broadcast_subscribe(&tx, &two), ==, 0);
    broadcast_int(&tx, 1);
    broadcast_int(&tx, 2);
    haft_broadcast_receiver_drop(&one);
    hears(&two, 1);
    haft_broadcast_receiver_drop(&two);
    int value = 3;
    check_int(haft_broadcast_send(&tx, &value), ==, HAFT_ECLOSED);
    haft_broadcast_sender_drop(&tx);
}

TEST_FROM_EVERY_CALLER("tokio:broadcast/zero_capacity, capacity_too_big: refused, and nothing was made")
{
    int_broadcast tx;
    int_listener rx;
    check_int(haft_broadcast(&tx, &rx, 0), ==, HAFT_EINVAL);
    check_int(haft_broadcast(&tx, &rx, SIZE_MAX), <, 0);
    check_int(haft_broadcast(&tx, &rx, SIZE_MAX / 2 + 2), <, 0);
    haft_broadcast_sender_drop(&tx);
    haft_broadcast_receiver_drop(&rx);
}

TEST_FROM_EVERY_CALLER(
    "tokio:broadcast/resubscribe_points_to_tail, resubscribe_lagged: a new receiver begins behind what was sent")
{
    int_broadcast tx;
    int_listener old, late;
    check_int(haft_broadcast(&tx, &old, 1), ==, 0);
    broadcast_int(&tx, 1);
    broadcast_int(&tx, 2);
    check_int(haft_broadcast_subscribe(&tx, &late), ==, 0);
    hears_code(&late, HAFT_EAGAIN);
    hears_code(&old, HAFT_ELAGGED);
    hears(&old, 2);
    broadcast_int(&tx, 3);
    hears(&late, 3);
    hears(&old, 3);
    haft_broadcast_receiver_drop(&old);
    haft_broadcast_receiver_drop(&late);
    haft_broadcast_sender_drop(&tx);
}

/* --- the rest of watch -------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("tokio:watch/rx_observes_final_value: the last value is seen after the end, once or not at all")
{
    int_watch tx;
    int_observer rx;
    int value = 1;
    check_int(haft_watch(&tx, &rx, &value), ==, 0);
    haft_watch_sender_drop(&tx);
    check_int(haft_watch_changed(&rx), ==, HAFT_ECLOSED);
    check_int(see(&rx), ==, 1);
    haft_watch_receiver_drop(&rx);

    check_int(haft_watch(&tx, &rx, &value), ==, 0);
    value = 2;
    check_int(haft_watch_set(&tx, &value), ==, 0);
    haft_watch_sender_drop(&tx);
    check_int(haft_watch_changed(&rx), ==, 0);
    check_int(see(&rx), ==, 2);
    check_int(haft_watch_changed(&rx), ==, HAFT_ECLOSED);
    check_int(see(&rx), ==, 2);
    haft_watch_receiver_drop(&rx);
}

TEST_FROM_EVERY_CALLER("tokio:watch/borrow_and_update: what was looked at is no change any more")
{
    int_watch tx;
    int_observer rx;
    int value = 1;
    check_int(haft_watch(&tx, &rx, &value), ==, 0);
    for (value = 2; value < 5; value++) {
        check_int(haft_watch_set(&tx, &value), ==, 0);
        if (value % 2 == 0)
            check_int(haft_watch_changed(&rx), ==, 0); /* marks nothing */
        check_int(haft_watch_changed(&rx), ==, 0);
        check_int(see(&rx), ==, value);
        check_int(not_changed(&rx), ==, HAFT_ETIMEDOUT);
    }
    haft_watch_sender_drop(&tx);
    haft_watch_receiver_drop(&rx);
}

TEST_FROM_EVERY_CALLER(
    "tokio:watch/reopened_after_subscribe: without receivers a set is refused, with a new one it is not")
{
    int_watch tx;
    int_observer rx;
    int value = 1;
    check_int(haft_watch(&tx, &rx, &value), ==, 0);
    haft_watch_receiver_drop(&rx);
    value = 2;
    check_int(haft_watch_set(&tx, &value), ==, HAFT_ECLOSED);
    check_int(haft_watch_subscribe(&tx, &rx), ==, 0);
    check_int(see(&rx), ==, 1);
    check_int(haft_watch_set(&tx, &value), ==, 0);
    check_int(see(&rx), ==, 2);
    haft_watch_receiver_drop(&rx);
    haft_watch_sender_drop(&tx);
}
