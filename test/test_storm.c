/* SPDX-License-Identifier: MIT
 *
 * Storms: many jobs do everything to each other's handles, in an order that follows from a printed seed as far as the
 * machine's own order allows, and at the end every frame has had exactly one end.
 * The jobs, and the ledger of the frames, are in storm.h. */
#include <haft/haft.h>

#include <string.h>

#include "storm.h"

/* --- storms of handles -------------------------------------------------------------------------------------------- */

static int acts(struct actor *a)
{
    struct own own = { { HAFT_NULL_HANDLE } };
    HAFT_DEFER(drop_own, &own);
    uint64_t chance = a->chance;
    for (size_t i = 0; i < a->operations; i++) {
        operate(&chance, &own.handles[below(&chance, OWN)]);
        atomic_fetch_add(&ledger.operations, 1);
        /* One that was aborted by a neighbour cannot wait any more: it leaves the rest to others. */
        if (i % 64 == 63 && haft_checkpoint() != 0)
            return 0;
        if (below(&chance, 5000) == 0)
            haft_panic("an actor leaves");
    }
    return 0;
}

struct storm {
    uint64_t seed;
    size_t operations;
    haft_kind kind;
};

enum { ACTORS = 6 };

static int rages(struct storm *s)
{
    uint64_t chance = s->seed;
    haft_handle actors[ACTORS] = { HAFT_NULL_HANDLE };
    while (atomic_load(&ledger.operations) < s->operations) {
        for (int i = 0; i < ACTORS; i++) {
            struct actor a = { .chance = next_random(&chance), .operations = s->operations / ACTORS / 4 + 1 };
            actors[i] = haft_spawn(acts, &a, .kind = s->kind == HAFT_TASK && i % 3 == 2 ? HAFT_THREAD : s->kind);
        }
        /* A few are aborted on the way. */
        for (unsigned i = below(&chance, 4); i > 0; i--) {
            for (unsigned j = below(&chance, 1000); j > 0; j--)
                check_int(haft_yield(), ==, 0);
            check_int(haft_abort(actors[below(&chance, ACTORS)]), ==, 0);
        }
        for (int i = 0; i < ACTORS; i++) {
            int rc = haft_join(&actors[i]);
            EXPECT(rc, 0, HAFT_EABORTED, HAFT_EPANIC);
        }
    }
    memset(shared.copies, 0, sizeof shared.copies);
    return 0;
}

static void rage(unsigned workers, haft_kind kind, size_t operations)
{
    silence_panics();
    struct storm s = { .seed = choose_seed(), .operations = operations, .kind = kind };
    open_ledger(operations * 8 + 100000);
    if (workers == 0) {
        check_int(rages(&s), ==, 0);
        /* Detached jobs that wait for a token end with their runtime. */
        check_int(haft_runtime_stop(), ==, 0);
    } else {
        check_int(haft_run(rages, &s, .workers = workers), ==, 0);
        check_int(haft_runtime_stop(), ==, 0);
    }
    close_ledger();
}

TEST_LONG("a storm from a plain thread: every frame has exactly one end")
{
    rage(0, HAFT_TASK, rounds(30000, 300000));
}

TEST_LONG("a storm beside one worker: every frame has exactly one end")
{
    rage(1, HAFT_TASK, rounds(30000, 300000));
}

TEST_LONG("a storm beside three workers: every frame has exactly one end")
{
    rage(3, HAFT_TASK, rounds(30000, 300000));
}

TEST_LONG("a storm of threads: every frame has exactly one end")
{
    rage(0, HAFT_THREAD, rounds(15000, 150000));
}

/* --- storms of sets ----------------------------------------------------------------------------------------------- */

static int next_somehow(uint64_t *chance, haft_set *set)
{
    struct frame f = { 0 };
    int code, rc;
    switch (below(chance, 4)) {
    case 0:
        rc = haft_set_try_next(set, &f, &code);
        break;
    case 1: {
        HAFT_TIMEOUT((int64_t)below(chance, 3) * 20 * HAFT_US);
        rc = haft_set_next(set, &f, &code);
        break;
    }
    case 2: {
        haft_outcome out;
        HAFT_TIMEOUT(50 * HAFT_US);
        rc = haft_set_next_outcome(set, &f, &out);
        if (rc == 0)
            haft_panic_drop(&out.panic);
        break;
    }
    default: {
        HAFT_TIMEOUT(0);
        return haft_set_next(set, HAFT_NO_FRAME, &code); /* the frame goes to .drop */
    }
    }
    if (rc == 0)
        joined_frame(&f);
    return rc;
}

