/* SPDX-License-Identifier: MIT
 *
 * Actors and pools: a mailbox, the servers that serve it, and counted ends. An actor has one server, a pool several, which
 * share its state. One lock guards all of it but the messages' frames; no user code, wake or allocation happens under it.
 *
 * A message is a node in a queue. That of a call lies on the caller's stack, that of a cast or timer is the actor's own
 * and is kept for reuse, with its buffer. Calls take no room in the mailbox: their callers wait, so they bound
 * themselves.
 *
 *     call:  QUEUED ──> (COPYING ──>) BEGUN ──> (COPYING ──>) ANSWERED
 *               └─> withdrawn          └─> left: HAFT_EINDOUBT
 *
 * Every arrow but the last is taken under the lock. QUEUED: the caller may unlink its node and go. BEGUN: the frame was
 * copied to the server's scratch; the caller may go, which it says by clearing the server's `current`, after which the
 * server does not touch the node. COPYING: a large frame is moved outside of the lock; the caller waits for the end of
 * that, which depends on nobody. ANSWERED is the server's last touch of the node; it reads before whom to wake.
 *
 * A cast first gets room: `used` counts the places that are promised, filled or queued. Who finds none stands in
 * `casters`, on its own stack; a place that becomes free goes to the first of them, and only then is nobody's. A
 * caster's place may be refused (the actor is closing) or its wait (abort, deadline); a place granted meanwhile counts.
 *
 * A message with a key (lanes.c) is in the queue only while no other of its key is there or runs; else it stands in the
 * lane of its key. Each key that is queued or runs has a lane, which is a part of the message that is queued, and of the
 * server while that runs; at the end of the run, dropper included, the next of the lane gets the lane and is queued. So
 * messages of one key run in their order and one at a time whichever server runs them, and there may be any number of
 * servers at any time.
 *
 * A server is a job of the group kind, so that its end is told here however it comes. It is marked to begin even when it
 * was aborted before, because somebody has to answer. A server that finds nothing to do enters `idle`; whoever queues a
 * message takes one from there and wakes it. Whoever was taken from there without finding a message has lost it to
 * another server, or leaves and passes the wake on.
 *
 *     serving ──> leaves its loop ──> done with disposing ──> its job is gone
 *
 * counted down in `serving`, `present` and `jobs`. A server leaves when the actor drains or is dead, when it is surplus
 * (more are serving than `wanted`), or when it was aborted or its message panicked. The last two kill: the actor is dead,
 * lanes are emptied into the queue, and what is queued is refused and disposed of by the killer, while other servers may
 * still run what they had begun. The state is disposed of by user code, so by whoever comes second of owner and last
 * server (`is_owner_gone`, `is_worker_done`), or by the last end if that server never began for want of memory, or a
 * body left it by pthread_exit.
 *
 * A server that waits for its own pool could be served by the others, but not by those that wait for it as well: the last
 * one that would is refused. One that is surplus does not leave while none but such would be left, or such that wait for
 * another actor or pool, which may wait for this one.
 *
 * Memory: `refs` counts owner, servers, clients and weak clients; the last one frees. `clients` counts those that keep a
 * detached actor serving. */
#ifndef HAFT_ACTOR_ACTOR_H
#define HAFT_ACTOR_ACTOR_H

#include <string.h>

#include "haft/actor.h"
#include "job/edge.h"

#define HAFT__ACTOR_CAPACITY 32
#define HAFT__ACTOR_COPY_MAX 256 /* bytes that are copied under the lock */
#define HAFT__ACTOR_TURNS 64     /* messages that a task serves before others get a turn */

enum haft__message_fate {
    HAFT__MESSAGE_QUEUED,
    HAFT__MESSAGE_COPYING,
    HAFT__MESSAGE_BEGUN,
    HAFT__MESSAGE_ANSWERED,
};

