/* SPDX-License-Identifier: MIT
 *
 * Select: the first of several. Over 600 lines, because each kind of arm is tried in each state of its channel. */
#include <haft/haft.h>

#include <string.h>

#include "channels.h"
#include "os/os.h"

/* --- what is ready ------------------------------------------------------------------------------------------------ */

/* DESIGN 14 */
TEST_FROM_EVERY_CALLER("of two ready channels both are chosen, and what is sent is received")
{
    struct ends a = channel_of(1), b = channel_of(1);
    int sent[2] = { 0 }, received[2] = { 0 }, value;
    size_t n = rounds(2000, 10000);
    for (size_t i = 0; i < n; i++) {
        sent[0] += haft_try_send(&a.tx, &sent[0]) == 0;
        sent[1] += haft_try_send(&b.tx, &sent[1]) == 0;
        int arm = haft_select(HAFT_ON_RECV(&a.rx, &value), HAFT_ON_RECV(&b.rx, &value));
        check(arm == 0 || arm == 1);
        check_int(value, ==, received[arm]++);
    }
    check_int(received[0] + received[1], ==, n);
    for (int k = 0; k < 2; k++) {
        check_int(received[k], >, n / 10);
        received[k] += haft_try_recv(k == 0 ? &a.rx : &b.rx, &value) == 0;
        check_int(sent[k], ==, received[k]);
    }
    for (int i = 0; i < 100; i++) {
        haft_try_send(&a.tx, &i);
        haft_try_send(&b.tx, &i);
        check_int(haft_select_biased(HAFT_ON_RECV(&a.rx, &value), HAFT_ON_RECV(&b.rx, &value)), ==, 0);
    }
    drop_ends(&a);
    drop_ends(&b);
}

TEST_FROM_EVERY_CALLER("each of the ready arms is as likely, wherever the others stand that are not")
{
    struct ends e[6];
    int counts[6] = { 0 }, value;
    for (int i = 0; i < 6; i++) {
        e[i] = channel_of(1);
        if (i < 3)
            send_int(&e[i].tx, i);
    }
    size_t n = rounds(3000, 30000);
    haft_arm arms[6];
    for (int i = 0; i < 6; i++)
        arms[i] = HAFT_ON_RECV(&e[i].rx, &value);
    for (size_t i = 0; i < n; i++) {
        int arm = haft_select_array(arms, 6);
        check_int(arm, ==, value);
        counts[arm]++;
        send_int(&e[arm].tx, arm);
    }
    for (int i = 0; i < 3; i++)
        check_int(counts[i], >, n / 5);
    for (int i = 0; i < 6; i++)
        drop_ends(&e[i]);
}

TEST_FROM_EVERY_CALLER("a closed channel is ready, and its error goes to .rc or is returned")
{
    struct ends e = channel_of(1), idle = channel_of(1);
    int value = 3, rc = 1;
    haft_sender_drop(&e.tx);
    check_int(haft_select(HAFT_ON_RECV(&idle.rx, &value), HAFT_ON_RECV(&e.rx, &value, .rc = &rc)), ==, 1);
    check_int(rc, ==, HAFT_ECLOSED);
    check_int(haft_select(HAFT_ON_RECV(&idle.rx, &value), HAFT_ON_RECV(&e.rx, &value)), ==, HAFT_ECLOSED);
    haft_receiver_drop(&idle.rx);
    check_int(haft_try_select(HAFT_ON_SEND(&idle.tx, HAFT_MOVE(&value), .rc = &rc)), ==, 0);
    check_int(rc, ==, HAFT_ECLOSED);
    check_int(value, ==, 3);
    check_int(haft_select(HAFT_ON_RECV(&idle.rx, &value, .rc = &rc)), ==, 0); /* a null end */
    check_int(rc, ==, HAFT_EINVAL);
    drop_ends(&e);
    drop_ends(&idle);
}

