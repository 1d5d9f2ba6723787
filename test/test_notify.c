/* SPDX-License-Identifier: MIT
 *
 * Notify, event, barrier and waitgroup: who goes on, and who does not. */
#include <haft/haft.h>

#include <string.h>

#include "sync.h"

TEST("they are small values, initialised statically")
{
    static haft_barrier at_rest = HAFT_BARRIER_INIT(3);
    check_int(sizeof(haft_notify), <=, 32);
    check_int(sizeof(haft_event), <=, 32);
    check_int(sizeof(haft_barrier), <=, 32);
    check_int(sizeof(haft_waitgroup), <=, 32);
    check_int(waiting(&at_rest), ==, 0);
}

/* --- notify ------------------------------------------------------------------------------------------------------- */

static int wait_notified(haft_notify **n)
{
    return haft_notify_wait(*n);
}

static haft_handle notified(haft_notify *n, haft_kind kind)
{
    unsigned before = waiting(n);
    haft_handle h = haft_spawn(wait_notified, &n, .kind = kind);
    until(waiting(n) == before + 1);
    return h;
}

static void nothing_is_stored(haft_notify *n)
{
    HAFT_TIMEOUT(0);
    check_int(haft_notify_wait(n), ==, HAFT_ETIMEDOUT);
}

TEST_FROM_EVERY_CALLER("item 17: notified three times, the first wait returns at once and the second waits")
{
    haft_notify n = HAFT_NOTIFY_INIT;
    for (int i = 0; i < 3; i++)
        haft_notify_one(&n);
    check_int(haft_notify_wait(&n), ==, 0);
    nothing_is_stored(&n);
    for_each_kind(kind) {
        haft_handle h = notified(&n, kind);
        haft_notify_one(&n);
        check_int(haft_join(&h), ==, 0);
        nothing_is_stored(&n);
    }
}

TEST_FROM_EVERY_CALLER("item 17: notify-all wakes everybody who waits and stores nothing")
{
    enum { N = 40 }; /* more than are woken at once */
    haft_notify n = HAFT_NOTIFY_INIT;
    haft_notify_all(&n);
    nothing_is_stored(&n);
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = notified(&n, i < KINDS ? (haft_kind)i : HAFT_TASK);
    haft_notify_all(&n);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    nothing_is_stored(&n);
}

TEST_FROM_EVERY_CALLER("tokio:notify notified_multi_notify: one wakes the first, last the last")
{
    haft_notify n = HAFT_NOTIFY_INIT;
    haft_handle a = notified(&n, HAFT_TASK), b = notified(&n, HAFT_THREAD), c = notified(&n, HAFT_TASK);
    haft_notify_one(&n);
    check_int(haft_join(&a), ==, 0);
    check_int(waiting(&n), ==, 2);
    haft_notify_last(&n);
    check_int(haft_join(&c), ==, 0);
    check_int(waiting(&n), ==, 1);
    haft_notify_last(&n);
    check_int(haft_join(&b), ==, 0);
    haft_notify_last(&n);
    haft_notify_one(&n);
    check_int(haft_notify_wait(&n), ==, 0);
    nothing_is_stored(&n);
}

TEST_FROM_EVERY_CALLER("tokio:notify notified_drop_notified_notify: one who was aborted took no notification along")
{
    haft_notify n = HAFT_NOTIFY_INIT;
    for_each_kind(kind) {
        haft_handle a = notified(&n, kind), b = notified(&n, kind);
        check_int(haft_abort(a), ==, 0);
        check_int(haft_join(&a), ==, HAFT_EABORTED);
        haft_notify_one(&n);
        check_int(haft_join(&b), ==, 0);
    }
    haft_handle a = notified(&n, HAFT_TASK);
    check_int(haft_abort(a), ==, 0);
    check_int(haft_join(&a), ==, HAFT_EABORTED);
    haft_notify_one(&n);
    check_int(haft_notify_wait(&n), ==, 0);
}

