/* SPDX-License-Identifier: MIT
 *
 * Pools: several workers behind one handle.
 *
 * A pool is an actor (haft/actor.h) with several workers: the same messages, the same clients, the same ends. What differs
 * is that messages are worked on at the same time, and that there is still one state, which all workers share. So a body
 * reads the state freely, but what it changes there needs a lock or atomics, or belongs to a key:
 *
 * Messages that are sent with a key run one at a time and in the order in which they were sent, among those of the same
 * key, whichever workers run them and however many there are. What a body of one key changes and no other key touches
 * needs no lock. Messages of different keys, and those without one, run side by side. A key is a number; it costs nothing
 * while none of its messages is there.
 *
 * What each worker needs for itself, a connection for instance, is a value of its job (haft/local.h), which the first body
 * that finds none makes: it lives as long as the worker does.
 *
 * A panic in a body ends the whole pool, unless told otherwise, and an abort does: what is queued is not served, what
 * other workers have begun they end, and answer. */
#ifndef HAFT_POOL_H
#define HAFT_POOL_H

#include <haft/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The type of a pool's owner for a state S. Its clients are HAFT_CLIENT(S): who sends need not know how many serve. All
 * that haft/actor.h says of an end holds for it: haft_cast, haft_call, haft_actor_len, haft_actor_is_alive and
 * haft_actor_stats take it as well. */
#define HAFT_POOL(S) HAFT_ACTOR_END_(S, pool_)

typedef struct haft_pool_options {
    size_t size_;
    const char *place_;
    unsigned workers; /* 0: haft_cpu_count() */
    haft_kind kind;   /* HAFT_TASK or HAFT_THREAD */
    const char *name; /* of each worker */
    size_t stack_size;
    haft_drop_fn *drop; /* disposes of the state when nobody takes it back; or null */
    bool pinned;
    haft_runtime *runtime;
    size_t
        capacity; /* casts that may be queued, with keys and without; 0: 32. Callers wait anyway: calls take no room */
    haft_on_message_panic on_panic; /* HAFT_END_ACTOR ends the pool */
    bool measure;                   /* times for haft_actor_stats */
} haft_pool_options;

/* --- Start and size ----------------------------------------------------------------------------------------------- */

/* haft_pool_start(&pool, &state, options...)
 *
 * Starts workers that share a copy of the state. 0; or what haft_actor_start returns: the state was not taken, the pool is
 * null, and no body will run. Never suspends. From any thread and job. */
HAFT_API_ int haft_pool_start_raw(haft_actor_end *pool, const void *state, size_t size, size_t alignment,
                                  const haft_pool_options *options);

/* haft_pool_resize(&pool, workers)
 *
 * Changes the number of workers, at least 1. New ones are started here; those that are too many end once they have finished
 * what they run, which this does not wait for; the last one that could serve stays until one of those is back that wait for
 * this or another pool or actor. Messages are not touched by it.
 *
 * 0; HAFT_EINVAL for no workers; HAFT_ECLOSED (the pool was stopped or has ended); HAFT_ENOMEM, HAFT_EAGAIN,
 * HAFT_ESHUTDOWN, HAFT_EFORKED: no worker more than before; HAFT_ESTALE for a null end. Never suspends. From any thread and
 * job, its own workers included. */
HAFT_API_ int haft_pool_resize_raw(const haft_actor_end *pool, unsigned workers);

/* --- Messages: by the owner or a client --------------------------------------------------------------------------- */

/* haft_pool_cast(&end, body, &frame, options...), haft_pool_try_cast, haft_pool_call, haft_pool_call_outcome
 *
 * As haft_cast and the others, which take a pool as well. HAFT_EDEADLK: the caller is a worker of this or another pool or
 * an actor, and no worker that could end the wait would ever go on, because each waits for the caller, perhaps over others,
 * without a deadline. (In the checked build that is found for every caller, as in haft_call.) It counts how many workers
 * there are, not that a resize could bring more. Not found: room in a mailbox that is full of messages with keys at whose
 * turn others wait, while a worker is idle. */
HAFT_API_ int haft_pool_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size,
                                 size_t alignment, const haft_message_options *options);
