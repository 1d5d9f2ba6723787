/* SPDX-License-Identifier: MIT
 *
 * The threads of a model: coroutines of one OS thread, and who of them goes on.
 *
 * Before every visible step the running thread asks whether another one goes first. To go on is the first choice; to
 * give way although it could go on is a preemption, of which a search allows so many. When a thread sleeps, ends or
 * spins, the choice among the others is free. A sleeper with a deadline may be woken by its time at any moment, which
 * counts as a preemption too, unless nobody else can run.
 *
 * A thread that spins waits for a store by somebody: it runs again when one was made, or when all others wait, too. If
 * all spin for many rounds and nobody stores, none can go on: a livelock. */
#include "inside.h"

#include <errno.h>
#include <stdarg.h>

/* rdi: where to save the present stack pointer; rsi: the one to go on with. */
void model__switch(void **save, void *to);
__asm__(".text\n"
        ".globl model__switch\n"
        ".type model__switch, @function\n"
        "model__switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size model__switch, . - model__switch\n");

void threads_reset(void)
{
    engine->thread_count = 0;
    engine->current = 0;
    engine->alive = 0;
    engine->rounds = 0;
    engine->is_calm = false;
}

_Noreturn void abandon_run(void)
{
    void *nobody;
    engine->is_inside = false;
    model__switch(&nobody, engine->search_sp);
    __builtin_unreachable();
}

void model_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!engine->has_failed)
        vsnprintf(engine->failure, sizeof engine->failure, format, arguments);
    va_end(arguments);
    engine->has_failed = true;
    abandon_run();
}

static void go_to(int next)
{
    int before = engine->current;
    if (next == before)
        return;
    if (engine->world.context_out != NULL)
        engine->threads[before].context = engine->world.context_out();
    engine->current = next;
    if (engine->world.context_in != NULL)
        engine->world.context_in(engine->threads[next].context);
    model__switch(&engine->threads[before].sp, engine->threads[next].sp);
}

/* --- nobody can run --------------------------------------------------------------------------------------------------- */

void thread_describe(int number, char *text, size_t size)
{
    const thread *t = &engine->threads[number];
    if (t->name != NULL)
        snprintf(text, size, "thread %d (%s)", number, t->name);
    else
        snprintf(text, size, "thread %d", number);
}

static size_t describe_place(uintptr_t pc, char *text, size_t size)
{
    if (pc == 0)
        return 0;
    struct place place;
    places_of(&pc, 1, &place);
    int n = snprintf(text, size, " at %s:%d", place.file, place.line);
    return n < 0 ? 0 : (size_t)n;
}

/* Who waits for whom: for a thread its end, for a word whoever stored to it last. */
static void describe_waits(const char *first)
{
    char *text = engine->failure, who[80];
    size_t size = sizeof engine->failure, n = 0;
    n += (size_t)snprintf(text + n, size - n, "%s:", first);
    for (int i = 0; i < engine->thread_count && n < size - 300; i++) {
        const thread *t = &engine->threads[i];
        if (t->status == ENDED)
            continue;
        thread_describe(i, who, sizeof who);
        n += (size_t)snprintf(text + n, size - n, "\n        %s ", who);
        if (t->status == JOINING) {
            thread_describe(t->joins, who, sizeof who);
            n += (size_t)snprintf(text + n, size - n, "joins %s", who);
            continue;
        }
        const volatile void *address = t->status == SLEEPING ? t->sleeps_on : t->last_address;
        char what[120];
        describe_address(address, what, sizeof what);
        n += (size_t)snprintf(text + n, size - n, "%s %s", t->status == SLEEPING ? "sleeps on" : "spins on", what);
        n += describe_place(t->last_site, text + n, size - n);
        const location *l = location_find((uintptr_t)address);
        if (l != NULL) {
            const message *newest = &l->messages[(l->count - 1) % HISTORY];
            thread_describe(newest->thread, who, sizeof who);
            n += (size_t)snprintf(text + n, size - n, ", which is %llu", (unsigned long long)newest->value);
            if (l->count > 1) {
                n += (size_t)snprintf(text + n, size - n, " by %s", who);
                n += describe_place(newest->site, text + n, size - n);
            }
        }
    }
}

