/* SPDX-License-Identifier: MIT
 *
 * Shared state and channels, used by plain threads. */
#include "sync/mutex.h"
#include "wait/root.h"
#include "world.h"

WORLD_RUNTIME(runtime);
static int plain;
static haft_mutex mutex = HAFT_MUTEX_INIT;

/* --- mutex, condition ----------------------------------------------------------------------------------------------------- */

static void count_under_mutex(void *argument)
{
    (void)argument;
    model_check(haft_mutex_lock(&mutex) == 0);
    plain++;
    haft_mutex_unlock(&mutex);
}

MODEL("mutex: what it guards is touched by one at a time")
{
    int other = model_start(count_under_mutex, NULL);
    count_under_mutex(NULL);
    model_join(other);
    model_check(plain == 2);
}

MODEL("mutex: three contend, and nobody sleeps beside a free one", .is_large = true, .stale = -1)
{
    int one = model_start(count_under_mutex, NULL), two = model_start(count_under_mutex, NULL);
    count_under_mutex(NULL);
    model_join(one);
    model_join(two);
    model_check(plain == 3);
}

static void try_mutex(void *argument)
{
    (void)argument;
    if (haft_mutex_try_lock(&mutex) != 0)
        return;
    plain++;
    haft_mutex_unlock(&mutex);
}

MODEL("mutex: one tries while another holds it")
{
    int other = model_start(try_mutex, NULL);
    count_under_mutex(NULL);
    model_join(other);
    model_check(plain >= 1);
}

/* The other two are in the queue's way when main unlocks: one waits, the other one comes just then. */
static void unlock_between(void (*comes)(void *))
{
    model_check(haft_mutex_lock(&mutex) == 0);
    int waiter = model_start(count_under_mutex, NULL);
    while ((haft__load_relaxed((haft__atomic(uint32_t) *)(void *)&mutex.state_) & HAFT__MUTEX_WAITERS) == 0)
        model_spin();
    int other = model_start(comes, NULL);
    plain++;
    haft_mutex_unlock(&mutex);
    model_join(other);
    model_join(waiter);
    model_check(plain >= 2 && haft_mutex_try_lock(&mutex) == 0);
    haft_mutex_unlock(&mutex);
}

MODEL("mutex: whoever locks it while an unlocker is on its way to the waiter waits for that, too", .is_large = true,
      .stale = -1)
{
    unlock_between(count_under_mutex);
}

MODEL("mutex: whoever tries it while an unlocker is on its way to the waiter finds it locked", .is_large = true,
      .stale = -1)
{
    unlock_between(try_mutex);
}

static int lock_abortably(int *n)
{
    int rc = haft_mutex_lock_abortable(&mutex);
    model_check(rc == 0 || rc == HAFT_ECANCELED);
    if (rc != 0)
        return rc;
    plain++;
    haft_mutex_unlock(&mutex);
    return *n;
}

MODEL("mutex: who waits for it is aborted, and another gets it", .is_large = true, .stale = -1)
{
    int n = 7;
    model_check(haft_mutex_lock(&mutex) == 0);
    haft_handle h = haft_spawn(lock_abortably, &n, .kind = HAFT_THREAD, .runtime = &runtime);
    int other = model_start(count_under_mutex, NULL);
    plain++;
    haft_abort(h);
    haft_mutex_unlock(&mutex);
    int rc = haft_join(&h);
    model_join(other);
    model_check(rc == 7 || rc == HAFT_EABORTED);
    model_check(plain == 2 + (rc == 7) || (rc == HAFT_EABORTED && plain == 3));
    model_check(haft_mutex_try_lock(&mutex) == 0);
    haft_mutex_unlock(&mutex);
    model_join_all();
}

static void lock_twice(void *argument)
{
    count_under_mutex(argument);
    count_under_mutex(argument);
}

MODEL("mutex: it is taken again past its waiter, or handed over", .is_large = true)
{
    int other = model_start(count_under_mutex, NULL);
    lock_twice(NULL);
    model_join(other);
    model_check(plain == 3);
}

static void lock_thrice(void)
{
    for (int i = 0; i < 3; i++)
        count_under_mutex(NULL);
}

MODEL("mutex: it is locked and unlocked past a waiter that was woken", .is_large = true)
{
    int other = model_start(count_under_mutex, NULL);
    lock_thrice();
    model_join(other);
    model_check(plain == 4);
}

static void expect_a_woken_waiter(void *argument)
{
    haft__here_always()->root->lock_flags = HAFT__MUTEX_AWAITED; /* a guess, which may be wrong */
    count_under_mutex(argument);
}

