/* SPDX-License-Identifier: MIT
 *
 * Trackers: what they count, who waits how long, and jobs that are tracked for their life. */
#include <haft/haft.h>

#include <stdlib.h>
#include <string.h>

#include "sync.h"

/* --- open and closed, entered and left ---------------------------------------------------------------------------- */

TEST("a tracker is a small value, initialised statically")
{
    static haft_tracker at_rest = HAFT_TRACKER_INIT;
    check_int(sizeof(haft_tracker), <=, 32);
    check(!haft_tracker_is_closed(&at_rest));
    check(haft_tracker_is_empty(&at_rest));
}

TEST_FROM_EVERY_CALLER("tokio:task_tracker open_close: closing and reopening say so, however often, and count nothing")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    for (int i = 0; i < 4; i++) {
        haft_tracker_close(&t);
        check(haft_tracker_is_closed(&t));
        if (i % 2 == 0)
            haft_tracker_close(&t);
        check(haft_tracker_is_closed(&t));
        haft_tracker_reopen(&t);
        check(!haft_tracker_is_closed(&t));
        if (i % 2 == 1)
            haft_tracker_reopen(&t);
        check(!haft_tracker_is_closed(&t));
        check(haft_tracker_is_empty(&t));
        check_uint(haft_tracker_count(&t), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("tokio:task_tracker token_len: what has entered and not left is counted")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    for (size_t i = 0; i < 10; i++) {
        check_uint(haft_tracker_count(&t), ==, i);
        haft_tracker_enter(&t);
        check(!haft_tracker_is_empty(&t));
    }
    for (size_t i = 10; i > 0; i--) {
        check_uint(haft_tracker_count(&t), ==, i);
        haft_tracker_leave(&t);
    }
    check(haft_tracker_is_empty(&t));
}

static int leave(haft_tracker **t)
{
    haft_tracker_leave(*t);
    return 0;
}

TEST_FROM_EVERY_CALLER("to leave a tracker that nothing has entered is a panic, and changes nothing")
{
    silence_panics();
    haft_tracker t = HAFT_TRACKER_INIT, *p = &t;
    haft_handle h = haft_spawn(leave, &p);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    check(haft_tracker_is_empty(&t));
    haft_tracker_enter(&t);
    h = haft_spawn(leave, &p);
    check_int(haft_join(&h), ==, 0);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static int wait_for_tracker(haft_tracker **t)
{
    return haft_tracker_wait(*t);
}

/* One waiter of each kind, all in the queue. */
struct waiters {
    haft_handle h[KINDS];
};

static struct waiters wait_for(haft_tracker *t)
{
    struct waiters w;
    for_each_kind(kind)
        w.h[kind] = haft_spawn(wait_for_tracker, &t, .kind = kind);
    until(waiting(t) == KINDS);
    return w;
}

static void check_gone(haft_tracker *t, struct waiters *w)
{
    check_uint(waiting(t), ==, 0);
    for_each_kind(kind)
        check_int(haft_join(&w->h[kind]), ==, 0);
}

TEST_FROM_EVERY_CALLER(
    "tokio:task_tracker notify_immediately, notify_on_close: whoever waits needs a close, now or earlier")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    struct waiters w = wait_for(&t);
    haft_tracker_close(&t);
    check_gone(&t, &w);
    check_int(haft_tracker_wait(&t), ==, 0);
    HAFT_TIMEOUT(0);
    check_int(haft_tracker_wait(&t), ==, 0);
    haft_tracker_reopen(&t);
    check_int(haft_tracker_wait(&t), ==, HAFT_ETIMEDOUT);
}

TEST_FROM_EVERY_CALLER("tokio:task_tracker notify_on_close_reopen: whom a close let go a reopen does not call back")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    struct waiters w = wait_for(&t);
    haft_tracker_close(&t);
    haft_tracker_reopen(&t);
    haft_tracker_enter(&t);
    check_gone(&t, &w);
    haft_tracker_leave(&t);
}

TEST_FROM_EVERY_CALLER("tokio:task_tracker notify_on_last_task, notify_on_last_task_respawn: the last to leave lets go")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    haft_tracker_close(&t);
    haft_tracker_enter(&t);
    haft_tracker_enter(&t);
    struct waiters w = wait_for(&t);
    haft_tracker_leave(&t);
    check_uint(waiting(&t), ==, KINDS);
    haft_tracker_leave(&t);
    haft_tracker_enter(&t); /* is nothing to those who have been let go */
    check_gone(&t, &w);

    w = wait_for(&t); /* though closed, something has entered, and is waited for too */
    haft_tracker_leave(&t);
    check_gone(&t, &w);
}

TEST_FROM_EVERY_CALLER("tokio:task_tracker no_notify_on_respawn_if_open: an open tracker that is empty lets nobody go")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    haft_tracker_enter(&t);
    struct waiters w = wait_for(&t);
    haft_tracker_leave(&t);
    check_uint(waiting(&t), ==, KINDS);
    haft_tracker_enter(&t);
    haft_tracker_close(&t);
    check_uint(waiting(&t), ==, KINDS);
    haft_tracker_leave(&t);
    check_gone(&t, &w);
}

