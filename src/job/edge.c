/* SPDX-License-Identifier: MIT
 *
 * The table of edges, by the number of the waiter's record, and the search for rings in it, both under one lock.
 *
 * A ring is closed by whoever enters last, and is found then, because all the others are in the table. What is found is
 * a ring: its last member waits for the caller, who is here and gives nothing away meanwhile, so that member has
 * not got what it waits for and gives nothing away either, and so on to the first. A member that has got it already but
 * has not left the table yet shows it (whose is the member itself, or nobody), so the search goes no further there.
 *
 * A lock that several hold leads to each of them that waits, too; one that waits behind others in the lock's queue waits
 * for its holders all the same. Whoever is aborted, and would be told, is no part of a ring. A search looks at each edge
 * once, and goes LONGEST edges deep. */
#include "job/edge.h"

#include <stdio.h>

#define BUCKETS 64
#define LONGEST 64

static haft__lock table_lock;
static haft__edge *buckets[BUCKETS];
static uint64_t searches;

struct search {
    const haft__root *me;
    unsigned length;
    struct step {
        haft__record *record;
        const char *what;
    } steps[LONGEST];
};

static haft__edge **bucket_of(uint32_t waiter)
{
    return &buckets[waiter % BUCKETS];
}

static bool may_be_told(const haft__edge *edge)
{
    return edge->heeds_abort && (haft__load_relaxed(&edge->root->record->state) & HAFT__ABORT) != 0;
}

static bool leads_to_me(struct search *search, haft__edge *from);

/* The waiter of that edge is in the way; does it wait for the caller? */
static bool passes(struct search *search, haft__edge *edge)
{
    if (edge->seen == searches || may_be_told(edge))
        return false;
    return leads_to_me(search, edge);
}

static bool passes_a_holder(struct search *search, const haft__edge *from)
{
    if (from->is_held_by(from, search->me))
        return true;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (haft__edge *edge = buckets[i]; edge != NULL; edge = edge->next)
            if (from->is_held_by(from, edge->root) && passes(search, edge))
                return true;
    return false;
}

static bool leads_to_me(struct search *search, haft__edge *from)
{
    from->seen = searches;
    if (search->length == LONGEST)
        return false;
    search->steps[search->length++] = (struct step){ from->root->record, from->what };
    uint32_t whose = from->whose(from);
    if (whose == search->me->index && from->root != search->me) /* else the caller has got it meanwhile */
        return true;
    if (whose != 0) { /* perhaps its own, which was seen */
        for (haft__edge *edge = *bucket_of(whose); edge != NULL; edge = edge->next)
            if (edge->root->index == whose && passes(search, edge))
                return true;
    } else if (from->is_held_by != NULL && passes_a_holder(search, from)) {
        return true;
    }
    search->length--;
    return false;
}

static void spell_out(const struct search *search)
{
#ifdef HAFT_CHECKED
    for (unsigned i = 0; i < search->length; i++) {
        haft__sight sight;
        char who[320], line[500];
        if (haft__job_peek(search->steps[i].record, &sight))
            snprintf(who, sizeof who, "%s, spawned at %s,", sight.name, sight.place);
        else
            snprintf(who, sizeof who, "a plain thread");
        int n = snprintf(line, sizeof line, "haft: %s%s %s %s%s\n", i == 0 ? "a ring of waits: " : "  ", who,
                         i == 0 ? "would wait for" : "waits for", search->steps[i].what,
                         i + 1 < search->length ? "" : " the first");
        if (n > 0)
            haft__os->write_error(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    }
#else
    (void)search;
#endif
}

static void insert(haft__edge *edge)
{
    haft__edge **bucket = bucket_of(edge->root->index);
    edge->next = *bucket;
    edge->at = bucket;
    if (edge->next != NULL)
        edge->next->at = &edge->next;
    *bucket = edge;
}

bool haft__edge_enter(haft__edge *edge, const haft__root *me)
{
    struct search search;
    search.me = me;
    search.length = 0;
    edge->root = me;
    haft__lock_acquire(&table_lock);
    searches++;
    bool is_ring = leads_to_me(&search, edge);
    if (!is_ring)
        insert(edge);
    haft__lock_release(&table_lock);
    edge->is_noted = !is_ring;
    if (is_ring)
        spell_out(&search);
    return !is_ring;
}

void haft__edge_enter_anyway(haft__edge *edge, const haft__root *me)
{
    edge->root = me;
    edge->seen = 0;
    edge->is_noted = true;
    haft__lock_acquire(&table_lock);
    insert(edge);
    haft__lock_release(&table_lock);
}

void haft__edge_leave(haft__edge *edge)
{
    if (!edge->is_noted)
        return;
    haft__lock_acquire(&table_lock);
    *edge->at = edge->next;
    if (edge->next != NULL)
        edge->next->at = edge->at;
    haft__lock_release(&table_lock);
}

/* One that has ended waits for nobody; only its record may be another's by now. Relaxed: nothing is read on account of it,
 * and whoever looks because of an end has been told of it by other means. */
static uint32_t job_number(const haft__edge *edge)
{
    bool is_over = haft__generation(haft__load_relaxed(&edge->job->state)) != edge->generation ||
                   (edge->fate != NULL && haft__load_relaxed(edge->fate) == edge->over_at);
    return is_over ? 0 : haft__record_index(edge->job);
}

haft__edge haft__edge_to_job(const char *what, haft__record *job, uint32_t generation)
{
    return (haft__edge){ .what = what, .whose = job_number, .heeds_abort = true, .job = job, .generation = generation };
}
