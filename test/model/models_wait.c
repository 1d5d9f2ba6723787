/* SPDX-License-Identifier: MIT
 *
 * The library's lock, parking and waking of threads, the table of records, timers. */
#include "sched/timer.h"
#include "world.h"

static haft__atomic(uint32_t) flag;
static haft__lock lock;
static haft__atomic(haft__record *) waiter;
static int plain;

/* --- the lock ------------------------------------------------------------------------------------------------------------ */

static void count_under_lock(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2; i++) {
        haft__lock_acquire(&lock);
        plain++;
        haft__lock_release(&lock);
    }
}

MODEL("lock: what it guards is touched by one at a time")
{
    int other = model_start(count_under_lock, NULL);
    count_under_lock(NULL);
    model_join(other);
    model_check(plain == 4);
}

MODEL("lock: three threads contend")
{
    int one = model_start(count_under_lock, NULL), two = model_start(count_under_lock, NULL);
    count_under_lock(NULL);
    model_join(one);
    model_join(two);
    model_check(plain == 6);
}

/* --- park and wake --------------------------------------------------------------------------------------------------------- */

static bool flag_is_set(void *argument)
{
    (void)argument;
    return haft__load_relaxed(&flag) != 0;
}

/* Published before, as a joiner does it. */
static void park_until_flag(void *argument)
{
    (void)argument;
    haft__root *me = world_root();
    model_waits_for(flag_is_set, NULL);
    haft__store_seq_cst(&waiter, me->record);
    while (haft__load_seq_cst(&flag) == 0)
        haft__park();
    model_waits_for(NULL, NULL);
}

static void set_flag_and_wake(void *argument)
{
    (void)argument;
    haft__store_seq_cst(&flag, 1);
    haft__record *record = haft__load_seq_cst(&waiter);
    if (record != NULL)
        haft__wake(record);
}

MODEL("park: a thread is woken, however early the wake comes", .is_spurious = true)
{
    int other = model_start(set_flag_and_wake, NULL);
    park_until_flag(NULL);
    model_join(other);
}

MODEL("park: two wakers at once")
{
    int one = model_start(set_flag_and_wake, NULL), two = model_start(set_flag_and_wake, NULL);
    park_until_flag(NULL);
    model_join(one);
    model_join(two);
}

/* A wake publishes what the waker did before it, even one that finds the word notified: the waiter reads it without any
 * other order. */
static haft__atomic(uint32_t) count_of_wakes;
static int written[3];
static haft__record *sleeper;

static void write_and_wake(void *argument)
{
    int i = (int)(intptr_t)argument;
    written[i] = 1;
    haft__fetch_add_relaxed(&count_of_wakes, 1);
    haft__wake(sleeper);
}

MODEL("park: two wakers, and none of them is counted late")
{
    sleeper = world_root()->record;
    int one = model_start(write_and_wake, (void *)1), two = model_start(write_and_wake, (void *)2);
    haft__park();
    uint32_t n = haft__load_relaxed(&count_of_wakes);
    model_check(n >= 1);
    model_join(one);
    model_join(two);
}

MODEL("park: one wake, and the waiter may read what was written before it")
{
    sleeper = world_root()->record;
    int one = model_start(write_and_wake, (void *)1);
    haft__park();
    model_check(written[1] == 1);
    model_join(one);
}

static void set_flag_and_wake_sleeper(void *argument)
{
    (void)argument;
    haft__store_relaxed(&flag, 1);
    haft__wake(sleeper);
}

MODEL("park: a wake that comes as the deadline strikes shows what was written before it")
{
    haft__root *me = world_root();
    sleeper = me->record;
    int other = model_start(set_flag_and_wake_sleeper, NULL);
    me->deadline = model_now() + 100;
    haft__park();
    me->deadline = INT64_MAX;
    while (haft__load_relaxed(&flag) == 0)
        haft__park();
    model_join(other);
}

/* Published under a lock. */
static void park_under_lock(void *argument)
{
    (void)argument;
    haft__root *me = world_root();
    model_waits_for(flag_is_set, NULL);
    haft__lock_acquire(&lock);
    while (plain == 0) {
        sleeper = me->record;
        haft__park_unlocking(&lock);
        haft__lock_acquire(&lock);
    }
    sleeper = NULL;
    haft__lock_release(&lock);
    model_waits_for(NULL, NULL);
}

