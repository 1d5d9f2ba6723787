/* SPDX-License-Identifier: MIT
 *
 * Rings of waits that lead through pools: found when no worker that could end a wait goes on, and not before. Other rings
 * are in test_rings.c, and pools that wait for themselves alone in test_pool.c. */
#include <haft/haft.h>

#include <string.h>
#include <unistd.h>

#include "actor/actor.h"
#include "sync.h"

typedef HAFT_POOL(int) owner;

/* --- scenes: workers of pools that wait for pools, one after the other --------------------------------------------- */

enum what {
    NOTHING,
    CALL,
    CALL_KEY_7,
    CALL_KEY_8,
    CALL_BRIEFLY, /* with a deadline */
    CAST,         /* to a mailbox that is full */
    JOIN,
    HOLD, /* waits for an event until all others wait */
};

enum { POOLS = 4, MOVES = 7 };

/* A worker of the pool `who` does that with the pool `whom`. */
struct move {
    const char *who, *whom;
    enum what what;
    bool runs_key_7;
    int expected; /* if nobody is refused */
};

struct scene {
    const char *sentence;
    struct {
        int workers;
        bool is_full;
    } pools[POOLS];
    struct move moves[MOVES];
    bool is_ring;
    bool in_this_order; /* else in each that begins elsewhere */
};

#define MOVE(from, to, ...)                                                                                            \
    {                                                                                                                  \
        .who = #from, .whom = #to, .what = __VA_ARGS__                                                                 \
    }
#define HOLDS(...) HOLDS_(__VA_ARGS__, )
#define HOLDS_(from, ...)                                                                                              \
    {                                                                                                                  \
        .who = #from, .what = HOLD, __VA_ARGS__                                                                        \
    }

static const struct scene scenes[] = {
    { .sentence = "two workers call an actor that calls their pool",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CALL) },
      .is_ring = true },
    { .sentence = "two pools whose workers all call the other one",
      .pools = { { .workers = 2 }, { .workers = 2 } },
      .moves = { MOVE(P, Q, CALL), MOVE(Q, P, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CALL) },
      .is_ring = true },
    { .sentence = "pools of one worker that call each other in a circle",
      .pools = { { .workers = 1 }, { .workers = 1 }, { .workers = 1 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(Q, R, CALL), MOVE(R, S, CALL), MOVE(S, P, CALL) },
      .is_ring = true },
    { .sentence = "three pools in a circle",
      .pools = { { .workers = 2 }, { .workers = 3 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(Q, R, CALL), MOVE(Q, R, CALL), MOVE(P, Q, CALL), MOVE(Q, R, CALL),
                 MOVE(R, P, CALL) },
      .is_ring = true },
    { .sentence = "two workers that wait for different ones, who both wait for them",
      .pools = { { .workers = 2 }, { .workers = 1 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(P, R, CALL), MOVE(Q, P, CALL), MOVE(R, P, CALL) },
      .is_ring = true },
    { .sentence = "one worker calls its own pool, the other somebody who calls it",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { MOVE(P, P, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CALL) },
      .is_ring = true },
    { .sentence = "room in the mailbox of a pool whose workers wait for the caster",
      .pools = { { .workers = 2, .is_full = true }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CAST) },
      .is_ring = true },
    { .sentence = "a call behind a key that runs at a worker who waits for the caller, beside an idle one",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL, .runs_key_7 = true), MOVE(Q, P, CALL_KEY_7) },
      .is_ring = true },
    { .sentence = "the end of a pool, one of whose workers waits for who joins it, beside an idle one",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(Q, P, JOIN) },
      .is_ring = true,
      .in_this_order = true },
    { .sentence = "the end of an actor that waits for the pool of who joins it",
      .pools = { { .workers = 1 }, { .workers = 1 } },
      .moves = { MOVE(Q, P, CALL), MOVE(P, Q, JOIN) },
      .is_ring = true,
      .in_this_order = true },

    { .sentence = "a third worker is idle",
      .pools = { { .workers = 3 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CALL) } },
    { .sentence = "a third worker waits for something that is nobody's",
      .pools = { { .workers = 3 }, { .workers = 1 } },
      .moves = { HOLDS(P), MOVE(P, Q, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CALL) } },
    { .sentence = "one of two waits with a deadline",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(P, Q, CALL_BRIEFLY, .expected = HAFT_ETIMEDOUT), MOVE(Q, P, CALL) } },
    { .sentence = "it is the last who waits with a deadline",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CALL_BRIEFLY, .expected = HAFT_ETIMEDOUT) },
      .in_this_order = true },
    { .sentence = "one of the other pool's workers goes on",
      .pools = { { .workers = 2 }, { .workers = 2 } },
      .moves = { HOLDS(Q), MOVE(P, Q, CALL), MOVE(Q, P, CALL), MOVE(P, Q, CALL) } },
    { .sentence = "one of two waits for somebody who goes on",
      .pools = { { .workers = 2 }, { .workers = 1 }, { .workers = 1 } },
      .moves = { HOLDS(R), MOVE(P, Q, CALL), MOVE(P, R, CALL), MOVE(Q, P, CALL) } },
    { .sentence = "all three pools wait in a row, and the last one's worker goes on",
      .pools = { { .workers = 2 }, { .workers = 2 }, { .workers = 1 } },
      .moves = { HOLDS(R), MOVE(P, Q, CALL), MOVE(P, Q, CALL), MOVE(Q, R, CALL), MOVE(Q, R, CALL) } },
    { .sentence = "there is room in the mailbox",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CAST) } },
    { .sentence = "the key that runs at a worker who waits for the caller is another one",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL, .runs_key_7 = true), MOVE(Q, P, CALL_KEY_8) } },
    { .sentence = "the key runs at the worker who goes on",
      .pools = { { .workers = 2 }, { .workers = 1 } },
      .moves = { HOLDS(P, .runs_key_7 = true), MOVE(P, Q, CALL), MOVE(Q, P, CALL_KEY_7) } },
    { .sentence = "the end of a pool, none of whose workers waits for who joins it",
      .pools = { { .workers = 2 }, { .workers = 1 }, { .workers = 1 } },
      .moves = { HOLDS(R), MOVE(P, R, CALL), MOVE(Q, P, JOIN) } },
    { .sentence = "who joins closes a mailbox, and lets one go on who waits for room in it",
      .pools = { { .workers = 1, .is_full = true }, { .workers = 2 }, { .workers = 1 }, { .workers = 1 } },
      .moves = { MOVE(P, Q, CALL), MOVE(Q, R, CALL), MOVE(Q, S, CALL), MOVE(S, P, CAST, .expected = HAFT_ECLOSED),
                 MOVE(R, P, JOIN) },
      .in_this_order = true },
};

