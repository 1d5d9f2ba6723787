/* SPDX-License-Identifier: MIT
 *
 * The keeper: the task that starts children again and stops them. The protocol stands in supervisor.h. */
#include "actor/supervisor.h"

#include <string.h>

#include "wait/wait.h"

static haft__child *child_at(haft__link *link)
{
    return HAFT__CONTAINER(link, haft__child, link);
}

static int64_t sum(int64_t a, int64_t b)
{
    int64_t result;
    return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

/* --- how often, and when ------------------------------------------------------------------------------------------ */

/* Notes a death. False: it is one too many. */
static bool note_death(haft_supervisor *sup, int64_t now)
{
    unsigned n = sup->options.restarts;
    if (n == HAFT_RESTARTS_UNLIMITED || n == 0)
        return n != 0;
    if (sup->deaths_count < n) {
        sup->deaths[(sup->deaths_first + sup->deaths_count++) % n] = now;
        return true;
    }
    if (now - sup->deaths[sup->deaths_first] <= sup->options.within)
        return false;
    sup->deaths[sup->deaths_first] = now; /* the oldest becomes the newest */
    sup->deaths_first = (sup->deaths_first + 1) % n;
    return true;
}

/* Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014). */
static uint64_t random_below(haft_supervisor *sup, uint64_t n)
{
    uint64_t z = sup->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % n;
}

/* How long to wait before a child that has just died is started again. */
static int64_t next_delay(haft__child *c, int64_t now)
{
    haft_supervisor *sup = c->sup;
    const haft_supervisor_options *o = &sup->options;
    if (o->backoff == 0)
        return 0;
    if (c->delay == 0 || now - c->started >= o->within)
        c->delay = o->backoff;
    else
        c->delay = c->delay > o->backoff_max / 2 ? o->backoff_max : 2 * c->delay;
    int64_t half = c->delay / 2;
    return c->delay - (int64_t)random_below(sup, (uint64_t)half + 1);
}

/* --- the keeper: states of children -------------------------------------------------------------------------------- */

void haft__keeper_sleep(haft_supervisor *sup, haft__root *me, int64_t until)
{
    me->deadline = until;
    haft__lock_release(&sup->lock);
    haft__park_for("its children", NULL);
    me->deadline = INT64_MAX;
    haft__lock_acquire(&sup->lock);
}

/* Waits until no child is being started by whoever added it. The lock is held on entry and on return. */
static void await_starts(haft_supervisor *sup, haft__root *me)
{
    while (sup->starting != 0)
        haft__keeper_sleep(sup, me, INT64_MAX);
}

static void set_due(haft__child *c, int64_t due)
{
    haft_supervisor *sup = c->sup;
    haft__lock_acquire(&sup->lock);
    if (c->state != HAFT__CHILD_DUE)
        sup->due++;
    c->state = HAFT__CHILD_DUE;
    c->due = due;
    haft__lock_release(&sup->lock);
}

/* The child will never run again. The lock is held on entry and on return. */
static void retire(haft__child *c)
{
    haft_supervisor *sup = c->sup;
    if (c->state == HAFT__CHILD_DONE)
        return;
    haft__lock_release(&sup->lock);
    haft__child_retire(c);
    haft__lock_acquire(&sup->lock);
    if (c->state == HAFT__CHILD_DUE)
        sup->due--;
    c->state = HAFT__CHILD_DONE;
    sup->active--;
    if (!c->is_leaving && c->restart == HAFT_RESTART_NEVER && !sup->is_closing) {
        c->is_leaving = true;
        sup->leaving++;
    }
}

/* Is it to run again after that end of its last run? */
static bool has_died(const haft__child *c)
{
    if (c->is_final)
        return false; /* an actor that has ended cannot be started again; one that is down has died */
    switch (c->restart) {
    case HAFT_RESTART_ALWAYS:
        return true;
    case HAFT_RESTART_NEVER:
        return false;
    default:
        return haft__child_code(c) != 0;
    }
}

/* --- the keeper: what it does ------------------------------------------------------------------------------------- */

/* Stops every child that runs, from the last to the one behind `first`, and lets those start again at that time that may.
 * The cause is DUE already, so nobody starts another one meanwhile. */
static void regroup(haft_supervisor *sup, haft__root *me, const haft__link *first, const haft__child *cause,
                    int64_t due)
{
    haft__lock_acquire(&sup->lock);
    await_starts(sup, me);
    for (haft__link *at = sup->children.previous; at != first; at = at->previous) {
        haft__child *c = child_at(at);
        if (c == cause || c->state == HAFT__CHILD_DONE)
            continue;
        bool may_run = true;
        if (c->state == HAFT__CHILD_RUNNING) {
            haft__lock_release(&sup->lock);
            bool was_over = haft__child_stop(c, false);
            may_run = was_over ? has_died(c) : c->restart != HAFT_RESTART_NEVER && !c->is_final;
            haft__lock_acquire(&sup->lock);
        }
        if (!may_run) {
            retire(c);
            continue;
        }
        haft__lock_release(&sup->lock);
        set_due(c, due);
        haft__lock_acquire(&sup->lock);
    }
    haft__lock_release(&sup->lock);
}

/* That was one death too many. Nothing of the child runs. */
static void give_up(haft__child *c)
{
    haft_supervisor *sup = c->sup;
    int code = haft__child_code(c);
    haft__lock_acquire(&sup->lock);
    sup->code = code != 0 ? code : HAFT_ECLOSED;
    sup->is_stopping = true;
    haft__lock_release(&sup->lock);
    set_due(c, INT64_MAX);
}

/* A child has died; its run was reaped. */
static void died(haft__child *c, haft__root *me)
{
    haft_supervisor *sup = c->sup;
    int64_t now = haft__os->now();
    if (!note_death(sup, now)) {
        give_up(c);
        return;
    }
    int64_t due = sum(now, next_delay(c, now));
    set_due(c, due);
    if (sup->options.strategy != HAFT_ONE_FOR_ONE)
        regroup(sup, me, sup->options.strategy == HAFT_REST_FOR_ONE ? &c->link : &sup->children, c, due);
}

/* Looks at a child whose run has ended by itself; it was taken out of `ended`. */
static void look_at_end(haft__child *c, haft__root *me)
{
    haft__child_reap(c);
    if (has_died(c)) {
        died(c, me);
        return;
    }
    if (c->actor != NULL && c->last.end == HAFT_NOT_STARTED && c->last.code != 0) {
        give_up(c); /* an actor that was never given a stack, and cannot be started again */
        return;
    }
    haft__lock_acquire(&c->sup->lock);
    retire(c);
    haft__lock_release(&c->sup->lock);
}

static void start_again(haft__child *c, haft__root *me)
{
    haft_supervisor *sup = c->sup;
    int rc = haft__child_start(c);
    haft__lock_acquire(&sup->lock);
    if (rc != 0) {
        memset(&c->last, 0, sizeof c->last);
        c->last.end = HAFT_NOT_STARTED;
        c->last.code = rc;
        c->started = haft__os->now();
    }
    if (rc == HAFT_ESHUTDOWN) {
        sup->code = rc;
        sup->is_stopping = true;
    }
    haft__lock_release(&sup->lock);
    if (rc != 0 && rc != HAFT_ESHUTDOWN)
        died(c, me);
    else if (sup->options.strategy != HAFT_ONE_FOR_ONE)
        haft__sched_yield(haft__here_or_null()->worker); /* where nothing is in its way, it gets to its first wait */
}

/* Removes a child for those who asked for it. */
static void remove_child(haft__child *c)
{
    haft_supervisor *sup = c->sup;
    haft__child_end(c);
    haft__lock_acquire(&sup->lock);
    retire(c);
    sup->leaving--;
    haft__list_remove(&c->link);
    haft__arms_end_all(&c->removers, &sup->lock, 0);
    haft__lock_release(&sup->lock);
    haft__child_free(c);
}

/* --- the keeper: its loop ----------------------------------------------------------------------------------------- */

/* The first child whose run has ended, taken out, or null. The lock is held, here and below. */
static haft__child *take_ended(haft_supervisor *sup)
{
    for (haft__link *at = sup->ended.next; at != &sup->ended; at = at->next) {
        haft__child *c = HAFT__CONTAINER(at, haft__child, ended);
        if (c->is_starting)
            continue;
        haft__list_remove(at);
        return c;
    }
    return NULL;
}

static haft__child *find_leaving(haft_supervisor *sup)
{
    for (haft__link *at = sup->children.next; sup->leaving != 0 && at != &sup->children; at = at->next)
        if (child_at(at)->is_leaving && !child_at(at)->is_starting)
            return child_at(at);
    return NULL;
}

/* The first child whose time has come, or null and when the next one's will have. */
static haft__child *find_due(haft_supervisor *sup, int64_t *next)
{
    *next = INT64_MAX;
    if (sup->due == 0)
        return NULL;
    int64_t now = haft__os->now();
    for (haft__link *at = sup->children.next; at != &sup->children; at = at->next) {
        haft__child *c = child_at(at);
        if (c->state != HAFT__CHILD_DUE || c->is_starting)
            continue;
        if (c->due <= now)
            return c;
        if (c->due < *next)
            *next = c->due;
        if (sup->options.strategy != HAFT_ONE_FOR_ONE)
            break; /* those behind it wait for it */
    }
    return NULL;
}

/* Its own runtime aborts it with all other jobs. */
static bool is_runtime_ending(const haft__root *me)
{
    return (haft__load_relaxed(&me->record->state) & HAFT__ABORT) != 0;
}

static void keep(haft_supervisor *sup, haft__root *me)
{
    haft__lock_acquire(&sup->lock);
    while (!sup->is_stopping && !is_runtime_ending(me)) {
        int64_t next = INT64_MAX;
        haft__child *leaving = find_leaving(sup); /* first: nobody minds its death any more */
        haft__child *ended = leaving == NULL ? take_ended(sup) : NULL;
        haft__child *due = leaving == NULL && ended == NULL ? find_due(sup, &next) : NULL;
        if (leaving == NULL && ended == NULL && due == NULL) {
            if (sup->active == 0 && !haft__list_is_empty(&sup->waiters))
                haft__arms_end_all(&sup->waiters, &sup->lock, 0);
            else
                haft__keeper_sleep(sup, me, next);
            continue;
        }
        haft__lock_release(&sup->lock);
        if (leaving != NULL)
            remove_child(leaving);
        else if (ended != NULL)
            look_at_end(ended, me);
        else
            start_again(due, me);
        haft__lock_acquire(&sup->lock);
    }
    if (!sup->is_stopping)
        sup->code = HAFT_ESHUTDOWN;
    haft__lock_release(&sup->lock);
}

static void stop_all(haft_supervisor *sup, haft__root *me)
{
    haft__lock_acquire(&sup->lock);
    sup->is_closing = true;
    await_starts(sup, me);
    for (haft__link *at = sup->children.previous; at != &sup->children; at = at->previous) {
        haft__child *c = child_at(at);
        haft__lock_release(&sup->lock);
        haft__child_end(c);
        haft__lock_acquire(&sup->lock);
        retire(c);
        haft__arms_end_all(&c->removers, &sup->lock, 0);
    }
    sup->is_over = true;
    haft__arms_end_all(&sup->waiters, &sup->lock, sup->code);
    haft__lock_release(&sup->lock);
}

/* Lets the one go on who makes or drops the supervisor. The lock is held; whom to wake, or null. */
static haft__record *take_waiter(haft_supervisor *sup)
{
    haft__record *record = sup->waits_for_keeper;
    sup->waits_for_keeper = NULL;
    return record;
}

int haft__keeper(haft_supervisor **frame)
{
    haft_supervisor *sup = *frame;
    haft__root *me = haft__here_or_null()->root;
    haft__shield shield = haft__shield_raise(me); /* it looks for its abort itself */
    haft__lock_acquire(&sup->lock);
    sup->has_begun = true;
    haft__record *maker = take_waiter(sup);
    haft__lock_release(&sup->lock);
    if (maker != NULL)
        haft__wake(maker);
    keep(sup, me);
    stop_all(sup, me);
    haft__shield_lower(me, shield);
    return 0;
}

void haft__keeper_ended(void *group, haft__job *job)
{
    haft_supervisor *sup = group;
    haft__job_reap(job, NULL, 0, NULL);
    haft__lock_acquire(&sup->lock);
    sup->has_ended = true;
    haft__record *record = take_waiter(sup);
    haft__lock_release(&sup->lock); /* the last touch */
    if (record != NULL)
        haft__wake(record);
}
