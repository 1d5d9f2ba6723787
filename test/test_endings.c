/* SPDX-License-Identifier: MIT
 *
 * Every ending of an actor or pool, for everybody who may wait for it: who is told what, and that each frame and the state
 * have one end. What else each ending does is in test_actor.c, test_pool.c and test_supervised.c. */
#include <haft/haft.h>

#include <string.h>
#include <unistd.h>

#include "actor/actor.h"
#include "callers.h"

enum ending {
    STOP,
    JOIN_LATE,   /* a join whose deadline has passed, which asks it to stop */
    LAST_CLIENT, /* of a detached one */
    ABORT,
    PANIC,    /* in the message of the first waiter */
    SHUTDOWN, /* of its runtime */
};

enum way {
    BEGUN,
    BEGUN_OUTCOME,
    QUEUED,
    QUEUED_OUTCOME,
    QUEUED_DEADLINE, /* which is far away */
    QUEUED_KEY,
    ROOM,
    ROOM_DEADLINE,
    WAYS
};

struct state {
    _Atomic int sum;
};

typedef HAFT_ACTOR(struct state) owner;
typedef HAFT_POOL(struct state) pool_owner;
typedef HAFT_CLIENT(struct state) client;
typedef HAFT_WEAK_CLIENT(struct state) weak_client;

static _Atomic int frames_dropped, states_dropped;

static void frame_drop(void *frame)
{
    (void)frame;
    atomic_fetch_add(&frames_dropped, 1);
}

static void state_drop(void *state)
{
    (void)state;
    atomic_fetch_add(&states_dropped, 1);
}

struct gate {
    haft_handle inside;
    _Atomic int entered;
    bool panics;
};

struct message {
    struct gate *gate;
    int answer;
};

static int occupy(struct state *s, struct message *m)
{
    (void)s;
    struct gate *gate = m->gate;
    gate->inside = haft_self();
    atomic_store(&gate->entered, 1);
    int rc = haft_park();
    if (gate->panics)
        haft_panic("behind the gate");
    m->answer = 5;
    return rc;
}

static int add(struct state *s, struct message *m)
{
    atomic_fetch_add(&s->sum, 1);
    m->answer = 1;
    return 0;
}

/* --- who waits ---------------------------------------------------------------------------------------------------- */

struct waiter {
    const weak_client *client;
    enum way way;
    struct message m;
    haft_outcome out;
    int rc;
};

static int wait_as(struct waiter *w)
{
    switch (w->way) {
    case BEGUN:
        return haft_call(w->client, occupy, &w->m, .drop = frame_drop);
    case BEGUN_OUTCOME:
        return haft_call_outcome(w->client, occupy, &w->m, &w->out, .drop = frame_drop);
    case QUEUED_OUTCOME:
        return haft_call_outcome(w->client, add, &w->m, &w->out, .drop = frame_drop);
    case QUEUED_KEY:
        return haft_pool_call_keyed(w->client, 7, add, &w->m, .drop = frame_drop);
    case ROOM:
    case ROOM_DEADLINE:
        return haft_cast(w->client, add, &w->m, .drop = frame_drop);
    default:
        return haft_call(w->client, add, &w->m, .drop = frame_drop);
    }
}

static int waits(struct waiter *w)
{
    HAFT_TIMEOUT(w->way == QUEUED_DEADLINE || w->way == ROOM_DEADLINE ? 3600 * HAFT_S : INT64_MAX);
    w->rc = wait_as(w);
    return 0;
}

struct joiner {
    owner *actor;
    struct state state;
    haft_outcome out;
};

static int joins(struct joiner *j)
{
    return haft_actor_join_outcome(j->actor, &j->state, &j->out);
}

/* --- a scene ------------------------------------------------------------------------------------------------------ */

struct variant {
    enum ending ending;
    bool is_pool, is_joined;
    enum way begun; /* an actor's one; a pool of two has both */
    haft_kind worker, caller;
};

struct scene {
    struct variant v;
    owner actor;
    client client;
    weak_client weak;
    haft_runtime *runtime;
    struct gate gates[2];
    haft_handle waiters[WAYS], joiner;
};

static bool has_casters(const struct scene *s, int n)
{
    haft__actor *core = s->client.end_.core_;
    haft__lock_acquire(&core->lock);
    for (haft__link *at = core->casters.next; at != &core->casters; at = at->next)
        n--;
    haft__lock_release(&core->lock);
    return n == 0;
}