/* One who plays a move. */
struct player {
    const struct move *move;
    owner *pools;
    haft_handle self;
    haft_event go, hold;
    _Atomic int entered, at_it, is_done;
    int rc;
};

static int nothing(int *state)
{
    (void)state;
    return 0;
}

static int do_move(struct player *p)
{
    owner *whom = &p->pools[p->move->whom != NULL ? *p->move->whom - 'P' : 0];
    switch (p->move->what) {
    case CALL:
        return haft_pool_call(whom, nothing);
    case CALL_KEY_7:
        return haft_pool_call_keyed(whom, 7, nothing);
    case CALL_KEY_8:
        return haft_pool_call_keyed(whom, 8, nothing);
    case CALL_BRIEFLY: {
        HAFT_TIMEOUT(5 * HAFT_MS);
        return haft_pool_call(whom, nothing);
    }
    case CAST:
        return haft_pool_cast(whom, nothing);
    case JOIN:
        return haft_pool_join(whom);
    default:
        return haft_event_wait(&p->hold);
    }
}

static int play(int *state, struct player *const *player)
{
    (void)state;
    struct player *p = *player;
    p->self = haft_self();
    atomic_store(&p->entered, 1);
    check_int(haft_event_wait(&p->go), ==, 0);
    atomic_store(&p->at_it, 1);
    p->rc = do_move(p);
    atomic_store(&p->is_done, 1);
    return 0;
}

/* It waits, or is through. The worker's record is used after it has ended at most by another that lives. */
static bool has_moved(struct player *p)
{
    haft__job *job = haft__job_of_handle(&p->self);
    return atomic_load(&p->is_done) ||
           (atomic_load(&p->at_it) && haft__word_is_parked(haft__load_acquire(&job->record.word)));
}

static void let_all_enter(const struct scene *scene, owner *pools, struct player *players, int n)
{
    for (int i = 0; i < n; i++) {
        struct player *p = &players[i];
        p->move = &scene->moves[i];
        p->pools = pools;
        owner *who = &pools[*p->move->who - 'P'];
        check_int(p->move->runs_key_7 ? haft_pool_cast_keyed(who, 7, play, &p) : haft_pool_cast(who, play, &p), ==, 0);
        until(atomic_load(&p->entered));
    }
}

