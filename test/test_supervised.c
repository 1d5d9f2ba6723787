/* SPDX-License-Identifier: MIT
 *
 * Actors under a supervisor: clients, and what is queued, outlive the state; and whatever happens, nobody who calls waits
 * for ever.
 *
 * Over 600 lines, because all of them share the children that die and the calls that are counted. */
#include <haft/haft.h>

#include <pthread.h>

#include "actor/actor.h"
#include "callers.h"
#include "fake_os.h"

/* --- a state, and bodies ------------------------------------------------------------------------------------------ */

struct state {
    int sum;
    _Atomic int *drops;
};
typedef HAFT_ACTOR(struct state) owner;
typedef HAFT_CLIENT(struct state) client;

static void state_drop(void *state)
{
    atomic_fetch_add(((struct state *)state)->drops, 1);
}

static int add(struct state *s, int *n)
{
    s->sum += *n;
    *n = s->sum;
    return 0;
}

static int dies(struct state *s)
{
    s->sum = -1;
    haft_panic("a message that kills");
}

static _Atomic int frames_dropped;
static void frame_drop(void *frame)
{
    (void)frame;
    atomic_fetch_add(&frames_dropped, 1);
}

/* Serves until it is let through, or told of an abort. */
struct gate {
    _Atomic int entered, is_open, rc;
    haft_handle inside;
    bool kills;
};

static int passes(struct state *s, struct gate **frame)
{
    struct gate *g = *frame;
    s->sum += 100;
    g->inside = haft_self();
    atomic_store(&g->entered, 1);
    int rc = 0;
    while (rc == 0 && !atomic_load(&g->is_open))
        rc = haft_park();
    atomic_store(&g->rc, rc);
    if (g->kills)
        haft_panic("behind the gate");
    return rc;
}

static void enter(owner *a, struct gate *g)
{
    check_int(haft_cast(a, passes, &g), ==, 0);
    until(atomic_load(&g->entered));
}

static void open_gate(struct gate *g)
{
    atomic_store(&g->is_open, 1);
    check_int(haft_unpark(g->inside), ==, 0);
}

static int added(const client *c, int n)
{
    int rc = haft_call(c, add, &n);
    check_int(rc, ==, 0);
    return n;
}

struct house {
    haft_supervisor *sup;
    owner a;
    client c;
    _Atomic int drops;
};

#define for_each_worker(kind) for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++)

static void build(struct house *h, haft_supervisor *sup, haft_kind kind, int64_t grace)
{
    h->sup = sup;
    check_ptr(sup, !=, NULL);
    atomic_store(&h->drops, 0);
    struct state s = { .sum = 10, .drops = &h->drops };
    check_int(haft_supervise_actor(sup, &h->a, &s, .name = "adder", .kind = kind, .drop = state_drop, .grace = grace),
              ==, 0);
    check_int(haft_client_of(&h->a, &h->c), ==, 0);
}

/* The supervisor first, or the actor. */
static void pull_down(struct house *h, bool supervisor_first)
{
    if (supervisor_first)
        check_int(haft_supervisor_drop(&h->sup), ==, 0);
    haft_actor_drop(&h->a);
    int n = 1;
    check_int(haft_call(&h->c, add, &n), ==, HAFT_ECLOSED);
    haft_client_drop(&h->c);
    if (!supervisor_first)
        check_int(haft_supervisor_drop(&h->sup), ==, 0);
}

static bool is_to_go_down(const owner *a)
{
    haft__actor *core = a->end_.core_;
    haft__lock_acquire(&core->lock);
    bool is_pausing = core->is_pausing;
    haft__lock_release(&core->lock);
    return is_pausing;
}

static haft_child_info info_of(struct house *h)
{
    haft_child_info info;
    check_int(haft_supervisor_child(h->sup, "adder", &info), ==, 0);
    return info;
}

