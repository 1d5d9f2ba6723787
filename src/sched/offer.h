/* SPDX-License-Identifier: MIT
 *
 * Offers: work that its owner will do itself unless a thief does it first. An offer lies on its owner's stack and stands
 * in the list of the worker that the owner ran on when it made it, newest last. Its owner withdraws it, usually while it
 * is still the newest of that worker; a thief takes the oldest, and makes it a job by the offer's own function, because
 * the scheduler knows no jobs. Which of the two it was is decided under the list's lock, and only by being in the list.
 *
 * Owners suspend and move, so a list may hold offers of several tasks, in any order, some of them running elsewhere.
 * Therefore anyone may have to take out any offer, and the list is an ordinary one under a lock. The lock is biased
 * towards the worker's own thread, which takes it for every offer and mostly alone:
 *
 *  - own thread: stores `busy`, executes the light fence, and looks at the lock word. It is 0: the list is its own until it
 *    stores 0 into `busy`. Else it takes `busy` back and locks as everybody else, without the fence and the wait.
 *  - any other: locks, executes the heavy fence, and waits until `busy` is 0. Either it sees the other's `busy`, or
 *    the other's look came after its fence and saw the lock.
 *
 * A worker that has nothing else to run takes an offer of its own list, too: its owner is suspended, and may be waiting for
 * just that. One that never idles does so every 61st pick. */
#ifndef HAFT_SCHED_OFFER_H
#define HAFT_SCHED_OFFER_H

#include "sched/queue.h"

struct haft__offer {
    haft__offer *older;
    haft__offer *newer;
    haft__worker *worker; /* in whose list it was put */
    bool is_taken;        /* by a thief; guarded by the list */
    /* Called by the thief, on a worker's own stack: a record to run, or null, and then the owner is told to do it itself. */
    haft__record *(*adopt)(haft__offer *offer);
};

/* Back to locking; true then. */
bool haft__offers_enter_slowly(haft__worker *w);
/* The oldest offer of a worker, taken; null if there is none. The second by the worker's own thread. */
haft__offer *haft__offer_steal(haft__worker *victim);
haft__offer *haft__offer_take_own(haft__worker *w);
/* Withdraws one that was made on another worker than the caller's. */
bool haft__offer_withdraw_elsewhere(haft__offer *offer);

/* True: by the lock; false: by the bias. For haft__offers_leave. */
static inline bool haft__offers_enter(haft__worker *w)
{
    haft__store_relaxed(&w->offers_busy, 1);
    haft__fence_light(); /* partner: the heavy fence of enter_elsewhere */
    /* Acquire: partner of the release of the lock; what a thief did to the list is seen. */
    if (__builtin_expect(haft__load_acquire(&w->offers_lock) == 0, 1))
        return false;
    return haft__offers_enter_slowly(w);
}

static inline void haft__offers_leave(haft__worker *w, bool is_locked)
{
    if (__builtin_expect(is_locked, 0))
        haft__lock_release(&w->offers_lock);
    else
        haft__store_release(&w->offers_busy, 0); /* partner: the acquire of enter_elsewhere */
}

/* The list is the caller's. `oldest` is atomic for those who look without the lock whether there is anything. */
static inline void haft__offer_remove(haft__worker *w, haft__offer *offer)
{
    if (offer->newer != NULL)
        offer->newer->older = offer->older;
    else
        w->newest_offer = offer->older;
    if (offer->older != NULL)
        offer->older->newer = offer->newer;
    else
        haft__store_relaxed(&w->oldest_offer, offer->newer);
}

/* Offers it to everybody; the caller is a task on that worker, and has set `adopt`. */
static inline void haft__offer_make(haft__worker *w, haft__offer *offer)
{
    offer->worker = w;
    offer->is_taken = false;
    offer->newer = NULL;
    bool is_locked = haft__offers_enter(w);
    offer->older = w->newest_offer;
    if (offer->older != NULL)
        offer->older->newer = offer;
    else
        haft__store_relaxed(&w->oldest_offer, offer);
    w->newest_offer = offer;
    haft__offers_leave(w, is_locked);
    haft__sched_notify(w->sched);
}

/* Takes an offer back. False: a thief has it. */
static inline bool haft__offer_withdraw(haft__offer *offer)
{
    haft__worker *w = offer->worker;
    if (__builtin_expect(haft__here_or_null()->worker != w, 0))
        return haft__offer_withdraw_elsewhere(offer);
    bool is_locked = haft__offers_enter(w), is_mine = !offer->is_taken;
    if (is_mine)
        haft__offer_remove(w, offer);
    haft__offers_leave(w, is_locked);
    return is_mine;
}

#endif
