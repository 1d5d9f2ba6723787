/* SPDX-License-Identifier: MIT
 *
 * Tasks that fight for a lock gather on one worker: when they do, for how long, and that nobody is lost on the way; and how
 * idle workers spread tasks again. */
#include <haft/haft.h>

#include <pthread.h>
#include <sched.h>

#include "base/sizes.h"
#include "chan/channel.h"
#include "channels.h"
#include "sched/gather.h"
#include "sched/queue.h"
#include "sched/sched.h"

/* --- when --------------------------------------------------------------------------------------------------------- */

static haft__worker workers[6];
static haft__sched some = { .workers = workers, .count = 6, .serial = 1 };
static haft__sched other = { .workers = workers, .count = 6, .serial = 2 };

/* An object under whose lock two workers, 5 and 2, meet in turn. */
struct fight {
    haft__gathering g;
    const haft__sched *sched;
    int64_t now, between; /* two meetings */
    uint64_t count, operations;
    unsigned workers[2], turn;
    bool is_stuck; /* worker 2 does not go from task to task */
};

#define FIGHT                                                                                                          \
    {                                                                                                                  \
        .sched = &some, .now = HAFT_S, .between = 3 * HAFT_US, .operations = 100, .workers = { 5, 2 }                  \
    }

static bool meet(struct fight *f)
{
    f->now += f->between;
    f->count += f->operations;
    if (!f->is_stuck)
        haft__store_relaxed(&workers[2].ticks, haft__load_relaxed(&workers[2].ticks) + 1);
    return haft__gathering_decide(&f->g, f->sched, f->workers[f->turn++ % 2], f->now, f->count);
}

/* How many meetings it takes until they gather; 0: they do not in so many. */
static unsigned meetings_before(struct fight *f, unsigned most)
{
    for (unsigned i = 1; i <= most; i++)
        if (meet(f))
            return i;
    return 0;
}

/* Lets a stay pass, with operations at that pace, in ns. Returns its length. */
static int64_t stay(struct fight *f, int64_t pace)
{
    int64_t length = f->g.until - f->now;
    f->count += (uint64_t)(length / pace);
    f->now += length;
    return length;
}

TEST(
    "tasks of two workers that fight for a lock gather on the one with the lower number, and whoever meets one goes there")
{
    struct fight f = FIGHT;
    unsigned n = meetings_before(&f, 100);
    check_int(n, >=, HAFT__GATHER_MEETINGS);
    check_int(n, <=, 2 * HAFT__GATHER_MEETINGS);
    check_int(f.g.at, ==, 2);
    check(meet(&f));
    check(meet(&f));
    stay(&f, 10);
    check(!meet(&f));
}

TEST("tasks do not gather if they fight seldom, or take long between two operations, or share a worker or no runtime")
{
    struct fight seldom = FIGHT, long_work = FIGHT, together = FIGHT, strangers = FIGHT;
    seldom.between = HAFT__GATHER_WINDOW_NS / 4;
    check_int(meetings_before(&seldom, 1000), ==, 0);
    long_work.operations = (uint64_t)(long_work.between / HAFT__GATHER_PACE_NS / 2);
    check_int(meetings_before(&long_work, 1000), ==, 0);
    together.workers[0] = together.workers[1];
    check_int(meetings_before(&together, 1000), ==, 0);
    for (int i = 0; i < 1000; i++) {
        strangers.sched = i % 2 == 0 ? &some : &other;
        check(!meet(&strangers));
    }
}

TEST("a stay that was a gain is followed by one of twice the length, up to a limit")
{
    struct fight f = FIGHT; /* 30 ns an operation */
    check_int(meetings_before(&f, 100), >, 0);
    int64_t length = stay(&f, 10);
    check_int(length, ==, HAFT__GATHER_FIRST_NS);
    for (int i = 0; i < 20; i++) {
        check_int(meetings_before(&f, 100), >, 0);
        int64_t longer = stay(&f, 10);
        check_int(longer, ==, 2 * length < HAFT__GATHER_LONGEST_NS ? 2 * length : HAFT__GATHER_LONGEST_NS);
        length = longer;
    }
}

