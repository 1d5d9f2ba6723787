/* SPDX-License-Identifier: MIT
 *
 * Storms of aborts: tasks, threads and calls on the pool do everything that haft has to each other's handles, and to
 * scopes, sets, timeouts and shields of their own, while threads outside abort and unpark whatever they get hold of. At the
 * end every frame has had exactly one end, and every loan is back. What each of them draws follows from the seed, those
 * outside included; who is hit depends on the order. */
#include <haft/haft.h>

#include <sched.h>

#include "storm.h"

/* --- loans -------------------------------------------------------------------------------------------------------- */

struct loan {
    uint64_t chance;
    unsigned begun, ended; /* by the one job that has it */
};

static void loan_ends(struct loan *loan)
{
    loan->ended++;
}

/* Waits in one way or another, never for ever. */
static int waits_somehow(struct loan *loan)
{
    loan->begun++;
    HAFT_DEFER(loan_ends, loan);
    uint64_t chance = loan->chance;
    switch (below(&chance, 8)) {
    case 0:
        return 0;
    case 1:
        return haft_yield();
    case 2:
        return haft_sleep((int64_t)below(&chance, 60) * HAFT_US);
    case 3: {
        HAFT_TIMEOUT((int64_t)below(&chance, 60) * HAFT_US);
        EXPECT(haft_park(), 0, HAFT_ETIMEDOUT, HAFT_ECANCELED);
        return 0;
    }
    case 4: {
        /* The shield masks the abort and the outer deadline; the inner one counts. */
        HAFT_TIMEOUT((int64_t)below(&chance, 20) * HAFT_US);
        HAFT_SHIELD;
        HAFT_TIMEOUT((int64_t)below(&chance, 40) * HAFT_US);
        EXPECT(haft_park(), 0, HAFT_ETIMEDOUT);
        return 0;
    }
    case 5:
        haft_panic("chance %" PRIu64, chance);
    case 6:
        return haft_is_aborted() ? haft_checkpoint() : -1;
    default: {
        struct loan inner = { .chance = next_random(&chance) };
        int rc = haft_blocking(waits_somehow, &inner);
        check_uint(inner.begun, ==, inner.ended);
        return rc;
    }
    }
}

static void check_is_back(const struct loan *loan)
{
    check_uint(loan->begun, <=, 1);
    check_uint(loan->begun, ==, loan->ended);
}

static haft_kind some_kind(uint64_t *chance)
{
    unsigned i = below(chance, 40);
    return i == 0 ? HAFT_THREAD : i < 6 ? HAFT_BLOCKING : HAFT_TASK;
}

enum { CHILDREN = 5 };

static void open_scope(uint64_t *chance)
{
    struct loan loans[CHILDREN] = { { 0 } };
    bool was_spawned[CHILDREN] = { false };
    int result = 0;
    {
        HAFT_TIMEOUT(below(chance, 2) == 0 ? (int64_t)below(chance, 80) * HAFT_US : INT64_MAX);
        HAFT_SCOPE(s, .result = &result, .on_error = below(chance, 2) == 0 ? HAFT_ON_ERROR_WAIT : HAFT_ON_ERROR_ABORT);
        for (unsigned i = 0, n = below(chance, CHILDREN + 1); i < n; i++) {
            loans[i].chance = next_random(chance);
            was_spawned[i] = haft_scope_spawn(s, waits_somehow, &loans[i], .kind = some_kind(chance)) == 0;
        }
        if (below(chance, 4) == 0)
            haft_scope_abort(s);
        if (below(chance, 4) == 0)
            (void)haft_scope_join(s);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        check_is_back(&loans[i]);
        check(was_spawned[i] || loans[i].begun == 0);
    }
}

static void run_arms(uint64_t *chance)
{
    struct loan a = { .chance = next_random(chance) }, b = { .chance = next_random(chance) };
    int rcs[2];
    if (below(chance, 2) == 0)
        (void)haft_all(rcs, HAFT_ARM(waits_somehow, &a), HAFT_ARM(waits_somehow, &b));
    else
        (void)haft_all_or_abort(rcs, HAFT_ARM(waits_somehow, &a), HAFT_ARM(waits_somehow, &b));
    check_is_back(&a);
    check_is_back(&b);
}

/* --- sets --------------------------------------------------------------------------------------------------------- */

static void take_one(haft_set *set)
{
    struct frame f = { 0 };
    int code;
    HAFT_TIMEOUT(50 * HAFT_US);
    int rc = haft_set_next(set, &f, &code);
    EXPECT(rc, 0, HAFT_EEMPTY, HAFT_ETIMEDOUT, HAFT_ECANCELED);
    if (rc == 0)
        joined_frame(&f);
}

