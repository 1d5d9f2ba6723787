/* SPDX-License-Identifier: MIT
 *
 * Actors: what a message does and when, and how everybody who waits is told of every kind of end. Over 600 lines, because
 * each end is tried with each kind of message, worker and caller. */
#include <pthread.h>
#include <string.h>

#include "actor/actor.h"
#include "callers.h"

/* --- a state, and bodies ------------------------------------------------------------------------------------------ */

static _Atomic int states_dropped, frames_dropped;

struct state {
    int sum;
    int seen[64];
    int n;
};

static void state_drop(struct state *s)
{
    (void)s;
    atomic_fetch_add(&states_dropped, 1);
}

typedef HAFT_ACTOR(struct state) owner;
typedef HAFT_CLIENT(struct state) client;

struct number {
    int value;
    int answer;
};

static void number_drop(struct number *n)
{
    (void)n;
    atomic_fetch_add(&frames_dropped, 1);
}

#define STATE_DROP ((haft_drop_fn *)(void (*)(void))state_drop)
#define NUMBER_DROP ((haft_drop_fn *)(void (*)(void))number_drop)

static int add(struct state *s, struct number *n)
{
    s->sum += n->value;
    if (s->n < 64)
        s->seen[s->n++] = n->value;
    n->answer = s->sum;
    return n->value < 0 ? -7 : 0;
}

static int fails(struct state *s, struct number *n)
{
    s->sum++;
    n->answer = 99;
    haft_panic("cannot serve %d", n->value);
}

static int count_one(struct state *s)
{
    return ++s->sum;
}

/* Occupies the worker until it is opened, or told of an abort. */
struct gate {
    haft_handle inside;
    _Atomic int entered;
    bool panics; /* once opened */
};

struct through {
    struct gate *gate;
    int result;
};

static int occupy(struct state *s, struct through *t)
{
    (void)s;
    t->gate->inside = haft_self();
    atomic_store(&t->gate->entered, 1);
    t->result = haft_park();
    if (t->gate->panics && t->result == 0)
        haft_panic("behind the gate");
    return t->result;
}

static void through_drop(void *t)
{
    (void)t;
    atomic_fetch_add(&frames_dropped, 1);
}

static void enter(const owner *a, struct gate *gate)
{
    gate->entered = 0;
    check_int(haft_cast(a, occupy, (&(struct through){ .gate = gate })), ==, 0);
    until(atomic_load(&gate->entered));
}

/* Somebody waits for room in the mailbox. */
static bool has_waiting_caster(const owner *a)
{
    haft__actor *core = a->end_.core_;
    haft__lock_acquire(&core->lock);
    bool is_empty = haft__list_is_empty(&core->casters);
    haft__lock_release(&core->lock);
    return !is_empty;
}

static void open_gate(struct gate *gate)
{
    check_int(haft_unpark(gate->inside), ==, 0);
}

#define for_each_worker(kind) for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++)

/* --- messages ----------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER(
    "casts and calls are served in order, a call's frame comes back, and the state comes back at the end")
{
    for_each_worker(kind)
    {
        struct state s = { .sum = 100 };
        owner a;
        check_int(haft_actor_start(&a, &s, .name = "adder", .kind = kind), ==, 0);
        check(haft_actor_is_alive(&a));
        struct number n = { .value = 1 };
        check_int(haft_cast(&a, add, &n), ==, 0);
        n.value = 2;
        check_int(haft_cast(&a, add, &n), ==, 0);
        n.value = 3;
        check_int(haft_call(&a, add, &n), ==, 0);
        check_int(n.answer, ==, 106);
        n.value = -1;
        check_int(haft_call(&a, add, &n), ==, -7);
        check_int(n.answer, ==, 105);
        check_int(haft_call(&a, count_one, HAFT_NO_FRAME), ==, 106);
        check_int(haft_cast(&a, count_one, HAFT_NO_FRAME), ==, 0);
        check_int(haft_actor_join(&a, &s), ==, 0);
        check_int(s.sum, ==, 107);
        check_int(s.n, ==, 4);
        for (int i = 0; i < 3; i++)
            check_int(s.seen[i], ==, i + 1);
        check_ptr(a.end_.core_, ==, NULL);
    }
}

struct large {
    _Alignas(64) unsigned char bytes[2048];
};

static int invert(struct state *s, struct large *l)
{
    check_uint((uintptr_t)l % 64, ==, 0);
    for (size_t i = 0; i < sizeof l->bytes; i++)
        l->bytes[i] = (unsigned char)~l->bytes[i];
    s->sum++;
    return 0;
}

TEST_FROM_EVERY_CALLER("frames of any size and of alignments up to 64 travel there and back")
{
    struct state s = { 0 };
    owner a;
    check_int(haft_actor_start(&a, &s), ==, 0);
    for (int i = 0; i < 3; i++) {
        struct large l;
        memset(&l, i, sizeof l);
        check_int(haft_cast(&a, invert, &l), ==, 0);
        check_int(haft_call(&a, invert, &l), ==, 0);
        for (size_t k = 0; k < sizeof l.bytes; k++)
            check_uint(l.bytes[k], ==, (unsigned char)~i);
        struct number n = { .value = 0 };
        check_int(haft_call(&a, add, &n), ==, 0);
        check_int(n.answer, ==, 2 * (i + 1));
    }
    check_int(haft_actor_drop(&a), ==, 0);
    check_int(haft_actor_drop(&a), ==, 0);
}

struct caster {
    const owner *actor;
    int value;
    int64_t timeout;
    _Atomic int *done;
};

static int casts_one(struct caster *c)
{
    HAFT_TIMEOUT(c->timeout != 0 ? c->timeout : INT64_MAX);
    struct number n = { .value = c->value };
    int rc = granted(haft_cast(c->actor, add, &n));
    atomic_fetch_add(c->done, 1);
    return rc;
}

TEST_FROM_EVERY_CALLER("a full mailbox: a try is refused, casts wait in their order, and a late one was never taken")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner a;
        struct gate gate = { 0 };
        _Atomic int done = 0;
        check_int(haft_actor_start(&a, &s, .capacity = 2, .kind = kind), ==, 0);
        enter(&a, &gate);
        struct number n = { .value = 1 };
        check_int(haft_try_cast(&a, add, &n), ==, 0);
        n.value = 2;
        check_int(haft_try_cast(&a, add, &n), ==, 0);
        check_int(haft_try_cast(&a, add, &n), ==, HAFT_EAGAIN);
        {
            HAFT_TIMEOUT(0);
            check_int(haft_cast(&a, add, &n, .drop = NUMBER_DROP), ==, HAFT_ETIMEDOUT);
        }
        check_uint(haft_actor_len(&a), ==, 2);
        haft_handle third = haft_spawn(casts_one, (&(struct caster){ &a, 3, 0, &done }), .kind = HAFT_THREAD);
        haft_handle late = haft_spawn(casts_one, (&(struct caster){ &a, 9, HAFT_MS, &done }), .kind = HAFT_TASK);
        check_int(haft_join(&late), ==, HAFT_ETIMEDOUT);
        check_int(atomic_load(&done), ==, 1);
        open_gate(&gate);
        check_int(haft_join(&third), ==, 0);
        check_int(haft_actor_join(&a, &s), ==, 0);
        check_int(s.sum, ==, 6);
        for (int i = 0; i < 3; i++)
            check_int(s.seen[i], ==, i + 1);
    }
    check_int(atomic_load(&frames_dropped), ==, 0);
}

TEST_FROM_EVERY_CALLER("an urgent message overtakes those that wait")
{
    struct state s = { 0 };
    owner a;
    struct gate gate = { 0 };
    check_int(haft_actor_start(&a, &s), ==, 0);
    enter(&a, &gate);
    for (int i = 1; i <= 4; i++)
        check_int(haft_cast(&a, add, (&(struct number){ .value = i }), .urgent = i > 2), ==, 0);
    open_gate(&gate);
    check_int(haft_actor_join(&a, &s), ==, 0);
    const int expected[] = { 3, 4, 1, 2 };
    for (int i = 0; i < 4; i++)
        check_int(s.seen[i], ==, expected[i]);
}

TEST_FROM_EVERY_CALLER("a cast's frame goes to its dropper after its body, once")
{
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner a;
    check_int(haft_actor_start(&a, &s), ==, 0);
    struct number n = { .value = 1 };
    for (int i = 0; i < 5; i++)
        check_int(haft_cast(&a, add, &n, .drop = NUMBER_DROP), ==, 0);
    check_int(haft_call(&a, add, &n, .drop = NUMBER_DROP), ==, 0); /* comes back: not dropped */
    check_int(atomic_load(&frames_dropped), ==, 5);
    check_int(haft_actor_join(&a), ==, 0);
    check_int(atomic_load(&frames_dropped), ==, 5);
}

