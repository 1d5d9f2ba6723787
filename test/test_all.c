/* SPDX-License-Identifier: MIT
 *
 * haft_all: several different bodies at once, on loan. */
#include <haft/haft.h>

#include <string.h>

#include "callers.h"

struct number {
    int in;
    int out;
};

static int doubles(struct number *n)
{
    (void)haft_yield();
    n->out = 2 * n->in;
    return 0;
}

static int measures(const char *const *text)
{
    return (int)strlen(*text);
}

static int returns_seven(void)
{
    return 7;
}

static int fails(void)
{
    return -EIO;
}

TEST_FROM_EVERY_CALLER("different bodies run on their loans, and each code stands in its place")
{
    for_each_kind(kind) {
        struct number a = { .in = 4 };
        const char *const text = "twelve chars";
        int rcs[4] = { 1, 1, 1, 1 };
        check_int(haft_all(rcs, HAFT_ARM(doubles, &a, .kind = kind), HAFT_ARM(measures, &text), HAFT_ARM(returns_seven),
                           HAFT_ARM(fails, HAFT_NO_FRAME, .kind = kind, .name = "fails")),
                  ==, 0);
        check_int(a.out, ==, 8);
        check_int(rcs[0], ==, 0);
        check_int(rcs[1], ==, 12);
        check_int(rcs[2], ==, 7);
        check_int(rcs[3], ==, -EIO);
    }
}

TEST("one arm is enough, and none is nothing")
{
    struct number a = { .in = 21 };
    check_int(haft_all(NULL, HAFT_ARM(doubles, &a)), ==, 0);
    check_int(a.out, ==, 42);
    check_int(haft_all_raw(NULL, NULL, 0), ==, 0);
    check_int(haft_all_or_abort_raw(NULL, NULL, 0), ==, 0);
}

/* --- at once ------------------------------------------------------------------------------------------------------ */

struct meeting {
    _Atomic int here;
    int wanted;
};

