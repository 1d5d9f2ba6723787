/* SPDX-License-Identifier: MIT
 *
 * Switching between stacks, without a scheduler: this program brings its own root (haft__sched_root), so it is linked
 * with the objects of src/arch and src/os instead of the library. It follows the protocol of arch/announce.h, so it also
 * tests what the sanitizers and Valgrind are told. Over 600 lines, because its parts share the small scheduler that
 * it brings. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "arch/announce.h"
#include "arch/arch.h"
#include "arch/tls.h"
#include "os/os.h"
#include "test.h"

/* --- a coroutine ------------------------------------------------------------------------------------------------- */

enum { STACK_SIZE = 256 * 1024 };

typedef struct coroutine {
    haft__fiber_note note; /* of its stack */
    char *low;
    haft__context *suspended; /* where it continues */
    haft__context *resumer;   /* who continues when it suspends or ends */
    haft__fiber_note *resumer_note;
    void (*body)(struct coroutine *);
    void *argument;
    void *given;     /* passed by the one that resumed it last */
    bool is_running; /* a body was started and has not returned */
    bool runs_again; /* after its end, without a switch */
    int runs;
} coroutine;

static _Thread_local haft__fiber_note thread_note;
static _Thread_local bool thread_is_known;

static haft__fiber_note *note_of_thread(void)
{
    if (!thread_is_known) {
        haft__announce_thread(&thread_note);
        thread_is_known = true;
    }
    return &thread_note;
}

static coroutine *create(void (*body)(coroutine *), void *argument)
{
    coroutine *c = calloc(1, sizeof *c);

    check(c != NULL);
    c->low = haft__os->map(STACK_SIZE);
    check(c->low != NULL);
    haft__announce_create(&c->note, c->low, STACK_SIZE);
    c->body = body;
    c->argument = argument;
    c->suspended = haft__arch_prepare(c->low + STACK_SIZE);
    return c;
}

static void renew(coroutine *c)
{
    haft__announce_reuse(&c->note);
    c->suspended = haft__arch_prepare(c->low + STACK_SIZE);
}

static void destroy(coroutine *c)
{
    haft__announce_destroy(&c->note);
    haft__os->unmap(c->low, STACK_SIZE);
    free(c);
}

/* Runs it until it suspends or ends. */
__attribute__((noinline)) static void resume(coroutine *c, void *given)
{
    haft__fiber_note *mine = note_of_thread();

    c->resumer_note = mine;
    c->given = given;
    haft__announce_leave(mine, &c->note);
    c = haft__arch_switch(&c->resumer, c->suspended, c);
    haft__announce_arrive(c->resumer_note);
}

__attribute__((noinline)) static void *suspend(coroutine *c)
{
    haft__announce_leave(&c->note, c->resumer_note);
    c = haft__arch_switch(&c->suspended, c->resumer, c);
    haft__announce_arrive(&c->note);
    return c->given;
}

haft__next haft__sched_root(void *value)
{
    coroutine *c = value;

    if (!c->is_running)
        haft__announce_arrive(&c->note);
    c->is_running = true;
    c->runs_again = false;
    c->runs++;
    c->body(c);
    if (c->runs_again)
        return (haft__next){ NULL, c };
    c->is_running = false;
    return (haft__next){ c->resumer, c };
}

/* Without instrumentation, as arch.h demands. */
HAFT__UNINSTRUMENTED void haft__sched_announce(void *value)
{
    coroutine *c = value;

    haft__announce_leave_final(&c->note, c->resumer_note);
}

/* --- starting and ending ----------------------------------------------------------------------------------------- */

struct place {
    char *sp;
    uintptr_t aligned;
};

static void tell_place(coroutine *c)
{
    struct place *place = c->argument;
    volatile _Alignas(16) char aligned[16];

    aligned[0] = 1;
    place->sp = haft__arch_stack_pointer();
    place->aligned = (uintptr_t)aligned;
}

TEST("a prepared context runs the root, on its own and aligned stack")
{
    struct place place = { NULL, 0 };
    coroutine *c = create(tell_place, &place);

    resume(c, NULL);
    check_int(c->runs, ==, 1);
    check(!c->is_running);
    check(place.sp > c->low && place.sp < c->low + STACK_SIZE);
    check_uint(place.aligned % 16, ==, 0);
    destroy(c);
}

static void echo(coroutine *c)
{
    uintptr_t sum = (uintptr_t)c->given;

    for (int i = 0; i < 10; i++)
        sum += (uintptr_t)suspend(c);
    *(uintptr_t *)c->argument = sum;
}

