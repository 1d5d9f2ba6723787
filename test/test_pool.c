/* SPDX-License-Identifier: MIT
 *
 * Pools: how messages are shared among workers, what a key promises, what changes with their number, and how everybody
 * who waits is told of every kind of end. What a pool has from the actor is tried in test_actor.c. Over 600 lines, because
 * each end is tried with each kind of message, worker and caller. */
#include <pthread.h>
#include <string.h>

#include "actor/actor.h"
#include "callers.h"
#include "faults.h"

/* --- a state, and bodies ------------------------------------------------------------------------------------------ */

enum { KEYS = 8 };

struct state {
    _Atomic int sum;
    _Atomic int inside, most_inside;
    int of_key[KEYS]; /* each key's own */
    int n;
    int seen[64]; /* of the messages of one key */
};

typedef HAFT_POOL(struct state) owner;
typedef HAFT_CLIENT(struct state) client;

static _Atomic int states_dropped, frames_dropped;

static void state_drop(void *s)
{
    (void)s;
    atomic_fetch_add(&states_dropped, 1);
}

static void frame_drop(void *n)
{
    (void)n;
    atomic_fetch_add(&frames_dropped, 1);
}

struct number {
    int value;
    int answer;
};

static int add(struct state *s, struct number *n)
{
    n->answer = atomic_fetch_add(&s->sum, n->value) + n->value;
    return n->value < 0 ? -7 : 0;
}

static int count_one(struct state *s)
{
    return atomic_fetch_add(&s->sum, 1) + 1;
}

/* For messages of one key, which run alone. */
static int note(struct state *s, const struct number *n)
{
    if (s->n < 64)
        s->seen[s->n++] = n->value;
    return n->value;
}

static int fails(struct state *s, struct number *n)
{
    atomic_fetch_add(&s->sum, 1);
    n->answer = 99;
    haft_panic("cannot serve %d", n->value);
}

/* Occupies one worker until it is opened, or told of an abort. */
struct gate {
    haft_handle inside;
    _Atomic int entered;
    bool panics; /* once opened */
};

struct through {
    struct gate *gate;
};

static int occupy(struct state *s, struct through *t)
{
    (void)s;
    struct gate *gate = t->gate;
    gate->inside = haft_self();
    atomic_store(&gate->entered, 1);
    int rc = haft_park();
    if (gate->panics && rc == 0)
        haft_panic("behind the gate");
    return rc;
}

static void enter(const owner *p, struct gate *gate)
{
    atomic_store(&gate->entered, 0);
    check_int(haft_pool_cast(p, occupy, (&(struct through){ gate }), .urgent = true), ==, 0);
    until(atomic_load(&gate->entered));
}

static void enter_keyed(const owner *p, struct gate *gate, uint64_t key)
{
    atomic_store(&gate->entered, 0);
    check_int(haft_pool_cast_keyed(p, key, occupy, (&(struct through){ gate })), ==, 0);
    until(atomic_load(&gate->entered));
}

static void open_gate(struct gate *gate)
{
    check_int(haft_unpark(gate->inside), ==, 0);
}

static unsigned workers_of(const owner *p)
{
    haft_actor_statistics stats;
    check_int(haft_actor_stats(p, &stats), ==, 0);
    return stats.workers;
}

static bool has_waiting_caster(const owner *p)
{
    haft__actor *core = p->end_.core_;
    haft__lock_acquire(&core->lock);
    bool is_empty = haft__list_is_empty(&core->casters);
    haft__lock_release(&core->lock);
    return !is_empty;
}

#define for_each_worker(kind) for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++)

/* --- sharing ------------------------------------------------------------------------------------------------------ */

struct meeting {
    int guests;
};

static int meets_others(struct state *s, const struct meeting *m)
{
    int inside = atomic_fetch_add(&s->inside, 1) + 1;
    int most = atomic_load(&s->most_inside);
    while (inside > most && !atomic_compare_exchange_weak(&s->most_inside, &most, inside))
        continue;
    until(atomic_load(&s->most_inside) >= m->guests);
    atomic_fetch_sub(&s->inside, 1);
    atomic_fetch_add(&s->sum, 1);
    return 0;
}

static int all_have_met(struct state *s, const struct meeting *m)
{
    until(atomic_load(&s->most_inside) == m->guests);
    return 0;
}

