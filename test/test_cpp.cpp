/* SPDX-License-Identifier: MIT
 *
 * C++17: haft.h as it is, and haft.hpp with its checks, options and exceptions. Over 600 lines, because every template is
 * called once, whatever it is about. */
#include <haft/haft.hpp>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>

#include "test.h"

namespace
{

struct sum {
    std::uint64_t n, total;
};

int sum_to(sum *s)
{
    for (std::uint64_t i = 1; i <= s->n; i++)
        s->total += i;
    return 0;
}

int reads(const sum *s) noexcept
{
    return static_cast<int>(s->n);
}

int takes_anything(void *frame)
{
    return static_cast<int>(static_cast<sum *>(frame)->n);
}

int nine()
{
    return 9;
}

int fails_first(int *calls)
{
    if (++*calls == 1)
        throw std::runtime_error("the first time");
    return 0;
}

int parks()
{
    return haft_park();
}

void ignore_panic(const haft_panic_info *)
{
}

/* Counts its living, to see destructors run. */
std::atomic<int> alive;

struct counted {
    counted()
    {
        alive++;
    }
    ~counted()
    {
        alive--;
    }
    counted(const counted &) = delete;
    counted &operator=(const counted &) = delete;
};

const haft_kind kinds[] = { HAFT_TASK, HAFT_THREAD, HAFT_BLOCKING };

}   // namespace

TEST("C++ calls the plain functions of haft.h")
{
    haft_spawn_options options = {};
    options.size_ = sizeof options;
    options.name = "plain";
    sum s = { 4, 0 };
    haft_handle h = haft_spawn_raw([](void *frame) -> int { return sum_to(static_cast<sum *>(frame)); }, &s, sizeof s,
                                   alignof(sum), &options);
    check(!haft_is_null(h));
    check_int(haft_error(h), ==, 0);
    check_int(haft_join_raw(&h, &s, sizeof s), ==, 0);
    check_uint(s.total, ==, 10);
    check(haft_is_null(h));
    haft_handle null = HAFT_NULL_HANDLE;
    check(haft_is_null(null));
    check_str(haft_errname(HAFT_EPANIC), "HAFT_EPANIC");
}

TEST("spawn and join by haft.hpp move a frame in and out, for every kind")
{
    for (haft_kind kind : kinds) {
        sum s = { 1000, 0 };
        haft_handle h = haft::spawn<sum_to>(&s, HAFT_OPTIONS.set_kind(kind).set_name("summing"));
        check_str(haft_name(h), "summing");
        check_int(haft::join(&h, &s), ==, 0);
        check_uint(s.total, ==, 500500);

        s.total = 0;
        h = haft::spawn(sum_to, &s, haft::options().set_kind(kind));
        haft_outcome out;
        check_int(haft::join_outcome(&h, &s, &out), ==, 0);
        check_int(out.end, ==, HAFT_RETURNED);
        check_uint(s.total, ==, 500500);
    }
    haft_handle h = haft::spawn<nine>();
    check_int(haft::join(&h), ==, 9);
    h = haft::spawn(nine);
    check_int(haft::join(&h, HAFT_NO_FRAME), ==, 9);
    h = haft::spawn_blocking<nine>();
    check_int(haft::join(&h), ==, 9);
    h = haft::spawn<parks>();
    check_int(haft::try_join(&h), ==, HAFT_EAGAIN);
    check_int(haft_unpark(h), ==, 0);
    check_int(haft::join(&h), ==, 0);
}

TEST("bodies may take const and void pointers, be noexcept, and frames may be const")
{
    const sum constant = { 6, 0 };
    sum plain = { 7, 0 };
    haft_handle a = haft::spawn<reads>(&constant), b = haft::spawn<takes_anything>(&constant);
    haft_handle c = haft::spawn(reads, &plain), d = haft::spawn(takes_anything, &plain);
    check_int(haft::join(&a), ==, 6);
    check_int(haft::join(&b), ==, 6);
    check_int(haft::join(&c), ==, 7);
    check_int(haft::join(&d, &plain), ==, 7);
    int array[3] = { 1, 2, 3 };
    haft_handle e = haft::spawn(
        +[](int(*numbers)[3]) { return (*numbers)[0] + (*numbers)[2]; }, &array);
    check_int(haft::join(&e, &array), ==, 4);
}

