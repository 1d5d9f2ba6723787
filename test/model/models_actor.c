/* SPDX-License-Identifier: MIT
 *
 * Actors whose workers are threads: messages, a call's answer against its caller's leaving, room in the mailbox, clients
 * that are counted, and every kind of end. */
#include "world.h"

WORLD_RUNTIME(runtime);

struct state {
    int sum;
};
struct number {
    int value, answer;
};
typedef HAFT_ACTOR(struct state) owner;
typedef HAFT_CLIENT(struct state) client;
typedef HAFT_WEAK_CLIENT(struct state) weak_client;

static owner actor;
static client clients[2];
static int states_dropped, frames_dropped, begun;

static void count_state(void *state)
{
    (void)state;
    states_dropped++;
}

static void count_frame(void *frame)
{
    (void)frame;
    frames_dropped++;
}

static int add(struct state *s, struct number *n)
{
    begun++;
    s->sum += n->value;
    n->answer = s->sum;
    return 7;
}

static int park_once(struct state *s, struct number *n)
{
    begun++;
    s->sum += n->value;
    n->answer = haft_park();
    return n->answer;
}

static void start(size_t capacity)
{
    struct state s = { 0 };
    model_check(haft_actor_start(&actor, &s, .kind = HAFT_THREAD, .runtime = &runtime, .capacity = capacity,
                                 .drop = count_state) == 0);
}

static void check_nothing_is_left(void)
{
    model_join_all();
    model_check(haft__load_relaxed(&runtime.spawned) == haft__load_relaxed(&runtime.finished));
}

/* --- messages ---------------------------------------------------------------------------------------------------------- */

MODEL("actor: a cast and a call are served, and the state comes back")
{
    start(2);
    struct number n = { .value = 1 };
    struct state s;
    model_check(haft_cast(&actor, add, &n) == 0);
    n.value = 2;
    model_check(haft_call(&actor, add, &n) == 7 && n.answer == 3);
    model_check(haft_actor_join(&actor, &s) == 0 && s.sum == 3);
    model_check(states_dropped == 0);
    check_nothing_is_left();
}

static void call_once(void *argument)
{
    int i = (int)(intptr_t)argument;
    struct number n = { .value = 1 << i };
    model_check(haft_call(&clients[i], add, &n) == 7);
    model_check((n.answer & n.value) != 0);
    haft_client_drop(&clients[i]);
}

MODEL("actor: two call at once, and each gets its own answer", .is_large = true, .stale = -1)
{
    start(2);
    model_check(haft_client_of(&actor, &clients[0]) == 0 && haft_client_of(&actor, &clients[1]) == 0);
    int other = model_start(call_once, (void *)1);
    call_once((void *)0);
    model_join(other);
    struct state s;
    model_check(haft_actor_join(&actor, &s) == 0 && s.sum == 3);
    check_nothing_is_left();
}

static void cast_two(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2; i++) {
        struct number n = { .value = 1 };
        int rc = haft_cast(&clients[0], add, &n);
        model_check(rc == 0);
    }
    haft_client_drop(&clients[0]);
}

MODEL("actor: who waits for room in the mailbox gets the next place", .is_large = true, .stale = -1)
{
    start(1);
    model_check(haft_client_of(&actor, &clients[0]) == 0);
    cast_two(NULL);
    struct state s;
    model_check(haft_actor_join(&actor, &s) == 0 && s.sum == 2);
    check_nothing_is_left();
}

static int cast_rc;

static void cast_until_refused(void *argument)
{
    (void)argument;
    struct number n = { .value = 1 };
    do
        cast_rc = haft_cast(&clients[0], park_once, &n, .drop = count_frame);
    while (cast_rc == 0);
    haft_client_drop(&clients[0]);
}

