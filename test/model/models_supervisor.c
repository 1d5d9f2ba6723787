/* SPDX-License-Identifier: MIT
 *
 * Supervisors whose children are threads. The keeper is the model's first thread instead of a task of its own, which needs
 * no scheduler, and so only the strategy HAFT_ONE_FOR_ONE, under which it never gives way. */
#include "actor/supervisor.h"
#include "world.h"

WORLD_RUNTIME(runtime);
static struct haft_supervisor sup;
static int dropped;
static haft__atomic(uint32_t) runs, met;

/* As haft_supervisor_new_raw makes it. */
static void begin(void)
{
    model_calm(true); /* until all have met */
    sup.done = haft__keeper_ended;
    sup.keeper = world_root()->record;
    sup.runtime = &runtime;
    sup.options.restarts = HAFT_RESTARTS_UNLIMITED;
    haft__list_init(&sup.children);
    haft__list_init(&sup.ended);
    haft__list_init(&sup.waiters);
}

static void count_drop(void *frame)
{
    (void)frame;
    dropped++;
}

static int add_child(int (*body)(int *))
{
    int n = 7;
    return haft_supervise(&sup, body, &n, .kind = HAFT_THREAD, .name = "child", .drop = count_drop);
}

/* What a model is about begins once its two threads beside the keeper are there, and have records. Orders nothing. */
static void meet(void)
{
    uint32_t now;
    world_root();
    haft__fetch_add_relaxed(&met, 1);
    model_wake((volatile uint32_t *)&met, 2);
    while ((now = haft__load_relaxed(&met)) < 2)
        model_sleep((volatile uint32_t *)&met, now, INT64_MAX);
    model_calm(false);
}

/* Until somebody stops the supervisor. */
static void keep(void)
{
    haft_supervisor *at = &sup;
    haft__link *link;
    model_check(haft__keeper(&at) == 0);
    model_join_all();
    model_calm(true);
    model_check(sup.is_over && sup.active == 0 && sup.due == 0 && sup.starting == 0);
    while ((link = haft__list_take(&sup.children)) != NULL)
        haft__child_free(HAFT__CONTAINER(link, haft__child, link));
    model_check(haft__load_relaxed(&runtime.spawned) == haft__load_relaxed(&runtime.finished));
}

static void stop(void *argument)
{
    (void)argument;
    model_check(haft_supervisor_stop(&sup) == 0);
}

/* Dies in its first run, ends in its second. */
static int die_once(int *n)
{
    if (haft__fetch_add_relaxed(&runs, 1) != 0)
        return 0;
    meet();
    return -*n;
}

static int die_once_then_wait(int *n)
{
    if (haft__fetch_add_relaxed(&runs, 1) != 0)
        return haft_park();
    meet();
    return -*n;
}

static int wait_until_aborted(int *n)
{
    meet();
    int rc = haft_park();
    model_check(rc == HAFT_ECANCELED);
    return rc + *n - *n;
}

static int die_once_then_stop_all(int *n)
{
    model_calm(false);
    if (haft__fetch_add_relaxed(&runs, 1) == 0)
        return -*n;
    stop(NULL);
    return 0;
}

MODEL("supervisor: a child that dies runs again, and may stop all from within")
{
    begin();
    model_check(add_child(die_once_then_stop_all) == 0);
    keep();
    model_check(haft__load_relaxed(&runs) == 2 && dropped == 1);
}

static void meet_and_stop(void *argument)
{
    meet();
    stop(argument);
}

MODEL("supervisor: it is stopped while a child dies and is to run again", .is_large = true, .stale = -1)
{
    begin();
    model_check(add_child(die_once_then_wait) == 0);
    int other = model_start(meet_and_stop, NULL);
    keep();
    model_join(other);
    model_check(haft__load_relaxed(&runs) <= 2 && dropped == 1);
}

static void wait_and_stop(void *argument)
{
    (void)argument;
    meet();
    model_check(haft_supervisor_wait(&sup) == 0);
    model_check(haft__load_relaxed(&runs) == 2 && dropped == 1);
    stop(NULL);
}

MODEL("supervisor: whoever waits goes on when the last child has ended and will not run again", .is_large = true,
      .stale = -1)
{
    begin();
    model_check(add_child(die_once) == 0);
    int other = model_start(wait_and_stop, NULL);
    keep();
    model_join(other);
}

static void remove_and_stop(void *argument)
{
    (void)argument;
    meet();
    model_check(haft_supervisor_remove(&sup, "child") == 0);
    model_check(dropped == 1);
    stop(NULL);
}

MODEL("supervisor: a child is removed while it dies or is to run again", .is_large = true, .stale = -1)
{
    begin();
    model_check(add_child(die_once_then_wait) == 0);
    int other = model_start(remove_and_stop, NULL);
    keep();
    model_join(other);
    model_check(haft__load_relaxed(&runs) <= 2 && haft__list_is_empty(&sup.children));
}

