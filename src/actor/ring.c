/* SPDX-License-Identifier: MIT
 *
 * Rings of calls: A's worker calls B, whose worker calls C, whose worker calls A. None of them would ever be answered, so
 * whoever closes the ring is refused.
 *
 * An actor's server that is about to wait for another actor, for an answer, for room or for its end, without a deadline,
 * notes that in itself, under one lock for all, after following the notes from the other actor on: if they lead back to
 * its own, there is a ring. Whoever notes last sees the others' notes, so exactly one is refused. An actor that a note
 * leads to is alive, because the server that made the note holds an end of it while it waits; the note is taken back
 * under the same lock. Only servers pay for this.
 *
 * An aborted server is no part of a ring: its wait is refused, or shielded, which others cannot see. Nor are waits with
 * a deadline, those of jobs that a body has started, and pools, one server of which does not stand for the others. */
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

/* The note that leads on from an actor, or null. */
static const haft__actor *next_of(const haft__actor *at)
{
    const haft__server *s = &at->sole; /* unused, and so without a note, in a pool */
    return s->waits_on != NULL && (haft__load_relaxed(&s->record->state) & HAFT__ABORT) == 0 ? s->waits_on : NULL;
}

static bool note_wait(haft__server *own, haft__actor *target)
{
    haft__record *workers[NAMED] = { own->record };
    unsigned n = 1;
    haft__lock_acquire(&notes_lock);
    const haft__actor *at = target, *next;
    while (at != own->core && (next = next_of(at)) != NULL) {
        if (n < NAMED)
            workers[n] = at->sole.record; /* it waits, so it is there */
        n++;
        at = next;
    }
    bool is_ring = at == own->core;
    if (!is_ring)
        own->waits_on = target;
    haft__lock_release(&notes_lock);
    if (is_ring)
        spell_out(workers, n < NAMED ? n : NAMED, n > NAMED);
    return !is_ring;
}

bool haft__actor_begin_wait(haft__actor *a, const haft__root *me, haft__server *own, haft__server **noted)
{
    *noted = own != NULL && me->deadline == INT64_MAX && !own->core->is_pool ? own : NULL;
    if (*noted == NULL || note_wait(own, a))
        return true;
    *noted = NULL;
    return false;
}

void haft__actor_end_wait(haft__server *noted)
{
    if (noted == NULL)
        return;
    haft__lock_acquire(&notes_lock);
    noted->waits_on = NULL;
    haft__lock_release(&notes_lock);
}
