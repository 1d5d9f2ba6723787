/* SPDX-License-Identifier: MIT
 *
 * Broadcasts and watches, used by plain threads: what is sent comes to every receiver once and in order, or is counted
 * as missed; nobody who waits is forgotten; and the memory goes with the last end. */
#include "world.h"

WORLD_RUNTIME(runtime);

typedef HAFT_BROADCAST_SENDER(int *) int_broadcast;
typedef HAFT_BROADCAST_RECEIVER(int *) int_listener;
typedef HAFT_WATCH_SENDER(int) int_watch;
typedef HAFT_WATCH_RECEIVER(int) int_observer;

static int_broadcast tx, other_tx;
static int_listener rx, other_rx;
static int numbers[2];

/* --- broadcast ------------------------------------------------------------------------------------------------------------- */

static void send(int_broadcast *end, int i)
{
    int *at = &numbers[i];
    numbers[i] = i + 1;
    model_check(haft_broadcast_send(end, &at) == 0);
}

static void send_two(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2; i++)
        send(&tx, i);
    haft_broadcast_sender_drop(&tx);
}

/* All that comes until it is closed: the values, which must rise, and what was missed. */
static void listen(int_listener *end, int *sum, int *missed_in_all)
{
    int *at, last = 0, rc;
    uint64_t missed = 0;
    *sum = *missed_in_all = 0;
    while ((rc = haft_broadcast_recv(end, &at, &missed)) != HAFT_ECLOSED) {
        model_check(rc == 0 || rc == HAFT_ELAGGED);
        if (rc == HAFT_ELAGGED) {
            *missed_in_all += (int)missed;
            continue;
        }
        model_check(*at > last);
        last = *at;
        *sum += *at;
    }
    haft_broadcast_receiver_drop(end);
}

MODEL("broadcast: every value comes in turn, and then it is closed")
{
    int sum, missed;
    model_check(haft_broadcast(&tx, &rx, 2) == 0);
    int other = model_start(send_two, NULL);
    listen(&rx, &sum, &missed);
    model_check(sum == 3 && missed == 0);
    model_join(other);
}

MODEL("broadcast: whoever falls behind is told how many it missed, and gets the others")
{
    int sum, missed;
    model_check(haft_broadcast(&tx, &rx, 1) == 0);
    int other = model_start(send_two, NULL);
    listen(&rx, &sum, &missed);
    model_check((missed == 0 && sum == 3) || (missed == 1 && sum == 2));
    model_join(other);
}

static void receive_one(int_listener *end)
{
    int *at;
    model_check(haft_broadcast_recv(end, &at, NULL) == 0 && *at == 1);
    haft_broadcast_receiver_drop(end);
}

static void receive_one_elsewhere(void *argument)
{
    (void)argument;
    receive_one(&other_rx);
}

static void send_one(void *argument)
{
    (void)argument;
    send(&tx, 0);
}

MODEL("broadcast: two wait, and both get the value", .is_large = true, .stale = -1)
{
    model_check(haft_broadcast(&tx, &rx, 1) == 0 && haft_broadcast_subscribe(&tx, &other_rx) == 0);
    int one = model_start(receive_one_elsewhere, NULL), two = model_start(send_one, NULL);
    receive_one(&rx);
    model_join(one);
    model_join(two);
    haft_broadcast_sender_drop(&tx);
}

static void receive_in_time(int_listener *end)
{
    int *at, rc;
    {
        HAFT_TIMEOUT(100);
        rc = haft_broadcast_recv(end, &at, NULL);
    }
    model_check(rc == 0 || rc == HAFT_ETIMEDOUT);
    if (rc != 0)
        rc = haft_broadcast_recv(end, &at, NULL);
    model_check(rc == 0 && *at == 1);
    haft_broadcast_receiver_drop(end);
}

static void receive_in_time_elsewhere(void *argument)
{
    (void)argument;
    receive_in_time(&other_rx);
}

MODEL("broadcast: two wait, one of them for a while, and leaves the queue while it is emptied", .is_large = true,
      .stale = -1)
{
    model_check(haft_broadcast(&tx, &rx, 1) == 0 && haft_broadcast_subscribe(&tx, &other_rx) == 0);
    int one = model_start(receive_in_time_elsewhere, NULL), two = model_start(send_one, NULL);
    receive_one(&rx);
    model_join(one);
    model_join(two);
    haft_broadcast_sender_drop(&tx);
}

