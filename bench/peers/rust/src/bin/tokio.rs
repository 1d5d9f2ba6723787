// SPDX-License-Identifier: MIT

//! The peer Tokio. With one worker each workload also runs on its current-thread runtime, as a variant that ends in
//! "-local".

use bench_peers::*;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, Mutex, Semaphore};
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

/// A task for the left side of every fork.
fn fib_by_spawn(n: u32) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n as u64;
        }
        let left = tokio::spawn(fib_by_spawn(n - 1));
        let right = fib_by_spawn(n - 2).await;
        left.await.unwrap() + right
    })
}

async fn divide(leaves: usize) {
    let n = fib_of(leaves);
    assert_eq!(fib_by_spawn(n).await, fib(n));
}

async fn sleeps(n: usize) {
    let start = Moment::now();
    let mut dice = SLEEP_SEED;
    let handles: Vec<_> = (0..n)
        .map(|_| {
            let duration = draw_sleep(&mut dice);
            tokio::spawn(async move {
                let begun = std::time::Instant::now();
                tokio::time::sleep(duration).await;
                (begun.elapsed() - duration).as_nanos() as f64
            })
        })
        .collect();
    let mut late = Vec::with_capacity(n);
    for handle in handles {
        late.push(handle.await.unwrap());
    }
    report_lateness(start.spent(), late);
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

async fn ping_pong(n: usize) {
    let (there, mut received) = mpsc::channel(1);
    let (answers, mut back) = mpsc::channel(1);
    let echo = tokio::spawn(async move {
        while let Some(number) = received.recv().await {
            answers.send(number).await.unwrap();
        }
    });
    let mut sum = 0;
    for number in 1..=n as u64 {
        there.send(number).await.unwrap();
        sum += back.recv().await.unwrap();
    }
    drop(there);
    echo.await.unwrap();
    assert_eq!(sum, expected_sum(n));
}

/// Numbers through one channel of capacity 128 from so many producers.
async fn throughput(n: usize, producers: usize) {
    let (sender, mut receiver) = mpsc::channel(128);
    for i in 0..producers {
        let sender = sender.clone();
        tokio::spawn(async move {
            for number in n * i / producers + 1..=n * (i + 1) / producers {
                sender.send(number as u64).await.unwrap();
            }
        });
    }
    drop(sender);
    let mut sum = 0;
    while let Some(number) = receiver.recv().await {
        sum += number;
    }
    assert_eq!(sum, expected_sum(n));
}

async fn select_and_send_back(n: usize) {
    let (s0, mut r0) = mpsc::channel(1);
    let (s1, mut r1) = mpsc::channel(1);
    let (s2, mut r2) = mpsc::channel(1);
    let (s3, mut r3) = mpsc::channel(1);
    for sender in [&s0, &s1, &s2, &s3] {
        sender.try_send(1u64).unwrap();
    }
    let mut sum = 0;
    for _ in 0..n {
        let (sender, number) = tokio::select! {
            number = r0.recv() => (&s0, number.unwrap()),
            number = r1.recv() => (&s1, number.unwrap()),
            number = r2.recv() => (&s2, number.unwrap()),
            number = r3.recv() => (&s3, number.unwrap()),
        };
        sender.try_send(number).unwrap();
        sum += number;
    }
    assert_eq!(sum, n as u64);
}

async fn count_by_mutex(counter: Arc<Mutex<u64>>, turns: usize) {
    for _ in 0..turns {
        *counter.lock().await += 1;
    }
}

async fn mutex_by_four(n: usize) {
    let counter = Arc::new(Mutex::new(0));
    let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(count_by_mutex(counter.clone(), n / 4))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*counter.lock().await, (n / 4 * 4) as u64);
}

async fn sem_alone(n: usize) {
    let sem = Semaphore::new(1);
    for _ in 0..n {
        drop(sem.acquire().await.unwrap());
    }
}

struct Call {
    number: u64,
    answer: oneshot::Sender<u64>,
}

async fn ask(mailbox: &mpsc::Sender<Call>, number: u64) -> u64 {
    let (answer, reply) = oneshot::channel();
    assert!(mailbox.send(Call { number, answer }).await.is_ok());
    reply.await.unwrap()
}

