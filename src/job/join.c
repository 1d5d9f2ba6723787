/* SPDX-License-Identifier: MIT
 *
 * Handles: claiming, joining, waiting, aborting. The protocol stands in job.h. */
#include "job/edge.h"

#include <string.h>

#include "base/copy.h"
#include "base/hints.h"
#include "sched/queue.h"

/* A handle from haft_self() names a job and owns nothing: the lowest bit of the address marks it. */
#define SELF_BIT ((uintptr_t)1)

static haft__job *job_of_slot(const void *slot_address)
{
    return (haft__job *)((uintptr_t)slot_address & ~SELF_BIT);
}

static bool is_self(const void *slot_address)
{
    return ((uintptr_t)slot_address & SELF_BIT) != 0;
}

static bool is_generation(uint64_t state, uint64_t id)
{
    return haft__generation(state) == id;
}

static void outcome_of(haft__job *job, haft_outcome *out)
{
    memset(out, 0, sizeof *out);
    out->end = (haft_end)job->record.end;
    out->code = job->record.code;
    if (job->record.end == HAFT_PANICKED)
        out->panic = haft__panic_take(job->panic);
}

int haft__job_code(const haft__job *job)
{
    switch (job->record.end) {
    case HAFT_PANICKED:
        return HAFT_EPANIC;
    case HAFT_ABORTED:
        return HAFT_EABORTED;
    case HAFT_NOT_STARTED:
        /* Refused for want of memory, or aborted. */
        return job->record.code != 0 ? job->record.code : HAFT_EABORTED;
    default:
        return job->record.code;
    }
}

int haft__job_reap(haft__job *job, void *frame, size_t size, haft_outcome *out)
{
    if (haft__load_relaxed(&job->record.kind) == HAFT__KIND_THREAD)
        haft__thread_job_reap(job);
    int rc = haft__job_code(job);
    if (out != NULL)
        outcome_of(job, out);
    if (frame != NULL && size != 0) {
        haft__copy(frame, haft__job_frame(job), size);
        job->record.flags |= HAFT__MOVED_OUT;
    }
    if (__builtin_expect(job->drop != NULL || job->record.end == HAFT_PANICKED, 0))
        haft__job_dispose(job);
    haft__job_recycle(job);
    return rc;
}

/* Why this handle cannot be used at all, or 0. */
static int check_handle(const haft_handle *h, const haft__root *me)
{
    if (h->slot_ == NULL)
        return h->id_ == 0 ? HAFT_ESTALE : (int)(int64_t)h->id_;
    haft__job *job = job_of_slot(h->slot_);
    if (&job->record == me->record && is_generation(haft__load_relaxed(&job->record.state), h->id_))
        return HAFT_EDEADLK;
    return is_self(h->slot_) ? HAFT_EINVAL : 0;
}

/* Why a state does not let itself be claimed, or 0. */
static int check_state(uint64_t state, uint64_t id)
{
    if (!is_generation(state, id) || (state & HAFT__DETACHED) != 0)
        return HAFT_ESTALE;
    if ((state & HAFT__CLAIMED) == 0)
        return 0;
    /* A set or scope owns its jobs for good; haft_join_all only for as long as it waits, and has a joiner. */
    return (state & HAFT__GROUP) != 0 && haft__joiner(state) == 0 ? HAFT_ESTALE : HAFT_EBUSY;
}

/* Sequentially consistent: see job/ring.c. Acquire: of what a job that has ended did, and of the claimer before. */
static inline bool exchange_for_claim(haft__job *job, uint64_t *state, uint64_t claimed)
{
    return haft__cas_seq_cst(&job->record.state, state, claimed);
}

/* Claims, or tells why not. The flags show beside the claim; *seen is the state with both in it. */
static int claim(haft__job *job, uint64_t id, const haft__root *me, uint64_t flags, uint64_t *seen)
{
    uint64_t state = haft__load_relaxed(&job->record.state); /* nothing of the job is read before the exchange */
    for (;;) {
        int rc = check_state(state, id);
        if (rc != 0)
            return rc;
        uint64_t next =
            (state & ~HAFT__JOINER_MASK) | ((uint64_t)me->index << HAFT__JOINER_SHIFT) | HAFT__CLAIMED | flags;
        if (exchange_for_claim(job, &state, next)) {
            *seen = next;
            return 0;
        }
    }
}

