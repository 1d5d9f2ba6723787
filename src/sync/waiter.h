/* SPDX-License-Identifier: MIT
 *
 * Waiting for an embedded object: a queue of waiters under the object's one-word lock.
 *
 * A waiter's node lies on its stack. Whoever gives it what it waits for takes it out of the queue, reads whom to wake,
 * and sets is_done, all under the lock, and wakes after releasing it. The waiter looks at is_done under the lock, and so
 * never leaves while somebody else still touches the object or the node; one that is refused takes itself out. Success
 * wins over refusal: a waiter that was given something has it.
 *
 * Every waiter leaves through the lock, and releasing it is a giver's last touch of the object. Therefore whoever
 * returns from a wait may free the object.
 *
 * Wakes are collected in batches under the lock and sent outside. To wake exactly those that wait now, an object that
 * others may come to wait for meanwhile counts epochs: each waiter notes the epoch it came in. */
#ifndef HAFT_SYNC_WAITER_H
#define HAFT_SYNC_WAITER_H

#include "base/sizes.h"
#include "haft/embed.h"
#include "wait/arm.h"

/* A node: an arm, so that a select may stand in the queue too. amount is the epoch that it came in, or how many permits it
 * wants. */
typedef struct haft_waiter_ {
    haft__arm arm; /* first; its link is circular, and null in no queue */
} haft__waiter;

/* A queue is a pointer to its first waiter, null when empty, so that it is initialised by zeros. */
typedef haft__waiter *haft__queue;

static inline haft__waiter *haft__waiter_of(haft__link *link)
{
    return HAFT__CONTAINER(link, haft__waiter, arm.link);
}

static inline void haft__queue_append(haft__queue *queue, haft__waiter *w)
{
    if (*queue != NULL) {
        haft__list_append(&(*queue)->arm.link, &w->arm.link); /* before the first is behind the last */
        return;
    }
    haft__list_init(&w->arm.link);
    *queue = w;
}

static inline void haft__queue_remove(haft__queue *queue, haft__waiter *w)
{
    if (w->arm.link.next == NULL)
        return;
    if (*queue == w)
        *queue = w->arm.link.next != &w->arm.link ? haft__waiter_of(w->arm.link.next) : NULL;
    haft__list_remove(&w->arm.link);
}

/* The first waiter, or the last, of those that came in that epoch, the present one. Those of earlier epochs, which stand
 * before them, have what they wait for as good as given. Null: there is none. */
static inline haft__waiter *haft__queue_first_of(haft__queue queue, uint32_t epoch)
{
    haft__waiter *w = queue;
    while (w != NULL && (uint32_t)w->arm.amount != epoch) {
        w = haft__waiter_of(w->arm.link.next);
        if (w == queue)
            w = NULL;
    }
    return w;
}
static inline haft__waiter *haft__queue_last_of(haft__queue queue, uint32_t epoch)
{
    haft__waiter *w = queue != NULL ? haft__waiter_of(queue->arm.link.previous) : NULL;
    return w != NULL && (uint32_t)w->arm.amount == epoch ? w : NULL;
}

/* Under the lock, which orders it. */
static inline bool haft__waiter_is_done(haft__waiter *w)
{
    return haft__load_relaxed(&w->arm.is_done) != 0;
}

/* Those to be woken once the lock is released. */
typedef struct haft__wakes {
    unsigned count;
    haft__record *records[HAFT__WAKE_BATCH];
} haft__wakes;

static inline bool haft__wakes_full(const haft__wakes *wakes)
{
    return wakes->count == HAFT__WAKE_BATCH;
}

static inline void haft__wakes_send(haft__wakes *wakes)
{
    for (unsigned i = 0; i < wakes->count; i++)
        haft__wake(wakes->records[i]);
    wakes->count = 0;
}

/* Takes a waiter out of the queue and gives it what it waits for. From here on, once the lock is released, the node is
 * its own. False: it is a select in which another arm has happened. */
static inline bool haft__waiter_give(haft__queue *queue, haft__waiter *w, int result, haft__wakes *wakes)
{
    haft__queue_remove(queue, w);
    if (!haft__arm_claim(&w->arm))
        return false;
    wakes->records[wakes->count++] = haft__arm_complete(&w->arm, result);
    return true;
}

/* Gives result to everybody who waits, or who came before that epoch, in batches. The lock is held, and released on return.
 * The first form is for what nobody comes to wait for any more. */
void haft__queue_give_all(haft__lock *lock, haft__queue *queue, int result);
void haft__queue_give_before(haft__lock *lock, haft__queue *queue, uint32_t epoch, int result);

/* Stands in the queue until given something, or refused; `what` says to reports what it waits for, a static phrase. The lock
 * is held on entry and on return. Returns what was given, or the refusal, not yet told: then the waiter is in no queue and
 * has got nothing. Suspends. */
int haft__queue_wait(haft__lock *lock, haft__queue *queue, haft__waiter *self, haft__root *me, const char *what);

/* The calling job's or thread's root, for calls that cannot fail. */
static inline haft__root *haft__me(void)
{
    haft__thread *here = haft__here_or_null();
    return (__builtin_expect(here != NULL, 1) ? here : haft__here_always())->root;
}
/* The same, but null in the child of a fork: HAFT_EFORKED. */
static inline haft__root *haft__me_unless_forked(void)
{
    haft__thread *here = haft__here_or_null();
    if (__builtin_expect(here != NULL, 1))
        return here->root;
    return haft__is_forked() ? NULL : haft__here_always()->root;
}

/* The public structs hold locks and other atomic words as plain ones. */
_Static_assert(sizeof(haft__lock) == sizeof(uint32_t), "a lock is a word");
static inline haft__lock *haft__lock_at(uint32_t *word)
{
    return (haft__lock *)(void *)word;
}

#endif