TEST_FROM_EVERY_CALLER("a select that only tries never waits; arms that are zero are never ready")
{
    struct ends e = channel_of(1);
    int value = 4;
    haft_arm arms[3] = { { 0 }, HAFT_ON_RECV(&e.rx, &value) };
    check_int(haft_try_select_array(arms, 3), ==, HAFT_EAGAIN);
    check_int(haft_try_select(HAFT_ON_SEND(&e.tx, HAFT_MOVE(&value)), HAFT_ON_RECV(&e.rx, &value)), ==, 0);
    check_int(value, ==, 0);
    check_int(haft_try_select_array(arms, 3), ==, 1);
    check_int(value, ==, 4);
    check_int(haft_select_array(arms, 0), ==, HAFT_EINVAL);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_select_array(arms, 1), ==, HAFT_ETIMEDOUT);
    }
    drop_ends(&e);
}

/* DESIGN 13 */
TEST_FROM_EVERY_CALLER("a select never pairs with itself")
{
    struct ends e = channel_of(0);
    int out = 1, in = 2;
    check_int(haft_try_select(HAFT_ON_SEND(&e.tx, &out), HAFT_ON_RECV(&e.rx, &in)), ==, HAFT_EAGAIN);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_select(HAFT_ON_SEND(&e.tx, &out), HAFT_ON_RECV(&e.rx, &in)), ==, HAFT_ETIMEDOUT);
    }
    check_int(in, ==, 2);
    drop_ends(&e);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

struct talk {
    int_sender tx;
    int_receiver rx;
    int n;
    int sent, received;
};

