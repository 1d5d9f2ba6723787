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

/* Begins to count, or a stay. */
static void begin(haft__gathering *g, const haft__sched *sched, int64_t now, uint64_t count)
{
    g->meetings = 0;
    g->since = now;
    g->since_count = count;
    g->ticks = haft__load_relaxed(&sched->workers[g->at].ticks);
    g->ticks_since = now;
}

/* The first meeting behind a stay. What nobody noticed to be over for long tells nothing. */
static void end_stay(haft__gathering *g, const haft__sched *sched, int64_t now, uint64_t count)
{
    g->pace = now - g->until < g->stay ? pace_of(now - g->since, count - g->since_count) : 0;
    g->until = 0;
    begin(g, sched, now, count);
}

/* Has the worker `at` gone on to another task since that was last seen, or was it seen just now? */
static bool is_lively(haft__gathering *g, const haft__sched *sched, int64_t now)
{
    uint64_t ticks = haft__load_relaxed(&sched->workers[g->at].ticks);
    if (ticks == g->ticks)
        return now - g->ticks_since < HAFT__GATHER_TURN_NS;
    g->ticks = ticks;
    g->ticks_since = now;
    return true;
}

/* Has it done so often since they began to count? */
static bool takes_turns(const haft__gathering *g, const haft__sched *sched, int64_t now)
{
    uint64_t turns = haft__load_relaxed(&sched->workers[g->at].ticks) - g->ticks;
    return turns > (uint64_t)(now - g->since) / HAFT__GATHER_TURN_NS;
}

/* Is it worth another stay, or a first one? */
static bool is_worth_it(haft__gathering *g, int64_t now, uint64_t count)
{
    unsigned apart = pace_of(now - g->since, count - g->since_count), together = g->pace;
    g->pace = 0;
    if (apart > (unsigned)HAFT__GATHER_PACE_NS * PACE_OPERATIONS)
        return false;
    if (together > apart + apart / 8) { /* for less, one worker is the better one */
        int64_t pause = g->pause != 0 ? 2 * g->pause : HAFT__GATHER_PAUSE_NS;
        g->pause = pause < HAFT__GATHER_LONGEST_PAUSE_NS ? pause : HAFT__GATHER_LONGEST_PAUSE_NS;
        g->not_before = now + g->pause;
        return false;
    }
    if (together != 0)
        g->pause = 0;
    int64_t longer = together != 0 ? 2 * g->stay : HAFT__GATHER_FIRST_NS;
    g->stay = longer < HAFT__GATHER_LONGEST_NS ? longer : HAFT__GATHER_LONGEST_NS;
    return true;
}

/* The meetings are enough, or are to be counted anew. */
static bool is_enough(haft__gathering *g, const haft__sched *sched, unsigned last, unsigned worker, int64_t now,
                      uint64_t count)
{
    if (g->meetings == 0 || now - g->since > HAFT__GATHER_WINDOW_NS) {
        if (now - g->since > HAFT__GATHER_WINDOW_NS)
            g->pace = 0;
        g->at = last < worker ? last : worker;
        begin(g, sched, now, count);
        g->meetings = last != worker; /* counted from the first one of two workers on */
        return false;
    }
    g->meetings++;
    return g->meetings >= HAFT__GATHER_MEETINGS && now - g->since >= HAFT__GATHER_WINDOW_NS / 10;
}

bool haft__gathering_decide(haft__gathering *g, const haft__sched *sched, unsigned worker, int64_t now, uint64_t count)
{
    if (g->serial != sched->serial) {
        *g = (haft__gathering){ .serial = sched->serial, .last = worker };
        return false;
    }
    if (now < g->until)
        return is_lively(g, sched, now);
    unsigned last = g->last;
    g->last = worker;
    if (g->until != 0) {
        end_stay(g, sched, now, count);
        return false;
    }
    if (now < g->not_before || !is_enough(g, sched, last, worker, now, count))
        return false;
    bool gather = takes_turns(g, sched, now) && is_worth_it(g, now, count);
    begin(g, sched, now, count);
    if (gather)
        g->until = now + g->stay;
    return gather;
}

static bool runs(const haft__worker *w)
{
    return haft__load_relaxed(&w->stop_word) == HAFT__WORKER_RUNS;
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
    /* Workers that are told to stop have jobs that are stuck, and leave one by one. */
    return at != w && runs(at) && runs(w) ? at : NULL;
}
