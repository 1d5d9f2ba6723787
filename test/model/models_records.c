/* SPDX-License-Identifier: MIT
 *
 * Records that are found by their number: whoever reads a number somewhere sees the chunk that the record is in, though
 * another thread has just made it. */
#include "sync/mutex.h"
#include "world.h"

WORLD_RUNTIME(runtime);

static haft_handle shared;

static void check_nothing_is_left(void)
{
    model_join_all();
    model_check(haft__load_relaxed(&runtime.spawned) == haft__load_relaxed(&runtime.finished));
}

static int do_nothing(int *n)
{
    return *n;
}

static haft_handle start(int (*body)(int *))
{
    int n = 7;
    haft_handle h = haft_spawn(body, &n, .kind = HAFT_THREAD, .runtime = &runtime);
    model_check(haft_error(h) == 0);
    return h;
}

/* The next thread that needs records makes a chunk of its own. */
static void use_up_chunk(void)
{
    while (haft__load_relaxed(&haft__chunks[1]) == NULL) {
        haft__record *record = haft__record_new();
        uint32_t index = haft__record_index(record);
        if (index % HAFT__MAGAZINE == HAFT__MAGAZINE - 1 && index >= HAFT__CHUNK_RECORDS - HAFT__MAGAZINE)
            return;
    }
}

static void join_shared(void *argument)
{
    (void)argument;
    haft_handle h = shared;
    model_check(haft_join(&h) == 7);
}

MODEL("records: the end of a job finds a joiner whose record is in a chunk of its own")
{
    shared = start(do_nothing);
    use_up_chunk();
    int other = model_start(join_shared, NULL);
    model_join(other);
    check_nothing_is_left();
}

MODEL("records: the same, of a job that somebody else waits for", .is_large = true)
{
    shared = start(do_nothing);
    use_up_chunk();
    int other = model_start(join_shared, NULL);
    int rc = haft_wait(shared);
    model_check(rc == 0 || rc == HAFT_ESTALE);
    model_join(other);
    check_nothing_is_left();
}

static int park_until_aborted(int *n)
{
    model_check(haft_park() == HAFT_ECANCELED);
    return *n;
}

static void join_aborted(void *argument)
{
    (void)argument;
    haft_handle h = shared;
    model_check(haft_join(&h) == HAFT_EABORTED);
}

MODEL("records: the abort of a call finds a joiner whose record is in a chunk of its own", .is_large = true)
{
    int n = 7;
    shared = haft_spawn_blocking(park_until_aborted, &n, .runtime = &runtime);
    use_up_chunk();
    int other = model_start(join_aborted, NULL);
    model_check(haft_abort(shared) == 0);
    model_join(other);
    haft__pool_stop(&runtime, false);
    check_nothing_is_left();
    model_keep(runtime.pool);
}

static void take_record(void *argument)
{
    (void)argument;
    model_check(haft__record_new() != NULL);
}

static void look_at_kind(haft__record *record, void *argument)
{
    (void)argument;
    uint8_t kind = haft__load_relaxed(&record->kind);
    model_check(kind == HAFT__KIND_FREE || kind == HAFT__KIND_PLAIN);
}

MODEL("records: the walk comes upon a chunk that another thread makes")
{
    world_root();
    use_up_chunk();
    int other = model_start(take_record, NULL);
    haft__record_each(look_at_kind, NULL);
    model_join(other);
}

/* --- the holder of a mutex ---------------------------------------------------------------------------------------------- */

static haft_mutex mutex = HAFT_MUTEX_INIT;
static haft__atomic(uint32_t) step;
static int plain;

/* Asleep, so that nobody's turn is tried in vain. Orders nothing. */
static void next_step(uint32_t n)
{
    haft__store_relaxed(&step, n);
    model_wake((volatile uint32_t *)&step, 2);
}

static void wait_for_step(uint32_t n)
{
    uint32_t now;
    while ((now = haft__load_relaxed(&step)) < n)
        model_sleep((volatile uint32_t *)&step, now, INT64_MAX);
}

/* Others run while the mutex is held, at no cost in preemptions. */
static void hold(void)
{
    plain++;
    next_step(2);
    model_spin();
    haft_mutex_unlock(&mutex);
}

static void lock_and_hold(void *argument)
{
    (void)argument;
    model_check(haft_mutex_lock(&mutex) == 0);
    hold();
}

