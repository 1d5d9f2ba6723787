/* SPDX-License-Identifier: MIT
 *
 * The tests' one way to a test framework. A test is a sentence about behaviour and a body:
 *
 *     TEST("a second join of one handle is refused")
 *     {
 *         haft_handle h = haft_spawn(nothing);
 *         check_int(haft_join(&h), ==, 0);
 *         check_int(haft_join(&h), ==, HAFT_ESTALE);
 *     }
 *
 * It needs no list: it registers itself. Each test is a process of its own, started by the Check framework where that is
 * installed and by a small runner in test.c where it is not; the body cannot tell which. The assertions may be used from
 * every thread and from every stack, a task's included: the one that fails first is reported with its place and ends
 * the process.
 *
 * A test whose body returns ends the default runtime, and then must have left no job, no thread, no descriptor and no
 * mapping of the library. What the library itself tells about (haft__census) is compared with what there was before.
 *
 * A test program understands: --list, NAME (a part of a sentence), --quick (leaves TEST_LONG out), --repeat N, --faults N,
 * and --here NAME, which runs in this process, without a limit, for a debugger. With --faults each test is run with the
 * first request refused that comes from each place from which it asks something of the machine, and N of all its requests,
 * spread over them: each alone and then with all that follow.
 *
 * Environment: HAFT_TEST_SLOW multiplies every time limit (for emulators); HAFT_TEST_LIMIT, in seconds, is the limit of
 * every test, whatever else is said here. HAFT_TEST_FAIL=map:3+ refuses the third mapping of each test and all that
 * follow (see faults.h). Tests expect a machine that refuses nothing, so an assertion or a null pointer skips the test
 * after a refusal, and so does a wait without an end if a job was among what was refused, for which it may be. What fails
 * are other crashes, other waits without an end, leaks, and what a sanitizer reports. So a test looks at every code by
 * which what it waits for may be refused, but for those of jobs. */
#ifndef HAFT_TEST_TEST_H
#define HAFT_TEST_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- tests ------------------------------------------------------------------------------------------------------- */

/* A test with 10 s of time; times 3 under AddressSanitizer, 10 under ThreadSanitizer, 20 under Valgrind, 10 with the large
 * numbers of HAFT_TEST_DEEP. */
#define TEST(sentence) TEST__DEFINE(__LINE__, sentence, 1, 0, 0)

/* A test that needs more than that: 60 s, with the same factors. */
#define TEST_LONG(sentence) TEST__DEFINE(__LINE__, sentence, 6, 0, 0)

/* A test that passes when its body ends the process: how is TEST_STATUS(exit status) or TEST_SIGNAL(signal), and
 * standard error must contain text. Nothing is asserted about what is left. */
#define TEST_EXITS(sentence, how, text) TEST__DEFINE(__LINE__, sentence, 1, how, text)
#define TEST_STATUS(status) (TEST__EXIT | (status))
#define TEST_SIGNAL(number) (TEST__KILL | (number))

/* --- assertions -------------------------------------------------------------------------------------------------- */

/* Fails unless condition holds. */
#define check(condition) ((condition) ? (void)0 : test__fail(__FILE__, __LINE__, "%s", #condition))

/* The same, with a message instead of the condition: check_msg(n < 3, "%d jobs are left", n). */
#define check_msg(condition, ...) ((condition) ? (void)0 : test__fail(__FILE__, __LINE__, __VA_ARGS__))

