/* SPDX-License-Identifier: MIT
 *
 * What Tokio's own tests check of mpsc, oneshot, broadcast and watch, told again for haft: each test is named after the
 * original, and asserts what that does, from tasks and from threads. */
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