#define CLAIM (HAFT__JOINER_MASK | HAFT__CLAIMED | HAFT__AWAITED)

/* Takes the claim back. False: the job has ended meanwhile and is the caller's to reap. */
bool haft__job_give_up(haft__job *job)
{
    uint64_t state;
    do {
        state = haft__load_acquire(&job->record.state); /* partner of the release of DONE */
        if ((state & HAFT__DONE) != 0)
            return false;
        /* Release: partner of the acquire in claim; what this claimer has read of the job, the next one may reap. */
    } while (!haft__cas_weak_release(&job->record.state, &state, state & ~CLAIM));
    return true;
}

void haft__job_unclaim(haft__job *job)
{
    /* Release: partner of the acquire in claim; the next claimer writes the group after this one. */
    uint64_t state = haft__load_relaxed(&job->record.state);
    while (!haft__cas_weak_release(&job->record.state, &state, state & ~(CLAIM | HAFT__GROUP)))
        ;
}

haft_handle haft__job_self_handle(haft__job *job)
{
    return (haft_handle){ (void *)((uintptr_t)job | SELF_BIT),
                          haft__generation(haft__load_relaxed(&job->record.state)) };
}

bool haft__is_self_handle(const haft_handle *h)
{
    return is_self(h->slot_);
}

haft__job *haft__job_of_handle(const haft_handle *h)
{
    return job_of_slot(h->slot_);
}

int haft__job_claim(const haft_handle *h, haft__root *me, haft__job **out, bool *was_done)
{
    int rc = check_handle(h, me);
    if (rc != 0)
        return rc;
    haft__job *job = job_of_slot(h->slot_);
    uint64_t state;
    rc = claim(job, h->id_, me, 0, &state);
    if (rc != 0)
        return rc;
    *out = job;
    *was_done = (state & HAFT__DONE) != 0;
    return 0;
}

/* An aborted call that still stands in the pool's queue will never begin: whoever joins it ends it, and need not
 * wait for a thread. The aborter, who may be a signal handler, only wakes the joiner. */
static void end_if_withdrawn(haft__job *job, uint64_t state)
{
    if ((state & HAFT__ABORT) != 0 && haft__load_relaxed(&job->record.kind) == HAFT__KIND_BLOCKING &&
        haft__pool_withdraw(job))
        haft__job_refuse(&job->record, 0);
}

bool haft__job_claimed_has_ended(haft__job *job)
{
    uint64_t state = haft__load_acquire(&job->record.state);
    if ((state & HAFT__DONE) == 0 && __builtin_expect((state & HAFT__ABORT) != 0, 0)) {
        end_if_withdrawn(job, state);
        state = haft__load_acquire(&job->record.state);
    }
    return (state & HAFT__DONE) != 0;
}

/* Waits for a claimed job. 0, or the refusal, after which the claim is given back. */
static inline int wait_claimed(haft__job *job, haft__root *me)
{
    uint64_t state;
    while (__builtin_expect(((state = haft__load_acquire(&job->record.state)) & HAFT__DONE) == 0, 0)) {
        int rc = haft__refusal(me);
        if (rc != 0)
            return haft__job_give_up(job) ? haft__tell(me, rc) : 0;
        if (__builtin_expect((state & HAFT__ABORT) != 0, 0)) {
            end_if_withdrawn(job, state);
            if ((haft__load_acquire(&job->record.state) & HAFT__DONE) != 0)
                break;
        }
        haft__park_for("the end of", &job->record);
    }
    return 0;
}

/* wait_claimed, noted. HAFT_EDEADLK: it would close a ring of waits; the claim is given back. */
static __attribute__((noinline)) int wait_as_edge(haft__job *job, haft__root *me)
{
    uint32_t generation = haft__generation(haft__load_relaxed(&job->record.state));
    haft__edge edge = haft__edge_to_job("the end of", &job->record, generation, me);
    if (!haft__edge_enter(&edge, me))
        return haft__job_give_up(job) ? HAFT_EDEADLK : 0;
    int rc = wait_claimed(job, me);
    haft__edge_leave(&edge);
    return rc;
}

