/* SPDX-License-Identifier: MIT
 *
 * The end of a runtime with jobs that will not stop, and the end of the process with jobs that live. */
#include <haft/haft.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callers.h"

/* --- what would not stop ------------------------------------------------------------------------------------------ */

static struct {
    _Atomic int stop;    /* those that are stuck go on */
    _Atomic int running; /* how many are stuck */
    _Atomic int went_on; /* how many have come through all that they do then */
    _Atomic int drops;
} stuck;

/* What the hook was told. */
enum { TOLD = 16 };
static struct {
    int n;
    char names[TOLD][64];
    char places[TOLD][64];
} told;

static void note_stuck(const char *name, const char *place)
{
    check_int(told.n, <, TOLD);
    snprintf(told.names[told.n], sizeof told.names[0], "%s", name);
    snprintf(told.places[told.n++], sizeof told.places[0], "%s", place);
}

static bool was_told(const char *name)
{
    for (int i = 0; i < told.n; i++)
        if (strcmp(told.names[i], name) == 0)
            return strncmp(told.places[i], "test_shutdown.c:", 16) == 0 ||
                   strstr(told.places[i], "/test_shutdown.c:") != NULL;
    return false;
}

struct frame {
    int value;
};

static void count_drop(void *object)
{
    check_int(((struct frame *)object)->value, ==, 5);
    atomic_fetch_add(&stuck.drops, 1);
}

static void nothing_left(int *value)
{
    *value = 0;
}

/* Everything that a job may call, once its runtime has ended. */
static void goes_on(void)
{
    int value = 1;
    check_int(haft_checkpoint(), ==, HAFT_ECANCELED);
    check(haft_is_aborted());
    check_int(haft_yield(), ==, HAFT_ECANCELED);
    {
        HAFT_SHIELD;
        HAFT_DEFER(nothing_left, &value);
        for (int i = 0; i < 10; i++)
            check_int(haft_yield(), ==, 0);
        check_int(haft_sleep(HAFT_MS), ==, 0);
        check_int(haft_unpark(haft_self()), ==, 0);
        check_int(haft_park(), ==, 0);
        {
            HAFT_TIMEOUT(HAFT_MS);
            check_int(haft_park(), ==, HAFT_ETIMEDOUT);
        }
        haft_handle h = haft_spawn(return_nothing);
        check_int(haft_error(h), ==, HAFT_ESHUTDOWN);
        check_int(haft_join(&h), ==, HAFT_ESHUTDOWN);
        h = haft_spawn_blocking(return_nothing);
        check_int(haft_join(&h), ==, HAFT_ESHUTDOWN);
        haft_set *set = haft_set_new();
        check_int(haft_set_spawn(set, return_nothing), ==, HAFT_ESHUTDOWN);
        haft_set_drop(&set);
        int rc = 0;
        {
            HAFT_SCOPE(s, .result = &rc);
            check_int(haft_scope_spawn(s, return_nothing), ==, HAFT_ESHUTDOWN);
        }
        check_int(rc, ==, HAFT_ESHUTDOWN);
        check_int(haft_catch(return_nothing, HAFT_NO_FRAME, NULL), ==, 0);
        check_int(haft_runtime_stop(), ==, 0);
    }
    check_int(value, ==, 0);
}

static int will_not_stop(struct frame *f)
{
    atomic_fetch_add(&stuck.running, 1);
    while (!atomic_load(&stuck.stop))
        sched_yield();
    goes_on();
    f->value = 5;
    atomic_fetch_add(&stuck.went_on, 1);
    return 3;
}

static int stops_when_asked(struct frame *f)
{
    f->value = 5;
    atomic_fetch_add(&stuck.running, 1);
    return haft_park();
}

struct leaves {
    haft_handle stuck[KINDS];
    haft_handle good[KINDS];
};

static const char *const names[KINDS] = { "stuck task", "stuck thread", "stuck call" };