TEST("a value is handed over with each switch")
{
    uintptr_t sum = 0;
    coroutine *c = create(echo, &sum);

    for (uintptr_t i = 0; i <= 10; i++) {
        check_uint(sum, ==, 0);
        resume(c, (void *)i);
    }
    check(!c->is_running);
    check_uint(sum, ==, 55);
    destroy(c);
}

/* Leaves red zones behind that the next user of the stack must not trip over. */
static void use_much(coroutine *c)
{
    volatile char area[STACK_SIZE / 4];

    for (size_t i = 0; i < sizeof area; i += 512)
        area[i] = (char)i;
    suspend(c);
    for (size_t i = 0; i < sizeof area; i += 512)
        check(area[i] == (char)i);
}

TEST("a stack is used again after its computation ended")
{
    coroutine *c = create(use_much, NULL);

    for (int i = 0; i < 100; i++) {
        resume(c, NULL);
        check(c->is_running);
        resume(c, NULL);
        check(!c->is_running);
        renew(c);
    }
    destroy(c);
}

TEST("a suspended computation may be forgotten")
{
    coroutine *c = create(use_much, NULL);

    resume(c, NULL);
    renew(c);
    c->is_running = false;
    resume(c, NULL);
    resume(c, NULL);
    check(!c->is_running);
    destroy(c);
}

struct again {
    char *sp;
    int left;
};

static void run_again(coroutine *c)
{
    struct again *again = c->argument;
    char *sp = haft__arch_stack_pointer();

    if (again->sp == NULL)
        again->sp = sp;
    check(sp - again->sp < 4096 && again->sp - sp < 4096); /* sanitizers vary their frames */
    c->runs_again = --again->left > 0;
}

TEST("the root runs the next job on the same stack without growing it")
{
    int count = 1000000 / (int)test_slowness();
    struct again again = { .left = count };
    coroutine *c = create(run_again, &again);

    resume(c, NULL);
    check_int(c->runs, ==, count);
    destroy(c);
}

/* --- what travels with a computation ----------------------------------------------------------------------------- */

/* The same arithmetic with and without switches in between: more values than there are registers, so that every
 * preserved one is in use on both sides. */
__attribute__((always_inline)) static inline void compute(coroutine *c, bool resumes, uint64_t start, int rounds,
                                                          uint64_t *sum, double *real_sum)
{
    uint64_t a = start, b = a * 3, d = b * 5, e = d * 7, f = e * 11, g = f * 13, h = g * 17, i = h * 19, j = i * 23;
    uint64_t k = j * 29, l = k * 31, m = l * 37;
    double n = (double)(start % 1000), o = n + 1, p = o + 1, q = p + 1, r = q + 1, s = r + 1, t = s + 1, u = t + 1;
    double v = u + 1, w = v + 1, x = w + 1, y = x + 1;

    while (rounds-- > 0) {
        a += 1, b += a, d += b, e += d, f += e, g += f, h += g, i += h, j += i, k += j, l += k, m += l;
        n += 1, o += 2, p += 3, q += 4, r += 5, s += 6, t += 7, u += 8, v += 9, w += 10, x += 11, y += 12;
        if (c != NULL && resumes)
            resume(c, NULL);
        else if (c != NULL)
            suspend(c);
    }
    *sum = a ^ b ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l ^ m;
    *real_sum = n + o + p + q + r + s + t + u + v + w + x + y;
}

struct result {
    int rounds;
    uint64_t sum;
    double real_sum;
};

static void compute_inside(coroutine *c)
{
    struct result *result = c->argument;

    compute(c, false, 12345, result->rounds, &result->sum, &result->real_sum);
}

TEST_LONG("a million switches keep the registers of both sides")
{
    struct result inside = { .rounds = 1000000 / (int)test_slowness() };
    uint64_t outside, expected;
    double real_outside, real_expected;
    coroutine *c = create(compute_inside, &inside);

    compute(c, true, 777, inside.rounds, &outside, &real_outside);
    resume(c, NULL);
    check(!c->is_running);
    compute(NULL, false, 777, inside.rounds, &expected, &real_expected);
    check_uint(outside, ==, expected);
    check(real_outside == real_expected);
    compute(NULL, false, 12345, inside.rounds, &expected, &real_expected);
    check_uint(inside.sum, ==, expected);
    check(inside.real_sum == real_expected);
    destroy(c);
}

/* Rounding is observed by its effect, and set without the mathematics library. */
enum rounding { TO_NEAREST, UPWARD };