static void run_scene(const struct scene *scene, haft_kind kind, int n, int first)
{
    owner pools[POOLS];
    struct player players[MOVES];
    memset(pools, 0, sizeof pools);
    memset(players, 0, sizeof players);
    int state = 0;
    for (int i = 0; i < POOLS && scene->pools[i].workers != 0; i++)
        check_int(haft_pool_start(&pools[i], &state, .workers = (unsigned)scene->pools[i].workers, .kind = kind,
                                  .capacity = scene->pools[i].is_full ? 1 : 0),
                  ==, 0);
    let_all_enter(scene, pools, players, n);
    for (int i = 0; i < POOLS; i++)
        if (scene->pools[i].is_full)
            check_int(haft_pool_cast(&pools[i], nothing), ==, 0);
    for (int i = 0; i < n; i++) {
        struct player *p = &players[(first + i) % n];
        haft_event_set(&p->go);
        until(has_moved(p));
    }
    struct player *last = &players[(first + n - 1) % n];
    if (scene->is_ring) {
        until(atomic_load(&last->is_done));
        check_msg(last->rc == HAFT_EDEADLK, "%s, beginning with %d: %d", scene->sentence, first, last->rc);
    }
    for (int i = 0; i < n; i++)
        haft_event_set(&players[i].hold);
    for (int i = 0; i < n; i++) {
        struct player *p = &players[i];
        until(atomic_load(&p->is_done));
        bool is_brief = p->move->what == CALL_BRIEFLY && p->rc == 0; /* it was fast */
        if (!(scene->is_ring && p == last) && !is_brief)
            check_msg(p->rc == p->move->expected, "%s, beginning with %d: move %d: %d", scene->sentence, first, i,
                      p->rc);
    }
    for (int i = 0; i < POOLS; i++)
        check_int(haft_pool_drop(&pools[i]), ==, 0);
}

static void run_scenes(bool are_rings)
{
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        const struct scene *scene = &scenes[i];
        int n = 0;
        while (n < MOVES && scene->moves[n].what != NOTHING)
            n++;
        if (scene->is_ring == are_rings)
            for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++)
                for (int first = 0; first < (scene->in_this_order || kind == HAFT_THREAD ? 1 : n); first++)
                    run_scene(scene, kind, n, first);
    }
}

TEST_FROM_EVERY_CALLER(
    "a wait for a pool, none of whose workers would go on, is refused to whoever enters last, and all others end")
{
    run_scenes(true);
}

TEST_FROM_EVERY_CALLER("a wait for a pool is no part of a ring as long as one who could end it goes on")
{
    run_scenes(false);
}

/* --- calls that have begun ---------------------------------------------------------------------------------------- */

static owner begun_pool, begun_actor;
static _Atomic int inner_rc;

static int calls_the_caller(int *state)
{
    (void)state;
    int rc = haft_pool_call(&begun_actor, nothing);
    atomic_store(&inner_rc, rc);
    return rc == HAFT_EDEADLK ? 33 : rc;
}

static int calls_who_calls_back(int *state)
{
    (void)state;
    return haft_pool_call(&begun_pool, calls_the_caller);
}

TEST_FROM_EVERY_CALLER("a call that has begun is waited for at its own worker, however many others are idle")
{
    int state = 0;
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        check_int(haft_pool_start(&begun_pool, &state, .workers = 3, .kind = kind), ==, 0);
        check_int(haft_pool_start(&begun_actor, &state, .workers = 1, .kind = kind), ==, 0);
        check_int(haft_pool_call(&begun_actor, calls_who_calls_back), ==, 33);
        check_int(atomic_load(&inner_rc), ==, HAFT_EDEADLK);
        check_int(haft_pool_join(&begun_pool), ==, 0);
        check_int(haft_pool_join(&begun_actor), ==, 0);
    }
}