HAFT_API_ int haft_pool_try_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size,
                                     size_t alignment, const haft_message_options *options);
HAFT_API_ int haft_pool_call_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size,
                                 size_t alignment, const haft_message_options *options);
HAFT_API_ int haft_pool_call_outcome_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size,
                                         size_t alignment, haft_outcome *out, const haft_message_options *options);

/* haft_pool_cast_keyed(&end, key, body, &frame, options...), haft_pool_try_cast_keyed, haft_pool_call_keyed,
 * haft_pool_call_keyed_outcome
 *
 * The same with a key. A message begins when all that were sent before it with the same key have ended, droppers
 * included; one that is taken back (HAFT_ECANCELED, HAFT_ETIMEDOUT) leaves the others in their order. An urgent one
 * overtakes messages of other keys only. A panic that does not end the pool does not end the key either. HAFT_EDEADLK also:
 * a call with the key that the caller, a worker, is just serving. To an actor all messages are of one key. */
HAFT_API_ int haft_pool_cast_keyed_raw(const haft_actor_end *end, uint64_t key, haft_actor_fn *body, const void *frame,
                                       size_t size, size_t alignment, const haft_message_options *options);
HAFT_API_ int haft_pool_try_cast_keyed_raw(const haft_actor_end *end, uint64_t key, haft_actor_fn *body,
                                           const void *frame, size_t size, size_t alignment,
                                           const haft_message_options *options);
HAFT_API_ int haft_pool_call_keyed_raw(const haft_actor_end *end, uint64_t key, haft_actor_fn *body, void *frame,
                                       size_t size, size_t alignment, const haft_message_options *options);
HAFT_API_ int haft_pool_call_keyed_outcome_raw(const haft_actor_end *end, uint64_t key, haft_actor_fn *body,
                                               void *frame, size_t size, size_t alignment, haft_outcome *out,
                                               const haft_message_options *options);

/* --- The end: by the owner; each as its namesake of an actor ------------------------------------------------------- */

HAFT_API_ int haft_pool_stop_raw(const haft_actor_end *pool);
HAFT_API_ int haft_pool_abort_raw(const haft_actor_end *pool); /* all workers */
/* haft_pool_join(&pool, &state) or haft_pool_join(&pool): stops the pool, waits until it has drained and its last worker
 * has ended, and moves the state back. HAFT_EPANIC if a panic ended it, else HAFT_EABORTED if an abort did. HAFT_EDEADLK:
 * called by one for which a worker waits, perhaps over others. */
HAFT_API_ int haft_pool_join_raw(haft_actor_end *pool, void *state, size_t size);
/* haft_pool_join_outcome(&pool, &state, &out) */
HAFT_API_ int haft_pool_join_outcome_raw(haft_actor_end *pool, void *state, size_t size, haft_outcome *out);
HAFT_API_ int haft_pool_drop(void *pool);
/* Lives until its last client is gone. */
HAFT_API_ int haft_pool_detach_raw(haft_actor_end *pool);

/* haft_pool_client_of(&pool, &client): as haft_client_of; what is done with a client stands in haft/actor.h. */
HAFT_API_ int haft_pool_client_of_raw(const haft_actor_end *pool, haft_actor_end *client);

#ifndef __cplusplus

#define HAFT_POOL_OPTIONS_(...)                                                                                        \
    (&(haft_pool_options){ .size_ = sizeof(haft_pool_options), .place_ = HAFT_HERE_, __VA_ARGS__ })

#define haft_pool_start(pool, ...) haft_pool_start_at_(pool, __VA_ARGS__, )
#define haft_pool_start_at_(pool, state, ...)                                                                          \
    haft_pool_start_raw(&(pool)->pool_, (state), HAFT_STATE_SIZE_(pool, state), HAFT_FRAME_ALIGN_(state),              \
                        HAFT_POOL_OPTIONS_(__VA_ARGS__))
#define haft_pool_resize(pool, workers) haft_pool_resize_raw(&(pool)->pool_, (workers))

