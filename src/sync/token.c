/* SPDX-License-Identifier: MIT
 *
 * Tokens. Trees, queues and callbacks are guarded by one of a few locks; all tokens of a tree share one. Because a signal
 * handler may cancel, and may have interrupted the holder of that very lock on its own thread, cancelling is split:
 *
 *  - request: the exchange that sets CANCELLED decides who cancels; that one pushes the token onto the lock's list of
 *    requests, which takes no lock. From then on the token counts as cancelled.
 *  - follow: with the lock held, takes the requests, sets FOLLOWED, cancels the children in turn, gives the waiters what
 *    they wait for, and calls the callbacks. Wakes and callbacks come outside of the lock; what is left of a token
 *    stays in the list of those being followed, and whoever has the lock goes on with it.
 *
 * Whoever cancels takes the lock and follows, unless its own thread holds the lock: then it is a handler, and the
 * interrupted holder follows. The holder looks for requests before it releases, and once more after it: a handler
 * either saw the lock held and left its request before that second look, or found it free.
 *
 * Whoever takes the lock follows first, but to drop a callback. A token that is CANCELLED but not yet FOLLOWED is about to be
 * pushed; who wants to leave it (wait, drop) gives the canceller time. So whoever waited may drop the token, and whoever
 * dropped it may free it.
 *
 * A child has the lock of its parent and keeps it; a token that is cancelled has no children any more. */
#include "haft/token.h"
#include "os/os.h"
#include "sync/waiter.h"

enum {
    CANCELLED = 1,
    FOLLOWED = 2, /* under the lock: the canceller has no more to do with it */
};
enum callback_state {
    IDLE = 0,
    REGISTERED,
    RUNNING,
};

#define SHARDS 16

static struct shard {
    _Alignas(HAFT__CACHE_LINE) haft__atomic(uintptr_t) holder; /* the native thread, 0: nobody */
    haft__atomic(haft_token *) requests;
    haft_token *followed; /* what is left to do; linked by link_ */
} shards[SHARDS];

static struct shard *shard_of(const haft_token *t)
{
    /* A root's is given by its address, so that it needs no initialisation. */
    uint32_t index =
        t->shard_ != 0 ? t->shard_ - 1 : (uint32_t)(((uintptr_t)t >> 5) * UINT64_C(0x9e3779b97f4a7c15) >> 60);
    return &shards[index % SHARDS];
}

static haft__atomic(uint32_t) *flags_of(const haft_token *t)
{
    return (haft__atomic(uint32_t) *)(void *)&((haft_token *)(uintptr_t)t)->flags_;
}

static void follow(struct shard *s);

static void acquire(struct shard *s)
{
    uintptr_t self = haft__os->thread_self().native, nobody = 0;
    unsigned pauses = HAFT__LOCK_PAUSES_FIRST;
    /* Acquire: partner of the release in leave and follow. */
    while (!haft__cas_acquire(&s->holder, &nobody, self)) {
        if (haft__is_forked())
            haft__end_forked(); /* the holder is a thread of the parent's */
        for (unsigned i = 0; i < pauses; i++)
            haft__spin("the lock of a tree of tokens is held");
        if (pauses < HAFT__LOCK_PAUSES_LAST)
            pauses *= 2;
        else
            haft__os->yield();
        nobody = 0;
    }
}

static void release(struct shard *s)
{
    haft__store_release(&s->holder, 0);
}

static struct shard *enter(const haft_token *t)
{
    struct shard *s = shard_of(t);
    acquire(s);
    follow(s);
    return s;
}

static void leave(struct shard *s)
{
    for (;;) {
        follow(s);
        release(s);
        /* Relaxed: for the sake of this thread's own handlers; any other canceller takes the lock after its request. */
        if (haft__load_relaxed(&s->requests) == NULL)
            return;
        acquire(s);
    }
}

/* --- Cancelling --------------------------------------------------------------------------------------------------- */

static void unlink_child(haft_token *t)
{
    haft_token *parent = t->parent_;
    if (parent == NULL)
        return;
    t->previous_->next_ = t->next_;
    t->next_->previous_ = t->previous_;
    if (parent->children_ == t)
        parent->children_ = t->next_ != t ? t->next_ : NULL;
    t->parent_ = NULL;
}

static void link_child(haft_token *parent, haft_token *t)
{
    haft_token *first = parent->children_;
    t->parent_ = parent;
    if (first == NULL) {
        t->next_ = t->previous_ = t;
        parent->children_ = t;
        return;
    }
    t->previous_ = first->previous_;
    t->next_ = first;
    first->previous_->next_ = t;
    first->previous_ = t;
}

static void put_followed(struct shard *s, haft_token *t)
{
    t->link_ = s->followed;
    s->followed = t;
}