MODEL("actor: an abort refuses whoever waits for room", .is_large = true, .stale = -1)
{
    start(1);
    model_check(haft_client_of(&actor, &clients[0]) == 0);
    int other = model_start(cast_until_refused, NULL);
    model_check(haft_actor_abort(&actor) == 0);
    model_join(other);
    model_check(cast_rc == HAFT_ECLOSED);
    int rc = haft_actor_join(&actor);
    model_check(rc == 0 || rc == HAFT_EABORTED);
    model_check(states_dropped == 1);
    check_nothing_is_left();
}

/* --- a call and its caller's leaving ----------------------------------------------------------------------------------- */

MODEL("call: late, it is withdrawn before it begins, or is in doubt")
{
    start(2);
    struct number n = { .value = 1 };
    int rc;
    {
        HAFT_TIMEOUT(100);
        rc = haft_call(&actor, add, &n, .drop = count_frame);
    }
    model_check(rc == 7 || rc == HAFT_ETIMEDOUT || rc == HAFT_EINDOUBT);
    struct state s;
    model_check(haft_actor_join(&actor, &s) == 0);
    model_check(s.sum == begun && begun == (rc != HAFT_ETIMEDOUT));
    model_check(frames_dropped == (rc == HAFT_EINDOUBT));
    model_check(n.answer == (rc == 7));
    check_nothing_is_left();
}

struct large {
    int value, answer;
    char more[300];
};

static int add_large(struct state *s, struct large *n)
{
    begun++;
    s->sum += n->value;
    n->answer = s->sum;
    return 7;
}

MODEL("call: late with a large frame, which is moved outside of the lock", .is_large = true)
{
    start(2);
    struct large n = { .value = 1 };
    int rc;
    {
        HAFT_TIMEOUT(100);
        rc = haft_call(&actor, add_large, &n, .drop = count_frame);
    }
    model_check(rc == 7 || rc == HAFT_ETIMEDOUT || rc == HAFT_EINDOUBT);
    struct state s;
    model_check(haft_actor_join(&actor, &s) == 0);
    model_check(s.sum == begun && begun == (rc != HAFT_ETIMEDOUT));
    model_check(frames_dropped == (rc == HAFT_EINDOUBT));
    model_check(n.answer == (rc == 7));
    check_nothing_is_left();
}

static int call_in_job(struct number *n)
{
    n->answer = haft_call(&clients[0], park_once, n, .drop = count_frame);
    haft_client_drop(&clients[0]);
    return n->answer;
}

MODEL("call: its caller is aborted while it waits", .is_large = true, .stale = -1)
{
    start(2);
    model_check(haft_client_of(&actor, &clients[0]) == 0);
    struct number n = { .value = 1 };
    haft_handle h = haft_spawn(call_in_job, &n, .kind = HAFT_THREAD, .runtime = &runtime);
    model_check(haft_abort(h) == 0);
    int rc = haft_join(&h, &n);
    model_check(haft_actor_abort(&actor) == 0); /* what the body that parks waits for */
    if (rc == HAFT_EABORTED)
        haft_client_drop(&clients[0]);
    else
        model_check(rc == HAFT_ECANCELED || rc == HAFT_EINDOUBT);
    int end = haft_actor_join(&actor);
    model_check(end == 0 || end == HAFT_EABORTED);
    model_check(begun <= 1 && frames_dropped == begun);
    check_nothing_is_left();
}

static int call_add_in_job(struct number *n)
{
    int rc = haft_call(&clients[0], add, n);
    model_check(rc == 7 || rc == HAFT_ECLOSED);
    haft_client_drop(&clients[0]);
    return 3;
}

MODEL("call: a wake that was for something else comes while it is refused", .is_large = true, .stale = -1)
{
    start(2);
    model_check(haft_client_of(&actor, &clients[0]) == 0);
    struct number n = { .value = 1 };
    haft_handle h = haft_spawn(call_add_in_job, &n, .kind = HAFT_THREAD, .runtime = &runtime);
    model_check(haft_actor_abort(&actor) == 0);
    haft_unpark(h);
    model_check(haft_join(&h) == 3);
    int rc = haft_actor_join(&actor);
    model_check(rc == 0 || rc == HAFT_EABORTED);
    check_nothing_is_left();
}