/* --- a caller that leaves ----------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("a call that has not begun is withdrawn by a deadline, and its frame is untouched")
{
    for_each_worker(kind)
    {
        atomic_store(&frames_dropped, 0);
        struct state s = { 0 };
        owner a;
        struct gate gate = { 0 };
        check_int(haft_actor_start(&a, &s, .kind = kind), ==, 0);
        enter(&a, &gate);
        struct number n = { .value = 5, .answer = -1 };
        for (int64_t timeout = 0; timeout <= HAFT_MS; timeout += HAFT_MS) {
            HAFT_TIMEOUT(timeout);
            check_int(haft_call(&a, add, &n, .drop = NUMBER_DROP), ==, HAFT_ETIMEDOUT);
            check_int(n.answer, ==, -1);
            check_uint(haft_actor_len(&a), ==, 0);
        }
        open_gate(&gate);
        check_int(haft_call(&a, add, &n), ==, 0);
        check_int(n.answer, ==, 5);
        check_int(haft_actor_join(&a, &s), ==, 0);
        check_int(s.sum, ==, 5);
        check_int(atomic_load(&frames_dropped), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("a call that has begun is left in doubt, and its frame goes to the call's dropper")
{
    for_each_worker(kind)
    {
        atomic_store(&frames_dropped, 0);
        struct state s = { 0 };
        owner a;
        struct gate gate = { 0 };
        check_int(haft_actor_start(&a, &s, .kind = kind), ==, 0);
        struct through t = { .gate = &gate, .result = -1 };
        int rc = HAFT_ETIMEDOUT;
        for (int64_t timeout = 5 * HAFT_MS; rc == HAFT_ETIMEDOUT; timeout *= 2) { /* until it is long enough to begin */
            HAFT_TIMEOUT(timeout);
            rc = haft_call(&a, occupy, &t, .drop = through_drop);
        }
        check_int(rc, ==, HAFT_EINDOUBT);
        check_int(t.result, ==, -1);
        check_int(atomic_load(&frames_dropped), ==, 0);
        check_int(atomic_load(&gate.entered), ==, 1);
        open_gate(&gate);
        struct number n = { .value = 5 };
        check_int(haft_call(&a, add, &n), ==, 0); /* the actor serves on */
        check_int(atomic_load(&frames_dropped), ==, 1);
        check_int(haft_actor_join(&a), ==, 0);
        check_int(atomic_load(&frames_dropped), ==, 1);
    }
}

struct aborted_caller {
    const owner *actor;
    struct gate *gate; /* null: the call cannot begin */
    int rc;
};

static int calls_and_is_aborted(struct aborted_caller *c)
{
    struct through t = { .gate = c->gate };
    struct number n = { .value = 1, .answer = -1 };
    c->rc =
        granted(c->gate != NULL ? haft_call(c->actor, occupy, &t, .drop = through_drop) : haft_call(c->actor, add, &n));
    return 17;
}

TEST_FROM_EVERY_CALLER("an aborted caller is told, whether its call had begun or not")
{
    atomic_store(&frames_dropped, 0);
    for_each_kind(kind) {
        struct state s = { 0 };
        owner a;
        struct gate first = { 0 }, second = { 0 };
        check_int(haft_actor_start(&a, &s), ==, 0);
        enter(&a, &first);
        struct aborted_caller c = { .actor = &a };
        haft_outcome out;
        haft_handle h = haft_spawn(calls_and_is_aborted, &c, .kind = kind);
        until(haft_actor_len(&a) == 1);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join_outcome(&h, &c, &out), ==, 0);
        check_int(out.end, ==, HAFT_ABORTED);
        check_int(out.code, ==, 17);
        check_int(c.rc, ==, HAFT_ECANCELED);
        open_gate(&first);

        c.gate = &second;
        h = haft_spawn(calls_and_is_aborted, &c, .kind = kind);
        until(atomic_load(&second.entered));
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join_outcome(&h, &c, &out), ==, 0);
        check_int(out.end, ==, HAFT_ABORTED);
        check_int(c.rc, ==, HAFT_EINDOUBT);
        open_gate(&second);
        check_int(haft_actor_join(&a), ==, 0);
    }
    check_int(atomic_load(&frames_dropped), ==, KINDS);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

/* Who waits for an actor that ends: a cast and a call in the queue, a cast that waits for room. */
struct waiting {
    haft_handle call, cast;
    struct gate gate;
    _Atomic int done;
};

struct late_caller {
    const owner *actor;
    struct number n;
};

static int calls_two(struct late_caller *c)
{
    return granted(haft_call(c->actor, add, &c->n, .drop = NUMBER_DROP));
}

static void let_all_wait(const owner *a, struct waiting *w, haft_kind kind, bool panics)
{
    *w = (struct waiting){ .gate = { .panics = panics } };
    enter(a, &w->gate);
    check_int(haft_cast(a, add, (&(struct number){ .value = 1 }), .drop = NUMBER_DROP), ==, 0);
    w->call = haft_spawn(calls_two, (&(struct late_caller){ a, { .value = 2, .answer = -1 } }), .kind = kind);
    until(haft_actor_len(a) == 2);
    w->cast = haft_spawn(casts_one, (&(struct caster){ a, 3, 0, &w->done }), .kind = kind);
    until(has_waiting_caster(a));
}

enum ending { STOP, STOP_IN_JOIN, DETACH, ABORT, PANIC, ENDINGS };