static void fill_a_set(uint64_t *chance)
{
    haft_set *set = below(chance, 2) == 0 ? haft_set_new() : haft_set_new(.limit = 1 + below(chance, 3), .queue = 2);
    check_ptr(set, !=, NULL);
    HAFT_DEFER(haft_set_drop, &set);
    for (unsigned n = below(chance, 5); n > 0; n--) {
        struct frame f = { .entry = enter_frame(), .chance = next_random(chance), .canary = 0xbeadu };
        HAFT_TIMEOUT((int64_t)below(chance, 3) * 20 * HAFT_US);
        int rc = haft_set_spawn(set, lives_somehow, &f, .drop = drop_frame, .kind = some_kind(chance));
        EXPECT(rc, 0, HAFT_ETIMEDOUT, HAFT_ECANCELED, HAFT_ESHUTDOWN, HAFT_EAGAIN, HAFT_ENOMEM);
        if (rc != 0)
            refused_frame(&f);
    }
    switch (below(chance, 4)) {
    case 0:
        haft_set_abort_all(set);
        break;
    case 1:
        haft_set_detach_all(set);
        break;
    case 2:
        haft_set_shutdown(set);
        break;
    default:
        break;
    }
    take_one(set);
    take_one(set);
}

/* --- the storm ---------------------------------------------------------------------------------------------------- */

struct outsider {
    _Atomic int *stop;
    uint64_t chance;
};

/* A plain thread that knows jobs only by copies of their handles. */
static void *aborts_from_outside(void *argument)
{
    struct outsider *self = argument;
    while (!atomic_load(self->stop)) {
        haft_handle copy = take_copy(&self->chance);
        EXPECT(below(&self->chance, 4) == 0 ? haft_unpark(copy) : haft_abort(copy), 0, HAFT_ESTALE);
        sched_yield();
    }
    return NULL;
}

static int acts(struct actor *a)
{
    struct own own = { { HAFT_NULL_HANDLE } };
    HAFT_DEFER(drop_own, &own);
    uint64_t chance = a->chance;
    leave_copy(&chance, haft_self());
    for (size_t i = 0; i < a->operations; i++) {
        atomic_fetch_add(&ledger.operations, 1);
        switch (below(&chance, 12)) {
        case 0:
            open_scope(&chance);
            break;
        case 1:
            fill_a_set(&chance);
            break;
        case 2:
            run_arms(&chance);
            break;
        case 3: {
            struct loan loan = { .chance = next_random(&chance) };
            (void)haft_catch(waits_somehow, &loan, NULL);
            check_is_back(&loan);
            break;
        }
        case 4: {
            HAFT_SHIELD;
            operate(&chance, &own.handles[below(&chance, OWN)]);
            break;
        }
        default:
            operate(&chance, &own.handles[below(&chance, OWN)]);
        }
        if (i % 16 == 15 && haft_checkpoint() != 0)
            return 0;
    }
    return 0;
}

struct storm {
    uint64_t seed;
    size_t operations;
};

enum { ACTORS = 6, OUTSIDERS = 2 };

static int rages(struct storm *s)
{
    uint64_t chance = s->seed;
    haft_handle actors[ACTORS] = { HAFT_NULL_HANDLE };
    for (size_t i = 0; i < ACTORS || atomic_load(&ledger.operations) < s->operations; i++) {
        /* Those that were aborted make room for others. */
        haft_handle *h = &actors[i % ACTORS];
        if (i >= ACTORS)
            EXPECT(haft_join(h), 0, HAFT_EABORTED, HAFT_EPANIC);
        struct actor a = { .chance = next_random(&chance), .operations = 1 + below(&chance, 500) };
        *h = haft_spawn(acts, &a, .kind = (haft_kind)(i % KINDS));
        check_int(haft_error(*h), ==, 0);
    }
    for (int i = 0; i < ACTORS; i++)
        EXPECT(haft_join(&actors[i]), 0, HAFT_EABORTED, HAFT_EPANIC);
    return 0;
}

static void rage(unsigned workers, size_t operations)
{
    silence_panics();
    struct storm s = { .seed = choose_seed(), .operations = operations };
    open_ledger(operations * 8 + 100000);
    _Atomic int stop = 0;
    pthread_t outsiders[OUTSIDERS];
    struct outsider selves[OUTSIDERS];
    uint64_t chance = ~s.seed; /* the storm itself draws from the seed */
    for (int i = 0; i < OUTSIDERS; i++) {
        selves[i] = (struct outsider){ .stop = &stop, .chance = next_random(&chance) };
        check_int(pthread_create(&outsiders[i], NULL, aborts_from_outside, &selves[i]), ==, 0);
    }
    check_int(haft_run(rages, &s, .workers = workers), ==, 0);
    atomic_store(&stop, 1);
    for (int i = 0; i < OUTSIDERS; i++)
        check_int(pthread_join(outsiders[i], NULL), ==, 0);
    memset(shared.copies, 0, sizeof shared.copies);
    check_int(haft_runtime_stop(), ==, 0);
    close_ledger();
}

TEST_LONG("a storm of aborts beside one worker: every frame has one end, every loan is back")
{
    rage(1, rounds(7000, 334000));
}

TEST_LONG("a storm of aborts beside two workers: every frame has one end, every loan is back")
{
    rage(2, rounds(7000, 334000));
}

TEST_LONG("a storm of aborts beside four workers: every frame has one end, every loan is back")
{
    rage(4, rounds(7000, 334000));
}
