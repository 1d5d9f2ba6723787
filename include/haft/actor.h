/* SPDX-License-Identifier: MIT
 *
 * Actors: long-lived work behind a small typed interface.
 *
 * An actor owns a state and a worker, which is a task or a thread of its own. Others send it messages; a message is a
 * body and a frame, as everywhere, and the body gets the state as well: int body(S *state, M *frame). One message is
 * worked on at a time, so the state needs no lock. A cast moves its frame in and does not wait for the body; a call
 * does, and gets the frame back.
 *
 * An actor has one owner, which is where its end is awaited, and any number of clients, which only send. All of them are
 * ends: small values, null when zero and after they were given up. One end may be used by many jobs at once as long as
 * nobody gives it up meanwhile. To assign an end moves it by convention. The worker itself may use the owner's end, as
 * a pointer in the state for instance: a join or drop leaves it as it is until the worker has ended; a detach does not.
 *
 * The actor ends when its owner stops, joins or drops it, or, once detached, when its last client is gone: messages that
 * came before are served first (it drains). It also ends when it is aborted or a body panics: then what is queued is not
 * served; callers are told by HAFT_ECLOSED and have their frames back, the frames of casts go to their .drop.
 *
 * Droppers run shielded. What a body has locked and not unlocked when it returns stays locked by the worker; a panic
 * abandons what its own message has locked, and the end of the actor the rest. */
#ifndef HAFT_ACTOR_H
#define HAFT_ACTOR_H

#include <haft/job.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What every kind of end is inside. */
typedef struct haft_actor_end {
    struct haft_actor_core *core_;
} haft_actor_end;

/* The types of ends for a state S: the owner, a client, a weak client, which sends as a client does, but does not keep a
 * detached actor alive. They are meant for a typedef: ends of the same S fit together whatever the typedef, but only those
 * of one can be assigned to each other. */
#define HAFT_ACTOR(S) HAFT_ACTOR_END_(S, owner_)
#define HAFT_CLIENT(S) HAFT_ACTOR_END_(S, client_)
#define HAFT_WEAK_CLIENT(S) HAFT_ACTOR_END_(S, weak_)
#define HAFT_ACTOR_END_(S, role)                                                                                       \
    union {                                                                                                            \
        haft_actor_end end_;                                                                                           \
        S *state_; /* for its type only */                                                                             \
        haft_actor_end role;                                                                                           \
    }

/* What a panic in a body does. */
typedef enum haft_on_message_panic {
    HAFT_END_ACTOR = 0, /* ends the actor */
    HAFT_KEEP_SERVING,  /* ends the message; its caller is told, the state stays as it was left */
} haft_on_message_panic;

typedef struct haft_actor_options {
    size_t size_;
    const char *place_;
    haft_kind kind; /* HAFT_TASK or HAFT_THREAD */
    const char *name;
    size_t stack_size;
    haft_drop_fn *drop; /* disposes of the state when nobody takes it back; or null */
    bool pinned;
    haft_runtime *runtime;
    size_t capacity; /* casts that may be queued; 0: 32. Callers wait anyway, so calls take no room */
    haft_on_message_panic on_panic;
    bool measure; /* times for haft_actor_stats: three looks at the clock for each message */
} haft_actor_options;

typedef struct haft_message_options {
    size_t size_;
    const char *place_;
    haft_drop_fn *drop; /* disposes of the frame where it does not come back; or null */
    bool urgent;        /* served before every message that is not */
} haft_message_options;

/* A message's body as it is stored: int body(S *state, M *frame), or int body(S *state) with HAFT_NO_FRAME. */
typedef int haft_actor_fn(void *state, void *frame);

/* --- Start -------------------------------------------------------------------------------------------------------- */

/* haft_actor_start(&actor, &state, options...)
 *
 * Starts an actor that works on its own copy of the state. 0; or HAFT_ENOMEM, HAFT_EAGAIN, HAFT_EINVAL, HAFT_ESHUTDOWN,
 * HAFT_EFORKED as haft_spawn: the state was not taken and the actor is null. Never suspends. From any thread and job. */
