/* SPDX-License-Identifier: MIT
 *
 * Rings of waits through locks, joins and actors: whoever closes one is refused, exactly he, and nobody is who does not.
 * Rings of joins alone are in test_deadlock.c.
 *
 * Over 600 lines, because the ways into a ring share the bodies that hold one thing and want another. */
#include <haft/haft.h>

#include <unistd.h>

#include "actor/actor.h"
#include "sync.h"

/* Rings that go through locks, or through callers that are no workers, are found in the checked build. */
#ifdef HAFT_CHECKED
#define needs_the_checked_build() ((void)0)
#else
#define needs_the_checked_build() skip("these rings are found in the checked build")
#endif

typedef HAFT_ACTOR(int) server;

static bool is_parked(haft_handle h)
{
    return haft__word_is_parked(haft__load_acquire(&haft__job_of_handle(&h)->record.word));
}

/* --- locks alone -------------------------------------------------------------------------------------------------- */

enum { LARGEST = 40 };

struct ring {
    haft_mutex locks[LARGEST];
    int n;
    _Atomic int holding, refused, held_both;
};

struct member {
    struct ring *ring;
    int place;
};

/* Holds its own and wants the next one's. */
static int lock_two(struct member *m)
{
    struct ring *r = m->ring;
    haft_mutex *own = &r->locks[m->place], *next = &r->locks[(m->place + 1) % r->n];
    check_int(haft_mutex_lock(own), ==, 0);
    atomic_fetch_add(&r->holding, 1);
    until(atomic_load(&r->holding) == r->n);
    int rc = haft_mutex_lock(next);
    if (rc == 0) {
        atomic_fetch_add(&r->held_both, 1);
        haft_mutex_unlock(next);
    } else {
        check_int(rc, ==, HAFT_EDEADLK);
        check_int(haft_mutex_heal(next), ==, HAFT_EINVAL); /* not held */
        atomic_fetch_add(&r->refused, 1);
    }
    haft_mutex_unlock(own);
    return 0;
}