/* Whether a server of the very actor waits, and is counted there; with a deadline, or without. */
enum haft__own_wait { HAFT__NO_OWN_WAIT, HAFT__OWN_TIMED, HAFT__OWN_STUCK };

/* The messages of one key; see lanes.c. */
typedef struct haft__lane {
    uint64_t place; /* of its key in the tree of lanes */
    struct haft__lane *below[2];
    struct haft__lane **at; /* what points to it; null: it is in no tree */
    haft__link waiting;     /* those that come after the one whose lane it is */
} haft__lane;

typedef struct haft__message {
    haft__link link;
    haft_actor_fn *body;
    void *frame;
    size_t size;
    haft_drop_fn *drop;
    haft__record *caller; /* of a call; null: a cast or timer */
    bool urgent;
    uint8_t own_wait; /* enum haft__own_wait */
    /* A call's. */
    haft__atomic(uint32_t) fate;
    haft_end end; /* once answered; HAFT_NOT_STARTED: code tells why */
    union {
        int code;
        unsigned way; /* of one in `timers`; see timers.c */
    };
    union {
        haft_panic_info *panic; /* where the caller wants it told, or null */
        uint64_t order;         /* of one in `timers` */
    };
    struct haft__server *server; /* whose `current` it is */
    haft__lane *lane;            /* of its own, for its key; null: it has none */
    /* A cast's or timer's. */
    size_t room;     /* bytes behind frame */
    int64_t due;     /* when it was to be served: while in `timers`, and when times are measured */
    int64_t period;  /* 0: once */
    bool takes_room; /* in `used` while it is queued */
} haft__message;

/* A cast's node as a pool makes it. */
typedef struct haft__keyed {
    haft__message message; /* first */
    haft__lane lane;
} haft__keyed;

typedef struct haft__caster {
    haft__link link;
    haft__record *record;
    uint8_t own_wait; /* enum haft__own_wait */
    bool is_settled;  /* it was taken out of the list */
    int rc;           /* then: 0, a place was granted, or why not */
} haft__caster;

typedef struct haft__server {
    haft__group_done *done; /* first */
    struct haft_actor_core *core;
    haft__record *record;   /* null once its job has ended */
    haft__message *current; /* the call that runs, while its caller waits for it */
    haft__message *running; /* the cast that runs */
    haft__record *to_wake;  /* whom it answered last */
    void *scratch;          /* the frame of the call that runs */
    size_t scratch_size;
    struct haft__server *next_idle;
    haft__link link;  /* in `servers` */
    haft__lane *lane; /* a pool's: where the lane of what it runs is kept, if that has one */
    bool is_idle;     /* in `idle`: parked or about to be */
    bool is_to_wake;  /* it was just aborted */
    bool has_left;    /* its loop */
} haft__server;

/* What becomes of the server of a supervised actor that is down. */
enum haft__verdict { HAFT__VERDICT_NONE, HAFT__VERDICT_AGAIN, HAFT__VERDICT_END };

typedef struct haft_actor_core {
    haft__lock lock;
    haft__atomic(uint32_t) refs;

    haft__link urgent, ordinary; /* queued */
    size_t queued;
    size_t capacity, used;
    haft__link casters;
    haft__link spare; /* nodes of casts */
    size_t spare_count;
    haft__message *timers; /* the next one */
    uint64_t timers_set;

    haft__server *idle;
    haft__link servers; /* whose jobs live, those that were aborted and not woken yet first */
    haft__lane *lanes;  /* the tree */
    unsigned wanted, serving, present, jobs;
    unsigned own_waiters; /* servers that wait for this very actor */
    unsigned own_stuck;   /* so many of them without a deadline */
    haft__party party;    /* a pool's servers */
    size_t clients;
    haft__record *joiner;
    bool is_pool;
    bool is_closing;  /* nothing more is accepted */
    bool is_dead;     /* nothing more is begun */
    bool is_aborting; /* every server is aborted, later ones too */
    bool is_owner_gone, is_worker_done;
    bool has_ended; /* the last server's job is gone; outcome says how */
    bool is_state_gone;
    bool has_panicked; /* and ended by that */
    bool is_panic_told;
    haft_on_message_panic on_panic;
    struct haft__child *child; /* of a supervisor, or null; see supervised.c */
    enum haft__verdict verdict;
    bool is_pausing; /* the server is to go down before its next message */
    bool measures;

    void *state;
    size_t state_size;
    haft_drop_fn *state_drop;
    haft__server sole; /* an actor's */
    haft_actor_statistics stats;
    haft_outcome outcome; /* the worst that a server had, once has_outcome */
    bool has_outcome;
} haft__actor;