TEST_FROM_EVERY_CALLER("as many messages run at once as there are workers, and the state they share comes back")
{
    for_each_worker(kind)
    {
        struct state s = { .sum = 100 };
        owner p;
        check_int(haft_pool_start(&p, &s, .workers = 3, .kind = kind, .name = "pool"), ==, 0);
        check(haft_actor_is_alive(&p));
        check_uint(workers_of(&p), ==, 3);
        for (int i = 0; i < 9; i++)
            check_int(haft_pool_cast(&p, meets_others, (&(struct meeting){ 3 })), ==, 0);
        struct number n = { .value = 5 };
        check_int(haft_pool_call(&p, add, &n), ==, 0);
        check_int(n.answer, >=, 105);
        n.value = -1;
        check_int(haft_pool_call(&p, add, &n), ==, -7);
        check_int(haft_pool_join(&p, &s), ==, 0);
        check_int(s.sum, ==, 113);
        check_int(s.most_inside, ==, 3);
        check_int(s.inside, ==, 0);
        check_ptr(p.end_.core_, ==, NULL);
        check_int(haft_pool_join(&p), ==, HAFT_ESTALE);
    }
}

TEST_FROM_EVERY_CALLER("without a number a pool has as many workers as there are processors")
{
    struct state s = { 0 };
    owner p;
    check_int(haft_pool_start(&p, &s), ==, 0);
    check_uint(workers_of(&p), ==, haft_cpu_count());
    check_int(haft_pool_drop(&p), ==, 0);
    check_int(haft_pool_drop(&p), ==, 0);
}

TEST_FROM_EVERY_CALLER("a full mailbox: a try is refused, a cast waits, a late one was never taken, calls take no room")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner p;
        struct gate a = { 0 }, b = { 0 };
        check_int(haft_pool_start(&p, &s, .workers = 2, .capacity = 2, .kind = kind), ==, 0);
        enter(&p, &a);
        enter(&p, &b);
        struct number n = { .value = 1 };
        check_int(haft_pool_try_cast(&p, add, &n), ==, 0);
        check_int(haft_pool_try_cast_keyed(&p, 3, add, &n), ==, 0);
        check_int(haft_pool_try_cast(&p, add, &n), ==, HAFT_EAGAIN);
        check_int(haft_pool_try_cast_keyed(&p, 3, add, &n), ==, HAFT_EAGAIN);
        {
            HAFT_TIMEOUT(HAFT_MS);
            check_int(haft_pool_cast_keyed(&p, 3, add, &n, .drop = frame_drop), ==, HAFT_ETIMEDOUT);
        }
        {
            HAFT_TIMEOUT(HAFT_MS);
            check_int(haft_pool_call(&p, add, &n), ==, HAFT_ETIMEDOUT);
        }
        check_uint(haft_actor_len(&p), ==, 2);
        open_gate(&a);
        check_int(haft_pool_cast(&p, add, &n), ==, 0);
        check_int(haft_pool_call(&p, add, &n), ==, 0);
        open_gate(&b);
        check_int(haft_pool_join(&p, &s), ==, 0);
        check_int(s.sum, ==, 4);
    }
    check_int(atomic_load(&frames_dropped), ==, 0);
}

TEST_FROM_EVERY_CALLER(
    "a client of a pool is a client: it is cloned, sends with keys and without, and keeps a detached pool alive")
{
    for_each_worker(kind)
    {
        atomic_store(&states_dropped, 0);
        struct state s = { 0 };
        owner p;
        client c, d;
        check_int(haft_pool_start(&p, &s, .workers = 2, .drop = state_drop, .kind = kind), ==, 0);
        check_int(haft_pool_client_of(&p, &c), ==, 0);
        check_int(haft_client_clone(&c, &d), ==, 0);
        check_int(haft_pool_detach(&p), ==, 0);
        check_int(haft_pool_detach(&p), ==, HAFT_ESTALE);
        check_int(haft_client_drop(&c), ==, 0);
        struct number n = { .value = 1 };
        check_int(haft_call(&d, add, &n), ==, 0);
        check_int(haft_pool_call_keyed(&d, 5, add, &n), ==, 0);
        check_int(haft_cast(&d, add, &n), ==, 0);
        check_int(haft_pool_cast_keyed(&d, 5, add, &n), ==, 0);
        check_int(atomic_load(&states_dropped), ==, 0);
        check_int(haft_client_drop(&d), ==, 0);
        until(atomic_load(&states_dropped) == 1);
    }
}

static void free_connection(void *connection)
{
    atomic_fetch_add(&frames_dropped, 1);
    free(connection);
}

static haft_local connection_key = HAFT_LOCAL_INIT(free_connection);

static int uses_connection(struct state *s, const struct meeting *m)
{
    int *connection = haft_local_get(&connection_key);
    if (connection == NULL) {
        connection = calloc(1, sizeof *connection);
        check_int(haft_local_set(&connection_key, connection), ==, 0);
    }
    ++*connection;
    return meets_others(s, m);
}

