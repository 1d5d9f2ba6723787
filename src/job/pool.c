/* SPDX-License-Identifier: MIT
 *
 * The pool for blocking calls, one in each runtime that uses it. A call is handed straight to an idle thread, or to
 * a new one, or waits in a queue when there are 512. A thread that has been idle for ten seconds ends.
 *
 * If the machine gives no thread, a new call is refused, even while others run: whatever they wait for may be this
 * call, through jobs, pipes or anything else that nobody here can see, and then neither would ever go on.
 *
 * Everything is under the pool's lock but the hand-over word of an idle thread: IDLE -> CALLED or TOLD is made by
 * whoever takes the thread off the idle list, under the lock; the thread waits for it on the futex. A thread that
 * gives up waiting looks under the lock whether it is still in the list.
 *
 * Nothing is stranded in the queue: a call is queued only while a thread is counted, and a counted thread looks at
 * the queue, under the lock, before it stops being counted. Threads are counted from before their creation; a
 * creation that fails and was the last to be counted ends what is queued. A thread that is left by pthread_exit takes a
 * queued call along and has it begun elsewhere, or puts it back.
 *
 * A thread that ends while the pool lives on detaches itself and touches the pool no more; one that ends because the
 * pool stops is joined, unless it was left behind, stuck in a call: then it detaches itself, too. The pool stays with
 * its runtime's control block for ever. */
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
    bool is_counted;
    bool is_running; /* has a call, and is counted as such */
} pool_thread;

struct haft__pool {
    haft_runtime *runtime;
    haft__lock lock;
    haft__record *first, *last; /* queued calls */
    haft__link idle;            /* the most recently used first */
    haft__link ended;
    unsigned threads; /* counted */
    unsigned running; /* those of them that have a call, from when they are given it until they ask for the next */
    bool stopping;
    bool is_left_behind;            /* with stopping: nobody joins those that still run */
    haft__atomic(uint32_t) endings; /* counts; the stopper waits on it */
};

