/* SPDX-License-Identifier: MIT
 *
 * Mutexes and conditions: who holds, who is told of poison, who is refused, and who gets it next. Over 600 lines,
 * because a condition is tested with the mutex that it gives back. */
#include <haft/haft.h>

#include <pthread.h>
#include <string.h>

#include "sync.h"

static haft_mutex the_mutex = HAFT_MUTEX_INIT;

/* --- holding ------------------------------------------------------------------------------------------------------ */

TEST("a mutex and a condition are small values, initialised by zeros")
{
    check_int(sizeof(haft_mutex), <=, 32);
    check_int(sizeof(haft_cond), <=, 32);
    haft_mutex *m = calloc(1, sizeof *m);
    check_ptr(m, !=, NULL);
    check_int(haft_mutex_lock(m), ==, 0);
    haft_mutex_unlock(m);
    free(m);
}

TEST_FROM_EVERY_CALLER("tokio:mutex straight_execution: a mutex is locked and unlocked over and over")
{
    haft_mutex m = HAFT_MUTEX_INIT;
    for (int i = 0; i < 100; i++) {
        check_int(haft_mutex_lock(&m), ==, 0);
        haft_mutex_unlock(&m);
        check_int(haft_mutex_try_lock(&m), ==, 0);
        haft_mutex_unlock(&m);
        check_int(haft_mutex_lock_abortable(&m), ==, 0);
        haft_mutex_unlock(&m);
    }
}

static int try_once(haft_mutex **m)
{
    int rc = haft_mutex_try_lock(*m);
    if (rc == 0)
        haft_mutex_unlock(*m);
    return rc;
}

