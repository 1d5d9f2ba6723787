/* SPDX-License-Identifier: MIT
 *
 * A value with several owners, and one for each job. The settings belong to whoever uses them and end with the last one;
 * each request has a number of its own, which every function of its job finds without being handed it. */
#include <haft/haft.h>

#include <stdio.h>
#include <stdlib.h>

struct settings {
    char *greeting;
};

static void drop_settings(void *object)
{
    free(((struct settings *)object)->greeting);
    printf("settings ended\n");
}

static const haft_local request_number = HAFT_LOCAL_INIT(free);

static int number_of_this_request(void)
{
    const int *number = haft_local_get(&request_number);
    return number != NULL ? *number : 0;
}

struct request {
    haft_shared settings; /* an ownership travels in the frame */
    int number;
    char answer[64];
};

static int answer(struct request *r)
{
    HAFT_DEFER(haft_shared_drop, &r->settings);
    int *number = malloc(sizeof *number);
    if (number == NULL)
        return HAFT_ENOMEM;
    *number = r->number;
    int rc = haft_local_set(&request_number, number);
    if (rc != 0) {
        free(number);
        return rc;
    }
    rc = haft_yield(); /* perhaps on another worker now: the value came along */
    const struct settings *s = haft_shared_get(&r->settings);
    snprintf(r->answer, sizeof r->answer, "%s, request %d", s->greeting, number_of_this_request());
    return rc;
}

int main(void)
{
    char *greeting = malloc(6);
    haft_shared settings;
    if (greeting == NULL)
        return 1;
    snprintf(greeting, 6, "hello");
    if (haft_shared_new(&settings, &(struct settings){ greeting }, .drop = drop_settings) != 0)
        return 1;
    haft_handle h[3];
    for (int i = 0; i < 3; i++) {
        struct request r = { .number = i + 1 };
        haft_shared_clone(&settings, &r.settings);
        h[i] = haft_spawn(answer, &r);
    }
    haft_shared_drop(&settings); /* the requests own it now */
    for (int i = 0; i < 3; i++) {
        struct request r;
        if (haft_join(&h[i], &r) == 0 && i == 2)
            printf("%s\n", r.answer);
    }
    return 0;
}
