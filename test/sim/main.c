/* SPDX-License-Identifier: MIT
 *
 * The harness behind test.h for programs in the simulator: every test, with many seeds, each run in a forked child of a
 * process that has not used the library yet.
 *
 *     test_job_sim [--list] [--calm] [--seeds N] [--seconds S] [--first SEED] [--findings N] [--kept FILE] [NAME]
 *     test_job_sim --seed SEED [--trace] [--here] [NAME]
 *
 * The first form runs N seeds of each test, or as many as fit into S seconds, or until there are N findings, and before them
 * those that the file keeps of earlier findings. The second runs one and tells all of it; --here without a child, for a debugger.
 *
 * --calm takes even seeds alone. A seed is a number; an even one has no faults, an odd one those that a correct program does not notice. HAFT_SIM_SEED in
 * the environment is --seed. A finding is told with its seed. The last line is the summary. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "haft/haft.h"
#include "test.h"
#include "world.h"

enum { REAL_SECONDS = 20, SHOWN_OUTPUT = 16 << 10 };

static struct {
    const char *part;
    const char *kept;
    uint64_t seeds, first, seed, findings;
    double seconds; /* for each test, in the mean */
    bool lists, is_single, traces, is_here, is_calm;
} options = { .seeds = 20, .first = 1, .findings = 3 };

static struct test__case *first_test, **last_link = &first_test;

void test__register(struct test__case *test)
{
    *last_link = test;
    last_link = &test->next;
}

/* --- what a test calls -------------------------------------------------------------------------------------------- */

static struct sim_result *result; /* shared with the children */
static const struct test__case *running;

/* " HAFT_ESTALE" for a value that is a code, else nothing. */
static const char *code_name(intmax_t value)
{
    const char *name = value < 0 && value > -6000 ? haft_errname((int)value) : NULL;
    return name != NULL ? name : "";
}

void test__fail(const char *file, int line, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): begun in the line above; the analyzer of clang 14 loses it */
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sim_finding(SIM_FAILED, "%s:%d: %s", file, line, text);
}

void test__skip(const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): begun in the line above; the analyzer of clang 14 loses it */
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sim_finding(SIM_SKIPPED, "%s", text);
}

void test__fail_int(const char *file, int line, const char *what, intmax_t actual, intmax_t expected)
{
    test__fail(file, line, "%s: %jd %s, %jd %s", what, actual, code_name(actual), expected, code_name(expected));
}

void test__fail_uint(const char *file, int line, const char *what, uintmax_t actual, uintmax_t expected)
{
    test__fail(file, line, "%s: %ju, %ju", what, actual, expected);
}

void test__check_str(const char *file, int line, const char *what, const char *actual, const char *expected)
{
    if (actual != NULL && expected != NULL ? strcmp(actual, expected) != 0 : actual != expected)
        test__fail(file, line, "%s is \"%s\", not \"%s\"", what, actual != NULL ? actual : "(null)",
                   expected != NULL ? expected : "(null)");
}

void test__waits(int line, double times[2])
{
    (void)line; /* nothing is refused that a test does not expect */
    (void)times;
}

/* A thousand schedules of a small size show more than one of a large size. */
unsigned test_slowness(void)
{
    return 50;
}

void test_leak_check(void)
{
    /* What is left is looked at in the end. */
}

/* --- one run ------------------------------------------------------------------------------------------------------ */

static void whole_test(void)
{
    running->body();
    haft_runtime_stop();
}

static void time_is_up(int signal_number)
{
    (void)signal_number;
    sim_finding(SIM_LIVELOCK, "the simulator was not called for %d s; the last time at: %s", REAL_SECONDS,
                sim_world.self != NULL ? sim_world.self->place : "its beginning");
}

static void run_here(const struct test__case *test, uint64_t seed)
{
    const struct sim_options how = {
        .seed = seed, .faults = seed % 2 != 0, .trace = options.traces, .is_debugged = options.is_here
    };
    running = test;
    signal(SIGALRM, time_is_up);
    alarm(REAL_SECONDS);
    sim_run(&how, whole_test, result);
}

static int output_file = -1;

