/* SPDX-License-Identifier: MIT
 *
 * Channels, select, locks and the like, tokens, shared and local values, tickers and actors on a machine that refuses memory
 * and threads: see scenario.h. Whoever does the other side's work may not have begun, or may have no stack; what it was
 * to hand over travels in its frame, whose .drop tells. So nobody waits for what will never be.
 *
 * Over 600 lines: a scenario for each thing, which are many and short. */
#include <haft/haft.h>

#include "scenario.h"

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

static _Atomic int drops;

static void counts_a_drop(void *object)
{
    (void)object;
    atomic_fetch_add(&drops, 1);
}

/* --- jobs that have one end of a channel -------------------------------------------------------------------------- */

enum { VALUES = 20 };

struct sends {
    int_sender tx;
    int sent; /* of 0, 1, 2 and so on */
};

struct receives {
    int_receiver rx;
    int received;
};

static void drops_sender(void *frame)
{
    haft_sender_drop(&((struct sends *)frame)->tx);
}

static void drops_receiver(void *frame)
{
    haft_receiver_drop(&((struct receives *)frame)->rx);
}

/* Sends until it is refused. A value that was not sent is still the sender's. */
static int sends_all(struct sends *f)
{
    int rc = 0;
    for (int value = 0; value < VALUES && rc == 0; value++) {
        int carried = value;
        rc = haft_send(&f->tx, &carried);
        check_int(carried, ==, value);
        f->sent += rc == 0;
    }
    haft_sender_drop(&f->tx);
    return rc;
}

/* What comes is in order and whole. */
static int receives_all(struct receives *f)
{
    int value, rc;
    while ((rc = haft_recv(&f->rx, &value)) == 0)
        check_int(value, ==, f->received++);
    haft_receiver_drop(&f->rx);
    return rc == HAFT_ECLOSED ? 0 : rc;
}

static void between_jobs(int_sender tx, int_receiver rx, haft_kind kind)
{
    struct sends s = { .tx = tx };
    struct receives r = { .rx = rx };
    haft_handle sender = haft_spawn(sends_all, &s, .kind = kind, .drop = drops_sender);
    if (haft_error(sender) != 0)
        haft_sender_drop(&s.tx);
    haft_handle receiver = haft_spawn(receives_all, &r, .kind = kind, .drop = drops_receiver);
    if (haft_error(receiver) != 0)
        haft_receiver_drop(&r.rx);
    /* A job that never ran gives its frame back with the end in it: only once that is dropped the other one ends. */
    int rc = haft_join(&sender, &s);
    if (rc != 0)
        haft_sender_drop(&s.tx); /* nothing, if it did so itself */
    check_msg(rc == 0 || rc == HAFT_ECLOSED || is_refusal(rc), "%s", haft_errname(rc));
    rc = haft_join(&receiver, &r);
    if (rc != 0)
        haft_receiver_drop(&r.rx);
    may_be_refused(rc);
    check_int(r.received, <=, s.sent);
    if (rc == 0)
        check_int(r.received, ==, s.sent);
}

/* --- channels ----------------------------------------------------------------------------------------------------- */

SCENARIO("what was sent through a channel of any sort is received, and what was not is still the sender's")
{
    for_each_kind(kind)
        for (int sort = 0; sort < 3; sort++) {
            int_sender tx;
            int_receiver rx;
            int rc = sort == 0 ? haft_channel_unbounded(&tx, &rx)
                               : haft_channel(&tx, &rx, sort == 1 ? VALUES : 10 * VALUES, .drop = counts_a_drop);
            may_be_refused(rc);
            if (rc == 0)
                between_jobs(tx, rx, kind);
        }
}

