/* SPDX-License-Identifier: MIT
 *
 * The peer pthread: an OS thread is started and joined, one at a time; its mutex, and the semaphore of the C library. */
#include "../sample.h"

#include <gnu/libc-version.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static void *add_one(void *argument)
{
    uint64_t *number = argument;
    *number += 1;
    return argument;
}

static void one_at_a_time(void *context, size_t n)
{
    (void)context;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        pthread_t thread;
        uint64_t number = i;
        sample_check(pthread_create(&thread, NULL, add_one, &number) == 0);
        sample_check(pthread_join(thread, NULL) == 0);
        sum += number;
    }
    sample_check(sum == sample_expected_sum(n));
}

static struct {
    pthread_mutex_t mutex;
    sem_t sem;
    uint64_t count;
} counter = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void *count_by_mutex(void *argument)
{
    for (size_t i = 0; i < *(size_t *)argument; i++) {
        pthread_mutex_lock(&counter.mutex);
        counter.count++;
        pthread_mutex_unlock(&counter.mutex);
    }
    return argument;
}

static void mutex_alone(void *context, size_t n)
{
    (void)context;
    count_by_mutex(&n);
}

static void mutex_by_four(void *context, size_t n)
{
    (void)context;
    pthread_t threads[4];
    size_t turns = n / 4;
    counter.count = 0;
    for (int i = 0; i < 4; i++)
        sample_check(pthread_create(&threads[i], NULL, count_by_mutex, &turns) == 0);
    for (int i = 0; i < 4; i++)
        sample_check(pthread_join(threads[i], NULL) == 0);
    sample_check(counter.count == 4 * turns);
}

static void sem_alone(void *context, size_t n)
{
    (void)context;
    for (size_t i = 0; i < n; i++) {
        sample_check(sem_wait(&counter.sem) == 0);
        counter.count++;
        sem_post(&counter.sem);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        printf("glibc %s\n", gnu_get_libc_version());
        return 0;
    }
    struct sample_request request = sample_request_of(argc, argv);
    if (sample_asks(&request, "W1", "thread")) {
        sample_cold_and_warm(one_at_a_time, NULL, request.n, request.n);
        return 0;
    }
    void (*work)(void *, size_t) = sample_asks(&request, "W12", "mutex")      ? mutex_alone
                                   : sample_asks(&request, "W12c", "mutex-4") ? mutex_by_four
                                   : sample_asks(&request, "W12s", "sem")     ? sem_alone
                                                                              : NULL;
    if (work != NULL) {
        one_at_a_time(NULL, 1); /* the C library leaves the locked instructions out before there was a second thread */
        sample_check(sem_init(&counter.sem, 0, 1) == 0);
        sample_cold_and_warm(work, NULL, request.n, request.n);
        return 0;
    }
    fprintf(stderr, "pthread has no workload %s %s\n", request.workload, request.variant);
    return 2;
}
