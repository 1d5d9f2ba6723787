/* SPDX-License-Identifier: MIT
 *
 * Threads that are stacks, the clock, and who runs next. See sim.h for what all this means together.
 *
 * A switch between two simulated threads is the library's own switch between stacks; the bottom of a new thread's stack
 * is haft__arch_root, which calls haft__sched_root: that name is this file's here, and the scheduler's own function is
 * compiled under another. What a thread of the kernel has of its own is exchanged at each switch: errno, and the
 * program's thread-local variables, which are one block at a fixed place, copied out and in. So nothing of the
 * simulator's may be thread-local. Over 600 lines, because a switch, the clock and the choice of who is next are one
 * state. */
#include "world.h"

#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct sim_world sim_world;
uint32_t sim_fault_rates[SIM_FAULTS];
uint64_t sim_fault_counts[SIM_FAULTS];

/* For the hooks in include/stdatomic.h. */
int64_t sim_budget = INT64_MAX;

/* --- drawing ------------------------------------------------------------------------------------------------------ */

/* splitmix64: every state is a good one. */
uint64_t sim_draw(uint64_t *generator)
{
    uint64_t z = *generator += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *generator, uint64_t n)
{
    return sim_draw(generator) % n;
}

uint64_t sim_random(void)
{
    return sim_draw(&sim_world.program);
}

bool sim_fault(enum sim_fault kind)
{
    uint32_t rate = sim_fault_rates[kind];
    if (rate == 0 || !sim_world.is_running || below(&sim_world.faults, rate) != 0)
        return false;
    sim_fault_counts[kind]++;
    return true;
}

bool sim_weak_fails(void)
{
    return sim_fault(SIM_WEAK);
}

void sim_limit_steps(uint64_t steps)
{
    sim_world.options.steps = steps;
}

