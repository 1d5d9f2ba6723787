// SPDX-License-Identifier: MIT
//
// The peer oneTBB: tasks of a task_group. A TBB task has no stack of its own and cannot wait for another one without
// running more tasks in place, so only the workloads with empty tasks have an equivalent.
#include "../sample.h"

#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#include <tbb/version.h>

static void one_at_a_time(void *, size_t n)
{
    tbb::task_group group;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t number = i;
        group.run([&number] { number += 1; });
        group.wait();
        sum += number;
    }
    sample_check(sum == sample_expected_sum(n));
}

static void spawn_all_join_all(void *, size_t n)
{
    std::vector<uint64_t> numbers(n);
    tbb::task_group group;
    for (size_t i = 0; i < n; i++)
        group.run([&numbers, i] { numbers[i] = i + 1; });
    group.wait();
    sample_check(std::accumulate(numbers.begin(), numbers.end(), uint64_t{ 0 }) == sample_expected_sum(n));
}

static uint64_t fib(unsigned n)
{
    if (n < 2)
        return n;
    uint64_t a = 0, b = 0;
    tbb::parallel_invoke([&a, n] { a = fib(n - 1); }, [&b, n] { b = fib(n - 2); });
    return a + b;
}

static void divide(void *, size_t leaves)
{
    const unsigned n = sample_fib_of(leaves);
    sample_check(fib(n) == sample_fib(n));
}

static size_t forks(size_t leaves)
{
    const size_t n = sample_fib(sample_fib_of(leaves) + 1) - 1;
    return n > 0 ? n : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && std::strcmp(argv[1], "version") == 0) {
        std::printf("oneTBB %d.%d\n", TBB_VERSION_MAJOR, TBB_VERSION_MINOR);
        return 0;
    }
    const sample_request request = sample_request_of(argc, argv);
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, request.workers);
    tbb::task_arena arena(static_cast<int>(request.workers));
    int status = 0;
    arena.execute([&] {
        if (sample_asks(&request, "W2", "task_group")) {
            sample_cold_and_warm(one_at_a_time, nullptr, request.n, request.n);
        } else if (sample_asks(&request, "W3", "task_group")) {
            sample_cold_and_warm(spawn_all_join_all, nullptr, request.n, request.n);
        } else if (sample_asks(&request, "W8", "parallel_invoke")) {
            sample_cold_and_warm(divide, nullptr, request.n, forks(request.n));
        } else {
            std::fprintf(stderr, "TBB has no workload %s %s\n", request.workload, request.variant);
            status = 2;
        }
    });
    return status;
}
