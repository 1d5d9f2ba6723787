/* SPDX-License-Identifier: MIT
 *
 * What a .drop may do, whichever call it is that comes to run it: panic, which is nobody's, and wait, shielded. */
#include <haft/haft.h>

#include "callers.h"

enum { JOBS = 3 };

struct thing {
    _Atomic int *drops;
};

static void drop_and_panic(void *object)
{
    const struct thing *t = object;
    atomic_fetch_add(t->drops, 1);
    haft_panic("in .drop");
}

static void drop_and_wait(void *object)
{
    const struct thing *t = object;
    check_int(haft_sleep(HAFT_US), ==, 0);
    atomic_fetch_add(t->drops, 1);
}

static int returns_five(struct thing *t)
{
    (void)t;
    return 5;
}

/* --- the ways in which a job that has ended is let go ------------------------------------------------------------- */

static void by_join(haft_handle *hs)
{
    for (int i = 0; i < JOBS; i++)
        check_int(haft_join(&hs[i]), ==, 5);
}

static void by_try_join(haft_handle *hs)
{
    for (int i = 0; i < JOBS; i++)
        check_int(haft_try_join(&hs[i]), ==, 5);
}

static void by_outcome(haft_handle *hs)
{
    for (int i = 0; i < JOBS; i++) {
        haft_outcome out;
        check_int(haft_join_outcome(&hs[i], HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_RETURNED);
        check_int(out.code, ==, 5);
    }
}

static void by_detach(haft_handle *hs)
{
    for (int i = 0; i < JOBS; i++)
        check_int(haft_detach(&hs[i]), ==, 0);
}

static void by_drop(haft_handle *hs)
{
    for (int i = 0; i < JOBS; i++)
        haft_drop(&hs[i]);
}

static void by_join_all(haft_handle *hs)
{
    int rcs[JOBS] = { 0 };
    check_int(haft_join_all(hs, JOBS, rcs), ==, 0);
    for (int i = 0; i < JOBS; i++)
        check_int(rcs[i], ==, 5);
}

static void by_join_all_or_abort(haft_handle *hs)
{
    check_int(haft_join_all_or_abort(hs, JOBS, NULL), ==, 5);
}

static void by_select(haft_handle *hs)
{
    for (int i = 0; i < JOBS; i++) {
        int rc = 0;
        check_int(haft_select(HAFT_ON_JOIN(&hs[i], HAFT_NO_FRAME, .rc = &rc)), ==, 0);
        check_int(rc, ==, 5);
    }
}

static haft_set *set_of(haft_handle *hs)
{
    haft_set *set = haft_set_new();
    check_ptr(set, !=, NULL);
    for (int i = 0; i < JOBS; i++)
        check_int(haft_set_add(set, &hs[i]), ==, 0);
    return set;
}

static void by_set_next(haft_handle *hs)
{
    haft_set *set = set_of(hs);
    int code = 0;
    for (int i = 0; i < JOBS; i++) {
        check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, 0);
        check_int(code, ==, 5);
    }
    check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, HAFT_EEMPTY);
    haft_set_drop(&set);
}

static void by_set_shutdown(haft_handle *hs)
{
    haft_set *set = set_of(hs);
    haft_set_shutdown(set);
    check_int(haft_set_len(set), ==, 0);
    haft_set_drop(&set);
}

static void by_set_drop(haft_handle *hs)
{
    haft_set *set = set_of(hs);
    haft_set_drop(&set);
    check_ptr(set, ==, NULL);
}

static const struct way {
    void (*let_go)(haft_handle *hs);
    bool never_looks; /* at abort */
} ways[] = {
    { by_join, false },     { by_try_join, true },     { by_outcome, false }, { by_detach, true },
    { by_drop, true },      { by_join_all, false },    { by_select, false },  { by_join_all_or_abort, false },
    { by_set_next, false }, { by_set_shutdown, true }, { by_set_drop, true },
};
#define for_each_way(way) for (const struct way *way = ways; way < ways + sizeof ways / sizeof ways[0]; way++)

static void spawn_and_wait(haft_handle *hs, haft_kind kind, haft_drop_fn *drop, _Atomic int *drops)
{
    for (int i = 0; i < JOBS; i++) {
        hs[i] = haft_spawn(returns_five, (&(struct thing){ drops }), .kind = kind, .drop = drop);
        check_int(haft_wait(hs[i]), ==, 0);
    }
}

/* --- what then holds ---------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER(
    "a .drop that panics, whoever runs it, changes no code, spends the handle and keeps no other frame")
{
    silence_panics();
    for_each_kind(kind) {
        for_each_way(way)
        {
            _Atomic int drops = 0;
            haft_handle hs[JOBS];
            spawn_and_wait(hs, kind, drop_and_panic, &drops);
            way->let_go(hs);
            check_int(atomic_load(&drops), ==, JOBS);
            for (int i = 0; i < JOBS; i++)
                check_int(haft_is_null(hs[i]), ==, true);
        }
    }
}

TEST_FROM_EVERY_CALLER("a .drop may wait although the deadline of whoever runs it has passed")
{
    for_each_kind(kind) {
        for_each_way(way)
        {
            _Atomic int drops = 0;
            haft_handle hs[JOBS];
            spawn_and_wait(hs, kind, drop_and_wait, &drops);
            HAFT_TIMEOUT(0);
            way->let_go(hs);
            check_int(atomic_load(&drops), ==, JOBS);
        }
    }
}

struct letter_go {
    const struct way *way;
    haft_handle hs[JOBS];
};

static int lets_go_when_aborted(struct letter_go *f)
{
    check_int(haft_abort(haft_self()), ==, 0);
    f->way->let_go(f->hs);
    return 7;
}

TEST_FROM_EVERY_CALLER("a .drop may wait although whoever runs it was aborted, who is not told by that")
{
    for_each_kind(kind) {
        for_each_way(way)
        {
            if (!way->never_looks)
                continue;
            _Atomic int drops = 0;
            struct letter_go f = { .way = way };
            spawn_and_wait(f.hs, kind, drop_and_wait, &drops);
            haft_handle h = haft_spawn(lets_go_when_aborted, &f, .kind = kind);
            check_int(haft_join(&h, &f), ==, 7);
            check_int(atomic_load(&drops), ==, JOBS);
        }
    }
}