namespace
{

int throws(sum *s)
{
    counted c;
    s->total = 1;
    if (s->n == 1)
        throw std::runtime_error("no such port");
    if (s->n == 2)
        throw 42;
    if (s->n == 3)
        haft::panic("asked for");
    return -1;
}

}   // namespace

TEST("an exception that leaves a body is a panic of its job, and destructors have run")
{
    haft_on_panic(ignore_panic);
    for (haft_kind kind : kinds)
        for (std::uint64_t n = 1; n <= 3; n++) {
            sum s = { n, 0 };
            haft_outcome out;
            haft_handle h = haft::spawn<throws>(&s, HAFT_OPTIONS.set_kind(kind));
            check_int(haft::join_outcome(&h, &s, &out), ==, 0);
            check_int(out.end, ==, HAFT_PANICKED);
            check_uint(s.total, ==, 1);
            check_int(alive.load(), ==, 0);
            if (n == 1)
                check_str(out.panic.message, "std::runtime_error: no such port");
            if (n == 2)
                check_str(out.panic.message, "int: thrown");
            if (n == 3) {
                check_str(out.panic.message, "asked for");
                check(std::strstr(out.panic.file, "test_cpp.cpp") != nullptr);
                check_int(out.panic.line, >, 0);
            }
        }
}

namespace
{

int throws_behind_suspensions(sum *s)
{
    counted c;
    for (int i = 0; i < 5; i++) {
        check_int(haft_yield(), ==, 0);
        try {
            counted inner;
            throw std::logic_error(std::to_string(s->n));
        } catch (const std::logic_error &error) {
            check_str(error.what(), std::to_string(s->n).c_str());
        }
        check_int(haft_sleep(1000), ==, 0);
    }
    throw std::runtime_error(std::to_string(s->n));
}

}   // namespace