static void remove_in_time_and_stop(void *argument)
{
    int rc;
    (void)argument;
    meet();
    {
        HAFT_TIMEOUT(100);
        rc = haft_supervisor_remove(&sup, "child");
    }
    model_check(rc == 0 || rc == HAFT_ETIMEDOUT);
    stop(NULL);
}

MODEL("supervisor: whoever removes a child gives up waiting while it is told", .is_large = true, .stale = -1)
{
    begin();
    model_check(add_child(wait_until_aborted) == 0);
    int other = model_start(remove_in_time_and_stop, NULL);
    keep();
    model_join(other);
    model_check(dropped == 1);
}

static int added;

static int park(int *n)
{
    int rc = haft_park();
    model_check(rc == HAFT_ECANCELED);
    return rc + *n - *n;
}

static void add_late(void *argument)
{
    (void)argument;
    added = add_child(park);
    model_check(added == 0 || added == HAFT_ECLOSED);
}

MODEL("supervisor: a child is added while it is stopped: it is ended, or refused", .is_large = true, .stale = -1)
{
    begin();
    model_calm(false);
    int other = model_start(add_late, NULL);
    stop(NULL);
    keep();
    model_join(other);
    model_check(dropped == (added == 0));
}

/* --- actors ---------------------------------------------------------------------------------------------------------------- */

struct state {
    int sum;
};
struct number {
    int value, answer;
};
typedef HAFT_ACTOR(struct state) owner;
typedef HAFT_CLIENT(struct state) client;

static owner actor;
static client user;
static haft__atomic(uint32_t) states_dropped;

static void count_state(void *state)
{
    (void)state;
    haft__fetch_add_relaxed(&states_dropped, 1);
}

static int add(struct state *s, struct number *n)
{
    s->sum += n->value;
    n->answer = s->sum;
    return 7;
}

static int panic_with(struct state *s, struct number *n)
{
    meet();
    s->sum = 1000;
    haft_panic("number %d", n->value);
}

static void begin_with_actor(void)
{
    struct state s = { 10 };
    begin();
    model_check(haft_supervise_actor(&sup, &actor, &s, .kind = HAFT_THREAD, .name = "actor", .drop = count_state) == 0);
    model_check(haft_client_of(&actor, &user) == 0);
}

/* Every state that was made is disposed of once: so many, at least and at most. */
static void end_with_actor(uint32_t least, uint32_t most)
{
    keep();
    int rc = haft_actor_join(&actor);
    model_check(rc == 0 || rc == HAFT_EPANIC || rc == HAFT_EABORTED);
    model_join_all();
    uint32_t n = haft__load_relaxed(&states_dropped);
    model_check(n >= least && n <= most);
}

static void call_and_stop(void *argument)
{
    struct number n = { .value = 1 };
    (void)argument;
    meet();
    model_check(haft_call(&user, add, &n) == 7 && n.answer == 11);
    haft_client_drop(&user);
    stop(NULL);
}

MODEL("supervised actor: a call that comes while it is down is served with a fresh state", .is_large = true,
      .stale = -1)
{
    struct number n = { .value = 1 };
    begin_with_actor();
    model_check(haft_cast(&actor, panic_with, &n) == 0);
    int other = model_start(call_and_stop, NULL);
    end_with_actor(2, 2);
    model_join(other);
}

static void call_while_it_ends(void *argument)
{
    struct number n = { .value = 1 };
    (void)argument;
    meet();
    stop(NULL);
    int rc = haft_call(&user, add, &n);
    model_check((rc == 7 && n.answer == 11) || rc == HAFT_ECLOSED);
    haft_client_drop(&user);
}

MODEL("supervised actor: its supervisor is stopped while it is down and called: the call is answered or refused",
      .is_large = true, .stale = -1)
{
    struct number n = { .value = 1 };
    begin_with_actor();
    model_check(haft_cast(&actor, panic_with, &n) == 0);
    int other = model_start(call_while_it_ends, NULL);
    end_with_actor(1, 2);
    model_join(other);
}

static void abort_actor_and_stop(void *argument)
{
    (void)argument;
    meet();
    model_check(haft_actor_abort(&actor) == 0);
    stop(NULL);
}

MODEL("supervised actor: its owner aborts it while it is down", .is_large = true, .stale = -1)
{
    struct number n = { .value = 1 };
    begin_with_actor();
    haft_client_drop(&user);
    model_check(haft_cast(&actor, panic_with, &n) == 0);
    int other = model_start(abort_actor_and_stop, NULL);
    end_with_actor(1, 2);
    model_join(other);
}
