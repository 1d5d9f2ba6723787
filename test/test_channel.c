/* SPDX-License-Identifier: MIT
 *
 * Channels: bounded, rendezvous, unbounded, oneshot; their ends, slots and what becomes of values. Over 600 lines,
 * because every kind of channel keeps the promises of the one before and adds to them. */
#include <haft/haft.h>

#include <string.h>

#include "channels.h"
#include "os/os.h"

/* A job that makes one call on an end of its own, which it drops. `begun` is raised right before the call. */
struct call {
    int_sender tx;
    int_receiver rx;
    int value;
    _Atomic int *begun;
};

static int send_one(struct call *c)
{
    atomic_fetch_add(c->begun, 1);
    int rc = haft_send(&c->tx, &c->value);
    haft_sender_drop(&c->tx);
    return rc;
}

static int recv_one(struct call *c)
{
    atomic_fetch_add(c->begun, 1);
    int rc = haft_recv(&c->rx, &c->value);
    haft_receiver_drop(&c->rx);
    return rc;
}

static haft_handle spawn_send(int_sender *tx, int value, haft_kind kind, _Atomic int *begun)
{
    struct call c = { .value = value, .begun = begun };
    check_int(haft_sender_clone(tx, &c.tx), ==, 0);
    int before = atomic_load(begun);
    haft_handle h = haft_spawn(send_one, &c, .kind = kind);
    until(atomic_load(begun) > before);
    return h;
}

static haft_handle spawn_recv(int_receiver *rx, haft_kind kind, _Atomic int *begun)
{
    struct call c = { .begun = begun };
    check_int(haft_receiver_clone(rx, &c.rx), ==, 0);
    int before = atomic_load(begun);
    haft_handle h = haft_spawn(recv_one, &c, .kind = kind);
    until(atomic_load(begun) > before);
    return h;
}

/* --- values and their order --------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("what was sent is received in order, and the channel tells its length and capacity")
{
    struct ends e = channel_of(5);
    check_uint(haft_channel_capacity(&e.tx), ==, 5);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) {
            check_uint(haft_channel_len(&e.rx), ==, i);
            send_int(&e.tx, round * 10 + i);
        }
        check_int(try_send_code(&e.tx, 99), ==, HAFT_EAGAIN);
        for (int i = 0; i < 5; i++)
            check_int(recv_int(&e.rx), ==, round * 10 + i);
        check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
        if (round == 0) { /* begin the next rounds in the middle of the ring */
            send_int(&e.tx, 1);
            check_int(recv_int(&e.rx), ==, 1);
        }
    }
    drop_ends(&e);
}

/* Elements of every size that haft__copy treats differently, and one that needs alignment. */
#define CHECK_SIZE(...)                                                                                                \
    do {                                                                                                               \
        typedef __VA_ARGS__ sized;                                                                                     \
        HAFT_SENDER(sized) tx;                                                                                         \
        HAFT_RECEIVER(sized) rx;                                                                                       \
        sized in, out;                                                                                                 \
        for (size_t capacity = 0; capacity < 3; capacity++) {                                                          \
            check_int(capacity == 0 ? haft_channel_unbounded(&tx, &rx) : haft_channel(&tx, &rx, capacity), ==, 0);     \
            for (int i = 0; i < 100; i++) {                                                                            \
                memset(&in, i + 1, sizeof in);                                                                         \
                memset(&out, 0, sizeof out);                                                                           \
                check_int(haft_send(&tx, &in), ==, 0);                                                                 \
                check_int(haft_recv(&rx, &out), ==, 0);                                                                \
                check(memcmp(&in, &out, sizeof in) == 0);                                                              \
            }                                                                                                          \
            haft_sender_drop(&tx);                                                                                     \
            haft_receiver_drop(&rx);                                                                                   \
        }                                                                                                              \
    } while (0)

TEST("elements may have any size and alignment")
{
    CHECK_SIZE(char);
    CHECK_SIZE(struct { char bytes[3]; });
    CHECK_SIZE(uint64_t);
    CHECK_SIZE(struct { uint64_t words[2]; });
    CHECK_SIZE(struct { uint64_t words[3]; });
    CHECK_SIZE(struct { char bytes[100]; });
    CHECK_SIZE(struct { char bytes[5000]; });
    CHECK_SIZE(struct { _Alignas(64) char bytes[64]; });
    CHECK_SIZE(struct { _Alignas(256) char bytes[256]; });
}

TEST_FROM_EVERY_CALLER("an unbounded channel never makes a sender wait")
{
    struct ends e;
    check_int(haft_channel_unbounded(&e.tx, &e.rx), ==, 0);
    check_uint(haft_channel_capacity(&e.rx), ==, SIZE_MAX);
    int sent = 0, received = 0;
    for (int round = 1; round < 8; round++) {
        for (int i = 0; i < round * 700; i++)
            send_int(&e.tx, sent++);
        check_uint(haft_channel_len(&e.rx), ==, sent - received);
        for (int i = 0; i < round * 600; i++)
            check_int(recv_int(&e.rx), ==, received++);
    }
    while (received < sent)
        check_int(recv_int(&e.rx), ==, received++);
    check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
    drop_ends(&e);
}

