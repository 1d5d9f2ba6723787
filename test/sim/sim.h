/* SPDX-License-Identifier: MIT
 *
 * The simulator: a whole program - tasks, threads, the pool, timers, and the threads that a test makes itself - in one OS
 * thread, on a virtual clock, in an order that one number decides.
 *
 * What is replaced. Of src/os only the table and the fences are the library's own; the functions behind the table are
 * those of sim_os.c. Threads are stacks that are switched at points: before every atomic operation (include/stdatomic.h),
 * at every call of the table, at every turn of a spin loop, and in the thread functions of pthread that a test calls
 * (sim_posix.c, by the linker's --wrap). Between two points a thread runs alone. All threads see one order of all
 * operations: what weaker memory orders would show belongs to the model checker.
 *
 * Time. A point costs a few nanoseconds of the virtual clock, so loops that wait for a while end; when no thread can run
 * the clock jumps to the next deadline.
 *
 * Decisions are drawn from generators that the seed starts: one for the schedule, one for the faults, one for what the
 * program asks for itself. Nothing depends on an address, on real time, or on another process, so a seed gives the same
 * run, step by step. The hash of a run folds in every switch with its step and every call of the table; two runs with
 * one hash went the same way.
 *
 * A run ends in a finding, or without. Findings: a failed assertion, a deadlock (nothing can run, nobody waits for the
 * clock), a lost wake-up (somebody sleeps although what he waits for is true), something left at the end, too many
 * steps, memory that was written after its end, a wrong use of the table. */
#ifndef HAFT_TEST_SIM_H
#define HAFT_TEST_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- how a run is to be ------------------------------------------------------------------------------------------- */

/* Faults are drawn one in so many; 0: never. Those in front are the ones that a correct program does not notice, and
 * are what the suite's own tests get; the others must be expected by the program, which asks for them itself. */
enum sim_fault {
    SIM_SPURIOUS,     /* a sleep on a word ends without reason, or by a signal */
    SIM_WEAK,         /* a weak compare-exchange fails without reason */
    SIM_DELAY,        /* a thread is not let run for up to 30 ms */
    SIM_JUMP,         /* the clock goes forward by up to 5 ms */
    SIM_NO_ALTERNATE, /* no alternate signal stack */
    SIM_ALLOCATION,   /* no memory from the heap */
    SIM_MAPPING,      /* no memory from the kernel */
    SIM_THREAD,       /* no thread */
    SIM_EXIT,         /* no value for a thread's end */
    SIM_FAULTS,
};

/* What the present run draws from. Set at its beginning from its seed; a program may change it as it goes. */
extern uint32_t sim_fault_rates[SIM_FAULTS];
/* How many of each kind there were. */
extern uint64_t sim_fault_counts[SIM_FAULTS];

enum sim_strategy {
    SIM_RANDOM,      /* any thread that can run, after a random number of points */
    SIM_PCT,         /* the one of highest priority, but for a few changes at random steps (Burckhardt and others) */
    SIM_ROUND_ROBIN, /* one after the other, after a random number of points */
};

struct sim_options {
    uint64_t seed;
    bool faults;      /* those in front of the list, and a kernel that lacks this and that */
    bool trace;       /* tell every decision on standard error */
    bool is_debugged; /* leave faults to a debugger */
    uint64_t steps;   /* at most; 0: SIM_STEPS */
    unsigned workers; /* what the machine has; 0: the seed decides, from 1 to 4 */
};
#define SIM_STEPS UINT64_C(20000000)

/* --- what came of it ---------------------------------------------------------------------------------------------- */

enum sim_verdict {
    SIM_FINE,
    SIM_FAILED, /* a finding of the program's own: an assertion */
    SIM_DEADLOCK,
    SIM_LOST_WAKE_UP,
    SIM_LEAK,
    SIM_LIVELOCK,
    SIM_MISUSE, /* of memory or of the table */
    SIM_SKIPPED,
};

struct sim_result {
    enum sim_verdict verdict;
    uint64_t hash;
    uint64_t steps;
    uint64_t switches;
    int64_t time; /* virtual nanoseconds that passed */
    char how[64]; /* the strategy */
    char text[8192];
};

/* Runs body as the main thread of a new world and fills *out, which may be shared with another process. Once in the
 * life of a process: the library keeps what it cached. Returns when every thread has ended; a finding ends the process. */
void sim_run(const struct sim_options *options, void (*body)(void), struct sim_result *out);
const char *sim_verdict_name(enum sim_verdict verdict);

/* --- for programs in it ------------------------------------------------------------------------------------------- */

/* True between the beginning and the end of a run. */
bool sim_is_running(void);
/* The seed's third generator. */
uint64_t sim_random(void);
static inline uint64_t sim_below(uint64_t n)
{
    return sim_random() % n;
}
/* How often the calling thread was let go on; and steps so far. */
uint64_t sim_steps(void);
/* This run may have so many steps, instead of SIM_STEPS. */
void sim_limit_steps(uint64_t steps);
/* A test that must end in a finding of that kind, told with that text. */
#define TEST_FINDS(sentence, verdict, text) TEST__DEFINE(__LINE__, sentence, 1, TEST__FINDING | (verdict), text)
/* Ends the run with a finding. */
__attribute__((noreturn, format(printf, 2, 3))) void sim_finding(enum sim_verdict verdict, const char *format, ...);

#endif
