/* SPDX-License-Identifier: MIT
 *
 * Scopes. The scope lies on its owner's stack and the children work on loans from it, so the end of the block waits for
 * all of them, shielded, whatever happens.
 *
 * One lock guards the list of children, their number, the first failure and the first panic. A child's end is told by
 * its finisher: under the lock the child leaves the list and what it came to is noted; releasing the lock is the last
 * touch of the scope, after which the owner may return from the block. Therefore the finisher reads before whom to
 * wake, and the owner believes only a count of zero that it read under the lock.
 *
 * A token that aborts the scope does so by a callback, which may run in a signal handler that interrupted the holder
 * of the lock. It therefore never waits for the lock: what it finds locked it marks with WISH, and whoever holds the lock
 * then aborts the children before releasing it. So a scope that has a token is released by compare-exchange; every
 * scope is locked by one, because an exchange would wipe the mark away; and the owner releases the lock before it
 * parks, instead of having its successor do so. The end of the scope drops the callback, and waits for one that runs. */
#include "group/group.h"

enum {
    SCOPE_WAITS_FOR_ALL = 1, /* HAFT_ON_ERROR_WAIT */
    SCOPE_ABORTED = 2,       /* children that are spawned now are aborted at once */
    SCOPE_IN_PANIC = 4,      /* opened by a defer that a panic runs: that panic is none of its business */
    SCOPE_HAS_TOKEN = 8,
};

/* The lock's word. */
enum {
    FREE = 0,
    HELD = 1,
    WISH = 2, /* with HELD: the children are to be aborted */
};

_Static_assert(sizeof(haft__lock) == sizeof(uint32_t), "the public struct holds the lock as a plain word");

static haft__lock *lock_of(haft_scope *s)
{
    return (haft__lock *)(void *)&s->lock_;
}

/* Marks and wakes in two passes, so that one fence does for all. The lock is held: children may not leave meanwhile,
 * and nothing that is called here takes it. */
static void abort_children(haft_scope *s, void (*wake)(haft__record *))
{
    s->flags_ |= SCOPE_ABORTED;
    haft__group_abort((haft__link *)(void *)&s->children_, wake);
}

static void lock_scope(haft_scope *s)
{
    uint32_t word = FREE;
    if (__builtin_expect(!haft__cas_acquire(lock_of(s), &word, HELD), 0))
        haft__lock_contended(lock_of(s));
}

static void unlock_scope(haft_scope *s)
{
    if (__builtin_expect((s->flags_ & SCOPE_HAS_TOKEN) == 0, 1)) {
        haft__lock_release(lock_of(s));
        return;
    }
    for (;;) {
        uint32_t word = HELD;
        if (haft__cas_release(lock_of(s), &word, FREE))
            return;
        /* Only the holder takes the mark away. Acquire: partner of the release of the mark; the children that are told of
         * the abort see what was done before the token was cancelled. */
        haft__exchange_acquire(lock_of(s), HELD);
        abort_children(s, haft__wake);
    }
}

/* The token was cancelled, perhaps by a signal handler. */
static void abort_by_token(void *scope)
{
    haft_scope *s = scope;
    uint32_t word = FREE;
    for (;;) {
        if (word != FREE) {
            if (haft__cas_release(lock_of(s), &word, HELD | WISH)) /* partner: the holder, in unlock_scope */
                return;
        } else if (haft__cas_acquire(lock_of(s), &word, HELD)) {
            abort_children(s, haft__wake_from_signal);
            unlock_scope(s);
            return;
        }
    }
}

static void note_failure(haft_scope *s, int code)
{
    if (code == 0)
        return;
    if (s->first_ == 0)
        s->first_ = code;
    if ((s->flags_ & SCOPE_WAITS_FOR_ALL) == 0 && (s->flags_ & SCOPE_ABORTED) == 0)
        abort_children(s, haft__wake);
}

void haft__scope_child_ended(void *group, haft__job *job)
{
    haft_scope *s = group;
    haft__panic *panic = NULL;
    if (job->record.end == HAFT_PANICKED) {
        panic = job->panic;
        job->record.end = HAFT_RETURNED; /* the scope takes the panic */
        job->record.code = HAFT_EPANIC;
    }
    if (haft__load_relaxed(&job->record.kind) == HAFT__KIND_THREAD && job->record.root != NULL) {
        haft__os->thread_detach(haft__os->thread_self()); /* this is the thread; nobody else could join it */
        job->record.root = NULL;
    }
    lock_scope(s);
    haft__list_remove(&job->link);
    unlock_scope(s);
    job->drop = NULL; /* a loan: there is no frame to drop */
    int code = haft__job_reap(job, NULL, 0, NULL);

    lock_scope(s);
    if (panic != NULL) /* the owner frees them: a payload's dropper is user code, and this job is gone already */
        haft__panic_append((haft__panic **)(void *)&s->panic_, panic);
    note_failure(s, code);
    haft__record *owner = --s->running_ == 0 && s->waiting_ != 0 ? s->owner_ : NULL;
    unlock_scope(s);
    if (owner != NULL)
        haft__wake(owner);
}

/* Frees a chain of panics that nobody is to see. */
static void free_panics(haft__panic *panic)
{
    while (panic != NULL) {
        haft__panic *next = panic->next;
        haft__panic_free(panic);
        panic = next;
    }
}

