/* SPDX-License-Identifier: MIT
 *
 * Pools under random load: the order of each key while the number of workers changes, and the one end of every frame when
 * the pool is stopped, aborted or panics in the midst of it. */
#include <haft/haft.h>

#include "storm.h"

/* --- the order of a key ------------------------------------------------------------------------------------------- */

enum { SENDERS = 4, KEYS = 5 };

struct key_state {
    _Atomic int inside;
    uint64_t served; /* the key's own, as all that follows */
    uint64_t last[SENDERS];
};

struct state {
    struct key_state keys[KEYS];
    _Atomic uint64_t others; /* served without a key */
};

typedef HAFT_POOL(struct state) owner;

struct message {
    unsigned key, sender;
    uint64_t number; /* of this sender with this key */
    uint64_t chance;
};

static void dawdle(uint64_t *chance)
{
    switch (below(chance, 12)) {
    case 0:
        (void)haft_yield();
        break;
    case 1:
        (void)haft_sleep(HAFT_US * below(chance, 30));
        break;
    default:
        break;
    }
}

static int serve_key(struct state *s, struct message *m)
{
    struct key_state *k = &s->keys[m->key];
    check_int(atomic_exchange(&k->inside, 1), ==, 0);
    check_uint(m->number, >, k->last[m->sender]);
    k->last[m->sender] = m->number;
    k->served++;
    dawdle(&m->chance);
    check_int(atomic_exchange(&k->inside, 0), ==, 1);
    return 0;
}

static int serve_other(struct state *s, struct message *m)
{
    dawdle(&m->chance);
    atomic_fetch_add(&s->others, 1);
    return 0;
}

struct sender {
    const owner *pool;
    unsigned number;
    uint64_t chance;
    size_t messages;
    uint64_t sent[KEYS], others;
};

static int call_in_time(const owner *p, struct message *m, int64_t patience, bool urgent)
{
    HAFT_TIMEOUT(patience);
    return haft_pool_call_keyed(p, m->key, serve_key, m, .urgent = urgent);
}

static int sends(struct sender *s)
{
    uint64_t numbers[KEYS] = { 0 };
    for (size_t i = 0; i < s->messages; i++) {
        struct message m = { .key = below(&s->chance, KEYS), .sender = s->number, .chance = next_random(&s->chance) };
        bool urgent = below(&s->chance, 4) == 0;
        m.number = ++numbers[m.key];
        int rc;
        switch (below(&s->chance, 5)) {
        case 0:
            rc = haft_pool_try_cast_keyed(s->pool, m.key, serve_key, &m, .urgent = urgent);
            check(rc == 0 || rc == HAFT_EAGAIN);
            s->sent[m.key] += rc == 0;
            break;
        case 1:
            rc = call_in_time(s->pool, &m, HAFT_US * below(&s->chance, 40), urgent);
            check(rc == 0 || rc == HAFT_ETIMEDOUT || rc == HAFT_EINDOUBT);
            s->sent[m.key] += rc != HAFT_ETIMEDOUT;
            break;
        case 2:
            check_int(haft_pool_call_keyed(s->pool, m.key, serve_key, &m, .urgent = urgent), ==, 0);
            s->sent[m.key]++;
            break;
        case 3:
            check_int(haft_pool_cast(s->pool, serve_other, &m, .urgent = urgent), ==, 0);
            s->others++;
            break;
        default:
            check_int(haft_pool_cast_keyed(s->pool, m.key, serve_key, &m, .urgent = urgent), ==, 0);
            s->sent[m.key]++;
            break;
        }
    }
    return 0;
}

struct resizer {
    const owner *pool;
    _Atomic int *is_over;
    uint64_t chance;
};

static int resizes(struct resizer *r)
{
    while (atomic_load(r->is_over) == 0) {
        int rc = haft_pool_resize(r->pool, 1 + below(&r->chance, 5));
        check(rc == 0 || rc == HAFT_ECLOSED);
        check_int(haft_sleep(HAFT_US * below(&r->chance, 100)), ==, 0);
    }
    return 0;
}

static void keep_order(haft_kind kind, uint64_t *chance, size_t messages)
{
    struct state state;
    memset(&state, 0, sizeof state);
    owner p;
    _Atomic int is_over = 0;
    check_int(
        haft_pool_start(&p, &state, .workers = 1 + below(chance, 4), .capacity = 1 + below(chance, 20), .kind = kind),
        ==, 0);
    haft_handle resizing = haft_spawn(resizes, (&(struct resizer){ &p, &is_over, next_random(chance) }));
    haft_handle handles[SENDERS];
    for (unsigned i = 0; i < SENDERS; i++) {
        struct sender s = { .pool = &p, .number = i, .chance = next_random(chance), .messages = messages };
        handles[i] = haft_spawn(sends, &s, .kind = (haft_kind)(i % KINDS));
    }
    uint64_t sent[KEYS] = { 0 }, others = 0;
    for (unsigned i = 0; i < SENDERS; i++) {
        struct sender s;
        check_int(haft_join(&handles[i], &s), ==, 0);
        for (unsigned key = 0; key < KEYS; key++)
            sent[key] += s.sent[key];
        others += s.others;
    }
    atomic_store(&is_over, 1);
    check_int(haft_join(&resizing), ==, 0);
    check_int(haft_pool_join(&p, &state), ==, 0);
    for (unsigned key = 0; key < KEYS; key++)
        check_uint(state.keys[key].served, ==, sent[key]);
    check_uint(state.others, ==, others);
}

static void keep_orders(void)
{
    uint64_t chance = choose_seed();
    for (size_t round = rounds(4, 100); round > 0; round--)
        for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++)
            keep_order(kind, &chance, 100);
}

