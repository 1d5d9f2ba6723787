/* SPDX-License-Identifier: MIT
 *
 * Many jobs at once: scopes, whose children end with a block and may therefore borrow from it, and sets, for a
 * number of jobs that is not known in advance. */
#ifndef HAFT_GROUP_H
#define HAFT_GROUP_H

#include <haft/job.h>
#include <haft/token.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Scopes ------------------------------------------------------------------------------------------------------- */

/* What a scope does when a child fails: returns other than 0, panics, or could not be spawned. */
typedef enum haft_on_error {
    HAFT_ON_ERROR_ABORT = 0, /* aborts its siblings */
    HAFT_ON_ERROR_WAIT,      /* lets them end by themselves */
} haft_on_error;

typedef struct haft_scope_options {
    size_t size_;
    const char *place_;
    int *result;            /* at the end of the block: 0, or the first failure: HAFT_EABORTED if they were aborted */
    haft_on_error on_error; /* HAFT_ON_ERROR_ABORT */
} haft_scope_options;

/* Lives in the block that declares it. Its members are the library's. */
typedef struct haft_scope {
    void (*done_)(void);
    haft_block block_;
    int *result_;
    const char *place_;
    void *owner_;
    void *panic_;
    struct {
        void *next_, *previous_;
    } children_;
    size_t running_;
    uint32_t lock_;
    int first_;
    uint32_t flags_;
    uint32_t waiting_;
    haft_token_callback token_;
} haft_scope;

/* HAFT_SCOPE(s, options...): a declaration. s is a haft_scope * until the end of the enclosing block, which waits,
 * shielded, until every child has ended, by whatever way it is left. Once the owner is aborted, late or panics, before this
 * wait or during it, the children are aborted. A HAFT_TIMEOUT that is to limit the wait stands before HAFT_SCOPE: one that is
 * declared behind it in the same block ends first, and limits nothing of it.
 * A child's panic that nobody looked at, by .result or haft_scope_join, is raised again in the owner. Semantics: Rust's
 * thread::scope, with the failure rules of Trio's nurseries. */
HAFT_API_ haft_scope haft_scope_open_raw(haft_scope *self, const haft_scope_options *options);
HAFT_API_ void haft_scope_end_(haft_scope *scope);
#ifndef __cplusplus
#define HAFT_SCOPE(...) HAFT_SCOPE_AT_(__VA_ARGS__, )
#define HAFT_SCOPE_AT_(s, ...) HAFT_SCOPE__(s, HAFT_CAT_(haft_scope_, __COUNTER__), __VA_ARGS__)
#define HAFT_SCOPE__(s, name, ...) HAFT_SCOPE_(s, name, __VA_ARGS__)
#define HAFT_SCOPE_(s, name, ...)                                                                                      \
    haft_scope name __attribute__((cleanup(haft_scope_end_))) = haft_scope_open_raw(                                   \
        &name, &(haft_scope_options){ .size_ = sizeof(haft_scope_options), .place_ = HAFT_HERE_, __VA_ARGS__ });       \
    haft_scope *s __attribute__((unused)) = &name
#endif

/* haft_scope_spawn(s, body, &loan, options...)
 *
 * Starts a child that works on the loan itself, not on a copy: it may point into the stack of the block. .drop is
 * not used. Children may spawn into s. 0, or the error that haft_spawn would carry, or HAFT_ECANCELED if the caller
 * was aborted; an error counts as the scope's failure. A child that is aborted before it has begun never does, and none of
 * its defers runs: what the loan owns is for the block to give back, behind the scope. May suspend: it lets children run when
 * many are waiting. */
HAFT_API_ int haft_scope_spawn_raw(haft_scope *s, haft_fn *body, void *loan, size_t size,
                                   const haft_spawn_options *options);
#ifndef __cplusplus
#define haft_scope_spawn(s, ...) HAFT_CAT_(haft_scope_spawn_, HAFT_COUNT_(__VA_ARGS__))(s, __VA_ARGS__)
#define haft_scope_spawn_1(s, body) haft_scope_spawn_at_(s, body, HAFT_NO_FRAME, )
#define haft_scope_spawn_M(s, body, ...) haft_scope_spawn_at_(s, body, __VA_ARGS__, )
#define haft_scope_spawn_at_(s, body, loan, ...)                                                                       \
    haft_scope_spawn_raw((s), HAFT_BODY_(body), HAFT_LENT_(loan), HAFT_LOAN_SIZE_(body, loan),                         \
                         HAFT_SPAWN_OPTIONS_(__VA_ARGS__))
