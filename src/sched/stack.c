/* SPDX-License-Identifier: MIT
 *
 * Arenas, the depot and the caches of stacks.
 *
 * One lock guards the depot and every arena's slots. The kernel and the allocator are asked outside of it: whoever marks
 * a slot USED or LIMBO under the lock is alone with it. The states of a slot:
 *
 *     UNCARVED ──> USED ──> WARM ──> LIMBO ──> COLD ──> USED
 *        ^                                     │
 *        └────────────── LIMBO <───────────────┘
 *
 * USED is every stack that is not free in its arena: it runs a task, or is in a cache or in a magazine of the depot. WARM
 * ones are free and still have their memory; a step of trimming takes it from many at once, while they are in LIMBO,
 * where nobody finds them. An arena without USED and WARM ones returns to UNCARVED whole, and the memory of what
 * describes its stacks is given back. Guards that were installed once stay. */
#include "sched/stack.h"

#include <string.h>

#include "os/os.h"
#include "wait/lock.h"

enum slot_state { UNCARVED, USED, WARM, LIMBO, COLD };

typedef struct haft__arena {
    struct haft__arena *next; /* of all; append-only: read without a lock by the fault handler */
    struct haft__arena *younger;
    struct haft__arena *next_to_sweep;
    char *memory; /* the slots, one more guard, and then states and stacks */
    size_t slot_size;
    size_t slots;
    size_t page;
    unsigned number; /* in its class */
    uint8_t class;
    uint8_t guard; /* of the slots below `bare` */
    bool is_to_sweep;
    size_t lowest;  /* no slot below it is free */
    size_t guarded; /* guards were asked for below this slot, and for its own */
    size_t bare;    /* from this slot on they were refused */
    size_t warm;
    size_t cold;
    size_t uncarved;
    size_t sweep;   /* where the next step of trimming goes on */
    uint8_t *state; /* enum slot_state */
    haft__stack *stacks;
} arena;

struct class_of_stacks {
    haft__stack *magazines; /* last given first */
    size_t count;           /* of the stacks in them */
    size_t least;           /* the least count since the last look */
    size_t surplus;         /* so many are to leave the magazines */
    arena *oldest, *youngest;
    arena *room; /* no older one has a free slot */
};

static struct {
    haft__lock lock;
    struct class_of_stacks classes[HAFT__STACK_CLASSES];
    size_t protected_slots;
    arena *to_sweep; /* those that have WARM slots */
    int64_t look_at; /* when to look next at what lies unused */
    bool is_trimming;
} depot;

static haft__atomic(arena *) arenas;
haft__atomic(uint32_t) haft__stacks_spare;
haft__atomic(haft__stack_reporter *) haft__stack_report; /* relaxed: always the same one */

int haft__stack_class_of(size_t size)
{
    size_t page = haft__os->page_size();
    size_t slot = HAFT__STACK_SIZE;
    for (int class = 0; class < HAFT__STACK_CLASSES; class ++, slot *= 2)
        if (size <= slot - page - sizeof(haft__root))
            return class;
    return -1;
}

static size_t kept_warm(unsigned class)
{
    return class == 0 ? HAFT__STACK_WARM : 0;
}

static size_t magazine_size(unsigned class)
{
    return class == 0 ? HAFT__STACK_MAGAZINE : 1;
}

/* --- Guards ------------------------------------------------------------------------------------------------------- */

/* Guards of the slots from first to last, both included; of the last one more stands at the end of the arena. */
static bool install_guards(arena *a, size_t first, size_t last)
{
    haft__os_range pages[HAFT__STACK_MAGAZINE + 1];
    size_t n = 0;
    for (size_t i = first; i <= last; i++)
        pages[n++] = (haft__os_range){ a->memory + i * a->slot_size, a->page };
    if (a->guard == HAFT__GUARD_ADVISED)
        return haft__os->advise_each(pages, n, HAFT__ADVISE_GUARD) == 0;
    for (size_t i = 0; i < n; i++)
        if (haft__os->protect_none(pages[i].memory, pages[i].size) != 0)
            return false;
    return true;
}

