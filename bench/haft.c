/* SPDX-License-Identifier: MIT
 *
 * haft's side of the workloads. Each is what a user would write with the public header and nothing else; README.md of
 * this folder says what each workload is, sample.h how it is started and what it prints. */
#include <haft/haft.h>

#include "actors.h"
#include "channels.h"
#include "sample.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The frame of every small task: a number comes in, the next one goes out. */
static int add_one(uint64_t *number)
{
    *number += 1;
    return 0;
}

/* --- W1, W2, W2x: spawn and join, one at a time ------------------------------------------------------------------- */

struct starter {
    haft_kind kind;
    haft_runtime *runtime; /* null for the caller's own */
};

static void one_at_a_time(void *context, size_t n)
{
    const struct starter *starter = context;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t number = i;
        haft_handle h = haft_spawn(add_one, &number, .kind = starter->kind, .runtime = starter->runtime);
        sample_check(haft_join(&h, &number) == 0);
        sum += number;
    }
    sample_check(sum == sample_expected_sum(n));
}

static int w1_thread(struct sample_request *request)
{
    sample_cold_and_warm(one_at_a_time, &(struct starter){ .kind = HAFT_THREAD }, request->n, request->n);
    return 0;
}

static int w2_task(struct sample_request *request)
{
    sample_cold_and_warm(one_at_a_time, &(struct starter){ .kind = HAFT_TASK }, request->n, request->n);
    return 0;
}

static int w2x_task(struct sample_request *request)
{
    haft_runtime *runtime = haft_runtime_new(.workers = request->workers);
    sample_check(runtime != NULL);
    sample_cold_and_warm(one_at_a_time, &(struct starter){ .runtime = runtime }, request->n, request->n);
    sample_check(haft_runtime_drop(&runtime) == 0);
    return 0;
}

/* --- W3: many empty tasks, then join all -------------------------------------------------------------------------- */

static void spawn_all_join_all(void *context, size_t n)
{
    (void)context;
    haft_handle *handles = sample_allocate(n, sizeof *handles);
    for (size_t i = 0; i < n; i++) {
        uint64_t number = i;
        handles[i] = haft_spawn(add_one, &number);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t number = 0;
        sample_check(haft_join(&handles[i], &number) == 0);
        sum += number;
    }
    free(handles);
    sample_check(sum == sample_expected_sum(n));
}

static int w3_spawn(struct sample_request *request)
{
    sample_cold_and_warm(spawn_all_join_all, NULL, request->n, request->n);
    return 0;
}

static void fill_and_empty_a_set(void *context, size_t n)
{
    (void)context;
    haft_set *set = haft_set_new();
    sample_check(set != NULL);
    for (size_t i = 0; i < n; i++) {
        uint64_t number = i;
        sample_check(haft_set_spawn(set, add_one, &number) == 0);
    }
    uint64_t sum = 0;
    uint64_t number;
    int code;
    size_t taken = 0;
    while (haft_set_next(set, &number, &code) == 0) {
        sample_check(code == 0);
        sum += number;
        taken++;
    }
    haft_set_drop(&set);
    sample_check(taken == n && sum == sample_expected_sum(n));
}

static int w3_set(struct sample_request *request)
{
    sample_cold_and_warm(fill_and_empty_a_set, NULL, request->n, request->n);
    return 0;
}

/* --- W3b, W9: tasks that are all alive and waiting ---------------------------------------------------------------- */

struct waiting {
    uint64_t number;
    atomic_size_t *begun;
};

static int begin_and_park(struct waiting *task)
{
    atomic_fetch_add_explicit(task->begun, 1, memory_order_relaxed);
    int rc = haft_park();
    task->number += 1;
    return rc;
}

static haft_handle *spawn_waiting(size_t n, atomic_size_t *begun)
{
    haft_handle *handles = sample_allocate(n, sizeof *handles);
    atomic_init(begun, 0);
    for (size_t i = 0; i < n; i++)
        handles[i] = haft_spawn(begin_and_park, (&(struct waiting){ .number = i, .begun = begun }));
    while (atomic_load_explicit(begun, memory_order_relaxed) < n)
        sample_check(haft_yield() == 0);
    return handles;
}