/* --- panics ------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("after a panic the caller is told, and the same client is served from a fresh state")
{
    silence_panics();
    for_each_worker(kind) for (int first = 0; first < 2; first++)
    {
        struct house h;
        build(&h, haft_supervisor_new(), kind, 0);
        check_int(added(&h.c, 1), ==, 11);
        check_int(haft_call(&h.c, dies, HAFT_NO_FRAME), ==, HAFT_EPANIC);
        check_int(added(&h.c, 2), ==, 12);
        check_int(added(&h.c, 2), ==, 14);
        check_int(atomic_load(&h.drops), ==, 1);
        check(haft_actor_is_alive(&h.c));
        haft_child_info info = info_of(&h);
        check_uint(info.restarts, ==, 1);
        check_int(info.last.end, ==, HAFT_PANICKED);
        check_str(info.last.panic.message, "a message that kills");
        check_str(haft_name(info.job), "adder");
        pull_down(&h, first == 0);
        check_int(atomic_load(&h.drops), ==, 2);
    }
}

TEST_FROM_EVERY_CALLER(
    "what was queued is served after the restart, in its order, and the message that killed is not tried again")
{
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 0);
    struct gate g = { .kills = true };
    enter(&h.a, &g);
    check_int(haft_cast(&h.c, add, &(int){ 1 }), ==, 0);
    check_int(haft_cast(&h.c, add, &(int){ 2 }), ==, 0);
    open_gate(&g);
    check_int(added(&h.c, 4), ==, 17);
    check_int(atomic_load(&g.entered), ==, 1);
    pull_down(&h, true);
}

TEST_FROM_EVERY_CALLER("a supervised actor's owner gets the last state back")
{
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 0);
    check_int(haft_call(&h.a, dies, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    check_int(haft_cast(&h.a, add, &(int){ 5 }), ==, 0);
    struct state s = { 0 };
    check_int(haft_actor_join(&h.a, &s), ==, 0);
    check_int(s.sum, ==, 15);
    check_int(atomic_load(&h.drops), ==, 1);
    check_int(haft_supervisor_wait(h.sup), ==, 0); /* that was no death */
    check(haft_is_null(info_of(&h).job));
    haft_client_drop(&h.c);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
    check_int(atomic_load(&h.drops), ==, 1);
}

struct payload {
    _Atomic int *freed;
};

static void free_payload(void *freed)
{
    atomic_fetch_add((_Atomic int *)freed, 1);
}

static int dies_with(struct state *s, struct payload *p)
{
    (void)s;
    haft_panic_with((void *)p->freed, free_payload);
}

TEST_FROM_EVERY_CALLER("each panic's payload is freed once, the last one by whoever joins")
{
    silence_panics();
    struct house h;
    _Atomic int freed = 0;
    struct payload p = { &freed };
    build(&h, haft_supervisor_new(.restarts = 1, .within = INT64_MAX), HAFT_TASK, 0);
    check_int(haft_call(&h.c, dies_with, &p), ==, HAFT_EPANIC);
    check_int(added(&h.c, 1), ==, 11);
    check_int(freed, ==, 1);
    check_int(haft_call(&h.c, dies_with, &p), ==, HAFT_EPANIC);
    check_int(haft_supervisor_wait(h.sup), ==, HAFT_EPANIC);
    haft_outcome out;
    check_int(haft_actor_join_outcome(&h.a, HAFT_NO_FRAME, &out), ==, 0);
    check_int(out.end, ==, HAFT_PANICKED);
    check_int(freed, ==, 1);
    haft_panic_drop(&out.panic);
    check_int(freed, ==, 2);
    haft_client_drop(&h.c);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
}

static int locks(struct state *s, haft_mutex **m)
{
    (void)s;
    return haft_mutex_lock(*m);
}