/* Which guards a new arena of so many slots can have; its first page is tried. Two arenas born at once may together
 * take a little more than the quarter. */
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

/* --- Arenas ------------------------------------------------------------------------------------------------------- */

static size_t round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

/* What describes the slots: their states and stacks, both cleared as long as none is carved. */
static size_t description_size(size_t slots, size_t page)
{
    return round_up(round_up(slots, _Alignof(haft__stack)) + slots * sizeof(haft__stack), page);
}

static arena *arena_new(unsigned class)
{
    size_t slot_size = (size_t)HAFT__STACK_SIZE << class;
    size_t slots = slot_size < HAFT__ARENA_SIZE / 4 ? HAFT__ARENA_SIZE / slot_size : 4;
    size_t page = haft__os->page_size();
    size_t usable = slots * slot_size + page;
    size_t size = usable + description_size(slots, page);
    arena *a = haft__os->allocate(sizeof *a, _Alignof(arena));
    if (a == NULL)
        return NULL;
    char *memory = haft__os->map(size);
    if (memory == NULL) {
        haft__os->release(a);
        return NULL;
    }
    haft__os->advise(memory, size, HAFT__ADVISE_NO_HUGE);
    memset(a, 0, sizeof *a);
    a->memory = memory;
    a->slot_size = slot_size;
    a->slots = slots;
    a->page = page;
    a->class = (uint8_t) class;
    a->guard = (uint8_t)choose_guard(memory, page, slots);
    a->bare = a->guard == HAFT__GUARD_CANARY ? 0 : slots;
    a->uncarved = slots;
    a->state = (uint8_t *)memory + usable;
    a->stacks = (haft__stack *)(void *)(memory + usable + round_up(slots, _Alignof(haft__stack)));
    /* Release: partner of the acquire in the fault handler's walk. */
    arena *first = haft__load_relaxed(&arenas);
    do
        a->next = first;
    while (!haft__cas_weak_release(&arenas, &first, a));
    return a;
}

/* --- Taking from arenas ------------------------------------------------------------------------------------------- */

struct taken {
    arena *arena;
    size_t count;
    struct {
        uint32_t slot;
        bool is_new;
    } slots[HAFT__STACK_MAGAZINE];
    size_t guards_from, guards_to; /* of new slots; none if equal */
    size_t bare;
};

/* Marks the lowest free slots of the oldest arena that has any. The lock is held. */
static void reserve(struct class_of_stacks *of, size_t n, struct taken *taken)
{
    taken->count = 0;
    arena *a = of->room;
    while (a != NULL && a->lowest == a->slots)
        a = a->younger;
    of->room = taken->arena = a;
    if (a == NULL)
        return;
    size_t i = a->lowest;
    for (; i < a->slots && taken->count < n; i++) {
        uint8_t state = a->state[i];
        if (state == USED || state == LIMBO)
            continue;
        a->state[i] = USED;
        a->warm -= state == WARM;
        a->cold -= state == COLD;
        a->uncarved -= state == UNCARVED;
        taken->slots[taken->count].slot = (uint32_t)i;
        taken->slots[taken->count++].is_new = state == UNCARVED;
    }
    a->lowest = i;
    taken->guards_from = taken->guards_to = a->guarded;
    if (a->guarded < i && a->bare == a->slots)
        a->guarded = taken->guards_to = i;
    taken->bare = a->bare;
}