static void wake_and_join(haft_handle *handles, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sample_check(haft_unpark(handles[i]) == 0);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        struct waiting task;
        sample_check(haft_join(&handles[i], &task) == 0);
        sum += task.number;
    }
    free(handles);
    sample_check(sum == sample_expected_sum(n));
}

static void all_wait_then_wake(void *context, size_t n)
{
    (void)context;
    atomic_size_t begun;
    wake_and_join(spawn_waiting(n, &begun), n);
}

static int w3b_park(struct sample_request *request)
{
    sample_cold_and_warm(all_wait_then_wake, NULL, request->n, request->n);
    return 0;
}

static int w9_park(struct sample_request *request)
{
    atomic_size_t begun;
    double before = sample_resident_bytes();
    haft_handle *handles = spawn_waiting(request->n, &begun);
    sample_report("alive", "bytes", (sample_resident_bytes() - before) / (double)request->n);
    wake_and_join(handles, request->n);
    return 0;
}

/* --- W4: two tasks yield to each other ---------------------------------------------------------------------------- */

struct yielder {
    uint64_t turns;
    uint64_t done;
};

static int yield_many_times(struct yielder *y)
{
    while (y->done < y->turns) {
        int rc = haft_yield();
        if (rc != 0)
            return rc;
        y->done++;
    }
    return 0;
}

static void two_yield(void *context, size_t n)
{
    (void)context;
    struct yielder a = { .turns = n };
    struct yielder b = { .turns = n };
    haft_handle first = haft_spawn(yield_many_times, &a);
    haft_handle second = haft_spawn(yield_many_times, &b);
    sample_check(haft_join(&first, &a) == 0 && haft_join(&second, &b) == 0);
    sample_check(a.done == n && b.done == n);
}

static int w4_yield(struct sample_request *request)
{
    sample_cold_and_warm(two_yield, NULL, request->n, 2 * request->n);
    return 0;
}

/* --- W8: divide and conquer --------------------------------------------------------------------------------------- */

struct fib {
    unsigned n;
    uint64_t result;
};

static int fib_by_both(struct fib *f)
{
    if (f->n < 2) {
        f->result = f->n;
        return 0;
    }
    struct fib a = { .n = f->n - 1 }, b = { .n = f->n - 2 };
    int rc = haft_both(fib_by_both, &a, fib_by_both, &b);
    f->result = a.result + b.result;
    return rc;
}

static int fib_by_spawn(struct fib *f)
{
    if (f->n < 2) {
        f->result = f->n;
        return 0;
    }
    struct fib a = { .n = f->n - 1 }, b = { .n = f->n - 2 };
    haft_handle h = haft_spawn(fib_by_spawn, &a);
    int rc = fib_by_spawn(&b);
    rc |= haft_join(&h, &a);
    f->result = a.result + b.result;
    return rc;
}

static void divide(void *context, size_t leaves)
{
    int (*const *const fib)(struct fib *) = context;
    struct fib f = { .n = sample_fib_of(leaves) };
    sample_check((*fib)(&f) == 0);
    sample_check(f.result == sample_fib(f.n));
}

static int w8(struct sample_request *request, int (*fib)(struct fib *))
{
    size_t forks = (size_t)sample_fib(sample_fib_of(request->n) + 1) - 1;
    sample_cold_and_warm(divide, &fib, request->n, forks > 0 ? forks : 1);
    return 0;
}

static int w8_both(struct sample_request *request)
{
    return w8(request, fib_by_both);
}

static int w8_spawn(struct sample_request *request)
{
    return w8(request, fib_by_spawn);
}

/* --- W10: many sleeps --------------------------------------------------------------------------------------------- */

struct sleeper {
    int64_t nanoseconds;
    int64_t late;
};

static int sleep_and_tell(struct sleeper *s)
{
    int64_t start = haft_now();
    int rc = haft_sleep(s->nanoseconds);
    s->late = haft_now() - start - s->nanoseconds;
    return rc;
}

static int w10_sleep(struct sample_request *request)
{
    double *late = sample_allocate(request->n, sizeof *late);
    haft_handle *handles = sample_allocate(request->n, sizeof *handles);
    struct sample_moment start = sample_now();
    uint64_t dice = SAMPLE_SEED;
    for (size_t i = 0; i < request->n; i++)
        handles[i] = haft_spawn(sleep_and_tell, &(struct sleeper){ .nanoseconds = sample_sleep(&dice) });
    for (size_t i = 0; i < request->n; i++) {
        struct sleeper s;
        sample_check(haft_join(&handles[i], &s) == 0 && s.late >= 0);
        late[i] = (double)s.late;
    }
    sample_report_lateness(start, late, request->n);
    free(handles);
    free(late);
    return 0;
}

