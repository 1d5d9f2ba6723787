/* SPDX-License-Identifier: MIT
 *
 * Rings of calls: A's worker calls B, whose worker calls C, whose worker calls A. None of them would ever be answered, so
 * whoever closes the ring is refused.
 *
 * A worker that is about to wait for another actor, for an answer, for room or for its end, without a deadline, notes that in its own
 * actor, under one lock for all, after following the notes from the other actor on: if they lead back to its own, there
 * is a ring. Whoever notes last sees the others' notes, so exactly one is refused. An actor that a note leads to is
 * alive, because the worker that made the note holds an end of it while it waits; the note is taken back under the same
 * lock. Only workers pay for this.
 *
 * An aborted worker is no part of a ring: its wait is refused, or shielded, which others cannot see. Nor are waits with
 * a deadline, and those of jobs that a body has started. */
#include "actor/actor.h"

#include <stdio.h>

static haft__lock notes_lock;

/* How many of a ring are named. */
#define NAMED 16

static void spell_out(haft__record *const *workers, unsigned n, bool is_longer)
{
#ifdef HAFT_CHECKED
    for (unsigned i = 0; i < n; i++) {
        haft__sight sight;
        char line[400];
        if (!haft__job_peek(workers[i], &sight))
            sight = (haft__sight){ .name = "somebody", .place = "?" };
        const char *does = n == 1      ? "would wait for itself"
                           : i == 0    ? "would wait for"
                           : i + 1 < n ? "waits for"
                           : is_longer ? "..."
                                       : "waits for the first";
        int length = snprintf(line, sizeof line, "haft: %s%s, started at %s, %s\n", i == 0 ? "a ring of calls: " : "  ",
                              sight.name, sight.place, does);
        if (length > 0)
            haft__os->write_error(line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    }
#else
    (void)workers;
    (void)n;
    (void)is_longer;
#endif
}

static bool is_aborted(const haft__actor *a)
{
    return (haft__load_relaxed(&a->worker->state) & HAFT__ABORT) != 0;
}

static bool note_wait(haft__actor *own, haft__actor *target)
{
    haft__record *workers[NAMED] = { own->worker };
    unsigned n = 1;
    haft__lock_acquire(&notes_lock);
    const haft__actor *at = target;
    while (at != own && at->waits_on != NULL && !is_aborted(at)) {
        if (n < NAMED)
            workers[n] = at->worker; /* it waits, so it is there */
        n++;
        at = at->waits_on;
    }
    bool is_ring = at == own;
    if (!is_ring)
        own->waits_on = target;
    haft__lock_release(&notes_lock);
    if (is_ring)
        spell_out(workers, n < NAMED ? n : NAMED, n > NAMED);
    return !is_ring;
}

bool haft__actor_begin_wait(haft__actor *a, const haft__root *me, haft__actor **own)
{
    *own = me->deadline == INT64_MAX ? haft__actor_here(me) : NULL;
    if (*own == NULL || note_wait(*own, a))
        return true;
    *own = NULL;
    return false;
}

void haft__actor_end_wait(haft__actor *own)
{
    if (own == NULL)
        return;
    haft__lock_acquire(&notes_lock);
    own->waits_on = NULL;
    haft__lock_release(&notes_lock);
}
