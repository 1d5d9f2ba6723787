/* SPDX-License-Identifier: MIT
 *
 * Waits that can never end: rings of joins are refused, and a program in which everything waits says so, without ever
 * saying so of one that goes on.
 *
 * Over 600 lines, because each scenario is a body of a child process, and all are judged by the same few lines. */
#include <haft/haft.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "callers.h"
#include "job/job.h"

/* --- a program that comes to a stop ------------------------------------------------------------------------------- */

/* The scenarios run in a child with nothing but this thread; the parent reads its standard error. */
struct child {
    pid_t pid;
    int error;
    size_t length;
    char text[8192];
};

static struct child begin(int (*scenario)(void))
{
    test_needs_kernel("each scenario is a process of its own");
    struct child child = { .length = 0 };
    int fds[2];
    check_int(pipe(fds), ==, 0);
    child.pid = fork();
    check_int(child.pid, >=, 0);
    if (child.pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        for (int i = 1; i < NSIG; i++) /* the tests' own handlers, who might wake somebody */
            (void)signal(i, SIG_DFL);
        int rc = scenario();
        fprintf(stderr, "ended: %d\n", rc);
        _exit(rc == 0 ? 0 : 1);
    }
    close(fds[1]);
    child.error = fds[0];
    return child;
}

static bool reads_more(struct child *child)
{
    ssize_t n = read(child->error, child->text + child->length, sizeof child->text - 1 - child->length);
    check_int(n, >=, 0);
    child->length += (size_t)n;
    child->text[child->length] = '\0';
    return n > 0;
}

static void end(struct child *child)
{
    int status = 0;
    check_int(kill(child->pid, SIGKILL), ==, 0);
    check_int(waitpid(child->pid, &status, 0), ==, child->pid);
    close(child->error);
}