HAFT_API_ int haft_actor_start_raw(haft_actor_end *actor, const void *state, size_t size, size_t alignment,
                                   const haft_actor_options *options);

/* --- Messages: by the owner or a client, weak or not -------------------------------------------------------------- */

/* haft_cast(&end, body, &frame, options...) or haft_cast(&end, body), and so the others
 *
 * Moves the frame into the mailbox. The body runs later, on the worker; what it returns is not asked for. Afterwards, or
 * if the body is never begun, the frame goes to .drop. Waits while the mailbox is full, in the order of arrival.
 *
 * 0: the frame was moved. The frame is still the caller's in all other cases: HAFT_ECLOSED (it will never be begun: the
 * actor was stopped or has ended), HAFT_ECANCELED, HAFT_ETIMEDOUT, HAFT_ENOMEM, HAFT_EDEADLK (the caller is the worker, and
 * its own mailbox is full, or it would wait for itself over others, as in haft_call), HAFT_EINVAL (frame aligned to more
 * than 64), HAFT_ESTALE (a null end). Suspends. From any thread and job. */
HAFT_API_ int haft_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size,
                            size_t alignment, const haft_message_options *options);
/* The same without waiting, whatever aborts and deadlines say: HAFT_EAGAIN if the mailbox is full. */
HAFT_API_ int haft_try_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size,
                                size_t alignment, const haft_message_options *options);

/* haft_call(&end, body, &frame, options...)
 *
 * Moves the frame to the worker, waits until the body has run there, and moves the frame back.
 *
 * The frame is the caller's again after: the body's own code; HAFT_EPANIC (the body panicked); HAFT_ECLOSED (it was never
 * begun and never will be); HAFT_ECANCELED or HAFT_ETIMEDOUT (the caller was aborted or late, and the call, which had
 * not begun, was withdrawn); HAFT_ENOMEM (the worker had no memory for the frame; never begun); HAFT_EDEADLK (the caller
 * is the worker, or the call would close a ring of calls between actors and pools, or any ring of waits in the checked
 * build); HAFT_EINVAL, HAFT_ESTALE as above.
 *
 * HAFT_EINDOUBT: the caller was aborted or late when the body had already begun. The frame is the worker's and goes to
 * .drop after it; the caller's copy must not be used any more. This counts as told of the abort.
 *
 * A body may return any of these codes too: haft_call_outcome tells whose it is. Suspends. From any thread and job. */
HAFT_API_ int haft_call_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size, size_t alignment,
                            const haft_message_options *options);
/* haft_call_outcome(&end, body, &frame, &out, options...): 0 once the body has run: *out tells how it ended and what it
 * returned. Otherwise the caller's own code, *out unchanged. */
HAFT_API_ int haft_call_outcome_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size,
                                    size_t alignment, haft_outcome *out, const haft_message_options *options);

/* haft_actor_after(&end, ns, body, &frame, options...), haft_actor_every(&end, ns, body, &frame, options...)
 *
 * A cast that is sent ns nanoseconds from now, or every ns nanoseconds, first after one period; it takes its place in the
 * mailbox when its time has come, and waits its turn. With every, the body gets the same frame each time, as it was left
 * the time before, and a new turn is queued only when the one before has begun: turns that were missed meanwhile are
 * skipped. A full mailbox delays it. What is pending when the actor ends or drains is not sent; its frame goes to .drop.
 *
 * 0: the frame was moved. HAFT_ECLOSED, HAFT_ENOMEM, HAFT_EINVAL (also a period that is not positive), HAFT_ESTALE: it is
 * still the caller's. Never suspends. From any thread and job. */
HAFT_API_ int haft_actor_after_raw(const haft_actor_end *end, int64_t nanoseconds, haft_actor_fn *body,
                                   const void *frame, size_t size, size_t alignment,
                                   const haft_message_options *options);
HAFT_API_ int haft_actor_every_raw(const haft_actor_end *end, int64_t nanoseconds, haft_actor_fn *body,
                                   const void *frame, size_t size, size_t alignment,
                                   const haft_message_options *options);