SCENARIO("a sender that waits for room, or for a taker, is told if the receiver never comes")
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        int_sender tx;
        int_receiver rx;
        int rc = haft_channel(&tx, &rx, capacity);
        may_be_refused(rc);
        if (rc != 0)
            continue;
        struct receives r = { .rx = rx };
        /* Let go, its frame goes to its .drop if it cannot run, and so the receiver is dropped. */
        haft_handle receiver = haft_spawn(receives_all, &r, .drop = drops_receiver);
        if (haft_error(receiver) != 0) {
            haft_receiver_drop(&r.rx);
            haft_drop(&receiver);
        } else {
            check_int(haft_detach(&receiver), ==, 0);
        }
        struct sends s = { .tx = tx };
        rc = sends_all(&s);
        check_msg(rc == 0 || rc == HAFT_ECLOSED || is_refusal(rc), "%s", haft_errname(rc));
        if (rc == 0)
            check_int(s.sent, ==, VALUES);
    }
}

SCENARIO("a oneshot brings its value, or tells that there will be none")
{
    for_each_kind(kind) {
        int_sender tx;
        int_receiver rx;
        int rc = haft_oneshot(&tx, &rx), value = -1;
        may_be_refused(rc);
        if (rc != 0)
            continue;
        struct sends s = { .tx = tx, .sent = VALUES - 1 };
        haft_handle sender = haft_spawn(sends_all, &s, .kind = kind, .drop = drops_sender);
        if (haft_error(sender) != 0)
            haft_sender_drop(&s.tx);
        else
            check_int(haft_detach(&sender), ==, 0);
        rc = haft_recv(&rx, &value);
        if (rc == 0)
            check_int(value, ==, 0);
        else
            check(rc == HAFT_ECLOSED && atomic_load(&faults_state.refused) > 0);
        haft_receiver_drop(&rx);
        haft_drop(&sender);
    }
}

SCENARIO("slots, clones and weak senders are there or not, and a channel with none of them left is gone")
{
    int_sender tx, other;
    int_receiver rx, second;
    HAFT_WEAK_SENDER(int) weak;
    HAFT_SLOT(int) slot, unused;
    int rc, value = 1, values[8];
    size_t n;
    atomic_store(&drops, 0);
    rc = haft_channel_unbounded(&tx, &rx, .drop = counts_a_drop);
    may_be_refused(rc);
    if (rc != 0)
        return;
    check_int(haft_sender_clone(&tx, &other), ==, 0);
    check_int(haft_receiver_clone(&rx, &second), ==, 0);
    check_int(haft_sender_downgrade(&tx, &weak), ==, 0);
    int sent = 0;
    for (int i = 0; i < 3000; i++) { /* several blocks */
        rc = i % 2 == 0 ? haft_send(&tx, &value) : haft_try_send(&other, &value);
        may_be_refused(rc);
        sent += rc == 0;
    }
    rc = haft_reserve(&tx, &slot);
    may_be_refused(rc);
    if (rc == 0) {
        rc = haft_slot_send(&slot, &value);
        may_be_refused(rc);
        sent += rc == 0;
        haft_slot_drop(&slot); /* nothing, if it was sent */
    }
    rc = haft_reserve(&tx, &unused);
    may_be_refused(rc);
    if (rc == 0)
        haft_slot_drop(&unused);
    haft_sender_drop(&tx);
    haft_sender_drop(&other);
    int received = 0;
    while (received < sent / 2 && haft_recv_many(&rx, values, 8, &n) == 0)
        received += (int)n;
    haft_receiver_drop(&rx);
    haft_receiver_drop(&second);
    check_int(received + atomic_load(&drops), ==, sent);
    check_int(haft_sender_upgrade(&weak, &tx), ==, HAFT_ECLOSED);
    haft_weak_sender_drop(&weak);
}

struct broadcasts {
    HAFT_BROADCAST_SENDER(int) tx;
    HAFT_WATCH_SENDER(int) watch;
};

static void drops_broadcasts(void *frame)
{
    struct broadcasts *f = frame;
    haft_broadcast_sender_drop(&f->tx);
    haft_watch_sender_drop(&f->watch);
}

static int broadcasts(struct broadcasts *f)
{
    int rc = 0;
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = haft_broadcast_send(&f->tx, &i);
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = haft_watch_set(&f->watch, &i);
    drops_broadcasts(f);
    return rc;
}