TEST("after a stay that was no gain there is none for a while, for twice as long each time, up to a limit")
{
    struct fight f = FIGHT;
    check_int(meetings_before(&f, 100), >, 0);
    int64_t pause = HAFT__GATHER_PAUSE_NS;
    for (int i = 0; i < 10; i++) {
        check_int(stay(&f, 40), ==, HAFT__GATHER_FIRST_NS);
        check_int(meetings_before(&f, (unsigned)(pause / f.between) - 1), ==, 0);
        check_int(meetings_before(&f, 1000), >, 0);
        pause = 2 * pause < HAFT__GATHER_LONGEST_PAUSE_NS ? 2 * pause : HAFT__GATHER_LONGEST_PAUSE_NS;
    }
    stay(&f, 10);
    check_int(meetings_before(&f, 100), >, 0);
    stay(&f, 40);
    check_int(meetings_before(&f, (unsigned)(HAFT__GATHER_PAUSE_NS / f.between) - 1), ==, 0);
    check_int(meetings_before(&f, 1000), >, 0);
}

TEST("a stay after which nobody fought for long tells nothing: the next one is like the first")
{
    struct fight f = FIGHT;
    check_int(meetings_before(&f, 100), >, 0);
    stay(&f, 40);
    f.now += HAFT_S;
    check_int(meetings_before(&f, 100), >, 0);
    check_int(stay(&f, 10), ==, HAFT__GATHER_FIRST_NS);
}

TEST("tasks do not gather on a worker that has kept to one task, and nobody joins it once it does")
{
    struct fight never = FIGHT, soon = FIGHT;
    never.is_stuck = true;
    check_int(meetings_before(&never, 1000), ==, 0);
    check_int(meetings_before(&soon, 100), >, 0);
    soon.is_stuck = true;
    soon.now += HAFT__GATHER_TURN_NS;
    check(!meet(&soon));
    soon.is_stuck = false;
    check(meet(&soon));
}

TEST("a stay in one runtime is none in another that uses the channel after it")
{
    struct fight f = FIGHT;
    check_int(meetings_before(&f, 100), >, 0);
    check(meet(&f));
    f.sched = &other;
    check(!meet(&f));
    check_int(meetings_before(&f, 100), >=, HAFT__GATHER_MEETINGS);
}

/* --- where to ----------------------------------------------------------------------------------------------------- */

static haft__worker *worker_here(void)
{
    return haft__here_or_null()->worker;
}

static haft__worker *another(unsigned steps)
{
    const haft__worker *w = worker_here();
    return &w->sched->workers[(w->number + steps) % w->sched->count];
}

enum { WORKERS = 3 };

static void all_gather(int64_t until)
{
    for (unsigned i = 0; i < WORKERS; i++)
        haft__store_relaxed(&another(i)->gathers_until, until);
}

/* A thief may have looked at that word before it was written, each worker once. */
static int goes_to_each(void)
{
    enum { STEPS = 100 };
    int astray = 0;
    all_gather(INT64_MAX);
    for (unsigned i = 0; i < STEPS; i++) {
        haft__worker *to = another(1 + i % 2);
        haft__gather_join(to);
        astray += worker_here() != to;
    }
    check_int(astray, <=, WORKERS);
    all_gather(0);
    return 0;
}

TEST("a task goes on on the worker that it joins, asleep or not, while tasks gather there")
{
    check_int(haft_run(goes_to_each, HAFT_NO_FRAME, .workers = WORKERS), ==, 0);
}

struct stuck {
    _Atomic(haft__worker *) where;
    atomic_int arrived, expected;
};

/* Keeps its worker until all have gone on, which must be elsewhere. */
static int keeps_its_worker(struct stuck **s)
{
    atomic_store(&(*s)->where, worker_here());
    while (atomic_load(&(*s)->arrived) != atomic_load(&(*s)->expected))
        sched_yield();
    return 0;
}

