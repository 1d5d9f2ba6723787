/* SPDX-License-Identifier: MIT
 *
 * Select. The protocol between a select and the objects of its arms stands in wait/arm.h; this is the select's side.
 *
 *  1. Each arm is tried once, one after the other, each under its own lock only: what is ready takes effect here, and
 *     mostly the select ends here.
 *  2. The locks of all arms that have one are taken in the order of their addresses, each arm is tried again, and if none
 *     is ready all enter their queues. Then the locks are released. From now on a waker may choose an arm.
 *  3. The arms without a lock (a job, a set, a tick) are enrolled: their objects only wake.
 *  4. Until the word of the select names an arm: those arms are looked at, then the clock and the abort, then the select
 *     parks. Whoever looks chooses by the same exchange as a waker does.
 *  5. Every other arm leaves its queue; the chosen one is finished.
 *
 * A select with one lock-based arm and nothing else but a timeout parks while it holds that lock, which spares a waker the
 * look at a waiter that has not parked yet. */
#include "select/select.h"

#include <string.h>

#include "os/os.h"

/* Indexed by haft_arm_kind; a timeout has no object. */
static const haft__arm_ops *const ops_of_kind[HAFT_ARM_KINDS_] = {
    [HAFT_ARM_RECV] = &haft__arm_recv,   [HAFT_ARM_SEND] = &haft__arm_send,   [HAFT_ARM_JOIN] = &haft__arm_join,
    [HAFT_ARM_SET] = &haft__arm_set,     [HAFT_ARM_SEM] = &haft__arm_sem,     [HAFT_ARM_NOTIFY] = &haft__arm_notify,
    [HAFT_ARM_EVENT] = &haft__arm_event, [HAFT_ARM_TOKEN] = &haft__arm_token, [HAFT_ARM_TICK] = &haft__arm_tick,
};

/* So many arms need no memory. */
#define FEW 16

struct selection {
    const haft_arm *arms;
    size_t n;
    haft__root *me;
    bool is_biased;
    haft__choice choice;
    haft__arm *waiters; /* one for each arm; valid for those that are enrolled */
    uint16_t *order;    /* in which the arms are tried */
    uint16_t *locked;   /* the arms with a lock, by its address */
    size_t locked_count;
    bool looks;         /* there are arms without a lock */
    int64_t until;      /* when the nearest timeout or tick is due; INT64_MAX: none */
    uint32_t until_arm; /* its number */
};

static const haft__arm_ops *ops_of(const haft_arm *arm)
{
    return ops_of_kind[arm->kind_];
}

/* What the user is told of the arm that happened. */
static int conclude(const haft_arm *arm, size_t index, int rc)
{
    if (arm->rc != NULL)
        *arm->rc = rc;
    return rc < 0 && arm->rc == NULL ? rc : (int)index;
}

static int finish(const haft_arm *arm, size_t index, const haft__arm *w)
{
    const haft__arm_ops *ops = ops_of(arm);
    return conclude(arm, index, ops != NULL && ops->finish != NULL ? ops->finish(arm, w) : w->rc);
}

/* --- The order in which arms are tried ---------------------------------------------------------------------------- */

/* A number below n. Knuth's generator; one state for each thread. */
static size_t random_below(size_t n)
{
    haft__thread *here = haft__here_or_null();
    uint64_t local = 0, *state = here != NULL ? &here->random : &local;
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(((*state >> 32) * n) >> 32);
}

/* The arm to be tried in turn i: a random one of those that are left (Fisher and Yates), or simply the next. */
static size_t in_turn(const struct selection *s, size_t i)
{
    if (s->is_biased)
        return i;
    size_t k = i + random_below(s->n - i);
    uint16_t index = s->order[k];
    s->order[k] = s->order[i];
    s->order[i] = index;
    return index;
}

/* --- 1: one after the other --------------------------------------------------------------------------------------- */

/* Tries one arm. True: it has taken effect, and w holds what finish needs. */
static bool try_alone(const haft_arm *arm, haft__arm *w, const haft__root *me)
{
    const haft__arm_ops *ops = ops_of(arm);
    if (ops == NULL) {
        w->rc = 0;
        return arm->kind_ == HAFT_ARM_TIMEOUT && arm->amount_ <= 0;
    }
    if (ops->lock == NULL) {
        haft__arm_init(w, me, NULL);
        return ops->look(arm, w);
    }
    haft__lock *lock = ops->lock(arm);
    if (lock == NULL) {
        w->rc = HAFT_EINVAL;
        return true;
    }
    haft__record *wake = NULL;
    haft__lock_acquire(lock);
    bool has_happened = ops->attempt(arm, &w->rc, &wake);
    haft__lock_release(lock);
    if (wake != NULL)
        haft__wake(wake);
    return has_happened;
}

/* --- 2: all at once ----------------------------------------------------------------------------------------------- */

static haft__lock *lock_at(const struct selection *s, size_t i)
{
    const haft_arm *arm = &s->arms[s->locked[i]];
    return ops_of(arm)->lock(arm);
}

