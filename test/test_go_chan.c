/* SPDX-License-Identifier: MIT
 *
 * What Go's own programs check of its channels (test/chan and runtime/chan_test.go of its sources), told again for haft:
 * each test is named after the original, and asserts what that does, from tasks and from threads. Over 600 lines:
 * one original after the other. */
#include <haft/haft.h>

#include <string.h>

#include "channels.h"

/* --- sieve -------------------------------------------------------------------------------------------------------- */

struct filter {
    int_receiver rx;
    int_sender tx;
    int prime;
};

static int generate(struct filter *f)
{
    for (int i = 2; haft_send(&f->tx, &i) == 0; i++)
        ;
    haft_sender_drop(&f->tx);
    return 0;
}

static int filter(struct filter *f)
{
    int i;
    while (haft_recv(&f->rx, &i) == 0)
        if (i % f->prime != 0 && haft_send(&f->tx, &i) != 0)
            break;
    haft_receiver_drop(&f->rx);
    haft_sender_drop(&f->tx);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:chan/sieve: a chain of filters finds the primes, and ends when nobody wants more")
{
    static const int primes[] = { 2,  3,  5,  7,  11, 13, 17, 19, 23, 29, 31, 37, 41,
                                  43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97 };
    enum { N = sizeof primes / sizeof *primes };
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        int n = kind == HAFT_TASK ? N : 6;
        haft_handle hs[N + 1];
        struct ends e = channel_of(1);
        struct filter f = { .tx = e.tx };
        hs[0] = haft_spawn(generate, &f, .kind = kind);
        int_receiver rx = e.rx;
        for (int i = 0; i < n; i++) {
            int prime = recv_int(&rx);
            check_int(prime, ==, primes[i]);
            e = channel_of(0);
            f = (struct filter){ .rx = rx, .tx = e.tx, .prime = prime };
            hs[i + 1] = haft_spawn(filter, &f, .kind = kind);
            rx = e.rx;
        }
        haft_receiver_drop(&rx);
        for (int i = 0; i <= n; i++)
            check_int(haft_join(&hs[i]), ==, 0);
    }
}

/* --- fifo --------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("go:chan/fifo: a buffered channel is first in, first out")
{
    struct ends e = channel_of(10);
    for (int i = 0; i < 10; i++)
        send_int(&e.tx, i);
    for (int i = 0; i < 10; i++)
        check_int(recv_int(&e.rx), ==, i);
    drop_ends(&e);
}

struct link {
    struct ends values;
    int_receiver in;
    int_sender out;
    int value;
};

static int pass_on(struct link *l)
{
    check_int(recv_int(&l->in), ==, 1);
    check_int(recv_int(&l->values.rx), ==, l->value);
    haft_receiver_drop(&l->in);
    send_int(&l->out, 1);
    haft_sender_drop(&l->out);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:chan/fifo: receivers in a chain get from a rendezvous what is sent in turn")
{
    for_each_kind(kind) {
        enum { N = 10 };
        struct ends values = channel_of(0), first = channel_of(0);
        int_receiver in = first.rx;
        haft_handle hs[N];
        for (int i = 0; i < N; i++) {
            struct ends next = channel_of(0);
            struct link l = { .values = values, .in = in, .out = next.tx, .value = i };
            hs[i] = haft_spawn(pass_on, &l, .kind = kind);
            in = next.rx;
        }
        send_int(&first.tx, 1);
        for (int i = 0; i < N; i++)
            send_int(&values.tx, i);
        check_int(recv_int(&in), ==, 1);
        for (int i = 0; i < N; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        haft_receiver_drop(&in);
        haft_sender_drop(&first.tx);
        drop_ends(&values);
    }
}

/* --- nonblock ----------------------------------------------------------------------------------------------------- */

struct nonblocking {
    struct ends e, strobe;
    int value;
};

static int receive_then_strobe(struct nonblocking *n)
{
    check_int(recv_int(&n->e.rx), ==, n->value);
    send_int(&n->strobe.tx, 1);
    return 0;
}