/* ThreadSanitizer has a thread of its own, of which nobody knows what it will do, and so has an emulator. */
static void skip_with_unknown_threads(void)
{
    test_needs_kernel("the threads of the process are looked at");
    unsigned threads = 0;
    DIR *tasks = opendir("/proc/self/task");
    check_ptr(tasks, !=, NULL);
    for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        threads += entry->d_name[0] != '.';
    closedir(tasks);
    if (threads > 1)
        skip("a thread that nobody here has made runs, so nothing is ever certain");
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned n = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

#define HEADLINE "haft: deadlock: everything waits"

/* Expects one report with a line that contains each part. */
static void check_stops(int (*scenario)(void), const char *const *parts, size_t n)
{
    skip_with_unknown_threads();
    struct child child = begin(scenario);
    size_t found = 0;
    while (found < n || count_of(child.text, HEADLINE) == 0) {
        check_msg(reads_more(&child), "no report, only: %s", child.text);
        for (found = 0; found < n && strstr(child.text, parts[found]) != NULL; found++)
            ;
    }
    end(&child);
    check_uint(count_of(child.text, HEADLINE), ==, 1);
    check_uint(count_of(child.text, "ended"), ==, 0);
}
#define CHECK_STOPS(scenario, ...)                                                                                     \
    check_stops(scenario, (const char *const[]){ __VA_ARGS__ },                                                        \
                sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static void check_goes_on(int (*scenario)(void))
{
    struct child child = begin(scenario);
    while (reads_more(&child))
        ;
    end(&child);
    check_str(child.text, "ended: 0\n");
}

static int joins_one_that_parks(void)
{
    haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .name = "reader");
    return haft_join(&h);
}

TEST("a plain thread that joins a task that nobody will wake: reported, with both")
{
    CHECK_STOPS(joins_one_that_parks, "a plain thread waits for the end of reader (spawned at ", "reader (spawned at ",
                ") waits for its token\n");
}

struct nothing {
    int none;
};

static int never_answers(struct nothing *s)
{
    (void)s;
    return wait_for_token();
}

static int calls_for_ever(void)
{
    HAFT_ACTOR(struct nothing) a;
    check_int(haft_actor_start(&a, &(struct nothing){ 0 }, .name = "server"), ==, 0);
    return haft_call(&a, never_answers);
}

static int ends_for_ever(void)
{
    HAFT_ACTOR(struct nothing) a;
    check_int(haft_actor_start(&a, &(struct nothing){ 0 }, .name = "server"), ==, 0);
    check_int(haft_cast(&a, never_answers), ==, 0);
    return haft_actor_drop(&a);
}

static int calls_a_pool_for_ever(void)
{
    HAFT_POOL(struct nothing) p;
    check_int(haft_pool_start(&p, &(struct nothing){ 0 }, .workers = 2, .name = "server"), ==, 0);
    return haft_call(&p, never_answers);
}

static int ends_a_pool_for_ever(void)
{
    HAFT_POOL(struct nothing) p;
    check_int(haft_pool_start(&p, &(struct nothing){ 0 }, .workers = 2, .name = "server"), ==, 0);
    check_int(haft_cast(&p, never_answers), ==, 0);
    return haft_pool_drop(&p);
}

TEST("an actor that waits for ever, and who waits for its answer or its end: reported, with both")
{
    CHECK_STOPS(calls_for_ever, "a plain thread waits for the answer of server (spawned at ",
                ") waits for its token\n");
    CHECK_STOPS(ends_for_ever, "a plain thread waits for the end of server (spawned at ", ") waits for its token\n");
    CHECK_STOPS(calls_a_pool_for_ever, "a plain thread waits for the answer of a pool\n", ") waits for its token\n");
    CHECK_STOPS(ends_a_pool_for_ever, "a plain thread waits for the end of a pool\n", ") waits for its token\n");
}

static int runs_on_one_worker(void)
{
    return haft_run(joins_one_that_parks, HAFT_NO_FRAME, .workers = 1);
}

static int runs_on_three_workers(void)
{
    return haft_run(joins_one_that_parks, HAFT_NO_FRAME, .workers = 3);
}

TEST("a main job that joins a task that nobody will wake: reported, with one worker and with three")
{
    CHECK_STOPS(runs_on_one_worker, "main (spawned at ", ") waits for the end of reader (spawned at ");
    CHECK_STOPS(runs_on_three_workers, "a plain thread waits for the end of main (spawned at ",
                ") waits for the end of reader (spawned at ");
}

static haft_handle other[2];
static _Atomic int ready;

static int waits_for_the_other(const int *me)
{
    until(atomic_load(&ready));
    return haft_wait(other[1 - *me]);
}

static int waits_in_a_ring(void)
{
    for (int i = 0; i < 2; i++)
        other[i] = haft_spawn(waits_for_the_other, &i, .kind = i == 0 ? HAFT_TASK : HAFT_THREAD,
                              .name = i == 0 ? "first" : "second");
    atomic_store(&ready, 1);
    return haft_wait(other[0]);
}

TEST("a task and a thread that wait for each other without joining: reported")
{
    CHECK_STOPS(waits_in_a_ring, "first (spawned at ", ") waits for the end of second (spawned at ",
                ") waits for the end of first (spawned at ");
}

static int waits_in_a_scope(void)
{
    HAFT_SCOPE(s);
    return haft_scope_spawn(s, wait_for_token, HAFT_NO_FRAME, .name = "child");
}

static int waits_for_a_set(void)
{
    haft_set *set = haft_set_new();
    HAFT_DEFER(haft_set_drop, &set);
    int rc = haft_set_spawn(set, wait_for_token);
    return rc != 0 ? rc : haft_set_next(set, HAFT_NO_FRAME, NULL);
}

TEST("the end of a scope and the next of a set that will not come: reported")
{
    CHECK_STOPS(waits_in_a_scope, "waits for the children of its scope", "child (spawned at ");
    CHECK_STOPS(waits_for_a_set, "waits for the next of its set");
}

static int parks_after_a_call(void)
{
    haft_handle call = haft_spawn_blocking(return_nothing);
    int rc = haft_join(&call);
    return rc != 0 ? rc : joins_one_that_parks();
}

TEST("an idle thread of the pool does not count as one that could wake somebody")
{
    CHECK_STOPS(parks_after_a_call, "reader (spawned at ");
}

static void sleep_outside(long milliseconds)
{
    struct timespec time = { .tv_nsec = milliseconds * 1000000 };
    nanosleep(&time, NULL);
}

static void *calls_and_ends(void *argument)
{
    (void)argument;
    (void)haft_checkpoint();
    sleep_outside(100);
    return NULL;
}

static void *ends(void *argument)
{
    (void)argument;
    sleep_outside(100);
    return NULL;
}

static int parks_beside_one_that_calls_and_ends(void)
{
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, calls_and_ends, NULL), ==, 0);
    check_int(pthread_detach(thread), ==, 0);
    return joins_one_that_parks();
}

