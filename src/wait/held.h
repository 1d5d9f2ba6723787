/* SPDX-License-Identifier: MIT
 *
 * What a job or plain thread holds and must not take along when it ends: locked mutexes, read and write locks, a once
 * that it is running. The links lie in what is held, so taking a lock allocates nothing, and the list hangs on the
 * root, so it follows a task between workers. Only the holder touches it.
 *
 * A wall marks the list while it stands if it is not empty then: a panic that passes the wall abandons what was taken
 * inside of it, and nothing else. At the end of a job, and of a plain thread, all that is left is abandoned. Abandoning
 * runs no user code and does not suspend; what it wakes, it wakes outside of locks. */
#ifndef HAFT_WAIT_HELD_H
#define HAFT_WAIT_HELD_H

#include "haft/embed.h"
#include "wait/root.h"

static inline void haft__held_push(haft__root *me, haft_held_ *held, void (*abandon)(haft_held_ *, void *))
{
    held->next_ = me->held;
    held->abandon_ = abandon;
    me->held = held;
}

/* Usually the newest. It is in the list. */
static inline void haft__held_remove(haft__root *me, const haft_held_ *held)
{
    haft_held_ **at = &me->held;
    while (*at != held)
        at = &(*at)->next_;
    *at = held->next_;
}

/* A job-local value (src/job/local.c). */
typedef struct haft__local {
    void (*end)(haft__root *); /* disposes of the whole list */
    struct haft__local *next;
    const void *key;
    void *value;
} haft__local;

/* Disposes of the job-local values: user code, which may panic, suspend, and lock. To be called before what is held is
 * abandoned. */
static inline void haft__locals_end(haft__root *me)
{
    if (__builtin_expect(me->locals != NULL, 0))
        me->locals->end(me);
}

/* Abandons what was taken since `mark` was pushed, null: everything. The mark stays. */
void haft__held_abandon(haft__root *me, const haft_held_ *mark);

#endif
