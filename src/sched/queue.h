/* SPDX-License-Identifier: MIT
 *
 * A worker's ring and LIFO slot. The protocol stands in sched.h; the ring is that of Go's and Tokio's schedulers. */
#ifndef HAFT_SCHED_QUEUE_H
#define HAFT_SCHED_QUEUE_H

#include "sched/sched.h"

_Static_assert((HAFT__RING_SIZE & (HAFT__RING_SIZE - 1)) == 0, "positions wrap around");

/* Appends a chain of n records to the injection list, oldest first. */
void haft__injection_append(haft__sched *sched, haft__record *first, haft__record *last, uint32_t n);

static inline uint32_t haft__ring_length(haft__worker *w)
{
    /* A hint for anybody but the owner. Relaxed: who must not miss a push looks behind a fence, and sees too much rather
     * than too little. */
    uint32_t head = haft__load_relaxed(&w->head);
    return haft__load_relaxed(&w->tail) - head;
}

/* The owner's. */
static inline void haft__ring_push(haft__worker *w, haft__record *record)
{
    for (;;) {
        uint32_t tail = haft__load_relaxed(&w->tail);
        /* Acquire: partner of the release part of a thief's exchange; its reads of the slots come before our writes. */
        uint32_t head = haft__load_acquire(&w->head);
        if (__builtin_expect(tail - head < HAFT__RING_SIZE, 1)) {
            haft__store_relaxed(&w->ring[tail % HAFT__RING_SIZE], record);
            /* Release: partner of the thief's acquire of tail; publishes the slot and the record. */
            haft__store_release(&w->tail, tail + 1);
            return;
        }
        haft__record *half[HAFT__RING_SIZE / 2];
        for (uint32_t i = 0; i < HAFT__RING_SIZE / 2; i++)
            half[i] = haft__load_relaxed(&w->ring[(head + i) % HAFT__RING_SIZE]);
        if (!haft__cas_relaxed(&w->head, &head, head + HAFT__RING_SIZE / 2)) /* as in haft__ring_pop */
            continue;
        for (uint32_t i = 0; i + 1 < HAFT__RING_SIZE / 2; i++)
            half[i]->next = half[i + 1];
        haft__count(&w->overflowed, HAFT__RING_SIZE / 2);
        haft__injection_append(w->sched, half[0], half[HAFT__RING_SIZE / 2 - 1], HAFT__RING_SIZE / 2);
    }
}

/* The owner's. Relaxed: the head only decides. The slots are the owner's own writes, and it fills them again after this; a
 * thief that sees the new head learns nothing by it. */
static inline haft__record *haft__ring_pop(haft__worker *w)
{
    uint32_t head = haft__load_relaxed(&w->head);
    for (;;) {
        if (haft__load_relaxed(&w->tail) == head)
            return NULL;
        haft__record *record = haft__load_relaxed(&w->ring[head % HAFT__RING_SIZE]);
        if (__builtin_expect(haft__cas_weak_relaxed(&w->head, &head, head + 1), 1))
            return record;
    }
}

/* Moves half of the victim's ring into the thief's, which is empty, and returns one of them. */
static inline haft__record *haft__ring_steal(haft__worker *thief, haft__worker *victim)
{
    for (;;) {
        /* Relaxed: with a tail older than the head the length wraps around, which is refused below, and with a head that
         * is old the exchange fails. Acquire: partner of the release of the tail; the slots and the records. */
        uint32_t head = haft__load_relaxed(&victim->head);
        uint32_t tail = haft__load_acquire(&victim->tail);
        uint32_t n = tail - head;
        if (n == 0 || n > HAFT__RING_SIZE)
            return NULL;
        n -= n / 2;
        uint32_t mine = haft__load_relaxed(&thief->tail);
        /* Acquire: as in haft__ring_push; what other thieves have read of the thief's own slots, before they are filled. */
        (void)haft__load_acquire(&thief->head);
        haft__record *last = NULL;
        for (uint32_t i = 0; i < n; i++) {
            last = haft__load_relaxed(&victim->ring[(head + i) % HAFT__RING_SIZE]);
            if (i + 1 < n)
                haft__store_relaxed(&thief->ring[(mine + i) % HAFT__RING_SIZE], last);
        }
        /* Release: see haft__ring_push. */
        if (!haft__cas_release(&victim->head, &head, head + n))
            continue;
        haft__store_release(&thief->tail, mine + n - 1);
        return last;
    }
}

