/* SPDX-License-Identifier: MIT
 *
 * The table of edges, by the number of the waiter's record, and the search for rings in it, both under one lock.
 *
 * What is searched for. Who waits for one record goes on only if that does; who waits for a lock that several hold, only if
 * all of them do; who waits for a party, only if less than `enough` of its members are lost: that is all who serve if any of
 * them can end the wait, and one if all must. So some waits are stuck together: the largest set of edges each of which,
 * by these rules, has its way out only through others of the set. Whoever enters the table closes a ring if he is in
 * that set, and if without him there would be less of it, besides himself. (What is stuck already is somebody else's ring,
 * of one that could not be refused.)
 *
 * The search. From the new edge on, every edge is reached that others wait for: each once, at most LONGEST steps away;
 * what lies behind counts as free. At first all that were reached count as stuck; then whoever has a way out is freed,
 * the last reached first, until nobody more is. In a chain, which is all there is without parties, that is one way there
 * and one back.
 *
 * Why what is found is a ring. Let S be the stuck edges. Each was asked at some time in the search, under the lock, and then
 * had not got what it waits for: one that has got it, but has not left the table yet, shows it (whose is the member
 * itself, or nobody), and so is free. Who is in the table and has not got it gives nothing away: neither a lock nor
 * an answer. So the first of S to go on, at whatever time, would go on by somebody outside of S, but when it was asked only
 * members of S could end its wait, and they have done nothing since to change that. What others can do from outside is no
 * part of this: they may abort a member (one that is aborted, and would be told, is free), or give a pool more workers.
 *
 * Why each ring is found. The members of S do not change without somebody entering the table, but for a party that
 * gets smaller: see is_surplus in actor/worker.c. So whoever enters last sees all others.
 *
 * A lock that several hold leads to each of them that waits; one that waits behind others in the lock's queue waits
 * for its holders all the same. */
#include "job/edge.h"

#include <stdio.h>

#define BUCKETS 64
#define LONGEST 64

static haft__lock table_lock;
static haft__edge *buckets[BUCKETS];
static uint64_t searches;

struct search {
    haft__edge *mine, *last; /* reached */
#ifdef HAFT_CHECKED
    /* What is said of it: a member for each line. */
    unsigned length, more;
    struct step {
        haft__record *record, *whose; /* see whom */
        const char *what;
        bool is_of_party;
    } steps[LONGEST];
#endif
};

static haft__edge **bucket_of(uint32_t waiter)
{
    return &buckets[waiter % BUCKETS];
}

static void insert(haft__edge *edge)
{
    haft__edge **bucket = bucket_of(edge->root->index);
    edge->next = *bucket;
    edge->at = bucket;
    if (edge->next != NULL)
        edge->next->at = &edge->next;
    *bucket = edge;
    haft__party *party = edge->root->party;
    edge->member_at = NULL;
    if (party == NULL)
        return;
    edge->next_member = party->waiting;
    edge->member_at = &party->waiting;
    if (edge->next_member != NULL)
        edge->next_member->member_at = &edge->next_member;
    party->waiting = edge;
    haft__store_relaxed(&party->count, haft__load_relaxed(&party->count) + 1);
}

static void take_out(const haft__edge *edge)
{
    *edge->at = edge->next;
    if (edge->next != NULL)
        edge->next->at = edge->at;
    if (edge->member_at == NULL)
        return;
    *edge->member_at = edge->next_member;
    if (edge->next_member != NULL)
        edge->next_member->member_at = edge->member_at;
    haft__party *party = edge->root->party;
    haft__store_relaxed(&party->count, haft__load_relaxed(&party->count) - 1);
}

/* --- the search --------------------------------------------------------------------------------------------------- */

/* Something else than the progress of others will end it. */
static bool is_free_anyway(const struct search *search, const haft__edge *edge)
{
    if (edge == search->mine)
        return false;
    if (edge->heeds_abort && (haft__load_relaxed(&edge->root->record->state) & HAFT__ABORT) != 0)
        return true;
    return edge->room_in != NULL && edge->room_in == search->mine->closes;
}