static void end_actor(owner *a, enum ending ending, struct waiting *w)
{
    switch (ending) {
    case STOP:
        check_int(haft_actor_stop(a), ==, 0);
        check_int(haft_actor_stop(a), ==, 0);
        break;
    case STOP_IN_JOIN: {
        HAFT_TIMEOUT(0);
        check_int(haft_actor_join(a), ==, HAFT_ETIMEDOUT);
        break;
    }
    case DETACH:
        return; /* by the caller, who needs another end */
    case ABORT:
        check_int(haft_actor_abort(a), ==, 0);
        check_int(haft_actor_abort(a), ==, 0);
        return;
    default:
        break;
    }
    if (ending != PANIC) {
        check_int(haft_join(&w->cast), ==, HAFT_ECLOSED);
        check_int(haft_cast(a, add, (&(struct number){ .value = 9 })), ==, HAFT_ECLOSED);
        check_int(haft_try_cast(a, add, (&(struct number){ .value = 9 })), ==, HAFT_ECLOSED);
        check_int(haft_call(a, add, (&(struct number){ .value = 9 })), ==, HAFT_ECLOSED);
        check_int(haft_actor_after(a, 0, add, (&(struct number){ .value = 9 })), ==, HAFT_ECLOSED);
        check(haft_actor_is_alive(a));
    }
    open_gate(&w->gate);
}

static void try_ending(enum ending ending, haft_kind worker, haft_kind kind)
{
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner a;
    struct waiting w;
    haft_outcome out;
    struct late_caller c;
    check_int(haft_actor_start(&a, &s, .capacity = 1, .kind = worker), ==, 0);
    let_all_wait(&a, &w, kind, ending == PANIC);
    if (ending == DETACH) {
        /* The callers hold clients of their own in life; here they borrow this one. */
        open_gate(&w.gate);
        check_int(haft_join(&w.cast), ==, 0);
        check_int(haft_join(&w.call), ==, 0);
        check_int(haft_actor_join(&a, &s), ==, 0);
        check_int(s.sum, ==, 6);
        return;
    }
    end_actor(&a, ending, &w);
    bool drains = ending == STOP || ending == STOP_IN_JOIN;
    check_int(haft_join(&w.call, &c), ==, drains ? 0 : HAFT_ECLOSED);
    check_int(c.n.answer, ==, drains ? 3 : -1);
    if (!drains) {
        check_int(haft_join(&w.cast), ==, HAFT_ECLOSED);
        check_int(haft_call(&a, add, (&(struct number){ .value = 9 })), ==, HAFT_ECLOSED);
        check_int(haft_cast(&a, add, (&(struct number){ .value = 9 })), ==, HAFT_ECLOSED);
    }
    check_int(haft_actor_join_outcome(&a, &s, &out), ==, 0);
    check_int(out.end, ==, drains ? HAFT_RETURNED : ending == ABORT ? HAFT_ABORTED : HAFT_PANICKED);
    if (ending == PANIC)
        check_str(out.panic.message, "behind the gate");
    check_int(s.sum, ==, drains ? 3 : 0);
    check_int(atomic_load(&frames_dropped), ==, 1); /* the cast's, served or not */
    check(!haft_actor_is_alive(&a));
    check_int(haft_actor_join(&a), ==, HAFT_ESTALE);
}

static void try_endings(void)
{
    silence_panics();
    for (enum ending ending = STOP; ending < ENDINGS; ending++)
        for_each_worker(worker) for_each_kind(kind) try_ending(ending, worker, kind);
}

TEST_LONG(
    "stopped, an actor serves what is queued; aborted or panicking, it refuses: every waiter is told, every frame has one end")
{
    from_every_caller(try_endings);
}

TEST_FROM_EVERY_CALLER(
    "a panicking message is its caller's error with its message; the frame comes back as it was left")
{
    silence_panics();
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner a;
        haft_outcome out;
        check_int(haft_actor_start(&a, &s, .kind = kind), ==, 0);
        struct number n = { .value = 4 };
        check_int(haft_call_outcome(&a, fails, &n, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "cannot serve 4");
        check_int(n.answer, ==, 99);
        check_int(haft_call(&a, add, &n), ==, HAFT_ECLOSED);
        check_int(haft_actor_join(&a, &s), ==, HAFT_EPANIC);
        check_int(s.sum, ==, 1);
    }
}

static int throws(struct state *s, struct number *n)
{
    (void)n;
    haft_panic_with(s, NUMBER_DROP);
}

TEST_FROM_EVERY_CALLER("the payload of a panic is the owner's, once")
{
    silence_panics();
    atomic_store(&frames_dropped, 0);
    for (int looks = 0; looks < 2; looks++) {
        struct state s = { 0 };
        owner a;
        haft_outcome out;
        struct number n = { 0 };
        check_int(haft_actor_start(&a, &s), ==, 0);
        check_int(haft_call_outcome(&a, throws, &n, &out), ==, 0);
        check_ptr(out.panic.payload, ==, NULL);
        haft_panic_drop(&out.panic);
        check_int(atomic_load(&frames_dropped), ==, looks);
        if (looks) {
            check_int(haft_actor_join_outcome(&a, &s, &out), ==, 0);
            check_ptr(out.panic.payload, !=, NULL);
            haft_panic_drop(&out.panic);
        } else {
            check_int(haft_actor_join(&a), ==, HAFT_EPANIC);
        }
        check_int(atomic_load(&frames_dropped), ==, looks + 1);
    }
}

TEST_FROM_EVERY_CALLER("told to keep serving, an actor survives panics of calls and casts")
{
    silence_panics();
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner a;
    haft_outcome out;
    check_int(haft_actor_start(&a, &s, .on_panic = HAFT_KEEP_SERVING), ==, 0);
    struct number n = { .value = 4 };
    for (int i = 0; i < 3; i++) {
        check_int(haft_call(&a, fails, &n), ==, HAFT_EPANIC);
        check_int(haft_cast(&a, fails, &n, .drop = NUMBER_DROP), ==, 0);
    }
    check_int(haft_call_outcome(&a, add, &n, &out), ==, 0);
    check_int(out.end, ==, HAFT_RETURNED);
    check_int(out.code, ==, 0);
    check_int(n.answer, ==, 10);
    check_int(haft_actor_join(&a), ==, 0);
    check_int(atomic_load(&frames_dropped), ==, 3);
}

static void bad_drop(void *frame)
{
    (void)frame;
    atomic_fetch_add(&frames_dropped, 1);
    haft_panic("in a dropper");
}

TEST_FROM_EVERY_CALLER("a dropper that panics is reported and disturbs nobody")
{
    silence_panics();
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner a;
    struct gate gate = { 0 };
    check_int(haft_actor_start(&a, &s, .drop = bad_drop), ==, 0);
    struct number n = { .value = 1 };
    check_int(haft_cast(&a, add, &n, .drop = bad_drop), ==, 0);
    check_int(haft_call(&a, add, &n), ==, 0);
    check_int(atomic_load(&frames_dropped), ==, 1);
    enter(&a, &gate);
    check_int(haft_cast(&a, add, &n, .drop = bad_drop), ==, 0);
    check_int(haft_actor_abort(&a), ==, 0);
    check_int(haft_actor_drop(&a), ==, HAFT_EABORTED);
    check_int(atomic_load(&frames_dropped), ==, 3);
}

