/* SPDX-License-Identifier: MIT */
#include "sched/gather.h"

#include "base/sizes.h"
#include "sched/queue.h"

/* Paces are in ns for so many operations. */
#define PACE_OPERATIONS 1024

static unsigned pace_of(int64_t time, uint64_t operations)
{
    uint64_t pace = operations != 0 && time >= 0 ? (uint64_t)time * PACE_OPERATIONS / operations : UINT64_MAX;
    return pace < UINT32_MAX ? (unsigned)pace + 1 : UINT32_MAX; /* never 0 */
}

static void begin(haft__gathering *g, int64_t now, uint64_t count)
{
    g->meetings = 0;
    g->since = now;
    g->since_count = count;
}

/* The first meeting behind a stay. What nobody noticed to be over for long tells nothing. */
static void end_stay(haft__gathering *g, int64_t now, uint64_t count)
{
    g->pace = now - g->until < g->stay ? pace_of(now - g->since, count - g->since_count) : 0;
    g->until = 0;
    begin(g, now, count);
}

/* Is it worth another stay, or a first one? */
static bool is_worth_it(haft__gathering *g, int64_t now, uint64_t count)
{
    unsigned apart = pace_of(now - g->since, count - g->since_count);
    begin(g, now, count);
    if (apart > (unsigned)HAFT__GATHER_PACE_NS * PACE_OPERATIONS)
        return false;
    bool is_worse = g->pace >= apart;
    int64_t longer = g->pace != 0 ? 2 * g->stay : HAFT__GATHER_FIRST_NS;
    g->pace = 0;
    g->stay = longer < HAFT__GATHER_LONGEST_NS ? longer : HAFT__GATHER_LONGEST_NS;
    if (is_worse)
        g->not_before = now + HAFT__GATHER_PAUSE_NS;
    return !is_worse;
}

bool haft__gathering_decide(haft__gathering *g, const haft__sched *sched, unsigned worker, int64_t now, uint64_t count)
{
    bool is_same = g->sched == sched;
    if (is_same && now < g->until)
        return true;
    unsigned last = g->last;
    g->sched = sched;
    g->last = worker;
    if (g->until != 0) {
        end_stay(g, now, count);
        return false;
    }
    if (now < g->not_before)
        return false;
    if (!is_same || now - g->since > HAFT__GATHER_WINDOW_NS) {
        begin(g, now, count);
        return false;
    }
    g->meetings++;
    if (last == worker || g->meetings < HAFT__GATHER_MEETINGS || now - g->since < HAFT__GATHER_WINDOW_NS / 10 ||
        !is_worth_it(g, now, count))
        return false;
    g->at = last < worker ? last : worker;
    g->until = now + g->stay;
    return true;
}

haft__worker *haft__gathering_meet(haft__gathering *g, int64_t now, uint64_t count)
{
    const haft__thread *here = haft__here_or_null();
    const haft__root *me = here->root;
    haft__worker *w = here->worker;
    if (w == NULL || me->stack == NULL || w->sched->count == 1 || (me->record->flags & HAFT__PINNED) != 0 ||
        !haft__gathering_decide(g, w->sched, w->number, now, count))
        return NULL;
    haft__worker *at = &w->sched->workers[g->at];
    if (haft__load_relaxed(&at->gathers_until) < g->until)
        haft__store_relaxed(&at->gathers_until, g->until);
    return at != w ? at : NULL;
}
