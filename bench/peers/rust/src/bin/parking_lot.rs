// SPDX-License-Identifier: MIT

//! The peer parking_lot: its mutex, free and wanted by four threads.

use bench_peers::*;
use parking_lot::Mutex;

fn count(counter: &Mutex<u64>, turns: usize) {
    for _ in 0..turns {
        *counter.lock() += 1;
    }
}

fn by_four(n: usize) {
    let counter = Mutex::new(0);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| count(&counter, n / 4));
        }
    });
    assert_eq!(counter.into_inner(), (n / 4 * 4) as u64);
}

fn main() {
    let request = request();
    let n = request.n;
    let counter = Mutex::new(0);
    match (request.workload.as_str(), request.variant.as_str()) {
        ("W12", "mutex") => cold_and_warm(n, || count(&counter, n)),
        ("W12c", "mutex-4") => cold_and_warm(n, || by_four(n)),
        _ => unknown(&request),
    }
}