/* The same slots as a chain of stacks, outside of the lock. */
static haft__stack *carve(struct taken *taken)
{
    arena *a = taken->arena;
    /* The lowest one's guard was asked for by whoever took the slots below it, perhaps at this moment: once more. */
    if (taken->guards_from != taken->guards_to && !install_guards(a, taken->guards_from, taken->guards_to)) {
        /* Refused half way, for want of memory or mappings: what is carved from here on has canaries. */
        haft__lock_acquire(&depot.lock);
        if (a->bare > taken->guards_from)
            a->bare = taken->guards_from;
        taken->bare = a->bare;
        haft__lock_release(&depot.lock);
    }
    haft__stack *first = NULL;
    for (size_t k = taken->count; k-- > 0;) {
        size_t i = taken->slots[k].slot;
        char *slot = a->memory + i * a->slot_size;
        haft__stack *stack = &a->stacks[i];
        stack->is_used = false;
        if (taken->slots[k].is_new) {
            stack->arena = a;
            stack->low = slot + a->page;
            stack->top = slot + a->slot_size;
            stack->class = a->class;
            stack->guard = i < taken->bare ? a->guard : (uint8_t)HAFT__GUARD_CANARY;
            haft__announce_create(&stack->note, stack->low, haft__stack_size(stack));
        }
        stack->is_used = false; /* its memory may be gone: nobody is to look for what was there */
        if (stack->guard == HAFT__GUARD_CANARY)
            *(uint64_t *)(void *)stack->low = HAFT__CANARY;
        stack->next = first;
        first = stack;
    }
    return first;
}

/* --- The depot ---------------------------------------------------------------------------------------------------- */

/* The lock is held. */
static void look_for_spare(void)
{
    bool spare = depot.to_sweep != NULL;
    for (unsigned c = 0; c < HAFT__STACK_CLASSES && !spare; c++)
        spare = depot.classes[c].count > kept_warm(c);
    haft__store_relaxed(&haft__stacks_spare, spare);
}

/* The lock is held and there is a magazine. */
static haft__stack *pop_magazine(struct class_of_stacks *of)
{
    haft__stack *first = of->magazines;
    of->magazines = first->magazine;
    of->count -= first->count;
    if (of->count < of->least)
        of->least = of->count;
    return first;
}

/* A chain of stacks of that class, or null. */
static haft__stack *depot_take(unsigned class)
{
    struct class_of_stacks *of = &depot.classes[class];
    for (;;) {
        struct taken taken = { .arena = NULL };
        haft__stack *first = NULL;
        haft__lock_acquire(&depot.lock);
        if (of->magazines != NULL)
            first = pop_magazine(of);
        else
            reserve(of, magazine_size(class), &taken);
        haft__lock_release(&depot.lock);
        if (first != NULL)
            return first;
        if (taken.count != 0)
            return carve(&taken);
        if (taken.arena != NULL)
            continue; /* what seemed to be free there is in use or in limbo; it is not looked at again */
        arena *fresh = arena_new(class);
        if (fresh == NULL)
            return NULL;
        haft__lock_acquire(&depot.lock);
        if (of->youngest != NULL) {
            fresh->number = of->youngest->number + 1;
            of->youngest->younger = fresh;
        } else {
            of->oldest = fresh;
        }
        of->youngest = fresh;
        if (of->room == NULL)
            of->room = fresh;
        haft__lock_release(&depot.lock);
    }
}

static void depot_put(haft__stack *first, unsigned count)
{
    struct class_of_stacks *of = &depot.classes[first->class];
    first->count = (uint16_t)count;
    haft__lock_acquire(&depot.lock);
    first->magazine = of->magazines;
    of->magazines = first;
    of->count += count;
    if (of->count > kept_warm(first->class))
        haft__store_relaxed(&haft__stacks_spare, 1);
    haft__lock_release(&depot.lock);
}

/* --- The caches --------------------------------------------------------------------------------------------------- */

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

void haft__stack_give_slowly(haft__stack_cache *cache, haft__stack *stack)
{
    if (stack->class != 0) {
        if (cache->larger != NULL)
            depot_put(cache->larger, 1);
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
        depot_put(first, HAFT__STACK_MAGAZINE);
    }
    stack->next = cache->first;
    cache->first = stack;
    cache->count++;
}

void haft__stack_cache_flush(haft__stack_cache *cache)
{
    if (cache->first != NULL)
        depot_put(cache->first, cache->count);
    if (cache->larger != NULL)
        depot_put(cache->larger, 1);
    cache->first = cache->larger = NULL;
    cache->count = 0;
}

