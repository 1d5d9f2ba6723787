// SPDX-License-Identifier: MIT

//! The peer Tokio. With one worker each workload also runs on its current-thread runtime, as a variant that ends in
//! "-local".

use bench_peers::*;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

async fn one_at_a_time(n: usize) {
    let mut sum = 0;
    for number in 0..n as u64 {
        sum += tokio::spawn(async move { number + 1 }).await.unwrap();
    }
    assert_eq!(sum, expected_sum(n));
}

/// Spawned and awaited by the plain main thread.
fn one_at_a_time_from_outside(runtime: &Runtime, n: usize) {
    let mut sum = 0;
    for number in 0..n as u64 {
        let handle = runtime.spawn(async move { number + 1 });
        sum += runtime.block_on(handle).unwrap();
    }
    assert_eq!(sum, expected_sum(n));
}

async fn spawn_all_join_all(n: usize) {
    let handles: Vec<_> = (0..n as u64).map(|number| tokio::spawn(async move { number + 1 })).collect();
    let mut sum = 0;
    for handle in handles {
        sum += handle.await.unwrap();
    }
    assert_eq!(sum, expected_sum(n));
}

async fn fill_and_empty_a_set(n: usize) {
    let mut set = JoinSet::new();
    for number in 0..n as u64 {
        set.spawn(async move { number + 1 });
    }
    let mut sum = 0;
    while let Some(number) = set.join_next().await {
        sum += number.unwrap();
    }
    assert_eq!(sum, expected_sum(n));
}

/// Tasks that wait, each for a oneshot of its own or all for one semaphore.
struct Waiting {
    handles: Vec<JoinHandle<u64>>,
    own: Vec<oneshot::Sender<()>>,
    gate: Arc<Semaphore>,
}

impl Waiting {
    async fn spawn(n: usize, own_channels: bool) -> Waiting {
        let begun = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let mut waiting = Waiting { handles: Vec::with_capacity(n), own: Vec::new(), gate: gate.clone() };
        for number in 0..n as u64 {
            let begun = begun.clone();
            waiting.handles.push(if own_channels {
                let (sender, receiver) = oneshot::channel();
                waiting.own.push(sender);
                tokio::spawn(async move {
                    begun.fetch_add(1, Relaxed);
                    receiver.await.unwrap();
                    number + 1
                })
            } else {
                let gate = gate.clone();
                tokio::spawn(async move {
                    begun.fetch_add(1, Relaxed);
                    gate.acquire().await.unwrap().forget();
                    number + 1
                })
            });
        }
        while begun.load(Relaxed) < n {
            tokio::task::yield_now().await;
        }
        waiting
    }

    async fn wake_and_join(self) {
        let n = self.handles.len();
        self.own.into_iter().for_each(|sender| sender.send(()).unwrap());
        self.gate.add_permits(n);
        let mut sum = 0;
        for handle in self.handles {
            sum += handle.await.unwrap();
        }
        assert_eq!(sum, expected_sum(n));
    }
}

async fn all_wait_then_wake(n: usize, own_channels: bool) {
    Waiting::spawn(n, own_channels).await.wake_and_join().await;
}

async fn bytes_per_waiting(n: usize, own_channels: bool) {
    let before = resident_bytes();
    let waiting = Waiting::spawn(n, own_channels).await;
    report("alive", "bytes", (resident_bytes() - before) / n as f64);
    waiting.wake_and_join().await;
}

async fn two_yield(n: usize) {
    let yielder = move || async move {
        let mut turns = 0;
        while turns < n {
            tokio::task::yield_now().await;
            turns += 1;
        }
        turns
    };
    let (first, second) = (tokio::spawn(yielder()), tokio::spawn(yielder()));
    assert_eq!(first.await.unwrap() + second.await.unwrap(), 2 * n);
}

/// `cold_and_warm` inside one task, so that entering the runtime from outside is not part of the work.
async fn cold_and_warm_task<F: Future<Output = ()>>(operations: usize, work: impl Fn() -> F) {
    let start = Moment::now();
    work().await;
    let repetitions = repetitions(operations, start.elapsed_ns());
    start.report("cold", operations);
    let start = Moment::now();
    for _ in 0..repetitions {
        work().await;
    }
    start.report("warm", operations * repetitions);
}

/// Runs a future as a task, not on the blocked main thread.
fn as_task<F: Future<Output = ()> + Send + 'static>(runtime: &Runtime, future: F) {
    let handle = runtime.spawn(future);
    runtime.block_on(handle).unwrap();
}

fn main() {
    let request = request();
    let n = request.n;
    let variant = request.variant.strip_suffix("-local");
    let runtime = match variant {
        Some(_) => Builder::new_current_thread().enable_all().build(),
        None => Builder::new_multi_thread().worker_threads(request.workers).enable_all().build(),
    }
    .unwrap();
    let r = &runtime;
    match (request.workload.as_str(), variant.unwrap_or(&request.variant)) {
        ("W2", "task") => as_task(r, cold_and_warm_task(n, move || one_at_a_time(n))),
        ("W2x", "task") => cold_and_warm(n, || one_at_a_time_from_outside(r, n)),
        ("W3", "spawn") => as_task(r, cold_and_warm_task(n, move || spawn_all_join_all(n))),
        ("W3", "set") => as_task(r, cold_and_warm_task(n, move || fill_and_empty_a_set(n))),
        ("W3b", "own") => as_task(r, cold_and_warm_task(n, move || all_wait_then_wake(n, true))),
        ("W3b", "gate") => as_task(r, cold_and_warm_task(n, move || all_wait_then_wake(n, false))),
        ("W4", "yield") => as_task(r, cold_and_warm_task(2 * n, move || two_yield(n))),
        ("W9", "own") => as_task(r, bytes_per_waiting(n, true)),
        ("W9", "gate") => as_task(r, bytes_per_waiting(n, false)),
        ("IDLE", "bare") => {
            as_task(r, one_at_a_time(n));
            idle_second();
        }
        ("IDLE", "parked") => {
            let waiting = r.block_on(Waiting::spawn(n, true));
            idle_second();
            r.block_on(waiting.wake_and_join());
        }
        _ => unknown(&request),
    }
}