SCENARIO("broadcasts and watches end for their receivers when the sender could not begin")
{
    for_each_kind(kind) {
        HAFT_BROADCAST_RECEIVER(int) rx, other;
        HAFT_WATCH_RECEIVER(int) watcher;
        struct broadcasts f = { 0 };
        int first = -1, value, rc = haft_broadcast(&f.tx, &rx, 16);
        may_be_refused(rc);
        if (rc != 0)
            continue;
        may_be_refused(rc = haft_watch(&f.watch, &watcher, &first));
        check_int(haft_broadcast_subscribe(&f.tx, &other), ==, 0);
        haft_handle h = rc == 0 ? haft_spawn(broadcasts, &f, .kind = kind, .drop = drops_broadcasts) : HAFT_NULL_HANDLE;
        if (rc != 0 || haft_error(h) != 0)
            drops_broadcasts(&f);
        if (!haft_is_null(h) && haft_error(h) == 0)
            check_int(haft_detach(&h), ==, 0);
        uint64_t missed;
        int received = 0;
        while (haft_broadcast_recv(&rx, &value, &missed) == 0)
            check_int(value, ==, received++);
        check(received == 10 || atomic_load(&faults_state.refused) > 0);
        haft_broadcast_receiver_drop(&rx);
        haft_broadcast_receiver_drop(&other);
        if (rc == 0) {
            while (haft_watch_changed(&watcher) == 0)
                check_int(haft_watch_get(&watcher, &value), ==, 0);
            haft_watch_receiver_drop(&watcher);
        }
        haft_drop(&h);
    }
}

/* --- select ------------------------------------------------------------------------------------------------------- */

SCENARIO("a select ends with one of its arms, whatever could not begin")
{
    for_each_kind(kind) {
        int_sender tx;
        int_receiver rx;
        haft_sem sem = HAFT_SEM_INIT(1);
        haft_event event = HAFT_EVENT_INIT;
        int rc = haft_channel(&tx, &rx, VALUES), value = 0, joined = 1, recv = 1;
        may_be_refused(rc);
        if (rc != 0)
            continue;
        struct sends s = { .tx = tx };
        haft_handle h = haft_spawn(sends_all, &s, .kind = kind, .drop = drops_sender);
        if (haft_error(h) != 0)
            haft_sender_drop(&s.tx);
        bool is_closed = false;
        while (!is_closed || !haft_is_null(h)) {
            rc = haft_select(HAFT_ON_RECV(&rx, &value, .rc = &recv), HAFT_ON_JOIN(&h, &s, .rc = &joined),
                             HAFT_ON_EVENT(&event), HAFT_ON_TIMEOUT(HAFT_S));
            check_msg(rc == 0 || rc == 1, "%d", rc);
            is_closed = is_closed || (rc == 0 && recv == HAFT_ECLOSED);
            if (rc == 1) {
                check(haft_is_null(h));
                check_msg(joined == 0 || joined == HAFT_ESTALE || is_refusal(joined), "%s", haft_errname(joined));
                haft_sender_drop(&s.tx);
                break;
            }
        }
        check_int(haft_select(HAFT_ON_SEM(&sem, 1), HAFT_ON_TIMEOUT(HAFT_S)), ==, 0);
        check_int(haft_select(HAFT_ON_EVENT(&event), HAFT_ON_TIMEOUT(HAFT_MS)), ==, 1);
        haft_receiver_drop(&rx);
    }
}

/* --- locks and the like ------------------------------------------------------------------------------------------- */

static struct shared_state {
    haft_mutex mutex;
    haft_rwlock rwlock;
    haft_cond cond;
    haft_sem sem;
    haft_notify notify;
    haft_event event;
    haft_waitgroup waitgroup;
    haft_once once;
    haft_tracker tracker;
    int guarded;
    bool is_done;
} on;

static int is_done_once(void)
{
    on.guarded += 1000;
    return 0;
}

