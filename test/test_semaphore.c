/* SPDX-License-Identifier: MIT
 *
 * Semaphores: who gets permits, in which order, and that none is lost or made up. */
#include <haft/haft.h>

#include <string.h>

#include "sync.h"

/* --- taking and giving -------------------------------------------------------------------------------------------- */

TEST("a semaphore is a small value, initialised statically")
{
    static haft_sem at_rest = HAFT_SEM_INIT(7);
    check_int(sizeof(haft_sem), <=, 32);
    check_int(haft_sem_available(&at_rest), ==, 7);
}

TEST_FROM_EVERY_CALLER("tokio:semaphore try_acquire: as many as there are, then no more until one comes back")
{
    haft_sem s = HAFT_SEM_INIT(2);
    check_int(haft_sem_try_acquire(&s), ==, 0);
    check_int(haft_sem_try_acquire(&s), ==, 0);
    check_int(haft_sem_try_acquire(&s), ==, HAFT_EAGAIN);
    haft_sem_release(&s);
    check_int(haft_sem_acquire(&s), ==, 0);
    check_int(haft_sem_available(&s), ==, 0);
    haft_sem_release_many(&s, 2);
    check_int(haft_sem_available(&s), ==, 2);
}

static int releases_too_many(haft_sem *s)
{
    haft_sem_release_many(s, 2);
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "tokio:semaphore add_max_amount_permits, add_more_than_max_amount_permits: one too many is a panic")
{
    silence_panics();
    haft_sem s = HAFT_SEM_INIT(SIZE_MAX - 1);
    check_int(haft_catch(releases_too_many, &s, NULL), ==, HAFT_EPANIC);
    check_int(haft_sem_available(&s) == SIZE_MAX - 1, ==, true);
    haft_sem_release(&s);
    check_int(haft_sem_available(&s) == SIZE_MAX, ==, true);
}

TEST_FROM_EVERY_CALLER("tokio:semaphore no_permits, zero: of no permits there are enough, unless closed")
{
    haft_sem s = HAFT_SEM_INIT(0);
    check_int(haft_sem_acquire_many(&s, 0), ==, 0);
    check_int(haft_sem_try_acquire_many(&s, 0), ==, 0);
    haft_sem_close(&s);
    check_int(haft_sem_acquire_many(&s, 0), ==, HAFT_ECLOSED);
}

TEST_FROM_EVERY_CALLER("tokio:semaphore try_acquire_many: all or none")
{
    haft_sem s = HAFT_SEM_INIT(5);
    check_int(haft_sem_try_acquire_many(&s, 6), ==, HAFT_EAGAIN);
    check_int(haft_sem_try_acquire_many(&s, 3), ==, 0);
    check_int(haft_sem_try_acquire_many(&s, 3), ==, HAFT_EAGAIN);
    check_int(haft_sem_available(&s), ==, 2);
    check_int(haft_sem_acquire_many(&s, 2), ==, 0);
    haft_sem_release_many(&s, 5);
}

TEST_FROM_EVERY_CALLER("tokio:semaphore forget: what is forgotten does not come back")
{
    haft_sem s = HAFT_SEM_INIT(3);
    check_int(haft_sem_forget(&s, 2), ==, 2);
    check_int(haft_sem_available(&s), ==, 1);
    check_int(haft_sem_forget(&s, 2), ==, 1);
    check_int(haft_sem_available(&s), ==, 0);
    check_int(haft_sem_forget(&s, 1), ==, 0);
    haft_permit p = { 0 };
    haft_sem_release(&s);
    check_int(haft_sem_acquire_permit(&s, 1, &p), ==, 0);
    haft_permit_forget(&p);
    haft_permit_drop(&p);
    check_int(haft_sem_available(&s), ==, 0);
}

struct taker {
    haft_sem *s;
    size_t n;
    int number;
    int *order;
    _Atomic int *next;
};

static int take(struct taker *t)
{
    int rc = haft_sem_acquire_many(t->s, t->n);
    if (rc == 0 && t->order != NULL)
        t->order[atomic_fetch_add(t->next, 1)] = t->number;
    return rc;
}

