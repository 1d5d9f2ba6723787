/* SPDX-License-Identifier: MIT
 *
 * The process-wide table of records. Chunks of descriptors, aligned to their own size so that a record finds its number
 * without storing it, are taken from the allocator as they are needed and never given back: see record.h.
 *
 * Free slots are cached by thread and exchanged with one depot a magazine at a time, because a job is often freed on
 * another thread than the one that made it. Inside the depot the first slot of a magazine links to the next magazine by
 * its root field, and says in frame_size how many there are.
 *
 * Trimming. Slots that lay unused in the depot for an interval return to their pages. A page all of whose slots are
 * there gives its memory to the kernel and becomes VACANT: it reads as zeros, that is generation 0, which is in no
 * handle, so every handle to one of its slots is as stale as before; and word 0, RUNNING, on which a late waker does no
 * harm. Outside of the page the highest generation of its slots is kept, with which all of them begin when the page is
 * needed again. A page with a retired slot, and the first page of a chunk, never become vacant.
 *
 * One lock guards the depot and the pages of every chunk. Memory is given back outside of it, while the page is in
 * LIMBO, where nobody takes from it. */
#include <assert.h>
#include <string.h>

#include "os/os.h"
#include "wait/wait.h"

_Static_assert(sizeof(haft__record) <= HAFT__DESCRIPTOR_SIZE, "a record is the front of a descriptor");
_Static_assert((HAFT__CHUNK_RECORDS & (HAFT__CHUNK_RECORDS - 1)) == 0, "masked");
_Static_assert((uint64_t)HAFT__CHUNK_RECORDS *HAFT__CHUNK_COUNT <= (UINT64_C(1) << 24),
               "the joiner field holds 24 bits");
_Static_assert(sizeof(struct haft__chunk) <= HAFT__DESCRIPTOR_SIZE, "a chunk's header is its first slot");

enum page_state { IN_USE, LIMBO, VACANT };

/* What is known of a page outside of it. */
struct haft__page {
    haft__record *free; /* those that returned; more are in caches and magazines */
    uint32_t count;
    uint32_t generation; /* of a vacant page: with which its slots begin again */
    enum page_state state;
};

haft__atomic(struct haft__chunk *) haft__chunks[HAFT__CHUNK_COUNT];
/* Slots handed out so far, those of chunk headers included. */
static haft__atomic(uint32_t) carved;
haft__atomic(uint32_t) haft__records_spare;

static struct {
    haft__lock lock;
    haft__record *magazines;
    size_t count;                 /* of the slots in them */
    size_t least;                 /* the least count since the last look */
    size_t surplus;               /* so many are to return to their pages */
    uint32_t room;                /* no chunk before this one has free slots in its pages */
    struct haft__chunk *to_sweep; /* those with whole pages free */
    int64_t look_at;
    bool is_trimming;
} depot;

static haft__record *slot(struct haft__chunk *chunk, uint32_t i)
{
    return (haft__record *)(void *)((char *)chunk + (size_t)i * HAFT__DESCRIPTOR_SIZE);
}

static uint32_t slots_in_page(void)
{
    return (uint32_t)(haft__os->page_size() / HAFT__DESCRIPTOR_SIZE);
}

static uint32_t pages_in_chunk(void)
{
    return HAFT__CHUNK_RECORDS / slots_in_page();
}

/* --- Chunks ------------------------------------------------------------------------------------------------------- */

static struct haft__chunk *chunk_new(uint32_t number)
{
    struct haft__chunk *chunk = haft__os->allocate(HAFT__CHUNK_BYTES, HAFT__CHUNK_BYTES);
    if (chunk == NULL)
        return NULL;
    size_t size = pages_in_chunk() * sizeof(struct haft__page);
    *chunk = (struct haft__chunk){ .number = number };
    chunk->pages = haft__os->allocate(size, _Alignof(struct haft__page));
    if (chunk->pages == NULL) {
        haft__os->release(chunk);
        return NULL;
    }
    memset(chunk->pages, 0, size);
    /* A huge page for a few records would be as large as all that a small program has. Refused, it does no harm. */
    haft__os->advise(chunk, HAFT__CHUNK_BYTES, HAFT__ADVISE_NO_HUGE);
    return chunk;
}

