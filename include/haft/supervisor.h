/* SPDX-License-Identifier: MIT
 *
 * Supervisors: jobs that are started again when they die.
 *
 * A supervisor owns children, in the order in which they were added. Each is a body and a frame, run as a job of its own;
 * an actor can be one, too. A child dies when its body returns a code other than 0, panics, is aborted by anybody but the
 * supervisor, or cannot be started again for want of memory or threads; one that returns 0 has ended, not died, unless it
 * was added with HAFT_RESTART_ALWAYS. After a death the supervisor starts children again, as its strategy says. Too many
 * deaths in too short a time end it: it stops what still runs, and its own caller learns why.
 *
 * The frame is a template. It moves to the supervisor, and each run of the body works on a copy of it, made bytewise
 * when the run starts and forgotten when it ends. So what the frame owns (a pointer, an end of a channel) is the
 * supervisor's: runs use it and do not dispose of it; .drop does, once, by the template's address, when the child will
 * never run again. What a run acquires is its own to give back: HAFT_DEFER. What is to outlive a run lies behind a
 * pointer in the frame.
 *
 * Stopping. To stop a child, the supervisor calls .stop with the template, if one was given, so that the child may be
 * asked to end by whatever means the two have in common (a channel is closed, a token cancelled); gives it .grace to end
 * by itself; aborts it; and waits for its end. Children are stopped one by one, the last added first: when the supervisor
 * is stopped or dropped, when it gives up, and before they are started again together. An abort is a request, as
 * everywhere, so a child that never waits is waited for.
 *
 * Children are started in their order, and after each others get their turn, so that on one worker a child gets to its
 * first wait before the next one begins. Nobody waits for a child to be ready: one that needs another waits for it as
 * anybody would.
 *
 * A tree is made of children that have a supervisor themselves:
 *
 *     static int back_end(struct config *c)
 *     {
 *         haft_supervisor *sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL);
 *         HAFT_DEFER(haft_supervisor_drop, &sup);       // stops the children, last added first
 *         int rc = haft_supervise(sup, store, c, .name = "store");
 *         if (rc == 0)
 *             rc = haft_supervise(sup, index, c, .name = "index");
 *         return rc != 0 ? rc : haft_supervisor_wait(sup);
 *     }
 *
 * When it is aborted, the wait is refused, and the defer stops what is below; when it gives up, its code is a death one
 * level above. Semantics: Erlang's supervisor, with its words permanent, transient and temporary for HAFT_RESTART_ALWAYS,
 * _ON_FAILURE and _NEVER. */
#ifndef HAFT_SUPERVISOR_H
#define HAFT_SUPERVISOR_H

#include <limits.h>

#include <haft/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haft_supervisor haft_supervisor;

/* Who is started again after a death. */
typedef enum haft_strategy {
    HAFT_ONE_FOR_ONE = 0, /* the child that died */
    HAFT_ONE_FOR_ALL,     /* all children: those that run are stopped, then all are started in their order */
    HAFT_REST_FOR_ONE,    /* the child that died and those added after it, likewise */
} haft_strategy;

/* When a child is started again. */
typedef enum haft_restart {
    HAFT_RESTART_ON_FAILURE = 0, /* when it died; once it has returned 0 it is not run again, whatever others do */
    HAFT_RESTART_ALWAYS,         /* whenever it ends: to return 0 is to die */
    HAFT_RESTART_NEVER,          /* never; its end is nobody's death, and when it has ended it is removed */
} haft_restart;

/* For .restarts: no number of deaths ends the supervisor. */
#define HAFT_RESTARTS_UNLIMITED UINT_MAX

typedef struct haft_supervisor_options {
    size_t size_;
    const char *place_;
    haft_strategy strategy; /* HAFT_ONE_FOR_ONE */
    unsigned restarts;      /* death number .restarts + 1 within .within ends it; 8 bytes each; 0 without .within: 3 */
    int64_t within;         /* nanoseconds; 0: 5 s */
    int64_t backoff;     /* nanoseconds before a child is started again, doubled for each death in a row; 0: at once */
    int64_t backoff_max; /* at most; 0: 30 s, or .backoff if that is more */
    const char *name;    /* copied; for reports */
    haft_runtime *runtime; /* for itself and its children; null: the caller's own, or else the default one */
} haft_supervisor_options;

typedef struct haft_child_options {
    size_t size_;
    const char *place_;
    const char *name; /* copied; the name of each of its runs, and what it is found by */
    size_t stack_size;
    haft_drop_fn *drop;    /* disposes of the template, once */
    haft_drop_fn *stop;    /* asks the child to end; gets the template; or null */
    int64_t grace;         /* nanoseconds from there to its abort; 0: it is aborted at once */
    haft_runtime *runtime; /* null: the supervisor's */
    haft_kind kind;        /* HAFT_TASK */
    haft_restart restart;  /* HAFT_RESTART_ON_FAILURE */
    bool pinned;
} haft_child_options;

