/* SPDX-License-Identifier: MIT
 *
 * haft_both and haft_for_each: two sides of which the caller runs the first itself, in place, and then, unless a thief took
 * it, the second one, too. A side that nobody took costs no job, no stack and no allocation: `other` below, which lies on
 * the caller's stack, is all there is of it. A side that was taken is an ordinary job of its own, whose group is the
 * `other`; for the caller it is what a child is for a scope.
 *
 * The list of offers (sched/offer.h) decides who runs the second side. If the caller could not withdraw it, a thief
 * has it, and `state` says how far it is; each bit is set once:
 *
 *     0 ──> BEGUN (by the thief: record and generation name the job) ──> ENDED (by the job's finisher)
 *     0 ──> REFUSED (by the thief: no memory for a job; also after BEGUN: none for its stack; the caller runs it after all)
 *     ABORT (by the caller) at any time
 *
 * ENDED and REFUSED are the last touch of the `other`; whom to wake was read before. ABORT and BEGUN are set by
 * read-modify-writes, so one of the two sees the other: the caller aborts a job that has begun, and the thief one whose
 * caller has given up, before it runs. The job may have ended when the caller aborts it; the generation tells.
 *
 * A block is open while the first side runs, so that its panic withdraws the second side, or aborts it and waits for its
 * end, before the frames go. */
#include "group/group.h"
#include "sched/offer.h"

enum {
    BEGUN = 1,
    ENDED = 2,
    REFUSED = 4,
    ABORT = 8,
};

struct side {
    haft_fn *body;
    void *loan;
    size_t size;
};

typedef struct other {
    haft__group_done *done; /* first */
    haft__offer offer;
    haft_block block;
    struct side side;
    const char *place;
    haft__record *caller;
    haft__atomic(uint32_t) state;
    uint32_t generation;
    haft__record *record;
    haft__panic *panic;
    int code;
} other;

/* --- The thief's -------------------------------------------------------------------------------------------------- */

/* Sets the bit of an end and wakes the caller, whose stack this is. */
static void finish(other *o, uint32_t bit)
{
    haft__record *caller = o->caller;
    haft__fetch_or_release(&o->state, bit); /* release: partner of the acquire in wait_for_other */
    haft__wake(caller);
}

static void other_ended(void *group, haft__job *job)
{
    other *o = group;
    o->panic = NULL;
    if (job->record.end == HAFT_PANICKED) {
        o->panic = job->panic;
        job->record.end = HAFT_RETURNED; /* the caller takes the panic */
        job->record.code = HAFT_EPANIC;
    }
    bool is_refused = job->record.end == HAFT_NOT_STARTED && job->record.code != 0;
    o->code = haft__job_reap(job, NULL, 0, NULL);
    finish(o, is_refused ? REFUSED : ENDED);
}

static haft__record *adopt(haft__offer *offer)
{
    other *o = HAFT__CONTAINER(offer, other, offer);
    o->done = other_ended;
    const haft_spawn_options options = { .size_ = sizeof options, .place_ = o->place };
    const haft__job_spec spec = { .body = o->side.body,
                                  .frame = o->side.loan,
                                  .size = o->side.size,
                                  .options = &options,
                                  .lend = true,
                                  .group = o,
                                  .owner = HAFT__OWNED_BY_GROUP };
    haft__job *job;
    if (haft__job_make(&spec, &job) != 0) {
        finish(o, REFUSED);
        return NULL;
    }
    o->record = &job->record;
    o->generation = haft__generation(haft__load_relaxed(&job->record.state));
    /* Release: partner of the acquire in abort_other, which reads the two above. */
    if ((haft__fetch_or_release(&o->state, BEGUN) & ABORT) != 0)
        haft__job_mark_aborted(&job->record, haft__generation(haft__load_relaxed(&job->record.state)));
    return &job->record;
}

/* --- The caller's ------------------------------------------------------------------------------------------------- */

static void abort_other(other *o)
{
    if ((haft__fetch_or_acquire(&o->state, ABORT) & (BEGUN | ENDED)) != BEGUN)
        return;
    if (!haft__job_mark_aborted(o->record, o->generation))
        return;
    haft__job_wake_marked(o->record);
}

static bool is_over(other *o)
{
    return (haft__load_acquire(&o->state) & (ENDED | REFUSED)) != 0;
}

/* Waits, shielded, for a side that was taken and is aborted. */
static void end_other(other *o, haft__root *me)
{
    abort_other(o);
    haft__shield shield = haft__shield_raise(me);
    while (!is_over(o))
        haft__park();
    haft__shield_lower(me, shield);
}

/* Waits for a side that was taken. The refusal of a caller who was aborted or is late ends the side first. */
static int wait_for_other(other *o, haft__root *me)
{
    while (!is_over(o)) {
        int rc = haft__refusal(me);
        if (rc != 0) {
            end_other(o, me);
            return rc;
        }
        haft__park();
    }
    return 0;
}

/* The first side panicked. */
static void end_block(haft_block *block)
{
    other *o = HAFT__CONTAINER(block, other, block);
    if (haft__offer_withdraw(&o->offer))
        return;
    end_other(o, haft__here_or_null()->root);
    if ((haft__load_relaxed(&o->state) & ENDED) != 0 && o->panic != NULL)
        haft__panic_free(o->panic);
}

