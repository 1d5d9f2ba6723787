/* SPDX-License-Identifier: MIT
 *
 * The record of something that can wait: a task, a thread, a blocking call. It is the front half of a job's
 * descriptor; a plain thread has one too, from its first call on.
 *
 * Records live in one process-wide table whose addresses are never given back and never change their kind of
 * content (but for a page of free ones, which may turn to zeros: see wait/table.c). Therefore a waker, an aborter or a timer may touch a record that it found a moment ago even if its job
 * has ended since: the worst that happens is a wake that nobody needed, and every wait loop looks again after each
 * wake.
 *
 * The state word is changed as a whole, by compare-exchange:
 *
 *     generation:32 | joiner:24 | flags:8
 *
 * The generation is counted up each time the slot is recycled; a handle with another one is stale. A slot whose
 * generation would come round again is never used any more. The joiner is the table index of the record that waits
 * to join, valid while CLAIMED: claim and identity appear in one exchange, so whoever sets DONE knows whom to wake
 * and need not touch the descriptor afterwards.
 *
 * The wait word decides who wakes a waiter. RUNNING -> PARKED is made by a task's successor, once its registers are
 * saved; PARKED -> RUNNING by exactly one waker, who then makes it ready; RUNNING -> NOTIFIED by a waker who came too
 * early, and the next park returns at once. A thread parks as RUNNING -> SPINS, spins for a moment and then makes
 * SPINS -> SLEEPS, so that a waker calls the kernel only for one that is there. Only the word tells the waker what
 * was parked: a thread that is woken may end at once, and its record become a task's. */
#ifndef HAFT_WAIT_RECORD_H
#define HAFT_WAIT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/sizes.h"

struct haft__root;
struct haft__sched;

enum {
    HAFT__DONE = 1,      /* ended; the outcome is in the descriptor */
    HAFT__CLAIMED = 2,   /* somebody joins, detaches or owns the right to; at most one */
    HAFT__ABORT = 4,     /* an abort was requested */
    HAFT__DETACHED = 8,  /* nobody will join: whoever ends it recycles it */
    HAFT__WATCHED = 16,  /* haft_wait callers are enrolled */
    HAFT__GROUP = 32,    /* owned by a set or a scope, which is told of the end */
    HAFT__TOKEN = 64,    /* haft_park's token */
    HAFT__AWAITED = 128, /* with CLAIMED: the joiner waits for the end, and no deadline of its own ends that */
    HAFT__FLAGS = 255,
};
#define HAFT__JOINER_SHIFT 8
#define HAFT__JOINER_MASK (UINT64_C(0xffffff) << HAFT__JOINER_SHIFT)
#define HAFT__GENERATION_SHIFT 32

enum haft__wait_word {
    HAFT__RUNNING = 0,
    HAFT__PARKED = 1,
    HAFT__NOTIFIED = 2,
    HAFT__SPINS = 4,  /* parked, a thread that will see the wake by itself */
    HAFT__SLEEPS = 3, /* parked, and not to be woken without the kernel: a thread that has spun in vain */
};
static inline bool haft__word_is_parked(uint32_t word)
{
    return word == HAFT__PARKED || word == HAFT__SPINS || word == HAFT__SLEEPS;
}

/* What a record stands for. The first values are those of haft_kind. */
enum {
    HAFT__KIND_TASK = 0,
    HAFT__KIND_THREAD = 1,
    HAFT__KIND_BLOCKING = 2,
    HAFT__KIND_PLAIN = 3, /* a thread that is not ours */
    HAFT__KIND_FREE = 4,
};

typedef struct haft__record {
    haft__atomic(uint64_t) state;
    haft__atomic(uint32_t) word;
    uint32_t frame_size;
    struct haft__root *root;                 /* where it runs; null before its first run and after its end */
    struct haft__record *next;               /* link of the one queue or cache that it is in */
    haft__atomic(struct haft__sched *) home; /* the scheduler it belongs to; null for a plain thread */
    int32_t code;                            /* once ended: what the body returned */
    uint8_t end;                             /* once ended: haft_end */
    haft__atomic(uint8_t) kind;              /* relaxed: read by scans of the table */
    uint8_t stack_class;
    uint8_t flags; /* HAFT__PINNED and the like; written before the first run only */
} haft__record;

