/* SPDX-License-Identifier: MIT
 *
 * Select: waits for the first of several things, its arms.
 *
 *     switch (haft_select(HAFT_ON_RECV(&rx, &line, .rc = &rc), HAFT_ON_SEND(&tx, &out), HAFT_ON_JOIN(&h, &frame),
 *                         HAFT_ON_TIMEOUT(100 * HAFT_MS))) {
 *     case 0: ...
 *
 * Exactly one arm takes effect, whatever races with it; the others have not begun: no value was taken or sent, no handle
 * spent. What a call of the same name would return at once is ready: a closed channel is. Among several that are ready
 * each is as likely. A select never pairs with itself.
 *
 * Returns the index of the arm that took effect, or a negative code: HAFT_ECANCELED or HAFT_ETIMEDOUT for the caller, as
 * in every other wait; or, of an arm without .rc that ended in an error, that error. With .rc = &rc the arm's own result
 * goes there, and the index is returned whatever it is.
 *
 * An arm is a value and may be kept in an array, for haft_select_array. {0} is an arm that is never ready. */
#ifndef HAFT_SELECT_H
#define HAFT_SELECT_H

#include <haft/channel.h>
#include <haft/group.h>
#include <haft/job.h>
#include <haft/notify.h>
#include <haft/sem.h>
#include <haft/time.h>
#include <haft/token.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum haft_arm_kind {
    HAFT_ARM_NONE = 0,
    HAFT_ARM_RECV,
    HAFT_ARM_SEND,
    HAFT_ARM_JOIN,
    HAFT_ARM_SET,
    HAFT_ARM_TIMEOUT,
    HAFT_ARM_SEM,
    HAFT_ARM_NOTIFY,
    HAFT_ARM_EVENT,
    HAFT_ARM_TOKEN,
    HAFT_ARM_TICK,
    HAFT_ARM_KINDS_
} haft_arm_kind;

typedef struct haft_arm {
    haft_arm_kind kind_;
    bool move_;
    int *rc;       /* gets the arm's result, if it is the one; or null */
    void *object_; /* what is waited for */
    void *value_;  /* what is sent, or where what is received goes */
    int *code_;
    int64_t amount_; /* the size of a frame, nanoseconds */
} haft_arm;

typedef enum haft_select_mode {
    HAFT_SELECT_FAIR = 0,
    HAFT_SELECT_BIASED, /* of several that are ready, the first */
    HAFT_SELECT_TRY,    /* HAFT_EAGAIN instead of waiting; looks at no abort and no deadline */
} haft_select_mode;

/* haft_select(arms...), haft_select_biased(arms...), haft_try_select(arms...), and the same for an array of n arms:
 * haft_select_array(arms, n), haft_select_biased_array(arms, n), haft_try_select_array(arms, n).
 *
 * Also HAFT_EINVAL for more than 65,535 arms, or none; HAFT_ENOMEM is possible with more than 16 arms. Suspends, but for
 * the try forms. From any thread and any job. */
HAFT_API_ int haft_select_raw(const haft_arm *arms, size_t n, haft_select_mode mode);

#ifndef __cplusplus
#define haft_select(...) haft_select_these_(HAFT_SELECT_FAIR, __VA_ARGS__)
#define haft_select_biased(...) haft_select_these_(HAFT_SELECT_BIASED, __VA_ARGS__)
#define haft_try_select(...) haft_select_these_(HAFT_SELECT_TRY, __VA_ARGS__)
#define haft_select_these_(mode, ...)                                                                                  \
    haft_select_raw((const haft_arm[]){ __VA_ARGS__ }, sizeof((const haft_arm[]){ __VA_ARGS__ }) / sizeof(haft_arm),   \
                    (mode))
#endif
#define haft_select_array(arms, n) haft_select_raw((arms), (n), HAFT_SELECT_FAIR)
#define haft_select_biased_array(arms, n) haft_select_raw((arms), (n), HAFT_SELECT_BIASED)
#define haft_try_select_array(arms, n) haft_select_raw((arms), (n), HAFT_SELECT_TRY)

/* The arms. After the last argument may follow .rc = &rc.
 *
 * HAFT_ON_RECV(&rx, &value): haft_recv.
 * HAFT_ON_SEND(&tx, &value): haft_send; HAFT_MOVE(&value) empties the variable if this is the arm.
 * HAFT_ON_JOIN(&h), HAFT_ON_JOIN(&h, &frame), HAFT_ON_JOIN(&h, HAFT_NO_FRAME, .rc = &rc): haft_join; its result is the job's.
 * The handle is claimed while the select waits, so that another join meanwhile is HAFT_EBUSY, and given back if another arm
 * takes effect.
 * HAFT_ON_SET(set, &frame, &code): haft_set_next; an empty set is never ready.
 * HAFT_ON_SEM(&sem, n): haft_sem_acquire_many. A closed one is ready, with HAFT_ECLOSED.
 * HAFT_ON_NOTIFY(&notify), HAFT_ON_EVENT(&event), HAFT_ON_TOKEN(&token): haft_notify_wait, haft_event_wait, haft_token_wait.
 * HAFT_ON_TICK(&ticker): haft_ticker_wait; a tick is taken only if this is the arm.
 * HAFT_ON_TIMEOUT(ns): that much time has passed since the select began. */
