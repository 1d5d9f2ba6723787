/* SPDX-License-Identifier: MIT
 *
 * Channels: sending, receiving, reserving. What must hold stands in channel.h; making and dropping ends in ends.c. A little
 * over 600 lines, because the two directions share all of it. */
#include "chan/channel.h"

#include <string.h>

#include "os/os.h"

static inline void wake_if(haft__record *record)
{
    if (record != NULL)
        haft__wake(record);
}

/* --- Under the lock ----------------------------------------------------------------------------------------------- */

/* The first giver with a value, claimed and out of the queue; those that want a slot are left where they are. */
static haft__arm *take_giver_with_value(haft__channel *c)
{
    for (haft__link *at = c->givers.next, *after; at != &c->givers; at = after) {
        after = at->next;
        haft__arm *w = HAFT__CONTAINER(at, haft__arm, link);
        if (w->value == NULL)
            continue;
        haft__list_remove(at);
        if (haft__arm_claim(w))
            return w;
    }
    return NULL;
}

/* There may be room now: the first giver gets it. Returns whom to wake. */
static inline haft__record *fill_room(haft__channel *c)
{
    if (__builtin_expect(haft__list_is_empty(&c->givers), 1) || c->length + c->reserved >= c->capacity ||
        !haft__channel_is_open(c))
        return NULL;
    haft__arm *w = haft__arms_take(&c->givers);
    if (w == NULL)
        return NULL;
    if (w->value != NULL) {
        haft__channel_push(c, w->value);
    } else {
        c->reserved++;
        c->refs++;
    }
    return haft__arm_complete(w, 0);
}

/* Hands the value to a taker, or stores it where there is room for it. */
static inline bool place(haft__channel *c, const void *value, bool has_room, haft__record **wake)
{
    if (!haft__list_is_empty(&c->takers)) {
        haft__arm *w = haft__arms_take(&c->takers);
        if (w != NULL) {
            haft__copy(w->value, value, c->size);
            haft__channel_was_given(c);
            *wake = haft__arm_complete(w, 0);
            return true;
        }
    }
    if (!has_room)
        return false;
    haft__channel_push(c, value);
    return true;
}

/* A send that does not wait. False: it would have to. */
static inline bool give(haft__channel *c, const void *value, int *rc, haft__record **wake)
{
    if (__builtin_expect(!haft__channel_is_open(c), 0)) {
        *rc = HAFT_ECLOSED;
        return true;
    }
    *rc = 0;
    return place(c, value, c->length + c->reserved < c->capacity, wake);
}

/* A receive that does not wait. False: it would have to. */
static inline bool take(haft__channel *c, void *value, int *rc, haft__record **wake)
{
    *rc = 0;
    if (__builtin_expect(c->length != 0, 1)) {
        haft__copy(value, haft__channel_front(c), c->size);
        haft__channel_pop(c);
        *wake = fill_room(c);
        return true;
    }
    if (!haft__list_is_empty(&c->givers) && haft__channel_is_open(c)) {
        haft__arm *w = take_giver_with_value(c);
        if (w != NULL) {
            haft__copy(value, w->value, c->size);
            haft__channel_was_given(c);
            *wake = haft__arm_complete(w, 0);
            return true;
        }
    }
    if (!haft__channel_has_ended(c))
        return false;
    *rc = HAFT_ECLOSED;
    return true;
}

/* A reservation that does not wait. */
static bool reserve(haft__channel *c, int *rc)
{
    if (!haft__channel_is_open(c)) {
        *rc = HAFT_ECLOSED;
        return true;
    }
    if (c->length + c->reserved >= c->capacity)
        return false;
    c->reserved++;
    c->refs++;
    *rc = 0;
    return true;
}

/* What is left to do once an operation has succeeded and the lock is released, for what is not a plain bounded channel. */
static __attribute__((noinline)) void tidy(haft__channel *c)
{
    haft__lock_acquire(&c->lock);
    if (c->kind == HAFT__ONESHOT)
        haft__channel_settle(c);
    haft__block *surplus = haft__blocks_surplus(c);
    haft__lock_release(&c->lock);
    haft__block_chain_free(surplus);
}