TEST_FROM_EVERY_CALLER(
    "tokio:task_tracker close_during_exit: the close may come before, between or behind those who leave")
{
    enum { N = 5 };
    for (int close_at = 0; close_at <= N; close_at++) {
        haft_tracker t = HAFT_TRACKER_INIT;
        for (int i = 0; i < N; i++)
            haft_tracker_enter(&t);
        struct waiters w = wait_for(&t);
        for (int i = 0; i < N; i++) {
            if (i == close_at)
                haft_tracker_close(&t);
            check_uint(waiting(&t), ==, KINDS);
            haft_tracker_leave(&t);
        }
        if (close_at == N) {
            check_uint(waiting(&t), ==, KINDS);
            haft_tracker_close(&t);
        }
        check_gone(&t, &w);
    }
}

TEST_FROM_EVERY_CALLER("tokio:task_tracker notify_many: a close lets go as many as wait")
{
    enum { N = 200 }; /* several batches of wakes */
    haft_tracker t = HAFT_TRACKER_INIT, *p = &t;
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(wait_for_tracker, &p);
    until(waiting(&t) == N);
    haft_tracker_close(&t);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
}

TEST_FROM_EVERY_CALLER("one who waits for a tracker may be aborted or late, which changes nothing")
{
    haft_tracker t = HAFT_TRACKER_INIT, *p = &t;
    haft_tracker_enter(&t);
    haft_tracker_close(&t);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(wait_for_tracker, &p, .kind = kind);
        until(waiting(&t) == 1);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
    }
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_tracker_wait(&t), ==, HAFT_ETIMEDOUT);
    }
    check_uint(waiting(&t), ==, 0);
    check_uint(haft_tracker_count(&t), ==, 1);
    haft_tracker_leave(&t);
    check_int(haft_tracker_wait(&t), ==, 0);
}

static int wait_although_aborted(haft_tracker **t)
{
    check_int(haft_abort(haft_self()), ==, 0);
    {
        HAFT_SHIELD;
        check_int(haft_tracker_wait(*t), ==, 0);
    }
    return haft_tracker_wait(*t);
}

TEST_FROM_EVERY_CALLER("an aborted job is refused a tracker that is closed and empty, but not behind a shield")
{
    haft_tracker t = HAFT_TRACKER_INIT, *p = &t;
    haft_tracker_close(&t);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(wait_although_aborted, &p, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
    }
}

TEST_FROM_EVERY_CALLER("a tracker on the stack of who waits is gone when the wait returns")
{
    for (size_t i = 0; i < rounds(200, 30000); i++) {
        haft_tracker t = HAFT_TRACKER_INIT, *p = &t;
        haft_tracker_enter(&t);
        haft_handle h = haft_spawn(leave, &p, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        check_int(haft_tracker_spawn(&t, return_nothing), ==, 0);
        haft_tracker_close(&t);
        check_int(haft_tracker_wait(&t), ==, 0);
        memset(&t, 0xff, sizeof t); /* a later touch of it would hang or crash */
        check_int(haft_join(&h), ==, 0);
    }
}

/* --- jobs that are tracked ---------------------------------------------------------------------------------------- */

enum way { RETURNS, FAILS, PANICS, WAITS_TO_BE_ABORTED, ENDS_ITS_THREAD, WAYS };

static struct {
    _Atomic int begun, dropped;
    _Atomic(haft_abort_handle *) who_waits;
} lives;

struct life {
    enum way way;
    int canary;
};

static void drop_life(void *object)
{
    check_int(((struct life *)object)->canary, ==, 4711);
    check_int(haft_yield(), ==, 0); /* droppers may suspend, of an aborted job too */
    atomic_fetch_add(&lives.dropped, 1);
}

static int live(struct life *life)
{
    atomic_fetch_add(&lives.begun, 1);
    switch (life->way) {
    case PANICS:
        haft_panic_with(malloc(8), free);
    case WAITS_TO_BE_ABORTED:
        check_int(haft_abort(haft_self()), ==, 0);
        return haft_park();
    case ENDS_ITS_THREAD:
        pthread_exit(NULL);
    case FAILS:
        return -1;
    default:
        return haft_yield();
    }
}

TEST_FROM_EVERY_CALLER("a tracked job is tracked until it has ended, by whatever way, and its frame has been dropped")
{
    silence_panics();
    for_each_kind(kind)
        for (enum way way = 0; way < WAYS; way++) {
            if (way == ENDS_ITS_THREAD && kind != HAFT_THREAD)
                continue;
            haft_tracker t = HAFT_TRACKER_INIT;
            atomic_store(&lives.begun, 0);
            atomic_store(&lives.dropped, 0);
            for (int i = 0; i < 3; i++)
                check_int(haft_tracker_spawn(&t, live, (&(struct life){ .way = way, .canary = 4711 }), .kind = kind,
                                             .name = "tracked", .drop = drop_life),
                          ==, 0);
            haft_tracker_close(&t);
            check_int(haft_tracker_wait(&t), ==, 0);
            check_uint(haft_tracker_count(&t), ==, 0);
            check_int(atomic_load(&lives.begun), ==, 3);
            check_int(atomic_load(&lives.dropped), ==, 3);
        }
}

struct large {
    haft_tracker *t;
    unsigned depth;
    char rest[300];
};

static int spawn_two(const struct large *l)
{
    for (int i = 0; i < 2 && l->depth > 0; i++) {
        struct large child = { .t = l->t, .depth = l->depth - 1 };
        memset(child.rest, (int)child.depth, sizeof child.rest);
        check_int(haft_tracker_spawn(l->t, spawn_two, &child), ==, 0);
    }
    for (size_t i = 0; i < sizeof l->rest; i++)
        check_int(l->rest[i], ==, l->depth);
    return 0;
}

TEST_FROM_EVERY_CALLER("tracked jobs may start others, in a tracker that is closed too, and all are waited for")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    haft_tracker_close(&t);
    struct large root = { .t = &t, .depth = 6 };
    memset(root.rest, 6, sizeof root.rest);
    check_int(haft_tracker_spawn(&t, spawn_two, &root), ==, 0);
    check_int(haft_tracker_wait(&t), ==, 0);
    check(haft_tracker_is_empty(&t));
}

