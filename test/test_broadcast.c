/* SPDX-License-Identifier: MIT
 *
 * Broadcast and watch: one sends, many see it. */
#include <haft/haft.h>

#include "channels.h"

typedef HAFT_BROADCAST_SENDER(int) int_broadcast;
typedef HAFT_BROADCAST_RECEIVER(int) int_listener;
typedef HAFT_WATCH_SENDER(int) int_watch;
typedef HAFT_WATCH_RECEIVER(int) int_observer;

/* --- broadcast ---------------------------------------------------------------------------------------------------- */

/* DESIGN 18 */
TEST_FROM_EVERY_CALLER(
    "a receiver that falls behind is told how many it missed, and goes on with the oldest that is kept")
{
    int_broadcast tx;
    int_listener rx;
    int value = 0;
    uint64_t missed = 0;
    check_int(haft_broadcast(&tx, &rx, 2), ==, 0);
    check_int(haft_broadcast_try_recv(&rx, &value, &missed), ==, HAFT_EAGAIN);
    for (int i = 1; i <= 5; i++)
        check_int(haft_broadcast_send(&tx, &i), ==, 0);
    check_int(haft_broadcast_recv(&rx, &value, &missed), ==, HAFT_ELAGGED);
    check_uint(missed, ==, 3);
    check_int(value, ==, 0);
    for (int i = 4; i <= 5; i++) {
        check_int(haft_broadcast_recv(&rx, &value, NULL), ==, 0);
        check_int(value, ==, i);
    }
    check_int(haft_broadcast_try_recv(&rx, &value, NULL), ==, HAFT_EAGAIN);
    haft_broadcast_sender_drop(&tx);
    check_int(haft_broadcast_recv(&rx, &value, NULL), ==, HAFT_ECLOSED);
    haft_broadcast_receiver_drop(&rx);
}

TEST_FROM_EVERY_CALLER("every receiver gets what was sent since it subscribed, also after the last sender is gone")
{
    int_broadcast tx, other;
    int_listener rx, late;
    int value;
    check_int(haft_broadcast(&tx, &rx, 8), ==, 0);
    for (int i = 0; i < 3; i++)
        check_int(haft_broadcast_send(&tx, &i), ==, 0);
    check_int(haft_broadcast_subscribe(&tx, &late), ==, 0);
    check_int(haft_broadcast_sender_clone(&tx, &other), ==, 0);
    for (int i = 3; i < 6; i++)
        check_int(haft_broadcast_send(&other, &i), ==, 0);
    haft_broadcast_sender_drop(&tx);
    haft_broadcast_sender_drop(&tx);
    check_int(haft_broadcast_try_recv(&late, &value, NULL), ==, 0);
    check_int(value, ==, 3);
    haft_broadcast_sender_drop(&other);
    for (int i = 0; i < 6; i++) {
        check_int(haft_broadcast_recv(&rx, &value, NULL), ==, 0);
        check_int(value, ==, i);
    }
    for (int i = 4; i < 6; i++) {
        check_int(haft_broadcast_recv(&late, &value, NULL), ==, 0);
        check_int(value, ==, i);
    }
    check_int(haft_broadcast_try_recv(&rx, &value, NULL), ==, HAFT_ECLOSED);
    haft_broadcast_receiver_drop(&rx);
    haft_broadcast_receiver_drop(&late);
}

TEST_FROM_EVERY_CALLER("a broadcast without receivers is closed, until somebody subscribes")
{
    int_broadcast tx;
    int_listener rx;
    int value = 1;
    check_int(haft_broadcast(&tx, &rx, 0), ==, HAFT_EINVAL);
    check_ptr(tx.channel_, ==, NULL);
    check_int(haft_broadcast(&tx, &rx, 1), ==, 0);
    haft_broadcast_receiver_drop(&rx);
    check_int(haft_broadcast_send(&tx, &value), ==, HAFT_ECLOSED);
    check_int(haft_broadcast_subscribe(&tx, &rx), ==, 0);
    check_int(haft_broadcast_send(&tx, &value), ==, 0);
    check_int(haft_broadcast_recv(&rx, &value, NULL), ==, 0);
    haft_broadcast_receiver_drop(&rx);
    haft_broadcast_sender_drop(&tx);
    check_int(haft_broadcast_send(&tx, &value), ==, HAFT_EINVAL);
    check_int(haft_broadcast_subscribe(&tx, &rx), ==, HAFT_EINVAL);
    check_int(haft_broadcast_recv(&rx, &value, NULL), ==, HAFT_EINVAL);
}

