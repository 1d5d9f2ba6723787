/* SPDX-License-Identifier: MIT
 *
 * The scheduler: who runs next, who is never forgotten, what time does, where memory ends. Most behaviours are shown
 * twice, each in a process of its own: on the kernel, with 1, 2 and 4 workers, and in the world of fake_os.h, with one
 * worker and a clock that is exact. An order can only be told on one worker. Over 600 lines, because every behaviour
 * is written once for two worlds. */
#include <haft/haft.h>

#include <fenv.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "callers.h"
#include "fake_os.h"

/* --- the two worlds ----------------------------------------------------------------------------------------------- */

static bool is_virtual; /* the clock is the fake one, and moves only when nothing can run */

static void run_with(void (*body)(void), unsigned workers)
{
    struct caller caller = { body };
    check_int(haft_run(caller_run, &caller, .workers = workers), ==, 0);
}

static void run_on_the_kernel(void (*body)(void), unsigned most)
{
    for (unsigned workers = 1; workers <= most; workers *= 2)
        run_with(body, workers);
}

static void run_without_a_kernel(void (*body)(void))
{
    is_virtual = true;
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_ADVISED });
    run_with(body, 1);
    fake_os_leave();
    is_virtual = false;
}

/* Registers two tests with one body, which runs as a runtime's main body. */
#define BEHAVIOUR(sentence) BEHAVIOUR__(__LINE__, sentence, 1, 4)
#define BEHAVIOUR_LONG(sentence) BEHAVIOUR__(__LINE__, sentence, 6, 4)
#define BEHAVIOUR_OF_ONE_WORKER(sentence) BEHAVIOUR__(__LINE__, sentence, 1, 1)
#define BEHAVIOUR__(line, sentence, weight, most) BEHAVIOUR_(line, sentence, weight, most)
#define BEHAVIOUR_(line, sentence, weight, most)                                                                       \
    static void behaviour_##line(void);                                                                                \
    static void kernel_##line(void)                                                                                    \
    {                                                                                                                  \
        run_on_the_kernel(behaviour_##line, most);                                                                     \
    }                                                                                                                  \
    static void fake_##line(void)                                                                                      \
    {                                                                                                                  \
        run_without_a_kernel(behaviour_##line);                                                                        \
    }                                                                                                                  \
    __attribute__((constructor)) static void enter_##line(void)                                                        \
    {                                                                                                                  \
        static struct test__case on_kernel = { sentence, __FILE__, line, kernel_##line, weight, 0, 0, 0 };             \
        static struct test__case on_fake = {                                                                           \
            sentence ", without a kernel too", __FILE__, line, fake_##line, weight, 0, 0, 0                            \
        };                                                                                                             \
        test__register(&on_kernel);                                                                                    \
        test__register(&on_fake);                                                                                      \
    }                                                                                                                  \
    static void behaviour_##line(void)

/* --- what the bodies share ---------------------------------------------------------------------------------------- */

enum { LOG_SIZE = 1 << 14 };

static struct {
    _Atomic size_t count;
    int entries[LOG_SIZE];
} written; /* by the tasks of one worker, which take turns; by those of several, each its own entry */

static void begin_log(void)
{
    atomic_store(&written.count, 0);
}

static void log_entry(int entry)
{
    size_t i = atomic_fetch_add(&written.count, 1);
    check_uint(i, <, LOG_SIZE);
    written.entries[i] = entry;
}

static haft__record *my_record(void)
{
    return haft__here()->root->record;
}

static haft__worker *my_worker(void)
{
    return haft__here()->worker;
}

static haft__record *record_of(haft_handle h)
{
    return &haft__job_of_handle(&h)->record;
}

/* Lets others run until that job waits. */
static void until_parked(haft_handle h)
{
    until(haft__load_acquire(&record_of(h)->word) == HAFT__PARKED);
}

/* How many workers of this runtime have a timer. */
static unsigned armed_timers(void)
{
    const haft__sched *sched = my_worker()->sched;
    unsigned n = 0;
    for (unsigned i = 0; i < sched->count; i++)
        n += haft__load_relaxed(&sched->workers[i].timers.earliest) != INT64_MAX;
    return n;
}

static uint64_t random_state;

static uint64_t random_below(uint64_t end)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % end;
}

static size_t scaled(size_t n, size_t least)
{
    n /= test_slowness();
    return n > least ? n : least;
}

/* --- order -------------------------------------------------------------------------------------------------------- */

static int logs_itself(const int *number)
{
    log_entry(*number);
    return 0;
}

BEHAVIOUR_OF_ONE_WORKER("the child that was spawned last runs first, the others in the order of their spawn")
{
    enum { N = 100 };
    haft_handle hs[N];
    begin_log();
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(logs_itself, &i);
    check_uint(atomic_load(&written.count), ==, 0);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_uint(atomic_load(&written.count), ==, N);
    check_int(written.entries[0], ==, N - 1);
    for (int i = 1; i < N; i++)
        check_int(written.entries[i], ==, i - 1);
}

static int waits_and_logs(const int *number)
{
    haft__park();
    log_entry(*number);
    return 0;
}

BEHAVIOUR_OF_ONE_WORKER("the task that was woken last runs first, the others in the order in which they were woken")
{
    enum { N = 20 };
    haft_handle hs[N];
    begin_log();
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(waits_and_logs, &i);
    for (int i = 0; i < N; i++)
        until_parked(hs[i]);
    for (int i = 0; i < N; i++)
        haft__wake(record_of(hs[i]));
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(written.entries[0], ==, N - 1);
    for (int i = 1; i < N; i++)
        check_int(written.entries[i], ==, i - 1);
}

enum { YIELDERS = 8, TURNS = 200 };

static int yields_and_logs(const int *number)
{
    for (int i = 0; i < TURNS; i++) {
        log_entry(*number);
        check_int(haft_yield(), ==, 0);
    }
    return 0;
}

BEHAVIOUR_OF_ONE_WORKER("tasks that yield take turns, each one in every round")
{
    haft_handle hs[YIELDERS];
    begin_log();
    for (int i = 0; i < YIELDERS; i++)
        hs[i] = haft_spawn(yields_and_logs, &i);
    for (int i = 0; i < YIELDERS; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_uint(atomic_load(&written.count), ==, YIELDERS * TURNS);
    for (int round = 0; round < TURNS; round++) {
        unsigned seen = 0;
        for (int i = 0; i < YIELDERS; i++)
            seen |= 1u << written.entries[round * YIELDERS + i];
        check_uint(seen, ==, (1u << YIELDERS) - 1);
    }
}

static _Atomic int must_stop;
static _Atomic unsigned long picks; /* of tasks that count themselves */

static int counts_itself(void)
{
    atomic_fetch_add(&picks, 1);
    return 0;
}

/* Its child wakes it, and it spawns the next: whenever one of them leaves, the other lies in the LIFO slot. */
static int begets_and_joins(void)
{
    while (!atomic_load(&must_stop)) {
        haft_handle child = haft_spawn(counts_itself);
        check_int(haft_join(&child), ==, 0);
        atomic_fetch_add(&picks, 1);
    }
    return 0;
}

BEHAVIOUR_OF_ONE_WORKER("two tasks that wake each other go first, but sixteen times in a row at most")
{
    atomic_store(&must_stop, 0);
    atomic_store(&picks, 0);
    haft_handle pair = haft_spawn(begets_and_joins);
    unsigned long before = 0, longest = 0;
    for (int i = 0; i < 200; i++) {
        check_int(haft_yield(), ==, 0);
        unsigned long now = atomic_load(&picks);
        check_uint(now - before, <=, HAFT__LIFO_RUNS + 1);
        longest = now - before > longest ? now - before : longest;
        before = now;
    }
    check_uint(longest, >=, HAFT__LIFO_RUNS - 1);
    atomic_store(&must_stop, 1);
    check_int(haft_join(&pair), ==, 0);
}

/* Each spawns the next and joins it, so that at the end each one's last act is to wake the one before. */
static int joins_the_next(const int *left)
{
    int next = *left - 1;
    if (next > 0) {
        haft_handle h = haft_spawn(joins_the_next, &next);
        check_int(haft_join(&h), ==, 0);
    }
    atomic_fetch_add(&picks, 1);
    return 0;
}

BEHAVIOUR_OF_ONE_WORKER("a row of tasks that wake one another by ending lets others in between, too")
{
    const int length = 200;
    atomic_store(&picks, 0);
    haft_handle row = haft_spawn(joins_the_next, &length);
    unsigned long before = 0, longest = 0;
    while (!haft_is_finished(row)) {
        check_int(haft_yield(), ==, 0);
        unsigned long now = atomic_load(&picks);
        check_uint(now - before, <=, HAFT__LIFO_RUNS + 1);
        longest = now - before > longest ? now - before : longest;
        before = now;
    }
    check_uint(longest, >=, HAFT__LIFO_RUNS - 1);
    check_int(haft_join(&row), ==, 0);
}

static int yields_until_stopped(void)
{
    while (!atomic_load(&must_stop)) {
        atomic_fetch_add(&picks, 1);
        check_int(haft_yield(), ==, 0);
    }
    return 0;
}

static _Atomic unsigned long picks_when_woken;

static int notes_when_it_runs(const int *times)
{
    for (int i = 0; i < *times; i++) {
        check_int(haft_park(), ==, 0);
        atomic_store(&picks_when_woken, atomic_load(&picks));
    }
    return 0;
}

BEHAVIOUR_OF_ONE_WORKER("a task that was woken waits for no more than 61 others, although the ring is never empty")
{
    enum { TIMES = 200 };
    const int times = TIMES;
    haft_handle yielders[YIELDERS];
    atomic_store(&must_stop, 0);
    atomic_store(&picks, 0);
    for (int i = 0; i < YIELDERS; i++)
        yielders[i] = haft_spawn(yields_until_stopped);
    haft_handle woken = haft_spawn(notes_when_it_runs, &times);
    for (int i = 0; i < TIMES; i++) {
        until_parked(woken);
        unsigned long before = atomic_load(&picks);
        atomic_store(&picks_when_woken, 0);
        check_int(haft_unpark(woken), ==, 0);
        until(atomic_load(&picks_when_woken) != 0);
        check_uint(atomic_load(&picks_when_woken) - before, <=, HAFT__FAIRNESS_TICKS + 1);
    }
    atomic_store(&must_stop, 1);
    check_int(haft_join(&woken), ==, 0);
    for (int i = 0; i < YIELDERS; i++)
        check_int(haft_join(&yielders[i]), ==, 0);
}

/* --- queues ------------------------------------------------------------------------------------------------------- */

TEST("what a plain thread spawns is served while every worker's ring is never empty")
{
    enum { N = 300 };
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        haft_runtime *runtime = haft_runtime_new(.workers = workers);
        check_ptr(runtime, !=, NULL);
        haft_handle yielders[4 * YIELDERS], hs[N];
        unsigned n = workers * YIELDERS;
        atomic_store(&must_stop, 0);
        for (unsigned i = 0; i < n; i++)
            yielders[i] = haft_spawn(yields_until_stopped, HAFT_NO_FRAME, .runtime = runtime);
        for (int i = 0; i < N; i++)
            hs[i] = haft_spawn(return_nothing, HAFT_NO_FRAME, .runtime = runtime);
        for (int i = 0; i < N; i++)
            check_int(haft_join(&hs[i]), ==, 0);
        atomic_store(&must_stop, 1);
        for (unsigned i = 0; i < n; i++)
            check_int(haft_join(&yielders[i]), ==, 0);
        check_int(haft_runtime_drop(&runtime), ==, 0);
    }
}

enum { MANY = 6000 };
static _Atomic unsigned runs[MANY];
static haft_handle many[MANY];

static void check_that_each_ran_once(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check_uint(atomic_load(&runs[i]), ==, 1);
        atomic_store(&runs[i], 0);
    }
}

static int runs_once(const size_t *number)
{
    atomic_fetch_add(&runs[*number], 1);
    return 0;
}

BEHAVIOUR("thousands of tasks are ready at once, far more than a ring holds, and each runs once")
{
    size_t n = scaled(MANY, 8 * (size_t)HAFT__RING_SIZE);
    for (size_t i = 0; i < n; i++)
        many[i] = haft_spawn(runs_once, &i);
    for (size_t i = 0; i < n; i++)
        check_int(haft_join(&many[i]), ==, 0);
    check_that_each_ran_once(n);
}

static int waits_and_runs_once(const size_t *number)
{
    int rc = haft_park();
    atomic_fetch_add(&runs[*number], 1);
    return rc;
}

BEHAVIOUR("thousands of waiting tasks are woken at once, and each goes on once")
{
    size_t n = scaled(MANY / 2, 4 * (size_t)HAFT__RING_SIZE);
    for (size_t i = 0; i < n; i++)
        many[i] = haft_spawn(waits_and_runs_once, &i);
    for (size_t i = 0; i < n; i++)
        until_parked(many[i]);
    for (size_t i = 0; i < n; i++)
        check_int(haft_unpark(many[i]), ==, 0);
    for (size_t i = 0; i < n; i++)
        check_int(haft_join(&many[i]), ==, 0);
    check_that_each_ran_once(n);
}

struct pinned {
    struct pinned *partner;
    haft_handle handle;
    int rounds;
};

static int stays_where_it_is(struct pinned **self)
{
    struct pinned *me = *self;
    const haft__worker *home = my_worker();
    for (int i = 0; i < me->rounds; i++) {
        check_int(haft_unpark(me->partner->handle), ==, 0);
        check_int(haft_park(), ==, 0);
        check_ptr(my_worker(), ==, home);
        check_int(haft_yield(), ==, 0);
        check_ptr(my_worker(), ==, home);
        check_int(haft_sleep(10 * HAFT_US), ==, 0);
        check_ptr(my_worker(), ==, home);
        haft_handle child = haft_spawn(return_nothing);
        check_int(haft_join(&child), ==, 0);
        check_ptr(my_worker(), ==, home);
    }
    return haft_unpark(me->partner->handle);
}

static int starts_when_told(struct pinned **self)
{
    check_int(haft_park(), ==, 0);
    return stays_where_it_is(self);
}

BEHAVIOUR("a pinned task goes on where it began after every wait, whoever wakes it")
{
    enum { N = 20 };
    struct pinned tasks[N];
    for (int i = 0; i < N; i++) {
        tasks[i] = (struct pinned){ .partner = &tasks[i ^ 1], .rounds = 30 };
        struct pinned *frame = &tasks[i];
        tasks[i].handle = haft_spawn(starts_when_told, &frame, .pinned = true);
    }
    for (int i = 0; i < N; i++)
        check_int(haft_unpark(tasks[i].handle), ==, 0);
    for (int i = 0; i < N; i++) {
        /* The partner still needs the handle, until both have come to their last unpark. */
        check_int(haft_wait(tasks[i].handle), ==, 0);
    }
    for (int i = 0; i < N; i++)
        check_int(haft_join(&tasks[i].handle), ==, 0);
}

/* --- parking ------------------------------------------------------------------------------------------------------ */

static _Atomic int stage;

static int takes_two_tokens(void)
{
    until(atomic_load(&stage) == 1);
    check_int(haft_park(), ==, 0);
    atomic_store(&stage, 2);
    {
        /* Of three tokens that came before the first park, one was kept. */
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    }
    atomic_store(&stage, 3);
    check_int(haft_park(), ==, 0);
    return 0;
}

BEHAVIOUR("an unpark that comes before the park is kept, and several count as one")
{
    atomic_store(&stage, 0);
    haft_handle h = haft_spawn(takes_two_tokens);
    for (int i = 0; i < 3; i++)
        check_int(haft_unpark(h), ==, 0);
    atomic_store(&stage, 1);
    until(atomic_load(&stage) == 3);
    check_int(haft_unpark(h), ==, 0);
    check_int(haft_join(&h), ==, 0);
}

static int waits_for_a_token(void)
{
    int rc = haft_park();
    atomic_store(&stage, 1);
    return rc;
}

BEHAVIOUR_OF_ONE_WORKER("a wake without a token does not end haft_park, and a token is not spent by other waits")
{
    atomic_store(&stage, 0);
    haft_handle h = haft_spawn(waits_for_a_token);
    until_parked(h);
    for (int i = 0; i < 10; i++) {
        haft__wake(record_of(h));
        until_parked(h);
        check_int(atomic_load(&stage), ==, 0);
    }
    check_int(haft_unpark(h), ==, 0);
    check_int(haft_join(&h), ==, 0);

    check_int(haft_unpark(haft_self()), ==, 0);
    h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_sleep(HAFT_MS), ==, 0);
    check_int(haft_park(), ==, 0);
}

