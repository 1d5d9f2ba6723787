/* SPDX-License-Identifier: MIT
 *
 * haft_wait: any number of callers wait for a job's end and spend nothing. They are rare, so they stand in a small
 * hash table of lists instead of taking room in every descriptor.
 *
 * A watcher sets WATCHED in the state word under its list's lock, so a finisher who does not see the flag fails its
 * exchange and looks again; one who sees it shows DONE under that lock, and marks and takes out every watcher of
 * that generation. A watcher that is still in the list is not marked and may leave; both under the lock. A node
 * belongs to its watcher's stack again once it is marked: the finisher reads whom to wake before. */
#include "job/job.h"

#define BUCKETS 64

typedef struct watcher {
    haft__link link;
    haft__job *job;
    uint64_t generation;
    haft__record *record;
    bool is_done;
} watcher;

static struct bucket {
    _Alignas(HAFT__CACHE_LINE) haft__lock lock;
    haft__link watchers; /* next is null until first used */
} buckets[BUCKETS];

static struct bucket *bucket_of(const haft__job *job)
{
    return &buckets[((uintptr_t)job / HAFT__DESCRIPTOR_SIZE) % BUCKETS];
}

int haft__watch(haft__job *job, uint64_t generation, haft__root *me)
{
    struct bucket *bucket = bucket_of(job);
    watcher self = { .job = job, .generation = generation, .record = me->record };
    haft__lock_acquire(&bucket->lock);
    uint64_t state;
    do {
        /* Acquire: partner of the release of DONE; whoever has waited sees what the job did. */
        state = haft__load_acquire(&job->record.state);
        if (haft__generation(state) != generation || (state & HAFT__DONE) != 0) {
            haft__lock_release(&bucket->lock);
            return haft__generation(state) != generation ? HAFT_ESTALE : 0;
        }
        /* Relaxed: a finisher who sees it takes the lock. */
    } while (!haft__cas_weak_relaxed(&job->record.state, &state, state | HAFT__WATCHED));
    if (bucket->watchers.next == NULL)
        haft__list_init(&bucket->watchers);
    haft__list_append(&bucket->watchers, &self.link);
    int rc = 0;
    while (!self.is_done && (rc = haft__refusal(me)) == 0) {
        haft__park_unlocking_for(&bucket->lock, "the end of", &job->record);
        haft__lock_acquire(&bucket->lock);
    }
    if (self.is_done)
        rc = 0;
    else
        haft__list_remove(&self.link);
    haft__lock_release(&bucket->lock);
    return haft__tell(me, rc);
}

/* Marks one watcher and takes it out: its record, or null. The lock is held. */
static haft__record *take_watcher(struct bucket *bucket, const haft__job *job, uint64_t generation)
{
    for (haft__link *at = bucket->watchers.next; at != &bucket->watchers; at = at->next) {
        watcher *w = HAFT__CONTAINER(at, watcher, link);
        if (w->job != job || w->generation != generation)
            continue;
        haft__record *record = w->record;
        haft__list_remove(at);
        w->is_done = true;
        return record;
    }
    return NULL;
}

bool haft__watched_end(haft__job *job, uint64_t *seen, uint64_t next)
{
    struct bucket *bucket = bucket_of(job);
    uint64_t generation = haft__generation(next);
    haft__lock_acquire(&bucket->lock);
    bool shown = haft__cas_acq_rel_retry(&job->record.state, seen, next); /* as in haft__job_end */
    /* From here on the job may be recycled; its address and generation are only compared. */
    haft__record *record = shown ? take_watcher(bucket, job, generation) : NULL;
    haft__lock_release(&bucket->lock);
    while (record != NULL) {
        haft__wake(record);
        haft__lock_acquire(&bucket->lock);
        record = take_watcher(bucket, job, generation);
        haft__lock_release(&bucket->lock);
    }
    return shown;
}