/* --- W12: a mutex and a semaphore --------------------------------------------------------------------------------- */

struct counter {
    haft_mutex mutex;
    haft_sem sem;
    uint64_t count;
};

/* In one line of the cache, wherever the linker puts it. */
static _Alignas(64) struct counter counter = { .mutex = HAFT_MUTEX_INIT, .sem = HAFT_SEM_INIT(1) };

static int count_by_mutex(size_t *turns)
{
    for (size_t i = 0; i < *turns; i++) {
        sample_check(haft_mutex_lock(&counter.mutex) == 0);
        counter.count++;
        haft_mutex_unlock(&counter.mutex);
    }
    return 0;
}

static int count_by_sem(size_t *turns)
{
    for (size_t i = 0; i < *turns; i++) {
        sample_check(haft_sem_acquire(&counter.sem) == 0);
        counter.count++;
        haft_sem_release(&counter.sem);
    }
    return 0;
}

struct contenders {
    int (*body)(size_t *);
    unsigned jobs;
    unsigned threads; /* so many of them */
};

static void contend(void *context, size_t n)
{
    const struct contenders *c = context;
    size_t turns = n / c->jobs;
    haft_handle h[4];
    counter.count = 0;
    if (c->jobs == 1)
        c->body(&turns);
    for (unsigned i = 0; c->jobs > 1 && i < c->jobs; i++)
        h[i] = haft_spawn(c->body, &turns, .kind = i < c->threads ? HAFT_THREAD : HAFT_TASK);
    for (unsigned i = 0; c->jobs > 1 && i < c->jobs; i++)
        sample_check(haft_join(&h[i]) == 0);
    sample_check(counter.count == turns * c->jobs);
}

static int w12(struct sample_request *request, struct contenders contenders)
{
    sample_cold_and_warm(contend, &contenders, request->n, request->n);
    return 0;
}

static int w12_mutex(struct sample_request *request)
{
    return w12(request, (struct contenders){ count_by_mutex, 1, 0 });
}

static int w12_mutex_tasks(struct sample_request *request)
{
    return w12(request, (struct contenders){ count_by_mutex, 4, 0 });
}

static int w12_mutex_threads(struct sample_request *request)
{
    return w12(request, (struct contenders){ count_by_mutex, 4, 4 });
}

static int w12_mutex_mixed(struct sample_request *request)
{
    return w12(request, (struct contenders){ count_by_mutex, 4, 2 });
}

static int w12_sem(struct sample_request *request)
{
    return w12(request, (struct contenders){ count_by_sem, 1, 0 });
}

/* --- W7: calls to an actor ---------------------------------------------------------------------------------------- */

struct total {
    uint64_t sum;
};
typedef HAFT_ACTOR(struct total) totaller;

static int add_to_total(struct total *t, uint64_t *number)
{
    t->sum += *number;
    *number = t->sum;
    return 0;
}

struct asker {
    const totaller *actor;
    size_t turns;
};

struct callers {
    size_t clients;
    haft_kind kind; /* theirs, and the actor's */
};

static int ask(struct asker *a)
{
    for (size_t i = 0; i < a->turns; i++) {
        uint64_t number = 1;
        sample_check(haft_call(a->actor, add_to_total, &number) == 0);
    }
    return 0;
}

static void calls_by_clients(void *context, size_t n)
{
    const struct callers *by = context;
    size_t clients = by->clients, turns = n / clients;
    haft_handle handles[100];
    struct total total = { 0 };
    totaller actor;
    sample_check(haft_actor_start(&actor, &total, .kind = by->kind) == 0);
    for (size_t i = 0; i < clients; i++)
        handles[i] = haft_spawn(ask, (&(struct asker){ &actor, turns }), .kind = by->kind);
    for (size_t i = 0; i < clients; i++)
        sample_check(haft_join(&handles[i]) == 0);
    sample_check(haft_actor_join(&actor, &total) == 0);
    sample_check(total.sum == turns * clients);
}

