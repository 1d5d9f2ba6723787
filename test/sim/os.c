/* SPDX-License-Identifier: MIT
 *
 * What stands behind the table of src/os in the simulator, under the names that the library's own files have for it.
 *
 * Memory comes from one arena, so that a run does not depend on what the C library's heap did before: blocks are filled
 * when they are given out and when they come back, have a mark behind their end, and rest for a while before they are
 * used again; what is written into them meanwhile is found. At the end every block must be released or be reached from
 * static memory, directly or through others: the rest has leaked. */
#include "world.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/linux.h"
#include "sched/stack.h"

/* --- the heap ----------------------------------------------------------------------------------------------------- */

enum { GRAIN = 64, CLASSES = 64, RESTING = 64, GIVEN = 0xa5, TAKEN = 0xdd };
#define ARENA_SIZE ((size_t)8 << 30)
#define MARK UINT64_C(0x5afe5afe5afe5afe)

struct block {
    char *memory;
    size_t size; /* as asked for; the mark stands behind */
    uint32_t next;
    bool is_live, is_reached;
};

static struct {
    char *arena, *at;
    struct block *blocks; /* in the order of their addresses */
    uint32_t count, capacity;
    uint32_t free[CLASSES]; /* by size in grains; 0: none */
    uint32_t resting[RESTING];
    unsigned rest_at;
} heap;

void sim_memory_init(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    heap.arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (heap.arena == MAP_FAILED)
        sim_finding(SIM_MISUSE, "the simulator has no memory");
    heap.at = heap.arena;
    heap.count = 1; /* block 0 is nobody's */
}

static size_t grains(size_t size)
{
    return (size + sizeof(uint64_t) + GRAIN - 1) / GRAIN;
}

/* The block's number stands in the 8 bytes before it. */
static uint32_t *number_of(void *memory)
{
    return (uint32_t *)(void *)((char *)memory - 8);
}

static uint32_t block_new(size_t size, size_t alignment)
{
    if (heap.count >= heap.capacity) {
        heap.capacity = heap.capacity == 0 ? 1024 : 2 * heap.capacity;
        heap.blocks = realloc(heap.blocks, heap.capacity * sizeof *heap.blocks);
        if (heap.blocks == NULL)
            sim_finding(SIM_MISUSE, "the simulator has no memory");
    }
    uintptr_t at = ((uintptr_t)heap.at + 8 + alignment - 1) & ~(uintptr_t)(alignment - 1);
    heap.at = (char *)at + grains(size) * GRAIN;
    if (heap.at > heap.arena + ARENA_SIZE)
        sim_finding(SIM_MISUSE, "the simulator has no memory left");
    uint32_t number = heap.count++;
    heap.blocks[number] = (struct block){ .memory = (char *)at };
    *number_of((char *)at) = number;
    return number;
}

void *haft__linux_allocate(size_t size, size_t alignment)
{
    if (size == 0 || alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0)
        sim_finding(SIM_MISUSE, "%zu bytes with an alignment of %zu were asked for", size, alignment);
    sim_call("allocate", size);
    if (sim_fault(SIM_ALLOCATION))
        return NULL;
    size_t class = grains(size);
    uint32_t number = class < CLASSES && alignment <= GRAIN ? heap.free[class] : 0;
    if (number != 0)
        heap.free[class] = heap.blocks[number].next;
    else
        number = block_new(size, alignment < GRAIN ? GRAIN : alignment);
    struct block *block = &heap.blocks[number];
    block->size = size;
    block->is_live = true;
    /* The rest of a large one is never touched before it is used. */
    memset(block->memory, GIVEN, size < 4096 ? size : 4096);
    memcpy(block->memory + size, &(uint64_t){ MARK }, sizeof(uint64_t));
    return block->memory;
}

static void check_mark(const struct block *block)
{
    uint64_t mark;
    memcpy(&mark, block->memory + block->size, sizeof mark);
    if (mark != MARK)
        sim_finding(SIM_MISUSE, "something was written behind a block of %zu bytes", block->size);
}

static void check_rest(const struct block *block)
{
    for (size_t i = 0; i < block->size; i++)
        if ((unsigned char)block->memory[i] != TAKEN)
            sim_finding(SIM_MISUSE, "byte %zu of a released block of %zu bytes was written", i, block->size);
}

