/* SPDX-License-Identifier: MIT
 *
 * The search. A run is a list of choices; choice 0 is always the one without a deviation: the running thread goes on, a
 * load sees the newest value. Three ways to make them:
 *
 *  - depth first: every list with at most so many preemptions and so many loads of older values, in order;
 *  - at random, from a seed;
 *  - PCT (Burckhardt and others, 2010): threads have random priorities, the highest runs, and at a few random steps
 *    the running one falls behind all others. It finds a bug of depth d with a known probability.
 *
 * Before the first search some runs at random find out which objects threads contend for: the others need no choices. A
 * search that finds another one starts again.
 *
 * Each failure is a list of deviations, named by their steps, and nothing else, so it can be run again, and is shrunk
 * by leaving some out as long as it still fails in the same way. */
#include "inside.h"

#include <time.h>

extern char __data_start[], _end[];

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint64_t random_next(void)
{
    uint64_t x = engine->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    engine->random = x;
    return x >> 11;
}

static void random_from(uint64_t seed)
{
    engine->random = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ UINT64_C(0xBF58476D1CE4E5B9);
    for (int i = 0; i < 4; i++)
        random_next();
}

/* --- choices ------------------------------------------------------------------------------------------------------------ */

static struct choice *choice_new(void)
{
    if (engine->choice_next == CHOICES)
        model_fail("more than %d choices in one run", CHOICES);
    return &engine->choices[engine->choice_next++];
}

static struct choice *choice_add(enum kind kind, int taken, int allowed)
{
    struct choice *c = choice_new();
    *c = (struct choice){ engine->steps, (uint16_t)taken, (uint16_t)allowed, kind };
    engine->choice_count = engine->choice_next;
    return c;
}

static int taken_before(enum kind kind, int n)
{
    for (int i = 0; i < engine->again_count; i++)
        if (engine->again[i].step == engine->steps && engine->again[i].kind == kind)
            return engine->again[i].taken < n ? engine->again[i].taken : n - 1;
    return 0;
}

int choose(enum kind kind, int n, int allowed)
{
    if (n <= 1)
        return 0;
    if (engine->mode == MODE_REPLAY)
        return choice_add(kind, taken_before(kind, n), n)->taken;
    if (engine->choice_next == engine->choice_count)
        return choice_add(kind, 0, allowed)->taken;
    return choice_new()->taken;
}

int choose_by(enum kind kind, int n, int taken)
{
    return n > 1 ? choice_add(kind, taken, n)->taken : 0;
}

/* The next list in the order of the search. False: that was the last one. */
static bool next_list(void)
{
    int n = engine->choice_next;
    while (n > 0 && engine->choices[n - 1].taken + 1 >= engine->choices[n - 1].allowed)
        n--;
    engine->choice_count = n;
    if (n == 0)
        return false;
    engine->choices[n - 1].taken++;
    return true;
}

/* --- one run ------------------------------------------------------------------------------------------------------------ */

static void body_of_model(void *argument)
{
    (void)argument;
    if (engine->world.run_begins != NULL)
        engine->world.run_begins();
    engine->model->body();
}

bool run_fails(const struct model *model)
{
    size_t size = (size_t)(_end - __data_start);
    memcpy(__data_start, engine->statics, size);
    engine->model = model;
    engine->run++;
    engine->executions++;
    engine->has_failed = false;
    engine->choice_next = 0;
    engine->preemptions = engine->stale_reads = engine->steps = 0;
    engine->trace_count = 0;
    races_reset();
    memory_reset();
    threads_reset();
    thread_begin_first(body_of_model);
    if (!engine->has_failed)
        leaks_check();
    if (engine->steps > engine->longest)
        engine->longest = engine->steps;
    return engine->has_failed;
}

/* --- searches ----------------------------------------------------------------------------------------------------------- */

struct limits {
    uint64_t runs;
    double until; /* 0: no end */
};

static bool is_late(const struct limits *limits)
{
    return limits->until != 0 && (engine->executions & 63) == 0 && seconds_now() > limits->until;
}

static bool search_at_random(const struct model *model, enum mode mode, uint64_t seed, struct limits limits)
{
    for (uint64_t i = 0; i < limits.runs && !is_late(&limits); i++) {
        engine->mode = mode;
        engine->seed = seed + i;
        random_from(seed + i);
        engine->choice_count = 0;
        engine->changes = 0;
        if (mode == MODE_PCT && engine->longest > 0)
            for (int k = 0; k < 1 + (int)(random_next() % 4); k++)
                engine->change_at[engine->changes++] = 1 + (int)(random_next() % (unsigned)engine->longest);
        engine->shared_grew = false;
        if (!run_fails(model))
            continue;
        if (!engine->shared_grew)
            return true;
        i--; /* with the choices that it should have had */
    }
    return false;
}