/* --- The end: by the owner ---------------------------------------------------------------------------------------- */

/* Asks the actor to end: it accepts no more messages, serves what is queued, and ends. Casts that wait for room are
 * refused. Idempotent. Never suspends. From any thread and job, its own worker included. HAFT_ESTALE for a null end. */
HAFT_API_ int haft_actor_stop_raw(const haft_actor_end *actor);

/* Asks the worker to abort: the body that runs is told at its next suspension point, and nothing more is begun.
 * Idempotent. Never suspends. HAFT_ESTALE for a null end. */
HAFT_API_ int haft_actor_abort_raw(const haft_actor_end *actor);

/* haft_actor_join(&actor, &state) or haft_actor_join(&actor)
 *
 * Stops the actor, waits until it has drained and ended, moves the state back (without &state it goes to its .drop), and
 * gives up the end, which is null afterwards. Returns 0; HAFT_EPANIC if a body's panic ended the actor; HAFT_EABORTED if an
 * abort did. In all these cases the actor was joined.
 *
 * HAFT_ECANCELED, HAFT_ETIMEDOUT: the caller was aborted or late; the actor is still owned, and has been asked to stop
 * unless the caller was aborted before. HAFT_EDEADLK: called by the worker itself, where haft_actor_stop is meant, or by
 * one that the actor waits for; HAFT_EBUSY: being joined; HAFT_EINVAL: a state of another size; HAFT_ESTALE: a null end.
 * Suspends. From any thread and job. */
HAFT_API_ int haft_actor_join_raw(haft_actor_end *actor, void *state, size_t size);
/* haft_actor_join_outcome(&actor, &state, &out): returns only the caller's own code; *out describes the end. */
HAFT_API_ int haft_actor_join_outcome_raw(haft_actor_end *actor, void *state, size_t size, haft_outcome *out);

/* Stops the actor, waits, shielded, until it has drained and ended, and gives the state to its .drop. For a pointer to an
 * owner; does nothing on a null one. 0; HAFT_EPANIC or HAFT_EABORTED if it had ended so; HAFT_EDEADLK, where
 * haft_actor_stop is meant, and HAFT_EBUSY as haft_actor_join: nothing happened. HAFT_DEFER(haft_actor_drop, &actor).
 * Suspends. */
HAFT_API_ int haft_actor_drop(void *actor);

/* Lets the actor live without an owner: it ends when its last client is gone (at once if there is none), and then the
 * state goes to its .drop. The end is null afterwards. HAFT_ESTALE for a null end. Never suspends, unless .drop does, which
 * runs here if the actor has already ended. */
HAFT_API_ int haft_actor_detach_raw(haft_actor_end *actor);

/* True until the actor has ended or is about to: it has not panicked, nor been told of an abort, nor drained. From owner
 * and clients; false for a null end. Never suspends. */
HAFT_API_ bool haft_actor_is_alive_raw(const haft_actor_end *end);

/* How many messages are queued now, calls included. */
HAFT_API_ size_t haft_actor_len_raw(const haft_actor_end *end);

/* haft_actor_stats(&end, &stats)
 *
 * What an actor or pool has done since its start, from any end of it. The counters are kept anyway; the times need
 * .measure = true at the start, and are 0 without. A call that has come back is counted. 0, or HAFT_ESTALE for a null end.
 * Never suspends. From any thread and job. */
typedef struct haft_actor_statistics {
    size_t size_;       /* how many bytes were filled in */
    unsigned workers;   /* now */
    size_t queued;      /* messages now, as haft_actor_len */
    size_t most_queued; /* at any time */
    uint64_t served;    /* messages whose body has run */
    uint64_t panicked;  /* so many of them panicked */
    int64_t waited; /* nanoseconds in the mailbox, of all that were served; those of a timer begin when it was due */
    int64_t longest_wait; /* of one of them */
    int64_t worked;       /* nanoseconds in bodies, waits included */
    int64_t longest_work; /* in one of them */
} haft_actor_statistics;
HAFT_API_ int haft_actor_stats_raw(const haft_actor_end *end, haft_actor_statistics *out, size_t size);