static void leave_stuck(struct leaves *f, haft_runtime *runtime)
{
    for_each_kind(kind) {
        struct frame frame = { .value = 0 };
        f->good[kind] = haft_spawn(stops_when_asked, &frame, .kind = kind, .drop = count_drop, .runtime = runtime);
        haft_handle h = haft_spawn(stops_when_asked, &frame, .kind = kind, .drop = count_drop, .runtime = runtime);
        check_int(haft_detach(&h), ==, 0);
    }
    until(atomic_load(&stuck.running) == 2 * KINDS);
    for_each_kind(kind) {
        struct frame frame = { .value = 0 };
        f->stuck[kind] = haft_spawn(will_not_stop, &frame, .kind = kind, .name = names[kind], .drop = count_drop,
                                    .runtime = runtime);
    }
    until(atomic_load(&stuck.running) == 3 * KINDS);
}

static void check_what_is_left(struct leaves *f)
{
    check_int(told.n, ==, KINDS);
    for_each_kind(kind) {
        check_msg(was_told(names[kind]), "%s was not named", names[kind]);
        check(!haft_is_finished(f->stuck[kind]));
        check(haft_is_finished(f->good[kind]));
        check_int(haft_join(&f->good[kind]), ==, HAFT_EABORTED);
    }
    check_int(atomic_load(&stuck.drops), ==, 2 * KINDS);
    atomic_store(&stuck.stop, 1);
    for_each_kind(kind) {
        struct frame frame = { .value = 0 };
        check_int(haft_join(&f->stuck[kind], &frame), ==, HAFT_EABORTED);
        check_int(frame.value, ==, 5);
    }
    check_int(atomic_load(&stuck.went_on), ==, KINDS);
    check_int(atomic_load(&stuck.drops), ==, 2 * KINDS);
    test_leak_check();
}

static int leaves_stuck(struct leaves *f)
{
    leave_stuck(f, NULL);
    return 9;
}

TEST("haft_run names what would not stop, returns, and what goes on later works and ends")
{
    struct leaves f;
    check_int(haft_run(leaves_stuck, &f, .workers = 3, .on_stuck = note_stuck), ==, 9);
    check_what_is_left(&f);
}

TEST("haft_runtime_drop names what would not stop and tells that there was something")
{
    struct leaves f;
    haft_runtime *rt = haft_runtime_new(.workers = 2, .on_stuck = note_stuck);
    leave_stuck(&f, rt);
    check_int(haft_runtime_drop(&rt), ==, HAFT_EBUSY);
    check_ptr(rt, ==, NULL);
    check_what_is_left(&f);
}

TEST_EXITS("the default runtime ends the same way, another takes its place, and the list is on standard error",
           TEST_STATUS(4), "haft: would not stop: stuck call, spawned at ")
{
    struct leaves f;
    leave_stuck(&f, NULL);
    check_int(haft_runtime_stop(), ==, HAFT_EBUSY);
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_runtime_stop(), ==, 0);
    atomic_store(&stuck.stop, 1);
    for_each_kind(kind)
        check_int(haft_join(&f.stuck[kind]), ==, HAFT_EABORTED);
    _exit(4);
}

static int waits_under_a_shield(void)
{
    HAFT_SHIELD;
    atomic_fetch_add(&stuck.running, 1);
    return haft_park();
}

static haft_handle shielded;

static int leaves_a_shielded_task(void)
{
    shielded = haft_spawn(waits_under_a_shield, HAFT_NO_FRAME, .name = "shielded");
    until(atomic_load(&stuck.running) == 1);
    return 0;
}

TEST_EXITS("a task that waits under a shield for ever does not keep its runtime; a late wake finds nobody there",
           TEST_STATUS(6), "haft: would not stop: shielded, spawned at ")
{
    check_int(haft_run(leaves_a_shielded_task, HAFT_NO_FRAME, .workers = 1), ==, 0);
    for (int i = 0; i < 3; i++) {
        check_int(haft_unpark(shielded), ==, 0);
        check_int(haft_abort(shielded), ==, 0);
        check_int(haft_run(return_nothing, HAFT_NO_FRAME, .workers = 2), ==, 0);
    }
    check_int(haft_try_join(&shielded), ==, HAFT_EAGAIN);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_join(&shielded), ==, HAFT_ETIMEDOUT);
    }
    _exit(6);
}

static void panics_in_the_hook(const char *name, const char *place)
{
    note_stuck(name, place);
    haft_panic("in the hook");
}

