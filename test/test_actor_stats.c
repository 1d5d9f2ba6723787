/* SPDX-License-Identifier: MIT
 *
 * What actors and pools tell about themselves, and the turns that busy ones give to others. */
#include <string.h>

#include "callers.h"

struct state {
    int sum;
};

typedef HAFT_ACTOR(struct state) owner;
typedef HAFT_POOL(struct state) pool;

struct gate {
    haft_handle inside;
    _Atomic int entered;
};

struct through {
    struct gate *gate;
};

static int occupy(struct state *s, const struct through *t)
{
    (void)s;
    t->gate->inside = haft_self();
    atomic_store(&t->gate->entered, 1);
    return haft_park();
}

static int count_one(struct state *s)
{
    return ++s->sum;
}

static int fails(struct state *s)
{
    (void)s;
    haft_panic("cannot");
}

static int sleeps(struct state *s, const int64_t *nanoseconds)
{
    (void)s;
    return haft_sleep(*nanoseconds);
}

TEST_FROM_EVERY_CALLER("an actor counts what is queued and what it has served, and what of that panicked")
{
    silence_panics();
    struct state s = { 0 };
    owner a;
    HAFT_CLIENT(struct state) c;
    haft_actor_statistics stats;
    struct gate gate = { 0 };
    const struct through to_gate = { &gate };
    check_int(haft_actor_start(&a, &s, .on_panic = HAFT_KEEP_SERVING), ==, 0);
    check_int(haft_client_of(&a, &c), ==, 0);
    check_int(haft_actor_stats(&a, &stats), ==, 0);
    check_uint(stats.size_, ==, sizeof stats);
    check_uint(stats.served + stats.queued + stats.most_queued, ==, 0);
    check_uint(stats.workers, ==, 1);
    check_int(haft_cast(&a, occupy, &to_gate), ==, 0);
    until(atomic_load(&gate.entered));
    for (int i = 0; i < 3; i++)
        check_int(haft_cast(&a, count_one, HAFT_NO_FRAME), ==, 0);
    check_int(haft_cast(&a, fails, HAFT_NO_FRAME), ==, 0);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_call(&a, count_one, HAFT_NO_FRAME), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_actor_stats(&a, &stats), ==, 0);
    check_uint(stats.served, ==, 0);
    check_uint(stats.queued, ==, 4);
    check_uint(stats.most_queued, ==, 5);
    check_int(haft_unpark(gate.inside), ==, 0);
    check_int(haft_call(&a, fails, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    check_int(haft_actor_stats(&c, &stats), ==, 0);
    check_uint(stats.served, ==, 6); /* the call that was taken back was not */
    check_uint(stats.panicked, ==, 2);
    check_uint(stats.queued, ==, 0);
    check_uint(stats.most_queued, ==, 5);
    check_int(stats.waited + stats.longest_wait + stats.worked + stats.longest_work, ==, 0);
    check_int(haft_actor_join(&a), ==, 0);
    check_int(haft_actor_stats(&a, &stats), ==, HAFT_ESTALE);
    check_int(haft_actor_stats(&c, &stats), ==, 0); /* it is over, and can still be asked */
    check_uint(stats.workers, ==, 0);
    check_uint(stats.served, ==, 6);
    check_int(haft_client_drop(&c), ==, 0);
}

TEST_FROM_EVERY_CALLER("asked to measure, an actor and a pool tell how long messages waited and took")
{
    struct state s = { 0 };
    owner a;
    pool p;
    haft_actor_statistics stats[2];
    struct gate gates[2] = { 0 };
    int64_t nap = 2 * HAFT_MS;
    check_int(haft_actor_start(&a, &s, .measure = true), ==, 0);
    check_int(haft_pool_start(&p, &s, .measure = true, .workers = 1), ==, 0);
    int64_t start = haft_now();
    check_int(haft_cast(&a, occupy, (&(struct through){ &gates[0] })), ==, 0);
    check_int(haft_cast(&p, occupy, (&(struct through){ &gates[1] })), ==, 0);
    until(atomic_load(&gates[0].entered) && atomic_load(&gates[1].entered));
    check_int(haft_cast(&a, count_one, HAFT_NO_FRAME), ==, 0);
    check_int(haft_pool_cast_keyed(&p, 1, count_one, HAFT_NO_FRAME), ==, 0);
    check_int(haft_pool_cast_keyed(&p, 1, count_one, HAFT_NO_FRAME), ==, 0);
    check_int(haft_sleep(3 * HAFT_MS), ==, 0);
    check_int(haft_unpark(gates[0].inside), ==, 0);
    check_int(haft_unpark(gates[1].inside), ==, 0);
    check_int(haft_call(&a, sleeps, &nap), ==, 0);
    check_int(haft_pool_call_keyed(&p, 1, sleeps, &nap), ==, 0);
    check_int(haft_actor_stats(&a, &stats[0]), ==, 0);
    check_int(haft_actor_stats(&p, &stats[1]), ==, 0);
    int64_t all = haft_now() - start;
    for (int i = 0; i < 2; i++) {
        check_uint(stats[i].served, ==, 3 + (uint64_t)i);
        check_int(stats[i].longest_wait, >=, 3 * HAFT_MS);
        check_int(stats[i].waited, >=, (int64_t)(1 + i) * 3 * HAFT_MS);
        check_int(stats[i].longest_work, >=, 3 * HAFT_MS);
        check_int(stats[i].worked, >=, 5 * HAFT_MS);
        check_int(stats[i].longest_wait, <=, all);
        check_int(stats[i].longest_work, <=, all);
        check_int(stats[i].worked, <=, all);
    }
    check_int(haft_actor_join(&a), ==, 0);
    check_int(haft_pool_join(&p), ==, 0);
}

TEST_FROM_EVERY_CALLER("a timer's message waits from when it was due")
{
    struct state s = { 0 };
    owner a;
    haft_actor_statistics stats;
    struct gate gate = { 0 };
    const struct through to_gate = { &gate };
    check_int(haft_actor_start(&a, &s, .measure = true), ==, 0);
    check_int(haft_cast(&a, occupy, &to_gate), ==, 0);
    until(atomic_load(&gate.entered));
    check_int(haft_actor_after(&a, HAFT_MS, count_one, HAFT_NO_FRAME), ==, 0);
    check_int(haft_sleep(4 * HAFT_MS), ==, 0);
    check_int(haft_unpark(gate.inside), ==, 0);
    do
        check_int(haft_actor_stats(&a, &stats), ==, 0);
    while (stats.served < 2 && haft_yield() == 0);
    check_int(stats.longest_wait, >=, 3 * HAFT_MS);
    check_int(haft_actor_join(&a), ==, 0);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static owner busy;
static pool busy_pool;
static _Atomic bool is_over;

static int goes_on(struct state *s)
{
    s->sum++;
    return atomic_load(&is_over) ? 0 : haft_cast(&busy, goes_on, HAFT_NO_FRAME);
}

static int pool_goes_on(struct state *s)
{
    s->sum++;
    return atomic_load(&is_over) ? 0 : haft_pool_cast_keyed(&busy_pool, 1, pool_goes_on, HAFT_NO_FRAME);
}

static int has_turns(void)
{
    struct state s = { 0 };
    atomic_store(&is_over, false);
    check_int(haft_actor_start(&busy, &s), ==, 0);
    check_int(haft_cast(&busy, goes_on, HAFT_NO_FRAME), ==, 0);
    check_int(haft_pool_start(&busy_pool, &s, .workers = 1), ==, 0);
    check_int(haft_cast(&busy_pool, pool_goes_on, HAFT_NO_FRAME), ==, 0);
    for (int i = 0; i < 5; i++)
        check_int(haft_yield(), ==, 0); /* comes back */
    atomic_store(&is_over, true);
    check_int(haft_actor_join(&busy, &s), ==, 0);
    check_int(s.sum, >=, 2); /* it was busy */
    check_int(haft_pool_join(&busy_pool, &s), ==, 0);
    check_int(s.sum, >=, 2);
    return 0;
}

TEST("one worker, actors whose mailboxes are never empty: the task beside them has its turns")
{
    check_int(haft_run(has_turns, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

static _Atomic int turns;

static int takes_turns(void)
{
    while (!atomic_load(&is_over)) {
        atomic_fetch_add(&turns, 1);
        check_int(haft_yield(), ==, 0);
    }
    return 0;
}

static int counts_up(struct state *s)
{
    s->sum++;
    return 0;
}

static int calls_on(void)
{
    struct state s = { 0 };
    atomic_store(&is_over, false);
    atomic_store(&turns, 0);
    check_int(haft_actor_start(&busy, &s), ==, 0);
    haft_handle third = haft_spawn(takes_turns);
    for (int i = 0; i < 1000; i++)
        check_int(haft_call(&busy, counts_up, HAFT_NO_FRAME), ==, 0);
    check_int(atomic_load(&turns), >=, 10);
    atomic_store(&is_over, true);
    check_int(haft_join(&third), ==, 0);
    return haft_actor_join(&busy);
}

TEST("one worker, a caller and an actor who hand it to each other: the task beside them has its turns")
{
    check_int(haft_run(calls_on, HAFT_NO_FRAME, .workers = 1), ==, 0);
}