/* A late waker may still look at a slot of a page that was vacant: no plain store to what he touches. */
static void init_slot(haft__record *record, uint32_t generation)
{
    haft__store_relaxed(&record->word, HAFT__RUNNING);
    haft__store_relaxed(&record->home, NULL);
    haft__store_relaxed(&record->kind, HAFT__KIND_FREE);
    record->root = NULL;
    /* Release: as in haft__record_free; a visitor of haft__record_each finds no home in it. */
    haft__store_release(&record->state, (uint64_t)generation << HAFT__GENERATION_SHIFT);
}

/* Makes a magazine of slots that were never used. The depot's lock is held. */
static haft__record *carve(void)
{
    uint32_t at = haft__load_relaxed(&carved);
    uint32_t number = at / HAFT__CHUNK_RECORDS;
    if (at % HAFT__CHUNK_RECORDS == 0) {
        if (number == HAFT__CHUNK_COUNT)
            return NULL;
        struct haft__chunk *fresh = chunk_new(number);
        if (fresh == NULL)
            return NULL;
        /* Relaxed: `carved` below publishes it, and so does whatever passes on the number of a record. */
        haft__store_relaxed(&haft__chunks[number], fresh);
        at++;
    }
    struct haft__chunk *chunk = haft__load_relaxed(&haft__chunks[number]);
    haft__record *first = NULL;
    uint32_t end = (at / HAFT__MAGAZINE + 1) * HAFT__MAGAZINE;
    for (uint32_t i = end; i-- > at;) {
        haft__record *record = slot(chunk, i % HAFT__CHUNK_RECORDS);
        init_slot(record, 1);
        record->next = first;
        first = record;
    }
    /* Release: partner of the acquire in haft__record_each, which visits only what is initialised. */
    haft__store_release(&carved, end);
    return first;
}

/* --- Pages -------------------------------------------------------------------------------------------------------- */

static struct haft__page *page_of(haft__record *record, struct haft__chunk **chunk)
{
    uintptr_t offset = (uintptr_t)record & (HAFT__CHUNK_BYTES - 1);
    *chunk = (struct haft__chunk *)((uintptr_t)record - offset);
    return &(*chunk)->pages[offset / haft__os->page_size()];
}

/* The lock is held, here and below. */
static void has_room(struct haft__chunk *chunk, uint32_t page)
{
    if (page < chunk->lowest)
        chunk->lowest = page;
    if (chunk->number < depot.room)
        depot.room = chunk->number;
}

static void return_to_page(haft__record *record)
{
    struct haft__chunk *chunk;
    struct haft__page *page = page_of(record, &chunk);
    record->next = page->free;
    page->free = record;
    chunk->free++;
    has_room(chunk, (uint32_t)(page - chunk->pages));
    if (++page->count < slots_in_page())
        return;
    chunk->whole++;
    if (!chunk->is_to_sweep) {
        chunk->is_to_sweep = true;
        chunk->next_to_sweep = depot.to_sweep;
        depot.to_sweep = chunk;
    }
}

static void occupy(struct haft__chunk *chunk, struct haft__page *page)
{
    uint32_t n = slots_in_page(), first = (uint32_t)(page - chunk->pages) * n;
    page->state = IN_USE;
    for (uint32_t i = n; i-- > 0;) {
        haft__record *record = slot(chunk, first + i);
        init_slot(record, page->generation);
        record->next = page->free;
        page->free = record;
    }
    page->count = n;
    chunk->whole++;
}

/* A chain of slots of the lowest page that has free ones, or null. */
static haft__record *take_from_pages(void)
{
    uint32_t end = haft__load_relaxed(&carved);
    struct haft__chunk *chunk = NULL;
    for (; depot.room * HAFT__CHUNK_RECORDS < end; depot.room++) {
        chunk = haft__load_relaxed(&haft__chunks[depot.room]);
        if (chunk->free > 0)
            break;
    }
    if (depot.room * HAFT__CHUNK_RECORDS >= end)
        return NULL;
    struct haft__page *page = &chunk->pages[chunk->lowest];
    while (page->state == LIMBO || (page->state == IN_USE && page->count == 0))
        page++;
    chunk->lowest = (uint32_t)(page - chunk->pages);
    if (page->state == VACANT)
        occupy(chunk, page);
    uint32_t n = page->count, most = slots_in_page();
    chunk->whole -= n == most;
    if (n > HAFT__MAGAZINE)
        n = HAFT__MAGAZINE;
    haft__record *first = page->free, *last = first;
    for (uint32_t i = 1; i < n; i++)
        last = last->next;
    page->free = last->next;
    last->next = NULL;
    page->count -= n;
    chunk->free -= n;
    return first;
}