static _Noreturn void nobody_can_run(const char *word)
{
    const char *first = word;
    for (int i = 0; i < engine->thread_count; i++) {
        thread *t = &engine->threads[i];
        if (t->status != ENDED && t->waits_for != NULL) {
            engine->is_inside = false;
            if (t->waits_for(t->waits_argument))
                first = "lost wake-up: somebody sleeps although what it waits for has happened";
        }
    }
    engine->has_failed = true;
    if (engine->describes)
        describe_waits(first);
    else
        snprintf(engine->failure, sizeof engine->failure, "%s", first);
    abandon_run();
}

/* --- choosing ----------------------------------------------------------------------------------------------------------- */

static bool is_ready(const thread *t)
{
    return t->status == RUNNABLE || (t->status == SLEEPING && t->deadline <= engine->now);
}

static bool is_timed(const thread *t)
{
    return t->status == SLEEPING && t->deadline != INT64_MAX && t->deadline > engine->now;
}

static void start_running(int next)
{
    thread *t = &engine->threads[next];
    if (t->status == SLEEPING) {
        if (t->deadline > engine->now)
            engine->now = t->deadline;
        t->status = RUNNABLE;
        t->timed_out = true;
        progress_was_made();
    }
    t->has_spun = false;
    go_to(next);
}

void progress_was_made(void)
{
    for (int i = 0; i < engine->thread_count; i++)
        engine->threads[i].has_spun = false;
    engine->rounds = 0;
}

/* The sleepers whose time comes next. */
static int earliest_sleepers(int *out)
{
    int n = 0;
    int64_t earliest = INT64_MAX;
    for (int i = 0; i < engine->thread_count; i++)
        if (is_timed(&engine->threads[i]) && engine->threads[i].deadline < earliest)
            earliest = engine->threads[i].deadline;
    for (int i = 0; i < engine->thread_count; i++)
        if (is_timed(&engine->threads[i]) && engine->threads[i].deadline == earliest)
            out[n++] = i;
    return n;
}

/* The index of the choice among n candidates, `free` of which cost nothing. */
static int decide(const int *candidates, int n, int free)
{
    if (n == 1)
        return choose_by(KIND_THREAD, 1, 0);
    switch (engine->mode) {
    case MODE_DEPTH_FIRST:
    case MODE_REPLAY:
        return choose(KIND_THREAD, n, engine->is_calm ? 1 : engine->preemptions < engine->bound ? n : free);
    case MODE_RANDOM: {
        /* n is recorded whole: a choice must mean the same when it is made again. */
        if (candidates[0] == engine->current && self()->status == RUNNABLE && random_next() % 3 != 0)
            return choose_by(KIND_THREAD, n, 0);
        int some = n > free && random_next() % 8 != 0 ? free : n;
        return choose_by(KIND_THREAD, n, (int)(random_next() % (unsigned)some));
    }
    default: {
        int best = 0;
        if (n > free && random_next() % 16 == 0)
            return choose_by(KIND_THREAD, n, n - 1);
        /* A sleeper whose time has not come is no candidate here. */
        int last = free;
        for (int i = free; i < n; i++)
            if (is_ready(&engine->threads[candidates[i]]))
                last = i + 1;
        for (int i = 1; i < last; i++)
            if (engine->threads[candidates[i]].priority > engine->threads[candidates[best]].priority)
                best = i;
        return choose_by(KIND_THREAD, n, best);
    }
    }
}