struct listening {
    int_listener rx;
    int got;
    uint64_t missed;
    _Atomic int *begun;
};

static int listen(struct listening *l)
{
    int value, last = -1, rc;
    uint64_t missed;
    atomic_fetch_add(l->begun, 1);
    while ((rc = haft_broadcast_recv(&l->rx, &value, &missed)) == 0 || rc == HAFT_ELAGGED) {
        if (rc == HAFT_ELAGGED) {
            l->missed += missed;
            last += (int)missed;
            continue;
        }
        check_int(value, ==, ++last);
        l->got++;
    }
    haft_broadcast_receiver_drop(&l->rx);
    return rc;
}

TEST_FROM_EVERY_CALLER("listeners of every kind get every value or are told of it")
{
    int_broadcast tx;
    int_listener rx;
    check_int(haft_broadcast(&tx, &rx, 16), ==, 0);
    enum { LISTENERS = 40 };
    haft_handle hs[LISTENERS];
    _Atomic int begun = 0;
    for (int i = 0; i < LISTENERS; i++) {
        struct listening l = { .begun = &begun };
        check_int(haft_broadcast_subscribe(&tx, &l.rx), ==, 0);
        hs[i] = haft_spawn(listen, &l, .kind = (haft_kind)(i < 3 ? i : 0));
    }
    until(atomic_load(&begun) == LISTENERS);
    haft_broadcast_receiver_drop(&rx);
    int n = (int)rounds(500, 50000);
    for (int i = 0; i < n; i++) {
        check_int(haft_broadcast_send(&tx, &i), ==, 0);
        if (i % 8 == 0)
            check_int(haft_yield(), ==, 0);
    }
    haft_broadcast_sender_drop(&tx);
    for (int i = 0; i < LISTENERS; i++) {
        struct listening l;
        check_int(haft_join(&hs[i], &l), ==, HAFT_ECLOSED);
        check_uint((uint64_t)l.got + l.missed, ==, n);
    }
}

TEST_FROM_EVERY_CALLER("an abort or a deadline ends a wait for a broadcast, and nothing is missed")
{
    for_each_kind(kind) {
        int_broadcast tx;
        int_listener rx;
        int value = 7;
        check_int(haft_broadcast(&tx, &rx, 2), ==, 0);
        {
            HAFT_TIMEOUT(HAFT_MS);
            check_int(haft_broadcast_recv(&rx, &value, NULL), ==, HAFT_ETIMEDOUT);
        }
        _Atomic int begun = 0;
        struct listening l = { .begun = &begun };
        check_int(haft_broadcast_subscribe(&tx, &l.rx), ==, 0);
        haft_handle h = haft_spawn(listen, &l, .kind = kind);
        until(atomic_load(&begun) == 1);
        let_them_wait();
        haft_abort(h);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        check_int(haft_broadcast_send(&tx, &value), ==, 0);
        check_int(haft_broadcast_recv(&rx, &value, NULL), ==, 0);
        haft_broadcast_sender_drop(&tx);
        haft_broadcast_receiver_drop(&rx);
    }
}

/* --- watch -------------------------------------------------------------------------------------------------------- */