static void take_requests(struct shard *s)
{
    if (haft__load_relaxed(&s->requests) == NULL) /* looked at again after the release */
        return;
    haft_token *t = haft__exchange_acquire(&s->requests, NULL); /* partner of the release in haft_token_cancel */
    while (t != NULL) {
        haft_token *next = t->link_;
        haft__fetch_or_relaxed(flags_of(t), FOLLOWED); /* looked at under the lock */
        put_followed(s, t);
        t = next;
    }
}

static void cancel_children(struct shard *s, haft_token *t)
{
    haft_token *child;
    while ((child = t->children_) != NULL) {
        unlink_child(child);
        uint32_t none = 0;
        /* Release: see haft_token_is_cancelled. */
        if (haft__cas_release(flags_of(child), &none, CANCELLED | FOLLOWED))
            put_followed(s, child);
        /* Else somebody cancels it already, and its request comes. */
    }
}

static void unlink_callback(haft_token_callback *c)
{
    haft_token *t = c->token_;
    if (c->next_ == c) {
        t->callbacks_ = NULL;
        return;
    }
    c->previous_->next_ = c->next_;
    c->next_->previous_ = c->previous_;
    if (t->callbacks_ == c)
        t->callbacks_ = c->next_;
}

/* Calls a callback that was taken out. The lock is held on entry and on return, and not meanwhile. */
static void run_callback(struct shard *s, haft_token_callback *c)
{
    bool is_gone = false;
    c->state_ = RUNNING;
    c->runner_ = haft__os->thread_self().native; /* it does not suspend */
    c->is_gone_ = &is_gone;
    release(s);
    c->call_(c->argument_);
    if (is_gone) { /* it dropped itself */
        acquire(s);
        return;
    }
    acquire(s);
    c->state_ = IDLE;
    haft__record *dropper = c->dropper_;
    if (dropper != NULL) {
        release(s);
        haft__wake_from_signal(dropper);
        acquire(s);
    }
}

/* Takes a waiter out and tells it; a select looks for itself. */
static void let_go(haft_token *t, haft__waiter *w, haft__wakes *wakes)
{
    haft__queue_remove(&t->waiters_, w);
    wakes->records[wakes->count++] = w->arm.record;
    if (w->arm.choice == NULL)
        haft__arm_complete(&w->arm, 0);
}

/* Does everything that is left to do. The lock is held on entry and on return, and perhaps not meanwhile. */
static void follow(struct shard *s)
{
    haft__wakes wakes;
    wakes.count = 0;
    for (;;) {
        take_requests(s);
        haft_token *t = s->followed;
        if (t == NULL)
            return;
        unlink_child(t);
        cancel_children(s, t);
        if (s->followed != t)
            continue; /* the children first */
        while (t->waiters_ != NULL && !haft__wakes_full(&wakes))
            let_go(t, t->waiters_, &wakes);
        haft_token_callback *c = t->callbacks_;
        if (wakes.count != 0) {
            release(s);
            while (wakes.count != 0)
                haft__wake_from_signal(wakes.records[--wakes.count]); /* perhaps from a handler */
            acquire(s);
        } else if (c != NULL) {
            unlink_callback(c);
            run_callback(s, c);
        } else {
            s->followed = t->link_;
            t->link_ = NULL;
        }
    }
}

void haft_token_cancel(haft_token *t)
{
    struct shard *s = shard_of(t);
    /* Relaxed look first: it may be asked for often. */
    if ((haft__load_relaxed(flags_of(t)) & CANCELLED) != 0 ||
        (haft__fetch_or_release(flags_of(t), CANCELLED) & CANCELLED) != 0)
        return;
    haft_token *first = haft__load_relaxed(&s->requests);
    do
        t->link_ = first;
    while (!haft__cas_weak_release(&s->requests, &first, t));
    if (haft__load_relaxed(&s->holder) == haft__os->thread_self().native)
        return; /* a handler that interrupted the holder, who follows */
    acquire(s);
    leave(s);
}

bool haft_token_is_cancelled(const haft_token *t)
{
    /* Acquire: partner of the release with which it was cancelled; what was done before is seen. */
    return (haft__load_acquire(flags_of(t)) & CANCELLED) != 0;
}

/* True if it is cancelled; then its canceller has no more to do with it. The lock is held on entry and on return. */
static bool is_cancelled_for_good(struct shard *s, haft_token *t)
{
    uint32_t flags;
    while ((flags = haft__load_relaxed(flags_of(t))) == CANCELLED) {
        leave(s);
        if (haft__is_forked())
            haft__end_forked(); /* and so is the canceller */
        haft__os->yield();
        acquire(s);
        follow(s);
    }
    return flags != 0;
}

/* --- The rest ----------------------------------------------------------------------------------------------------- */

