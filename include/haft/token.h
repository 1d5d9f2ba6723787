/* SPDX-License-Identifier: MIT
 *
 * Tokens: asking many to stop, by saying so once. Tokens form a tree; cancelling one cancels all below it, and none above.
 * Whoever is to stop asks its token, waits for it, alone or as an arm of a select, or has something done by a callback.
 *
 * A token is a plain value, initialised by = HAFT_TOKEN_INIT or by haft_token_child. It must be dropped before its memory
 * goes, when nobody waits for it or uses it any more; one that lives as long as the process need not be. */
#ifndef HAFT_TOKEN_H
#define HAFT_TOKEN_H

#include <haft/embed.h>

#ifdef __cplusplus
extern "C" {
#endif

struct haft_token_callback;

typedef struct haft_token {
    uint32_t flags_;
    uint32_t shard_;
    struct haft_waiter_ *waiters_;
    struct haft_token_callback *callbacks_;
    struct haft_token *link_;
    struct haft_token *parent_, *children_, *next_, *previous_;
} haft_token;
#ifdef __cplusplus
#define HAFT_TOKEN_INIT                                                                                                \
    {                                                                                                                  \
    }
#else
#define HAFT_TOKEN_INIT                                                                                                \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif

/* Makes *child a token below parent: cancelled with it, at once if parent is cancelled already. *child is overwritten. 0.
 * Never suspends. From any thread and any job. */
HAFT_API_ int haft_token_child(haft_token *parent, haft_token *child);

/* Cancels the token and all below it, for good; wakes those who wait, and calls the callbacks. When it returns,
 * haft_token_is_cancelled is true for all of them; a call for a token that somebody else is cancelling just then returns
 * at once. Never suspends. May be called from a signal handler, provided that the callbacks may; if the handler interrupts a
 * call of this header, its callbacks, and what is below the token, follow when that call goes on. */
HAFT_API_ void haft_token_cancel(haft_token *t);

/* From anywhere, signal handlers included. */
HAFT_API_ bool haft_token_is_cancelled(const haft_token *t);

/* Waits until the token is cancelled. 0; HAFT_ECANCELED, HAFT_ETIMEDOUT: the caller was aborted or late. Suspends. */
HAFT_API_ int haft_token_wait(haft_token *t);

/* Takes the token out of the tree without cancelling anything; the tokens below it go to the one above, and callbacks
 * that were not called never are. Nothing happens the second time. Never suspends. Fits HAFT_DEFER. */
HAFT_API_ void haft_token_drop(haft_token *t);

/* --- Callbacks ---------------------------------------------------------------------------------------------------- */

/* One thing to do when a token is cancelled. Lies in the user's memory until it is dropped. */
typedef struct haft_token_callback {
    haft_token *token_;
    struct haft_token_callback *next_, *previous_;
    haft_drop_fn *call_;
    void *argument_;
    void *dropper_;
    bool *is_gone_;
    uintptr_t runner_;
    uint32_t state_;
    uint32_t shard_;
} haft_token_callback;

/* call(argument) is called once when the token is cancelled, by whoever cancels it, without a lock held; at once, by the
 * caller, if it is cancelled already. It must neither suspend nor panic, and should be short; haft_abort, haft_unpark and
 * haft_token_cancel fit. *callback is overwritten, and stays where it is until it is dropped. 0. Never suspends. */
HAFT_API_ int haft_token_on_cancel(haft_token *t, haft_token_callback *callback, haft_drop_fn *call, void *argument);

/* When this returns, the callback is not running and will not be called: waits, shielded, for one that runs on another
 * thread. Within the callback itself it only forgets it. The token may be gone already. Nothing happens the second time.
 * May suspend. Fits HAFT_DEFER. */
HAFT_API_ void haft_token_callback_drop(haft_token_callback *callback);

#ifdef __cplusplus
}
#endif

#endif