/* True: without a finding. What the result says else is complete. */
static bool run_child(const struct test__case *test, uint64_t seed)
{
    int status = 0;
    result->text[0] = '\0';
    result->verdict = SIM_FAILED;
    result->hash = 0;
    result->how[0] = '\0';
    if (ftruncate(output_file, 0) != 0 || lseek(output_file, 0, SEEK_SET) != 0)
        perror("output of tests");
    pid_t child = fork();
    if (child == 0) {
        dup2(output_file, STDOUT_FILENO);
        dup2(output_file, STDERR_FILENO);
        run_here(test, seed);
        fflush(stdout);
        _exit(EXIT_SUCCESS);
    }
    if (child < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (result->text[0] == '\0' && (WIFSIGNALED(status) || WEXITSTATUS(status) != 0 || result->verdict != SIM_FINE)) {
        result->verdict = SIM_FAILED;
        snprintf(result->text, sizeof result->text, "ended by %s %d", WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    /* A test may be one that must find something. */
    if ((test->end & TEST__FINDING) != 0 && result->verdict != SIM_SKIPPED) {
        bool is_found = result->verdict == (enum sim_verdict)(test->end & 0xff) &&
                        (test->text == NULL || strstr(result->text, test->text) != NULL);
        if (is_found)
            result->verdict = SIM_FINE;
        else if (result->verdict == SIM_FINE)
            snprintf(result->text, sizeof result->text, "nothing was found");
        return is_found;
    }
    return result->verdict == SIM_FINE || result->verdict == SIM_SKIPPED;
}

/* --- distinct schedules ------------------------------------------------------------------------------------------- */

static struct {
    uint64_t *slots;
    size_t capacity, count;
} seen;

static bool insert(uint64_t *slots, size_t capacity, uint64_t hash)
{
    size_t i = hash & (capacity - 1);
    while (slots[i] != 0 && slots[i] != hash)
        i = (i + 1) & (capacity - 1);
    bool is_new = slots[i] == 0;
    slots[i] = hash;
    return is_new;
}

static void see(uint64_t hash)
{
    if (hash == 0)
        return;
    if (2 * seen.count >= seen.capacity) {
        size_t capacity = seen.capacity == 0 ? 1024 : 2 * seen.capacity;
        uint64_t *slots = calloc(capacity, sizeof *slots);
        if (slots == NULL)
            exit(EXIT_FAILURE);
        for (size_t i = 0; i < seen.capacity; i++)
            if (seen.slots[i] != 0)
                insert(slots, capacity, seen.slots[i]);
        free(seen.slots);
        seen.slots = slots;
        seen.capacity = capacity;
    }
    seen.count += insert(seen.slots, seen.capacity, hash);
}

static void forget_all(void)
{
    free(seen.slots);
    memset(&seen, 0, sizeof seen);
}

/* --- many runs ---------------------------------------------------------------------------------------------------- */

static struct {
    uint64_t programs, schedules, distinct, failed, skipped;
} total;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show_output(void)
{
    static char output[SHOWN_OUTPUT + 1];
    off_t end = lseek(output_file, 0, SEEK_END);
    ssize_t n = pread(output_file, output, SHOWN_OUTPUT, end > SHOWN_OUTPUT ? end - SHOWN_OUTPUT : 0);
    output[n > 0 ? n : 0] = '\0';
    for (const char *line = output; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        printf("    | %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static void tell_finding(const struct test__case *test, uint64_t seed)
{
    printf("FINDING %s: %s\n    seed %" PRIu64 " (%s), hash %016" PRIx64 ": %s: %s\n", program_invocation_short_name,
           test->sentence, seed, result->how, result->hash, sim_verdict_name(result->verdict), result->text);
    printf("    again: %s --seed %" PRIu64 " --trace '%s'\n", program_invocation_short_name, seed, test->sentence);
    show_output();
}

static void run_seeds(const struct test__case *test, uint64_t seeds)
{
    double start = seconds_now();
    uint64_t runs = 0, findings = 0;
    bool is_skipped = false;
    forget_all();
    while (runs < seeds && findings < options.findings && !is_skipped) {
        if (options.seconds > 0 && seconds_now() - start > options.seconds)
            break;
        uint64_t seed = options.first + runs++;
        if (options.is_calm)
            seed *= 2;
        if (!run_child(test, seed)) {
            findings++;
            tell_finding(test, seed);
        }
        is_skipped = result->verdict == SIM_SKIPPED;
        see(result->hash);
    }
    double took = seconds_now() - start;
    printf("%s %9.3f s  %s: %s\n",
           findings != 0 ? "FAIL"
           : is_skipped  ? "skip"
                         : "pass",
           took, program_invocation_short_name, test->sentence);
    if (is_skipped)
        printf("    %s\n", result->text);
    else
        printf("    %" PRIu64 " schedules, %zu distinct, %.2f ms and %" PRIu64 " steps each\n", runs, seen.count,
               took * 1e3 / (double)runs, result->steps);
    fflush(stdout);
    total.skipped += is_skipped;
    if (is_skipped)
        return;
    total.programs++;
    total.schedules += runs;
    total.distinct += seen.count;
    total.failed += findings != 0;
}

/* --- the program -------------------------------------------------------------------------------------------------- */

static bool is_chosen(const struct test__case *test)
{
    char whole[1024];
    if ((test->end & TEST__FINDING) == 0 && test->end != 0)
        return false; /* ends its process, which belongs to the kernel */
    snprintf(whole, sizeof whole, "%s: %s", program_invocation_short_name, test->sentence);
    return options.part == NULL || strstr(whole, options.part) != NULL;
}

/* Lines "program: sentence: seed"; what is not ours is others'. */
static void run_kept(void)
{
    char line[1024];
    FILE *file = fopen(options.kept, "r");
    if (file == NULL) {
        perror(options.kept);
        exit(EXIT_FAILURE);
    }
    while (fgets(line, sizeof line, file) != NULL) {
        char *colon = strrchr(line, ':');
        if (line[0] == '#' || colon == NULL)
            continue;
        *colon = '\0';
        for (const struct test__case *test = first_test; test != NULL; test = test->next) {
            char whole[1024];
            snprintf(whole, sizeof whole, "%s: %s", program_invocation_short_name, test->sentence);
            if (strcmp(whole, line) == 0) {
                uint64_t first = options.first;
                options.first = strtoull(colon + 1, NULL, 10);
                run_seeds(test, 1);
                options.first = first;
            }
        }
    }
    fclose(file);
}

static void usage(const char *name)
{
    fprintf(
        stderr,
        "usage: %s [--list] [--calm] [--seeds N] [--seconds S] [--first SEED] [--findings N] [--seed SEED] [--trace] [--here] "
        "[--kept FILE] [NAME]\n",
        name);
    exit(2);
}

static void read_options(int argc, char **argv)
{
    const char *seed = getenv("HAFT_SIM_SEED");
    for (int i = 1; i < argc; i++) {
        const bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--list") == 0)
            options.lists = true;
        else if (strcmp(argv[i], "--trace") == 0)
            options.traces = true;
        else if (strcmp(argv[i], "--calm") == 0)
            options.is_calm = true;
        else if (strcmp(argv[i], "--here") == 0)
            options.is_here = true;
        else if (strcmp(argv[i], "--seeds") == 0 && has_value)
            options.seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--findings") == 0 && has_value)
            options.findings = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0 && has_value)
            options.seconds = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--first") == 0 && has_value)
            options.first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && has_value)
            seed = argv[++i];
        else if (strcmp(argv[i], "--kept") == 0 && has_value)
            options.kept = argv[++i];
        else if (argv[i][0] != '-' && options.part == NULL)
            options.part = argv[i];
        else
            usage(argv[0]);
    }
    options.is_single = seed != NULL;
    if (seed != NULL)
        options.seed = strtoull(seed, NULL, 10);
}

static void run_single(const struct test__case *test)
{
    if (options.is_here) {
        run_here(test, options.seed);
    } else {
        bool is_fine = run_child(test, options.seed);
        total.failed += !is_fine;
        if (!is_fine)
            tell_finding(test, options.seed);
        else if (options.traces)
            show_output();
    }
    printf("%s: %s: seed %" PRIu64 ": %s, hash %016" PRIx64 ", %" PRIu64 " steps, %" PRIu64 " switches, %" PRId64
           " ns\n",
           program_invocation_short_name, test->sentence, options.seed, sim_verdict_name(result->verdict), result->hash,
           result->steps, result->switches, result->time);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    output_file = memfd_create("output", MFD_CLOEXEC);
    if (result == MAP_FAILED || output_file < 0) {
        perror(argv[0]);
        return EXIT_FAILURE;
    }
    if (options.kept != NULL && !options.lists && !options.is_single)
        run_kept();
    for (const struct test__case *test = first_test; test != NULL; test = test->next) {
        if (!is_chosen(test))
            continue;
        if (options.lists)
            printf("%s: %s\n", program_invocation_short_name, test->sentence);
        else if (options.is_single)
            run_single(test);
        else
            run_seeds(test, options.seeds);
    }
    if (!options.lists && !options.is_single)
        printf("%s: %" PRIu64 " programs, %" PRIu64 " schedules (%" PRIu64 " distinct), %" PRIu64 " failed\n",
               program_invocation_short_name, total.programs, total.schedules, total.distinct, total.failed);
    return total.failed != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
