/* SPDX-License-Identifier: MIT
 *
 * Notifications, events, wait groups, barriers, once, reader-writer locks and select, used by plain threads; rings of
 * joins; both sides of haft_both. */
#include "world.h"

static int plain;

/* --- notify, event, wait group, barrier, once ------------------------------------------------------------------------- */

static haft_notify notify = HAFT_NOTIFY_INIT;

static void notify_after_writing(void *argument)
{
    (void)argument;
    plain = 42;
    haft_notify_one(&notify);
}

MODEL("notify: one that came before is kept, and shows what was written")
{
    int other = model_start(notify_after_writing, NULL);
    model_check(haft_notify_wait(&notify) == 0);
    model_check(plain == 42);
    model_join(other);
}

static haft_event event = HAFT_EVENT_INIT;

static void set_event_after_writing(void *argument)
{
    (void)argument;
    plain = 42;
    haft_event_set(&event);
}

static void wait_for_event(void *argument)
{
    (void)argument;
    model_check(haft_event_wait(&event) == 0);
    model_check(plain == 42);
}

MODEL("event: two wait for it", .is_large = true, .stale = -1)
{
    int one = model_start(wait_for_event, NULL), two = model_start(set_event_after_writing, NULL);
    wait_for_event(NULL);
    model_join(one);
    model_join(two);
}

MODEL("event: one looks, and sees what was written before")
{
    int other = model_start(set_event_after_writing, NULL);
    if (haft_event_is_set(&event))
        model_check(plain == 42);
    model_join(other);
}

static haft_waitgroup group = HAFT_WAITGROUP_INIT;
static int written[2];

static void work_in_group(void *argument)
{
    written[(intptr_t)argument] = 1;
    haft_waitgroup_done(&group);
}

MODEL("wait group: the last one done wakes the waiter, who sees all", .is_large = true)
{
    haft_waitgroup_add(&group, 2);
    int one = model_start(work_in_group, (void *)0), two = model_start(work_in_group, (void *)1);
    model_check(haft_waitgroup_wait(&group) == 0);
    model_check(written[0] == 1 && written[1] == 1);
    model_join(one);
    model_join(two);
}

static haft_barrier barrier = HAFT_BARRIER_INIT(2);
static int leaders;

static void pass_barrier(void *argument)
{
    int i = (int)(intptr_t)argument;
    bool is_leader = false;
    written[i] = 1;
    model_check(haft_barrier_wait(&barrier, &is_leader) == 0);
    model_check(written[1 - i] == 1);
    if (is_leader)
        leaders++;
}

MODEL("barrier: both see what the other wrote, one leads")
{
    int other = model_start(pass_barrier, (void *)1);
    pass_barrier((void *)0);
    model_join(other);
    model_check(leaders == 1);
}

static haft_once once = HAFT_ONCE_INIT;

static int initialise(void)
{
    plain++;
    return 0;
}

static void call_once(void *argument)
{
    (void)argument;
    model_check(haft_once_call(&once, initialise) == 0);
    model_check(plain == 1);
}

MODEL("once: it runs once, and everybody sees what it did")
{
    int other = model_start(call_once, NULL);
    call_once(NULL);
    model_join(other);
}

/* --- reader-writer lock ------------------------------------------------------------------------------------------------- */

static haft_rwlock rwlock = HAFT_RWLOCK_INIT;

static void write_once(void *argument)
{
    (void)argument;
    model_check(haft_rwlock_write(&rwlock) == 0);
    plain++;
    haft_rwlock_write_unlock(&rwlock);
}

static void read_once(void *argument)
{
    (void)argument;
    model_check(haft_rwlock_read(&rwlock) == 0);
    int value = plain;
    model_check(value >= 0 && value <= 2);
    haft_rwlock_read_unlock(&rwlock);
}

MODEL("reader-writer lock: a writer and a reader")
{
    int other = model_start(read_once, NULL);
    write_once(NULL);
    model_join(other);
}

MODEL("reader-writer lock: two writers and a reader", .is_large = true, .stale = -1)
{
    int one = model_start(write_once, NULL), two = model_start(read_once, NULL);
    write_once(NULL);
    model_join(one);
    model_join(two);
    model_check(plain == 2);
}

/* --- select -------------------------------------------------------------------------------------------------------------- */

typedef HAFT_SENDER(int *) int_sender;
typedef HAFT_RECEIVER(int *) int_receiver;
static int_sender tx1, tx2;
static int_receiver rx1, rx2;
static int numbers[2] = { 1, 2 };

static void send_one(void *argument)
{
    int *at = argument;
    model_check(haft_send(at == &numbers[0] ? &tx1 : &tx2, &at) == 0);
}