/* The same, noted in the checked build, and, because job/ring.c does not see it, under a shield: haft_drop's. */
static inline int wait_noted(haft__job *job, haft__root *me)
{
    if (me->deadline == INT64_MAX && (HAFT__NOTES_ALL_WAITS || __builtin_expect(me->shields != 0, 0)))
        return wait_as_edge(job, me);
    return wait_claimed(job, me);
}

/* The one way to join. With try, HAFT_EAGAIN instead of waiting. *own is true if the code is the caller's own. */
static int join(haft_handle *h, void *frame, size_t size, haft_outcome *out, bool try, bool *own)
{
    *own = true;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = check_handle(h, me);
    if (rc != 0) {
        if (h->slot_ == NULL && h->id_ != 0)
            *h = HAFT_NULL_HANDLE; /* the failed spawn's error is delivered */
        return rc;
    }
    haft__job *job = job_of_slot(h->slot_);
    uint64_t state = haft__load_relaxed(&job->record.state);
    rc = check_state(state, h->id_);
    if (rc != 0)
        return rc;
    if (try && (state & HAFT__DONE) == 0)
        return HAFT_EAGAIN;
    if (!try && (rc = haft__refusal_on_entry(me)) != 0)
        return rc;
    rc = claim(job, h->id_, me, me->deadline == INT64_MAX ? HAFT__AWAITED : 0, &state);
    if (rc != 0)
        return rc;
    if (!haft__job_fits(job, frame, size)) {
        haft__job_unclaim(job);
        return HAFT_EINVAL;
    }
    if ((state & HAFT__DONE) == 0) {
        if (haft__closes_ring(job, me))
            return HAFT_EDEADLK;
        rc = wait_noted(job, me);
        if (rc != 0)
            return rc;
    }
    *own = false;
    rc = haft__job_reap(job, frame, size, out);
    *h = HAFT_NULL_HANDLE;
    return rc;
}

/* join as far as it has waited once, where a task without a deadline joins a task that runs, and nothing stands in the
 * way. 0: the job is claimed. HAFT_EAGAIN: it is another case, and nothing was done. HAFT_EDEADLK. */
static inline int claim_plainly(haft__job *job, uint64_t id, haft__root *me, const void *frame, size_t size)
{
    /* Neither ended nor claimed nor detached nor aborted, and of this generation. Relaxed: the exchange below fails
     * unless it still is. */
    uint64_t state = haft__load_relaxed(&job->record.state);
    if (__builtin_expect((state & ~(uint64_t)(HAFT__WATCHED | HAFT__TOKEN)) != id << HAFT__GENERATION_SHIFT, 0))
        return HAFT_EAGAIN;
    if (me->stack == NULL || &job->record == me->record || me->deadline != INT64_MAX || me->shields != 0 ||
        haft__is_aborted_here(me) || haft__load_relaxed(&me->record->word) != HAFT__RUNNING ||
        !haft__is_task(&job->record))
        return HAFT_EAGAIN;
    uint64_t claimed = state | ((uint64_t)me->index << HAFT__JOINER_SHIFT) | HAFT__CLAIMED | HAFT__AWAITED;
    if (!exchange_for_claim(job, &state, claimed))
        return HAFT_EAGAIN;
    /* Only now: another copy of the handle may join first, and the slot be used again. */
    if (__builtin_expect(!haft__job_fits(job, frame, size), 0)) {
        haft__job_unclaim(job);
        return HAFT_EINVAL;
    }
    if (haft__closes_ring(job, me))
        return HAFT_EDEADLK;
    if (HAFT__NOTES_ALL_WAITS)
        return 0; /* and the wait comes behind */
    me->waits_for = "the end of";
    me->waits_on = &job->record;
    haft__task_park(me);
    return 0;
}

