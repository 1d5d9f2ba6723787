/* SPDX-License-Identifier: MIT
 *
 * A world without a kernel, for tests of what stands above src/os: one OS thread, memory from the C library's heap, and
 * a clock that moves only when nothing can run.
 *
 *     fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
 *     check_int(haft_run(body, HAFT_NO_FRAME, .workers = 1), ==, 0);
 *     fake_os_leave();
 *
 * Time. A thread that would sleep on a word is the only one, so the clock jumps to the end of its sleep; a sleep without
 * an end means that every job waits for ever, and fails the test. A worker that looks for work looks for a span of time:
 * the clock moves under its eyes, but never beyond its next timer. While tasks run the clock stands, so a sleeper wakes
 * at its deadline, or one look of the worker later.
 *
 * Refusals. There are no other threads and no membarrier, so fences are full ones. Guards are granted or refused as the
 * options say; granted ones do not fault, but fake_os_leave() finds what was written into them. The kth allocation or
 * mapping from now on can be made to fail, or all of them: fake_os.fail_allocation, .fail_mapping, .is_out_of_memory.
 *
 * What haft caches for the whole life of a process stays behind in this world's memory, which is therefore never
 * unmade; a test that needs the kernel afterwards can have it. The table is put in place before the thread's first
 * call of haft, so that nothing of the kernel's is left in this world. */
#ifndef HAFT_TEST_FAKE_OS_H
#define HAFT_TEST_FAKE_OS_H

/* By how much the clock moves under the eyes of a worker: no sleeper is later than that. */
#define FAKE_OS_LOOK (HAFT__SEARCH_NS / 4)

#include <haft/haft.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/job.h"
#include "os/os.h"
#include "sched/sched.h"
#include "test.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifdef VALGRIND_MAKE_MEM_UNDEFINED
#define FAKE_OS_IS_ADDRESSABLE(memory, size) ((void)VALGRIND_MAKE_MEM_UNDEFINED(memory, size))
#else
#define FAKE_OS_IS_ADDRESSABLE(memory, size) ((void)(size))
#endif

struct fake_os_options {
    enum haft__guard guards; /* ADVISED: granted; PROTECTED: advice is refused; CANARY: both are */
    size_t guards_granted;   /* so many, then none; 0: no end */
    size_t map_count_limit;  /* 0: unknown */
};

enum {
    FAKE_PAGE = 4096,
    FAKE_GUARDS = 16384, /* that are looked at in the end */
    FAKE_MAPPINGS = 256,
    FAKE_EXITS = 16,
    FAKE_YIELDS = 1 << 20, /* in a row: somebody spins for what nobody will do */
};

static struct {
    struct fake_os_options options;
    int64_t now;
    size_t sleeps; /* how often the one thread had nothing to run */

    size_t fail_allocation; /* 1: the next one; 0: none. Counted down */
    size_t fail_mapping;
    bool is_out_of_memory;   /* every one fails */
    size_t refusals;         /* allocations and mappings that were made to fail */
    size_t live_allocations; /* and not released */
    size_t live_mappings;
    size_t yields;

    size_t guard_count;
    char *guards[FAKE_GUARDS];
    struct {
        void *heap;
        char *memory;
        size_t size;
    } mappings[FAKE_MAPPINGS];
    struct {
        void (*destructor)(void *);
        void *value;
    } exits[FAKE_EXITS];
    size_t exit_count;

    char errors[8192]; /* what was written to standard error */
    size_t errors_length;
} fake_os;

/* --- memory ------------------------------------------------------------------------------------------------------- */

static bool fake_os_refuses(size_t *countdown)
{
    fake_os.yields = 0;
    if (!fake_os.is_out_of_memory && (*countdown == 0 || --*countdown != 0))
        return false;
    fake_os.refusals++;
    return true;
}