/* --- Clients ------------------------------------------------------------------------------------------------------ */

/* haft_client_of(&actor, &client), haft_client_clone(&from, &to): a new client. 0, or HAFT_ESTALE for a null end. A client
 * of an actor that has ended may be made; its messages are refused by HAFT_ECLOSED. Never suspends. */
HAFT_API_ int haft_client_of_raw(const haft_actor_end *actor, haft_actor_end *client);
/* haft_client_downgrade(&client, &weak): the client stays. haft_client_upgrade(&weak, &client): HAFT_ECLOSED if the actor
 * has been stopped or has ended. Where a client is not made, it is null. */
HAFT_API_ int haft_client_downgrade_raw(const haft_actor_end *client, haft_actor_end *weak);
HAFT_API_ int haft_client_upgrade_raw(const haft_actor_end *weak, haft_actor_end *client);
/* For a pointer to a client, to a weak client; it is a compile error to give them another end. Does nothing on a null one.
 * Returns 0, or HAFT_EPANIC if this was the last end of a detached actor, and a panic had ended it. Never suspends, unless
 * .drop does, which runs here if the actor has already ended. */
HAFT_API_ int haft_client_drop(void *client);
HAFT_API_ int haft_weak_client_drop(void *weak);

#ifndef __cplusplus

#define HAFT_ACTOR_OPTIONS_(...)                                                                                       \
    (&(haft_actor_options){ .size_ = sizeof(haft_actor_options), .place_ = HAFT_HERE_, __VA_ARGS__ })
#define HAFT_MESSAGE_OPTIONS_(...)                                                                                     \
    (&(haft_message_options){ .size_ = sizeof(haft_message_options), .place_ = HAFT_HERE_, __VA_ARGS__ })

#define haft_actor_start(actor, ...) haft_actor_start_at_(actor, __VA_ARGS__, )
#define haft_actor_start_at_(actor, state, ...)                                                                        \
    haft_actor_start_raw(&(actor)->owner_, (state), HAFT_STATE_SIZE_(actor, state), HAFT_FRAME_ALIGN_(state),          \
                         HAFT_ACTOR_OPTIONS_(__VA_ARGS__))

/* The size of a state that fits its end. */
#define HAFT_STATE_SIZE_(end, state)                                                                                   \
    __extension__({                                                                                                    \
        HAFT_CHECK_FRAME_(state);                                                                                      \
        _Static_assert(HAFT_SAME_(state, __typeof__((end)->state_)) ||                                                 \
                           HAFT_SAME_(state, const __typeof__(*(end)->state_) *),                                      \
                       "haft: the state is of another type than HAFT_ACTOR(T) says");                                  \
        sizeof *(state);                                                                                               \
    })

/* The same where it is asked for, 0 for HAFT_NO_FRAME. */
#define HAFT_STATE_BACK_SIZE_(end, state)                                                                              \
    __extension__({                                                                                                    \
        _Static_assert(HAFT_IS_BARE_(state) || HAFT_SAME_(state, __typeof__((end)->state_)),                           \
                       "haft: the state is of another type than HAFT_ACTOR(T) says");                                  \
        HAFT_FRAME_SIZE_(state);                                                                                       \
    })

#define HAFT_SERVES_(fn, end, p)                                                                                       \
    (HAFT_SAME_(fn, int (*)(__typeof__((end)->state_), __typeof__(p))) ||                                              \
     HAFT_SAME_(fn, int (*)(__typeof__((end)->state_), const __typeof__(*(p)) *)) ||                                   \
     HAFT_SAME_(fn, int (*)(__typeof__((end)->state_), __typeof__(((void)0, *(p))) *)) ||                              \
     HAFT_SAME_(fn, int (*)(__typeof__((end)->state_), void *)) ||                                                     \
     HAFT_SAME_(fn, int (*)(const __typeof__(*(end)->state_) *, __typeof__(p))) ||                                     \
     HAFT_SAME_(fn, int (*)(const __typeof__(*(end)->state_) *, const __typeof__(*(p)) *)))