/// An owner serves calls: a request is a number and a oneshot channel for its answer.
async fn calls_by_clients(n: usize, clients: usize) {
    let (mailbox, mut calls) = mpsc::channel::<Call>(32);
    let owner = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(call) = calls.recv().await {
            sum += call.number;
            let _ = call.answer.send(sum);
        }
    });
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let mailbox = mailbox.clone();
            tokio::spawn(async move {
                for _ in 0..n / clients {
                    ask(&mailbox, 1).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(ask(&mailbox, 0).await, (n / clients * clients) as u64);
    drop(mailbox);
    owner.await.unwrap();
}

struct Tick {
    due: Instant,
    is_measured: bool,
}

/// Sends each owner its message of one second, a thousandth of them every millisecond, and waits until all are served.
async fn tick_for_a_second(mailboxes: &[mpsc::Sender<Tick>], is_measured: bool, served: &AtomicUsize, all: usize) {
    const BATCHES: usize = 1000;
    let (n, start) = (mailboxes.len(), Instant::now());
    for batch in 0..BATCHES {
        let due = start + Duration::from_millis(batch as u64);
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        for mailbox in &mailboxes[batch * n / BATCHES..(batch + 1) * n / BATCHES] {
            assert!(mailbox.send(Tick { due, is_measured }).await.is_ok());
        }
    }
    while served.load(Relaxed) < all {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Many owners are alive, and each gets a message a second.
async fn ticks(n: usize) {
    let served = Arc::new(AtomicUsize::new(0));
    let (mut mailboxes, mut owners) = (Vec::with_capacity(n), Vec::with_capacity(n));
    let before = resident_bytes();
    for _ in 0..n {
        let (mailbox, mut ticks) = mpsc::channel::<Tick>(32);
        let served = served.clone();
        mailboxes.push(mailbox);
        owners.push(tokio::spawn(async move {
            let (mut count, mut late) = (0, 0.0);
            while let Some(tick) = ticks.recv().await {
                count += 1;
                if tick.is_measured {
                    late = tick.due.elapsed().as_nanos() as f64;
                }
                served.fetch_add(1, Relaxed);
            }
            (count, late)
        }));
    }
    tick_for_a_second(&mailboxes, false, &served, n).await;
    report("alive", "bytes", (resident_bytes() - before) / n as f64);
    let start = Moment::now();
    tick_for_a_second(&mailboxes, true, &served, 2 * n).await;
    let spent = start.spent();
    drop(mailboxes);
    let mut late = Vec::with_capacity(n);
    for owner in owners {
        let (count, one) = owner.await.unwrap();
        assert_eq!(count, 2);
        late.push(one);
    }
    report_lateness(spent, late);
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
    let mut builder = match variant {
        Some(_) => Builder::new_current_thread(),
        None => Builder::new_multi_thread(),
    };
    if variant.is_none() {
        builder.worker_threads(request.workers);
    }
    if request.workload == "W10" || request.workload == "W14" {
        builder.enable_time(); // every yield would look at it
    }
    let runtime = builder.build().unwrap();
    let r = &runtime;
    match (request.workload.as_str(), variant.unwrap_or(&request.variant)) {
        ("W2", "task") => as_task(r, cold_and_warm_task(n, move || one_at_a_time(n))),
        ("W2x", "task") => cold_and_warm(n, || one_at_a_time_from_outside(r, n)),
        ("W3", "spawn") => as_task(r, cold_and_warm_task(n, move || spawn_all_join_all(n))),
        ("W3", "set") => as_task(r, cold_and_warm_task(n, move || fill_and_empty_a_set(n))),
        ("W3b", "own") => as_task(r, cold_and_warm_task(n, move || all_wait_then_wake(n, true))),
        ("W3b", "gate") => as_task(r, cold_and_warm_task(n, move || all_wait_then_wake(n, false))),
        ("W4", "yield") => as_task(r, cold_and_warm_task(2 * n, move || two_yield(n))),
        ("W5", "1") => as_task(r, cold_and_warm_task(n, move || ping_pong(n))),
        ("W6", "1x1-128") => as_task(r, cold_and_warm_task(n, move || throughput(n, 1))),
        ("W6", "4x1-128") => as_task(r, cold_and_warm_task(n, move || throughput(n, 4))),
        ("W13", "select") => as_task(r, cold_and_warm_task(n, move || select_and_send_back(n))),
        ("W8", "spawn") => as_task(r, cold_and_warm_task(forks(n), move || divide(n))),
        ("W10", "sleep") => as_task(r, sleeps(n)),
        ("W9", "own") => as_task(r, bytes_per_waiting(n, true)),
        ("W9", "gate") => as_task(r, bytes_per_waiting(n, false)),
        ("W12", "mutex") => as_task(r, cold_and_warm_task(n, move || count_by_mutex(Arc::new(Mutex::new(0)), n))),
        ("W12c", "mutex-4") => as_task(r, cold_and_warm_task(n, move || mutex_by_four(n))),
        ("W12s", "sem") => as_task(r, cold_and_warm_task(n, move || sem_alone(n))),
        ("W7", "1") => as_task(r, cold_and_warm_task(n, move || calls_by_clients(n, 1))),
        ("W7", "100") => as_task(r, cold_and_warm_task(n, move || calls_by_clients(n, 100))),
        ("W14", "ticks") => as_task(r, ticks(n)),
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
