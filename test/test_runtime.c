/* SPDX-License-Identifier: MIT
 *
 * Runtimes: their beginning and end, several at once, and that the workers serve everybody. Over 600 lines, because
 * the same bodies find a runtime in each state of its life. */
#include <haft/haft.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callers.h"

/* --- haft_run ----------------------------------------------------------------------------------------------------- */

struct frame {
    int in;
    int out;
};

static int doubles(struct frame *f)
{
    f->out = 2 * f->in;
    return -f->in;
}

TEST("haft_run gives the frame back as the body left it and returns the body's code, with one to four workers")
{
    for (unsigned workers = 0; workers <= 4; workers++) {
        struct frame f = { .in = 21 };
        check_int(haft_run(doubles, &f, .workers = workers), ==, -21);
        check_int(f.out, ==, 42);
    }
    struct frame f = { .in = 4 };
    check_int(haft_run(doubles, &f), ==, -4);
    check_int(f.out, ==, 8);
    check_int(haft_run(return_nothing), ==, 0);
    check_int(haft_run(return_nothing, HAFT_NO_FRAME, .workers = 2), ==, 0);
}

static int panics_with_a_frame(struct frame *f)
{
    f->out = 5;
    haft_panic("main");
}

TEST("a panic of the main body is haft_run's code, and the frame is back")
{
    silence_panics();
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct frame f = { .in = 1 };
        check_int(haft_run(panics_with_a_frame, &f, .workers = workers), ==, HAFT_EPANIC);
        check_int(f.out, ==, 5);
    }
}

struct too_aligned {
    _Alignas(128) unsigned char bytes[128];
};

static int never_runs(struct too_aligned *f)
{
    (void)f;
    fail("a frame aligned to 128 was accepted");
}

TEST("haft_run refuses a frame aligned to 128")
{
    struct too_aligned f = { .bytes = { 0 } };
    check_int(haft_run(never_runs, &f, .workers = 1), ==, HAFT_EINVAL);
}

TEST("the main body has 64 KiB of stack, and more when haft_run is asked for it, however many workers there are")
{
    if (test_slowness() > 1)
        skip("the compiler's checks make stack frames larger");
    for (unsigned workers = 1; workers <= 2; workers++) {
        check_int(haft_run(uses_stack, (&(size_t){ (size_t)48 << 10 }), .workers = workers), ==, 0);
        size_t use = (size_t)3 << 20;
        check_int(haft_run(uses_stack, &use, .workers = workers, .stack_size = (size_t)4 << 20), ==, 0);
    }
}

TEST("a main body for which no machine has the stack is an error of haft_run, and its frame is as it was")
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct frame f = { .in = 3 };
        int rc = haft_run(doubles, &f, .workers = workers, .stack_size = (size_t)1 << 56);
        check_msg(rc == HAFT_ENOMEM || rc == HAFT_EINVAL, "%s", haft_errname(rc));
        rc = haft_run(doubles, &f, .workers = workers, .stack_size = (size_t)1 << 46);
        check_msg(rc == HAFT_ENOMEM || rc == HAFT_EINVAL, "%s", haft_errname(rc));
        check_int(f.out, ==, 0);
    }
}

static int runs_within(void)
{
    return haft_run(return_nothing, HAFT_NO_FRAME, .workers = 1) == HAFT_EDEADLK ? 7 : -1;
}

TEST("a task may not run a runtime inside its own worker")
{
    check_int(haft_run(runs_within, HAFT_NO_FRAME, .workers = 1), ==, 7);
    haft_handle h = haft_spawn(runs_within);
    check_int(haft_join(&h), ==, 7);
}

static int runs_its_own(const unsigned *workers)
{
    struct frame f = { .in = 3 };
    return haft_run(doubles, &f, .workers = *workers) == -3 && f.out == 6 ? 0 : -1;
}

