#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures haft and its peers side by side, and prints, stores and draws what came out.

A comparison is a number of pairs. In each pair haft and one peer run directly one after the other, each in a new process;
every other pair runs in the opposite order. The ratio is the peer's median divided by haft's, over the same pairs, with a
95 % interval from 2,000 bootstrap resamples of the pairs. An interval that includes 1 is called a tie.

Over 600 lines, because measuring, judging and drawing share what a result is.

Started by run.sh, which has built the programs; HAFT_BUILD says where.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import plot

QUICK_PAIRS = 5
DEFAULT_PAIRS = 30
RESAMPLES = 2000
TIMEOUT_S = 120


# --- What is measured --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One way to do a workload: a contender and one of its variants."""

    contender: str
    variant: str
    workers: tuple = (1, 2)  # with how many workers it can run

    @property
    def label(self):
        return f"{self.contender} {self.variant}"


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    n: int
    ours: tuple
    peers: tuple = ()
    workers: tuple = (1, 2)
    phases: tuple = ("warm",)
    goals: dict = field(default_factory=dict)  # (variant, workers, phase) -> figure that haft is to reach
    goal_by_peer: tuple = ()  # (label of a peer, haft is to take at most this many times its time)
    pairs_at_most: int = 1000
    memory_per_n: int = 0  # bytes: left out where less than n times this is free


def haft(variant, **options):
    return Entry("haft", variant, **options)


def tokio(variant):
    """Tokio's multi-threaded runtime, and with one worker its current-thread runtime too."""
    return (Entry("tokio", variant), Entry("tokio", variant + "-local", workers=(1,)))


WAITING_PEERS = (
    Entry("go", "own"),
    Entry("go", "gate"),
    *tokio("own"),
    *tokio("gate"),
    Entry("boost_fiber", "condition", workers=(1,)),
)
IDLE_TASK_PEERS = (
    Entry("go", "own"),
    Entry("go", "gate"),
    Entry("tokio", "own"),
    Entry("tokio", "gate"),
)

