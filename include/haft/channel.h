/* SPDX-License-Identifier: MIT
 *
 * Channels: values are handed over from whoever sends to whoever receives. Each end may be held by tasks, threads and
 * blocking calls in any mixture; one that has to wait suspends its task, or sleeps if it is a thread.
 *
 *     typedef HAFT_SENDER(char *) line_sender;
 *     typedef HAFT_RECEIVER(char *) line_receiver;
 *
 *     line_sender tx;
 *     line_receiver rx;
 *     rc = haft_channel(&tx, &rx, 32, .drop = haft_drop_free);
 *     rc = haft_send(&tx, &line);
 *     while ((rc = haft_recv(&rx, &line)) == 0)
 *         use(line);
 *
 * A value is copied bytewise when it is sent and when it is received, and has one owner at any time: the sender until
 * the send has succeeded, the channel, the receiver. What nobody receives goes to .drop. A send that fails has not taken
 * the value. A value may itself hold handles and channel ends.
 *
 * An end is a small value. One end may be used by many jobs at once, as long as nobody drops it meanwhile; a job that is
 * to drop it gets a clone of its own. Assigning an end by = moves it by convention. Dropping leaves a null end; dropping
 * a null end does nothing, any other use of one is HAFT_EINVAL.
 *
 * Waiting calls are suspension points: one that finds its job aborted returns HAFT_ECANCELED even if it could go on,
 * and has done nothing; the deadline of HAFT_TIMEOUT counts only where it must wait. Waiters are served in the order in
 * which they came. No call on a bounded channel allocates, but haft_channel itself. */
#ifndef HAFT_CHANNEL_H
#define HAFT_CHANNEL_H

#include <haft/codes.h>
#include <haft/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Ends --------------------------------------------------------------------------------------------------------- */

/* Types of ends, by the type of what is sent. They are meant for a typedef; ends of the same T are compatible
 * whatever the typedef. Zero is the null end. */
#define HAFT_SENDER(...) HAFT_END_(haft_sender_of_, __VA_ARGS__)
#define HAFT_RECEIVER(...) HAFT_END_(haft_receiver_of_, __VA_ARGS__)
#define HAFT_WEAK_SENDER(...) HAFT_END_(haft_weak_sender_of_, __VA_ARGS__)
#define HAFT_SLOT(...) HAFT_END_(haft_slot_of_, __VA_ARGS__)
#define HAFT_END_(member, ...)                                                                                         \
    union {                                                                                                            \
        void *channel_;                                                                                                \
        __typeof__(__VA_ARGS__) *member;                                                                               \
    }

typedef struct haft_channel_options {
    size_t size_;
    const char *place_;
    haft_drop_fn *drop; /* disposes of a value that nobody receives, by its address; null: there is nothing to do */
} haft_channel_options;

/* A .drop for values that are pointers from malloc: frees what *element points to. */
HAFT_API_ void haft_drop_free(void *element);

/* haft_channel(&tx, &rx, capacity, options...)
 *
 * Makes a channel that holds up to capacity values and its first two ends, both the caller's. With a capacity of 0, a
 * rendezvous, a send succeeds only together with a receive. 0; HAFT_ENOMEM, and no ends. Never suspends. */
HAFT_API_ int haft_channel_raw(void *tx, void *rx, size_t capacity, size_t element_size, size_t alignment,
                               const haft_channel_options *options);

/* haft_channel_unbounded(&tx, &rx, options...)
 *
 * A channel that grows: a send never waits, but may return HAFT_ENOMEM. A producer that is faster than its consumer
 * fills the memory. */
HAFT_API_ int haft_channel_unbounded_raw(void *tx, void *rx, size_t element_size, size_t alignment,
                                         const haft_channel_options *options);

/* haft_oneshot(&tx, &rx, options...)
 *
 * A channel for one value: its send never waits, and after it the channel is closed. The ends are ordinary ones. If the
 * sender is dropped instead, the receiver gets HAFT_ECLOSED. Semantics: Tokio's oneshot. */