TEST("a thread and a call on the pool may run a runtime of their own, many at once")
{
    enum { N = 12 };
    haft_handle hs[N];
    for (unsigned i = 0; i < N; i++) {
        unsigned workers = 1 + i % 3;
        hs[i] = haft_spawn(runs_its_own, &workers, .kind = i % 2 == 0 ? HAFT_THREAD : HAFT_BLOCKING);
    }
    int rcs[N];
    check_int(haft_join_all(hs, N, rcs), ==, 0);
    for (unsigned i = 0; i < N; i++)
        check_int(rcs[i], ==, 0);
}

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

static int runs_here(const int *caller)
{
    return thread_id() == *caller ? 0 : -1;
}

TEST("the calling thread is haft_run's only worker when one is asked for")
{
    int caller = thread_id();
    check_int(haft_run(runs_here, &caller, .workers = 1), ==, 0);
}

TEST("runtimes begin and end many times over and leave nothing")
{
    size_t n = rounds(200, 5000);
    for (size_t i = 0; i < n; i++) {
        struct frame f = { .in = 1 };
        check_int(haft_run(doubles, &f, .workers = 1 + (unsigned)(i % 3)), ==, -1);
    }
    test_leak_check();
}

/* --- the end of a runtime ----------------------------------------------------------------------------------------- */

struct counted {
    _Atomic int *started, *ended, *drops;
};

static void drop_counted(void *object)
{
    atomic_fetch_add(((struct counted *)object)->drops, 1);
}

static void notes_its_end(struct counted *f)
{
    HAFT_SHIELD;
    for (int i = 0; i < 3; i++)
        (void)haft_yield();
    atomic_fetch_add(f->ended, 1);
}

static int waits_for_ever(struct counted *f)
{
    HAFT_DEFER(notes_its_end, f);
    atomic_fetch_add(f->started, 1);
    return haft_park();
}

struct leaves {
    struct counted counted;
    haft_kind kind;
    bool detach;
    haft_handle left[3];
};

static int leaves_jobs(struct leaves *f)
{
    for (int i = 0; i < 3; i++) {
        f->left[i] = haft_spawn(waits_for_ever, &f->counted, .kind = f->kind, .drop = drop_counted);
        check_int(haft_error(f->left[i]), ==, 0);
    }
    until(atomic_load(f->counted.started) == 3);
    if (f->detach)
        for (int i = 0; i < 3; i++)
            check_int(haft_detach(&f->left[i]), ==, 0);
    return 9;
}

TEST("jobs that still run when the main body has returned are aborted and waited for")
{
    for_each_kind(kind)
        for (unsigned workers = 1; workers <= 3; workers++) {
            _Atomic int started = 0, ended = 0, drops = 0;
            struct leaves f = { .counted = { &started, &ended, &drops }, .kind = kind };
            check_int(haft_run(leaves_jobs, &f, .workers = workers), ==, 9);
            check_int(atomic_load(&ended), ==, 3);
            check_int(atomic_load(&drops), ==, 0);
            for (int i = 0; i < 3; i++) {
                check(haft_is_finished(f.left[i]));
                check_int(haft_join(&f.left[i]), ==, HAFT_EABORTED);
            }
            check_int(atomic_load(&drops), ==, 3);
        }
}

TEST("detached jobs end with their runtime too, and their frames are dropped once")
{
    for_each_kind(kind)
        for (unsigned workers = 1; workers <= 3; workers++) {
            _Atomic int started = 0, ended = 0, drops = 0;
            struct leaves f = { .counted = { &started, &ended, &drops }, .kind = kind, .detach = true };
            check_int(haft_run(leaves_jobs, &f, .workers = workers), ==, 9);
            check_int(atomic_load(&ended), ==, 3);
            check_int(atomic_load(&drops), ==, 3);
        }
}

static int takes_a_while(struct counted *f)
{
    atomic_fetch_add(f->started, 1);
    for (int i = 0; i < 300; i++) {
        int rc = i % 100 == 99 ? haft_sleep(HAFT_MS) : haft_yield();
        if (rc != 0)
            return rc;
    }
    atomic_fetch_add(f->ended, 1);
    return 0;
}

static int leaves_jobs_that_end(struct leaves *f)
{
    for (int i = 0; i < 3; i++)
        f->left[i] = haft_spawn(takes_a_while, &f->counted, .kind = f->kind);
    return 0;
}