/* --- pools that change -------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("what was refused because all workers wait is served once there is one more")
{
    static const struct scene scene = { .moves = { MOVE(P, Q, CALL), MOVE(Q, P, CALL), MOVE(Q, P, CALL) } };
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        owner pools[POOLS] = { 0 };
        struct player players[3];
        memset(players, 0, sizeof players);
        int state = 0;
        check_int(haft_pool_start(&pools[0], &state, .workers = 1, .kind = kind), ==, 0);
        check_int(haft_pool_start(&pools[1], &state, .workers = 2, .kind = kind), ==, 0);
        let_all_enter(&scene, pools, players, 3);
        for (int i = 0; i < 2; i++) {
            haft_event_set(&players[i].go);
            until(has_moved(&players[i]));
        }
        check_int(haft_pool_resize(&pools[0], 2), ==, 0);
        haft_event_set(&players[2].go);
        for (int i = 0; i < 3; i++) {
            until(atomic_load(&players[i].is_done));
            check_int(players[i].rc, ==, 0);
        }
        check_int(haft_pool_drop(&pools[0]), ==, 0);
        check_int(haft_pool_drop(&pools[1]), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("a worker that is too many stays while only those are left that wait for others")
{
    static const struct scene scene = { .moves = { HOLDS(P), MOVE(P, Q, CALL), MOVE(Q, P, CALL) } };
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        owner pools[POOLS] = { 0 };
        struct player players[3];
        memset(players, 0, sizeof players);
        int state = 0;
        check_int(haft_pool_start(&pools[0], &state, .workers = 2, .kind = kind), ==, 0);
        check_int(haft_pool_start(&pools[1], &state, .workers = 1, .kind = kind), ==, 0);
        let_all_enter(&scene, pools, players, 3);
        for (int i = 0; i < 3; i++) {
            haft_event_set(&players[i].go);
            until(has_moved(&players[i]));
        }
        check_int(haft_pool_resize(&pools[0], 1), ==, 0);
        haft_event_set(&players[0].hold);
        for (int i = 0; i < 3; i++) {
            until(atomic_load(&players[i].is_done));
            check_int(players[i].rc, ==, 0);
        }
        haft_actor_statistics stats;
        do
            check_int(haft_actor_stats(&pools[0], &stats), ==, 0);
        while (stats.workers != 1 && haft_sleep(HAFT_MS) == 0);
        check_int(haft_pool_drop(&pools[0]), ==, 0);
        check_int(haft_pool_drop(&pools[1]), ==, 0);
    }
}

/* --- in the checked build: mixtures, and what is said -------------------------------------------------------------- */

#ifdef HAFT_CHECKED
struct locking {
    haft_mutex *m;
};

static int locks(int *state, const struct locking *l)
{
    (void)state;
    check_int(haft_mutex_lock(l->m), ==, 0);
    haft_mutex_unlock(l->m);
    return 0;
}

TEST_FROM_EVERY_CALLER("a lock that all workers of a pool want is not to be held in a call of it")
{
    int state = 0;
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        haft_mutex m = HAFT_MUTEX_INIT;
        owner p;
        check_int(haft_pool_start(&p, &state, .workers = 2, .kind = kind), ==, 0);
        check_int(haft_mutex_lock(&m), ==, 0);
        check_int(haft_pool_cast(&p, locks, (&(struct locking){ &m })), ==, 0);
        until(waiting(&m) == 1);
        check_int(haft_pool_call(&p, nothing), ==, 0); /* one is left */
        check_int(haft_pool_cast(&p, locks, (&(struct locking){ &m })), ==, 0);
        until(waiting(&m) == 2);
        check_int(haft_pool_call(&p, nothing), ==, HAFT_EDEADLK);
        check_int(haft_pool_join(&p), ==, HAFT_EDEADLK);
        haft_mutex_unlock(&m);
        check_int(haft_pool_join(&p), ==, 0);
    }
}

static int say_a_ring(void)
{
    owner pools[2];
    struct player players[3];
    memset(players, 0, sizeof players);
    int state = 0;
    check_int(haft_pool_start(&pools[0], &state, .workers = 2, .name = "pressman"), ==, 0);
    check_int(haft_pool_start(&pools[1], &state, .workers = 1, .name = "editor"), ==, 0);
    static const struct scene scene = { .moves = { MOVE(P, Q, CALL), MOVE(P, Q, CALL), MOVE(Q, P, CALL) } };
    let_all_enter(&scene, pools, players, 3);
    for (int i = 0; i < 3; i++) {
        haft_event_set(&players[i].go);
        until(has_moved(&players[i]));
    }
    _exit(3);
}

TEST_EXITS("a ring through a pool is spelled out: who would wait", TEST_STATUS(3), "haft: a ring of waits: editor, ")
{
    say_a_ring();
}