static haft__job *pop_queued(haft__pool *pool)
{
    haft__record *record = pool->first;
    if (record == NULL)
        return NULL;
    pool->first = record->next;
    if (pool->first == NULL)
        pool->last = NULL;
    return haft__job_of(record);
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

static void run(pool_thread *self)
{
    haft__job *job = self->job;
    self->thread.own.note = &self->thread.note;
    haft__root_init(&self->thread.own, &job->record);
    haft__job_run_body(job, &self->thread.own);
    self->job = NULL;
    haft__job_end(job);
    self->thread.own.record = NULL;
}

/* The lock is held. */
static void give_call(haft__pool *pool, pool_thread *thread, haft__job *job)
{
    thread->job = job;
    if (job != NULL && !thread->is_running)
        pool->running++;
    if (job == NULL && thread->is_running)
        pool->running--;
    thread->is_running = job != NULL;
}

/* Gets the next call into self->job, waiting for it. False: the thread ends. */
static bool get_call(pool_thread *self)
{
    haft__pool *pool = self->pool;
    haft__lock_acquire(&pool->lock);
    give_call(pool, self, pop_queued(pool));
    if (self->job != NULL || pool->stopping) {
        haft__lock_release(&pool->lock);
        return self->job != NULL;
    }
    haft__store_relaxed(&self->word, IDLE);
    haft__list_append(pool->idle.next, &self->link); /* before the first */
    haft__lock_release(&pool->lock);

    int64_t deadline = haft__os->now() + HAFT__POOL_IDLE_NS;
    for (;;) {
        /* Acquire: partner of the release that hands the call over. */
        uint32_t word = haft__load_acquire(&self->word);
        if (word != IDLE)
            return word == CALLED;
        if (haft__sleep(&self->thread.sleeper, &self->word, IDLE, deadline, true) != -ETIMEDOUT)
            continue;
        haft__lock_acquire(&pool->lock);
        bool is_idle = haft__load_relaxed(&self->word) == IDLE;
        if (is_idle) {
            haft__list_remove(&self->link);
            give_call(pool, self, pop_queued(pool));
            if (self->job == NULL) {
                pool->threads--;
                self->is_counted = false;
            }
        }
        haft__lock_release(&pool->lock);
        if (is_idle)
            return self->job != NULL;
    }
}

static int begin(haft__pool *pool, haft__job *job, bool was_queued);

/* The thread's last act, from the destructor of its key: after pthread_exit in a body, too. */
static void thread_ends(void *argument)
{
    pool_thread *self = argument;
    haft__pool *pool = self->pool;
    if (self->job != NULL) {
        haft__job *job = self->job;
        haft__job_left(job, &self->thread.own);
        haft__job_end(job);
    }
    void *signal_stack = self->thread.signal_stack;
    haft__thread_leave(&self->thread);
    if (signal_stack != NULL)
        haft__os->alternate_stack_leave(signal_stack);
    if (!self->is_counted) {
        haft__os->thread_detach(haft__os->thread_self());
        haft__os->release(self);
        return;
    }
    haft__lock_acquire(&pool->lock);
    give_call(pool, self, NULL);
    bool is_joined = pool->stopping && !pool->is_left_behind;
    haft__job *queued = NULL;
    if (is_joined) {
        self->native = haft__os->thread_self();
        haft__list_append(&pool->ended, &self->link);
        haft__fetch_add_relaxed(&pool->endings, 1); /* the lock is held; it is only slept on without */
    } else {
        pool->threads--; /* by pthread_exit, or left behind; what is queued goes to another thread */
        queued = pop_queued(pool);
    }
    haft__lock_release(&pool->lock);
    if (is_joined) {
        /* The stopper frees the thread's struct once it has joined; the pool stays. */
        haft__os->futex_wake(&pool->endings, 1);
        return;
    }
    if (queued != NULL) {
        int rc = begin(pool, queued, true);
        if (rc != 0)
            haft__job_refuse(&queued->record, rc);
    }
    haft__os->thread_detach(haft__os->thread_self());
    haft__os->release(self);
}

static void thread_runs(void *argument)
{
    pool_thread *self = argument;
    haft__thread_enter(&self->thread);
    haft__announce_thread(&self->thread.note);
    haft__os->alternate_stack_enter(&self->thread.signal_stack);
    if (haft__thread_at_exit(&self->thread, thread_ends) != 0) {
        /* No memory for a key's value. A body that left by pthread_exit would never end, so none begins. */
        haft__job *job = self->job;
        haft__root_init(&self->thread.own, &job->record);
        self->job = NULL;
        haft__job_refuse(&job->record, HAFT_ENOMEM);
        self->thread.own.record = NULL;
        thread_ends(self);
        return;
    }
    do
        run(self);
    while (get_call(self));
}

static haft__pool *pool_of(haft_runtime *runtime)
{
    haft__lock_acquire(&runtime->pool_lock);
    haft__pool *pool = runtime->pool;
    haft__lock_release(&runtime->pool_lock);
    return pool;
}

static haft__pool *pool_for(haft_runtime *runtime)
{
    haft__pool *pool = pool_of(runtime);
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
    self->is_counted = self->is_running = true; /* by haft__pool_submit */
    self->thread.home = &pool->runtime->sched;
    haft__root_init(&self->thread.own, NULL);
    const haft__os_thread_options options = { .name = "haft-blocking" };
    haft__os_thread native; /* not into self: the thread may have ended, and freed it, before the creation returns */
    int rc = haft__os->thread_create(&native, &options, thread_runs, self);
    if (rc != 0)
        haft__os->release(self);
    return rc;
}

/* Hands the job to an idle thread, and returns it to be woken; or null. The lock is held. */
static pool_thread *hand_over(haft__pool *pool, haft__job *job)
{
    haft__link *link = haft__list_take(&pool->idle);
    if (link == NULL)
        return NULL;
    pool_thread *thread = HAFT__CONTAINER(link, pool_thread, link);
    give_call(pool, thread, job);
    haft__store_release(&thread->word, CALLED);
    return thread;
}

/* A creation failed. The job stays in the pool, 0, if a thread has become idle, or if it was queued before and another
 * thread will look at the queue; otherwise it is the caller's again. If there is no other thread, what is queued ends
 * with the same code. */
static int creation_failed(haft__pool *pool, haft__job *job, bool was_queued, int rc)
{
    haft__record *queued = NULL;
    haft__lock_acquire(&pool->lock);
    pool->threads--;
    pool->running--;
    pool_thread *thread = hand_over(pool, job);
    bool stays = thread != NULL || (was_queued && pool->threads > 0);
    if (thread == NULL && stays)
        enqueue(pool, job);
    if (pool->threads == 0) {
        queued = pool->first;
        pool->first = pool->last = NULL;
    }
    haft__lock_release(&pool->lock);
    if (thread != NULL)
        haft__os->futex_wake(&thread->word, 1);
    while (queued != NULL) {
        haft__record *next = queued->next;
        haft__job_refuse(queued, rc);
        queued = next;
    }
    return stays ? 0 : rc;
}

/* Gives the job to an idle thread or a new one, or queues it. On error it is still the caller's. */
static int begin(haft__pool *pool, haft__job *job, bool was_queued)
{
    haft__lock_acquire(&pool->lock);
    pool_thread *thread = hand_over(pool, job);
    bool grows = thread == NULL && pool->threads < HAFT__POOL_THREADS;
    if (grows) {
        pool->threads++;
        pool->running++;
    } else if (thread == NULL) {
        enqueue(pool, job);
    }
    haft__lock_release(&pool->lock);
    if (thread != NULL)
        haft__os->futex_wake(&thread->word, 1);
    if (!grows)
        return 0;
    int rc = start_thread(pool, job);
    return rc == 0 ? 0 : creation_failed(pool, job, was_queued, rc);
}

int haft__pool_submit(haft__job *job)
{
    haft__pool *pool = pool_for(haft__job_runtime(job));
    return haft__job_refused(pool != NULL ? begin(pool, job, false) : HAFT_ENOMEM);
}

bool haft__pool_withdraw(haft__job *job)
{
    haft__pool *pool = pool_of(haft__job_runtime(job));
    if (pool == NULL)
        return false;
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

void haft__pool_count(haft_runtime *runtime, unsigned *threads, uint64_t *queued)
{
    haft__pool *pool = pool_of(runtime);
    *threads = 0;
    *queued = 0;
    if (pool == NULL)
        return;
    haft__lock_acquire(&pool->lock);
    *threads = pool->stopping ? 0 : pool->threads;
    for (const haft__record *record = pool->first; record != NULL; record = record->next)
        ++*queued;
    haft__lock_release(&pool->lock);
}

void haft__pool_stop(haft_runtime *runtime, bool leaves)
{
    haft__pool *pool = pool_of(runtime);
    if (pool == NULL)
        return;
    haft__lock_acquire(&pool->lock);
    pool->stopping = true;
    haft__link *link;
    while ((link = haft__list_take(&pool->idle)) != NULL) {
        pool_thread *thread = HAFT__CONTAINER(link, pool_thread, link);
        haft__store_relaxed(&thread->word, TOLD_TO_END); /* it takes the lock before it looks at anything */
        haft__os->futex_wake(&thread->word, 1);
    }
    while (pool->threads > (leaves ? pool->running : 0)) {
        uint32_t seen = haft__load_relaxed(&pool->endings);
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
    pool->stopping = pool->is_left_behind = pool->threads > 0;
    haft__lock_release(&pool->lock);
}
