/* SPDX-License-Identifier: MIT
 *
 * Arenas, the depot and the caches of stacks. Lock order: the depot's lock alone; the allocator is called outside it. */
#include "sched/stack.h"

#include <string.h>

#include "os/os.h"
#include "wait/lock.h"

struct arena {
    struct arena *next; /* append-only: read without a lock by the fault handler */
    char *memory;
    size_t slot_size;
    size_t slots;
    size_t carved;
    size_t page;
    uint8_t class;
    uint8_t guard;
    haft__stack stacks[];
};

static struct {
    haft__lock lock;
    haft__stack *magazines[HAFT__STACK_CLASSES]; /* of the smallest class HAFT__STACK_MAGAZINE each, else of one */
    struct arena *open[HAFT__STACK_CLASSES];     /* the arena that slots are carved from */
    size_t protected_slots;
} depot;

static haft__atomic(struct arena *) arenas;

int haft__stack_class_of(size_t size)
{
    size_t page = haft__os->page_size();
    size_t slot = HAFT__STACK_SIZE;
    for (int class = 0; class < HAFT__STACK_CLASSES; class ++, slot *= 2)
        if (size <= slot - page - sizeof(haft__root))
            return class;
    return -1;
}

static void guard_slot(struct arena *arena, char *page)
{
    switch (arena->guard) {
    case HAFT__GUARD_ADVISED:
        if (haft__os->advise(page, arena->page, HAFT__ADVISE_GUARD) == 0)
            return;
        break;
    case HAFT__GUARD_PROTECTED:
        if (haft__os->protect_none(page, arena->page) == 0)
            return;
        break;
    default:
        break;
    }
    /* Refused half way, for want of memory or mappings: what is carved from here on has canaries. */
    arena->guard = HAFT__GUARD_CANARY;
}

/* Which guards a new arena of so many slots can have; its first page is tried. The lock is not held: two arenas born at
 * once may together take a little more than the quarter. */
static enum haft__guard choose_guard(char *memory, size_t page, size_t slots)
{
    if (haft__os->advise(memory, page, HAFT__ADVISE_GUARD) == 0)
        return HAFT__GUARD_ADVISED;
    size_t limit = haft__os->map_count_limit();
    haft__lock_acquire(&depot.lock);
    bool fits = limit == 0 || 2 * (depot.protected_slots + slots) <= limit / 4;
    if (fits)
        depot.protected_slots += slots;
    haft__lock_release(&depot.lock);
    return fits ? HAFT__GUARD_PROTECTED : HAFT__GUARD_CANARY;
}

static struct arena *arena_new(unsigned class)
{
    size_t slot_size = (size_t)HAFT__STACK_SIZE << class;
    size_t slots = slot_size < HAFT__ARENA_SIZE / 4 ? HAFT__ARENA_SIZE / slot_size : 4;
    size_t page = haft__os->page_size();
    struct arena *arena = haft__os->allocate(sizeof *arena + slots * sizeof(haft__stack), _Alignof(struct arena));
    if (arena == NULL)
        return NULL;
    memset(arena, 0, sizeof *arena + slots * sizeof(haft__stack));
    arena->memory = haft__os->map(slots * slot_size + page);
    if (arena->memory == NULL) {
        haft__os->release(arena);
        return NULL;
    }
    haft__os->advise(arena->memory, slots * slot_size, HAFT__ADVISE_NO_HUGE);
    arena->slot_size = slot_size;
    arena->slots = slots;
    arena->page = page;
    arena->class = (uint8_t) class;
    arena->guard = (uint8_t)choose_guard(arena->memory, page, slots);
    guard_slot(arena, arena->memory + slots * slot_size);
    /* Release: partner of the acquire in the fault handler's walk. */
    struct arena *first = haft__load_relaxed(&arenas);
    do
        arena->next = first;
    while (!haft__cas_weak_acq_rel(&arenas, &first, arena));
    return arena;
}