TEST_FROM_EVERY_CALLER("a job-local value is a worker's own, from message to message, until the worker ends")
{
    for_each_worker(kind)
    {
        atomic_store(&frames_dropped, 0);
        struct state s = { 0 };
        owner p;
        check_int(haft_pool_start(&p, &s, .workers = 2, .kind = kind), ==, 0);
        for (int i = 0; i < 10; i++)
            check_int(haft_pool_cast(&p, uses_connection, (&(struct meeting){ 2 })), ==, 0);
        check_int(haft_pool_join(&p, &s), ==, 0);
        check_int(s.sum, ==, 10);
        check_int(atomic_load(&frames_dropped), ==, 2);
    }
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("messages of one key run in their order; other keys do not wait for them")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner p;
        struct gate gate = { 0 };
        check_int(haft_pool_start(&p, &s, .workers = 2, .kind = kind), ==, 0);
        enter_keyed(&p, &gate, 1);
        for (int i = 1; i <= 20; i++)
            check_int(haft_pool_cast_keyed(&p, 1, note, (&(struct number){ .value = i })), ==, 0);
        check_uint(haft_actor_len(&p), ==, 20);
        struct number n = { .value = 7 };
        for (uint64_t key = 2; key < 10; key++)
            check_int(haft_pool_call_keyed(&p, key, add, &n), ==, 0);
        check_int(haft_pool_call(&p, add, &n), ==, 0);
        check_uint(haft_actor_len(&p), ==, 20);
        open_gate(&gate);
        check_int(haft_pool_call_keyed(&p, 1, note, (&(struct number){ .value = 21 })), ==, 21);
        check_int(haft_pool_join(&p, &s), ==, 0);
        check_int(s.n, ==, 21);
        for (int i = 0; i < 21; i++)
            check_int(s.seen[i], ==, i + 1);
    }
}

TEST_FROM_EVERY_CALLER("an urgent message with a key overtakes other keys, not those of its own")
{
    struct state s = { 0 };
    owner p;
    struct gate gate = { 0 };
    check_int(haft_pool_start(&p, &s, .workers = 1), ==, 0);
    enter(&p, &gate);
    check_int(haft_pool_cast_keyed(&p, 1, note, (&(struct number){ .value = 3 })), ==, 0);
    check_int(haft_pool_cast_keyed(&p, 2, note, (&(struct number){ .value = 1 }), .urgent = true), ==, 0);
    check_int(haft_pool_cast_keyed(&p, 2, note, (&(struct number){ .value = 2 }), .urgent = true), ==, 0);
    check_int(haft_pool_cast_keyed(&p, 1, note, (&(struct number){ .value = 4 }), .urgent = true), ==, 0);
    check_int(haft_pool_cast(&p, note, (&(struct number){ .value = 5 })), ==, 0);
    open_gate(&gate);
    check_int(haft_pool_join(&p, &s), ==, 0);
    check_int(s.n, ==, 5);
    for (int i = 0; i < 5; i++)
        check_int(s.seen[i], ==, i + 1);
}

static int late_call(const owner *p, uint64_t key, int64_t patience)
{
    HAFT_TIMEOUT(patience);
    return haft_pool_call_keyed(p, key, note, (&(struct number){ .value = 99 }));
}

struct noter {
    const owner *pool;
    uint64_t key;
    int value;
};

static int calls_note(struct noter *c)
{
    return haft_pool_call_keyed(c->pool, c->key, note, (&(struct number){ .value = c->value }));
}

TEST_FROM_EVERY_CALLER("a call that is taken back leaves the others of its key in their order, wherever it stood")
{
    for_each_kind(kind) {
        struct state s = { 0 };
        owner p;
        struct gate gate = { 0 };
        check_int(haft_pool_start(&p, &s, .workers = 1), ==, 0);
        enter(&p, &gate); /* of no key: the first of each key stands in the queue */
        haft_handle first = haft_spawn(calls_note, (&(struct noter){ &p, 1, 99 }), .kind = kind);
        until(haft_actor_len(&p) == 1);
        for (int i = 1; i <= 3; i++) {
            check_int(haft_pool_cast_keyed(&p, 1, note, (&(struct number){ .value = i })), ==, 0);
            check_int(late_call(&p, 1, 0), ==, HAFT_ETIMEDOUT); /* from the middle, as the last */
        }
        haft_handle middle = haft_spawn(calls_note, (&(struct noter){ &p, 1, 99 }), .kind = kind);
        until(haft_actor_len(&p) == 5);
        check_int(haft_pool_cast_keyed(&p, 1, note, (&(struct number){ .value = 4 })), ==, 0);
        check_int(haft_abort(first), ==, 0);
        check_int(haft_join(&first), ==, HAFT_EABORTED); /* the head: the next takes its place */
        check_int(haft_abort(middle), ==, 0);
        check_int(haft_join(&middle), ==, HAFT_EABORTED);
        check_uint(haft_actor_len(&p), ==, 4);
        check_int(late_call(&p, 2, 0), ==, HAFT_ETIMEDOUT); /* the only one of its key */
        open_gate(&gate);
        check_int(haft_pool_join(&p, &s), ==, 0);
        check_int(s.n, ==, 4);
        for (int i = 0; i < 4; i++)
            check_int(s.seen[i], ==, i + 1);
    }
}