TEST("a panic in the hook does not end the list")
{
    silence_panics();
    haft_runtime *rt = haft_runtime_new(.workers = 1, .on_stuck = panics_in_the_hook);
    haft_handle hs[2];
    for (int i = 0; i < 2; i++) {
        struct frame frame = { .value = 0 };
        hs[i] = haft_spawn(will_not_stop, &frame, .runtime = rt, .kind = HAFT_THREAD);
    }
    until(atomic_load(&stuck.running) == 2);
    check_int(haft_runtime_drop(&rt), ==, HAFT_EBUSY);
    check_int(told.n, ==, 2);
    atomic_store(&stuck.stop, 1);
    for (int i = 0; i < 2; i++)
        check_int(haft_join(&hs[i]), ==, HAFT_EABORTED);
}

static int ends_late(void)
{
    check_int(haft_park(), ==, HAFT_ECANCELED);
    HAFT_SHIELD;
    for (int i = 0; i < 4; i++)
        check_int(haft_sleep(50 * HAFT_MS), ==, 0);
    return 0;
}

static int leaves_late_ones(void)
{
    for (int i = 0; i < 20; i++) {
        haft_handle h = haft_spawn(ends_late);
        check_int(haft_detach(&h), ==, 0);
        for (int j = 0; j < 3; j++)
            check_int(haft_yield(), ==, 0);
    }
    return 0;
}

TEST("jobs that take their time to end after the abort are waited for")
{
    for (unsigned workers = 1; workers <= 2; workers++)
        check_int(haft_run(leaves_late_ones, HAFT_NO_FRAME, .workers = workers, .on_stuck = note_stuck), ==, 0);
    check_int(told.n, ==, 0);
}

/* --- many --------------------------------------------------------------------------------------------------------- */

enum { CROWD = 100000 };

static int leaves_a_hundred_thousand(const unsigned *n)
{
    for (unsigned i = 0; i < *n; i++) {
        haft_handle h = haft_spawn(wait_for_token);
        check_int(haft_detach(&h), ==, 0);
        if (i % 100 == 99)
            check_int(haft_yield(), ==, 0);
    }
    return 0;
}

TEST("a runtime ends with a hundred thousand tasks that wait")
{
    unsigned n = CROWD / (CALLERS_SANITIZED ? 10 : 1);
    n /= test_slowness();
    check_int(haft_run(leaves_a_hundred_thousand, &n, .workers = 2, .on_stuck = note_stuck), ==, 0);
    check_int(told.n, ==, 0);
}

static size_t memory_in_pages(void)
{
    char line[200], *rest;
    FILE *file = fopen("/proc/self/statm", "r");
    check_ptr(file, !=, NULL);
    check_ptr(fgets(line, sizeof line, file), !=, NULL);
    fclose(file);
    (void)strtoul(line, &rest, 10); /* what is mapped */
    return strtoul(rest, NULL, 10);
}

static void begin_and_end_runtimes(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        haft_runtime *rt = haft_runtime_new(.workers = 1 + (unsigned)(i % 3));
        check_ptr(rt, !=, NULL);
        for_each_kind(kind) {
            haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .runtime = rt, .kind = kind);
            check_int(haft_detach(&h), ==, 0);
        }
        check_int(haft_runtime_drop(&rt), ==, 0);
    }
}

TEST_LONG("a thousand runtimes begin and end in the memory of fifty")
{
    begin_and_end_runtimes(50);
    size_t before = memory_in_pages();
    begin_and_end_runtimes(1000 / test_slowness());
    /* Sanitizers keep what was freed for a while. */
    check_msg(CALLERS_SANITIZED || memory_in_pages() <= before + 1024, "%zu pages, then %zu", before,
              memory_in_pages());
    test_leak_check();
}

/* --- the end of the process --------------------------------------------------------------------------------------- */

static int exits(void)
{
    /* LeakSanitizer does not find what only the stack of the thread below this task points to. */
    if (CALLERS_SANITIZED)
        _exit(5);
    exit(5);
}

TEST_EXITS("a task may end the process", TEST_STATUS(5), "")
{
    haft_handle other = haft_spawn(wait_for_token);
    check_int(haft_error(other), ==, 0);
    haft_handle h = haft_spawn(exits);
    check_int(haft_join(&h), ==, -1);
}

