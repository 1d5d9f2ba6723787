/* SPDX-License-Identifier: MIT
 *
 * The pool for blocking calls, one in each runtime that uses it. A call is handed straight to an idle thread, or to a new
 * one, or waits in a queue when there are 512. A thread that has been idle for ten seconds ends.
 *
 * Everything is under the pool's lock but the hand-over word of an idle thread: IDLE -> CALLED or TOLD is made by whoever
 * takes the thread off the idle list, under the lock; the thread waits for it on the futex. A thread that gives up
 * waiting looks under the lock whether it is still in the list. A thread that ends while the pool lives on detaches itself; one that ends because the pool
 * stops puts itself on a list to be joined. */
#include "job/job.h"

#include <limits.h>
#include <string.h>

enum { IDLE, CALLED, TOLD_TO_END };

typedef struct haft__pool haft__pool;

typedef struct pool_thread {
    haft__thread thread; /* first */
    haft__pool *pool;
    haft__link link; /* in the idle or the ended list */
    haft__job *job;
    haft__os_thread native;
    haft__atomic(uint32_t) word;
} pool_thread;

struct haft__pool {
    haft_runtime *runtime;
    haft__lock lock;
    haft__record *first, *last; /* queued calls */
    haft__link idle;            /* the most recently used first */
    haft__link ended;
    unsigned threads;
    bool stopping;
    haft__atomic(uint32_t) endings; /* counts; the stopper waits on it */
};

static void run(pool_thread *self, haft__job *job)
{
    haft__root_init(&self->thread.own, &job->record);
    haft__job_run_body(job, &self->thread.own);
    haft__job_end(job);
    self->thread.own.record = NULL;
}

/* The next call, waiting for it; null: end. */
static haft__job *next_call(pool_thread *self)
{
    haft__pool *pool = self->pool;
    haft__lock_acquire(&pool->lock);
    haft__record *queued = pool->first;
    if (queued != NULL) {
        pool->first = queued->next;
        if (pool->first == NULL)
            pool->last = NULL;
        haft__lock_release(&pool->lock);
        return haft__job_of(queued);
    }
    if (pool->stopping) {
        haft__lock_release(&pool->lock);
        return NULL;
    }
    haft__store_relaxed(&self->word, IDLE);
    haft__list_append(pool->idle.next, &self->link); /* before the first: the list's own link is circular */
    haft__lock_release(&pool->lock);

    int64_t deadline = haft__os->now() + HAFT__POOL_IDLE_NS;
    for (;;) {
        /* Acquire: partner of the release that hands the call over. */
        uint32_t word = haft__load_acquire(&self->word);
        if (word != IDLE)
            return word == CALLED ? self->job : NULL;
        if (haft__os->futex_wait(&self->word, IDLE, deadline) != -ETIMEDOUT)
            continue;
        haft__lock_acquire(&pool->lock);
        bool is_idle = haft__load_relaxed(&self->word) == IDLE;
        if (is_idle)
            haft__list_remove(&self->link);
        haft__lock_release(&pool->lock);
        if (is_idle)
            return NULL;
    }
}

static void pool_thread_runs(void *argument)
{
    pool_thread *self = argument;
    haft__pool *pool = self->pool;
    haft__thread_enter(&self->thread);
    haft__announce_thread(&self->thread.note);
    haft__os->alternate_stack_enter(&self->thread.signal_stack);
    for (haft__job *job = self->job; job != NULL; job = next_call(self)) {
        self->thread.own.note = &self->thread.note;
        run(self, job);
    }
    haft__thread_leave(&self->thread);
    if (self->thread.signal_stack != NULL)
        haft__os->alternate_stack_leave(self->thread.signal_stack);

    haft__lock_acquire(&pool->lock);
    bool is_joined = pool->stopping;
    if (is_joined) {
        self->native = haft__os->thread_self();
        haft__list_append(&pool->ended, &self->link);
    } else {
        pool->threads--;
    }
    if (!is_joined) {
        haft__lock_release(&pool->lock);
        haft__os->thread_detach(haft__os->thread_self());
        haft__os->release(self);
        return;
    }
    /* The stopper frees pool and thread once it has joined, so both are still there for the wake. */
    haft__fetch_add_acq_rel(&pool->endings, 1);
    haft__lock_release(&pool->lock);
    haft__os->futex_wake(&pool->endings, 1);
}