TEST_EXITS("a ring through a pool is spelled out: for what", TEST_STATUS(3),
           ", would wait for the answer of a pool all of whose workers wait: pressman, spawned at ")
{
    say_a_ring();
}

TEST_EXITS("a ring through a pool is spelled out: and what its workers wait for", TEST_STATUS(3),
           ", waits for the answer of a pool all of whose workers wait: the first\nhaft:   pressman, ")
{
    say_a_ring();
}
#endif

/* --- storms ------------------------------------------------------------------------------------------------------- */

/* Each worker of each pool may call any other. */
struct city {
    owner pools[POOLS];
    _Atomic int refused;
    _Atomic int walking; /* those that were cast, and that nobody waits for otherwise */
};

struct walker {
    struct city *city;
    uint64_t chance;
    unsigned depth;
    int lowest; /* of the pools that may be called; -1: any */
};

static int walk(int *state, struct walker *w);

static int walk_alone(int *state, struct walker *w)
{
    int rc = walk(state, w);
    atomic_fetch_sub(&w->city->walking, 1);
    return rc;
}

static int walk(int *state, struct walker *w)
{
    (void)state;
    if (w->depth == 0)
        return haft_yield();
    struct walker next = { w->city, next_random(&w->chance), w->depth - 1, w->lowest };
    int whom = (int)below(&w->chance, POOLS), rc;
    if (w->lowest >= 0) {
        whom = w->lowest + 1;
        next.lowest = whom;
        if (whom >= POOLS)
            return 0;
    }
    switch (below(&w->chance, 4)) {
    case 0:
        rc = haft_pool_call_keyed(&w->city->pools[whom], below(&w->chance, 2), walk, &next);
        break;
    case 1:
        atomic_fetch_add(&w->city->walking, 1);
        rc = haft_pool_cast(&w->city->pools[whom], walk_alone, &next);
        if (rc != 0)
            atomic_fetch_sub(&w->city->walking, 1);
        break;
    default:
        rc = haft_pool_call(&w->city->pools[whom], walk, &next);
        break;
    }
    if (rc == HAFT_EDEADLK)
        atomic_fetch_add(&w->city->refused, 1);
    return rc == HAFT_EDEADLK || rc == HAFT_ECLOSED ? 0 : rc;
}

struct visitor {
    struct city *city;
    uint64_t chance;
    int lowest;
};

static int visits(struct visitor *v)
{
    for (int i = 0; i < 5; i++) {
        struct walker w = { v->city, next_random(&v->chance), 1 + below(&v->chance, 4), v->lowest };
        int whom = v->lowest >= 0 ? v->lowest : (int)below(&v->chance, POOLS);
        check_int(haft_pool_call(&v->city->pools[whom], walk, &w), ==, 0);
    }
    return 0;
}

static int storm(int lowest, size_t n)
{
    static struct city city;
    uint64_t chance = choose_seed();
    int state = 0;
    atomic_store(&city.refused, 0);
    for (size_t i = 0; i < n; i++) {
        for (unsigned p = 0; p < POOLS; p++)
            check_int(haft_pool_start(&city.pools[p], &state, .workers = 1 + p % 3, .capacity = 2,
                                      .kind = p == 3 ? HAFT_THREAD : HAFT_TASK),
                      ==, 0);
        haft_handle visitors[8];
        for (int j = 0; j < 8; j++)
            visitors[j] = haft_spawn(visits, (&(struct visitor){ &city, next_random(&chance), lowest }),
                                     .kind = j == 0 ? HAFT_THREAD : HAFT_TASK);
        for (int j = 0; j < 8; j++) {
            check_int(haft_pool_resize(&city.pools[j % POOLS], 1 + below(&chance, 3)), ==, 0);
            check_int(haft_join(&visitors[j]), ==, 0);
        }
        until(atomic_load(&city.walking) == 0); /* they use the ends that are dropped now */
        for (int p = 0; p < POOLS; p++)
            check_int(haft_pool_drop(&city.pools[p]), ==, 0);
    }
    return atomic_load(&city.refused);
}

TEST_FROM_EVERY_CALLER("storm: pools that call each other in any direction never hang, because every ring is refused")
{
    storm(-1, rounds(5, 2000));
}

TEST_FROM_EVERY_CALLER("storm: pools that call upwards only are never taken for a ring")
{
    check_int(storm(0, rounds(5, 2000)), ==, 0);
}
