/* SPDX-License-Identifier: MIT
 *
 * The ends of stacks: what lies there, and what is said when a task or a thread comes to it. A table with some
 * functions changed refuses what other kernels do not have: MADV_GUARD_INSTALL, then any protection at all. */
#include <haft/haft.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "callers.h"
#include "job/job.h"
#include "os/os.h"
#include "sched/sched.h"

/* --- other kernels ------------------------------------------------------------------------------------------------ */

static struct haft__os os;

static int refused_guard(void *memory, size_t size, enum haft__os_advice advice)
{
    return advice == HAFT__ADVISE_GUARD ? -EINVAL : haft__os_linux.advise(memory, size, advice);
}

static int refused_protection(void *memory, size_t size)
{
    (void)memory;
    (void)size;
    return -ENOMEM;
}

static bool is_linux_without_light_guards(void)
{
    size_t page = haft__os_linux.page_size();
    void *memory = haft__os_linux.map(page);
    check_ptr(memory, !=, NULL);
    int rc = haft__os_linux.advise(memory, page, HAFT__ADVISE_GUARD);
    haft__os_linux.unmap(memory, page);
    return rc != 0;
}

/* From here on this kernel offers guards of that kind at best. */
static void offer(enum haft__guard guard)
{
    if (guard == HAFT__GUARD_ADVISED && is_linux_without_light_guards())
        skip("this kernel has no MADV_GUARD_INSTALL");
    os = haft__os_linux;
    if (guard != HAFT__GUARD_ADVISED)
        os.advise = refused_guard;
    if (guard == HAFT__GUARD_CANARY)
        os.protect_none = refused_protection;
    haft__os_replace(&os);
}

static const haft__stack *my_stack(void)
{
    return haft__here()->root->stack;
}

/* --- a crowd ----------------------------------------------------------------------------------------------------- */

static _Atomic size_t waiting;
static _Atomic size_t guards[3];

static int waits_among_others(void)
{
    atomic_fetch_add(&guards[my_stack()->guard], 1);
    atomic_fetch_add(&waiting, 1);
    int rc = haft_park();
    atomic_fetch_sub(&waiting, 1);
    return rc;
}

static size_t most_at_once(void)
{
    return test_slowness() > 1 ? 2000 : 100000;
}