int haft_token_child(haft_token *parent, haft_token *child)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    struct shard *s = enter(parent);
    *child = (haft_token){ .shard_ = (uint32_t)(s - shards) + 1 };
    if (is_cancelled_for_good(s, parent))
        haft__store_relaxed(flags_of(child), CANCELLED | FOLLOWED); /* the caller's alone yet */
    else
        link_child(parent, child);
    leave(s);
    return 0;
}

int haft_token_wait(haft_token *t)
{
    haft__root *me = haft__me_unless_forked();
    if (me == NULL)
        return HAFT_EFORKED;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__waiter self = { .arm.record = me->record };
    struct shard *s = enter(t);
    if (!is_cancelled_for_good(s, t)) {
        haft__queue_append(&t->waiters_, &self);
        while (!haft__waiter_is_done(&self) && (rc = haft__refusal(me)) == 0) {
            leave(s); /* a wake from now on is kept for the park */
            haft__park_for("a token", NULL);
            acquire(s);
            follow(s);
        }
        if (haft__waiter_is_done(&self))
            rc = 0;
        else
            haft__queue_remove(&t->waiters_, &self);
    }
    leave(s);
    return haft__tell(me, rc);
}

void haft_token_drop(haft_token *t)
{
    struct shard *s = enter(t);
    is_cancelled_for_good(s, t);
    haft_token *parent = t->parent_, *child;
    unlink_child(t);
    while ((child = t->children_) != NULL) {
        unlink_child(child);
        if (parent != NULL)
            link_child(parent, child);
    }
    while (t->callbacks_ != NULL) {
        t->callbacks_->state_ = IDLE;
        unlink_callback(t->callbacks_);
    }
    leave(s);
}

int haft_token_on_cancel(haft_token *t, haft_token_callback *callback, haft_drop_fn *call, void *argument)
{
    *callback = (haft_token_callback){ .call_ = call };
    if (haft__is_forked())
        return HAFT_EFORKED;
    struct shard *s = enter(t);
    *callback = (haft_token_callback){
        .token_ = t, .call_ = call, .argument_ = argument, .shard_ = (uint32_t)(s - shards) + 1
    };
    if (is_cancelled_for_good(s, t)) {
        run_callback(s, callback);
    } else {
        haft_token_callback *first = t->callbacks_;
        callback->state_ = REGISTERED;
        callback->next_ = first != NULL ? first : callback;
        callback->previous_ = first != NULL ? first->previous_ : callback;
        callback->previous_->next_ = callback;
        callback->next_->previous_ = callback;
        if (first == NULL)
            t->callbacks_ = callback;
    }
    leave(s);
    return 0;
}

void haft_token_callback_drop(haft_token_callback *callback)
{
    haft__root *me = haft__me();
    if (callback->shard_ == 0)
        return;
    struct shard *s = &shards[callback->shard_ - 1]; /* not by the token, which may be gone */
    acquire(s);                                      /* and does not follow: that might call it */
    if (callback->state_ == REGISTERED) {
        unlink_callback(callback);
    } else if (callback->state_ == RUNNING && callback->runner_ == haft__os->thread_self().native) {
        *callback->is_gone_ = true;
    } else {
        haft__shield shield = haft__shield_raise(me);
        while (callback->state_ == RUNNING) {
            callback->dropper_ = me->record;
            leave(s);
            haft__park();
            acquire(s);
        }
        haft__shield_lower(me, shield);
    }
    callback->state_ = IDLE;
    callback->shard_ = 0;
    leave(s);
}

/* --- As an arm of a select: looked at, because the lock of a tree is not that of a queue -------------------------- */

static bool arm_look(const haft_arm *arm, haft__arm *w)
{
    haft_token *t = arm->object_;
    if (!haft_token_is_cancelled(t))
        return false;
    struct shard *s = enter(t); /* whoever cancelled has no more to do with token and node then */
    is_cancelled_for_good(s, t);
    haft__queue_remove(&t->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
    leave(s);
    return haft__arm_claim(w);
}

static void arm_enrol(const haft_arm *arm, haft__arm *w)
{
    haft_token *t = arm->object_;
    struct shard *s = enter(t);
    if (!is_cancelled_for_good(s, t)) /* else it is seen when it is looked at */
        haft__queue_append(&t->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
    leave(s);
}

static void arm_withdraw(const haft_arm *arm, haft__arm *w)
{
    haft_token *t = arm->object_;
    struct shard *s = enter(t);
    haft__queue_remove(&t->waiters_, HAFT__CONTAINER(w, haft__waiter, arm));
    leave(s);
}

const haft__arm_ops haft__arm_token = {
    .look = arm_look,
    .enrol = arm_enrol,
    .withdraw = arm_withdraw,
};
