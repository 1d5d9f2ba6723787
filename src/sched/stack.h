/* SPDX-License-Identifier: MIT
 *
 * Stacks of tasks. A stack is bound when a task first runs and given back when it ends; a queued or finished job has
 * none.
 *
 * Slots of one size are carved one after the other from large reserved arenas, so that page tables stay small. Each
 * slot begins with a guard page and so ends at the next one's; the arena ends with one more. What describes a slot
 * lives outside of it, so that the memory of an unused stack can be given back whole.
 *
 * An arena chooses its guards at birth: MADV_GUARD_INSTALL, which splits no mapping; where the kernel lacks it
 * mprotect, which costs two mappings a slot, as long as all arenas together stay below a quarter of vm.max_map_count;
 * after that none, and a canary word at the low end is compared at each switch instead.
 *
 * Where a free stack is: in a worker's cache; or in the depot, warm, with its memory, in a magazine that any worker may
 * take; or in its arena. Caches and magazines are last in, first out. Trimming moves stacks that lay warm in the depot,
 * unused, for a whole interval into their arenas and gives their memory back to the kernel; an arena in which nothing is
 * left in use gives back what describes its slots, too. Guards survive that, canaries are written anew. When there is
 * no warm stack the lowest free slots of the oldest arena are taken, so that a program that once used many stacks comes
 * to use a few arenas again. Addresses stay mapped for ever.
 *
 * Nobody trims but workers that have nothing else to do, and the end of a runtime; no thread exists for it. */
#ifndef HAFT_SCHED_STACK_H
#define HAFT_SCHED_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "wait/root.h"

enum haft__guard {
    HAFT__GUARD_ADVISED,
    HAFT__GUARD_PROTECTED,
    HAFT__GUARD_CANARY,
};

typedef struct haft__stack {
    struct haft__stack *next;
    struct haft__stack *magazine; /* in the depot: the next magazine */
    struct haft__arena *arena;
    char *low; /* the lowest usable byte */
    char *top; /* the byte behind the highest */
    uint8_t class;
    uint8_t guard;  /* enum haft__guard */
    bool is_used;   /* a root was made at its top; with the root's mark: and is still there */
    uint16_t count; /* in the depot: how many stacks this magazine holds */
    haft__fiber_note note;
} haft__stack;

typedef struct haft__stack_cache {
    haft__stack *first; /* of the smallest class */
    unsigned count;
    haft__stack *larger; /* the last one given of another class */
} haft__stack_cache;

/* The class whose usable size is at least that many bytes, or -1: too large. */
int haft__stack_class_of(size_t size);
static inline int haft__stack_class(size_t size)
{
    return __builtin_expect(size == 0, 1) ? 0 : haft__stack_class_of(size);
}
/* A stack of that class, or null when there is no memory. */
haft__stack *haft__stack_take_slowly(haft__stack_cache *cache, unsigned class);
static inline haft__stack *haft__stack_take(haft__stack_cache *cache, unsigned class)
{
    haft__stack *stack = cache->first;
    if (__builtin_expect(class != 0 || stack == NULL, 0))
        return haft__stack_take_slowly(cache, class);
    cache->first = stack->next;
    cache->count--;
    return stack;
}
/* Gives one back. It may be the stack that is running: it stays in the cache, private to this worker, at least until
 * the next call. */
void haft__stack_give_slowly(haft__stack_cache *cache, haft__stack *stack);
static inline void haft__stack_give(haft__stack_cache *cache, haft__stack *stack)
{
    if (__builtin_expect(stack->class != 0 || cache->count >= 2 * HAFT__STACK_MAGAZINE, 0)) {
        haft__stack_give_slowly(cache, stack);
        return;
    }
    stack->next = cache->first;
    cache->first = stack;
    cache->count++;
}
void haft__stack_cache_flush(haft__stack_cache *cache);

/* How many stacks are not free in their arenas nor in the depot, how many are free and have memory, and how much memory
 * both may have, guards excluded. */
void haft__stacks_count(uint64_t *used, uint64_t *cached, uint64_t *bytes);

/* True if the depot holds more than it keeps for the next ones, so that somebody idle should look after it. A hint:
 * whoever gave stacks back sees it himself, and others a moment later. */
extern haft__atomic(uint32_t) haft__stacks_spare;
static inline bool haft__stacks_are_spare(void)
{
    return haft__load_relaxed(&haft__stacks_spare) != 0;
}
/* Gives some memory back, if some is due: as much as takes a tenth of a millisecond. Returns when to call again: `now`
 * if more is due already, INT64_MAX if there will be nothing. */
int64_t haft__stacks_trim(int64_t now);
/* Gives everything back that the depot holds, but for a few warm stacks. */
void haft__stacks_trim_all(void);

/* True if the address lies in a guard of some arena or below the usable part of a stack; from a signal handler. */
bool haft__stack_is_guard(const void *address);

/* The stack in whose slot an address lies, or null. */
const haft__stack *haft__stack_at(const void *address);

/* Names whose stack was overwritten, and ends the process: set by src/job before the first worker starts. */
typedef void haft__stack_reporter(const haft__root *root, const haft__stack *stack);
extern haft__atomic(haft__stack_reporter *) haft__stack_report;

/* The word at the low end of a stack whose guard is a canary. */
#define HAFT__CANARY UINT64_C(0xca5a4172ca5a4172)
static inline bool haft__stack_is_whole(const haft__root *root)
{
    return root->mark == HAFT__ROOT_MARK && (const char *)__builtin_frame_address(0) >= root->low &&
           (root->canary == NULL || *root->canary == HAFT__CANARY);
}

/* How large a stack is, guard excluded. */
static inline size_t haft__stack_size(const haft__stack *stack)
{
    return (size_t)(stack->top - stack->low);
}

#endif
