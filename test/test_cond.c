/* SPDX-License-Identifier: MIT
 *
 * Conditions: who is woken, that no signal is lost or taken by one who was refused, and that the mutex is held after. */
#include <haft/haft.h>

#include <string.h>

#include "sync.h"

struct gate {
    haft_mutex m;
    haft_cond c;
    int open; /* that many may pass */
    int passed;
    int order[100];
};

struct visitor {
    struct gate *g;
    int number;
};

static int pass(struct visitor *v)
{
    struct gate *g = v->g;
    check_int(haft_mutex_lock(&g->m), ==, 0);
    HAFT_DEFER(haft_mutex_unlock, &g->m);
    while (g->open == 0) {
        int rc = haft_cond_wait(&g->c, &g->m);
        check_int(haft_mutex_lock(&g->m), ==, HAFT_EDEADLK); /* held, whatever came */
        if (rc != 0)
            return rc;
    }
    g->open--;
    g->order[g->passed++] = v->number;
    return 0;
}

static void open_for(struct gate *g, int n)
{
    check_int(haft_mutex_lock(&g->m), ==, 0);
    g->open += n;
    haft_mutex_unlock(&g->m);
}

TEST_FROM_EVERY_CALLER("go:TestCondSignal: each signal wakes one, the one that has waited longest")
{
    enum { N = 6 };
    struct gate g = { .m = HAFT_MUTEX_INIT, .c = HAFT_COND_INIT };
    haft_handle hs[N];
    haft_cond_signal(&g.c); /* nobody waits: nothing is stored */
    for (int i = 0; i < N; i++) {
        hs[i] = haft_spawn(pass, (&(struct visitor){ &g, i }), .kind = (haft_kind)(i % KINDS));
        until(waiting(&g.c) == (unsigned)i + 1);
    }
    for (int i = 0; i < N; i++) {
        open_for(&g, 1);
        haft_cond_signal(&g.c);
        check_int(haft_join(&hs[i]), ==, 0);
        check_int(g.order[i], ==, i);
        check_int(waiting(&g.c), ==, (unsigned)(N - 1 - i));
    }
}