static void wake_under_lock(void *argument)
{
    (void)argument;
    haft__lock_acquire(&lock);
    plain = 1;
    haft__record *record = sleeper;
    haft__lock_release(&lock);
    if (record != NULL)
        haft__wake(record);
}

MODEL("park under a lock: whoever holds the lock finds the waiter parked", .is_spurious = true)
{
    int other = model_start(wake_under_lock, NULL);
    park_under_lock(NULL);
    model_join(other);
}

MODEL("park under a lock: a wake for something else that came before is spent, and what it told is seen")
{
    haft__root *me = world_root();
    sleeper = me->record;
    int one = model_start(set_flag_and_wake_sleeper, NULL), two = model_start(wake_under_lock, NULL);
    haft__lock_acquire(&lock);
    while (plain == 0) {
        haft__park_unlocking(&lock);
        haft__lock_acquire(&lock);
    }
    haft__lock_release(&lock);
    while (haft__load_relaxed(&flag) == 0)
        haft__park();
    model_join(one);
    model_join(two);
}

MODEL("park under a lock: a deadline strikes meanwhile")
{
    int other = model_start(wake_under_lock, NULL);
    haft__root *me = world_root();
    me->deadline = model_now() + 100;
    haft__lock_acquire(&lock);
    int rc = 0;
    while (plain == 0 && (rc = haft__refusal(me)) == 0) {
        sleeper = me->record;
        haft__park_unlocking(&lock);
        haft__lock_acquire(&lock);
    }
    model_check(plain == 1 || rc == HAFT_ETIMEDOUT);
    sleeper = NULL;
    haft__lock_release(&lock);
    me->deadline = INT64_MAX;
    model_join(other);
    /* A wake that came too late ends the next park at most. */
    model_check(!haft__word_is_parked(haft__load_relaxed(&me->record->word)));
}

/* --- timers --------------------------------------------------------------------------------------------------------------- */

static haft__timers timers;

static void fire(void *argument)
{
    haft__timers_fire(&timers, (int64_t)(intptr_t)argument);
}

MODEL("timer: it fires while its owner takes it out")
{
    haft__timers_init(&timers);
    haft__root *me = world_root();
    haft__timer first, second;
    haft__timer_arm(&timers, &first, me->record, 10);
    haft__timer_arm(&timers, &second, me->record, 20);
    int other = model_start(fire, (void *)15);
    haft__timer_disarm(&timers, &first);
    haft__timer_disarm(&timers, &second);
    model_check(timers.top == NULL || first.heap != NULL);
    model_join(other);
    model_check(timers.top == NULL && haft__load_relaxed(&timers.earliest) == INT64_MAX);
}

MODEL("timer: two fire at one heap while one is armed", .is_large = true)
{
    haft__timers_init(&timers);
    haft__root *me = world_root();
    haft__timer first, second;
    haft__timer_arm(&timers, &first, me->record, 10);
    int one = model_start(fire, (void *)15), two = model_start(fire, (void *)15);
    haft__timer_arm(&timers, &second, me->record, 5);
    haft__timer_disarm(&timers, &second);
    haft__timer_disarm(&timers, &first);
    model_join(one);
    model_join(two);
    model_check(timers.top == NULL);
}

/* --- the table of records --------------------------------------------------------------------------------------------------- */

static haft__atomic(haft__record *) handed_over;

static void use_records(void *argument)
{
    (void)argument;
    world_root();
    haft__record *mine[3];
    for (int i = 0; i < 3; i++) {
        mine[i] = haft__record_new();
        model_check(mine[i] != NULL);
        mine[i]->frame_size = 1;
    }
    haft__record *other = haft__exchange_acq_rel(&handed_over, mine[0]);
    if (other != NULL)
        haft__record_free(other);
    haft__record_free(mine[1]);
    haft__record_free(mine[2]);
}

MODEL("records: made by one thread, freed by another", .is_large = true)
{
    int other = model_start(use_records, NULL);
    use_records(NULL);
    model_join(other);
    haft__record *last = haft__exchange_acq_rel(&handed_over, NULL);
    if (last != NULL)
        haft__record_free(last);
}

static int seen;

static void visit(haft__record *record, void *argument)
{
    (void)argument;
    model_check(haft__generation(haft__load_acquire(&record->state)) >= 1);
    seen++;
}

static void make_records(void *argument)
{
    (void)argument;
    world_root();
}

MODEL("records: the walk sees only what is initialised")
{
    world_root();
    int other = model_start(make_records, NULL);
    haft__record_each(visit, NULL);
    model_check(seen >= 1);
    model_join(other);
}