static int parks_beside_one_that_ends(void)
{
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, ends, NULL), ==, 0);
    check_int(pthread_detach(thread), ==, 0);
    return joins_one_that_parks();
}

TEST("when the last thread that could have woken somebody has ended, it is reported")
{
    CHECK_STOPS(parks_beside_one_that_calls_and_ends, "reader (spawned at ");
    CHECK_STOPS(parks_beside_one_that_ends, "reader (spawned at ");
}

/* --- programs that go on ------------------------------------------------------------------------------------------ */

/* Longer than it takes to report that everything waits. */
#define WHILE_MS 120

static haft_handle target;

static void *unparks_later(void *argument)
{
    if (argument != NULL)
        (void)haft_checkpoint(); /* haft knows this thread */
    sleep_outside(WHILE_MS);
    (void)haft_unpark(target);
    return NULL;
}

static int is_woken_by_a_thread_unknown(void)
{
    target = haft_spawn(wait_for_token);
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, unparks_later, NULL), ==, 0);
    check_int(pthread_detach(thread), ==, 0);
    return haft_join(&target);
}

static int is_woken_by_a_thread_known(void)
{
    target = haft_spawn(wait_for_token);
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, unparks_later, &target), ==, 0);
    check_int(pthread_detach(thread), ==, 0);
    return haft_join(&target);
}

TEST("nothing is reported while a thread outside may still wake somebody, whether haft knows it or not")
{
    check_goes_on(is_woken_by_a_thread_unknown);
    check_goes_on(is_woken_by_a_thread_known);
}

static void unparks_from_a_handler(int number)
{
    (void)number;
    (void)haft_unpark(target);
}

static int is_woken_by_a_signal(void)
{
    struct sigaction action = { .sa_handler = unparks_from_a_handler };
    check_int(sigaction(SIGALRM, &action, NULL), ==, 0);
    target = haft_spawn(wait_for_token);
    struct itimerval in_a_while = { .it_value = { .tv_usec = WHILE_MS * 1000L } };
    check_int(setitimer(ITIMER_REAL, &in_a_while, NULL), ==, 0);
    return haft_join(&target);
}

TEST("nothing is reported while a signal handler may wake somebody")
{
    check_goes_on(is_woken_by_a_signal);
}

static int unparks_after_a_call(void)
{
    sleep_outside(WHILE_MS);
    return haft_unpark(target);
}

static int unparks_after_a_sleep(void)
{
    int rc = haft_sleep(WHILE_MS * HAFT_MS);
    return rc != 0 ? rc : haft_unpark(target);
}

static int unparks_after_a_timeout(void)
{
    {
        HAFT_TIMEOUT(WHILE_MS * HAFT_MS);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    }
    return haft_unpark(target);
}

static int is_woken_by_each_kind_of(int (*body)(void))
{
    for_each_kind(kind) {
        target = haft_spawn(wait_for_token, HAFT_NO_FRAME);
        haft_handle h = haft_spawn(body, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&target), ==, 0);
        check_int(haft_join(&h), ==, 0);
    }
    return 0;
}

static int is_woken_after_a_call(void)
{
    return is_woken_by_each_kind_of(unparks_after_a_call);
}

static int is_woken_after_a_sleep(void)
{
    return is_woken_by_each_kind_of(unparks_after_a_sleep);
}

static int is_woken_after_a_timeout(void)
{
    return is_woken_by_each_kind_of(unparks_after_a_timeout);
}

TEST("nothing is reported while a job is in a call outside, sleeps, or waits with a deadline")
{
    check_goes_on(is_woken_after_a_call);
    check_goes_on(is_woken_after_a_sleep);
    check_goes_on(is_woken_after_a_timeout);
}

static int is_woken_from_another_runtime(void)
{
    haft_runtime *rt = haft_runtime_new(.workers = 1);
    target = haft_spawn(wait_for_token, HAFT_NO_FRAME);
    haft_handle h = haft_spawn(unparks_after_a_sleep, HAFT_NO_FRAME, .runtime = rt);
    int rc = haft_join(&target);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_runtime_drop(&rt), ==, 0);
    return rc;
}

