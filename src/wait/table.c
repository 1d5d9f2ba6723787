/* SPDX-License-Identifier: MIT
 *
 * The process-wide table of records. Chunks of descriptors, aligned to their own size so that a record finds its number
 * without storing it, are taken from the allocator as they are needed and never given back: see record.h.
 *
 * Free slots are cached by thread and exchanged with one depot a magazine at a time, because a job is often freed on
 * another thread than the one that made it. Inside the depot the first slot of a magazine links to the next magazine by
 * its root field. */
#include <assert.h>

#include "os/os.h"
#include "wait/lock.h"
#include "wait/root.h"

_Static_assert(sizeof(haft__record) <= HAFT__DESCRIPTOR_SIZE, "a record is the front of a descriptor");
_Static_assert((HAFT__CHUNK_RECORDS & (HAFT__CHUNK_RECORDS - 1)) == 0, "masked");
_Static_assert((uint64_t)HAFT__CHUNK_RECORDS *HAFT__CHUNK_COUNT <= (UINT64_C(1) << 24),
               "the joiner field holds 24 bits");

haft__atomic(struct haft__chunk *) haft__chunks[HAFT__CHUNK_COUNT];
/* Slots handed out so far, those of chunk headers included. */
static haft__atomic(uint32_t) carved;

static struct {
    haft__lock lock;
    haft__record *magazines;
} depot;

static haft__record *slot(struct haft__chunk *chunk, uint32_t i)
{
    return (haft__record *)(void *)((char *)chunk + (size_t)i * HAFT__DESCRIPTOR_SIZE);
}

/* Makes a magazine of slots that were never used. The depot's lock is held. */
static haft__record *carve(void)
{
    uint32_t at = haft__load_relaxed(&carved);
    uint32_t number = at / HAFT__CHUNK_RECORDS;
    if (at % HAFT__CHUNK_RECORDS == 0) {
        if (number == HAFT__CHUNK_COUNT)
            return NULL;
        struct haft__chunk *fresh = haft__os->allocate(HAFT__CHUNK_BYTES, HAFT__CHUNK_BYTES);
        if (fresh == NULL)
            return NULL;
        fresh->number = number;
        haft__store_release(&haft__chunks[number], fresh);
        at++;
    }
    struct haft__chunk *chunk = haft__load_relaxed(&haft__chunks[number]);
    haft__record *first = NULL;
    uint32_t end = (at / HAFT__MAGAZINE + 1) * HAFT__MAGAZINE;
    for (uint32_t i = end; i-- > at;) {
        haft__record *record = slot(chunk, i % HAFT__CHUNK_RECORDS);
        haft__atomic_init(&record->state, UINT64_C(1) << HAFT__GENERATION_SHIFT);
        haft__atomic_init(&record->word, HAFT__RUNNING);
        haft__atomic_init(&record->home, NULL);
        haft__atomic_init(&record->kind, HAFT__KIND_FREE);
        record->root = NULL;
        record->next = first;
        first = record;
    }
    /* Release: partner of the acquire in haft__record_each, which visits only what is initialised. */
    haft__store_release(&carved, end);
    return first;
}

/* A chain of free slots, or null when there is no memory. */
static haft__record *depot_take(void)
{
    haft__lock_acquire(&depot.lock);
    haft__record *first = depot.magazines;
    if (first != NULL) {
        depot.magazines = (haft__record *)(void *)first->root;
        first->root = NULL;
    } else {
        first = carve();
    }
    haft__lock_release(&depot.lock);
    return first;
}

static void depot_put(haft__record *first)
{
    haft__lock_acquire(&depot.lock);
    first->root = (struct haft__root *)(void *)depot.magazines;
    depot.magazines = first;
    haft__lock_release(&depot.lock);
}

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
    if (here == NULL) {
        depot_put(rest);
        return first;
    }
    unsigned count = 0;
    for (haft__record *r = rest; r != NULL; r = r->next)
        count++;
    here->records.first = rest;
    here->records.count = count;
    return first;
}

void haft__record_free(haft__record *record)
{
    uint64_t next = (uint64_t)haft__generation(haft__load_relaxed(&record->state)) + 1;
    record->root = NULL;
    haft__store_relaxed(&record->home, NULL);
    haft__store_relaxed(&record->kind, HAFT__KIND_FREE);
    if (next > UINT32_MAX) {
        /* Retired: one more use could make a very old handle valid again. Generation 0 is in no handle. */
        haft__store_release(&record->state, 0);
        return;
    }
    /* Release: partner of the acquire by which a stale handle is recognised and of the scan in haft__record_each. */
    haft__store_release(&record->state, next << HAFT__GENERATION_SHIFT);
    haft__thread *here = haft__here_or_null();
    if (here == NULL) {
        record->next = NULL;
        depot_put(record);
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
    depot_put(record);
}

void haft__record_cache_flush(haft__record_cache *cache)
{
    if (cache->first != NULL)
        depot_put(cache->first);
    cache->first = NULL;
    cache->count = 0;
}

void haft__record_each(void (*visit)(haft__record *, void *), void *argument)
{
    uint32_t end = haft__load_acquire(&carved);
    for (uint32_t i = 0; i < end; i++)
        if (i % HAFT__CHUNK_RECORDS != 0)
            visit(haft__record_at(i), argument);
}