TEST_FROM_EVERY_CALLER("go:TestCondBroadcast: everybody who waits is woken, with and without the mutex held")
{
    enum { N = 50 }; /* more than are woken at once */
    for (int locked = 0; locked < 2; locked++) {
        struct gate g = { .m = HAFT_MUTEX_INIT, .c = HAFT_COND_INIT };
        haft_handle hs[N];
        for (int i = 0; i < N; i++)
            hs[i] = haft_spawn(pass, (&(struct visitor){ &g, i }), .kind = i < KINDS ? (haft_kind)i : HAFT_TASK);
        until(waiting(&g.c) == N);
        open_for(&g, N);
        if (locked)
            check_int(haft_mutex_lock(&g.m), ==, 0);
        haft_cond_broadcast(&g.c);
        check_int(waiting(&g.c), ==, 0);
        if (locked)
            haft_mutex_unlock(&g.m);
        for (int i = 0; i < N; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        check_int(g.passed, ==, N);
    }
}

static struct gate interrupted = { .m = HAFT_MUTEX_INIT, .c = HAFT_COND_INIT };
static haft_handle late_comer;

static int wait_once(void)
{
    check_int(haft_mutex_lock(&interrupted.m), ==, 0);
    HAFT_DEFER(haft_mutex_unlock, &interrupted.m);
    return haft_cond_wait(&interrupted.c, &interrupted.m);
}

static void one_comes_late_and_is_signalled(void)
{
    unsigned before = waiting(&interrupted.c);
    late_comer = haft_spawn(wait_once, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    until(waiting(&interrupted.c) == before + 1);
    haft_cond_signal(&interrupted.c);
}

TEST("one who comes while a broadcast is at work is signalled, and not another in his place")
{
    enum { N = 3 * HAFT__WAKE_BATCH };
    interrupt_wakes();
    for (int round = 0; round < 4; round++) {
        haft_handle hs[N];
        for (int i = 0; i < N; i++)
            hs[i] = haft_spawn(wait_once, HAFT_NO_FRAME, .kind = HAFT_THREAD);
        until(waiting(&interrupted.c) == N);
        check_int(haft_sleep(5 * HAFT_MS), ==, 0); /* until they sleep */
        late_comer = HAFT_NULL_HANDLE;
        between_wakes = one_comes_late_and_is_signalled;
        haft_cond_broadcast(&interrupted.c);
        between_wakes = NULL;
        for (int i = 0; i < N; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        if (!haft_is_null(late_comer))
            check_int(haft_join(&late_comer), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("a wait that is aborted or late holds the mutex, and the signal goes to another")
{
    struct gate g = { .m = HAFT_MUTEX_INIT, .c = HAFT_COND_INIT };
    for_each_kind(kind) {
        haft_handle first = haft_spawn(pass, (&(struct visitor){ &g, 1 }), .kind = kind);
        until(waiting(&g.c) == 1);
        haft_handle second = haft_spawn(pass, (&(struct visitor){ &g, 2 }), .kind = kind);
        until(waiting(&g.c) == 2);
        check_int(haft_abort(first), ==, 0);
        check_int(haft_join(&first), ==, HAFT_EABORTED);
        open_for(&g, 1);
        haft_cond_signal(&g.c);
        check_int(haft_join(&second), ==, 0);
    }
    check_int(haft_mutex_lock(&g.m), ==, 0);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_cond_wait(&g.c, &g.m), ==, HAFT_ETIMEDOUT);
        check_int(haft_mutex_lock(&g.m), ==, HAFT_EDEADLK);
        check_int(haft_cond_wait(&g.c, &g.m), ==, HAFT_ETIMEDOUT);
    }
    haft_mutex_unlock(&g.m);
    check_int(waiting(&g.c), ==, 0);
}

/* Ends with the mutex locked as soon as the other waits. */
static int end_with_it(struct gate **g)
{
    check_int(haft_mutex_lock(&(*g)->m), ==, 0);
    return 0;
}

TEST_FROM_EVERY_CALLER("one who waits learns that the mutex was poisoned meanwhile, signalled or not, and holds it")
{
    struct gate g = { .m = HAFT_MUTEX_INIT, .c = HAFT_COND_INIT }, *p = &g;
    haft_handle h = haft_spawn(pass, (&(struct visitor){ &g, 1 }));
    until(waiting(&g.c) == 1);
    haft_handle ends = haft_spawn(end_with_it, &p);
    check_int(haft_join(&ends), ==, 0);
    haft_cond_signal(&g.c);
    check_int(haft_join(&h), ==, HAFT_EPOISONED);
    check_int(haft_mutex_lock(&g.m), ==, HAFT_EPOISONED);
    {
        HAFT_TIMEOUT(100 * HAFT_MS); /* not over before the wait begins */
        check_int(haft_cond_wait(&g.c, &g.m), ==, HAFT_EPOISONED);
    }
    check_int(haft_mutex_heal(&g.m), ==, 0);
    haft_mutex_unlock(&g.m);
}

TEST_FROM_EVERY_CALLER("to wait without the mutex is refused")
{
    struct gate g = { .m = HAFT_MUTEX_INIT, .c = HAFT_COND_INIT };
    check_int(haft_cond_wait(&g.c, &g.m), ==, HAFT_EINVAL);
}

/* --- a queue of two places between producers and consumers -------------------------------------------------------- */

struct queue {
    haft_mutex m;
    haft_cond not_full, not_empty;
    size_t items[2], count;
    uint64_t in, out;
};

static int produce(struct queue **at)
{
    struct queue *q = *at;
    for (size_t i = 1; i <= 500; i++) {
        check_int(haft_mutex_lock(&q->m), ==, 0);
        while (q->count == 2)
            check_int(haft_cond_wait(&q->not_full, &q->m), ==, 0);
        q->items[q->count++] = i;
        q->in += i;
        haft_cond_signal(&q->not_empty);
        haft_mutex_unlock(&q->m);
    }
    return 0;
}

static int consume(struct queue **at)
{
    struct queue *q = *at;
    for (size_t i = 1; i <= 500; i++) {
        check_int(haft_mutex_lock(&q->m), ==, 0);
        while (q->count == 0) {
            HAFT_TIMEOUT(i % 7 == 0 ? 20 * HAFT_US : HAFT_S * 1000); /* one who is late took no signal */
            int rc = haft_cond_wait(&q->not_empty, &q->m);
            check(rc == 0 || rc == HAFT_ETIMEDOUT);
        }
        q->out += q->items[--q->count];
        haft_cond_signal(&q->not_full);
        haft_mutex_unlock(&q->m);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("go:TestRace: producers and consumers of every kind lose no signal")
{
    struct queue q = { .m = HAFT_MUTEX_INIT }, *p = &q;
    haft_handle hs[8];
    for (int i = 0; i < 8; i++) {
        haft_kind kind = i < 2 ? HAFT_THREAD : i < 4 ? HAFT_BLOCKING : HAFT_TASK;
        hs[i] = i % 2 == 0 ? haft_spawn(produce, &p, .kind = kind) : haft_spawn(consume, &p, .kind = kind);
    }
    for (int i = 0; i < 8; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(q.in, ==, q.out);
    check_int(q.count, ==, 0);
}

/* --- storm -------------------------------------------------------------------------------------------------------- */

static struct gate the_gate = { .m = HAFT_MUTEX_INIT };

static void unlock_gate(struct gate *g)
{
    haft_mutex_unlock(&g->m);
}

static int one_turn(struct stormer *s)
{
    struct gate *g = &the_gate;
    int rc = haft_mutex_lock(&g->m);
    HAFT_DEFER(unlock_gate, g);
    if (rc == HAFT_EPOISONED)
        check_int(haft_mutex_heal(&g->m), ==, 0);
    if (below(&s->chance, 300) == 0)
        haft_panic("inside");
    if (below(&s->chance, 2) == 0) {
        g->passed++;
        if (below(&s->chance, 8) == 0)
            haft_cond_broadcast(&g->c);
        else
            haft_cond_signal(&g->c);
        return 0;
    }
    HAFT_TIMEOUT((int64_t)below(&s->chance, 100) * HAFT_US);
    rc = haft_cond_wait(&g->c, &g->m);
    check_int(haft_mutex_lock(&g->m), ==, HAFT_EDEADLK);
    if (rc == HAFT_EPOISONED)
        check_int(haft_mutex_heal(&g->m), ==, 0);
    g->open++;
    return rc == HAFT_ECANCELED ? rc : 0;
}

static int storm_job(struct stormer *s)
{
    int rc = 0;
    while (rc == 0 && s->turns-- > 0)
        rc = one_turn(s);
    return rc;
}

TEST_LONG("storm: waiters that panic, are aborted or late hold the mutex and leave an empty queue")
{
    silence_panics();
    uint64_t chance = choose_seed();
    size_t turns = rounds(20000, 1000000);
    haft_handle hs[CROWD];
    for (size_t done = 0; done < turns;) {
        done += spawn_crowd(hs, storm_job, &chance);
        join_crowd(hs, true, &chance);
        check_int(waiting(&the_gate.c), ==, 0);
        check_int(waiting(&the_gate.m), ==, 0);
    }
}
