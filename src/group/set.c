/* SPDX-License-Identifier: MIT
 *
 * Sets. A set owns its jobs: each is in the list of members, and besides either queued (made, not started, because the
 * limit is reached), running, or in the list of the ended, in the order in which they ended.
 *
 * One lock guards it all. Waiters (for the next end; for room in the queue) stand in lists as nodes on their own
 * stacks. Whoever makes something true takes the first waiter out of the list, marks it and wakes it after releasing
 * the lock; the waiter looks again. A marked waiter that leaves for another reason and leaves something behind
 * passes the mark on. A waiter's mark is its is_done. Arms of selects stand among those who wait for the next end, but
 * are not told when the set becomes empty, because they go on waiting then.
 *
 * Starting queued jobs is done by one thread at a time (`is_starting`), in a loop, because a start that fails ends
 * the job and so comes back here. The set may be freed only when nobody is starting. */
#include <string.h>

#include "group/group.h"
#include "wait/arm.h"

#define DEFAULT_QUEUE 1024

struct haft_set {
    haft__group_done *done; /* first */
    haft__lock lock;
    bool is_starting;
    size_t limit; /* SIZE_MAX: none */
    size_t queue;
    size_t running; /* that count against the limit */
    size_t queued;
    size_t members_count;
    haft__link members;
    haft__record *queued_first, *queued_last;
    haft__record *ended_first, *ended_last;
    haft__link takers;   /* wait for an end */
    haft__link spawners; /* wait for room */
};

enum { COUNTED = 8 }; /* record flag: counts against the limit of its set */

static void list_push(haft__record **first, haft__record **last, haft__record *record)
{
    record->next = NULL;
    if (*last != NULL)
        (*last)->next = record;
    else
        *first = record;
    *last = record;
}

static haft__record *list_pop(haft__record **first, haft__record **last)
{
    haft__record *record = *first;
    if (record != NULL) {
        *first = record->next;
        if (*first == NULL)
            *last = NULL;
    }
    return record;
}

/* Marks a waiter that was taken out of its list and returns whom to wake. The node is its owner's again once it is marked
 * and the lock released. The lock is held. */
static haft__record *mark(haft__link *link)
{
    return haft__arm_complete(HAFT__CONTAINER(link, haft__arm, link), 0);
}

/* Marks the first waiter, if there is one. */
static haft__record *mark_one(haft__link *waiters)
{
    haft__link *link = haft__list_take(waiters);
    return link != NULL ? mark(link) : NULL;
}

/* Marks the first who waits for the next end and has a reason to look, if there is one. */
static haft__record *mark_taker(haft_set *set)
{
    if (set->ended_first != NULL)
        return mark_one(&set->takers);
    if (set->members_count != 0)
        return NULL;
    for (haft__link *at = set->takers.next; at != &set->takers; at = at->next) {
        if (HAFT__CONTAINER(at, haft__arm, link)->choice != NULL)
            continue;
        haft__list_remove(at);
        return mark(at);
    }
    return NULL;
}

static void wake_if(haft__record *record)
{
    if (record != NULL)
        haft__wake(record);
}

/* Waits in that list for a mark. 0, or the refusal, in which case the node is in no list. The lock is held on entry
 * and on return. */
static int wait_in(haft_set *set, haft__link *waiters, haft__root *me)
{
    int rc = haft__refusal(me);
    if (rc != 0)
        return rc;
    haft__arm self;
    haft__arm_init(&self, me, NULL);
    haft__list_append(waiters, &self.link);
    haft__park_unlocking_for(&set->lock, waiters == &set->takers ? "the next of its set" : "room in its set", NULL);
    haft__lock_acquire(&set->lock);
    haft__list_remove(&self.link); /* unless marked, which took it out */
    return 0;
}

static bool has_room(const haft_set *set)
{
    return set->running < set->limit || set->queued < set->queue;
}

/* Starts what is queued while the limit allows. The lock is held on entry and on return. */
static void start_queued(haft_set *set)
{
    if (set->is_starting)
        return;
    set->is_starting = true;
    while (set->running < set->limit && set->queued_first != NULL) {
        haft__record *record = list_pop(&set->queued_first, &set->queued_last);
        set->queued--;
        set->running++;
        haft__record *spawner = mark_one(&set->spawners);
        haft__lock_release(&set->lock);
        wake_if(spawner);
        int rc = haft__job_start(haft__job_of(record));
        if (rc != 0)
            haft__job_refuse(record, rc);
        haft__lock_acquire(&set->lock);
    }
    set->is_starting = false;
}

static void member_ended(void *group, haft__job *job)
{
    haft_set *set = group;
    haft__lock_acquire(&set->lock);
    list_push(&set->ended_first, &set->ended_last, &job->record);
    haft__record *taker = mark_taker(set), *spawner = NULL;
    if ((job->record.flags & COUNTED) != 0) {
        set->running--;
        start_queued(set);
        if (has_room(set))
            spawner = mark_one(&set->spawners);
    }
    haft__lock_release(&set->lock);
    wake_if(taker);
    wake_if(spawner);
}