/* check_int(haft_join(&h), ==, HAFT_ESTALE); a failure shows both values, and the names of codes. */
#define check_int(actual, relation, expected)                                                                          \
    do {                                                                                                               \
        const intmax_t test__actual = (intmax_t)(actual), test__expected = (intmax_t)(expected);                       \
        if (!(test__actual relation test__expected))                                                                   \
            test__fail_int(__FILE__, __LINE__, #actual " " #relation " " #expected, test__actual, test__expected);     \
    } while (0)

#define check_uint(actual, relation, expected)                                                                         \
    do {                                                                                                               \
        const uintmax_t test__actual = (uintmax_t)(actual), test__expected = (uintmax_t)(expected);                    \
        if (!(test__actual relation test__expected))                                                                   \
            test__fail_uint(__FILE__, __LINE__, #actual " " #relation " " #expected, test__actual, test__expected);    \
    } while (0)

/* check_ptr(p, !=, NULL) */
#define check_ptr(actual, relation, expected)                                                                          \
    do {                                                                                                               \
        const void *const test__actual = (actual), *const test__expected = (expected);                                 \
        if (!(test__actual relation test__expected))                                                                   \
            test__fail(__FILE__, __LINE__, "%s: %p, %p", #actual " " #relation " " #expected, test__actual,            \
                       test__expected);                                                                                \
    } while (0)

/* Both strings are equal; null equals only null. */
#define check_str(actual, expected) test__check_str(__FILE__, __LINE__, #actual, (actual), (expected))

/* Ends the test: as failed, or as one that cannot be run here. */
#define fail(...) test__fail(__FILE__, __LINE__, __VA_ARGS__)
#define skip(...) test__skip(__VA_ARGS__)

/* --- what a test may ask ----------------------------------------------------------------------------------------- */

/* By how much slower than usual this process runs: 1, or the factor that the time limits are multiplied by. For sizes
 * (a million here, fewer under Valgrind), never for thresholds. */
unsigned test_slowness(void);

/* Asserts that nothing is left, as the end of a test does; for tests that want to know earlier. Waits for threads that
 * are about to vanish, and fails when the time of the test is nearly over. */
void test_leak_check(void);

/* --- the simulator ----------------------------------------------------------------------------------------------- */

/* Tests run in the simulator, too (test/sim), unless they say why not. For a file, once, outside of every function: it
 * is about the kernel. For one test, at the beginning of its body: it needs signals, other processes, files, or a real
 * thread in the simulated ones' place. */
#define TEST_FILE_NEEDS_KERNEL(reason) _Static_assert(sizeof(reason) > 1, "a reason")
#ifdef HAFT_SIM
#define test_needs_kernel(reason) test__skip("%s", reason)
#else
#define test_needs_kernel(reason) ((void)(reason))
#endif

/* --- behind the macros ------------------------------------------------------------------------------------------- */

enum { TEST__EXIT = 0x100, TEST__KILL = 0x200, TEST__FINDING = 0x400 };

struct test__case {
    const char *sentence;
    const char *file;
    int line;
    void (*body)(void);
    unsigned weight;  /* of the time limit */
    int end;          /* TEST_STATUS or TEST_SIGNAL; 0: the body returns */
    const char *text; /* expected on standard error, or null */
    struct test__case *next;
};

#define TEST__DEFINE(line, sentence, weight, end, text) TEST__DEFINE_(line, sentence, weight, end, text)
#define TEST__DEFINE_(line, sentence, weight, end, text)                                                               \
    static void test__body_##line(void);                                                                               \
    __attribute__((constructor)) static void test__enter_##line(void)                                                  \
    {                                                                                                                  \
        static struct test__case test__this = { sentence, __FILE__, line, test__body_##line, weight, end, text, 0 };   \
        test__register(&test__this);                                                                                   \
    }                                                                                                                  \
    static void test__body_##line(void)

void test__register(struct test__case *test);
__attribute__((noreturn, format(printf, 3, 4))) void test__fail(const char *file, int line, const char *format, ...);
__attribute__((noreturn)) void test__fail_int(const char *file, int line, const char *what, intmax_t actual,
                                              intmax_t expected);
__attribute__((noreturn)) void test__fail_uint(const char *file, int line, const char *what, uintmax_t actual,
                                               uintmax_t expected);
__attribute__((noreturn, format(printf, 1, 2))) void test__skip(const char *format, ...);
/* In a loop that yields until a job has done something, with two times that are 0 at first: ends the test if that is one that
 * was perhaps refused, and sleeps where yields take long. */
void test__waits(int line, double times[2]);
void test__check_str(const char *file, int line, const char *what, const char *actual, const char *expected);

#ifdef __cplusplus
}
#endif

#endif
