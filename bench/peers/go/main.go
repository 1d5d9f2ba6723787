// SPDX-License-Identifier: MIT

// The peer Go: goroutines. Arguments and output are those of sample.h.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	warmOperations = 200000
	warmTime       = 200 * time.Millisecond
	slowTime       = 10 * time.Millisecond
)

func check(ok bool) {
	if !ok {
		fmt.Fprintln(os.Stderr, "wrong result")
		os.Exit(1)
	}
}

func statusKiB(key string) float64 {
	file, err := os.Open("/proc/self/status")
	check(err == nil)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), key) {
			kib, err := strconv.ParseFloat(strings.Fields(lines.Text())[1], 64)
			check(err == nil)
			return kib
		}
	}
	check(false)
	return 0
}

func cpuNanoseconds() float64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil)
	return float64(used.Utime.Nano() + used.Stime.Nano())
}

func report(phase, unit string, value, cpu float64) {
	fmt.Printf("%s\t%s\t%.3f\t%.3f\t%.0f\n", phase, unit, value, cpu, statusKiB("VmHWM:"))
}

func timed(phase string, operations int, work func()) time.Duration {
	cpu, wall := cpuNanoseconds(), time.Now()
	work()
	took := time.Since(wall)
	elapsed := float64(took.Nanoseconds())
	report(phase, "ns", elapsed/float64(operations), (cpuNanoseconds()-cpu)/float64(operations))
	return took
}

func coldAndWarm(n, operations int, work func(n int)) {
	cold := timed("cold", operations, func() { work(n) })
	repetitions := 1
	if operations < warmOperations {
		repetitions = warmOperations / operations
	}
	if cold > slowTime && time.Duration(repetitions)*cold > warmTime {
		repetitions = 1
		if cold < warmTime {
			repetitions = int(warmTime / cold)
		}
	}
	timed("warm", operations*repetitions, func() {
		for i := 0; i < repetitions; i++ {
			work(n)
		}
	})
}

func expectedSum(n int) uint64 { return uint64(n) * (uint64(n) + 1) / 2 }

func sum(numbers []uint64) uint64 {
	total := uint64(0)
	for _, number := range numbers {
		total += number
	}
	return total
}

// One goroutine at a time that sends its result to its joiner.
func oneAtATimeByChannel(n int) {
	results := make(chan uint64)
	total := uint64(0)
	for i := 0; i < n; i++ {
		number := uint64(i)
		go func() { results <- number + 1 }()
		total += <-results
	}
	check(total == expectedSum(n))
}

// The same with a WaitGroup and a shared variable.
func oneAtATimeByWaitGroup(n int) {
	var group sync.WaitGroup
	total := uint64(0)
	for i := 0; i < n; i++ {
		number := uint64(i)
		group.Add(1)
		go func() {
			number++
			group.Done()
		}()
		group.Wait()
		total += number
	}
	check(total == expectedSum(n))
}

func spawnAllJoinAll(n int) {
	var group sync.WaitGroup
	numbers := make([]uint64, n)
	group.Add(n)
	for i := 0; i < n; i++ {
		i := i
		go func() {
			numbers[i] = uint64(i) + 1
			group.Done()
		}()
	}
	group.Wait()
	check(sum(numbers) == expectedSum(n))
}

// Starts n goroutines that wait, each at a channel of its own or all at one, and returns what wakes and joins them.
func spawnWaiting(n int, ownChannels bool) func() {
	var begun atomic.Int64
	var group sync.WaitGroup
	numbers := make([]uint64, n)
	gates := make([]chan struct{}, 1)
	if ownChannels {
		gates = make([]chan struct{}, n)
	}
	for i := range gates {
		gates[i] = make(chan struct{})
	}
	group.Add(n)
	for i := 0; i < n; i++ {
		i, gate := i, gates[i%len(gates)]
		go func() {
			begun.Add(1)
			<-gate
			numbers[i] = uint64(i) + 1
			group.Done()
		}()
	}
	for begun.Load() < int64(n) {
		runtime.Gosched()
	}
	return func() {
		for _, gate := range gates {
			close(gate)
		}
		group.Wait()
		check(sum(numbers) == expectedSum(n))
	}
}

func bytesPerWaiting(n int, ownChannels bool) {
	before := statusKiB("VmRSS:")
	wake := spawnWaiting(n, ownChannels)
	report("alive", "bytes", (statusKiB("VmRSS:")-before)*1024/float64(n), 0)
	wake()
}

func twoYield(n int) {
	var group sync.WaitGroup
	var turns [2]int
	group.Add(2)
	for k := range turns {
		k := k
		go func() {
			for i := 0; i < n; i++ {
				runtime.Gosched()
				turns[k]++
			}
			group.Done()
		}()
	}
	group.Wait()
	check(turns[0] == n && turns[1] == n)
}

// Two goroutines that send a number to and fro over two channels.
func pingPong(n, capacity int) {
	there, back := make(chan uint64, capacity), make(chan uint64, capacity)
	go func() {
		for number := range there {
			back <- number
		}
	}()
	total := uint64(0)
	for i := 0; i < n; i++ {
		there <- uint64(i) + 1
		total += <-back
	}
	close(there)
	check(total == expectedSum(n))
}