void haft__linux_release(void *memory)
{
    sim_call("release", 0);
    if (memory == NULL)
        return;
    uint32_t number = (char *)memory > heap.arena && (char *)memory < heap.at ? *number_of(memory) : 0;
    if (number == 0 || number >= heap.count || heap.blocks[number].memory != memory || !heap.blocks[number].is_live)
        sim_finding(SIM_MISUSE, "memory was released that is not allocated");
    struct block *block = &heap.blocks[number];
    check_mark(block);
    block->is_live = false;
    size_t class = grains(block->size);
    if (class >= CLASSES)
        return; /* large blocks are rare, and never used again */
    memset(memory, TAKEN, block->size);
    uint32_t rested = heap.resting[heap.rest_at];
    heap.resting[heap.rest_at] = number;
    heap.rest_at = (heap.rest_at + 1) % RESTING;
    if (rested != 0) {
        check_rest(&heap.blocks[rested]);
        class = grains(heap.blocks[rested].size);
        heap.blocks[rested].next = heap.free[class];
        heap.free[class] = rested;
    }
}

/* --- what is left of the heap ------------------------------------------------------------------------------------- */

static uint32_t find_block(const char *address)
{
    uint32_t low = 1, high = heap.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (heap.blocks[middle].memory <= address)
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t number = low - 1;
    bool is_inside =
        number != 0 && heap.blocks[number].is_live && address < heap.blocks[number].memory + heap.blocks[number].size;
    return is_inside ? number : 0;
}

/* Numbers of blocks that were reached and not yet looked through. */
static uint32_t *reached, reached_count;

static void look_through(const char *from, const char *to)
{
    for (; from + sizeof(char *) <= to; from += sizeof(char *)) {
        const char *address;
        memcpy(&address, from, sizeof address);
        if (address < heap.arena || address >= heap.at)
            continue;
        uint32_t number = find_block(address);
        if (number != 0 && !heap.blocks[number].is_reached) {
            heap.blocks[number].is_reached = true;
            reached[reached_count++] = number;
        }
    }
}

/* The program's own static memory, as the linker names its ends. */
extern char __data_start[], _end[];

bool sim_memory_is_wrong(char *text, size_t size)
{
    for (unsigned i = 0; i < RESTING; i++)
        if (heap.resting[i] != 0)
            check_rest(&heap.blocks[heap.resting[i]]);
    for (uint32_t i = 1; i < heap.count; i++)
        if (heap.blocks[i].is_live)
            check_mark(&heap.blocks[i]);
    reached = calloc(heap.count, sizeof *reached);
    if (reached == NULL)
        sim_finding(SIM_MISUSE, "the simulator has no memory");
    look_through(__data_start, _end);
    while (reached_count > 0) {
        const struct block *block = &heap.blocks[reached[--reached_count]];
        look_through(block->memory, block->memory + block->size);
    }
    free(reached);
    size_t used = 0;
    for (uint32_t i = 1; i < heap.count && used < size; i++)
        if (heap.blocks[i].is_live && !heap.blocks[i].is_reached)
            used += (size_t)snprintf(text + used, size - used, "\n    %zu bytes of memory", heap.blocks[i].size);
    return used != 0;
}

/* --- mappings ----------------------------------------------------------------------------------------------------- */

void *haft__linux_map(size_t size)
{
    size_t page = haft__linux_page_size();
    if (size == 0 || size % page != 0)
        sim_finding(SIM_MISUSE, "a mapping of %zu bytes", size);
    sim_call("map", size);
    if (sim_fault(SIM_MAPPING))
        return NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void haft__linux_unmap(void *memory, size_t size)
{
    sim_call("unmap", size);
    munmap(memory, size);
}

/* Guards are granted or refused; granted ones fault. */
int haft__linux_protect_none(void *memory, size_t size)
{
    if (sim_world.guards == HAFT__GUARD_CANARY)
        return -ENOMEM;
    return mprotect(memory, size, PROT_NONE) == 0 ? 0 : -ENOMEM;
}

int haft__linux_advise(void *memory, size_t size, enum haft__os_advice advice)
{
    switch (advice) {
    case HAFT__ADVISE_GUARD:
        return sim_world.guards == HAFT__GUARD_ADVISED ? haft__linux_protect_none(memory, size) : -EINVAL;
    case HAFT__ADVISE_DISCARD:
        return madvise(memory, size, MADV_DONTNEED);
    default:
        return 0;
    }
}

int haft__linux_advise_each(const haft__os_range *ranges, size_t count, enum haft__os_advice advice)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = haft__linux_advise(ranges[i].memory, ranges[i].size, advice);
    return rc;
}

size_t haft__linux_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t haft__linux_map_count_limit(void)
{
    return 65530;
}

/* --- time and waiting --------------------------------------------------------------------------------------------- */

int64_t haft__linux_now(void)
{
    sim_call("now", 0);
    return sim_now();
}

int haft__linux_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    sim_call("sleep", expected);
    if (*(volatile uint32_t *)word != expected)
        return 0;
    if (!sim_is_running())
        return -EINTR;
    sim_thread *self = sim_world.self;
    if (sim_fault(SIM_SPURIOUS))
        return sim_draw(&sim_world.faults) % 2 == 0 ? 0 : -EINTR;
    self->state = SIM_SLEEPS;
    self->word = word;
    self->expected = expected;
    self->deadline = deadline;
    self->wait_result = 0;
    self->slept_at = sim_steps();
    sim_block("a sleep on a word");
    return self->wait_result;
}