static inline void tidy_if_needed(haft__channel *c)
{
    if (__builtin_expect(c->kind == HAFT__ONESHOT, 0))
        tidy(c);
}

/* --- Looking again ------------------------------------------------------------------------------------------------ */

static bool attempt(haft__channel *c, void *value, bool takes, int *rc, haft__record **wake)
{
    return takes ? take(c, value, rc, wake) : give(c, value, rc, wake);
}

static inline bool looks(const haft__channel *c, const haft__root *me)
{
    return c->capacity >= HAFT__LOOK_CAPACITY && !haft__is_task(me->record);
}

/* A thread that finds a channel full or empty looks a few times more, in growing distances, before it stands in the queue. A
 * waiter in the queue is served with the first place or value there is, so two fast sides would wake each other for every
 * single one; a look comes to many. Where it came to few, as when two sides talk by turns, the next waits do without.
 *
 * The lock is held on entry and on return, and released meanwhile. True: it took effect, with *rc and *wake. */
static __attribute__((noinline)) bool look_again(haft__channel *c, void *value, bool takes, haft__root *me, int *rc,
                                                 haft__record **wake)
{
    uint8_t *skips = takes ? &c->taker_skips : &c->giver_skips;
    if (!looks(c, me))
        return false;
    if (*skips != 0) {
        --*skips;
        return false;
    }
    haft__turns turns = haft__turns_begin(&haft__here_or_null()->habit, HAFT__LOOK_TURNS, HAFT__THREAD_YIELDS);
    unsigned pauses = HAFT__LOOK_PAUSES;
    for (enum haft__turn turn; haft__refusal(me) == 0 && (turn = haft__turns_next(&turns)) != HAFT__ENOUGH;) {
        haft__lock_release(&c->lock);
        if (turn == HAFT__YIELD) {
            haft__turns_yield(&turns);
        } else {
            for (unsigned i = 0; i < pauses; i++)
                haft__spin("a thread waits for the other side of a channel");
            pauses *= 2;
        }
        haft__lock_acquire(&c->lock);
        if (attempt(c, value, takes, rc, wake)) {
            size_t more = takes ? c->length : c->capacity - c->length - c->reserved;
            if (more < HAFT__LOOK_GAIN)
                *skips = HAFT__LOOK_SKIPS;
            haft__turns_end(&turns);
            return true;
        }
    }
    return false;
}

/* --- Sending ------------------------------------------------------------------------------------------------------ */

/* HAFT_MOVE. The variable is the caller's own, const only on its way here. */
static inline void empty(const haft__channel *c, const void *value, bool move)
{
    if (__builtin_expect(move, 0))
        memset((void *)(uintptr_t)value, 0, c->size);
}

/* The clock is asked before, so that nobody waits for that. */
static __attribute__((noinline)) struct haft__worker *lock_contended(haft__channel *c, const haft__root *me)
{
    if (me->stack == NULL) {
        haft__lock_contended(&c->lock);
        return NULL;
    }
    int64_t now = haft__os->now();
    haft__lock_contended(&c->lock);
    return haft__gathering_meet(&c->gathering, now, c->given);
}

/* Locks for a send or a receive that may wait. Returns the worker that the caller is to join once it has released the lock;
 * mostly null. */
static inline struct haft__worker *lock(haft__channel *c, const haft__root *me)
{
    return __builtin_expect(haft__lock_try(&c->lock), 1) ? NULL : lock_contended(c, me);
}

static inline void join_if(struct haft__worker *worker)
{
    if (__builtin_expect(worker != NULL, 0))
        haft__gather_join(worker);
}

/* Waits for room. The lock is held on entry. */
static __attribute__((noinline)) int wait_to_give(haft__channel *c, const void *value, haft__root *me)
{
    haft__arm self;
    haft__arm_init(&self, me, (void *)(uintptr_t)value);
    haft__list_append(&c->givers, &self.link);
    if (!haft__arm_wait(&self, &c->lock, me, "room in a channel")) {
        haft__lock_release(&c->lock);
        return haft__tell(me, self.rc);
    }
    return self.rc;
}