static int send_then_strobe(struct nonblocking *n)
{
    send_int(&n->e.tx, n->value);
    send_int(&n->strobe.tx, 1);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:chan/nonblock: sends and receives that do not wait meet those that do")
{
    for_each_kind(kind)
        for (size_t buffer = 0; buffer < 2; buffer++) {
            struct nonblocking n = { .e = channel_of(buffer), .strobe = channel_of(buffer), .value = 123 };
            int value = 0;
            check_int(haft_try_select(HAFT_ON_RECV(&n.e.rx, &value)), ==, HAFT_EAGAIN);
            haft_handle h = haft_spawn(receive_then_strobe, &n, .kind = kind);
            until(haft_try_select(HAFT_ON_SEND(&n.e.tx, &n.value)) == 0);
            check_int(recv_int(&n.strobe.rx), ==, 1);
            check_int(haft_join(&h), ==, 0);
            h = haft_spawn(send_then_strobe, &n, .kind = kind);
            until(haft_try_recv(&n.e.rx, &value) == 0);
            check_int(value, ==, 123);
            check_int(recv_int(&n.strobe.rx), ==, 1);
            check_int(haft_join(&h), ==, 0);
            drop_ends(&n.e);
            drop_ends(&n.strobe);
        }
}

/* --- select ------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("go:chan/select3: what waits for ever, what does not, and what a closed channel gives")
{
    struct ends sync = channel_of(0), async = channel_of(1);
    int value = 7;
    const haft_arm never = { 0 };
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_select_array(&never, 1), ==, HAFT_ETIMEDOUT); /* a nil channel */
        check_int(haft_send(&sync.tx, &value), ==, HAFT_ETIMEDOUT);
        check_int(haft_recv(&sync.rx, &value), ==, HAFT_ETIMEDOUT);
        check_int(haft_recv(&async.rx, &value), ==, HAFT_ETIMEDOUT);
        check_int(haft_send(&async.tx, &value), ==, 0);
        check_int(haft_send(&async.tx, &value), ==, HAFT_ETIMEDOUT);
        check_int(haft_select(never, HAFT_ON_SEND(&async.tx, &value), HAFT_ON_RECV(&async.rx, &value)), ==, 2);
        check_int(haft_select(never, HAFT_ON_SEND(&async.tx, &value)), ==, 1);
    }
    haft_channel_close(&async.tx);
    haft_channel_close(&sync.tx);
    int rc = 0;
    check_int(haft_recv(&async.rx, &value), ==, 0);
    for (int i = 0; i < 10; i++) {
        check_int(haft_recv(&async.rx, &value), ==, HAFT_ECLOSED);
        check_int(haft_select(HAFT_ON_RECV(&sync.rx, &value, .rc = &rc)), ==, 0);
        check_int(rc, ==, HAFT_ECLOSED);
    }
    drop_ends(&sync);
    drop_ends(&async);
}

struct pair {
    struct ends a, b;
    int got;
};

static int receive_a(struct pair *p)
{
    p->got = recv_int(&p->a.rx);
    return 0;
}

static int select_a_or_b(struct pair *p)
{
    return haft_select(HAFT_ON_RECV(&p->a.rx, &p->got), HAFT_ON_RECV(&p->b.rx, &p->got));
}

TEST_FROM_EVERY_CALLER("go:chan/select6: a select that leaves the middle of a queue leaves the others in it")
{
    for_each_kind(kind) {
        struct pair p = { .a = channel_of(0), .b = channel_of(0) };
        haft_handle before = haft_spawn(receive_a, &p, .kind = kind);
        haft_handle select = haft_spawn(select_a_or_b, &p, .kind = kind);
        haft_handle after = haft_spawn(receive_a, &p, .kind = kind);
        check_int(haft_sleep(200 * HAFT_US), ==, 0);
        send_int(&p.b.tx, 9);
        check_int(haft_join(&select), ==, 1);
        send_int(&p.a.tx, 1);
        send_int(&p.a.tx, 2);
        struct pair one, two;
        check_int(haft_join(&before, &one), ==, 0);
        check_int(haft_join(&after, &two), ==, 0);
        check_int(one.got + two.got, ==, 3);
        drop_ends(&p.a);
        drop_ends(&p.b);
    }
}

struct doubled {
    int_sender tx[4];
    int_receiver rx[4];
    int n;
};