static void *fake_os_allocate(size_t size, size_t alignment)
{
    check_uint(size, >, 0);
    check_msg(alignment >= sizeof(void *) && (alignment & (alignment - 1)) == 0, "an alignment of %zu", alignment);
    if (fake_os_refuses(&fake_os.fail_allocation))
        return NULL;
    void *memory;
    check_int(posix_memalign(&memory, alignment, size), ==, 0);
    memset(memory, 0xa5, size); /* nobody may take it for cleared */
    fake_os.live_allocations++;
    return memory;
}

static void fake_os_release(void *memory)
{
    if (memory == NULL)
        return;
    check_uint(fake_os.live_allocations, >, 0);
    fake_os.live_allocations--;
    free(memory);
}

static void *fake_os_map(size_t size)
{
    check_msg(size > 0 && size % FAKE_PAGE == 0, "a mapping of %zu bytes", size);
    if (fake_os_refuses(&fake_os.fail_mapping))
        return NULL;
    size_t i = 0;
    while (i < FAKE_MAPPINGS && fake_os.mappings[i].heap != NULL)
        i++;
    check_uint(i, <, FAKE_MAPPINGS);
    void *heap = calloc(1, size + FAKE_PAGE);
    check_ptr(heap, !=, NULL);
    char *memory = (char *)heap + (FAKE_PAGE - (uintptr_t)heap % FAKE_PAGE) % FAKE_PAGE;
    fake_os.mappings[i].heap = heap;
    fake_os.mappings[i].memory = memory;
    fake_os.mappings[i].size = size;
    fake_os.live_mappings++;
    return memory;
}

static void fake_os_unmap(void *memory, size_t size)
{
    for (size_t i = 0; i < FAKE_MAPPINGS; i++)
        if (fake_os.mappings[i].heap != NULL && fake_os.mappings[i].memory == memory) {
            check_uint(size, ==, fake_os.mappings[i].size);
            free(fake_os.mappings[i].heap);
            fake_os.mappings[i].heap = NULL;
            fake_os.live_mappings--;
            return;
        }
    fail("%p was unmapped and is no mapping", memory);
}

static bool fake_os_is_mapped(const char *memory, size_t size)
{
    for (size_t i = 0; i < FAKE_MAPPINGS; i++)
        if (fake_os.mappings[i].heap != NULL && memory >= fake_os.mappings[i].memory &&
            memory + size <= fake_os.mappings[i].memory + fake_os.mappings[i].size)
            return true;
    return false;
}

static int fake_os_guard(void *memory, size_t size, bool is_offered, int refusal)
{
    check_msg(fake_os_is_mapped(memory, size), "a guard outside of every mapping");
    if (!is_offered || (fake_os.options.guards_granted != 0 && fake_os.guard_count >= fake_os.options.guards_granted))
        return refusal;
    memset(memory, 0, size); /* what was there is lost */
    for (size_t at = 0; at < size && fake_os.guard_count < FAKE_GUARDS; at += FAKE_PAGE)
        fake_os.guards[fake_os.guard_count++] = (char *)memory + at;
    return 0;
}

static int fake_os_protect_none(void *memory, size_t size)
{
    return fake_os_guard(memory, size, fake_os.options.guards != HAFT__GUARD_CANARY, -ENOMEM);
}

static int fake_os_advise(void *memory, size_t size, enum haft__os_advice advice)
{
    bool may_be_allocated = advice == HAFT__ADVISE_DISCARD || advice == HAFT__ADVISE_NO_HUGE;
    check_msg(may_be_allocated || fake_os_is_mapped(memory, size), "advice for what is not mapped");
    switch (advice) {
    case HAFT__ADVISE_GUARD:
        return fake_os_guard(memory, size, fake_os.options.guards == HAFT__GUARD_ADVISED, -EINVAL);
    case HAFT__ADVISE_DISCARD:
        FAKE_OS_IS_ADDRESSABLE(memory, size); /* to Valgrind what lies behind a stack pointer is not */
        memset(memory, 0, size);
        return 0;
    default:
        return 0;
    }
}