static void sleeping_drop(void *frame)
{
    (void)frame;
    check_int(haft_sleep(HAFT_US), ==, 0);
    atomic_fetch_add(&frames_dropped, 1);
}

TEST_FROM_EVERY_CALLER("droppers run shielded: they may wait after an abort and past a deadline")
{
    for_each_worker(kind)
    {
        atomic_store(&frames_dropped, 0);
        struct state s = { 0 };
        owner a;
        struct gate gate = { 0 };
        check_int(haft_actor_start(&a, &s, .drop = sleeping_drop, .kind = kind), ==, 0);
        check_int(haft_cast(&a, occupy, (&(struct through){ .gate = &gate }), .drop = sleeping_drop), ==, 0);
        check_int(haft_cast(&a, add, (&(struct number){ 0 }), .drop = sleeping_drop), ==, 0);
        until(atomic_load(&gate.entered));
        check_int(haft_actor_abort(&a), ==, 0);
        HAFT_TIMEOUT(0);
        check_int(haft_actor_drop(&a), ==, HAFT_EABORTED);
        check_int(atomic_load(&frames_dropped), ==, 3);
    }
}

static int leaves_its_thread(struct state *s, struct number *n)
{
    s->sum += n->value;
    n->answer = 42;
    pthread_exit(NULL);
}

TEST_FROM_EVERY_CALLER("pthread_exit in a body ends the actor as a panic does, and its caller is told")
{
    silence_panics();
    atomic_store(&frames_dropped, 0);
    for (int is_call = 0; is_call < 2; is_call++) {
        struct state s = { 0 };
        owner a;
        struct gate gate = { 0 };
        check_int(haft_actor_start(&a, &s, .kind = HAFT_THREAD), ==, 0);
        struct number n = { .value = 3 };
        enter(&a, &gate);
        haft_handle queued = haft_spawn(calls_two, (&(struct late_caller){ &a, { .value = 9 } }));
        until(haft_actor_len(&a) == 1);
        if (is_call) {
            haft_unpark(gate.inside);
            int rc = haft_call(&a, leaves_its_thread, &n, .urgent = true, .drop = NUMBER_DROP);
            check_int(rc, ==, HAFT_EPANIC);
            check_int(n.answer, ==, 42);
        } else {
            check_int(haft_cast(&a, leaves_its_thread, &n, .urgent = true, .drop = NUMBER_DROP), ==, 0);
            open_gate(&gate);
        }
        int rc = haft_join(&queued);
        check(rc == HAFT_ECLOSED || (is_call && rc == 0)); /* served before the urgent one came */
        check_int(haft_actor_join(&a, &s), ==, HAFT_EPANIC);
        check_int(s.sum, ==, rc == 0 ? 12 : 3);
    }
    check_int(atomic_load(&frames_dropped), ==, 1); /* the cast's */
}

static haft_mutex kept = HAFT_MUTEX_INIT;

static int locks(struct state *s, const bool *panics)
{
    (void)s;
    int rc = haft_mutex_lock(&kept);
    if (*panics)
        haft_panic("with a lock");
    return rc;
}

static int unlocks(struct state *s)
{
    (void)s;
    haft_mutex_unlock(&kept);
    return 0;
}

TEST_FROM_EVERY_CALLER("a lock stays the worker's from message to message; a panic abandons that of its own message")
{
    silence_panics();
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner a;
        bool yes = true, no = false;
        check_int(haft_actor_start(&a, &s, .kind = kind, .on_panic = HAFT_KEEP_SERVING), ==, 0);
        check_int(haft_call(&a, locks, &no), ==, 0);
        check_int(haft_mutex_try_lock(&kept), ==, HAFT_EAGAIN);
        check_int(haft_call(&a, fails, (&(struct number){ 0 })), ==, HAFT_EPANIC); /* holds it no less */
        check_int(haft_mutex_try_lock(&kept), ==, HAFT_EAGAIN);
        check_int(haft_call(&a, unlocks, HAFT_NO_FRAME), ==, 0);
        check_int(haft_call(&a, locks, &yes), ==, HAFT_EPANIC);
        check_int(haft_mutex_lock(&kept), ==, HAFT_EPOISONED);
        check_int(haft_mutex_heal(&kept), ==, 0);
        haft_mutex_unlock(&kept);
        check_int(haft_call(&a, locks, &no), ==, 0);
        check_int(haft_actor_join(&a), ==, 0);
        check_int(haft_mutex_lock(&kept), ==, HAFT_EPOISONED); /* the end of its holder, too */
        check_int(haft_mutex_heal(&kept), ==, 0);
        haft_mutex_unlock(&kept);
    }
}

/* --- from inside -------------------------------------------------------------------------------------------------- */

static owner inner;

static int talks_to_itself(struct state *s, struct number *n)
{
    check_int(haft_call(&inner, add, n), ==, HAFT_EDEADLK);
    HAFT_TIMEOUT(HAFT_S); /* which changes nothing */
    s->sum++;
    check_int(haft_call(&inner, add, n), ==, HAFT_EDEADLK);
    check_int(haft_cast(&inner, add, n), ==, 0);
    check_int(haft_cast(&inner, add, n), ==, HAFT_EDEADLK); /* a mailbox of one */
    check_int(haft_try_cast(&inner, add, n), ==, HAFT_EAGAIN);
    check_int(haft_actor_join(&inner), ==, HAFT_EDEADLK);
    check_int(haft_actor_drop(&inner), ==, HAFT_EDEADLK);
    check(haft_actor_is_alive(&inner));
    check_int(haft_actor_stop(&inner), ==, 0);
    return 3;
}

TEST_FROM_EVERY_CALLER("an actor that calls, joins or drops itself is told that it would wait for itself")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        check_int(haft_actor_start(&inner, &s, .capacity = 1, .kind = kind), ==, 0);
        struct number n = { .value = 10 };
        check_int(haft_call(&inner, talks_to_itself, &n), ==, 3);
        check_int(haft_actor_join(&inner, &s), ==, 0);
        check_int(s.sum, ==, 11);
    }
}

struct ring {
    owner *next; /* of each actor, by its place in the ring */
    int place, length;
    _Atomic int *inside;
    int refused;
    int64_t timeout; /* 0: none */
};

static int calls_the_next(struct state *s, struct ring *r)
{
    s->sum++;
    /* Everybody is inside a body before anybody calls on. */
    atomic_fetch_add(r->inside, 1);
    until(atomic_load(r->inside) == r->length);
    HAFT_TIMEOUT(r->timeout != 0 ? r->timeout : INT64_MAX);
    struct number n = { .value = 1 };
    int rc = haft_call(&r->next[(r->place + 1) % r->length], add, &n);
    r->refused = rc;
    return rc;
}

struct ring_caller {
    struct ring ring;
};

static int starts_ring(struct ring_caller *c)
{
    return granted(haft_call(&c->ring.next[c->ring.place], calls_the_next, &c->ring));
}