static void all_wait_at_once(size_t n)
{
    haft_handle *hs = malloc(n * sizeof *hs);
    check_ptr(hs, !=, NULL);
    for (size_t i = 0; i < n; i++) {
        hs[i] = haft_spawn(waits_among_others);
        check_int(haft_error(hs[i]), ==, 0);
    }
    while (atomic_load(&waiting) < n)
        poll(NULL, 0, 1);
    for (size_t i = 0; i < n; i++)
        check_int(haft_unpark(hs[i]), ==, 0);
    for (size_t i = 0; i < n; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_uint(atomic_load(&waiting), ==, 0);
    free(hs);
}

/* --- overflow ----------------------------------------------------------------------------------------------------- */

/* For certain, which a yield to nobody and a sleep that may be over at once are not. */
static int switches(void)
{
    return haft_sleep(20 * HAFT_MS);
}

/* Uses the stack down to some bytes below its low end, or without an end. */
#pragma GCC diagnostic push
#ifndef __clang__
#pragma GCC diagnostic ignored "-Winfinite-recursion"
#endif
static int descends(const char *end, volatile unsigned char *before)
{
    volatile unsigned char bytes[256];
    memset((void *)(uintptr_t)bytes, before == NULL ? 1 : before[0], sizeof bytes);
    if (end != NULL && (const char *)__builtin_frame_address(0) < end)
        return switches();
    return descends(end, bytes) + bytes[sizeof bytes - 1];
}
#pragma GCC diagnostic pop

static int overflows(void)
{
    return descends(NULL, NULL);
}

/* Where there is no guard: into the page that would be one, and waits there. */
static int overflows_a_little(void)
{
    return descends(my_stack()->low - 1024, NULL);
}

static int writes_below_its_stack_for_a_moment(void)
{
    memset((void *)(uintptr_t)my_stack()->low, 0, 64);
    return switches();
}

static int writes_above_its_stack(void)
{
    *(volatile char *)my_stack()->top = 1;
    return 0;
}

static int overwrites_its_root(void)
{
    haft__root *root = haft__here()->root;
    memset(root, 0x55, sizeof root->mark);
    return switches();
}

/* The place of the spawn is told by hand, so that the tests can name it. */
static void run_to_its_end(haft_fn *body, haft_kind kind, size_t stack_size)
{
    const haft_spawn_options options = {
        .size_ = sizeof options, .kind = kind, .name = "endless", .stack_size = stack_size, .place_ = "somewhere.c:12"
    };
    haft_handle h = haft_spawn_raw(body, NULL, 0, 1, &options);
    check_int(haft_error(h), ==, 0);
    haft_join(&h);
    poll(NULL, 0, 2000); /* a canary is looked at after the end was told */
    fail("the process goes on");
}

#define RUN(body, kind, stack_size) run_to_its_end((haft_fn *)(void (*)(void))(body), kind, stack_size)
#define NAMED(kind) kind " \"endless\", spawned at somewhere.c:12, "

TEST_EXITS("an overflow into a light guard is told with job, place, size and guard", TEST_SIGNAL(SIGABRT),
           "haft: stack overflow: " NAMED("task") "used more than its 61440 bytes (guard page)")
{
    offer(HAFT__GUARD_ADVISED);
    RUN(overflows, HAFT_TASK, 10);
}

TEST_EXITS("an overflow into a protected page is told with job, place, size and guard", TEST_SIGNAL(SIGABRT),
           "haft: stack overflow: " NAMED("task") "used more than its 61440 bytes (protected page)")
{
    offer(HAFT__GUARD_PROTECTED);
    RUN(overflows, HAFT_TASK, 10);
}

TEST_EXITS("an overflow over a canary is told at the next switch, with job, place, size and guard",
           TEST_SIGNAL(SIGABRT), "haft: stack overflow: " NAMED("task") "used more than its 61440 bytes (canary)")
{
    offer(HAFT__GUARD_CANARY);
    RUN(overflows_a_little, HAFT_TASK, 10);
}

TEST_EXITS("a wild write over a canary is told at the next switch", TEST_SIGNAL(SIGABRT),
           "haft: stack overflow: " NAMED("task") "used more than its 61440 bytes (canary)")
{
    offer(HAFT__GUARD_CANARY);
    RUN(writes_below_its_stack_for_a_moment, HAFT_TASK, 10);
}

static int ends_below_its_stack(void)
{
    memset((void *)(uintptr_t)my_stack()->low, 0, 64);
    return 0;
}

TEST_EXITS("a wild write over a canary is told after the task's end, if it never waits", TEST_SIGNAL(SIGABRT),
           "haft: a task's stack was overwritten: 61440 bytes (canary)")
{
    offer(HAFT__GUARD_CANARY);
    RUN(ends_below_its_stack, HAFT_TASK, 0);
}

TEST_EXITS("a write above a stack into a light guard is told as one", TEST_SIGNAL(SIGABRT),
           "haft: stack underflow: " NAMED("task") "reached beyond the upper end of its 61440 bytes (guard page)")
{
    offer(HAFT__GUARD_ADVISED);
    RUN(writes_above_its_stack, HAFT_TASK, 0);
}

TEST_EXITS("a write above a stack into a protected page is told as one", TEST_SIGNAL(SIGABRT),
           "haft: stack underflow: " NAMED("task") "reached beyond the upper end of its 61440 bytes (protected page)")
{
    offer(HAFT__GUARD_PROTECTED);
    RUN(writes_above_its_stack, HAFT_TASK, 0);
}

TEST_EXITS("what overwrites the root of a task is noticed at the next switch", TEST_SIGNAL(SIGABRT),
           "haft: a task's stack was overwritten: 61440 bytes (canary)")
{
    offer(HAFT__GUARD_CANARY);
    RUN(overwrites_its_root, HAFT_TASK, 0);
}

TEST_EXITS("an overflow of a larger stack is told with its size", TEST_SIGNAL(SIGABRT),
           "haft: stack overflow: " NAMED("task") "used more than its 258048 bytes (")
{
    RUN(overflows, HAFT_TASK, 200000);
}

TEST_EXITS("a thread's overflow is told with job, place, size and guard", TEST_SIGNAL(SIGABRT),
           "haft: stack overflow: " NAMED("thread") "used more than its 262144 bytes (the system's guard)")
{
    RUN(overflows, HAFT_THREAD, 200000);
}

TEST_EXITS("the overflow of a thread of the default size is told with job and place", TEST_SIGNAL(SIGABRT),
           "haft: stack overflow: " NAMED("thread") "used more than its stack of the system's default size")
{
    RUN(overflows, HAFT_THREAD, 0);
}

TEST_EXITS("the overflow of a blocking call is told with job and place", TEST_SIGNAL(SIGABRT),
           "haft: stack overflow: " NAMED("thread") "used more than its stack of the system's default size")
{
    RUN(overflows, HAFT_BLOCKING, 0);
}

/* Its slot has been used, given back, and is used again. */
TEST_EXITS("an overflow is told after the stack's memory was given back and taken again", TEST_SIGNAL(SIGABRT),
           NAMED("task") "used more than its 61440 bytes (")
{
    for (int i = 0; i < 2; i++) {
        all_wait_at_once(500);
        do
            haft_sleep(10 * HAFT_MS);
        while (haft__stacks_are_spare());
    }
    RUN(overflows, HAFT_TASK, 0);
}

/* --- what is not ours --------------------------------------------------------------------------------------------- */

static void theirs(int signal)
{
    (void)signal;
    static const char text[] = "their handler\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
    _exit(4);
}

static void install_theirs(void)
{
    struct sigaction action = { .sa_handler = theirs, .sa_flags = (int)SA_ONSTACK };
    check_int(sigaction(SIGSEGV, &action, NULL), ==, 0);
    check_int(sigaction(SIGBUS, &action, NULL), ==, 0);
}

/* Valgrind, which slows a test down twentyfold, takes each fault for a fault of its own. */
static void only_where_faults_are_the_programs(void)
{
    if (test_slowness() >= 20)
        skip("a fault is reported whoever handles it");
}

static char *volatile nowhere;

__attribute__((no_sanitize("undefined"))) static int faults(void)
{
    *nowhere = 1;
    return 0;
}

TEST_EXITS("a fault of a task that is no overflow goes to the handler before", TEST_STATUS(4), "their handler")
{
    only_where_faults_are_the_programs();
    install_theirs();
    RUN(faults, HAFT_TASK, 0);
}

TEST_EXITS("a fault of a thread that is no overflow goes to the handler before", TEST_STATUS(4), "their handler")
{
    only_where_faults_are_the_programs();
    install_theirs();
    RUN(faults, HAFT_THREAD, 0);
}

TEST_EXITS("an overflow does not go to the handler before", TEST_SIGNAL(SIGABRT), "haft: stack overflow: task")
{
    install_theirs();
    RUN(overflows, HAFT_TASK, 0);
}

/* --- switched off ------------------------------------------------------------------------------------------------- */

TEST("with the overflow handler switched off no signal handler is installed")
{
    struct sigaction before[2], after[2];
    check_int(sigaction(SIGSEGV, NULL, &before[0]), ==, 0);
    check_int(sigaction(SIGBUS, NULL, &before[1]), ==, 0);
    check_int(haft_overflow_handler(false), ==, 0);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, 0);
    }
    check_int(sigaction(SIGSEGV, NULL, &after[0]), ==, 0);
    check_int(sigaction(SIGBUS, NULL, &after[1]), ==, 0);
    for (int i = 0; i < 2; i++)
        check(after[i].sa_sigaction == before[i].sa_sigaction);
}