static int receive_in_job(int *n)
{
    int *at;
    int rc = haft_broadcast_recv(&rx, &at, NULL);
    model_check((rc == 0 && *at == 1) || rc == HAFT_ECANCELED);
    return rc != 0 ? rc : *n;
}

MODEL("broadcast: who waits is aborted, or gets the value")
{
    int n = 7, *at;
    model_check(haft_broadcast(&tx, &rx, 1) == 0);
    haft_handle h = haft_spawn(receive_in_job, &n, .kind = HAFT_THREAD, .runtime = &runtime);
    model_check(haft_abort(h) == 0);
    send(&tx, 0);
    int rc = haft_join(&h);
    model_check(rc == 7 || rc == HAFT_EABORTED);
    model_check(haft_broadcast_try_recv(&rx, &at, NULL) == (rc == 7 ? HAFT_EAGAIN : 0));
    haft_broadcast_sender_drop(&tx);
    haft_broadcast_receiver_drop(&rx);
    model_join_all();
}

static void subscribe_and_listen(void *argument)
{
    int sum, missed;
    (void)argument;
    model_check(haft_broadcast_subscribe(&other_tx, &other_rx) == 0);
    haft_broadcast_sender_drop(&other_tx);
    listen(&other_rx, &sum, &missed);
    model_check(missed == 0 && (sum == 0 || sum == 2 || sum == 3));
}

MODEL("broadcast: whoever subscribes gets all that comes from then on, and the memory goes with the last end",
      .is_large = true)
{
    model_check(haft_broadcast(&tx, &rx, 2) == 0 && haft_broadcast_sender_clone(&tx, &other_tx) == 0);
    int other = model_start(subscribe_and_listen, NULL);
    send_two(NULL);
    haft_broadcast_receiver_drop(&rx);
    model_join(other);
}

static void drop_receiver(void *argument)
{
    (void)argument;
    haft_broadcast_receiver_drop(&rx);
}

MODEL("broadcast: the last receiver goes while one sends")
{
    int *at = &numbers[0];
    model_check(haft_broadcast(&tx, &rx, 1) == 0);
    int other = model_start(drop_receiver, NULL);
    int rc = haft_broadcast_send(&tx, &at);
    model_check(rc == 0 || rc == HAFT_ECLOSED);
    model_join(other);
    model_check(haft_broadcast_send(&tx, &at) == HAFT_ECLOSED);
    haft_broadcast_sender_drop(&tx);
}

/* --- watch ----------------------------------------------------------------------------------------------------------------- */

static int_watch setter;
static int_observer observer, other_observer;

static void set_two(void *argument)
{
    (void)argument;
    for (int i = 1; i <= 2; i++)
        model_check(haft_watch_set(&setter, &i) == 0);
    haft_watch_sender_drop(&setter);
}

/* Sees values that rise, the last one always, and each once. */
static void observe(int_observer *end)
{
    int value = 0, last = 0, rc;
    while ((rc = haft_watch_changed(end)) == 0) {
        model_check(haft_watch_get(end, &value) == 0 && value > last);
        last = value;
    }
    model_check(rc == HAFT_ECLOSED && last == 2);
    model_check(haft_watch_get(end, &value) == 0 && value == 2);
    haft_watch_receiver_drop(end);
}

MODEL("watch: an observer sees each value once or a newer one, and the last one after the sender has gone")
{
    int first = 0;
    model_check(haft_watch(&setter, &observer, &first) == 0);
    int other = model_start(set_two, NULL);
    observe(&observer);
    model_join(other);
}

static void observe_elsewhere(void *argument)
{
    (void)argument;
    observe(&other_observer);
}

MODEL("watch: two observe", .is_large = true, .stale = -1)
{
    int first = 0;
    model_check(haft_watch(&setter, &observer, &first) == 0 && haft_watch_subscribe(&setter, &other_observer) == 0);
    int one = model_start(observe_elsewhere, NULL), two = model_start(set_two, NULL);
    observe(&observer);
    model_join(one);
    model_join(two);
}

MODEL("watch: late, what changes afterwards is news all the same")
{
    int first = 0, rc;
    model_check(haft_watch(&setter, &observer, &first) == 0);
    int other = model_start(set_two, NULL);
    {
        HAFT_TIMEOUT(100);
        rc = haft_watch_changed(&observer);
    }
    model_check(rc == 0 || rc == HAFT_ETIMEDOUT);
    observe(&observer);
    model_join(other);
}
