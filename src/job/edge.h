/* SPDX-License-Identifier: MIT
 *
 * Who waits for whom, to find rings. A wait that only another job or thread can end, without a deadline, is noted as
 * an edge, which lies on the waiter's stack: in every build the waits of actors' workers for other actors, in the checked
 * build also those of all others for actors, joins, mutexes and locks for readers and writers. Rings of joins alone are
 * found without notes: see job/ring.c. A semaphore, a channel or a select is nobody's, and no edge. */
#ifndef HAFT_JOB_EDGE_H
#define HAFT_JOB_EDGE_H

#include "job/job.h"

#ifdef HAFT_CHECKED
#define HAFT__NOTES_ALL_WAITS true
#else
#define HAFT__NOTES_ALL_WAITS false
#endif

typedef struct haft__edge {
    /* Set by the waiter. */
    const char *what;   /* to be said to the user: "the end of" */
    const void *object; /* for the two functions */
    /* The number of the record whose progress ends the wait; the waiter's own once it is over; 0 if there is none, or
     * several, whom is_held_by tells. Called under the lock of all edges, while the waiter is in its call. */
    uint32_t (*whose)(const struct haft__edge *edge);
    bool (*is_held_by)(const struct haft__edge *edge, const haft__root *other); /* or null */
    bool heeds_abort;
    bool is_noted; /* it was entered: the waiter's own, unlike its place */

    /* Of haft__edge_to_job. */
    haft__record *job;
    uint32_t generation;
    haft__atomic(uint32_t) *fate; /* or null; the wait is over when it holds over_at */
    uint32_t over_at;

    /* The table's. */
    struct haft__edge *next, **at;
    const haft__root *root;
    uint64_t seen; /* by that search */
} haft__edge;

/* An edge to a job, which may end meanwhile. */
haft__edge haft__edge_to_job(const char *what, haft__record *job, uint32_t generation);

/* Notes that the caller waits. False: that would close a ring; it was spelled out in the checked build, and nothing is
 * noted. No lock is held; the object's, whatever it is, cannot be asked under the lock of the edges. */
bool haft__edge_enter(haft__edge *edge, const haft__root *me);
/* The same for a wait that cannot be refused: others find it. */
void haft__edge_enter_anyway(haft__edge *edge, const haft__root *me);
/* Before the caller goes on to do anything that whose or is_held_by looks at. Nothing happens if it was not entered. */
void haft__edge_leave(haft__edge *edge);

#endif