/* The owner's. */
static inline haft__record *haft__lifo_take(haft__worker *w)
{
    if (haft__load_relaxed(&w->lifo) == NULL)
        return NULL; /* only the owner fills it */
    haft__store_relaxed(&w->lifo_busy, 1);
    haft__fence_light(); /* partner: the heavy fence in haft__lifo_steal; either `busy` or `want` is seen */
    if (__builtin_expect(haft__load_acquire(&w->lifo_want) != 0, 0)) {
        haft__store_relaxed(&w->lifo_busy, 0); /* the slot is as it was */
        return haft__exchange_relaxed(&w->lifo, NULL);
    }
    haft__record *record = haft__load_relaxed(&w->lifo);
    if (record != NULL)
        haft__store_relaxed(&w->lifo, NULL);
    /* Release: a thief that then reads 0 sees the slot as it was left. */
    haft__store_release(&w->lifo_busy, 0);
    return record;
}

/* The owner's; the slot is empty. Release: publishes the record to a thief. */
static inline void haft__lifo_put(haft__worker *w, haft__record *record)
{
    haft__store_release(&w->lifo, record);
}

static inline haft__record *haft__lifo_steal(haft__worker *victim)
{
    uint32_t none = 0; /* relaxed: the fence orders it */
    if (!haft__cas_relaxed(&victim->lifo_want, &none, 1))
        return NULL;
    haft__fence_heavy();
    haft__record *record = NULL;
    if (haft__load_acquire(&victim->lifo_busy) == 0)
        record = haft__exchange_acquire(&victim->lifo, NULL); /* partner of the release in haft__lifo_put */
    /* Release: partner of the owner's acquire, who then sees the slot empty. */
    haft__store_release(&victim->lifo_want, 0);
    return record;
}

/* --- Making work visible (slow paths in sched.c) --- */

/* Wakes one sleeper as a searcher, unless somebody searches already. */
void haft__sched_wake_one(haft__sched *sched);
/* Puts a record into the injection queue; from anywhere. */
void haft__sched_inject(haft__sched *sched, haft__record *record);

/* A worker has made work visible. */
static inline void haft__sched_notify(haft__sched *sched)
{
    haft__fence_light(); /* partner: the heavy fence of a worker that goes to sleep */
    if (__builtin_expect(haft__load_relaxed(&sched->sleepers) > 0, 0) && haft__load_relaxed(&sched->searchers) == 0)
        haft__sched_wake_one(sched);
}

/* The calling thread's worker in that scheduler, or null. */
static inline haft__worker *haft__sched_worker_here(haft__sched *sched)
{
    haft__thread *here = haft__here_or_null();
    return here != NULL && here->worker != NULL && here->worker->sched == sched ? here->worker : NULL;
}

/* True if what is in the ring is to be left there: see gather.h. */
static inline bool haft__ring_stays_together(haft__worker *w)
{
    return __builtin_expect(haft__load_relaxed(&w->gathers_until) != 0, 0) && haft__ring_length(w) <= HAFT__GATHER_RING;
}

/* The record runs next on this worker, and what would have run next runs after the ring. */
static inline void haft__sched_ready_next(haft__worker *w, haft__record *record)
{
    haft__record *displaced = haft__lifo_take(w);
    haft__lifo_put(w, record);
    if (displaced != NULL) {
        haft__ring_push(w, displaced);
        if (!haft__ring_stays_together(w))
            haft__sched_notify(w->sched);
    }
}

/* In the checked build every task that is not pinned moves at every suspension: see sched.c. */
static inline bool haft__must_move(const haft__sched *s, const haft__record *record)
{
#ifdef HAFT_CHECKED
    return record->root != NULL && s->count > 1;
#else
    (void)s;
    (void)record;
    return false;
#endif
}

/* haft__task_ready as the last act of a task on this worker: if it can run here it runs next, past all queues. */
static inline void haft__sched_ready_at_end(haft__worker *w, haft__record *record)
{
    haft__sched *s = haft__load_relaxed(&record->home);
    if (__builtin_expect(w->sched == s && (record->flags & HAFT__PINNED) == 0, 1) && !haft__must_move(s, record))
        w->successor = record;
    else
        haft__task_ready(record);
}

/* Makes a new record runnable: it runs next here, or soon elsewhere. */
static inline void haft__sched_spawn(haft__sched *sched, haft__record *record)
{
    haft__worker *w = haft__sched_worker_here(sched);
    if (__builtin_expect(w != NULL, 1))
        haft__sched_ready_next(w, record);
    else
        haft__sched_inject(sched, record);
}

#endif