haft_set *haft_set_new_raw(const haft_set_options *options)
{
    if (haft__is_forked())
        return NULL;
    haft_set *set = haft__os->allocate(sizeof *set, _Alignof(haft_set));
    if (set == NULL)
        return NULL;
    memset(set, 0, sizeof *set);
    set->done = member_ended;
    set->limit = options->limit != 0 ? options->limit : SIZE_MAX;
    set->queue = options->queue != 0 ? options->queue : DEFAULT_QUEUE;
    haft__list_init(&set->members);
    haft__list_init(&set->takers);
    haft__list_init(&set->spawners);
    return set;
}

/* After anything that made room or emptied the set, other than an end: whoever waits for it is told, one by one;
 * each passes it on. */
static void settle(haft_set *set)
{
    haft__lock_acquire(&set->lock);
    haft__record *spawner = has_room(set) ? mark_one(&set->spawners) : NULL;
    haft__record *taker = mark_taker(set);
    haft__lock_release(&set->lock);
    wake_if(spawner);
    wake_if(taker);
}

static void add_member(haft_set *set, haft__job *job)
{
    haft__list_append(&set->members, &job->link);
    set->members_count++;
}

static void remove_member(haft_set *set, haft__job *job)
{
    haft__list_remove(&job->link);
    set->members_count--;
}

/* A new member gets its place: it runs, or is queued. Waits for room. The lock is held on entry and on return. */
static int admit(haft_set *set, haft__job *job, haft__root *me, bool *runs)
{
    while (!has_room(set)) {
        int rc = wait_in(set, &set->spawners, me);
        if (rc != 0)
            return rc;
    }
    add_member(set, job);
    *runs = set->running < set->limit && set->queued_first == NULL;
    if (*runs) {
        set->running++;
    } else {
        list_push(&set->queued_first, &set->queued_last, &job->record);
        set->queued++;
    }
    return 0;
}

int haft_set_spawn_raw(haft_set *set, haft_fn *body, const void *frame, size_t size, size_t alignment,
                       const haft_spawn_options *options)
{
    if (set == NULL)
        return HAFT_EINVAL;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__job *job = NULL;
    rc = haft__job_make_member(here, body, frame, size, alignment, options, set, &job);
    if (rc != 0)
        return rc;
    job->record.flags |= COUNTED;
    bool runs = false;
    haft__lock_acquire(&set->lock);
    rc = admit(set, job, me, &runs);
    haft__record *other = has_room(set) ? mark_one(&set->spawners) : NULL; /* the mark is passed on */
    haft__lock_release(&set->lock);
    wake_if(other);
    if (rc == 0 && runs)
        rc = haft__job_start(job);
    else if (rc == 0)
        return 0;
    if (rc == 0) {
        haft__group_give_way();
        return 0;
    }
    if (runs) {
        haft__lock_acquire(&set->lock);
        remove_member(set, job);
        set->running--;
        start_queued(set);
        haft__lock_release(&set->lock);
        settle(set);
    }
    haft__job_unmake(job);
    return haft__tell(me, rc);
}

int haft_set_add(haft_set *set, haft_handle *h)
{
    if (set == NULL)
        return HAFT_EINVAL;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__job *job = NULL;
    bool was_done;
    int rc = haft__job_claim(h, here->root, &job, &was_done);
    if (rc == HAFT_EDEADLK && haft__is_self_handle(h))
        rc = HAFT_EINVAL; /* nothing waits here, there is only nothing to give away */
    if (rc != 0)
        return rc;
    job->group = set;
    *h = HAFT_NULL_HANDLE;
    /* Under the lock: a member that is not DONE is in the group, so that haft_set_detach_all may let it go. */
    haft__lock_acquire(&set->lock);
    add_member(set, job);
    bool has_ended = false;
    uint64_t state;
    do {
        /* Acquire: partner of the release of DONE. Release below: of the finisher's acquire, who reads the group. */
        state = haft__load_acquire(&job->record.state);
        has_ended = (state & HAFT__DONE) != 0;
    } while (!has_ended &&
             !haft__cas_weak_release(&job->record.state, &state, (state & ~HAFT__JOINER_MASK) | HAFT__GROUP));
    haft__lock_release(&set->lock);
    if (has_ended)
        member_ended(set, job);
    return 0;
}