static void try_ring(int length, haft_kind kind, int64_t timeout)
{
    owner actors[4];
    haft_handle callers[4];
    _Atomic int inside = 0;
    struct state s = { 0 };
    for (int i = 0; i < length; i++)
        check_int(haft_actor_start(&actors[i], &s, .kind = kind), ==, 0);
    for (int i = 0; i < length; i++)
        callers[i] = haft_spawn(starts_ring, (&(struct ring_caller){ { actors, i, length, &inside, 1, timeout } }),
                                .kind = HAFT_THREAD);
    int refused = 0, late = 0;
    for (int i = 0; i < length; i++) {
        int rc = haft_join(&callers[i]);
        refused += rc == HAFT_EDEADLK;
        late += rc == HAFT_ETIMEDOUT || rc == HAFT_EINDOUBT;
        check(rc == 0 || rc == HAFT_EDEADLK || rc == HAFT_ETIMEDOUT || (timeout != 0 && rc == HAFT_EINDOUBT));
    }
    check_int(refused, ==, timeout == 0);
    check(timeout == 0 ? late == 0 : late >= 1);
    for (int i = 0; i < length; i++)
        check_int(haft_actor_drop(&actors[i]), ==, 0);
}

TEST_FROM_EVERY_CALLER("of a ring of actors that call each other exactly one is refused, and all the others are served")
{
    for_each_worker(kind) for (int length = 2; length <= 4; length++) try_ring(length, kind, 0);
}

static int calls_back(struct state *s, owner *const *first)
{
    (void)s;
    return granted(haft_call(*first, count_one, HAFT_NO_FRAME));
}

struct joins {
    owner *self, *other;
    bool drops;
};

static int ends_the_other(struct state *s, struct joins *j)
{
    (void)s;
    check_int(haft_cast(j->other, calls_back, &j->self), ==, 0);
    until(haft_actor_len(j->self) == 1); /* then it waits */
    return j->drops ? haft_actor_drop(j->other) : haft_actor_join(j->other);
}

TEST_FROM_EVERY_CALLER("an actor that joins or drops one that calls it is refused, and still owns it")
{
    for_each_worker(kind) for (int drops = 0; drops < 2; drops++)
    {
        struct state s = { 0 };
        owner first, second;
        check_int(haft_actor_start(&first, &s, .kind = kind), ==, 0);
        check_int(haft_actor_start(&second, &s, .kind = kind), ==, 0);
        struct joins j = { &first, &second, drops != 0 };
        check_int(haft_call(&first, ends_the_other, &j), ==, HAFT_EDEADLK);
        check_int(haft_call(&second, count_one, HAFT_NO_FRAME), ==, 1); /* was not even asked to stop */
        check_int(haft_actor_join(&second), ==, 0);
        check_int(haft_actor_join(&first), ==, 0);
    }
}

struct steady {
    const owner *actor;
    _Atomic int *stop;
};