void haft__linux_futex_wake(haft__atomic(uint32_t) *word, int count)
{
    if (count <= 0)
        sim_finding(SIM_MISUSE, "a wake of %d sleepers", count);
    sim_call("wake", (uint64_t)count);
    for (; count > 0; count--) {
        sim_thread *first = NULL;
        for (uint32_t i = 0; i < sim_world.alive; i++) {
            sim_thread *thread = sim_world.threads[i];
            if (thread->state == SIM_SLEEPS && thread->word == word &&
                (first == NULL || thread->slept_at < first->slept_at))
                first = thread;
        }
        if (first == NULL)
            return;
        sim_unblock(first);
    }
}

void haft__linux_yield(void)
{
    sim_give_way("a yield to other threads", SIM_SPIN_NS);
}

int haft__linux_membarrier_register(void)
{
    return sim_world.has_membarrier ? 0 : -ENOSYS;
}

/* All threads see one order of all operations anyway. */
void haft__linux_membarrier(void)
{
    if (!sim_world.has_membarrier)
        sim_finding(SIM_MISUSE, "membarrier was used although it was refused");
    sim_call("membarrier", 0);
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

int haft__linux_thread_create(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                              void *argument)
{
    sim_call("thread", 0);
    if (sim_fault(SIM_THREAD))
        return -EAGAIN;
    const sim_thread *thread = sim_thread_new(entry, argument, options != NULL ? options->stack_size : 0,
                                              options != NULL ? options->name : NULL);
    uintptr_t number = sim_number(thread);
    sim_call("thread created", number); /* it may have ended before its number is told */
    out->native = number;
    return 0;
}

void haft__linux_thread_join(haft__os_thread thread)
{
    sim_call("join", thread.native);
    if (!sim_join(thread.native, NULL))
        sim_finding(SIM_MISUSE, "thread %ju was joined, which is not there to be joined", (uintmax_t)thread.native - 1);
}

void haft__linux_thread_detach(haft__os_thread thread)
{
    sim_call("detach", thread.native);
    if (!sim_detach(thread.native))
        sim_finding(SIM_MISUSE, "thread %ju was detached, which is not there to be", (uintmax_t)thread.native - 1);
}

haft__os_thread haft__linux_thread_self(void)
{
    return (haft__os_thread){ sim_number(sim_world.self) };
}

int haft__linux_thread_at_exit(void (*destructor)(void *), void *value)
{
    if (value != NULL && sim_fault(SIM_EXIT))
        return -ENOMEM;
    sim_world.self->at_exit = destructor;
    sim_world.self->at_exit_value = value;
    return 0;
}

void haft__linux_thread_set_name(const char *name)
{
    snprintf(sim_world.self->name, sizeof sim_world.self->name, "%s", name);
}

int haft__linux_thread_stack(void **low, size_t *size)
{
    *low = sim_world.self->low;
    *size = sim_world.self->stack_size;
    return 0;
}

/* One for all: exchanged at each switch. */
int *haft__linux_thread_errno(void)
{
    return __errno_location(); /* haft's own errno asks for this one */
}

int haft__linux_alternate_stack_enter(void **memory)
{
    *memory = NULL;
    return sim_fault(SIM_NO_ALTERNATE) ? -ENOMEM : 0;
}

void haft__linux_alternate_stack_leave(void *memory)
{
    if (memory != NULL)
        sim_finding(SIM_MISUSE, "an alternate stack was left that nobody entered");
}

/* --- process ------------------------------------------------------------------------------------------------------ */

unsigned haft__linux_cpu_count(void)
{
    return sim_world.cpu_count;
}

unsigned haft__linux_thread_count(void)
{
    unsigned count = 0;
    sim_call("thread count", 0);
    for (uint32_t i = 0; i < sim_world.alive; i++)
        count += sim_world.threads[i]->state != SIM_ENDED;
    return count;
}

/* A test may well call what it installed. */
bool haft__linux_may_be_signalled(void)
{
    return false;
}

int haft__linux_at_fork_child(void (*what)(void))
{
    (void)what; /* nobody forks here */
    return 0;
}

int haft__linux_fault_handler_install(bool (*handler)(const haft__os_fault *))
{
    (void)handler; /* a fault ends the process, and the driver tells of it */
    return 0;
}

void haft__linux_write_error(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDERR_FILENO, text, length);
        if (n <= 0)
            return;
        text += n;
        length -= (size_t)n;
    }
}

void haft__linux_abort(void)
{
    sim_finding(SIM_FAILED, "the library ended the process");
}

uint64_t haft__linux_random(void)
{
    return sim_random();
}
