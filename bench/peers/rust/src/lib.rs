// SPDX-License-Identifier: MIT

//! What the peers in Rust share. Arguments and output are those of sample.h.

use std::time::Instant;

const WARM_OPERATIONS: usize = 200_000;
const WARM_NS: f64 = 2e8;
const SLOW_NS: f64 = 1e7;

pub struct Request {
    pub workload: String,
    pub variant: String,
    pub workers: usize,
    pub n: usize,
}

/// Reads the command line; ends the process if it makes no sense.
pub fn request() -> Request {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments[i].parse().expect("a number");
    if arguments.len() != 4 {
        eprintln!("usage: WORKLOAD VARIANT WORKERS N");
        std::process::exit(2);
    }
    Request { workload: arguments[0].clone(), variant: arguments[1].clone(), workers: number(2), n: number(3) }
}

pub fn unknown(request: &Request) -> ! {
    eprintln!("no workload {} {}", request.workload, request.variant);
    std::process::exit(2);
}

fn status_kib(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub fn resident_bytes() -> f64 {
    status_kib("VmRSS:") * 1024.0
}

fn cpu_nanoseconds() -> f64 {
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut used), 0);
        used
    };
    let nanoseconds = |t: libc::timeval| t.tv_sec as f64 * 1e9 + t.tv_usec as f64 * 1e3;
    nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime)
}

fn print(phase: &str, unit: &str, value: f64, cpu: f64) {
    println!("{}\t{}\t{:.3}\t{:.3}\t{:.0}", phase, unit, value, cpu, status_kib("VmHWM:"));
}

pub fn report(phase: &str, unit: &str, value: f64) {
    print(phase, unit, value, 0.0);
}

/// A moment: wall clock, and the CPU time that this process has used.
pub struct Moment {
    wall: Instant,
    cpu: f64,
}

impl Moment {
    pub fn now() -> Moment {
        Moment { cpu: cpu_nanoseconds(), wall: Instant::now() }
    }

    pub fn elapsed_ns(&self) -> f64 {
        self.wall.elapsed().as_nanos() as f64
    }

    /// Reports the time since then, divided by the number of operations.
    pub fn report(self, phase: &str, operations: usize) {
        let elapsed = self.wall.elapsed().as_nanos() as f64;
        print(phase, "ns", elapsed / operations as f64, (cpu_nanoseconds() - self.cpu) / operations as f64);
    }
}

/// How often warm work is repeated: once, or for few operations as often as gives at least 200,000, but if once took more
/// than 10 ms no more often than takes a fifth of a second.
pub fn repetitions(operations: usize, cold_ns: f64) -> usize {
    let wanted = (WARM_OPERATIONS / operations).max(1);
    if cold_ns > SLOW_NS {
        wanted.min((WARM_NS / cold_ns) as usize).max(1)
    } else {
        wanted
    }
}

pub fn cold_and_warm(operations: usize, mut work: impl FnMut()) {
    let start = Moment::now();
    work();
    let repetitions = repetitions(operations, start.elapsed_ns());
    start.report("cold", operations);
    let start = Moment::now();
    for _ in 0..repetitions {
        work();
    }
    start.report("warm", operations * repetitions);
}

/// Sleeps one second, after a tenth to settle, and reports the CPU microseconds used in it.
pub fn idle_second() {
    std::thread::sleep(std::time::Duration::from_millis(100));
    let before = cpu_nanoseconds();
    std::thread::sleep(std::time::Duration::from_secs(1));
    report("idle", "us/s", (cpu_nanoseconds() - before) / 1e3);
}

/// fib(n), and the n whose recursion has so many leaves, or a few less: as sample_fib and sample_fib_of.
pub fn fib(n: u32) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

pub fn fib_of(leaves: usize) -> u32 {
    (1..).find(|n| fib(n + 2) > leaves as u64).unwrap()
}

pub fn forks(leaves: usize) -> usize {
    (fib(fib_of(leaves) + 1) as usize - 1).max(1)
}

/// Draws the same sleeps as sample_sleep.
pub fn draw_sleep(dice: &mut u64) -> std::time::Duration {
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    std::time::Duration::from_micros(*dice % 1_000_000)
}
pub const SLEEP_SEED: u64 = 88172645463325252;

impl Moment {
    /// Milliseconds since then, and those of CPU time.
    pub fn spent(self) -> (f64, f64) {
        (self.wall.elapsed().as_secs_f64() * 1e3, (cpu_nanoseconds() - self.cpu) / 1e6)
    }
}

/// Reports how late sleeps or messages were, in nanoseconds, when the last was, and the CPU time of all.
pub fn report_lateness((wall, cpu): (f64, f64), mut late: Vec<f64>) {
    late.sort_by(|a, b| a.partial_cmp(b).unwrap());
    report("p50", "us", late[(late.len() - 1) / 2] / 1e3);
    report("p99", "us", late[((late.len() - 1) as f64 * 0.99) as usize] / 1e3);
    report("end", "ms", wall);
    report("cpu", "ms", cpu);
}

pub fn expected_sum(n: usize) -> u64 {
    n as u64 * (n as u64 + 1) / 2
}
