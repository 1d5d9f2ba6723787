/* SPDX-License-Identifier: MIT
 *
 * The harness behind test.h. The parent registers the tests, and runs each in a forked child: by the Check framework, or by
 * the few lines under "plain" where Check cannot be. What a failing assertion says goes to a page shared by both; what a
 * test prints goes to a file in memory and is shown only when the test fails. So an assertion needs neither the main
 * thread nor a jump: it writes and ends the process.
 *
 * The child's own alarm strikes first when time is up, and shows where every thread stands; the parent kills the
 * child's process group a little later, should the alarm have been blocked.
 *
 * Over 600 lines, because it stands alone: what it judges is not to be linked into it. */
#include "test.h"

#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#if __has_include("trace/census.h")
#include "trace/census.h"
#define HAS_CENSUS 1
#endif
#endif

#ifdef HAFT_TEST_CHECK
#include <check.h>
#endif

/* HAFT_TEST_FAIL, where the library is. */
/* NOLINTNEXTLINE(readability-redundant-declaration): here it is weak */
extern const struct haft__os haft__os_linux __attribute__((weak));
/* NOLINTNEXTLINE(readability-redundant-declaration): here it is weak */
void haft__os_replace(const struct haft__os *table) __attribute__((weak));

#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_TSAN
/* The sanitizer sleeps a second at exit, for races of threads that are still there. No test leaves one. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "atexit_sleep_ms=0";
}
#endif

#ifdef WITH_ASAN
/* Whoever waits does so with what lies on his stack, and a waker that comes too late must not touch it. Not every
 * compiler's sanitizer looks unless it is asked. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_stack_use_after_return=1";
}
#endif

/* Asked by weak references, so that the harness can be linked without the library. */
__attribute__((weak)) extern int haft_runtime_stop(void);
__attribute__((weak)) extern int haft_checkpoint(void);
__attribute__((weak)) extern const char *haft_errname(int code);
#ifdef HAS_CENSUS
/* NOLINTNEXTLINE(readability-redundant-declaration): here it is weak */
__attribute__((weak)) extern __typeof__(haft__census) haft__census;
/* NOLINTNEXTLINE(readability-redundant-declaration): here it is weak */
__attribute__((weak)) extern __typeof__(haft__census_refused) haft__census_refused;
#endif

#define STILL_RUNNING "still running"
#define WAITED "waited for a job that was refused"
#define USED_A_NULL "a null pointer was used"

enum { GRACE_SECONDS = 15, SHOWN_OUTPUT = 64 << 10, FD_LIMIT = 4096 };

/* --- what the child tells the parent ----------------------------------------------------------------------------- */

enum verdict { NOTHING_SAID, WRITING, FAILED, SKIPPED };

struct report {
    size_t requests; /* of the machine, while faults were armed */
    int verdict;     /* accessed atomically; the first to leave NOTHING_SAID writes the text */
    char text[4096 - sizeof(size_t) - sizeof(int)];
};

static struct report *report;
static fault_places *places; /* from which a test asks; shared with it, like the report */
static bool runs_here;       /* --here: no child */
static struct {
    const char *what; /* of HAFT_TEST_FAIL, or of the sweep; null: nothing is refused */
    double limit;     /* in seconds, for a case of the sweep whose end is not the last word; 0: the test's own */
} refusing;