HAFT_API_ int haft_oneshot_raw(void *tx, void *rx, size_t element_size, size_t alignment,
                               const haft_channel_options *options);

/* haft_sender_clone(&from, &to), haft_receiver_clone(&from, &to)
 *
 * Another end of the same channel, to be dropped by itself. 0; HAFT_EINVAL: from is null, and so is to. Never suspend. */
HAFT_API_ int haft_sender_clone_raw(const void *from, void *to);
HAFT_API_ int haft_receiver_clone_raw(const void *from, void *to);

/* haft_sender_drop(&tx): gives the sender back. When the last one is gone, and no slot is held, receivers get what was
 * sent and then HAFT_ECLOSED. tx is null afterwards; nothing happens on a null one. Never suspends. */
HAFT_API_ void haft_sender_drop(void *tx);
/* haft_receiver_drop(&rx): gives the receiver back. When the last one is gone, senders get HAFT_ECLOSED and what was sent
 * goes to .drop, on the caller. */
HAFT_API_ void haft_receiver_drop(void *rx);

/* haft_sender_downgrade(&tx, &weak): a weak sender, which does not keep the channel open; tx stays. Never suspends.
 * haft_sender_upgrade(&weak, &tx): a sender again, if any sender or slot is left. 0; HAFT_ECLOSED: none is, tx is null;
 * HAFT_EINVAL: weak is null. Never suspends. */
HAFT_API_ int haft_sender_downgrade_raw(const void *tx, void *weak);
HAFT_API_ int haft_sender_upgrade_raw(const void *weak, void *tx);
HAFT_API_ void haft_weak_sender_drop(void *weak);

/* haft_channel_close(&end): closes the channel from either end. What was sent still arrives, and a slot that is held may
 * still be sent; then receivers get HAFT_ECLOSED. Senders get it at once, waiting ones too; their values are theirs.
 * Idempotent. Never suspends. */
HAFT_API_ void haft_channel_close_raw(const void *end);
/* haft_channel_is_closed(&end): true once a send would return HAFT_ECLOSED. */
HAFT_API_ bool haft_channel_is_closed_raw(const void *end);

/* haft_channel_len(&end): how many values wait to be received. haft_channel_capacity(&end): how many fit; SIZE_MAX for an
 * unbounded channel. Both for either end; 0 for a null one. Never suspend. */
HAFT_API_ size_t haft_channel_len_raw(const void *end);
HAFT_API_ size_t haft_channel_capacity_raw(const void *end);

/* --- Sending and receiving ---------------------------------------------------------------------------------------- */

/* HAFT_MOVE(&variable), in the place of the address of a value to be sent: once the send has succeeded the variable is
 * emptied (filled with zeros), so that nobody uses by accident what was handed over. A send that fails leaves it. */
#define HAFT_MOVE(p) p, .move_ = HAFT_EMPTIES_(p)

/* haft_send(&tx, &value)
 *
 * Hands the value over, waiting while the channel is full. 0; on any error the value is still the caller's:
 * HAFT_ECLOSED: the channel was closed, or no receiver is left; HAFT_ECANCELED, HAFT_ETIMEDOUT; HAFT_ENOMEM for an
 * unbounded channel. Suspends. From any thread and any job. */
HAFT_API_ int haft_send_raw(const void *tx, const void *value, bool move);
/* haft_try_send(&tx, &value): the same without waiting and without looking at abort or deadlines. HAFT_EAGAIN: full, or,
 * with a capacity of 0, no receiver waits. Never suspends. */
HAFT_API_ int haft_try_send_raw(const void *tx, const void *value, bool move);

/* haft_recv(&rx, &value)
 *
 * Waits for a value and moves it out. 0; HAFT_ECLOSED: none is left and none will come; HAFT_ECANCELED,
 * HAFT_ETIMEDOUT. Suspends. From any thread and any job. */