TEST_FROM_EVERY_CALLER("a panic that does not end the pool does not end its key")
{
    silence_panics();
    for_each_worker(kind)
    {
        atomic_store(&frames_dropped, 0);
        struct state s = { 0 };
        owner p;
        struct gate gate = { 0 };
        haft_outcome out;
        check_int(haft_pool_start(&p, &s, .workers = 2, .on_panic = HAFT_KEEP_SERVING, .kind = kind), ==, 0);
        enter_keyed(&p, &gate, 1);
        struct number n = { .value = 4 };
        check_int(haft_pool_cast_keyed(&p, 1, fails, &n, .drop = frame_drop), ==, 0);
        check_int(haft_pool_cast_keyed(&p, 1, add, &n), ==, 0);
        open_gate(&gate);
        check_int(haft_pool_call_keyed_outcome(&p, 1, fails, &n, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "cannot serve 4");
        check_int(haft_pool_call_outcome(&p, add, &n, &out), ==, 0);
        check_int(out.end, ==, HAFT_RETURNED);
        check_int(haft_pool_join(&p, &s), ==, 0);
        check_int(s.sum, ==, 10);
        check_int(atomic_load(&frames_dropped), ==, 1);
    }
}

struct keyed_load {
    _Alignas(64) unsigned char bytes[1024];
    int value;
};

static int adds_large(struct state *s, struct keyed_load *l)
{
    s->of_key[0] += l->value; /* of key 0 only */
    memset(l->bytes, l->value, sizeof l->bytes);
    return haft_yield();
}

TEST_FROM_EVERY_CALLER("large frames travel with keys, too")
{
    struct state s = { 0 };
    owner p;
    check_int(haft_pool_start(&p, &s, .workers = 3), ==, 0);
    for (int i = 1; i <= 5; i++) {
        struct keyed_load l = { .value = i };
        check_int(haft_pool_cast_keyed(&p, 0, adds_large, &l), ==, 0);
        check_int(haft_pool_call_keyed(&p, 0, adds_large, &l), ==, 0);
        for (size_t k = 0; k < sizeof l.bytes; k++)
            check_int(l.bytes[k], ==, i);
    }
    check_int(haft_pool_join(&p, &s), ==, 0);
    check_int(s.of_key[0], ==, 30);
}

TEST_FROM_EVERY_CALLER("to an actor all messages are of one key")
{
    struct state s = { 0 };
    HAFT_ACTOR(struct state) a;
    check_int(haft_actor_start(&a, &s), ==, 0);
    for (int i = 1; i <= 5; i++)
        check_int(haft_pool_cast_keyed(&a, (uint64_t)i, note, (&(struct number){ .value = i })), ==, 0);
    check_int(haft_pool_call_keyed(&a, 1, note, (&(struct number){ .value = 6 })), ==, 6);
    check_int(haft_actor_join(&a, &s), ==, 0);
    for (int i = 0; i < 6; i++)
        check_int(s.seen[i], ==, i + 1);
}

/* --- size --------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("a pool grows and shrinks; who is too many ends what it does, and nothing is lost")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner p;
        struct gate gates[3] = { 0 };
        check_int(haft_pool_start(&p, &s, .workers = 1, .kind = kind), ==, 0);
        check_int(haft_pool_resize(&p, 0), ==, HAFT_EINVAL);
        enter(&p, &gates[0]);
        check_int(haft_pool_resize(&p, 3), ==, 0);
        check_uint(workers_of(&p), ==, 3);
        enter(&p, &gates[1]);
        enter(&p, &gates[2]);
        for (int i = 0; i < 6; i++)
            check_int(haft_pool_cast_keyed(&p, 1, add, (&(struct number){ .value = 1 })), ==, 0);
        check_int(haft_pool_resize(&p, 1), ==, 0);
        check_uint(workers_of(&p), ==, 3); /* all are busy */
        open_gate(&gates[2]);
        open_gate(&gates[0]);
        until(workers_of(&p) == 1);
        open_gate(&gates[1]);
        check_int(haft_pool_call(&p, add, (&(struct number){ .value = 1 })), ==, 0);
        check_int(haft_pool_resize(&p, 8), ==, 0);
        for (int i = 0; i < 8; i++)
            check_int(haft_pool_cast(&p, meets_others, (&(struct meeting){ 8 })), ==, 0);
        check_int(haft_pool_call(&p, all_have_met, (&(struct meeting){ 8 })), ==, 0);
        check_int(haft_pool_resize(&p, 2), ==, 0);
        until(workers_of(&p) == 2); /* idle ones end, too */
        check_int(haft_pool_stop(&p), ==, 0);
        check_int(haft_pool_resize(&p, 3), ==, HAFT_ECLOSED);
        check_int(haft_pool_join(&p, &s), ==, 0);
        check_int(s.sum, ==, 15);
        check_int(haft_pool_resize(&p, 3), ==, HAFT_ESTALE);
    }
}