static void run_ring(int n, haft_kind first, haft_kind others)
{
    struct ring r = { .n = n };
    haft_handle hs[LARGEST];
    for (int i = 0; i < n; i++)
        hs[i] = haft_spawn(lock_two, (&(struct member){ &r, i }), .kind = i == 0 ? first : others);
    for (int i = 0; i < n; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(atomic_load(&r.refused), ==, 1);
    check_int(atomic_load(&r.held_both), ==, n - 1);
}

TEST_FROM_EVERY_CALLER("of several who each hold a mutex and lock the next one's exactly one is refused")
{
    needs_the_checked_build();
    for_each_kind(kind)
        run_ring(2, kind, HAFT_TASK);
    for (int n = 3; n <= 6; n++)
        run_ring(n, HAFT_TASK, HAFT_TASK);
    run_ring(3, HAFT_THREAD, HAFT_THREAD);
    run_ring(LARGEST, HAFT_TASK, HAFT_TASK);
}

TEST("rings of locks that are closed from several sides at once are refused once")
{
    needs_the_checked_build();
    for (size_t i = 0; i < rounds(150, 50000); i++)
        run_ring(2 + (int)(i % 3), i % 16 == 0 ? HAFT_THREAD : HAFT_TASK, HAFT_TASK);
}

struct two {
    haft_mutex a, b;
    haft_rwlock r;
    haft_cond c;
    server server;
    haft_handle other;
    _Atomic int step;
    int rc;
    bool with_deadline;
};

/* Holds b, then locks a. */
static int hold_b_lock_a(struct two **at)
{
    struct two *t = *at;
    check_int(haft_mutex_lock(&t->b), ==, 0);
    atomic_store(&t->step, 1);
    until(atomic_load(&t->step) == 2);
    int rc = haft_mutex_lock(&t->a);
    check_int(rc, ==, 0);
    haft_mutex_unlock(&t->a);
    haft_mutex_unlock(&t->b);
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "a lock is refused under a deadline and to an aborted job too, because neither would end its wait")
{
    needs_the_checked_build();
    for_each_kind(kind) {
        struct two t = { .step = 0 }, *p = &t;
        check_int(haft_mutex_lock(&t.a), ==, 0);
        haft_handle h = haft_spawn(hold_b_lock_a, &p, .kind = kind);
        until(atomic_load(&t.step) == 1);
        atomic_store(&t.step, 2);
        until(waiting(&t.a) == 1);
        check_int(haft_abort(h), ==, 0);
        {
            HAFT_TIMEOUT(3600 * HAFT_S);
            check_int(haft_mutex_lock(&t.b), ==, HAFT_EDEADLK);
        }
        {
            HAFT_SHIELD;
            check_int(haft_mutex_lock(&t.b), ==, HAFT_EDEADLK);
            check_int(haft_mutex_lock_abortable(&t.b), ==, HAFT_EDEADLK);
        }
        haft_mutex_unlock(&t.a);
        int rc = haft_join(&h);
        check(rc == 0 || rc == HAFT_EABORTED);
    }
}

static int lock_a_abortably(struct two **at)
{
    struct two *t = *at;
    check_int(haft_mutex_lock(&t->b), ==, 0);
    HAFT_DEFER(haft_mutex_unlock, &t->b);
    atomic_store(&t->step, 1);
    int rc;
    if (t->with_deadline) {
        HAFT_TIMEOUT(20 * HAFT_MS);
        rc = haft_mutex_lock_abortable(&t->a);
    } else {
        rc = haft_mutex_lock_abortable(&t->a);
    }
    return rc;
}

TEST_FROM_EVERY_CALLER("a lock that has a deadline, or whose job is aborted, is no part of a ring")
{
    for_each_kind(kind)
        for (int is_aborted = 0; is_aborted < 2; is_aborted++) {
            struct two t = { .with_deadline = is_aborted == 0 }, *p = &t;
            check_int(haft_mutex_lock(&t.a), ==, 0);
            haft_handle h = haft_spawn(lock_a_abortably, &p, .kind = kind);
            until(atomic_load(&t.step) == 1);
            until(waiting(&t.a) == 1 || haft_is_finished(h));
            if (is_aborted != 0)
                check_int(haft_abort(h), ==, 0);
            check_int(haft_mutex_lock(&t.b), ==, 0); /* as soon as it is refused */
            check_int(haft_join(&h), ==, is_aborted != 0 ? HAFT_EABORTED : HAFT_ETIMEDOUT);
            haft_mutex_unlock(&t.b);
            haft_mutex_unlock(&t.a);
        }
}

TEST_FROM_EVERY_CALLER("a lock with a deadline is not refused as one that closes a ring")
{
    struct two t = { .step = 0 }, *p = &t;
    check_int(haft_mutex_lock(&t.a), ==, 0);
    haft_handle h = haft_spawn(hold_b_lock_a, &p);
    until(atomic_load(&t.step) == 1);
    atomic_store(&t.step, 2);
    until(waiting(&t.a) == 1);
    {
        HAFT_TIMEOUT(5 * HAFT_MS);
        check_int(haft_mutex_lock_abortable(&t.b), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_mutex_try_lock(&t.b), ==, HAFT_EAGAIN);
    haft_mutex_unlock(&t.a);
    check_int(haft_join(&h), ==, 0);
}

/* --- locks for readers and writers -------------------------------------------------------------------------------- */

/* Holds the mutex b and takes r in the way that is asked for. */
struct crossing {
    struct two *t;
    bool holds_to_write, wants_to_write;
};

static int hold_b_take_r(struct crossing *c)
{
    struct two *t = c->t;
    check_int(haft_mutex_lock(&t->b), ==, 0);
    atomic_store(&t->step, 1);
    check_int(c->wants_to_write ? haft_rwlock_write(&t->r) : haft_rwlock_read(&t->r), ==, 0);
    if (c->wants_to_write)
        haft_rwlock_write_unlock(&t->r);
    else
        haft_rwlock_read_unlock(&t->r);
    haft_mutex_unlock(&t->b);
    return 0;
}

TEST_FROM_EVERY_CALLER("rings go through writers, and through each of several readers")
{
    needs_the_checked_build();
    for_each_kind(kind)
        for (int way = 1; way < 4; way++) { /* all but reader and reader, who are in together */
            struct two t = { .step = 0 };
            struct crossing c = { &t, (way & 1) != 0, (way & 2) != 0 };
            check_int(c.holds_to_write ? haft_rwlock_write(&t.r) : haft_rwlock_read(&t.r), ==, 0);
            haft_handle h = haft_spawn(hold_b_take_r, &c, .kind = kind);
            until(waiting(&t.r) == 1 && is_parked(h)); /* it is in the queue before it has looked for rings */
            check_int(haft_mutex_lock(&t.b), ==, HAFT_EDEADLK);
            if (c.holds_to_write)
                haft_rwlock_write_unlock(&t.r);
            else
                haft_rwlock_read_unlock(&t.r);
            check_int(haft_join(&h), ==, 0);
        }
}

static int hold_r_lock_b(struct two **at)
{
    struct two *t = *at;
    check_int(haft_rwlock_read(&t->r), ==, 0);
    atomic_fetch_add(&t->step, 1);
    check_int(haft_mutex_lock(&t->b), ==, 0);
    haft_mutex_unlock(&t->b);
    haft_rwlock_read_unlock(&t->r);
    return 0;
}

static int read_r(struct two **at)
{
    struct two *t = *at;
    check_int(haft_rwlock_read(&t->r), ==, 0);
    atomic_fetch_add(&t->step, 1);
    until(atomic_load(&t->step) == 100);
    haft_rwlock_read_unlock(&t->r);
    return 0;
}

static int write_r(struct two **at)
{
    check_int(haft_rwlock_write(&(*at)->r), ==, 0);
    haft_rwlock_write_unlock(&(*at)->r);
    return 0;
}

TEST_FROM_EVERY_CALLER("the lock that closes a ring may be one for reading, behind a writer who waits, or for writing")
{
    needs_the_checked_build();
    for_each_kind(kind) {
        struct two t = { .step = 0 }, *p = &t;
        check_int(haft_mutex_lock(&t.b), ==, 0);
        haft_handle free_reader = haft_spawn(read_r, &p), reader = haft_spawn(hold_r_lock_b, &p, .kind = kind);
        until(waiting(&t.b) == 1 && atomic_load(&t.step) == 2);
        check_int(haft_rwlock_write(&t.r), ==, HAFT_EDEADLK); /* it waits for all readers, and one waits for b */
        check_int(waiting(&t.r), ==, 0);
        haft_handle writer = haft_spawn(write_r, &p);
        until(waiting(&t.r) == 1);
        check_int(haft_rwlock_read(&t.r), ==, HAFT_EDEADLK);
        check_int(haft_rwlock_try_read(&t.r), ==, HAFT_EAGAIN);
        check_int(waiting(&t.r), ==, 1);
        atomic_store(&t.step, 100);
        haft_mutex_unlock(&t.b);
        check_int(haft_join(&free_reader), ==, 0);
        check_int(haft_join(&reader), ==, 0);
        check_int(haft_join(&writer), ==, 0);
    }
}

/* --- mixtures ----------------------------------------------------------------------------------------------------- */

static int lock_and_unlock_a(struct two **at)
{
    struct two *t = *at;
    t->rc = haft_mutex_lock(&t->a);
    if (t->rc == 0)
        haft_mutex_unlock(&t->a);
    return t->rc;
}

TEST_FROM_EVERY_CALLER("a lock and a join make a ring, whichever comes last")
{
    needs_the_checked_build();
    for_each_kind(kind) {
        struct two t = { .step = 0 }, *p = &t;
        check_int(haft_mutex_lock(&t.a), ==, 0);
        haft_handle h = haft_spawn(lock_and_unlock_a, &p, .kind = kind);
        until(waiting(&t.a) == 1);
        check_int(haft_join(&h), ==, HAFT_EDEADLK); /* the join is last */
        check(!haft_is_null(h));
        haft_mutex_unlock(&t.a);
        check_int(haft_join(&h), ==, 0);
    }
}

static int lock_a_when_joined(struct two **at)
{
    struct two *t = *at;
    until(atomic_load(&t->step) == 1 && is_parked(t->other));
    return lock_and_unlock_a(at);
}

static int hold_a_join(struct two **at)
{
    struct two *t = *at;
    check_int(haft_mutex_lock(&t->a), ==, 0);
    t->other = haft_self();
    haft_handle h = haft_spawn(lock_a_when_joined, at);
    atomic_store(&t->step, 1);
    int rc = haft_join(&h);
    haft_mutex_unlock(&t->a);
    return rc;
}

TEST_FROM_EVERY_CALLER("a lock whose holder joins its job is refused, and the joiner is told by what the job returns")
{
    needs_the_checked_build();
    for_each_kind(kind) {
        struct two t = { .step = 0 }, *p = &t;
        haft_handle h = haft_spawn(hold_a_join, &p, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EDEADLK);
        check_int(t.rc, ==, HAFT_EDEADLK);
    }
}

struct message {
    struct two *t;
    haft_handle h;
};

static int serve_a_lock(int *state, struct message *m)
{
    (void)state;
    m->t->rc = haft_mutex_lock(&m->t->a);
    if (m->t->rc == 0)
        haft_mutex_unlock(&m->t->a);
    return m->t->rc;
}

static int serve_a_join(int *state, struct message *m)
{
    (void)state;
    m->t->rc = haft_join(&m->h);
    return m->t->rc;
}

TEST_FROM_EVERY_CALLER("a lock and a call make a ring: the body that wants what its caller holds is refused")
{
    needs_the_checked_build();
    int state = 0;
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        struct two t = { .step = 0 };
        check_int(haft_actor_start(&t.server, &state, .kind = kind), ==, 0);
        struct message m = { .t = &t };
        check_int(haft_mutex_lock(&t.a), ==, 0);
        check_int(haft_call(&t.server, serve_a_lock, &m), ==, HAFT_EDEADLK);
        check_int(t.rc, ==, HAFT_EDEADLK);

        check_int(haft_cast(&t.server, serve_a_lock, &m), ==, 0); /* now the other way round */
        until(waiting(&t.a) == 1);
        check_int(haft_call(&t.server, serve_a_lock, &m), ==, HAFT_EDEADLK);
        check_int(haft_actor_join(&t.server, &state), ==, HAFT_EDEADLK);
        haft_mutex_unlock(&t.a);
        check_int(haft_actor_join(&t.server, &state), ==, 0);
        check_int(t.rc, ==, 0);
    }
}

static int call_one_that_joins(struct two **at)
{
    struct two *t = *at;
    until(atomic_load(&t->step) == 1);
    struct message m = { .t = t, .h = t->other };
    int rc = haft_call(&t->server, serve_a_join, &m);
    return rc == HAFT_EDEADLK ? 33 : rc;
}

TEST_FROM_EVERY_CALLER("a call and a join make a ring: the body that joins its caller is refused")
{
    needs_the_checked_build();
    int state = 0;
    for_each_kind(kind) {
        struct two t = { .step = 0 }, *p = &t;
        check_int(haft_actor_start(&t.server, &state), ==, 0);
        t.other = haft_spawn(call_one_that_joins, &p, .kind = kind);
        atomic_store(&t.step, 1);
        check_int(haft_wait(t.other), ==, 0);
        check_int(haft_join(&t.other), ==, 33);
        check_int(haft_actor_join(&t.server, &state), ==, 0);
    }
}

/* A full mailbox: the worker waits for a lock, and whoever holds the lock casts. */
TEST_FROM_EVERY_CALLER("a lock and room in a mailbox make a ring")
{
    needs_the_checked_build();
    int state = 0;
    struct two t = { .step = 0 };
    check_int(haft_actor_start(&t.server, &state, .capacity = 1), ==, 0);
    struct message m = { .t = &t };
    check_int(haft_mutex_lock(&t.a), ==, 0);
    check_int(haft_cast(&t.server, serve_a_lock, &m), ==, 0);
    until(waiting(&t.a) == 1);
    check_int(haft_cast(&t.server, serve_a_lock, &m), ==, 0);
    check_int(haft_cast(&t.server, serve_a_lock, &m), ==, HAFT_EDEADLK);
    haft_mutex_unlock(&t.a);
    check_int(haft_actor_join(&t.server, &state), ==, 0);
}

/* --- conditions --------------------------------------------------------------------------------------------------- */

static int wait_holding_b(struct two **at)
{
    struct two *t = *at;
    check_int(haft_mutex_lock(&t->b), ==, 0);
    check_int(haft_mutex_lock(&t->a), ==, 0);
    atomic_store(&t->step, 1);
    int rc = haft_cond_wait(&t->c, &t->a); /* b is held meanwhile: unwise */
    haft_mutex_unlock(&t->a);              /* a panic if it were not held */
    haft_mutex_unlock(&t->b);
    return rc;
}

static int lock_b(struct two **at)
{
    struct two *t = *at;
    t->rc = haft_mutex_lock(&t->b);
    if (t->rc == 0)
        haft_mutex_unlock(&t->b);
    return t->rc;
}

TEST_FROM_EVERY_CALLER("a condition gives the mutex back whatever ring that closes, and others find the wait")
{
    needs_the_checked_build();
    for_each_kind(kind) {
        struct two t = { .step = 0 }, *p = &t;
        haft_handle h = haft_spawn(wait_holding_b, &p, .kind = kind);
        until(atomic_load(&t.step) == 1 && waiting(&t.c) == 1);
        check_int(haft_mutex_lock(&t.a), ==, 0);
        haft_cond_signal(&t.c);
        until(waiting(&t.a) == 1);
        check_int(haft_mutex_lock(&t.b), ==, HAFT_EDEADLK);
        haft_handle other = haft_spawn(lock_b, &p); /* who holds nothing waits */
        until(waiting(&t.b) == 1);
        check_int(haft_join(&other), ==, HAFT_EDEADLK);
        haft_mutex_unlock(&t.a);
        check_int(haft_join(&h), ==, 0);
        check_int(haft_join(&other), ==, 0);
    }
}

static int hold_a_lock_b_abortably(struct two **at)
{
    struct two *t = *at;
    check_int(haft_mutex_lock(&t->a), ==, 0);
    HAFT_DEFER(haft_mutex_unlock, &t->a);
    return haft_mutex_lock_abortable(&t->b);
}

TEST_FROM_EVERY_CALLER("a condition that closes a ring waits for its mutex until another member of the ring is aborted")
{
    needs_the_checked_build();
    for_each_kind(kind) {
        struct two t = { .step = 0 }, *p = &t;
        haft_handle h = haft_spawn(wait_holding_b, &p, .kind = kind);
        until(atomic_load(&t.step) == 1 && waiting(&t.c) == 1);
        haft_handle other = haft_spawn(hold_a_lock_b_abortably, &p);
        until(waiting(&t.b) == 1);
        haft_cond_signal(&t.c);
        until(waiting(&t.a) == 1);
        check_int(haft_abort(other), ==, 0);
        check_int(haft_join(&other), ==, HAFT_EABORTED);
        check_int(haft_join(&h), ==, 0);
    }
}

/* --- no ring ------------------------------------------------------------------------------------------------------ */

static struct {
    server a, b;
    haft_event go;
    int rc;
} answered;

struct nothing {
    int nothing;
};

static int serve_when_told(int *state, struct nothing *m)
{
    (void)state, (void)m;
    return haft_event_wait(&answered.go);
}

static int serve(int *state, struct nothing *m)
{
    (void)state, (void)m;
    return 0;
}

static int serve_by_calling_b(int *state, struct nothing *m)
{
    (void)state;
    return haft_call(&answered.b, serve, m);
}

static int serve_by_calling_a(int *state, struct nothing *m)
{
    (void)state;
    answered.rc = haft_call(&answered.a, serve, m);
    return answered.rc;
}

static size_t queued_calls(server *s)
{
    haft__actor *a = s->end_.core_;
    haft__lock_acquire(&a->lock);
    size_t n = a->queued;
    haft__lock_release(&a->lock);
    return n;
}

TEST_FROM_EVERY_CALLER("a worker may call one whose call it has just answered and who does not know it yet")
{
    int state = 0;
    for (size_t i = 0; i < rounds(50, 20000); i++) {
        struct nothing m = { 0 };
        answered.go = (haft_event)HAFT_EVENT_INIT;
        answered.rc = 1;
        check_int(haft_actor_start(&answered.a, &state), ==, 0);
        check_int(haft_actor_start(&answered.b, &state), ==, 0);
        check_int(haft_cast(&answered.b, serve_when_told, &m), ==, 0);
        until(queued_calls(&answered.b) == 0);
        check_int(haft_cast(&answered.a, serve_by_calling_b, &m), ==, 0);
        until(queued_calls(&answered.b) == 1); /* else it would be a ring */
        check_int(haft_cast(&answered.b, serve_by_calling_a, &m), ==, 0);
        haft_event_set(&answered.go);
        check_int(haft_actor_join(&answered.b, &state), ==, 0);
        check_int(haft_actor_join(&answered.a, &state), ==, 0);
        check_int(answered.rc, ==, 0);
    }
}

static int hold_b_read_r(struct two **at)
{
    struct two *t = *at;
    check_int(haft_mutex_lock(&t->b), ==, 0);
    check_int(haft_rwlock_read(&t->r), ==, 0);
    haft_mutex_unlock(&t->b);
    haft_rwlock_read_unlock(&t->r);
    return 0;
}

static int read_r_lock_b(struct two **at)
{
    struct two *t = *at;
    check_int(haft_rwlock_read(&t->r), ==, 0);
    check_int(haft_mutex_lock(&t->b), ==, 0);
    haft_mutex_unlock(&t->b);
    haft_rwlock_read_unlock(&t->r);
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "of two readers who were let in together one may want what the other holds, who may not know it yet")
{
    for (size_t i = 0; i < rounds(50, 20000); i++) {
        struct two t = { .step = 0 }, *p = &t;
        check_int(haft_rwlock_write(&t.r), ==, 0);
        haft_handle h = haft_spawn(hold_b_read_r, &p, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        until(waiting(&t.r) == 1);
        haft_handle other = haft_spawn(read_r_lock_b, &p);
        until(waiting(&t.r) == 2);
        haft_rwlock_write_unlock(&t.r);
        check_int(haft_join(&other), ==, 0);
        check_int(haft_join(&h), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("a select that could take the end of a job whose lock one holds is no part of a ring")
{
    struct two t = { .step = 0 }, *p = &t;
    check_int(haft_mutex_lock(&t.a), ==, 0);
    haft_handle h = haft_spawn(lock_and_unlock_a, &p);
    until(waiting(&t.a) == 1);
    int rc = 0;
    check_int(haft_select(HAFT_ON_JOIN(&h, HAFT_NO_FRAME, .rc = &rc), HAFT_ON_TIMEOUT(HAFT_MS)), ==, 1);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_join(&h), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_try_join(&h), ==, HAFT_EAGAIN);
    haft_mutex_unlock(&t.a);
    check_int(haft_join(&h), ==, 0);
}

/* Locks in ascending order, children that are joined by their parents only, and servers that call upwards only: nothing
 * of this is ever a ring, however it is mixed. */
enum { LOCKS = 6, SERVERS = 3 };
static struct {
    haft_mutex locks[LOCKS];
    haft_rwlock rwlocks[LOCKS];
    server servers[SERVERS];
} city;

struct walker {
    uint64_t chance;
    unsigned depth;
    int lowest_lock, lowest_server;
};

static int walk(struct walker *w);

static int serve_a_walk(int *state, struct walker *w)
{
    (void)state;
    return walk(w);
}

static int walk(struct walker *w)
{
    struct walker next = { .chance = next_random(&w->chance), .depth = w->depth - 1, w->lowest_lock, w->lowest_server };
    if (w->depth == 0 || below(&w->chance, 4) == 0)
        return haft_yield();
    int rc = 0, i = w->lowest_lock + (int)below(&w->chance, LOCKS);
    next.lowest_lock = i + 1;
    switch (below(&w->chance, 5)) {
    case 0:
        if (i >= LOCKS)
            return 0;
        check_int(haft_mutex_lock(&city.locks[i]), ==, 0);
        rc = walk(&next);
        haft_mutex_unlock(&city.locks[i]);
        return rc;
    case 1:
        if (i >= LOCKS)
            return 0;
        check_int(haft_rwlock_read(&city.rwlocks[i]), ==, 0);
        rc = walk(&next);
        haft_rwlock_read_unlock(&city.rwlocks[i]);
        return rc;
    case 2:
        if (i >= LOCKS)
            return 0;
        check_int(haft_rwlock_write(&city.rwlocks[i]), ==, 0);
        rc = walk(&next);
        haft_rwlock_write_unlock(&city.rwlocks[i]);
        return rc;
    case 3: {
        next.lowest_lock = w->lowest_lock;
        haft_handle h = haft_spawn(walk, &next);
        return haft_join(&h);
    }
    default:
        /* A server's body may wait for locks below those that its caller holds, so nothing is held here. */
        if (w->lowest_lock != 0 || w->lowest_server == SERVERS)
            return 0;
        next.lowest_lock = 0;
        next.lowest_server = w->lowest_server + 1;
        return haft_call(&city.servers[w->lowest_server], serve_a_walk, &next);
    }
}

TEST_FROM_EVERY_CALLER("storm: locks in order, joins of children and calls upwards are never taken for a ring")
{
    uint64_t chance = choose_seed();
    int state = 0;
    for (int i = 0; i < SERVERS; i++)
        check_int(haft_actor_start(&city.servers[i], &state), ==, 0);
    for (size_t i = 0; i < rounds(10, 2000); i++) {
        haft_handle hs[20];
        for (int j = 0; j < 20; j++) {
            struct walker w = { next_random(&chance), 1 + below(&chance, 6), 0, 0 };
            hs[j] = haft_spawn(walk, &w, .kind = below(&chance, 10) == 0 ? HAFT_THREAD : HAFT_TASK);
        }
        for (int j = 0; j < 20; j++)
            check_int(haft_join(&hs[j]), ==, 0);
    }
    for (int i = 0; i < SERVERS; i++)
        check_int(haft_actor_join(&city.servers[i], &state), ==, 0);
}

/* --- every ring --------------------------------------------------------------------------------------------------- */

static _Atomic int refusals;

/* Takes locks in any order, and lets go of all when it is refused. */
static int grab(uint64_t *chance)
{
    haft_mutex *held[LOCKS];
    for (int turn = 0; turn < 20; turn++) {
        int n = 0;
        bool is_held[LOCKS] = { false };
        for (int j = 0; j < 4; j++) {
            int i = (int)below(chance, LOCKS);
            if (is_held[i])
                continue;
            int rc = haft_mutex_lock(&city.locks[i]);
            if (rc == HAFT_EDEADLK) {
                atomic_fetch_add(&refusals, 1);
                break;
            }
            check_int(rc, ==, 0);
            is_held[i] = true;
            held[n++] = &city.locks[i];
            check_int(haft_yield(), ==, 0);
        }
        while (n > 0)
            haft_mutex_unlock(held[--n]);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("storm: locks in any order never hang, because every ring is refused")
{
    needs_the_checked_build();
    uint64_t chance = choose_seed();
    for (size_t i = 0; i < rounds(4, 1000); i++) {
        haft_handle hs[12];
        for (int j = 0; j < 12; j++) {
            uint64_t seed = next_random(&chance);
            hs[j] = haft_spawn(grab, &seed, .kind = j == 0 ? HAFT_THREAD : HAFT_TASK);
        }
        for (int j = 0; j < 12; j++)
            check_int(haft_join(&hs[j]), ==, 0);
    }
}

/* --- what is no ring ---------------------------------------------------------------------------------------------- */

static _Atomic int reports;

static void count_report(const char *text, size_t length)
{
    (void)text;
    (void)length;
    atomic_fetch_add(&reports, 1);
}

static int writes_on(haft_rwlock **l)
{
    for (size_t i = 0; i < rounds(300, 30000); i++) {
        check_int(haft_rwlock_write(*l), ==, 0);
        (void)haft_yield();
        haft_rwlock_write_unlock(*l);
    }
    return 0;
}

TEST("a lock that is handed over while the wait for it is noted is no ring, and nothing is said")
{
    static struct haft__os table;
    table = *haft__os;
    table.write_error = count_report;
    haft__os_replace(&table);
    haft_rwlock l = HAFT_RWLOCK_INIT, *to_l = &l;
    haft_handle hs[4];
    for (int i = 0; i < 4; i++)
        hs[i] = haft_spawn(writes_on, &to_l, .kind = i < 2 ? HAFT_TASK : HAFT_THREAD);
    for (int i = 0; i < 4; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(atomic_load(&reports), ==, 0);
}

/* --- what is said ------------------------------------------------------------------------------------------------- */

#ifdef HAFT_CHECKED
static int say_a_ring(void)
{
    struct two t = { .step = 0 }, *p = &t;
    check_int(haft_mutex_lock(&t.a), ==, 0);
    check_int(haft_detach(&(haft_handle[]){ haft_spawn(hold_b_lock_a, &p, .name = "the other one") }[0]), ==, 0);
    until(atomic_load(&t.step) == 1);
    atomic_store(&t.step, 2);
    until(waiting(&t.a) == 1);
    check_int(haft_mutex_lock(&t.b), ==, HAFT_EDEADLK);
    _exit(3);
}

TEST_EXITS("a ring of waits is spelled out: who waits for what", TEST_STATUS(3), ", would wait for the mutex of\n")
{
    haft_handle h = haft_spawn(say_a_ring, HAFT_NO_FRAME, .name = "this one");
    (void)haft_join(&h);
}

TEST_EXITS("a ring of waits is spelled out by names and places", TEST_STATUS(3), "haft:   the other one, spawned at ")
{
    haft_handle h = haft_spawn(say_a_ring, HAFT_NO_FRAME, .name = "this one");
    (void)haft_join(&h);
}

static int lock_twice(void)
{
    haft_mutex m = HAFT_MUTEX_INIT;
    check_int(haft_mutex_lock(&m), ==, 0);
    check_int(haft_mutex_lock(&m), ==, HAFT_EDEADLK);
    _exit(3);
}

TEST_EXITS("whoever locks a mutex twice is told of that ring, too", TEST_STATUS(3),
           "would wait for the mutex of itself\n")
{
    haft_handle h = haft_spawn(lock_twice, HAFT_NO_FRAME, .name = "this one");
    (void)haft_join(&h);
}

TEST_EXITS("a thread that does so is told the same", TEST_STATUS(3), "haft: a ring of waits: this one, spawned at ")
{
    haft_handle h = haft_spawn(lock_twice, HAFT_NO_FRAME, .name = "this one", .kind = HAFT_THREAD);
    (void)haft_join(&h);
}

struct echo {
    int unused;
};
typedef HAFT_ACTOR(struct echo) echo_owner;

static echo_owner echo;

static int answer_nothing(struct echo *e)
{
    (void)e;
    return 0;
}

static int call_oneself(struct echo *e)
{
    (void)e;
    check_int(haft_call(&echo, answer_nothing), ==, HAFT_EDEADLK);
    _exit(3);
}

TEST_EXITS("an actor that calls itself is told of that ring", TEST_STATUS(3), "would wait for the answer of itself\n")
{
    struct echo state = { 0 };
    check_int(haft_actor_start(&echo, &state), ==, 0);
    (void)haft_call(&echo, call_oneself);
}

static int cast_to_oneself(struct echo *e)
{
    (void)e;
    int rc = 0;
    while (rc == 0)
        rc = haft_cast(&echo, answer_nothing);
    check_int(rc, ==, HAFT_EDEADLK);
    _exit(3);
}

TEST_EXITS("an actor that waits for room in its own mailbox is told of that ring", TEST_STATUS(3),
           "would wait for room in the mailbox of itself\n")
{
    struct echo state = { 0 };
    check_int(haft_actor_start(&echo, &state, .kind = HAFT_THREAD), ==, 0);
    (void)haft_call(&echo, cast_to_oneself);
}

typedef HAFT_POOL(struct echo) echo_pool;

static echo_pool echoes;

static int call_own_pool(struct echo *e)
{
    (void)e;
    HAFT_TIMEOUT(HAFT_S); /* waits with deadlines are not searched for rings */
    check_int(haft_pool_call(&echoes, answer_nothing), ==, HAFT_EDEADLK);
    _exit(3);
}

TEST_EXITS("the only worker of a pool that calls the pool is told of that ring, though it would not wait for ever",
           TEST_STATUS(3), "would wait for the answer of a pool that waits for it\n")
{
    struct echo state = { 0 };
    check_int(haft_pool_start(&echoes, &state, .workers = 1), ==, 0);
    (void)haft_pool_call(&echoes, call_own_pool);
}

TEST_EXITS("the ring is closed in the report", TEST_STATUS(3), ", waits for the mutex of the first\n")
{
    say_a_ring();
}
#endif