static int visits(struct stuck **s)
{
    haft__worker *to;
    while ((to = atomic_load(&(*s)->where)) == NULL)
        check_int(haft_yield(), ==, 0);
    haft__store_relaxed(&to->gathers_until, haft_now() + HAFT_MS);
    haft__gather_join(to);
    check(worker_here() != to);
    atomic_fetch_add(&(*s)->arrived, 1);
    return 0;
}

static int visits_a_stuck_worker(void)
{
    struct stuck s = { .expected = 3 }, *shared = &s;
    haft_handle host = haft_spawn(keeps_its_worker, &shared, .pinned = true);
    haft_handle guests[3];
    for (int i = 0; i < 3; i++)
        guests[i] = haft_spawn(visits, &shared);
    for (int i = 0; i < 3; i++)
        check_int(haft_join(&guests[i]), ==, 0);
    return haft_join(&host);
}

TEST("a guest whose host is stuck in another task goes on elsewhere once the stay is over")
{
    check_int(haft_run(visits_a_stuck_worker, HAFT_NO_FRAME, .workers = 2), ==, 0);
}

static int arrives(struct stuck **s)
{
    atomic_fetch_add(&(*s)->arrived, 1);
    return 0;
}

/* What it spawns stands in the ring of its own worker, which tells nobody. */
static int spawns_and_is_stuck(void)
{
    struct stuck s = { .expected = 3 }, *shared = &s;
    haft__store_relaxed(&worker_here()->gathers_until, haft_now() + HAFT_MS);
    haft_handle waiting[4];
    for (int i = 0; i < 4; i++)
        waiting[i] = haft_spawn(arrives, &shared);
    while (atomic_load(&s.arrived) < s.expected)
        sched_yield();
    return haft_join_all(waiting, 4, NULL);
}

TEST("what stays together behind a task that is stuck is taken by others once the stay is over")
{
    check_int(haft_run(spawns_and_is_stuck, HAFT_NO_FRAME, .workers = 2), ==, 0);
}

/* --- storm -------------------------------------------------------------------------------------------------------- */

enum { TRAVELLERS = 12 };

struct traveller {
    uint64_t seed;
    bool is_pinned; /* and stays where it is */
};

static int travels(struct traveller *t)
{
    uint64_t chance = t->seed;
    size_t n = rounds(200, 100000);
    for (size_t i = 0; i < n; i++) {
        chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        unsigned what = (unsigned)(chance >> 60);
        haft__worker *to = another((unsigned)(chance >> 40) % 8);
        if (what == 0)
            haft__store_relaxed(&to->gathers_until, haft_now() + 20 * HAFT_US);
        if (what < 12 && !t->is_pinned)
            haft__gather_join(to);
        else if (what < 15)
            check_int(haft_yield(), ==, 0);
        else
            check_int(haft_sleep(HAFT_US), ==, 0);
    }
    return 0;
}

static int all_travel(void)
{
    for (int round = 0; round < 5; round++) {
        haft_handle travellers[TRAVELLERS];
        for (uint64_t i = 0; i < TRAVELLERS; i++) {
            struct traveller t = { .seed = i * 77 + (uint64_t)round, .is_pinned = i % 6 == 5 };
            travellers[i] = haft_spawn(travels, &t, .pinned = t.is_pinned);
        }
        check_int(haft_join_all(travellers, TRAVELLERS, NULL), ==, 0);
    }
    return 0;
}

TEST("storm: tasks that go from worker to worker, yield and sleep all come to their ends")
{
    check_int(haft_run(all_travel, HAFT_NO_FRAME, .workers = WORKERS), ==, 0);
}

/* --- from the end of a thread ------------------------------------------------------------------------------------- */

static void *stops_default_runtime(void *argument)
{
    (void)argument;
    haft_runtime_stop();
    return NULL;
}

static struct {
    int_sender tx;
    pthread_key_t key;
    _Atomic int sent;
    _Atomic bool is_tried;
} parting;

static void send_at_the_end(void *value)
{
    (void)value;
    int one = 1;
    atomic_store(&parting.is_tried, true);
    atomic_store(&parting.sent, haft_send(&parting.tx, &one));
}