HAFT_API_ int haft_recv_raw(const void *rx, void *value);
/* haft_try_recv(&rx, &value): the same without waiting. HAFT_EAGAIN: nothing is there, but something may come. */
HAFT_API_ int haft_try_recv_raw(const void *rx, void *value);

/* haft_recv_many(&rx, array, max, &n)
 *
 * Waits for at least one value and moves out as many as are there, at most max; *n tells how many. Codes as of
 * haft_recv, with *n = 0; HAFT_EINVAL: max is 0. Suspends. */
HAFT_API_ int haft_recv_many_raw(const void *rx, void *array, size_t max, size_t *n);

/* --- Reserving ---------------------------------------------------------------------------------------------------- */

/* haft_reserve(&tx, &slot)
 *
 * Waits for room and keeps it: a value can be sent through the slot later without waiting. A slot counts as a sender and
 * takes room of the channel until it is sent or dropped. 0; HAFT_EINVAL: the channel's capacity is 0; otherwise as
 * haft_send. slot is null on error. Suspends. haft_try_reserve never waits: HAFT_EAGAIN. */
HAFT_API_ int haft_reserve_raw(const void *tx, void *slot);
HAFT_API_ int haft_try_reserve_raw(const void *tx, void *slot);

/* haft_slot_send(&slot, &value): sends through the slot, which is null afterwards; also when the channel was closed
 * meanwhile. HAFT_ECLOSED: no receiver is left; HAFT_ENOMEM for an unbounded channel: value and slot are still the
 * caller's; HAFT_EINVAL: the slot is null. Never suspends. */
HAFT_API_ int haft_slot_send_raw(void *slot, const void *value, bool move);
/* haft_slot_drop(&slot): gives the room back; nothing happens on a null slot. Never suspends. */
HAFT_API_ void haft_slot_drop(void *slot);

/* --- Broadcast ---------------------------------------------------------------------------------------------------- */

/* Every receiver gets a copy of every value that was sent since it subscribed. The channel keeps the last `capacity`
 * values; a receiver that falls further behind is told how many it missed. Values are copied, so there is no .drop.
 * Semantics: Tokio's broadcast. A receiver's place is in the end itself. */
#define HAFT_BROADCAST_SENDER(...) HAFT_END_(haft_broadcast_sender_of_, __VA_ARGS__)
#define HAFT_BROADCAST_RECEIVER(...)                                                                                   \
    struct {                                                                                                           \
        HAFT_END_(haft_broadcast_receiver_of_, __VA_ARGS__);                                                           \
        uint64_t next_;                                                                                                \
    }

/* haft_broadcast(&tx, &rx, capacity): 0; HAFT_EINVAL: capacity is 0; HAFT_ENOMEM. Never suspends. */
HAFT_API_ int haft_broadcast_raw(void *tx, void *rx, size_t capacity, size_t element_size, size_t alignment);
/* haft_broadcast_subscribe(&tx, &rx): another receiver, for what is sent from now on. haft_broadcast_sender_clone(&from,
 * &to): another sender. 0; HAFT_EINVAL for a null end. Never suspend. */
HAFT_API_ int haft_broadcast_subscribe_raw(const void *tx, void *rx);
HAFT_API_ int haft_broadcast_sender_clone_raw(const void *from, void *to);
/* haft_broadcast_send(&tx, &value): copies the value to every receiver. Never waits, never suspends. HAFT_ECLOSED: there
 * is no receiver. */
HAFT_API_ int haft_broadcast_send_raw(const void *tx, const void *value);
/* haft_broadcast_recv(&rx, &value, &missed)
 *
 * Waits for the next value. HAFT_ELAGGED: *missed values were overwritten before they were received, no value is given,
 * and the next call gives the oldest that is kept; missed may be null. HAFT_ECLOSED: every sender is gone and all was
 * received. HAFT_ECANCELED, HAFT_ETIMEDOUT. Suspends; haft_broadcast_try_recv never does: HAFT_EAGAIN. */