/* --- The depot ---------------------------------------------------------------------------------------------------- */

static haft__record *pop_magazine(void)
{
    haft__record *first = depot.magazines;
    depot.magazines = (haft__record *)(void *)first->root;
    first->root = NULL;
    depot.count -= first->frame_size;
    if (depot.count < depot.least)
        depot.least = depot.count;
    return first;
}

/* A chain of free slots, or null when there is no memory. */
static haft__record *depot_take(void)
{
    haft__lock_acquire(&depot.lock);
    haft__record *first = depot.magazines != NULL ? pop_magazine() : take_from_pages();
    if (first == NULL)
        first = carve();
    haft__lock_release(&depot.lock);
    return first;
}

/* True if nobody knew that there is something to spare, and there is. */
static bool depot_put(haft__record *first, unsigned count)
{
    first->frame_size = count;
    haft__lock_acquire(&depot.lock);
    first->root = (struct haft__root *)(void *)depot.magazines;
    depot.magazines = first;
    depot.count += count;
    bool is_news = depot.count > HAFT__RECORDS_WARM && haft__load_relaxed(&haft__records_spare) == 0;
    if (is_news)
        haft__store_relaxed(&haft__records_spare, 1);
    haft__lock_release(&depot.lock);
    return is_news;
}

/* --- Trimming ----------------------------------------------------------------------------------------------------- */

/* The lock is held, here and below. False if nothing is too much. */
static bool return_surplus(void)
{
    size_t n = 0;
    while (depot.surplus > 0 && depot.magazines != NULL && n < HAFT__TRIM_BATCH) {
        haft__record *record = pop_magazine();
        size_t count = record->frame_size;
        depot.surplus -= depot.surplus < count ? depot.surplus : count;
        n += count;
        while (record != NULL) {
            haft__record *next = record->next;
            return_to_page(record);
            record = next;
        }
    }
    if (depot.magazines == NULL)
        depot.surplus = 0;
    return n > 0;
}

/* The generation with which all slots of a page can begin again: none of them was used with it. */
static uint32_t highest_generation(const struct haft__page *page)
{
    uint32_t highest = 0;
    for (const haft__record *record = page->free; record != NULL; record = record->next) {
        uint32_t generation = haft__generation(haft__load_relaxed(&record->state));
        if (generation > highest)
            highest = generation;
    }
    return highest;
}

/* Gives back some pages of a chunk that has whole ones. The lock is not held meanwhile. */
static void sweep(void)
{
    enum { MOST = 16 };
    struct haft__chunk *chunk = depot.to_sweep;
    haft__os_range ranges[MOST];
    struct haft__page *pages[MOST];
    uint32_t slots = slots_in_page(), end = pages_in_chunk();
    size_t size = haft__os->page_size(), n = 0;
    for (uint32_t i = 1; i < end && n < MOST; i++) {
        struct haft__page *page = &chunk->pages[i];
        if (page->state != IN_USE || page->count < slots)
            continue;
        page->generation = highest_generation(page);
        page->state = LIMBO;
        page->free = NULL;
        page->count = 0;
        chunk->free -= slots;
        chunk->whole--;
        pages[n] = page;
        ranges[n++] = (haft__os_range){ (char *)chunk + i * size, size };
    }
    haft__lock_release(&depot.lock);
    size_t parts = 0;
    for (size_t i = 0; i < n; i++)
        if (parts > 0 && (char *)ranges[parts - 1].memory + ranges[parts - 1].size == ranges[i].memory)
            ranges[parts - 1].size += size;
        else
            ranges[parts++] = ranges[i];
    haft__os->advise_each(ranges, parts, HAFT__ADVISE_DISCARD); /* refused for memory that is locked: then it stays */
    haft__lock_acquire(&depot.lock);
    for (size_t i = 0; i < n; i++) {
        pages[i]->state = VACANT;
        chunk->free += slots;
        has_room(chunk, (uint32_t)(pages[i] - chunk->pages));
    }
    if (n == MOST)
        return;
    struct haft__chunk **link = &depot.to_sweep; /* others may have been put before it */
    while (*link != chunk)
        link = &(*link)->next_to_sweep;
    *link = chunk->next_to_sweep;
    chunk->is_to_sweep = false;
}

/* One step; false if there was none to do. */
static bool trim_some(void)
{
    if (return_surplus())
        return true;
    if (depot.to_sweep == NULL)
        return false;
    sweep();
    return true;
}