TEST_FROM_EVERY_CALLER("what the worker left locked is released when it dies")
{
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(.backoff = 3600 * HAFT_S), HAFT_TASK, 0);
    haft_mutex mutex = HAFT_MUTEX_INIT, *m = &mutex;
    check_int(haft_call(&h.c, locks, &m), ==, 0);
    check_int(haft_call(&h.c, dies, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    check_int(haft_mutex_lock(m), ==, HAFT_EPOISONED);
    haft_mutex_heal(m);
    haft_mutex_unlock(m);
    pull_down(&h, true);
}

static int exits_the_thread(struct state *s)
{
    (void)s;
    pthread_exit(NULL);
}

TEST_FROM_EVERY_CALLER("a body that leaves by pthread_exit ends the actor, and its caller is told")
{
    test_needs_kernel("pthread_exit");
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_THREAD, 0);
    check_int(haft_call(&h.c, exits_the_thread, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    int n = 1;
    check_int(haft_call(&h.c, add, &n), ==, HAFT_ECLOSED);
    check_int(haft_supervisor_wait(h.sup), ==, 0);
    pull_down(&h, false);
}

/* --- giving up ---------------------------------------------------------------------------------------------------- */

static int calls_behind_the_gate(client *c)
{
    int n = 1;
    return haft_call(c, add, &n);
}

TEST_FROM_EVERY_CALLER(
    "when the supervisor gives up, who waits is told by HAFT_ECLOSED, and frames of casts are dropped")
{
    silence_panics();
    for_each_worker(kind)
    {
        struct house h;
        build(&h, haft_supervisor_new(.restarts = 0, .within = HAFT_S), kind, 0);
        atomic_store(&frames_dropped, 0);
        struct gate g = { .kills = true };
        enter(&h.a, &g);
        haft_handle callers[3];
        for (int i = 0; i < 3; i++)
            callers[i] = haft_spawn(calls_behind_the_gate, &h.c);
        check_int(haft_cast(&h.c, add, &(int){ 1 }, .drop = frame_drop), ==, 0);
        until(haft_actor_len(&h.c) == 4);
        open_gate(&g);
        for (int i = 0; i < 3; i++)
            check_int(haft_join(&callers[i]), ==, HAFT_ECLOSED);
        check_int(haft_supervisor_wait(h.sup), ==, HAFT_EPANIC);
        check_int(atomic_load(&frames_dropped), ==, 1);
        check(!haft_actor_is_alive(&h.c));
        struct state s;
        check_int(haft_actor_join(&h.a, &s), ==, HAFT_EPANIC);
        check_int(s.sum, ==, 110); /* as the panic left it */
        check_int(atomic_load(&h.drops), ==, 0);
        haft_client_drop(&h.c);
        check_int(haft_supervisor_drop(&h.sup), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("a supervisor that is dropped while a worker is down ends the actor")
{
    silence_panics();
    for (int how = 0; how < 3; how++) {
        struct house h;
        build(&h, haft_supervisor_new(.backoff = 3600 * HAFT_S), HAFT_TASK, 0);
        check_int(haft_call(&h.c, dies, HAFT_NO_FRAME), ==, HAFT_EPANIC);
        haft_handle caller = haft_spawn(calls_behind_the_gate, &h.c);
        until(haft_actor_len(&h.c) == 1);
        if (how == 0)
            check_int(haft_supervisor_drop(&h.sup), ==, 0);
        else if (how == 1)
            check_int(haft_supervisor_remove(h.sup, "adder"), ==, 0);
        else
            check_int(haft_actor_abort(&h.a), ==, 0);
        check_int(haft_join(&caller), ==, HAFT_ECLOSED);
        check_int(haft_actor_join(&h.a), ==, HAFT_EPANIC);
        haft_client_drop(&h.c);
        check_int(haft_supervisor_drop(&h.sup), ==, 0);
        check_int(atomic_load(&h.drops), ==, 1);
    }
}

/* --- ends that are no deaths --------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("an owner's abort ends a supervised actor for good")
{
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 0);
    struct gate g = { 0 };
    enter(&h.a, &g);
    check_int(haft_actor_abort(&h.a), ==, 0);
    check_int(haft_supervisor_wait(h.sup), ==, 0);
    check_int(atomic_load(&g.rc), ==, HAFT_ECANCELED);
    check_int(haft_actor_join(&h.a), ==, HAFT_EABORTED);
    haft_client_drop(&h.c);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
}

TEST_FROM_EVERY_CALLER("a detached supervised actor ends with its last client, over a restart")
{
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 0);
    check_int(haft_actor_detach(&h.a), ==, 0);
    check_int(haft_call(&h.c, dies, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    check_int(added(&h.c, 1), ==, 11);
    check_int(haft_client_drop(&h.c), ==, 0);
    check_int(haft_supervisor_wait(h.sup), ==, 0);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
    check_int(atomic_load(&h.drops), ==, 2);
}

TEST_FROM_EVERY_CALLER("a panic while the actor drains ends it")
{
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 0);
    struct gate g = { .kills = true };
    enter(&h.a, &g);
    check_int(haft_actor_stop(&h.a), ==, 0);
    open_gate(&g);
    check_int(haft_actor_join(&h.a), ==, HAFT_EPANIC);
    check_int(haft_supervisor_wait(h.sup), ==, 0);
    haft_client_drop(&h.c);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
    check_int(atomic_load(&h.drops), ==, 1);
}

/* --- stopping ------------------------------------------------------------------------------------------------------ */

TEST_FROM_EVERY_CALLER("a supervisor that is stopped lets an actor drain within its grace")
{
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 3600 * HAFT_S);
    struct gate g = { 0 };
    enter(&h.a, &g);
    check_int(haft_cast(&h.c, add, &(int){ 1 }), ==, 0);
    check_int(haft_supervisor_stop(h.sup), ==, 0);
    int n = 1, rc;
    while ((rc = haft_try_cast(&h.c, add, &n)) == 0) /* until the stop has reached it */
        check_int(haft_yield(), ==, 0);
    check(rc == HAFT_ECLOSED || rc == HAFT_EAGAIN);
    open_gate(&g);
    check_int(haft_supervisor_wait(h.sup), ==, 0);
    struct state s;
    check_int(haft_actor_join(&h.a, &s), ==, 0);
    check_int(s.sum, >=, 111);
    haft_client_drop(&h.c);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
}

TEST_FROM_EVERY_CALLER("without a grace a supervisor that is stopped aborts an actor's message")
{
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 0);
    struct gate g = { 0 };
    enter(&h.a, &g);
    check_int(haft_cast(&h.c, add, &(int){ 1 }), ==, 0);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
    check_int(atomic_load(&g.rc), ==, HAFT_ECANCELED);
    struct state s;
    check_int(haft_actor_join(&h.a, &s), ==, HAFT_EABORTED);
    check_int(s.sum, ==, 110);
    haft_client_drop(&h.c);
}

/* --- siblings ------------------------------------------------------------------------------------------------------ */

static int dies_when_told(haft_event **told)
{
    int rc = haft_event_wait(*told);
    if (rc != 0)
        return rc;
    haft_event_reset(*told);
    return -1;
}

TEST_FROM_EVERY_CALLER("an actor is started again with its siblings, behind the message that it serves")
{
    for_each_worker(kind)
    {
        struct house h;
        build(&h, haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL), kind, 3600 * HAFT_S);
        haft_event event = HAFT_EVENT_INIT, *told = &event;
        check_int(haft_supervise(h.sup, dies_when_told, &told, .name = "sibling"), ==, 0);
        struct gate g = { 0 };
        enter(&h.a, &g);
        check_int(haft_cast(&h.c, add, &(int){ 1 }), ==, 0);
        haft_event_set(told);
        until(is_to_go_down(&h.a));
        open_gate(&g);
        check_int(added(&h.c, 2), ==, 13);
        check_int(atomic_load(&g.rc), ==, 0);
        check_int(atomic_load(&h.drops), ==, 1);
        check_int(info_of(&h).last.end, ==, HAFT_RETURNED);
        pull_down(&h, true);
    }
}

TEST_FROM_EVERY_CALLER("a message that is in the way of a restart is aborted after the grace, and the next one is not")
{
    for_each_worker(kind)
    {
        struct house h;
        build(&h, haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL), kind, 0);
        haft_event event = HAFT_EVENT_INIT, *told = &event;
        check_int(haft_supervise(h.sup, dies_when_told, &told, .name = "sibling"), ==, 0);
        for (int i = 1; i <= 2; i++) {
            struct gate g = { 0 };
            enter(&h.a, &g);
            haft_event_set(told);
            check_int(added(&h.c, 1), ==, 11);
            check_int(atomic_load(&g.rc), ==, HAFT_ECANCELED);
            check_int(atomic_load(&h.drops), ==, i);
            check_int(info_of(&h).last.end, ==, HAFT_ABORTED);
            g = (struct gate){ 0 };
            enter(&h.a, &g); /* it can wait */
            open_gate(&g);
            check_int(added(&h.c, 1), ==, 112);
            check_int(atomic_load(&g.rc), ==, 0);
        }
        pull_down(&h, true);
    }
}

TEST_FROM_EVERY_CALLER("an owner's abort ends an actor for good that is about to be started again, too")
{
    struct house h;
    build(&h, haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL), HAFT_TASK, 3600 * HAFT_S);
    haft_event event = HAFT_EVENT_INIT, *told = &event;
    check_int(haft_supervise(h.sup, dies_when_told, &told, .name = "sibling"), ==, 0);
    struct gate g = { 0 };
    enter(&h.a, &g);
    haft_event_set(told);
    until(is_to_go_down(&h.a));
    check_int(haft_actor_abort(&h.a), ==, 0);
    check_int(haft_actor_join(&h.a), ==, HAFT_EABORTED);
    check_int(atomic_load(&g.rc), ==, HAFT_ECANCELED);
    check(haft_is_null(info_of(&h).job));
    haft_client_drop(&h.c);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
    check_int(atomic_load(&h.drops), ==, 1);
}