/* Picks who goes on, and goes there. The running thread may be one of them. */
static void go_on(void)
{
    int candidates[THREADS], n = 0, free = 0;
    bool goes_on = self()->status == RUNNABLE && !self()->has_spun;
    if (goes_on)
        candidates[n++] = engine->current;
    for (;;) {
        for (int i = 0; i < engine->thread_count; i++)
            if (i != engine->current && is_ready(&engine->threads[i]) && !engine->threads[i].has_spun)
                candidates[n++] = i;
        if (n > 0)
            break;
        n = earliest_sleepers(candidates);
        if (n > 0) {
            free = n;
            break;
        }
        /* All that is left spins, or nothing is. */
        bool any = false;
        for (int i = 0; i < engine->thread_count; i++)
            any = any || engine->threads[i].has_spun;
        if (!any)
            nobody_can_run("deadlock");
        if (++engine->rounds > ROUNDS_MOST)
            nobody_can_run("livelock: every thread spins and nobody stores");
        for (int i = 0; i < engine->thread_count; i++)
            engine->threads[i].has_spun = false;
        if (self()->status == RUNNABLE) {
            /* Others first; a newest value may be seen now that was not before. */
            int turn = engine->current;
            for (int k = 1; k <= engine->thread_count; k++) {
                turn = (engine->current + k) % engine->thread_count;
                if (is_ready(&engine->threads[turn]))
                    break;
            }
            start_running(turn);
            return;
        }
    }
    if (free == 0) {
        free = goes_on ? 1 : n;
        for (int i = 0; i < engine->thread_count; i++)
            if (i != engine->current && is_timed(&engine->threads[i]))
                candidates[n++] = i;
    }
    int taken = decide(candidates, n, free);
    if (taken >= free)
        engine->preemptions++;
    start_running(candidates[taken]);
}

static void count_step(void)
{
    if (++engine->steps > STEPS_MOST)
        nobody_can_run("livelock: too many steps");
    if (engine->mode == MODE_PCT)
        for (int i = 0; i < engine->changes; i++)
            if (engine->change_at[i] == engine->steps)
                self()->priority = -i - 1;
}

void scheduling_point(void)
{
    count_step();
    if (engine->alive > 1)
        go_on();
}

void step_alone(void)
{
    count_step();
}

/* --- what models call --------------------------------------------------------------------------------------------------- */

static _Noreturn void thread_root(void)
{
    thread *t = self();
    t->body(t->argument);
    if (engine->world.thread_ends != NULL)
        engine->world.thread_ends();
    t = self();
    t->status = ENDED;
    engine->alive--;
    for (int i = 0; i < engine->thread_count; i++)
        if (engine->threads[i].status == JOINING && engine->threads[i].joins == engine->current)
            engine->threads[i].status = RUNNABLE;
    progress_was_made();
    if (engine->alive == 0)
        abandon_run();
    count_step();
    go_on();
    __builtin_unreachable();
}

static int thread_new(void (*body)(void *), void *argument)
{
    if (engine->thread_count == THREADS)
        model_fail("more than %d threads", THREADS);
    int number = engine->thread_count++;
    thread *t = &engine->threads[number];
    char *stack = t->stack;
    t->body = body;
    t->argument = argument;
    t->context = NULL;
    t->name = NULL;
    t->status = RUNNABLE;
    t->deadline = INT64_MAX;
    t->timed_out = t->has_spun = false;
    t->priority = (int)(random_next() % 1000000) + 1;
    memset(&t->clock, 0, sizeof t->clock);
    memset(&t->to_acquire, 0, sizeof t->to_acquire);
    memset(&t->released, 0, sizeof t->released);
    size_t used = (size_t)engine->location_count * sizeof t->seen.at[0];
    memset(&t->seen, 0, used);
    memset(&t->seen_to_acquire, 0, used);
    memset(&t->seen_released, 0, used);
    t->last_site = 0;
    t->last_address = NULL;
    t->waits_for = NULL;
    void **top = (void **)(void *)(stack + STACK_SIZE);
    *--top = NULL; /* alignment at the root's first instruction */
    *--top = (void *)(uintptr_t)thread_root;
    for (int i = 0; i < 6; i++)
        *--top = NULL;
    t->sp = top;
    engine->alive++;
    return number;
}