/* Shell's sort, because nothing is allocated here and most selects are short. */
static void sort_by_lock(struct selection *s)
{
    for (size_t gap = s->locked_count / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < s->locked_count; i++) {
            uint16_t index = s->locked[i];
            const haft_arm *arm = &s->arms[index];
            uintptr_t address = (uintptr_t)ops_of(arm)->lock(arm);
            size_t k = i;
            for (; k >= gap && (uintptr_t)lock_at(s, k - gap) > address; k -= gap)
                s->locked[k] = s->locked[k - gap];
            s->locked[k] = index;
        }
}

static bool is_first_of_its_lock(const struct selection *s, size_t i)
{
    return i == 0 || lock_at(s, i) != lock_at(s, i - 1);
}

static void lock_all(struct selection *s)
{
    for (size_t i = 0; i < s->locked_count; i++)
        if (is_first_of_its_lock(s, i))
            haft__lock_acquire(lock_at(s, i));
}

static void unlock_all(struct selection *s)
{
    for (size_t i = 0; i < s->locked_count; i++)
        if (is_first_of_its_lock(s, i))
            haft__lock_release(lock_at(s, i));
}

/* When the arm is due by the clock alone; INT64_MAX: never. *now is asked for once, if it is needed. */
static int64_t due_at(const haft_arm *arm, int64_t *now)
{
    if (arm->kind_ == HAFT_ARM_TICK)
        return ((const haft_ticker *)arm->object_)->next_;
    if (arm->kind_ != HAFT_ARM_TIMEOUT || arm->amount_ == INT64_MAX)
        return INT64_MAX;
    if (*now == 0)
        *now = haft__os->now();
    int64_t due;
    return __builtin_add_overflow(*now, arm->amount_, &due) ? INT64_MAX : due;
}

/* Sorts the arms out: with a lock, without, and which is due first by the clock. */
static void sort_out(struct selection *s)
{
    int64_t now = 0;
    s->until = INT64_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const haft_arm *arm = &s->arms[i];
        const haft__arm_ops *ops = ops_of(arm);
        if (ops != NULL && ops->lock != NULL)
            s->locked[s->locked_count++] = (uint16_t)i;
        else if (ops != NULL)
            s->looks = true;
        int64_t due = due_at(arm, &now);
        if (due < s->until) {
            s->until = due;
            s->until_arm = (uint32_t)i + 1;
        }
    }
    sort_by_lock(s);
}

static void init_waiter(struct selection *s, size_t index)
{
    haft__arm *w = &s->waiters[index];
    haft__arm_init(w, s->me, NULL);
    w->choice = &s->choice;
    w->number = (uint32_t)index + 1;
}

/* All locks are held. The number of an arm that was ready after all and has taken effect, or 0: all have entered their
 * queues. */
static uint32_t attempt_or_enrol(struct selection *s, haft__record **wake)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t index = in_turn(s, i);
        const haft__arm_ops *ops = ops_of(&s->arms[index]);
        if (ops != NULL && ops->lock != NULL && ops->attempt(&s->arms[index], &s->waiters[index].rc, wake))
            return (uint32_t)index + 1;
    }
    for (size_t i = 0; i < s->locked_count; i++) {
        size_t index = s->locked[i];
        init_waiter(s, index);
        ops_of(&s->arms[index])->enrol(&s->arms[index], &s->waiters[index]);
    }
    return 0;
}

/* --- 3 to 5: waiting ---------------------------------------------------------------------------------------------- */

static void enrol_looking_arms(struct selection *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const haft__arm_ops *ops = ops_of(&s->arms[i]);
        if (ops == NULL || ops->lock != NULL)
            continue;
        init_waiter(s, i);
        ops->enrol(&s->arms[i], &s->waiters[i]);
    }
}

static void look(struct selection *s)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t index = in_turn(s, i);
        const haft__arm_ops *ops = ops_of(&s->arms[index]);
        if (ops != NULL && ops->lock == NULL && ops->look(&s->arms[index], &s->waiters[index]))
            return;
    }
}

static void choose(struct selection *s, uint32_t number)
{
    uint32_t none = 0;
    haft__cas_relaxed(&s->choice, &none, number); /* see haft__arm_claim */
}

/* Chooses for the clock or an abort, if it is time. Returns the refusal. */
static int look_at_clock(struct selection *s)
{
    int rc = haft__is_aborted_here(s->me) ? HAFT_ECANCELED : 0;
    if (rc == 0 && (s->until != INT64_MAX || s->me->deadline != INT64_MAX)) {
        int64_t now = haft__os->now();
        if (s->until <= s->me->deadline && now >= s->until)
            choose(s, s->until_arm);
        else if (now >= s->me->deadline)
            rc = HAFT_ETIMEDOUT;
    }
    if (rc != 0)
        choose(s, HAFT__REFUSED);
    return rc;
}

/* Parks until woken, or until a timeout is due. */
static void park(struct selection *s, haft__lock *lock)
{
    int64_t deadline = s->me->deadline;
    if (s->until < deadline)
        s->me->deadline = s->until;
    if (lock != NULL)
        haft__park_unlocking_for(lock, "one arm of a select", NULL);
    else
        haft__park_for("one arm of a select", NULL);
    s->me->deadline = deadline;
}