TEST_EXITS("a task of haft_run's only worker may end the process", TEST_STATUS(5), "")
{
    check_int(haft_run(exits, HAFT_NO_FRAME, .workers = 1), ==, -1);
}

TEST_EXITS("a call on the pool may end the process", TEST_STATUS(5), "")
{
    haft_handle h = haft_spawn_blocking(exits);
    check_int(haft_join(&h), ==, -1);
}

TEST_EXITS("a thread may end the process", TEST_STATUS(5), "")
{
    haft_handle h = haft_spawn(exits, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    check_int(haft_join(&h), ==, -1);
}

#ifdef HAFT_CHECKED
static int parks(void)
{
    atomic_fetch_add(&stuck.running, 1);
    return haft_park();
}

static int waits_in_a_scope(void)
{
    HAFT_SCOPE(s);
    return haft_scope_spawn(s, parks, HAFT_NO_FRAME, .name = "child of a scope");
}

/* One of each, alive in every way there is; and some that are not. */
static void leave_one_of_each(void)
{
    static const char *const kinds[KINDS] = { "task", "thread", "call" };
    for_each_kind(kind) {
        haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = kind, .name = kinds[kind]);
        check_int(haft_error(h), ==, 0);
        haft_handle joined = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind, .name = "ended");
        check_int(haft_join(&joined), ==, 0);
        haft_handle finished = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind, .name = "ended");
        until(haft_is_finished(finished));
    }
    haft_handle detached = haft_spawn(wait_for_token, HAFT_NO_FRAME, .name = "detached");
    check_int(haft_detach(&detached), ==, 0);
    haft_handle owner = haft_spawn(waits_in_a_scope, HAFT_NO_FRAME, .name = "owner of a scope");
    check_int(haft_error(owner), ==, 0);
    haft_set *set = haft_set_new(.limit = 1);
    check_int(haft_set_spawn(set, wait_for_token, HAFT_NO_FRAME, .name = "member"), ==, 0);
    check_int(haft_set_spawn(set, wait_for_token, HAFT_NO_FRAME, .name = "queued member"), ==, 0);
    haft_runtime *rt = haft_runtime_new(.workers = 1);
    haft_handle elsewhere = haft_spawn(wait_for_token, HAFT_NO_FRAME, .name = "elsewhere", .runtime = rt);
    check_int(haft_error(elsewhere), ==, 0);
    haft_handle unnamed = haft_spawn(wait_for_token);
    check_int(haft_error(unnamed), ==, 0);
}

TEST("the end of the process names every job that lives, and no other, with its place of spawn")
{
    static const char *const alive[] = { "task",     "thread",           "call",
                                         "detached", "owner of a scope", "child of a scope",
                                         "member",   "queued member",    "elsewhere" };
    int fds[2];
    check_int(pipe(fds), ==, 0);
    pid_t child = fork(); /* before haft is used: the child is a program of its own */
    check_int(child, >=, 0);
    if (child == 0) {
        leave_one_of_each();
        dup2(fds[1], STDERR_FILENO);
        until(atomic_load(&stuck.running) == 1);
        exit(0);
    }
    close(fds[1]);
    char text[8192];
    size_t length = 0;
    for (ssize_t n; (n = read(fds[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)n;
    text[length] = '\0';
    close(fds[0]);
    check_int(waitpid(child, NULL, 0), ==, child);
    for (size_t i = 0; i < sizeof alive / sizeof *alive; i++) {
        char line[128];
        snprintf(line, sizeof line, "haft: still alive at exit: %s, spawned at ", alive[i]);
        check_msg(strstr(text, line) != NULL, "%s is not in: %s", alive[i], text);
    }
    check_ptr(strstr(text, "haft: still alive at exit: task "), !=, NULL); /* and its number */
    check_ptr(strstr(text, ": ended,"), ==, NULL);
    size_t lines = 0;
    for (const char *at = text; (at = strstr(at, "haft: still alive")) != NULL; at++)
        lines++;
    check_uint(lines, ==, sizeof alive / sizeof *alive + 1);
}
#endif