static owner inner;

static int resizes(struct state *s, const unsigned *workers)
{
    (void)s;
    return haft_pool_resize(&inner, *workers);
}

TEST_FROM_EVERY_CALLER("a worker may resize its own pool")
{
    struct state s = { 0 };
    check_int(haft_pool_start(&inner, &s, .workers = 1), ==, 0);
    unsigned n = 4;
    check_int(haft_pool_call(&inner, resizes, &n), ==, 0);
    check_uint(workers_of(&inner), ==, 4);
    n = 1;
    check_int(haft_pool_call(&inner, resizes, &n), ==, 0);
    until(workers_of(&inner) == 1);
    check_int(haft_pool_join(&inner), ==, 0);
}

/* --- from inside -------------------------------------------------------------------------------------------------- */

static int calls_itself(struct state *s, struct number *n)
{
    (void)s;
    return haft_pool_call(&inner, add, n);
}

static int talks_to_itself(struct state *s, struct number *n)
{
    (void)s;
    check_int(haft_pool_call(&inner, add, n), ==, HAFT_EDEADLK);
    {
        HAFT_TIMEOUT(HAFT_S); /* which changes nothing */
        check_int(haft_pool_call(&inner, add, n), ==, HAFT_EDEADLK);
    }
    check_int(haft_pool_cast(&inner, add, n), ==, 0);
    check_int(haft_pool_cast(&inner, add, n), ==, HAFT_EDEADLK); /* a mailbox of one */
    check_int(haft_pool_try_cast(&inner, add, n), ==, HAFT_EAGAIN);
    check_int(haft_pool_join(&inner), ==, HAFT_EDEADLK);
    check_int(haft_pool_drop(&inner), ==, HAFT_EDEADLK);
    return 3;
}

TEST_FROM_EVERY_CALLER("the only worker of a pool is told that it would wait for itself")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        check_int(haft_pool_start(&inner, &s, .workers = 1, .capacity = 1, .kind = kind), ==, 0);
        struct number n = { .value = 10 };
        check_int(haft_pool_call(&inner, talks_to_itself, &n), ==, 3);
        check_int(haft_pool_join(&inner, &s), ==, 0);
        check_int(s.sum, ==, 10);
    }
}

TEST_FROM_EVERY_CALLER("a worker that calls its own pool is served by another one")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        check_int(haft_pool_start(&inner, &s, .workers = 2, .kind = kind), ==, 0);
        struct number n = { .value = 10 };
        for (int i = 1; i <= 20; i++) {
            check_int(haft_pool_call(&inner, calls_itself, &n), ==, 0);
            check_int(n.answer, ==, 10 * i);
        }
        check_int(haft_pool_join(&inner), ==, 0);
    }
}

static int calls_its_own_key(struct state *s, struct number *n)
{
    (void)s;
    check_int(haft_pool_call_keyed(&inner, 7, add, n), ==, HAFT_EDEADLK);
    check_int(haft_pool_cast_keyed(&inner, 7, add, n), ==, 0);
    return haft_pool_call_keyed(&inner, 8, add, n);
}

TEST_FROM_EVERY_CALLER("a worker that calls with the key it is serving is told, other keys are served")
{
    struct state s = { 0 };
    check_int(haft_pool_start(&inner, &s, .workers = 3), ==, 0);
    struct number n = { .value = 10 };
    check_int(haft_pool_call_keyed(&inner, 7, calls_its_own_key, &n), ==, 0);
    check_int(haft_pool_join(&inner, &s), ==, 0);
    check_int(s.sum, ==, 20);
}

/* All workers are inside before any calls on. */
static int meets_and_calls(struct state *s, struct number *n)
{
    atomic_fetch_add(&s->inside, 1);
    until(atomic_load(&s->inside) == 3);
    return haft_pool_call(&inner, add, n);
}