/* Takes the first ended job out. 0, HAFT_EEMPTY, HAFT_EAGAIN, HAFT_EINVAL. The lock is held. */
static int take_ended(haft_set *set, const void *frame, size_t size, haft__job **out)
{
    if (set->ended_first == NULL)
        return set->members_count == 0 ? HAFT_EEMPTY : HAFT_EAGAIN;
    haft__job *job = haft__job_of(set->ended_first);
    if (!haft__job_fits(job, frame, size))
        return HAFT_EINVAL;
    list_pop(&set->ended_first, &set->ended_last);
    remove_member(set, job);
    *out = job;
    return 0;
}

static int next(haft_set *set, void *frame, size_t size, bool waits, haft__job **out)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__root *me = haft__here_always()->root;
    int rc = waits ? haft__refusal_on_entry(me) : 0;
    if (rc != 0)
        return rc;
    haft__lock_acquire(&set->lock);
    while ((rc = take_ended(set, frame, size, out)) == HAFT_EAGAIN && waits) {
        rc = wait_in(set, &set->takers, me);
        if (rc != 0)
            break;
    }
    /* What is left is for the next one who waits; nobody may sleep beside it, or beside an empty set. */
    haft__record *other = mark_taker(set);
    haft__lock_release(&set->lock);
    wake_if(other);
    return haft__tell(me, rc);
}

int haft_set_next_raw(haft_set *set, void *frame, size_t size, int *code)
{
    if (set == NULL)
        return HAFT_EINVAL;
    haft__job *job = NULL;
    int rc = next(set, frame, size, true, &job);
    if (rc != 0)
        return rc;
    int result = haft__job_reap_plainly(job, frame, size);
    if (code != NULL)
        *code = result;
    return 0;
}

int haft_set_try_next_raw(haft_set *set, void *frame, size_t size, int *code)
{
    if (set == NULL)
        return HAFT_EINVAL;
    haft__job *job = NULL;
    int rc = next(set, frame, size, false, &job);
    if (rc != 0)
        return rc;
    int result = haft__job_reap_plainly(job, frame, size);
    if (code != NULL)
        *code = result;
    return 0;
}

int haft_set_next_outcome_raw(haft_set *set, void *frame, size_t size, haft_outcome *out)
{
    if (set == NULL)
        return HAFT_EINVAL;
    haft__job *job = NULL;
    int rc = next(set, frame, size, true, &job);
    if (rc == 0)
        haft__job_reap(job, frame, size, out);
    return rc;
}

/* Ends what is queued without starting it. */
static void refuse_queued(haft_set *set)
{
    for (;;) {
        haft__lock_acquire(&set->lock);
        haft__record *record = list_pop(&set->queued_first, &set->queued_last);
        if (record != NULL) {
            set->queued--;
            record->flags &= (uint8_t)~COUNTED;
        }
        haft__lock_release(&set->lock);
        if (record == NULL)
            break;
        haft__job_refuse(record, 0);
    }
    settle(set);
}

/* Ends what stands in the pool's queue. */
static void refuse_unbegun_calls(haft_set *set)
{
    haft__lock_acquire(&set->lock);
    for (haft__link *at = set->members.next; at != &set->members;) {
        haft__job *job = HAFT__CONTAINER(at, haft__job, link);
        at = at->next;
        if (haft__load_relaxed(&job->record.kind) != HAFT__KIND_BLOCKING ||
            (haft__load_relaxed(&job->record.state) & HAFT__DONE) != 0 || !haft__pool_withdraw(job))
            continue;
        haft__lock_release(&set->lock);
        haft__job_refuse(&job->record, 0);
        haft__lock_acquire(&set->lock);
        at = set->members.next; /* anything may have changed; a call is withdrawn once */
    }
    haft__lock_release(&set->lock);
}

void haft_set_abort_all(haft_set *set)
{
    if (set == NULL)
        return;
    haft__here_always();
    haft__lock_acquire(&set->lock);
    haft__group_abort(&set->members, haft__wake);
    haft__lock_release(&set->lock);
    refuse_queued(set);
    refuse_unbegun_calls(set);
}

/* Takes and drops every ended job. */
static void drop_ended(haft_set *set)
{
    haft__job *job = NULL;
    while (next(set, NULL, 0, false, &job) == 0)
        haft__job_reap(job, NULL, 0, NULL);
}

void haft_set_shutdown(haft_set *set)
{
    if (set == NULL)
        return;
    haft__here_always();
    haft_set_abort_all(set);
    HAFT_SHIELD; /* as a block, because a dropper may panic */
    haft__job *job = NULL;
    while (next(set, NULL, 0, true, &job) == 0)
        haft__job_reap(job, NULL, 0, NULL);
}

/* Lets a member go. False: it is about to arrive among the ended. The lock is held. */
static bool detach_member(haft_set *set, haft__job *job)
{
    bool is_counted = (job->record.flags & COUNTED) != 0; /* once it is detached the job may be gone */
    uint64_t state = haft__load_relaxed(&job->record.state);
    do {
        if ((state & HAFT__DONE) != 0)
            return false;
        /* Release: see haft_detach. */
    } while (!haft__cas_weak_release(&job->record.state, &state,
                                     (state & ~(uint64_t)(HAFT__GROUP | HAFT__CLAIMED)) | HAFT__DETACHED));
    if (is_counted)
        set->running--;
    return true;
}