TEST_FROM_EVERY_CALLER("tokio:mutex try_lock: a try does not get what somebody holds, himself included")
{
    haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
    check_int(haft_mutex_lock(&m), ==, 0);
    check_int(haft_mutex_try_lock(&m), ==, HAFT_EAGAIN);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(try_once, &p, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EAGAIN);
    }
    haft_mutex_unlock(&m);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(try_once, &p, .kind = kind);
        check_int(haft_join(&h), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("a mutex that its holder locks again is a deadlock, and is still held once")
{
    haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
    check_int(haft_mutex_lock(&m), ==, 0);
    check_int(haft_mutex_lock(&m), ==, HAFT_EDEADLK);
    check_int(haft_mutex_lock_abortable(&m), ==, HAFT_EDEADLK);
    haft_handle h = haft_spawn(try_once, &p);
    check_int(haft_join(&h), ==, HAFT_EAGAIN);
    haft_mutex_unlock(&m);
    check_int(haft_mutex_lock(&m), ==, 0);
    haft_mutex_unlock(&m);
}

struct locker {
    haft_mutex *m;
    int *guarded;
    int rc;
};

static int lock_and_count(struct locker *l)
{
    l->rc = haft_mutex_lock(l->m);
    if (l->rc == HAFT_EDEADLK)
        return l->rc;
    ++*l->guarded;
    haft_mutex_unlock(l->m);
    return 0;
}

TEST_FROM_EVERY_CALLER("tokio:mutex readiness: whoever waits for a mutex goes on when it is unlocked")
{
    haft_mutex m = HAFT_MUTEX_INIT;
    int guarded = 0;
    struct locker l = { &m, &guarded, -1 };
    for_each_kind(kind) {
        check_int(haft_mutex_lock(&m), ==, 0);
        haft_handle h = haft_spawn(lock_and_count, &l, .kind = kind);
        until(waiting(&m) == 1);
        check_int(guarded, ==, (int)kind);
        check_int(haft_try_join(&h), ==, HAFT_EAGAIN);
        haft_mutex_unlock(&m);
        check_int(haft_join(&h, &l), ==, 0);
        check_int(l.rc, ==, 0);
        check_int(guarded, ==, (int)kind + 1);
    }
}

static int hold_over_yields(void)
{
    for (int i = 0; i < 20; i++) {
        check_int(haft_mutex_lock(&the_mutex), ==, 0);
        for (int j = 0; j < 10; j++)
            check_int(haft_yield(), ==, 0);
        check_int(haft_mutex_lock(&the_mutex), ==, HAFT_EDEADLK);
        haft_mutex_unlock(&the_mutex);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("a mutex belongs to its task on whatever worker that goes on")
{
    haft_handle hs[6];
    for (int i = 0; i < 6; i++)
        hs[i] = haft_spawn(hold_over_yields, HAFT_NO_FRAME, .kind = i == 5 ? HAFT_THREAD : HAFT_TASK);
    for (int i = 0; i < 6; i++)
        check_int(haft_join(&hs[i]), ==, 0);
}

TEST_FROM_EVERY_CALLER("many mutexes are held at once and unlocked in any order")
{
    enum { N = 100 };
    haft_mutex m[N] = { 0 };
    uint64_t chance = 1;
    int order[N] = { 0 };
    for (int i = 0; i < N; i++) {
        check_int(haft_mutex_lock(&m[i]), ==, 0);
        int at = (int)below(&chance, (unsigned)i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (int i = 0; i < N; i++)
        haft_mutex_unlock(&m[order[i]]);
    for (int i = 0; i < N; i++)
        check_int(haft_mutex_try_lock(&m[i]), ==, 0);
    for (int i = 0; i < N; i++)
        haft_mutex_unlock(&m[i]);
}

/* --- misuse ------------------------------------------------------------------------------------------------------- */

static int unlock_it(haft_mutex **m)
{
    haft_mutex_unlock(*m);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:TestMutexMisuse: to unlock what one does not hold is a panic, and changes nothing")
{
    silence_panics();
    haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
    for_each_kind(kind) {
        haft_handle h = haft_spawn(unlock_it, &p, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
    }
    check_int(haft_mutex_lock(&m), ==, 0);
    haft_handle h = haft_spawn(unlock_it, &p);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    check_int(haft_mutex_try_lock(&m), ==, HAFT_EAGAIN);
    haft_mutex_unlock(&m);
    check_int(haft_catch(unlock_it, &p, NULL), ==, HAFT_EPANIC);
    check_int(haft_mutex_lock(&m), ==, 0);
    haft_mutex_unlock(&m);
}

/* --- poison ------------------------------------------------------------------------------------------------------- */

enum end { BY_PANIC, BY_PANIC_WITH_DEFER, BY_RETURN, BY_EXIT, ENDS };

struct holder {
    haft_mutex *m;
    enum end end;
};

static int lock_and_end(struct holder *h)
{
    check_int(haft_mutex_lock(h->m), ==, 0);
    switch (h->end) {
    case BY_PANIC:
        haft_panic("with a mutex held");
    case BY_PANIC_WITH_DEFER: {
        HAFT_DEFER(haft_mutex_unlock, h->m);
        haft_panic("with a defer to unlock");
    }
    case BY_EXIT:
        pthread_exit(NULL);
    default:
        return 0;
    }
}

/* Locks, and tells what it was told. */
static int told(haft_mutex **m)
{
    int rc = haft_mutex_lock(*m);
    haft_mutex_unlock(*m);
    return rc;
}

TEST_FROM_EVERY_CALLER("a holder that panics or ends poisons and releases; everybody is told until somebody heals")
{
    silence_panics();
    for_each_kind(kind)
        for (enum end end = 0; end < ENDS; end++) {
            if (end == BY_EXIT && (kind != HAFT_THREAD || CALLERS_SANITIZED))
                continue;
            haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
            haft_handle h = haft_spawn(lock_and_end, (&(struct holder){ &m, end }), .kind = kind);
            check_int(haft_join(&h), ==, end == BY_RETURN ? 0 : HAFT_EPANIC);
            check(haft_mutex_is_poisoned(&m));
            for_each_kind(next) {
                h = haft_spawn(told, &p, .kind = next);
                check_int(haft_join(&h), ==, HAFT_EPOISONED);
            }
            check_int(haft_mutex_heal(&m), ==, HAFT_EINVAL); /* not held */
            check_int(haft_mutex_try_lock(&m), ==, HAFT_EPOISONED);
            check_int(haft_mutex_try_lock(&m), ==, HAFT_EAGAIN);
            haft_mutex_unlock(&m);
            check_int(haft_mutex_lock_abortable(&m), ==, HAFT_EPOISONED);
            check_int(haft_mutex_heal(&m), ==, 0);
            check(!haft_mutex_is_poisoned(&m));
            haft_mutex_unlock(&m);
            h = haft_spawn(told, &p);
            check_int(haft_join(&h), ==, 0);
            check_int(haft_mutex_lock(&m), ==, 0);
            haft_mutex_unlock(&m);
        }
}

struct waiting_holder {
    haft_mutex *m;
    bool panics;
};

static int hold_until_somebody_waits(struct waiting_holder *w)
{
    check_int(haft_mutex_lock(w->m), ==, 0);
    until(waiting(w->m) == 3);
    if (w->panics)
        haft_panic("while others wait");
    return 0;
}

TEST_FROM_EVERY_CALLER("those who wait for a holder that panics or ends are told, and get it one after the other")
{
    silence_panics();
    for (int panics = 0; panics < 2; panics++) {
        haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
        haft_handle holder = haft_spawn(hold_until_somebody_waits, (&(struct waiting_holder){ &m, panics != 0 }));
        until(haft_mutex_try_lock(&m) == HAFT_EAGAIN || (haft_mutex_unlock(&m), false));
        haft_handle hs[3];
        for (int i = 0; i < 3; i++)
            hs[i] = haft_spawn(told, &p, .kind = (haft_kind)i);
        check_int(haft_join(&holder), ==, panics ? HAFT_EPANIC : 0);
        for (int i = 0; i < 3; i++)
            check_int(haft_join(&hs[i]), ==, HAFT_EPOISONED);
    }
}

static void *foreign_thread(void *m)
{
    check_int(haft_mutex_lock(m), ==, 0);
    return m;
}

TEST("a plain thread that ends while it holds a mutex poisons and releases it")
{
    pthread_t thread;
    haft_mutex m = HAFT_MUTEX_INIT;
    check_int(pthread_create(&thread, NULL, foreign_thread, &m), ==, 0);
    pthread_join(thread, NULL);
    check_int(haft_mutex_lock(&m), ==, HAFT_EPOISONED);
    haft_mutex_unlock(&m);
}

struct pair {
    haft_mutex *outer;
    haft_mutex *inner;
    bool panics;
};

static int lock_inside(struct pair *p)
{
    check_int(haft_mutex_lock(p->inner), ==, 0);
    check_int(haft_mutex_lock(p->outer), ==, HAFT_EDEADLK);
    if (p->panics)
        haft_panic("inside");
    return 0;
}

TEST_FROM_EVERY_CALLER("a caught panic releases what was locked inside of the wall, and nothing outside of it")
{
    silence_panics();
    haft_mutex outer = HAFT_MUTEX_INIT, inner = HAFT_MUTEX_INIT;
    struct pair p = { &outer, &inner, true };
    check_int(haft_mutex_lock(&outer), ==, 0);
    check_int(haft_catch(lock_inside, &p, NULL), ==, HAFT_EPANIC);
    check_int(haft_mutex_try_lock(&outer), ==, HAFT_EAGAIN);
    check_int(haft_mutex_lock(&inner), ==, HAFT_EPOISONED);
    check_int(haft_mutex_heal(&inner), ==, 0);
    haft_mutex_unlock(&inner);
    haft_mutex_unlock(&outer);
    check(!haft_mutex_is_poisoned(&outer));

    p.panics = false; /* a body that returns keeps what it locked */
    check_int(haft_mutex_lock(&outer), ==, 0);
    check_int(haft_catch(lock_inside, &p, NULL), ==, 0);
    haft_mutex_unlock(&outer);
    haft_mutex_unlock(&inner);
    check(!haft_mutex_is_poisoned(&inner));
}

static void lock_and_unlock(haft_mutex *m)
{
    check_int(haft_mutex_lock(m), ==, 0);
    haft_mutex_unlock(m);
}

static int panic_with_defer(haft_mutex **m)
{
    HAFT_DEFER(lock_and_unlock, *m);
    haft_panic("the defer locks");
}

TEST_FROM_EVERY_CALLER("a defer that locks and unlocks while its job panics poisons nothing")
{
    silence_panics();
    haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
    haft_handle h = haft_spawn(panic_with_defer, &p);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    check(!haft_mutex_is_poisoned(&m));
    check_int(haft_mutex_lock(&m), ==, 0);
    haft_mutex_unlock(&m);
}

/* --- abort and deadlines ------------------------------------------------------------------------------------------ */

static int lock_then_ask(haft_mutex **m)
{
    int rc = haft_mutex_lock(*m);
    check(haft_is_aborted());
    haft_mutex_unlock(*m);
    return rc == 0 ? haft_checkpoint() : rc;
}

TEST_FROM_EVERY_CALLER("locking heeds neither abort nor deadline; the abortable form heeds both")
{
    haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
    {
        HAFT_TIMEOUT(0);
        check_int(haft_mutex_lock(&m), ==, 0);
        haft_mutex_unlock(&m);
        check_int(haft_mutex_lock_abortable(&m), ==, 0); /* ready: no deadline is looked at */
    }
    for_each_kind(kind) {
        haft_handle h = haft_spawn(lock_then_ask, &p, .kind = kind);
        until(waiting(&m) == 1);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_try_join(&h), ==, HAFT_EAGAIN);
        haft_mutex_unlock(&m);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        check_int(haft_mutex_lock(&m), ==, 0);
    }
    haft_mutex_unlock(&m);
}

static int lock_abortable(haft_mutex **m)
{
    int rc = haft_mutex_lock_abortable(*m);
    if (rc == 0 || rc == HAFT_EPOISONED)
        haft_mutex_unlock(*m);
    return rc;
}

static int lock_abortable_soon(haft_mutex **m)
{
    HAFT_TIMEOUT(HAFT_MS);
    return lock_abortable(m);
}

TEST_FROM_EVERY_CALLER(
    "tokio:mutex aborted_future: whoever is aborted or late does not hold, and stands in nobody's way")
{
    haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
    check_int(haft_mutex_lock(&m), ==, 0);
    for_each_kind(kind) {
        haft_handle late = haft_spawn(lock_abortable_soon, &p, .kind = kind);
        haft_handle aborted = haft_spawn(lock_abortable, &p, .kind = kind);
        check_int(haft_join(&late), ==, HAFT_ETIMEDOUT);
        until(waiting(&m) == 1);
        haft_handle other = haft_spawn(lock_abortable, &p, .kind = kind);
        until(waiting(&m) == 2);
        check_int(haft_abort(aborted), ==, 0);
        check_int(haft_join(&aborted), ==, HAFT_EABORTED);
        haft_mutex_unlock(&m);
        check_int(haft_join(&other), ==, 0);
        check_int(haft_mutex_lock(&m), ==, 0);
    }
    check_int(waiting(&m), ==, 0);
    haft_mutex_unlock(&m);
}

static int aborted_before(haft_mutex **m)
{
    check_int(haft_abort(haft_self()), ==, 0);
    check_int(haft_mutex_lock(*m), ==, 0);
    haft_mutex_unlock(*m);
    check_int(haft_mutex_lock_abortable(*m), ==, HAFT_ECANCELED);
    check_int(haft_mutex_try_lock(*m), ==, 0);
    haft_mutex_unlock(*m);
    return 7;
}

TEST_FROM_EVERY_CALLER("the abortable form looks at abort on entry, though the mutex is free")
{
    haft_mutex m = HAFT_MUTEX_INIT, *p = &m;
    haft_handle h = haft_spawn(aborted_before, &p);
    haft_outcome out;
    check_int(haft_join_outcome(&h, &p, &out), ==, 0);
    check_int(out.end, ==, HAFT_ABORTED);
    check_int(out.code, ==, 7);
}

/* --- fairness ----------------------------------------------------------------------------------------------------- */

static _Atomic bool others_have_had_it, hog_has_it;

/* Never lets go for longer than it takes to lock again. */
static int hog(void)
{
    while (!atomic_load(&others_have_had_it)) {
        check_int(haft_mutex_lock(&the_mutex), ==, 0);
        int64_t until = haft_now() + 100 * HAFT_US;
        while (haft_now() < until)
            ;
        haft_mutex_unlock(&the_mutex);
    }
    return 0;
}

static int lock_ten_times(void)
{
    for (int i = 0; i < 10; i++) {
        check_int(haft_mutex_lock(&the_mutex), ==, 0);
        haft_mutex_unlock(&the_mutex);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("go:TestMutexFairness: one who locks again at once does not starve the others")
{
    atomic_store(&others_have_had_it, false);
    haft_handle hogging = haft_spawn(hog, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    haft_handle hs[3];
    for_each_kind(kind)
        hs[kind] = haft_spawn(lock_ten_times, HAFT_NO_FRAME, .kind = kind);
    for_each_kind(kind)
        check_int(haft_join(&hs[kind]), ==, 0);
    atomic_store(&others_have_had_it, true);
    check_int(haft_join(&hogging), ==, 0);
}

static int hog_as_task(void)
{
    while (!atomic_load(&others_have_had_it)) {
        check_int(haft_mutex_lock(&the_mutex), ==, 0);
        atomic_store(&hog_has_it, true);
        check_int(haft_yield(), ==, 0); /* those who want it come to wait meanwhile */
        haft_mutex_unlock(&the_mutex);
    }
    return 0;
}

static int one_worker_with_a_hog(void)
{
    haft_handle hogging = haft_spawn(hog_as_task);
    until(atomic_load(&hog_has_it)); /* else it would begin after the other had ended */
    haft_handle other = haft_spawn(lock_ten_times);
    check_int(haft_join(&other), ==, 0);
    atomic_store(&others_have_had_it, true);
    return haft_join(&hogging);
}

TEST("a task that is handed the mutex need not be awake when it is unlocked: one worker, and a task that never lets go")
{
    atomic_store(&others_have_had_it, false);
    check_int(haft_run(one_worker_with_a_hog, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

/* --- lifetime ----------------------------------------------------------------------------------------------------- */

struct counted {
    haft_mutex m;
    int references;
};

static int drop_reference(struct counted **c)
{
    haft_mutex_lock(&(*c)->m);
    int left = --(*c)->references;
    haft_mutex_unlock(&(*c)->m);
    if (left == 0)
        free(*c);
    return 0;
}

TEST_FROM_EVERY_CALLER("the last one to unlock may free the mutex at once")
{
    for (size_t i = 0; i < rounds(200, 20000); i++) {
        struct counted *c = calloc(1, sizeof *c);
        check_ptr(c, !=, NULL);
        c->references = 4;
        haft_handle hs[4];
        for (int j = 0; j < 4; j++)
            hs[j] = haft_spawn(drop_reference, &c, .kind = j == 3 && i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        for (int j = 0; j < 4; j++)
            check_int(haft_join(&hs[j]), ==, 0);
    }
}

/* --- storms ------------------------------------------------------------------------------------------------------- */

enum { STORM_MUTEXES = 3 };

static struct {
    haft_mutex m[STORM_MUTEXES];
    bool is_inside[STORM_MUTEXES]; /* plain: guarded, which the thread sanitizer checks */
    size_t entered[STORM_MUTEXES];
    _Atomic size_t counted, poisoned;
} storm;

static void enter(unsigned i, int rc)
{
    check(rc == 0 || rc == HAFT_EPOISONED);
    if (rc == HAFT_EPOISONED) {
        storm.is_inside[i] = false;
        atomic_fetch_add(&storm.poisoned, 1);
        check_int(haft_mutex_heal(&storm.m[i]), ==, 0);
    }
    check(!storm.is_inside[i]);
    storm.is_inside[i] = true;
    storm.entered[i]++;
    atomic_fetch_add(&storm.counted, 1);
}

static void leave(unsigned i)
{
    check(storm.is_inside[i]);
    storm.is_inside[i] = false;
    haft_mutex_unlock(&storm.m[i]);
}

static int lock_somehow(haft_mutex *m, uint64_t *chance)
{
    switch (below(chance, 4)) {
    case 0:
        return haft_mutex_try_lock(m);
    case 1: {
        HAFT_TIMEOUT((int64_t)below(chance, 50) * HAFT_US);
        return haft_mutex_lock_abortable(m);
    }
    case 2:
        return haft_mutex_lock_abortable(m);
    default:
        return haft_mutex_lock(m);
    }
}

static int storm_job(struct stormer *s)
{
    while (s->turns-- > 0) {
        unsigned i = below(&s->chance, STORM_MUTEXES);
        int rc = lock_somehow(&storm.m[i], &s->chance);
        if (rc == HAFT_EAGAIN || rc == HAFT_ETIMEDOUT)
            continue;
        if (rc == HAFT_ECANCELED)
            return 0;
        enter(i, rc);
        if (below(&s->chance, 8) == 0) {
            HAFT_SHIELD;
            (void)haft_yield();
        }
        switch (below(&s->chance, 200)) {
        case 0:
            haft_panic("holding");
        case 1:
            return 0; /* holding */
        default:
            leave(i);
        }
    }
    return 0;
}

static void one_storm(uint64_t *chance, size_t turns)
{
    haft_handle hs[CROWD];
    memset(&storm, 0, sizeof storm);
    for (size_t done = 0; done < turns;) {
        done += spawn_crowd(hs, storm_job, chance);
        join_crowd(hs, true, chance);
    }
    size_t entered = 0;
    for (unsigned i = 0; i < STORM_MUTEXES; i++) {
        int rc = haft_mutex_try_lock(&storm.m[i]);
        check(rc == 0 || rc == HAFT_EPOISONED);
        haft_mutex_unlock(&storm.m[i]);
        entered += storm.entered[i];
        check_int(waiting(&storm.m[i]), ==, 0);
    }
    check_int(entered, ==, atomic_load(&storm.counted));
}

TEST_LONG("storm: holders that panic, end, are aborted or late leave every mutex free, and never two inside")
{
    silence_panics();
    uint64_t chance = choose_seed();
    one_storm(&chance, rounds(20000, 1000000));
}

struct hammer {
    haft_mutex *m;
    size_t *count;
    int turns;
};

static int hammer(struct hammer *h)
{
    for (int i = 0; i < h->turns; i++) {
        int rc = i % 3 == 0 ? haft_mutex_try_lock(h->m) : haft_mutex_lock(h->m);
        if (rc == HAFT_EAGAIN)
            check_int(haft_mutex_lock(h->m), ==, 0);
        ++*h->count;
        haft_mutex_unlock(h->m);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("go:HammerMutex: ten jobs, threads among them, count under one mutex and lose nothing")
{
    haft_mutex m = HAFT_MUTEX_INIT;
    size_t count = 0, turns = rounds(1000, 100000);
    haft_handle hs[10];
    for (int i = 0; i < 10; i++)
        hs[i] = haft_spawn(hammer, (&(struct hammer){ &m, &count, (int)turns }),
                           .kind = i % 3 == 0 ? HAFT_THREAD : HAFT_TASK);
    for (int i = 0; i < 10; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(count, ==, 10 * turns);
}
