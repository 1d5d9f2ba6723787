/* SPDX-License-Identifier: MIT
 *
 * Waiting in an object's queue, for that object alone or as one arm of a select.
 *
 * A waiter is a node on the stack of whoever waits, in a queue that the object's lock guards. The active side, which has
 * not parked, takes nodes out of the queue under that lock, and makes a waiter's wait succeed in three steps:
 *
 *     claim:     haft__arms_take. A node that waits for this object alone is claimed by being taken out. One that is an
 *                arm of a select is claimed by the exchange of the select's word from 0 to the arm's number; if the word
 *                was not 0 another arm has happened, the node stays out of the queue, and the next is tried.
 *     transfer:  the value is moved, a permit counted: whatever the wait was for. Still under the lock.
 *     complete:  haft__arm_complete gives the result, and tells whom to wake once the lock is released. From this moment
 *                the node is its owner's: it may be gone.
 *
 * Only one side ever needs claiming, because the active side is in no queue. A select that finds nothing ready holds the
 * locks of all its objects, in the order of their addresses, while it enters their queues: two selects that face each
 * other are one after the other, the second finds the first. A select enters no queue before it has polled under all
 * locks, so it never finds itself.
 *
 * A waiter that is refused (abort, deadline) takes its node out under the lock, or, in a select, exchanges the word first;
 * if it is completed by then, the wait has succeeded. A select leaves all queues, under their locks, before it returns, so
 * whoever finds a node under the object's lock finds its select alive. A wake may come late, as everywhere. */
#ifndef HAFT_WAIT_ARM_H
#define HAFT_WAIT_ARM_H

#include "base/list.h"
#include "haft/select.h"
#include "wait/wait.h"

/* The word of a select: 0 while it waits, then the number of the arm that happens, or REFUSED. */
typedef haft__atomic(uint32_t) haft__choice;
#define HAFT__REFUSED UINT32_MAX

typedef struct haft__arm {
    haft__link link;
    haft__record *record; /* to wake */
    haft__choice *choice; /* of a select that waits; null: nobody else can end this wait */
    void *value;          /* these two are the object's to use */
    size_t amount;
    uint32_t number; /* of the arm, from 1 */
    int rc;
    haft__atomic(uint32_t) is_done;
} haft__arm;

static inline void haft__arm_init(haft__arm *w, const haft__root *me, void *value)
{
    w->link.next = NULL;
    w->record = me->record;
    w->choice = NULL;
    w->value = value;
    w->amount = 0;
    w->number = 0;
    w->rc = 0;
    haft__atomic_init(&w->is_done, 0);
}

/* True if the wait is now the caller's to complete. */
static inline bool haft__arm_claim(haft__arm *w)
{
    /* Relaxed: it only decides. The node is read under the lock, and the result is published by is_done and the lock. */
    uint32_t none = 0;
    return w->choice == NULL || haft__cas_relaxed(w->choice, &none, w->number);
}

/* Takes the first waiter that can be claimed out of the queue, and claims it. Null: there is none. */
static inline haft__arm *haft__arms_take(haft__link *queue)
{
    haft__link *link;
    while ((link = haft__list_take(queue)) != NULL) {
        haft__arm *w = HAFT__CONTAINER(link, haft__arm, link);
        if (haft__arm_claim(w))
            return w;
    }
    return NULL;
}

/* Ends a claimed wait with that result. Returns whom to wake once the lock is released. */
static inline haft__record *haft__arm_complete(haft__arm *w, int rc)
{
    haft__record *record = w->record;
    w->rc = rc;
    /* Release: partner of the acquire of the waiter, who then reads the result and what was moved. */
    haft__store_release(&w->is_done, 1);
    return record;
}

/* Completes every waiter that is in the queue now, with that result, and wakes them. The lock is held on entry and on return,
 * and released meanwhile. */
void haft__arms_end_all(haft__link *queue, haft__lock *lock, int rc);

/* Waits in a queue, for that alone. The lock is held and the node in the queue. True: completed, the result is in rc, the
 * lock is released. False: refused, rc is the refusal, not told yet; the node is out of the queue and the lock is held, so
 * that the object can be set right. Reports say what is waited for. Suspends. */
static inline bool haft__arm_wait(haft__arm *self, haft__lock *lock, haft__root *me, const char *what)
{
    for (;;) {
        int rc = haft__refusal(me);
        if (rc != 0) {
            haft__list_remove(&self->link);
            self->rc = rc;
            return false;
        }
        haft__park_unlocking_for(lock, what, NULL);
        if (haft__load_acquire(&self->is_done) != 0)
            return true;
        haft__lock_acquire(lock);
        if (haft__load_relaxed(&self->is_done) != 0) { /* completed under the lock */
            haft__lock_release(lock);
            return true;
        }
    }
}

/* What a kind of arm can do. There are two sorts.
 *
 * Arms with a lock: the object's active side claims them, as above. lock, attempt, enrol, withdraw; finish may be null.
 * Arms without (lock is null): whoever waits looks itself whenever it is woken, and claims for itself. look, enrol,
 * withdraw, finish. */
typedef struct haft__arm_ops {
    /* The lock of the object; null if the arm can only fail, with HAFT_EINVAL. */
    haft__lock *(*lock)(const haft_arm *arm);
    /* With the lock held: takes effect if that is possible now, or ends in an error. True: it has; *rc is the result, *wake
     * whom to wake once the lock is released, if not null. */
    bool (*attempt)(const haft_arm *arm, int *rc, haft__record **wake);
    /* An arm without a lock: takes effect if that is possible now and haft__arm_claim(w) lets it. True: it has. Called
     * with a node that was only initialised, and again after each wake once it is enrolled. */
    bool (*look)(const haft_arm *arm, haft__arm *w);
    /* Enters the queue, with the lock held; an arm without sees to it that w->record is woken by any change. */
    void (*enrol)(const haft_arm *arm, haft__arm *w);
    /* Another arm has happened, or none: leaves the queue, if it is still there, and sets right what depends on it. No lock
     * is held. */
    void (*withdraw)(const haft_arm *arm, haft__arm *w);
    /* The arm has happened: what is left to do with no lock held, where user code may run. Returns the arm's result. */
    int (*finish)(const haft_arm *arm, const haft__arm *w);
} haft__arm_ops;

/* --- Where they are made --- */
extern const haft__arm_ops haft__arm_recv, haft__arm_send;                                    /* chan/channel.c */
extern const haft__arm_ops haft__arm_join;                                                    /* job/arm.c */
extern const haft__arm_ops haft__arm_sem, haft__arm_notify, haft__arm_event, haft__arm_token; /* src/sync */
extern const haft__arm_ops haft__arm_set;                                                     /* group/set.c */
extern const haft__arm_ops haft__arm_tick;                                                    /* job/ticker.c */

#endif