TEST("jobs that end by themselves within the grace are not aborted")
{
    for_each_kind(kind) {
        _Atomic int started = 0, ended = 0, drops = 0;
        struct leaves f = { .counted = { &started, &ended, &drops }, .kind = kind };
        check_int(haft_run(leaves_jobs_that_end, &f, .workers = 2, .grace = 1000 * HAFT_S), ==, 0);
        check_int(atomic_load(&ended), ==, 3);
        for (int i = 0; i < 3; i++)
            check_int(haft_join(&f.left[i]), ==, 0);
    }
}

struct late {
    _Atomic int *parked;
    int error;
    int joined;
};

static int spawns_when_told_to_end(struct late *f)
{
    atomic_store(f->parked, 1);
    check_int(haft_park(), ==, HAFT_ECANCELED);
    haft_handle h = haft_spawn(return_nothing);
    f->error = haft_error(h);
    f->joined = haft_join(&h);
    return 0;
}

struct leaves_one {
    haft_handle left;
    haft_kind kind;
    _Atomic int *parked;
};

static int leaves_one_that_spawns(struct leaves_one *f)
{
    struct late late = { .parked = f->parked };
    f->left = haft_spawn(spawns_when_told_to_end, &late, .kind = f->kind);
    until(atomic_load(f->parked));
    return 0;
}

TEST("a runtime that is ending accepts no new jobs")
{
    for_each_kind(kind)
        for (unsigned workers = 1; workers <= 2; workers++) {
            _Atomic int parked = 0;
            struct leaves_one f = { .kind = kind, .parked = &parked };
            check_int(haft_run(leaves_one_that_spawns, &f, .workers = workers), ==, 0);
            struct late late;
            check_int(haft_join(&f.left, &late), ==, HAFT_EABORTED);
            check_int(late.error, ==, HAFT_ESHUTDOWN);
            check_int(late.joined, ==, HAFT_ESHUTDOWN);
        }
}

static int leaves_a_crowd(const unsigned *n)
{
    for (unsigned i = 0; i < *n; i++) {
        haft_handle h = i % 3 == 0 ? haft_spawn(wait_for_token) : haft_spawn(return_nothing);
        check_int(haft_detach(&h), ==, 0);
    }
    return 0;
}

TEST("a runtime ends with thousands of jobs alive, started and not")
{
    unsigned n = (unsigned)rounds(20000, 100000);
    for (unsigned workers = 1; workers <= 3; workers++)
        check_int(haft_run(leaves_a_crowd, &n, .workers = workers), ==, 0);
}

TEST_EXITS("the end of the process does not wait for jobs", TEST_STATUS(5), "going")
{
    haft_handle h = haft_spawn(wait_for_token);
    haft_handle t = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    check_int(haft_error(h), ==, 0);
    check_int(haft_error(t), ==, 0);
    fprintf(stderr, "going\n");
    exit(5);
}