// Numbers through one channel; the variant is "4x1-128" for four producers, one consumer, capacity 128.
func throughput(n int, variant string) {
	var producers, consumers, capacity int
	_, err := fmt.Sscanf(variant, "%dx%d-%d", &producers, &consumers, &capacity)
	check(err == nil)
	numbers, sums := make(chan uint64, capacity), make(chan uint64, consumers)
	var group sync.WaitGroup
	group.Add(producers)
	for i := 0; i < producers; i++ {
		first, last := n*i/producers+1, n*(i+1)/producers
		go func() {
			for number := first; number <= last; number++ {
				numbers <- uint64(number)
			}
			group.Done()
		}()
	}
	for i := 0; i < consumers; i++ {
		go func() {
			total := uint64(0)
			for number := range numbers {
				total += number
			}
			sums <- total
		}()
	}
	group.Wait()
	close(numbers)
	total := uint64(0)
	for i := 0; i < consumers; i++ {
		total += <-sums
	}
	check(total == expectedSum(n))
}

func selectAndSendBack(n int) {
	var c [4]chan uint64
	for i := range c {
		c[i] = make(chan uint64, 1)
		c[i] <- 1
	}
	total := uint64(0)
	for i := 0; i < n; i++ {
		select {
		case number := <-c[0]:
			c[0] <- number
			total += number
		case number := <-c[1]:
			c[1] <- number
			total += number
		case number := <-c[2]:
			c[2] <- number
			total += number
		case number := <-c[3]:
			c[3] <- number
			total += number
		}
	}
	check(total == uint64(n))
}

// fib(n), and the n whose recursion has so many leaves, or a few less: as sample_fib and sample_fib_of.
func fib(n int) uint64 {
	a, b := uint64(0), uint64(1)
	for i := 0; i < n; i++ {
		a, b = b, a+b
	}
	return a
}

func fibOf(leaves int) int {
	n := 1
	for fib(n+2) <= uint64(leaves) {
		n++
	}
	return n
}

// A goroutine for the left side of every fork.
func fibByGo(n int) uint64 {
	if n < 2 {
		return uint64(n)
	}
	left := make(chan uint64, 1)
	go func() { left <- fibByGo(n - 1) }()
	right := fibByGo(n - 2)
	return <-left + right
}

func forks(leaves int) int {
	if n := int(fib(fibOf(leaves)+1)) - 1; n > 0 {
		return n
	}
	return 1
}

// Draws the same sleeps as sample_sleep.
func sleeps(n int) {
	cpu, start := cpuNanoseconds(), time.Now()
	dice := uint64(88172645463325252)
	late := make([]float64, n)
	var group sync.WaitGroup
	group.Add(n)
	for i := 0; i < n; i++ {
		dice ^= dice << 13
		dice ^= dice >> 7
		dice ^= dice << 17
		i, duration := i, time.Duration(dice%1000000)*time.Microsecond
		go func() {
			begun := time.Now()
			time.Sleep(duration)
			late[i] = float64(time.Since(begun) - duration)
			group.Done()
		}()
	}
	group.Wait()
	elapsed, used := float64(time.Since(start).Nanoseconds()), cpuNanoseconds()-cpu
	sort.Float64s(late)
	check(late[0] >= 0)
	report("p50", "us", late[(n-1)/2]/1e3, 0)
	report("p99", "us", late[int(float64(n-1)*0.99)]/1e3, 0)
	report("end", "ms", elapsed/1e6, 0)
	report("cpu", "ms", used/1e6, 0)
}

func idleSecond() {
	time.Sleep(100 * time.Millisecond)
	before := cpuNanoseconds()
	time.Sleep(time.Second)
	report("idle", "us/s", (cpuNanoseconds()-before)/1e3, 0)
}

var mutex sync.Mutex
var counted int

func countByMutex(n int) {
	for i := 0; i < n; i++ {
		mutex.Lock()
		counted++
		mutex.Unlock()
	}
}

func mutexByFour(n int) {
	var group sync.WaitGroup
	counted = 0
	group.Add(4)
	for k := 0; k < 4; k++ {
		go func() {
			countByMutex(n / 4)
			group.Done()
		}()
	}
	group.Wait()
	check(counted == n/4*4)
}

// An owner serves calls: a request is a number and the channel for its answer.
type call struct {
	number uint64
	answer chan uint64
}

func callsByClients(n, clients int) {
	mailbox := make(chan call, 32)
	go func() {
		sum := uint64(0)
		for c := range mailbox {
			sum += c.number
			c.answer <- sum
		}
	}()
	var group sync.WaitGroup
	group.Add(clients)
	for i := 0; i < clients; i++ {
		go func() {
			answer := make(chan uint64, 1)
			for turn := 0; turn < n/clients; turn++ {
				mailbox <- call{1, answer}
				<-answer
			}
			group.Done()
		}()
	}
	group.Wait()
	answer := make(chan uint64, 1)
	mailbox <- call{0, answer}
	check(<-answer == uint64(n/clients*clients))
	close(mailbox)
}