TEST_LONG("under random load and random resizes messages of one key keep their order, run alone, and none is lost")
{
    from_every_caller(keep_orders);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

struct shared {
    int nothing;
};

typedef HAFT_POOL(struct shared) pool;
typedef HAFT_CLIENT(struct shared) client;

static int serve_frame(struct shared *s, struct frame *f)
{
    (void)s;
    check_int(f->canary, ==, 0xbeadu + f->depth);
    dawdle(&f->chance);
    if (below(&f->chance, 100) == 0)
        haft_panic("by chance");
    return 0;
}

struct flooder {
    client to;
    uint64_t chance;
    size_t messages;
};

static void ended_call(int rc, const struct frame *f)
{
    if (rc == 0 || rc == HAFT_EPANIC)
        joined_frame(f);
    else if (rc != HAFT_EINDOUBT)
        refused_frame(f);
    check(rc == 0 || rc == HAFT_EPANIC || rc == HAFT_EINDOUBT || rc == HAFT_ECLOSED || rc == HAFT_ETIMEDOUT ||
          rc == HAFT_ECANCELED);
}

static void flood_once(struct flooder *w)
{
    struct frame f = { .entry = enter_frame(), .chance = next_random(&w->chance), .canary = 0xbead };
    uint64_t key = below(&w->chance, 3);
    int rc;
    switch (below(&w->chance, 5)) {
    case 0:
        ended_call(haft_call(&w->to, serve_frame, &f, .drop = drop_frame), &f);
        return;
    case 1: {
        HAFT_TIMEOUT(HAFT_US * below(&w->chance, 50));
        ended_call(haft_pool_call_keyed(&w->to, key, serve_frame, &f, .drop = drop_frame), &f);
        return;
    }
    case 2:
        rc = haft_pool_try_cast_keyed(&w->to, key, serve_frame, &f, .drop = drop_frame);
        break;
    case 3:
        rc = haft_pool_cast(&w->to, serve_frame, &f, .drop = drop_frame);
        break;
    default:
        rc = haft_pool_cast_keyed(&w->to, key, serve_frame, &f, .drop = drop_frame);
        break;
    }
    if (rc != 0)
        refused_frame(&f);
    check(rc == 0 || rc == HAFT_ECLOSED || rc == HAFT_EAGAIN || rc == HAFT_ECANCELED);
}

static int floods(struct flooder *w)
{
    for (; w->messages > 0; w->messages--)
        flood_once(w);
    haft_client_drop(&w->to);
    return 0;
}

static _Atomic int states_dropped;

static void drop_state(void *state)
{
    (void)state;
    atomic_fetch_add(&states_dropped, 1);
}

/* Ends the pool in one of its ways. True: by a detach, its end is to be waited for. */
static bool end_somehow(pool *p, uint64_t *chance)
{
    int rc;
    struct shared s;
    switch (below(chance, 5)) {
    case 0:
        check_int(haft_pool_stop(p), ==, 0);
        rc = haft_pool_join(p, &s);
        atomic_fetch_add(&states_dropped, 1); /* it came back */
        break;
    case 1:
        check_int(haft_pool_abort(p), ==, 0);
        rc = haft_pool_drop(p);
        break;
    case 2:
        rc = haft_pool_join(p);
        break;
    case 3:
        check_int(haft_pool_detach(p), ==, 0);
        return true;
    default:
        rc = haft_pool_drop(p);
        break;
    }
    check(rc == 0 || rc == HAFT_EABORTED || rc == HAFT_EPANIC);
    return false;
}

static void end_in_a_storm(haft_kind kind, uint64_t *chance, size_t messages)
{
    atomic_store(&states_dropped, 0);
    pool p;
    struct shared state = { 0 };
    check_int(haft_pool_start(&p, &state, .workers = 1 + below(chance, 4), .capacity = 1 + below(chance, 10),
                              .kind = kind, .drop = drop_state,
                              .on_panic = below(chance, 2) != 0 ? HAFT_KEEP_SERVING : HAFT_END_ACTOR),
              ==, 0);
    haft_handle handles[SENDERS];
    bool aborted[SENDERS];
    for (unsigned i = 0; i < SENDERS; i++) {
        struct flooder w = { .chance = next_random(chance), .messages = messages };
        check_int(haft_pool_client_of(&p, &w.to), ==, 0);
        handles[i] = haft_spawn(floods, &w, .kind = (haft_kind)(i % KINDS));
    }
    for (unsigned i = below(chance, 6); i > 0; i--) {
        int rc = haft_pool_resize(&p, 1 + below(chance, 4));
        check(rc == 0 || rc == HAFT_ECLOSED);
        (void)haft_sleep(HAFT_US * below(chance, 200));
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        aborted[i] = below(chance, 6) == 0;
        if (aborted[i])
            check_int(haft_abort(handles[i]), ==, 0);
    }
    bool is_detached = end_somehow(&p, chance);
    for (unsigned i = 0; i < SENDERS; i++) {
        struct flooder w;
        int rc = haft_join(&handles[i], &w);
        check(rc == 0 || (aborted[i] && rc == HAFT_EABORTED));
        haft_client_drop(&w.to); /* of one that was aborted before it began */
    }
    if (is_detached)
        until(atomic_load(&states_dropped) == 1);
    check_int(atomic_load(&states_dropped), ==, 1);
}

static void end_in_storms(void)
{
    silence_panics();
    uint64_t chance = choose_seed();
    for (size_t round = rounds(10, 300); round > 0; round--)
        for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
            open_ledger((size_t)SENDERS * 60);
            end_in_a_storm(kind, &chance, 60);
            close_ledger();
        }
}

TEST_LONG("whatever ends a pool under load, every frame and the state have one end")
{
    from_every_caller(end_in_storms);
}