TEST_FROM_EVERY_CALLER("tokio:notify notify_one_after_dropped_all: a notification after notify-all is the next one's")
{
    haft_notify n = HAFT_NOTIFY_INIT;
    haft_handle a = notified(&n, HAFT_TASK);
    haft_notify_all(&n);
    haft_notify_one(&n);
    check_int(haft_join(&a), ==, 0);
    check_int(haft_notify_wait(&n), ==, 0);
    nothing_is_stored(&n);
}

static int aborted_with_one_stored(haft_notify **n)
{
    haft_notify_one(*n);
    check_int(haft_abort(haft_self()), ==, 0);
    check_int(haft_notify_wait(*n), ==, HAFT_ECANCELED);
    HAFT_SHIELD;
    return haft_notify_wait(*n);
}

TEST_FROM_EVERY_CALLER("an aborted job does not take the stored notification, unless shielded")
{
    haft_notify n = HAFT_NOTIFY_INIT, *p = &n;
    haft_handle h = haft_spawn(aborted_with_one_stored, &p);
    check_int(haft_join(&h), ==, HAFT_EABORTED);
    nothing_is_stored(&n);
}

struct balance {
    haft_notify n;
    _Atomic size_t notified, taken, refused;
    size_t turns;
};

static int take_in_turns(struct balance **at)
{
    struct balance *b = *at;
    for (size_t i = 0; i < b->turns; i++) {
        HAFT_TIMEOUT(i % 3 == 0 ? 0 : 20 * HAFT_US);
        int rc = haft_notify_wait(&b->n);
        check(rc == 0 || rc == HAFT_ETIMEDOUT);
        atomic_fetch_add(rc == 0 ? &b->taken : &b->refused, 1);
    }
    return 0;
}

static int notify_in_turns(struct balance **at)
{
    struct balance *b = *at;
    for (size_t i = 0; i < b->turns; i++) {
        atomic_fetch_add(&b->notified, 1);
        if (i % 2 == 0)
            haft_notify_one(&b->n);
        else
            haft_notify_last(&b->n);
        if (i % 16 == 0)
            (void)haft_yield();
    }
    return 0;
}

TEST_LONG("storm: waiters that are late take no notification, and none is made up")
{
    enum { JOBS = 8 };
    struct balance b = { .turns = rounds(3000, 125000) }, *p = &b;
    haft_handle hs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        haft_kind kind = i < 2 ? HAFT_THREAD : HAFT_TASK;
        hs[i] =
            i % 2 == 0 ? haft_spawn(take_in_turns, &p, .kind = kind) : haft_spawn(notify_in_turns, &p, .kind = kind);
    }
    for (int i = 0; i < JOBS; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(atomic_load(&b.taken), <=, atomic_load(&b.notified));
    check_int(atomic_load(&b.taken), >, 0);
    check_int(waiting(&b.n), ==, 0);
    haft_notify_one(&b.n);
    check_int(haft_notify_wait(&b.n), ==, 0);
    nothing_is_stored(&b.n);
}

static haft_notify interrupted = HAFT_NOTIFY_INIT;
static haft_handle late_comer;
static bool notifies_last;

static void one_comes_late_and_is_notified(void)
{
    late_comer = notified(&interrupted, HAFT_THREAD);
    if (notifies_last)
        haft_notify_last(&interrupted);
    else
        haft_notify_one(&interrupted);
}

