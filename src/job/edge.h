/* SPDX-License-Identifier: MIT
 *
 * Who waits for whom, to find rings. A wait that only other jobs or threads can end, without a deadline, is noted as
 * an edge, which lies on the waiter's stack: in every build the waits of the workers of actors and pools for others, and
 * joins under a shield, which are haft_drop's; in the checked build also those of all others for actors, pools, joins,
 * mutexes and locks for readers and writers. Rings of other joins alone are found without notes: see job/ring.c. A
 * semaphore, a channel or a select is nobody's, and no edge. */
#ifndef HAFT_JOB_EDGE_H
#define HAFT_JOB_EDGE_H

#include "job/job.h"

#ifdef HAFT_CHECKED
#define HAFT__NOTES_ALL_WAITS true
#else
#define HAFT__NOTES_ALL_WAITS false
#endif

/* Several who do the same work, the workers of a pool: whoever waits for one of them waits for any. A member's root
 * points to it. */
typedef struct haft__party {
    struct haft__edge *waiting;   /* the edges of its members; the table's */
    haft__atomic(uint32_t) count; /* of them; changed before a search, so under locks that a search takes it is right */
    /* Of the last search that has seen it. */
    uint64_t seen;
    uint32_t stuck; /* how many of the members' edges */
} haft__party;

typedef struct haft__edge {
    /* Set by the waiter. */
    const char *what;   /* to be said to the user: "the end of" */
    const void *object; /* for the three functions */
    /* The number of the record whose progress ends the wait; the waiter's own once it is over; 0 if there is none, or
     * several, whom one of the other two tells. Called under the lock of all edges, while the waiter is in its call. */
    uint32_t (*whose)(const struct haft__edge *edge);
    bool (*is_held_by)(const struct haft__edge *edge, const haft__root *other); /* or null; all of them must go on */
    /* Or null. The party for which it waits, or null: for nobody. The wait lasts while *enough members never go on. */
    haft__party *(*party)(const struct haft__edge *edge, unsigned *enough);
    const void *closes;  /* or null: what the waiter closes before it waits */
    const void *room_in; /* or null: the wait is over when that is closed */
    bool heeds_abort;
    bool is_noted; /* it was entered: the waiter's own, unlike its place */

    /* Of haft__edge_to_job. */
    haft__record *job;
    uint32_t generation;

    /* The table's. */
    const haft__root *root;
    struct haft__edge *next, **at;
    struct haft__edge *next_member, **member_at; /* in its party */
    /* Of the last search that has seen it. */
    uint64_t seen;
    struct haft__edge *before, *after; /* it was reached */
    unsigned depth;
    bool is_stuck;
    uint32_t for_record; /* what whose gave */
    haft__party *for_party;
    unsigned enough;
} haft__edge;

/* An edge to a job, which may end meanwhile, of a caller who heeds an abort unless he is shielded. */
haft__edge haft__edge_to_job(const char *what, haft__record *job, uint32_t generation, const haft__root *me);

/* Notes that the caller waits. False: that would close a ring; it was spelled out in the checked build, and nothing is
 * noted. No lock is held; the object's, whatever it is, cannot be asked under the lock of the edges. */
bool haft__edge_enter(haft__edge *edge, const haft__root *me);
/* The same for a wait that cannot be refused: others find it. */
void haft__edge_enter_anyway(haft__edge *edge, const haft__root *me);
/* Before the caller goes on to do anything that the functions look at. Nothing happens if it was not entered. */
void haft__edge_leave(haft__edge *edge);
/* The shortest ring: the caller would wait for "the answer of" "itself". Said in the checked build. */
void haft__edge_tell_of_self(const haft__root *me, const char *what, const char *whose);

#endif
