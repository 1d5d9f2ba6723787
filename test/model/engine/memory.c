/* SPDX-License-Identifier: MIT
 *
 * Weak memory by views. Every store to an atomic object is a message: its value, the clock of its writer if it releases,
 * and a view, which says of every object how old a message may be that somebody who acquires this one still sees. A
 * thread has a view of its own; a load picks any message that is not older than the view says, the newest first.
 *
 *  - Acquire joins the message's clock and view into the thread's. A relaxed load keeps them for a later fence.
 *  - Release puts the thread's clock and view into the message. A relaxed store puts in those of the last fence.
 *  - A read-modify-write reads the newest message and adds what that one published: release sequences go on through it.
 *    A failed compare-exchange is a load, which may see an older value, too.
 *  - Full fences share a view: each takes it in and adds its own. A sequentially consistent store enters itself there; a
 *    sequentially consistent load sees nothing older than what stands there.
 *  - The asymmetric pair: heavy fences are full ones and share a second view, from which light ones take; light ones add
 *    to a third, from which heavy ones take. So a light fence and a heavy one are ordered, two light ones are not, and
 *    nor are a light one and a full one. (This is what C++ P1202 promises, and less than membarrier does.)
 *
 * Not seen: a load that reads a store which comes later in this order of steps (load buffering), and stores that are
 * ordered otherwise than they were executed (2+2W). docs/models.md says what that means. */
#include "inside.h"

void clocks_join(clock_vector *into, const clock_vector *from)
{
    for (int i = 0; i < THREADS; i++)
        if (from->at[i] > into->at[i])
            into->at[i] = from->at[i];
}

static void join_some(uint16_t *restrict into, const uint16_t *restrict from, int n)
{
    for (int i = 0; i < n; i++)
        into[i] = from[i] > into[i] ? from[i] : into[i];
}

void views_join(view *into, const view *from)
{
    join_some(into->at, from->at, engine->location_count);
}

void memory_reset(void)
{
    engine->location_count = 0;
    engine->view_count = 0;
    memset(engine->location_index, 0, sizeof engine->location_index);
}

/* --- objects ------------------------------------------------------------------------------------------------------------ */

static uint64_t read_memory(uintptr_t address, int size)
{
    switch (size) {
    case 1:
        return *(const volatile uint8_t *)address;
    case 2:
        return *(const volatile uint16_t *)address;
    case 4:
        return *(const volatile uint32_t *)address;
    default:
        return *(const volatile uint64_t *)address;
    }
}

static void write_memory(uintptr_t address, int size, uint64_t value)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)address = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)address = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)address = value;
        break;
    }
}

static uint64_t truncate(uint64_t value, int size)
{
    return size == 8 ? value : value & ((UINT64_C(1) << (8 * size)) - 1);
}

static unsigned hash(uintptr_t address)
{
    return (unsigned)((address * UINT64_C(0x9E3779B97F4A7C15)) >> 40);
}

location *location_find(uintptr_t address)
{
    unsigned n = sizeof engine->location_index / sizeof engine->location_index[0];
    for (unsigned h = hash(address) % n;; h = (h + 1) % n) {
        uint16_t at = engine->location_index[h];
        if (at == 0)
            return NULL;
        if (engine->locations[at - 1].address == address)
            return &engine->locations[at - 1];
    }
}

static location *location_new(uintptr_t address, int size)
{
    unsigned n = sizeof engine->location_index / sizeof engine->location_index[0];
    if (engine->location_count == LOCATIONS)
        model_fail("more than %d atomic objects", LOCATIONS);
    int number = engine->location_count++;
    unsigned h = hash(address) % n;
    while (engine->location_index[h] != 0)
        h = (h + 1) % n;
    engine->location_index[h] = (uint16_t)(number + 1);
    location *l = &engine->locations[number];
    l->address = address;
    l->size = size;
    l->count = 1;
    l->floor = 0;
    l->is_overwritten = false;
    l->messages[0] = (message){ .value = read_memory(address, size), .view = -1 };
    for (int i = 0; i < engine->thread_count; i++) {
        thread *t = &engine->threads[i];
        t->seen.at[number] = t->seen_to_acquire.at[number] = t->seen_released.at[number] = 0;
    }
    engine->sc.at[number] = engine->heavy.at[number] = engine->light.at[number] = 0;
    return l;
}

static message *append(location *l, uint64_t value)
{
    uint32_t at = l->count++;
    if (at >= UINT16_MAX)
        model_fail("too many stores to one object");
    message *m = &l->messages[at % HISTORY];
    m->value = value;
    m->view = -1;
    m->thread = engine->current;
    memset(&m->clock, 0, sizeof m->clock);
    return m;
}

static location *location_of(uintptr_t address, int size)
{
    location *l = location_find(address);
    if (l == NULL)
        return location_new(address, size);
    if (l->size != size)
        model_fail("an atomic object is accessed with %d and with %d bytes", l->size, size);
    if (l->is_overwritten || l->messages[(l->count - 1) % HISTORY].value != read_memory(address, size)) {
        /* By a plain store, which the detector of races found to come before this, or which was not instrumented, like
         * an initialiser by clang. */
        l->is_overwritten = false;
        append(l, read_memory(address, size))->site = 0;
        l->floor = l->count - 1;
    }
    return l;
}