TEST_FROM_EVERY_CALLER("a tracked job that cannot be started is not tracked, and its frame is still the caller's")
{
    haft_tracker t = HAFT_TRACKER_INIT;
    struct life life = { .way = RETURNS, .canary = 4711 };
    atomic_store(&lives.dropped, 0);
    check_int(haft_tracker_spawn(&t, live, &life, .stack_size = SIZE_MAX / 2, .drop = drop_life), ==, HAFT_EINVAL);
    check_uint(haft_tracker_count(&t), ==, 0);
    check_int(atomic_load(&lives.dropped), ==, 0);
}

TEST("tracked jobs that a runtime's end aborts, begun or not, leave the tracker")
{
    for (int i = 0; i < 20; i++) {
        haft_tracker t = HAFT_TRACKER_INIT;
        haft_runtime *rt = haft_runtime_new(.workers = 1);
        check_ptr(rt, !=, NULL);
        for (int j = 0; j < 10; j++)
            check_int(
                haft_tracker_spawn(&t, wait_for_token, HAFT_NO_FRAME, .runtime = rt, .kind = (haft_kind)(j % KINDS)),
                ==, 0);
        haft_tracker_close(&t);
        check_int(haft_runtime_drop(&rt), ==, 0);
        check_int(haft_tracker_wait(&t), ==, 0);
    }
}

/* --- storm -------------------------------------------------------------------------------------------------------- */

static struct {
    haft_tracker tracker;
    _Atomic int going_on, panicked;
} storm;

struct passer {
    uint64_t chance;
};

static void drop_passer(void *object)
{
    (void)object;
    atomic_fetch_sub(&storm.going_on, 1);
}

static int storm_on(struct passer *s)
{
    for (unsigned i = below(&s->chance, 6); i > 0; i--)
        switch (below(&s->chance, 5)) {
        case 0:
            if (haft_yield() != 0)
                return HAFT_ECANCELED;
            break;
        case 1: {
            HAFT_TIMEOUT((int64_t)below(&s->chance, 20) * HAFT_US);
            int rc = haft_tracker_wait(&storm.tracker); /* for itself: in vain */
            check(rc == HAFT_ETIMEDOUT || rc == HAFT_ECANCELED);
            break;
        }
        case 2:
            haft_tracker_enter(&storm.tracker);
            if (haft_yield() != 0)
                haft_abort(haft_self());
            haft_tracker_leave(&storm.tracker);
            break;
        case 3:
            if (below(&s->chance, 4) == 0)
                haft_panic("by chance");
            break;
        default:
            if (below(&s->chance, 4) == 0)
                haft_abort(haft_self());
            break;
        }
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "storm: whoever waits goes on only when all jobs, ended by whatever way, are over, and always then")
{
    silence_panics();
    uint64_t chance = choose_seed();
    struct waiters w;
    for (size_t round = 0; round < rounds(20, 2000); round++) {
        storm.tracker = (haft_tracker)HAFT_TRACKER_INIT;
        haft_tracker *p = &storm.tracker;
        for_each_kind(kind)
            w.h[kind] = haft_spawn(wait_for_tracker, &p, .kind = kind);
        unsigned n = below(&chance, 30), close_at = below(&chance, 30);
        for (unsigned i = 0; i < 30; i++) {
            if (i < n) {
                atomic_fetch_add(&storm.going_on, 1);
                check_int(haft_tracker_spawn(p, storm_on, (&(struct passer){ next_random(&chance) }),
                                             .kind = below(&chance, 20) == 0 ? HAFT_THREAD : HAFT_TASK,
                                             .drop = drop_passer),
                          ==, 0);
            }
            if (i == close_at)
                haft_tracker_close(p);
        }
        check_int(haft_tracker_wait(p), ==, 0);
        check_int(atomic_load(&storm.going_on), ==, 0);
        for_each_kind(kind)
            check_int(haft_join(&w.h[kind]), ==, 0);
    }
}