TEST_EXITS("with the overflow handler switched off an overflow goes to the program's own", TEST_STATUS(4),
           "their handler")
{
    install_theirs();
    check_int(haft_overflow_handler(false), ==, 0);
    RUN(overflows, HAFT_TASK, 0);
}

TEST_EXITS("switched off after it was installed, it hands an overflow on", TEST_STATUS(4), "their handler")
{
    install_theirs();
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_overflow_handler(false), ==, 0);
    RUN(overflows, HAFT_TASK, 0);
}

TEST_EXITS("switched on again while a runtime lives, it tells an overflow", TEST_SIGNAL(SIGABRT),
           "haft: stack overflow: task")
{
    check_int(haft_overflow_handler(false), ==, 0);
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_overflow_handler(true), ==, 0);
    RUN(overflows, HAFT_TASK, 0);
}

/* --- a hundred thousand at once, with guards of every kind -------------------------------------------------------- */

TEST("a hundred thousand tasks wait at once, each with a light guard")
{
    offer(HAFT__GUARD_ADVISED);
    size_t n = most_at_once();
    all_wait_at_once(n);
    check_uint(atomic_load(&guards[HAFT__GUARD_ADVISED]), ==, n);
}

static size_t few_mappings(void)
{
    return 16384;
}

TEST("a hundred thousand tasks wait at once: protected pages for a quarter of the mappings, then canaries")
{
    offer(HAFT__GUARD_PROTECTED);
    size_t n = most_at_once(), limit = os.map_count_limit();
    if (limit == 0)
        skip("the limit of mappings is not known");
    if (n < 100000) {
        os.map_count_limit = few_mappings;
        limit = few_mappings();
    }
    all_wait_at_once(n);
    check_uint(atomic_load(&guards[HAFT__GUARD_ADVISED]), ==, 0);
    check_uint(atomic_load(&guards[HAFT__GUARD_PROTECTED]), >=, limit / 16);
    check_uint(2 * atomic_load(&guards[HAFT__GUARD_PROTECTED]), <=, limit / 4);
    check_uint(atomic_load(&guards[HAFT__GUARD_PROTECTED]) + atomic_load(&guards[HAFT__GUARD_CANARY]), ==, n);
}