/* Sends and receives n values over two rendezvous, whichever is possible. */
static int face(struct talk *t)
{
    int in = -1, rc = 0;
    while (t->sent < t->n || t->received < t->n) {
        int out = t->sent;
        haft_arm arms[2] = { { 0 }, { 0 } };
        if (t->sent < t->n)
            arms[0] = HAFT_ON_SEND(&t->tx, &out);
        if (t->received < t->n)
            arms[1] = HAFT_ON_RECV(&t->rx, &in);
        rc = haft_select_array(arms, 2);
        if (rc < 0)
            return rc;
        if (rc == 0)
            t->sent++;
        else
            check_int(in, ==, t->received++);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("two selects that face each other meet, from jobs of any kind")
{
    for_each_kind(left)
        for_each_kind(right) {
            struct ends a = channel_of(0), b = channel_of(0);
            int n = (int)rounds(150, 20000);
            struct talk one = { .tx = a.tx, .rx = b.rx, .n = n }, other = { .tx = b.tx, .rx = a.rx, .n = n };
            haft_handle hs[2] = { haft_spawn(face, &one, .kind = left), haft_spawn(face, &other, .kind = right) };
            check_int(haft_join(&hs[0], &one), ==, 0);
            check_int(haft_join(&hs[1], &other), ==, 0);
            check_int(one.sent + one.received + other.sent + other.received, ==, 4 * n);
            drop_ends(&a);
            drop_ends(&b);
        }
}

/* A select over both directions of one rendezvous: any two of them can meet, none with itself. */
static int mingle(struct talk *t)
{
    for (int i = 0; i < t->n; i++) {
        int out = 1, in = 0;
        int arm = haft_select(HAFT_ON_SEND(&t->tx, &out), HAFT_ON_RECV(&t->rx, &in), HAFT_ON_TIMEOUT(100 * HAFT_US));
        if (arm < 0)
            return arm;
        t->sent += arm == 0;
        t->received += arm == 1;
        check_int(in, ==, arm == 1);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("selects with both ends of one channel pair with each other only")
{
    struct ends e = channel_of(0);
    enum { JOBS = 6 };
    haft_handle hs[JOBS];
    int sent = 0, received = 0;
    for (int i = 0; i < JOBS; i++) {
        struct talk t = { .tx = e.tx, .rx = e.rx, .n = (int)rounds(100, 5000) };
        hs[i] = haft_spawn(mingle, &t, .kind = (haft_kind)(i % KINDS));
    }
    for (int i = 0; i < JOBS; i++) {
        struct talk t;
        check_int(haft_join(&hs[i], &t), ==, 0);
        sent += t.sent;
        received += t.received;
    }
    check_int(sent, ==, received);
    drop_ends(&e);
}

struct choice {
    int_sender tx[3];
    int_receiver rx[3];
    int arm, value, rc;
    _Atomic int *begun;
};

static int receive_first(struct choice *c)
{
    atomic_fetch_add(c->begun, 1);
    c->arm =
        haft_select(HAFT_ON_RECV(&c->rx[0], &c->value, .rc = &c->rc), HAFT_ON_RECV(&c->rx[1], &c->value, .rc = &c->rc),
                    HAFT_ON_RECV(&c->rx[2], &c->value, .rc = &c->rc));
    return c->arm < 0 ? c->arm : 0;
}

TEST_FROM_EVERY_CALLER("a waiting select is woken by the arm that happens, and has left the others")
{
    for_each_kind(kind) {
        for (int k = 0; k < 3; k++) {
            struct ends e[3] = { channel_of(0), channel_of(1), channel_of(2) };
            _Atomic int begun = 0;
            struct choice c = { .rx = { e[0].rx, e[1].rx, e[2].rx }, .begun = &begun };
            haft_handle h = haft_spawn(receive_first, &c, .kind = kind);
            until(atomic_load(&begun) == 1);
            let_them_wait();
            send_int(&e[k].tx, 70 + k);
            check_int(haft_join(&h, &c), ==, 0);
            check_int(c.arm, ==, k);
            check_int(c.rc, ==, 0);
            check_int(c.value, ==, 70 + k);
            for (int i = 0; i < 3; i++) {
                int value = 0;
                check_int(haft_try_send(&e[i].tx, &value), ==, i == 0 ? HAFT_EAGAIN : 0); /* nobody waits there */
                drop_ends(&e[i]);
            }
        }
    }
}

TEST_FROM_EVERY_CALLER("a close ends one arm of a waiting select")
{
    for_each_kind(kind) {
        struct ends e[3] = { channel_of(0), channel_of(1), channel_of(2) };
        _Atomic int begun = 0;
        struct choice c = { .rx = { e[0].rx, e[1].rx, e[2].rx }, .begun = &begun };
        haft_handle h = haft_spawn(receive_first, &c, .kind = kind);
        until(atomic_load(&begun) == 1);
        let_them_wait();
        haft_channel_close(&e[1].rx);
        check_int(haft_join(&h, &c), ==, 0);
        check_int(c.arm, ==, 1);
        check_int(c.rc, ==, HAFT_ECLOSED);
        for (int i = 0; i < 3; i++)
            drop_ends(&e[i]);
    }
}

TEST_FROM_EVERY_CALLER("an abort or a deadline ends a select, in which no arm has happened")
{
    struct ends e[3] = { channel_of(0), channel_of(1), channel_of(2) };
    for_each_kind(kind) {
        _Atomic int begun = 0;
        struct choice c = { .rx = { e[0].rx, e[1].rx, e[2].rx }, .begun = &begun };
        haft_handle h = haft_spawn(receive_first, &c, .kind = kind);
        until(atomic_load(&begun) == 1);
        let_them_wait();
        check_int(haft_abort(h), ==, 0);
        haft_outcome out;
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_ABORTED);
        check_int(out.code, ==, HAFT_ECANCELED);
    }
    int value = 1;
    HAFT_TIMEOUT(HAFT_MS);
    check_int(haft_select(HAFT_ON_RECV(&e[0].rx, &value), HAFT_ON_RECV(&e[1].rx, &value)), ==, HAFT_ETIMEDOUT);
    check_int(value, ==, 1);
    send_int(&e[1].tx, 2);
    check_int(haft_select(HAFT_ON_RECV(&e[0].rx, &value), HAFT_ON_RECV(&e[1].rx, &value)), ==,
              1); /* ready though late */
    for (int i = 0; i < 3; i++)
        drop_ends(&e[i]);
}

TEST_FROM_EVERY_CALLER("any number of arms, of any mixture")
{
    enum { N = 100 };
    struct ends e[N];
    haft_arm arms[N + 1];
    int value = 0;
    for (int i = 0; i < N; i++) {
        e[i] = channel_of(1);
        arms[i] = HAFT_ON_RECV(&e[i].rx, &value);
    }
    arms[N] = HAFT_ON_TIMEOUT(HAFT_MS);
    check_int(haft_select_array(arms, N + 1), ==, N);
    for (int i = 0; i < N; i += 7) {
        send_int(&e[i].tx, i + 1);
        check_int(haft_select_array(arms, N + 1), ==, i);
        check_int(value, ==, i + 1);
    }
    for (int i = 0; i < N; i++)
        drop_ends(&e[i]);
}

/* --- timers, jobs, sets ------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER(
    "a timeout arm happens when its time has passed, at once if that is 0, and the nearest one first")
{
    struct ends e = channel_of(1);
    int value, rc = 1;
    check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_TIMEOUT(HAFT_MS, .rc = &rc)), ==, 1);
    check_int(rc, ==, 0);
    check_int(haft_select(HAFT_ON_TIMEOUT(HAFT_S), HAFT_ON_RECV(&e.rx, &value), HAFT_ON_TIMEOUT(HAFT_MS)), ==, 2);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_TIMEOUT(0)), ==, 1);
        check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_TIMEOUT(HAFT_S)), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_try_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_TIMEOUT(HAFT_S)), ==, HAFT_EAGAIN);
    send_int(&e.tx, 1);
    check_int(haft_select_biased(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_TIMEOUT(0)), ==, 0);
    drop_ends(&e);
}

struct job {
    int value, code;
    int_receiver gate; /* waits for it, if it is not null */
    _Atomic int *drops;
};

static int pass_gate(struct job *j)
{
    int pass, rc = j->gate.channel_ != NULL ? haft_recv(&j->gate, &pass) : 0;
    j->value *= 10;
    return rc == HAFT_ECANCELED ? rc : j->code;
}

static void count_drop(void *object)
{
    const struct job *j = object;
    atomic_fetch_add(j->drops, 1);
}

TEST_FROM_EVERY_CALLER("a join is an arm: ready or waited for, it spends the handle; else the handle stays")
{
    for_each_kind(kind) {
        struct ends gate = channel_of(1), e = channel_of(1);
        int value = 0, rc = 1;
        struct job j = { .value = 4, .gate = gate.rx }, out = { 0 };
        haft_handle h = haft_spawn(pass_gate, &j, .kind = kind);
        check_int(haft_try_select(HAFT_ON_JOIN(&h, &out), HAFT_ON_RECV(&e.rx, &value)), ==, HAFT_EAGAIN);
        check_int(haft_select(HAFT_ON_JOIN(&h, &out), HAFT_ON_TIMEOUT(HAFT_MS)), ==, 1);
        send_int(&e.tx, 5);
        check_int(haft_select(HAFT_ON_JOIN(&h, &out), HAFT_ON_RECV(&e.rx, &value)), ==, 1);
        check_int(value, ==, 5);
        check(!haft_is_null(h));
        send_int(&gate.tx, 1);
        check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_JOIN(&h, &out, .rc = &rc)), ==, 1);
        check_int(rc, ==, 0);
        check_int(out.value, ==, 40);
        check(haft_is_null(h));
        check_int(haft_select(HAFT_ON_JOIN(&h, &out)), ==, HAFT_ESTALE);

        j.code = -77; /* a ready one, with a code of its own, and a frame that nobody wants */
        _Atomic int drops = 0;
        j.drops = &drops;
        j.gate.channel_ = NULL;
        h = haft_spawn(pass_gate, &j, .kind = kind, .drop = count_drop);
        check_int(haft_wait(h), ==, 0);
        check_int(haft_try_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_JOIN(&h, HAFT_NO_FRAME, .rc = &rc)), ==, 1);
        check_int(rc, ==, -77);
        check_int(drops, ==, 1);
        drop_ends(&gate);
        drop_ends(&e);
    }
}

