/* SPDX-License-Identifier: MIT
 *
 * Sleep, deadlines, shields and abort: when a wait is refused, what it has then done, and what its job is told. Over
 * 600 lines, most of them one table: each suspension point, when what strikes. */
#include <haft/haft.h>

#include <string.h>

#include "callers.h"

/* --- the clock and sleep ------------------------------------------------------------------------------------------ */

TEST_FROM_EVERY_CALLER("time does not go backwards, on whatever thread it is read")
{
    int64_t last = haft_now();
    check_int(last, >, 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = haft_now();
        check_int(now, >=, last);
        last = now;
        if (i % 10 == 0)
            check_int(haft_yield(), ==, 0);
    }
}

static int sleeps_at_least(const int64_t *ns)
{
    int64_t before = haft_now();
    int rc = haft_sleep(*ns);
    check_int(haft_now() - before, >=, *ns);
    return rc;
}

TEST_FROM_EVERY_CALLER("a sleep takes at least its time, and a short one is not lengthened to a millisecond's multiple")
{
    static const int64_t times[] = { 1, 1000, 50 * HAFT_US, 777 * HAFT_US, HAFT_MS, 3 * HAFT_MS + 1, 12 * HAFT_MS };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        check_int(sleeps_at_least(&times[i]), ==, 0);
        for_each_kind(kind) {
            haft_handle h = haft_spawn(sleeps_at_least, &times[i], .kind = kind);
            check_int(haft_join(&h), ==, 0);
        }
    }
}

TEST_FROM_EVERY_CALLER("a sleep of nothing, or of less, is a checkpoint")
{
    check_int(haft_sleep(0), ==, 0);
    check_int(haft_sleep(-1), ==, 0);
    check_int(haft_sleep(INT64_MIN), ==, 0);
    HAFT_TIMEOUT(0);
    check_int(haft_sleep(0), ==, HAFT_ETIMEDOUT);
    check_int(haft_sleep(INT64_MIN), ==, HAFT_ETIMEDOUT);
}

static int sleeps_for_ever(void)
{
    return haft_sleep(INT64_MAX);
}

TEST_FROM_EVERY_CALLER("the longest sleep there is can be aborted, and ends no earlier by itself")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(sleeps_for_ever, HAFT_NO_FRAME, .kind = kind);
        {
            HAFT_TIMEOUT(HAFT_MS);
            check_int(haft_wait(h), ==, HAFT_ETIMEDOUT);
        }
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
    }
    HAFT_TIMEOUT(HAFT_MS);
    check_int(haft_sleep(INT64_MAX), ==, HAFT_ETIMEDOUT);
}

