// SPDX-License-Identifier: MIT

//! The peer Rust std: OS threads, and its own queues between them.

use bench_peers::*;
use std::sync::mpsc::{sync_channel, SyncSender};
use std::thread;

fn one_at_a_time(n: usize) {
    let sum: u64 = (0..n as u64).map(|number| thread::spawn(move || number + 1).join().unwrap()).sum();
    assert_eq!(sum, expected_sum(n));
}

struct Call {
    number: u64,
    answer: SyncSender<u64>,
}

fn ask(mailbox: &SyncSender<Call>, number: u64) -> u64 {
    let (answer, answered) = sync_channel(1);
    mailbox.send(Call { number, answer }).unwrap();
    answered.recv().unwrap()
}

/// An owner serves calls: a request is a number and a channel for its answer.
fn calls_by_clients(n: usize, clients: usize) {
    let (mailbox, calls) = sync_channel::<Call>(32);
    let owner = thread::spawn(move || {
        let mut sum = 0;
        for call in calls {
            sum += call.number;
            let _ = call.answer.send(sum);
        }
    });
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let mailbox = mailbox.clone();
            thread::spawn(move || (0..n / clients).for_each(|_| drop(ask(&mailbox, 1))))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(ask(&mailbox, 0), (n / clients * clients) as u64);
    drop(mailbox);
    owner.join().unwrap();
}

fn main() {
    let request = request();
    match (request.workload.as_str(), request.variant.as_str()) {
        ("W1", "thread") => cold_and_warm(request.n, || one_at_a_time(request.n)),
        ("W7t", "1") => cold_and_warm(request.n, || calls_by_clients(request.n, 1)),
        ("W7t", "100") => cold_and_warm(request.n, || calls_by_clients(request.n, 100)),
        _ => unknown(&request),
    }
}