TEST_FROM_EVERY_CALLER("receiving many takes what is there, at most as many as asked for")
{
    struct ends e = channel_of(10);
    for (int i = 0; i < 7; i++)
        send_int(&e.tx, i);
    int values[10];
    size_t n = 99;
    check_int(haft_recv_many(&e.rx, values, 0, &n), ==, HAFT_EINVAL);
    check_uint(n, ==, 0);
    check_int(haft_recv_many(&e.rx, values, 5, &n), ==, 0);
    check_uint(n, ==, 5);
    check_int(values[4], ==, 4);
    check_int(haft_recv_many(&e.rx, values, 10, &n), ==, 0);
    check_uint(n, ==, 2);
    check_int(values[1], ==, 6);
    haft_sender_drop(&e.tx);
    check_int(haft_recv_many(&e.rx, values, 10, &n), ==, HAFT_ECLOSED);
    check_uint(n, ==, 0);
    haft_receiver_drop(&e.rx);
}

TEST_FROM_EVERY_CALLER("receiving many lets waiting senders in, however many there are")
{
    for_each_kind(kind) {
        enum { N = 40 };
        struct ends e = channel_of(2);
        _Atomic int begun = 0;
        haft_handle hs[N];
        int count = kind == HAFT_TASK ? N : 5, values[N], seen = 0;
        for (int i = 0; i < count; i++)
            hs[i] = spawn_send(&e.tx, 1 << (i % 30), kind, &begun);
        let_them_wait();
        for (size_t n; seen < count; seen += (int)n)
            check_int(haft_recv_many(&e.rx, values + seen, (size_t)(count - seen), &n), ==, 0);
        for (int i = 0; i < count; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        drop_ends(&e);
    }
}

TEST_FROM_EVERY_CALLER("HAFT_MOVE empties a variable when its value was handed over, and only then")
{
    struct ends e = channel_of(1);
    int a = 5, b = 6;
    check_int(haft_send(&e.tx, HAFT_MOVE(&a)), ==, 0);
    check_int(a, ==, 0);
    check_int(haft_try_send(&e.tx, HAFT_MOVE(&b)), ==, HAFT_EAGAIN);
    check_int(b, ==, 6);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_send(&e.tx, HAFT_MOVE(&b)), ==, HAFT_ETIMEDOUT);
    }
    check_int(b, ==, 6);
    check_int(recv_int(&e.rx), ==, 5);
    drop_ends(&e);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

TEST_FROM_EVERY_CALLER("a receiver waits for a value, from a job of any kind")
{
    for_each_kind(kind) {
        for (size_t capacity = 0; capacity < 2; capacity++) {
            struct ends e = channel_of(capacity);
            _Atomic int begun = 0;
            haft_handle h = spawn_recv(&e.rx, kind, &begun);
            let_them_wait();
            send_int(&e.tx, 7);
            struct call c;
            check_int(haft_join(&h, &c), ==, 0);
            check_int(c.value, ==, 7);
            drop_ends(&e);
        }
    }
}

/* DESIGN 10 */
TEST_FROM_EVERY_CALLER(
    "with a capacity of 1 a second send waits; closing the receiver wakes it, and the value is its own")
{
    for_each_kind(kind) {
        struct ends e = channel_of(1);
        _Atomic int begun = 0;
        send_int(&e.tx, 1);
        haft_handle h = spawn_send(&e.tx, 2, kind, &begun);
        let_them_wait();
        check(!haft_is_finished(h));
        haft_channel_close(&e.rx);
        struct call c;
        check_int(haft_join(&h, &c), ==, HAFT_ECLOSED);
        check_int(c.value, ==, 2);
        check_int(recv_int(&e.rx), ==, 1); /* what was sent still arrives */
        check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
        check_int(try_send_code(&e.tx, 3), ==, HAFT_ECLOSED);
        check(haft_channel_is_closed(&e.tx));
        drop_ends(&e);
    }
}

TEST_FROM_EVERY_CALLER("dropping the last receiver wakes waiting senders, and their values are their own")
{
    for_each_kind(kind) {
        for (size_t capacity = 0; capacity < 2; capacity++) {
            struct ends e = channel_of(capacity);
            _Atomic int begun = 0;
            if (capacity == 1)
                send_int(&e.tx, 1);
            haft_handle h = spawn_send(&e.tx, 2, kind, &begun);
            let_them_wait();
            haft_receiver_drop(&e.rx);
            struct call c;
            check_int(haft_join(&h, &c), ==, HAFT_ECLOSED);
            check_int(c.value, ==, 2);
            check_int(try_send_code(&e.tx, 3), ==, HAFT_ECLOSED);
            drop_ends(&e);
        }
    }
}