static void lock_abortably_and_hold(void *argument)
{
    (void)argument;
    model_check(haft_mutex_lock_abortable(&mutex) == 0);
    hold();
}

static void try_and_hold(void *argument)
{
    (void)argument;
    if (haft_mutex_try_lock(&mutex) == 0)
        hold();
    next_step(2);
}

static void contend_once_held(void)
{
    wait_for_step(2);
    model_check(haft_mutex_lock(&mutex) == 0);
    plain++;
    haft_mutex_unlock(&mutex);
}

static void contend_with(void (*holder)(void *))
{
    world_root();
    use_up_chunk();
    int other = model_start(holder, NULL);
    contend_once_held();
    model_join(other);
}

MODEL("records: who waits for a mutex finds its holder's")
{
    contend_with(lock_and_hold);
}

MODEL("records: who waits for a mutex finds its holder's, who could have been aborted")
{
    contend_with(lock_abortably_and_hold);
}

MODEL("records: who waits for a mutex finds its holder's, who only tried")
{
    contend_with(try_and_hold);
}

MODEL("records: who waits for a mutex finds its holder's, who has contended for it")
{
    world_root();
    use_up_chunk();
    model_check(haft_mutex_lock(&mutex) == 0);
    int other = model_start(lock_and_hold, NULL);
    model_spin();
    plain++;
    haft_mutex_unlock(&mutex);
    contend_once_held();
    model_join(other);
}

static bool is_waited_for(void)
{
    return (haft__load_relaxed((haft__atomic(uint32_t) *)(void *)&mutex.state_) & HAFT__MUTEX_WAITERS) != 0;
}

static bool is_woken(void)
{
    return (haft__load_relaxed((haft__atomic(uint32_t) *)(void *)&mutex.state_) & HAFT__MUTEX_AWAKE) != 0;
}

static void contend_late(void *argument)
{
    (void)argument;
    world_root();
    next_step(1);
    contend_once_held();
}

/* Taken again past the waiter, which loses, so that it is the waiter's a millisecond later. */
MODEL("records: who waits for a mutex finds its holder's, to whom it was handed over", .is_large = true)
{
    int late = model_start(contend_late, NULL);
    wait_for_step(1); /* its record is in the first chunk */
    use_up_chunk();
    model_check(haft_mutex_lock(&mutex) == 0);
    int other = model_start(lock_and_hold, NULL);
    while (!is_waited_for())
        model_spin();
    haft_mutex_unlock(&mutex);
    model_check(haft_mutex_lock(&mutex) == 0);
    while (is_woken())
        model_spin();
    haft_sleep(HAFT_MS);
    plain++;
    haft_mutex_unlock(&mutex);
    model_join(other);
    model_join(late);
    model_check(plain == 3);
}

static void give_up_soon(void *argument)
{
    int rc;
    (void)argument;
    {
        HAFT_TIMEOUT(100);
        rc = haft_mutex_lock_abortable(&mutex);
    }
    model_check(rc == 0 || rc == HAFT_ETIMEDOUT);
    if (rc == 0)
        haft_mutex_unlock(&mutex);
    next_step(2);
}

/* What the holder is made to expect. */
static void hold_as_expected(void *argument)
{
    world_root();
    haft__here_always()->root->lock_flags = HAFT__MUTEX_AWAITED;
    lock_and_hold(argument);
}

MODEL("records: who waits for a mutex finds its holder's, who took it past a woken waiter")
{
    world_root();
    use_up_chunk();
    mutex.state_ = HAFT__MUTEX_AWAITED; /* the waiter itself does not come */
    int holder = model_start(hold_as_expected, NULL);
    wait_for_step(2);
    give_up_soon(NULL);
    model_join(holder);
    model_check(plain == 1);
}

static void lock_and_hold_until_waited_for(void *argument)
{
    (void)argument;
    model_check(haft_mutex_lock(&mutex) == 0);
    next_step(1);
    while (!is_waited_for())
        model_spin();
    haft_mutex_unlock(&mutex);
}

MODEL("records: who waits for a mutex finds its holder's, for whom another has given up waiting", .is_large = true)
{
    world_root();
    use_up_chunk();
    int holder = model_start(lock_and_hold_until_waited_for, NULL);
    wait_for_step(1);
    int other = model_start(give_up_soon, NULL);
    contend_once_held();
    model_join(other);
    model_join(holder);
}
