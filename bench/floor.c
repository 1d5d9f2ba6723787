/* SPDX-License-Identifier: MIT
 *
 * PHYS: what the processor and the kernel charge for the things that every concurrency library is made of. These rows are
 * no contest; they say how fast the machine was in the same run, so that figures of two machines can be compared as
 * multiples of them. */
#include "sample.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void locked_add(void *context, size_t n)
{
    (void)context;
    static _Atomic uint64_t counter;
    uint64_t before = atomic_load(&counter);
    for (size_t i = 0; i < n; i++)
        atomic_fetch_add(&counter, 1);
    sample_check(atomic_load(&counter) - before == n);
}

static void read_clock(void *context, size_t n)
{
    (void)context;
    struct timespec t;
    for (size_t i = 0; i < n; i++)
        sample_check(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
}

static void malloc_and_free(void *context, size_t n)
{
    (void)context;
    for (size_t i = 0; i < n; i++) {
        void *memory = malloc(64);
        /* Without this the compiler may remove both calls. */
        __asm__ volatile("" : : "r"(memory) : "memory");
        free(memory);
    }
}

static void touch_pages(void *context, size_t n)
{
    (void)context;
    const size_t page = 4096;
    char *pages = mmap(NULL, n * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    sample_check(pages != MAP_FAILED);
    sample_check(madvise(pages, n * page, MADV_NOHUGEPAGE) == 0);
    for (size_t i = 0; i < n; i++)
        pages[i * page] = 1;
    sample_check(munmap(pages, n * page) == 0);
}

static void system_call(void *context, size_t n)
{
    (void)context;
    for (size_t i = 0; i < n; i++)
        sample_check(syscall(SYS_getppid) > 0);
}

static void *nothing(void *argument)
{
    return argument;
}

static void create_and_join(void *context, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pthread_t thread;
        void *result = NULL;
        sample_check(pthread_create(&thread, NULL, nothing, context) == 0);
        sample_check(pthread_join(thread, &result) == 0 && result == context);
    }
}

/* Two threads pass one turn back and forth: each sleeps on its own word until the other sets it. */
struct table_tennis {
    _Alignas(128) atomic_int ball_here;
    _Alignas(128) atomic_int ball_there;
    size_t turns;
    const size_t *cores; /* of the two threads, or null: wherever the kernel puts them */
};

static void stay_on_core(size_t core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sample_check(sched_setaffinity(0, sizeof set, &set) == 0);
}

static void await_ball(atomic_int *ball)
{
    while (atomic_load(ball) == 0)
        syscall(SYS_futex, ball, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    atomic_store(ball, 0);
}

static void pass_ball(atomic_int *ball)
{
    atomic_store(ball, 1);
    syscall(SYS_futex, ball, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *other_player(void *argument)
{
    struct table_tennis *game = argument;
    stay_on_core(game->cores[1]);
    for (size_t i = 0; i < game->turns; i++) {
        await_ball(&game->ball_there);
        pass_ball(&game->ball_here);
    }
    return NULL;
}

static void futex_round_trips(void *context, size_t n)
{
    struct table_tennis *game = context;
    game->turns = n;
    pthread_t thread;
    stay_on_core(game->cores[0]);
    sample_check(pthread_create(&thread, NULL, other_player, game) == 0);
    for (size_t i = 0; i < n; i++) {
        pass_ball(&game->ball_there);
        await_ball(&game->ball_here);
    }
    sample_check(pthread_join(thread, NULL) == 0);
}

/* One cache line between two cores, by spinning: two transfers a round trip. */
static void *spinning_player(void *argument)
{
    struct table_tennis *game = argument;
    stay_on_core(game->cores[1]);
    for (size_t i = 0; i < game->turns; i++) {
        while (atomic_load_explicit(&game->ball_here, memory_order_acquire) != 1)
            continue;
        atomic_store_explicit(&game->ball_here, 0, memory_order_release);
    }
    return NULL;
}

static void line_round_trips(void *context, size_t n)
{
    struct table_tennis *game = context;
    game->turns = n;
    pthread_t thread;
    stay_on_core(game->cores[0]);
    sample_check(pthread_create(&thread, NULL, spinning_player, game) == 0);
    for (size_t i = 0; i < n; i++) {
        atomic_store_explicit(&game->ball_here, 1, memory_order_release);
        while (atomic_load_explicit(&game->ball_here, memory_order_acquire) != 0)
            continue;
    }
    sample_check(pthread_join(thread, NULL) == 0);
}

/* The first two cores that this process may use; the same one twice if there is only one. */
static void find_cores(size_t cores[2])
{
    cpu_set_t allowed;
    sample_check(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    int found = 0;
    for (size_t core = 0; core < CPU_SETSIZE && found < 2; core++) {
        if (CPU_ISSET(core, &allowed))
            cores[found++] = core;
    }
    sample_check(found > 0);
    if (found == 1)
        cores[1] = cores[0];
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        puts("this machine");
        return 0;
    }
    size_t cores[2] = { 0, 0 };
    find_cores(cores);
    const size_t same_core[2] = { cores[0], cores[0] };
    const struct {
        const char *name;
        void (*run)(void *context, size_t n);
        const size_t *cores;
    } rows[] = {
        { "locked add", locked_add, NULL },
        { "clock_gettime", read_clock, NULL },
        { "malloc + free", malloc_and_free, NULL },
        { "null system call", system_call, NULL },
        { "first touch of a page", touch_pages, NULL },
        { "pthread_create + join", create_and_join, NULL },
        { "futex round trip, one core", futex_round_trips, same_core },
        { "futex round trip, two cores", futex_round_trips, cores },
        { "cache line round trip", line_round_trips, cores },
    };
    struct sample_request request = sample_request_of(argc, argv);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!sample_asks(&request, "PHYS", rows[i].name))
            continue;
        struct table_tennis game = { .cores = rows[i].cores };
        struct sample_moment start = sample_now();
        rows[i].run(&game, request.n);
        sample_report_time("warm", start, (double)request.n);
        return 0;
    }
    fprintf(stderr, "no such row: %s\n", request.variant);
    return 2;
}
