/* SPDX-License-Identifier: MIT
 *
 * Actors: a mailbox, a worker that serves it, and counted ends. One lock guards all of it but the messages' frames; no
 * user code, wake or allocation happens under it.
 *
 * A message is a node in a queue. That of a call lies on the caller's stack, that of a cast or timer is the actor's own
 * and is kept for reuse, with its buffer. Calls take no room in the mailbox: their callers wait, so they bound
 * themselves.
 *
 *     call:  QUEUED ──> (COPYING ──>) BEGUN ──> (COPYING ──>) ANSWERED
 *               └─> withdrawn          └─> left: HAFT_EINDOUBT
 *
 * Every arrow but the last is taken under the lock. QUEUED: the caller may unlink its node and go. BEGUN: the frame was
 * copied to the worker's scratch; the caller may go, which it says by clearing `current`, after which the worker does
 * not touch the node. COPYING: a large frame is moved outside of the lock; the caller waits for the end of that, which
 * depends on nobody. ANSWERED is the worker's last touch of the node; it reads before whom to wake.
 *
 * A cast first gets room: `used` counts the places that are promised, filled or queued. Who finds none stands in
 * `casters`, on its own stack; a place that becomes free goes to the first of them, and only then is nobody's. A
 * caster's place may be refused (the actor is closing) or its wait (abort, deadline); a place granted meanwhile counts.
 *
 * The worker is a job of the group kind, so that its end is told here however it comes. It is marked to begin even when
 * it was aborted before, because somebody has to answer. What is left, the state and queued frames, is disposed of by
 * user code, so by whoever comes second of owner and worker (`is_worker_done`, `is_owner_gone`), or by the last end if
 * the worker never began for want of memory, or a body left it by pthread_exit.
 *
 * Memory: `refs` counts owner, worker, clients and weak clients; the last one frees. `clients` counts those that keep a
 * detached actor serving. */
#ifndef HAFT_ACTOR_ACTOR_H
#define HAFT_ACTOR_ACTOR_H

#include "haft/actor.h"
#include "job/job.h"

#define HAFT__ACTOR_CAPACITY 32
#define HAFT__ACTOR_COPY_MAX 256 /* bytes that are copied under the lock */

enum haft__message_fate {
    HAFT__MESSAGE_QUEUED,
    HAFT__MESSAGE_COPYING,
    HAFT__MESSAGE_BEGUN,
    HAFT__MESSAGE_ANSWERED,
};

typedef struct haft__message {
    haft__link link;
    haft_actor_fn *body;
    void *frame;
    size_t size;
    haft_drop_fn *drop;
    haft__record *caller; /* of a call; null: a cast or timer */
    bool urgent;
    /* A call's. */
    haft__atomic(uint32_t) fate;
    haft_end end; /* once answered; HAFT_NOT_STARTED: code tells why */
    int code;
    haft_panic_info *panic; /* where the caller wants it told, or null */
    /* A cast's or timer's. */
    size_t room;     /* bytes behind frame */
    int64_t due;     /* while in `timers` */
    int64_t period;  /* 0: once */
    bool takes_room; /* in `used` while it is queued */
} haft__message;

typedef struct haft__caster {
    haft__link link;
    haft__record *record;
    bool is_granted, is_refused;
} haft__caster;

typedef struct haft_actor_core {
    haft__group_done *done; /* first */
    haft__lock lock;
    haft__atomic(uint32_t) refs;

    haft__link urgent, ordinary; /* queued */
    size_t queued;
    size_t capacity, used;
    haft__link casters;
    haft__link spare; /* nodes of casts */
    size_t spare_count;
    haft__link timers; /* the next one first */

    haft__record *worker;             /* null once it has ended */
    struct haft_actor_core *waits_on; /* what the worker waits for now; see ring.c */
    haft__message *current;           /* the call that runs, while its caller waits for it */
    haft__message *running;           /* the cast that runs */
    size_t clients;
    haft__record *joiner;
    bool is_idle;    /* the worker is parked or about to be: wake it */
    bool is_closing; /* nothing more is accepted */
    bool is_dead;    /* nothing more is begun */
    bool is_owner_gone, is_worker_done;
    bool has_ended; /* the worker's job is gone; outcome says how */
    bool is_state_gone;
    bool has_panicked; /* and ended by that */
    bool is_panic_told;
    haft_on_message_panic on_panic;

    void *state;
    size_t state_size;
    haft_drop_fn *state_drop;
    void *scratch; /* the worker's: the frame of the call that runs */
    size_t scratch_size;
    haft__record *to_wake; /* the worker's: whom it answered last */
    haft_outcome outcome;
} haft__actor;

/* --- mailbox.c --- */

/* Whoever sets is_closing calls this afterwards, without the lock: refuses who waits for room, wakes an idle worker. */
void haft__actor_closed(haft__actor *a);
/* Frees one place; whom to wake, or null. The lock is held. */
haft__record *haft__actor_release_room(haft__actor *a);
/* Queues every timer that is due and has room. The lock is held. */
void haft__actor_run_timers(haft__actor *a);
/* Puts a timer in its place. The lock is held. */
void haft__actor_set_timer(haft__actor *a, haft__message *m);
/* Puts the node of a cast back; what does not fit in is returned, to be released without the lock. The lock is held. */
haft__message *haft__actor_keep_node(haft__actor *a, haft__message *m);
void haft__actor_free_node(haft__message *m);

/* --- worker.c --- */

int haft__actor_serve(haft__actor **frame);
/* Answers a call that is QUEUED and will never be begun; whom to wake. The lock is held. */
haft__record *haft__actor_refuse(haft__message *m, int code);
/* Answers the call whose body was left by pthread_exit, if there is one; whom to wake. The lock is not held. */
haft__record *haft__actor_answer_left(haft__actor *a);
/* Tells every caller and caster that nothing more will begin. */
void haft__actor_refuse_all(haft__actor *a);
/* Gives what is queued, pending and not taken back to its droppers. Nobody else touches the actor's queues. */
void haft__actor_dispose(haft__actor *a);

/* --- ring.c --- */

/* Notes that the caller, if it is a worker, is about to wait for that actor. *own is for haft__actor_end_wait. False: it
 * would wait for itself, and nothing is noted. */
bool haft__actor_begin_wait(haft__actor *a, const haft__root *me, haft__actor **own);
void haft__actor_end_wait(haft__actor *own);

/* --- actor.c --- */

/* The actor whose worker runs here, or null. */
haft__actor *haft__actor_here(const haft__root *me);

void haft__actor_unref(haft__actor *a);
/* Calls drop(object) shielded and behind a wall. The panic is reported; it has nowhere to go. */
void haft__actor_drop_object(haft_drop_fn *drop, void *object);

#endif
