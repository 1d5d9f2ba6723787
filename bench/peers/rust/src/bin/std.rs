// SPDX-License-Identifier: MIT

//! The peer Rust std: OS threads, started and joined one at a time.

use bench_peers::*;

fn one_at_a_time(n: usize) {
    let sum: u64 = (0..n as u64).map(|number| std::thread::spawn(move || number + 1).join().unwrap()).sum();
    assert_eq!(sum, expected_sum(n));
}

fn main() {
    let request = request();
    match (request.workload.as_str(), request.variant.as_str()) {
        ("W1", "thread") => cold_and_warm(request.n, || one_at_a_time(request.n)),
        _ => unknown(&request),
    }
}