TEST("one who comes while notify-all is at work is notified, and not another in his place")
{
    enum { N = 3 * HAFT__WAKE_BATCH };
    interrupt_wakes();
    for (int round = 0; round < 4; round++) {
        haft_handle hs[N];
        for (int i = 0; i < N; i++)
            hs[i] = notified(&interrupted, HAFT_THREAD);
        check_int(haft_sleep(5 * HAFT_MS), ==, 0); /* until they sleep */
        notifies_last = round % 2 != 0;
        late_comer = HAFT_NULL_HANDLE;
        between_wakes = one_comes_late_and_is_notified;
        haft_notify_all(&interrupted);
        between_wakes = NULL;
        for (int i = 0; i < N; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        if (!haft_is_null(late_comer))
            check_int(haft_join(&late_comer), ==, 0);
        nothing_is_stored(&interrupted);
    }
}

/* --- event -------------------------------------------------------------------------------------------------------- */

static int wait_for_event(haft_event **e)
{
    return haft_event_wait(*e);
}

TEST_FROM_EVERY_CALLER("an event lets everybody go who waits, and whoever comes until it is reset")
{
    enum { N = 40 };
    haft_event e = HAFT_EVENT_INIT, *p = &e;
    check(!haft_event_is_set(&e));
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(wait_for_event, &p, .kind = i < KINDS ? (haft_kind)i : HAFT_TASK);
    until(waiting(&e) == N);
    haft_event_set(&e);
    haft_event_reset(&e); /* they were let go before */
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check(!haft_event_is_set(&e));
    haft_event_set(&e);
    haft_event_set(&e);
    check(haft_event_is_set(&e));
    HAFT_TIMEOUT(0);
    check_int(haft_event_wait(&e), ==, 0);
    check_int(haft_event_wait(&e), ==, 0);
    haft_event_reset(&e);
    check_int(haft_event_wait(&e), ==, HAFT_ETIMEDOUT);
}

TEST_FROM_EVERY_CALLER("whoever waits for an event may be aborted or late")
{
    haft_event e = HAFT_EVENT_INIT, *p = &e;
    for_each_kind(kind) {
        haft_handle h = haft_spawn(wait_for_event, &p, .kind = kind);
        until(waiting(&e) == 1);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
    }
    HAFT_TIMEOUT(HAFT_MS);
    check_int(haft_event_wait(&e), ==, HAFT_ETIMEDOUT);
    check_int(waiting(&e), ==, 0);
}

static int set_event(haft_event **e)
{
    haft_event_set(*e);
    return 0;
}

TEST_FROM_EVERY_CALLER("whoever returns from the wait may free the event at once")
{
    for (size_t i = 0; i < rounds(300, 30000); i++) {
        haft_event *e = calloc(1, sizeof *e);
        check_ptr(e, !=, NULL);
        haft_handle h = haft_spawn(set_event, &e, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        check_int(haft_event_wait(e), ==, 0);
        free(e);
        check_int(haft_join(&h), ==, 0);
    }
}

/* --- barrier ------------------------------------------------------------------------------------------------------ */

TEST_FROM_EVERY_CALLER("tokio:barrier zero_does_not_block, single: alone nobody waits, and is the leader")
{
    for (uint32_t n = 0; n < 2; n++) {
        haft_barrier b = HAFT_BARRIER_INIT(n);
        for (int i = 0; i < 3; i++) {
            bool leads = false;
            check_int(haft_barrier_wait(&b, &leads), ==, 0);
            check(leads);
            check_int(haft_barrier_wait(&b, NULL), ==, 0);
        }
    }
}

struct meeting {
    haft_barrier *b;
    _Atomic int *leaders, *arrived;
    int rounds, n;
};

static int meet(struct meeting *m)
{
    for (int i = 1; i <= m->rounds; i++) {
        bool leads = false;
        atomic_fetch_add(m->arrived, 1);
        int rc = haft_barrier_wait(m->b, &leads);
        if (rc != 0)
            return rc;
        check_int(atomic_load(m->arrived), >=, i * m->n); /* nobody goes on before all have come */
        atomic_fetch_add(m->leaders, leads);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("tokio:barrier lots: n meet over and over, one of them leads, tasks and threads")
{
    enum { N = 36, ROUNDS = 20 };
    haft_barrier b = HAFT_BARRIER_INIT(N);
    _Atomic int leaders = 0, arrived = 0;
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(meet, (&(struct meeting){ &b, &leaders, &arrived, ROUNDS, N }),
                           .kind = i < KINDS ? (haft_kind)i : HAFT_TASK);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(atomic_load(&leaders), ==, ROUNDS);
}

TEST_FROM_EVERY_CALLER("one who is aborted or late has not arrived at the barrier")
{
    haft_barrier b = HAFT_BARRIER_INIT(2);
    _Atomic int leaders = 0, arrived = 0;
    for_each_kind(kind) {
        struct meeting m = { &b, &leaders, &arrived, 1, 0 };
        haft_handle h = haft_spawn(meet, &m, .kind = kind);
        until(waiting(&b) == 1);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_barrier_wait(&b, NULL), ==, HAFT_ETIMEDOUT);
    }
    check_int(atomic_load(&leaders), ==, 0);
}

/* --- waitgroup ---------------------------------------------------------------------------------------------------- */

static int done(haft_waitgroup **g)
{
    haft_waitgroup_done(*g);
    return 0;
}

static int wait_for_group(haft_waitgroup **g)
{
    return haft_waitgroup_wait(*g);
}

TEST_FROM_EVERY_CALLER("go:TestWaitGroup: whoever waits goes on when the last is done, not before; and again")
{
    haft_waitgroup g = HAFT_WAITGROUP_INIT, *p = &g;
    check_int(haft_waitgroup_wait(&g), ==, 0);
    for (int round = 0; round < 8; round++) {
        haft_handle hs[16], waiters[KINDS];
        haft_waitgroup_add(&g, 16);
        for_each_kind(kind)
            waiters[kind] = haft_spawn(wait_for_group, &p, .kind = kind);
        until(waiting(&g) == KINDS);
        for (int i = 0; i < 15; i++) {
            hs[i] = haft_spawn(done, &p, .kind = i < KINDS ? (haft_kind)i : HAFT_TASK);
            check_int(haft_join(&hs[i]), ==, 0);
        }
        check_int(waiting(&g), ==, KINDS);
        haft_waitgroup_done(&g);
        for_each_kind(kind)
            check_int(haft_join(&waiters[kind]), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("go:TestWaitGroupMisuse: more done than there was to do is a panic")
{
    silence_panics();
    haft_waitgroup g = HAFT_WAITGROUP_INIT, *p = &g;
    haft_waitgroup_add(&g, 1);
    haft_handle h = haft_spawn(done, &p);
    check_int(haft_join(&h), ==, 0);
    h = haft_spawn(done, &p);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    check_int(haft_waitgroup_wait(&g), ==, 0);
}

static int adds_minus_one(haft_waitgroup *g)
{
    haft_waitgroup_add(g, (size_t)-1);
    return 0;
}

TEST_FROM_EVERY_CALLER("more than a waitgroup counts is a panic, and adds nothing")
{
    silence_panics();
    haft_waitgroup g = HAFT_WAITGROUP_INIT;
    haft_waitgroup_add(&g, 2);
    check_int(haft_catch(adds_minus_one, &g, NULL), ==, HAFT_EPANIC);
    haft_waitgroup_done(&g);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_waitgroup_wait(&g), ==, HAFT_ETIMEDOUT);
    }
    haft_waitgroup_done(&g);
    check_int(haft_waitgroup_wait(&g), ==, 0);
}

TEST_FROM_EVERY_CALLER("one who waits for a waitgroup may be aborted or late, which changes nothing")
{
    haft_waitgroup g = HAFT_WAITGROUP_INIT, *p = &g;
    haft_waitgroup_add(&g, 1);
    haft_handle h = haft_spawn(wait_for_group, &p);
    until(waiting(&g) == 1);
    check_int(haft_abort(h), ==, 0);
    check_int(haft_join(&h), ==, HAFT_EABORTED);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_waitgroup_wait(&g), ==, HAFT_ETIMEDOUT);
    }
    haft_waitgroup_done(&g);
    check_int(haft_waitgroup_wait(&g), ==, 0);
}

TEST_FROM_EVERY_CALLER("go:TestWaitGroupRace: a waitgroup on the stack of who waits is gone when the wait returns")
{
    for (size_t i = 0; i < rounds(300, 30000); i++) {
        haft_waitgroup g = HAFT_WAITGROUP_INIT, *p = &g;
        haft_waitgroup_add(&g, 2);
        haft_handle a = haft_spawn(done, &p), b = haft_spawn(done, &p, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        check_int(haft_waitgroup_wait(&g), ==, 0);
        memset(&g, 0xff, sizeof g); /* a later touch of it would hang or crash */
        check_int(haft_join(&a), ==, 0);
        check_int(haft_join(&b), ==, 0);
    }
}
