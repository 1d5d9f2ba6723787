/* SPDX-License-Identifier: MIT
 *
 * Parking and waking: what threads do themselves, and the ways to wake. The protocol stands in wait.h. */
#include "wait/wait.h"

#include "os/os.h"

static bool is_woken(const haft__record *record)
{
    return haft__load_acquire(&record->word) != HAFT__SPINS;
}

static bool is_woken_in(const haft__record *record, haft__turns *turns)
{
    if (turns->now == HAFT__YIELD) {
        haft__turns_yield(turns);
        return is_woken(record);
    }
    for (unsigned i = 0; i < HAFT__THREAD_SPINS; i++) {
        if (is_woken(record))
            return true;
        haft__spin("a thread waits to be woken");
    }
    return false;
}

/* A parked thread does not sleep at once, because a sleep and a wake across processors cost ten microseconds. */
static void thread_wait(haft__root *root)
{
    haft__record *record = root->record;
    haft__turns turns = haft__turns_begin(&haft__here_or_null()->habit, 1, HAFT__THREAD_YIELDS);
    while (haft__turns_next(&turns) != HAFT__ENOUGH) {
        if (is_woken_in(record, &turns)) {
            haft__turns_end(&turns);
            return;
        }
    }
    haft__turns_sleep(&turns);
    /* Relaxed: nothing is published to a waker but the word itself, and what a waker published is taken below. */
    uint32_t spins = HAFT__SPINS;
    haft__cas_relaxed(&record->word, &spins, HAFT__SLEEPS);
    while (haft__load_acquire(&record->word) == HAFT__SLEEPS) {
        int rc = haft__sleep(&haft__here_or_null()->sleeper, &record->word, HAFT__SLEEPS, root->deadline, false);
        if (rc == -ETIMEDOUT) {
            /* Acquire: partner of a waker who came just before. His wake is spent here, so what he published must be seen
             * by the caller's next look, which may be before a park without a deadline. */
            haft__exchange_acquire(&record->word, HAFT__RUNNING);
            return;
        }
    }
}

void haft__park_for(const char *what, haft__record *whose)
{
    haft__root *root = haft__here_or_null()->root;
    haft__record *record = root->record;
    uint32_t word = haft__load_relaxed(&record->word);
    if (word == HAFT__NOTIFIED) {
        /* Acquire: partner of the waker's compare-exchange; what it published is seen. */
        haft__exchange_acquire(&record->word, HAFT__RUNNING);
        return;
    }
    root->waits_for = what;
    root->waits_on = whose;
    if (haft__is_task(record)) {
        haft__task_park(root);
        return;
    }
    /* Relaxed: as in thread_wait; if it fails, the exchange acquires. */
    uint32_t running = HAFT__RUNNING;
    if (haft__cas_relaxed(&record->word, &running, HAFT__SPINS))
        thread_wait(root);
    else
        haft__exchange_acquire(&record->word, HAFT__RUNNING);
}

void haft__park_unlocking_for(haft__lock *lock, const char *what, haft__record *whose)
{
    haft__root *root = haft__here_or_null()->root;
    haft__record *record = root->record;
    root->waits_for = what;
    root->waits_on = whose;
    if (haft__is_task(record)) {
        haft__task_park_unlocking(root, lock);
        return;
    }
    bool heeds = root->shields == 0;
    /* An exchange, because it may end NOTIFIED, of a wake for something else: so whoever acquires what ends this park, as
     * thread_wait does, acquires what that waker released, too. Itself relaxed: whoever takes the lock later sees it, and
     * for a thread nobody reads anything on account of it. Then the light fence, whose partner is the heavy one in
     * haft_abort: either this load sees the abort, or the aborter sees SPINS. */
    haft__exchange_relaxed(&record->word, HAFT__SPINS);
    haft__fence_light();
    if (heeds && (haft__load_relaxed(&record->state) & HAFT__ABORT) != 0) {
        uint32_t spins = HAFT__SPINS;
        haft__cas_relaxed(&record->word, &spins, HAFT__RUNNING);
    }
    haft__lock_release(lock);
    thread_wait(root);
}

void haft__wake_sleeper(haft__record *record)
{
    haft__os->futex_wake(&record->word, 1);
}

void haft__wake(haft__record *record)
{
    if (haft__wins_wake(record))
        haft__task_ready(record);
}

void haft__wake_from_signal(haft__record *record)
{
    if (haft__wins_wake(record))
        haft__task_ready_from_signal(record);
}

int haft__refusal_by_clock(const haft__root *root)
{
    return haft__os->now() >= root->deadline ? HAFT_ETIMEDOUT : 0;
}