TEST_FROM_EVERY_CALLER("tokio:semaphore add_permits: a release wakes the one that waits for it")
{
    haft_sem s = HAFT_SEM_INIT(0);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(take, (&(struct taker){ .s = &s, .n = 2 }), .kind = kind);
        until(waiting(&s) == 1);
        haft_sem_release(&s);
        check_int(waiting(&s), ==, 1);
        check_int(haft_sem_available(&s), ==, 1);
        haft_sem_release(&s);
        check_int(haft_join(&h), ==, 0);
        check_int(haft_sem_available(&s), ==, 0);
    }
}

/* --- order -------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("permits go to those who wait in the order in which they came, tasks and threads alike")
{
    enum { N = 12 };
    haft_sem s = HAFT_SEM_INIT(0);
    int order[N];
    _Atomic int next = 0;
    haft_handle hs[N];
    for (int i = 0; i < N; i++) {
        hs[i] = haft_spawn(take, (&(struct taker){ &s, 1, i, order, &next }), .kind = (haft_kind)(i % KINDS));
        until(waiting(&s) == (unsigned)i + 1);
    }
    for (int i = 0; i < N; i++) {
        haft_sem_release(&s);
        check_int(haft_join(&hs[i]), ==, 0);
        check_int(order[i], ==, i);
    }
    check_int(haft_sem_available(&s), ==, 0);
}

TEST_FROM_EVERY_CALLER(
    "item 15: behind a waiter for five of three permits the later ones queue; its abort leaves three")
{
    haft_sem s = HAFT_SEM_INIT(3);
    for_each_kind(kind) {
        haft_handle five = haft_spawn(take, (&(struct taker){ .s = &s, .n = 5 }), .kind = kind);
        until(waiting(&s) == 1);
        haft_handle one = haft_spawn(take, (&(struct taker){ .s = &s, .n = 1 }), .kind = kind);
        until(waiting(&s) == 2);
        haft_handle two = haft_spawn(take, (&(struct taker){ .s = &s, .n = 2 }), .kind = kind);
        until(waiting(&s) == 3);
        check_int(haft_sem_try_acquire(&s), ==, HAFT_EAGAIN);
        check_int(haft_sem_available(&s), ==, 3);
        check_int(haft_abort(five), ==, 0);
        check_int(haft_join(&five), ==, HAFT_EABORTED);
        check_int(haft_join(&one), ==, 0);
        check_int(haft_join(&two), ==, 0);
        check_int(haft_sem_available(&s), ==, 0);
        haft_sem_release_many(&s, 3);

        five = haft_spawn(take, (&(struct taker){ .s = &s, .n = 5 }), .kind = kind);
        until(waiting(&s) == 1);
        check_int(haft_abort(five), ==, 0);
        check_int(haft_join(&five), ==, HAFT_EABORTED);
        check_int(haft_sem_available(&s), ==, 3);
        check_int(haft_sem_try_acquire_many(&s, 3), ==, 0);
        haft_sem_release_many(&s, 3);
    }
}

TEST_FROM_EVERY_CALLER(
    "tokio:semaphore poll_acquire_many_unavailable: one large release serves as many as it suffices for")
{
    enum { N = 40 }; /* more than are woken at once */
    haft_sem s = HAFT_SEM_INIT(1);
    haft_handle hs[N];
    for (int i = 0; i < N; i++) {
        hs[i] = haft_spawn(take, (&(struct taker){ .s = &s, .n = 2 }));
        until(waiting(&s) == (unsigned)i + 1);
    }
    haft_sem_release_many(&s, 2 * (size_t)(N - 1));
    for (int i = 0; i < N - 1; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(waiting(&s), ==, 1);
    check_int(haft_sem_available(&s), ==, 1);
    haft_sem_release(&s);
    check_int(haft_join(&hs[N - 1]), ==, 0);
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER(
    "a deadline ends the wait for permits, none is taken, and what is ready succeeds at a timeout of zero")
{
    haft_sem s = HAFT_SEM_INIT(2);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_sem_acquire(&s), ==, 0);
        check_int(haft_sem_acquire_many(&s, 2), ==, HAFT_ETIMEDOUT);
    }
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_sem_acquire_many(&s, 2), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_sem_available(&s), ==, 1);
    check_int(waiting(&s), ==, 0);
}