static int calls_until_stopped(struct steady *c)
{
    while (!atomic_load(c->stop)) {
        int rc = haft_call(c->actor, count_one, HAFT_NO_FRAME);
        if (rc < 0)
            return rc;
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("jobs may be joined together, given up again and put into a set while they call an actor")
{
    struct state s = { 0 };
    owner a;
    _Atomic int stop = 0;
    haft_handle h[4];
    check_int(haft_actor_start(&a, &s), ==, 0);
    for (int i = 0; i < 4; i++)
        h[i] =
            haft_spawn(calls_until_stopped, (&(struct steady){ &a, &stop }), .kind = i < 2 ? HAFT_TASK : HAFT_THREAD);
    for (size_t i = 0; i < rounds(20, 1000); i++) {
        HAFT_TIMEOUT(20 * HAFT_US);
        check_int(haft_join_all(h, 4, NULL), ==, HAFT_ETIMEDOUT);
    }
    haft_set *set = haft_set_new();
    for (int i = 0; i < 4; i++)
        check_int(haft_set_add(set, &h[i]), ==, 0);
    atomic_store(&stop, 1);
    for (int code, i = 0; i < 4; i++) {
        check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, 0);
        check_int(code, ==, 0);
    }
    haft_set_drop(&set);
    check_int(haft_actor_drop(&a), ==, 0);
}

TEST_FROM_EVERY_CALLER("two actors that call each other one after the other are no ring")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner first, second, *to_first = &first, *to_second = &second;
        check_int(haft_actor_start(&first, &s, .kind = kind), ==, 0);
        check_int(haft_actor_start(&second, &s, .kind = kind), ==, 0);
        for (int i = 1; i <= 3; i++) {
            check_int(haft_call(&first, calls_back, &to_second), ==, i);
            check_int(haft_call(&second, calls_back, &to_first), ==, i);
        }
        check_int(haft_actor_drop(&first), ==, 0);
        check_int(haft_actor_drop(&second), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("calls with a deadline are no part of a ring")
{
    for_each_worker(kind) try_ring(2, kind, 5 * HAFT_MS);
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

TEST_FROM_EVERY_CALLER("a detached actor serves until its last client is gone, then drains and drops its state")
{
    for_each_worker(kind)
    {
        atomic_store(&states_dropped, 0);
        struct state s = { 0 };
        owner a;
        client first, second;
        HAFT_WEAK_CLIENT(struct state) weak;
        check_int(haft_actor_start(&a, &s, .drop = STATE_DROP, .kind = kind), ==, 0);
        check_int(haft_client_of(&a, &first), ==, 0);
        check_int(haft_client_clone(&first, &second), ==, 0);
        check_int(haft_client_downgrade(&first, &weak), ==, 0);
        check_int(haft_actor_detach(&a), ==, 0);
        check_int(haft_actor_detach(&a), ==, HAFT_ESTALE);
        check_int(haft_client_drop(&first), ==, 0);
        check_int(haft_client_drop(&first), ==, 0);
        struct number n = { .value = 2 };
        check_int(haft_call(&first, add, &n), ==, HAFT_ESTALE);
        check_int(haft_call(&second, add, &n), ==, 0);
        check_int(haft_client_upgrade(&weak, &first), ==, 0);
        check_int(haft_client_drop(&second), ==, 0);
        check_int(haft_call(&first, add, &n), ==, 0);
        check_int(n.answer, ==, 4);
        check_int(haft_client_drop(&first), ==, 0);
        check_int(haft_client_upgrade(&weak, &first), ==, HAFT_ECLOSED);
        check_int(haft_weak_client_drop(&weak), ==, 0);
        until(atomic_load(&states_dropped) == 1);
    }
}

typedef HAFT_WEAK_CLIENT(struct state) weak_client;

struct turns {
    const owner *by_owner; /* null: by the weak client */
    const weak_client *by_weak;
    int left;
    int refused;
};

static int takes_turns(struct state *s, struct turns *t)
{
    s->sum++;
    if (--t->left == 0)
        return 0;
    int rc = t->by_owner != NULL ? haft_actor_after(t->by_owner, HAFT_US, takes_turns, t)
                                 : haft_actor_after(t->by_weak, HAFT_US, takes_turns, t);
    check_int(rc, ==, 0);
    return 0;
}

static int casts_until_refused(struct state *s, struct turns *t)
{
    s->n = 0;
    while (t->refused == 0) { /* until the owner asks it to end */
        t->refused = haft_cast(t->by_owner, count_one);
        s->n++;
        haft_yield();
    }
    s->seen[0] = t->refused;
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "a body may use its owner's end, which a join leaves alone until the worker has ended, or a weak client")
{
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner a;
        client c;
        weak_client weak;
        check_int(haft_actor_start(&a, &s, .kind = kind, .capacity = 100000), ==, 0);
        check_int(haft_client_of(&a, &c), ==, 0);
        check_int(haft_client_downgrade(&c, &weak), ==, 0);
        struct turns t = { .by_owner = &a, .left = 5 };
        check_int(haft_cast(&weak, takes_turns, &t), ==, 0);
        t = (struct turns){ .by_weak = &weak, .left = 5 };
        check_int(haft_call(&weak, takes_turns, &t), ==, 0);
        struct number n = { .value = 0 };
        do
            check_int(haft_call(&c, add, &n), ==, 0);
        while (n.answer < 10);
        check_int(haft_client_drop(&c), ==, 0);
        t = (struct turns){ .by_owner = &a };
        check_int(haft_try_cast(&weak, casts_until_refused, &t), ==, 0);
        check_int(haft_actor_join(&a, &s), ==, 0);
        check_int(s.seen[0], ==, HAFT_ECLOSED);
        check_int(s.sum, ==, 10 + s.n - 1); /* what was not refused was served */
        check_int(haft_cast(&weak, takes_turns, &t), ==, HAFT_ECLOSED);
        check_int(haft_weak_client_drop(&weak), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("an actor detached without a client ends at once")
{
    atomic_store(&states_dropped, 0);
    struct state s = { 0 };
    owner a;
    check_int(haft_actor_start(&a, &s, .drop = STATE_DROP), ==, 0);
    check_int(haft_actor_detach(&a), ==, 0);
    until(atomic_load(&states_dropped) == 1);
}

TEST_FROM_EVERY_CALLER("the last client of a detached actor is told of its panic, once")
{
    silence_panics();
    struct state s = { 0 };
    owner a;
    client c, d;
    check_int(haft_actor_start(&a, &s), ==, 0);
    check_int(haft_client_of(&a, &c), ==, 0);
    check_int(haft_client_of(&a, &d), ==, 0);
    check_int(haft_actor_detach(&a), ==, 0);
    struct number n = { .value = 2 };
    check_int(haft_call(&c, fails, &n), ==, HAFT_EPANIC);
    until(!haft_actor_is_alive(&d));
    check_int(haft_client_drop(&d), ==, 0);
    check_int(haft_client_drop(&c), ==, HAFT_EPANIC);
}

TEST_FROM_EVERY_CALLER("clients outlive an actor and are refused")
{
    struct state s = { 0 };
    owner a;
    client c, d;
    check_int(haft_actor_start(&a, &s), ==, 0);
    check_int(haft_client_of(&a, &c), ==, 0);
    check_int(haft_actor_join(&a), ==, 0);
    struct number n = { .value = 2 };
    check_int(haft_call(&c, add, &n), ==, HAFT_ECLOSED);
    check_int(haft_cast(&c, add, &n), ==, HAFT_ECLOSED);
    check(!haft_actor_is_alive(&c));
    check_int(haft_client_clone(&c, &d), ==, 0);
    check_int(haft_client_drop(&c), ==, 0);
    check_int(haft_client_drop(&d), ==, 0);
}

/* --- timers ------------------------------------------------------------------------------------------------------- */

/* Sets three timers whose times are in another order. False: it took so long that they may not be. */
static bool sets_timers(const owner *a, int64_t *start)
{
    *start = haft_now();
    check_int(haft_actor_after(a, 6 * HAFT_MS, add, (&(struct number){ .value = 3 })), ==, 0);
    check_int(haft_actor_after(a, 2 * HAFT_MS, add, (&(struct number){ .value = 1 })), ==, 0);
    check_int(haft_actor_after(a, 4 * HAFT_MS, add, (&(struct number){ .value = 2 })), ==, 0);
    check_int(haft_actor_after(a, INT64_MAX, add, (&(struct number){ .value = 9 })), ==, 0);
    return haft_now() - *start < 2 * HAFT_MS;
}

TEST_FROM_EVERY_CALLER("timers are served at their time, in the order of their times")
{
    struct state s;
    owner a;
    int64_t start;
    for (;;) {
        s = (struct state){ 0 };
        check_int(haft_actor_start(&a, &s), ==, 0);
        if (sets_timers(&a, &start))
            break;
        check_int(haft_actor_drop(&a), ==, 0);
    }
    struct number n = { 0 };
    do
        check_int(haft_call(&a, add, &n), ==, 0);
    while (n.answer < 6 && haft_sleep(HAFT_MS) == 0);
    check_int(haft_now() - start, >=, 6 * HAFT_MS);
    check_int(haft_actor_join(&a, &s), ==, 0);
    int last = 0;
    for (int i = 0; i < s.n; i++)
        if (s.seen[i] != 0)
            check_int(s.seen[i], ==, ++last);
    check_int(last, ==, 3);
}

struct turn {
    int turns;
    _Atomic int *shown;
};

static int takes_turn(struct state *s, struct turn *t)
{
    s->sum++;
    atomic_store(t->shown, ++t->turns);
    return 0;
}

TEST_FROM_EVERY_CALLER("a periodic message keeps its frame from turn to turn, and ends with its actor")
{
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner a;
    _Atomic int shown = 0;
    check_int(haft_actor_start(&a, &s), ==, 0);
    int64_t start = haft_now();
    check_int(haft_actor_every(&a, 0, takes_turn, (&(struct turn){ .shown = &shown })), ==, HAFT_EINVAL);
    check_int(haft_actor_every(&a, HAFT_MS, takes_turn, (&(struct turn){ .shown = &shown }), .drop = through_drop), ==,
              0);
    until(atomic_load(&shown) >= 3);
    check_int(haft_now() - start, >=, 3 * HAFT_MS);
    check_int(atomic_load(&frames_dropped), ==, 0);
    check_int(haft_actor_join(&a, &s), ==, 0);
    check_int(s.sum, ==, atomic_load(&shown));
    check_int(atomic_load(&frames_dropped), ==, 1);
}

/* Takes n timers out, checks that they come in the order of their times, those of one time in the order in which they
 * were set, and leaves them in a list. */
static void take_in_order(haft__actor *a, size_t n, haft__link *taken)
{
    int64_t due = INT64_MIN;
    uint64_t order = 0;
    for (size_t i = 0; i < n; i++) {
        haft__message *m = haft__actor_take_timer(a);
        check(m != NULL);
        check(m->due > due || (m->due == due && m->order > order));
        due = m->due;
        order = m->order;
        haft__list_append(taken, &m->link);
    }
}

TEST("any number of timers, set and taken out in any order, come in the order of their times")
{
    struct state s = { 0 };
    owner a;
    atomic_store(&frames_dropped, 0);
    check_int(haft_actor_start(&a, &s), ==, 0);
    size_t n = rounds(20000, 200000);
    uint32_t chance = 1;
    for (size_t i = 0; i < n; i++) {
        chance = chance * 1664525 + 1013904223;
        int64_t later = i % 4 == 0 ? INT64_MAX : 3600 * HAFT_S + (int64_t)(chance >> 8) * HAFT_US;
        check_int(haft_actor_after(&a, later, add, (&(struct number){ .value = 1 }), .drop = NUMBER_DROP), ==, 0);
    }
    haft__actor *core = a.end_.core_;
    haft__link taken, *link;
    haft__list_init(&taken);
    haft__lock_acquire(&core->lock);
    for (size_t part = n; part > 0; part /= 2) {
        take_in_order(core, part, &taken);
        while ((link = haft__list_take(&taken)) != NULL)
            haft__actor_set_timer(core, HAFT__CONTAINER(link, haft__message, link));
    }
    take_in_order(core, n, &taken);
    check_ptr(haft__actor_take_timer(core), ==, NULL);
    while ((link = haft__list_take(&taken)) != NULL)
        haft__actor_set_timer(core, HAFT__CONTAINER(link, haft__message, link));
    haft__lock_release(&core->lock);
    check_int(haft_actor_join(&a, &s), ==, 0);
    check_int(s.sum, ==, 0);
    check_uint((size_t)atomic_load(&frames_dropped), ==, n);
}

TEST_FROM_EVERY_CALLER("pending timers are discarded when the actor drains, and a full mailbox only delays them")
{
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner a;
    struct gate gate = { 0 };
    check_int(haft_actor_start(&a, &s, .capacity = 1), ==, 0);
    enter(&a, &gate);
    check_int(haft_cast(&a, add, (&(struct number){ .value = 1 })), ==, 0);
    check_int(haft_actor_after(&a, 0, add, (&(struct number){ .value = 2 }), .drop = NUMBER_DROP), ==, 0);
    check_int(haft_actor_after(&a, HAFT_S, add, (&(struct number){ .value = 9 }), .drop = NUMBER_DROP), ==, 0);
    open_gate(&gate);
    struct number n = { 0 };
    do
        check_int(haft_call(&a, add, &n), ==, 0);
    while (n.answer < 3);
    check_int(haft_actor_join(&a, &s), ==, 0);
    check_int(s.sum, ==, 3);
    check_int(atomic_load(&frames_dropped), ==, 2);
}

TEST_FROM_EVERY_CALLER("a timer that is due but not queued when its actor is stopped is not sent")
{
    atomic_store(&frames_dropped, 0);
    struct state s = { 0 };
    owner a;
    struct gate gate = { 0 };
    check_int(haft_actor_start(&a, &s), ==, 0);
    enter(&a, &gate);
    check_int(haft_actor_after(&a, 0, add, (&(struct number){ .value = 2 }), .drop = NUMBER_DROP), ==, 0);
    check_int(haft_cast(&a, add, (&(struct number){ .value = 1 })), ==, 0);
    check_int(haft_actor_stop(&a), ==, 0);
    open_gate(&gate);
    check_int(haft_actor_join(&a, &s), ==, 0);
    check_int(s.sum, ==, 1);
    check_int(atomic_load(&frames_dropped), ==, 1);
}

/* --- beginnings --------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("an actor that was aborted before it began refuses, and gives its state back")
{
    for (int i = 0; i < 20; i++)
        for_each_worker(kind)
        {
            struct state s = { .sum = 5 };
            owner a;
            check_int(haft_actor_start(&a, &s, .kind = kind), ==, 0);
            check_int(haft_actor_abort(&a), ==, 0);
            struct number n = { .value = 1 };
            check_int(haft_call(&a, add, &n), ==, HAFT_ECLOSED);
            s.sum = 0;
            check_int(haft_actor_join(&a, &s), ==, HAFT_EABORTED);
            check_int(s.sum, ==, 5);
        }
}

TEST_FROM_EVERY_CALLER("misuse is an error")
{
    struct state s = { 0 };
    owner a = { 0 };
    struct number n = { 0 };
    check_int(haft_actor_start(&a, &s, .kind = HAFT_BLOCKING), ==, HAFT_EINVAL);
    check_ptr(a.end_.core_, ==, NULL);
    check_int(haft_cast(&a, add, &n), ==, HAFT_ESTALE);
    check_int(haft_call(&a, add, &n), ==, HAFT_ESTALE);
    check_int(haft_actor_after(&a, 0, add, &n), ==, HAFT_ESTALE);
    check_int(haft_actor_join(&a), ==, HAFT_ESTALE);
    check_int(haft_actor_stop(&a), ==, HAFT_ESTALE);
    check_int(haft_actor_abort(&a), ==, HAFT_ESTALE);
    check_int(haft_actor_drop(&a), ==, 0);
    check(!haft_actor_is_alive(&a));
    client c, d;
    HAFT_WEAK_CLIENT(struct state) weak;
    memset(&c, 1, sizeof c);
    check_int(haft_client_of(&a, &c), ==, HAFT_ESTALE);
    check_int(haft_client_drop(&c), ==, 0); /* it is null */
    memset(&d, 1, sizeof d);
    check_int(haft_client_clone(&c, &d), ==, HAFT_ESTALE);
    check_int(haft_client_drop(&d), ==, 0);
    memset(&weak, 1, sizeof weak);
    check_int(haft_client_downgrade(&c, &weak), ==, HAFT_ESTALE);
    check_int(haft_weak_client_drop(&weak), ==, 0);
    check_int(haft_actor_start(&a, &s), ==, 0);
    check_int(haft_client_of(&a, &c), ==, 0);
    check_int(haft_client_downgrade(&c, &weak), ==, 0);
    check_int(haft_actor_stop(&a), ==, 0);
    memset(&d, 1, sizeof d);
    check_int(haft_client_upgrade(&weak, &d), ==, HAFT_ECLOSED);
    check_int(haft_client_drop(&d), ==, 0);
    check_int(haft_client_drop(&c), ==, 0);
    check_int(haft_weak_client_drop(&weak), ==, 0);
    check_int(haft_actor_join(&a), ==, 0);
}

static owner left_behind;

static int leaves_an_actor(const haft_kind *kind)
{
    struct state s = { .sum = 8 };
    check_int(haft_actor_start(&left_behind, &s, .kind = *kind), ==, 0);
    struct number n = { .value = 1 };
    check_int(haft_call(&left_behind, add, &n), ==, 0);
    return 0;
}

TEST("the end of its runtime ends an actor, and its owner can still have the state")
{
    for_each_worker(kind)
    {
        struct state s;
        check_int(haft_run(leaves_an_actor, &kind), ==, 0);
        struct number n = { .value = 1 };
        check_int(haft_call(&left_behind, add, &n), ==, HAFT_ECLOSED);
        check_int(haft_actor_join(&left_behind, &s), ==, HAFT_EABORTED);
        check_int(s.sum, ==, 9);
    }
}

/* --- allocations -------------------------------------------------------------------------------------------------- */

static struct haft__os counting;
static _Atomic size_t allocations;

static void *counting_allocate(size_t size, size_t alignment)
{
    atomic_fetch_add(&allocations, 1);
    return haft__os_linux.allocate(size, alignment);
}

TEST("calls and casts allocate nothing once they are warm")
{
    counting = haft__os_linux;
    counting.allocate = counting_allocate;
    haft__os = &counting; /* before anybody reads it */
    for_each_worker(kind)
    {
        struct state s = { 0 };
        owner a;
        check_int(haft_actor_start(&a, &s, .kind = kind), ==, 0);
        struct number n = { .value = 0 };
        for (int round = 0; round < 2; round++) {
            struct gate gate = { 0 };
            enter(&a, &gate);
            for (int i = 0; i < HAFT__ACTOR_CAPACITY; i++)
                check_int(haft_cast(&a, add, &n), ==, 0);
            open_gate(&gate);
            check_int(haft_call(&a, add, &n), ==, 0);
            if (round == 0)
                atomic_store(&allocations, 0);
        }
        for (int i = 0; i < 1000; i++) {
            check_int(haft_call(&a, add, &n), ==, 0);
            check_int(haft_cast(&a, add, &n), ==, 0);
        }
        check_int(haft_call(&a, add, &n), ==, 0);
        check_uint(atomic_load(&allocations), ==, 0);
        check_int(haft_actor_drop(&a), ==, 0);
    }
}

/* A cast has its place in the mailbox and gets no memory; meanwhile it was in the way of a timer. */
static _Atomic int is_refusing, may_refuse;

static void *refusing_allocate(size_t size, size_t alignment)
{
    if (size != sizeof(struct large))
        return haft__os_linux.allocate(size, alignment);
    atomic_store(&is_refusing, 1);
    until(atomic_load(&may_refuse));
    return atomic_load(&may_refuse) == 1 ? NULL : haft__os_linux.allocate(size, alignment);
}

static int casts_large(owner **a)
{
    struct large l = { { 0 } };
    return haft_cast(*a, invert, &l);
}

TEST("a timer that found the mailbox full of promises is served when one is given back")
{
    counting = haft__os_linux;
    counting.allocate = refusing_allocate;
    haft__os = &counting; /* before anybody reads it */
    for_each_worker(kind)
    {
        atomic_store(&is_refusing, 0);
        atomic_store(&may_refuse, 0);
        struct state s = { 0 };
        owner a, *there = &a;
        check_int(haft_actor_start(&a, &s, .kind = kind, .capacity = 1), ==, 0);
        haft_handle h = haft_spawn(casts_large, &there, .kind = HAFT_THREAD);
        until(atomic_load(&is_refusing));
        _Atomic int shown = 0;
        check_int(haft_actor_after(&a, 0, takes_turn, (&(struct turn){ .shown = &shown })), ==, 0);
        check_int(haft_call(&a, count_one, HAFT_NO_FRAME), ==, 1); /* the worker has looked */
        check_int(atomic_load(&shown), ==, 0);
        atomic_store(&may_refuse, 1);
        check_int(haft_join(&h), ==, HAFT_ENOMEM);
        until(atomic_load(&shown) == 1);
        check_int(haft_actor_drop(&a), ==, 0);
    }
}

TEST("a cast that had its place when the actor was stopped, but no memory yet, is refused")
{
    counting = haft__os_linux;
    counting.allocate = refusing_allocate;
    haft__os = &counting; /* before anybody reads it */
    for_each_worker(kind)
    {
        atomic_store(&is_refusing, 0);
        atomic_store(&may_refuse, 0);
        struct state s = { 0 };
        owner a, *there = &a;
        check_int(haft_actor_start(&a, &s, .kind = kind, .capacity = 1), ==, 0);
        haft_handle h = haft_spawn(casts_large, &there, .kind = HAFT_THREAD);
        until(atomic_load(&is_refusing));
        check_int(haft_actor_stop(&a), ==, 0);
        until(!haft_actor_is_alive(&a));
        atomic_store(&may_refuse, 2);
        check_int(haft_join(&h), ==, HAFT_ECLOSED);
        check_int(haft_actor_drop(&a), ==, 0);
    }
}

/* --- everything at once ------------------------------------------------------------------------------------------- */

struct storm {
    const owner *actor;
    _Atomic long *in, *out; /* frames handed over and disposed of: moved, dropped, or back */
    unsigned seed;
    size_t rounds;
};

struct drop_count {
    _Atomic long *out;
    char weight[96];
};

static void count_out(struct drop_count *d)
{
    atomic_fetch_add(d->out, 1);
}

static int serves(struct state *s, struct drop_count *d)
{
    s->sum++;
    d->weight[0]++;
    return s->sum % 64 == 0 ? haft_yield() : 0;
}

static int storms(struct storm *s)
{
    unsigned x = s->seed;
    for (size_t i = 0; i < s->rounds; i++) {
        x = x * 1103515245u + 12345u;
        unsigned pick = (x >> 16) % 8;
        struct drop_count d = { .out = s->out };
        HAFT_TIMEOUT(pick == 7 ? 0 : pick == 6 ? (int64_t)((x >> 8) % 50) * HAFT_US : INT64_MAX);
        int rc;
        atomic_fetch_add(s->in, 1);
        haft_drop_fn *drop = (haft_drop_fn *)(void (*)(void))count_out;
        if (pick % 2 == 0)
            rc = haft_call(s->actor, serves, &d, .drop = drop, .urgent = pick == 2);
        else if (pick == 3)
            rc = haft_try_cast(s->actor, serves, &d, .drop = drop);
        else
            rc = haft_cast(s->actor, serves, &d, .drop = drop);
        bool is_mine = rc != HAFT_EINDOUBT && (pick % 2 == 0 || rc != 0);
        if (is_mine)
            atomic_fetch_add(s->out, 1);
        if (rc == HAFT_ECANCELED || rc == HAFT_EINDOUBT || rc == HAFT_ECLOSED)
            if (haft_is_aborted() || rc == HAFT_ECLOSED)
                return 0;
    }
    return 0;
}

static void storm(haft_kind worker, bool aborts)
{
    enum { CLIENTS = 6 };
    struct state s = { 0 };
    owner a;
    _Atomic long in = 0, out = 0;
    check_int(haft_actor_start(&a, &s, .kind = worker, .capacity = 4), ==, 0);
    haft_handle clients[CLIENTS];
    size_t n = rounds(1000, 50000);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = haft_spawn(storms, (&(struct storm){ &a, &in, &out, 77 + i, n }),
                                .kind = i % 3 == 2 ? HAFT_THREAD : HAFT_TASK);
    if (aborts) {
        until(atomic_load(&in) > (long)n / 2);
        check_int(haft_abort(clients[0]), ==, 0);
        check_int(haft_abort(clients[2]), ==, 0);
        until(atomic_load(&in) > (long)n * 4 / 5);
        check_int(haft_actor_abort(&a), ==, 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        int rc = haft_join(&clients[i]);
        check(rc == 0 || rc == HAFT_EABORTED);
    }
    check_int(haft_actor_join(&a, &s), ==, aborts ? HAFT_EABORTED : 0);
    check_int(atomic_load(&in), ==, atomic_load(&out));
}

TEST_LONG("in a storm of calls and casts from tasks and threads, every frame has one end")
{
    for_each_worker(kind) storm(kind, false);
}

TEST_LONG("so it has when callers and the actor are aborted")
{
    for (int i = 0; i < 3; i++)
        for_each_worker(kind) storm(kind, true);
}