MODEL("mutex: who locks it past a woken waiter sees what was done under it", .is_large = true)
{
    int waiter = model_start(count_under_mutex, NULL), other = model_start(expect_a_woken_waiter, NULL);
    lock_twice(NULL);
    model_join(other);
    model_join(waiter);
    model_check(plain == 4);
}

static haft_cond cond = HAFT_COND_INIT;

static void wait_for_plain(void *argument)
{
    (void)argument;
    model_check(haft_mutex_lock(&mutex) == 0);
    while (plain == 0)
        model_check(haft_cond_wait(&cond, &mutex) == 0);
    haft_mutex_unlock(&mutex);
}

MODEL("condition: a signal is not lost", .is_large = true)
{
    int other = model_start(wait_for_plain, NULL);
    count_under_mutex(NULL);
    haft_cond_signal(&cond);
    model_join(other);
}

static haft__atomic(uint32_t) is_waiting;

static void wait_for_two(void *argument)
{
    (void)argument;
    model_check(haft_mutex_lock(&mutex) == 0);
    haft__store_relaxed(&is_waiting, 1);
    while (plain < 1)
        model_check(haft_cond_wait(&cond, &mutex) == 0);
    model_check(plain == 1 || plain == 2);
    haft_mutex_unlock(&mutex);
}

MODEL("condition: whoever was signalled sees what others did under the mutex since", .is_large = true)
{
    int other = model_start(wait_for_two, NULL);
    while (haft__load_relaxed(&is_waiting) == 0)
        model_spin();
    count_under_mutex(NULL);
    haft_cond_signal(&cond);
    count_under_mutex(NULL);
    model_join(other);
}

/* --- semaphore ------------------------------------------------------------------------------------------------------------- */

static haft_sem sem = HAFT_SEM_INIT(1);
static int guarded;

static void use_permit(void *argument)
{
    (void)argument;
    model_check(haft_sem_acquire(&sem) == 0);
    guarded++;
    haft_sem_release(&sem);
}

MODEL("semaphore: one permit, two users")
{
    int other = model_start(use_permit, NULL);
    use_permit(NULL);
    model_join(other);
    model_check(guarded == 2 && haft_sem_available(&sem) == 1);
}

static void acquire_or_closed(void *argument)
{
    (void)argument;
    int rc = haft_sem_acquire_many(&sem, 2);
    model_check(rc == 0 || rc == HAFT_ECLOSED);
    if (rc == 0)
        haft_sem_release_many(&sem, 2);
}

MODEL("semaphore: closed while one waits, and another gives back", .is_large = true)
{
    int one = model_start(acquire_or_closed, NULL);
    haft_sem_release(&sem);
    haft_sem_close(&sem);
    model_join(one);
}

/* --- channels -------------------------------------------------------------------------------------------------------------- */

typedef HAFT_SENDER(int *) int_sender;
typedef HAFT_RECEIVER(int *) int_receiver;
static int_sender tx;
static int_receiver rx;
static int numbers[3];

static void send_two(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2; i++) {
        int *at = &numbers[i];
        numbers[i] = i + 1;
        model_check(haft_send(&tx, &at) == 0);
    }
    haft_sender_drop(&tx);
}

static void receive_until_closed(int expected)
{
    int *at, sum = 0, rc;
    while ((rc = haft_recv(&rx, &at)) == 0)
        sum += *at;
    model_check(rc == HAFT_ECLOSED && sum == expected);
    haft_receiver_drop(&rx);
}

MODEL("channel of one: what is sent arrives, and then it is closed")
{
    model_check(haft_channel(&tx, &rx, 1) == 0);
    int other = model_start(send_two, NULL);
    receive_until_closed(3);
    model_join(other);
}

MODEL("channel of two: who finds it empty or full looks again before it waits", .is_large = true)
{
    model_check(haft_channel(&tx, &rx, 2) == 0);
    int *zero = &numbers[2];
    model_check(haft_send(&tx, &zero) == 0);
    int other = model_start(send_two, NULL);
    receive_until_closed(3);
    model_join(other);
}

MODEL("channel of none: each send meets a receive", .is_large = true)
{
    model_check(haft_channel(&tx, &rx, 0) == 0);
    int other = model_start(send_two, NULL);
    receive_until_closed(3);
    model_join(other);
}

static void close_receiver(void *argument)
{
    (void)argument;
    haft_receiver_drop(&rx);
}

MODEL("channel: the receiver goes while one sends: nothing hangs", .is_large = true)
{
    model_check(haft_channel(&tx, &rx, 1) == 0);
    int other = model_start(close_receiver, NULL);
    for (int i = 0; i < 2; i++) {
        int *at = &numbers[i];
        int rc = haft_send(&tx, &at);
        model_check(rc == 0 || rc == HAFT_ECLOSED);
    }
    haft_sender_drop(&tx);
    model_join(other);
}