__attribute__((noreturn, format(printf, 4, 0))) static void say_and_end(enum verdict verdict, const char *file,
                                                                        int line, const char *format, va_list arguments)
{
    int nothing = NOTHING_SAID;

    if (!__atomic_compare_exchange_n(&report->verdict, &nothing, WRITING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        for (;;)
            pause(); /* somebody else is ending the process */

    int used = file ? snprintf(report->text, sizeof(report->text), "%s:%d: ", file, line) : 0;
    if (used >= 0 && (size_t)used < sizeof(report->text))
        vsnprintf(report->text + used, sizeof(report->text) - (size_t)used, format, arguments);
    __atomic_store_n(&report->verdict, (int)verdict, __ATOMIC_RELEASE);

    if (runs_here) {
        fprintf(stderr, "%s: %s\n", verdict == FAILED ? "FAIL" : "skip", report->text);
        if (verdict == FAILED)
            abort(); /* a debugger stops here */
    }
    _exit(verdict == FAILED ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* True for an assertion of a test whose requests were refused by HAFT_TEST_FAIL: it is what the test expects of a machine
 * that refuses nothing. */
static bool is_excused(void)
{
    return atomic_load(&faults_state.is_armed) && atomic_load(&faults_state.refused) > 0;
}

/* True if besides a job was refused, for which the test may wait without an end. What waits although all jobs could begin
 * has another cause, and is a finding. */
static bool is_job_refused(void)
{
#ifdef HAS_CENSUS
    return is_excused() && haft__census_refused && haft__census_refused() > 0;
#else
    return is_excused();
#endif
}

void test__fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_and_end(is_excused() ? SKIPPED : FAILED, file, line, format, arguments);
}

__attribute__((noreturn, format(printf, 3, 4))) static void never_excused(const char *file, int line,
                                                                          const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_and_end(FAILED, file, line, format, arguments);
}

void test__skip(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_and_end(SKIPPED, NULL, 0, format, arguments);
}

/* " HAFT_ESTALE" for a value that is a code, else nothing. */
static const char *code_name(intmax_t value)
{
    const char *name = haft_errname && value < 0 && value > -6000 ? haft_errname((int)value) : NULL;

    return name ? name : "";
}

void test__fail_int(const char *file, int line, const char *what, intmax_t actual, intmax_t expected)
{
    const char *name = code_name(actual), *wanted = code_name(expected);

    test__fail(file, line, "%s: %jd%s%s, %jd%s%s", what, actual, *name ? " " : "", name, expected, *wanted ? " " : "",
               wanted);
}

void test__fail_uint(const char *file, int line, const char *what, uintmax_t actual, uintmax_t expected)
{
    test__fail(file, line, "%s: %ju, %ju", what, actual, expected);
}

void test__check_str(const char *file, int line, const char *what, const char *actual, const char *expected)
{
    if (actual && expected ? strcmp(actual, expected) != 0 : actual != expected)
        test__fail(file, line, "%s is \"%s\", not \"%s\"", what, actual ? actual : "(null)",
                   expected ? expected : "(null)");
}

/* --- time -------------------------------------------------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned number_from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    const unsigned long value = text ? strtoul(text, NULL, 10) : 0;

    return value > 0 && value < 100000 ? (unsigned)value : otherwise;
}

unsigned test_slowness(void)
{
    unsigned factor = number_from_environment("HAFT_TEST_SLOW", 1);

    if (RUNNING_ON_VALGRIND)
        factor *= 20;
#if defined(WITH_TSAN)
    factor *= 10;
#elif defined(WITH_ASAN)
    factor *= 3;
#endif
    return factor;
}

static unsigned limit_of(const struct test__case *test)
{
    const unsigned factor = number_from_environment("HAFT_TEST_DEEP", 0) != 0 ? 10 : 1; /* for the large numbers */
    return number_from_environment("HAFT_TEST_LIMIT", 10 * test->weight * test_slowness() * factor);
}

/* Starts a process that writes to standard error where this one stands, and waits for it. Called by a signal handler, so
 * nothing but the new program may allocate. */
static void show_threads(void)
{
    static const char script[] =
        "cd /proc/$PPID/task && for t in *; do echo \"thread $t $(cat $t/comm): $(cat $t/wchan)\"; done\n"
        "command -v gdb >/dev/null && exec gdb -p $PPID -batch -nx -ex 'thread apply all backtrace' 2>/dev/null";

    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    const pid_t child = _Fork();
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(GRACE_SECONDS - 5);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
}

static const struct test__case *running; /* in the child */
static double running_since;

static void time_is_up(int signal_number)
{
    (void)signal_number;
    if (is_job_refused())
        test__skip(WAITED);
    if (refusing.limit > 0)
        test__skip(STILL_RUNNING);
    show_threads();
    never_excused(running->file, running->line, STILL_RUNNING " after %u s", limit_of(running));
}

/* A job that could begin would have done it long ago. On a busy machine a yield costs a whole time slice, and a sleep less. */
void test__waits(int line, double times[2])
{
    const double now = seconds_now();
    if (times[0] == 0)
        times[0] = times[1] = now;
    if (now - times[0] > 0.3 && is_job_refused())
        test__skip(WAITED ", at line %d", line);
    const bool is_slow = now - times[1] > 0.001;
    if (is_slow)
        nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
    times[1] = is_slow ? seconds_now() : now;
}

/* --- what is left ------------------------------------------------------------------------------------------------ */

static struct {
    int threads;
    bool descriptors[FD_LIMIT];
} at_start;

/* Valgrind keeps descriptors of its own above the soft limit. */
static int descriptors_end(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > FD_LIMIT)
        return FD_LIMIT;
    return (int)limit.rlim_cur;
}

/* Calls visit for each number that names an entry of a folder of /proc/self. */
static void for_each_entry(const char *path, void (*visit)(long number, void *context), void *context)
{
    DIR *folder = opendir(path);

    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *end;
        const long number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0' && number != dirfd(folder))
            visit(number, context);
    }
    closedir(folder);
}