/* --- mailbox.c --- */

/* Whoever sets is_closing calls this afterwards, without the lock: refuses who waits for room, wakes idle servers. */
void haft__actor_closed(haft__actor *a);
/* Frees one place; whom to wake, or null. The lock is held. */
haft__record *haft__actor_release_room(haft__actor *a);
/* Queues every timer that is due and has room. The lock is held. */
void haft__actor_run_timers(haft__actor *a);
/* Puts the node of a cast back; what does not fit in is returned, to be released without the lock. The lock is held. */
haft__message *haft__actor_keep_node(haft__actor *a, haft__message *m);
void haft__actor_free_node(haft__message *m);

/* A message as it is to be sent, and with which key. */
typedef struct haft__sending {
    haft_actor_fn *body;
    void *frame; /* of a call; that of a cast is only read */
    size_t size, alignment;
    const haft_message_options *options;
    const uint64_t *key; /* or null */
} haft__sending;
static inline haft__sending haft__sending_of(haft_actor_fn *body, const void *frame, size_t size, size_t alignment,
                                             const haft_message_options *options)
{
    haft__sending what = { .body = body, .size = size, .alignment = alignment, .options = options };
    memcpy(&what.frame, &frame, sizeof frame); /* const or not is what the two kinds differ in */
    return what;
}
int haft__actor_cast(const haft_actor_end *end, const haft__sending *what, bool waits);
int haft__actor_call(const haft_actor_end *end, const haft__sending *what);
int haft__actor_call_outcome(const haft_actor_end *end, const haft__sending *what, haft_outcome *out);

/* --- lanes.c: the lock is held throughout --- */

/* Gives a message its own lane, which was prepared by haft__lane_of. True: it is to be queued; false: others of its key
 * come first, and it waits behind them. */
bool haft__lane_enter(haft__actor *a, haft__message *m);
/* A lane for that key, in no tree yet. */
void haft__lane_of(haft__lane *lane, uint64_t key);
/* The queued message is about to be run by that server, whose the lane then is. */
void haft__lane_begin(haft__server *s, haft__message *m);
/* What a lane stood for has run, or is withdrawn: the next of its key, which has the lane now and is to be queued; or
 * null, and the lane is gone. */
haft__message *haft__lane_leave(haft__lane *lane);
/* Takes one lane out of the tree, and its messages into the queue. False: there is none. */
bool haft__lane_empty_one(haft__actor *a);

/* --- timers.c --- */

/* Puts a timer in its place. The lock is held. */
void haft__actor_set_timer(haft__actor *a, haft__message *m);
/* The next timer, taken out, or null. The lock is held. */
haft__message *haft__actor_take_timer(haft__actor *a);

/* --- worker.c --- */

int haft__actor_serve(haft__server **frame);
/* Answers a call that is QUEUED and will never be begun; whom to wake. The lock is held. */
haft__record *haft__actor_refuse(haft__actor *a, haft__message *m, int code);
/* Answers the call whose body was left by pthread_exit, if there is one; whom to wake. The lock is not held. */
haft__record *haft__actor_answer_left(haft__server *s);
/* Wakes whom the server has answered last. The server's own; the lock is not held. */
void haft__actor_wake_answered(haft__server *s);
/* Tells every caller and caster that nothing more will begin. */
void haft__actor_refuse_all(haft__actor *a);
/* Gives what is queued, pending and not taken back to its droppers. */
void haft__actor_dispose(haft__actor *a);