int haft_join_raw(haft_handle *h, void *frame, size_t size)
{
    haft__thread *here = haft__here_or_null();
    haft__job *job = h->slot_;
    if (__builtin_expect(here != NULL && job != NULL && !is_self(job), 1)) {
        haft__root *me = here->root;
        int rc = claim_plainly(job, h->id_, me, frame, size);
        if (rc == 0)
            rc = wait_noted(job, me); /* it has ended already, but for a wake that was for something else */
        if (__builtin_expect(rc == 0, 1)) {
            rc = haft__job_reap_plainly(job, frame, size);
            *h = HAFT_NULL_HANDLE;
            return rc;
        }
        if (rc != HAFT_EAGAIN)
            return rc;
    }
    bool own;
    return join(h, frame, size, NULL, false, &own);
}

int haft_try_join_raw(haft_handle *h, void *frame, size_t size)
{
    bool own;
    return join(h, frame, size, NULL, true, &own);
}

int haft_join_outcome_raw(haft_handle *h, void *frame, size_t size, haft_outcome *out)
{
    bool own;
    int rc = join(h, frame, size, out, false, &own);
    return own ? rc : 0;
}

int haft_detach(haft_handle *h)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    int rc = check_handle(h, here->root);
    if (rc == HAFT_EDEADLK)
        rc = is_self(h->slot_) ? HAFT_EINVAL : 0; /* a job may let go of itself */
    if (rc != 0) {
        if (h->slot_ == NULL && h->id_ != 0)
            *h = HAFT_NULL_HANDLE;
        return rc;
    }
    haft__job *job = job_of_slot(h->slot_);
    uint64_t state = haft__load_relaxed(&job->record.state);
    for (;;) {
        rc = check_state(state, h->id_);
        if (rc != 0)
            return rc;
        uint64_t flag = (state & HAFT__DONE) != 0 ? HAFT__CLAIMED : HAFT__DETACHED;
        /* Acquire: the outcome of a job that has ended. Release: a dropper that runs where the job ends sees what was
         * done before it was let go. */
        if (haft__cas_weak_acq_rel_retry(&job->record.state, &state, state | flag))
            break;
    }
    if ((state & HAFT__DONE) != 0)
        haft__job_reap(job, NULL, 0, NULL);
    *h = HAFT_NULL_HANDLE;
    return 0;
}

/* How long haft_drop pauses while a job that has ended is still claimed by a haft_join_all that waits for others. */
#define BUSY_PAUSE (100 * HAFT_US)

void haft_drop(haft_handle *h)
{
    if (h == NULL || is_self(h->slot_))
        return;
    if (h->slot_ != NULL) {
        haft__here_always();
        HAFT_SHIELD;
        haft_abort(*h);
        int rc;
        /* Busy: another copy joins now. It takes the job, or gives up and leaves it to this one. */
        while ((rc = haft_join_raw(h, NULL, 0)) == HAFT_EBUSY)
            if (haft_wait(*h) == 0)
                haft_sleep(BUSY_PAUSE);
        if (rc == HAFT_EDEADLK) /* its own: nobody is left to wait for it */
            haft_detach(h);
    }
    *h = HAFT_NULL_HANDLE;
}

int haft_wait(haft_handle h)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    int rc = check_handle(&h, here->root);
    if (rc != 0 && (rc != HAFT_EINVAL || h.slot_ == NULL)) /* somebody else's haft_self() can be waited for */
        return rc;
    rc = haft__refusal_on_entry(here->root);
    if (rc != 0)
        return rc;
    return haft__watch(job_of_slot(h.slot_), h.id_, here->root);
}

bool haft_is_finished(haft_handle h)
{
    if (h.slot_ == NULL)
        return true;
    uint64_t state = haft__load_acquire(&job_of_slot(h.slot_)->record.state);
    return !is_generation(state, h.id_) || (state & HAFT__DONE) != 0;
}

bool haft__job_mark_aborted(haft__record *record, uint64_t generation)
{
    uint64_t state = haft__load_relaxed(&record->state);
    do {
        if (!is_generation(state, generation))
            return false;
        if ((state & (HAFT__DONE | HAFT__ABORT)) != 0)
            return true;
        /* Release: partner of the acquire in haft__is_aborted_here. */
    } while (!haft__cas_weak_release(&record->state, &state, state | HAFT__ABORT));
    return true;
}

/* After the marks: every processor has seen them once this returns. Partner: the light fences in do_post and
 * haft__park_unlocking. */