static int send_on_any(struct doubled *d)
{
    for (int i = 1; i <= d->n; i++) {
        int k = i % 4;
        check_int(haft_select(HAFT_ON_SEND(&d->tx[k], &i), HAFT_ON_SEND(&d->tx[(k + 1) % 4], &i),
                              HAFT_ON_SEND(&d->tx[(k + 2) % 4], &i), HAFT_ON_SEND(&d->tx[(k + 3) % 4], &i)),
                  >=, 0);
    }
    for (int k = 0; k < 4; k++)
        haft_sender_drop(&d->tx[k]);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:chan/doubleselect: a select never happens twice")
{
    for_each_kind(kind) {
        struct doubled d = { .n = (int)rounds(2000, 100000) };
        for (int k = 0; k < 4; k++)
            check_int(haft_channel(&d.tx[k], &d.rx[k], 0), ==, 0);
        haft_handle h = haft_spawn(send_on_any, &d, .kind = kind);
        int value = 0, open = 4, rc[4], expected = 0;
        haft_arm arms[4];
        for (int k = 0; k < 4; k++)
            arms[k] = HAFT_ON_RECV(&d.rx[k], &value, .rc = &rc[k]);
        while (open > 0) {
            int arm = haft_select_array(arms, 4);
            check(arm >= 0 && arm < 4);
            if (rc[arm] == HAFT_ECLOSED) {
                arms[arm] = (haft_arm){ 0 };
                open--;
            } else {
                check_int(value, ==, ++expected); /* neither lost nor twice */
            }
        }
        check_int(expected, ==, d.n);
        check_int(haft_join(&h), ==, 0);
        for (int k = 0; k < 4; k++)
            haft_receiver_drop(&d.rx[k]);
    }
}

/* --- goroutines, zerosize ----------------------------------------------------------------------------------------- */

static int pass_left(struct filter *f)
{
    send_int(&f->tx, recv_int(&f->rx));
    haft_receiver_drop(&f->rx);
    haft_sender_drop(&f->tx);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:chan/goroutines: a value goes through a long chain of jobs")
{
    size_t n = rounds(1000, 10000);
    haft_set *set = haft_set_new();
    struct ends last = channel_of(0);
    int_receiver rx = last.rx;
    for (size_t i = 0; i < n; i++) {
        struct ends e = channel_of(0);
        struct filter f = { .rx = rx, .tx = e.tx };
        check_int(haft_set_spawn(set, pass_left, &f, .kind = i % 500 == 0 ? HAFT_THREAD : HAFT_TASK), ==, 0);
        rx = e.rx;
    }
    send_int(&last.tx, 11);
    check_int(recv_int(&rx), ==, 11);
    haft_sender_drop(&last.tx);
    haft_receiver_drop(&rx);
    int code;
    while (haft_set_next(set, HAFT_NO_FRAME, &code) == 0)
        check_int(code, ==, 0);
    haft_set_drop(&set);
}

struct empty {
    char nothing[1];
};

TEST("go:chan/zerosize: the smallest elements")
{
    HAFT_SENDER(struct empty) tx;
    HAFT_RECEIVER(struct empty) rx;
    check_int(haft_channel(&tx, &rx, 2), ==, 0);
    struct empty e = { { 1 } };
    check_int(haft_send(&tx, &e), ==, 0);
    check_int(haft_recv(&rx, &e), ==, 0);
    haft_sender_drop(&tx);
    haft_receiver_drop(&rx);
}

/* --- runtime/chan_test.go ----------------------------------------------------------------------------------------- */

static int send_then_close(struct pair *p)
{
    send_int(&p->a.tx, 1);
    haft_channel_close(&p->a.tx);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:runtime/TestNonblockRecvRace: a value that is there is not missed because of a close")
{
    for (size_t i = rounds(200, 10000); i > 0; i--) {
        struct pair p = { .a = channel_of(1) };
        send_int(&p.a.tx, 1);
        haft_handle h = haft_spawn(send_then_close, &p, .kind = i % 16 == 0 ? HAFT_THREAD : HAFT_TASK);
        check_int(recv_int(&p.a.rx), ==, 1);
        int value = 0;
        until(haft_try_recv(&p.a.rx, &value) == 0);
        check_int(haft_recv(&p.a.rx, &value), ==, HAFT_ECLOSED);
        check_int(haft_join(&h), ==, 0);
        drop_ends(&p.a);
    }
}

TEST_FROM_EVERY_CALLER("go:runtime/TestNonblockSelectRace: a select over two that are closed or full finds one")
{
    for (size_t i = rounds(200, 10000); i > 0; i--) {
        struct pair p = { .a = channel_of(1), .b = channel_of(1) };
        send_int(&p.a.tx, 1);
        haft_handle h = haft_spawn(send_then_close, (&(struct pair){ .a = p.b }));
        int value, arm = haft_try_select(HAFT_ON_RECV(&p.a.rx, &value), HAFT_ON_RECV(&p.b.rx, &value));
        check(arm == 0 || arm == 1);
        check_int(haft_join(&h), ==, 0);
        drop_ends(&p.a);
        drop_ends(&p.b);
    }
}

struct self {
    struct ends e;
    int number, n, rc;
    _Atomic int *turns;
};

/* Sends its own number or receives another's. */
static int select_itself(struct self *s)
{
    for (int i = 0; i < s->n; i++) {
        int value = -1;
        int arm = i % 2 == 0 ? haft_select(HAFT_ON_SEND(&s->e.tx, &s->number), HAFT_ON_RECV(&s->e.rx, &value))
                             : haft_select(HAFT_ON_RECV(&s->e.rx, &value), HAFT_ON_SEND(&s->e.tx, &s->number));
        if (arm < 0)
            return arm == HAFT_ECLOSED ? 0 : arm;
        if (value != -1 && s->e.tx.channel_ != NULL && haft_channel_capacity(&s->e.tx) == 0)
            check_int(value, !=, s->number);
    }
    haft_channel_close(&s->e.tx);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:runtime/TestSelfSelect: two that send and receive on one channel never receive their own")
{
    for_each_kind(kind)
        for (size_t capacity = 0; capacity < 2; capacity++) {
            struct self s = { .e = channel_of(capacity), .n = (int)rounds(300, 10000) }, t = s;
            t.number = 1;
            haft_handle hs[2] = { haft_spawn(select_itself, &s, .kind = kind), haft_spawn(select_itself, &t) };
            check_int(haft_join(&hs[0]), ==, 0);
            check_int(haft_join(&hs[1]), ==, 0);
            drop_ends(&s.e);
        }
}

struct stress {
    int_sender tx[4];
    int_receiver rx[4];
    int n, only; /* -1: by select */
};

static int send_stress(struct stress *s)
{
    int left[4] = { s->n, s->n, s->n, s->n };
    if (s->only >= 0)
        for (int i = 0; i < s->n; i++)
            send_int(&s->tx[s->only], 0);
    while (s->only < 0 && left[0] + left[1] + left[2] + left[3] > 0) {
        haft_arm arms[4];
        int zero = 0;
        for (int k = 0; k < 4; k++)
            arms[k] = left[k] > 0 ? HAFT_ON_SEND(&s->tx[k], &zero) : (haft_arm){ 0 };
        int arm = haft_select_array(arms, 4);
        check_int(arm, >=, 0);
        left[arm]--;
    }
    return 0;
}

static int recv_stress(struct stress *s)
{
    int left[4] = { s->n, s->n, s->n, s->n };
    if (s->only >= 0)
        for (int i = 0; i < s->n; i++)
            recv_int(&s->rx[s->only]);
    while (s->only < 0 && left[0] + left[1] + left[2] + left[3] > 0) {
        haft_arm arms[4];
        int value;
        for (int k = 0; k < 4; k++)
            arms[k] = left[k] > 0 ? HAFT_ON_RECV(&s->rx[k], &value) : (haft_arm){ 0 };
        int arm = haft_select_array(arms, 4);
        check_int(arm, >=, 0);
        left[arm]--;
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("go:runtime/TestSelectStress: plain and selecting jobs share four channels, and all is balanced")
{
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        static const size_t capacities[4] = { 0, 0, 2, 3 };
        struct stress s = { .n = (int)rounds(100, 10000) };
        for (int k = 0; k < 4; k++)
            check_int(haft_channel(&s.tx[k], &s.rx[k], capacities[k]), ==, 0);
        haft_handle hs[10];
        for (int k = -1; k < 4; k++) {
            s.only = k;
            haft_handle *both = &hs[2 * (size_t)(k + 1)];
            both[0] = haft_spawn(send_stress, &s, .kind = kind);
            both[1] = haft_spawn(recv_stress, &s, .kind = k < 0 ? HAFT_TASK : kind);
        }
        for (int i = 0; i < 10; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        for (int k = 0; k < 4; k++) {
            check_uint(haft_channel_len(&s.rx[k]), ==, 0);
            haft_sender_drop(&s.tx[k]);
            haft_receiver_drop(&s.rx[k]);
        }
    }
}

static int fill(struct self *s)
{
    while (haft_send(&s->e.tx, &s->number) == 0)
        ;
    haft_sender_drop(&s->e.tx);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:runtime/TestSelectFairness: two that are always ready are chosen about as often")
{
    struct ends a = channel_of(16), b = channel_of(16), never = channel_of(0);
    struct self one = { .e = a, .number = 1 }, two = { .e = b, .number = 2 };
    haft_handle hs[2] = { haft_spawn(fill, &one), haft_spawn(fill, &two) };
    int counts[2] = { 0 }, value, n = (int)rounds(4000, 10000);
    for (int i = 0; i < n; i++) {
        /* Both are ready; nobody else receives. */
        until(haft_channel_len(&a.rx) > 0 && haft_channel_len(&b.rx) > 0);
        int arm =
            haft_select(HAFT_ON_RECV(&a.rx, &value), HAFT_ON_RECV(&b.rx, &value), HAFT_ON_RECV(&never.rx, &value));
        check_int(arm, ==, value - 1);
        counts[arm]++;
    }
    check_int(counts[0], >, n / 10);
    check_int(counts[1], >, n / 10);
    haft_receiver_drop(&a.rx);
    haft_receiver_drop(&b.rx);
    check_int(haft_join(&hs[0]), ==, 0);
    check_int(haft_join(&hs[1]), ==, 0);
    drop_ends(&never);
}

TEST_FROM_EVERY_CALLER("go:runtime/TestPseudoRandomSend: a select that could send either sends both")
{
    struct ends e = channel_of(10);
    int n[2] = { 0, 1 }, counts[2] = { 0 };
    for (int i = 0; i < 100; i++) {
        int arm = haft_select(HAFT_ON_SEND(&e.tx, &n[0]), HAFT_ON_SEND(&e.tx, &n[1]));
        check_int(recv_int(&e.rx), ==, arm);
        counts[arm]++;
    }
    check_int(counts[0], >, 10);
    check_int(counts[1], >, 10);
    drop_ends(&e);
}

static int add_and_pass(struct filter *f)
{
    int value;
    while (haft_recv(&f->rx, &value) == 0) {
        if (value % 7 == 0)
            check_int(haft_yield(), ==, 0);
        send_int(&f->tx, value);
    }
    haft_receiver_drop(&f->rx);
    haft_sender_drop(&f->tx);
    return 0;
}

struct feeder {
    int_sender tx;
    int n;
};

static int feed(struct feeder *f)
{
    for (int i = 0; i < f->n; i++)
        send_int(&f->tx, 2 + i % 7);
    haft_sender_drop(&f->tx);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:runtime/TestMultiConsumer: several consumers of one channel pass everything on")
{
    for_each_kind(kind) {
        enum { CONSUMERS = 5 };
        struct ends in = channel_of(15), out = channel_of(15);
        haft_handle hs[CONSUMERS + 1];
        for (int i = 0; i < CONSUMERS; i++) {
            struct filter f;
            check_int(haft_receiver_clone(&in.rx, &f.rx) | haft_sender_clone(&out.tx, &f.tx), ==, 0);
            hs[i] = haft_spawn(add_and_pass, &f, .kind = kind);
        }
        struct feeder f = { .tx = in.tx, .n = (int)rounds(1000, 10000) };
        hs[CONSUMERS] = haft_spawn(feed, &f);
        haft_sender_drop(&out.tx);
        haft_receiver_drop(&in.rx);
        int sum = 0, expected = 0, value;
        while (haft_recv(&out.rx, &value) == 0)
            sum += value;
        for (int i = 0; i < f.n; i++)
            expected += 2 + i % 7;
        check_int(sum, ==, expected);
        for (int i = 0; i <= CONSUMERS; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        haft_receiver_drop(&out.rx);
    }
}

static int select_twice_the_same(struct pair *p)
{
    return haft_select(HAFT_ON_RECV(&p->a.rx, &p->got), HAFT_ON_RECV(&p->a.rx, &p->got),
                       HAFT_ON_RECV(&p->b.rx, &p->got));
}

TEST_FROM_EVERY_CALLER("go:runtime/TestSelectDuplicateChannel: a channel that stands twice in a select is woken once")
{
    for_each_kind(kind) {
        struct pair p = { .a = channel_of(0), .b = channel_of(0) };
        haft_handle first = haft_spawn(select_twice_the_same, &p, .kind = kind);
        haft_handle second = haft_spawn(receive_a, &p, .kind = kind);
        check_int(haft_sleep(200 * HAFT_US), ==, 0);
        send_int(&p.b.tx, 3); /* the select leaves both places */
        check_int(haft_join(&first), ==, 2);
        send_int(&p.a.tx, 4);
        check_int(haft_join(&second, &p), ==, 0);
        check_int(p.got, ==, 4);
        drop_ends(&p.a);
        drop_ends(&p.b);
    }
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

/* Not here: what is about Go's syntax (chan/sendstmt, select7, select8) or its moving stacks (TestShrinkStackDuringBlockedSend,
 * TestNoShrinkStackWhileParking, TestSelectStackAdjust); chan/perm, what must not compile, is in test/compile; chan/sieve2
 * and powser2 are chan/sieve and powser1 with other arithmetic. */

static int recv_code(int_receiver *rx)
{
    int value;
    int rc = haft_recv(rx, &value);
    haft_receiver_drop(rx);
    return rc;
}

static int send_code(int_sender *tx)
{
    int value = 0;
    int rc = haft_send(tx, &value);
    haft_sender_drop(tx);
    return rc;
}

TEST_FROM_EVERY_CALLER(
    "go:runtime/TestChan: an empty channel lets receivers wait, a full one senders, and a closed one neither")
{
    for (size_t capacity = 0; capacity < 20; capacity += 6) {
        for_each_kind(kind) {
            struct ends e = channel_of(capacity);
            int_receiver rx;
            int_sender tx;
            check_uint(haft_channel_capacity(&e.tx), ==, capacity);
            check_uint(haft_channel_len(&e.tx), ==, 0);
            check_int(haft_receiver_clone(&e.rx, &rx), ==, 0);
            haft_handle h = haft_spawn(recv_code, &rx, .kind = kind);
            let_them_wait();
            check_int(try_recv_code(&e.rx), ==, HAFT_EAGAIN);
            check(!haft_is_finished(h));
            send_int(&e.tx, 0);
            check_int(haft_join(&h), ==, 0);

            for (int i = 0; i < (int)capacity; i++)
                send_int(&e.tx, i);
            check_uint(haft_channel_len(&e.rx), ==, capacity);
            check_int(haft_sender_clone(&e.tx, &tx), ==, 0);
            h = haft_spawn(send_code, &tx, .kind = kind);
            let_them_wait();
            check_int(try_send_code(&e.tx, 0), ==, HAFT_EAGAIN);
            check(!haft_is_finished(h));
            for (int i = 0; i < (int)capacity; i++)
                check_int(recv_int(&e.rx), ==, i);
            check_int(recv_int(&e.rx), ==, 0); /* the one that waited */
            check_int(haft_join(&h), ==, 0);

            check_int(haft_receiver_clone(&e.rx, &rx), ==, 0);
            h = haft_spawn(recv_code, &rx, .kind = kind);
            let_them_wait();
            haft_channel_close(&e.tx);
            check_int(haft_join(&h), ==, HAFT_ECLOSED);
            check_int(try_recv_code(&e.rx), ==, HAFT_ECLOSED);
            check_int(try_send_code(&e.tx, 0), ==, HAFT_ECLOSED);
            drop_ends(&e);
        }
    }
}

enum { PARTS = 4, EACH = 1000 };

struct counting {
    int_receiver rx;
    int_sender tx;
    int n;
    int seen[EACH];
};

static int send_each(struct counting *c)
{
    for (int i = 0; i < c->n; i++)
        send_int(&c->tx, i);
    haft_sender_drop(&c->tx);
    return 0;
}

static int count_each(struct counting *c)
{
    for (int i = 0; i < c->n; i++)
        c->seen[recv_int(&c->rx)]++;
    haft_receiver_drop(&c->rx);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:runtime/TestChan: what four send to four arrives once each")
{
    for (size_t capacity = 0; capacity < 20; capacity += 9) {
        struct ends e = channel_of(capacity);
        haft_handle hs[2 * PARTS];
        struct counting c = { .n = (int)rounds(EACH / 4, EACH) };
        for (int p = 0; p < PARTS; p++) {
            check_int(haft_sender_clone(&e.tx, &c.tx), ==, 0);
            hs[p] = haft_spawn(send_each, &c, .kind = p == 0 ? HAFT_THREAD : HAFT_TASK);
            check_int(haft_receiver_clone(&e.rx, &c.rx), ==, 0);
            hs[PARTS + p] = haft_spawn(count_each, &c, .kind = p == 1 ? HAFT_THREAD : HAFT_TASK);
        }
        drop_ends(&e);
        int seen[EACH] = { 0 };
        for (int p = 0; p < 2 * PARTS; p++) {
            struct counting part;
            check_int(haft_join(&hs[p], &part), ==, 0);
            for (int i = 0; p >= PARTS && i < c.n; i++)
                seen[i] += part.seen[i];
        }
        for (int i = 0; i < c.n; i++)
            check_int(seen[i], ==, PARTS);
    }
}

struct two_channels {
    struct ends one, two;
};

static int try_both(struct two_channels *t)
{
    int value, rc = 0;
    return haft_try_select(HAFT_ON_RECV(&t->one.rx, &value, .rc = &rc), HAFT_ON_RECV(&t->two.rx, &value, .rc = &rc));
}

TEST_FROM_EVERY_CALLER(
    "go:runtime/TestNonblockSelectRace2: of two one is ready at every moment, and a select that does not wait finds it")
{
    for (size_t i = 0; i < rounds(200, 100000); i++) {
        struct two_channels t = { channel_of(1), channel_of(0) };
        send_int(&t.one.tx, 1);
        haft_handle h = haft_spawn(try_both, &t, .kind = i % 16 == 0 ? HAFT_THREAD : HAFT_TASK);
        haft_channel_close(&t.two.tx);
        (void)try_recv_code(&t.one.rx);
        check_int(haft_join(&h), >=, 0);
        drop_ends(&t.one);
        drop_ends(&t.two);
    }
}

TEST_FROM_EVERY_CALLER("go:runtime/TestChanSendInterface: a full channel that stands in a select twice is full twice")
{
    struct ends e = channel_of(1);
    int value = 1;
    send_int(&e.tx, 1);
    check_int(try_send_code(&e.tx, 2), ==, HAFT_EAGAIN);
    check_int(haft_try_select(HAFT_ON_SEND(&e.tx, &value), HAFT_ON_SEND(&e.tx, &value)), ==, HAFT_EAGAIN);
    drop_ends(&e);
}

struct counter_of {
    int_sender tx;
    int_receiver rx, stop;
    int at, shift, n;
};

static int count_with_shift(struct counter_of *c)
{
    int rc = 0, value;
    for (; c->at < c->n && rc >= 0; c->at++) {
        value = c->at + c->shift;
        rc = haft_select(HAFT_ON_SEND(&c->tx, &value), HAFT_ON_RECV(&c->stop, &value));
    }
    haft_sender_drop(&c->tx);
    haft_receiver_drop(&c->stop);
    return rc < 0 ? rc : 0;
}

TEST_FROM_EVERY_CALLER("go:chan/select: two that send by turns through selects are both heard, each in its order")
{
    enum { N = 50 };
    struct ends one = channel_of(0), two = channel_of(0), stop = channel_of(1);
    haft_handle hs[2];
    for (int i = 0; i < 2; i++) {
        struct counter_of c = { .tx = i == 0 ? one.tx : two.tx, .shift = i * 1000, .n = N };
        check_int(haft_receiver_clone(&stop.rx, &c.stop), ==, 0);
        hs[i] = haft_spawn(count_with_shift, &c, .kind = i == 0 ? HAFT_THREAD : HAFT_TASK);
    }
    int next[2] = { 0, 0 }, value, rc = 0;
    while (next[0] + next[1] < 2 * N) {
        haft_arm arms[2] = { HAFT_ON_RECV(&one.rx, &value, .rc = &rc), HAFT_ON_RECV(&two.rx, &value, .rc = &rc) };
        for (int i = 0; i < 2; i++)
            if (next[i] == N)
                arms[i] = (haft_arm){ 0 }; /* Go's nil: never ready */
        int arm = haft_select_array(arms, 2);
        check_int(rc, ==, 0);
        check_int(value, ==, next[arm]++ + arm * 1000);
    }
    for (int i = 0; i < 2; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    haft_receiver_drop(&one.rx);
    haft_receiver_drop(&two.rx);
    drop_ends(&stop);
}

static int send_by_selects(struct counter_of *c)
{
    for (c->at = 0; c->at < c->n; c->at++)
        check_int(haft_select(HAFT_ON_SEND(&c->tx, &c->at)), ==, 0);
    haft_sender_drop(&c->tx);
    return 0;
}

static int receive_by_selects(struct counter_of *c)
{
    int value = -1, rc = 0;
    while (haft_select(HAFT_ON_RECV(&c->rx, &value, .rc = &rc), HAFT_ON_RECV(&c->stop, &value)) == 0 && rc == 0)
        check_int(value, ==, c->at++);
    haft_receiver_drop(&c->rx);
    haft_receiver_drop(&c->stop);
    return rc == HAFT_ECLOSED ? c->at : rc;
}

TEST_FROM_EVERY_CALLER(
    "go:chan/select2: selects on a channel that is always empty leave nothing behind, however many there are")
{
    struct ends e = channel_of(0), never = channel_of(0);
    struct counter_of c = { .tx = e.tx, .rx = e.rx, .n = (int)rounds(2000, 100000) };
    check_int(haft_receiver_clone(&never.rx, &c.stop), ==, 0);
    haft_handle sender = haft_spawn(send_by_selects, &c), receiver = haft_spawn(receive_by_selects, &c);
    check_int(haft_join(&sender), ==, 0);
    check_int(haft_join(&receiver), ==, c.n);
    /* Nobody stands in the queue any more: a value finds no receiver. */
    check_int(try_send_code(&never.tx, 1), ==, HAFT_EAGAIN);
    drop_ends(&never);
}

TEST_FROM_EVERY_CALLER("go:chan/select4: a select goes on with what is ready, whatever is evaluated beside it")
{
    struct ends e = channel_of(1), other = channel_of(0);
    int value = 42, got = 0;
    send_int(&e.tx, 42);
    check_int(haft_select(HAFT_ON_RECV(&e.rx, &got), HAFT_ON_SEND(&other.tx, &value)), ==, 0);
    check_int(got, ==, 42);
    drop_ends(&e);
    drop_ends(&other);
}

/* One operation said in many ways; each has the same effect. */
enum { PLAIN, TRY, ALONE, BESIDE_NEVER, BESIDE_NIL, BIASED, TRY_SELECT, WAYS };

static int do_in_some_way(int way, haft_arm arm, int_receiver *never, int (*plain)(void *), void *end)
{
    int value;
    switch (way) {
    case PLAIN:
    case TRY:
        return plain(end);
    case ALONE:
        return haft_select_array(&arm, 1);
    case BESIDE_NEVER:
        return haft_select(arm, HAFT_ON_RECV(never, &value));
    case BESIDE_NIL:
        return haft_select_biased((haft_arm){ 0 }, arm, (haft_arm){ 0 }) - 1;
    case BIASED:
        return haft_select_biased(arm, arm);
    default:
        return haft_try_select(arm, HAFT_ON_RECV(never, &value));
    }
}

static int plain_send(void *tx)
{
    int value = 33;
    return haft_send((int_sender *)tx, &value);
}

static int plain_recv(void *rx)
{
    int value = 0;
    int rc = haft_recv((int_receiver *)rx, &value);
    check_int(value, ==, 33);
    return rc;
}

TEST_FROM_EVERY_CALLER("go:chan/select5: a send and a receive are the same in every way of saying them")
{
    struct ends never = channel_of(0);
    for (size_t capacity = 1; capacity < 3; capacity++)
        for (int sends = 0; sends < WAYS; sends++)
            for (int receives = 0; receives < WAYS; receives++) {
                struct ends e = channel_of(capacity);
                int out = 33, in = 0;
                check_int(do_in_some_way(sends, HAFT_ON_SEND(&e.tx, &out), &never.rx, plain_send, &e.tx), ==, 0);
                check_uint(haft_channel_len(&e.rx), ==, 1);
                check_int(do_in_some_way(receives, HAFT_ON_RECV(&e.rx, &in), &never.rx, plain_recv, &e.rx), ==, 0);
                check_int(in, ==, receives == PLAIN || receives == TRY ? 0 : 33);
                check_uint(haft_channel_len(&e.rx), ==, 0);
                drop_ends(&e);
            }
    drop_ends(&never);
}

/* Power series as channels of their coefficients: each operation is a job, which ends when nobody wants more of it. */
typedef HAFT_SENDER(int64_t) term_sender;
typedef HAFT_RECEIVER(int64_t) term_receiver;

struct series {
    term_receiver u, v;
    term_sender out, second;
    int64_t factor_u, factor_v;
    int n;
};

static haft_tracker jobs_of_series;

static term_receiver begin(int (*body)(struct series *), struct series s)
{
    term_receiver rx;
    check_int(haft_channel(&s.out, &rx, 0), ==, 0);
    check_int(haft_tracker_spawn(&jobs_of_series, body, &s), ==, 0);
    return rx;
}

static int64_t term_of(term_receiver *rx)
{
    int64_t value = 0;
    check_int(haft_recv(rx, &value), ==, 0);
    return value;
}

static int ones(struct series *s)
{
    int64_t one = 1;
    while (haft_send(&s->out, &one) == 0)
        ;
    haft_sender_drop(&s->out);
    return 0;
}

/* factor_u * u + factor_v * v */
static int add(struct series *s)
{
    int64_t value;
    do
        value = s->factor_u * term_of(&s->u) + s->factor_v * term_of(&s->v);
    while (haft_send(&s->out, &value) == 0);
    haft_receiver_drop(&s->u);
    haft_receiver_drop(&s->v);
    haft_sender_drop(&s->out);
    return 0;
}

/* The same terms on two channels; one end that nobody reads any more does not hold the other up. */
static int split(struct series *s)
{
    bool first = true, second = true;
    while (first || second) {
        int64_t value = term_of(&s->u);
        first = first && haft_send(&s->out, &value) == 0;
        second = second && haft_send(&s->second, &value) == 0;
    }
    haft_receiver_drop(&s->u);
    haft_sender_drop(&s->out);
    haft_sender_drop(&s->second);
    return 0;
}

/* (u0 + x U)(v0 + x V) = u0 v0 + x (u0 V + v0 U + x U V) */
static int multiply(struct series *s)
{
    int64_t u0 = term_of(&s->u), v0 = term_of(&s->v), value = u0 * v0;
    int rc = haft_send(&s->out, &value);
    struct series splits[2] = { { .u = s->u }, { .u = s->v } };
    term_receiver first[2], second[2];
    for (int i = 0; i < 2; i++) {
        check_int(haft_channel(&splits[i].second, &second[i], 1), ==, 0);
        first[i] = begin(split, splits[i]);
    }
    term_receiver sum = begin(add, (struct series){ .u = first[0], .v = first[1], .factor_u = v0, .factor_v = u0 });
    value = rc == 0 ? term_of(&sum) : 0; /* the first term has no part of x U V */
    rc = rc == 0 ? haft_send(&s->out, &value) : rc;
    if (rc != 0) {
        haft_receiver_drop(&second[0]);
        haft_receiver_drop(&second[1]);
    } else {
        term_receiver rest = begin(multiply, (struct series){ .u = second[0], .v = second[1] });
        do
            value = term_of(&sum) + term_of(&rest);
        while (haft_send(&s->out, &value) == 0);
        haft_receiver_drop(&rest);
    }
    haft_receiver_drop(&sum);
    haft_sender_drop(&s->out);
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "go:chan/powser1: series of channels are split, added and multiplied, and all of their jobs end with the last reader")
{
    enum { TERMS = 10 };
    const struct series none = { .n = 0 };
    term_receiver sum =
        begin(add, (struct series){ .u = begin(ones, none), .v = begin(ones, none), .factor_u = 2, .factor_v = 3 });
    for (int i = 0; i < TERMS; i++)
        check_int(term_of(&sum), ==, 5);
    haft_receiver_drop(&sum);
    /* 1 / (1 - x)^2 = 1 + 2 x + 3 x^2 + ... */
    term_receiver product = begin(multiply, (struct series){ .u = begin(ones, none), .v = begin(ones, none) });
    for (int i = 0; i < TERMS; i++)
        check_int(term_of(&product), ==, i + 1);
    haft_receiver_drop(&product);
    haft_tracker_close(&jobs_of_series);
    check_int(haft_tracker_wait(&jobs_of_series), ==, 0);
    haft_tracker_reopen(&jobs_of_series);
}