/* The same for a sender who looks again before. A function of its own: the short way keeps its variables in registers, and
 * who waits at once does so with no call more around it than needed; see sched/park.h. */
static __attribute__((noinline)) int look_and_give(haft__channel *c, const void *value, haft__root *me)
{
    int rc;
    haft__record *wake = NULL;
    if (!look_again(c, (void *)(uintptr_t)value, false, me, &rc, &wake))
        return wait_to_give(c, value, me);
    haft__lock_release(&c->lock);
    wake_if(wake);
    return rc;
}

/* The lock is held on entry. */
static __attribute__((noinline)) int send_with_memory(haft__channel *c, const void *value, bool move)
{
    int rc = 0;
    haft__record *wake = NULL;
    while (rc == 0 && !haft__channel_has_place(c))
        rc = haft__channel_grow(c);
    if (rc == 0)
        give(c, value, &rc, &wake);
    haft__lock_release(&c->lock);
    wake_if(wake);
    if (rc == 0)
        empty(c, value, move);
    return rc;
}

int haft_send_raw(const void *tx, const void *value, bool move)
{
    haft__channel *c = haft__channel_of(tx);
    haft__thread *here = haft__here();
    if (__builtin_expect(here == NULL || c == NULL, 0))
        return c == NULL ? HAFT_EINVAL : haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (__builtin_expect(rc != 0, 0))
        return rc;
    haft__record *wake = NULL;
    struct haft__worker *to = lock(c, me);
    if (__builtin_expect(!haft__channel_has_place(c), 0))
        return send_with_memory(c, value, move);
    if (__builtin_expect(give(c, value, &rc, &wake), 1)) {
        haft__lock_release(&c->lock);
        wake_if(wake);
        tidy_if_needed(c);
        join_if(to);
    } else {
        rc = looks(c, me) ? look_and_give(c, value, me) : wait_to_give(c, value, me);
    }
    if (rc == 0)
        empty(c, value, move);
    return rc;
}

int haft_try_send_raw(const void *tx, const void *value, bool move)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__channel *c = haft__channel_of(tx);
    if (c == NULL)
        return HAFT_EINVAL;
    int rc;
    haft__record *wake = NULL;
    haft__lock_acquire(&c->lock);
    if (!haft__channel_has_place(c))
        return send_with_memory(c, value, move);
    bool is_given = give(c, value, &rc, &wake);
    haft__lock_release(&c->lock);
    if (!is_given)
        return HAFT_EAGAIN;
    wake_if(wake);
    tidy_if_needed(c);
    if (rc == 0)
        empty(c, value, move);
    return rc;
}

/* --- Receiving ---------------------------------------------------------------------------------------------------- */

/* Waits for a value. The lock is held on entry. */
static __attribute__((noinline)) int wait_to_take(haft__channel *c, void *value, haft__root *me)
{
    haft__arm self;
    haft__arm_init(&self, me, value);
    haft__list_append(&c->takers, &self.link);
    if (!haft__arm_wait(&self, &c->lock, me, "a value from a channel")) {
        haft__lock_release(&c->lock);
        return haft__tell(me, self.rc);
    }
    return self.rc;
}

static __attribute__((noinline)) int look_and_take(haft__channel *c, void *value, haft__root *me)
{
    int rc;
    haft__record *wake = NULL;
    if (!look_again(c, value, true, me, &rc, &wake))
        return wait_to_take(c, value, me);
    haft__block *surplus = haft__blocks_surplus(c);
    haft__lock_release(&c->lock);
    wake_if(wake);
    haft__block_chain_free(surplus);
    return rc;
}

int haft_recv_raw(const void *rx, void *value)
{
    haft__channel *c = haft__channel_of(rx);
    haft__thread *here = haft__here();
    if (__builtin_expect(here == NULL || c == NULL, 0))
        return c == NULL ? HAFT_EINVAL : haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (__builtin_expect(rc != 0, 0))
        return rc;
    haft__record *wake = NULL;
    struct haft__worker *to = lock(c, me);
    if (__builtin_expect(!take(c, value, &rc, &wake), 0))
        return looks(c, me) ? look_and_take(c, value, me) : wait_to_take(c, value, me);
    haft__block *surplus = haft__blocks_surplus(c);
    haft__lock_release(&c->lock);
    wake_if(wake);
    if (__builtin_expect(surplus != NULL, 0))
        haft__block_chain_free(surplus);
    tidy_if_needed(c);
    join_if(to);
    return rc;
}