/* None of this can be refused, once it runs. */
static int locks(const int *n)
{
    check_int(haft_once_call(&on.once, is_done_once), ==, 0);
    for (int i = 0; i < *n; i++) {
        check_int(haft_mutex_lock(&on.mutex), ==, 0);
        on.guarded++;
        haft_mutex_unlock(&on.mutex);
        check_int(haft_rwlock_write(&on.rwlock), ==, 0);
        haft_rwlock_write_unlock(&on.rwlock);
        check_int(haft_rwlock_read(&on.rwlock), ==, 0);
        haft_rwlock_read_unlock(&on.rwlock);
        haft_permit permit;
        check_int(haft_sem_acquire_permit(&on.sem, 1, &permit), ==, 0);
        haft_permit_drop(&permit);
        haft_notify_one(&on.notify);
    }
    return 0;
}

/* Runs, or is dropped: in either case it is done. */
static void is_done(void *frame)
{
    (void)frame;
    check_int(haft_mutex_lock(&on.mutex), ==, 0);
    on.is_done = true;
    haft_cond_broadcast(&on.cond);
    haft_mutex_unlock(&on.mutex);
    haft_event_set(&on.event);
    haft_notify_one(&on.notify);
    haft_waitgroup_done(&on.waitgroup); /* the last touch */
}

SCENARIO("locks, conditions, semaphores and the like need no memory and serve all who could begin")
{
    for_each_kind(kind) {
        enum { JOBS = 3, ROUNDS = 20 };
        on = (struct shared_state){ .sem = HAFT_SEM_INIT(1) };
        int rounds = ROUNDS, begun = 0;
        for (int i = 0; i < JOBS; i++) {
            haft_waitgroup_add(&on.waitgroup, 1);
            /* Its end is told by .drop, which runs whether it could begin or not. */
            haft_handle h = haft_spawn(locks, &rounds, .kind = kind, .drop = is_done);
            if (haft_error(h) == 0) {
                check_int(haft_detach(&h), ==, 0);
                begun++;
            } else {
                may_be_refused(haft_error(h));
                haft_drop(&h);
                is_done(NULL);
            }
        }
        check_int(haft_mutex_lock(&on.mutex), ==, 0);
        while (!on.is_done)
            check_int(haft_cond_wait(&on.cond, &on.mutex), ==, 0);
        haft_mutex_unlock(&on.mutex);
        check_int(haft_event_wait(&on.event), ==, 0);
        check_int(haft_notify_wait(&on.notify), ==, 0);
        check_int(haft_waitgroup_wait(&on.waitgroup), ==, 0);
        check_int(on.guarded, <=, begun * ROUNDS + 1000);
        check_int(haft_once_call(&on.once, is_done_once), ==, 0);
        check_int(haft_mutex_lock(&on.mutex), ==, 0);
        haft_mutex_unlock(&on.mutex); /* the last one has let go of it, and of everything else */
    }
}

struct meeting {
    haft_barrier *barrier;
};

static int meets(struct meeting *m)
{
    bool leads;
    return haft_barrier_wait(m->barrier, &leads);
}

SCENARIO("who meets at a barrier leaves it when the others cannot come and it is aborted")
{
    haft_barrier barrier = HAFT_BARRIER_INIT(3);
    haft_handle hs[2];
    bool leads;
    int rc;
    for (int i = 0; i < 2; i++) {
        hs[i] = haft_spawn(meets, (&(struct meeting){ .barrier = &barrier }), .kind = i == 0 ? HAFT_TASK : HAFT_THREAD);
        may_be_refused(haft_error(hs[i]));
    }
    do {
        HAFT_TIMEOUT(2 * HAFT_MS);
        rc = haft_barrier_wait(&barrier, &leads);
        check_msg(rc == 0 || rc == HAFT_ETIMEDOUT, "%s", haft_errname(rc));
    } while (rc != 0 && atomic_load(&faults_state.refused) == 0);
    for (int i = 0; i < 2; i++) {
        haft_abort(hs[i]);
        rc = haft_join(&hs[i]);
        check_msg(rc == 0 || rc == HAFT_EABORTED || is_refusal(rc), "%s", haft_errname(rc));
    }
}

/* --- tokens and trackers ------------------------------------------------------------------------------------------ */

static int waits_for_a_token(haft_token *const *token)
{
    return haft_token_wait(*token);
}

