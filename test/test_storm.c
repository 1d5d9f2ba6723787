/* SPDX-License-Identifier: MIT
 *
 * Storms: many jobs do everything to each other's handles, in an order that follows from a printed seed as far as the
 * machine's own order allows, and at the end every frame has had exactly one end.
 *
 * Environment: HAFT_TEST_SEED=n takes that seed again. */
#include <haft/haft.h>

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "callers.h"

/* --- chance ------------------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    /* Steele, Lea and Flood's SplitMix. */
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(next_random(state) % n);
}

static uint64_t choose_seed(void)
{
    const char *given = getenv("HAFT_TEST_SEED");
    uint64_t seed = given != NULL && *given != '\0' ? strtoull(given, NULL, 0) : (uint64_t)haft_now();
    fprintf(stderr, "HAFT_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

/* --- frames that count their ends --------------------------------------------------------------------------------- */

/* One byte for each frame there ever was: how many ends it has had. */
static struct {
    _Atomic unsigned char *ends;
    size_t room;
    _Atomic size_t used;
    _Atomic size_t joined, dropped, refused, operations;
} ledger;

static void open_ledger(size_t room)
{
    memset(&ledger, 0, sizeof ledger);
    ledger.ends = calloc(room, 1);
    check_ptr(ledger.ends, !=, NULL);
    ledger.room = room;
}

static size_t enter_frame(void)
{
    size_t entry = atomic_fetch_add(&ledger.used, 1);
    check_int(entry, <, ledger.room);
    return entry;
}

static void end_frame(size_t entry)
{
    check_int(atomic_fetch_add(&ledger.ends[entry], 1), ==, 0);
}

static void close_ledger(void)
{
    size_t used = atomic_load(&ledger.used);
    for (size_t i = 0; i < used; i++)
        check_msg(atomic_load(&ledger.ends[i]) == 1, "frame %zu of %zu has had %d ends", i, used,
                  (int)atomic_load(&ledger.ends[i]));
    check_int(atomic_load(&ledger.joined) + atomic_load(&ledger.dropped) + atomic_load(&ledger.refused), ==, used);
    free(ledger.ends);
}

struct frame {
    size_t entry;
    uint64_t chance;
    unsigned depth;
    unsigned canary;
};

static void drop_frame(void *object)
{
    struct frame *f = object;
    check_int(f->canary, ==, 0xbeadu + f->depth);
    end_frame(f->entry);
    atomic_fetch_add(&ledger.dropped, 1);
}

static void joined_frame(const struct frame *f)
{
    check_int(f->canary, ==, 0xbeadu + f->depth);
    end_frame(f->entry);
    atomic_fetch_add(&ledger.joined, 1);
}

static void refused_frame(const struct frame *f)
{
    end_frame(f->entry);
    atomic_fetch_add(&ledger.refused, 1);
}

static void free_payload(void *payload)
{
    free(payload);
}

static void yields_at_its_end(struct frame *f)
{
    HAFT_SHIELD;
    if (f->chance % 2 == 0)
        (void)haft_yield();
}

static int lives_somehow(struct frame *f);

static haft_handle spawn_frame(uint64_t *chance, unsigned depth)
{
    static const haft_kind kinds[] = {
        HAFT_TASK, HAFT_TASK, HAFT_TASK, HAFT_TASK, HAFT_TASK, HAFT_TASK, HAFT_BLOCKING
    };
    struct frame f = {
        .entry = enter_frame(), .chance = next_random(chance), .depth = depth, .canary = 0xbeadu + depth
    };
    haft_kind kind = kinds[below(chance, sizeof kinds / sizeof *kinds)];
    if (below(chance, 100) == 0)
        kind = HAFT_THREAD;
    haft_handle h = haft_spawn(lives_somehow, &f, .kind = kind, .drop = drop_frame, .pinned = below(chance, 8) == 0);
    int error = haft_error(h);
    if (error != 0) {
        check_msg(error == HAFT_EAGAIN || error == HAFT_ENOMEM || error == HAFT_ESHUTDOWN, "%s", haft_errname(error));
        refused_frame(&f);
        check_int(haft_join(&h), ==, error);
    }
    return h;
}

static int lives_somehow(struct frame *f)
{
    HAFT_DEFER(yields_at_its_end, f);
    uint64_t chance = f->chance;
    int rc = 0;
    switch (below(&chance, 10)) {
    case 0:
    case 1:
        break;
    case 2:
        for (unsigned i = below(&chance, 5); i > 0 && rc == 0; i--)
            rc = haft_yield();
        break;
    case 3:
        rc = haft_park();
        break;
    case 4: {
        HAFT_TIMEOUT((int64_t)below(&chance, 50) * HAFT_US);
        rc = haft_park();
        break;
    }
    case 5:
        rc = haft_sleep((int64_t)below(&chance, 100) * HAFT_US);
        break;
    case 6:
        if (below(&chance, 2) == 0)
            haft_panic("chance %" PRIu64, chance);
        haft_panic_with(malloc(8), free_payload);
    case 7:
        if (f->depth > 0) {
            haft_handle child = spawn_frame(&chance, f->depth - 1);
            HAFT_DEFER(haft_drop, &child);
            rc = haft_wait(child);
        }
        break;
    case 8:
        (void)haft_abort(haft_self());
        rc = below(&chance, 2) == 0 ? haft_checkpoint() : 0;
        break;
    default: {
        HAFT_SHIELD;
        rc = haft_yield();
        break;
    }
    }
    return rc;
}

/* --- handles that everybody may copy ------------------------------------------------------------------------------ */

enum { SHARED = 32, OWN = 8 };

static struct {
    pthread_mutex_t lock; /* held for a copy, never across a call of haft's */
    haft_handle copies[SHARED];
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static haft_handle take_copy(uint64_t *chance)
{
    unsigned i = below(chance, SHARED);
    pthread_mutex_lock(&shared.lock);
    haft_handle h = shared.copies[i];
    pthread_mutex_unlock(&shared.lock);
    return h;
}

static void leave_copy(uint64_t *chance, haft_handle h)
{
    unsigned i = below(chance, SHARED);
    pthread_mutex_lock(&shared.lock);
    shared.copies[i] = h;
    pthread_mutex_unlock(&shared.lock);
}

static void expect(int rc, const int *allowed, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rc == allowed[i])
            return;
    fail("%s was not to be expected", haft_errname(rc));
}

#define EXPECT(rc, ...) expect((rc), (const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

/* Joins by one form or another; the frame is counted exactly if the handle was spent here. */
static int join_somehow(uint64_t *chance, haft_handle *h)
{
    struct frame f = { 0 };
    int rc;
    if (haft_is_null(*h))
        return haft_join(h, &f);
    switch (below(chance, 4)) {
    case 0:
        rc = haft_try_join(h, &f);
        break;
    case 1: {
        HAFT_TIMEOUT((int64_t)below(chance, 3) * 20 * HAFT_US);
        rc = haft_join(h, &f);
        break;
    }
    case 2: {
        HAFT_TIMEOUT(0);
        haft_outcome out;
        rc = haft_join_outcome(h, &f, &out);
        if (rc == 0)
            haft_panic_drop(&out.panic);
        break;
    }
    default: {
        /* Long enough that it is rarely given up, short enough that two who wait for each other's tokens get on. */
        HAFT_TIMEOUT(300 * HAFT_US);
        rc = haft_join(h); /* the frame goes to .drop */
        return rc;
    }
    }
    if (haft_is_null(*h))
        joined_frame(&f);
    return rc;
}

struct actor {
    uint64_t chance;
    size_t operations;
};

struct own {
    haft_handle handles[OWN];
};

static void drop_own(struct own *own)
{
    for (int i = 0; i < OWN; i++)
        haft_drop(&own->handles[i]);
}

static void operate(uint64_t *chance, haft_handle *h)
{
    int rc;
    if (haft_is_null(*h)) {
        *h = spawn_frame(chance, 2);
        if (!haft_is_null(*h) && below(chance, 2) == 0)
            leave_copy(chance, *h);
        return;
    }
    switch (below(chance, 12)) {
    case 0:
        EXPECT(haft_abort(*h), 0, HAFT_ESTALE);
        break;
    case 1:
        EXPECT(haft_unpark(*h), 0, HAFT_ESTALE);
        break;
    case 2:
        haft_drop(h);
        check(haft_is_null(*h));
        break;
    case 3:
        rc = haft_detach(h);
        EXPECT(rc, 0, HAFT_ESTALE, HAFT_EBUSY);
        check(haft_is_null(*h) == (rc == 0));
        break;
    case 4: {
        HAFT_TIMEOUT((int64_t)below(chance, 2) * 10 * HAFT_US);
        EXPECT(haft_wait(*h), 0, HAFT_ESTALE, HAFT_ETIMEDOUT, HAFT_ECANCELED);
        break;
    }
    case 5:
        (void)haft_is_finished(*h);
        break;
    case 6: {
        haft_handle copy = take_copy(chance);
        EXPECT(haft_abort_by(haft_abort_handle_of(copy)), 0, HAFT_ESTALE);
        break;
    }
    case 7: {
        haft_handle copy = take_copy(chance);
        EXPECT(haft_unpark(copy), 0, HAFT_ESTALE);
        break;
    }
    case 8: {
        haft_handle copy = take_copy(chance);
        (void)join_somehow(chance, &copy);
        break;
    }
    case 9:
        (void)haft_yield();
        break;
    default:
        (void)join_somehow(chance, h);
        break;
    }
}

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