static int asks_for_a_destructor(void)
{
    return pthread_setspecific(parting.key, &parting);
}

TEST("a destructor of a pool's thread may send while somebody else holds the channel")
{
    int_receiver rx;
    int value = 0;
    check_int(pthread_key_create(&parting.key, send_at_the_end), ==, 0);
    check_int(haft_channel_unbounded(&parting.tx, &rx), ==, 0);
    atomic_store(&parting.sent, 1);
    haft_handle h = haft_spawn_blocking(asks_for_a_destructor);
    check_int(haft_join(&h), ==, 0);
    haft__channel *c = haft__channel_of(&parting.tx);
    haft__lock_acquire(&c->lock);
    pthread_t stopper;
    check_int(pthread_create(&stopper, NULL, stops_default_runtime, NULL), ==, 0);
    while (!atomic_load(&parting.is_tried))
        sched_yield();
    for (int i = 0; i < 100; i++)
        sched_yield();
    haft__lock_release(&c->lock);
    pthread_join(stopper, NULL);
    check_int(atomic_load(&parting.sent), ==, 0);
    check_int(haft_recv(&rx, &value), ==, 0);
    haft_sender_drop(&parting.tx);
    haft_receiver_drop(&rx);
}

/* --- at a channel ------------------------------------------------------------------------------------------------- */

typedef HAFT_SENDER(uint64_t) number_sender;
typedef HAFT_RECEIVER(uint64_t) number_receiver;

struct sender {
    number_sender tx;
    uint64_t from, n;
};

static int sends(struct sender *s)
{
    for (uint64_t i = 0; i < s->n; i++) {
        uint64_t value = s->from + i;
        check_int(haft_send(&s->tx, &value), ==, 0);
    }
    haft_sender_drop(&s->tx);
    return 0;
}

enum { SENDERS = 4 };

static int receives_all(void)
{
    const uint64_t n = rounds(20000, 2000000);
    number_sender tx;
    number_receiver rx;
    check_int(haft_channel(&tx, &rx, 64), ==, 0);
    haft_handle senders[SENDERS];
    uint64_t next[SENDERS], value, received = 0;
    for (uint64_t i = 0; i < SENDERS; i++) {
        struct sender s = { .from = i * n, .n = n };
        next[i] = s.from;
        check_int(haft_sender_clone(&tx, &s.tx), ==, 0);
        senders[i] = haft_spawn(sends, &s);
    }
    haft_sender_drop(&tx);
    while (haft_recv(&rx, &value) == 0) {
        check_int(value, ==, next[value / n]);
        next[value / n]++;
        received++;
    }
    check_int(received, ==, SENDERS * n);
    haft_receiver_drop(&rx);
    return haft_join_all(senders, SENDERS, NULL);
}

TEST("what tasks of several workers send as fast as they can arrives once each, in the order of each sender")
{
    check_int(haft_run(receives_all, HAFT_NO_FRAME, .workers = WORKERS), ==, 0);
}

/* --- what a thief takes ------------------------------------------------------------------------------------------- */

TEST("a thief takes half of what stands in a ring, from its front, runs one of it and keeps the others")
{
    static haft__worker victim, thief;
    static haft__record records[HAFT__RING_SIZE];
    uint32_t next = 0; /* the first record that is still there */
    for (uint32_t i = 0; i < HAFT__RING_SIZE; i++)
        haft__ring_push(&victim, &records[i]);
    for (uint32_t left = HAFT__RING_SIZE; left > 0; left /= 2) {
        uint32_t taken = left - left / 2;
        check_ptr(haft__ring_steal(&thief, &victim), ==, &records[next + taken - 1]);
        check_uint(haft__ring_length(&victim), ==, left - taken);
        check_uint(haft__ring_length(&thief), ==, taken - 1);
        for (uint32_t i = 0; i + 1 < taken; i++)
            check_ptr(haft__ring_pop(&thief), ==, &records[next + i]);
        next += taken;
    }
    check_ptr(haft__ring_steal(&thief, &victim), ==, NULL);
}