/* What is known of a child. */
typedef struct haft_child_info {
    haft_handle job;   /* its present run, as haft_self() names it: to be aborted, unparked, waited for; null: none */
    uint64_t restarts; /* how often it was started again */
    haft_outcome last; /* how its last run ended that has ended, without the payload of a panic; zero: none has */
} haft_child_info;

/* haft_supervisor_new(options...)
 *
 * An empty supervisor, to be filled by haft_supervise and ended by haft_supervisor_drop. It works in a task of its own,
 * which sleeps unless a child has ended, a delay is over, or somebody asks for something. Null: no memory, no runtime that
 * accepts jobs, or an option that can never be right. Suspends for a moment, shielded, until its task has begun. From any
 * thread and job.
 *
 * Back-off: a child that died waits for a time between half of the delay and all of it, chosen at random, so that what
 * died together does not come back together. The delay is .backoff after a first death, twice that after a second one
 * in a row, up to .backoff_max; the row ends once a run has lasted for .within. With delays, fewer deaths fit into .within.
 *
 * A runtime that ends aborts all children at once, as all its jobs, and the supervisor ends with it: for a stop in order,
 * drop the supervisor before. It is still to be dropped afterwards. */
HAFT_MUST_ HAFT_API_ haft_supervisor *haft_supervisor_new_raw(const haft_supervisor_options *options);

/* haft_supervise(sup, body, &frame, options...) or haft_supervise(sup, body)
 *
 * Adds a child, the last, and starts it; or, if others are about to be started again that come before it, leaves that to
 * the supervisor. 0: the frame is now the template. The frame is still the caller's, and nothing was added, in all other
 * cases: HAFT_ECLOSED (the supervisor was stopped, gave up or its runtime ended), HAFT_ENOMEM, HAFT_EAGAIN, HAFT_EINVAL,
 * HAFT_ESHUTDOWN, HAFT_EFORKED as haft_spawn. Suspends for a moment, and is no look at aborts and deadlines: a task lets
 * others run once. From any thread and job, its children included. */
HAFT_API_ int haft_supervise_raw(haft_supervisor *sup, haft_fn *body, const void *frame, size_t size, size_t alignment,
                                 const haft_child_options *options);

/* haft_supervise_actor(sup, &actor, &state, options...)
 *
 * haft_actor_start under a supervisor. A body that panics does not end the actor but its state: the message's caller gets
 * HAFT_EPANIC, the message is not tried again, and the worker stops serving until the supervisor starts it again, with a
 * fresh copy of the state that was given here. The mailbox, what is queued in it, timers, and all clients stay; whoever
 * calls meanwhile waits. What the worker had locked is released, as by its end. The same happens, behind the message that
 * is being served, when the actor is started again because of a sibling; a message that takes longer than .grace then is
 * aborted.
 *
 * The state is a template that owns nothing: each copy that is made of it, the first included, is what bodies make of it
 * then, and goes to .drop when the next one takes its place.
 *
 * The caller owns the actor as after haft_actor_start, and joins or drops it when it likes, before the supervisor or after;
 * while the worker waits to be started again, a join waits for that, too.
 * The actor ends, and is not started again, when its owner stops or aborts it or its last client is gone: that is no death.
 * A panic while it drains ends it, too, and so does pthread_exit in a body. When the supervisor stops, it is stopped,
 * given .grace to drain, and aborted. When the supervisor gives up, or ends while the worker waits to be started again,
 * the actor ends as by the last panic: what is queued is refused with HAFT_ECLOSED, and haft_actor_join returns
 * HAFT_EPANIC with the state as the panic left it.
 *
 * 0; HAFT_ECLOSED, HAFT_ENOMEM, HAFT_EAGAIN, HAFT_EINVAL, HAFT_ESHUTDOWN, HAFT_EFORKED as haft_supervise and
 * haft_actor_start: the state was not taken and the actor is null. Never suspends. From any thread and job. */
typedef struct haft_supervised_actor_options {
    size_t size_;
    const char *place_;
    haft_kind kind; /* HAFT_TASK or HAFT_THREAD */
    const char *name;
    size_t stack_size;
    haft_drop_fn *drop; /* disposes of each copy of the state but the one that a join takes back; or null */
    bool pinned;
    haft_runtime *runtime; /* null: the supervisor's */
    size_t capacity;       /* casts that may be queued; 0: 32 */
    int64_t grace;         /* nanoseconds to drain, or to end a message, before an abort; 0: none */
    bool measure;          /* times for haft_actor_stats */
} haft_supervised_actor_options;
HAFT_API_ int haft_supervise_actor_raw(haft_supervisor *sup, haft_actor_end *actor, const void *state, size_t size,
                                       size_t alignment, const haft_supervised_actor_options *options);