HAFT_API_ int haft_broadcast_recv_raw(void *rx, void *value, uint64_t *missed);
HAFT_API_ int haft_broadcast_try_recv_raw(void *rx, void *value, uint64_t *missed);
/* When the last sender is gone receivers get what is left, then HAFT_ECLOSED. Nothing happens on null ends. */
HAFT_API_ void haft_broadcast_sender_drop(void *tx);
HAFT_API_ void haft_broadcast_receiver_drop(void *rx);

/* --- Watch -------------------------------------------------------------------------------------------------------- */

/* One value that changes: receivers see the latest and can wait for a newer one; values in between are lost. Values are
 * copied, so there is no .drop. Semantics: Tokio's watch. What a receiver has seen is in the end itself. */
#define HAFT_WATCH_SENDER(...) HAFT_END_(haft_watch_sender_of_, __VA_ARGS__)
#define HAFT_WATCH_RECEIVER(...)                                                                                       \
    struct {                                                                                                           \
        HAFT_END_(haft_watch_receiver_of_, __VA_ARGS__);                                                               \
        uint64_t next_;                                                                                                \
    }

/* haft_watch(&tx, &rx, &first): rx has seen the first value. 0; HAFT_ENOMEM. Never suspends. */
HAFT_API_ int haft_watch_raw(void *tx, void *rx, const void *first, size_t element_size, size_t alignment);
/* haft_watch_subscribe(&tx, &rx): another receiver, which has seen the value of now. 0; HAFT_EINVAL. Never suspends. */
HAFT_API_ int haft_watch_subscribe_raw(const void *tx, void *rx);
/* haft_watch_set(&tx, &value): the value from now on. HAFT_ECLOSED: there is no receiver, the value was not changed.
 * Never suspends. */
HAFT_API_ int haft_watch_set_raw(const void *tx, const void *value);
/* haft_watch_changed(&rx): waits for a value that rx has not seen, and marks nothing: until haft_watch_get it is ready
 * again at once. HAFT_ECLOSED: the sender is gone and nothing is unseen. HAFT_ECANCELED, HAFT_ETIMEDOUT. Suspends. */
HAFT_API_ int haft_watch_changed_raw(const void *rx);
/* haft_watch_get(&rx, &value): copies the latest value and marks it as seen; also when the sender is gone. 0;
 * HAFT_EINVAL for a null end. Never suspends. */
HAFT_API_ int haft_watch_get_raw(void *rx, void *value);
HAFT_API_ void haft_watch_sender_drop(void *tx);
HAFT_API_ void haft_watch_receiver_drop(void *rx);

/* --- Checks ------------------------------------------------------------------------------------------------------- */

#ifndef __cplusplus

/* The address of an end as the functions take it; a compile error if it is an end of another kind. */
#define HAFT_THE_(end, member) (1 ? (void *)&(end)->channel_ : (void *)(end)->member)
#define HAFT_SENDER_(tx) HAFT_THE_(tx, haft_sender_of_)
#define HAFT_RECEIVER_(rx) HAFT_THE_(rx, haft_receiver_of_)
#define HAFT_ALIKE_(a, b)                                                                                              \
    ((void)__extension__({                                                                                             \
        _Static_assert(__builtin_types_compatible_p(__typeof__(a), __typeof__(b)),                                     \
                       "haft: the two ends are of channels that carry different types");                               \
        0;                                                                                                             \
    }))
#define HAFT_EMPTIES_(p)                                                                                               \
    (__extension__({                                                                                                   \
        _Static_assert(!HAFT_SAME_(&*(p), const __typeof__(*(p)) *),                                                   \
                       "haft: HAFT_MOVE empties the variable, and this one is const: pass its address alone");         \
        true;                                                                                                          \
    }))