static haft__pool *pool_of(haft_runtime *runtime)
{
    haft__lock_acquire(&runtime->pool_lock);
    haft__pool *pool = runtime->pool;
    haft__lock_release(&runtime->pool_lock);
    if (pool != NULL)
        return pool;
    haft__pool *fresh = haft__os->allocate(sizeof *fresh, _Alignof(haft__pool));
    if (fresh == NULL)
        return NULL;
    memset(fresh, 0, sizeof *fresh);
    fresh->runtime = runtime;
    haft__list_init(&fresh->idle);
    haft__list_init(&fresh->ended);
    haft__lock_acquire(&runtime->pool_lock);
    pool = runtime->pool;
    if (pool == NULL)
        pool = runtime->pool = fresh;
    haft__lock_release(&runtime->pool_lock);
    if (pool != fresh)
        haft__os->release(fresh);
    return pool;
}

static int start_thread(haft__pool *pool, haft__job *job)
{
    pool_thread *self = haft__os->allocate(sizeof *self, _Alignof(pool_thread));
    if (self == NULL)
        return HAFT_ENOMEM;
    memset(self, 0, sizeof *self);
    self->pool = pool;
    self->job = job;
    self->thread.home = &pool->runtime->sched;
    haft__root_init(&self->thread.own, NULL);
    const haft__os_thread_options options = { .name = "haft-blocking" };
    int rc = haft__os->thread_create(&self->native, &options, pool_thread_runs, self);
    if (rc != 0)
        haft__os->release(self);
    return rc;
}

static void enqueue(haft__pool *pool, haft__job *job)
{
    job->record.next = NULL;
    if (pool->last != NULL)
        pool->last->next = &job->record;
    else
        pool->first = &job->record;
    pool->last = &job->record;
}

int haft__pool_submit(haft__job *job)
{
    haft__pool *pool = pool_of(haft__job_runtime(job));
    if (pool == NULL)
        return HAFT_ENOMEM;
    haft__lock_acquire(&pool->lock);
    haft__link *link = haft__list_take(&pool->idle);
    if (link != NULL) {
        pool_thread *thread = HAFT__CONTAINER(link, pool_thread, link);
        thread->job = job;
        haft__store_release(&thread->word, CALLED);
        haft__lock_release(&pool->lock);
        haft__os->futex_wake(&thread->word, 1);
        return 0;
    }
    bool may_grow = pool->threads < HAFT__POOL_THREADS;
    if (may_grow)
        pool->threads++;
    else
        enqueue(pool, job);
    haft__lock_release(&pool->lock);
    if (!may_grow)
        return 0;
    int rc = start_thread(pool, job);
    if (rc == 0)
        return 0;
    /* The machine's limit: the call waits for one of the threads that exist, if there is one. */
    haft__lock_acquire(&pool->lock);
    pool->threads--;
    bool can_wait = pool->threads > 0;
    link = can_wait ? haft__list_take(&pool->idle) : NULL;
    if (link != NULL) {
        HAFT__CONTAINER(link, pool_thread, link)->job = job;
        haft__store_release(&HAFT__CONTAINER(link, pool_thread, link)->word, CALLED);
    } else if (can_wait) {
        enqueue(pool, job);
    }
    haft__lock_release(&pool->lock);
    if (link != NULL)
        haft__os->futex_wake(&HAFT__CONTAINER(link, pool_thread, link)->word, 1);
    return can_wait ? 0 : rc;
}

bool haft__pool_withdraw(haft__job *job)
{
    haft__pool *pool = pool_of(haft__job_runtime(job));
    haft__lock_acquire(&pool->lock);
    haft__record *before = NULL, *at = pool->first;
    while (at != NULL && at != &job->record) {
        before = at;
        at = at->next;
    }
    if (at != NULL) {
        if (before != NULL)
            before->next = at->next;
        else
            pool->first = at->next;
        if (pool->last == at)
            pool->last = before;
    }
    haft__lock_release(&pool->lock);
    return at != NULL;
}

void haft__pool_stop(haft_runtime *runtime)
{
    haft__pool *pool = runtime->pool;
    if (pool == NULL)
        return;
    haft__lock_acquire(&pool->lock);
    pool->stopping = true;
    haft__link *link;
    while ((link = haft__list_take(&pool->idle)) != NULL) {
        pool_thread *thread = HAFT__CONTAINER(link, pool_thread, link);
        haft__store_release(&thread->word, TOLD_TO_END);
        haft__os->futex_wake(&thread->word, 1);
    }
    while (pool->threads > 0) {
        uint32_t seen = haft__load_acquire(&pool->endings);
        link = haft__list_take(&pool->ended);
        if (link != NULL)
            pool->threads--;
        haft__lock_release(&pool->lock);
        if (link != NULL) {
            pool_thread *thread = HAFT__CONTAINER(link, pool_thread, link);
            haft__os->thread_join(thread->native);
            haft__os->release(thread);
        } else {
            haft__os->futex_wait(&pool->endings, seen, INT64_MAX);
        }
        haft__lock_acquire(&pool->lock);
    }
    haft__lock_release(&pool->lock);
    haft__os->release(pool);
    runtime->pool = NULL;
}