#define HAFT_MESSAGE_SIZE_(fn, end, p)                                                                                 \
    __extension__({                                                                                                    \
        HAFT_CHECK_FRAME_(p);                                                                                          \
        _Static_assert(HAFT_IS_BARE_(p) ? HAFT_SAME_(fn, int (*)(__typeof__((end)->state_))) ||                        \
                                              HAFT_SAME_(fn, int (*)(const __typeof__(*(end)->state_) *))              \
                                        : HAFT_SERVES_(fn, end, p),                                                    \
                       "haft: the body must be int body(S *, M *) for an actor of S and a frame M *, or int body(S *)" \
                       " for none");                                                                                   \
        HAFT_IS_BARE_(p) ? (size_t)0 : sizeof *(p);                                                                    \
    })
#define HAFT_ACTOR_BODY_(fn) ((haft_actor_fn *)(void (*)(void))(fn))
#define HAFT_MESSAGE_(end, body, frame)                                                                                \
    &(end)->end_, HAFT_ACTOR_BODY_(body), (frame), HAFT_MESSAGE_SIZE_(body, end, frame), HAFT_FRAME_ALIGN_(frame)
/* The same of a frame that is written to when it comes back. */
#define HAFT_CALL_SIZE_(fn, end, p)                                                                                    \
    __extension__({                                                                                                    \
        _Static_assert(!HAFT_SAME_(p, const __typeof__(*(p)) *),                                                       \
                       "haft: a call moves its frame back, so it cannot be const: call with a copy, or cast");         \
        HAFT_MESSAGE_SIZE_(fn, end, p);                                                                                \
    })
#define HAFT_CALL_(end, body, frame)                                                                                   \
    &(end)->end_, HAFT_ACTOR_BODY_(body), (frame), HAFT_CALL_SIZE_(body, end, frame), HAFT_FRAME_ALIGN_(frame)

#define haft_cast(end, ...) HAFT_SEND_(haft_cast_at_, haft_cast_raw, end, __VA_ARGS__)
#define haft_try_cast(end, ...) HAFT_SEND_(haft_cast_at_, haft_try_cast_raw, end, __VA_ARGS__)
#define haft_call(end, ...) HAFT_SEND_(haft_call_at_, haft_call_raw, end, __VA_ARGS__)
/* Of a body alone, or of a body and a frame and what may follow. */
#define HAFT_SEND_(at, raw, end, ...) HAFT_CAT_(HAFT_SEND_, HAFT_COUNT_(__VA_ARGS__))(at, raw, end, __VA_ARGS__)
#define HAFT_SEND_1(at, raw, end, body) at(raw, end, body, HAFT_NO_FRAME, )
#define HAFT_SEND_M(at, raw, end, body, ...) at(raw, end, body, __VA_ARGS__, )
#define haft_cast_at_(raw, end, body, frame, ...)                                                                      \
    raw(HAFT_MESSAGE_(end, body, frame), HAFT_MESSAGE_OPTIONS_(__VA_ARGS__))
#define haft_call_at_(raw, end, body, frame, ...) raw(HAFT_CALL_(end, body, frame), HAFT_MESSAGE_OPTIONS_(__VA_ARGS__))
#define haft_call_outcome(end, body, frame, ...) haft_call_outcome_at_(end, body, frame, __VA_ARGS__, )
#define haft_call_outcome_at_(end, body, frame, out, ...)                                                              \
    haft_call_outcome_raw(HAFT_CALL_(end, body, frame), (out), HAFT_MESSAGE_OPTIONS_(__VA_ARGS__))
#define haft_actor_after(end, ns, ...) HAFT_SEND_AT_(haft_actor_timer_at_, haft_actor_after_raw, end, ns, __VA_ARGS__)
#define haft_actor_every(end, ns, ...) HAFT_SEND_AT_(haft_actor_timer_at_, haft_actor_every_raw, end, ns, __VA_ARGS__)
/* The same with something that stands before the body. */
#define HAFT_SEND_AT_(at, raw, end, what, ...)                                                                         \
    HAFT_CAT_(HAFT_SEND_AT_, HAFT_COUNT_(__VA_ARGS__))(at, raw, end, what, __VA_ARGS__)