/* --- Trimming ----------------------------------------------------------------------------------------------------- */

/* The lock is held. */
static void return_to_arena(haft__stack *stack)
{
    arena *a = stack->arena;
    struct class_of_stacks *of = &depot.classes[a->class];
    size_t i = (size_t)(stack - a->stacks);
    a->state[i] = WARM;
    a->warm++;
    if (i < a->lowest)
        a->lowest = i;
    if (of->room == NULL || a->number < of->room->number)
        of->room = a;
    if (!a->is_to_sweep) {
        a->is_to_sweep = true;
        a->next_to_sweep = depot.to_sweep;
        depot.to_sweep = a;
    }
}

/* Empties magazines of what is too much into the arenas; false if nothing is. The lock is held. */
static bool return_surplus(void)
{
    size_t n = 0;
    for (unsigned c = 0; c < HAFT__STACK_CLASSES; c++) {
        struct class_of_stacks *of = &depot.classes[c];
        while (of->surplus > 0 && of->magazines != NULL && n < HAFT__TRIM_BATCH) {
            haft__stack *stack = pop_magazine(of);
            of->surplus -= of->surplus < stack->count ? of->surplus : stack->count;
            n += stack->count;
            while (stack != NULL) {
                haft__stack *next = stack->next;
                return_to_arena(stack);
                stack = next;
            }
        }
        if (of->magazines == NULL)
            of->surplus = 0;
    }
    return n > 0;
}

/* What lay unused since the last look is too much. The lock is held. */
static void look(void)
{
    for (unsigned c = 0; c < HAFT__STACK_CLASSES; c++) {
        struct class_of_stacks *of = &depot.classes[c];
        size_t kept = kept_warm(c);
        of->surplus = of->least > kept ? of->least - kept : 0;
        of->least = of->count;
    }
}

/* Puts the slots in LIMBO among these back as `state`. The lock is held. */
static size_t end_limbo(arena *a, size_t from, size_t to, enum slot_state state)
{
    struct class_of_stacks *of = &depot.classes[a->class];
    size_t n = 0;
    for (size_t i = to; i-- > from;)
        if (a->state[i] == LIMBO) {
            a->state[i] = (uint8_t)state;
            n++;
            if (i < a->lowest)
                a->lowest = i;
        }
    if (n > 0 && (of->room == NULL || a->number < of->room->number))
        of->room = a;
    return n;
}

/* No slot of the arena is in use: what describes them can go, too. The lock is held, and not meanwhile. */
static void uncarve(arena *a)
{
    struct class_of_stacks *of = &depot.classes[a->class];
    a->lowest = a->slots; /* nobody finds any */
    haft__lock_release(&depot.lock);
    for (size_t i = 0; i < a->slots; i++)
        if (a->state[i] == COLD)
            haft__announce_destroy(&a->stacks[i].note);
    size_t size = description_size(a->slots, a->page);
    if (haft__os->advise(a->state, size, HAFT__ADVISE_DISCARD) != 0)
        memset(a->state, UNCARVED, a->slots);
    haft__lock_acquire(&depot.lock);
    a->lowest = 0;
    a->cold = 0;
    a->uncarved = a->slots;
    if (of->room == NULL || a->number < of->room->number)
        of->room = a;
}