TEST_FROM_EVERY_JOB("what a join refuses is an error of its arm")
{
    struct ends e = channel_of(1);
    haft_handle self = haft_self(), none = HAFT_NULL_HANDLE, failed = { NULL, (uint64_t)(int64_t)HAFT_ENOMEM };
    int value, rc = 0;
    struct {
        char bytes[3];
    } small;
    check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_JOIN(&self)), ==, HAFT_EDEADLK);
    check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_JOIN(&none)), ==, HAFT_ESTALE);
    check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_JOIN(&failed, HAFT_NO_FRAME, .rc = &rc)), ==, 1);
    check_int(rc, ==, HAFT_ENOMEM);
    check(haft_is_null(failed));
    struct ends gate = channel_of(0);
    struct job j = { .gate = gate.rx };
    haft_handle h = haft_spawn(pass_gate, &j);
    check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_JOIN(&h, &small)), ==, HAFT_EINVAL);
    send_int(&gate.tx, 1);
    check_int(haft_join(&h), ==, 0);
    drop_ends(&gate);
    drop_ends(&e);
}

TEST_FROM_EVERY_CALLER("a set is an arm: its ends come one by one, and an empty set is never ready")
{
    for_each_kind(kind) {
        struct ends gate = channel_of(8), e = channel_of(1);
        haft_set *set = haft_set_new();
        int value, code = 1;
        struct job j = { 0 };
        check_int(haft_try_select(HAFT_ON_SET(set, &j, &code)), ==, HAFT_EAGAIN);
        check_int(haft_select(HAFT_ON_SET(set, &j, &code), HAFT_ON_TIMEOUT(HAFT_MS)), ==, 1);
        for (int i = 1; i <= 5; i++)
            check_int(haft_set_spawn(set, pass_gate, (&(struct job){ .value = i, .code = -i, .gate = gate.rx }),
                                     .kind = kind),
                      ==, 0);
        int sum = 0;
        for (int i = 0; i < 5; i++) {
            send_int(&gate.tx, 1);
            check_int(haft_select(HAFT_ON_RECV(&e.rx, &value), HAFT_ON_SET(set, &j, &code)), ==, 1);
            check_int(j.value, ==, -10 * code);
            sum += j.value;
        }
        check_int(sum, ==, 150);
        check_int(haft_set_next(set, &j, &code), ==, HAFT_EEMPTY);
        haft_set_drop(&set);
        drop_ends(&gate);
        drop_ends(&e);
    }
}