/* --- runtimes by name --------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("jobs are put on a runtime by its name, from anywhere, and joined from anywhere")
{
    haft_runtime *one = haft_runtime_new(.workers = 1), *two = haft_runtime_new(.workers = 2);
    check_ptr(one, !=, NULL);
    check_ptr(two, !=, NULL);
    for_each_kind(kind) {
        enum { N = 20 };
        haft_handle hs[N];
        struct frame f = { .in = 1 };
        for (int i = 0; i < N; i++)
            hs[i] = haft_spawn(doubles, &f, .kind = kind, .runtime = i % 2 == 0 ? one : two);
        for (int i = 0; i < N; i++) {
            check_int(haft_join(&hs[i], &f), ==, -1);
            check_int(f.out, ==, 2);
        }
    }
    check_int(haft_runtime_drop(&one), ==, 0);
    check_ptr(one, ==, NULL);
    check_int(haft_runtime_drop(&two), ==, 0);
    check_int(haft_runtime_drop(&two), ==, 0);
}

static int tells_its_thread(int *id)
{
    *id = thread_id();
    haft_handle h = haft_spawn(thread_id);
    return haft_join(&h) == *id ? 0 : -1;
}

TEST_FROM_EVERY_CALLER("a task spawns onto its own runtime unless it names another")
{
    haft_runtime *one = haft_runtime_new(.workers = 1);
    check_ptr(one, !=, NULL);
    int id = 0;
    haft_handle h = haft_spawn(tells_its_thread, &id, .runtime = one);
    check_int(haft_join(&h, &id), ==, 0);
    check_int(id, !=, thread_id());
    check_int(haft_runtime_drop(&one), ==, 0);
}

struct crossing {
    haft_handle target;
};

static int joins_across(struct crossing *f)
{
    return haft_join(&f->target);
}

TEST_FROM_EVERY_CALLER("handles cross between runtimes: parked here, unparked there, joined elsewhere")
{
    haft_runtime *a = haft_runtime_new(.workers = 1), *b = haft_runtime_new(.workers = 2);
    for_each_kind(kind)
        for (int i = 0; i < 50; i++) {
            struct crossing f = { .target = haft_spawn(wait_for_token, HAFT_NO_FRAME, .runtime = a, .kind = kind) };
            haft_handle copy = f.target;
            haft_handle joiner = haft_spawn(joins_across, &f, .runtime = b);
            check_int(haft_unpark(copy), ==, 0);
            check_int(haft_join(&joiner), ==, 0);
            f.target = haft_spawn(wait_for_token, HAFT_NO_FRAME, .runtime = b, .kind = kind);
            copy = f.target;
            joiner = haft_spawn(joins_across, &f, .runtime = a);
            check_int(haft_abort(copy), ==, 0);
            check_int(haft_join(&joiner), ==, HAFT_EABORTED);
        }
    check_int(haft_runtime_drop(&a), ==, 0);
    check_int(haft_runtime_drop(&b), ==, 0);
}

TEST_FROM_EVERY_CALLER("the handles of a dropped runtime can still be joined, once each")
{
    for_each_kind(kind) {
        haft_runtime *rt = haft_runtime_new(.workers = 2);
        _Atomic int started = 0, ended = 0, drops = 0;
        struct counted f = { &started, &ended, &drops };
        haft_handle h = haft_spawn(waits_for_ever, &f, .runtime = rt, .kind = kind, .drop = drop_counted);
        haft_handle d = haft_spawn(waits_for_ever, &f, .runtime = rt, .kind = kind, .drop = drop_counted);
        until(atomic_load(&started) == 2);
        check_int(haft_detach(&d), ==, 0);
        check_int(haft_runtime_drop(&rt), ==, 0);
        check_int(atomic_load(&ended), ==, 2);
        check_int(atomic_load(&drops), ==, 1);
        haft_handle copy = h;
        check(haft_is_finished(h));
        check_int(haft_join(&h, &f), ==, HAFT_EABORTED);
        check_int(haft_join(&copy, &f), ==, HAFT_ESTALE);
        check_int(atomic_load(&drops), ==, 1);
    }
}

static int drops_its_own_runtime(haft_runtime **rt)
{
    haft_runtime *own = *rt;
    int rc = haft_runtime_drop(&own);
    check_ptr(own, ==, *rt);
    return rc;
}

TEST_FROM_EVERY_CALLER("a job cannot drop its own runtime, and nothing is done")
{
    haft_runtime *rt = haft_runtime_new(.workers = 1);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(drops_its_own_runtime, &rt, .runtime = rt, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EDEADLK);
    }
    haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .runtime = rt);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_runtime_drop(&rt), ==, 0);
}

TEST_FROM_EVERY_CALLER("a runtime may be dropped while others join and unpark its jobs")
{
    for (int i = 0; i < 20; i++) {
        haft_runtime *rt = haft_runtime_new(.workers = 1);
        check_ptr(rt, !=, NULL);
        enum { N = 16 };
        haft_handle joiners[N];
        haft_handle targets[N];
        for (int j = 0; j < N; j++) {
            struct crossing f = { .target = haft_spawn(wait_for_token, HAFT_NO_FRAME, .runtime = rt) };
            targets[j] = f.target;
            joiners[j] = haft_spawn(joins_across, &f, .kind = j % 4 == 0 ? HAFT_THREAD : HAFT_TASK);
        }
        for (int j = 0; j < N / 2; j++) {
            int rc = haft_unpark(targets[j]);
            check_int(rc, ==, 0);
        }
        check_int(haft_runtime_drop(&rt), ==, 0);
        for (int j = 0; j < N; j++) {
            int rc = haft_join(&joiners[j]);
            check_msg(rc == HAFT_EABORTED || (j < N / 2 && rc == 0), "%s", haft_errname(rc));
        }
    }
}

/* --- the default runtime ------------------------------------------------------------------------------------------ */