TEST_FROM_EVERY_CALLER("an idle actor is started again with its siblings, too")
{
    struct house h;
    build(&h, haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL), HAFT_TASK, 0);
    haft_event event = HAFT_EVENT_INIT, *told = &event;
    check_int(haft_supervise(h.sup, dies_when_told, &told, .name = "sibling"), ==, 0);
    check_int(added(&h.c, 1), ==, 11);
    haft_event_set(told);
    until(atomic_load(&h.drops) == 1);
    check_int(added(&h.c, 1), ==, 11);
    check_uint(info_of(&h).restarts, ==, 1);
    pull_down(&h, true);
}

/* --- time ---------------------------------------------------------------------------------------------------------- */

static void on_a_virtual_clock(void (*body)(void))
{
    struct caller caller = { .body = body };
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
    check_int(haft_run(caller_run, &caller, .workers = 1), ==, 0);
    fake_os_leave();
}

#define TEST_ON_A_VIRTUAL_CLOCK(sentence) TEST_CALLERS__(TEST, on_a_virtual_clock, __LINE__, sentence)

TEST_ON_A_VIRTUAL_CLOCK("who calls while the worker is down waits for the restart, or leaves in time")
{
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(.backoff = 10 * HAFT_S, .backoff_max = 10 * HAFT_S), HAFT_TASK, 0);
    int64_t start = haft_now();
    check_int(haft_call(&h.c, dies, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    check_int(haft_now() - start, <, HAFT_S);
    {
        HAFT_TIMEOUT(HAFT_S);
        int n = 1;
        check_int(haft_call(&h.c, add, &n), ==, HAFT_ETIMEDOUT);
    }
    check_int(added(&h.c, 1), ==, 11);
    check_int(haft_now() - start, >=, 5 * HAFT_S);
    check_int(haft_now() - start, <=, 10 * HAFT_S + HAFT_MS);
    pull_down(&h, true);
}

TEST_ON_A_VIRTUAL_CLOCK("timers outlive a restart")
{
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 0);
    check_int(haft_actor_after(&h.c, 2 * HAFT_S, add, &(int){ 5 }), ==, 0);
    check_int(haft_actor_every(&h.c, HAFT_S, add, &(int){ 0 }), ==, 0);
    check_int(haft_call(&h.c, dies, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    check_int(added(&h.c, 0), ==, 10);
    check_int(haft_sleep(2500 * HAFT_MS), ==, 0);
    check_int(added(&h.c, 0), >=, 15);
    pull_down(&h, true);
}

TEST_ON_A_VIRTUAL_CLOCK("an owner that joins while the worker is down waits for the restart, and all is served")
{
    silence_panics();
    struct house h;
    build(&h, haft_supervisor_new(.backoff = 10 * HAFT_S), HAFT_TASK, 0);
    check_int(haft_call(&h.c, dies, HAFT_NO_FRAME), ==, HAFT_EPANIC);
    check_int(haft_cast(&h.c, add, &(int){ 5 }), ==, 0);
    struct state s;
    check_int(haft_actor_join(&h.a, &s), ==, 0);
    check_int(s.sum, ==, 15);
    haft_client_drop(&h.c);
    check_int(haft_supervisor_drop(&h.sup), ==, 0);
}

/* --- wrong callers, and refusals ----------------------------------------------------------------------------------- */

static int asks_its_supervisor(struct state *s, haft_supervisor **frame)
{
    (void)s;
    haft_supervisor *sup = *frame;
    check_int(haft_supervisor_wait(sup), ==, HAFT_EDEADLK);
    check_int(haft_supervisor_drop(&sup), ==, HAFT_EDEADLK);
    check_int(haft_supervisor_remove(sup, "adder"), ==, HAFT_EDEADLK);
    return 0;
}

TEST_FROM_EVERY_CALLER("an actor that would wait for itself through its supervisor is refused")
{
    struct house h;
    build(&h, haft_supervisor_new(), HAFT_TASK, 0);
    check_int(haft_call(&h.c, asks_its_supervisor, &h.sup), ==, 0);
    pull_down(&h, false);
}

TEST_FROM_EVERY_CALLER("an actor that is refused was not made, and its state is still the caller's")
{
    _Atomic int drops = 0;
    struct state s = { .drops = &drops };
    haft_supervisor *sup = haft_supervisor_new();
    owner a;
    check_int(haft_supervise_actor(sup, &a, &s, .kind = HAFT_BLOCKING), ==, HAFT_EINVAL);
    check_int(haft_supervise_actor(sup, &a, &s, .grace = -1), ==, HAFT_EINVAL);
    check_int(haft_supervise_actor(NULL, &a, &s), ==, HAFT_EINVAL);
    check_int(haft_supervisor_stop(sup), ==, 0);
    check_int(haft_supervise_actor(sup, &a, &s, .drop = state_drop), ==, HAFT_ECLOSED);
    check_int(haft_actor_stop(&a), ==, HAFT_ESTALE);
    check_int(haft_supervisor_drop(&sup), ==, 0);
    check_int(drops, ==, 0);
}

/* --- storms -------------------------------------------------------------------------------------------------------- */

struct storm {
    client c;
    _Atomic bool *is_over;
    unsigned seed;
};

static int works_a_little(struct state *s, int *n)
{
    s->sum++;
    if (*n % 7 == 0)
        haft_panic("now and then");
    return *n % 3 == 0 ? haft_yield() : 0;
}

/* Every call comes back with one of the codes that it may have. */
static int storms(struct storm *s)
{
    for (int i = 0; !atomic_load(s->is_over); i++) {
        s->seed = s->seed * 1103515245 + 12345;
        int n = (int)(s->seed >> 16 & 0xff), rc;
        if (n % 2 == 0) {
            HAFT_TIMEOUT(n * HAFT_US);
            rc = haft_call(&s->c, works_a_little, &n);
            check(rc == 0 || rc == HAFT_EPANIC || rc == HAFT_ECLOSED || rc == HAFT_ETIMEDOUT || rc == HAFT_EINDOUBT ||
                  rc == HAFT_ECANCELED);
        } else if (n % 5 == 0) {
            rc = haft_cast(&s->c, works_a_little, &n);
            check(rc == 0 || rc == HAFT_ECLOSED);
        } else {
            rc = haft_call(&s->c, works_a_little, &n);
            check(rc == 0 || rc == HAFT_EPANIC || rc == HAFT_ECLOSED || rc == HAFT_ECANCELED);
        }
        if (rc == HAFT_ECLOSED)
            break;
    }
    haft_client_drop(&s->c);
    return 0;
}

static int dies_after_a_moment(void)
{
    int rc = haft_sleep(200 * HAFT_US);
    return rc != 0 ? rc : -1;
}

static void storm(haft_strategy strategy, haft_kind kind, int64_t grace, int how)
{
    enum { CLIENTS = 4 };
    struct house h;
    build(&h, haft_supervisor_new(.strategy = strategy, .restarts = HAFT_RESTARTS_UNLIMITED), kind, grace);
    check_int(haft_supervise(h.sup, dies_after_a_moment), ==, 0);
    _Atomic bool is_over = false;
    haft_handle clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct storm s = { .is_over = &is_over, .seed = i + (unsigned)strategy };
        check_int(haft_client_clone(&h.c, &s.c), ==, 0);
        clients[i] = haft_spawn(storms, &s, .kind = i % 2 == 0 ? HAFT_TASK : HAFT_THREAD);
    }
    check_int(haft_sleep(5 * HAFT_MS), ==, 0);
    if (how == 0)
        check_int(haft_supervisor_drop(&h.sup), ==, 0);
    else if (how == 1)
        haft_actor_drop(&h.a);
    atomic_store(&is_over, true);
    for (int i = 0; i < CLIENTS; i++)
        check_int(haft_join(&clients[i]), ==, 0);
    pull_down(&h, how != 2);
}

TEST_LONG_FROM_EVERY_CALLER(
    "callers always hear of their calls, however often the worker dies and whatever ends it all")
{
    silence_panics();
    for (size_t round = rounds(1, 200); round > 0; round--)
        for (haft_strategy strategy = HAFT_ONE_FOR_ONE; strategy <= HAFT_REST_FOR_ONE; strategy++)
            for_each_worker(kind) for (int how = 0; how < 3; how++) storm(strategy, kind, how == 1 ? HAFT_MS : 0, how);
}