WORKLOADS = (
    Workload(
        "W1",
        "OS thread: spawn and join, one at a time",
        n=2000,
        workers=(1,),
        ours=(haft("thread"),),
        peers=(Entry("pthread", "thread"), Entry("rust_std", "thread")),
        goal_by_peer=("pthread thread", 1.05),
    ),
    Workload(
        "W2",
        "task: spawn and join, one at a time",
        n=500_000,
        ours=(haft("task"),),
        peers=(
            Entry("go", "channel"),
            Entry("go", "WaitGroup"),
            *tokio("task"),
            Entry("rayon", "scope"),
            Entry("tbb", "task_group"),
            Entry("boost_fiber", "fiber", workers=(1,)),
        ),
        goals={("task", 1, "warm"): 60, ("task", 2, "warm"): 65},
    ),
    Workload(
        "W2x",
        "task: spawned and joined by a plain thread, one at a time",
        n=10_000,
        ours=(haft("task"),),
        peers=(Entry("go", "locked"), Entry("tokio", "task")),
        goals={("task", 1, "warm"): 600, ("task", 2, "warm"): 600},
    ),
    Workload(
        "W3",
        "1M empty tasks, then join all",
        n=1_000_000,
        ours=(haft("spawn"), haft("set")),
        peers=(
            Entry("go", "WaitGroup"),
            *tokio("spawn"),
            *tokio("set"),
            Entry("rayon", "scope"),
            Entry("tbb", "task_group"),
        ),
        goals={
            ("spawn", 1, "warm"): 100,
            ("spawn", 2, "warm"): 75,
            ("set", 1, "warm"): 55,
            ("set", 2, "warm"): 75,
        },
    ),
    Workload(
        "W3b",
        "200k tasks all alive and waiting: spawn, wake, join",
        n=200_000,
        ours=(haft("park"),),
        peers=WAITING_PEERS,
        phases=("cold", "warm"),
        goals={("park", w, phase): goal for w in (1, 2) for phase, goal in (("cold", 2200), ("warm", 700))},
        memory_per_n=20_000,
    ),
    Workload(
        "W4",
        "yield between two tasks",
        n=500_000,
        workers=(1,),
        ours=(haft("yield"),),
        peers=(Entry("go", "Gosched"), *tokio("yield"), Entry("boost_fiber", "yield")),
        goals={("yield", 1, "warm"): 16},
    ),
    *(
        Workload(
            "W5",
            f"two tasks talk over two channels of capacity {capacity}, a round trip",
            n=200_000,
            ours=(haft(capacity),),
            peers=peers,
            goals=goals,
        )
        for capacity, peers, goals in (
            ("1", (Entry("go", "1"), *tokio("1")), {("1", 1, "warm"): 85, ("1", 2, "warm"): 100}),
            ("0", (Entry("go", "0"),), {}),
        )
    ),
    *(
        Workload(
            "W5t",
            f"two OS threads talk over two channels of capacity {capacity}, a round trip",
            n=100_000,
            workers=(2,),
            ours=(haft(capacity),),
            peers=(Entry("crossbeam", capacity),),
            goals={(capacity, 2, "warm"): goal},
        )
        for capacity, goal in (("1", 700), ("0", 1200))
    ),
    Workload(
        "W5x",
        "a task and an OS thread talk over two channels of capacity 1, a round trip",
        n=100_000,
        workers=(2,),
        ours=(haft("1"),),
        goals={("1", 2, "warm"): 500},
    ),
    *(
        Workload(
            "W6",
            f"numbers through one channel of capacity 128, {shape} tasks (producers x consumers)",
            n=1_000_000,
            ours=(haft(f"{shape}-128"),),
            peers=(Entry("go", f"{shape}-128"), *(tokio(f"{shape}-128") if shape != "4x4" else ())),
            goals={(f"{shape}-128", 1, "warm"): 20, (f"{shape}-128", 2, "warm"): 35 if shape == "4x4" else 25},
        )
        for shape in ("1x1", "4x1", "4x4")
    ),
    *(
        Workload(
            "W6t",
            f"numbers through one channel, capacity {capacity}, {shape} OS threads (producers x consumers)",
            n=500_000,
            workers=(2,),
            ours=(haft(f"{shape}-{capacity}"),),
            peers=(Entry("crossbeam", f"{shape}-{capacity}"),),
            goals={(f"{shape}-{capacity}", 2, "warm"): goal},
        )
        for capacity, figures in (
            ("128", (20, 45, 45)),
            ("unbounded", (25, 35, 35)),
            ("1", (500, 500, 500)),
            ("0", (800, 600, 500)),
        )
        for shape, goal in zip(("1x1", "4x1", "4x4"), figures)
    ),
    Workload(
        "W13",
        "select over four channels that are ready, and send back",
        n=1_000_000,
        workers=(1,),
        ours=(haft("select"),),
        peers=(Entry("go", "select"), *tokio("select"), Entry("crossbeam", "select")),
        goals={("select", 1, "warm"): 45},
    ),
    Workload(
        "W8",
        "fib(30), divided down to single calls: each of 1.35M forks",
        n=1_346_269,
        ours=(haft("both"), haft("spawn")),
        peers=(
            Entry("rayon", "join"),
            Entry("tbb", "parallel_invoke"),
            *tokio("spawn"),
            Entry("go", "channel"),
        ),
        goals={
            ("both", 1, "warm"): 18.6,  # 25 ms
            ("both", 2, "warm"): 9.7,  # 13 ms
            ("spawn", 1, "warm"): 134,  # 180 ms
            ("spawn", 2, "warm"): 78,  # 105 ms
        },
    ),
    *(
        Workload(
            "W10",
            f"{title} sleeps over one second",
            n=n,
            ours=(haft("sleep"),),
            peers=(Entry("go", "sleep"), *tokio("sleep")),
            phases=("p50", "p99", "end", "cpu"),
            goals=goals,
            pairs_at_most=10,
            memory_per_n=6_000,
        )
        for title, n, goals in (
            (
                "100k",
                100_000,
                {("sleep", w, phase): goal for w in (1, 2) for phase, goal in (("p50", 100), ("p99", 1000), ("cpu", 200))},
            ),
            ("1M", 1_000_000, {("sleep", w, "end"): 2000 for w in (1, 2)}),
        )
    ),
    *(
        Workload(
            "W7",
            f"calls to an actor and its answers, mailbox 32, {clients} client{'s' if clients != '1' else ''}",
            n=200_000,
            ours=(haft(clients),),
            peers=(Entry("go", clients), *tokio(clients)),
            goals=goals,
        )
        for clients, goals in (
            ("1", {("1", 1, "warm"): 105, ("1", 2, "warm"): 120}),
            ("100", {("100", 1, "warm"): 110, ("100", 2, "warm"): 250}),
        )
    ),
    *(
        Workload(
            "W7t",
            f"calls to an actor that is an OS thread, from {clients} OS thread{'s' if clients != '1' else ''}",
            n=100_000,
            workers=(2,),
            ours=(haft(clients),),
            peers=(Entry("rust_std", clients),),
            goals={(clients, 2, "warm"): 3000},
        )
        for clients in ("1", "100")
    ),
    Workload(
        "W14",
        "100k actors are alive, each gets one message a second",
        n=100_000,
        ours=(haft("ticks"),),
        peers=(Entry("go", "ticks"), *tokio("ticks")),
        phases=("alive", "p50", "p99", "end", "cpu"),
        pairs_at_most=5,
        memory_per_n=20_000,
    ),
    Workload(
        "W12",
        "mutex: lock and unlock, nobody else wants it",
        n=2_000_000,
        workers=(1,),
        ours=(haft("mutex"), haft("mutex-thread")),
        peers=(
            Entry("go", "mutex"),
            Entry("tokio", "mutex"),
            Entry("parking_lot", "mutex"),
            Entry("pthread", "mutex"),
        ),
        goals={("mutex", 1, "warm"): 15, ("mutex-thread", 1, "warm"): 15},
    ),
    Workload(
        "W12c",
        "mutex: lock and unlock, four want it",
        n=2_000_000,
        workers=(2,),
        ours=(haft("tasks"), haft("threads"), haft("mixed")),
        peers=(
            Entry("go", "mutex-4"),
            Entry("tokio", "mutex-4"),
            Entry("parking_lot", "mutex-4"),
            Entry("pthread", "mutex-4"),
        ),
        goals={("tasks", 2, "warm"): 40, ("threads", 2, "warm"): 40, ("mixed", 2, "warm"): 40},
    ),
    Workload(
        "W12s",
        "semaphore: acquire and release, nobody else wants it",
        n=2_000_000,
        workers=(1,),
        ours=(haft("sem"), haft("sem-thread")),
        peers=(Entry("tokio", "sem"), Entry("pthread", "sem")),
        goals={("sem", 1, "warm"): 15, ("sem-thread", 1, "warm"): 15},
    ),
    Workload(
        "W9",
        "bytes per idle task, 100k alive",
        n=100_000,
        workers=(1,),
        ours=(haft("park"),),
        peers=IDLE_TASK_PEERS + (Entry("boost_fiber", "condition"),),
        phases=("alive",),
        goals={("park", 1, "alive"): 4400},
        pairs_at_most=5,
        memory_per_n=20_000,
    ),
    Workload(
        "W9",
        "bytes per idle task, 1M alive",
        n=1_000_000,
        workers=(1,),
        ours=(haft("park"),),
        peers=IDLE_TASK_PEERS,
        phases=("alive",),
        goals={("park", 1, "alive"): 4400},
        pairs_at_most=5,
        memory_per_n=6_000,
    ),
    *(
        Workload(
            "IDLE",
            title,
            n=10_000,
            workers=(2,),
            ours=(haft(variant),),
            peers=(Entry("go", variant), Entry("tokio", variant)),
            phases=("idle",),
            goals={(variant, 2, "idle"): 100},  # what the measuring thread itself may take
            pairs_at_most=3,
        )
        for variant, title in (
            ("bare", "CPU that a runtime without tasks uses in a second"),
            ("parked", "CPU that a runtime uses in a second while 10k tasks wait"),
        )
    ),
)