static int sleeps_in_turns(const unsigned *seed)
{
    unsigned x = *seed;
    for (int i = 0; i < 20; i++) {
        x = x * 1103515245u + 12345u;
        int64_t ns = (int64_t)(x >> 8) % (2 * HAFT_MS);
        int rc = sleeps_at_least(&ns);
        if (rc != 0)
            return rc;
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("a thousand sleepers of different times all wake, none too early")
{
    size_t n = test_slowness() > 1 ? 100 : 1000;
    haft_handle *hs = malloc(n * sizeof *hs);
    check_ptr(hs, !=, NULL);
    for (unsigned i = 0; i < n; i++)
        hs[i] = haft_spawn(sleeps_in_turns, &i);
    for (size_t i = 0; i < n; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    free(hs);
}

/* --- deadlines ---------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("without a deadline there is all the time in the world")
{
    check_int(haft_time_left(), ==, INT64_MAX);
    {
        HAFT_TIMEOUT(1000 * HAFT_S);
        check_int(haft_time_left(), <=, 1000 * HAFT_S);
        check_int(haft_time_left(), >, 0);
    }
    check_int(haft_time_left(), ==, INT64_MAX);
}

TEST_FROM_EVERY_CALLER("a deadline ends waits of every kind, at its time and not before")
{
    int64_t start = haft_now();
    haft_handle h = haft_spawn(wait_for_token);
    {
        HAFT_TIMEOUT(2 * HAFT_MS);
        check_int(haft_join(&h), ==, HAFT_ETIMEDOUT);
        check_int(haft_now() - start, >=, 2 * HAFT_MS);
        check_int(haft_time_left(), <=, 0);
        check_int(haft_sleep(1000 * HAFT_S), ==, HAFT_ETIMEDOUT);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
        check_int(haft_checkpoint(), ==, HAFT_ETIMEDOUT);
        check_int(haft_yield(), ==, HAFT_ETIMEDOUT);
        check_int(haft_wait(h), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_checkpoint(), ==, 0);
    check_int(haft_yield(), ==, 0);
    check_int(haft_unpark(h), ==, 0);
    check_int(haft_join(&h), ==, 0);
}

TEST_FROM_EVERY_CALLER("timeouts nest and the nearest wins, inner or outer")
{
    {
        HAFT_TIMEOUT(1000 * HAFT_S);
        {
            HAFT_TIMEOUT(0);
            check_int(haft_time_left(), <=, 0);
            check_int(haft_park(), ==, HAFT_ETIMEDOUT);
            {
                HAFT_TIMEOUT(2000 * HAFT_S);
                check_int(haft_time_left(), <=, 0);
                check_int(haft_park(), ==, HAFT_ETIMEDOUT);
            }
        }
        check_int(haft_time_left(), >, HAFT_S);
        check_int(haft_time_left(), <=, 1000 * HAFT_S);
        check_int(haft_checkpoint(), ==, 0);
        {
            HAFT_TIMEOUT(2000 * HAFT_S);
            check_int(haft_time_left(), <=, 1000 * HAFT_S);
        }
        {
            HAFT_TIMEOUT(INT64_MAX);
            check_int(haft_time_left(), <=, 1000 * HAFT_S);
        }
        {
            HAFT_TIMEOUT(INT64_MIN);
            check_int(haft_checkpoint(), ==, HAFT_ETIMEDOUT);
        }
    }
    check_int(haft_time_left(), ==, INT64_MAX);
}

TEST_FROM_EVERY_CALLER("two timeouts in one block: the nearest counts, whichever came first")
{
    {
        HAFT_TIMEOUT(0);
        HAFT_TIMEOUT(1000 * HAFT_S);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    }
    HAFT_TIMEOUT(1000 * HAFT_S);
    check_int(haft_checkpoint(), ==, 0);
    HAFT_TIMEOUT(0);
    check_int(haft_park(), ==, HAFT_ETIMEDOUT);
}

static int leaves_by_return(bool early)
{
    HAFT_TIMEOUT(0);
    if (early)
        return haft_checkpoint();
    return 0;
}

TEST_FROM_EVERY_CALLER("a deadline ends with its block by return, break, continue and goto")
{
    check_int(leaves_by_return(true), ==, HAFT_ETIMEDOUT);
    check_int(haft_time_left(), ==, INT64_MAX);
    for (int i = 0; i < 4; i++) {
        check_int(haft_time_left(), ==, INT64_MAX);
        HAFT_TIMEOUT(0);
        HAFT_SHIELD;
        if (i % 2 == 0)
            continue;
        if (i == 3)
            break;
    }
    check_int(haft_time_left(), ==, INT64_MAX);
    {
        HAFT_TIMEOUT(0);
        goto out;
    }
out:
    check_int(haft_time_left(), ==, INT64_MAX);
    check_int(haft_checkpoint(), ==, 0);
}

static int has_no_deadline(void)
{
    check_int(haft_time_left(), ==, INT64_MAX);
    check_int(haft_yield(), ==, 0);
    check_int(haft_sleep(HAFT_MS), ==, 0);
    return haft_checkpoint();
}

TEST_FROM_EVERY_CALLER("no job inherits a deadline")
{
    for_each_kind(kind) {
        haft_handle h;
        {
            HAFT_TIMEOUT(0);
            h = haft_spawn(has_no_deadline, HAFT_NO_FRAME, .kind = kind);
            check_int(haft_error(h), ==, 0);
        }
        check_int(haft_join(&h), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("what is ready succeeds at a timeout of zero")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_wait(h), ==, 0);
        haft_set *set = haft_set_new();
        haft_handle member = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_wait(member), ==, 0);
        check_int(haft_set_add(set, &member), ==, 0);
        {
            HAFT_TIMEOUT(0);
            check_int(haft_wait(h), ==, 0);
            check_int(haft_join(&h), ==, 0);
            check_int(haft_set_next(set, HAFT_NO_FRAME, NULL), ==, 0);
            check_int(haft_set_next(set, HAFT_NO_FRAME, NULL), ==, HAFT_EEMPTY);
            check_int(haft_set_spawn(set, return_nothing, HAFT_NO_FRAME, .kind = kind), ==, 0);
        }
        check_int(haft_set_next(set, HAFT_NO_FRAME, NULL), ==, 0);
        haft_set_drop(&set);
        haft_handle hs[2] = { haft_spawn(return_nothing), haft_spawn(return_nothing) };
        check_int(haft_wait(hs[0]), ==, 0);
        check_int(haft_wait(hs[1]), ==, 0);
        HAFT_TIMEOUT(-1);
        check_int(haft_join_all(hs, 2, NULL), ==, 0);
    }
}

static int takes_its_token_late(void)
{
    check_int(haft_unpark(haft_self()), ==, 0);
    HAFT_TIMEOUT(0);
    check_int(haft_park(), ==, 0);
    return haft_park();
}

TEST_FROM_EVERY_CALLER("a token that is there is taken at a timeout of zero")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(takes_its_token_late, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_ETIMEDOUT);
    }
}

static void sees_time_left(int64_t *left)
{
    *left = haft_time_left();
}

static void sees_its_wait(int *rc)
{
    *rc = haft_park();
}

TEST_FROM_EVERY_CALLER("a deadline covers the defers declared behind it, and not those before it")
{
    int64_t before = 0, behind = 0;
    int waited = 0;
    {
        HAFT_DEFER(sees_time_left, &before);
        HAFT_TIMEOUT(0);
        HAFT_DEFER(sees_its_wait, &waited);
        HAFT_DEFER(sees_time_left, &behind);
    }
    check_int(before, ==, INT64_MAX);
    check_int(behind, <=, 0);
    check_int(waited, ==, HAFT_ETIMEDOUT);
}

/* --- shields ------------------------------------------------------------------------------------------------------ */

TEST_FROM_EVERY_CALLER("a shield masks every deadline outside, and one inside counts")
{
    HAFT_TIMEOUT(0);
    check_int(haft_checkpoint(), ==, HAFT_ETIMEDOUT);
    {
        HAFT_SHIELD;
        check_int(haft_time_left(), ==, INT64_MAX);
        check_int(haft_checkpoint(), ==, 0);
        check_int(haft_yield(), ==, 0);
        check_int(haft_sleep(HAFT_MS), ==, 0);
        haft_handle h = haft_spawn(return_nothing);
        check_int(haft_join(&h), ==, 0);
        {
            HAFT_TIMEOUT(HAFT_MS);
            check_int(haft_time_left(), <=, HAFT_MS);
            check_int(haft_park(), ==, HAFT_ETIMEDOUT);
            HAFT_SHIELD;
            check_int(haft_checkpoint(), ==, 0);
        }
        check_int(haft_checkpoint(), ==, 0);
    }
    check_int(haft_checkpoint(), ==, HAFT_ETIMEDOUT);
}

struct phases {
    _Atomic int *ready;
    int in_shield, timed, aborted_inside, aborted_outside, after;
};

static int shields_itself(struct phases *f)
{
    {
        HAFT_SHIELD;
        atomic_store(f->ready, 1);
        while (atomic_load(f->ready) != 2)
            check_int(haft_yield(), ==, 0);
        f->in_shield = haft_checkpoint();
        f->aborted_inside = haft_is_aborted();
        HAFT_TIMEOUT(HAFT_MS);
        f->timed = haft_park();
    }
    f->aborted_outside = haft_is_aborted();
    f->after = haft_park();
    return 31;
}

TEST_FROM_EVERY_CALLER("a shield masks an abort until its block has ended")
{
    for_each_kind(kind) {
        _Atomic int ready = 0;
        struct phases f = { .ready = &ready, .in_shield = 1, .timed = 1, .after = 1 };
        haft_handle h = haft_spawn(shields_itself, &f, .kind = kind);
        until(atomic_load(&ready) == 1);
        check_int(haft_abort(h), ==, 0);
        atomic_store(&ready, 2);
        haft_outcome out;
        check_int(haft_join_outcome(&h, &f, &out), ==, 0);
        check_int(f.in_shield, ==, 0);
        check_int(f.aborted_inside, ==, 0);
        check_int(f.timed, ==, HAFT_ETIMEDOUT);
        check_int(f.aborted_outside, ==, 1);
        check_int(f.after, ==, HAFT_ECANCELED);
        check_int(out.end, ==, HAFT_ABORTED);
        check_int(out.code, ==, 31);
    }
}

static int shields_nest(void)
{
    check_int(haft_abort(haft_self()), ==, 0);
    {
        HAFT_SHIELD;
        {
            HAFT_SHIELD;
            HAFT_SHIELD;
            check_int(haft_checkpoint(), ==, 0);
        }
        check_int(haft_checkpoint(), ==, 0);
        check(!haft_is_aborted());
    }
    check(haft_is_aborted());
    return 0;
}

TEST_FROM_EVERY_CALLER("shields nest, and the end of an inner one unmasks nothing")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(shields_nest, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, 0);
    }
}

/* --- abort: told or not told -------------------------------------------------------------------------------------- */

static int looks_only(void)
{
    check(!haft_is_aborted());
    check_int(haft_abort(haft_self()), ==, 0);
    check_int(haft_abort(haft_self()), ==, 0);
    check(haft_is_aborted());
    check(haft_is_aborted());
    haft_handle h = haft_spawn(return_nothing);
    int rc;
    while ((rc = haft_try_join(&h)) == HAFT_EAGAIN) {
        HAFT_SHIELD;
        check_int(haft_yield(), ==, 0);
    }
    check_int(rc, ==, 0);
    return 61;
}

static int is_told(void)
{
    check_int(haft_abort(haft_self()), ==, 0);
    check_int(haft_checkpoint(), ==, HAFT_ECANCELED);
    check_int(haft_checkpoint(), ==, HAFT_ECANCELED);
    return 62;
}

static int is_told_only_in_shields(void)
{
    check_int(haft_abort(haft_self()), ==, 0);
    HAFT_SHIELD;
    check_int(haft_checkpoint(), ==, 0);
    HAFT_TIMEOUT(0);
    check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    return 63;
}

static int returns_canceled_by_itself(void)
{
    return HAFT_ECANCELED;
}

static int is_aborted_and_returns_canceled(void)
{
    check_int(haft_abort(haft_self()), ==, 0);
    return HAFT_ECANCELED;
}

static int joins_one_that_returns_canceled(void)
{
    haft_handle h = haft_spawn(returns_canceled_by_itself);
    int rc = haft_join(&h);
    check(haft_is_null(h));
    check_int(haft_abort(haft_self()), ==, 0);
    return rc;
}

TEST_FROM_EVERY_CALLER("a job ends as aborted exactly if it was told; otherwise its own result stands")
{
    static const struct {
        int (*body)(void);
        haft_end end;
        int code;
    } cases[] = {
        { looks_only, HAFT_RETURNED, 61 },
        { is_told, HAFT_ABORTED, 62 },
        { is_told_only_in_shields, HAFT_RETURNED, 63 },
        { returns_canceled_by_itself, HAFT_RETURNED, HAFT_ECANCELED },
        { is_aborted_and_returns_canceled, HAFT_RETURNED, HAFT_ECANCELED },
        { joins_one_that_returns_canceled, HAFT_RETURNED, HAFT_ECANCELED },
    };
    for_each_kind(kind)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            haft_outcome out;
            haft_handle h = haft_spawn(cases[i].body, HAFT_NO_FRAME, .kind = kind);
            check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
            check_int(out.code, ==, cases[i].code);
            check_int(out.end, ==, cases[i].end);

            h = haft_spawn(cases[i].body, HAFT_NO_FRAME, .kind = kind);
            check_int(haft_join(&h), ==, cases[i].end == HAFT_ABORTED ? HAFT_EABORTED : cases[i].code);
            check(haft_is_null(h));
        }
}