type tick struct {
	due  time.Time
	late *float64 // nil: nobody asks
}

// Many owners are alive, and each gets a message a second: a thousandth of them every millisecond.
func ticks(n int) {
	const batches = 1000
	mailboxes := make([]chan tick, n)
	late := make([]float64, n)
	var served, counted int64
	var group sync.WaitGroup
	group.Add(n)
	runtime.GC()
	before := statusKiB("VmRSS")
	for i := range mailboxes {
		mailbox := make(chan tick, 32)
		mailboxes[i] = mailbox
		go func() {
			count := int64(0)
			for t := range mailbox {
				count++
				if t.late != nil {
					*t.late = float64(time.Since(t.due))
				}
				atomic.AddInt64(&served, 1)
			}
			atomic.AddInt64(&counted, count)
			group.Done()
		}()
	}
	second := func(measured bool, all int64) {
		start := time.Now()
		for batch := 0; batch < batches; batch++ {
			due := start.Add(time.Duration(batch) * time.Millisecond)
			time.Sleep(time.Until(due))
			for i := batch * n / batches; i < (batch+1)*n/batches; i++ {
				t := tick{due: due}
				if measured {
					t.late = &late[i]
				}
				mailboxes[i] <- t
			}
		}
		for atomic.LoadInt64(&served) < all {
			time.Sleep(time.Millisecond)
		}
	}
	second(false, int64(n))
	report("alive", "bytes", (statusKiB("VmRSS")-before)*1024/float64(n), 0)
	cpu, start := cpuNanoseconds(), time.Now()
	second(true, 2*int64(n))
	elapsed, used := float64(time.Since(start).Nanoseconds()), cpuNanoseconds()-cpu
	sort.Float64s(late)
	report("p50", "us", late[(n-1)/2]/1e3, 0)
	report("p99", "us", late[int(float64(n-1)*0.99)]/1e3, 0)
	report("end", "ms", elapsed/1e6, 0)
	report("cpu", "ms", used/1e6, 0)
	for _, mailbox := range mailboxes {
		close(mailbox)
	}
	group.Wait()
	check(counted == 2*int64(n))
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(runtime.Version())
		return
	}
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: go-peer WORKLOAD VARIANT WORKERS N")
		os.Exit(2)
	}
	workers, err1 := strconv.Atoi(os.Args[3])
	n, err2 := strconv.Atoi(os.Args[4])
	check(err1 == nil && err2 == nil && workers > 0 && n > 0)
	runtime.GOMAXPROCS(workers)

	switch os.Args[1] {
	case "W5":
		capacity, err := strconv.Atoi(os.Args[2])
		check(err == nil)
		coldAndWarm(n, n, func(n int) { pingPong(n, capacity) })
		return
	case "W6":
		coldAndWarm(n, n, func(n int) { throughput(n, os.Args[2]) })
		return
	}
	switch os.Args[1] + " " + os.Args[2] {
	case "W13 select":
		coldAndWarm(n, n, selectAndSendBack)
	case "W2 channel":
		coldAndWarm(n, n, oneAtATimeByChannel)
	case "W2 WaitGroup":
		coldAndWarm(n, n, oneAtATimeByWaitGroup)
	case "W2x locked":
		// A goroutine locked to its thread is as near as Go comes to a plain thread; it is not one of the workers.
		runtime.GOMAXPROCS(workers + 1)
		runtime.LockOSThread()
		coldAndWarm(n, n, oneAtATimeByChannel)
	case "W3 WaitGroup":
		coldAndWarm(n, n, spawnAllJoinAll)
	case "W3b own":
		coldAndWarm(n, n, func(n int) { spawnWaiting(n, true)() })
	case "W3b gate":
		coldAndWarm(n, n, func(n int) { spawnWaiting(n, false)() })
	case "W4 Gosched":
		coldAndWarm(n, 2*n, twoYield)
	case "W8 channel":
		coldAndWarm(n, forks(n), func(n int) {
			k := fibOf(n)
			check(fibByGo(k) == fib(k))
		})
	case "W10 sleep":
		sleeps(n)
	case "W12 mutex":
		coldAndWarm(n, n, countByMutex)
	case "W12c mutex-4":
		coldAndWarm(n, n, mutexByFour)
	case "W7 1":
		coldAndWarm(n, n, func(n int) { callsByClients(n, 1) })
	case "W7 100":
		coldAndWarm(n, n, func(n int) { callsByClients(n, 100) })
	case "W14 ticks":
		ticks(n)
	case "W9 own":
		bytesPerWaiting(n, true)
	case "W9 gate":
		bytesPerWaiting(n, false)
	case "IDLE bare":
		oneAtATimeByChannel(n)
		idleSecond()
	case "IDLE parked":
		wake := spawnWaiting(n, true)
		idleSecond()
		wake()
	default:
		fmt.Fprintln(os.Stderr, "Go has no workload", os.Args[1], os.Args[2])
		os.Exit(2)
	}
}