FLOOR = (
    ("locked add", 5_000_000),
    ("clock_gettime", 1_000_000),
    ("malloc + free", 1_000_000),
    ("null system call", 200_000),
    ("first touch of a page", 10_000),
    ("pthread_create + join", 1000),
    ("futex round trip, one core", 5000),
    ("futex round trip, two cores", 3000),
    ("cache line round trip", 200_000),
)

# How a workload's cost grows with n. Cold: the first n operations of a fresh process.
GROWTH_SIZES = tuple(10**power for power in range(7))
GROWTH_PAIRS = 5


@dataclass(frozen=True)
class Growth:
    workload: str
    title: str
    phase: str
    entries: tuple


GROWTH = (
    Growth(
        "W2",
        "n tasks of a fresh runtime, spawned and joined one at a time",
        "cold",
        (haft("task"), Entry("go", "channel"), Entry("tokio", "task")),
    ),
    Growth(
        "W3",
        "n empty tasks, then join all",
        "warm",
        (
            haft("spawn"),
            haft("set"),
            Entry("go", "WaitGroup"),
            Entry("tokio", "spawn"),
            Entry("rayon", "scope"),
            Entry("tbb", "task_group"),
        ),
    ),
    Growth(
        "W8",
        "n leaves, divided down to single calls: each fork",
        "warm",
        (haft("both"), haft("spawn"), Entry("rayon", "join"), Entry("tbb", "parallel_invoke"), Entry("go", "channel")),
    ),
    Growth("W10", "n sleeps over one second: ms of CPU", "cpu", (haft("sleep"), Entry("go", "sleep"), Entry("tokio", "sleep"))),
)