#define HAFT_CARRIES_(element, value)                                                                                  \
    ((void)__extension__({                                                                                             \
        HAFT_CHECK_ADDRESS_(value);                                                                                    \
        _Static_assert(HAFT_SAME_(value, __typeof__(element)) || HAFT_SAME_(value, const __typeof__(*(element)) *),    \
                       "haft: the channel carries another type: pass the address of a value of the channel's type");   \
        0;                                                                                                             \
    }))
#define HAFT_INTO_(element, value)                                                                                     \
    ((void)__extension__({                                                                                             \
        HAFT_CHECK_ADDRESS_(value);                                                                                    \
        _Static_assert(HAFT_SAME_(value, __typeof__(element)),                                                         \
                       "haft: the channel carries another type: pass the address of a variable of the channel's "      \
                       "type");                                                                                        \
        0;                                                                                                             \
    }))
#define HAFT_ELEMENT_(element) sizeof(*(element)), _Alignof(__typeof__(*(element)))
#define HAFT_CHANNEL_OPTIONS_(...)                                                                                     \
    (&(haft_channel_options){ .size_ = sizeof(haft_channel_options), .place_ = HAFT_HERE_, __VA_ARGS__ })

/* What may follow a value that is sent. */
typedef struct haft_send_options_ {
    char none_;
    bool move_;
} haft_send_options_;
#define HAFT_MOVES_(...) (((haft_send_options_){ .none_ = 0, __VA_ARGS__ }).move_)

#define haft_channel(tx, rx, ...) haft_channel_at_(tx, rx, __VA_ARGS__, )
#define haft_channel_at_(tx, rx, capacity, ...)                                                                        \
    (HAFT_ALIKE_((tx)->haft_sender_of_, (rx)->haft_receiver_of_),                                                      \
     haft_channel_raw(HAFT_SENDER_(tx), HAFT_RECEIVER_(rx), (capacity), HAFT_ELEMENT_((tx)->haft_sender_of_),          \
                      HAFT_CHANNEL_OPTIONS_(__VA_ARGS__)))
#define haft_channel_unbounded(tx, ...) haft_channel_unbounded_at_(tx, __VA_ARGS__, )
#define haft_channel_unbounded_at_(tx, rx, ...)                                                                        \
    (HAFT_ALIKE_((tx)->haft_sender_of_, (rx)->haft_receiver_of_),                                                      \
     haft_channel_unbounded_raw(HAFT_SENDER_(tx), HAFT_RECEIVER_(rx), HAFT_ELEMENT_((tx)->haft_sender_of_),            \
                                HAFT_CHANNEL_OPTIONS_(__VA_ARGS__)))
#define haft_oneshot(tx, ...) haft_oneshot_at_(tx, __VA_ARGS__, )
#define haft_oneshot_at_(tx, rx, ...)                                                                                  \
    (HAFT_ALIKE_((tx)->haft_sender_of_, (rx)->haft_receiver_of_),                                                      \
     haft_oneshot_raw(HAFT_SENDER_(tx), HAFT_RECEIVER_(rx), HAFT_ELEMENT_((tx)->haft_sender_of_),                      \
                      HAFT_CHANNEL_OPTIONS_(__VA_ARGS__)))

#define haft_sender_clone(from, to)                                                                                    \
    (HAFT_ALIKE_((from)->haft_sender_of_, (to)->haft_sender_of_),                                                      \
     haft_sender_clone_raw(HAFT_SENDER_(from), HAFT_SENDER_(to)))
#define haft_receiver_clone(from, to)                                                                                  \
    (HAFT_ALIKE_((from)->haft_receiver_of_, (to)->haft_receiver_of_),                                                  \
     haft_receiver_clone_raw(HAFT_RECEIVER_(from), HAFT_RECEIVER_(to)))