static int calls_meets_and_calls(struct number *n)
{
    return granted(haft_pool_call(&inner, meets_and_calls, n));
}

TEST_FROM_EVERY_CALLER("of the workers that all call their own pool the last is refused, and serves the others")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        haft_handle callers[3];
        int refused = 0;
        check_int(haft_pool_start(&inner, &s, .workers = 3, .kind = kind), ==, 0);
        for (int i = 0; i < 3; i++)
            callers[i] = haft_spawn(calls_meets_and_calls, (&(struct number){ .value = 1 }));
        for (int i = 0; i < 3; i++) {
            int rc = haft_join(&callers[i]);
            refused += rc == HAFT_EDEADLK;
            check(rc == 0 || rc == HAFT_EDEADLK);
        }
        check_int(refused, ==, 1);
        check_int(haft_pool_join(&inner, &s), ==, 0);
        check_int(s.sum, ==, 2);
    }
}

/* Both workers are inside; one calls with a deadline, then the other without. */
struct patience {
    int64_t nanoseconds; /* 0: any */
    _Atomic int *is_late;
};

static int calls_with_patience(struct state *s, const struct patience *p)
{
    struct number n = { .value = 1 };
    atomic_fetch_add(&s->inside, 1);
    until(atomic_load(&s->inside) == 2);
    if (p->nanoseconds == 0) {
        until(haft_actor_len(&inner) == 1 || atomic_load(p->is_late));
        return haft_pool_call(&inner, add, &n);
    }
    HAFT_TIMEOUT(p->nanoseconds);
    check_int(haft_pool_call(&inner, add, &n), ==, HAFT_ETIMEDOUT);
    atomic_store(p->is_late, 1);
    return 0;
}

TEST_FROM_EVERY_CALLER("a worker whose call of its own pool has a deadline will serve again, so others may call")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        _Atomic int is_late = 0;
        check_int(haft_pool_start(&inner, &s, .workers = 2, .kind = kind), ==, 0);
        check_int(haft_pool_cast(&inner, calls_with_patience, (&(struct patience){ 10 * HAFT_MS, &is_late })), ==, 0);
        check_int(haft_pool_call(&inner, calls_with_patience, (&(struct patience){ 0, &is_late })), ==, 0);
        check_int(haft_pool_join(&inner, &s), ==, 0);
        check_int(s.sum, ==, 1);
    }
}

/* Two messages meet; one calls the pool, the other makes it smaller before it ends. */
struct shrinks {
    bool is_caller;
};

static int calls_or_shrinks(struct state *s, const struct shrinks *m)
{
    atomic_fetch_add(&s->inside, 1);
    until(atomic_load(&s->inside) == 2);
    struct number n = { .value = 1 };
    if (m->is_caller)
        return haft_pool_call_keyed(&inner, 1, add, &n); /* that key is the other's */
    until(haft_actor_len(&inner) == 1);
    return haft_pool_resize(&inner, 1);
}

TEST_FROM_EVERY_CALLER("a worker that is too many stays while only those are left that wait for the pool themselves")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        check_int(haft_pool_start(&inner, &s, .workers = 2, .kind = kind), ==, 0);
        check_int(haft_pool_cast_keyed(&inner, 1, calls_or_shrinks, (&(struct shrinks){ false })), ==, 0);
        check_int(haft_pool_call(&inner, calls_or_shrinks, (&(struct shrinks){ true })), ==, 0);
        until(workers_of(&inner) == 1);
        check_int(haft_pool_join(&inner, &s), ==, 0);
        check_int(s.sum, ==, 1);
    }
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

/* Who waits for a pool of two that ends: in the queue a cast and a call; behind a key that runs, and behind one that is
 * queued, a cast and a call each; a cast that waits for room. */
struct waiting {
    struct gate ends, runs; /* the second with key 1 */
    haft_handle calls[3], cast;
    int n;
};

struct late_caller {
    const owner *pool;
    bool has_key;
    uint64_t key;
    struct number n;
};

static int calls_late(struct late_caller *c)
{
    return c->has_key ? haft_pool_call_keyed(c->pool, c->key, add, &c->n, .drop = frame_drop)
                      : haft_pool_call(c->pool, add, &c->n, .drop = frame_drop);
}

static int casts_late(struct late_caller *c)
{
    return haft_pool_cast(c->pool, add, &c->n, .drop = frame_drop);
}