static int waits_with_a_deadline(void)
{
    target = haft_spawn(wait_for_token);
    {
        HAFT_TIMEOUT(WHILE_MS * HAFT_MS);
        check_int(haft_join(&target), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_unpark(target), ==, 0);
    return haft_join(&target);
}

static int is_busy_outside(void)
{
    haft_handle h = haft_spawn(wait_for_token);
    sleep_outside(WHILE_MS);
    check_int(haft_unpark(h), ==, 0);
    return haft_join(&h);
}

TEST("nothing is reported while another runtime's timer, a deadline, or the main thread may wake somebody")
{
    check_goes_on(is_woken_from_another_runtime);
    check_goes_on(waits_with_a_deadline);
    check_goes_on(is_busy_outside);
}

/* --- rings of joins ----------------------------------------------------------------------------------------------- */

enum { LARGEST = 60 };

struct ring {
    haft_handle handles[LARGEST];
    _Atomic int go;
    _Atomic int refused;
    int n;
    bool is_last; /* the one with a deadline would close the ring */
    bool in_turn; /* they drop each other one after another */
    _Atomic int begun, drops;
};

struct link {
    struct ring *ring;
    int place;
};

static int joins_the_next(struct link *link)
{
    struct ring *ring = link->ring;
    until(atomic_load(&ring->go));
    haft_handle next = ring->handles[(link->place + 1) % ring->n];
    int rc = haft_join(&next);
    if (rc == HAFT_EDEADLK) {
        check(!haft_is_null(next));
        atomic_fetch_add(&ring->refused, 1);
        return 0;
    }
    check(haft_is_null(next));
    return rc;
}

/* Each joins the next one; exactly one is refused, and its handle is what remains to be joined. */
static void run_ring(int n, haft_kind first, haft_kind others)
{
    struct ring ring = { .n = n };
    for (int i = 0; i < n; i++) {
        struct link link = { .ring = &ring, .place = i };
        ring.handles[i] = haft_spawn(joins_the_next, &link, .kind = i == 0 ? first : others);
    }
    atomic_store(&ring.go, 1);
    int left = 0;
    for (int i = 0; i < n; i++)
        until(haft_is_finished(ring.handles[i]));
    for (int i = 0; i < n; i++) {
        int rc = haft_join(&ring.handles[i]);
        if (rc != HAFT_ESTALE)
            left++;
    }
    check_int(atomic_load(&ring.refused), ==, 1);
    check_int(left, ==, 1);
}

TEST_FROM_EVERY_CALLER("the join that closes a ring is refused, and only that one")
{
    for_each_kind(kind) {
        run_ring(2, HAFT_TASK, kind);
        run_ring(2, kind, HAFT_TASK);
    }
    for (int n = 2; n <= 8; n++)
        run_ring(n, HAFT_TASK, HAFT_TASK);
    run_ring(LARGEST, HAFT_TASK, HAFT_TASK);
}

TEST("rings that are closed from several sides at once are refused once")
{
    size_t n = rounds(100, 100000);
    for (size_t i = 0; i < n; i++)
        run_ring(2 + (int)(i % 3), HAFT_TASK, HAFT_TASK);
}

static int joins_its_caller(haft_handle *caller)
{
    return haft_join(caller);
}

static int calls_one_that_joins_it(struct link *link)
{
    until(atomic_load(&link->ring->go));
    haft_handle me = link->ring->handles[0];
    return haft_blocking(joins_its_caller, &me);
}

TEST("a blocking call that joins its caller is refused")
{
    struct ring ring = { .n = 1 };
    ring.handles[0] = haft_spawn(calls_one_that_joins_it, (&(struct link){ &ring, 0 }));
    atomic_store(&ring.go, 1);
    until(haft_is_finished(ring.handles[0]));
    check_int(haft_join(&ring.handles[0]), ==, HAFT_EDEADLK);
}

static bool is_joined(haft_handle h)
{
    return (haft__load_acquire(&haft__job_of_handle(&h)->record.state) & HAFT__AWAITED) != 0;
}

static int joins_with_a_deadline(struct link *link)
{
    struct ring *ring = link->ring;
    until(atomic_load(&ring->go));
    haft_handle next = ring->handles[1 - link->place];
    if (link->place == 1)
        return haft_join(&next);
    if (ring->is_last)
        until(is_joined(ring->handles[0]));
    HAFT_TIMEOUT(20 * HAFT_MS);
    return haft_join(&next);
}

TEST("a join with a deadline is no part of a ring")
{
    for (int is_last = 0; is_last < 2; is_last++) {
        struct ring ring = { .n = 2, .is_last = is_last };
        for (int i = 0; i < 2; i++)
            ring.handles[i] = haft_spawn(joins_with_a_deadline, (&(struct link){ &ring, i }));
        atomic_store(&ring.go, 1);
        until(haft_is_finished(ring.handles[0]) && haft_is_finished(ring.handles[1]));
        check_int(haft_join(&ring.handles[0]), ==, HAFT_ESTALE);
        check_int(haft_join(&ring.handles[1]), ==, HAFT_ETIMEDOUT); /* what the body of the first returned */
    }
}

static int drops_one_that_joins_it(struct link *link)
{
    struct ring *ring = link->ring;
    until(atomic_load(&ring->go));
    haft_handle next = ring->handles[1];
    haft_drop(&next);
    check(haft_is_finished(ring->handles[1]));
    return 5;
}

static int joins_and_is_dropped(struct link *link)
{
    {
        HAFT_SHIELD; /* it may be dropped before it has seen that */
        until(atomic_load(&link->ring->go));
    }
    haft_handle next = link->ring->handles[0];
    return haft_join(&next);
}

TEST("a job may drop one that joins it")
{
    for (size_t i = 0; i < 200; i++) {
        struct ring ring = { .n = 2 };
        ring.handles[0] = haft_spawn(drops_one_that_joins_it, (&(struct link){ &ring, 0 }));
        ring.handles[1] = haft_spawn(joins_and_is_dropped, (&(struct link){ &ring, 1 }));
        atomic_store(&ring.go, 1);
        until(haft_is_finished(ring.handles[0]) && haft_is_finished(ring.handles[1]));
        int rc = haft_join(&ring.handles[0]);
        check_msg(rc == 5 || rc == HAFT_ESTALE, "%s", haft_errname(rc));
        check_int(haft_join(&ring.handles[1]), ==, HAFT_ESTALE);
    }
}

static int drops_the_next(struct link *link)
{
    struct ring *ring = link->ring;
    HAFT_SHIELD;
    atomic_fetch_add(&ring->begun, 1);
    until(atomic_load(&ring->go) > (ring->in_turn ? link->place : 0));
    haft_handle next = ring->handles[(link->place + 1) % ring->n];
    haft_drop(&next);
    check(haft_is_null(next));
    return 0;
}

static void count_drop(void *object)
{
    const struct link *link = object;
    atomic_fetch_add(&link->ring->drops, 1);
}

/* Each is let go by the one before it, at once or in turn: the last one finds that it would wait for itself. */
static void run_drops(int n, haft_kind kind, bool in_turn)
{
    struct ring ring = { .n = n, .in_turn = in_turn };
    for (int i = 0; i < n; i++)
        ring.handles[i] = haft_spawn(drops_the_next, (&(struct link){ &ring, i }), .kind = kind, .drop = count_drop);
    until(atomic_load(&ring.begun) == n);
    for (int i = 0; i < n && in_turn; i++) {
        atomic_store(&ring.go, i + 1);
        haft_handle next = ring.handles[(i + 1) % n];
        until(i + 1 == n || (haft__load_relaxed(&haft__job_of_handle(&next)->record.state) & HAFT__AWAITED) != 0);
    }
    atomic_store(&ring.go, n);
    until(atomic_load(&ring.drops) == n);
    for (int i = 0; i < n; i++) {
        until(haft_is_finished(ring.handles[i]));
        check_int(haft_join(&ring.handles[i]), ==, HAFT_ESTALE);
    }
}

TEST_FROM_EVERY_CALLER("jobs that drop each other in a ring all end, and each gives its frame to .drop once")
{
    for_each_kind(kind)
        for (int n = 2; n <= 5; n++)
            for (int in_turn = 0; in_turn < 2; in_turn++)
                for (size_t i = 0; i < (in_turn ? 1 : rounds(4, 200)); i++)
                    run_drops(n, kind, in_turn);
}

#ifdef HAFT_CHECKED
TEST_EXITS("a ring of joins is spelled out", TEST_STATUS(3), "haft: a ring of joins: ")
{
    run_ring(3, HAFT_TASK, HAFT_TASK);
    _exit(3);
}
#endif