/* --- ends ---------------------------------------------------------------------------------------------------------------- */

static void call_or_closed(void *argument)
{
    (void)argument;
    struct number n = { .value = 1 };
    int rc = haft_call(&clients[0], add, &n);
    model_check(rc == 7 || rc == HAFT_ECLOSED);
    model_check((rc == 7) == (begun == 1));
    haft_client_drop(&clients[0]);
}

MODEL("actor: a call comes while it is joined: answered or refused", .is_large = true, .stale = -1)
{
    start(2);
    model_check(haft_client_of(&actor, &clients[0]) == 0);
    int other = model_start(call_or_closed, NULL);
    struct state s;
    model_check(haft_actor_join(&actor, &s) == 0);
    model_join(other);
    model_check(s.sum == begun);
    check_nothing_is_left();
}

MODEL("actor: a call comes while it is aborted: answered or refused", .is_large = true, .stale = -1)
{
    start(2);
    model_check(haft_client_of(&actor, &clients[0]) == 0);
    int other = model_start(call_or_closed, NULL);
    model_check(haft_actor_abort(&actor) == 0);
    model_join(other);
    int rc = haft_actor_join(&actor);
    model_check(rc == 0 || rc == HAFT_EABORTED);
    model_check(states_dropped == 1);
    check_nothing_is_left();
}

MODEL("actor: a body that waits is told of the abort")
{
    start(2);
    struct number n = { .value = 1 };
    model_check(haft_cast(&actor, park_once, &n, .drop = count_frame) == 0);
    model_check(haft_actor_abort(&actor) == 0);
    struct state s;
    int rc = haft_actor_join(&actor, &s);
    model_check(rc == 0 || rc == HAFT_EABORTED);
    model_check(frames_dropped == 1 && s.sum == begun);
    check_nothing_is_left();
}

/* --- clients ------------------------------------------------------------------------------------------------------------- */

static void drop_client(void *argument)
{
    int i = (int)(intptr_t)argument;
    model_check(haft_client_drop(&clients[i]) == 0);
}

MODEL("clients: a detached actor ends with its last client, and its memory with its last end", .is_large = true)
{
    start(2);
    model_check(haft_client_of(&actor, &clients[0]) == 0 && haft_client_of(&actor, &clients[1]) == 0);
    int other = model_start(drop_client, (void *)1);
    model_check(haft_actor_detach(&actor) == 0);
    drop_client((void *)0);
    model_join(other);
    model_join(1);
    model_check(states_dropped == 1);
    check_nothing_is_left();
}

MODEL("clients: a cast by the last client is served although it goes at once")
{
    start(2);
    struct number n = { .value = 1 };
    model_check(haft_client_of(&actor, &clients[0]) == 0);
    model_check(haft_actor_detach(&actor) == 0);
    model_check(haft_cast(&clients[0], add, &n, .drop = count_frame) == 0);
    drop_client((void *)0);
    model_join(1);
    model_check(states_dropped == 1 && frames_dropped == 1 && begun == 1);
    check_nothing_is_left();
}

static weak_client weak;

static void upgrade_and_call(void *argument)
{
    client mine;
    struct number n = { .value = 1 };
    (void)argument;
    int rc = haft_client_upgrade(&weak, &mine);
    model_check(rc == 0 || rc == HAFT_ECLOSED);
    if (rc == 0) {
        model_check(haft_call(&mine, add, &n) == 7);
        haft_client_drop(&mine);
    }
    haft_weak_client_drop(&weak);
}

MODEL("clients: a weak one is upgraded while the last client goes", .is_large = true, .stale = -1)
{
    start(2);
    model_check(haft_client_of(&actor, &clients[0]) == 0 && haft_client_downgrade(&clients[0], &weak) == 0);
    model_check(haft_actor_detach(&actor) == 0);
    int other = model_start(upgrade_and_call, NULL);
    drop_client((void *)0);
    model_join(other);
    model_join(1);
    model_check(states_dropped == 1);
    check_nothing_is_left();
}
