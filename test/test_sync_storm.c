/* SPDX-License-Identifier: MIT
 *
 * Storms over what nobody holds: events, barriers, waitgroups and notifications, whose waiters are aborted, late, or panic
 * as soon as they have what they waited for. (Those over what is held are with the locks: test_mutex.c, test_rwlock.c,
 * test_semaphore.c, test_once.c, test_cond.c.) */
#include <haft/haft.h>

#include "sync.h"

enum { PARTY = 3 };

static struct {
    haft_event event;
    haft_barrier barrier;
    haft_waitgroup group;
    haft_notify notify;
    _Atomic size_t sets, sets_done, passed, led, begun, done, notified, taken;
} storm;

/* Waits now and then without a deadline; true if it is over for this job. */
static bool is_over(int rc)
{
    check(rc == 0 || rc == HAFT_ETIMEDOUT || rc == HAFT_ECANCELED);
    return rc == HAFT_ECANCELED;
}

static int use_event(struct stormer *s)
{
    switch (below(&s->chance, 4)) {
    case 0:
        atomic_fetch_add(&storm.sets, 1);
        haft_event_set(&storm.event);
        atomic_fetch_add(&storm.sets_done, 1);
        return 0;
    case 1:
        haft_event_reset(&storm.event);
        return 0;
    default: {
        size_t before = atomic_load(&storm.sets_done); /* one that has begun may count */
        bool was_set = haft_event_is_set(&storm.event);
        HAFT_TIMEOUT((int64_t)below(&s->chance, 30) * HAFT_US);
        int rc = haft_event_wait(&storm.event);
        if (rc == 0)
            check(was_set || atomic_load(&storm.sets) > before);
        return rc;
    }
    }
}

static int use_barrier(struct stormer *s)
{
    bool leads = false;
    HAFT_TIMEOUT((int64_t)below(&s->chance, 200) * HAFT_US);
    int rc = haft_barrier_wait(&storm.barrier, &leads);
    if (rc == 0) {
        atomic_fetch_add(&storm.passed, 1);
        atomic_fetch_add(&storm.led, leads);
    } else {
        check(!leads);
    }
    return rc;
}

static int use_group(struct stormer *s)
{
    if (below(&s->chance, 2) == 0) {
        size_t begun = atomic_load(&storm.begun);
        HAFT_TIMEOUT((int64_t)below(&s->chance, 30) * HAFT_US);
        int rc = haft_waitgroup_wait(&storm.group);
        if (rc == 0) /* what had begun before has ended by now */
            check_uint(atomic_load(&storm.done), >=, begun);
        return rc;
    }
    haft_waitgroup_add(&storm.group, 1);
    atomic_fetch_add(&storm.begun, 1);
    HAFT_DEFER(haft_waitgroup_done, &storm.group);
    int rc = haft_yield();
    atomic_fetch_add(&storm.done, 1);
    if (below(&s->chance, 100) == 0)
        haft_panic("before it is done");
    return rc;
}

static int use_notify(struct stormer *s)
{
    if (below(&s->chance, 2) == 0) {
        atomic_fetch_add(&storm.notified, 1);
        if (below(&s->chance, 2) == 0)
            haft_notify_one(&storm.notify);
        else
            haft_notify_last(&storm.notify);
        return 0;
    }
    HAFT_TIMEOUT((int64_t)below(&s->chance, 30) * HAFT_US);
    int rc = haft_notify_wait(&storm.notify);
    if (rc == 0)
        atomic_fetch_add(&storm.taken, 1);
    return rc;
}

static int storm_job(struct stormer *s)
{
    static int (*const uses[])(struct stormer *) = { use_event, use_barrier, use_group, use_notify };
    while (s->turns-- > 0) {
        if (is_over(uses[below(&s->chance, 4)](s)))
            return HAFT_ECANCELED;
        if (below(&s->chance, 200) == 0)
            haft_panic("by chance");
    }
    return 0;
}

TEST_LONG("storm: waiters that panic, are aborted or late take nothing along, and nobody goes on without cause")
{
    silence_panics();
    uint64_t chance = choose_seed();
    storm.barrier = (haft_barrier)HAFT_BARRIER_INIT(PARTY);
    haft_handle hs[CROWD];
    for (size_t turns = rounds(10000, 1000000), done = 0; done < turns;) {
        done += spawn_crowd(hs, storm_job, &chance);
        join_crowd(hs, true, &chance);
        check_uint(atomic_load(&storm.passed), ==, PARTY * atomic_load(&storm.led));
        check_uint(storm.barrier.arrived_, ==, 0);
        check_uint(atomic_load(&storm.taken), <=, atomic_load(&storm.notified));
        check_int(haft_waitgroup_wait(&storm.group), ==, 0);
        check_uint(waiting(&storm.event) + waiting(&storm.barrier) + waiting(&storm.group) + waiting(&storm.notify), ==,
                   0);
    }
    check_uint(atomic_load(&storm.led), >, 0);
    check_uint(atomic_load(&storm.taken), >, 0);
}