/* One step through an arena that has WARM slots. The lock is held, and not meanwhile. */
static void sweep(void)
{
    arena *a = depot.to_sweep;
    haft__os_range ranges[HAFT__TRIM_BATCH / 2];
    size_t from = a->sweep, i = from, count = 0, n = 0;
    while (i < a->slots && n < HAFT__TRIM_BATCH && count < HAFT__TRIM_BATCH / 2) {
        size_t first = i;
        for (; i < a->slots && a->state[i] == WARM; i++)
            a->state[i] = LIMBO;
        /* Neighbours in one piece: the guards between them stay. */
        if (first < i)
            ranges[count++] =
                (haft__os_range){ a->memory + first * a->slot_size + a->page, (i - first) * a->slot_size - a->page };
        else
            i++;
        n += i - first;
    }
    a->sweep = i < a->slots ? i : 0;
    haft__lock_release(&depot.lock);
    haft__os->advise_each(ranges, count, HAFT__ADVISE_DISCARD); /* refused for memory that is locked: then it stays */
    haft__lock_acquire(&depot.lock);
    n = end_limbo(a, from, i, COLD);
    a->warm -= n;
    a->cold += n;
    if (a->cold > 0 && a->cold + a->uncarved == a->slots)
        uncarve(a);
    if (a->warm > 0)
        return;
    /* Meanwhile others may have been put before it. */
    arena **link = &depot.to_sweep;
    while (*link != a)
        link = &(*link)->next_to_sweep;
    *link = a->next_to_sweep;
    a->is_to_sweep = false;
}

int64_t haft__stacks_trim(int64_t now)
{
    int64_t again;
    haft__lock_acquire(&depot.lock);
    if (depot.is_trimming) {
        haft__lock_release(&depot.lock);
        return now + HAFT__TRIM_NS; /* somebody else is at it, perhaps for one step only */
    }
    depot.is_trimming = true;
    if (return_surplus()) {
        again = now;
    } else if (depot.to_sweep != NULL) {
        sweep();
        again = now;
    } else {
        if (depot.look_at <= now) {
            look();
            depot.look_at = now + HAFT__TRIM_NS;
        }
        again = depot.look_at;
    }
    depot.is_trimming = false;
    look_for_spare();
    if (!haft__stacks_are_spare())
        again = INT64_MAX;
    haft__lock_release(&depot.lock);
    return again;
}

void haft__stacks_trim_all(void)
{
    bool is_done = false;
    while (!is_done) {
        haft__lock_acquire(&depot.lock);
        bool is_mine = !depot.is_trimming;
        if (is_mine) {
            depot.is_trimming = true;
            for (unsigned c = 0; c < HAFT__STACK_CLASSES; c++)
                depot.classes[c].least = depot.classes[c].count;
            look();
            if (!return_surplus()) {
                is_done = depot.to_sweep == NULL;
                if (!is_done)
                    sweep();
            }
            depot.is_trimming = false;
            look_for_spare();
        }
        haft__lock_release(&depot.lock);
        if (!is_mine)
            haft__os->yield(); /* for one step of another's */
    }
}

/* --- Faults ------------------------------------------------------------------------------------------------------- */

static const arena *arena_at(const char *address)
{
    /* Acquire: partner of the release that appended the arena. */
    for (const arena *a = haft__load_acquire(&arenas); a != NULL; a = a->next)
        if (address >= a->memory && address < a->memory + a->slots * a->slot_size + a->page)
            return a;
    return NULL;
}

bool haft__stack_is_guard(const void *address)
{
    const arena *a = arena_at(address);
    return a != NULL && (size_t)((const char *)address - a->memory) % a->slot_size < a->page;
}

const haft__stack *haft__stack_at(const void *address)
{
    const arena *a = arena_at(address);
    return a != NULL ? &a->stacks[(size_t)((const char *)address - a->memory) / a->slot_size] : NULL;
}

/* --- Counting ----------------------------------------------------------------------------------------------------- */

void haft__stacks_count(uint64_t *used, uint64_t *cached, uint64_t *bytes)
{
    *used = *cached = *bytes = 0;
    haft__lock_acquire(&depot.lock);
    for (unsigned c = 0; c < HAFT__STACK_CLASSES; c++) {
        const struct class_of_stacks *of = &depot.classes[c];
        for (const arena *a = of->oldest; a != NULL; a = a->younger) {
            size_t taken = a->slots - a->uncarved - a->cold; /* also those that are losing their memory now */
            *used += taken - a->warm;
            *cached += a->warm;
            *bytes += taken * (a->slot_size - a->page);
        }
        *used -= of->count;
        *cached += of->count;
    }
    haft__lock_release(&depot.lock);
}