static int stops_the_default(void)
{
    return haft_runtime_stop();
}

TEST("the default runtime starts at first use, ends when asked, and starts again")
{
    check_int(haft_runtime_stop(), ==, 0);
    for (int i = 0; i < 20; i++) {
        haft_handle h = haft_spawn(wait_for_token);
        haft_handle stale = haft_spawn(return_nothing);
        haft_handle spent = stale;
        check_int(haft_join(&spent), ==, 0);
        check_int(haft_runtime_stop(), ==, 0);
        check_int(haft_runtime_stop(), ==, 0);
        check(haft_is_finished(h));
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        check_int(haft_join(&stale), ==, HAFT_ESTALE);
    }
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
}

TEST("a job of the default runtime cannot stop it")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(stops_the_default, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EDEADLK);
    }
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
}

static void *starts_the_default(void *ready)
{
    while (!atomic_load((_Atomic int *)ready))
        sched_yield();
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    return NULL;
}

TEST("threads that start the default runtime at once start one")
{
    enum { N = 8 };
    for (int i = 0; i < 20; i++) {
        pthread_t threads[N];
        _Atomic int ready = 0;
        for (int j = 0; j < N; j++)
            check_int(pthread_create(&threads[j], NULL, starts_the_default, &ready), ==, 0);
        atomic_store(&ready, 1);
        for (int j = 0; j < N; j++)
            check_int(pthread_join(threads[j], NULL), ==, 0);
        check_int(haft_runtime_stop(), ==, 0);
    }
    test_leak_check();
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

TEST("the number of processors respects the process's affinity")
{
    test_needs_kernel("the kernel's view of the machine");
    cpu_set_t all, one;
    check_int(sched_getaffinity(0, sizeof all, &all), ==, 0);
    check_int(haft_cpu_count(), >=, 1);
    check_int(haft_cpu_count(), <=, CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
            break;
        }
    check_int(sched_setaffinity(0, sizeof one, &one), ==, 0);
    check_int(haft_cpu_count(), ==, 1);
    check_int(sched_setaffinity(0, sizeof all, &all), ==, 0);
}

static int has_signals_blocked(void)
{
    sigset_t set;
    check_int(pthread_sigmask(SIG_SETMASK, NULL, &set), ==, 0);
    static const int blocked[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM };
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++)
        check_int(sigismember(&set, blocked[i]), ==, 1);
    static const int open[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        check_int(sigismember(&set, open[i]), ==, 0);
    return 0;
}

TEST("the library's own threads take no asynchronous signals")
{
    test_needs_kernel("signal masks");
    sigset_t before, after;
    check_int(pthread_sigmask(SIG_SETMASK, NULL, &before), ==, 0);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(has_signals_blocked, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, 0);
    }
    check_int(haft_run(return_nothing, HAFT_NO_FRAME, .workers = 2), ==, 0);
    check_int(pthread_sigmask(SIG_SETMASK, NULL, &after), ==, 0);
    for (int i = 1; i < NSIG; i++)
        check_int(sigismember(&before, i), ==, sigismember(&after, i));
}

static haft_handle signal_target;
static _Atomic int signals;

static void wakes(int number)
{
    (void)number;
    (void)haft_unpark(signal_target);
    atomic_fetch_add(&signals, 1);
}

static void aborts(int number)
{
    (void)number;
    (void)haft_abort(signal_target);
    atomic_fetch_add(&signals, 1);
}