static int meets(struct meeting *m)
{
    atomic_fetch_add(&m->here, 1);
    while (atomic_load(&m->here) < m->wanted) {
        int rc = haft_yield();
        if (rc != 0)
            return rc;
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("the arms run at once: each sees all others")
{
    struct meeting m = { .wanted = 4 };
    int rcs[4];
    check_int(haft_all(rcs, HAFT_ARM(meets, &m), HAFT_ARM(meets, &m, .kind = HAFT_THREAD), HAFT_ARM(meets, &m),
                       HAFT_ARM(meets, &m, .kind = HAFT_BLOCKING)),
              ==, 0);
    for (int i = 0; i < 4; i++)
        check_int(rcs[i], ==, 0);
}

/* --- the short circuit -------------------------------------------------------------------------------------------- */

struct waiter {
    _Atomic int ended;
};

static int counts_end(struct waiter *w)
{
    int rc = haft_park();
    HAFT_SHIELD;
    (void)haft_yield();
    atomic_fetch_add(&w->ended, 1);
    return rc;
}

TEST_FROM_EVERY_CALLER("the first failure aborts the others, which have ended when it is returned")
{
    for_each_kind(kind) {
        struct waiter w = { 0 };
        int rcs[3];
        check_int(haft_all_or_abort(rcs, HAFT_ARM(counts_end, &w), HAFT_ARM(fails, HAFT_NO_FRAME, .kind = kind),
                                    HAFT_ARM(counts_end, &w)),
                  ==, -EIO);
        check_int(rcs[0], ==, HAFT_EABORTED);
        check_int(rcs[1], ==, -EIO);
        check_int(rcs[2], ==, HAFT_EABORTED);
        int before = atomic_load(&w.ended); /* one that had not begun never does */
        check_int(before, <=, 2);
        check_int(haft_yield(), ==, 0);
        check_int(atomic_load(&w.ended), ==, before);
    }
}

TEST_FROM_EVERY_CALLER("without a failure the short circuit returns 0")
{
    struct number a = { .in = 1 }, b = { .in = 2 };
    int rcs[2] = { 1, 1 };
    check_int(haft_all_or_abort(rcs, HAFT_ARM(doubles, &a), HAFT_ARM(doubles, &b)), ==, 0);
    check_int(rcs[0] | rcs[1], ==, 0);
    check_int(a.out + b.out, ==, 6);
}

static int ends_by_itself(struct waiter *w)
{
    for (int i = 0; i < 5; i++)
        check_int(haft_yield(), ==, 0);
    atomic_fetch_add(&w->ended, 1);
    return 0;
}

TEST_FROM_EVERY_CALLER("without the short circuit a failure aborts nobody")
{
    struct waiter w = { 0 };
    int rcs[3];
    check_int(haft_all(rcs, HAFT_ARM(fails), HAFT_ARM(ends_by_itself, &w), HAFT_ARM(ends_by_itself, &w)), ==, 0);
    check_int(atomic_load(&w.ended), ==, 2);
    check_int(rcs[0], ==, -EIO);
    check_int(rcs[1] | rcs[2], ==, 0);
}

/* --- an arm that cannot be spawned -------------------------------------------------------------------------------- */

enum { HUGE_SHIFT = 60 };

TEST_FROM_EVERY_CALLER("an arm that cannot be spawned has the error for its code, and the others run")
{
    struct number a = { .in = 1 }, b = { .in = 2 }, c = { .in = 3 };
    int rcs[3];
    check_int(haft_all(rcs, HAFT_ARM(doubles, &a), HAFT_ARM(doubles, &b, .stack_size = (size_t)1 << HUGE_SHIFT),
                       HAFT_ARM(doubles, &c)),
              ==, 0);
    check_int(rcs[0], ==, 0);
    check_int(rcs[1], ==, HAFT_EINVAL);
    check_int(rcs[2], ==, 0);
    check_int(a.out, ==, 2);
    check_int(b.out, ==, 0);
    check_int(c.out, ==, 6);

    struct waiter w = { 0 };
    check_int(haft_all_or_abort(rcs, HAFT_ARM(counts_end, &w), HAFT_ARM(counts_end, &w),
                                HAFT_ARM(doubles, &b, .stack_size = (size_t)1 << HUGE_SHIFT)),
              ==, HAFT_EINVAL);
    check_int(rcs[0], ==, HAFT_EABORTED);
    check_int(rcs[1], ==, HAFT_EABORTED);
    check_int(rcs[2], ==, HAFT_EINVAL);
}

/* --- panics ------------------------------------------------------------------------------------------------------- */

static int falls(void)
{
    haft_panic("an arm fell");
}

static int nobody_looks(struct waiter *w)
{
    return haft_all(NULL, HAFT_ARM(falls), HAFT_ARM(ends_by_itself, w));
}

TEST_FROM_EVERY_CALLER("a panic is the arm's code, or is raised in the caller once all have ended if nobody looks")
{
    silence_panics();
    struct waiter w = { 0 };
    int rcs[2];
    check_int(haft_all(rcs, HAFT_ARM(falls), HAFT_ARM(ends_by_itself, &w)), ==, 0);
    check_int(rcs[0], ==, HAFT_EPANIC);
    check_int(rcs[1], ==, 0);
    check_int(atomic_load(&w.ended), ==, 1);

    haft_panic_info panic;
    check_int(haft_catch(nobody_looks, &w, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "an arm fell");
    check_int(atomic_load(&w.ended), ==, 2);

    check_int(haft_all_or_abort(NULL, HAFT_ARM(falls), HAFT_ARM(wait_for_token)), ==, HAFT_EPANIC);
}

/* --- a caller that is aborted or late ----------------------------------------------------------------------------- */

struct owner {
    struct waiter waiter;
    _Atomic int begun;
    int rcs[2];
    int rc;
};

static int begins_and_waits(struct owner *o)
{
    atomic_fetch_add(&o->begun, 1);
    return counts_end(&o->waiter);
}

static int owns(struct owner **o)
{
    (*o)->rc = haft_all((*o)->rcs, HAFT_ARM(begins_and_waits, *o), HAFT_ARM(begins_and_waits, *o));
    return (*o)->rc;
}

TEST_FROM_EVERY_CALLER("the arms of an aborted caller are aborted first, and it is told when they have ended")
{
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        struct owner o = { .rc = 1 }, *frame = &o;
        haft_handle h = haft_spawn(owns, &frame, .kind = kind);
        until(atomic_load(&o.begun) == 2);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        check_int(o.rc, ==, HAFT_ECANCELED);
        check_int(atomic_load(&o.waiter.ended), ==, 2);
        check_int(o.rcs[0], ==, HAFT_EABORTED);
        check_int(o.rcs[1], ==, HAFT_EABORTED);
    }
}

TEST_FROM_EVERY_CALLER("the arms of a late caller are aborted, and it is told that it is late")
{
    struct owner o = { .rc = 1 };
    {
        HAFT_TIMEOUT(1 * HAFT_MS);
        check_int(haft_all(o.rcs, HAFT_ARM(begins_and_waits, &o), HAFT_ARM(returns_seven)), ==, HAFT_ETIMEDOUT);
    }
    check_int(atomic_load(&o.waiter.ended), ==, atomic_load(&o.begun));
    check_int(o.rcs[0], ==, HAFT_EABORTED);
    {
        HAFT_TIMEOUT(1 * HAFT_MS);
        check_int(haft_all_or_abort(o.rcs, HAFT_ARM(begins_and_waits, &o)), ==, HAFT_ETIMEDOUT);
    }
    check_int(o.rcs[0], ==, HAFT_EABORTED);
}

static int never_begins(void)
{
    fail("began in an aborted caller");
}

static int is_aborted_before(struct owner **o)
{
    check_int(haft_abort(haft_self()), ==, 0);
    {
        HAFT_SHIELD;
        struct number a = { .in = 5 };
        check_int(haft_all((*o)->rcs, HAFT_ARM(doubles, &a), HAFT_ARM(returns_seven)), ==, 0);
        check_int(a.out, ==, 10);
        check_int((*o)->rcs[1], ==, 7);
    }
    (*o)->rc = haft_all((*o)->rcs, HAFT_ARM(never_begins), HAFT_ARM(never_begins));
    return 0;
}

TEST("nothing begins in a caller that was aborted before, unless it is shielded")
{
    for_each_kind(kind) {
        struct owner o = { .rc = 1 }, *frame = &o;
        haft_handle h = haft_spawn(is_aborted_before, &frame, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        check_int(o.rc, ==, HAFT_ECANCELED);
        check_int(o.rcs[0], ==, HAFT_EABORTED);
        check_int(o.rcs[1], ==, HAFT_EABORTED);
    }
}

/* --- storm -------------------------------------------------------------------------------------------------------- */

struct gamble {
    uint64_t seed;
    struct waiter waiter;
    _Atomic int running;
};

static int runs_or_fails(struct gamble *g)
{
    atomic_fetch_add(&g->running, 1);
    int rc = g->seed % 3 == 0 ? -EIO : haft_sleep((int64_t)(g->seed % 50) * HAFT_US);
    atomic_fetch_sub(&g->running, 1);
    return rc;
}

static int gambles(struct gamble *g)
{
    int rcs[4];
    int rc = haft_all_or_abort(rcs, HAFT_ARM(runs_or_fails, g), HAFT_ARM(runs_or_fails, g), HAFT_ARM(return_nothing),
                               HAFT_ARM(runs_or_fails, g, .kind = g->seed % 64 == 0 ? HAFT_THREAD : HAFT_TASK));
    check_int(atomic_load(&g->running), ==, 0);
    check(rc == 0 || rc == -EIO || rc == HAFT_ECANCELED);
    return rc;
}

TEST_FROM_EVERY_CALLER("arms that fail, owners that are aborted: nobody is left behind")
{
    struct gamble gs[8] = { 0 };
    haft_handle hs[8];
    for (size_t r = 0; r < rounds(40, 4000); r++) {
        for (size_t i = 0; i < 8; i++) {
            gs[i].seed = (r * 8 + i) * 7919;
            hs[i] = haft_spawn(gambles, &gs[i]);
        }
        for (size_t i = 0; i < 8; i += 2)
            check_int(haft_abort(hs[i]), ==, 0);
        for (size_t i = 0; i < 8; i++)
            (void)haft_join(&hs[i]);
    }
}