#define haft_sender_drop(tx) haft_sender_drop(HAFT_SENDER_(tx))
#define haft_receiver_drop(rx) haft_receiver_drop(HAFT_RECEIVER_(rx))
#define haft_sender_downgrade(tx, weak)                                                                                \
    (HAFT_ALIKE_((tx)->haft_sender_of_, (weak)->haft_weak_sender_of_),                                                 \
     haft_sender_downgrade_raw(HAFT_SENDER_(tx), HAFT_THE_(weak, haft_weak_sender_of_)))
#define haft_sender_upgrade(weak, tx)                                                                                  \
    (HAFT_ALIKE_((tx)->haft_sender_of_, (weak)->haft_weak_sender_of_),                                                 \
     haft_sender_upgrade_raw(HAFT_THE_(weak, haft_weak_sender_of_), HAFT_SENDER_(tx)))
#define haft_weak_sender_drop(weak) haft_weak_sender_drop(HAFT_THE_(weak, haft_weak_sender_of_))
#define haft_channel_close(end) haft_channel_close_raw(&(end)->channel_)
#define haft_channel_is_closed(end) haft_channel_is_closed_raw(&(end)->channel_)
#define haft_channel_len(end) haft_channel_len_raw(&(end)->channel_)
#define haft_channel_capacity(end) haft_channel_capacity_raw(&(end)->channel_)

#define haft_send(tx, ...) haft_send_at_(haft_send_raw, tx, __VA_ARGS__, )
#define haft_try_send(tx, ...) haft_send_at_(haft_try_send_raw, tx, __VA_ARGS__, )
#define haft_send_at_(raw, tx, value, ...)                                                                             \
    (HAFT_CARRIES_((tx)->haft_sender_of_, value), raw(HAFT_SENDER_(tx), (value), HAFT_MOVES_(__VA_ARGS__)))
#define haft_recv(rx, value) (HAFT_INTO_((rx)->haft_receiver_of_, value), haft_recv_raw(HAFT_RECEIVER_(rx), (value)))
#define haft_try_recv(rx, value)                                                                                       \
    (HAFT_INTO_((rx)->haft_receiver_of_, value), haft_try_recv_raw(HAFT_RECEIVER_(rx), (value)))
#define haft_recv_many(rx, array, max, n)                                                                              \
    (HAFT_INTO_((rx)->haft_receiver_of_, array), haft_recv_many_raw(HAFT_RECEIVER_(rx), (array), (max), (n)))

#define haft_reserve(tx, slot) haft_reserve_at_(haft_reserve_raw, tx, slot)
#define haft_try_reserve(tx, slot) haft_reserve_at_(haft_try_reserve_raw, tx, slot)
#define haft_reserve_at_(raw, tx, slot)                                                                                \
    (HAFT_ALIKE_((tx)->haft_sender_of_, (slot)->haft_slot_of_), raw(HAFT_SENDER_(tx), HAFT_THE_(slot, haft_slot_of_)))
#define haft_slot_send(slot, ...) haft_slot_send_at_(slot, __VA_ARGS__, )
#define haft_slot_send_at_(slot, value, ...)                                                                           \
    (HAFT_CARRIES_((slot)->haft_slot_of_, value),                                                                      \
     haft_slot_send_raw(HAFT_THE_(slot, haft_slot_of_), (value), HAFT_MOVES_(__VA_ARGS__)))
#define haft_slot_drop(slot) haft_slot_drop(HAFT_THE_(slot, haft_slot_of_))

#define HAFT_BROADCAST_SENDER_(tx) HAFT_THE_(tx, haft_broadcast_sender_of_)
#define HAFT_BROADCAST_RECEIVER_(rx) HAFT_THE_(rx, haft_broadcast_receiver_of_)
#define haft_broadcast(tx, rx, capacity)                                                                               \
    (HAFT_ALIKE_((tx)->haft_broadcast_sender_of_, (rx)->haft_broadcast_receiver_of_),                                  \
     haft_broadcast_raw(HAFT_BROADCAST_SENDER_(tx), HAFT_BROADCAST_RECEIVER_(rx), (capacity),                          \
                        HAFT_ELEMENT_((tx)->haft_broadcast_sender_of_)))