static void round_by(enum rounding rounding)
{
#if defined(__x86_64__)
    uint32_t mxcsr;
    uint16_t x87;

    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    mxcsr = (mxcsr & ~UINT32_C(0x6000)) | (rounding == UPWARD ? 0x4000 : 0);
    x87 = (uint16_t)((x87 & ~0x0c00) | (rounding == UPWARD ? 0x0800 : 0));
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87));
#elif defined(__aarch64__)
    uint64_t fpcr;

    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    fpcr = (fpcr & ~(UINT64_C(3) << 22)) | (rounding == UPWARD ? UINT64_C(1) << 22 : 0);
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
#elif defined(__riscv_flen)
    __asm__ volatile("fsrm %0" : : "r"(rounding == UPWARD ? 3 : 0));
#else
    (void)rounding;
    skip("rounding cannot be set here");
#endif
}

static volatile double one = 1.0, little = 1e-30;
#if defined(__x86_64__)
static volatile long double long_one = 1.0L, long_little = 1e-30L;
#endif

/* Not inlined: a compiler may move arithmetic over the assembly that sets the mode. */
__attribute__((noinline)) static enum rounding rounding(void)
{
    double sum = one + little;

#if defined(__x86_64__)
    check((long_one + long_little > 1.0L) == (sum > 1.0));
#endif
    return sum > 1.0 ? UPWARD : TO_NEAREST;
}

/* Valgrind always rounds to nearest. */
static void need_rounding(void)
{
    enum rounding there;

    round_by(UPWARD);
    there = rounding();
    round_by(TO_NEAREST);
    if (there != UPWARD)
        skip("rounding upward has no effect on this machine");
}

static void round_upward(coroutine *c)
{
    int *runs_left = c->argument;

    check_int(rounding(), ==, TO_NEAREST);
    round_by(UPWARD);
    for (int i = 0; i < 1000; i++) {
        suspend(c);
        check_int(rounding(), ==, UPWARD);
    }
    if (runs_left != NULL)
        c->runs_again = --*runs_left > 0;
}

TEST("the rounding mode belongs to the computation that set it")
{
    coroutine *c = create(round_upward, NULL);
    coroutine *d = create(round_upward, NULL);

    need_rounding();
    for (int i = 0; i <= 1000; i++) {
        resume(c, NULL);
        check_int(rounding(), ==, TO_NEAREST);
        resume(d, NULL);
        check_int(rounding(), ==, TO_NEAREST);
    }
    check(!c->is_running && !d->is_running);
    destroy(c);
    destroy(d);
}

TEST("the next job on a stack starts with the control words that the stack was prepared with")
{
    int runs = 3;
    coroutine *c = create(round_upward, &runs);

    need_rounding();
    while (c->runs == 0 || c->is_running) {
        resume(c, NULL);
        check_int(rounding(), ==, TO_NEAREST);
    }
    check_int(c->runs, ==, 3);
    destroy(c);
}

#ifndef HAFT__ARCH_GENERIC /* there the C library chooses */

static void tell_rounding(coroutine *c)
{
    *(int *)c->argument = (int)rounding();
}

TEST("a prepared context has the control words that it was given")
{
    haft__control nearest = haft__arch_control();
    haft__control upward;
    int told = -1;
    coroutine *c = create(tell_rounding, &told);

    need_rounding();
    round_by(UPWARD);
    upward = haft__arch_control();
    c->suspended = haft__arch_prepare_with(c->low + STACK_SIZE, nearest);
    resume(c, NULL);
    check_int(told, ==, TO_NEAREST);
    check_int(rounding(), ==, UPWARD);

    round_by(TO_NEAREST);
    c->suspended = haft__arch_prepare_with(c->low + STACK_SIZE, upward);
    resume(c, NULL);
    check_int(told, ==, UPWARD);
    check_int(rounding(), ==, TO_NEAREST);
    destroy(c);
}

#endif

/* --- moving between threads -------------------------------------------------------------------------------------- */

haft__arch_tls_declare(haft__test_thread);
haft__arch_tls_define(haft__test_thread);

/* The coroutine is at one thread at a time; each waits for its turn. */
struct table {
    pthread_barrier_t turn;
    coroutine *c;
    int rounds;
    int moved;
};

static void look_where_i_am(coroutine *c)
{
    struct table *table = c->argument;
    void *before = haft__arch_tls_load(haft__test_thread);

    for (int i = 0; i < table->rounds; i++) {
        void *now;

        check_ptr(before, ==, c->given);
        suspend(c);
        now = haft__arch_tls_load(haft__test_thread);
        table->moved += now != before;
        before = now;
    }
}

static void *take_turns(void *argument)
{
    struct table *table = argument;
    int me;

    haft__arch_tls_store(haft__test_thread, &me);
    for (int i = 0; i < table->rounds / 2; i++) {
        pthread_barrier_wait(&table->turn);
        resume(table->c, &me);
        pthread_barrier_wait(&table->turn);
    }
    return NULL;
}