static int fake_os_advise_each(const haft__os_range *ranges, size_t count, enum haft__os_advice advice)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = fake_os_advise(ranges[i].memory, ranges[i].size, advice);
    return rc;
}

static size_t fake_os_page_size(void)
{
    return FAKE_PAGE;
}

/* --- time and waiting --------------------------------------------------------------------------------------------- */

/* Lets the clock move by one look, but not beyond the worker's next timer. */
static void fake_os_look(const haft__worker *worker)
{
    int64_t next = fake_os.now + FAKE_OS_LOOK;
    int64_t due = haft__load_relaxed(&worker->timers.earliest);
    if (next > due)
        next = due;
    if (next > fake_os.now)
        fake_os.now = next;
}

static int64_t fake_os_now(void)
{
    const haft__thread *here = haft__here_or_null();
    fake_os.yields = 0;
    if (here != NULL && here->worker != NULL && here->root == &here->own)
        fake_os_look(here->worker); /* it idles, or looks at its timers between two tasks */
    return fake_os.now;
}

static int fake_os_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    fake_os.yields = 0;
    if (haft__load_acquire(word) != expected)
        return 0;
    fake_os.sleeps++;
    check_msg(deadline != INT64_MAX, "every job waits for ever");
    if (deadline > fake_os.now)
        fake_os.now = deadline;
    return -ETIMEDOUT;
}

static void fake_os_futex_wake(haft__atomic(uint32_t) *word, int count)
{
    (void)word; /* the only thread is awake */
    check_int(count, >, 0);
}

static void fake_os_yield(void)
{
    check_msg(++fake_os.yields < FAKE_YIELDS, "a wait for another thread, and there is none");
    /* A worker that yields to nobody passes its time. */
    const haft__thread *here = haft__here_or_null();
    if (here != NULL && here->worker != NULL)
        fake_os_look(here->worker);
}

static int fake_os_membarrier_register(void)
{
    return -ENOSYS;
}

