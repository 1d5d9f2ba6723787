/* SPDX-License-Identifier: MIT
 *
 * What happens when there is no memory, or no thread. A scenario uses a part of the interface with its errors handled,
 * and tells what may happen then. It is run again and again, each time in a process of its own, with the first request
 * of the machine refused, then the second, until it has ended without a refusal: each one alone, then each one with all
 * that follow (see faults.h). Then it must go through once more with nothing refused, and nothing may be left: no job,
 * no thread, no memory that was not there before.
 *
 * HAFT_TEST_FAIL=map:3+ runs only that case of each scenario, with --here in this very process; HAFT_TEST_CALLER=n only
 * from the plain thread (0), from a task of one worker (1) or of two (2). */
#ifndef HAFT_TEST_SCENARIO_H
#define HAFT_TEST_SCENARIO_H

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callers.h"
#include "faults.h"

/* --- what a refusal may look like --------------------------------------------------------------------------------- */

static inline bool is_refusal(int rc)
{
    return (rc == HAFT_ENOMEM || rc == HAFT_EAGAIN) && atomic_load(&faults_state.refused) > 0;
}

/* 0, or refused for want of what was refused. */
#define may_be_refused(rc) check_refusal(rc, __FILE__, __LINE__)
static inline void check_refusal(int rc, const char *file, int line)
{
    if (rc != 0 && !is_refusal(rc))
        test__fail(file, line, "%d %s", rc, haft_errname(rc));
}

/* --- the sweep ---------------------------------------------------------------------------------------------------- */

enum { FROM_THREAD, FROM_ONE_WORKER, FROM_TWO_WORKERS, FROMS };

struct scenario {
    void (*body)(void);
    int from;
    struct faults faults;
};

static inline int runs_body(const struct scenario **scenario)
{
    (*scenario)->body();
    return 0;
}

/* A plain thread that haft does not know, and for whose record there is no memory, can do nothing at all. */
static inline bool is_known(void)
{
    int rc = haft_checkpoint();
    may_be_refused(rc);
    return rc == 0;
}

static inline void run_once(const struct scenario *scenario)
{
    if (scenario->from == FROM_THREAD) {
        if (is_known())
            scenario->body();
    } else {
        may_be_refused(haft_run(runs_body, &scenario, .workers = scenario->from == FROM_ONE_WORKER ? 1 : 2));
    }
    haft_runtime_stop();
}

struct left {
    long allocations, mappings;
};

static inline struct left what_is_left(void)
{
    test_leak_check();
    return (struct left){ atomic_load(&faults_state.live_allocations), atomic_load(&faults_state.live_mappings) };
}

static inline size_t run_case(const struct scenario *scenario)
{
    faults_begin();
    faults_arm(scenario->faults);
    run_once(scenario);
    size_t refused = faults_disarm();
    run_once(scenario); /* caches what stays for ever */
    struct left before = what_is_left(), after = before;
    /* A cache may still grow, but not every time. */
    for (int round = 0; round < 5; round++) {
        faults_arm(scenario->faults);
        run_once(scenario);
        faults_disarm();
        run_once(scenario);
        after = what_is_left();
        if (after.allocations <= before.allocations + round && after.mappings <= before.mappings + round)
            return refused;
    }
    fail("%ld allocations are left, then %ld; %ld mappings, then %ld", before.allocations, after.allocations,
         before.mappings, after.mappings);
}

/* In a child; ends this process too if that fails. */
static inline size_t run_case_apart(const struct scenario *scenario)
{
    static size_t *refused;
    if (refused == NULL)
        refused = mmap(NULL, sizeof *refused, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check_ptr(refused, !=, MAP_FAILED);
    fflush(NULL);
    pid_t child = fork();
    check_int(child, >=, 0);
    if (child == 0) {
        alarm(5 * test_slowness());
        signal(SIGALRM, SIG_DFL);
        *refused = run_case(scenario);
        exit(0);
    }
    int status;
    check_int(waitpid(child, &status, 0), ==, child);
    if (status == 0)
        return *refused;
    printf("HAFT_TEST_FAIL=%s HAFT_TEST_CALLER=%d: %s %d\n", faults_text(scenario->faults), scenario->from,
           WIFSIGNALED(status) ? "ended by signal" : "ended with status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    fflush(stdout);
    _exit(1); /* the child has said what is wrong */
}

static inline void sweep(struct scenario scenario, size_t step)
{
    size_t first = 1 + ((size_t)scenario.from + (size_t)scenario.faults.kind) % step;
    for (scenario.faults.k = first; run_case_apart(&scenario) > 0; scenario.faults.k += step)
        check_uint(scenario.faults.k, <, 2000);
}

static inline void sweep_all(void (*body)(void))
{
    struct scenario scenario = { .body = body };
    silence_panics();
    const char *only = getenv("HAFT_TEST_FAIL");
    for (scenario.from = 0; scenario.from < FROMS; scenario.from++) {
        if (!caller_wanted(scenario.from))
            continue;
        if (only != NULL && *only != '\0') {
            check(faults_parse(only, &scenario.faults));
            run_case(&scenario);
            continue;
        }
        /* All, or some from each beginning. */
        size_t step = deep() ? 1 : 5 + 5 * test_slowness();
        scenario.faults = (struct faults){ .kind = FAULT_ANY };
        sweep(scenario, step);
        scenario.faults.forever = true;
        for (scenario.faults.kind = FAULT_ANY; scenario.faults.kind < FAULT_GUARD; scenario.faults.kind++)
            sweep(scenario, step);
    }
}

#define SCENARIO(sentence) SCENARIO__(__LINE__, sentence)
#define SCENARIO__(line, sentence) SCENARIO_(line, sentence)
#define SCENARIO_(line, sentence)                                                                                      \
    static void scenario_##line(void);                                                                                 \
    TEST_LONG(sentence)                                                                                                \
    {                                                                                                                  \
        sweep_all(scenario_##line);                                                                                    \
    }                                                                                                                  \
    static void scenario_##line(void)

#endif