NAMES = ("PHYS",) + tuple(dict.fromkeys(w.name for w in WORKLOADS)) + ("GROWTH", "LOCKED")

# Where the program of a contender lies in the build, and what to install for a peer that is missing.
RUST = "cargo librust-tokio-dev librust-rayon-dev librust-crossbeam-channel-dev librust-parking-lot-dev"
CONTENDERS = {
    "haft": ("bench/haft", None),
    "floor": ("bench/floor", None),
    "pthread": ("bench/pthread", None),
    "tbb": ("bench/tbb", "libtbb-dev g++"),
    "boost_fiber": ("bench/boost_fiber", "libboost-fiber-dev g++"),
    "go": ("bench/peers/go", "golang-go"),
    "rust_std": ("bench/peers/rust_std", RUST),
    "rayon": ("bench/peers/rayon", RUST),
    "crossbeam": ("bench/peers/crossbeam", RUST),
    "tokio": ("bench/peers/tokio", RUST),
    "parking_lot": ("bench/peers/parking_lot", RUST),
}


# --- Measuring ---------------------------------------------------------------------------------------------------------


@dataclass
class Sample:
    value: float
    cpu: float
    peak_kib: float


class Lab:
    """Runs contenders and remembers which of them failed."""

    def __init__(self, build, only=None):
        self.programs = {
            name: build / path
            for name, (path, _) in CONTENDERS.items()
            if not only or name in ("haft", "floor") or name in only
        }
        self.missing = sorted(name for name, program in self.programs.items() if not os.access(program, os.X_OK))
        self.failures = []
        self._failed = set()

    def has(self, entry):
        return entry.contender in self.programs and entry.contender not in self.missing

    def run(self, entry, workload, workers, n):
        """One sample of each phase, by name; none if the program fails, and then it is not tried again."""
        key = (entry, workload, workers, n)
        if key in self._failed:
            return {}
        command = [str(self.programs[entry.contender]), workload, entry.variant, str(workers), str(n)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            problem = None if done.returncode == 0 else f"status {done.returncode}: {done.stderr.strip()[-300:]}"
        except subprocess.TimeoutExpired:
            problem = f"no end after {TIMEOUT_S} s"
        if problem is not None:
            self._failed.add(key)
            self.failures.append(f"{entry.contender} {' '.join(command[1:])}: {problem}")
            print(f"FAILED {self.failures[-1]}", file=sys.stderr)
            return {}
        samples = {}
        for line in done.stdout.splitlines():
            phase, _unit, value, cpu, peak = line.split("\t")
            samples[phase] = Sample(float(value), float(cpu), float(peak))
        return samples


def ratio_with_interval(ours, theirs):
    """Median of theirs / median of ours, and the 95 % interval of that ratio by resampling pairs."""
    chance = random.Random(1)
    pairs = list(zip(ours, theirs))

    def ratio(sample):
        below = statistics.median(a for a, _ in sample)
        return statistics.median(b for _, b in sample) / below if below > 0 else float("inf")

    resampled = sorted(ratio(chance.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    return ratio(pairs), resampled[int(RESAMPLES * 0.025)], resampled[int(RESAMPLES * 0.975) - 1]


def summary(samples):
    values = [s.value for s in samples]
    return {
        "samples": len(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "cpu": statistics.median(s.cpu for s in samples),
        "peak_mib": statistics.median(s.peak_kib for s in samples) / 1024,
        "values": values,
    }


class Comparison:
    """The samples of one workload with one number of workers: all of haft's, and pairs with each peer."""

    def __init__(self, workload, workers):
        self.workload = workload
        self.workers = workers
        self.own = {}  # (ours, phase) -> samples
        self.pairs = {}  # (ours, peer, phase) -> (samples of ours, samples of the peer)

    def add(self, ours, our_samples, peer=None, peer_samples=None):
        for phase in self.workload.phases:
            if phase in our_samples:
                self.own.setdefault((ours, phase), []).append(our_samples[phase])
            if peer is not None and phase in our_samples and phase in peer_samples:
                mine, theirs = self.pairs.setdefault((ours, peer, phase), ([], []))
                mine.append(our_samples[phase])
                theirs.append(peer_samples[phase])

    def add_unpaired(self, peer, peer_samples):
        for phase in self.workload.phases:
            if phase in peer_samples:
                self.own.setdefault((peer, phase), []).append(peer_samples[phase])

    def rows(self):
        for (ours, phase), samples in self.own.items():
            row = {
                "workload": self.workload.name,
                "title": self.workload.title,
                "n": self.workload.n,
                "workers": self.workers,
                "phase": phase,
                "contender": ours.label,
                **summary(samples),
                "peers": [],
            }
            for (mine_entry, peer, peer_phase), (mine, theirs) in self.pairs.items():
                if mine_entry != ours or peer_phase != phase:
                    continue
                ratio, low, high = ratio_with_interval([s.value for s in mine], [s.value for s in theirs])
                row["peers"].append(
                    {"contender": peer.label, **summary(theirs), "ratio": ratio, "ratio_low": low, "ratio_high": high}
                )
            row["peers"].sort(key=lambda peer: peer["median"])
            row["goal"] = self.goal(ours, phase, row)
            yield row

    def goal(self, ours, phase, row):
        """What haft's row is to reach, and whether it does; None where there is no goal."""
        if ours.contender != "haft":
            return None
        if self.workload.goal_by_peer:
            label, times = self.workload.goal_by_peer
            peer = next((peer for peer in row["peers"] if peer["contender"] == label), None)
            return peer and {"text": f"{times} x {label}", "met": peer["ratio"] * times >= 1}
        figure_wanted = self.workload.goals.get((ours.variant, self.workers, phase))
        return figure_wanted and {"text": f"{figure_wanted:,}", "met": row["median"] <= figure_wanted}


def compare(lab, workload, workers, pairs):
    comparison = Comparison(workload, workers)
    ours = [entry for entry in workload.ours if workers in entry.workers]
    peers = [entry for entry in workload.peers if workers in entry.workers and lab.has(entry)]

    def run(entry):
        return lab.run(entry, workload.name, workers, workload.n)

    for pair in range(min(pairs, workload.pairs_at_most)):
        for peer in peers or [None]:
            order = ours + [peer] if peer is not None else ours
            if pair % 2 == 1:
                order = order[::-1]
            samples = {entry: run(entry) for entry in order if lab.has(entry)}
            for entry in ours:
                if entry in samples:
                    comparison.add(entry, samples[entry], peer, samples.get(peer, {}))
                elif peer is not None:
                    comparison.add_unpaired(peer, samples[peer])
    return sorted(comparison.rows(), key=lambda row: workload.phases.index(row["phase"]))


def measure_floor(lab, pairs):
    rows = []
    for name, n in FLOOR:
        entry = Entry("floor", name, workers=(1,))
        samples = [sample["warm"] for sample in (lab.run(entry, "PHYS", 1, n) for _ in range(pairs)) if sample]
        if samples:
            rows.append({"name": name, "n": n, **summary(samples)})
    return rows


def measure_growth(lab, growth, workers, pairs):
    """Curves of time and of peak memory over n, one for each contender."""
    entries = [entry for entry in growth.entries if lab.has(entry)]
    samples = {}
    for n in GROWTH_SIZES:
        for pair in range(min(pairs, GROWTH_PAIRS)):
            for entry in entries if pair % 2 == 0 else entries[::-1]:
                sample = lab.run(entry, growth.workload, workers, n).get(growth.phase)
                if sample is not None:
                    samples.setdefault(entry, {}).setdefault(n, []).append(sample)
    return {
        "workload": growth.workload,
        "title": growth.title,
        "phase": growth.phase,
        "workers": workers,
        "curves": {
            entry.label: {n: summary(of_size) for n, of_size in by_size.items()} for entry, by_size in samples.items()
        },
    }


# --- Reporting ---------------------------------------------------------------------------------------------------------


def figure(value):
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def print_floor(rows):
    print("\nPHYS  what this machine charges, ns: median (min to max)")
    for row in rows:
        print(f"  {row['name']:30} {figure(row['median']):>10}  ({figure(row['min'])} to {figure(row['max'])})")


def verdict(peer):
    interval = f"{peer['ratio']:.2f} [{peer['ratio_low']:.2f}, {peer['ratio_high']:.2f}]"
    return interval + "  tie" if peer["ratio_low"] <= 1 <= peer["ratio_high"] else interval


# Of phases that are no time per operation.
UNITS = {
    "alive": "bytes",
    "idle": "us of CPU",
    "p50": "us late, median",
    "p99": "us late, 99th percentile",
    "end": "ms until the last has ended",
    "cpu": "ms of CPU",
}


def print_rows(rows):
    line = "  {:26} {:>10} {:>21} {:>10} {:>9}  {}"
    last_heading = None
    for row in rows:
        unit = UNITS.get(row["phase"], "ns per operation")
        kind = "" if row["phase"] == "warm" or row["phase"] in UNITS else f", {row['phase']}"
        heading = f"{row['workload']}  {row['title']}; {row['workers']} worker(s){kind}; {unit}"
        if heading != last_heading:
            print("\n" + heading)
            print(line.format("", "median", "min to max", "CPU", "peak MiB", "peer / haft [95 %]"))
        last_heading = heading
        for one in [row] + row["peers"]:
            spread = f"{figure(one['min'])} to {figure(one['max'])}"
            cpu = figure(one["cpu"]) if unit.startswith("ns") else "-"
            last = verdict(one) if "ratio" in one else ""
            if one is row and row["goal"] is not None:
                last = f"goal {row['goal']['text']}: {'met' if row['goal']['met'] else 'not met'}"
            print(line.format(one["contender"], figure(one["median"]), spread, cpu, figure(one["peak_mib"]), last).rstrip())


def print_growth(curves):
    for growth in curves:
        sizes = GROWTH_SIZES
        print(f"\nGROWTH {growth['workload']}  {growth['title']}; {growth['workers']} worker(s); ns per operation, median")
        print("  " + f"{'n':26}" + "".join(f"{size:>12,}" for size in sizes))
        for label, points in growth["curves"].items():
            cells = (figure(points[size]["median"]) if size in points else "-" for size in sizes)
            print("  " + f"{label:26}" + "".join(f"{cell:>12}" for cell in cells))


def print_locked(build):
    """The table of locked instructions in README.md; there is a program for it on x86-64 only."""
    program = build / "bench/locked"
    if not program.exists():
        print("\nLOCKED  left out: not built for this processor")
        return
    print("\nLOCKED  instructions that haft executes, counted one by one")
    sys.stdout.flush()
    subprocess.run([str(program)], timeout=TIMEOUT_S, check=True)


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else None


def cmake_setting(build, name):
    cache = build / "CMakeCache.txt"
    lines = cache.read_text().splitlines() if cache.exists() else []
    return next((line.split("=", 1)[1] for line in lines if line.startswith(name + ":")), None)


def crate_version(build, crate):
    lock = build / "bench/peers/rust/Cargo.lock"
    lines = lock.read_text().splitlines() if lock.exists() else []
    place = next((i for i, line in enumerate(lines) if line == f'name = "{crate}"'), None)
    return None if place is None else lines[place + 1].removeprefix("version = ").strip('"')


def describe_machine(build, lab):
    """What the figures depend on: processor, kernel, compilers, versions of the peers."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), platform.machine())
    compiler = cmake_setting(build, "CMAKE_C_COMPILER") or "cc"
    versions = {
        name: first_line([str(lab.programs[name]), "version"])
        for name in ("haft", "pthread", "go", "tbb", "boost_fiber")
        if name in lab.programs and name not in lab.missing
    }
    rustc = "/usr/bin/rustc" if os.access("/usr/bin/rustc", os.X_OK) else "rustc"
    versions["rust"] = first_line([rustc, "--version"])
    versions["tokio"] = crate_version(build, "tokio")
    versions["rayon"] = crate_version(build, "rayon")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "compiler": first_line([compiler, "--version"]),
        "build": cmake_setting(build, "CMAKE_BUILD_TYPE"),
        "checked": cmake_setting(build, "HAFT_CHECKED"),
        "versions": {name: version for name, version in versions.items() if version is not None},
        "load_before": os.getloadavg()[0],
    }


def print_machine(machine, lab):
    print(f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['date']}")
    print(f"{machine['compiler']}, {machine['build']}, checked {machine['checked']}")
    print(", ".join(f"{name}: {version}" for name, version in machine["versions"].items()))
    if machine["load_before"] > 0.3:
        print(f"Something else is running (load {machine['load_before']:.1f}): the figures will be noisy.")
    for name in lab.missing:
        packages = CONTENDERS[name][1]
        print(f"left out: {name}" + (f" (apt install {packages})" if packages else " (not built)"))


def free_memory():
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def save(path, result):
    """Written after every workload, so that a run which is broken off keeps what it has measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(prog="./run bench", description="Measures haft beside its peers.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"some of {' '.join(NAMES)}; all by default")
    parser.add_argument("--workers", type=int, choices=(1, 2), help="only with this many workers")
    parser.add_argument("--pairs", type=int, default=DEFAULT_PAIRS, help=f"pairs a comparison ({DEFAULT_PAIRS})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs: for trying out, not for publishing")
    parser.add_argument("--only", metavar="PEER", action="append", help="compare with this peer only; may be repeated")
    parser.add_argument("--json", type=Path, help="where to write the figures; plots go beside it")
    parser.add_argument("--peers", action="store_true", help=argparse.SUPPRESS)  # ./run has installed them
    given = parser.parse_args()
    unknown = [name for name in given.workloads if name not in NAMES]
    if unknown or given.pairs < 1:
        parser.error(f"unknown workload {' '.join(unknown)}" if unknown else "at least one pair")
    if given.quick:
        given.pairs = QUICK_PAIRS
    return given


def main():
    given = arguments()
    build = Path(os.environ["HAFT_BUILD"])
    wanted = given.workloads or NAMES
    path = given.json or build.parent / "bench" / time.strftime("%Y-%m-%d-%H%M%S.json")
    lab = Lab(build, given.only)
    machine = describe_machine(build, lab)
    print_machine(machine, lab)
    result = {"machine": machine, "pairs": given.pairs, "floor": [], "rows": [], "growth": [], "failures": lab.failures}

    if "PHYS" in wanted:
        result["floor"] = measure_floor(lab, given.pairs)
        print_floor(result["floor"])
        save(path, result)
    for workload in WORKLOADS:
        if workload.name not in wanted:
            continue
        if free_memory() < workload.memory_per_n * workload.n:
            print(f"\n{workload.name}  {workload.title}: left out, too little memory")
            continue
        for workers in workload.workers:
            if given.workers in (None, workers):
                rows = compare(lab, workload, workers, given.pairs)
                result["rows"] += rows
                print_rows(rows)
                save(path, result)
    if "GROWTH" in wanted:
        for growth in GROWTH:
            for workers in (1, 2):
                if given.workers in (None, workers):
                    curves = measure_growth(lab, growth, workers, given.pairs)
                    result["growth"].append(curves)
                    print_growth([curves])
                    save(path, result)
                    plot.growth(path.with_suffix(""), curves)
    if "LOCKED" in wanted:
        print_locked(build)
    machine["load_after"] = os.getloadavg()[0]
    save(path, result)
    print(f"\nfigures: {os.path.relpath(path)}")
    for failure in lab.failures:
        print(f"FAILED {failure}")
    return 1 if lab.failures else 0


if __name__ == "__main__":
    sys.exit(main())
