/* SPDX-License-Identifier: MIT
 *
 * C++17: haft.h as it is, and haft.hpp with its checks, options and exceptions. */
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