static bool has_joiner(const struct scene *s)
{
    haft__actor *core = s->client.end_.core_;
    haft__lock_acquire(&core->lock);
    bool has = core->joiner != NULL;
    haft__lock_release(&core->lock);
    return has;
}

static void start(struct scene *s)
{
    const struct state state = { 0 };
    s->runtime = s->v.ending == SHUTDOWN ? haft_runtime_new(.workers = 1) : NULL;
    check(s->v.ending != SHUTDOWN || s->runtime != NULL);
    if (s->v.is_pool) {
        pool_owner p;
        check_int(haft_pool_start(&p, &state, .workers = 2, .capacity = 1, .kind = s->v.worker, .runtime = s->runtime,
                                  .drop = state_drop),
                  ==, 0);
        s->actor.end_ = p.end_;
    } else {
        check_int(haft_actor_start(&s->actor, &state, .capacity = 1, .kind = s->v.worker, .runtime = s->runtime,
                                   .drop = state_drop),
                  ==, 0);
    }
    check_int(haft_client_of(&s->actor, &s->client), ==, 0);
    check_int(haft_client_downgrade(&s->client, &s->weak), ==, 0);
    if (s->v.ending == LAST_CLIENT)
        check_int(haft_actor_detach(&s->actor), ==, 0);
}

static bool takes_part(const struct scene *s, enum way way)
{
    return way > BEGUN_OUTCOME || s->v.is_pool || way == s->v.begun;
}

static void let_all_wait(struct scene *s)
{
    size_t queued = 0;
    int casters = 0;
    for (enum way way = BEGUN; way < WAYS; way++) {
        if (!takes_part(s, way))
            continue;
        if (way == QUEUED) { /* now that nobody is idle */
            check_int(haft_cast(&s->client, add, (&(struct message){ NULL, -1 }), .drop = frame_drop), ==, 0);
            check_int(haft_actor_len(&s->client), ==, ++queued);
        }
        struct waiter w = { .client = &s->weak, .way = way, .m = { NULL, -1 } };
        if (way <= BEGUN_OUTCOME)
            w.m.gate = &s->gates[way];
        s->waiters[way] = haft_spawn(waits, &w, .kind = s->v.caller);
        haft_handle waiter = s->waiters[way]; /* which ends at once if it is refused */
        if (way <= BEGUN_OUTCOME)
            until(atomic_load(&s->gates[way].entered) || haft_is_finished(waiter));
        else if (way < ROOM)
            until(haft_actor_len(&s->client) == queued + 1 || haft_is_finished(waiter));
        else
            until(has_casters(s, casters + 1) || haft_is_finished(waiter));
        check(!haft_is_finished(waiter));
        queued += way > BEGUN_OUTCOME && way < ROOM;
        casters += way >= ROOM;
    }
    if (s->v.is_joined) {
        s->joiner = haft_spawn(joins, (&(struct joiner){ .actor = &s->actor }), .kind = s->v.caller);
        until(has_joiner(s) || haft_is_finished(s->joiner));
        check(!haft_is_finished(s->joiner));
    }
}

static void end(struct scene *s)
{
    switch (s->v.ending) {
    case STOP:
        check_int(haft_actor_stop(&s->actor), ==, 0);
        break;
    case JOIN_LATE: {
        HAFT_TIMEOUT(0);
        check_int(haft_actor_join(&s->actor), ==, HAFT_ETIMEDOUT);
        break;
    }
    case LAST_CLIENT:
        check_int(haft_client_drop(&s->client), ==, 0);
        break;
    case ABORT:
        check_int(haft_actor_abort(&s->actor), ==, 0);
        break;
    case PANIC: {
        struct gate *gate = &s->gates[s->v.is_pool ? BEGUN : s->v.begun];
        gate->panics = true;
        check_int(haft_unpark(gate->inside), ==, 0);
        break;
    }
    case SHUTDOWN:
        check_int(haft_runtime_drop(&s->runtime), ==, 0);
        break;
    }
}

static bool drains(const struct scene *s)
{
    return s->v.ending <= LAST_CLIENT;
}

static void check_begun(const struct scene *s, const struct waiter *w)
{
    bool panics = s->gates[w->way].panics;
    int body = drains(s) || s->v.ending == PANIC ? 0 : HAFT_ECANCELED; /* what it returns unless it panics */
    if (w->way == BEGUN_OUTCOME) {
        check_int(w->rc, ==, 0);
        check_int(w->out.end, ==, panics ? HAFT_PANICKED : HAFT_RETURNED);
        if (!panics)
            check_int(w->out.code, ==, body);
    } else {
        check_int(w->rc, ==, panics ? HAFT_EPANIC : body);
    }
    check_int(w->m.answer, ==, panics ? -1 : 5);
}