/* DESIGN 18 */
TEST_FROM_EVERY_CALLER("two sets of a watch are one change, to the newest")
{
    int_watch tx;
    int_observer rx, other;
    int value = 1;
    check_int(haft_watch(&tx, &rx, &value), ==, 0);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_watch_changed(&rx), ==, HAFT_ETIMEDOUT); /* the first value counts as seen */
    }
    check_int(haft_watch_get(&rx, &value), ==, 0);
    check_int(value, ==, 1);
    for (value = 2; value < 4; value++)
        check_int(haft_watch_set(&tx, &value), ==, 0);
    check_int(haft_watch_subscribe(&tx, &other), ==, 0);
    check_int(haft_watch_changed(&rx), ==, 0);
    check_int(haft_watch_changed(&rx), ==, 0); /* marks nothing */
    check_int(haft_watch_get(&rx, &value), ==, 0);
    check_int(value, ==, 3);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_watch_changed(&rx), ==, HAFT_ETIMEDOUT);
        check_int(haft_watch_changed(&other), ==, HAFT_ETIMEDOUT);
    }
    value = 9;
    check_int(haft_watch_set(&tx, &value), ==, 0);
    haft_watch_sender_drop(&tx);
    check_int(haft_watch_changed(&rx), ==, 0); /* unseen, though the sender is gone */
    value = 0;
    check_int(haft_watch_get(&rx, &value), ==, 0);
    check_int(value, ==, 9);
    check_int(haft_watch_changed(&rx), ==, HAFT_ECLOSED);
    check_int(haft_watch_get(&rx, &value), ==, 0);
    haft_watch_receiver_drop(&rx);
    haft_watch_receiver_drop(&other);
    check_int(haft_watch_changed(&rx), ==, HAFT_EINVAL);
    check_int(haft_watch_get(&rx, &value), ==, HAFT_EINVAL);
}

TEST("a watch without receivers is closed, and keeps its value")
{
    int_watch tx;
    int_observer rx;
    int value = 5;
    check_int(haft_watch(&tx, &rx, &value), ==, 0);
    haft_watch_receiver_drop(&rx);
    value = 6;
    check_int(haft_watch_set(&tx, &value), ==, HAFT_ECLOSED);
    check_int(haft_watch_subscribe(&tx, &rx), ==, 0);
    check_int(haft_watch_get(&rx, &value), ==, 0);
    check_int(value, ==, 5);
    haft_watch_receiver_drop(&rx);
    haft_watch_sender_drop(&tx);
    check_int(haft_watch_set(&tx, &value), ==, HAFT_EINVAL);
}

struct observing {
    int_observer rx;
    int last, looks;
    _Atomic int *begun;
};

static int observe(struct observing *o)
{
    int rc;
    atomic_fetch_add(o->begun, 1);
    while ((rc = haft_watch_changed(&o->rx)) == 0) {
        int before = o->last;
        check_int(haft_watch_get(&o->rx, &o->last), ==, 0);
        check_int(o->last, >, before);
        o->looks++;
    }
    haft_watch_receiver_drop(&o->rx);
    return rc;
}

TEST_FROM_EVERY_CALLER("observers of every kind see values grow, and the last one")
{
    int_watch tx;
    int_observer rx;
    int value = 0;
    check_int(haft_watch(&tx, &rx, &value), ==, 0);
    enum { OBSERVERS = 6 };
    haft_handle hs[OBSERVERS];
    _Atomic int begun = 0;
    for (int i = 0; i < OBSERVERS; i++) {
        struct observing o = { .begun = &begun };
        check_int(haft_watch_subscribe(&tx, &o.rx), ==, 0);
        hs[i] = haft_spawn(observe, &o, .kind = (haft_kind)(i % KINDS));
    }
    until(atomic_load(&begun) == OBSERVERS);
    int n = (int)rounds(500, 50000);
    for (value = 1; value <= n; value++) {
        check_int(haft_watch_set(&tx, &value), ==, 0);
        if (value % 8 == 0)
            check_int(haft_yield(), ==, 0);
    }
    haft_watch_sender_drop(&tx);
    for (int i = 0; i < OBSERVERS; i++) {
        struct observing o;
        check_int(haft_join(&hs[i], &o), ==, HAFT_ECLOSED);
        check_int(o.last, ==, n);
        check_int(o.looks, <=, n);
    }
    haft_watch_receiver_drop(&rx);
}