SCENARIO("a token ends whatever waits for it, and a tracker tells when all that could begin has ended")
{
    haft_token token = HAFT_TOKEN_INIT, below, *waited = &below;
    haft_token_callback callback;
    haft_tracker tracker = HAFT_TRACKER_INIT;
    atomic_store(&drops, 0);
    check_int(haft_token_child(&token, &below), ==, 0);
    check_int(haft_token_on_cancel(&below, &callback, counts_a_drop, NULL), ==, 0);
    for_each_kind(kind) {
        int rc = haft_tracker_spawn(&tracker, waits_for_a_token, &waited, .kind = kind);
        may_be_refused(rc);
    }
    haft_tracker_close(&tracker);
    haft_token_cancel(&token);
    check_int(atomic_load(&drops), ==, 1);
    check_int(haft_token_wait(&below), ==, 0);
    check_int(haft_tracker_wait(&tracker), ==, 0);
    check_uint(haft_tracker_count(&tracker), ==, 0);
    haft_token_callback_drop(&callback);
    haft_token_drop(&below);
    haft_token_drop(&token);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static const haft_local local = HAFT_LOCAL_INIT(counts_a_drop), other_local = HAFT_LOCAL_INIT(NULL);

static int has_values_of_its_own(void)
{
    static int value;
    int rc = haft_local_set(&local, &value);
    may_be_refused(rc);
    check_ptr(haft_local_get(&local), ==, rc == 0 ? &value : NULL);
    rc = haft_local_set(&other_local, &value);
    may_be_refused(rc);
    check_ptr(haft_local_get(&other_local), ==, rc == 0 ? &value : NULL);
    return haft_local_get(&local) != NULL ? 1 : 0;
}

SCENARIO("values of a job are set or not, and disposed of at its end")
{
    int set = 0;
    atomic_store(&drops, 0);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(has_values_of_its_own, HAFT_NO_FRAME, .kind = kind);
        int rc = haft_join(&h);
        check_msg(rc == 0 || rc == 1 || is_refusal(rc), "%s", haft_errname(rc));
        set += rc == 1;
    }
    check_int(atomic_load(&drops), ==, set);
}

struct sharing {
    haft_shared value;
};

static void drops_sharing(void *frame)
{
    haft_shared_drop(&((struct sharing *)frame)->value);
}

static int shares(struct sharing *s)
{
    check_int(*(int *)s->value.value_, ==, 42);
    return 0;
}

SCENARIO("a value with several owners goes with the last of them")
{
    for_each_kind(kind) {
        int value = 42;
        haft_shared owner;
        haft_shared_weak weak;
        atomic_store(&drops, 0);
        int rc = haft_shared_new(&owner, &value, .drop = counts_a_drop);
        may_be_refused(rc);
        if (rc != 0)
            continue;
        struct sharing s;
        check_int(haft_shared_clone(&owner, &s.value), ==, 0);
        check_int(haft_shared_downgrade(&owner, &weak), ==, 0);
        haft_handle h = haft_spawn(shares, &s, .kind = kind, .drop = drops_sharing);
        if (haft_error(h) != 0)
            drops_sharing(&s);
        may_be_refused(haft_join(&h));
        check_int(atomic_load(&drops), ==, 0);
        haft_shared_drop(&owner);
        check_int(atomic_load(&drops), ==, 1);
        check_int(haft_shared_upgrade(&weak, &owner), ==, HAFT_ECLOSED);
        haft_shared_weak_drop(&weak);
    }
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static int ticks(void)
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, 100 * HAFT_US), ==, 0);
    for (int i = 0; i < 3; i++)
        check_int(haft_ticker_wait(&t), ==, 0);
    check_int(haft_select(HAFT_ON_TICK(&t), HAFT_ON_TIMEOUT(HAFT_S)), ==, 0);
    return 0;
}

SCENARIO("tickers tick in every job that could begin")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(ticks, HAFT_NO_FRAME, .kind = kind);
        may_be_refused(haft_join(&h));
    }
    check_int(ticks(), ==, 0);
}

/* --- actors ------------------------------------------------------------------------------------------------------- */

struct state {
    int served;
    char more[100];
};