static void reach(struct search *search, haft__edge *edge, unsigned depth)
{
    if (edge->seen == searches)
        return;
    edge->seen = searches;
    edge->depth = depth;
    edge->is_stuck = depth < LONGEST && !is_free_anyway(search, edge);
    edge->before = search->last;
    edge->after = NULL;
    if (search->last != NULL)
        search->last->after = edge;
    search->last = edge;
    haft__party *party = edge->root->party;
    if (party == NULL)
        return;
    if (party->seen != searches) {
        party->seen = searches;
        party->stuck = 0;
    }
    party->stuck += edge->is_stuck;
}

static void set_free(haft__edge *edge)
{
    edge->is_stuck = false;
    if (edge->root->party != NULL)
        edge->root->party->stuck--;
}

/* Asks for whom an edge waits, and reaches those that wait themselves. */
static void look_behind(struct search *search, haft__edge *from)
{
    from->for_party = NULL;
    from->for_record = from->whose(from);
    if (from->for_record == from->root->index) { /* it has got it meanwhile */
        from->for_record = 0;
        set_free(from);
        return;
    }
    if (from->for_record != 0) {
        bool waits = false;
        for (haft__edge *edge = *bucket_of(from->for_record); edge != NULL; edge = edge->next)
            if (edge->root->index == from->for_record) {
                reach(search, edge, from->depth + 1);
                waits = true;
            }
        if (!waits)
            set_free(from);
    } else if (from->party != NULL) {
        from->for_party = from->party(from, &from->enough);
        if (from->for_party != NULL && haft__load_relaxed(&from->for_party->count) >= from->enough)
            for (haft__edge *edge = from->for_party->waiting; edge != NULL; edge = edge->next_member)
                reach(search, edge, from->depth + 1);
        else
            set_free(from);
    } else if (from->is_held_by != NULL) {
        for (unsigned i = 0; i < BUCKETS; i++)
            for (haft__edge *edge = buckets[i]; edge != NULL; edge = edge->next)
                if (from->is_held_by(from, edge->root))
                    reach(search, edge, from->depth + 1);
    }
}

static bool is_stuck(const haft__edge *edge)
{
    return edge->seen == searches && edge->is_stuck;
}

/* Only those that are stuck could end that wait. */
static bool has_no_way_out(const haft__edge *from)
{
    if (from->for_record != 0) {
        for (const haft__edge *edge = *bucket_of(from->for_record); edge != NULL; edge = edge->next)
            if (edge->root->index == from->for_record && is_stuck(edge))
                return true;
    } else if (from->for_party != NULL) {
        return from->for_party->seen == searches && from->for_party->stuck >= from->enough;
    } else if (from->is_held_by != NULL) {
        for (unsigned i = 0; i < BUCKETS; i++)
            for (const haft__edge *edge = buckets[i]; edge != NULL; edge = edge->next)
                if (is_stuck(edge) && from->is_held_by(from, edge->root))
                    return true;
    }
    return false;
}

/* Frees all that have a way out. How many are stuck then; 0 as soon as the caller himself is not. */
static unsigned free_all(const struct search *search, bool is_mine_stuck)
{
    unsigned stuck;
    bool is_settled;
    do {
        stuck = 0;
        is_settled = true;
        for (haft__edge *edge = search->last; edge != NULL; edge = edge->before) {
            if (!edge->is_stuck)
                continue;
            stuck++;
            if (has_no_way_out(edge))
                continue;
            set_free(edge);
            is_settled = false;
        }
        if (is_mine_stuck && !search->mine->is_stuck)
            return 0;
    } while (!is_settled);
    return stuck;
}

/* --- what is said ------------------------------------------------------------------------------------------------- */

#ifdef HAFT_CHECKED
/* The one who is waited for, or of several one who never goes on, or null. */
static haft__record *whom(const struct search *search, const haft__edge *from)
{
    if (from->for_record != 0)
        return haft__record_at(from->for_record);
    if (from->for_party == NULL)
        return from->is_held_by(from, search->mine->root) ? search->mine->root->record : NULL;
    const haft__edge *found = NULL;
    for (const haft__edge *edge = from->for_party->waiting; edge != NULL; edge = edge->next_member)
        if (is_stuck(edge) && (found == NULL || edge == search->mine))
            found = edge;
    return found != NULL ? found->root->record : NULL;
}