void memory_was_written(uintptr_t address, size_t size)
{
    for (uintptr_t at = address; at < address + size; at++) {
        location *l = location_find(at);
        if (l != NULL)
            l->is_overwritten = true;
    }
}

static int number_of(const location *l)
{
    return (int)(l - engine->locations);
}

/* True if threads contend for it, as far as is known. */
static bool is_shared(uintptr_t address, bool writes)
{
    unsigned h = hash(address) % SHARED;
    shared_address *s;
    for (;; h = (h + 1) % SHARED) {
        s = &engine->shared[h];
        if (s->address == address || s->address == 0)
            break;
    }
    s->address = address;
    if (engine->alive < 2)
        return false;
    uint8_t me = (uint8_t)(1u << engine->current), readers = s->readers, writers = s->writers;
    bool was_shared = writers != 0 && ((readers | writers) & ((readers | writers) - 1)) != 0;
    if (was_shared || engine->mode == MODE_REPLAY)
        return true;
    s->readers = readers | me;
    s->writers = writers | (writes ? me : 0);
    int both = s->readers | s->writers;
    bool is = s->writers != 0 && (both & (both - 1)) != 0;
    if (is)
        engine->shared_grew = true;
    return is;
}

uint64_t newest_value(uintptr_t address, int size)
{
    is_shared(address, false);
    location *l = location_of(address, size);
    return l->messages[(l->count - 1) % HISTORY].value;
}

/* --- publishing and taking ---------------------------------------------------------------------------------------------- */

static int view_new(const view *from, const view *also)
{
    if (engine->view_count == VIEWS)
        model_fail("more than %d messages", VIEWS);
    int number = engine->view_count++;
    size_t used = (size_t)engine->location_count * sizeof from->at[0];
    memcpy(&engine->views[number], from, used);
    if (also != NULL)
        join_some(engine->views[number].at, also->at, engine->location_count);
    return number;
}

static void publish(location *l, message *m, int order, const message *before)
{
    thread *me = self();
    int number = number_of(l);
    uint32_t index = l->count - 1;
    me->seen.at[number] = (uint16_t)index;
    bool releases = (order & RELEASE) != 0;
    m->clock = releases ? me->clock : me->released;
    m->view = view_new(releases ? &me->seen : &me->seen_released, NULL);
    m->view_length = engine->location_count;
    engine->views[m->view].at[number] = (uint16_t)index;
    if (before != NULL) {
        clocks_join(&m->clock, &before->clock);
        if (before->view >= 0)
            join_some(engine->views[m->view].at, engine->views[before->view].at, before->view_length);
    }
    if ((order & SEQ_CST) != 0)
        engine->sc.at[number] = (uint16_t)index;
    me->clock.at[engine->current]++;
    progress_was_made();
}

static void take(location *l, uint32_t index, int order)
{
    thread *me = self();
    const message *m = &l->messages[index % HISTORY];
    int number = number_of(l);
    if (me->seen.at[number] < index)
        me->seen.at[number] = (uint16_t)index;
    bool acquires = (order & ACQUIRE) != 0;
    clocks_join(acquires ? &me->clock : &me->to_acquire, &m->clock);
    if (m->view >= 0)
        join_some(acquires ? me->seen.at : me->seen_to_acquire.at, engine->views[m->view].at, m->view_length);
}

/* The oldest message that the running thread may see. */
static uint32_t oldest(const location *l, int order)
{
    int number = number_of(l);
    uint32_t at = self()->seen.at[number];
    if ((order & SEQ_CST) != 0 && engine->sc.at[number] > at)
        at = engine->sc.at[number];
    if (l->floor > at)
        at = l->floor;
    if (l->count > HISTORY && l->count - HISTORY > at)
        at = l->count - HISTORY;
    return at;
}

/* --- operations --------------------------------------------------------------------------------------------------------- */

static void begin(uintptr_t address, int size, bool writes, uintptr_t pc)
{
    thread *me = self();
    if (is_shared(address, writes))
        scheduling_point();
    else
        step_alone();
    me->last_site = pc;
    me->last_address = (const volatile void *)address;
    access_range(address, (size_t)size, writes, true, pc);
}

static void record(enum op op, int order, uintptr_t pc, uintptr_t address, uint64_t value, uint64_t old, int age)
{
    if (engine->traces)
        step_record(&(step){ .thread = engine->current,
                             .op = op,
                             .order = order,
                             .site = pc,
                             .address = (const volatile void *)address,
                             .value = value,
                             .old = old,
                             .age = age });
}