/* Carves up to n slots. The depot's lock is held: an arena is open to one at a time. */
static haft__stack *carve(struct arena *arena, size_t n)
{
    haft__stack *first = NULL;
    for (; n > 0 && arena->carved < arena->slots; n--) {
        size_t i = arena->carved++;
        char *slot = arena->memory + i * arena->slot_size;
        haft__stack *stack = &arena->stacks[i];
        guard_slot(arena, slot);
        stack->low = slot + arena->page;
        stack->top = slot + arena->slot_size;
        stack->class = arena->class;
        stack->guard = arena->guard;
        if (stack->guard == HAFT__GUARD_CANARY)
            *(uint64_t *)(void *)stack->low = HAFT__CANARY;
        haft__announce_create(&stack->note, stack->low, haft__stack_size(stack));
        stack->next = first;
        first = stack;
    }
    return first;
}

/* A chain of stacks of that class, or null. */
static haft__stack *depot_take(unsigned class)
{
    size_t n = class == 0 ? HAFT__STACK_MAGAZINE : 1;
    for (;;) {
        haft__lock_acquire(&depot.lock);
        haft__stack *first = depot.magazines[class];
        struct arena *open = depot.open[class];
        if (first != NULL)
            depot.magazines[class] = first->magazine;
        else if (open != NULL && open->carved < open->slots)
            first = carve(open, n);
        haft__lock_release(&depot.lock);
        if (first != NULL)
            return first;
        struct arena *fresh = arena_new(class);
        if (fresh == NULL)
            return NULL;
        haft__lock_acquire(&depot.lock);
        /* Two at once: the loser's arena is carved first, the winner's is lost to nobody: its slots go to the depot. */
        struct arena *other = depot.open[class];
        haft__stack *rest = NULL;
        if (other != NULL && other->carved < other->slots) {
            rest = carve(fresh, fresh->slots);
            while (rest != NULL) {
                haft__stack *magazine = rest, *last = rest;
                for (size_t i = 1; i < n && last->next != NULL; i++)
                    last = last->next;
                rest = last->next;
                last->next = NULL;
                magazine->magazine = depot.magazines[class];
                depot.magazines[class] = magazine;
            }
        } else {
            depot.open[class] = fresh;
        }
        haft__lock_release(&depot.lock);
    }
}

static void depot_put(haft__stack *first)
{
    haft__lock_acquire(&depot.lock);
    first->magazine = depot.magazines[first->class];
    depot.magazines[first->class] = first;
    haft__lock_release(&depot.lock);
}

haft__stack *haft__stack_take_slowly(haft__stack_cache *cache, unsigned class)
{
    haft__stack *stack = cache->larger;
    if (stack != NULL && stack->class == class) {
        cache->larger = NULL;
        return stack;
    }
    stack = depot_take(class);
    if (stack == NULL || class != 0)
        return stack;
    cache->first = stack->next;
    cache->count = 0;
    for (haft__stack *s = cache->first; s != NULL; s = s->next)
        cache->count++;
    return stack;
}

void haft__stack_give(haft__stack_cache *cache, haft__stack *stack)
{
    if (stack->class != 0) {
        if (cache->larger != NULL)
            depot_put(cache->larger);
        cache->larger = stack;
        stack->next = NULL;
        return;
    }
    if (cache->count >= 2 * HAFT__STACK_MAGAZINE) {
        haft__stack *first = cache->first, *last = first;
        for (unsigned i = 1; i < HAFT__STACK_MAGAZINE; i++)
            last = last->next;
        cache->first = last->next;
        cache->count -= HAFT__STACK_MAGAZINE;
        last->next = NULL;
        depot_put(first);
    }
    stack->next = cache->first;
    cache->first = stack;
    cache->count++;
}

void haft__stack_cache_flush(haft__stack_cache *cache)
{
    if (cache->first != NULL)
        depot_put(cache->first);
    if (cache->larger != NULL)
        depot_put(cache->larger);
    cache->first = cache->larger = NULL;
    cache->count = 0;
}

bool haft__stack_is_guard(const void *address)
{
    const char *at = address;
    /* Acquire: partner of the release that appended the arena. */
    for (struct arena *arena = haft__load_acquire(&arenas); arena != NULL; arena = arena->next) {
        if (at < arena->memory || at >= arena->memory + arena->slots * arena->slot_size + arena->page)
            continue;
        return (size_t)(at - arena->memory) % arena->slot_size < arena->page;
    }
    return false;
}