TEST("a computation that moved to another thread finds the other thread's pointer")
{
    struct table table = { .rounds = 1000 };
    pthread_t thread;
    int me;

    check_int(pthread_barrier_init(&table.turn, NULL, 2), ==, 0);
    table.c = create(look_where_i_am, &table);
    haft__arch_tls_store(haft__test_thread, &me);
    check_int(pthread_create(&thread, NULL, take_turns, &table), ==, 0);
    for (int i = 0; i < table.rounds / 2; i++) {
        resume(table.c, &me);
        pthread_barrier_wait(&table.turn);
        pthread_barrier_wait(&table.turn);
    }
    resume(table.c, &me);
    check(!table.c->is_running);
    check_int(table.moved, ==, 1000);
    check_int(pthread_join(thread, NULL), ==, 0);
    destroy(table.c);
    pthread_barrier_destroy(&table.turn);
}

/* --- walls on other stacks --------------------------------------------------------------------------------------- */

struct expedition {
    haft__wall wall;
    coroutine *c;
    int frames;
    int caught;
};

__attribute__((noinline)) static int descend(struct expedition *expedition, int depth)
{
    volatile char filler[128];
    int result = 0;

    filler[0] = (char)depth;
    filler[127] = 1;
    expedition->frames++;
    if (depth == 50)
        suspend(expedition->c);
    if (depth == 100)
        haft__arch_throw(&expedition->wall);
    if (depth < 100)
        result = descend(expedition, depth + 1);
    return result + filler[0] + filler[127];
}

static void descend_from_top(void *argument)
{
    descend(argument, 1);
}

static void explore(coroutine *c)
{
    struct expedition *expedition = c->argument;

    expedition->c = c;
    for (int i = 0; i < 10; i++) {
        expedition->caught += haft__arch_try(descend_from_top, expedition, &expedition->wall);
        suspend(c);
    }
}

TEST("a throw works on a prepared stack, with suspensions between the wall and the throw")
{
    struct expedition expedition = { .frames = 0 };
    coroutine *c = create(explore, &expedition);

    for (int i = 0; i < 10; i++) {
        resume(c, NULL);
        check_int(expedition.caught, ==, i);
        resume(c, NULL);
        check_int(expedition.caught, ==, i + 1);
    }
    resume(c, NULL);
    check(!c->is_running);
    check_int(expedition.frames, ==, 1000);
    destroy(c);
}

static void *resume_elsewhere(void *argument)
{
    resume(argument, NULL);
    return NULL;
}

TEST("a throw reaches its wall on another thread than the one that built it")
{
    struct expedition expedition = { .frames = 0 };
    coroutine *c = create(explore, &expedition);

    for (int i = 0; i < 21; i++) {
        pthread_t thread;

        check_int(pthread_create(&thread, NULL, resume_elsewhere, c), ==, 0);
        check_int(pthread_join(thread, NULL), ==, 0);
    }
    check(!c->is_running);
    check_int(expedition.caught, ==, 10);
    destroy(c);
}

/* --- many -------------------------------------------------------------------------------------------------------- */

static void pass_to_next(coroutine *c)
{
    int *count = c->argument;

    for (int i = 0; i < 100; i++) {
        ++*count;
        suspend(c);
    }
}

TEST("hundreds of stacks take turns")
{
    enum { MANY = 200 };
    coroutine *c[MANY];
    int count = 0;

    for (int i = 0; i < MANY; i++)
        c[i] = create(pass_to_next, &count);
    for (int round = 0; round <= 100; round++)
        for (int i = 0; i < MANY; i++)
            resume(c[i], NULL);
    check_int(count, ==, MANY * 100);
    for (int i = 0; i < MANY; i++) {
        check(!c[i]->is_running);
        destroy(c[i]);
    }
}

static void raise_and_go_on(coroutine *c)
{
    raise(SIGUSR1);
    suspend(c);
    raise(SIGUSR1);
}

static volatile sig_atomic_t handled;

static void count_signal(int signal)
{
    (void)signal;
    handled = handled + 1;
}

TEST("signals are handled on a prepared stack")
{
    struct sigaction action = { .sa_handler = count_signal };
    coroutine *c = create(raise_and_go_on, NULL);

    sigemptyset(&action.sa_mask);
    check_int(sigaction(SIGUSR1, &action, NULL), ==, 0);
    resume(c, NULL);
    resume(c, NULL);
    check(!c->is_running);
    check_int(handled, ==, 2);
    destroy(c);
}
