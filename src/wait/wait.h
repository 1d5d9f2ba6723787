/* SPDX-License-Identifier: MIT
 *
 * Parking and waking, the same for tasks and threads.
 *
 * A waiter publishes itself somewhere (a claim in a job's state word, a node in a list), parks, and looks again after
 * every return: returns without cause are legal. Whoever makes true what it waits for wakes it afterwards. Two ways to
 * park, by what publishes:
 *
 *  - haft__park: published before; a wake that comes before the park is kept in the wait word (NOTIFIED).
 *  - haft__park_unlocking: published under a lock, which is released only once the waiter is parked: a waker who holds
 *    the lock always finds it PARKED. An abort takes no lock: it stores the flag, makes every processor execute a fence,
 *    and looks at the wait word; the waiter's successor stores PARKED, executes the light fence, and looks at the flag.
 *    One of the two sees the other's store.
 *
 * A park under a lock writes over NOTIFIED, which a waker for something else may have left. That wake is spent then, so
 * whoever looks for that other thing later must see it. A thread parks by an exchange, which keeps the order of that wake.
 * A task's successor only stores PARKED: on processors where a store is seen by all others at once whoever comes after the
 * one that ends that park, as the task itself does, comes after all that was before NOTIFIED, too.
 *
 * A wait that may be refused asks haft__refusal before each park: aborted and not shielded, or past the deadline. */
#ifndef HAFT_WAIT_WAIT_H
#define HAFT_WAIT_WAIT_H

#include "haft/codes.h"
#include "wait/lock.h"
#include "wait/root.h"

/* Waits until the running record is woken or its deadline has passed, or without cause. Suspends. What is waited for is
 * said to reports, as a phrase ("the end of") and, if it is one, whose; the text is static. */
void haft__park_for(const char *what, haft__record *whose);
void haft__park_unlocking_for(haft__lock *lock, const char *what, haft__record *whose);
static inline void haft__park(void)
{
    haft__park_for(NULL, NULL);
}
static inline void haft__park_unlocking(haft__lock *lock)
{
    haft__park_unlocking_for(lock, NULL, NULL);
}

/* Ends one park of that record, the present or the next. From anywhere; allocates nothing. */
void haft__wake(haft__record *record);
/* The same, callable from a signal handler. */
void haft__wake_from_signal(haft__record *record);

static inline bool haft__is_task(const haft__record *record)
{
    return haft__load_relaxed(&record->kind) == HAFT__KIND_TASK;
}

/* True if this call ended the park of a task, so that the caller must make it ready. A thread that sleeps is woken here,
 * one that spins sees it by itself; what the record stands for must not be asked, because the thread may have ended. */
void haft__wake_sleeper(haft__record *record);
static inline bool haft__wins_wake(haft__record *record)
{
    uint32_t word = haft__load_relaxed(&record->word);
    for (;;) {
        uint32_t next = haft__word_is_parked(word) ? HAFT__RUNNING : HAFT__NOTIFIED;
        /* An exchange even from NOTIFIED to NOTIFIED: its release publishes what this waker did. */
        if (!haft__cas_weak_acq_rel_retry(&record->word, &word, next))
            continue;
        if (__builtin_expect(word == HAFT__SLEEPS, 0))
            haft__wake_sleeper(record);
        return word == HAFT__PARKED;
    }
}

/* Is an abort to be heeded here? */
static inline bool haft__is_aborted_here(const haft__root *root)
{
    if (root->shields != 0 || root->record == NULL ||
        __builtin_expect((haft__load_relaxed(&root->record->state) & HAFT__ABORT) == 0, 1))
        return false;
    /* Acquire: partner of the release of the aborter; the job that is told sees what was done before the abort. */
    (void)haft__load_acquire(&root->record->state);
    return true;
}

/* HAFT_ECANCELED, HAFT_ETIMEDOUT, or 0: go on waiting. Whoever returns it to the user passes it through haft__tell. */
int haft__refusal_by_clock(const haft__root *root);
static inline int haft__refusal(const haft__root *root)
{
    if (__builtin_expect(haft__is_aborted_here(root), 0))
        return HAFT_ECANCELED;
    return __builtin_expect(root->deadline == INT64_MAX, 1) ? 0 : haft__refusal_by_clock(root);
}

/* Notes that the job is told, if it is. */
static inline int haft__tell(haft__root *root, int rc)
{
    if (rc == HAFT_ECANCELED)
        root->told = true;
    return rc;
}

/* What every suspension point looks at on entry: the abort alone. Told already. */
static inline int haft__refusal_on_entry(haft__root *root)
{
    if (__builtin_expect(!haft__is_aborted_here(root), 1))
        return 0;
    return haft__tell(root, HAFT_ECANCELED);
}

/* Masks abort and deadlines for the library's own waits that must not fail. */
typedef struct haft__shield {
    int64_t deadline;
} haft__shield;
static inline haft__shield haft__shield_raise(haft__root *root)
{
    haft__shield shield = { .deadline = root->deadline };
    root->shields++;
    root->deadline = INT64_MAX;
    return shield;
}
static inline void haft__shield_lower(haft__root *root, haft__shield shield)
{
    root->shields--;
    root->deadline = shield.deadline;
}

/* --- Provided by src/sched for tasks --- */
void haft__task_park(haft__root *me);
void haft__task_park_unlocking(haft__root *me, haft__lock *lock);
void haft__task_ready(haft__record *record);
void haft__task_ready_from_signal(haft__record *record);
/* Lets a worker that sleeps look at what could be given back. */
void haft__sched_has_spare(struct haft__sched *sched);

#endif