TEST("a signal handler may unpark and abort")
{
    struct sigaction action = { .sa_handler = wakes }, before;
    check_int(sigaction(SIGUSR1, &action, &before), ==, 0);
    for_each_kind(kind) {
        for (int i = 0; i < 20; i++) {
            signal_target = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = kind);
            check_int(raise(SIGUSR1), ==, 0);
            check_int(haft_join(&signal_target), ==, 0);
        }
        action.sa_handler = aborts;
        check_int(sigaction(SIGUSR1, &action, NULL), ==, 0);
        for (int i = 0; i < 20; i++) {
            signal_target = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = kind);
            check_int(raise(SIGUSR1), ==, 0);
            check_int(haft_join(&signal_target), ==, HAFT_EABORTED);
        }
        action.sa_handler = wakes;
        check_int(sigaction(SIGUSR1, &action, NULL), ==, 0);
    }
    check_int(atomic_load(&signals), ==, KINDS * 40);
    check_int(sigaction(SIGUSR1, &before, NULL), ==, 0);
}

/* Ends a forked child by exec, because what it inherited of its parent's other threads would count as leaked at exit. */
static _Noreturn void leave_child(int status)
{
    execl("/bin/sh", "sh", "-c", "exit $0", (char[]){ (char)('0' + status / 10), (char)('0' + status % 10), 0 }, NULL);
    _exit(99);
}

TEST("the child of a fork is told that it is one")
{
    test_needs_kernel("a process of its own");
    haft_handle alive = haft_spawn(wait_for_token);
    pid_t child = fork();
    check_int(child, >=, 0);
    if (child == 0) {
        for_each_kind(kind) {
            haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind);
            if (haft_error(h) != HAFT_EFORKED || haft_join(&h) != HAFT_EFORKED)
                leave_child(10 + (int)kind);
        }
        if (haft_run(return_nothing, HAFT_NO_FRAME, .workers = 1) != HAFT_EFORKED)
            leave_child(20);
        if (haft_join(&alive) != HAFT_EFORKED)
            leave_child(21);
        leave_child(0);
    }
    int status = -1;
    check_int(waitpid(child, &status, 0), ==, child);
    check(WIFEXITED(status));
    check_int(WEXITSTATUS(status), ==, 0);
    check_int(haft_unpark(alive), ==, 0);
    check_int(haft_join(&alive), ==, 0);
}

/* --- everybody is served ------------------------------------------------------------------------------------------ */

struct table {
    haft_handle left, right;
    _Atomic int go, stop;
    _Atomic unsigned long hits;
};

struct player {
    struct table *table;
    bool left;
};

/* Wakes the other and waits, until told to stop. */
static int plays(struct player *p)
{
    struct table *t = p->table;
    while (!atomic_load(&t->go))
        check_int(haft_yield(), ==, 0);
    haft_handle other = p->left ? t->right : t->left;
    while (!atomic_load(&t->stop)) {
        (void)haft_unpark(other);
        check_int(haft_park(), ==, 0);
        atomic_fetch_add(&t->hits, 1);
    }
    (void)haft_unpark(other);
    return 0;
}

static void start_ping_pong(struct table *t)
{
    t->left = haft_spawn(plays, (&(struct player){ .table = t, .left = true }));
    t->right = haft_spawn(plays, (&(struct player){ .table = t, .left = false }));
    atomic_store(&t->go, 1);
}

static void end_ping_pong(struct table *t)
{
    haft_handle left = t->left, right = t->right;
    atomic_store(&t->stop, 1);
    check_int(haft_join(&left), ==, 0);
    check_int(haft_join(&right), ==, 0);
}

static int ends_it(_Atomic int **stop)
{
    atomic_store(*stop, 1);
    return 0;
}

static int is_ready_beside_ping_pong(void)
{
    /* The two wake each other, so that one of them is always next; only the third, once it has run, lets them stop. The
     * main body joins it and is not there to help. */
    struct table t = { .go = 0 };
    start_ping_pong(&t);
    for (int i = 0; i < 10; i++)
        check_int(haft_yield(), ==, 0);
    _Atomic int *stop = &t.stop;
    haft_handle third = haft_spawn(ends_it, &stop);
    check_int(haft_join(&third), ==, 0);
    end_ping_pong(&t);
    return 0;
}