enum {
    HAFT__PINNED = 1,
    HAFT__LOAN = 2,           /* the frame is the lender's; the inline frame holds its address */
    HAFT__MOVED_OUT = 32,     /* the frame is its joiner's */
    HAFT__ALWAYS_BEGINS = 16, /* even when it was aborted before: its body has something to tell others */
    HAFT__SUPERVISED = 64,    /* of a supervisor, whose child is its group for good */
    HAFT__HEAP_FRAME = 4,     /* the inline frame holds the address of a block of its own */
};

static inline uint32_t haft__generation(uint64_t state)
{
    return (uint32_t)(state >> HAFT__GENERATION_SHIFT);
}

static inline uint32_t haft__joiner(uint64_t state)
{
    return (uint32_t)((state & HAFT__JOINER_MASK) >> HAFT__JOINER_SHIFT);
}

/* --- The table (wait/table.c) --- */

/* Whole descriptors are this large; the front is the record, the rest belongs to src/job. */
#define HAFT__DESCRIPTOR_SIZE 128

/* A free slot, or null when there is no memory. Its state holds a fresh generation and no flags. */
haft__record *haft__record_new(void);
/* Gives a slot back: the generation moves on, and every handle to it is stale. */
void haft__record_free(haft__record *record);
/* A chunk of descriptors is aligned to its size; its first slot holds its place in the table instead of a descriptor,
 * because number 0 of the whole table stands for "nobody". */
struct haft__chunk {
    uint32_t number;
    /* For the table alone, under its lock. */
    uint32_t free;   /* slots that its pages have */
    uint32_t lowest; /* no page before this one has any */
    uint32_t whole;  /* pages all of whose slots are free, and that still have their memory */
    bool is_to_sweep;
    struct haft__chunk *next_to_sweep;
    struct haft__page *pages;
};
#define HAFT__CHUNK_BYTES ((size_t)HAFT__CHUNK_RECORDS * HAFT__DESCRIPTOR_SIZE)
extern haft__atomic(struct haft__chunk *) haft__chunks[HAFT__CHUNK_COUNT];

/* By number and back; a number is below 2^24 and never 0. */
static inline haft__record *haft__record_at(uint32_t index)
{
    /* Relaxed: the index came by an acquire from somebody who had the record. */
    struct haft__chunk *chunk = haft__load_relaxed(&haft__chunks[index / HAFT__CHUNK_RECORDS]);
    return (haft__record *)(void *)((char *)chunk + (size_t)(index % HAFT__CHUNK_RECORDS) * HAFT__DESCRIPTOR_SIZE);
}

static inline uint32_t haft__record_index(const haft__record *record)
{
    uintptr_t address = (uintptr_t)record, offset = address & (HAFT__CHUNK_BYTES - 1);
    const struct haft__chunk *chunk = (const struct haft__chunk *)(address - offset);
    return chunk->number * HAFT__CHUNK_RECORDS + (uint32_t)(offset / HAFT__DESCRIPTOR_SIZE);
}
/* Calls visit for every slot that was ever used. The slots live on meanwhile: visit reads them through atomics. */
void haft__record_each(void (*visit)(haft__record *, void *), void *argument);

/* A thread's private cache of free slots. */
typedef struct haft__record_cache {
    haft__record *first;
    unsigned count;
} haft__record_cache;
void haft__record_cache_flush(haft__record_cache *cache);

/* True if the depot holds more slots than it keeps for the next ones: like haft__stacks_are_spare, and so are the two
 * below, for the memory of slots. */
extern haft__atomic(uint32_t) haft__records_spare;
static inline bool haft__records_are_spare(void)
{
    return haft__load_relaxed(&haft__records_spare) != 0;
}
int64_t haft__records_trim(int64_t now);
void haft__records_trim_all(void);

#endif