/* Keeps what is to be said. */
static void note_steps(struct search *search)
{
    search->length = search->more = 0;
    for (const haft__edge *edge = search->mine; edge != NULL; edge = edge->after) {
        if (!edge->is_stuck)
            continue;
        if (search->length == LONGEST)
            search->more++;
        else
            search->steps[search->length++] =
                (struct step){ edge->root->record, whom(search, edge), edge->what, edge->for_party != NULL };
    }
}

static void describe(haft__record *record, char *text, size_t size)
{
    haft__sight sight;
    if (haft__job_peek(record, &sight))
        snprintf(text, size, "%s, spawned at %s,", sight.name, sight.place);
    else
        snprintf(text, size, "a plain thread");
}

/* Whoever is waited for is the first, or stands in the next line, or is named. */
static void spell_out(const struct search *search)
{
    char who[320];
    for (unsigned i = 0; i < search->length; i++) {
        const struct step *step = &search->steps[i];
        char whom[330] = "";
        if (step->whose == search->steps[0].record)
            snprintf(whom, sizeof whom, " the first");
        else if (step->whose != NULL &&
                 (step->is_of_party || i + 1 == search->length || step->whose != search->steps[i + 1].record)) {
            describe(step->whose, who, sizeof who);
            snprintf(whom, sizeof whom, " %s", who);
        }
        describe(step->record, who, sizeof who);
        haft__report("haft: %s%s %s %s%s\n", i == 0 ? "a ring of waits: " : "  ", who,
                     i == 0 ? "would wait for" : "waits for", step->what, whom);
    }
    if (search->more != 0)
        haft__report("haft:   and %u more\n", search->more);
}

void haft__edge_tell_of_self(const haft__root *me, const char *what, const char *whose)
{
    char who[320];
    describe(me->record, who, sizeof who);
    haft__report("haft: a ring of waits: %s would wait for %s %s\n", who, what, whose);
}
#else
static void note_steps(const struct search *search)
{
    (void)search;
}

static void spell_out(const struct search *search)
{
    (void)search;
}

void haft__edge_tell_of_self(const haft__root *me, const char *what, const char *whose)
{
    (void)me;
    (void)what;
    (void)whose;
}
#endif

static bool closes_ring(struct search *search)
{
    searches++;
    search->last = NULL;
    reach(search, search->mine, 0);
    for (haft__edge *edge = search->mine; edge != NULL; edge = edge->after)
        if (edge->is_stuck)
            look_behind(search, edge);
    if (__builtin_expect(!search->mine->is_stuck, 1))
        return false;
    unsigned stuck = free_all(search, true);
    if (__builtin_expect(stuck == 0, 1))
        return false;
    note_steps(search);
    set_free(search->mine);
    return free_all(search, false) < stuck - 1 || !has_no_way_out(search->mine);
}

/* --- the interface ------------------------------------------------------------------------------------------------ */

bool haft__edge_enter(haft__edge *edge, const haft__root *me)
{
    struct search search;
    search.mine = edge;
    edge->root = me;
    edge->seen = 0;
    haft__lock_acquire(&table_lock);
    insert(edge);
    bool is_ring = closes_ring(&search);
    if (is_ring)
        take_out(edge);
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
    take_out(edge);
    haft__lock_release(&table_lock);
}

/* One that has ended waits for nobody; only its record may be another's by now. Relaxed: nothing is read on account of it,
 * and whoever looks because of an end has been told of it by other means. */
static uint32_t job_number(const haft__edge *edge)
{
    bool is_over = haft__generation(haft__load_relaxed(&edge->job->state)) != edge->generation;
    return is_over ? 0 : haft__record_index(edge->job);
}

haft__edge haft__edge_to_job(const char *what, haft__record *job, uint32_t generation, const haft__root *me)
{
    return (haft__edge){
        .what = what, .whose = job_number, .heeds_abort = me->shields == 0, .job = job, .generation = generation
    };
}