TEST_FROM_EVERY_CALLER("dropping the last sender wakes every receiver that waits")
{
    for_each_kind(kind) {
        struct ends e = channel_of(3);
        _Atomic int begun = 0;
        haft_handle hs[3];
        for (int i = 0; i < 3; i++)
            hs[i] = spawn_recv(&e.rx, kind, &begun);
        let_them_wait();
        haft_sender_drop(&e.tx);
        for (int i = 0; i < 3; i++)
            check_int(haft_join(&hs[i]), ==, HAFT_ECLOSED);
        drop_ends(&e);
    }
}

/* DESIGN 11 */
TEST_FROM_EVERY_CALLER("ten sends and all senders dropped are exactly ten receives, then closed for ever")
{
    struct ends e = channel_of(10);
    int_sender other;
    check_int(haft_sender_clone(&e.tx, &other), ==, 0);
    for (int i = 0; i < 10; i++)
        send_int(i % 2 == 0 ? &e.tx : &other, i);
    haft_sender_drop(&e.tx);
    haft_sender_drop(&other);
    for (int i = 0; i < 10; i++)
        check_int(recv_int(&e.rx), ==, i);
    int value;
    for (int i = 0; i < 3; i++)
        check_int(haft_recv(&e.rx, &value), ==, HAFT_ECLOSED);
    haft_receiver_drop(&e.rx);
}