TEST("one worker, two tasks that play ping-pong and a third that is ready: the third runs")
{
    check_int(haft_run(is_ready_beside_ping_pong, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

static int yields_beside_ping_pong(void)
{
    struct table t = { .go = 0 };
    start_ping_pong(&t);
    for (int i = 0; i < 1000; i++)
        check_int(haft_yield(), ==, 0);
    end_ping_pong(&t);
    check_int(atomic_load(&t.hits), >, 0);
    return 0;
}

TEST("one worker, two tasks that play ping-pong and one that yields: it comes back every time")
{
    check_int(haft_run(yields_beside_ping_pong, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

enum { YIELDERS = 8 };

struct yielder {
    _Atomic unsigned long *turns;
    int place;
    _Atomic int *stop;
};

static int yields_on(struct yielder *f)
{
    while (!atomic_load(f->stop)) {
        atomic_fetch_add(&f->turns[f->place], 1);
        check_int(haft_yield(), ==, 0);
    }
    return 0;
}

static int watches_yielders(void)
{
    /* Nobody is left out: the slowest gets on while all the others yield all the time. */
    _Atomic unsigned long turns[YIELDERS] = { 0 };
    _Atomic int stop = 0;
    haft_handle hs[YIELDERS];
    for (int i = 0; i < YIELDERS; i++)
        hs[i] = haft_spawn(yields_on, (&(struct yielder){ .turns = turns, .place = i, .stop = &stop }));
    for (int i = 0; i < YIELDERS; i++)
        until(atomic_load(&turns[i]) >= 1000);
    atomic_store(&stop, 1);
    for (int i = 0; i < YIELDERS; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    return 0;
}

TEST("tasks that yield all the time all get on, beside one worker and beside more")
{
    for (unsigned workers = 1; workers <= 3; workers++)
        check_int(haft_run(watches_yielders, HAFT_NO_FRAME, .workers = workers), ==, 0);
}

static int takes_turns(void)
{
    /* On one worker a yield lets each of the others have one turn before it comes back: within twice their number. */
    _Atomic unsigned long turns[YIELDERS] = { 0 };
    _Atomic int stop = 0;
    haft_handle hs[YIELDERS];
    for (int i = 0; i < YIELDERS; i++)
        hs[i] = haft_spawn(yields_on, (&(struct yielder){ .turns = turns, .place = i, .stop = &stop }));
    until(atomic_load(&turns[YIELDERS - 1]) >= 10);
    for (int round = 0; round < 1000; round++) {
        check_int(haft_yield(), ==, 0);
        unsigned long least = atomic_load(&turns[0]), most = least;
        for (int i = 1; i < YIELDERS; i++) {
            unsigned long n = atomic_load(&turns[i]);
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        check_int(most, <=, 2 * least + 100);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < YIELDERS; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    return 0;
}

TEST("one worker: tasks that yield take turns")
{
    check_int(haft_run(takes_turns, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

static int keeps_the_queue_full(struct yielder *f)
{
    /* Its own queue is never empty: it always spawns before it joins. */
    haft_handle last = haft_spawn(return_nothing);
    while (!atomic_load(f->stop)) {
        haft_handle next = haft_spawn(return_nothing);
        check_int(haft_join(&last), ==, 0);
        last = next;
        atomic_fetch_add(&f->turns[0], 1);
    }
    return haft_join(&last);
}

TEST("what comes from outside is served while a worker's own queue is never empty")
{
    haft_runtime *rt = haft_runtime_new(.workers = 1);
    check_ptr(rt, !=, NULL);
    _Atomic unsigned long turns[4] = { 0 };
    _Atomic int stop = 0;
    haft_handle busy[6];
    for (int i = 0; i < 6; i++) {
        struct yielder f = { .turns = turns, .place = i % 4, .stop = &stop };
        busy[i] =
            i < 4 ? haft_spawn(yields_on, &f, .runtime = rt) : haft_spawn(keeps_the_queue_full, &f, .runtime = rt);
    }
    for (int i = 0; i < 100; i++) {
        haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .runtime = rt);
        check_int(haft_join(&h), ==, 0);
        h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .runtime = rt);
        check_int(haft_unpark(h), ==, 0);
        check_int(haft_join(&h), ==, 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 6; i++)
        check_int(haft_join(&busy[i]), ==, 0);
    check_int(haft_runtime_drop(&rt), ==, 0);
}

static int sleeps_a_little(void)
{
    return haft_sleep(2 * HAFT_MS);
}

TEST("sleepers wake while a worker's own queue is never empty")
{
    haft_runtime *rt = haft_runtime_new(.workers = 1);
    _Atomic unsigned long turns[4] = { 0 };
    _Atomic int stop = 0;
    haft_handle busy[4];
    for (int i = 0; i < 4; i++)
        busy[i] =
            haft_spawn(yields_on, (&(struct yielder){ .turns = turns, .place = i, .stop = &stop }), .runtime = rt);
    for (int i = 0; i < 10; i++) {
        haft_handle h = haft_spawn(sleeps_a_little, HAFT_NO_FRAME, .runtime = rt);
        check_int(haft_join(&h), ==, 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 4; i++)
        check_int(haft_join(&busy[i]), ==, 0);
    check_int(haft_runtime_drop(&rt), ==, 0);
}

/* --- a worker that is stuck --------------------------------------------------------------------------------------- */

static int sets_a_flag(_Atomic int **flag)
{
    atomic_store(*flag, 1);
    return 0;
}

static int sleeps_and_sets_a_flag(_Atomic int **flag)
{
    atomic_store(*flag, 2);
    int rc = haft_sleep(5 * HAFT_MS);
    atomic_store(*flag, 1);
    return rc;
}

static int is_stuck_before_its_child(void)
{
    /* The child lies in the queue of the worker that this body holds on to. */
    _Atomic int flag = 0, *p = &flag;
    haft_handle h = haft_spawn(sets_a_flag, &p);
    while (!atomic_load(&flag))
        ;
    check_int(haft_join(&h), ==, 0);

    /* A queue of several, and a chain: each child spawns the next one. */
    enum { N = 50 };
    _Atomic int flags[N] = { 0 };
    haft_handle hs[N];
    for (int i = 0; i < N; i++) {
        p = &flags[i];
        hs[i] = haft_spawn(sets_a_flag, &p);
    }
    for (int i = 0; i < N; i++)
        while (!atomic_load(&flags[i]))
            ;
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    return 0;
}

TEST("tasks behind a worker that is stuck in a loop go on elsewhere")
{
    for (unsigned workers = 2; workers <= 4; workers++)
        check_int(haft_run(is_stuck_before_its_child, HAFT_NO_FRAME, .workers = workers), ==, 0);
}

static int is_stuck_before_a_timer(void)
{
    _Atomic int flag = 0, *p = &flag;
    haft_handle h = haft_spawn(sleeps_and_sets_a_flag, &p);
    until(atomic_load(&flag) != 0);
    while (atomic_load(&flag) != 1)
        ;
    return haft_join(&h);
}

TEST("sleepers behind a worker that is stuck in a loop wake elsewhere")
{
    for (unsigned workers = 2; workers <= 4; workers++)
        for (int i = 0; i < 5; i++)
            check_int(haft_run(is_stuck_before_a_timer, HAFT_NO_FRAME, .workers = workers), ==, 0);
}

static int wakes_and_is_stuck(void)
{
    struct table t = { .go = 0 };
    start_ping_pong(&t);
    until(atomic_load(&t.hits) > 0);
    /* Whatever wakes or runs on this worker from here on runs elsewhere. */
    unsigned long before = atomic_load(&t.hits);
    while (atomic_load(&t.hits) < before + rounds(100, 100))
        ;
    end_ping_pong(&t);
    return 0;
}

TEST("two tasks that play ping-pong go on while another worker is stuck")
{
    for (unsigned workers = 2; workers <= 3; workers++)
        check_int(haft_run(wakes_and_is_stuck, HAFT_NO_FRAME, .workers = workers), ==, 0);
}