struct cleanup {
    _Atomic int *asleep, *cleaned;
};

static void cleans_up(struct cleanup *f)
{
    for (int i = 0; i < 5; i++) {
        HAFT_SHIELD;
        check_int(haft_yield(), ==, 0);
    }
    atomic_store(f->cleaned, 1);
}

static int sleeps_long(struct cleanup *f)
{
    HAFT_DEFER(cleans_up, f);
    atomic_store(f->asleep, 1);
    return haft_sleep(1000 * HAFT_S);
}

TEST_FROM_EVERY_CALLER("the abort of a sleeping job: joined as aborted, its cleanup done before it is finished")
{
    for_each_kind(kind) {
        _Atomic int asleep = 0, cleaned = 0;
        struct cleanup f = { .asleep = &asleep, .cleaned = &cleaned };
        haft_handle h = haft_spawn(sleeps_long, &f, .kind = kind);
        until(atomic_load(&asleep));
        check_int(haft_abort(h), ==, 0);
        until(haft_is_finished(h));
        check_int(atomic_load(&cleaned), ==, 1);
        haft_outcome out;
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_ABORTED);
        check_int(out.code, ==, HAFT_ECANCELED);
    }
}

static int never_waits_again(_Atomic int **phase)
{
    atomic_store(*phase, 1);
    while (atomic_load(*phase) != 2) {
        HAFT_SHIELD;
        check_int(haft_yield(), ==, 0);
    }
    uint64_t x = 1;
    for (int i = 0; i < 100000; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    return x == 0 ? -1 : 71;
}

TEST_FROM_EVERY_CALLER("the abort of a running job that never waits again: its own result")
{
    for_each_kind(kind) {
        _Atomic int phase = 0, *p = &phase;
        haft_handle h = haft_spawn(never_waits_again, &p, .kind = kind);
        until(atomic_load(&phase) == 1);
        check_int(haft_abort(h), ==, 0);
        atomic_store(&phase, 2);
        haft_outcome out;
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_RETURNED);
        check_int(out.code, ==, 71);
    }
}

