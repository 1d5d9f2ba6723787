/* SPDX-License-Identifier: MIT */
#include "check/deadlock.h"

#include "haft/codes.h"
#include "os/os.h"

/* The first sleep of the last one awake, and by how much the next one is longer: five of them, 17 s in all. */
#define FIRST_NAP_NS INT64_C(50000000)
#define NAP_GROWTH 4
#define NAPS 5

static struct {
    haft__atomic(uint32_t) lock; /* src/wait's lock is above this room */
    haft__link sleepers;         /* next is null until first used */
    uint64_t changes;            /* of the list */
    uint64_t reported;           /* the naps of the last report */
} all;

static haft__atomic(void *) printer;

/* Held for a walk over the threads of the process; waiters give way, because the holder may have been preempted. */
static void lock(void)
{
    while (haft__exchange_acquire(&all.lock, 1) != 0)
        haft__os->yield();
    if (all.sleepers.next == NULL)
        haft__list_init(&all.sleepers);
}

static void unlock(void)
{
    haft__store_release(&all.lock, 0);
}

/* What was seen in one look. Equal looks saw the same threads in the same sleeps: each count only grows. */
struct look {
    uint64_t naps;
    uint64_t changes;
    unsigned threads;
};

static bool is_equal(const struct look *a, const struct look *b)
{
    return a->naps == b->naps && a->changes == b->changes && a->threads == b->threads;
}

/* The lock is held. */
static bool is_everybody_asleep(struct look *look)
{
    *look = (struct look){ .changes = all.changes };
    for (haft__link *at = all.sleepers.next; at != &all.sleepers; at = at->next) {
        haft__sleeper *sleeper = HAFT__CONTAINER(at, haft__sleeper, link);
        if (sleeper->is_covered)
            continue;
        /* Acquire: partner of the increment in haft__sleep; word and expected are those of this sleep, and whatever this
         * thread has done before, as the change of another's word, is seen. */
        uint32_t naps = haft__load_acquire(&sleeper->naps);
        if ((naps & 1) == 0 ||
            haft__load_relaxed(haft__load_relaxed(&sleeper->word)) != haft__load_relaxed(&sleeper->expected))
            return false;
        look->naps += naps;
        look->threads++;
    }
    return true;
}

void haft__sleeper_enter(haft__sleeper *sleeper, haft__sleeper *before)
{
    lock();
    sleeper->is_covered = false;
    haft__list_append(&all.sleepers, &sleeper->link);
    if (before != NULL)
        before->is_covered = true;
    all.changes++;
    unlock();
}

void haft__sleeper_leave(haft__sleeper *sleeper, haft__sleeper *before)
{
    lock();
    haft__list_remove(&sleeper->link);
    if (before != NULL)
        before->is_covered = false;
    all.changes++;
    /* The one that leaves may have been the last awake: somebody is woken for nothing, and looks again. */
    struct look look;
    haft__atomic(uint32_t) *word = NULL;
    if (is_everybody_asleep(&look) && look.threads > 0)
        word = haft__load_relaxed(&HAFT__CONTAINER(all.sleepers.next, haft__sleeper, link)->word);
    unlock();
    if (word != NULL)
        haft__os->futex_wake(word, 1);
}

static bool look_around(struct look *look)
{
    lock();
    bool asleep = is_everybody_asleep(look);
    unlock();
    return asleep;
}

/* True if nobody has moved since that look, nobody else exists, and this was not reported before. */
static bool is_certain(const struct look *before)
{
    struct look now;
    if (!look_around(&now) || !is_equal(&now, before) || haft__os->thread_count() != now.threads ||
        haft__os->may_be_signalled())
        return false;
    lock();
    bool certain = is_everybody_asleep(&now) && is_equal(&now, before) && all.reported != now.naps + now.changes;
    if (certain)
        all.reported = now.naps + now.changes;
    unlock();
    return certain;
}

static void report(void)
{
    static const char text[] = "haft: deadlock: everything waits, and nothing is left that could wake any of it\n";
    haft__os->write_error(text, sizeof text - 1);
    /* Through a void pointer, in which POSIX lets functions travel. */
    void (*print)(void);
    *(void **)(void *)&print = haft__load_relaxed(&printer); /* it is code */
    if (print != NULL)
        print();
}

void haft__deadlock_setup(void (*print)(void))
{
    haft__store_relaxed(&printer, *(void **)(void *)&print);
}

/* Sleeps for short spans for as long as everybody else sleeps, too. True if the sleep is over, with *rc. */
static bool sleep_lightly(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline, int *rc)
{
    struct look look;
    int64_t nap = FIRST_NAP_NS;
    for (int i = 0; i < NAPS && look_around(&look); i++, nap *= NAP_GROWTH) {
        int64_t until = haft__os->now() + nap;
        if (until >= deadline)
            break;
        *rc = haft__os->futex_wait(word, expected, until);
        if (*rc != HAFT_ETIMEDOUT)
            return true;
        if (is_certain(&look)) {
            report();
            break;
        }
    }
    return false;
}

int haft__sleep(haft__sleeper *sleeper, haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline, bool is_idle)
{
    if (deadline != INT64_MAX && !is_idle)
        return haft__os->futex_wait(word, expected, deadline);
    haft__store_relaxed(&sleeper->word, word);
    haft__store_relaxed(&sleeper->expected, expected);
    /* Release: see is_everybody_asleep. Of two that fall asleep, the one that takes the lock later sees the other. */
    haft__fetch_add_release(&sleeper->naps, 1);
    int rc = 0;
    if (!sleep_lightly(word, expected, deadline, &rc))
        rc = haft__os->futex_wait(word, expected, deadline);
    haft__fetch_add_relaxed(&sleeper->naps, 1);
    return rc;
}