bool sim_is_running(void)
{
    return sim_world.is_running;
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

uint64_t sim_steps(void)
{
    return sim_world.is_running ? sim_world.steps_given - (uint64_t)sim_budget : sim_world.steps_given;
}

int64_t sim_now(void)
{
    return sim_world.time + (int64_t)sim_steps() * SIM_POINT_NS;
}

static void fold(uint64_t value)
{
    uint64_t mixed = sim_world.hash ^ value;
    sim_world.hash = sim_draw(&mixed);
}

static void trace(const char *what, uint64_t number)
{
    dprintf(STDERR_FILENO, "%9ju %12jd ns  t%u %s %ju\n", (uintmax_t)sim_steps(), (intmax_t)sim_now(),
            sim_world.self->id, what, (uintmax_t)number);
}

const char *sim_verdict_name(enum sim_verdict verdict)
{
    static const char *const names[] = {
        [SIM_FINE] = "fine",         [SIM_FAILED] = "failed",
        [SIM_DEADLOCK] = "deadlock", [SIM_LOST_WAKE_UP] = "lost wake-up",
        [SIM_LEAK] = "leak",         [SIM_LIVELOCK] = "livelock",
        [SIM_MISUSE] = "misuse",     [SIM_SKIPPED] = "skipped",
    };
    return names[verdict];
}

static const char *const strategy_names[] = { "random", "PCT", "round robin" };

static void fill_result(enum sim_verdict verdict)
{
    struct sim_result *result = sim_world.result;
    result->hash = sim_world.hash;
    result->steps = sim_steps();
    result->switches = sim_world.switches;
    result->time = sim_now() - SIM_BEGINNING;
    snprintf(result->how, sizeof result->how, "%s %ju", strategy_names[sim_world.strategy], (uintmax_t)sim_world.mean);
    __atomic_store_n(&result->verdict, verdict, __ATOMIC_RELEASE);
}

void sim_finding(enum sim_verdict verdict, const char *format, ...)
{
    struct sim_result *result = sim_world.result;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->text, sizeof result->text, format, arguments);
    va_end(arguments);
    fold(verdict);
    fill_result(verdict);
    fflush(stdout);
    _exit(verdict == SIM_SKIPPED ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* --- what a thread has of its own --------------------------------------------------------------------------------- */

static struct {
    unsigned char *block; /* the program's thread-local variables, of the one OS thread */
    const void *image;    /* what they begin as */
    size_t image_size, size;
} tls;

/* The program itself is the first object. */
static int find_tls(struct dl_phdr_info *object, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_TLS) {
            tls.block = object->dlpi_tls_data;
            tls.image = (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
            tls.image_size = object->dlpi_phdr[i].p_filesz;
            tls.size = object->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

static void keep_own(sim_thread *thread)
{
    thread->saved_errno = errno;
    if (tls.size != 0)
        memcpy(thread->tls, tls.block, tls.size);
}

static void bring_own(const sim_thread *thread)
{
    errno = thread->saved_errno;
    if (tls.size != 0)
        memcpy(tls.block, thread->tls, tls.size);
}

/* --- switching ---------------------------------------------------------------------------------------------------- */

static haft__context *outside; /* the caller of sim_run */

/* The scheduler's function of that name, under the name that it is compiled with here. */
haft__next sim_sched_root(void *value);

static sim_thread *newborn;

/* The bottom of every stack: of a task's, and of a new thread's. */
haft__next haft__sched_root(void *value)
{
    sim_thread *self = newborn;
    if (self == NULL)
        return sim_sched_root(value);
    newborn = NULL;
    self->entry(self->argument);
    sim_run_destructors(self);
    sim_thread_end();
}

static __attribute__((noinline)) void switch_to(sim_thread *from, sim_thread *to)
{
    haft__context *lost;
    sim_world.self = to;
    sim_world.switches++;
    keep_own(from);
    bring_own(to);
    if (!to->is_born) {
        to->is_born = true;
        newborn = to;
    }
    haft__arch_switch(from->state != SIM_ENDED ? &from->context : &lost, to->context, NULL);
}

/* --- who runs next ------------------------------------------------------------------------------------------------ */

/* Under SIM_PCT a thread that runs without a wait for that many points loses its rank; the next one sooner, until some
 * thread waits: loops that wait for one another must get on. */
#define LONGEST 4096
#define SHORTEST 64

static int64_t next_budget(void)
{
    uint64_t n = 1 + below(&sim_world.schedule, 2 * sim_world.mean);
    if (sim_world.strategy == SIM_PCT) {
        n = sim_world.patience;
        if (sim_world.next_change < sim_world.change_count) {
            uint64_t change = sim_world.changes[sim_world.next_change], now = sim_steps();
            if (change > now && change - now < n)
                n = change - now;
        }
    }
    return (int64_t)n;
}

static void refill(void)
{
    int64_t n = next_budget();
    sim_world.steps_given += (uint64_t)(n - sim_budget);
    sim_budget = n;
}

static bool can_run(sim_thread *thread, int64_t now)
{
    if (thread->state == SIM_SLEEPS && thread->deadline <= now) {
        thread->wait_result = -ETIMEDOUT;
        sim_unblock(thread);
    }
    return thread->state == SIM_RUNS && thread->not_before <= now;
}

/* Those that can run, and the time at which the next one could. */
static uint32_t find_runnable(sim_thread **runnable, uint32_t most, int64_t *next)
{
    int64_t now = sim_now();
    uint32_t n = 0;
    *next = SIM_FOREVER;
    for (uint32_t i = 0; i < sim_world.alive; i++) {
        sim_thread *thread = sim_world.threads[i];
        if (can_run(thread, now)) {
            if (n < most)
                runnable[n++] = thread;
        } else {
            int64_t then = thread->state == SIM_RUNS     ? thread->not_before
                           : thread->state == SIM_SLEEPS ? thread->deadline
                                                         : SIM_FOREVER;
            if (then < *next)
                *next = then;
        }
    }
    return n;
}

static sim_thread *choose(sim_thread **runnable, uint32_t n, bool gives_way)
{
    sim_thread *self = sim_world.self, *best = NULL;
    switch (sim_world.strategy) {
    case SIM_RANDOM:
        do
            best = runnable[below(&sim_world.schedule, n)];
        while (gives_way && n > 1 && best == self);
        return best;
    case SIM_PCT:
        for (uint32_t i = 0; i < n; i++)
            if (best == NULL || runnable[i]->priority > best->priority)
                best = runnable[i];
        return best;
    default:
        for (uint32_t i = 0; i < n; i++)
            if (runnable[i] == self && !gives_way && sim_budget > 0)
                return self;
        for (uint32_t i = 0; i < n; i++)
            if (runnable[i]->id > self->id)
                return runnable[i];
        return runnable[0];
    }
}

static void lose_rank(sim_thread *thread)
{
    thread->priority = UINT64_MAX / 2 - ++sim_world.low_count;
}

/* Nothing can run now: whoever sleeps must have no reason to wake, and the clock jumps to the next deadline. */
static void pass_time(int64_t next)
{
    bool is_delayed = false;
    for (uint32_t i = 0; i < sim_world.alive; i++)
        is_delayed |= sim_world.threads[i]->state == SIM_RUNS;
    int64_t budget = sim_budget;
    sim_world.is_running = false; /* looking is not a step */
    sim_world.steps_given -= (uint64_t)budget;
    sim_budget = INT64_MAX;
    if (!is_delayed)
        sim_look_for_lost_wake_ups();
    if (next == SIM_FOREVER)
        sim_report_deadlock(sim_world.has_main_ended);
    sim_world.steps_given += (uint64_t)budget;
    sim_budget = budget;
    sim_world.is_running = true;
    sim_world.time += next - sim_now();
}

/* Loops in which nobody sleeps or wakes wait for time to pass: the longer, the faster it does. */
#define QUIET_STEPS 4096
#define QUIET_NS 20000

static void something_happens(void)
{
    sim_world.quiet_since = sim_steps();
    sim_world.quiet_spans = 0;
    if (sim_world.patience < LONGEST)
        sim_world.patience *= 2;
}

static void hurry(void)
{
    if (sim_steps() - sim_world.quiet_since < QUIET_STEPS)
        return;
    sim_world.quiet_since = sim_steps();
    sim_world.time += (int64_t)QUIET_NS << sim_world.quiet_spans;
    if (sim_world.quiet_spans < 8)
        sim_world.quiet_spans++;
}

/* Under SIM_PCT: it has come to a change of priorities, or has run for too long. */
static void budget_ends(sim_thread *self)
{
    uint64_t now = sim_steps();
    while (sim_world.next_change < sim_world.change_count && sim_world.changes[sim_world.next_change] <= now)
        sim_world.next_change++;
    if (sim_world.is_interrupted)
        return;
    lose_rank(self);
    if (sim_world.patience > SHORTEST)
        sim_world.patience /= 2;
}

enum { MOST_RUNNABLE = 4096 };

/* Who runs next, after the points that passed; the calling thread may be among those who cannot. */
static void decide(bool gives_way)
{
    static sim_thread *runnable[MOST_RUNNABLE];
    sim_thread *self = sim_world.self, *next = NULL;
    if (sim_world.strategy == SIM_PCT && sim_budget == 0)
        budget_ends(self);
    sim_world.is_interrupted = false;
    if (sim_steps() >= sim_world.options.steps)
        sim_report_livelock();
    hurry();
    if (sim_fault(SIM_JUMP))
        sim_world.time += (int64_t)below(&sim_world.faults, 5000000);
    if (sim_fault(SIM_DELAY))
        self->not_before = sim_now() + (int64_t)below(&sim_world.faults, 30000000);
    for (;;) {
        int64_t then;
        uint32_t n = find_runnable(runnable, MOST_RUNNABLE, &then);
        if (n != 0) {
            next = choose(runnable, n, gives_way);
            break;
        }
        pass_time(then);
    }
    if (next == self && sim_budget > 0)
        return;
    refill();
    if (next == self)
        return;
    fold(sim_steps() << 16 | next->id);
    if (sim_world.options.trace)
        trace("-> t", next->id);
    switch_to(self, next);
}

void sim_point_slowly(const char *place)
{
    if (!sim_world.is_running) {
        sim_budget = INT64_MAX;
        return;
    }
    sim_budget++; /* the point that found none left is counted by the next budget */
    sim_world.self->place = place;
    decide(false);
    sim_budget--;
}

void sim_give_way(const char *place, int64_t cost)
{
    if (!sim_world.is_running)
        return;
    sim_world.time += cost;
    sim_world.self->place = place;
    if (sim_budget > 0)
        sim_budget--; /* turns are steps, too */
    lose_rank(sim_world.self);
    decide(true);
}

/* At a turn of a spin loop; see src/base/atomic.h. */
void sim_spin(const char *reason)
{
    sim_give_way(reason, SIM_SPIN_NS);
}

void sim_call(const char *what, uint64_t number)
{
    if (!sim_world.is_running)
        return;
    sim_world.time += SIM_CALL_NS;
    sim_world.self->place = what;
    if (sim_budget > 0)
        sim_budget--;
    fold((uint64_t)(unsigned char)what[0] << 56 ^ number);
    if (sim_world.options.trace)
        trace(what, number);
    decide(false);
}

void sim_block(const char *place)
{
    sim_world.self->place = place;
    something_happens();
    decide(true);
}

void sim_unblock(sim_thread *thread)
{
    thread->state = SIM_RUNS;
    thread->word = NULL;
    thread->joins = NULL;
    something_happens();
    if (sim_world.strategy == SIM_PCT && thread->priority > sim_world.self->priority) {
        sim_world.steps_given -= (uint64_t)sim_budget; /* it takes over at the next point */
        sim_budget = 0;
        sim_world.is_interrupted = true;
    }
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

/* Those that have ended, for the next ones; with their stacks. */
static sim_thread *spare[4096];
static size_t spare_count;

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static char *stack_new(size_t size)
{
    size_t page = page_size();
    char *memory = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0)
        sim_finding(SIM_MISUSE, "the simulator has no memory for a thread's stack of %zu bytes", size);
    return memory + page;
}

static sim_thread *thread_memory(size_t stack_size)
{
    sim_thread *thread;
    if (spare_count > 0 && spare[spare_count - 1]->stack_size == stack_size) {
        thread = spare[--spare_count];
        char *low = thread->low;
        unsigned char *own = thread->tls;
        memset(thread, 0, sizeof *thread);
        thread->low = low;
        thread->tls = own;
    } else {
        thread = calloc(1, sizeof *thread);
        if (thread != NULL)
            thread->tls = malloc(tls.size + 1);
        if (thread == NULL || thread->tls == NULL)
            sim_finding(SIM_MISUSE, "the simulator has no memory for a thread");
        thread->low = stack_new(stack_size);
    }
    thread->stack_size = stack_size;
    return thread;
}

enum { DEFAULT_STACK = 1 << 20, LEAST_STACK = 1 << 16 };

sim_thread *sim_thread_new(void (*entry)(void *), void *argument, size_t stack_size, const char *name)
{
    static uint32_t capacity;
    size_t page = page_size();
    if (stack_size == 0)
        stack_size = DEFAULT_STACK;
    if (stack_size < LEAST_STACK)
        stack_size = LEAST_STACK;
    sim_thread *thread = thread_memory((stack_size + page - 1) / page * page);
    if (sim_world.alive == capacity) {
        capacity = capacity == 0 ? 64 : 2 * capacity;
        sim_world.threads = realloc(sim_world.threads, capacity * sizeof *sim_world.threads);
        if (sim_world.threads == NULL)
            sim_finding(SIM_MISUSE, "the simulator has no memory for a thread");
    }
    thread->id = sim_world.thread_count++;
    thread->state = SIM_RUNS;
    thread->is_joinable = true;
    thread->place = "its beginning";
    thread->entry = entry;
    thread->argument = argument;
    snprintf(thread->name, sizeof thread->name, "%s", name != NULL ? name : "");
    thread->priority = UINT64_MAX / 2 + 1 + below(&sim_world.schedule, UINT64_MAX / 4);
    if (tls.size != 0) {
        memset(thread->tls, 0, tls.size);
        memcpy(thread->tls, tls.image, tls.image_size);
    }
    thread->context = haft__arch_prepare((char *)thread->low + thread->stack_size - 64);
    sim_world.threads[sim_world.alive++] = thread;
    return thread;
}

sim_thread *sim_thread_by_number(uintptr_t native)
{
    for (uint32_t i = 0; i < sim_world.alive; i++)
        if (sim_number(sim_world.threads[i]) == native)
            return sim_world.threads[i];
    return NULL;
}

/* A thread that has ended stays in the list until somebody has joined it. */
static void forget(sim_thread *thread)
{
    for (uint32_t i = 0; i < sim_world.alive; i++)
        if (sim_world.threads[i] == thread) {
            memmove(&sim_world.threads[i], &sim_world.threads[i + 1],
                    (sim_world.alive - i - 1) * sizeof *sim_world.threads);
            sim_world.alive--;
            break;
        }
    if (spare_count < sizeof spare / sizeof spare[0])
        spare[spare_count++] = thread;
}

/* The kernel would tell of a fault by ending the process; here it is a finding like others, with its hash. */
static void fault(int number)
{
    sim_world.is_running = false;
    sim_finding(SIM_FAILED, "signal %d in thread t%u, after %s", number, sim_world.self->id, sim_world.self->place);
}

static void catch_faults(void)
{
    static char stack[65536];
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
    struct sigaction action = { .sa_handler = fault, .sa_flags = SA_ONSTACK };
    sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

static bool somebody_is_left(void)
{
    for (uint32_t i = 0; i < sim_world.alive; i++)
        if (sim_world.threads[i]->state != SIM_ENDED)
            return true;
    return false;
}

void sim_thread_end(void)
{
    sim_thread *self = sim_world.self;
    sim_call("thread ends", self->id);
    sim_world.has_main_ended |= self->id == 0;
    self->state = SIM_ENDED;
    for (uint32_t i = 0; i < sim_world.alive; i++)
        if (sim_world.threads[i]->state == SIM_JOINS && sim_world.threads[i]->joins == self)
            sim_unblock(sim_world.threads[i]);
    if (!self->is_joinable)
        forget(self); /* its stack is in use until the switch, but nobody is made before */
    if (!somebody_is_left()) {
        haft__context *lost;
        keep_own(self);
        haft__arch_switch(&lost, outside, NULL);
    }
    decide(true);
    __builtin_trap();
}

bool sim_join(uintptr_t native, void **result)
{
    sim_thread *thread = sim_thread_by_number(native), *self = sim_world.self;
    if (thread == NULL || !thread->is_joinable || thread == self)
        return false;
    if (thread->state != SIM_ENDED) {
        self->state = SIM_JOINS;
        self->joins = thread;
        sim_block("a join of a thread");
    }
    if (result != NULL)
        *result = thread->result;
    forget(thread);
    return true;
}

bool sim_detach(uintptr_t native)
{
    sim_thread *thread = sim_thread_by_number(native);
    if (thread == NULL || !thread->is_joinable)
        return false;
    thread->is_joinable = false;
    if (thread->state == SIM_ENDED)
        forget(thread);
    return true;
}

/* --- a run -------------------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Everything that the seed decides beforehand. */
static void draw_world(void)
{
    struct sim_world *w = &sim_world;
    uint64_t seed = w->options.seed;
    w->schedule = sim_draw(&seed);
    w->faults = sim_draw(&seed);
    w->program = sim_draw(&seed);
    w->strategy = (enum sim_strategy)(below(&w->schedule, 8) < 4   ? SIM_RANDOM
                                      : below(&w->schedule, 4) < 3 ? SIM_PCT
                                                                   : SIM_ROUND_ROBIN);
    w->patience = LONGEST;
    w->mean = UINT64_C(1) << below(&w->schedule, 9);
    w->mean += below(&w->schedule, w->mean);
    w->change_count = 1 + (unsigned)below(&w->schedule, sizeof w->changes / sizeof w->changes[0] - 1);
    uint64_t length = UINT64_C(256) << below(&w->schedule, 8);
    for (unsigned i = 0; i < w->change_count; i++)
        w->changes[i] = below(&w->schedule, length);
    qsort(w->changes, w->change_count, sizeof w->changes[0], by_number);
    w->cpu_count = w->options.workers != 0 ? w->options.workers : 1 + (unsigned)below(&w->schedule, 4);
    w->has_membarrier = true;
    if (!w->options.faults)
        return;
    w->has_membarrier = below(&w->faults, 4) != 0;
    w->guards = (unsigned)below(&w->faults, 3);
    static const uint32_t often[] = { 0, 4, 16, 64 };
    sim_fault_rates[SIM_SPURIOUS] = often[below(&w->faults, 4)];
    sim_fault_rates[SIM_WEAK] = often[below(&w->faults, 4)];
    sim_fault_rates[SIM_DELAY] = often[below(&w->faults, 4)] * 50;
    sim_fault_rates[SIM_JUMP] = often[below(&w->faults, 4)] * 50;
    sim_fault_rates[SIM_NO_ALTERNATE] = often[below(&w->faults, 4)];
}

static void enter(void *body)
{
    void (*what)(void);
    memcpy(&what, &body, sizeof what);
    what();
}

void sim_run(const struct sim_options *options, void (*body)(void), struct sim_result *out)
{
    void *argument;
    memcpy(&argument, &body, sizeof argument);
    memset(&sim_world, 0, sizeof sim_world);
    sim_world.options = *options;
    if (sim_world.options.steps == 0)
        sim_world.options.steps = SIM_STEPS;
    sim_world.result = out;
    sim_world.time = SIM_BEGINNING;
    dl_iterate_phdr(find_tls, NULL);
    draw_world();
    sim_memory_init();
    if (!options->is_debugged)
        catch_faults();
    sim_thread *first = sim_thread_new(enter, argument, (size_t)8 << 20, "main");
    first->is_joinable = false;
    sim_thread caller = { .state = SIM_RUNS, .tls = malloc(tls.size + 1) };
    keep_own(&caller);
    sim_world.self = first;
    first->is_born = true;
    newborn = first;
    bring_own(first);
    sim_world.is_running = true;
    sim_budget = 0;
    refill();
    haft__arch_switch(&outside, first->context, NULL);
    uint64_t steps = sim_steps();
    sim_world.is_running = false;
    sim_world.steps_given = steps;
    sim_budget = INT64_MAX;
    sim_world.self = &caller;
    bring_own(&caller);
    free(caller.tls);
    sim_look_for_leaks();
    fill_result(SIM_FINE);
}
