/* SPDX-License-Identifier: MIT
 *
 * Memory over time: a burst of tasks takes what it needs, and soon after it the process has it back. Resident memory is
 * what the kernel says (/proc/self/statm). */
#include <haft/haft.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "callers.h"
#include "os/os.h"
#include "sched/sched.h"

/* --- what the kernel says ----------------------------------------------------------------------------------------- */

static size_t resident(void)
{
    char line[200], *rest;
    FILE *file = fopen("/proc/self/statm", "r");
    check_ptr(file, !=, NULL);
    check_ptr(fgets(line, sizeof line, file), !=, NULL);
    fclose(file);
    (void)strtoul(line, &rest, 10); /* what is mapped */
    return strtoul(rest, NULL, 10) * haft__os->page_size();
}

/* The sanitizers and Valgrind keep shadows, and memory that was freed. */
static void only_where_memory_is_its_own(void)
{
    if (test_slowness() > 1)
        skip("memory is not the program's own here");
}

/* --- a burst ------------------------------------------------------------------------------------------------------ */

static _Atomic size_t waiting;

static int waits_among_others(void)
{
    atomic_fetch_add(&waiting, 1);
    int rc = haft_park();
    atomic_fetch_sub(&waiting, 1);
    return rc;
}

static int yields_until_all_wait(const size_t *n)
{
    until(atomic_load(&waiting) == *n);
    return 0;
}

struct burst {
    size_t n;
    size_t stack_size;
    haft_runtime *runtime;
    haft_handle *handles;
};

static void begin_burst(struct burst *burst)
{
    burst->handles = mmap(NULL, burst->n * sizeof *burst->handles, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                          -1, 0); /* not of the allocator, which keeps what it has */
    check_ptr(burst->handles, !=, MAP_FAILED);
    for (size_t i = 0; i < burst->n; i++) {
        burst->handles[i] =
            haft_spawn(waits_among_others, HAFT_NO_FRAME, .stack_size = burst->stack_size, .runtime = burst->runtime);
        check_int(haft_error(burst->handles[i]), ==, 0);
    }
    haft_handle all = haft_spawn(yields_until_all_wait, &burst->n, .runtime = burst->runtime);
    check_int(haft_join(&all), ==, 0);
}

static void end_burst(struct burst *burst)
{
    for (size_t i = 0; i < burst->n; i++)
        check_int(haft_unpark(burst->handles[i]), ==, 0);
    for (size_t i = 0; i < burst->n; i++)
        check_int(haft_join(&burst->handles[i]), ==, 0);
    check_int(munmap(burst->handles, burst->n * sizeof *burst->handles), ==, 0);
}

static void wait_for_memory(size_t wanted, const char *what)
{
    size_t now = 0;
    for (int tries = 0; tries < 500; tries++) {
        now = resident();
        if (now <= wanted)
            return;
        haft_sleep(10 * HAFT_MS);
    }
    fail("%s: %zu KiB resident, %zu wanted", what, now >> 10, wanted >> 10);
}

enum { MANY = 100000 };

/* Ten percent of what the process had, or of three megabytes, if it had less: pages of the program and of the allocator
 * come in at any time. */
static size_t a_little_more_than(size_t before)
{
    return before + (before > 3 << 20 ? before : 3 << 20) / 10;
}

static bool is_spare(void)
{
    return haft__stacks_are_spare() || haft__records_are_spare();
}

/* A small burst first, which brings what lasts: pages of the program itself, workers, a few warm stacks. */
static void memory_comes_back(const struct burst *like)
{
    struct burst burst = *like, small = *like;
    small.n = 1000;
    begin_burst(&small);
    end_burst(&small);
    while (is_spare())
        haft_sleep(10 * HAFT_MS);
    size_t before = resident();
    for (int round = burst.runtime == NULL ? 2 : 1; round > 0; round--) {
        begin_burst(&burst);
        check_uint(resident() - before, >, burst.n * haft__os->page_size());
        end_burst(&burst);
        wait_for_memory(a_little_more_than(before), "after the burst");
    }
}