int haft_try_recv_raw(const void *rx, void *value)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__channel *c = haft__channel_of(rx);
    if (c == NULL)
        return HAFT_EINVAL;
    int rc;
    haft__record *wake = NULL;
    haft__lock_acquire(&c->lock);
    bool is_taken = take(c, value, &rc, &wake);
    haft__block *surplus = haft__blocks_surplus(c);
    haft__lock_release(&c->lock);
    wake_if(wake);
    haft__block_chain_free(surplus);
    tidy_if_needed(c);
    return is_taken ? rc : HAFT_EAGAIN;
}

/* Senders that recv_many makes room for in one critical section. */
#define BATCH 32

/* Takes what is there, up to max. The lock is held on entry and on return; *rc is of the last attempt, HAFT_EAGAIN if there
 * was no more. */
static size_t take_many(haft__channel *c, unsigned char *to, size_t max, int *rc)
{
    size_t n = 0;
    *rc = 0;
    while (n < max && *rc == 0) {
        haft__record *woken[BATCH];
        unsigned count = 0;
        while (n < max && count < BATCH) {
            haft__record *wake = NULL;
            if (!take(c, to + n * c->size, rc, &wake))
                *rc = HAFT_EAGAIN;
            if (*rc != 0)
                break;
            n++;
            if (wake != NULL)
                woken[count++] = wake;
        }
        if (count == 0)
            break;
        haft__lock_release(&c->lock);
        for (unsigned i = 0; i < count; i++)
            haft__wake(woken[i]);
        haft__lock_acquire(&c->lock);
    }
    return n;
}

int haft_recv_many_raw(const void *rx, void *array, size_t max, size_t *n)
{
    *n = 0;
    haft__channel *c = haft__channel_of(rx);
    haft__thread *here = haft__here();
    if (c == NULL || max == 0)
        return HAFT_EINVAL;
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock_acquire(&c->lock);
    *n = take_many(c, array, max, &rc);
    if (*n == 0 && rc == HAFT_EAGAIN) {
        haft__record *wake = NULL;
        if (!look_again(c, array, true, me, &rc, &wake)) {
            rc = wait_to_take(c, array, me);
            if (rc != 0)
                return rc;
            haft__lock_acquire(&c->lock);
        } else if (wake != NULL) {
            haft__lock_release(&c->lock);
            haft__wake(wake);
            haft__lock_acquire(&c->lock);
        }
        if (rc == 0)
            *n = 1 + take_many(c, (unsigned char *)array + c->size, max - 1, &rc);
    }
    haft__block *surplus = haft__blocks_surplus(c);
    haft__lock_release(&c->lock);
    haft__block_chain_free(surplus);
    tidy_if_needed(c);
    return *n != 0 ? 0 : rc;
}

/* --- Reserving ---------------------------------------------------------------------------------------------------- */

static int reserve_now_or_later(const void *tx, void *slot, haft__root *me)
{
    haft__channel *c = haft__channel_of(tx);
    haft__channel **out = slot;
    *out = NULL;
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (c == NULL || c->capacity == 0)
        return HAFT_EINVAL;
    int rc;
    haft__lock_acquire(&c->lock);
    if (!reserve(c, &rc)) {
        if (me != NULL) {
            rc = wait_to_give(c, NULL, me);
        } else {
            haft__lock_release(&c->lock);
            rc = HAFT_EAGAIN;
        }
    } else {
        haft__lock_release(&c->lock);
    }
    if (rc == 0)
        *out = c;
    return rc;
}