static void let_all_wait(const owner *p, struct waiting *w, haft_kind kind, bool panics)
{
    *w = (struct waiting){ .ends = { .panics = panics } };
    enter(p, &w->ends);
    enter_keyed(p, &w->runs, 1);
    const struct number n = { .value = 1, .answer = -1 };
    check_int(haft_pool_cast(p, add, &n, .drop = frame_drop), ==, 0);
    for (int i = 0; i < 3; i++) {
        struct late_caller c = { p, i != 0, (uint64_t)i, n };
        if (i == 2)
            check_int(haft_pool_cast_keyed(p, 2, add, &n, .drop = frame_drop), ==, 0);
        w->calls[i] = haft_spawn(calls_late, &c, .kind = kind);
        until(haft_actor_len(p) == (size_t)(2 + i + (i == 2)));
    }
    check_int(haft_pool_cast_keyed(p, 1, add, &n, .drop = frame_drop), ==, 0);
    struct late_caller c = { .pool = p, .n = n };
    w->cast = haft_spawn(casts_late, &c, .kind = kind);
    until(has_waiting_caster(p));
}

enum ending { STOP, STOP_IN_JOIN, ABORT, PANIC, ENDINGS };

static void try_ending(enum ending ending, haft_kind worker, haft_kind kind)
{
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner p;
    struct waiting w;
    haft_outcome out;
    check_int(haft_pool_start(&p, &s, .workers = 2, .capacity = 3, .kind = worker), ==, 0);
    let_all_wait(&p, &w, kind, ending == PANIC);
    bool drains = ending == STOP || ending == STOP_IN_JOIN;
    if (ending == STOP)
        check_int(haft_pool_stop(&p), ==, 0);
    if (ending == STOP_IN_JOIN) {
        HAFT_TIMEOUT(0);
        check_int(haft_pool_join(&p), ==, HAFT_ETIMEDOUT);
    }
    if (ending == ABORT)
        check_int(haft_pool_abort(&p), ==, 0);
    else if (ending == PANIC)
        open_gate(&w.ends);
    check_int(haft_join(&w.cast), ==, HAFT_ECLOSED);
    check_int(haft_pool_cast_keyed(&p, 9, add, (&(struct number){ .value = 9 })), ==, HAFT_ECLOSED);
    check_int(haft_pool_call(&p, add, (&(struct number){ .value = 9 })), ==, HAFT_ECLOSED);
    if (drains) {
        check(haft_actor_is_alive(&p));
        open_gate(&w.ends);
        open_gate(&w.runs);
    }
    for (int i = 0; i < 3; i++) { /* after a panic, while the other worker still runs */
        struct late_caller c;
        check_int(haft_join(&w.calls[i], &c), ==, drains ? 0 : HAFT_ECLOSED);
        check(drains ? c.n.answer > 0 : c.n.answer == -1);
    }
    if (ending == PANIC)
        open_gate(&w.runs);
    check_int(haft_pool_join_outcome(&p, &s, &out), ==, 0);
    check_int(out.end, ==, drains ? HAFT_RETURNED : ending == ABORT ? HAFT_ABORTED : HAFT_PANICKED);
    if (ending == PANIC)
        check_str(out.panic.message, "behind the gate");
    check_int(s.sum, ==, drains ? 6 : 0);
    check_int(atomic_load(&frames_dropped), ==, 3); /* the casts', served or not */
    check(!haft_actor_is_alive(&p));
}

static void try_endings(void)
{
    silence_panics();
    for (enum ending ending = STOP; ending < ENDINGS; ending++)
        for_each_worker(worker) for_each_kind(kind) try_ending(ending, worker, kind);
}

TEST_LONG(
    "stopped, a pool serves all that is queued; aborted or panicking, it refuses: every waiter is told, every frame "
    "has one end")
{
    from_every_caller(try_endings);
}

static int throws(struct state *s, struct number *n)
{
    atomic_fetch_add(&s->inside, 1);
    until(atomic_load(&s->inside) == 2);
    haft_panic_with(n, frame_drop);
}

TEST_FROM_EVERY_CALLER(
    "of two panics at once one is the pool's, with its payload; the other's is dropped; callers know of both")
{
    silence_panics();
    for (int looks = 0; looks < 2; looks++) {
        atomic_store(&frames_dropped, 0);
        struct state s = { 0 };
        owner p;
        haft_outcome out;
        check_int(haft_pool_start(&p, &s, .workers = 2), ==, 0);
        check_int(haft_pool_cast(&p, throws, (&(struct number){ 0 })), ==, 0);
        check_int(haft_pool_call(&p, throws, (&(struct number){ 0 })), ==, HAFT_EPANIC);
        if (looks) {
            check_int(haft_pool_join_outcome(&p, &s, &out), ==, 0);
            check_int(out.end, ==, HAFT_PANICKED);
            check_ptr(out.panic.payload, !=, NULL);
            check_int(atomic_load(&frames_dropped), ==, 1);
            haft_panic_drop(&out.panic);
        } else {
            check_int(haft_pool_join(&p, &s), ==, HAFT_EPANIC);
        }
        check_int(atomic_load(&frames_dropped), ==, 2);
    }
}

