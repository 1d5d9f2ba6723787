/* SPDX-License-Identifier: MIT
 *
 * Once: done once, seen by all, and tried again by the next if it failed. */
#include <haft/haft.h>

#include <string.h>

#include "sync.h"

struct cell {
    haft_once once;
    int value;
    _Atomic int calls;
    int fail_first;  /* so many calls fail */
    int panic_first; /* and then so many panic */
    bool slowly;
};

static int make(struct cell **at)
{
    struct cell *c = *at;
    int call = atomic_fetch_add(&c->calls, 1);
    if (c->slowly)
        for (int i = 0; i < 10; i++)
            (void)haft_yield();
    if (call < c->fail_first)
        return -EIO;
    if (call < c->fail_first + c->panic_first)
        haft_panic("not this time");
    c->value += 42;
    return 0;
}

static int get(struct cell **at)
{
    int rc = haft_once_call(&(*at)->once, make, at);
    if (rc == 0) {
        check(haft_once_is_done(&(*at)->once));
        check_int((*at)->value, ==, 42);
    }
    return rc;
}

static _Atomic int plain_calls;

static int count_call(void)
{
    atomic_fetch_add(&plain_calls, 1);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:TestOnce: however many ask, it is done once, and everybody sees it")
{
    enum { N = 40 };
    struct cell c = { .once = HAFT_ONCE_INIT, .slowly = true }, *p = &c;
    check_int(sizeof(haft_once), <=, 32);
    check(!haft_once_is_done(&c.once));
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(get, &p, .kind = i < KINDS ? (haft_kind)i : HAFT_TASK);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(atomic_load(&c.calls), ==, 1);
    haft_once plain = HAFT_ONCE_INIT;
    int before = atomic_load(&plain_calls);
    check_int(haft_once_call(&plain, count_call), ==, 0);
    check_int(haft_once_call(&plain, count_call), ==, 0);
    check_int(atomic_load(&plain_calls), ==, before + 1);
}

TEST_FROM_EVERY_CALLER("tokio:once_cell get_or_try_init: a failure is its caller's alone, and the next tries again")
{
    struct cell c = { .fail_first = 2 }, *p = &c;
    check_int(get(&p), ==, -EIO);
    check_int(get(&p), ==, -EIO);
    check_int(get(&p), ==, 0);
    check_int(get(&p), ==, 0);
    check_int(atomic_load(&c.calls), ==, 3);
}

TEST_FROM_EVERY_CALLER(
    "go:TestOncePanic, tokio:once_cell get_or_init_panic: after a panic the next one who waits does it")
{
    enum { N = 6 };
    silence_panics();
    struct cell c = { .slowly = true, .fail_first = 1, .panic_first = 2 }, *p = &c;
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(get, &p, .kind = (haft_kind)(i % KINDS));
    int failed = 0, panicked = 0;
    for (int i = 0; i < N; i++) {
        int rc = haft_join(&hs[i]);
        failed += rc == -EIO;
        panicked += rc == HAFT_EPANIC;
        check(rc == 0 || rc == -EIO || rc == HAFT_EPANIC);
    }
    check_int(failed, ==, 1);
    check_int(panicked, ==, 2);
    check_int(atomic_load(&c.calls), ==, 4);

    struct cell d = { .panic_first = 1 };
    p = &d;
    check_int(haft_catch(get, &p, NULL), ==, HAFT_EPANIC);
    check_int(get(&p), ==, 0);
}

static haft_once the_once = HAFT_ONCE_INIT;

static int call_itself(void)
{
    check_int(haft_once_call(&the_once, count_call), ==, HAFT_EDEADLK);
    return -EIO;
}

TEST_FROM_EVERY_CALLER("to call it from within itself is a deadlock that is refused")
{
    check_int(haft_once_call(&the_once, call_itself), ==, -EIO);
    check(!haft_once_is_done(&the_once));
}

static int hold_up(haft_notify **n)
{
    return haft_notify_wait(*n);
}

struct slow {
    haft_once *once;
    haft_notify *n;
};

static int call_slowly(struct slow *s)
{
    return haft_once_call(s->once, hold_up, &s->n);
}

TEST_FROM_EVERY_CALLER("one who waits may be aborted or late; one who runs it and is aborted leaves it to the next")
{
    haft_once once = HAFT_ONCE_INIT;
    haft_notify n = HAFT_NOTIFY_INIT;
    struct slow s = { &once, &n };
    haft_handle runner = haft_spawn(call_slowly, &s);
    until(waiting(&n) == 1);
    haft_handle waiter = haft_spawn(call_slowly, &s);
    until(waiting(&once) == 1);
    check_int(haft_abort(waiter), ==, 0);
    check_int(haft_join(&waiter), ==, HAFT_EABORTED);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_once_call(&once, count_call), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_abort(runner), ==, 0);
    check_int(haft_join(&runner), ==, HAFT_EABORTED);
    check_int(haft_once_call(&once, count_call), ==, 0);
    HAFT_TIMEOUT(0);
    check_int(haft_once_call(&once, count_call), ==, 0);
}

struct trier {
    haft_once *once;
    uint64_t chance;
    _Atomic int *inside, *made;
};

static int try_it(struct trier *s)
{
    check_int(atomic_fetch_add(s->inside, 1), ==, 0);
    unsigned what = below(&s->chance, 10);
    if (what < 3)
        (void)haft_yield();
    atomic_fetch_sub(s->inside, 1);
    if (what == 9)
        return atomic_fetch_add(s->made, 1) == 0 ? 0 : -EEXIST;
    if (what % 2 == 0)
        haft_panic("failed");
    return -EIO;
}

static int storm_job(struct trier *s)
{
    for (;;) {
        HAFT_TIMEOUT((int64_t)below(&s->chance, 100) * HAFT_US);
        int rc = haft_once_call(s->once, try_it, s);
        if (rc == 0 || rc == HAFT_ECANCELED || rc == -EEXIST)
            return rc;
    }
}

TEST_LONG("storm: many try what mostly fails or panics; one at a time, and it succeeds once")
{
    enum { JOBS = 12 };
    silence_panics();
    uint64_t chance = choose_seed();
    for (size_t i = 0; i < rounds(300, 20000); i++) {
        haft_once once = HAFT_ONCE_INIT;
        _Atomic int inside = 0, made = 0;
        haft_handle hs[JOBS];
        for (int j = 0; j < JOBS; j++)
            hs[j] = haft_spawn(storm_job, (&(struct trier){ &once, next_random(&chance), &inside, &made }),
                               .kind = j == 0 && i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        for (int j = 0; j < JOBS; j++) {
            if (below(&chance, 8) == 0)
                (void)haft_abort(hs[j]);
            int rc = haft_join(&hs[j]);
            check(rc == 0 || rc == HAFT_EPANIC || rc == HAFT_EABORTED);
        }
        check_int(waiting(&once), ==, 0);
        check_int(atomic_load(&made), ==, haft_once_is_done(&once) ? 1 : 0);
    }
}