int haft_reserve_raw(const void *tx, void *slot)
{
    haft__thread *here = haft__here();
    int rc = here == NULL ? haft__here_error() : haft__refusal_on_entry(here->root);
    if (here == NULL || rc != 0) {
        *(haft__channel **)slot = NULL;
        return rc;
    }
    return reserve_now_or_later(tx, slot, here->root);
}

int haft_try_reserve_raw(const void *tx, void *slot)
{
    return reserve_now_or_later(tx, slot, NULL);
}

int haft_slot_send_raw(void *slot, const void *value, bool move)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__channel *c = haft__channel_of(slot);
    if (c == NULL)
        return HAFT_EINVAL;
    int rc = 0;
    haft__lock_acquire(&c->lock);
    while (rc == 0 && !haft__channel_has_place(c))
        rc = haft__channel_grow(c);
    if (rc == 0 && c->receivers == 0)
        rc = HAFT_ECLOSED;
    if (rc != 0) {
        haft__lock_release(&c->lock);
        return rc;
    }
    haft__record *wake = NULL;
    c->reserved--;
    place(c, value, true, &wake);
    haft__record *giver = fill_room(c);
    haft__lock_release(&c->lock);
    wake_if(wake);
    wake_if(giver);
    empty(c, value, move); /* the reference of the slot is still held */
    *(haft__channel **)slot = NULL;
    haft__channel_leave(c);
    return 0;
}

void(haft_slot_drop)(void *slot)
{
    haft__channel *c = haft__channel_of(slot);
    if (c == NULL)
        return;
    *(haft__channel **)slot = NULL;
    haft__lock_acquire(&c->lock);
    c->reserved--;
    haft__record *giver = fill_room(c);
    haft__lock_release(&c->lock);
    wake_if(giver);
    haft__channel_leave(c);
}

/* --- As arms of a select ------------------------------------------------------------------------------------------ */

static haft__lock *lock_of(const haft_arm *arm)
{
    haft__channel *c = haft__channel_of(arm->object_);
    return c != NULL ? &c->lock : NULL;
}

static bool attempt_recv(const haft_arm *arm, int *rc, haft__record **wake)
{
    return take(haft__channel_of(arm->object_), arm->value_, rc, wake);
}

static void enrol_recv(const haft_arm *arm, haft__arm *w)
{
    w->value = arm->value_;
    haft__list_append(&haft__channel_of(arm->object_)->takers, &w->link);
}

static int finish_recv(const haft_arm *arm, const haft__arm *w)
{
    haft__channel *c = haft__channel_of(arm->object_);
    if (c != NULL && c->kind != HAFT__BOUNDED)
        tidy(c);
    return w->rc;
}

/* Only the first round of polls, which holds one lock at a time, can meet an unbounded channel that must grow: a send to
 * one takes effect whenever it is polled. */
static bool attempt_send(const haft_arm *arm, int *rc, haft__record **wake)
{
    haft__channel *c = haft__channel_of(arm->object_);
    if (!haft__channel_has_place(c)) {
        *rc = haft__channel_grow(c);
        if (*rc != 0)
            return true;
    }
    return give(c, arm->value_, rc, wake);
}

static void enrol_send(const haft_arm *arm, haft__arm *w)
{
    w->value = arm->value_;
    haft__list_append(&haft__channel_of(arm->object_)->givers, &w->link);
}

static int finish_send(const haft_arm *arm, const haft__arm *w)
{
    haft__channel *c = haft__channel_of(arm->object_);
    if (w->rc != 0)
        return w->rc;
    tidy_if_needed(c);
    empty(c, arm->value_, arm->move_);
    return 0;
}

static void withdraw(const haft_arm *arm, haft__arm *w)
{
    haft__lock *lock = lock_of(arm);
    haft__lock_acquire(lock);
    haft__list_remove(&w->link);
    haft__lock_release(lock);
}

const haft__arm_ops haft__arm_recv = {
    .lock = lock_of, .attempt = attempt_recv, .enrol = enrol_recv, .withdraw = withdraw, .finish = finish_recv
};
const haft__arm_ops haft__arm_send = {
    .lock = lock_of, .attempt = attempt_send, .enrol = enrol_send, .withdraw = withdraw, .finish = finish_send
};