static int aborted_before(haft_sem **s)
{
    check_int(haft_abort(haft_self()), ==, 0);
    check_int(haft_sem_try_acquire(*s), ==, 0);
    check_int(haft_sem_acquire(*s), ==, HAFT_ECANCELED);
    HAFT_SHIELD;
    return haft_sem_acquire(*s);
}

TEST_FROM_EVERY_CALLER("an aborted job is refused on entry, though there are permits; tries and shields are not")
{
    haft_sem s = HAFT_SEM_INIT(3), *p = &s;
    haft_handle h = haft_spawn(aborted_before, &p);
    check_int(haft_join(&h), ==, HAFT_EABORTED);
    check_int(haft_sem_available(&s), ==, 1);
}

TEST_FROM_EVERY_CALLER("tokio:semaphore close: refuses those who wait and those who come; permits may still come back")
{
    enum { N = 40 };
    haft_sem s = HAFT_SEM_INIT(1);
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(take, (&(struct taker){ .s = &s, .n = 2 }), .kind = i < KINDS ? (haft_kind)i : HAFT_TASK);
    until(waiting(&s) == N);
    check(!haft_sem_is_closed(&s));
    haft_sem_close(&s);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, HAFT_ECLOSED);
    check(haft_sem_is_closed(&s));
    check_int(haft_sem_acquire(&s), ==, HAFT_ECLOSED);
    check_int(haft_sem_try_acquire(&s), ==, HAFT_ECLOSED);
    haft_sem_release(&s);
    check_int(haft_sem_available(&s), ==, 2);
    haft_sem_close(&s);
}

static int take_or_give_many(struct taker *t)
{
    int rc = haft_sem_acquire(t->s);
    if (rc == HAFT_ECLOSED)
        haft_sem_release_many(t->s, t->n);
    return rc;
}

TEST_FROM_EVERY_CALLER("what the first who is refused by a close gives back, nobody who waited gets any more")
{
    enum { N = 150 };
    for (size_t round = 0; round < rounds(5, 500); round++) {
        haft_sem s = HAFT_SEM_INIT(0);
        haft_handle hs[N];
        for (int i = 0; i < N; i++) {
            hs[i] = haft_spawn(take_or_give_many, (&(struct taker){ .s = &s, .n = N }),
                               .kind = i < 2 ? HAFT_THREAD : HAFT_TASK);
            if (i < 2)
                until(waiting(&s) == (unsigned)i + 1);
        }
        until(waiting(&s) == N);
        haft_sem_close(&s);
        for (int i = 0; i < N; i++)
            check_int(haft_join(&hs[i]), ==, HAFT_ECLOSED);
        check_int(haft_sem_available(&s), ==, N * N);
    }
}

/* --- permits ------------------------------------------------------------------------------------------------------ */

struct worker {
    haft_permit permit;
    _Atomic int *running;
};

static int work_with_permit(struct worker *w)
{
    HAFT_DEFER(haft_permit_drop, &w->permit);
    check_int(atomic_fetch_add(w->running, 1), <, 3);
    int rc = haft_yield();
    atomic_fetch_sub(w->running, 1);
    return rc;
}

static void drop_worker(void *frame)
{
    haft_permit_drop(&((struct worker *)frame)->permit);
}

TEST_FROM_EVERY_CALLER("a permit travels in a frame, and comes back however its job ends, and once")
{
    haft_sem s = HAFT_SEM_INIT(3);
    _Atomic int running = 0;
    for (int i = 0; i < 50; i++) {
        struct worker w = { .running = &running };
        check_int(haft_sem_acquire_permit(&s, 1, &w.permit), ==, 0);
        haft_handle h = haft_spawn(work_with_permit, &w, .drop = drop_worker, .kind = (haft_kind)(i % KINDS));
        if (i % 7 == 0)
            check_int(haft_abort(h), ==, 0); /* begun or not */
        check_int(haft_detach(&h), ==, 0);
    }
    check_int(haft_sem_acquire_many(&s, 3), ==, 0); /* all have come back */
    haft_sem_release_many(&s, 3);
    check_int(haft_sem_available(&s), ==, 3);
    haft_permit p = { 0 };
    haft_permit_drop(&p);
    check_int(haft_sem_try_acquire_permit(&s, 4, &p), ==, HAFT_EAGAIN);
    haft_permit_drop(&p);
    check_int(haft_sem_try_acquire_permit(&s, 3, &p), ==, 0);
    haft_permit_drop(&p);
    haft_permit_drop(&p);
    check_int(haft_sem_available(&s), ==, 3);
}