TEST("within five seconds after a hundred thousand tasks the memory is back, in the default runtime")
{
    only_where_memory_is_its_own();
    memory_comes_back(&(struct burst){ .n = MANY });
}

TEST("within five seconds after a hundred thousand tasks the memory is back, in a runtime of one worker")
{
    only_where_memory_is_its_own();
    haft_runtime *runtime = haft_runtime_new(.workers = 1);
    check_ptr(runtime, !=, NULL);
    memory_comes_back(&(struct burst){ .n = MANY, .runtime = runtime });
    check_int(haft_runtime_drop(&runtime), ==, 0);
}

TEST("within five seconds after many tasks with large stacks the memory is back, beside four workers")
{
    only_where_memory_is_its_own();
    haft_runtime *runtime = haft_runtime_new(.workers = 4);
    check_ptr(runtime, !=, NULL);
    memory_comes_back(&(struct burst){ .n = MANY / 20, .stack_size = 1 << 20, .runtime = runtime });
    check_int(haft_runtime_drop(&runtime), ==, 0);
}

static int is_the_only_task(void)
{
    memory_comes_back(&(struct burst){ .n = MANY / 4 });
    return 0;
}

TEST("the memory is back after a burst in haft_run, while its main body sleeps")
{
    only_where_memory_is_its_own();
    check_int(haft_run(is_the_only_task, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

TEST("a runtime that ends gives the memory of its stacks back at once")
{
    only_where_memory_is_its_own();
    size_t before[2];
    for (int i = 0; i < 2; i++) {
        haft_runtime *runtime = haft_runtime_new(.workers = 2);
        check_ptr(runtime, !=, NULL);
        struct burst burst = { .n = MANY / 4, .runtime = runtime };
        begin_burst(&burst);
        end_burst(&burst);
        check_int(haft_runtime_drop(&runtime), ==, 0);
        before[i] = resident();
        check_uint(before[i], <, burst.n * haft__os->page_size() / 2);
    }
    check_uint(before[1], <=, a_little_more_than(before[0]));
}

/* --- who does it -------------------------------------------------------------------------------------------------- */

static struct haft__os os;
static _Atomic unsigned sleeping_for_ever;
static _Atomic unsigned discards;

static int counted_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    const haft__thread *here = haft__here_or_null();
    bool is_idle = here != NULL && here->worker != NULL && deadline == INT64_MAX;
    if (is_idle)
        atomic_fetch_add(&sleeping_for_ever, 1);
    int rc = haft__os_linux.futex_wait(word, expected, deadline);
    if (is_idle)
        atomic_fetch_sub(&sleeping_for_ever, 1);
    return rc;
}

static int counted_advise_each(const haft__os_range *ranges, size_t count, enum haft__os_advice advice)
{
    if (advice == HAFT__ADVISE_DISCARD)
        atomic_fetch_add(&discards, 1);
    return haft__os_linux.advise_each(ranges, count, advice);
}

static void until_all_sleep(unsigned workers)
{
    while (atomic_load(&sleeping_for_ever) < workers)
        poll(NULL, 0, 1);
}

TEST("workers sleep without an end once nothing is left to give back")
{
    test_needs_kernel("it waits for sleepers by poll");
    os = haft__os_linux;
    os.futex_wait = counted_futex_wait;
    os.advise_each = counted_advise_each;
    haft__os_replace(&os);
    haft_runtime *runtime = haft_runtime_new(.workers = 2);
    check_ptr(runtime, !=, NULL);
    until_all_sleep(2);
    check_uint(atomic_load(&discards), ==, 0);
    struct burst burst = { .n = 1000, .runtime = runtime };
    begin_burst(&burst);
    end_burst(&burst);
    until_all_sleep(2);
    check_uint(atomic_load(&discards), >, 0);
    check(!is_spare());
    check_int(haft_runtime_drop(&runtime), ==, 0);
}

static void until_nothing_is_spare(const char *when)
{
    for (int tries = 0; is_spare(); tries++) {
        check_msg(tries < 500 * (int)test_slowness(), "%s: nobody gives memory back", when);
        poll(NULL, 0, 10);
    }
}

TEST("a runtime whose workers sleep keeps no other one from giving memory back")
{
    os = haft__os_linux;
    os.futex_wait = counted_futex_wait;
    haft__os_replace(&os);
    haft_runtime *runtimes[2];
    for (int i = 0; i < 2; i++) {
        runtimes[i] = haft_runtime_new(.workers = 1);
        check_ptr(runtimes[i], !=, NULL);
    }
    for (int i = 0; i < 2; i++) {
        struct burst burst = { .n = 1000, .runtime = runtimes[i] };
        begin_burst(&burst);
        end_burst(&burst);
        until_nothing_is_spare(i == 0 ? "the first runtime" : "the second runtime");
        until_all_sleep(2);
    }
    for (int i = 0; i < 2; i++)
        check_int(haft_runtime_drop(&runtimes[i]), ==, 0);
}

static struct {
    _Atomic int is_asking; /* not a bool: some processors do not exchange bytes */
    _Atomic unsigned never, later;
} meanwhile;

/* Somebody else asks for memory to be given back while one is at it. */
static int asked_advise_each(const haft__os_range *ranges, size_t count, enum haft__os_advice advice)
{
    if (advice == HAFT__ADVISE_DISCARD && count > 0 && !atomic_exchange(&meanwhile.is_asking, true)) {
        int64_t now = haft__os->now();
        int64_t again = haft__stack_at(ranges[0].memory) != NULL ? haft__stacks_trim(now) : haft__records_trim(now);
        atomic_fetch_add(again == INT64_MAX ? &meanwhile.never : &meanwhile.later, 1);
        atomic_store(&meanwhile.is_asking, false);
    }
    return haft__os_linux.advise_each(ranges, count, advice);
}

TEST("whoever finds another one giving memory back looks again later")
{
    os = haft__os_linux;
    os.advise_each = asked_advise_each;
    haft__os_replace(&os);
    haft_runtime *runtime = haft_runtime_new(.workers = 1);
    check_ptr(runtime, !=, NULL);
    struct burst burst = { .n = 1000, .runtime = runtime };
    begin_burst(&burst);
    end_burst(&burst);
    until_nothing_is_spare("after the burst");
    check_int(haft_runtime_drop(&runtime), ==, 0);
    check_uint(atomic_load(&meanwhile.never), ==, 0);
    check_uint(atomic_load(&meanwhile.later), >, 0);
}

/* --- jobs whose memory was given back ----------------------------------------------------------------------------- */

TEST("handles to jobs whose memory was given back are stale, and stay so when it is used again")
{
    enum { N = 4000 };
    static haft_handle hs[N], copies[N];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++)
            hs[i] = haft_spawn(wait_for_token);
        for (size_t i = 0; round > 0 && i < N; i++) {
            check_int(haft_join(&copies[i]), ==, HAFT_ESTALE);
            check_int(haft_abort(copies[i]), ==, HAFT_ESTALE);
            check_int(haft_unpark(copies[i]), ==, HAFT_ESTALE);
        }
        for (size_t i = 0; i < N; i++) {
            copies[i] = hs[i];
            check_int(haft_unpark(hs[i]), ==, 0);
        }
        for (size_t i = 0; i < N; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        while (is_spare())
            haft_sleep(10 * HAFT_MS);
        for (size_t i = 0; i < N; i++) {
            check_int(haft_join(&copies[i]), ==, HAFT_ESTALE);
            check(haft_is_finished(copies[i]));
            check_int(haft_wait(copies[i]), ==, HAFT_ESTALE);
        }
    }
}

static int ends_at_once(void)
{
    return 0;
}

TEST("a plain thread that joins many jobs long after their end has somebody give their memory back")
{
    only_where_memory_is_its_own();
    static haft_handle hs[MANY];
    os = haft__os_linux;
    os.futex_wait = counted_futex_wait;
    haft__os_replace(&os);
    haft_runtime *runtime = haft_runtime_new(.workers = 2);
    check_ptr(runtime, !=, NULL);
    for (size_t i = 0; i < MANY; i++)
        hs[i] = haft_spawn(ends_at_once, HAFT_NO_FRAME, .runtime = runtime);
    for (size_t i = 0; i < MANY; i++)
        check_int(haft_wait(hs[i]), ==, 0);
    until_all_sleep(2);
    size_t before = resident();
    for (size_t i = 0; i < MANY; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    wait_for_memory(before - (size_t)MANY * HAFT__DESCRIPTOR_SIZE / 10 * 9, "after the joins");
    check_int(haft_runtime_drop(&runtime), ==, 0);
}

/* --- nothing that is in use is given back ------------------------------------------------------------------------- */

/* Time runs a thousand times as fast, so that whatever lies in the depot for half a millisecond is given back. */
enum { HASTE = 1000 };

static int64_t fast_now(void)
{
    return haft__os_linux.now() * HASTE;
}

static int fast_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    return haft__os_linux.futex_wait(word, expected, deadline == INT64_MAX ? deadline : deadline / HASTE + 1);
}

enum { DEPTHS = 8, PATTERN = 900 };

/* Fills some pages of its stack, waits meanwhile, and finds all as it was. */
static int fills_and_looks(unsigned seed, int depth)
{
    unsigned char bytes[PATTERN];
    for (int i = 0; i < PATTERN; i++)
        bytes[i] = (unsigned char)(seed + (unsigned)i * 7);
    int rc = depth > 0 ? fills_and_looks(seed * 31 + 1, depth - 1) : haft_park();
    for (int i = 0; i < PATTERN; i++)
        check_uint(bytes[i], ==, (unsigned char)(seed + (unsigned)i * 7));
    return rc;
}

static int keeps_its_stack(const unsigned *seed)
{
    return fills_and_looks(*seed, (int)(*seed % DEPTHS));
}

static int comes_and_goes(const unsigned *seed)
{
    enum { MOST = 300 };
    haft_handle hs[MOST];
    unsigned random = *seed;
    for (size_t round = rounds(60, 4000); round > 0; round--) {
        random = random * 1664525 + 1013904223;
        unsigned n = (random >> 16) % MOST + 1;
        for (unsigned i = 0; i < n; i++)
            hs[i] = haft_spawn(keeps_its_stack, &i, .stack_size = (random >> i % 8 & 7) == 0 ? 100000u : 0);
        check_int(haft_sleep((int64_t)(random % 1000) * HAFT_US * HASTE), ==, 0);
        /* Each once, but not in the order of their spawn: the step is a prime above all n. */
        for (unsigned i = 0; i < n; i++)
            check_int(haft_unpark(hs[i * 307 % n]), ==, 0);
        for (unsigned i = 0; i < n; i++)
            check_int(haft_join(&hs[i]), ==, 0);
    }
    return 0;
}

static void storm(unsigned workers)
{
    haft_runtime *runtime = haft_runtime_new(.workers = workers, .grace = 10 * (HASTE * HAFT_S));
    check_ptr(runtime, !=, NULL);
    haft_handle hs[3];
    for (unsigned i = 0; i < 3; i++)
        hs[i] = haft_spawn(comes_and_goes, &i, .runtime = runtime);
    for (unsigned i = 0; i < 3; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(haft_runtime_drop(&runtime), ==, 0);
}

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

/* With the guards of this kernel, with protected pages, and with canaries. */
static void storm_with(enum haft__guard guard)
{
    os = haft__os_linux;
    os.now = fast_now;
    os.futex_wait = fast_futex_wait;
    os.advise_each = counted_advise_each;
    if (guard != HAFT__GUARD_ADVISED)
        os.advise = refused_guard;
    if (guard == HAFT__GUARD_CANARY)
        os.protect_none = refused_protection;
    haft__os_replace(&os);
    for (unsigned workers = 1; workers <= 3; workers++)
        storm(workers);
    check_uint(atomic_load(&discards), >, 0);
}

TEST("no stack that is in use is given back, with the best guards that there are")
{
    storm_with(HAFT__GUARD_ADVISED);
}

TEST("no stack that is in use is given back, with protected pages")
{
    storm_with(HAFT__GUARD_PROTECTED);
}

TEST("no stack that is in use is given back, with canaries")
{
    storm_with(HAFT__GUARD_CANARY);
}
