/* SPDX-License-Identifier: MIT
 *
 * Rings of joins: A joins B, which joins C, which joins A. None of them would ever end, so whoever closes the ring is
 * refused.
 *
 * The edges stand in the state words already: a job that somebody joins, without a deadline, shows by whom. The one who
 * closes the ring looks, after its own claim, who joins it, who joins that one, and so on; if it comes to the job that
 * it joins, there is a ring. Claims and these looks are sequentially consistent, so of several that close a ring at
 * once the last one to claim sees it whole. Several may see it: then each takes its claim back under one lock, looks
 * again, and only the first is refused.
 *
 * An aborted job is no part of a ring: its join is refused, or it is shielded, which nobody can see here. So whoever
 * joins under a shield, as haft_drop does, is in the table of edges, too, where rings of such joins are found. Nor is a wait
 * with a deadline, a haft_wait, a scope, a set, or more than LONGEST joins; if such a ring stops the whole
 * program, that is reported by src/check. */
#include "job/job.h"

/* Looks at most, so that a chain of very many jobs that each join the next does not cost the square of its length. */
#define LONGEST 64

/* Who joins that record and has no deadline, or null. */
static haft__record *awaiter(haft__record *record)
{
    uint64_t state = haft__load_seq_cst(&record->state);
    if ((state & (HAFT__DONE | HAFT__AWAITED)) != HAFT__AWAITED || haft__joiner(state) == 0)
        return NULL;
    haft__record *by = haft__record_at(haft__joiner(state));
    /* Relaxed: an abort may come at any time. */
    return (haft__load_relaxed(&by->state) & HAFT__ABORT) == 0 ? by : NULL;
}

/* A ring, from the caller up to the job that it wants to join. */
struct ring {
    unsigned length;
    haft__record *records[LONGEST + 1];
};

static bool find(haft__job *job, const haft__root *me, struct ring *ring)
{
    haft__record *at = me->record;
    ring->records[0] = at;
    for (unsigned n = 1; n <= LONGEST && (at = awaiter(at)) != NULL; n++) {
        ring->records[n] = at;
        ring->length = n + 1;
        if (at == &job->record)
            return true;
    }
    return false;
}

/* A job that has not begun joins nobody; if it begins now and joins, it will see this claim. Uninstrumented: whoever
 * starts the job writes the field with other means. */
HAFT__UNINSTRUMENTED static bool has_begun(haft__record *record)
{
    return *(struct haft__root *volatile *)&record->root != NULL;
}

static void spell_out(const struct ring *ring)
{
#ifdef HAFT_CHECKED
    for (unsigned i = 0; i < ring->length; i++) {
        haft__sight sight;
        if (!haft__job_peek(ring->records[i], &sight))
            sight = (haft__sight){ .name = "somebody", .place = "?" };
        haft__report("haft: %s%s, spawned at %s,%s\n", i == 0 ? "a ring of joins: " : "  ", sight.name, sight.place,
                     i + 1 < ring->length ? " is joined by" : " would be joined by the first");
    }
#else
    (void)ring;
#endif
}

bool haft__closes_ring_slowly(haft__job *job, const haft__root *me)
{
    static haft__lock lock;
    struct ring ring;
    if (!has_begun(&job->record) || __builtin_expect(!find(job, me, &ring), 1))
        return false;
    /* A join that is refused for the size of its frame shows for a few instructions, too. */
    for (int i = 0; i < 3; i++)
        haft__os->yield();
    haft__lock_acquire(&lock);
    bool is_refused = find(job, me, &ring) && haft__job_give_up(job);
    haft__lock_release(&lock);
    if (is_refused)
        spell_out(&ring);
    return is_refused;
}
