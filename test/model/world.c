/* SPDX-License-Identifier: MIT
 *
 * Not instrumented. Its static data is put back before each run, like everybody's. */
#include "world.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"

struct world world;

enum { MOST_THREADS = 8 };
static int errnos[MOST_THREADS];
static struct at_exit {
    void (*destructor)(void *);
    void *value;
} at_exits[MOST_THREADS];

static void *map(size_t size)
{
    return model_map(size);
}

static void unmap(void *memory, size_t size)
{
    (void)memory;
    (void)size;
}

static int protect_none(void *memory, size_t size)
{
    (void)memory;
    (void)size;
    return 0;
}

static int advise(void *memory, size_t size, enum haft__os_advice advice)
{
    (void)memory;
    (void)size;
    (void)advice;
    return 0;
}

static int advise_each(const haft__os_range *ranges, size_t count, enum haft__os_advice advice)
{
    (void)ranges;
    (void)count;
    (void)advice;
    return 0;
}

static size_t page_size(void)
{
    return 4096;
}

static int futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    return model_sleep((volatile uint32_t *)word, expected, deadline);
}

static void futex_wake(haft__atomic(uint32_t) *word, int count)
{
    model_wake((volatile uint32_t *)word, count);
}

static int membarrier_register(void)
{
    return world.has_no_membarrier ? -ENOSYS : 0;
}

static int thread_create(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                         void *argument)
{
    if (world.thread_failures > 0) {
        world.thread_failures--;
        return -EAGAIN;
    }
    (void)options;
    out->native = 0;
    if (world.absent > 0 && --world.absent == 0)
        return 0;
    int number = model_start(entry, argument);
    out->native = (uintptr_t)number + 1;
    return 0;
}

static void thread_join(haft__os_thread thread)
{
    if (thread.native != 0)
        model_join((int)thread.native - 1);
}

static void thread_detach(haft__os_thread thread)
{
    (void)thread;
}

static haft__os_thread thread_self(void)
{
    return (haft__os_thread){ (uintptr_t)model_self() + 1 };
}

static int thread_at_exit(void (*destructor)(void *), void *value)
{
    at_exits[model_self()] = (struct at_exit){ destructor, value };
    return 0;
}

static unsigned thread_count(void)
{
    return world.threads;
}

static bool may_be_signalled(void)
{
    return false;
}

static void thread_set_name(const char *name)
{
    (void)name;
}

static int thread_stack(void **low, size_t *size)
{
    *low = NULL;
    *size = 0;
    return -ENOSYS;
}

static int *thread_errno(void)
{
    return &errnos[model_self()];
}

static int alternate_stack_enter(void **memory)
{
    *memory = NULL;
    return 0;
}

static void alternate_stack_leave(void *memory)
{
    (void)memory;
}

static unsigned cpu_count(void)
{
    return 1;
}

static size_t map_count_limit(void)
{
    return 0;
}

static int at_fork_child(void (*what)(void))
{
    (void)what;
    return 0;
}

static int fault_handler_install(bool (*handler)(const haft__os_fault *))
{
    (void)handler;
    return 0;
}

static void write_error(const char *text, size_t length)
{
    (void)text;
    (void)length;
    world.reports++;
}

static void abort_(void)
{
    model_fail("the library ended the process");
}

static uint64_t random_(void)
{
    return 42;
}

static const struct haft__os table = {
    .size = sizeof(struct haft__os),
    .allocate = model_allocate,
    .release = model_release,
    .map = map,
    .unmap = unmap,
    .protect_none = protect_none,
    .advise = advise,
    .advise_each = advise_each,
    .page_size = page_size,
    .now = model_now,
    .futex_wait = futex_wait,
    .futex_wake = futex_wake,
    .yield = model_spin,
    .membarrier_register = membarrier_register,
    .membarrier = model_fence_heavy,
    .thread_create = thread_create,
    .thread_join = thread_join,
    .thread_detach = thread_detach,
    .thread_self = thread_self,
    .thread_at_exit = thread_at_exit,
    .thread_count = thread_count,
    .may_be_signalled = may_be_signalled,
    .thread_set_name = thread_set_name,
    .thread_stack = thread_stack,
    .thread_errno = thread_errno,
    .alternate_stack_enter = alternate_stack_enter,
    .alternate_stack_leave = alternate_stack_leave,
    .cpu_count = cpu_count,
    .map_count_limit = map_count_limit,
    .at_fork_child = at_fork_child,
    .fault_handler_install = fault_handler_install,
    .write_error = write_error,
    .abort = abort_,
    .random = random_,
};

/* --- the engine's side --------------------------------------------------------------------------------------------------- */

static void run_begins(void)
{
    haft__fence_setup();
}

static void thread_ends(void)
{
    struct at_exit *mine = &at_exits[model_self()];
    if (mine->destructor != NULL)
        mine->destructor(mine->value);
}

static void *context_out(void)
{
    return haft__arch_tls_load(haft__current_thread);
}

static void context_in(void *context)
{
    haft__arch_tls_store(haft__current_thread, context);
}

__attribute__((constructor)) static void enter(void)
{
    static const struct model_world given = {
        .run_begins = run_begins, .thread_ends = thread_ends, .context_out = context_out, .context_in = context_in
    };
    haft__os = &table;
    model_set_world(&given);
}