/* Chooses among n messages, the newest first, and what only searches at random try: one more. */
static uint32_t choose_age(uint32_t n, bool one_more)
{
    int all = (int)n + (one_more ? 1 : 0), age;
    if (all <= 1)
        return 0;
    if (engine->mode == MODE_RANDOM || engine->mode == MODE_PCT)
        age = choose_by(KIND_MESSAGE, all, random_next() % 4 != 0 ? 0 : (int)(random_next() % (unsigned)all));
    else
        age = choose(KIND_MESSAGE, all, !engine->is_calm && engine->stale_reads < engine->stale_bound ? (int)n : 1);
    if (age != 0)
        engine->stale_reads++;
    return (uint32_t)age;
}

uint64_t atomic_load_(uintptr_t address, int size, int order, uintptr_t pc)
{
    begin(address, size, false, pc);
    order = site_order(pc, OP_LOAD, order, 0, NULL);
    location *l = location_of(address, size);
    uint32_t newest = l->count - 1;
    uint32_t age = choose_age(newest - oldest(l, order) + 1, false);
    take(l, newest - age, order);
    uint64_t value = l->messages[(newest - age) % HISTORY].value;
    record(OP_LOAD, order, pc, address, value, 0, (int)age);
    return value;
}

static void store_message(location *l, uint64_t value, int order, uintptr_t pc, const message *before)
{
    message *m = append(l, value);
    m->site = pc;
    publish(l, m, order, before);
    write_memory(l->address, l->size, value);
}

void atomic_store_(uintptr_t address, int size, uint64_t value, int order, uintptr_t pc)
{
    begin(address, size, true, pc);
    order = site_order(pc, OP_STORE, order, 0, NULL);
    location *l = location_of(address, size);
    store_message(l, truncate(value, size), order, pc, NULL);
    record(OP_STORE, order, pc, address, truncate(value, size), 0, 0);
}

static uint64_t computed(enum rmw what, uint64_t old, uint64_t value)
{
    switch (what) {
    case RMW_ADD:
        return old + value;
    case RMW_SUB:
        return old - value;
    case RMW_AND:
        return old & value;
    case RMW_OR:
        return old | value;
    case RMW_XOR:
        return old ^ value;
    case RMW_NAND:
        return ~(old & value);
    default:
        return value;
    }
}

uint64_t atomic_rmw_(uintptr_t address, int size, enum rmw what, uint64_t value, int order, uintptr_t pc)
{
    begin(address, size, true, pc);
    order = site_order(pc, OP_RMW, order, 0, NULL);
    location *l = location_of(address, size);
    message before = l->messages[(l->count - 1) % HISTORY];
    take(l, l->count - 1, order);
    uint64_t next = truncate(computed(what, before.value, value), size);
    store_message(l, next, order, pc, &before);
    record(OP_RMW, order, pc, address, next, before.value, 0);
    return before.value;
}

bool atomic_cas_(uintptr_t address, int size, uint64_t *expected, uint64_t value, int order, int failure, bool weak,
                 uintptr_t pc)
{
    begin(address, size, true, pc);
    order = site_order(pc, OP_CAS, order, failure, &failure);
    location *l = location_of(address, size);
    uint32_t newest = l->count - 1, candidates[HISTORY + 1], n = 0;
    message before = l->messages[newest % HISTORY];
    bool fits = before.value == *expected;
    candidates[n++] = newest;
    for (uint32_t at = newest, last = oldest(l, failure); at-- > last;)
        if (l->messages[at % HISTORY].value != *expected)
            candidates[n++] = at;
    uint32_t taken = choose_age(n, fits && weak);
    if (fits && taken == 0) {
        take(l, newest, order);
        store_message(l, truncate(value, size), order, pc, &before);
        record(OP_CAS, order, pc, address, truncate(value, size), before.value, 0);
        return true;
    }
    uint32_t index = taken < n ? candidates[taken] : newest; /* else without a reason */
    take(l, index, failure);
    *expected = l->messages[index % HISTORY].value;
    record(OP_CAS, failure | ON_FAILURE, pc, address, *expected, *expected, (int)(newest - index));
    return false;
}

void fence_(enum op kind, int order, uintptr_t pc)
{
    scheduling_point();
    order = site_order(pc, kind, order, 0, NULL);
    thread *me = self();
    me->last_site = pc;
    record(kind, order, pc, 0, 0, 0, 0);
    if (kind == OP_LIGHT) {
        if ((order & SEQ_CST) != 0) {
            views_join(&me->seen, &engine->heavy);
            views_join(&engine->light, &me->seen);
        }
        return;
    }
    if ((order & ACQUIRE) != 0) {
        clocks_join(&me->clock, &me->to_acquire);
        views_join(&me->seen, &me->seen_to_acquire);
    }
    if ((order & SEQ_CST) != 0) {
        views_join(&me->seen, &engine->sc);
        if (kind == OP_HEAVY) {
            views_join(&me->seen, &engine->light);
            views_join(&engine->heavy, &me->seen);
        }
        views_join(&engine->sc, &me->seen);
    }
    if ((order & RELEASE) != 0) {
        me->released = me->clock;
        me->seen_released = me->seen;
        me->clock.at[engine->current]++;
    }
}
