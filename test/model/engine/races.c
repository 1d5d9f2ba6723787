/* SPDX-License-Identifier: MIT
 *
 * Data races, use of released memory, and leaks.
 *
 * Each eight bytes of memory that were touched have a cell of accesses: who, when by his own clock, which of the bytes,
 * whether by a store and whether atomically. An access races with an earlier one by another thread to a byte that both
 * touch, if one of them stores, not both are atomic, and the earlier is not known to the later thread's clock. A
 * thread's newer access takes the place of its older ones that it covers.
 *
 * Memory is never given out twice in one run, so whatever touches a released block is found. What no static data refers
 * to in the end, directly or through other blocks, has leaked. */
#include "inside.h"

void races_reset(void)
{
    engine->block_count = 0;
    memset(engine->arena_owner, 0, (engine->arena_used / 16 + 1) * sizeof engine->arena_owner[0]);
    engine->arena_used = 0;
    engine->map_used = 0;
    engine->cell_count = 0;
    engine->now = 1;
    engine->name_count = 0;
}

/* --- blocks ------------------------------------------------------------------------------------------------------------ */

static block *block_at(uintptr_t address)
{
    uintptr_t offset = address - (uintptr_t)engine->arena;
    if (offset >= ARENA_SIZE)
        return NULL;
    uint16_t owner = engine->arena_owner[offset / 16];
    return owner != 0 ? &engine->blocks[owner - 1] : NULL;
}

void *model_allocate(size_t size, size_t alignment)
{
    if (size == 0)
        model_fail("memory of size 0 is asked for");
    size_t at = (engine->arena_used + alignment - 1) & ~(alignment - 1);
    at = (at + 15) & ~(size_t)15;
    if (at + size + 32 > ARENA_SIZE || engine->block_count == BLOCKS)
        model_fail("a model asks for more memory than there is");
    block *b = &engine->blocks[engine->block_count++];
    *b = (block){ .memory = engine->arena + at, .size = size, .site = (uintptr_t)__builtin_return_address(0) };
    for (size_t i = at / 16; i <= (at + size - 1) / 16; i++)
        engine->arena_owner[i] = (uint16_t)engine->block_count;
    engine->arena_used = at + size + 16; /* what lies between belongs to nobody */
    memset(b->memory, 0xa5, size);
    return b->memory;
}

void model_release(void *memory)
{
    if (memory == NULL)
        return;
    block *b = block_at((uintptr_t)memory);
    uintptr_t pc = (uintptr_t)__builtin_return_address(0);
    if (b == NULL || b->memory != memory)
        model_fail("release of memory that was not allocated");
    if (b->is_released)
        model_fail("memory is released twice");
    access_range((uintptr_t)memory, b->size, true, false, pc);
    b->is_released = true;
    b->released_at = pc;
}

void model_keep(const void *root)
{
    block *b = block_at((uintptr_t)root);
    if (b != NULL)
        b->is_kept = true;
}

void *model_map(size_t size)
{
    size = (size + 4095) & ~(size_t)4095;
    if (engine->map_used + size > MAP_SIZE)
        model_fail("a model maps more memory than there is");
    void *memory = engine->map + engine->map_used;
    engine->map_used += size;
    memset(memory, 0, size);
    return memory;
}

/* --- races ------------------------------------------------------------------------------------------------------------- */

static cell *cell_of(uintptr_t address)
{
    for (unsigned h = (unsigned)((address >> 3) * UINT64_C(0x9E3779B97F4A7C15) >> 45) % (2 * CELLS);;
         h = (h + 1) % (2 * CELLS)) {
        struct cell_slot *slot = &engine->cell_slots[h];
        if (slot->run != (uint32_t)engine->run) {
            if (engine->cell_count == CELLS)
                model_fail("a run touches more than %d words", CELLS);
            slot->run = (uint32_t)engine->run;
            slot->cell = (uint32_t)engine->cell_count++;
            engine->cells[slot->cell].address = address;
            engine->cells[slot->cell].count = 0;
            return &engine->cells[slot->cell];
        }
        if (engine->cells[slot->cell].address == address)
            return &engine->cells[slot->cell];
    }
}

static void describe_site(uintptr_t pc, char *text, size_t size)
{
    struct place place;
    char line[160];
    places_of(&pc, 1, &place);
    snprintf(text, size, "%s:%d %s  %s", place.file, place.line, place.function,
             source_line(place.file, place.line, line, sizeof line));
}

static const char *access_name(bool is_write, bool is_atomic)
{
    if (is_atomic)
        return is_write ? "an atomic store" : "an atomic load";
    return is_write ? "a store" : "a load";
}

static _Noreturn void report_race(uintptr_t address, const touch *before, bool is_write, bool is_atomic, uintptr_t pc)
{
    if (!engine->describes)
        model_fail("data race");
    char what[120], here[300], there[300], me[80], other[80];
    describe_address((const void *)address, what, sizeof what);
    describe_site(pc, here, sizeof here);
    describe_site(before->site, there, sizeof there);
    thread_describe(engine->current, me, sizeof me);
    thread_describe(before->thread, other, sizeof other);
    model_fail("data race on %s:\n        %s by %s: %s\n        %s before, by %s: %s", what,
               access_name(is_write, is_atomic), me, here, access_name(before->is_write, before->is_atomic), other,
               there);
}

