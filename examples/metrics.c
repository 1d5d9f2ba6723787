/* SPDX-License-Identifier: MIT
 *
 * A runtime tells what it has done: how many jobs of each kind it had and how they ended, what each worker did, which
 * stacks are in use. The counters are kept anyway. */
#include <haft/haft.h>

#include <stdio.h>

static void quiet(const haft_panic_info *panic)
{
    (void)panic;
}

static int work(void)
{
    return haft_yield();
}

static int fall(void)
{
    haft_panic("on purpose");
}

static void print_kind(const char *name, const haft_kind_metrics *k)
{
    printf("%-15s spawned %ju, finished %ju (panicked %ju, aborted %ju), live %ju\n", name, (uintmax_t)k->spawned,
           (uintmax_t)k->finished, (uintmax_t)k->panicked, (uintmax_t)k->aborted, (uintmax_t)k->live);
}

static int run(void)
{
    haft_on_panic(quiet);
    haft_handle hs[10];
    for (int i = 0; i < 10; i++)
        hs[i] = haft_spawn(i == 3 ? fall : work);
    haft_join_all(hs, 10, NULL);
    haft_handle waiting = haft_spawn(haft_park);
    haft_handle stopped = haft_spawn(haft_park);
    haft_drop(&stopped);
    haft_blocking(work, HAFT_NO_FRAME);

    haft_runtime_metrics m;
    haft_worker_metrics worker;
    do {
        haft_yield(); /* an end is counted a moment after it can be seen */
        haft_metrics(NULL, &m, &worker, 1);
    } while (m.kinds[HAFT_BLOCKING].live > 0 || m.kinds[HAFT_TASK].live > 2);
    print_kind("tasks", &m.kinds[HAFT_TASK]);
    print_kind("threads", &m.kinds[HAFT_THREAD]);
    print_kind("blocking calls", &m.kinds[HAFT_BLOCKING]);
    printf("workers: %u; the first ended %ju tasks and stole %ju times\n", m.workers, (uintmax_t)worker.finished,
           (uintmax_t)worker.steals);
    printf("threads of the pool: %u, calls that wait for one: %ju\n", m.pool_threads, (uintmax_t)m.pool_queued);
    printf("stacks in use: %d\n", m.stacks_used >= 2);
    haft_drop(&waiting);
    return 0;
}

int main(void)
{
    return haft_run(run, HAFT_NO_FRAME, .workers = 1);
}