int haft_scope_spawn_raw(haft_scope *s, haft_fn *body, void *loan, size_t size, const haft_spawn_options *options)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    int rc = haft__refusal_on_entry(here->root);
    haft__job *job = NULL;
    if (rc == 0) {
        const haft__job_spec spec = { .body = body,
                                      .frame = loan,
                                      .size = size,
                                      .options = options,
                                      .kind = options->kind,
                                      .lend = true,
                                      .group = s,
                                      .owner = HAFT__OWNED_BY_GROUP };
        rc = haft__job_make(&spec, &job);
    }
    lock_scope(s);
    if (rc != 0) {
        note_failure(s, rc);
        unlock_scope(s);
        return rc;
    }
    s->running_++;
    haft__list_append((haft__link *)(void *)&s->children_, &job->link);
    if ((s->flags_ & SCOPE_ABORTED) != 0) /* it has not begun and never will; nobody waits in it */
        haft__job_mark_aborted(&job->record, haft__generation(haft__load_relaxed(&job->record.state)));
    unlock_scope(s);
    rc = haft__job_start(job);
    if (rc != 0) {
        lock_scope(s);
        haft__list_remove(&job->link);
        s->running_--;
        note_failure(s, rc);
        unlock_scope(s);
        haft__job_unmake(job);
        return rc;
    }
    haft__group_give_way();
    return 0;
}

void haft_scope_abort(haft_scope *s)
{
    haft__here_always();
    lock_scope(s);
    abort_children(s, haft__wake);
    unlock_scope(s);
}

int haft_scope_abort_on(haft_scope *s, haft_token *token)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__here_always();
    lock_scope(s);
    bool has_one = (s->flags_ & SCOPE_HAS_TOKEN) != 0;
    s->flags_ |= SCOPE_HAS_TOKEN;
    unlock_scope(s);
    return has_one ? HAFT_EBUSY : haft_token_on_cancel(token, &s->token_, abort_by_token, s);
}

/* Waits until no child is left. The lock is held on entry and on return. */
static int wait_for_children(haft_scope *s, haft__root *me)
{
    while (s->running_ != 0) {
        int rc = haft__refusal(me);
        if (rc != 0)
            return rc;
        s->waiting_ = 1;
        unlock_scope(s);
        haft__park_for("the children of its scope", NULL); /* a wake from now on is kept for it */
        lock_scope(s);
        s->waiting_ = 0;
    }
    return 0;
}

int haft_scope_join(haft_scope *s)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__root *me = haft__here_always()->root;
    if (me->record != s->owner_)
        return HAFT_EDEADLK; /* the owner waits for a child, so a child that waits for the scope waits for itself */
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    lock_scope(s);
    rc = wait_for_children(s, me);
    int first = s->first_;
    haft__panic *panic = NULL;
    if (rc == 0) {
        panic = s->panic_;
        s->panic_ = NULL;
    }
    unlock_scope(s);
    free_panics(panic);
    return rc != 0 ? haft__tell(me, rc) : first;
}

int haft__scope_wait_or_abort(haft_scope *s, haft__root *me)
{
    lock_scope(s);
    int rc = wait_for_children(s, me);
    if (rc != 0)
        abort_children(s, haft__wake);
    unlock_scope(s);
    return rc;
}

static void end_scope(haft_block *block)
{
    haft_scope *s = HAFT__CONTAINER(block, haft_scope, block_);
    haft__root *me = haft__here_always()->root;
    lock_scope(s);
    /* Abort and deadline end the children, not the wait; the owner itself is told where it waits next. */
    bool is_panicking = me->panicking != NULL && (s->flags_ & SCOPE_IN_PANIC) == 0;
    if (is_panicking || wait_for_children(s, me) != 0)
        abort_children(s, haft__wake);
    haft__shield shield = haft__shield_raise(me);
    wait_for_children(s, me);
    haft__shield_lower(me, shield);
    haft__panic *panic = s->panic_;
    s->panic_ = NULL;
    bool has_token = (s->flags_ & SCOPE_HAS_TOKEN) != 0;
    unlock_scope(s);
    if (has_token)
        haft_token_callback_drop(&s->token_);
    if (s->result_ != NULL)
        *s->result_ = s->first_;
    if (panic == NULL)
        return;
    bool is_raised = s->result_ == NULL && me->panicking == NULL;
    free_panics(panic->next);
    if (is_raised)
        haft__panic_raise(me, panic);
    haft__panic_free(panic);
}

void haft_scope_end_(haft_scope *s)
{
    haft_block_end_(&s->block_);
}

haft_scope haft_scope_open_raw(haft_scope *self, const haft_scope_options *options)
{
    haft__root *root = haft__here_always()->root;
    haft_scope s = { .done_ = (void (*)(void))haft__scope_child_ended,
                     .block_ = { .next_ = root->blocks, .end_ = end_scope },
                     .result_ = options->result,
                     .place_ = options->place_,
                     .owner_ = root->record,
                     .flags_ = (options->on_error == HAFT_ON_ERROR_WAIT ? SCOPE_WAITS_FOR_ALL : 0) |
                               (root->panicking != NULL ? SCOPE_IN_PANIC : 0) };
    s.children_.next_ = s.children_.previous_ = &self->children_;
    root->blocks = &self->block_;
    return s;
}