#endif

/* Waits until every child so far has ended and returns 0 or the first failure; looks at a child's panic: it is not
 * raised again. HAFT_ECANCELED, HAFT_ETIMEDOUT: the caller was aborted or late, nothing has happened. HAFT_EDEADLK:
 * called by a child of s. Suspends. */
HAFT_API_ int haft_scope_join(haft_scope *s);

/* Aborts every child that has not ended, now, and those that are spawned later. Never suspends. */
HAFT_API_ void haft_scope_abort(haft_scope *s);

/* haft_scope_abort as soon as the token is cancelled, at once if it is already, for as long as the scope lasts; the owner
 * itself is not aborted. Whichever ends first may: the token may be dropped before the scope's end, which then is the
 * children's own affair, and be cancelled or dropped at any time after it. A signal handler may still cancel the
 * token. To be called by the owner or a child. 0; HAFT_EBUSY: the scope has a token already (haft_token_child makes
 * one below another). Never suspends. */
HAFT_API_ int haft_scope_abort_on(haft_scope *s, haft_token *token);

/* --- Several different bodies at once ------------------------------------------------------------------------------ */

/* One of the bodies of haft_all, made by HAFT_ARM. */
typedef struct haft_all_arm {
    haft_fn *body;
    const void *loan; /* the body's type says whether it writes */
    size_t size;      /* of the loan; 0: int body(void) */
    const haft_spawn_options *options;
} haft_all_arm;

/* haft_all(rcs, HAFT_ARM(f, &a), HAFT_ARM(g, &b, options...), HAFT_ARM(h), ...)
 *
 * Runs each body as a job of its own, all at once, and waits until the last has ended. The loans are lent, not copied:
 * they may point into the caller's stack; .drop is not used. rcs is an array of one int for each arm, or null; rcs[i] is
 * what haft_join would have returned for the arm, also when it could not be spawned (the others run nevertheless).
 *
 * Returns the caller's own status, as haft_join_all does: 0 when all were waited for, whatever they came to;
 * HAFT_ECANCELED or HAFT_ETIMEDOUT if the caller was aborted, or its deadline passed, meanwhile: the arms were aborted
 * then and have ended, too; one that had not begun never does, and its rcs[i] is HAFT_EABORTED. Without rcs a panic of
 * an arm is raised in the caller once all have ended. Suspends. From any thread and any job. */
HAFT_API_ int haft_all_raw(int *rcs, const haft_all_arm *arms, size_t n);

/* haft_all in which the first arm that does not return 0 makes the others be aborted. Returns 0, the first failure in
 * the order of the ends, or the caller's own status. All have ended when it returns. A panic counts as looked at. */
HAFT_API_ int haft_all_or_abort_raw(int *rcs, const haft_all_arm *arms, size_t n);
#ifndef __cplusplus
#define HAFT_ARM(...) HAFT_CAT_(HAFT_ARM_, HAFT_COUNT_(__VA_ARGS__))(__VA_ARGS__)
#define HAFT_ARM_1(body) HAFT_ARM_AT_(body, HAFT_NO_FRAME, )
#define HAFT_ARM_M(body, ...) HAFT_ARM_AT_(body, __VA_ARGS__, )
#define HAFT_ARM_AT_(body, loan, ...)                                                                                  \
    ((haft_all_arm){ HAFT_BODY_(body), HAFT_LENT_(loan), HAFT_LOAN_SIZE_(body, loan),                                  \
                     HAFT_SPAWN_OPTIONS_(__VA_ARGS__) })
#define haft_all(rcs, ...) HAFT_ALL_(haft_all_raw, rcs, __VA_ARGS__)
#define haft_all_or_abort(rcs, ...) HAFT_ALL_(haft_all_or_abort_raw, rcs, __VA_ARGS__)
#define HAFT_ALL_(raw, rcs, ...)                                                                                       \
    __extension__({                                                                                                    \
        const haft_all_arm haft_arms_[] = { __VA_ARGS__ };                                                             \
        raw((rcs), haft_arms_, sizeof haft_arms_ / sizeof *haft_arms_);                                                \
    })
#endif

/* --- Many and tiny ------------------------------------------------------------------------------------------------ */