/* If this was the wait of one of the actor's own servers, it is over. The lock is held. */
void haft__actor_end_own_wait_slowly(haft__actor *a, uint8_t *wait);
static inline void haft__actor_end_own_wait(haft__actor *a, uint8_t *wait)
{
    if (__builtin_expect(*wait != HAFT__NO_OWN_WAIT, 0))
        haft__actor_end_own_wait_slowly(a, wait);
}

/* Takes an idle server out of the list; whom to wake, or null. The lock is held. */
static inline haft__record *haft__actor_take_idle(haft__actor *a)
{
    haft__server *s = &a->sole;
    if (__builtin_expect(a->is_pool, 0)) {
        s = a->idle;
        if (s == NULL)
            return NULL;
        a->idle = s->next_idle;
    } else if (!s->is_idle) { /* no list: each step of one would have to wait for that before */
        return NULL;
    }
    s->is_idle = false;
    return s->record;
}

/* --- supervised.c --- */

/* The server is about to leave its loop, for that panic or for none. True: a supervisor starts it again; there is no panic
 * any more, and the state is a fresh one. The lock is held on entry and on return. Suspends. */
bool haft__actor_goes_on(haft__server *s, haft__root *me, haft__panic **panic);
/* The keeper's: what becomes of a server that is down; that it is to go down; that its body is to be interrupted for that.
 */
void haft__actor_give_verdict(haft__actor *a, enum haft__verdict verdict);
void haft__actor_pause(haft__actor *a);
void haft__actor_abort_sole(haft__actor *a);

/* --- ring.c --- */

/* That somebody waits for an actor: for the answer to that call, which is not in the mailbox yet, for that caster's place,
 * or, without either, for the end. */
typedef struct haft__actor_wait {
    haft__edge edge;
    haft__actor *a;
    const haft__message *call;
    const haft__caster *caster;
} haft__actor_wait;

/* Notes that the caller, who is that server or none (null), is about to wait, if that is to be noted. False: it would wait
 * for itself, and nothing is noted. No lock is held. Followed by haft__edge_leave. */
bool haft__actor_begin_wait(haft__actor_wait *wait, haft__actor *a, const haft__root *me, const haft__server *own,
                            const haft__message *call, const haft__caster *caster);

/* --- actor.c --- */

/* The server that runs here, or null. The group of another job may come and go while it runs: whoever joins several jobs is
 * one. That of a job which always begins stays. */
haft__server *haft__server_of(haft__job *job);
static inline haft__server *haft__server_here(const haft__root *me)
{
    haft__job *job = haft__job_here(me);
    if (__builtin_expect(job == NULL || (job->record.flags & HAFT__ALWAYS_BEGINS) == 0, 1))
        return NULL;
    return haft__server_of(job);
}

/* Prepares an actor in memory of that size, which begins with it; its name and the like are the caller's. Null: no
 * memory. Its one end is the caller's. */
haft__actor *haft__actor_new(size_t room, const void *state, size_t size, size_t alignment,
                             const haft_actor_options *options);
void haft__actor_ref(haft__actor *a);
void haft__actor_unref(haft__actor *a);
/* Starts a server, in memory that is zero but for `lane`; unless it is the sole one, it is freed with its end. 0;
 * HAFT_ECLOSED, or what haft_spawn returns: it is freed already. */
int haft__actor_add_server(haft__actor *a, haft__server *s, const haft_spawn_options *options);
/* Lets go of an actor that could not be started, but for some servers, which end. The state is still the caller's. */
void haft__actor_never_was(haft__actor *a);

#endif