static haft__record *_Atomic early;

static int parks_after_the_wake(void)
{
    atomic_store(&early, my_record());
    until(atomic_load(&stage) == 1);
    haft__park();
    return 0;
}

BEHAVIOUR("a wake that comes before the park is not lost")
{
    for (size_t i = rounds(1000, 100000); i > 0; i--) {
        atomic_store(&early, NULL);
        atomic_store(&stage, 0);
        haft_handle h = haft_spawn(parks_after_the_wake);
        until(atomic_load(&early) != NULL);
        /* The yields of the task consume no wake. */
        haft__wake(atomic_load(&early));
        atomic_store(&stage, 1);
        check_int(haft_join(&h), ==, 0);
    }
}

struct player {
    const haft_handle *other;
    size_t rounds;
};

static int unparks_and_parks(const struct player *me)
{
    check_int(haft_park(), ==, 0);
    for (size_t i = 0; i < me->rounds; i++) {
        check_int(haft_unpark(*me->other), ==, 0);
        check_int(haft_park(), ==, 0);
    }
    return haft_unpark(*me->other);
}

BEHAVIOUR("of thousands of wakes that race with parks none is lost")
{
    size_t n = rounds(5000, 1000000);
    haft_handle hs[2];
    for (int i = 0; i < 2; i++)
        hs[i] = haft_spawn(unparks_and_parks, (&(struct player){ .other = &hs[1 - i], .rounds = n }));
    check_int(haft_unpark(hs[0]), ==, 0);
    check_int(haft_unpark(hs[1]), ==, 0);
    for (int i = 0; i < 2; i++)
        check_int(haft_wait(hs[i]), ==, 0);
    for (int i = 0; i < 2; i++)
        check_int(haft_join(&hs[i]), ==, 0);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

struct sleeper {
    int64_t until;
    int64_t woke;
    size_t place; /* in the order of waking */
    int code;
    bool is_aborted;
};

enum { SLEEPERS = 3000 };
static struct sleeper sleepers[SLEEPERS];
static _Atomic size_t awake;

static int sleeps(struct sleeper **frame)
{
    struct sleeper *me = *frame;
    me->code = haft_sleep(me->until - haft_now());
    me->woke = haft_now();
    me->place = atomic_fetch_add(&awake, 1);
    return 0;
}

static size_t start_sleepers(int64_t from, int64_t span)
{
    size_t n = scaled(SLEEPERS, 300);
    atomic_store(&awake, 0);
    random_state = 20250101;
    for (size_t i = 0; i < n; i++) {
        sleepers[i] = (struct sleeper){ .until = from + 1 + (int64_t)random_below((uint64_t)span) };
        struct sleeper *frame = &sleepers[i];
        many[i] = haft_spawn(sleeps, &frame);
    }
    return n;
}

static int by_place(const void *a, const void *b)
{
    const struct sleeper *left = a, *right = b;
    return (left->place > right->place) - (left->place < right->place);
}

BEHAVIOUR("sleeps of any length end in the order of their deadlines, none early, and then at once if nothing else runs")
{
    size_t n = start_sleepers(haft_now(), is_virtual ? 3600 * HAFT_S : 200 * HAFT_MS);
    for (size_t i = 0; i < n; i++)
        check_int(haft_join(&many[i]), ==, 0);
    for (size_t i = 0; i < n; i++) {
        check_int(sleepers[i].code, ==, 0);
        check_int(sleepers[i].woke, >=, sleepers[i].until);
        if (is_virtual)
            check_int(sleepers[i].woke, <=, sleepers[i].until + FAKE_OS_LOOK);
    }
    if (is_virtual) {
        qsort(sleepers, n, sizeof *sleepers, by_place);
        for (size_t i = 1; i < n; i++)
            check_int(sleepers[i - 1].until, <=, sleepers[i].until);
    }
    check_uint(armed_timers(), ==, 0);
}

BEHAVIOUR("sleeps that are aborted at any moment end then, and all others at their deadlines")
{
    int64_t span = is_virtual ? 3600 * HAFT_S : 200 * HAFT_MS;
    size_t n = start_sleepers(haft_now(), span);
    for (size_t i = 0; i < n / 2; i++) {
        check_int(haft_sleep((int64_t)random_below((uint64_t)span / (n / 2))), ==, 0);
        size_t victim = random_below(n);
        struct sleeper *s = &sleepers[victim];
        bool sleeps_still = haft_now() < s->until && !haft_is_finished(many[victim]);
        check_int(haft_abort(many[victim]), ==, 0);
        if (!is_virtual || !sleeps_still || s->is_aborted)
            continue;
        s->is_aborted = true;
        until(haft_is_finished(many[victim]));
        check_int(s->code, ==, HAFT_ECANCELED);
        check_int(haft_now() - s->woke, <=, FAKE_OS_LOOK);
        check_int(s->woke, <, s->until);
    }
    for (size_t i = 0; i < n; i++) {
        struct sleeper *s = &sleepers[i];
        int rc = haft_join(&many[i]);
        check(rc == 0 || rc == HAFT_EABORTED);
        check(haft_is_null(many[i]));
        if (s->woke == 0) /* aborted before it began */
            continue;
        check_int(s->code, ==, rc == 0 ? 0 : HAFT_ECANCELED);
        if (rc == 0)
            check_int(s->woke, >=, s->until);
        if (is_virtual && !s->is_aborted)
            check_int(s->woke, <=, s->until + FAKE_OS_LOOK);
    }
    check_uint(armed_timers(), ==, 0);
}

static int is_woken_before_its_deadline(void)
{
    {
        HAFT_TIMEOUT(10 * HAFT_S);
        check_int(haft_park(), ==, 0);
    }
    atomic_store(&stage, 1);
    haft__park(); /* returns at any wake, also at that of a timer that was forgotten */
    atomic_store(&stage, 2);
    return 0;
}

BEHAVIOUR("a timer whose wait ended earlier is out of the way and never wakes anybody")
{
    atomic_store(&stage, 0);
    haft_handle h = haft_spawn(is_woken_before_its_deadline);
    until_parked(h);
    check_uint(armed_timers(), ==, 1);
    check_int(haft_unpark(h), ==, 0);
    until(atomic_load(&stage) == 1);
    until_parked(h);
    check_uint(armed_timers(), ==, 0);
    if (is_virtual) {
        check_int(haft_sleep(20 * HAFT_S), ==, 0);
        check_int(atomic_load(&stage), ==, 1);
    }
    haft__wake(record_of(h));
    check_int(haft_join(&h), ==, 0);
}

static void check_elapsed(int64_t since, int64_t nanoseconds)
{
    check_int(haft_now() - since, >=, nanoseconds);
    if (is_virtual)
        check_int(haft_now() - since, ==, nanoseconds);
}

BEHAVIOUR("of nested timeouts the nearest wins, and the end of a block brings the outer one back")
{
    int64_t start = haft_now();
    HAFT_TIMEOUT(20 * HAFT_MS);
    {
        HAFT_TIMEOUT(HAFT_S);
        {
            HAFT_TIMEOUT(5 * HAFT_MS);
            check_int(haft_park(), ==, HAFT_ETIMEDOUT);
            check_elapsed(start, 5 * HAFT_MS);
            check_int(haft_sleep(HAFT_MS), ==, HAFT_ETIMEDOUT);
            {
                HAFT_SHIELD;
                HAFT_TIMEOUT(3 * HAFT_MS);
                check_int(haft_park(), ==, HAFT_ETIMEDOUT);
                check_elapsed(start, 8 * HAFT_MS);
            }
        }
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
        check_elapsed(start, 20 * HAFT_MS);
    }
    check_uint(armed_timers(), ==, 0);
}
