/* SPDX-License-Identifier: MIT
 *
 * What the storms share: chance that follows from a printed seed, a ledger in which every frame has exactly one end, and
 * what jobs do to themselves and to each other's handles.
 *
 * Environment: HAFT_TEST_SEED=n takes that seed again. */
#ifndef HAFT_TEST_STORM_H
#define HAFT_TEST_STORM_H

#include <haft/haft.h>

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "callers.h"
#include "chance.h"

/* --- frames that count their ends --------------------------------------------------------------------------------- */

/* For each frame there ever was how many ends it has had. Not bytes, which some processors do not add to atomically. */
static struct {
    _Atomic unsigned *ends;
    size_t room;
    _Atomic size_t used;
    _Atomic size_t joined, dropped, refused, operations;
} ledger;

static void open_ledger(size_t room)
{
    memset(&ledger, 0, sizeof ledger);
    ledger.ends = calloc(room, sizeof *ledger.ends);
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
        check_msg(atomic_load(&ledger.ends[i]) == 1, "frame %zu of %zu has had %u ends", i, used,
                  atomic_load(&ledger.ends[i]));
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

__attribute__((unused)) static void drop_own(struct own *own)
{
    for (int i = 0; i < OWN; i++)
        haft_drop(&own->handles[i]);
}

__attribute__((unused)) static void operate(uint64_t *chance, haft_handle *h)
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

#endif