/* 1: failed. 0: nothing found in all there is. -1: not at the end. */
static int search_depth_first(const struct model *model, int bound, struct limits limits)
{
    engine->mode = MODE_DEPTH_FIRST;
    engine->bound = bound;
    int stale = model->options.stale;
    engine->stale_bound = stale < 0 ? 0 : stale == 0 ? 1 : stale;
    random_from(0);
    for (;;) {
        engine->choice_count = 0;
        engine->shared_grew = false;
        for (uint64_t runs = 0;; runs++) {
            if (runs >= limits.runs || is_late(&limits))
                return -1;
            bool fails = run_fails(model);
            if (engine->shared_grew)
                break;
            if (fails)
                return 1;
            if (!next_list())
                return 0;
        }
    }
}

void search(const struct model *model, const struct search_plan *plan, struct verdict *verdict)
{
    double start = seconds_now();
    uint64_t executions = engine->executions;
    const double until = plan->seconds > 0 ? start + plan->seconds : 0;
    struct limits limits = { 0 };
    memset(engine->shared, 0, SHARED * sizeof engine->shared[0]);
    engine->longest = 0;
    *verdict = (struct verdict){ .mode = MODE_RANDOM, .complete_to = -1 };
    limits.runs = 60;
    bool failed = search_at_random(model, MODE_RANDOM, plan->seed, limits);
    for (int bound = plan->bound_first; !failed && bound <= plan->bound_last; bound++) {
        limits.runs = plan->limit;
        limits.until = bound <= plan->bound_required ? 0 : until;
        verdict->mode = MODE_DEPTH_FIRST;
        verdict->bound = bound;
        int rc = search_depth_first(model, bound, limits);
        failed = rc > 0;
        if (rc == 0)
            verdict->complete_to = bound;
    }
    limits.until = until;
    if (!failed && plan->random_runs > 0) {
        verdict->mode = MODE_RANDOM;
        limits.runs = plan->random_runs;
        failed = search_at_random(model, MODE_RANDOM, plan->seed + 1000, limits);
    }
    if (!failed && plan->pct_runs > 0) {
        verdict->mode = MODE_PCT;
        limits.runs = plan->pct_runs;
        failed = search_at_random(model, MODE_PCT, plan->seed + 2000000, limits);
    }
    verdict->has_failed = failed;
    verdict->seed = engine->seed;
    verdict->executions = engine->executions - executions;
    verdict->seconds = seconds_now() - start;
}

/* --- again -------------------------------------------------------------------------------------------------------------- */

bool replay(const struct model *model, bool traces)
{
    engine->mode = MODE_REPLAY;
    engine->bound = engine->stale_bound = INT32_MAX;
    engine->choice_count = 0;
    random_from(0);
    engine->traces = engine->describes = traces;
    bool fails = run_fails(model);
    engine->traces = engine->describes = false;
    return fails;
}

static void keep_deviations(void)
{
    engine->again_count = 0;
    for (int i = 0; i < engine->choice_next; i++)
        if (engine->choices[i].taken != 0)
            engine->again[engine->again_count++] = engine->choices[i];
}

static size_t kind_length(const char *failure)
{
    size_t n = strcspn(failure, ":");
    return n < 14 ? n : 14;
}

void shrink(const struct model *model)
{
    struct choice *kept = malloc(sizeof engine->again);
    char kind[16] = "";
    double until = seconds_now() + 5;
    memcpy(kind, engine->failure, kind_length(engine->failure));
    keep_deviations();
    for (bool changed = true; changed && seconds_now() < until;) {
        changed = false;
        for (int i = engine->again_count; i-- > 0 && seconds_now() < until;) {
            int n = engine->again_count;
            if (i >= n)
                continue;
            memcpy(kept, engine->again, (size_t)n * sizeof kept[0]);
            memmove(&engine->again[i], &engine->again[i + 1], (size_t)(n - i - 1) * sizeof kept[0]);
            engine->again_count--;
            if (replay(model, false) && strncmp(engine->failure, kind, strlen(kind)) == 0) {
                keep_deviations();
                changed = true;
                continue;
            }
            memcpy(engine->again, kept, (size_t)n * sizeof kept[0]);
            engine->again_count = n;
        }
    }
    free(kept);
}