#define haft_broadcast_subscribe(tx, rx)                                                                               \
    (HAFT_ALIKE_((tx)->haft_broadcast_sender_of_, (rx)->haft_broadcast_receiver_of_),                                  \
     haft_broadcast_subscribe_raw(HAFT_BROADCAST_SENDER_(tx), HAFT_BROADCAST_RECEIVER_(rx)))
#define haft_broadcast_sender_clone(from, to)                                                                          \
    (HAFT_ALIKE_((from)->haft_broadcast_sender_of_, (to)->haft_broadcast_sender_of_),                                  \
     haft_broadcast_sender_clone_raw(HAFT_BROADCAST_SENDER_(from), HAFT_BROADCAST_SENDER_(to)))
#define haft_broadcast_send(tx, value)                                                                                 \
    (HAFT_CARRIES_((tx)->haft_broadcast_sender_of_, value),                                                            \
     haft_broadcast_send_raw(HAFT_BROADCAST_SENDER_(tx), (value)))
#define haft_broadcast_recv(rx, value, missed)                                                                         \
    (HAFT_INTO_((rx)->haft_broadcast_receiver_of_, value),                                                             \
     haft_broadcast_recv_raw(HAFT_BROADCAST_RECEIVER_(rx), (value), (missed)))
#define haft_broadcast_try_recv(rx, value, missed)                                                                     \
    (HAFT_INTO_((rx)->haft_broadcast_receiver_of_, value),                                                             \
     haft_broadcast_try_recv_raw(HAFT_BROADCAST_RECEIVER_(rx), (value), (missed)))
#define haft_broadcast_sender_drop(tx) haft_broadcast_sender_drop(HAFT_BROADCAST_SENDER_(tx))
#define haft_broadcast_receiver_drop(rx) haft_broadcast_receiver_drop(HAFT_BROADCAST_RECEIVER_(rx))

#define HAFT_WATCH_SENDER_(tx) HAFT_THE_(tx, haft_watch_sender_of_)
#define HAFT_WATCH_RECEIVER_(rx) HAFT_THE_(rx, haft_watch_receiver_of_)
#define haft_watch(tx, rx, first)                                                                                      \
    (HAFT_ALIKE_((tx)->haft_watch_sender_of_, (rx)->haft_watch_receiver_of_),                                          \
     HAFT_CARRIES_((tx)->haft_watch_sender_of_, first),                                                                \
     haft_watch_raw(HAFT_WATCH_SENDER_(tx), HAFT_WATCH_RECEIVER_(rx), (first),                                         \
                    HAFT_ELEMENT_((tx)->haft_watch_sender_of_)))
#define haft_watch_subscribe(tx, rx)                                                                                   \
    (HAFT_ALIKE_((tx)->haft_watch_sender_of_, (rx)->haft_watch_receiver_of_),                                          \
     haft_watch_subscribe_raw(HAFT_WATCH_SENDER_(tx), HAFT_WATCH_RECEIVER_(rx)))
#define haft_watch_set(tx, value)                                                                                      \
    (HAFT_CARRIES_((tx)->haft_watch_sender_of_, value), haft_watch_set_raw(HAFT_WATCH_SENDER_(tx), (value)))
#define haft_watch_changed(rx) haft_watch_changed_raw(HAFT_WATCH_RECEIVER_(rx))
#define haft_watch_get(rx, value)                                                                                      \
    (HAFT_INTO_((rx)->haft_watch_receiver_of_, value), haft_watch_get_raw(HAFT_WATCH_RECEIVER_(rx), (value)))
#define haft_watch_sender_drop(tx) haft_watch_sender_drop(HAFT_WATCH_SENDER_(tx))
#define haft_watch_receiver_drop(rx) haft_watch_receiver_drop(HAFT_WATCH_RECEIVER_(rx))

#endif /* !__cplusplus */

#ifdef __cplusplus
}
#endif

#endif