#define HAFT_SEND_AT_1(at, raw, end, what, body) at(raw, end, what, body, HAFT_NO_FRAME, )
#define HAFT_SEND_AT_M(at, raw, end, what, body, ...) at(raw, end, what, body, __VA_ARGS__, )
#define haft_actor_timer_at_(raw, end, ns, body, frame, ...)                                                           \
    raw(&(end)->end_, (ns), HAFT_ACTOR_BODY_(body), (frame), HAFT_MESSAGE_SIZE_(body, end, frame),                     \
        HAFT_FRAME_ALIGN_(frame), HAFT_MESSAGE_OPTIONS_(__VA_ARGS__))

#define haft_actor_stop(actor) haft_actor_stop_raw(&(actor)->owner_)
#define haft_actor_abort(actor) haft_actor_abort_raw(&(actor)->owner_)
#define haft_actor_detach(actor) haft_actor_detach_raw(&(actor)->owner_)
#define haft_actor_is_alive(end) haft_actor_is_alive_raw(&(end)->end_)
#define haft_actor_len(end) haft_actor_len_raw(&(end)->end_)
#define haft_actor_stats(end, out) haft_actor_stats_raw(&(end)->end_, (out), sizeof *(out))
#define haft_actor_join(...) HAFT_CAT_(haft_actor_join_, HAFT_COUNT_(__VA_ARGS__))(__VA_ARGS__)
#define haft_actor_join_1(actor) haft_actor_join_raw(&(actor)->owner_, NULL, 0)
#define haft_actor_join_M(actor, state)                                                                                \
    haft_actor_join_raw(&(actor)->owner_, (state), HAFT_STATE_BACK_SIZE_(actor, state))
#define haft_actor_join_outcome(actor, state, out)                                                                     \
    haft_actor_join_outcome_raw(&(actor)->owner_, (state), HAFT_STATE_BACK_SIZE_(actor, state), (out))

/* The two ends are of one state. */
#define HAFT_ENDS_MATCH_(a, b)                                                                                         \
    __extension__({                                                                                                    \
        _Static_assert(HAFT_SAME_((a)->state_, __typeof__((b)->state_)),                                               \
                       "haft: ends of actors with different states");                                                  \
    })
#define haft_client_of(actor, client)                                                                                  \
    (HAFT_ENDS_MATCH_(actor, client), haft_client_of_raw(&(actor)->owner_, &(client)->client_))
#define haft_client_clone(from, to) (HAFT_ENDS_MATCH_(from, to), haft_client_of_raw(&(from)->client_, &(to)->client_))
#define haft_client_downgrade(client, weak)                                                                            \
    (HAFT_ENDS_MATCH_(client, weak), haft_client_downgrade_raw(&(client)->client_, &(weak)->weak_))
#define haft_client_upgrade(weak, client)                                                                              \
    (HAFT_ENDS_MATCH_(weak, client), haft_client_upgrade_raw(&(weak)->weak_, &(client)->client_))

/* The drops, called by name, refuse an end of another role: it would be counted wrongly. A void * is taken as it is. */
typedef union haft_any_end_ {
    haft_actor_end owner_, pool_, client_, weak_;
} haft_any_end_;
#define HAFT_ROLE_(end, role)                                                                                          \
    (&((__typeof__(_Generic((end), void * : (haft_any_end_ *)0, default : (end))))(end))->role)
#define haft_actor_drop(actor) haft_actor_drop(HAFT_ROLE_(actor, owner_))
#define haft_client_drop(client) haft_client_drop(HAFT_ROLE_(client, client_))
#define haft_weak_client_drop(weak) haft_weak_client_drop(HAFT_ROLE_(weak, weak_))

#endif /* !__cplusplus */

#ifdef __cplusplus
}
#endif

#endif
