/* SPDX-License-Identifier: MIT
 *
 * Fault injection: Linux, but the kth request that may be refused is refused, alone or with all that follow.
 *
 *     faults_begin();                                   before the first call of haft
 *     faults_arm((struct faults){ FAULT_MAP, .k = 3, .forever = true });
 *     ...
 *     faults_disarm();
 *
 * A request is an allocation, a mapping, a thread's creation, a guard, or one of the rest: a thread's value for its end,
 * an alternate signal stack, the watch for forks, membarrier, the fault handler. In text: "alloc:7" for the seventh
 * allocation, "map:3+" for the third mapping and all after it; any, alloc, map, thread, guard, rest. "place:1f3a" is the first
 * request from that place, a number for the calls that led to it, the test's own among them; faults_places finds all of a
 * run. */
#ifndef HAFT_TEST_FAULTS_H
#define HAFT_TEST_FAULTS_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

enum fault_kind { FAULT_ANY, FAULT_ALLOC, FAULT_MAP, FAULT_THREAD, FAULT_GUARD, FAULT_REST, FAULT_PLACE, FAULT_KINDS };

struct faults {
    enum fault_kind kind;
    size_t k; /* or the place */
    bool forever;
};

static const char *const fault_names[FAULT_KINDS] = { "any", "alloc", "map", "thread", "guard", "rest", "place" };

/* Places from which requests came, in no order; 0: nobody's yet. Full, it takes no more. */
enum { FAULT_PLACES = 2048 };
typedef _Atomic size_t fault_places[FAULT_PLACES];

static struct {
    _Atomic bool is_armed;
    fault_places *places;  /* where they are collected, or null */
    const void *outermost; /* the frame of the test's caller */
    struct faults what;
    _Atomic size_t requests; /* of that kind, since it was armed */
    _Atomic size_t refused;
    _Atomic long live_allocations, live_mappings;
} faults_state;

/* A number for the calls that led here, the same in every process. Frames are linked by their pointers; the chain ends at
 * the root of a task's stack, and at the first frame of code that was compiled without them. */
static inline __attribute__((always_inline)) size_t fault_place(void)
{
    enum { DEPTH = 10, MOST = 16 << 10 };
    uint64_t place = UINT64_C(14695981039346656037); /* FNV-1a, by words */
    uintptr_t base = (uintptr_t)&faults_state;
#ifdef __riscv
    enum { LINK = -2, RETURN = -1 };
#else
    enum { LINK = 0, RETURN = 1 };
#endif
    const uintptr_t *frame = __builtin_frame_address(0);
    for (int depth = 0; depth < DEPTH; depth++) {
        place = (place ^ (frame[RETURN] - base)) * UINT64_C(1099511628211);
        uintptr_t next = frame[LINK];
        if (next == (uintptr_t)faults_state.outermost || next <= (uintptr_t)frame || next - (uintptr_t)frame > MOST ||
            next % sizeof next != 0)
            break;
        frame = (const uintptr_t *)next; /* NOLINT(performance-no-int-to-ptr) */
    }
    return (size_t)(place >> 16) | 1;
}

static void fault_collect(size_t place)
{
    for (size_t i = 0; i < FAULT_PLACES; i++) {
        size_t none = 0;
        _Atomic size_t *slot = &(*faults_state.places)[(place + i) % FAULT_PLACES];
        if (atomic_compare_exchange_strong(slot, &none, place) || none == place)
            return;
    }
}

static bool fault_is_meant(size_t request, size_t place)
{
    const struct faults *what = &faults_state.what;
    if (what->kind != FAULT_PLACE)
        return request == what->k || (what->forever && request > what->k);
    size_t refused = atomic_load(&faults_state.refused);
    return refused == 0 ? place == what->k : what->forever;
}

static __attribute__((noinline)) bool fault_here(enum fault_kind kind)
{
    if (!atomic_load(&faults_state.is_armed))
        return false;
    enum fault_kind of = faults_state.what.kind;
    if (of != FAULT_ANY && of != FAULT_PLACE && of != kind)
        return false;
    size_t request = atomic_fetch_add(&faults_state.requests, 1) + 1;
    size_t place = of == FAULT_PLACE || faults_state.places != NULL ? fault_place() : 0;
    if (faults_state.places != NULL)
        fault_collect(place);
    bool refuses = fault_is_meant(request, place);
    if (refuses)
        atomic_fetch_add(&faults_state.refused, 1);
    return refuses;
}

static void *fault_allocate(size_t size, size_t alignment)
{
    void *memory = fault_here(FAULT_ALLOC) ? NULL : haft__os_linux.allocate(size, alignment);
    if (memory != NULL)
        atomic_fetch_add(&faults_state.live_allocations, 1);
    return memory;
}

static void fault_release(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&faults_state.live_allocations, 1);
    haft__os_linux.release(memory);
}