static int leaves_its_thread(struct state *s)
{
    (void)s;
    pthread_exit(NULL);
}

TEST_FROM_EVERY_CALLER("pthread_exit in a body ends the pool as a panic does")
{
    silence_panics();
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner p;
    struct gate gate = { 0 };
    check_int(haft_pool_start(&p, &s, .workers = 2, .kind = HAFT_THREAD), ==, 0);
    enter_keyed(&p, &gate, 1);
    check_int(haft_pool_cast_keyed(&p, 1, add, (&(struct number){ .value = 1 }), .drop = frame_drop), ==, 0);
    check_int(haft_pool_call_keyed(&p, 2, leaves_its_thread, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    until(!haft_actor_is_alive(&p));
    open_gate(&gate);
    check_int(haft_pool_join(&p, &s), ==, HAFT_EPANIC);
    check_int(s.sum, ==, 0);
    check_int(atomic_load(&frames_dropped), ==, 1);
}

TEST_FROM_EVERY_CALLER(
    "a pool that was aborted before it began refuses, and gives its state back; so do workers that come later")
{
    for_each_worker(kind)
    {
        struct state s = { .sum = 5 };
        owner p;
        check_int(haft_pool_start(&p, &s, .workers = 2, .kind = kind), ==, 0);
        check_int(haft_pool_abort(&p), ==, 0);
        int rc = haft_pool_resize(&p, 4);
        check(rc == 0 || rc == HAFT_ECLOSED);
        check_int(haft_pool_call(&p, count_one, HAFT_NO_FRAME), ==, HAFT_ECLOSED);
        s.sum = 0;
        check_int(haft_pool_join(&p, &s), ==, HAFT_EABORTED);
        check_int(s.sum, ==, 5);
    }
}

TEST_FROM_EVERY_CALLER("what makes no sense is refused, and the pool is null")
{
    struct state s = { 0 };
    owner p;
    client c;
    check_int(haft_pool_start(&p, &s, .kind = HAFT_BLOCKING), ==, HAFT_EINVAL);
    check_ptr(p.end_.core_, ==, NULL);
    check_int(haft_pool_call(&p, count_one, HAFT_NO_FRAME), ==, HAFT_ESTALE);
    check_int(haft_pool_cast_keyed(&p, 1, count_one, HAFT_NO_FRAME), ==, HAFT_ESTALE);
    check_int(haft_pool_stop(&p), ==, HAFT_ESTALE);
    check_int(haft_pool_abort(&p), ==, HAFT_ESTALE);
    check_int(haft_pool_client_of(&p, &c), ==, HAFT_ESTALE);
    check_int(haft_pool_drop(&p), ==, 0);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

struct meeter {
    const owner *pool;
};

static int calls_to_meet(const struct meeter *m)
{
    return haft_pool_call(m->pool, meets_others, (&(struct meeting){ 3 }));
}

TEST("once it is warm, a pool allocates nothing for calls and casts, with keys or without")
{
    test_needs_kernel("counts allocations");
    faults_begin();
    struct state s = { 0 };
    owner p;
    check_int(haft_pool_start(&p, &s, .workers = 3), ==, 0);
    haft_handle callers[3]; /* so that each worker has served a call */
    for (int i = 0; i < 3; i++)
        callers[i] = haft_spawn(calls_to_meet, (&(struct meeter){ &p }));
    for (int i = 0; i < 3; i++)
        check_int(haft_join(&callers[i]), ==, 0);
    struct number n = { .value = 1 };
    struct gate gates[3] = { 0 };
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++)
            enter(&p, &gates[i]);
        if (round == 1)
            faults_arm((struct faults){ .kind = FAULT_ALLOC, .k = SIZE_MAX });
        for (int i = 0; i < 32; i++)
            check_int(i % 2 != 0 ? haft_pool_cast_keyed(&p, (uint64_t)i % 5, add, &n) : haft_pool_cast(&p, add, &n), ==,
                      0);
        for (int i = 0; i < 3; i++)
            open_gate(&gates[i]);
        for (uint64_t key = 0; key < 50; key++)
            check_int(haft_pool_call_keyed(&p, key, add, &n), ==, 0);
        until(haft_actor_len(&p) == 0);
    }
    check_uint(atomic_load(&faults_state.requests), ==, 0);
    faults_disarm();
    check_int(haft_pool_join(&p), ==, 0);
}