/* haft_supervisor_child(sup, name, &info): describes the first child of that name. 0; HAFT_EINVAL: there is none. What
 * is said of a child lasts until it is removed. Never suspends. */
HAFT_API_ int haft_supervisor_child(haft_supervisor *sup, const char *name, haft_child_info *info);

/* Stops the first child of that name and removes it; its siblings are left alone. 0: it has ended, and its template was
 * disposed of. HAFT_EINVAL: there is none. HAFT_ECLOSED: the supervisor stops its children anyway, or has. HAFT_EDEADLK:
 * called by the child itself, by a .stop or .drop, or by a sibling that is being stopped, for which the supervisor waits
 * first; if that begins while the sibling waits here, it is told at once, and the child is removed all the same. (A job
 * that a child only waits for is no child: it must not call this in a shield.) HAFT_ECANCELED, HAFT_ETIMEDOUT: the caller
 * was aborted or late; the child will be removed all the same. Suspends. */
HAFT_API_ int haft_supervisor_remove(haft_supervisor *sup, const char *name);

/* Asks the supervisor to stop its children, the last added first, and to end. Idempotent. HAFT_EINVAL for null. Never
 * suspends. From any thread and job, its children included. */
HAFT_API_ int haft_supervisor_stop(haft_supervisor *sup);

/* Waits until no child runs or will be started again. 0: all have ended, or the supervisor was stopped; without a stop it
 * may be filled again. If it gave up: the code of the death that was one too many, as haft_join would have returned it
 * (HAFT_ECLOSED for a child that returned 0 once too often). HAFT_ESHUTDOWN: its runtime ended. HAFT_ECANCELED,
 * HAFT_ETIMEDOUT: nothing has happened. HAFT_EDEADLK: called by a child, or by a .stop or .drop. HAFT_EINVAL for null.
 * Any number of callers. Suspends. */
HAFT_API_ int haft_supervisor_wait(haft_supervisor *sup);

/* Stops the supervisor, waits, shielded, until its children have ended, and frees it; *sup is null afterwards. Nothing
 * happens on null. Nobody but its children may be using it. 0; HAFT_EDEADLK: called by a child, or by a .stop or .drop:
 * nothing happened, haft_supervisor_stop is meant. HAFT_DEFER(haft_supervisor_drop, &sup). Suspends. */
HAFT_API_ int haft_supervisor_drop(haft_supervisor **sup);

#ifndef __cplusplus

#define haft_supervisor_new(...)                                                                                       \
    haft_supervisor_new_raw(                                                                                           \
        &(haft_supervisor_options){ .size_ = sizeof(haft_supervisor_options), .place_ = HAFT_HERE_, __VA_ARGS__ })

#define haft_supervise(sup, ...) HAFT_CAT_(haft_supervise_, HAFT_COUNT_(__VA_ARGS__))(sup, __VA_ARGS__)
#define haft_supervise_1(sup, body) haft_supervise_at_(sup, body, HAFT_NO_FRAME, )
#define haft_supervise_M(sup, body, ...) haft_supervise_at_(sup, body, __VA_ARGS__, )
#define haft_supervise_at_(sup, body, frame, ...)                                                                      \
    haft_supervise_raw((sup), HAFT_BODY_(body), (frame), HAFT_BODY_FRAME_SIZE_(body, frame), HAFT_FRAME_ALIGN_(frame), \
                       HAFT_CHILD_OPTIONS_(__VA_ARGS__))
#define HAFT_CHILD_OPTIONS_(...)                                                                                       \
    (&(haft_child_options){ .size_ = sizeof(haft_child_options), .place_ = HAFT_HERE_, __VA_ARGS__ })

#define haft_supervise_actor(sup, actor, ...) haft_supervise_actor_at_(sup, actor, __VA_ARGS__, )
#define haft_supervise_actor_at_(sup, actor, state, ...)                                                               \
    haft_supervise_actor_raw((sup), &(actor)->owner_, (state), HAFT_STATE_SIZE_(actor, state),                         \
                             HAFT_FRAME_ALIGN_(state),                                                                 \
                             (&(haft_supervised_actor_options){                                                        \
                                 .size_ = sizeof(haft_supervised_actor_options), .place_ = HAFT_HERE_, __VA_ARGS__ }))

#endif /* !__cplusplus */

#ifdef __cplusplus
}
#endif

#endif