static void fake_os_membarrier(void)
{
    fail("membarrier was used although it was refused");
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

static int fake_os_thread_create(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                                 void *argument)
{
    (void)out;
    (void)options;
    (void)entry;
    (void)argument;
    return -EAGAIN;
}

static void fake_os_thread_join(haft__os_thread thread)
{
    fail("thread %ju was joined, and there is none", (uintmax_t)thread.native);
}

static void fake_os_thread_detach(haft__os_thread thread)
{
    fail("thread %ju was detached, and there is none", (uintmax_t)thread.native);
}

static haft__os_thread fake_os_thread_self(void)
{
    return (haft__os_thread){ 1 };
}

static int fake_os_thread_at_exit(void (*destructor)(void *), void *value)
{
    for (size_t i = 0; i < fake_os.exit_count; i++)
        if (fake_os.exits[i].destructor == destructor) {
            fake_os.exits[i].value = value;
            return 0;
        }
    check_uint(fake_os.exit_count, <, FAKE_EXITS);
    fake_os.exits[fake_os.exit_count].destructor = destructor;
    fake_os.exits[fake_os.exit_count++].value = value;
    return 0;
}

static void fake_os_thread_set_name(const char *name)
{
    (void)name;
}

/* The sanitizers must know the true stack, and errno is where the C library has it. */
static int fake_os_thread_stack(void **low, size_t *size)
{
    return haft__os_linux.thread_stack(low, size);
}

static int *fake_os_thread_errno(void)
{
    return haft__os_linux.thread_errno();
}

static int fake_os_alternate_stack_enter(void **memory)
{
    *memory = NULL;
    return 0;
}

static void fake_os_alternate_stack_leave(void *memory)
{
    check_ptr(memory, ==, NULL);
}

/* --- process ------------------------------------------------------------------------------------------------------ */

static unsigned fake_os_cpu_count(void)
{
    return 1;
}

static size_t fake_os_map_count_limit(void)
{
    return fake_os.options.map_count_limit;
}

static unsigned fake_os_thread_count(void)
{
    return 1;
}

static bool fake_os_may_be_signalled(void)
{
    return false;
}

static int fake_os_at_fork_child(void (*what)(void))
{
    (void)what; /* nobody forks here */
    return 0;
}

static int fake_os_fault_handler_install(bool (*handler)(const haft__os_fault *))
{
    check(handler != NULL);
    return 0;
}

static void fake_os_write_error(const char *text, size_t length)
{
    size_t room = sizeof fake_os.errors - 1 - fake_os.errors_length;
    if (length > room)
        length = room;
    memcpy(fake_os.errors + fake_os.errors_length, text, length);
    fake_os.errors_length += length;
}

static void fake_os_abort(void)
{
    fail("the library ended the process, saying \"%s\"", fake_os.errors);
}

static uint64_t fake_os_random(void)
{
    return UINT64_C(0x9e3779b97f4a7c15);
}

/* --- what a test calls -------------------------------------------------------------------------------------------- */

__attribute__((unused)) static void fake_os_enter(struct fake_os_options options)
{
    static const struct haft__os table = {
        .size = sizeof table,
        .allocate = fake_os_allocate,
        .release = fake_os_release,
        .map = fake_os_map,
        .unmap = fake_os_unmap,
        .protect_none = fake_os_protect_none,
        .advise = fake_os_advise,
        .advise_each = fake_os_advise_each,
        .page_size = fake_os_page_size,
        .now = fake_os_now,
        .futex_wait = fake_os_futex_wait,
        .futex_wake = fake_os_futex_wake,
        .yield = fake_os_yield,
        .membarrier_register = fake_os_membarrier_register,
        .membarrier = fake_os_membarrier,
        .thread_create = fake_os_thread_create,
        .thread_join = fake_os_thread_join,
        .thread_detach = fake_os_thread_detach,
        .thread_self = fake_os_thread_self,
        .thread_at_exit = fake_os_thread_at_exit,
        .thread_set_name = fake_os_thread_set_name,
        .thread_stack = fake_os_thread_stack,
        .thread_errno = fake_os_thread_errno,
        .alternate_stack_enter = fake_os_alternate_stack_enter,
        .alternate_stack_leave = fake_os_alternate_stack_leave,
        .cpu_count = fake_os_cpu_count,
        .map_count_limit = fake_os_map_count_limit,
        .thread_count = fake_os_thread_count,
        .may_be_signalled = fake_os_may_be_signalled,
        .at_fork_child = fake_os_at_fork_child,
        .fault_handler_install = fake_os_fault_handler_install,
        .write_error = fake_os_write_error,
        .abort = fake_os_abort,
        .random = fake_os_random,
    };

    check_ptr(haft__here_or_null(), ==, NULL);
    check_uint(haft__runtimes_live(), ==, 0);
    fake_os.options = options;
    fake_os.now = 1000 * HAFT_S;
    haft__os_replace(&table);
}

/* The thread "ends", as far as this world goes; Linux is back. */
__attribute__((unused)) static void fake_os_leave(void)
{
    fake_os.fail_allocation = fake_os.fail_mapping = 0;
    fake_os.is_out_of_memory = false;
    while (fake_os.exit_count > 0) {
        fake_os.exit_count--;
        if (fake_os.exits[fake_os.exit_count].value != NULL)
            fake_os.exits[fake_os.exit_count].destructor(fake_os.exits[fake_os.exit_count].value);
    }
    check_ptr(haft__here_or_null(), ==, NULL);
    check_uint(haft__runtimes_live(), ==, 0);
    for (size_t i = 0; i < fake_os.guard_count; i++)
        for (size_t at = 0; at < FAKE_PAGE; at++)
            check_msg(fake_os.guards[i][at] == 0, "something was written into guard %zu, at its byte %zu", i, at);
    check_str(fake_os.errors, "");
    haft__os_replace(NULL);
}

#endif