#define haft_pool_cast(end, ...) HAFT_SEND_(haft_cast_at_, haft_pool_cast_raw, end, __VA_ARGS__)
#define haft_pool_try_cast(end, ...) HAFT_SEND_(haft_cast_at_, haft_pool_try_cast_raw, end, __VA_ARGS__)
#define haft_pool_call(end, ...) HAFT_SEND_(haft_call_at_, haft_pool_call_raw, end, __VA_ARGS__)
#define haft_pool_call_outcome(end, body, frame, ...) haft_pool_call_outcome_at_(end, body, frame, __VA_ARGS__, )
#define haft_pool_call_outcome_at_(end, body, frame, out, ...)                                                         \
    haft_pool_call_outcome_raw(HAFT_CALL_(end, body, frame), (out), HAFT_MESSAGE_OPTIONS_(__VA_ARGS__))

#define haft_pool_cast_keyed(end, key, ...)                                                                            \
    HAFT_SEND_AT_(haft_keyed_at_, haft_pool_cast_keyed_raw, end, key, __VA_ARGS__)
#define haft_pool_try_cast_keyed(end, key, ...)                                                                        \
    HAFT_SEND_AT_(haft_keyed_at_, haft_pool_try_cast_keyed_raw, end, key, __VA_ARGS__)
#define haft_pool_call_keyed(end, key, ...)                                                                            \
    HAFT_SEND_AT_(haft_call_keyed_at_, haft_pool_call_keyed_raw, end, key, __VA_ARGS__)
#define haft_keyed_at_(raw, end, key, body, frame, ...)                                                                \
    raw(&(end)->end_, (key), HAFT_ACTOR_BODY_(body), (frame), HAFT_MESSAGE_SIZE_(body, end, frame),                    \
        HAFT_FRAME_ALIGN_(frame), HAFT_MESSAGE_OPTIONS_(__VA_ARGS__))
#define haft_call_keyed_at_(raw, end, key, body, frame, ...)                                                           \
    raw(&(end)->end_, (key), HAFT_ACTOR_BODY_(body), (frame), HAFT_CALL_SIZE_(body, end, frame),                       \
        HAFT_FRAME_ALIGN_(frame), HAFT_MESSAGE_OPTIONS_(__VA_ARGS__))
#define haft_pool_call_keyed_outcome(end, key, body, frame, ...)                                                       \
    haft_keyed_outcome_at_(end, key, body, frame, __VA_ARGS__, )
#define haft_keyed_outcome_at_(end, key, body, frame, out, ...)                                                        \
    haft_pool_call_keyed_outcome_raw(&(end)->end_, (key), HAFT_ACTOR_BODY_(body), (frame),                             \
                                     HAFT_CALL_SIZE_(body, end, frame), HAFT_FRAME_ALIGN_(frame), (out),               \
                                     HAFT_MESSAGE_OPTIONS_(__VA_ARGS__))

#define haft_pool_stop(pool) haft_pool_stop_raw(&(pool)->pool_)
#define haft_pool_abort(pool) haft_pool_abort_raw(&(pool)->pool_)
#define haft_pool_detach(pool) haft_pool_detach_raw(&(pool)->pool_)
#define haft_pool_join(...) HAFT_CAT_(haft_pool_join_, HAFT_COUNT_(__VA_ARGS__))(__VA_ARGS__)
#define haft_pool_join_1(pool) haft_pool_join_raw(&(pool)->pool_, NULL, 0)
#define haft_pool_join_M(pool, state) haft_pool_join_raw(&(pool)->pool_, (state), HAFT_STATE_BACK_SIZE_(pool, state))
#define haft_pool_join_outcome(pool, state, out)                                                                       \
    haft_pool_join_outcome_raw(&(pool)->pool_, (state), HAFT_STATE_BACK_SIZE_(pool, state), (out))
#define haft_pool_client_of(pool, client)                                                                              \
    (HAFT_ENDS_MATCH_(pool, client), haft_pool_client_of_raw(&(pool)->pool_, &(client)->client_))
#define haft_pool_drop(pool) haft_pool_drop(HAFT_ROLE_(pool, pool_))

#endif /* !__cplusplus */

#ifdef __cplusplus
}
#endif

#endif