TEST_FROM_EVERY_CALLER("senders that wait are served in the order in which they came")
{
    for_each_kind(kind) {
        struct ends e = channel_of(1);
        _Atomic int begun = 0;
        haft_handle hs[4];
        send_int(&e.tx, 0);
        for (int i = 0; i < 4; i++) {
            hs[i] = spawn_send(&e.tx, i + 1, kind, &begun);
            let_them_wait();
        }
        for (int i = 0; i < 5; i++)
            check_int(recv_int(&e.rx), ==, i);
        for (int i = 0; i < 4; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        drop_ends(&e);
    }
}

/* DESIGN 13 */
TEST_FROM_EVERY_CALLER("a rendezvous is full without a receiver and takes a value with one")
{
    for_each_kind(kind) {
        struct ends e = channel_of(0);
        _Atomic int begun = 0;
        check_int(try_send_code(&e.tx, 1), ==, HAFT_EAGAIN);
        check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
        haft_handle h = spawn_recv(&e.rx, kind, &begun);
        until(try_send_code(&e.tx, 5) == 0);
        struct call c;
        check_int(haft_join(&h, &c), ==, 0);
        check_int(c.value, ==, 5);
        h = spawn_send(&e.tx, 6, kind, &begun);
        int value = 0;
        until(haft_try_recv(&e.rx, &value) == 0);
        check_int(value, ==, 6);
        check_int(haft_join(&h), ==, 0);
        check_uint(haft_channel_len(&e.rx), ==, 0);
        check_uint(haft_channel_capacity(&e.rx), ==, 0);
        drop_ends(&e);
    }
}

/* --- abort, deadlines --------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("a deadline ends a wait, which has done nothing")
{
    struct ends e = channel_of(1);
    int value = 5;
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_recv(&e.rx, &value), ==, HAFT_ETIMEDOUT);
    }
    check_int(value, ==, 5);
    send_int(&e.tx, 1);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_send(&e.tx, &value), ==, HAFT_ETIMEDOUT);
    }
    int_slot slot;
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_reserve(&e.tx, &slot), ==, HAFT_ETIMEDOUT);
    }
    check_uint(haft_channel_len(&e.rx), ==, 1);
    check_int(recv_int(&e.rx), ==, 1);
    check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
    check_int(try_send_code(&e.tx, 2), ==, 0);
    drop_ends(&e);
}

/* DESIGN 20 */
TEST_FROM_EVERY_CALLER("a timeout of zero around a ready operation succeeds")
{
    struct ends e = channel_of(1);
    int value = 3, out = 0;
    {
        HAFT_TIMEOUT(0);
        check_int(haft_send(&e.tx, &value), ==, 0);
        check_int(haft_send(&e.tx, &value), ==, HAFT_ETIMEDOUT);
        check_int(haft_recv(&e.rx, &out), ==, 0);
        check_int(haft_recv(&e.rx, &out), ==, HAFT_ETIMEDOUT);
    }
    check_int(out, ==, 3);
    drop_ends(&e);
}

TEST_FROM_EVERY_CALLER("an abort ends a wait, and what was not sent or received is left as it was")
{
    for_each_kind(kind) {
        struct ends e = channel_of(1);
        _Atomic int begun = 0;
        haft_handle receiver = spawn_recv(&e.rx, kind, &begun);
        let_them_wait();
        check_int(haft_abort(receiver), ==, 0);
        haft_outcome out;
        struct call c;
        check_int(haft_join_outcome(&receiver, &c, &out), ==, 0);
        check_int(out.end, ==, HAFT_ABORTED);
        check_int(out.code, ==, HAFT_ECANCELED);
        send_int(&e.tx, 1);
        haft_handle sender = spawn_send(&e.tx, 2, kind, &begun);
        let_them_wait();
        check_int(haft_abort(sender), ==, 0);
        check_int(haft_join_outcome(&sender, &c, &out), ==, 0);
        check_int(out.code, ==, HAFT_ECANCELED);
        check_int(c.value, ==, 2);
        check_int(recv_int(&e.rx), ==, 1);
        check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
        drop_ends(&e);
    }
}

enum { PLACES = 16 };

static void fill(struct ends *e)
{
    for (int i = 0; i < PLACES; i++)
        send_int(&e->tx, i);
}

static int code_after_abort(haft_handle *h, struct call *c)
{
    haft_outcome out;
    check_int(haft_abort(*h), ==, 0);
    check_int(haft_join_outcome(h, c, &out), ==, 0);
    return out.code;
}

/* Threads look again there before they wait, so it is tried at once and after a while. */
TEST_FROM_EVERY_CALLER(
    "at a channel of many places a wait ends by a value, room, a close, an abort and a deadline, too")
{
    for (int round = 0; round < 4; round++) {
        for_each_kind(kind) {
            struct ends e = channel_of(PLACES);
            _Atomic int begun = 0;
            struct call c;
            haft_handle h = spawn_recv(&e.rx, kind, &begun);
            if (round % 2 != 0)
                let_them_wait();
            send_int(&e.tx, 7);
            check_int(haft_join(&h, &c), ==, 0);
            check_int(c.value, ==, 7);
            h = spawn_recv(&e.rx, kind, &begun);
            if (round % 2 != 0)
                let_them_wait();
            check_int(code_after_abort(&h, &c), ==, HAFT_ECANCELED);

            fill(&e);
            h = spawn_send(&e.tx, PLACES, kind, &begun);
            if (round % 2 != 0)
                let_them_wait();
            check_int(recv_int(&e.rx), ==, 0);
            check_int(haft_join(&h), ==, 0);
            h = spawn_send(&e.tx, -1, kind, &begun);
            if (round % 2 != 0)
                let_them_wait();
            check_int(code_after_abort(&h, &c), ==, HAFT_ECANCELED);
            {
                HAFT_TIMEOUT(HAFT_MS);
                check_int(haft_send(&e.tx, &c.value), ==, HAFT_ETIMEDOUT);
            }
            for (int i = 1; i <= PLACES; i++)
                check_int(recv_int(&e.rx), ==, i);
            int values[2];
            size_t n;
            {
                HAFT_TIMEOUT(HAFT_MS);
                check_int(haft_recv_many(&e.rx, values, 2, &n), ==, HAFT_ETIMEDOUT);
            }
            h = spawn_recv(&e.rx, kind, &begun);
            if (round % 2 != 0)
                let_them_wait();
            haft_sender_drop(&e.tx);
            check_int(haft_join(&h), ==, HAFT_ECLOSED);
            haft_receiver_drop(&e.rx);
        }
    }
}

static int send_numbers(struct call *c)
{
    for (int i = 1; i <= c->value; i++)
        send_int(&c->tx, i);
    haft_sender_drop(&c->tx);
    return 0;
}

TEST_FROM_EVERY_CALLER("fast senders and a receiver that takes many, or one, at a channel of many places lose nothing")
{
    for_each_kind(kind) {
        enum { SENDERS = 3 };
        struct ends e = channel_of(PLACES);
        haft_handle hs[SENDERS];
        int each = (int)rounds(300, 3000);
        for (int i = 0; i < SENDERS; i++) {
            struct call c = { .value = each };
            check_int(haft_sender_clone(&e.tx, &c.tx), ==, 0);
            hs[i] = haft_spawn(send_numbers, &c, .kind = kind);
        }
        haft_sender_drop(&e.tx);
        int values[5];
        int64_t sum = 0;
        for (size_t n, turn = 0;; turn++) {
            int rc = turn % 3 == 0 ? haft_recv_many(&e.rx, values, 5, &n) : haft_recv(&e.rx, &values[0]);
            if (rc == HAFT_ECLOSED)
                break;
            check_int(rc, ==, 0);
            for (size_t i = 0; i < (turn % 3 == 0 ? n : 1); i++)
                sum += values[i];
        }
        check_int(sum, ==, (int64_t)SENDERS * each * (each + 1) / 2);
        for (int i = 0; i < SENDERS; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        haft_receiver_drop(&e.rx);
    }
}

static int operate_when_aborted(struct call *c)
{
    while (!haft_is_aborted()) {
        HAFT_SHIELD;
        check_int(haft_yield(), ==, 0);
    }
    int value = 0;
    check_int(haft_try_recv(&c->rx, &value), ==, 0); /* looks at no abort */
    check_int(haft_try_send(&c->tx, &value), ==, 0);
    check_int(haft_recv(&c->rx, &value), ==, HAFT_ECANCELED);
    check_int(haft_send(&c->tx, &value), ==, HAFT_ECANCELED);
    int_slot slot;
    check_int(haft_reserve(&c->tx, &slot), ==, HAFT_ECANCELED);
    check_ptr(slot.channel_, ==, NULL);
    size_t n;
    check_int(haft_recv_many(&c->rx, &value, 1, &n), ==, HAFT_ECANCELED);
    {
        HAFT_SHIELD;
        check_int(haft_recv(&c->rx, &value), ==, 0);
        check_int(haft_send(&c->tx, &value), ==, 0);
    }
    return value;
}

TEST_FROM_EVERY_CALLER("an aborted job is told before a ready operation, and the data stays")
{
    for_each_kind(kind) {
        struct ends e = channel_of(2);
        send_int(&e.tx, 41);
        struct call c = { .tx = e.tx, .rx = e.rx };
        haft_handle h = haft_spawn(operate_when_aborted, &c, .kind = kind);
        haft_yield();
        haft_abort(h);
        haft_outcome out;
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        if (out.end != HAFT_NOT_STARTED) {
            check_int(out.end, ==, HAFT_ABORTED);
            check_int(out.code, ==, 41);
        }
        check_uint(haft_channel_len(&e.rx), ==, 1);
        drop_ends(&e);
    }
}

/* --- slots -------------------------------------------------------------------------------------------------------- */

/* DESIGN 12 */
TEST_FROM_EVERY_CALLER(
    "closed with one reserved slot, a channel is empty, not closed, until the slot is sent or dropped")
{
    for (int sends = 0; sends < 2; sends++) {
        struct ends e = channel_of(2);
        int_slot slot;
        check_int(haft_reserve(&e.tx, &slot), ==, 0);
        haft_channel_close(&e.rx);
        check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
        check_int(try_send_code(&e.tx, 1), ==, HAFT_ECLOSED);
        int value = 4;
        if (sends) {
            check_int(haft_slot_send(&slot, &value), ==, 0);
            check_int(recv_int(&e.rx), ==, 4);
        } else {
            haft_slot_drop(&slot);
        }
        check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
        check_int(haft_slot_send(&slot, &value), ==, HAFT_EINVAL);
        haft_slot_drop(&slot);
        drop_ends(&e);
    }
}

TEST_FROM_EVERY_CALLER("a slot takes room, counts as a sender, and outlives every sender")
{
    struct ends e = channel_of(2);
    int_slot slots[2], third;
    check_int(haft_reserve(&e.tx, &slots[0]), ==, 0);
    check_int(haft_try_reserve(&e.tx, &slots[1]), ==, 0);
    check_int(haft_try_reserve(&e.tx, &third), ==, HAFT_EAGAIN);
    check_int(try_send_code(&e.tx, 1), ==, HAFT_EAGAIN);
    haft_slot_drop(&slots[1]);
    check_int(try_send_code(&e.tx, 1), ==, 0);
    haft_sender_drop(&e.tx);
    check_int(recv_int(&e.rx), ==, 1);
    check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
    int value = 2;
    check_int(haft_slot_send(&slots[0], HAFT_MOVE(&value)), ==, 0);
    check_int(value, ==, 0);
    check_int(recv_int(&e.rx), ==, 2);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    haft_receiver_drop(&e.rx);
}

TEST_FROM_EVERY_CALLER("a slot without a receiver is closed, and stays held until it is dropped")
{
    struct ends e = channel_of(1);
    int_slot slot;
    check_int(haft_reserve(&e.tx, &slot), ==, 0);
    haft_receiver_drop(&e.rx);
    int value = 2;
    check_int(haft_slot_send(&slot, HAFT_MOVE(&value)), ==, HAFT_ECLOSED);
    check_int(value, ==, 2);
    haft_sender_drop(&e.tx);
    haft_slot_drop(&slot);
}

struct reserving {
    int_sender tx;
    int_slot slot;
    _Atomic int *begun;
};

static int reserve_one(struct reserving *r)
{
    atomic_fetch_add(r->begun, 1);
    int rc = haft_reserve(&r->tx, &r->slot);
    haft_sender_drop(&r->tx);
    return rc;
}

TEST_FROM_EVERY_CALLER("a reservation waits for room like a send, and a receiver waits for a slot")
{
    for_each_kind(kind) {
        struct ends e = channel_of(1);
        _Atomic int begun = 0;
        send_int(&e.tx, 1);
        struct reserving r = { .begun = &begun };
        check_int(haft_sender_clone(&e.tx, &r.tx), ==, 0);
        haft_handle h = haft_spawn(reserve_one, &r, .kind = kind);
        until(atomic_load(&begun) == 1);
        let_them_wait();
        check(!haft_is_finished(h));
        check_int(recv_int(&e.rx), ==, 1);
        check_int(haft_join(&h, &r), ==, 0);
        check_int(try_send_code(&e.tx, 9), ==, HAFT_EAGAIN);
        haft_sender_drop(&e.tx);
        haft_handle receiver = spawn_recv(&e.rx, kind, &begun);
        let_them_wait();
        check(!haft_is_finished(receiver));
        int value = 3;
        check_int(haft_slot_send(&r.slot, &value), ==, 0);
        struct call c;
        check_int(haft_join(&receiver, &c), ==, 0);
        check_int(c.value, ==, 3);
        drop_ends(&e);
    }
}

TEST_FROM_EVERY_CALLER("a slot that is dropped makes room for a sender that waits")
{
    for_each_kind(kind) {
        struct ends e = channel_of(1);
        _Atomic int begun = 0;
        int_slot slot;
        check_int(haft_reserve(&e.tx, &slot), ==, 0);
        haft_handle h = spawn_send(&e.tx, 6, kind, &begun);
        let_them_wait();
        check(!haft_is_finished(h));
        haft_slot_drop(&slot);
        check_int(haft_join(&h), ==, 0);
        check_int(recv_int(&e.rx), ==, 6);
        drop_ends(&e);
    }
}

TEST_FROM_EVERY_CALLER("two receivers of a closed channel wait for one slot: one gets the value, the other is told")
{
    for_each_kind(kind) {
        struct ends e = channel_of(1);
        _Atomic int begun = 0;
        int_slot slot;
        check_int(haft_reserve(&e.tx, &slot), ==, 0);
        haft_channel_close(&e.tx);
        haft_handle hs[2] = { spawn_recv(&e.rx, kind, &begun), spawn_recv(&e.rx, kind, &begun) };
        let_them_wait();
        int value = 3;
        check_int(haft_slot_send(&slot, &value), ==, 0);
        int first = haft_join(&hs[0]), second = haft_join(&hs[1]);
        check_int(first + second, ==, HAFT_ECLOSED);
        drop_ends(&e);
    }
}

TEST("a rendezvous has no slots; an unbounded channel has as many as one asks for")
{
    struct ends e = channel_of(0);
    int_slot slot;
    check_int(haft_reserve(&e.tx, &slot), ==, HAFT_EINVAL);
    drop_ends(&e);
    check_int(haft_channel_unbounded(&e.tx, &e.rx), ==, 0);
    int_slot slots[100];
    for (int i = 0; i < 100; i++)
        check_int(haft_try_reserve(&e.tx, &slots[i]), ==, 0);
    for (int i = 0; i < 100; i++)
        check_int(haft_slot_send(&slots[i], &i), ==, 0);
    for (int i = 0; i < 100; i++)
        check_int(recv_int(&e.rx), ==, i);
    drop_ends(&e);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("a null end is EINVAL for everything but its drop, and a drop leaves one")
{
    struct ends e = channel_of(1), other = { .tx = { 0 } };
    drop_ends(&e);
    drop_ends(&e);
    check_ptr(e.tx.channel_, ==, NULL);
    int value = 1;
    size_t n;
    int_slot slot;
    int_weak weak;
    check_int(haft_send(&e.tx, &value), ==, HAFT_EINVAL);
    check_int(haft_try_send(&e.tx, &value), ==, HAFT_EINVAL);
    check_int(haft_recv(&e.rx, &value), ==, HAFT_EINVAL);
    check_int(haft_try_recv(&e.rx, &value), ==, HAFT_EINVAL);
    check_int(haft_recv_many(&e.rx, &value, 1, &n), ==, HAFT_EINVAL);
    check_int(haft_reserve(&e.tx, &slot), ==, HAFT_EINVAL);
    check_int(haft_sender_clone(&e.tx, &other.tx), ==, HAFT_EINVAL);
    check_int(haft_receiver_clone(&e.rx, &other.rx), ==, HAFT_EINVAL);
    check_int(haft_sender_downgrade(&e.tx, &weak), ==, HAFT_EINVAL);
    check_int(haft_sender_upgrade(&weak, &other.tx), ==, HAFT_EINVAL);
    haft_channel_close(&e.rx);
    check_uint(haft_channel_len(&e.rx), ==, 0);
    check_uint(haft_channel_capacity(&e.tx), ==, 0);
}

TEST_FROM_EVERY_CALLER("a weak sender does not keep the channel open, and is upgraded while another sender lives")
{
    struct ends e = channel_of(1);
    int_weak weak;
    int_sender again;
    check_int(haft_sender_downgrade(&e.tx, &weak), ==, 0);
    check_int(haft_sender_upgrade(&weak, &again), ==, 0);
    haft_sender_drop(&e.tx);
    send_int(&again, 1);
    check_int(recv_int(&e.rx), ==, 1);
    check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
    haft_sender_drop(&again);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    check_int(haft_sender_upgrade(&weak, &again), ==, HAFT_ECLOSED);
    haft_receiver_drop(&e.rx);
    haft_weak_sender_drop(&weak); /* the last to know the channel */
}

TEST("a channel that there is no memory for is ENOMEM and has no ends")
{
    struct ends e;
    check_int(haft_channel(&e.tx, &e.rx, SIZE_MAX / 2), ==, HAFT_ENOMEM);
    check_ptr(e.tx.channel_, ==, NULL);
    check_ptr(e.rx.channel_, ==, NULL);
}

/* --- what nobody receives ----------------------------------------------------------------------------------------- */

struct counted {
    int number;
    _Atomic int *drops;
};

static void count_drop(void *object)
{
    const struct counted *c = object;
    atomic_fetch_add(c->drops, 1);
    check_int(haft_sleep(1), ==, 0); /* may suspend, shielded */
}

static void panic_at_odd(void *object)
{
    const struct counted *c = object;
    atomic_fetch_add(c->drops, 1);
    if (c->number % 2 != 0)
        haft_panic("number %d", c->number);
}

typedef HAFT_SENDER(struct counted) counted_sender;
typedef HAFT_RECEIVER(struct counted) counted_receiver;

TEST_FROM_EVERY_CALLER("what nobody receives goes to .drop once, when the last receiver is dropped")
{
    for (int unbounded = 0; unbounded < 2; unbounded++) {
        _Atomic int drops = 0;
        counted_sender tx;
        counted_receiver rx, rx2;
        check_int(unbounded ? haft_channel_unbounded(&tx, &rx, .drop = count_drop)
                            : haft_channel(&tx, &rx, 8, .drop = count_drop),
                  ==, 0);
        check_int(haft_receiver_clone(&rx, &rx2), ==, 0);
        struct counted c = { .drops = &drops };
        for (; c.number < 5; c.number++)
            check_int(haft_send(&tx, &c), ==, 0);
        check_int(haft_recv(&rx, &c), ==, 0);
        haft_receiver_drop(&rx);
        check_int(drops, ==, 0);
        haft_receiver_drop(&rx2);
        check_int(drops, ==, 4);
        check_int(haft_try_send(&tx, &c), ==, HAFT_ECLOSED);
        haft_sender_drop(&tx);
        check_int(drops, ==, 4);
    }
}

TEST_FROM_EVERY_CALLER("a .drop that panics is reported and keeps neither the others from theirs nor its caller")
{
    silence_panics();
    _Atomic int drops = 0;
    counted_sender tx;
    counted_receiver rx;
    check_int(haft_channel(&tx, &rx, 8, .drop = panic_at_odd), ==, 0);
    struct counted c = { .drops = &drops };
    for (; c.number < 6; c.number++)
        check_int(haft_send(&tx, &c), ==, 0);
    haft_receiver_drop(&rx);
    check_int(drops, ==, 6);
    haft_sender_drop(&tx);
}

TEST("haft_drop_free frees pointers, and ends may be sent through channels")
{
    HAFT_SENDER(char *) tx;
    HAFT_RECEIVER(char *) rx;
    check_int(haft_channel(&tx, &rx, 4, .drop = haft_drop_free), ==, 0);
    for (int i = 0; i < 3; i++) {
        char *text = strdup("text");
        check_int(haft_send(&tx, HAFT_MOVE(&text)), ==, 0);
        check_ptr(text, ==, NULL);
    }
    haft_receiver_drop(&rx);
    haft_sender_drop(&tx);

    HAFT_SENDER(int_sender) tx_tx;
    HAFT_RECEIVER(int_sender) tx_rx;
    check_int(haft_channel(&tx_tx, &tx_rx, 1, .drop = (haft_sender_drop)), ==, 0);
    struct ends e = channel_of(1);
    check_int(haft_send(&tx_tx, HAFT_MOVE(&e.tx)), ==, 0);
    check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
    haft_receiver_drop(&tx_rx); /* drops the sender inside */
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    haft_sender_drop(&tx_tx);
    drop_ends(&e);
}

TEST("ends fit HAFT_DEFER")
{
    struct ends e = channel_of(1);
    {
        HAFT_DEFER(haft_sender_drop, &e.tx);
    }
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    HAFT_DEFER(haft_receiver_drop, &e.rx);
}

/* --- oneshot ------------------------------------------------------------------------------------------------------ */

/* DESIGN 16 */
TEST_FROM_EVERY_CALLER(
    "a oneshot carries one value; without its receiver the value comes back, without its sender it is closed")
{
    struct ends e;
    check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
    check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
    send_int(&e.tx, 5);
    check_int(try_send_code(&e.tx, 6), ==, HAFT_ECLOSED);
    check_int(recv_int(&e.rx), ==, 5);
    check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
    drop_ends(&e);

    check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
    haft_receiver_drop(&e.rx);
    int value = 7;
    check_int(haft_send(&e.tx, HAFT_MOVE(&value)), ==, HAFT_ECLOSED);
    check_int(value, ==, 7);
    drop_ends(&e);

    for_each_kind(kind) {
        _Atomic int begun = 0;
        check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
        haft_handle h = spawn_recv(&e.rx, kind, &begun);
        let_them_wait();
        haft_sender_drop(&e.tx);
        check_int(haft_join(&h), ==, HAFT_ECLOSED);
        drop_ends(&e);
    }
}

TEST_FROM_EVERY_CALLER("a oneshot closes for everybody else once its value was sent, waiting or not")
{
    for_each_kind(kind) {
        struct ends e;
        _Atomic int begun = 0;
        check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
        haft_handle hs[3];
        for (int i = 0; i < 3; i++)
            hs[i] = spawn_recv(&e.rx, kind, &begun);
        let_them_wait();
        send_int(&e.tx, 5);
        int got = 0;
        for (int i = 0; i < 3; i++) {
            int rc = haft_join(&hs[i]);
            check(rc == 0 || rc == HAFT_ECLOSED);
            got += rc == 0;
        }
        check_int(got, ==, 1);
        drop_ends(&e);

        check_int(haft_oneshot(&e.tx, &e.rx), ==, 0);
        int_slot slot;
        check_int(haft_reserve(&e.tx, &slot), ==, 0);
        haft_handle h = spawn_send(&e.tx, 8, kind, &begun);
        let_them_wait();
        int value = 9;
        check_int(haft_slot_send(&slot, &value), ==, 0);
        check_int(haft_join(&h), ==, HAFT_ECLOSED);
        check_int(recv_int(&e.rx), ==, 9);
        drop_ends(&e);
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static _Atomic long allocations;
static struct haft__os counting_os;

static void *count_allocation(size_t size, size_t alignment)
{
    atomic_fetch_add(&allocations, 1);
    return haft__os_linux.allocate(size, alignment);
}

struct echo {
    int_receiver rx;
    int_sender tx;
};

static int echo(struct echo *e)
{
    int value, rc;
    while ((rc = haft_recv(&e->rx, &value)) == 0)
        send_int(&e->tx, value + 1);
    haft_receiver_drop(&e->rx);
    haft_sender_drop(&e->tx);
    return rc;
}

static void use_channels(void)
{
    int_slot slot;
    struct ends one = channel_of(4);
    int value = 1, values[4];
    size_t n;
    for (int i = 0; i < 100; i++) {
        send_int(&one.tx, i);
        check_int(haft_reserve(&one.tx, &slot), ==, 0);
        check_int(haft_slot_send(&slot, &value), ==, 0);
        check_int(haft_recv_many(&one.rx, values, 4, &n), ==, 0);
    }
    drop_ends(&one);
    for (int i = 0; i < 100; i++) {
        check_int(haft_oneshot(&one.tx, &one.rx), ==, 0);
        send_int(&one.tx, i);
        check_int(recv_int(&one.rx), ==, i);
        drop_ends(&one);
    }
    struct {
        char bytes[128];
    } large = { "as large as a oneshot's value may be to be made without an allocation" };
    HAFT_SENDER(__typeof__(large)) tx;
    HAFT_RECEIVER(__typeof__(large)) rx;
    for (int i = 0; i < 100; i++) {
        check_int(haft_oneshot(&tx, &rx), ==, 0);
        check_int(haft_send(&tx, &large), ==, 0);
        check_int(haft_recv(&rx, &large), ==, 0);
        haft_sender_drop(&tx);
        haft_receiver_drop(&rx);
    }
}

TEST("bounded channels allocate nothing in use, nor do oneshots that are made again and again")
{
    counting_os = haft__os_linux;
    counting_os.allocate = count_allocation;
    haft__os_replace(&counting_os);
    for_each_kind(kind) {
        struct ends there = channel_of(1), back = channel_of(0);
        struct echo e = { .tx = back.tx, .rx = there.rx };
        haft_handle h = haft_spawn(echo, &e, .kind = kind);
        use_channels();
        for (int warm = 0; warm < 2; warm++) {
            long before = atomic_load(&allocations);
            use_channels();
            for (int i = 0; i < 200; i++) {
                send_int(&there.tx, i);
                check_int(recv_int(&back.rx), ==, i + 1);
            }
            if (warm)
                check_int(atomic_load(&allocations), ==, before);
        }
        haft_sender_drop(&there.tx);
        check_int(haft_join(&h), ==, HAFT_ECLOSED);
        haft_receiver_drop(&back.rx);
    }
}