struct message {
    int value;
    char more[200];
};

static _Atomic int cast_served;

static int serves(struct state *s, struct message *m)
{
    s->served++;
    m->value++;
    return 7;
}

static int serves_a_cast(struct state *s, struct message *m)
{
    (void)m;
    s->served++;
    atomic_fetch_add(&cast_served, 1);
    return 0;
}

static int nothing_to_add(struct state *s)
{
    return s->served >= 0 ? 8 : 0;
}

typedef HAFT_ACTOR(struct state) owner;
typedef HAFT_CLIENT(struct state) client;

/* A worker that was refused a stack answers nobody. */
static bool may_be_gone(int rc)
{
    return is_refusal(rc) || (rc == HAFT_ECLOSED && atomic_load(&faults_state.refused) > 0);
}

static int calls(owner *actor, int *casts)
{
    client c;
    int called = 0;
    check_int(haft_client_of(actor, &c), ==, 0);
    for (int i = 0; i < 3; i++) {
        struct message m = { .value = 1 };
        int rc = haft_call(&c, serves, &m);
        check_msg(rc == 7 || may_be_gone(rc), "%s", haft_errname(rc));
        check_int(m.value, ==, rc == 7 ? 2 : 1);
        called += rc == 7;
        rc = haft_call(actor, nothing_to_add, HAFT_NO_FRAME);
        check_msg(rc == 8 || may_be_gone(rc), "%s", haft_errname(rc));
        rc = i == 0 ? haft_actor_after(&c, HAFT_US, serves_a_cast, &m, .drop = counts_a_drop)
                    : haft_cast(&c, serves_a_cast, &m, .drop = counts_a_drop);
        check_msg(rc == 0 || may_be_gone(rc), "%s", haft_errname(rc));
        *casts += rc == 0;
        haft_outcome out;
        rc = haft_call_outcome(&c, serves, &m, &out);
        check_msg(rc == 0 || may_be_gone(rc), "%s", haft_errname(rc));
        called += rc == 0 && out.end == HAFT_RETURNED;
    }
    int rc = haft_actor_every(&c, 3600 * HAFT_S, serves_a_cast, (&(struct message){ 0 }), .drop = counts_a_drop);
    check_msg(rc == 0 || may_be_gone(rc), "%s", haft_errname(rc));
    *casts += rc == 0;
    haft_client_drop(&c);
    return called;
}

SCENARIO("an actor answers each call, or says that it will not, and each frame of a cast is dropped once")
{
    for_each_kind(kind)
        for (int how = 0; how < 3 && kind != HAFT_BLOCKING; how++) {
            owner actor;
            struct state state = { .served = 0 };
            int casts = 0;
            atomic_store(&drops, 0);
            atomic_store(&cast_served, 0);
            int rc = haft_actor_start(&actor, &state, .kind = kind, .name = "actor", .capacity = 4);
            may_be_refused(rc);
            if (rc != 0)
                continue;
            int called = calls(&actor, &casts);
            if (how == 0) {
                rc = haft_actor_join(&actor, &state);
                check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
                check_int(state.served, ==, called + atomic_load(&cast_served));
            } else if (how == 1) {
                rc = haft_actor_drop(&actor);
                check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
            } else {
                check_int(haft_actor_detach(&actor), ==, 0);
            }
            while (atomic_load(&drops) < casts)
                if (haft_yield() != 0)
                    poll(NULL, 0, 1);
            check_int(atomic_load(&drops), ==, casts);
        }
}

/* --- calls on the pool -------------------------------------------------------------------------------------------- */

static int waits_for_another_call(void)
{
    haft_handle h = haft_spawn_blocking(return_nothing);
    may_be_refused(haft_error(h));
    int rc = haft_join(&h);
    may_be_refused(rc);
    return rc;
}

SCENARIO("a call on the pool that waits for another one is not left waiting")
{
    haft_handle hs[3];
    for (int i = 0; i < 3; i++)
        hs[i] = haft_spawn_blocking(waits_for_another_call);
    for (int i = 0; i < 3; i++)
        may_be_refused(haft_join(&hs[i]));
}
