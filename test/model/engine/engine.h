/* SPDX-License-Identifier: MIT
 *
 * A model checker for C11 programs that are compiled with -fsanitize=thread and linked against this engine in the place
 * of the sanitizer's runtime: every atomic operation, every fence and every plain access that the compiler instruments
 * comes here. docs/models.md tells what it checks and what it cannot see.
 *
 * A model is a sentence and a body. The body runs many times, once for each way in which its threads may interleave and
 * in which loads may see older values; it must do the same again when the same choices are made.
 *
 *     MODEL("a message is seen with what was written before it")
 *     {
 *         int reader = model_start(read_message, NULL);
 *         message.text = 42;
 *         atomic_store_explicit(&message.is_there, true, memory_order_release);
 *         model_join(reader);
 *     }
 *
 * The body is thread 0. It starts the others, which begin with all that it did before. Model threads share one OS
 * thread; each has a stack of its own, and exactly one runs at a time. Static data is put back before each run, and
 * memory comes from model_allocate, which is empty then. */
#ifndef HAFT_TEST_MODEL_ENGINE_H
#define HAFT_TEST_MODEL_ENGINE_H

#include "instead.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- models -------------------------------------------------------------------------------------------------------- */

typedef struct model_options {
    const char *sentence;
    int bound;          /* preemptions in the search that every run makes; 0: two */
    int stale;          /* loads that may see something older, in one run of a search depth first; 0: one; -1: none */
    bool is_large;      /* too long a search for the quick selection */
    bool is_spurious;   /* sleeps may end without a cause */
    const char *expect; /* the search must find a failure that begins so; for tests of the engine itself */
} model_options;

#define MODEL(...) MODEL__DEFINE(__LINE__, __VA_ARGS__)
#define MODEL__DEFINE(line, ...) MODEL__DEFINE_(line, __VA_ARGS__)
#define MODEL__DEFINE_(line, ...)                                                                                      \
    static void model__body_##line(void);                                                                              \
    __attribute__((constructor)) static void model__enter_##line(void)                                                 \
    {                                                                                                                  \
        static struct model model__this = { { .sentence = __VA_ARGS__ }, model__body_##line, NULL };                   \
        model_register(&model__this);                                                                                  \
    }                                                                                                                  \
    static void model__body_##line(void)

struct model {
    model_options options;
    void (*body)(void);
    struct model *next;
};
void model_register(struct model *model);

/* --- what the body of a model calls ---------------------------------------------------------------------------------- */

/* Starts a thread; its number. Its first step is a choice of the search, like any other. */
int model_start(void (*body)(void *), void *argument);
/* Waits for its end, and sees all that it did. */
void model_join(int number);
void model_join_all(void);
int model_self(void);
/* What the reports call the calling thread, and a piece of memory. The text is kept, not copied. */
void model_name_thread(const char *name);
void model_name(const volatile void *address, size_t size, const char *name);

#define model_check(condition)                                                                                         \
    ((condition) ? (void)0 : model_fail("assertion failed: %s (%s:%d)", #condition, __FILE__, __LINE__))
/* Ends this run as a failure. */
_Noreturn void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What the calling thread will wait for from now on, null: nothing particular. If nothing can run although it is true,
 * that is reported as a lost wake-up instead of as a deadlock. */
void model_waits_for(bool (*is_true)(void *), void *argument);
/* A choice of the search that is the model's own: 0 to n - 1. Each but 0 counts as one preemption. */
int model_choose(int n);

/* While it is calm a search depth first tries one order only, in which nobody is preempted and every load sees the newest:
 * for what only makes ready, or clears away. Searches at random try all orders there as everywhere. */
void model_calm(bool is_calm);

/* --- what stands for the outside; called by a table like haft's src/os ------------------------------------------------ */

void *model_allocate(size_t size, size_t alignment);
/* Null is nothing. Any later access is a failure. */
void model_release(void *memory);
/* Marks memory that lives as long as the process: what it refers to is no leak. */
void model_keep(const void *root);
/* Whole pages, cleared, for stacks; the detector of leaks does not look there. */
void *model_map(size_t size);

/* Nanoseconds; moves only when a sleeper's time has come. */
int64_t model_now(void);
/* A futex: sleeps while the newest value is the expected one. 0, or -ETIMEDOUT. */
int model_sleep(volatile uint32_t *word, uint32_t expected, int64_t deadline);
void model_wake(volatile uint32_t *word, int count);
/* The rare side of an asymmetric pair of fences; atomic_signal_fence(memory_order_seq_cst) is the frequent side. Its
 * caller only passes on: the place that counts is that one's caller. */
void model_fence_heavy(void);

/* What a world does around runs and threads. Each may be null. */
struct model_world {
    void (*run_begins)(void);          /* in thread 0, before the body */
    void (*thread_ends)(void);         /* in the thread, after its body */
    void *(*context_out)(void);        /* a thread is left: what it had in thread-local storage */
    void (*context_in)(void *context); /* a thread is entered; null for a new one */
};
void model_set_world(const struct model_world *world);

#endif