static void check_waiter(struct scene *s, enum way way)
{
    struct waiter w;
    if (!takes_part(s, way))
        return;
    check_int(haft_join(&s->waiters[way], &w), ==, 0);
    if (way <= BEGUN_OUTCOME) {
        check_begun(s, &w);
        return;
    }
    bool is_served = way < ROOM && drains(s);
    check_int(w.rc, ==, is_served ? 0 : HAFT_ECLOSED);
    check_int(w.m.answer, ==, is_served ? 1 : -1);
    if (is_served && way == QUEUED_OUTCOME)
        check_int(w.out.end, ==, HAFT_RETURNED);
}

static void check_end(struct scene *s)
{
    struct joiner j = { .actor = &s->actor };
    if (s->v.ending == LAST_CLIENT) {
        until(atomic_load(&states_dropped) == 1);
    } else {
        check_int(s->v.is_joined ? haft_join(&s->joiner, &j) : joins(&j), ==, 0);
        check_int(j.out.end, ==, drains(s) ? HAFT_RETURNED : s->v.ending == PANIC ? HAFT_PANICKED : HAFT_ABORTED);
        check_int(j.state.sum, ==, drains(s) ? 5 : 0);
        check_int(atomic_load(&states_dropped), ==, 0);
        check_ptr(s->actor.end_.core_, ==, NULL);
    }
    check_int(atomic_load(&frames_dropped), ==, 1); /* the cast's that was queued, served or not */
    check_int(haft_call(&s->weak, add, (&(struct message){ NULL, -1 })), ==, HAFT_ECLOSED);
    check(!haft_actor_is_alive(&s->weak));
    check_int(haft_client_drop(&s->client), ==, 0);
    check_int(haft_weak_client_drop(&s->weak), ==, 0);
}

static void run_scene(const struct variant *v)
{
    struct scene s;
    memset(&s, 0, sizeof s);
    s.v = *v;
    atomic_store(&frames_dropped, 0);
    atomic_store(&states_dropped, 0);
    start(&s);
    let_all_wait(&s);
    end(&s);
    /* Who waits for room is told at once; who is queued is when it has ended, or when the gates are opened. */
    check_waiter(&s, ROOM);
    check_waiter(&s, ROOM_DEADLINE);
    for (int i = 0; i < 2 && drains(&s); i++)
        if (takes_part(&s, (enum way)i))
            check_int(haft_unpark(s.gates[i].inside), ==, 0);
    for (enum way way = QUEUED; way < ROOM; way++)
        check_waiter(&s, way);
    if (v->ending == PANIC && v->is_pool) /* the other worker ends what it has begun */
        check_int(haft_unpark(s.gates[BEGUN_OUTCOME].inside), ==, 0);
    check_waiter(&s, BEGUN);
    check_waiter(&s, BEGUN_OUTCOME);
    check_end(&s);
}

static void run_ending(enum ending ending)
{
    silence_panics();
    bool may_be_joined = ending != LAST_CLIENT && ending != JOIN_LATE;
    for (int form = 0; form < 3; form++)
        for (int is_joined = 0; is_joined <= may_be_joined; is_joined++)
            for (haft_kind worker = HAFT_TASK; worker <= HAFT_THREAD; worker++)
                for_each_kind(caller)
                    run_scene(&(struct variant){ ending, form == 2, is_joined != 0, form == 1 ? BEGUN_OUTCOME : BEGUN,
                                                 worker, caller });
}

TEST("stopped: all calls are served, casts that wait for room are refused, a joiner has the state")
{
    run_ending(STOP);
}

TEST("joined by one who is late: the same")
{
    run_ending(JOIN_LATE);
}

TEST("left by its last client: the same, and the state is disposed of")
{
    run_ending(LAST_CLIENT);
}

TEST("aborted: the call that has begun is told, all others are refused, a joiner has the state")
{
    run_ending(ABORT);
}

TEST("ended by a panic: its caller is told, all others are refused, a joiner has the state")
{
    run_ending(PANIC);
}

TEST("at the end of its runtime: as aborted, for callers that are elsewhere")
{
    run_ending(SHUTDOWN);
}

static struct scene left;

TEST_EXITS("the end of the process waits for none of them", TEST_STATUS(4), NULL)
{
    left.v = (struct variant){ .ending = STOP, .is_pool = true, .is_joined = true };
    start(&left);
    let_all_wait(&left);
    exit(4);
}