static void *fault_map(size_t size)
{
    void *memory = fault_here(FAULT_MAP) ? NULL : haft__os_linux.map(size);
    if (memory != NULL)
        atomic_fetch_add(&faults_state.live_mappings, 1);
    return memory;
}

static void fault_unmap(void *memory, size_t size)
{
    atomic_fetch_sub(&faults_state.live_mappings, 1);
    haft__os_linux.unmap(memory, size);
}

static int fault_protect_none(void *memory, size_t size)
{
    return fault_here(FAULT_GUARD) ? -ENOMEM : haft__os_linux.protect_none(memory, size);
}

static int fault_advise(void *memory, size_t size, enum haft__os_advice advice)
{
    if (advice == HAFT__ADVISE_GUARD && fault_here(FAULT_GUARD))
        return -ENOMEM;
    return haft__os_linux.advise(memory, size, advice);
}

static int fault_advise_each(const haft__os_range *ranges, size_t count, enum haft__os_advice advice)
{
    if (advice == HAFT__ADVISE_GUARD && fault_here(FAULT_GUARD))
        return -ENOMEM;
    return haft__os_linux.advise_each(ranges, count, advice);
}

static int fault_thread_create(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                               void *argument)
{
    return fault_here(FAULT_THREAD) ? -EAGAIN : haft__os_linux.thread_create(out, options, entry, argument);
}

static int fault_thread_at_exit(void (*destructor)(void *), void *value)
{
    return fault_here(FAULT_REST) ? -ENOMEM : haft__os_linux.thread_at_exit(destructor, value);
}

static int fault_alternate_stack_enter(void **memory)
{
    *memory = NULL;
    return fault_here(FAULT_REST) ? -ENOMEM : haft__os_linux.alternate_stack_enter(memory);
}

static int fault_at_fork_child(void (*what)(void))
{
    return fault_here(FAULT_REST) ? -ENOMEM : haft__os_linux.at_fork_child(what);
}

static int fault_membarrier_register(void)
{
    return fault_here(FAULT_REST) ? -ENOSYS : haft__os_linux.membarrier_register();
}

static int fault_handler_install(bool (*handler)(const haft__os_fault *))
{
    return fault_here(FAULT_REST) ? -EINVAL : haft__os_linux.fault_handler_install(handler);
}

/* What the library's own end of the process is told to, if anybody wants to know. */
static void (*fault_on_abort)(void);

static void fault_abort(void)
{
    if (fault_on_abort != NULL)
        fault_on_abort();
    haft__os_linux.abort();
}

static inline void faults_begin(void)
{
    static struct haft__os table;
    table = haft__os_linux;
    table.allocate = fault_allocate;
    table.release = fault_release;
    table.map = fault_map;
    table.unmap = fault_unmap;
    table.protect_none = fault_protect_none;
    table.advise = fault_advise;
    table.advise_each = fault_advise_each;
    table.thread_create = fault_thread_create;
    table.thread_at_exit = fault_thread_at_exit;
    table.alternate_stack_enter = fault_alternate_stack_enter;
    table.at_fork_child = fault_at_fork_child;
    table.membarrier_register = fault_membarrier_register;
    table.fault_handler_install = fault_handler_install;
    table.abort = fault_abort;
    haft__os_replace(&table);
}

static inline void faults_arm(struct faults what)
{
    faults_state.what = what;
    atomic_store(&faults_state.requests, 0);
    atomic_store(&faults_state.refused, 0);
    atomic_store(&faults_state.is_armed, true);
}

/* Lets the next run collect its places there; null: no more. */
static inline void faults_places(fault_places *places)
{
    faults_state.places = places;
}

/* The caller calls the test: it and its own callers are no part of a place. */
#define faults_begin_here() ((void)(faults_state.outermost = __builtin_frame_address(0)))

/* How many requests were refused. */
static inline size_t faults_disarm(void)
{
    atomic_store(&faults_state.is_armed, false);
    return atomic_load(&faults_state.refused);
}

/* "map:3+". False if the text means nothing. */
static inline bool faults_parse(const char *text, struct faults *out)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        size_t length = strlen(fault_names[kind]);
        if (strncmp(text, fault_names[kind], length) != 0 || text[length] != ':')
            continue;
        char *end;
        out->kind = (enum fault_kind)kind;
        out->k = strtoul(text + length + 1, &end, kind == FAULT_PLACE ? 16 : 10);
        out->forever = *end == '+';
        return out->k > 0;
    }
    return false;
}

static inline const char *faults_text(struct faults what)
{
    static char text[64];
    const char *more = what.forever ? "+" : "";
    if (what.kind == FAULT_PLACE)
        snprintf(text, sizeof text, "%s:%zx%s", fault_names[what.kind], what.k, more);
    else
        snprintf(text, sizeof text, "%s:%zu%s", fault_names[what.kind], what.k, more);
    return text;
}

#endif
