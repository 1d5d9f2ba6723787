// SPDX-License-Identifier: MIT

//! The peer rayon: closures spawned into a scope. They have no stack and no handle of their own, so only the workloads
//! with empty tasks have an equivalent.

use bench_peers::*;

fn one_at_a_time(n: usize) {
    let mut sum = 0;
    for i in 0..n as u64 {
        let mut number = i;
        rayon::scope(|scope| scope.spawn(|_| number += 1));
        sum += number;
    }
    assert_eq!(sum, expected_sum(n));
}

fn spawn_all_join_all(n: usize) {
    let mut numbers = vec![0; n];
    rayon::scope(|scope| {
        for (i, number) in numbers.iter_mut().enumerate() {
            scope.spawn(move |_| *number = i as u64 + 1);
        }
    });
    assert_eq!(numbers.iter().sum::<u64>(), expected_sum(n));
}

fn fib_by_join(n: u32) -> u64 {
    if n < 2 {
        return n as u64;
    }
    let (a, b) = rayon::join(|| fib_by_join(n - 1), || fib_by_join(n - 2));
    a + b
}

fn divide(leaves: usize) {
    let n = fib_of(leaves);
    assert_eq!(fib_by_join(n), fib(n));
}

fn main() {
    let request = request();
    let n = request.n;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(request.workers).build().unwrap();
    pool.install(|| match (request.workload.as_str(), request.variant.as_str()) {
        ("W2", "scope") => cold_and_warm(n, || one_at_a_time(n)),
        ("W8", "join") => cold_and_warm(forks(n), || divide(n)),
        ("W3", "scope") => cold_and_warm(n, || spawn_all_join_all(n)),
        _ => unknown(&request),
    });
}