static __attribute__((noinline)) int finish_taken(other *o, haft__root *me, int code)
{
    int rc = wait_for_other(o, me);
    if ((haft__load_relaxed(&o->state) & ENDED) == 0) {
        if (rc == 0)
            o->code = haft__call_body(o->side.body, o->side.loan, o->side.size);
    } else if (o->panic != NULL) {
        haft__panic_raise(me, o->panic);
    }
    if (rc != 0)
        return haft__tell(me, rc);
    return code != 0 ? code : o->code;
}

/* In a task. Looks at no abort. */
static inline __attribute__((always_inline)) int both(haft__thread *here, const struct side *first,
                                                      const struct side *second, const char *place)
{
    haft__root *me = here->root;
    other o;
    o.side = *second;
    o.place = place;
    o.caller = me->record;
    haft__atomic_init(&o.state, 0);
    o.offer.adopt = adopt;
    o.block.end_ = end_block;
    o.block.next_ = me->blocks;
    me->blocks = &o.block;
    haft__offer_make(here->worker, &o.offer);
    int code = haft__call_body(first->body, first->loan, first->size);
    me->blocks = o.block.next_;
    if (__builtin_expect(!haft__offer_withdraw(&o.offer), 0))
        return finish_taken(&o, me, code);
    int rc = haft__call_body(second->body, second->loan, second->size);
    return code != 0 ? code : rc;
}

/* --- From outside of tasks ---------------------------------------------------------------------------------------- */

struct outside {
    haft_fn *body;
    void *frame;
    int code;
    bool has_begun;
};

static int run_outside(void *frame)
{
    struct outside *call = frame;
    call->has_begun = true;
    call->code = call->body(call->frame);
    return 0;
}

/* Has a task call the body, and waits for it as for a scope's child. Where none can be had, the caller does it. */
static int call_in_task(haft__root *me, haft_fn *body, void *frame, const char *place)
{
    struct outside call = { .body = body, .frame = frame, .code = HAFT_EABORTED };
    const haft_scope_options scope_options = { .size_ = sizeof scope_options };
    const haft_spawn_options options = { .size_ = sizeof options, .place_ = place };
    haft_scope scope = haft_scope_open_raw(&scope, &scope_options);
    int spawned = haft_scope_spawn_raw(&scope, run_outside, &call, sizeof call, &options);
    int rc = spawned == 0 ? haft__scope_wait_or_abort(&scope, me) : 0;
    haft_scope_end_(&scope);
    if (rc != 0 || spawned == HAFT_ECANCELED)
        return haft__tell(me, rc != 0 ? rc : spawned);
    bool is_refused = spawned != 0 || (!call.has_begun && scope.first_ == HAFT_ENOMEM); /* for a job, or its stack */
    return is_refused ? body(frame) : call.code;
}

/* --- The public calls --------------------------------------------------------------------------------------------- */

struct pair {
    struct side first;
    struct side second;
    const char *place;
};

static int run_pair(void *frame)
{
    const struct pair *p = frame;
    haft__thread *here = haft__here_or_null();
    if (here->root->stack != NULL)
        return both(here, &p->first, &p->second, p->place);
    int code = haft__call_body(p->first.body, p->first.loan, p->first.size); /* there was no task to be had */
    int rc = haft__call_body(p->second.body, p->second.loan, p->second.size);
    return code != 0 ? code : rc;
}

static __attribute__((noinline)) int both_outside(haft__thread *here, const struct side *first,
                                                  const struct side *second, const char *place)
{
    struct pair p = { *first, *second, place };
    return call_in_task(here->root, run_pair, &p, place);
}

int haft_both_raw(haft_fn *first, void *first_loan, size_t first_size, haft_fn *second, void *second_loan,
                  size_t second_size, const char *place)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    int rc = haft__refusal_on_entry(here->root);
    if (rc != 0)
        return rc;
    const struct side a = { first, first_loan, first_size }, b = { second, second_loan, second_size };
    if (__builtin_expect(here->root->stack == NULL, 0))
        return both_outside(here, &a, &b, place);
    return both(here, &a, &b, place);
}

struct range {
    haft_fn *body;
    char *items;
    size_t size; /* of one */
    size_t n;    /* at least 1 */
    const char *place;
};

/* The left half in place, the right one offered. Deep as the logarithm of n. */
static int run_range(void *frame)
{
    const struct range *r = frame;
    haft__thread *here = haft__here_or_null();
    int rc = haft__refusal_on_entry(here->root);
    if (rc != 0)
        return rc;
    if (r->n == 1)
        return r->body(r->items);
    struct range left = *r, right = *r;
    left.n = r->n / 2;
    right.n = r->n - left.n;
    right.items = r->items + left.n * r->size;
    const struct side a = { run_range, &left, sizeof left }, b = { run_range, &right, sizeof right };
    if (here->root->stack != NULL)
        return both(here, &a, &b, r->place);
    int code = run_range(&left); /* there was no task to be had */
    rc = run_range(&right);
    return code != 0 ? code : rc;
}

int haft_for_each_raw(haft_fn *body, void *items, size_t size, size_t n, const char *place)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    int rc = haft__refusal_on_entry(here->root);
    if (rc != 0 || n == 0)
        return rc;
    struct range all = { body, items, size, n, place };
    if (here->root->stack == NULL)
        return call_in_task(here->root, run_range, &all, place);
    return run_range(&all);
}