static int w7_calls(struct sample_request *request, haft_kind kind)
{
    struct callers by = { strtoul(request->variant, NULL, 10), kind };
    sample_check(by.clients == 1 || by.clients == 100);
    sample_cold_and_warm(calls_by_clients, &by, request->n, request->n);
    return 0;
}

static int w7_tasks(struct sample_request *request)
{
    return w7_calls(request, HAFT_TASK);
}

static int w7_threads(struct sample_request *request)
{
    return w7_calls(request, HAFT_THREAD);
}

/* --- IDLE: a runtime without work --------------------------------------------------------------------------------- */

static int idle_runtime(struct sample_request *request)
{
    haft_runtime *runtime = haft_runtime_new(.workers = request->workers);
    sample_check(runtime != NULL);
    one_at_a_time(&(struct starter){ .runtime = runtime }, request->n);
    sample_idle_second();
    sample_check(haft_runtime_drop(&runtime) == 0);
    return 0;
}

/* IDLE again, but with n tasks alive that wait for something. */
static int idle_with_waiting_tasks(struct sample_request *request)
{
    haft_runtime *runtime = haft_runtime_new(.workers = request->workers);
    haft_handle *handles = sample_allocate(request->n, sizeof *handles);
    atomic_size_t begun = 0;
    sample_check(runtime != NULL);
    for (size_t i = 0; i < request->n; i++)
        handles[i] =
            haft_spawn(begin_and_park, (&(struct waiting){ .number = i, .begun = &begun }), .runtime = runtime);
    sample_idle_second();
    sample_check(atomic_load_explicit(&begun, memory_order_relaxed) == request->n);
    wake_and_join(handles, request->n);
    sample_check(haft_runtime_drop(&runtime) == 0);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *workload;
    const char *variant; /* null: any */
    int (*run)(struct sample_request *);
    bool as_a_task; /* run as the main task of a runtime, not by the plain main thread */
} workloads[] = {
    { "W1", "thread", w1_thread, false },
    { "W2", "task", w2_task, true },
    { "W2x", "task", w2x_task, false },
    { "W3", "spawn", w3_spawn, true },
    { "W3", "set", w3_set, true },
    { "W3b", "park", w3b_park, true },
    { "W4", "yield", w4_yield, true },
    { "W9", "park", w9_park, true },
    { "IDLE", "bare", idle_runtime, false },
    { "IDLE", "parked", idle_with_waiting_tasks, false },
    { "W5", NULL, w5_ping_pong, true },
    { "W5t", NULL, w5_ping_pong, false },
    { "W5x", NULL, w5_ping_pong, true },
    { "W6", NULL, w6_throughput, true },
    { "W6t", NULL, w6_throughput, false },
    { "W13", "select", w13_select, true },
    { "W8", "both", w8_both, true },
    { "W8", "spawn", w8_spawn, true },
    { "W10", "sleep", w10_sleep, true },
    { "W7", NULL, w7_tasks, true },
    { "W7t", NULL, w7_threads, false },
    { "W14", "ticks", w14_ticks, true },
    { "W12", "mutex", w12_mutex, true },
    { "W12", "mutex-thread", w12_mutex, false },
    { "W12c", "tasks", w12_mutex_tasks, true },
    { "W12c", "threads", w12_mutex_threads, true },
    { "W12c", "mixed", w12_mutex_mixed, true },
    { "W12s", "sem", w12_sem, true },
    { "W12s", "sem-thread", w12_sem, false },
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        printf("%d.%d.%d\n", HAFT_VERSION_MAJOR, HAFT_VERSION_MINOR, HAFT_VERSION_PATCH);
        return 0;
    }
    struct sample_request request = sample_request_of(argc, argv);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        const char *variant = workloads[i].variant;
        if (!sample_asks(&request, workloads[i].workload, variant != NULL ? variant : request.variant))
            continue;
        int rc = workloads[i].as_a_task ? haft_run(workloads[i].run, &request, .workers = request.workers)
                                        : workloads[i].run(&request);
        if (rc != 0)
            fprintf(stderr, "%s: %s\n", request.workload, haft_strerror(rc));
        return rc == 0 ? 0 : 1;
    }
    fprintf(stderr, "haft has no workload %s %s\n", request.workload, request.variant);
    return 2;
}