static int fills_and_empties(struct actor *a)
{
    uint64_t chance = a->chance;
    haft_set *set = below(&chance, 2) == 0
                        ? haft_set_new()
                        : haft_set_new(.limit = 1 + below(&chance, 4), .queue = 1 + below(&chance, 8));
    check_ptr(set, !=, NULL);
    HAFT_DEFER(haft_set_drop, &set);
    for (size_t i = 0; i < a->operations; i++) {
        atomic_fetch_add(&ledger.operations, 1);
        switch (below(&chance, 200)) {
        case 0:
            haft_set_abort_all(set);
            break;
        case 1:
            haft_set_shutdown(set);
            check_int(haft_set_len(set), ==, 0);
            break;
        case 2:
            haft_set_detach_all(set);
            check_int(haft_set_len(set), ==, 0);
            break;
        case 3:
            if (haft_checkpoint() != 0)
                return 0;
            break;
        default:
            if (below(&chance, 2) == 0) {
                EXPECT(next_somehow(&chance, set), 0, HAFT_EAGAIN, HAFT_EEMPTY, HAFT_ETIMEDOUT, HAFT_ECANCELED);
            } else if (below(&chance, 4) == 0) {
                haft_handle h = spawn_frame(&chance, 1);
                if (!haft_is_null(h) && haft_set_add(set, &h) != 0)
                    haft_drop(&h);
            } else {
                struct frame f = { .entry = enter_frame(), .chance = next_random(&chance), .canary = 0xbeadu };
                HAFT_TIMEOUT((int64_t)below(&chance, 3) * 20 * HAFT_US);
                int rc = haft_set_spawn(set, lives_somehow, &f, .drop = drop_frame);
                EXPECT(rc, 0, HAFT_ETIMEDOUT, HAFT_ECANCELED, HAFT_ESHUTDOWN, HAFT_EAGAIN, HAFT_ENOMEM);
                if (rc != 0)
                    refused_frame(&f);
            }
        }
    }
    return 0;
}

static int rages_in_sets(struct storm *s)
{
    uint64_t chance = s->seed;
    haft_handle actors[ACTORS] = { HAFT_NULL_HANDLE };
    while (atomic_load(&ledger.operations) < s->operations) {
        for (int i = 0; i < ACTORS; i++) {
            struct actor a = { .chance = next_random(&chance), .operations = s->operations / ACTORS / 4 + 1 };
            actors[i] = haft_spawn(fills_and_empties, &a, .kind = (haft_kind)(i % KINDS));
        }
        check_int(haft_abort(actors[below(&chance, ACTORS)]), ==, 0);
        for (int i = 0; i < ACTORS; i++) {
            int rc = haft_join(&actors[i]);
            EXPECT(rc, 0, HAFT_EABORTED);
        }
    }
    return 0;
}

TEST_LONG("a storm of sets: every frame has exactly one end")
{
    silence_panics();
    size_t n = rounds(20000, 200000);
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct storm s = { .seed = choose_seed(), .operations = n };
        open_ledger(n * 8 + 100000);
        check_int(haft_run(rages_in_sets, &s, .workers = workers), ==, 0);
        close_ledger();
    }
}

/* --- storms of scopes --------------------------------------------------------------------------------------------- */

struct branch {
    uint64_t chance;
    unsigned depth;
    _Atomic long *alive; /* of the whole tree */
};

static void branch_ends(struct branch *b)
{
    atomic_fetch_sub(b->alive, 1);
}

static int grows(struct branch *b)
{
    atomic_fetch_add(b->alive, 1);
    HAFT_DEFER(branch_ends, b);
    uint64_t chance = b->chance;
    unsigned way = below(&chance, 12);
    if (way == 0)
        haft_panic("a branch breaks");
    if (way == 1)
        return -1;
    if (way == 2)
        (void)haft_abort(haft_self());
    if (b->depth == 0)
        return way < 8 ? haft_yield() : 0;
    struct branch children[3];
    int rc = 0;
    {
        /* Half of them look at the result, in the others a panic passes through. */
        HAFT_SCOPE(s, .result = way % 2 == 0 ? &rc : NULL,
                   .on_error = way % 3 == 0 ? HAFT_ON_ERROR_WAIT : HAFT_ON_ERROR_ABORT);
        for (int i = 0; i < 3; i++) {
            children[i] = (struct branch){ .chance = next_random(&chance), .depth = b->depth - 1, .alive = b->alive };
            (void)haft_scope_spawn(s, grows, &children[i], .kind = below(&chance, 40) == 0 ? HAFT_THREAD : HAFT_TASK);
        }
        if (way == 9)
            haft_scope_abort(s);
        if (way == 10)
            (void)haft_scope_join(s);
        if (way == 11)
            return 1;
    }
    return rc;
}

static int grows_trees(const struct actor *a)
{
    uint64_t chance = a->chance;
    for (size_t i = 0; i < a->operations; i++) {
        _Atomic long alive = 0;
        struct branch root = { .chance = next_random(&chance), .depth = 4, .alive = &alive };
        /* A branch may also return HAFT_EPANIC, for a child's; then there is no panic. */
        haft_panic_info panic = { .payload = NULL };
        if (haft_catch(grows, &root, &panic) == HAFT_EPANIC)
            haft_panic_drop(&panic);
        check_int(atomic_load(&alive), ==, 0);
        if (haft_is_aborted())
            return 0;
    }
    return 0;
}

TEST_LONG("a storm of scopes: nothing is alive behind the end of a block")
{
    silence_panics();
    uint64_t chance = choose_seed();
    size_t n = rounds(150, 3000);
    for (unsigned workers = 1; workers <= 3; workers++)
        for (size_t i = 0; i < n; i++) {
            struct actor a = { .chance = next_random(&chance), .operations = 10 };
            int rc = haft_run(grows_trees, &a, .workers = workers);
            EXPECT(rc, 0, HAFT_EABORTED);
        }
    for (size_t i = 0; i < n; i++) {
        struct actor a = { .chance = next_random(&chance), .operations = 10 };
        haft_handle h = haft_spawn(grows_trees, &a, .kind = (haft_kind)(i % KINDS));
        int rc = haft_join(&h);
        EXPECT(rc, 0, HAFT_EABORTED);
    }
}