static void count_entry(long number, void *context)
{
    (void)number;
    ++*(int *)context;
}

static void mark_descriptor(long number, void *context)
{
    bool *open = context;

    if (number >= 0 && number < descriptors_end())
        open[number] = true;
}

/* Text that stays within its array, and says nothing when it is full. */
struct text {
    size_t length;
    char bytes[2048];
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    const size_t room = sizeof(text->bytes) - text->length;
    va_list arguments;

    va_start(arguments, format);
    const int n = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void add_thread_name(long number, void *context)
{
    char path[64], name[32] = "?";

    if (number == (long)getpid())
        return;
    snprintf(path, sizeof(path), "/proc/self/task/%ld/comm", number);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    const ssize_t n = read(fd, name, sizeof(name) - 1);
    close(fd);
    name[n > 0 ? n : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    add(context, " %s", name);
}

static void find_threads(struct text *found)
{
    int threads = 0;

    for_each_entry("/proc/self/task", count_entry, &threads);
    if (threads <= at_start.threads)
        return;
    add(found, "\n    %d more threads than at its start, of", threads - at_start.threads);
    for_each_entry("/proc/self/task", add_thread_name, found);
}

static void find_descriptors(struct text *found)
{
    static bool open_now[FD_LIMIT];

    memset(open_now, 0, sizeof(open_now));
    for_each_entry("/proc/self/fd", mark_descriptor, open_now);
    for (int fd = 0; fd < descriptors_end(); fd++) {
        if (open_now[fd] && !at_start.descriptors[fd]) {
            char path[64], target[128];
            snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
            const ssize_t n = readlink(path, target, sizeof(target) - 1);
            target[n > 0 ? n : 0] = '\0';
            add(found, "\n    descriptor %d: %s", fd, target);
        } else if (!open_now[fd] && at_start.descriptors[fd]) {
            add(found, "\n    descriptor %d was open before and is closed", fd);
        }
    }
}

static void find_jobs(struct text *found)
{
#ifdef HAS_CENSUS
    struct haft__census census = { 0 };

    if (!haft__census)
        return;
    haft__census(&census);
    if (census.jobs_live)
        add(found, "\n    %ju jobs", (uintmax_t)census.jobs_live);
    if (census.threads_live)
        add(found, "\n    %ju threads of the library", (uintmax_t)census.threads_live);
    if (census.stacks_live)
        add(found, "\n    %ju stacks", (uintmax_t)census.stacks_live);
    if (census.mappings_live)
        add(found, "\n    %ju mappings", (uintmax_t)census.mappings_live);
#else
    (void)found;
#endif
}

void test_leak_check(void)
{
    faults_disarm();
    const double limit = refusing.limit > 0 ? refusing.limit : (double)limit_of(running);
    const double patience_ends = running_since + 0.8 * limit;
    struct text found;

    /* A joined thread shows in /proc for a moment longer. */
    do {
        found.length = 0;
        found.bytes[0] = '\0';
        find_jobs(&found);
        find_threads(&found);
        find_descriptors(&found);
        if (found.length == 0)
            return;
        poll(NULL, 0, 1);
    } while (runs_here || seconds_now() < patience_ends);
    if (refusing.limit > 0)
        test__skip(STILL_RUNNING);
    test__fail(running->file, running->line, "something is left:%s", found.bytes);
}

#ifdef WITH_TSAN
static void *tell_path(void *path)
{
    sprintf(path, "/proc/self/task/%d", (int)gettid());
    return NULL;
}

/* The sanitizer starts threads of its own when the program starts its first. */
static void start_threads_of_sanitizer(void)
{
    char path[64];
    pthread_t first;

    if (pthread_create(&first, NULL, tell_path, path) != 0)
        return;
    pthread_join(first, NULL);
    while (access(path, F_OK) == 0)
        sched_yield();
}
#endif

static void remember_start(void)
{
#ifdef WITH_TSAN
    start_threads_of_sanitizer();
#endif
    at_start.threads = 0;
    for_each_entry("/proc/self/task", count_entry, &at_start.threads);
    for_each_entry("/proc/self/fd", mark_descriptor, at_start.descriptors);
}

/* --- one test, in its process ------------------------------------------------------------------------------------ */

/* A null pointer that the test did not look at. */
static void on_null(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    if (is_excused() && (uintptr_t)info->si_addr < 4096)
        test__skip(USED_A_NULL " after a refusal");
    signal(signal_number, SIG_DFL);
}

static void on_abort(void)
{
    if (is_excused())
        test__skip("a thread could not even wait, because there was no memory for its record");
}

static void refuse_as_told(const struct test__case *test)
{
    struct sigaction action = { .sa_sigaction = on_null, .sa_flags = SA_SIGINFO };
    const char *text = refusing.what;
    struct faults faults;

    if (!text || !*text || !haft__os_replace || !haft_checkpoint)
        return;
    if (!faults_parse(text, &faults))
        test__fail(NULL, 0, "HAFT_TEST_FAIL=%s means nothing", text);
    if (test->end)
        test__skip("its end cannot be told from that by a refusal");
    fault_on_abort = on_abort;
    faults_begin();
    haft_checkpoint(); /* without a record for this thread, waiting for what cannot be refused ends the process */
    sigaction(SIGSEGV, &action, NULL);
    faults_arm(faults);
}

static void ring_in(double seconds)
{
    struct itimerval timer = { .it_value.tv_sec = (time_t)seconds };

    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_body(const struct test__case *test)
{
    running = test;
    running_since = seconds_now();
    remember_start();
    if (!runs_here) {
        struct sigaction action = { .sa_handler = time_is_up };
        sigaction(SIGALRM, &action, NULL);
        if (refusing.limit > 0)
            ring_in(refusing.limit);
        else
            alarm(limit_of(test));
    }
    refuse_as_told(test);
    faults_begin_here();
    test->body();
    report->requests = atomic_load(&faults_state.requests);
    if (test->end)
        test__fail(test->file, test->line, "returned instead of ending the process");
    if (haft_runtime_stop)
        haft_runtime_stop(); /* what it could not stop is found below */
    test_leak_check();
    alarm(0);
}

/* --- what the parent concludes ----------------------------------------------------------------------------------- */

struct outcome {
    enum { PASS, FAIL, SKIP } result;
    char text[4200];
};

static int output_file = -1; /* what the running test prints */

static void take_output(void)
{
    dup2(output_file, STDOUT_FILENO);
    dup2(output_file, STDERR_FILENO);
    if (output_file > STDERR_FILENO)
        close(output_file);
}

static char *output_of_test(void)
{
    const off_t end = lseek(output_file, 0, SEEK_END);
    const off_t from = end > SHOWN_OUTPUT ? end - SHOWN_OUTPUT : 0;
    char *text = calloc(1, (size_t)(end - from) + 1);

    if (text && pread(output_file, text, (size_t)(end - from), from) < 0)
        text[0] = '\0';
    return text;
}

static void show_output(const char *output)
{
    while (output && *output) {
        const size_t length = strcspn(output, "\n");
        printf("    | %.*s\n", (int)length, output);
        output += length + (output[length] == '\n');
    }
}

/* The child's own words weigh more than how it ended. */
static void conclude(const struct test__case *test, bool ended_as_expected, const char *how, struct outcome *out)
{
    const int verdict = __atomic_load_n(&report->verdict, __ATOMIC_ACQUIRE);

    if (verdict == FAILED || verdict == SKIPPED) {
        out->result = verdict == FAILED ? FAIL : SKIP;
        snprintf(out->text, sizeof(out->text), "%s", report->text);
        return;
    }
    char *output = output_of_test();
    const char *null = refusing.what && output ? strstr(output, "null pointer") : NULL;
    out->result = FAIL;
    if (!ended_as_expected && null) {
        /* The sanitizer's word for what on_null excuses. */
        out->result = SKIP;
        while (null > output && null[-1] != '\n')
            null--;
        snprintf(out->text, sizeof(out->text), USED_A_NULL ": %.*s", (int)strcspn(null, "\n"), null);
    } else if (!ended_as_expected)
        snprintf(out->text, sizeof(out->text), "%s:%d: %s", test->file, test->line, how);
    else if (test->text && !(output && strstr(output, test->text)))
        snprintf(out->text, sizeof(out->text), "%s:%d: ended as expected, without saying \"%s\"", test->file,
                 test->line, test->text);
    else
        out->result = PASS;
    free(output);
}

static int expected_signal(const struct test__case *test)
{
    return test->end & TEST__KILL ? test->end & 0xff : 0;
}

static int expected_status(const struct test__case *test)
{
    return test->end & TEST__EXIT ? test->end & 0xff : 0;
}

#ifdef HAFT_TEST_CHECK

/* --- a process per test, by Check -------------------------------------------------------------------------------- */

static const struct test__case *chosen;

static void check_calls(int index)
{
    (void)index;
    take_output();
    run_body(chosen);
}

static void run_in_child(const struct test__case *test, struct outcome *out)
{
    const TTest entry = { test->sentence, check_calls, test->file, test->line };
    Suite *suite = suite_create("haft");
    TCase *group = tcase_create("haft");
    SRunner *runner = srunner_create(suite);

    chosen = test;
    tcase_set_timeout(group, (double)(limit_of(test) + GRACE_SECONDS));
    _tcase_add_test(group, &entry, expected_signal(test), expected_status(test), 0, 1);
    suite_add_tcase(suite, group);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_SILENT);

    TestResult **results = srunner_results(runner);
    conclude(test, srunner_ntests_failed(runner) == 0, tr_msg(results[0]), out);
    free(results);
    srunner_free(runner);
}

#else

/* --- a process per test, plain ----------------------------------------------------------------------------------- */

/* Waits for the child, and kills it with all that it started when it takes too long; returns false then. */
static bool wait_for(pid_t child, unsigned seconds, int *status)
{
    const double end = seconds_now() + seconds;
    sigset_t child_ended;

    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    while (waitpid(child, status, WNOHANG) == 0) {
        const double left = end - seconds_now();
        if (left <= 0) {
            kill(-child, SIGKILL);
            waitpid(child, status, 0);
            return false;
        }
        const struct timespec nap = { (time_t)left, (long)((left - (double)(time_t)left) * 1e9) };
        sigtimedwait(&child_ended, NULL, &nap);
    }
    return true;
}

static void run_in_child(const struct test__case *test, struct outcome *out)
{
    sigset_t child_ended, before;
    char how[128];
    int status = 0;

    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, &before);
    const pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        setpgid(0, 0);
        take_output();
        run_body(test);
        exit(EXIT_SUCCESS);
    }
    if (child < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    setpgid(child, child);
    const bool in_time = wait_for(child, limit_of(test) + GRACE_SECONDS, &status);
    kill(-child, SIGKILL); /* what it has left behind */
    sigprocmask(SIG_SETMASK, &before, NULL);

    bool as_expected = in_time;
    if (!in_time) {
        snprintf(how, sizeof(how), "did not end");
    } else if (WIFSIGNALED(status)) {
        as_expected = WTERMSIG(status) == expected_signal(test);
        snprintf(how, sizeof(how), "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        as_expected = !expected_signal(test) && WEXITSTATUS(status) == expected_status(test);
        snprintf(how, sizeof(how), "ended with status %d", WEXITSTATUS(status));
    }
    conclude(test, as_expected, how, out);
}

#endif

/* --- the program ------------------------------------------------------------------------------------------------- */

static struct test__case *first_test, **last_link = &first_test;

void test__register(struct test__case *test)
{
    *last_link = test;
    last_link = &test->next;
}

static struct {
    const char *part; /* of "program: sentence" */
    unsigned long repeat;
    unsigned long points; /* of the sweep; 0: none */
    bool lists, quick;
} options = { .repeat = 1 };

static unsigned passed, failed, skipped;
static const char *const words[] = { [PASS] = "pass", [FAIL] = "FAIL", [SKIP] = "skip" };

static void run_once(const struct test__case *test, struct outcome *out)
{
    report->requests = 0;
    __atomic_store_n(&report->verdict, NOTHING_SAID, __ATOMIC_RELAXED);
    if (ftruncate(output_file, 0) != 0 || lseek(output_file, 0, SEEK_SET) != 0) {
        perror("output of tests");
        exit(EXIT_FAILURE);
    }
    run_in_child(test, out);
}

static void print_result(const struct test__case *test, const struct outcome *outcome, double start)
{
    printf("%s %9.3f s  %s: %s\n", words[outcome->result], seconds_now() - start, program_invocation_short_name,
           test->sentence);
}

static void run_test(const struct test__case *test)
{
    struct outcome outcome = { .result = PASS };
    const double start = seconds_now();
    unsigned long round = 0;

    do {
        run_once(test, &outcome);
        round++;
    } while (outcome.result == PASS && round < options.repeat);

    print_result(test, &outcome, start);
    if (outcome.result == PASS) {
        passed++;
    } else if (outcome.result == SKIP) {
        skipped++;
        printf("    %s\n", outcome.text);
    } else {
        failed++;
        printf("    %s\n", outcome.text);
        if (options.repeat > 1)
            printf("    in round %lu\n", round);
        char *output = output_of_test();
        show_output(output);
        free(output);
    }
    fflush(stdout);
}

/* --- the sweep --------------------------------------------------------------------------------------------------- */

/* Finds from which places the test asks something of the machine, and runs it with the first request from each refused, and
 * once more for some requests in between, spread over all: each once alone and once with all that follow. Besides a finding
 * a case may pass; or an assertion or the use of a null pointer ends it, as a test may on a machine that refuses; or it waits
 * without an end for a job that was refused. What could be the library's is told with the first case in which it was: for a
 * look by hand. A wait without an end although no job was refused is a finding; a case has its short limit first, and if it
 * is not over by then, the test's own. */
enum { WENT_THROUGH, ASSERTED, USED_NULL, WAITED_FOR_JOB, WAYS };

struct sweep {
    const struct test__case *test;
    double limit;
    struct outcome outcome; /* of the last case */
    unsigned counts[WAYS];
    char firsts[WAYS][4300];
};

static int way_of(const struct outcome *outcome)
{
    if (outcome->result == PASS)
        return WENT_THROUGH;
    if (strncmp(outcome->text, WAITED, strlen(WAITED)) == 0)
        return WAITED_FOR_JOB;
    return strncmp(outcome->text, USED_A_NULL, strlen(USED_A_NULL)) == 0 ? USED_NULL : ASSERTED;
}

static void run_case(struct sweep *s, struct faults faults)
{
    if (s->outcome.result == FAIL)
        return; /* shown with its own text */
    refusing.what = faults_text(faults);
    refusing.limit = s->limit;
    run_once(s->test, &s->outcome);
    refusing.limit = 0;
    if (s->outcome.result == SKIP && strcmp(s->outcome.text, STILL_RUNNING) == 0)
        run_once(s->test, &s->outcome);
    const int way = way_of(&s->outcome);
    if (s->outcome.result != FAIL && s->counts[way]++ == 0 && way >= USED_NULL)
        snprintf(s->firsts[way], sizeof(s->firsts[way]), "    %s: %s\n", refusing.what, s->outcome.text);
}

static void run_both(struct sweep *s, struct faults faults)
{
    run_case(s, faults);
    faults.forever = true;
    run_case(s, faults);
}

/* A run with nothing refused. False: what is wrong with it shows elsewhere, or it has a table of its own. */
static bool find_places(struct sweep *s)
{
    const double start = seconds_now();
    memset(places, 0, sizeof(*places));
    faults_places(places);
    refusing.what = faults_text((struct faults){ .kind = FAULT_ANY, .k = 1000000000 });
    run_once(s->test, &s->outcome);
    faults_places(NULL);
    s->limit = 0.3 * test_slowness() + 4 * (seconds_now() - start);
    return s->outcome.result == PASS;
}

static void print_sweep(const struct sweep *s, size_t requests, size_t count)
{
    static const char *const ways[WAYS] = { "went through", "ended by an assertion", "used a null pointer", WAITED };
    printf("    %zu requests from %zu places", requests, count);
    for (int way = 0; way < WAYS; way++)
        printf("%s %u %s", way == 0 ? ":" : ",", s->counts[way], ways[way]);
    printf("\n%s%s", s->firsts[USED_NULL], s->firsts[WAITED_FOR_JOB]);
    if (s->outcome.result != FAIL)
        return;
    printf("    HAFT_TEST_FAIL=%s: %s\n", refusing.what, s->outcome.text);
    char *output = output_of_test();
    show_output(output);
    free(output);
}

static void sweep_test(const struct test__case *test)
{
    struct sweep s = { .test = test };
    const double start = seconds_now();
    const bool counted = find_places(&s);
    const size_t requests = report->requests, points = requests < options.points ? requests : options.points;
    size_t count = 0;

    for (size_t i = 0; counted && i < FAULT_PLACES; i++)
        if ((*places)[i] != 0) {
            count++;
            run_both(&s, (struct faults){ .kind = FAULT_PLACE, .k = (*places)[i] });
        }
    for (size_t i = 0; counted && i < points; i++)
        run_both(&s, (struct faults){ .k = 1 + (points > 1 ? i * (requests - 1) / (points - 1) : 0) });
    if (!counted)
        s.outcome.result = SKIP;
    else if (s.outcome.result != FAIL)
        s.outcome.result = PASS;
    print_result(test, &s.outcome, start);
    print_sweep(&s, requests, count);
    passed += s.outcome.result == PASS;
    failed += s.outcome.result == FAIL;
    skipped += s.outcome.result == SKIP;
    fflush(stdout);
}

static bool is_chosen(const struct test__case *test)
{
    char whole[1024];

    if (options.quick && test->weight > 1)
        return false;
    snprintf(whole, sizeof(whole), "%s: %s", program_invocation_short_name, test->sentence);
    return !options.part || strstr(whole, options.part);
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            options.lists = true;
        } else if (strcmp(argv[i], "--quick") == 0) {
            options.quick = true;
        } else if (strcmp(argv[i], "--here") == 0) {
            runs_here = true;
        } else if (strcmp(argv[i], "--repeat") == 0 && i + 1 < argc && strtoul(argv[i + 1], NULL, 10) > 0) {
            options.repeat = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--faults") == 0 && i + 1 < argc && strtoul(argv[i + 1], NULL, 10) > 0) {
            options.points = strtoul(argv[++i], NULL, 10);
        } else if (argv[i][0] != '-' && !options.part) {
            options.part = argv[i];
        } else {
            fprintf(stderr, "usage: %s [--list] [--quick] [--repeat N] [--faults N] [--here] [NAME]\n", argv[0]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    refusing.what = getenv("HAFT_TEST_FAIL");
    report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    places = mmap(NULL, sizeof(*places), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    output_file = memfd_create("output", 0);
    if (report == MAP_FAILED || places == MAP_FAILED || output_file < 0) {
        perror(argv[0]);
        return EXIT_FAILURE;
    }

    for (const struct test__case *test = first_test; test; test = test->next) {
        if (!is_chosen(test)) {
            continue;
        } else if (options.lists) {
            printf("%s: %s\n", program_invocation_short_name, test->sentence);
        } else if (runs_here) {
            printf("%s: %s\n", program_invocation_short_name, test->sentence);
            fflush(stdout);
            run_body(test);
        } else if (options.points > 0) {
            sweep_test(test);
        } else {
            run_test(test);
        }
    }
    if (!options.lists && !runs_here)
        printf("%s: %u passed, %u failed, %u skipped\n", program_invocation_short_name, passed, failed, skipped);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