void thread_begin_first(void (*body)(void *))
{
    thread_new(body, NULL);
    engine->threads[0].clock.at[0] = 1;
    engine->is_inside = true;
    if (engine->world.context_in != NULL)
        engine->world.context_in(NULL);
    model__switch(&engine->search_sp, engine->threads[0].sp);
    engine->is_inside = false;
}

int model_start(void (*body)(void *), void *argument)
{
    thread *parent = self();
    int number = thread_new(body, argument);
    thread *child = &engine->threads[number];
    child->clock = parent->clock;
    views_join(&child->seen, &parent->seen);
    parent->clock.at[engine->current]++;
    child->clock.at[number]++;
    progress_was_made();
    return number;
}

void model_join(int number)
{
    thread *me = self(), *other = &engine->threads[number];
    scheduling_point();
    while (other->status != ENDED) {
        me->status = JOINING;
        me->joins = number;
        count_step();
        go_on();
    }
    clocks_join(&me->clock, &other->clock);
    views_join(&me->seen, &other->seen);
}

void model_join_all(void)
{
    for (int i = 1; i < engine->thread_count; i++)
        if (i != engine->current)
            model_join(i);
}

int model_self(void)
{
    return engine->current;
}

void model_name_thread(const char *name)
{
    self()->name = name;
}

void model_waits_for(bool (*is_true)(void *), void *argument)
{
    self()->waits_for = is_true;
    self()->waits_argument = argument;
}

int model_choose(int n)
{
    step_alone();
    if (engine->mode == MODE_RANDOM || engine->mode == MODE_PCT)
        return choose_by(KIND_MODEL, n, (int)(random_next() % (unsigned)n));
    int taken = choose(KIND_MODEL, n, engine->preemptions < engine->bound ? n : 1);
    if (taken != 0)
        engine->preemptions++;
    return taken;
}

void model_calm(bool is_calm)
{
    engine->is_calm = is_calm;
}

int64_t model_now(void)
{
    return engine->now;
}

static void record_outside(const char *note, const volatile void *address, uintptr_t pc)
{
    self()->last_address = address;
    self()->last_site = pc;
    if (engine->traces)
        step_record(&(step){ .thread = engine->current, .op = OP_PLAIN, .site = pc, .address = address, .note = note });
}

int model_sleep(volatile uint32_t *word, uint32_t expected, int64_t deadline)
{
    uintptr_t pc = (uintptr_t)__builtin_return_address(0);
    scheduling_point();
    thread *me = self();
    record_outside("sleeps", word, pc);
    if (newest_value((uintptr_t)word, 4) != expected)
        return 0;
    if (deadline <= engine->now)
        return -ETIMEDOUT;
    if (engine->model->options.is_spurious && model_choose(2) == 1)
        return 0;
    me->status = SLEEPING;
    me->sleeps_on = word;
    me->deadline = deadline;
    me->timed_out = false;
    count_step();
    go_on();
    me->deadline = INT64_MAX;
    return me->timed_out ? -ETIMEDOUT : 0;
}

void model_wake(volatile uint32_t *word, int count)
{
    scheduling_point();
    record_outside("wakes", word, (uintptr_t)__builtin_return_address(0));
    for (int i = 0; i < engine->thread_count && count > 0; i++) {
        thread *t = &engine->threads[i];
        if (t->status != SLEEPING || t->sleeps_on != word)
            continue;
        t->status = RUNNABLE;
        t->timed_out = false;
        count--;
    }
    progress_was_made();
}

void model_spin(void)
{
    self()->has_spun = true;
    count_step();
    if (engine->traces)
        step_record(&(step){ .thread = engine->current,
                             .op = OP_PLAIN,
                             .address = self()->last_address,
                             .site = (uintptr_t)__builtin_return_address(0),
                             .note = "spins" });
    if (engine->mode == MODE_PCT && self()->priority > -1000)
        self()->priority = -1000 - engine->steps;
    if (engine->alive > 1)
        go_on();
    else if (++engine->rounds > ROUNDS_MOST)
        nobody_can_run("livelock: the only thread spins");
}