MODEL("select: two channels, one value in each: both come, each once", .is_large = true, .stale = -1)
{
    int sum = 0;
    model_check(haft_channel(&tx1, &rx1, 1) == 0 && haft_channel(&tx2, &rx2, 1) == 0);
    int one = model_start(send_one, &numbers[0]), two = model_start(send_one, &numbers[1]);
    for (int i = 0; i < 2; i++) {
        int *a = NULL, *b = NULL;
        int arm = haft_select(HAFT_ON_RECV(&rx1, &a), HAFT_ON_RECV(&rx2, &b));
        model_check(arm == 0 || arm == 1);
        model_check((arm == 0 ? a : b) != NULL);
        sum += arm == 0 ? *a : *b;
    }
    model_check(sum == 3);
    model_join(one);
    model_join(two);
    haft_sender_drop(&tx1);
    haft_sender_drop(&tx2);
    haft_receiver_drop(&rx1);
    haft_receiver_drop(&rx2);
}

static void select_to_send(void *argument)
{
    int *at = argument;
    int arm = haft_select(HAFT_ON_SEND(&tx1, &at), HAFT_ON_SEND(&tx2, &at));
    model_check(arm == 0 || arm == 1);
}

MODEL("select: two selects face each other over channels of none", .is_large = true, .stale = -1)
{
    model_check(haft_channel(&tx1, &rx1, 0) == 0 && haft_channel(&tx2, &rx2, 0) == 0);
    int other = model_start(select_to_send, &numbers[1]);
    int *a = NULL, *b = NULL;
    int arm = haft_select(HAFT_ON_RECV(&rx2, &b), HAFT_ON_RECV(&rx1, &a));
    model_check((arm == 0 && *b == 2) || (arm == 1 && *a == 2));
    model_join(other);
    haft_sender_drop(&tx1);
    haft_sender_drop(&tx2);
    haft_receiver_drop(&rx1);
    haft_receiver_drop(&rx2);
}

MODEL("select: a deadline against a value", .is_large = true)
{
    model_check(haft_channel(&tx1, &rx1, 1) == 0);
    int other = model_start(send_one, &numbers[0]);
    int *a = NULL;
    int arm = haft_select(HAFT_ON_RECV(&rx1, &a), HAFT_ON_TIMEOUT(100));
    model_check((arm == 0 && *a == 1) || (arm == 1 && a == NULL));
    model_join(other);
    if (arm == 1)
        model_check(haft_recv(&rx1, &a) == 0 && *a == 1);
    haft_sender_drop(&tx1);
    haft_receiver_drop(&rx1);
}

static int do_nothing(int *n)
{
    return *n;
}

WORLD_RUNTIME(alone);

MODEL("select: a job's end against a value", .is_large = true, .stale = -1)
{
    int n = 7, back = 0;
    model_check(haft_channel(&tx1, &rx1, 1) == 0);
    haft_handle h = haft_spawn(do_nothing, &n, .kind = HAFT_THREAD, .runtime = &alone);
    int other = model_start(send_one, &numbers[0]);
    int *a = NULL;
    int arm = haft_select(HAFT_ON_RECV(&rx1, &a), HAFT_ON_JOIN(&h, &back));
    model_check((arm == 0 && *a == 1) || (arm == 1 && back == 7));
    if (arm == 1)
        model_check(haft_recv(&rx1, &a) == 0 && *a == 1);
    else
        model_check(haft_join(&h, &back) == 7 && back == 7);
    model_join(other);
    haft_sender_drop(&tx1);
    haft_receiver_drop(&rx1);
    model_join_all();
}

static int receive_in_job(int *n)
{
    int *a = NULL;
    model_check(haft_recv(&rx1, &a) == 0);
    *n = *a;
    return 3;
}

static haft_handle receiver;

static void wake_for_nothing(void *argument)
{
    (void)argument;
    haft_unpark(receiver);
}

MODEL("channel of none: a wake that was for something else comes while a value is handed over", .is_large = true)
{
    int n = 0;
    model_check(haft_channel(&tx1, &rx1, 0) == 0);
    receiver = haft_spawn(receive_in_job, &n, .kind = HAFT_THREAD, .runtime = &alone);
    haft_handle h = receiver;
    int other = model_start(wake_for_nothing, NULL);
    send_one(&numbers[0]);
    model_check(haft_join(&h, &n) == 3 && n == 1);
    model_join(other);
    haft_sender_drop(&tx1);
    haft_receiver_drop(&rx1);
    model_join_all();
}

/* --- both, for each, and rings of joins ------------------------------------------------------------------------------------ */

static int add_one(int *n)
{
    *n += 1;
    return 0;
}

/* Of two workers, the first of which is the body itself; the task stops them. */
static haft_runtime *pair;