/* Waits until the word names an arm, or REFUSED. lock: the one lock, still held, or null. Returns the refusal. */
static int wait_for_choice(struct selection *s, haft__lock *lock)
{
    int rc = 0;
    if (lock != NULL)
        park(s, lock); /* the clock was looked at, and an abort since then ends this park */
    for (;;) {
        /* Relaxed, here and below: what the waker did is seen in withdraw_others. */
        if (haft__load_relaxed(&s->choice) != 0)
            return rc;
        if (s->looks)
            look(s);
        if (haft__load_relaxed(&s->choice) == 0)
            rc = look_at_clock(s);
        if (haft__load_relaxed(&s->choice) == 0)
            park(s, NULL);
    }
}

/* Every arm but the chosen one leaves. The waker of the chosen one may still be at work under its lock, which it took
 * before it chose. What it did is seen by the acquire of is_done, or of the lock. */
static void withdraw_others(struct selection *s, uint32_t chosen)
{
    for (size_t i = 0; i < s->n; i++) {
        const haft_arm *arm = &s->arms[i];
        const haft__arm_ops *ops = ops_of(arm);
        if (ops == NULL)
            continue;
        if (i + 1 != chosen) {
            ops->withdraw(arm, &s->waiters[i]);
        } else if (ops->lock != NULL && haft__load_acquire(&s->waiters[i].is_done) == 0) {
            haft__lock_acquire(ops->lock(arm));
            haft__lock_release(ops->lock(arm));
        }
    }
}

/* Steps 2 to 5. Returns the number of the arm that happened, or 0 and the refusal. */
static uint32_t wait_for_arm(struct selection *s, int *refusal)
{
    *refusal = haft__refusal(s->me);
    if (*refusal != 0)
        return 0;
    sort_out(s);
    haft__record *wake = NULL;
    lock_all(s);
    uint32_t number = attempt_or_enrol(s, &wake);
    bool is_simple = number == 0 && !s->looks && s->locked_count == 1;
    if (!is_simple)
        unlock_all(s);
    if (wake != NULL)
        haft__wake(wake);
    if (number != 0)
        return number;
    enrol_looking_arms(s);
    *refusal = wait_for_choice(s, is_simple ? lock_at(s, 0) : NULL);
    uint32_t chosen = haft__load_relaxed(&s->choice);
    withdraw_others(s, chosen);
    return chosen != HAFT__REFUSED ? chosen : 0;
}

/* --- The call ----------------------------------------------------------------------------------------------------- */

static int run(struct selection *s, bool waits, haft__arm *happened)
{
    for (size_t i = 0; i < s->n; i++)
        s->order[i] = (uint16_t)i;
    for (size_t i = 0; i < s->n; i++) {
        size_t index = in_turn(s, i);
        if (try_alone(&s->arms[index], happened, s->me))
            return (int)index;
    }
    if (!waits)
        return HAFT_EAGAIN;
    int rc;
    uint32_t number = wait_for_arm(s, &rc);
    if (number == 0)
        return haft__tell(s->me, rc);
    const haft_arm *arm = &s->arms[number - 1];
    if (arm->kind_ == HAFT_ARM_TIMEOUT)
        happened->rc = 0;
    else
        *happened = s->waiters[number - 1];
    return (int)number - 1;
}

static int run_few(struct selection *s, bool waits, haft__arm *happened)
{
    haft__arm waiters[FEW];
    uint16_t order[FEW], locked[FEW];
    s->waiters = waiters;
    s->order = order;
    s->locked = locked;
    /* NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape): the selection is not used after the call */
    return run(s, waits, happened);
}

static int run_many(struct selection *s, bool waits, haft__arm *happened)
{
    char *memory = haft__os->allocate(s->n * (sizeof(haft__arm) + 2 * sizeof(uint16_t)), _Alignof(haft__arm));
    if (memory == NULL)
        return HAFT_ENOMEM;
    s->waiters = (haft__arm *)(void *)memory;
    s->order = (uint16_t *)(void *)(memory + s->n * sizeof(haft__arm));
    s->locked = s->order + s->n;
    int rc = run(s, waits, happened);
    haft__os->release(memory);
    return rc;
}

int haft_select_raw(const haft_arm *arms, size_t n, haft_select_mode mode)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    if (n == 0 || n > UINT16_MAX)
        return HAFT_EINVAL;
    bool waits = mode != HAFT_SELECT_TRY;
    int rc = waits ? haft__refusal_on_entry(here->root) : 0;
    if (rc != 0)
        return rc;
    struct selection s = { .arms = arms, .n = n, .me = here->root, .is_biased = mode == HAFT_SELECT_BIASED };
    haft__arm happened;
    rc = n <= FEW ? run_few(&s, waits, &happened) : run_many(&s, waits, &happened);
    /* User code may run now, and may panic: nothing is held any more. */
    return rc < 0 ? rc : finish(&arms[rc], (size_t)rc, &happened);
}
