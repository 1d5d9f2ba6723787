/* SPDX-License-Identifier: MIT
 *
 * What every contender written in C or C++ shares: how it is told what to measure and how it reports one sample.
 *
 * A contender is started as "program WORKLOAD VARIANT WORKERS N", measures once, and prints one line for each phase,
 * its fields separated by tabs:
 *
 *     phase  unit  value  CPU nanoseconds per operation  peak resident KiB
 *
 * A new process for each sample keeps peak memory, CPU time and caches of one sample out of the next. The first
 * repetition in a process is the phase "cold", the following ones are "warm". Every workload checks its own result and
 * ends the process by sample_check() if it is wrong, so that no work can be optimized away. */
#ifndef HAFT_BENCH_SAMPLE_H
#define HAFT_BENCH_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sample_request {
    const char *workload;
    const char *variant;
    unsigned workers;
    size_t n;
};

/* Reads the command line; ends the process with status 2 if it makes no sense. */
struct sample_request sample_request_of(int argc, char **argv);

/* Whether a request asks for this workload and variant. */
int sample_asks(const struct sample_request *request, const char *workload, const char *variant);

/* A moment: wall clock, and the CPU time that this process has used. */
struct sample_moment {
    double wall_ns;
    double cpu_ns;
};
struct sample_moment sample_now(void);

/* Reports the time since start, divided by the number of operations. */
void sample_report_time(const char *phase, struct sample_moment start, double operations);
/* Reports any other figure. */
void sample_report(const char *phase, const char *unit, double value);

/* Runs work(context, n) once cold, then warm: once, or for a small n as often as gives at least 200,000 operations, but
 * if once took more than 10 ms no more often than takes a fifth of a second. operations is what one call counts as. */
void sample_cold_and_warm(void (*work)(void *context, size_t n), void *context, size_t n, size_t operations);

/* Resident bytes of this process now. */
double sample_resident_bytes(void);

/* Sleeps one second, after a tenth of a second in which everything may settle, and reports the CPU microseconds that
 * the whole process used in that second. */
void sample_idle_second(void);

/* The sum that tasks 0 … n-1 give which each return their number plus one. */
uint64_t sample_expected_sum(size_t n);

/* W8: fib(n), and the n whose recursion has so many leaves, or a few less. */
uint64_t sample_fib(unsigned n);
unsigned sample_fib_of(size_t leaves);

/* W10: how long the next one sleeps, in whole microseconds below one second, told in nanoseconds; every contender draws the
 * same. */
#define SAMPLE_SEED UINT64_C(88172645463325252)
int64_t sample_sleep(uint64_t *dice);
/* Reports how late n sleeps ended, median and 99th percentile, when the last ended, and the CPU time of all. Sorts. */
void sample_report_lateness(struct sample_moment start, double *late_ns, size_t n);

/* Ends the process with status 1 and one line on standard error if a result is wrong. */
#define sample_check(condition) ((condition) ? (void)0 : sample_fail(__FILE__, __LINE__, #condition))
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void sample_fail(const char *file, int line, const char *condition);

/* As calloc, but ends the process instead of returning null. */
void *sample_allocate(size_t count, size_t size);

#ifdef __cplusplus
}
#endif

#endif