struct taking {
    haft_set *set;
    int_receiver stop;
    int taken;
    _Atomic int *begun;
};

static int take_by_select(struct taking *t)
{
    atomic_fetch_add(t->begun, 1);
    for (;;) {
        struct job j;
        int code, value;
        int arm = haft_select(HAFT_ON_SET(t->set, &j, &code), HAFT_ON_RECV(&t->stop, &value));
        if (arm != 0)
            return arm == 1 || arm == HAFT_ECLOSED ? 0 : arm;
        t->taken++;
    }
}

TEST_FROM_EVERY_CALLER("several selects and a plain waiter share a set, and each end goes to one of them")
{
    struct ends stop = channel_of(1);
    haft_set *set = haft_set_new();
    _Atomic int begun = 0;
    haft_handle hs[3];
    for (int i = 0; i < 3; i++) {
        struct taking t = { .set = set, .stop = stop.rx, .begun = &begun };
        hs[i] = haft_spawn(take_by_select, &t, .kind = (haft_kind)i);
    }
    until(atomic_load(&begun) == 3);
    int n = (int)rounds(200, 20000), taken = 0;
    for (int i = 0; i < n; i++) {
        check_int(haft_set_spawn(set, pass_gate, (&(struct job){ .value = i })), ==, 0);
        struct job j;
        taken += i % 3 == 0 && haft_set_next(set, &j, NULL) == 0;
    }
    while (haft_set_next(set, HAFT_NO_FRAME, NULL) == 0)
        taken++;
    haft_sender_drop(&stop.tx);
    for (int i = 0; i < 3; i++) {
        struct taking t;
        check_int(haft_join(&hs[i], &t), ==, 0);
        taken += t.taken;
    }
    check_int(taken, ==, n);
    haft_set_drop(&set);
    drop_ends(&stop);
}

struct taker {
    haft_set *set;
    int_receiver rx;
    int arm;
};

static int take_or_receive(struct taker *t)
{
    int value;
    t->arm = haft_select(HAFT_ON_SET(t->set, HAFT_NO_FRAME, NULL), HAFT_ON_RECV(&t->rx, &value));
    return 0;
}

static int take_next(struct taker *t)
{
    return haft_set_next(t->set, HAFT_NO_FRAME, NULL);
}

