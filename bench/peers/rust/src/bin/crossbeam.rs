// SPDX-License-Identifier: MIT

//! The peer crossbeam-channel: OS threads that share channels. A variant is the capacity, for W6t with the shape before it:
//! "4x1-128" is four producers, one consumer, capacity 128; "unbounded" is one, too.

use bench_peers::*;
use crossbeam_channel::{bounded, select, unbounded, Receiver, Sender};
use std::thread;

fn channel(capacity: &str) -> (Sender<u64>, Receiver<u64>) {
    match capacity {
        "unbounded" => unbounded(),
        _ => bounded(capacity.parse().unwrap()),
    }
}

fn ping_pong(n: usize, capacity: &str) {
    let (there, received) = channel(capacity);
    let (answers, back) = channel(capacity);
    let echo = thread::spawn(move || received.iter().for_each(|number| answers.send(number).unwrap()));
    let mut sum = 0;
    for number in 1..=n as u64 {
        there.send(number).unwrap();
        sum += back.recv().unwrap();
    }
    drop(there);
    echo.join().unwrap();
    assert_eq!(sum, expected_sum(n));
}

fn throughput(n: usize, variant: &str) {
    let (shape, capacity) = variant.split_once('-').unwrap();
    let (producers, consumers) = shape.split_once('x').unwrap();
    let (producers, consumers): (usize, usize) = (producers.parse().unwrap(), consumers.parse().unwrap());
    let (sender, receiver) = channel(capacity);
    for i in 0..producers {
        let sender = sender.clone();
        thread::spawn(move || {
            (n * i / producers + 1..=n * (i + 1) / producers).for_each(|number| sender.send(number as u64).unwrap())
        });
    }
    drop(sender);
    let others: Vec<_> = (1..consumers)
        .map(|_| {
            let receiver = receiver.clone();
            thread::spawn(move || receiver.iter().sum::<u64>())
        })
        .collect();
    let mine: u64 = receiver.iter().sum();
    assert_eq!(mine + others.into_iter().map(|other| other.join().unwrap()).sum::<u64>(), expected_sum(n));
}

fn select_and_send_back(n: usize) {
    let c: Vec<_> = (0..4).map(|_| bounded(1)).collect();
    for (sender, _) in &c {
        sender.send(1u64).unwrap();
    }
    let mut sum = 0;
    for _ in 0..n {
        let (i, number) = select! {
            recv(c[0].1) -> number => (0, number.unwrap()),
            recv(c[1].1) -> number => (1, number.unwrap()),
            recv(c[2].1) -> number => (2, number.unwrap()),
            recv(c[3].1) -> number => (3, number.unwrap()),
        };
        c[i].0.send(number).unwrap();
        sum += number;
    }
    assert_eq!(sum, n as u64);
}

fn main() {
    let request = request();
    let n = request.n;
    match request.workload.as_str() {
        "W5t" => cold_and_warm(n, || ping_pong(n, &request.variant)),
        "W6t" => cold_and_warm(n, || throughput(n, &request.variant)),
        "W13" => cold_and_warm(n, || select_and_send_back(n)),
        _ => unknown(&request),
    }
}