TEST("many tasks throw and catch at once, on whatever worker they go on")
{
    haft_on_panic(ignore_panic);
    enum { N = 100 };
    haft_handle hs[N];
    for (int i = 0; i < N; i++) {
        sum s = { static_cast<std::uint64_t>(i), 0 };
        hs[i] = haft::spawn<throws_behind_suspensions>(&s);
    }
    for (int i = 0; i < N; i++) {
        haft_outcome out;
        check_int(haft::join_outcome(&hs[i], HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, ("std::runtime_error: " + std::to_string(i)).c_str());
    }
    check_int(alive.load(), ==, 0);
}

TEST("attempt catches exceptions and panics alike")
{
    haft_on_panic(ignore_panic);
    haft_panic_info panic;
    sum s = { 1, 0 };
    check_int(haft::attempt<throws>(&s, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "std::runtime_error: no such port");
    s.n = 0;
    check_int(haft::attempt<throws>(&s, &panic), ==, -1);
    check_int(alive.load(), ==, 0);
}

namespace
{

int has_deadlines(sum *s)
{
    try {
        haft::timeout t(0);
        check_int(haft_checkpoint(), ==, HAFT_ETIMEDOUT);
        {
            haft::shield masked;
            check_int(haft_checkpoint(), ==, 0);
            throw s->n;
        }
    } catch (std::uint64_t n) {
        s->total = n;
    }
    check_int(haft_time_left(), ==, INT64_MAX);
    return haft_checkpoint();
}

}   // namespace

TEST("timeout and shield are objects of their block, which an exception ends too")
{
    sum s = { 5, 0 };
    check_int(has_deadlines(&s), ==, 0);
    for (haft_kind kind : kinds) {
        s.total = 0;
        haft_handle h = haft::spawn<has_deadlines>(&s, HAFT_OPTIONS.set_kind(kind));
        check_int(haft::join(&h, &s), ==, 0);
        check_uint(s.total, ==, 5);
    }
}

namespace
{

int runs_everything(sum *s)
{
    haft_handle h = haft::spawn<sum_to>(s);
    int rc = haft::join(&h, s);
    return rc != 0 ? rc : haft::blocking<reads>(s);
}

/* More than the usual stack has. */
int uses_half_a_mebibyte(sum *s)
{
    volatile char used[512 * 1024];
    for (std::size_t i = 0; i < sizeof used; i += 1024)
        used[i] = static_cast<char>(s->n);
    return used[sizeof used / 2];
}

}   // namespace

TEST("haft::run and haft::blocking call bodies as their C forms do")
{
    haft_on_panic(ignore_panic);
    sum s = { 10, 0 };
    check_int(haft::run<runs_everything>(&s, HAFT_RUN_OPTIONS.set_workers(2)), ==, 10);
    check_uint(s.total, ==, 55);
    s.n = 1;
    check_int(haft::run<throws>(&s, HAFT_RUN_OPTIONS.set_workers(1)), ==, HAFT_EPANIC);
    check_int(haft::run<nine>(), ==, 9);
    s.n = 7;
    check_int(haft::run<uses_half_a_mebibyte>(&s, HAFT_RUN_OPTIONS.set_stack_size(1024 * 1024)), ==, 7);
}

TEST("sets take bodies that throw")
{
    haft_on_panic(ignore_panic);
    haft_set *set = haft::set_new(HAFT_SET_OPTIONS.set_limit(2));
    check(set != nullptr);
    for (std::uint64_t n = 0; n < 6; n++) {
        sum s = { n, 0 };
        check_int(haft::set_spawn<throws>(set, &s), ==, 0);
    }
    sum done;
    int code, panics = 0, rc;
    while ((rc = haft::set_next(set, &done, &code)) == 0) {
        check_int(code, ==, done.n >= 1 && done.n <= 3 ? HAFT_EPANIC : -1);
        panics += code == HAFT_EPANIC;
    }
    check_int(rc, ==, HAFT_EEMPTY);
    check_int(panics, ==, 3);
    haft_set_drop(&set);
    check_int(alive.load(), ==, 0);
}

static int drops;

static void count_drop(void *)
{
    drops++;
}

TEST("a tracked body may throw, and leaves its tracker all the same")
{
    haft_on_panic(ignore_panic);
    haft_tracker tracker = HAFT_TRACKER_INIT;
    sum s = { 1, 0 };
    check_int(haft::tracker_spawn<throws>(&tracker, &s, HAFT_OPTIONS.set_drop(count_drop)), ==, 0);
    check_int(haft::tracker_spawn<nine>(&tracker), ==, 0);
    haft_tracker_close(&tracker);
    check_int(haft_tracker_wait(&tracker), ==, 0);
    check_int(drops, ==, 1);
    check_int(alive.load(), ==, 0);
}

static int both_throw()
{
    sum a = { 1, 0 }, b = { 2, 0 };
    return haft::both<throws, throws>(&a, &b);
}

struct dies_twice_frame {
    std::atomic<int> *runs;
};

int dies_twice(dies_twice_frame *f)
{
    if (++*f->runs <= 2)
        throw std::runtime_error("again");
    return 0;
}

TEST("a supervised body that throws has panicked, and is started again")
{
    haft_on_panic(ignore_panic);
    haft_supervisor *sup = haft::supervisor_new(
        HAFT_SUPERVISOR_OPTIONS.set_strategy(HAFT_REST_FOR_ONE).set_restarts(2, HAFT_S).set_backoff(HAFT_US));
    check_ptr(sup, !=, nullptr);
    std::atomic<int> runs(0);
    dies_twice_frame f = { &runs };
    check_int(haft::supervise<dies_twice>(sup, &f, HAFT_CHILD_OPTIONS.set_name("again").set_kind(HAFT_THREAD)), ==, 0);
    check_int(haft::supervise<nine>(sup, HAFT_NO_FRAME, HAFT_CHILD_OPTIONS.set_restart(HAFT_RESTART_NEVER)), ==, 0);
    check_int(haft_supervisor_wait(sup), ==, 0);
    check_int(runs, ==, 3);
    haft_child_info info;
    check_int(haft_supervisor_child(sup, "again", &info), ==, 0);
    check_uint(info.restarts, ==, 2);
    check_int(haft_supervisor_drop(&sup), ==, 0);
}

TEST("several bodies run at once, and one that throws has panicked")
{
    haft_on_panic(ignore_panic);
    sum a = { 10, 0 }, b = { 1, 0 };
    int rcs[3];
    check_int(haft::all(rcs, haft::arm<sum_to>(&a), haft::arm<throws>(&b), haft::arm<nine>()), ==, 0);
    check_uint(a.total, ==, 55);
    check_int(rcs[1], ==, HAFT_EPANIC);
    check_int(rcs[2], ==, 9);
    check_int(haft::all_or_abort(nullptr, haft::arm<throws>(&b)), ==, HAFT_EPANIC);
    check_int(alive.load(), ==, 0);
}

TEST("a side that throws has panicked, and items are all done")
{
    haft_on_panic(ignore_panic);
    sum sums[40];
    for (std::uint64_t i = 0; i < 40; i++)
        sums[i] = { i, 0 };
    check_int((haft::both<nine, sum_to>(HAFT_NO_FRAME, &sums[10])), ==, 9);
    check_uint(sums[10].total, ==, 55);
    check_int(haft::for_each<sum_to>(sums, 40), ==, 0);
    check_uint(sums[39].total, ==, 780);
    check_int(haft::attempt<both_throw>(HAFT_NO_FRAME, nullptr), ==, HAFT_EPANIC);
    check_int(alive.load(), ==, 0);
}

TEST("the place of a spawn is told in C++ too")
{
    haft_on_panic(ignore_panic);
    sum s = { 1, 0 };
    haft_outcome out;
    haft_handle h = haft::spawn<throws>(&s, HAFT_OPTIONS);
    check_int(haft::join_outcome(&h, &s, &out), ==, 0);
    check(out.panic.spawned_at != nullptr && std::strstr(out.panic.spawned_at, "test_cpp.cpp:") != nullptr);
}

haft_once static_once = HAFT_ONCE_INIT;

int call_once_for(int *calls)
{
    return haft::once_call<fails_first>(&static_once, calls);
}

TEST("an exception that leaves a once is a panic, and the next call tries again")
{
    haft_on_panic(ignore_panic);
    int calls = 0;
    check_int(haft::attempt<call_once_for>(&calls, nullptr), ==, HAFT_EPANIC);
    check_int(call_once_for(&calls), ==, 0);
    check_int(call_once_for(&calls), ==, 0);
    check_int(calls, ==, 2);
}

/* --- channels and select ------------------------------------------------------------------------------------------ */

namespace
{

struct item {
    int number;
    char rest[300];
};

using item_sender = HAFT_SENDER(item);
using item_receiver = HAFT_RECEIVER(item);
using weak_item_sender = HAFT_WEAK_SENDER(item);
using item_slot = HAFT_SLOT(item);

struct producer {
    item_sender tx;
    int n;
};

int produce(producer *p)
{
    int rc = 0;
    for (int i = 0; i < p->n && rc == 0; i++) {
        item it = { i, "" };
        rc = i % 2 == 0 ? haft::send(&p->tx, &it) : haft::send_moved(&p->tx, &it);
        check_int(it.number, ==, i % 2 == 0 ? i : 0);
    }
    haft::sender_drop(&p->tx);
    return rc;
}

}   // namespace

TEST("channels carry values in C++, one by one, many at once, by slots, and not beyond a close")
{
    for (haft_kind kind : kinds) {
        producer p = { {}, 10 };
        item_receiver rx, rx2;
        check_int(haft::channel(&p.tx, &rx, 4), ==, 0);
        check_int(haft::receiver_clone(&rx, &rx2), ==, 0);
        check_uint(haft::channel_capacity(&rx), ==, 4);
        weak_item_sender weak;
        check_int(haft::sender_downgrade(&p.tx, &weak), ==, 0);
        haft_handle h = haft::spawn<produce>(&p, HAFT_OPTIONS.set_kind(kind));
        item it, many[8];
        std::size_t n = 0;
        int next = 0;
        check_int(haft::recv(&rx, &it), ==, 0);
        check_int(it.number, ==, next++);
        while (haft::recv_many(&rx2, many, 8, &n) == 0)
            for (std::size_t i = 0; i < n; i++)
                check_int(many[i].number, ==, next++);
        check_int(next, ==, 10);
        check_int(haft::try_recv(&rx, &it), ==, HAFT_ECLOSED);
        check(!haft::channel_is_closed(&rx)); /* it ended, and nobody closed it */
        item_sender tx = {};
        check_int(haft::sender_upgrade(&weak, &tx), ==, HAFT_ECLOSED);
        haft::weak_sender_drop(&weak);
        haft::receiver_drop(&rx);
        haft::receiver_drop(&rx2);
        check_int(haft::join(&h), ==, 0);
    }
    item_sender tx, tx2;
    item_receiver rx;
    check_int(haft::channel_unbounded(&tx, &rx), ==, 0);
    check_int(haft::sender_clone(&tx, &tx2), ==, 0);
    item it = { 7, "" };
    check_int(haft::try_send(&tx, &it), ==, 0);
    check_int(haft::try_send_moved(&tx2, &it), ==, 0);
    check_int(it.number, ==, 0);
    check_uint(haft::channel_len(&rx), ==, 2);
    haft::channel_close(&tx);
    haft::sender_drop(&tx);
    haft::sender_drop(&tx2);
    haft::receiver_drop(&rx);

    check_int(haft::channel(&tx, &rx, 1), ==, 0);
    item_slot slot, slot2;
    check_int(haft::reserve(&tx, &slot), ==, 0);
    check_int(haft::try_reserve(&tx, &slot2), ==, HAFT_EAGAIN);
    it.number = 9;
    check_int(haft::slot_send(&slot, &it), ==, 0);
    check_int(haft::recv(&rx, &it), ==, 0);
    check_int(it.number, ==, 9);
    check_int(haft::reserve(&tx, &slot), ==, 0);
    check_int(haft::slot_send_moved(&slot, &it), ==, 0);
    check_int(it.number, ==, 0);
    haft::slot_drop(&slot);
    haft::sender_drop(&tx);
    haft::receiver_drop(&rx);
    check_int(haft::oneshot(&tx, &rx), ==, 0);
    haft::sender_drop(&tx);
    check_int(haft::recv(&rx, &it), ==, HAFT_ECLOSED);
    haft::receiver_drop(&rx);
}

TEST("broadcast and watch in C++ give everybody everything, and the newest")
{
    HAFT_BROADCAST_SENDER(item) tx, tx2;
    HAFT_BROADCAST_RECEIVER(item) a, b;
    check_int(haft::broadcast(&tx, &a, 2), ==, 0);
    check_int(haft::broadcast_subscribe(&tx, &b), ==, 0);
    check_int(haft::broadcast_sender_clone(&tx, &tx2), ==, 0);
    item it = { 0, "" };
    std::uint64_t missed = 0;
    for (it.number = 1; it.number <= 3; it.number++)
        check_int(haft::broadcast_send(it.number % 2 == 0 ? &tx : &tx2, &it), ==, 0);
    check_int(haft::broadcast_recv(&a, &it, &missed), ==, HAFT_ELAGGED);
    check_uint(missed, ==, 1);
    check_int(haft::broadcast_recv(&a, &it, &missed), ==, 0);
    check_int(it.number, ==, 2);
    haft::broadcast_sender_drop(&tx);
    haft::broadcast_sender_drop(&tx2);
    check_int(haft::broadcast_try_recv(&a, &it, &missed), ==, 0);
    check_int(haft::broadcast_try_recv(&a, &it, &missed), ==, HAFT_ECLOSED);
    haft::broadcast_receiver_drop(&a);
    haft::broadcast_receiver_drop(&b);

    HAFT_WATCH_SENDER(item) set;
    HAFT_WATCH_RECEIVER(item) get, late;
    it.number = 1;
    check_int(haft::watch(&set, &get, &it), ==, 0);
    check_int(haft::watch_subscribe(&set, &late), ==, 0);
    it.number = 2;
    check_int(haft::watch_set(&set, &it), ==, 0);
    check_int(haft::watch_changed(&get), ==, 0);
    it.number = 0;
    check_int(haft::watch_get(&get, &it), ==, 0);
    check_int(it.number, ==, 2);
    haft::watch_sender_drop(&set);
    check_int(haft::watch_changed(&get), ==, HAFT_ECLOSED);
    haft::watch_receiver_drop(&get);
    haft::watch_receiver_drop(&late);
}

TEST("each arm of a select happens in C++, alone and in an array")
{
    item_sender tx;
    item_receiver rx;
    check_int(haft::channel(&tx, &rx, 1), ==, 0);
    item in = { 3, "" }, out = { 0, "" };
    int rc = 1;
    check_int(haft::select(haft::on_recv(&rx, &out), haft::on_send(&tx, &in, &rc)), ==, 1);
    check_int(rc, ==, 0);
    check_int(haft::select_biased(haft::on_recv(&rx, &out), haft::on_timeout(0)), ==, 0);
    check_int(out.number, ==, 3);

    sum s = { 4, 0 };
    haft_handle h = haft::spawn<sum_to>(&s), bare = haft::spawn<nine>();
    check_int(haft::select(haft::on_join(&h, &s)), ==, 0);
    check_uint(s.total, ==, 10);
    check_int(haft::select(haft::on_join(&bare, HAFT_NO_FRAME, &rc)), ==, 0);
    check_int(rc, ==, 9);
    bare = haft::spawn<nine>();
    check_int(haft::select(haft::on_join(&bare)), ==, 0);
    haft_set *set = haft::set_new();
    check_int(haft::set_spawn<sum_to>(set, &s), ==, 0);
    int code = 1;
    check_int(haft::select(haft::on_set(set, &s, &code)), ==, 0);
    check_int(code, ==, 0);
    haft_set_drop(&set);

    haft_sem sem = HAFT_SEM_INIT(2);
    haft_notify notify = HAFT_NOTIFY_INIT;
    haft_event event = HAFT_EVENT_INIT;
    haft_token token = HAFT_TOKEN_INIT;
    haft_ticker ticker;
    check_int(haft::ticker_start(&ticker, HAFT_S), ==, 0);
    const haft_arm arms[] = { haft::on_recv(&rx, &out), haft::on_sem(&sem, 2),  haft::on_notify(&notify),
                              haft::on_event(&event),   haft::on_token(&token), haft::on_tick(&ticker) };
    check_int(haft::select_biased_array(arms, 6), ==, 1);
    check_int(haft::select_array(arms, 6), ==, 5); /* the first tick is at once */
    check_int(haft::try_select_array(arms, 6), ==, HAFT_EAGAIN);
    haft_notify_one(&notify);
    check_int(haft::try_select_array(arms, 6), ==, 2);
    haft_event_set(&event);
    check_int(haft::try_select_array(arms, 6), ==, 3);
    haft_event_reset(&event);
    haft_token_cancel(&token);
    check_int(haft::select_array(arms, 6), ==, 4);
    check_int(haft::try_select(haft::on_recv(&rx, &out)), ==, HAFT_EAGAIN);
    haft_token_drop(&token);
    haft_ticker_drop(&ticker);
    haft::sender_drop(&tx);
    haft::receiver_drop(&rx);
}

/* --- actors and pools --------------------------------------------------------------------------------------------- */

namespace
{

struct account {
    long balance;
};
struct payment {
    long amount, balance;
};

int pay(account *a, payment *p)
{
    counted c;
    if (p->amount < 0)
        throw std::runtime_error("no such amount");
    a->balance += p->amount;
    p->balance = a->balance;
    return 0;
}

int look(const account *a, payment *p) noexcept
{
    p->balance = a->balance;
    return 5;
}

int settle(account *a)
{
    a->balance = 0;
    return 0;
}

}   // namespace

TEST("actors serve bodies in C++, exceptions are panics of their messages, and the state comes back")
{
    haft_on_panic(ignore_panic);
    for (haft_kind kind : { HAFT_TASK, HAFT_THREAD }) {
        HAFT_ACTOR(account) actor;
        HAFT_CLIENT(account) client, other;
        HAFT_WEAK_CLIENT(account) weak;
        account state = { 100 };
        check_int(haft::actor_start(&actor, &state,
                                    HAFT_ACTOR_OPTIONS.set_kind(kind).set_name("account").set_capacity(4).set_on_panic(
                                        HAFT_KEEP_SERVING)),
                  ==, 0);
        check_int(haft::client_of(&actor, &client), ==, 0);
        check_int(haft::client_clone(&client, &other), ==, 0);
        check_int(haft::client_downgrade(&other, &weak), ==, 0);
        payment p = { 5, 0 };
        drops = 0;
        check_int(haft::cast<pay>(&client, &p, HAFT_MESSAGE_OPTIONS.set_drop(count_drop)), ==, 0);
        check_int(haft::call<pay>(&actor, &p), ==, 0);
        check_int(p.balance, ==, 110);
        check_int(drops, ==, 1);
        check_int(haft::try_cast<look>(&client, &p), ==, 0);
        check_int(haft::call<look>(&other, &p, haft::message_options().set_urgent()), ==, 5);
        haft_outcome out;
        p.amount = -1;
        check_int(haft::call_outcome<pay>(&client, &p, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "std::runtime_error: no such amount");
        check_int(alive.load(), ==, 0);
        check(haft::actor_is_alive(&client));
        p.amount = 1;
        check_int(haft::actor_after<pay>(&client, 0, &p), ==, 0);
        check_int(haft::actor_every<look>(&client, HAFT_S, &p), ==, 0);
        do
            check_int(haft::call<look>(&client, &p), ==, 5);
        while (p.balance != 111);
        haft_actor_statistics stats;
        check_int(haft::actor_stats(&client, &stats), ==, 0);
        check_uint(haft::actor_len(&client), ==, 0);
        check_int(haft_client_drop(&other), ==, 0);
        check_int(haft::client_upgrade(&weak, &other), ==, 0);
        check_int(haft_client_drop(&other), ==, 0);
        check_int(haft_weak_client_drop(&weak), ==, 0);
        check_int(haft::actor_stop(&actor), ==, 0);
        check_int(haft::actor_join(&actor, &state), ==, 0);
        check_int(state.balance, ==, 111);
        check_int(haft::call<settle>(&client), ==, HAFT_ECLOSED);
        check_int(haft_client_drop(&client), ==, 0);
    }
    HAFT_ACTOR(account) actor;
    account state = { 1 };
    haft_outcome out;
    check_int(haft::actor_start(&actor, &state), ==, 0);
    check_int(haft::cast<settle>(&actor), ==, 0);
    check_int(haft::actor_join_outcome(&actor, &state, &out), ==, 0);
    check_int(state.balance, ==, 0);
    check_int(haft::actor_start(&actor, &state), ==, 0);
    check_int(haft::actor_abort(&actor), ==, 0);
    check_int(haft::actor_join(&actor), ==, HAFT_EABORTED);
    check_int(haft::actor_start(&actor, &state), ==, 0);
    check_int(haft::actor_detach(&actor), ==, 0);
}

TEST("pools serve bodies in C++, in the order of their keys")
{
    HAFT_POOL(account) pool;
    HAFT_CLIENT(account) client;
    account state = { 0 };
    check_int(haft::pool_start(&pool, &state, HAFT_POOL_OPTIONS.set_workers(2).set_name("clerk")), ==, 0);
    check_int(haft::pool_client_of(&pool, &client), ==, 0);
    payment p = { 1, 0 };
    for (int i = 0; i < 20; i++)
        check_int(haft::pool_cast_keyed<pay>(&client, 7, &p), ==, 0);
    check_int(haft::pool_call_keyed<pay>(&client, 7, &p), ==, 0);
    check_int(p.balance, ==, 21);
    haft_outcome out;
    check_int(haft::pool_call_keyed_outcome<look>(&client, 7, &p, &out), ==, 0);
    check_int(out.code, ==, 5);
    check_int(haft::pool_try_cast_keyed<look>(&client, 8, &p), ==, 0);
    check_int(haft::call<look>(&client, &p), ==, 5);
    check_int(haft::pool_resize(&pool, 1), ==, 0);
    check_int(haft_client_drop(&client), ==, 0);
    check_int(haft::pool_stop(&pool), ==, 0);
    check_int(haft::pool_join(&pool, &state), ==, 0);
    check_int(state.balance, ==, 21);
    check_int(haft::pool_start(&pool, &state), ==, 0);
    check_int(haft::pool_abort(&pool), ==, 0);
    check_int(haft::pool_join_outcome(&pool, &state, &out), ==, 0);
    check_int(out.end, ==, HAFT_ABORTED);
    check_int(haft::pool_start(&pool, &state), ==, 0);
    check_int(haft::pool_join(&pool), ==, 0);
    check_int(haft::pool_start(&pool, &state), ==, 0);
    check_int(haft::pool_detach(&pool), ==, 0);
}

namespace
{

struct tally {
    int sum;
};

int counts(tally *t, int *n)
{
    if (*n < 0)
        throw std::runtime_error("a negative number");
    *n = t->sum += *n;
    return 0;
}

}   // namespace

TEST("a supervised actor whose body throws goes on with a fresh state")
{
    haft_on_panic(ignore_panic);
    haft_supervisor *sup = haft::supervisor_new();
    HAFT_ACTOR(tally) actor;
    tally t = { 10 };
    check_int(haft::supervise_actor(sup, &actor, &t, HAFT_SUPERVISED_ACTOR_OPTIONS.set_name("tally").set_grace(HAFT_S)),
              ==, 0);
    int n = 1;
    check_int(haft::call<counts>(&actor, &n), ==, 0);
    check_int(n, ==, 11);
    n = -1;
    check_int(haft::call<counts>(&actor, &n), ==, HAFT_EPANIC);
    n = 2;
    check_int(haft::call<counts>(&actor, &n), ==, 0);
    check_int(n, ==, 12);
    check_int(haft_supervisor_drop(&sup), ==, 0);
    check_int(haft::actor_join(&actor, &t), ==, 0);
    check_int(t.sum, ==, 12);
}