/* haft_both(fa, &a, fb, &b)
 *
 * Runs fa(&a) in place and offers fb(&b) to the runtime's other workers; when fa is done and nobody took it, fb(&b) is
 * run in place, too. Costs no job, no stack and no allocation unless it is taken: for divide and conquer, down to sides of
 * a hundred instructions. Both loans are lent. HAFT_NO_FRAME for int body(void).
 *
 * Both sides are run whatever the other returns. Returns the first side's code if it is not 0, else the second's.
 * HAFT_ECANCELED: the caller was aborted before, neither has begun; or HAFT_ECANCELED, HAFT_ETIMEDOUT: it was
 * aborted or late when it had to wait for a side that was taken, which was aborted then and has ended. A panic of
 * either side is raised in the caller once both have ended; a second side that has not begun when the first one panics
 * never does, and one that was taken is aborted.
 *
 * In place means: in the calling job, with its abort, its deadlines and haft_self(). A side that was taken is a task
 * of its own, which inherits no deadline. Both may suspend; while the first one is suspended the second is run as a
 * task by the same worker, if it has nothing else to do. Called by a plain thread, a thread job or a blocking call, all
 * of this happens in a task of the caller's runtime, for which the caller waits. Suspends. Semantics: rayon's join. */
HAFT_API_ int haft_both_raw(haft_fn *first, void *first_loan, size_t first_size, haft_fn *second, void *second_loan,
                            size_t second_size, const char *place);

/* haft_for_each(body, items, n)
 *
 * Calls body(&items[i]) for each of n items, at once on as many workers as have nothing else to do: halves are offered as by
 * haft_both, down to single items. The body is int body(T *) for items of type T.
 *
 * Every item is done, whatever others return. Returns 0 or the code of the first item, by its place, that did not
 * return 0; or the caller's own status as haft_both, and then items that had not begun never do. A panic is raised in
 * the caller once everything that has begun has ended. Nothing happens for n = 0. Suspends; from any thread and any
 * job. */
HAFT_API_ int haft_for_each_raw(haft_fn *body, void *items, size_t size, size_t n, const char *place);
#ifndef __cplusplus
#define haft_both(first, a, second, b)                                                                                 \
    haft_both_raw(HAFT_BODY_(first), HAFT_LENT_(a), HAFT_LOAN_SIZE_(first, a), HAFT_BODY_(second), HAFT_LENT_(b),      \
                  HAFT_LOAN_SIZE_(second, b), HAFT_HERE_)
#define haft_for_each(body, items, n)                                                                                  \
    haft_for_each_raw(HAFT_BODY_(body), HAFT_LENT_(items), HAFT_ITEM_SIZE_(body, items), (n), HAFT_HERE_)
#define HAFT_ITEM_SIZE_(body, items)                                                                                   \
    __extension__({                                                                                                    \
        _Static_assert(!HAFT_SAME_(&*(items), void *) && !HAFT_SAME_(&*(items), const void *),                         \
                       "haft: a void * has no items: pass an array, or a pointer to its first item");                  \
        _Static_assert(HAFT_TAKES_(body, &*(items)), "haft: the body must be int body(T *) for items of type T");      \
        HAFT_CHECK_LOAN_(body, &*(items));                                                                             \
        sizeof *(items);                                                                                               \
    })
#endif

/* --- Sets --------------------------------------------------------------------------------------------------------- */

typedef struct haft_set haft_set;

typedef struct haft_set_options {
    size_t size_;
    const char *place_;
    size_t limit; /* jobs that run at once; the rest is queued; 0: all run */
    size_t queue; /* with a limit: how many may be queued before a spawn waits; 0: 1,024 */
} haft_set_options;

/* haft_set_new(options...): an empty set, or null when there is no memory. Ended by haft_set_drop. Never suspends.
 * Semantics: Tokio's JoinSet, with a limit.
 *
 * A null set is HAFT_EINVAL to whoever spawns into it, adds to it or takes from it, and empty to all other calls; it is no
 * arm of a select. */
HAFT_MUST_ HAFT_API_ haft_set *haft_set_new_raw(const haft_set_options *options);
#ifndef __cplusplus
#define haft_set_new(...)                                                                                              \
    haft_set_new_raw(&(haft_set_options){ .size_ = sizeof(haft_set_options), .place_ = HAFT_HERE_, __VA_ARGS__ })