/* --- both sides --------------------------------------------------------------------------------------------------- */

struct player {
    haft_sem *mine, *other;
    int turns;
};

static int play(struct player *p)
{
    for (int i = 0; i < p->turns; i++) {
        int rc = haft_sem_acquire(p->mine);
        if (rc != 0)
            return rc;
        haft_sem_release(p->other);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("item 23: a thread and a task take turns by two semaphores, in both roles")
{
    for_each_kind(a)
        for_each_kind(b) {
            haft_sem first = HAFT_SEM_INIT(1), second = HAFT_SEM_INIT(0);
            haft_handle ha = haft_spawn(play, (&(struct player){ &first, &second, 100 }), .kind = a);
            haft_handle hb = haft_spawn(play, (&(struct player){ &second, &first, 100 }), .kind = b);
            check_int(haft_join(&ha), ==, 0);
            check_int(haft_join(&hb), ==, 0);
            check_int(haft_sem_available(&first), ==, 1);
            check_int(haft_sem_available(&second), ==, 0);
        }
}

static int wait_then_free(haft_sem **s)
{
    int rc = haft_sem_acquire(*s);
    free(*s);
    return rc;
}

TEST_FROM_EVERY_CALLER("one who got the permit that he waited for may free the semaphore at once")
{
    for (size_t i = 0; i < rounds(200, 20000); i++) {
        haft_sem *s = malloc(sizeof *s);
        check_ptr(s, !=, NULL);
        *s = (haft_sem)HAFT_SEM_INIT(0);
        haft_handle h = haft_spawn(wait_then_free, &s, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        if (i % 2 == 0)
            check_int(haft_yield(), ==, 0);
        haft_sem_release(s);
        check_int(haft_join(&h), ==, 0);
    }
}

/* --- storms ------------------------------------------------------------------------------------------------------- */

enum { PERMITS = 5 };

static struct {
    haft_sem s;
    _Atomic size_t taken, most;
} storm;

static int acquire_somehow(size_t n, haft_permit *p, uint64_t *chance)
{
    switch (below(chance, 4)) {
    case 0:
        return haft_sem_try_acquire_permit(&storm.s, n, p);
    case 1: {
        HAFT_TIMEOUT((int64_t)below(chance, 50) * HAFT_US);
        return haft_sem_acquire_permit(&storm.s, n, p);
    }
    default:
        return haft_sem_acquire_permit(&storm.s, n, p);
    }
}

struct storm_permit {
    haft_permit permit;
    size_t n;
};

static void give_back(struct storm_permit *p)
{
    atomic_fetch_sub(&storm.taken, p->n);
    haft_permit_drop(&p->permit);
}

static int one_turn(struct stormer *s)
{
    struct storm_permit p = { .n = 1 + below(&s->chance, PERMITS) };
    int rc = acquire_somehow(p.n, &p.permit, &s->chance);
    if (rc != 0)
        return rc == HAFT_ECANCELED ? rc : 0;
    HAFT_DEFER(give_back, &p);
    check_int(atomic_fetch_add(&storm.taken, p.n) + p.n, <=, PERMITS);
    if (below(&s->chance, 8) == 0)
        rc = haft_yield();
    if (below(&s->chance, 200) == 0)
        haft_panic("with permits");
    return rc == HAFT_ECANCELED ? rc : 0;
}

static int storm_job(struct stormer *s)
{
    int rc = 0;
    while (rc == 0 && s->turns-- > 0)
        rc = one_turn(s);
    return rc;
}

TEST_LONG("storm: takers that panic, are aborted or late bring every permit back, and never are too many out")
{
    silence_panics();
    uint64_t chance = choose_seed();
    size_t turns = rounds(20000, 1000000);
    haft_handle hs[CROWD];
    storm.s = (haft_sem)HAFT_SEM_INIT(PERMITS);
    for (size_t done = 0; done < turns;) {
        done += spawn_crowd(hs, storm_job, &chance);
        join_crowd(hs, true, &chance);
        check_int(haft_sem_available(&storm.s), ==, PERMITS);
        check_int(waiting(&storm.s), ==, 0);
    }
}
