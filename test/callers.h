/* SPDX-License-Identifier: MIT
 *
 * What the tests of the public interface share: a test body that runs from every place from which haft may be called,
 * loops over the kinds of jobs, and how many rounds the quick and the deep variant make.
 *
 * Environment: HAFT_TEST_DEEP=1 takes the large numbers; HAFT_TEST_CALLER=n runs only the nth caller below (from 0), to
 * tell from which one a test fails. */
#ifndef HAFT_TEST_CALLERS_H
#define HAFT_TEST_CALLERS_H

#include <haft/haft.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

/* Under a sanitizer, whose own handlers and destructors come between. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CALLERS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CALLERS_SANITIZED 1
#endif
#endif
#ifndef CALLERS_SANITIZED
#define CALLERS_SANITIZED 0
#endif

/* --- from where --------------------------------------------------------------------------------------------------- */

struct caller {
    void (*body)(void);
};

static inline int caller_run(struct caller *caller)
{
    caller->body();
    return 0;
}

enum { CALLERS = 5 };

static inline bool caller_wanted(int caller)
{
    const char *only = getenv("HAFT_TEST_CALLER");
    return only == NULL || *only == '\0' || strtol(only, NULL, 10) == caller;
}

/* Runs body on this plain thread, as a task beside one worker and beside two, as a job on an OS thread of its own, and
 * as a call on the pool. */
static inline void from_every_caller(void (*body)(void))
{
    struct caller caller = { .body = body };
    if (caller_wanted(0))
        body();
    if (caller_wanted(1))
        check_int(haft_run(caller_run, &caller, .workers = 1), ==, 0);
    if (caller_wanted(2))
        check_int(haft_run(caller_run, &caller, .workers = 2), ==, 0);
    if (caller_wanted(3)) {
        haft_handle thread = haft_spawn(caller_run, &caller, .kind = HAFT_THREAD, .name = "caller");
        check_int(haft_join(&thread), ==, 0);
    }
    if (caller_wanted(4)) {
        haft_handle call = haft_spawn_blocking(caller_run, &caller, .name = "caller");
        check_int(haft_join(&call), ==, 0);
    }
}

/* The same for tests that need to be a job themselves. */
static inline void from_every_job(void (*body)(void))
{
    struct caller caller = { .body = body };
    for (unsigned workers = 1; workers <= 2; workers++)
        if (caller_wanted((int)workers))
            check_int(haft_run(caller_run, &caller, .workers = workers), ==, 0);
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_BLOCKING; kind++)
        if (caller_wanted(kind == HAFT_TASK ? 0 : kind == HAFT_THREAD ? 3 : 4)) {
            haft_handle job = haft_spawn(caller_run, &caller, .kind = kind, .name = "caller");
            check_int(haft_join(&job), ==, 0);
        }
}

#define TEST_CALLERS_(define, each, line, sentence)                                                                    \
    static void callers_body_##line(void);                                                                             \
    define(sentence)                                                                                                   \
    {                                                                                                                  \
        each(callers_body_##line);                                                                                     \
    }                                                                                                                  \
    static void callers_body_##line(void)
#define TEST_CALLERS__(define, each, line, sentence) TEST_CALLERS_(define, each, line, sentence)

#define TEST_FROM_EVERY_CALLER(sentence) TEST_CALLERS__(TEST, from_every_caller, __LINE__, sentence)
#define TEST_FROM_EVERY_JOB(sentence) TEST_CALLERS__(TEST, from_every_job, __LINE__, sentence)
#define TEST_LONG_FROM_EVERY_CALLER(sentence) TEST_CALLERS__(TEST_LONG, from_every_caller, __LINE__, sentence)

/* --- what --------------------------------------------------------------------------------------------------------- */

enum { KINDS = 3 };
#define for_each_kind(kind) for (haft_kind kind = HAFT_TASK; kind <= HAFT_BLOCKING; kind++)

/* Lets others run until the condition holds. For callers that are not aborted and not late. */
#define until(condition)                                                                                               \
    do {                                                                                                               \
        double times_[2] = { 0 };                                                                                      \
        while (!(condition)) {                                                                                         \
            check_int(haft_yield(), ==, 0);                                                                            \
            test__waits(__LINE__, times_);                                                                             \
        }                                                                                                              \
    } while (0)

/* The code of a call on whose effect others wait: if the machine refused it, the test ends here instead. */
static inline int granted(int rc)
{
    check_int(rc, !=, HAFT_ENOMEM);
    return rc;
}

/* --- how many ----------------------------------------------------------------------------------------------------- */

static inline bool deep(void)
{
    const char *value = getenv("HAFT_TEST_DEEP");
    return value != NULL && value[0] != '\0' && value[0] != '0';
}

/* quick rounds, or many in the deep variant; fewer where this process is slow. */
static inline size_t rounds(size_t quick, size_t many)
{
    size_t n = (deep() ? many : quick) / test_slowness();
    return n > 0 ? n : 1;
}

/* --- bodies ------------------------------------------------------------------------------------------------------- */

static inline int return_nothing(void)
{
    return 0;
}

/* Touches about that many bytes of its stack. */
static inline int uses_stack(size_t *bytes)
{
    size_t left = *bytes;
    volatile unsigned char page[1024];
    page[0] = 1;
    page[sizeof page - 1] = 2;
    if (left > 2 * sizeof page) {
        size_t rest = left - sizeof page - 128;
        return uses_stack(&rest) + (page[0] - 1) + (page[sizeof page - 1] - 2);
    }
    return 0;
}

/* Waits for its token; told of an abort, it ends. */
static inline int wait_for_token(void)
{
    return haft_park();
}

static inline void ignore_panic(const haft_panic_info *panic)
{
    (void)panic;
}

/* For tests in which a panic is the point: keeps the default line off standard error. */
static inline void silence_panics(void)
{
    haft_on_panic(ignore_panic);
}

#endif