#ifndef __cplusplus
#define HAFT_ARM_(kind, object, value, ...)                                                                            \
    ((haft_arm){ .kind_ = (kind), .object_ = (object), .value_ = (void *)(value), __VA_ARGS__ })
#define HAFT_ON_RECV(rx, ...) HAFT_ON_RECV_AT_(rx, __VA_ARGS__, )
#define HAFT_ON_RECV_AT_(rx, value, ...)                                                                               \
    HAFT_ARM_((HAFT_INTO_((rx)->haft_receiver_of_, value), HAFT_ARM_RECV), HAFT_RECEIVER_(rx), (value), __VA_ARGS__)
#define HAFT_ON_SEND(tx, ...) HAFT_ON_SEND_AT_(tx, __VA_ARGS__, )
#define HAFT_ON_SEND_AT_(tx, value, ...)                                                                               \
    HAFT_ARM_((HAFT_CARRIES_((tx)->haft_sender_of_, value), HAFT_ARM_SEND), HAFT_SENDER_(tx), (value), __VA_ARGS__)
#define HAFT_ON_JOIN(...) HAFT_CAT_(HAFT_ON_JOIN_, HAFT_COUNT_(__VA_ARGS__))(__VA_ARGS__, )
#define HAFT_ON_JOIN_1(h, ...) HAFT_ON_JOIN_M(h, HAFT_NO_FRAME, )
#define HAFT_ON_JOIN_M(h, frame, ...)                                                                                  \
    HAFT_ARM_(HAFT_ARM_JOIN, (1 ? (h) : (haft_handle *)0), (frame), .amount_ = (int64_t)HAFT_FRAME_SIZE_(frame),       \
              __VA_ARGS__)
#define HAFT_ON_SET(set, frame, ...) HAFT_ON_SET_AT_(set, frame, __VA_ARGS__, )
#define HAFT_ON_SET_AT_(set, frame, code, ...)                                                                         \
    HAFT_ARM_(HAFT_ARM_SET, (1 ? (set) : (haft_set *)0), (frame), .amount_ = (int64_t)HAFT_FRAME_SIZE_(frame),         \
              .code_ = (code), __VA_ARGS__)
#define HAFT_ON_SEM(sem, ...) HAFT_ON_SEM_AT_(sem, __VA_ARGS__, )
#define HAFT_ON_SEM_AT_(sem, n, ...)                                                                                   \
    HAFT_ARM_(HAFT_ARM_SEM, (1 ? (sem) : (haft_sem *)0), NULL, .amount_ = (int64_t)(n), __VA_ARGS__)
#define HAFT_ON_NOTIFY(...) HAFT_ON_NOTIFY_AT_(__VA_ARGS__, )
#define HAFT_ON_NOTIFY_AT_(n, ...) HAFT_ARM_(HAFT_ARM_NOTIFY, (1 ? (n) : (haft_notify *)0), NULL, __VA_ARGS__)
#define HAFT_ON_EVENT(...) HAFT_ON_EVENT_AT_(__VA_ARGS__, )
#define HAFT_ON_EVENT_AT_(e, ...) HAFT_ARM_(HAFT_ARM_EVENT, (1 ? (e) : (haft_event *)0), NULL, __VA_ARGS__)
#define HAFT_ON_TOKEN(...) HAFT_ON_TOKEN_AT_(__VA_ARGS__, )
#define HAFT_ON_TOKEN_AT_(t, ...) HAFT_ARM_(HAFT_ARM_TOKEN, (1 ? (t) : (haft_token *)0), NULL, __VA_ARGS__)
#define HAFT_ON_TICK(...) HAFT_ON_TICK_AT_(__VA_ARGS__, )
#define HAFT_ON_TICK_AT_(t, ...) HAFT_ARM_(HAFT_ARM_TICK, (1 ? (t) : (haft_ticker *)0), NULL, __VA_ARGS__)
#define HAFT_ON_TIMEOUT(...) HAFT_ON_TIMEOUT_AT_(__VA_ARGS__, )
#define HAFT_ON_TIMEOUT_AT_(ns, ...) HAFT_ARM_(HAFT_ARM_TIMEOUT, NULL, NULL, .amount_ = (ns), __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif

#endif