static void add_access(cell *c, uint8_t bytes, bool is_write, bool is_atomic, uintptr_t pc)
{
    uint8_t me = (uint8_t)engine->current;
    int kept = 0;
    for (int i = 0; i < c->count; i++) {
        touch *a = &c->accesses[i];
        /* A plain store is against everything, so it covers everything older of the same thread. */
        bool covers = a->thread == me && (is_write || !a->is_write) && (!is_atomic || a->is_atomic);
        if (covers)
            a->bytes &= (uint8_t)~bytes;
        if (a->bytes != 0)
            c->accesses[kept++] = *a;
    }
    c->count = kept;
    if (c->count == CELL_ACCESSES)
        model_fail("too many accesses to one word");
    c->accesses[c->count++] = (touch){ .clock = self()->clock.at[me],
                                       .site = (uint32_t)pc,
                                       .thread = me,
                                       .bytes = bytes,
                                       .is_write = is_write,
                                       .is_atomic = is_atomic };
}

static void access_cell(uintptr_t address, uint8_t bytes, bool is_write, bool is_atomic, uintptr_t pc)
{
    cell *c = cell_of(address);
    const thread *me = self();
    bool overwrites = false;
    for (int i = 0; i < c->count; i++) {
        const touch *a = &c->accesses[i];
        overwrites = overwrites || (is_write && !is_atomic && a->is_atomic);
        if (a->thread == engine->current || (a->bytes & bytes) == 0 || (!a->is_write && !is_write) ||
            (a->is_atomic && is_atomic))
            continue;
        if (a->clock > me->clock.at[a->thread]) {
            int first = __builtin_ctz((unsigned)(a->bytes & bytes));
            report_race(address + (unsigned)first, a, is_write, is_atomic, pc);
        }
    }
    if (overwrites)
        memory_was_written(address, 8);
    add_access(c, bytes, is_write, is_atomic, pc);
}

void access_range(uintptr_t address, size_t size, bool is_write, bool is_atomic, uintptr_t pc)
{
    if (!engine->is_inside || size == 0)
        return;
    block *b = block_at(address);
    if (b == NULL && address - (uintptr_t)engine->arena < ARENA_SIZE)
        model_fail("access to memory that was not allocated");
    if (b != NULL && b->is_released && !engine->describes)
        model_fail("use of released memory");
    if (b != NULL && b->is_released) {
        char what[120], here[300], there[300];
        describe_address((const void *)address, what, sizeof what);
        describe_site(pc, here, sizeof here);
        describe_site(b->released_at, there, sizeof there);
        model_fail("use of released memory, %s:\n        %s by thread %d: %s\n        released at %s", what,
                   access_name(is_write, is_atomic), engine->current, here, there);
    }
    if (b != NULL && address + size > (uintptr_t)b->memory + b->size)
        model_fail("access behind the end of a block");
    for (uintptr_t at = address; at < address + size;) {
        uintptr_t base = at & ~(uintptr_t)7;
        uintptr_t end = address + size < base + 8 ? address + size : base + 8;
        uint8_t bytes = (uint8_t)(((1u << (end - base)) - 1) & ~((1u << (at - base)) - 1));
        access_cell(base, bytes, is_write, is_atomic, pc);
        at = end;
    }
}

/* --- leaks ------------------------------------------------------------------------------------------------------------- */

extern char __data_start[], _end[];

static void reach_from(const char *low, const char *high, int *queue, int *n)
{
    for (const char *at = low; at + sizeof(void *) <= high; at += sizeof(void *)) {
        uintptr_t value;
        memcpy(&value, at, sizeof value);
        block *b = block_at(value);
        if (b == NULL || b->is_reached || b->is_released)
            continue;
        b->is_reached = true;
        queue[(*n)++] = (int)(b - engine->blocks);
    }
}

void leaks_check(void)
{
    int queue[BLOCKS], n = 0;
    bool any = false;
    for (int i = 0; i < engine->block_count; i++) {
        block *b = &engine->blocks[i];
        b->is_reached = b->is_kept && !b->is_released;
        any = any || !b->is_released;
        if (b->is_reached)
            queue[n++] = i;
    }
    if (!any)
        return;
    reach_from(__data_start, _end, queue, &n);
    for (int i = 0; i < n; i++) {
        block *b = &engine->blocks[queue[i]];
        reach_from(b->memory, b->memory + b->size, queue, &n);
    }
    for (int i = 0; i < engine->block_count; i++) {
        const block *b = &engine->blocks[i];
        if (b->is_released || b->is_reached)
            continue;
        char there[300] = "";
        if (engine->describes)
            describe_site(b->site, there, sizeof there);
        snprintf(engine->failure, sizeof engine->failure, "leak: %zu bytes, allocated at %s", b->size, there);
        engine->has_failed = true;
        return;
    }
}
