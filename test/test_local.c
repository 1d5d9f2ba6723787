/* SPDX-License-Identifier: MIT
 *
 * Job-local values: they belong to their job, follow it, and end with it. */
#include <haft/haft.h>

#include <pthread.h>
#include <string.h>

#include "sync.h"

static _Atomic int drops;

static void count_drop(void *value)
{
    check_int(*(int *)value, ==, 5);
    atomic_fetch_add(&drops, 1);
    free(value);
}

static const haft_local plain = HAFT_LOCAL_INIT(NULL);
static const haft_local counted = HAFT_LOCAL_INIT(count_drop);

static int *five(void)
{
    int *value = malloc(sizeof *value);
    check_ptr(value, !=, NULL);
    *value = 5;
    return value;
}

static int keep_own(const int *number)
{
    int own = *number;
    check_ptr(haft_local_get(&plain), ==, NULL);
    check_int(haft_local_set(&plain, &own), ==, 0);
    check_int(haft_local_set(&counted, five()), ==, 0);
    for (int i = 0; i < 50; i++) {
        check_int(haft_yield(), ==, 0); /* on another worker, perhaps */
        check_ptr(haft_local_get(&plain), ==, &own);
        check_int(*(int *)haft_local_get(&counted), ==, 5);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("each job has its own values, which follow it between workers and end with it")
{
    enum { N = 12 };
    haft_handle hs[N];
    atomic_store(&drops, 0);
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(keep_own, &i, .kind = i < KINDS ? (haft_kind)i : HAFT_TASK);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(atomic_load(&drops), ==, N);
    check_ptr(haft_local_get(&plain), ==, NULL);
}

TEST_FROM_EVERY_CALLER("a value that another takes the place of is disposed of; null is none")
{
    atomic_store(&drops, 0);
    int *value = five();
    check_int(haft_local_set(&counted, NULL), ==, 0);
    check_int(haft_local_set(&counted, value), ==, 0);
    check_int(haft_local_set(&counted, value), ==, 0);
    check_int(atomic_load(&drops), ==, 0);
    check_int(haft_local_set(&counted, five()), ==, 0);
    check_int(atomic_load(&drops), ==, 1);
    check_int(haft_local_set(&counted, NULL), ==, 0);
    check_int(atomic_load(&drops), ==, 2);
    check_ptr(haft_local_get(&counted), ==, NULL);
}

static void drop_and_set(void *value);
static void drop_and_panic(void *value);
static const haft_local sets = HAFT_LOCAL_INIT(drop_and_set);
static const haft_local panics = HAFT_LOCAL_INIT(drop_and_panic);

static void drop_and_set(void *value)
{
    (void)value;
    check_int(haft_local_set(&counted, five()), ==, 0);
}

static void drop_and_panic(void *value)
{
    (void)value;
    haft_panic("in a dropper");
}

static int end_somehow(const bool *panics_itself)
{
    static int anything;
    check_int(haft_local_set(&counted, five()), ==, 0);
    check_int(haft_local_set(&panics, &anything), ==, 0);
    check_int(haft_local_set(&sets, &anything), ==, 0);
    if (*panics_itself)
        haft_panic("itself");
    return 3;
}

TEST_FROM_EVERY_CALLER(
    "values end however their job ends, though droppers panic or set others; that is nobody's outcome")
{
    silence_panics();
    for_each_kind(kind)
        for (int i = 0; i < 2; i++) {
            bool panics_itself = i != 0;
            atomic_store(&drops, 0);
            haft_handle h = haft_spawn(end_somehow, &panics_itself, .kind = kind);
            check_int(haft_join(&h), ==, panics_itself ? HAFT_EPANIC : 3);
            check_int(atomic_load(&drops), ==, 2);
        }
}

static void *foreign_thread(void *unused)
{
    check_int(haft_local_set(&counted, five()), ==, 0);
    return unused;
}

TEST("the values of a plain thread end with it")
{
    pthread_t thread;
    atomic_store(&drops, 0);
    check_int(pthread_create(&thread, NULL, foreign_thread, NULL), ==, 0);
    pthread_join(thread, NULL);
    check_int(atomic_load(&drops), ==, 1);
}