void haft_set_detach_all(haft_set *set)
{
    if (set == NULL)
        return;
    haft__here_always();
    haft__lock_acquire(&set->lock);
    while (set->members_count != 0) {
        /* What is queued starts now, beyond any limit: nobody is left to start it later. */
        haft__record *queued = list_pop(&set->queued_first, &set->queued_last);
        if (queued != NULL) {
            set->queued--;
            set->running++;
            remove_member(set, haft__job_of(queued));
            detach_member(set, haft__job_of(queued));
            haft__lock_release(&set->lock);
            int rc = haft__job_start(haft__job_of(queued));
            if (rc != 0)
                haft__job_refuse(queued, rc);
            haft__lock_acquire(&set->lock);
            continue;
        }
        for (haft__link *at = set->members.next, *after; at != &set->members; at = after) {
            after = at->next;
            haft__job *job = HAFT__CONTAINER(at, haft__job, link);
            /* Out of the list first: a detached job may be recycled at once. */
            remove_member(set, job);
            if (!detach_member(set, job)) {
                haft__list_append(after, &job->link); /* back to its place */
                set->members_count++;
            }
        }
        haft__lock_release(&set->lock);
        drop_ended(set);
        if (haft__is_forked())
            haft__end_forked(); /* whoever brings those that have ended is a thread of the parent's */
        haft__os->yield();      /* those that have ended are on their way into the list */
        haft__lock_acquire(&set->lock);
    }
    haft__lock_release(&set->lock);
    settle(set);
}

size_t haft_set_len(haft_set *set)
{
    if (set == NULL)
        return 0;
    haft__lock_acquire(&set->lock);
    size_t n = set->members_count;
    haft__lock_release(&set->lock);
    return n;
}

void haft_set_drop(haft_set **set)
{
    if (set == NULL || *set == NULL)
        return;
    haft_set_shutdown(*set);
    /* Whoever told of the last end may still be starting or about to release the lock. */
    for (;;) {
        haft__lock_acquire(&(*set)->lock);
        bool is_starting = (*set)->is_starting;
        haft__lock_release(&(*set)->lock);
        if (!is_starting)
            break;
        if (haft__is_forked())
            haft__end_forked();
        haft__os->yield();
    }
    haft__os->release(*set);
    *set = NULL;
}

/* --- As an arm of a select ---------------------------------------------------------------------------------------- */

/* The node's value is the job that was taken out. A marked node enters the list again, behind the others. */
static bool look_for_end(const haft_arm *arm, haft__arm *w)
{
    haft_set *set = arm->object_;
    if (set == NULL) {
        w->rc = HAFT_EINVAL;
        return haft__arm_claim(w);
    }
    haft__job *job = NULL;
    haft__lock_acquire(&set->lock);
    bool is_ready = set->ended_first != NULL, has_happened = is_ready && haft__arm_claim(w);
    if (has_happened) {
        w->rc = take_ended(set, arm->value_, (size_t)arm->amount_, &job);
        w->value = job;
        haft__list_remove(&w->link);
    } else if (!is_ready && w->choice != NULL && haft__load_relaxed(&w->is_done) != 0) {
        haft__store_relaxed(&w->is_done, 0);
        haft__list_append(&set->takers, &w->link);
    }
    haft__record *other = has_happened ? mark_taker(set) : NULL;
    haft__lock_release(&set->lock);
    wake_if(other);
    return has_happened;
}

static void enrol_for_end(const haft_arm *arm, haft__arm *w)
{
    haft_set *set = arm->object_;
    haft__lock_acquire(&set->lock);
    haft__list_append(&set->takers, &w->link);
    haft__lock_release(&set->lock);
}

static void withdraw_from_set(const haft_arm *arm, haft__arm *w)
{
    haft_set *set = arm->object_;
    haft__lock_acquire(&set->lock);
    haft__list_remove(&w->link);
    haft__record *other = haft__load_relaxed(&w->is_done) != 0 ? mark_taker(set) : NULL;
    haft__lock_release(&set->lock);
    wake_if(other);
}

static int finish_end(const haft_arm *arm, const haft__arm *w)
{
    if (w->value == NULL)
        return w->rc;
    int code = haft__job_reap(w->value, arm->value_, (size_t)arm->amount_, NULL);
    if (arm->code_ != NULL)
        *arm->code_ = code;
    return 0;
}

const haft__arm_ops haft__arm_set = {
    .look = look_for_end, .enrol = enrol_for_end, .withdraw = withdraw_from_set, .finish = finish_end
};
