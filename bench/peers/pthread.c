/* SPDX-License-Identifier: MIT
 *
 * The peer pthread: an OS thread is started and joined, one at a time. */
#include "../sample.h"

#include <gnu/libc-version.h>
#include <pthread.h>
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
    fprintf(stderr, "pthread has no workload %s %s\n", request.workload, request.variant);
    return 2;
}