int64_t haft__records_trim(int64_t now)
{
    int64_t again = now + HAFT__TRIM_NS; /* somebody else is at it, perhaps for one step only */
    haft__lock_acquire(&depot.lock);
    if (!depot.is_trimming) {
        depot.is_trimming = true;
        again = now;
        if (!trim_some()) {
            if (depot.look_at <= now) {
                depot.surplus = depot.least > HAFT__RECORDS_WARM ? depot.least - HAFT__RECORDS_WARM : 0;
                depot.least = depot.count;
                depot.look_at = now + HAFT__TRIM_NS;
            }
            again = depot.surplus > 0 ? now : depot.look_at;
        }
        depot.is_trimming = false;
        bool spare = depot.to_sweep != NULL || depot.count > HAFT__RECORDS_WARM;
        haft__store_relaxed(&haft__records_spare, spare);
        if (!spare)
            again = INT64_MAX;
    }
    haft__lock_release(&depot.lock);
    return again;
}

void haft__records_trim_all(void)
{
    bool is_done = false;
    while (!is_done) {
        haft__lock_acquire(&depot.lock);
        bool is_mine = !depot.is_trimming;
        if (is_mine) {
            depot.is_trimming = true;
            depot.surplus = depot.count > HAFT__RECORDS_WARM ? depot.count - HAFT__RECORDS_WARM : 0;
            is_done = !trim_some();
            depot.is_trimming = false;
            if (is_done)
                haft__store_relaxed(&haft__records_spare, 0);
        }
        haft__lock_release(&depot.lock);
        if (!is_mine)
            haft__os->yield(); /* for one step of another's */
    }
}

/* --- For everybody ------------------------------------------------------------------------------------------------ */

haft__record *haft__record_new(void)
{
    haft__thread *here = haft__here_or_null();
    if (here != NULL && here->records.first != NULL) {
        haft__record *record = here->records.first;
        here->records.first = record->next;
        here->records.count--;
        return record;
    }
    haft__record *first = depot_take();
    if (first == NULL)
        return NULL;
    haft__record *rest = first->next;
    if (rest == NULL)
        return first;
    unsigned count = 0;
    for (haft__record *r = rest; r != NULL; r = r->next)
        count++;
    if (here == NULL) {
        depot_put(rest, count);
        return first;
    }
    here->records.first = rest;
    here->records.count = count;
    return first;
}

void haft__record_free(haft__record *record)
{
    uint64_t next = (uint64_t)haft__generation(haft__load_relaxed(&record->state)) + 1;
    struct haft__sched *home = haft__load_relaxed(&record->home);
    record->root = NULL;
    haft__store_relaxed(&record->home, NULL);
    haft__store_relaxed(&record->kind, HAFT__KIND_FREE);
    /* Retired: one more use could make a very old handle valid again. Generation 0 is in no handle. */
    bool is_retired = next > UINT32_MAX;
    /* Release: partner of the acquire by which a stale handle is recognised. */
    haft__store_release(&record->state, is_retired ? 0 : next << HAFT__GENERATION_SHIFT);
    if (is_retired)
        return;
    haft__thread *here = haft__here_or_null();
    if (here == NULL) {
        record->next = NULL;
        depot_put(record, 1);
        return;
    }
    record->next = here->records.first;
    here->records.first = record;
    if (++here->records.count < 2 * HAFT__MAGAZINE)
        return;
    haft__record *last = record;
    for (unsigned i = 1; i < HAFT__MAGAZINE; i++)
        last = last->next;
    here->records.first = last->next;
    here->records.count -= HAFT__MAGAZINE;
    last->next = NULL;
    /* A worker sees it when it next has nothing to do; another thread asks one of the job's. */
    if (depot_put(record, HAFT__MAGAZINE) && here->worker == NULL && home != NULL)
        haft__sched_has_spare(home);
}

void haft__record_cache_flush(haft__record_cache *cache)
{
    if (cache->first != NULL)
        depot_put(cache->first, cache->count);
    cache->first = NULL;
    cache->count = 0;
}

void haft__record_each(void (*visit)(haft__record *, void *), void *argument)
{
    uint32_t end = haft__load_acquire(&carved);
    for (uint32_t i = 0; i < end; i++) {
        haft__record *record = haft__record_at(i);
        /* Generation 0: retired, or in a page that is vacant. Relaxed: a visitor acquires by what it looks at. */
        if (i % HAFT__CHUNK_RECORDS != 0 && haft__generation(haft__load_relaxed(&record->state)) != 0)
            visit(record, argument);
    }
}