/* On one worker, so that the select runs only after both of its arms could have happened. */
static int choose_both(void)
{
    struct ends e = channel_of(1), gate = channel_of(0);
    haft_set *set = haft_set_new();
    check_int(haft_set_spawn(set, pass_gate, (&(struct job){ .gate = gate.rx })), ==, 0);
    haft_handle ended = haft_spawn(return_nothing);
    check_int(haft_wait(ended), ==, 0);
    struct taker t = { .set = set, .rx = e.rx };
    haft_handle select = haft_spawn(take_or_receive, &t);
    let_them_wait();
    haft_handle next = haft_spawn(take_next, &t);
    let_them_wait();
    send_int(&e.tx, 1);
    check_int(haft_set_add(set, &ended), ==, 0); /* tells the first who waits for the set, the select */
    check_int(haft_join(&next), ==, 0);          /* which has passed it on */
    check_int(haft_join(&select, &t), ==, 0);
    check_int(t.arm, ==, 1);
    send_int(&gate.tx, 1);
    haft_set_drop(&set);
    drop_ends(&e);
    drop_ends(&gate);
    return 0;
}

TEST("a select that was told of an end in a set, and left by another arm, passes it on")
{
    check_int(haft_run(choose_both, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

/* --- exactly one -------------------------------------------------------------------------------------------------- */

struct racer {
    int_sender tx;
    haft_handle target;
    int what;
};

static int strike(struct racer *r)
{
    int value = 1;
    if (r->what == 0)
        return haft_try_send(&r->tx, &value);
    if (r->what == 1)
        return haft_abort(r->target);
    haft_channel_close(&r->tx);
    return 0;
}

static int wait_for_two(struct choice *c)
{
    c->arm = haft_select(HAFT_ON_RECV(&c->rx[0], &c->value, .rc = &c->rc), HAFT_ON_SEND(&c->tx[1], &c->value),
                         HAFT_ON_TIMEOUT(20 * HAFT_US));
    return c->arm;
}

TEST_FROM_EVERY_CALLER("exactly one of value, close, abort and timeout happens to a select")
{
    size_t n = rounds(300, 30000);
    for (size_t i = 0; i < n; i++) {
        struct ends a = channel_of(0), b = channel_of(0);
        struct choice c = { .rx = { a.rx }, .tx = { { 0 }, b.tx } };
        haft_handle h = haft_spawn(wait_for_two, &c, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        struct racer send = { .tx = a.tx }, abort = { .target = h, .what = 1 }, close = { .tx = a.tx, .what = 2 };
        haft_handle hs[3] = { haft_spawn(strike, &send), haft_spawn(strike, i % 3 == 0 ? &abort : &send),
                              haft_spawn(strike, i % 2 == 0 ? &close : &send) };
        int sends = 0;
        for (int k = 0; k < 3; k++) {
            bool is_send = k == 0 || (k == 1 && i % 3 != 0) || (k == 2 && i % 2 != 0);
            sends += haft_join(&hs[k]) == 0 && is_send;
        }
        haft_outcome out;
        check_int(haft_join_outcome(&h, &c, &out), ==, 0);
        if (out.end == HAFT_NOT_STARTED)
            check_int(sends, ==, 0);
        else if (out.end == HAFT_ABORTED)
            check(out.code == HAFT_ECANCELED && sends == 0);
        else if (out.code == 0)
            check_int(c.rc, ==, sends == 1 ? 0 : HAFT_ECLOSED);
        else
            check(out.code == 2 && sends == 0);
        check_int(c.value, ==, sends);
        drop_ends(&a);
        drop_ends(&b);
    }
}

/* --- what lies between two steps of a select ---------------------------------------------------------------------- */

/* A select that has an arm for a time asks what time it is after it has tried each arm alone, and before it tries them
 * all at once and waits. Here the answer comes with a change. */
static void (*change)(void);
static struct ends changed;
static haft_sem changed_sem = HAFT_SEM_INIT(0);
static haft_notify changed_notify = HAFT_NOTIFY_INIT;
static haft_event changed_event = HAFT_EVENT_INIT;

static int64_t now_and_change(void)
{
    void (*what)(void) = change;
    change = NULL;
    if (what != NULL)
        what();
    return haft__os_linux.now();
}

static void change_by_value(void)
{
    int value = 7;
    check_int(haft_try_send(&changed.tx, &value), ==, 0);
}

static void change_by_room(void)
{
    int value;
    check_int(haft_try_recv(&changed.rx, &value), ==, 0);
}

static void change_by_close(void)
{
    haft_channel_close(&changed.rx);
}

static void change_by_permit(void)
{
    haft_sem_release(&changed_sem);
}

static void change_by_notification(void)
{
    haft_notify_one(&changed_notify);
}

static void change_by_event(void)
{
    haft_event_set(&changed_event);
}

TEST("what becomes ready after its arm was tried, and before the select waits, is seen")
{
    static struct haft__os table;
    table = haft__os_linux;
    table.now = now_and_change;
    haft__os_replace(&table);
    struct ends quiet = channel_of(1);
    changed = channel_of(1);
    int value = 0, rc = 1;
    haft_arm time = HAFT_ON_TIMEOUT(HAFT_S / 2), recv = HAFT_ON_RECV(&changed.rx, &value, .rc = &rc);
    struct {
        void (*change)(void);
        haft_arm arm;
        int rc;
    } cases[] = {
        { change_by_value, recv, 0 },
        { change_by_permit, HAFT_ON_SEM(&changed_sem, 1, .rc = &rc), 0 },
        { change_by_notification, HAFT_ON_NOTIFY(&changed_notify, .rc = &rc), 0 },
        { change_by_event, HAFT_ON_EVENT(&changed_event, .rc = &rc), 0 },
        { change_by_room, HAFT_ON_SEND(&changed.tx, &value, .rc = &rc), 0 },
        { change_by_close, HAFT_ON_SEND(&changed.tx, &value, .rc = &rc), HAFT_ECLOSED },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int others = 0; others <= 1; others++) {
            if (cases[i].arm.kind_ == HAFT_ARM_SEND) /* full */
                (void)haft_try_send(&changed.tx, &value);
            haft_event_reset(&changed_event);
            change = cases[i].change;
            rc = 1;
            haft_arm arms[] = { cases[i].arm, time, HAFT_ON_RECV(&quiet.rx, &value) };
            check_int(haft_select_array(arms, (size_t)(2 + others)), ==, 0);
            check_int(rc, ==, cases[i].rc);
            check(change == NULL);
            if (cases[i].rc != 0)
                break;
            if (cases[i].arm.kind_ == HAFT_ARM_SEND)
                check_int(haft_try_recv(&changed.rx, &value), ==, 0);
        }
    check_int(value, ==, 7);
    drop_ends(&changed);
    drop_ends(&quiet);
}

struct large {
    unsigned char bytes[2 << 20]; /* so much that it takes a while to move */
};
typedef HAFT_SENDER(struct large) large_sender;
typedef HAFT_RECEIVER(struct large) large_receiver;

struct mover {
    large_sender tx;
    size_t rounds;
};

static int send_large(struct mover *m)
{
    static struct large value;
    for (size_t i = 1; i <= m->rounds; i++) {
        memset(&value, (int)(i % 256), sizeof value);
        check_int(haft_send(&m->tx, &value), ==, 0);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("a select that looks up while its value is being moved waits for the whole of it")
{
    static struct large value;
    large_sender tx;
    large_receiver rx;
    struct ends quiet = channel_of(1);
    int other;
    check_int(haft_channel(&tx, &rx, 0), ==, 0);
    struct mover m = { .tx = tx, .rounds = rounds(20, 1000) };
    haft_handle h = haft_spawn(send_large, &m, .kind = HAFT_THREAD);
    for (size_t i = 1; i <= m.rounds;) {
        /* The time is up again and again, sooner than a value can be moved. */
        int arm = haft_select_biased(HAFT_ON_RECV(&rx, &value), HAFT_ON_RECV(&quiet.rx, &other),
                                     HAFT_ON_TIMEOUT(50 * HAFT_US));
        if (arm == 2)
            continue;
        check_int(arm, ==, 0);
        check_int(value.bytes[sizeof value - 1], ==, (int)(i % 256));
        check_int(value.bytes[sizeof value / 2], ==, (int)(i % 256));
        i++;
    }
    check_int(haft_join(&h), ==, 0);
    haft_sender_drop(&tx);
    haft_receiver_drop(&rx);
    drop_ends(&quiet);
}