#endif

/* haft_set_spawn(set, body, &frame, options...)
 *
 * haft_spawn into the set, which owns the job. 0: the frame was copied. HAFT_ECANCELED, HAFT_ETIMEDOUT, or an error
 * of haft_spawn's: the frame is still the caller's. Suspends while the set's queue is full, and may let jobs of the
 * set run when many are waiting. */
HAFT_API_ int haft_set_spawn_raw(haft_set *set, haft_fn *body, const void *frame, size_t size, size_t alignment,
                                 const haft_spawn_options *options);
#ifndef __cplusplus
#define haft_set_spawn(set, ...) HAFT_CAT_(haft_set_spawn_, HAFT_COUNT_(__VA_ARGS__))(set, __VA_ARGS__)
#define haft_set_spawn_1(set, body) haft_set_spawn_at_(set, body, HAFT_NO_FRAME, )
#define haft_set_spawn_M(set, body, ...) haft_set_spawn_at_(set, body, __VA_ARGS__, )
#define haft_set_spawn_at_(set, body, frame, ...)                                                                      \
    haft_set_spawn_raw((set), HAFT_BODY_(body), (frame), HAFT_BODY_FRAME_SIZE_(body, frame), HAFT_FRAME_ALIGN_(frame), \
                       HAFT_SPAWN_OPTIONS_(__VA_ARGS__))
#endif

/* Gives a job of any kind to the set, which owns it from then on; it does not count against the limit. h is null
 * afterwards. HAFT_ESTALE, HAFT_EBUSY, HAFT_EINVAL (haft_self()), HAFT_EDEADLK (the job owns the set's caller:
 * itself), HAFT_ENOMEM, or the error that h carries: h unchanged. Never suspends. */
HAFT_API_ int haft_set_add(haft_set *set, haft_handle *h);

/* haft_set_next(set, &frame, &code)
 *
 * Waits for the next job of the set to end, in the order in which they end, and takes it out: its frame is moved
 * out, *code is what haft_join would have returned. For jobs without frames pass HAFT_NO_FRAME, which gives a frame
 * to its .drop; code may be null. Returns 0; HAFT_EEMPTY if the set holds no job (it may be filled again);
 * HAFT_ECANCELED, HAFT_ETIMEDOUT; HAFT_EINVAL: the next frame has another size, the job stays. Any number of
 * callers. Suspends. */
HAFT_API_ int haft_set_next_raw(haft_set *set, void *frame, size_t size, int *code);
/* The same without waiting: HAFT_EAGAIN if no job has ended. */
HAFT_API_ int haft_set_try_next_raw(haft_set *set, void *frame, size_t size, int *code);
/* haft_set_next_outcome(set, &frame, &out): the same with the whole outcome, as haft_join_outcome. */
HAFT_API_ int haft_set_next_outcome_raw(haft_set *set, void *frame, size_t size, haft_outcome *out);
#ifndef __cplusplus
#define haft_set_next(set, frame, code) haft_set_next_raw((set), (frame), HAFT_FRAME_SIZE_(frame), (code))
#define haft_set_try_next(set, frame, code) haft_set_try_next_raw((set), (frame), HAFT_FRAME_SIZE_(frame), (code))
#define haft_set_next_outcome(set, frame, out) haft_set_next_outcome_raw((set), (frame), HAFT_FRAME_SIZE_(frame), (out))
#endif

/* Aborts every job of the set; they are still to be taken out. Never suspends. */
HAFT_API_ void haft_set_abort_all(haft_set *set);
/* Lets every job of the set run on without an owner, queued ones included, and leaves the set empty. It goes on until
 * the set is empty, so nobody should be filling it meanwhile. Never suspends. */
HAFT_API_ void haft_set_detach_all(haft_set *set);
/* Aborts every job of the set, waits for them, shielded, gives their frames to their .drop, and leaves the set
 * empty. Suspends. */
HAFT_API_ void haft_set_shutdown(haft_set *set);
/* How many jobs the set holds: queued, running, or ended and not yet taken out. */
HAFT_API_ size_t haft_set_len(haft_set *set);
/* Shuts the set down and frees it; *set is null afterwards; nothing happens on null. Nobody else may be using it.
 * Suspends. */
HAFT_API_ void haft_set_drop(haft_set **set);

#ifdef __cplusplus
}
#endif

#endif