TEST("a hundred thousand tasks wait at once, each with a canary")
{
    offer(HAFT__GUARD_CANARY);
    size_t n = most_at_once();
    all_wait_at_once(n);
    check_uint(atomic_load(&guards[HAFT__GUARD_CANARY]), ==, n);
}

/* --- a kernel that changes its mind ------------------------------------------------------------------------------- */

static _Atomic int guards_left;

static int some_guards(const haft__os_range *ranges, size_t count, enum haft__os_advice advice)
{
    if (advice == HAFT__ADVISE_GUARD && atomic_fetch_sub(&guards_left, 1) <= 0)
        return -ENOMEM;
    return haft__os_linux.advise_each(ranges, count, advice);
}

TEST("when guards are refused half way the stacks behind have canaries")
{
    offer(HAFT__GUARD_ADVISED);
    os.advise_each = some_guards;
    atomic_store(&guards_left, 5);
    size_t n = 1000;
    all_wait_at_once(n);
    check_uint(atomic_load(&guards[HAFT__GUARD_ADVISED]), >, 0);
    check_uint(atomic_load(&guards[HAFT__GUARD_CANARY]), >, 0);
    check_uint(atomic_load(&guards[HAFT__GUARD_ADVISED]) + atomic_load(&guards[HAFT__GUARD_CANARY]), ==, n);
}
