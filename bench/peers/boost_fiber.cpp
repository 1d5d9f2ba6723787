// SPDX-License-Identifier: MIT
//
// The peer Boost.Fiber: stackful fibers on one thread, with its default round-robin scheduler and pooled stacks of 16 KiB
// (its default, 128 KiB from malloc for each fiber, is slower in every workload here).
#include "../sample.h"

#include <boost/fiber/all.hpp>
#include <boost/version.hpp>

#include <cstdio>
#include <cstring>
#include <vector>

namespace fibers = boost::fibers;

static fibers::pooled_fixedsize_stack stacks(16 * 1024);

template <class Body> static fibers::fiber start(Body body)
{
    return fibers::fiber(fibers::launch::post, std::allocator_arg, stacks, body);
}

static void one_at_a_time(void *, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t number = i;
        start([&number] { number += 1; }).join();
        sum += number;
    }
    sample_check(sum == sample_expected_sum(n));
}

// A gate at which fibers wait until it is opened for all.
struct gate {
    fibers::mutex lock;
    fibers::condition_variable opened;
    bool is_open = false;
    size_t begun = 0;

    void pass()
    {
        std::unique_lock<fibers::mutex> held(lock);
        begun++;
        opened.wait(held, [this] { return is_open; });
    }
    void open()
    {
        std::unique_lock<fibers::mutex> held(lock);
        is_open = true;
        opened.notify_all();
    }
};

static std::vector<fibers::fiber> spawn_waiting(gate &g, std::vector<uint64_t> &numbers)
{
    std::vector<fibers::fiber> waiting;
    waiting.reserve(numbers.size());
    for (size_t i = 0; i < numbers.size(); i++) {
        waiting.push_back(start([&g, &numbers, i] {
            g.pass();
            numbers[i] = i + 1;
        }));
    }
    while (g.begun < numbers.size())
        boost::this_fiber::yield();
    return waiting;
}

static void wake_and_join(gate &g, std::vector<fibers::fiber> &waiting, const std::vector<uint64_t> &numbers)
{
    g.open();
    uint64_t sum = 0;
    for (size_t i = 0; i < waiting.size(); i++) {
        waiting[i].join();
        sum += numbers[i];
    }
    sample_check(sum == sample_expected_sum(numbers.size()));
}

static void all_wait_then_wake(void *, size_t n)
{
    gate g;
    std::vector<uint64_t> numbers(n);
    std::vector<fibers::fiber> waiting = spawn_waiting(g, numbers);
    wake_and_join(g, waiting, numbers);
}

static void bytes_per_waiting_fiber(size_t n)
{
    const double before = sample_resident_bytes();
    gate g;
    std::vector<uint64_t> numbers(n);
    std::vector<fibers::fiber> waiting = spawn_waiting(g, numbers);
    sample_report("alive", "bytes", (sample_resident_bytes() - before) / static_cast<double>(n));
    wake_and_join(g, waiting, numbers);
}

static void two_yield(void *, size_t n)
{
    size_t turns = 0;
    const auto yield_many_times = [&turns, n] {
        for (size_t i = 0; i < n; i++) {
            boost::this_fiber::yield();
            turns++;
        }
    };
    fibers::fiber first = start(yield_many_times);
    fibers::fiber second = start(yield_many_times);
    first.join();
    second.join();
    sample_check(turns == 2 * n);
}

int main(int argc, char **argv)
{
    if (argc == 2 && std::strcmp(argv[1], "version") == 0) {
        std::printf("Boost %s\n", BOOST_LIB_VERSION);
        return 0;
    }
    const sample_request request = sample_request_of(argc, argv);
    if (sample_asks(&request, "W2", "fiber"))
        sample_cold_and_warm(one_at_a_time, nullptr, request.n, request.n);
    else if (sample_asks(&request, "W3b", "condition"))
        sample_cold_and_warm(all_wait_then_wake, nullptr, request.n, request.n);
    else if (sample_asks(&request, "W4", "yield"))
        sample_cold_and_warm(two_yield, nullptr, request.n, 2 * request.n);
    else if (sample_asks(&request, "W9", "condition"))
        bytes_per_waiting_fiber(request.n);
    else {
        std::fprintf(stderr, "Boost.Fiber has no workload %s %s\n", request.workload, request.variant);
        return 2;
    }
    return 0;
}