static _Atomic int bodies_begun;

static int begins(void)
{
    return atomic_fetch_add(&bodies_begun, 1) >= 0 ? 72 : 0;
}

static int aborts_before_the_start(void)
{
    /* The only worker runs this body, so the task cannot have begun. */
    atomic_store(&bodies_begun, 0);
    for (int i = 0; i < 50; i++) {
        haft_outcome out;
        haft_handle h = haft_spawn(begins);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_NOT_STARTED);
        check_int(out.code, ==, 0);
        h = haft_spawn(begins);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        check(haft_is_null(h));
    }
    check_int(atomic_load(&bodies_begun), ==, 0);
    return 0;
}

TEST("a task aborted before its start never begins")
{
    check_int(haft_run(aborts_before_the_start, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

TEST_FROM_EVERY_CALLER("a job aborted at once has either not begun, or has its own result")
{
    for_each_kind(kind) {
        atomic_store(&bodies_begun, 0);
        int returned = 0;
        for (int i = 0; i < 200; i++) {
            haft_outcome out;
            haft_handle h = haft_spawn(begins, HAFT_NO_FRAME, .kind = kind);
            check_int(haft_abort(h), ==, 0);
            check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
            check_msg(out.end == HAFT_NOT_STARTED || out.end == HAFT_RETURNED, "end %d", (int)out.end);
            check_int(out.code, ==, out.end == HAFT_RETURNED ? 72 : 0);
            returned += out.end == HAFT_RETURNED;
        }
        check_int(atomic_load(&bodies_begun), ==, returned);
    }
}

struct both {
    haft_handle ended;
    int refused, shielded, token_refused, token_kept;
};

static int is_aborted_with_data_ready(struct both *f)
{
    check_int(haft_unpark(haft_self()), ==, 0);
    check_int(haft_abort(haft_self()), ==, 0);
    f->refused = haft_join(&f->ended);
    f->token_refused = haft_park();
    HAFT_SHIELD;
    f->shielded = haft_join(&f->ended);
    f->token_kept = haft_park();
    return 0;
}

static int seventy_three(void)
{
    return 73;
}

TEST_FROM_EVERY_CALLER("an aborted job is refused even what is ready, and it stays ready")
{
    for_each_kind(kind) {
        struct both f = { .ended = haft_spawn(seventy_three, HAFT_NO_FRAME, .kind = kind) };
        check_int(haft_wait(f.ended), ==, 0);
        haft_handle h = haft_spawn(is_aborted_with_data_ready, &f, .kind = kind);
        check_int(haft_join(&h, &f), ==, HAFT_EABORTED);
        check_int(f.refused, ==, HAFT_ECANCELED);
        check_int(f.shielded, ==, 73);
        check_int(f.token_refused, ==, HAFT_ECANCELED);
        check_int(f.token_kept, ==, 0);
    }
}

static int is_aborted_and_late(void)
{
    check_int(haft_abort(haft_self()), ==, 0);
    HAFT_TIMEOUT(0);
    check_int(haft_park(), ==, HAFT_ECANCELED);
    check_int(haft_checkpoint(), ==, HAFT_ECANCELED);
    check_int(haft_yield(), ==, HAFT_ECANCELED);
    check_int(haft_sleep(0), ==, HAFT_ECANCELED);
    return 0;
}

TEST_FROM_EVERY_CALLER("abort wins over a deadline")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(is_aborted_and_late, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
    }
}

static int defers_are_told(struct phases *f)
{
    {
        HAFT_DEFER(sees_its_wait, &f->in_shield);
        HAFT_SHIELD;
        HAFT_TIMEOUT(0);
        HAFT_DEFER(sees_its_wait, &f->timed);
        check_int(haft_abort(haft_self()), ==, 0);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("a defer waits under what was declared before it, abort and shield included")
{
    for_each_kind(kind) {
        struct phases f = { .in_shield = 1, .timed = 1 };
        haft_handle h = haft_spawn(defers_are_told, &f, .kind = kind);
        check_int(haft_join(&h, &f), ==, HAFT_EABORTED);
        check_int(f.timed, ==, HAFT_ETIMEDOUT);
        check_int(f.in_shield, ==, HAFT_ECANCELED);
    }
}

/* --- every suspension point --------------------------------------------------------------------------------------- */

/* A world in which every suspension point would wait for ever, until it is released. */
struct world {
    haft_handle target; /* waits for its token */
    haft_handle all[2];
    haft_set *set;          /* holds a job that waits */
    haft_set *full;         /* one runs, one is queued */
    haft_scope *scope;      /* of the caller; has a child that waits */
    haft_handle members[4]; /* who waits in set, full and scope, by haft_self */
    _Atomic int members_up;
};

struct member {
    struct world *world;
    int place;
};

static int is_a_member(struct member *m)
{
    m->world->members[m->place] = haft_self();
    atomic_fetch_add(&m->world->members_up, 1);
    return haft_park();
}

static int op_park(struct world *w)
{
    (void)w;
    return haft_park();
}

static int op_sleep(struct world *w)
{
    (void)w;
    return haft_sleep(INT64_MAX);
}

static int op_join(struct world *w)
{
    int rc = haft_join(&w->target);
    check(haft_is_null(w->target) == (rc == 0));
    return rc;
}

static int op_join_outcome(struct world *w)
{
    haft_outcome out = { .code = 99 };
    int rc = haft_join_outcome(&w->target, HAFT_NO_FRAME, &out);
    check_int(out.code, ==, rc == 0 ? 0 : 99);
    return rc;
}

static int op_wait(struct world *w)
{
    return haft_wait(w->target);
}

static int op_join_all(struct world *w)
{
    int rc = haft_join_all(w->all, 2, NULL);
    for (int i = 0; i < 2; i++)
        check(haft_is_null(w->all[i]) == (rc == 0));
    return rc;
}

static int op_join_all_or_abort(struct world *w)
{
    int rc = haft_join_all_or_abort(w->all, 2, NULL);
    for (int i = 0; i < 2; i++)
        check(haft_is_null(w->all[i]) == (rc == 0));
    return rc;
}

static int op_set_next(struct world *w)
{
    size_t before = haft_set_len(w->set);
    int rc = haft_set_next(w->set, HAFT_NO_FRAME, NULL);
    check_int(haft_set_len(w->set), ==, rc == 0 ? before - 1 : before);
    return rc;
}

static int op_set_next_outcome(struct world *w)
{
    haft_outcome out;
    return haft_set_next_outcome(w->set, HAFT_NO_FRAME, &out);
}

static int op_set_spawn(struct world *w)
{
    size_t before = haft_set_len(w->full);
    int rc = haft_set_spawn(w->full, return_nothing);
    if (rc != 0)
        check_int(haft_set_len(w->full), ==, before);
    return rc;
}

static int op_scope_join(struct world *w)
{
    return haft_scope_join(w->scope);
}

static const struct point {
    const char *name;
    int (*op)(struct world *w);
} points[] = {
    { "haft_park", op_park },
    { "haft_sleep", op_sleep },
    { "haft_join", op_join },
    { "haft_join_outcome", op_join_outcome },
    { "haft_wait", op_wait },
    { "haft_join_all", op_join_all },
    { "haft_join_all_or_abort", op_join_all_or_abort },
    { "haft_set_next", op_set_next },
    { "haft_set_next_outcome", op_set_next_outcome },
    { "haft_set_spawn", op_set_spawn },
    { "haft_scope_join", op_scope_join },
};

enum { POINTS = sizeof points / sizeof *points };

/* When the abort or the deadline strikes, seen from the wait. */
enum when { NEVER, BEFORE, DURING, WHENS };

struct trial {
    int point;
    enum when abort, deadline;
    bool shielded;
    _Atomic int *phase; /* 1: about to wait; the aborter answers */
    _Atomic int *freed; /* the wait has ended: the world may be released */
    int rc;             /* of the wait */
    int again;          /* of the same wait, shielded, in a released world */
    int told;           /* what a checkpoint says after it */
};

static int waits_once(struct trial *t, struct world *w)
{
    const struct point *p = &points[t->point];
    if (t->deadline == NEVER)
        return p->op(w);
    HAFT_TIMEOUT(t->deadline == BEFORE ? 0 : 300 * HAFT_US);
    return p->op(w);
}

static int waits_shielded(struct trial *t, struct world *w)
{
    HAFT_SHIELD;
    return waits_once(t, w);
}

static void release(struct world *w)
{
    HAFT_SHIELD;
    (void)haft_unpark(haft_self());
    (void)haft_unpark(w->target);
    for (int i = 0; i < 2; i++)
        (void)haft_unpark(w->all[i]);
    while (atomic_load(&w->members_up) < 3)
        (void)haft_yield();
    for (int i = 0; i < 3; i++)
        (void)haft_unpark(w->members[i]);
}

static int tries(struct trial *t)
{
    struct world w = { 0 };
    struct member in_scope = { .world = &w, .place = 2 };
    int result;
    HAFT_SCOPE(s, .result = &result);
    {
        HAFT_SHIELD;
        w.scope = s;
        w.target = haft_spawn(wait_for_token);
        w.all[0] = haft_spawn(wait_for_token);
        w.all[1] = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = HAFT_THREAD);
        w.set = haft_set_new();
        w.full = haft_set_new(.limit = 1, .queue = 1);
        check_int(haft_set_spawn(w.set, is_a_member, (&(struct member){ .world = &w, .place = 0 })), ==, 0);
        check_int(haft_set_spawn(w.full, is_a_member, (&(struct member){ .world = &w, .place = 1 })), ==, 0);
        check_int(haft_set_spawn(w.full, return_nothing), ==, 0);
        check_int(haft_scope_spawn(s, is_a_member, &in_scope), ==, 0);
        while (atomic_load(&w.members_up) < 3)
            check_int(haft_yield(), ==, 0);
    }
    if (t->abort == BEFORE)
        check_int(haft_abort(haft_self()), ==, 0);
    atomic_store(t->phase, 1);
    t->rc = t->shielded ? waits_shielded(t, &w) : waits_once(t, &w);
    t->told = haft_checkpoint();
    release(&w);
    {
        HAFT_SHIELD;
        t->again = points[t->point].op == op_sleep ? 0 : points[t->point].op(&w);
        haft_drop(&w.target);
        haft_drop(&w.all[0]);
        haft_drop(&w.all[1]);
        haft_set_drop(&w.set);
        haft_set_drop(&w.full);
        (void)haft_scope_join(s);
    }
    return 81;
}

static void try_one(int point, enum when abort, enum when deadline, bool shielded, haft_kind kind)
{
    /* Nothing would end such a wait. */
    if (deadline == NEVER && (abort == NEVER || shielded))
        return;
    _Atomic int phase = 0;
    struct trial t = {
        .point = point, .abort = abort, .deadline = deadline, .shielded = shielded, .phase = &phase, .rc = 1, .again = 1
    };
    haft_handle h = haft_spawn(tries, &t, .kind = kind);
    until(atomic_load(&phase) == 1);
    /* With a deadline of 300 µs on its way, an abort during the wait may come before it or after it. */
    if (abort == DURING)
        check_int(haft_abort(h), ==, 0);
    haft_outcome out;
    check_int(haft_join_outcome(&h, &t, &out), ==, 0);

    bool may_cancel = !shielded && abort != NEVER;
    bool may_expire = deadline != NEVER && !(may_cancel && abort == BEFORE);
    check_msg((may_cancel && t.rc == HAFT_ECANCELED) || (may_expire && t.rc == HAFT_ETIMEDOUT),
              "%s, abort %d, deadline %d, shielded %d, kind %d: %s", points[point].name, (int)abort, (int)deadline,
              (int)shielded, (int)kind, haft_errname(t.rc));
    check_msg(t.again == 0, "%s, abort %d, deadline %d, shielded %d, kind %d: then %s", points[point].name, (int)abort,
              (int)deadline, (int)shielded, (int)kind, haft_errname(t.again));
    if (abort == BEFORE || t.rc == HAFT_ECANCELED)
        check_int(t.told, ==, HAFT_ECANCELED);
    if (abort == NEVER)
        check_int(t.told, ==, 0);
    check_int(out.code, ==, 81);
    check_int(out.end, ==, t.told == HAFT_ECANCELED || t.rc == HAFT_ECANCELED ? HAFT_ABORTED : HAFT_RETURNED);
}

static void try_all(void)
{
    for (int point = 0; point < POINTS; point++)
        for (enum when abort = NEVER; abort < WHENS; abort++)
            for (enum when deadline = NEVER; deadline < WHENS; deadline++)
                for (int shielded = 0; shielded <= 1; shielded++)
                    for_each_kind(kind)
                        try_one(point, abort, deadline, shielded, kind);
}

TEST_LONG("every suspension point is refused by abort and deadline as told, and has then done nothing")
{
    from_every_caller(try_all);
}

static int op_after(const int *point)
{
    /* Everything is ready: abort and deadline come after it, and change nothing about it. */
    struct world w = { 0 };
    struct member in_scope = { .world = &w, .place = 2 };
    int result;
    HAFT_SCOPE(s, .result = &result);
    w.scope = s;
    w.target = haft_spawn(wait_for_token);
    w.all[0] = haft_spawn(wait_for_token);
    w.all[1] = haft_spawn(wait_for_token);
    w.set = haft_set_new();
    w.full = haft_set_new(.limit = 1, .queue = 1);
    check_int(haft_set_spawn(w.set, is_a_member, (&(struct member){ .world = &w, .place = 0 })), ==, 0);
    check_int(haft_set_spawn(w.full, is_a_member, (&(struct member){ .world = &w, .place = 1 })), ==, 0);
    check_int(haft_scope_spawn(s, is_a_member, &in_scope), ==, 0);
    release(&w);
    int rc;
    {
        HAFT_TIMEOUT(1000 * HAFT_S);
        rc = points[*point].op == op_sleep ? haft_sleep(HAFT_US) : points[*point].op(&w);
        check_int(haft_abort(haft_self()), ==, 0);
        check_int(rc, ==, 0);
    }
    check_int(haft_checkpoint(), ==, HAFT_ECANCELED);
    HAFT_SHIELD;
    haft_drop(&w.target);
    haft_drop(&w.all[0]);
    haft_drop(&w.all[1]);
    haft_set_drop(&w.set);
    haft_set_drop(&w.full);
    (void)haft_scope_join(s);
    return 82;
}

TEST_LONG_FROM_EVERY_CALLER("a wait that succeeded before the abort has succeeded, and the next one is refused")
{
    for (int point = 0; point < POINTS; point++)
        for_each_kind(kind) {
            haft_outcome out;
            haft_handle h = haft_spawn(op_after, &point, .kind = kind);
            check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
            check_int(out.end, ==, HAFT_ABORTED);
            check_int(out.code, ==, 82);
        }
}

/* --- wake, abort and deadline at once ----------------------------------------------------------------------------- */

struct contended {
    unsigned rounds;
    _Atomic unsigned *round;
    unsigned woken, late, canceled;
};

static int parks_again_and_again(struct contended *f)
{
    for (unsigned i = 1; i <= f->rounds; i++) {
        atomic_store(f->round, i);
        /* The last one is woken in any case. */
        HAFT_TIMEOUT(i < f->rounds ? (int64_t)(i % 8) * 20 * HAFT_US : 3600 * HAFT_S);
        int rc = haft_park();
        f->woken += rc == 0;
        f->late += rc == HAFT_ETIMEDOUT;
        f->canceled += rc == HAFT_ECANCELED;
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("a wake and a deadline at once make one return, and a wake that lost is kept for the next park")
{
    for_each_kind(kind) {
        _Atomic unsigned round = 0;
        unsigned n = (unsigned)rounds(150, 50000);
        struct contended f = { .rounds = n, .round = &round };
        haft_handle h = haft_spawn(parks_again_and_again, &f, .kind = kind);
        for (unsigned i = 1; i <= n && !haft_is_finished(h); i++) {
            while (atomic_load(&round) < i)
                check_int(haft_yield(), ==, 0);
            check_int(haft_unpark(h), ==, 0);
        }
        check_int(haft_join(&h, &f), ==, 0);
        check_int(f.woken + f.late, ==, n);
        check_int(f.canceled, ==, 0);
        check_int(f.woken, >, 0);
    }
}

/* --- what an abort carries ---------------------------------------------------------------------------------------- */

struct reason {
    const int *number; /* plain, so that the thread sanitizer has its say */
    _Atomic bool *begun;
};

static int asks_for_the_reason(struct reason *r)
{
    atomic_store(r->begun, true);
    while (haft_yield() == 0)
        ;
    return *r->number;
}

TEST_FROM_EVERY_CALLER("a job that is told of an abort sees what was done before it")
{
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        int number = 0;
        _Atomic bool begun = false;
        haft_outcome out;
        haft_handle h = haft_spawn(asks_for_the_reason, (&(struct reason){ &number, &begun }), .kind = kind);
        until(atomic_load(&begun));
        number = 7;
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.code, ==, 7);
    }
}