static void abort_slot(haft__record *record, uint64_t generation, int *rc)
{
    *rc = haft__job_mark_aborted(record, generation) ? 0 : HAFT_ESTALE;
    if (*rc != 0)
        return;
    haft__fence_heavy(); /* as haft__job_wake_marked */
    haft__wake_from_signal(record);
    uint64_t state = haft__load_acquire(&record->state);
    if (haft__load_relaxed(&record->kind) == HAFT__KIND_BLOCKING && (state & HAFT__CLAIMED) != 0 &&
        haft__joiner(state) != 0)
        haft__wake_from_signal(
            haft__record_at(haft__joiner(state))); /* see end_if_withdrawn; a late one does no harm */
}

void haft__job_abort(haft__job *job)
{
    int rc;
    abort_slot(&job->record, haft__generation(haft__load_relaxed(&job->record.state)), &rc);
}

int haft_abort_by(haft_abort_handle a)
{
    if (a.slot_ == NULL)
        return a.id_ == 0 ? HAFT_ESTALE : (int)(int64_t)a.id_;
    if (haft__is_forked())
        return HAFT_EFORKED;
    int rc;
    abort_slot(&job_of_slot(a.slot_)->record, a.id_, &rc);
    return rc;
}

int haft_abort(haft_handle h)
{
    return haft_abort_by(haft_abort_handle_of(h));
}

haft_abort_handle haft_abort_handle_of(haft_handle h)
{
    return (haft_abort_handle){ h.slot_, h.id_ };
}

uint64_t haft_id(haft_handle h)
{
    if (h.slot_ == NULL)
        return 0;
    /* A slot's number in 24 bits, behind the generation, which no slot has twice. */
    return h.id_ << 24 | haft__record_index(&job_of_slot(h.slot_)->record);
}

const char *haft_name(haft_handle h)
{
    if (h.slot_ == NULL)
        return "";
    haft__job *job = job_of_slot(h.slot_);
    /* Acquire: whoever reads the name of a later job sees the later generation, too. */
    const char *name = haft__load_acquire(&job->name);
    return name != NULL && is_generation(haft__load_relaxed(&job->record.state), h.id_) ? name : "";
}

haft_handle haft_self(void)
{
    haft__thread *here = haft__here_or_null();
    haft__job *job = here != NULL ? haft__job_here(here->root) : NULL;
    return job != NULL ? haft__job_self_handle(job) : HAFT_NULL_HANDLE;
}

int haft_park(void)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    if (haft__job_here(me) == NULL && me->deadline == INT64_MAX)
        return HAFT_EDEADLK; /* nobody can name this thread to unpark it */
    int rc = haft__refusal_on_entry(me);
    while (rc == 0) {
        uint64_t state = haft__load_relaxed(&me->record->state);
        if ((state & HAFT__TOKEN) != 0) {
            /* Acquire: partner of the unparker's release. */
            haft__fetch_and_acquire(&me->record->state, ~(uint64_t)HAFT__TOKEN);
            return 0;
        }
        rc = haft__refusal(me);
        if (rc == 0)
            haft__park_for("its token", NULL);
    }
    return haft__tell(me, rc);
}

int haft_unpark(haft_handle h)
{
    if (h.slot_ == NULL)
        return HAFT_ESTALE;
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__record *record = &job_of_slot(h.slot_)->record;
    uint64_t state = haft__load_relaxed(&record->state);
    do {
        if (!is_generation(state, h.id_))
            return HAFT_ESTALE;
        /* Release, even if the token is there: partner of the acquire in haft_park. */
    } while (!haft__cas_weak_release(&record->state, &state, state | HAFT__TOKEN));
    haft__wake_from_signal(record);
    return 0;
}

int haft_yield(void)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = haft__tell(me, haft__refusal(me));
    if (rc != 0)
        return rc;
    if (me->stack != NULL)
        haft__sched_yield(here->worker);
    else
        haft__os->yield();
    return 0;
}

int haft_checkpoint(void)
{
    haft__thread *here = haft__here();
    return here != NULL ? haft__tell(here->root, haft__refusal(here->root)) : haft__here_error();
}

bool haft_is_aborted(void)
{
    haft__thread *here = haft__here_or_null();
    return here != NULL && haft__job_here(here->root) != NULL && haft__is_aborted_here(here->root);
}