static int both_sides(int *n)
{
    int a = 1, b = 2;
    int rc = haft_both(add_one, &a, add_one, &b);
    model_check(rc == 0 && a == 2 && b == 3);
    *n = a + b;
    haft__sched_stop(&pair->sched);
    return 0;
}

static haft_handle begin_pair(int (*body)(int *))
{
    int frame = 0;
    world.absent = 1;
    pair = haft_runtime_new(.workers = 2);
    return haft_spawn(body, &frame, .runtime = pair);
}

MODEL("both: a thief takes the second side, or the owner does it", .is_large = true, .stale = -1)
{
    int frame = 0;
    haft_handle h = begin_pair(both_sides);
    haft__sched_work(&pair->sched);
    model_check(haft_join(&h, &frame) == 0 && frame == 5);
    model_check(haft_runtime_drop(&pair) == 0);
}

static haft_event never = HAFT_EVENT_INIT;
static haft_handle aborted;

static int wait_side(int *n)
{
    *n = haft_event_wait(&never);
    return *n;
}

static int abort_side(int *n)
{
    model_check(haft_abort(aborted) == 0);
    return *n;
}

static int both_aborted(int *n)
{
    int a = 0, b = 2;
    aborted = haft_self();
    *n = haft_both(abort_side, &a, wait_side, &b);
    model_check(*n == HAFT_ECANCELED || *n == HAFT_EABORTED);
    haft__sched_stop(&pair->sched);
    return *n;
}

MODEL("both: the caller is aborted, and ends the side that a thief took", .is_large = true, .stale = -1)
{
    int frame = 0;
    haft_handle h = begin_pair(both_aborted);
    haft__sched_work(&pair->sched);
    model_check(haft_join(&h, &frame) == HAFT_EABORTED);
    model_check(haft_runtime_drop(&pair) == 0);
}

static int count_item(int *item)
{
    *item += 1;
    return 0;
}

static int count_items(int *n)
{
    int items[3] = { 1, 2, 3 };
    model_check(haft_for_each(count_item, items, 3) == 0);
    model_check(items[0] == 2 && items[1] == 3 && items[2] == 4);
    *n = 9;
    haft__sched_stop(&pair->sched);
    return 0;
}

MODEL("for each: every item is visited once, whoever takes the other half", .is_large = true, .stale = -1)
{
    int frame = 0;
    haft_handle h = begin_pair(count_items);
    haft__sched_work(&pair->sched);
    model_check(haft_join(&h, &frame) == 0 && frame == 9);
    model_check(haft_runtime_drop(&pair) == 0);
}

static haft_handle first, second;
static haft__atomic(uint32_t) ready;

static int join_first(int *n)
{
    while (haft__load_acquire(&ready) == 0)
        haft_yield();
    haft_handle h = first;
    *n = haft_join(&h);
    return *n;
}

static int join_second(int *n)
{
    while (haft__load_acquire(&ready) == 0)
        haft_yield();
    haft_handle h = second;
    *n = haft_join(&h);
    return *n;
}

MODEL("ring of joins: two jobs that join each other: at least one is told", .is_large = true, .stale = -1)
{
    int frame = 0;
    first = haft_spawn(join_second, &frame, .kind = HAFT_THREAD, .runtime = &alone);
    second = haft_spawn(join_first, &frame, .kind = HAFT_THREAD, .runtime = &alone);
    haft__store_release(&ready, 1);
    model_join_all();
    haft_handle h = first, k = second;
    haft_join(&h);
    haft_join(&k);
}

static haft__atomic(uint32_t) given_back;

static void count_given_back(void *frame)
{
    (void)frame;
    haft__fetch_add_relaxed(&given_back, 1);
}

static int drop_it(haft_handle *const *it)
{
    while (haft__load_acquire(&ready) == 0)
        haft_yield();
    haft_handle h = **it;
    haft_drop(&h);
    return 0;
}

MODEL("ring of drops: two jobs that drop each other both end", .is_large = true, .stale = -1)
{
    haft_handle *one = &first, *other = &second;
    first = haft_spawn(drop_it, &other, .kind = HAFT_THREAD, .runtime = &alone, .drop = count_given_back);
    second = haft_spawn(drop_it, &one, .kind = HAFT_THREAD, .runtime = &alone, .drop = count_given_back);
    haft__store_release(&ready, 1);
    model_join_all();
    haft_handle h = first, k = second; /* one that was dropped before it began has dropped nobody */
    haft_join(&h);
    haft_join(&k);
    model_check(haft__fetch_add_relaxed(&given_back, 0) == 2);
    model_check(haft_join(&h) == HAFT_ESTALE && haft_join(&k) == HAFT_ESTALE);
}
