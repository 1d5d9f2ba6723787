/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define WARM_OPERATIONS 200000
#define WARM_NS 2e8
#define SLOW_NS 1e7

static void usage(const char *program)
{
    fprintf(stderr, "usage: %s WORKLOAD VARIANT WORKERS N\n", program);
    exit(2);
}

static unsigned long long positive_number(const char *program, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number == 0 || number > UINT32_MAX)
        usage(program);
    return number;
}

struct sample_request sample_request_of(int argc, char **argv)
{
    if (argc != 5)
        usage(argc > 0 ? argv[0] : "bench");
    return (struct sample_request){
        .workload = argv[1],
        .variant = argv[2],
        .workers = (unsigned)positive_number(argv[0], argv[3]),
        .n = (size_t)positive_number(argv[0], argv[4]),
    };
}

int sample_asks(const struct sample_request *request, const char *workload, const char *variant)
{
    return strcmp(request->workload, workload) == 0 && strcmp(request->variant, variant) == 0;
}

static double timeval_ns(struct timeval t)
{
    return (double)t.tv_sec * 1e9 + (double)t.tv_usec * 1e3;
}

struct sample_moment sample_now(void)
{
    struct rusage used;
    struct timespec now;
    sample_check(getrusage(RUSAGE_SELF, &used) == 0);
    sample_check(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (struct sample_moment){
        .wall_ns = (double)now.tv_sec * 1e9 + (double)now.tv_nsec,
        .cpu_ns = timeval_ns(used.ru_utime) + timeval_ns(used.ru_stime),
    };
}

/* One figure of /proc/self/status, in KiB. ru_maxrss would not do: a process inherits it from its parent across exec. */
static double status_kib(const char *key)
{
    FILE *status = fopen("/proc/self/status", "re");
    sample_check(status != NULL);
    char line[256];
    double kib = -1;
    while (kib < 0 && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtod(line + strlen(key), NULL);
    }
    fclose(status);
    sample_check(kib >= 0);
    return kib;
}

double sample_resident_bytes(void)
{
    return status_kib("VmRSS:") * 1024;
}

static void print(const char *phase, const char *unit, double value, double cpu_ns)
{
    printf("%s\t%s\t%.3f\t%.3f\t%.0f\n", phase, unit, value, cpu_ns, status_kib("VmHWM:"));
    fflush(stdout);
}

void sample_report_time(const char *phase, struct sample_moment start, double operations)
{
    struct sample_moment end = sample_now();
    print(phase, "ns", (end.wall_ns - start.wall_ns) / operations, (end.cpu_ns - start.cpu_ns) / operations);
}

void sample_report(const char *phase, const char *unit, double value)
{
    print(phase, unit, value, 0);
}

/* How often warm work is repeated that took so long when it was cold. */
static size_t repetitions_of(size_t operations, double cold_ns)
{
    size_t repetitions = operations < WARM_OPERATIONS ? WARM_OPERATIONS / operations : 1;
    if (cold_ns > SLOW_NS && (double)repetitions * cold_ns > WARM_NS)
        repetitions = cold_ns < WARM_NS ? (size_t)(WARM_NS / cold_ns) : 1;
    return repetitions;
}

void sample_cold_and_warm(void (*work)(void *context, size_t n), void *context, size_t n, size_t operations)
{
    struct sample_moment start = sample_now();
    work(context, n);
    size_t repetitions = repetitions_of(operations, sample_now().wall_ns - start.wall_ns);
    sample_report_time("cold", start, (double)operations);

    start = sample_now();
    for (size_t i = 0; i < repetitions; i++)
        work(context, n);
    sample_report_time("warm", start, (double)operations * (double)repetitions);
}

void sample_idle_second(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    struct sample_moment start = sample_now();
    nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
    sample_report("idle", "us/s", (sample_now().cpu_ns - start.cpu_ns) / 1e3);
}

uint64_t sample_expected_sum(size_t n)
{
    return (uint64_t)n * ((uint64_t)n + 1) / 2;
}

void sample_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: wrong result: %s\n", file, line, condition);
    exit(1);
}

void *sample_allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    sample_check(memory != NULL);
    return memory;
}

uint64_t sample_fib(unsigned n)
{
    uint64_t a = 0, b = 1;
    for (unsigned i = 0; i < n; i++) {
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    return a;
}

/* The recursion of fib(n) has fib(n + 1) leaves. */
unsigned sample_fib_of(size_t leaves)
{
    unsigned n = 1;
    while (sample_fib(n + 2) <= leaves)
        n++;
    return n;
}

int64_t sample_sleep(uint64_t *dice)
{
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    return (int64_t)(*dice % 1000000) * 1000;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void sample_report_lateness(struct sample_moment start, double *late_ns, size_t n)
{
    struct sample_moment end = sample_now();
    qsort(late_ns, n, sizeof *late_ns, compare);
    sample_report("p50", "us", late_ns[(n - 1) / 2] / 1e3);
    sample_report("p99", "us", late_ns[(size_t)((double)(n - 1) * 0.99)] / 1e3);
    sample_report("end", "ms", (end.wall_ns - start.wall_ns) / 1e6);
    sample_report("cpu", "ms", (end.cpu_ns - start.cpu_ns) / 1e6);
}
