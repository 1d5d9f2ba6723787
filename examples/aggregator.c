/* SPDX-License-Identifier: MIT
 *
 * A page is put together from five slow services: asked one after the other it takes the sum of their times, asked at
 * once the longest. Each request has a limit of its own, and so has the page: what came in time is shown. */
#include <haft/haft.h>

#include <stdio.h>
#include <string.h>

enum { SERVICES = 5 };

struct request {
    const char *service;
    int64_t takes; /* the service's time */
    int64_t limit; /* our patience */
    char answer[16];
};

static const struct request page[SERVICES] = {
    { "users", 40 * HAFT_MS, 60 * HAFT_S, "" },  { "orders", 40 * HAFT_MS, 60 * HAFT_S, "" },
    { "prices", 40 * HAFT_MS, 60 * HAFT_S, "" }, { "stock", 40 * HAFT_MS, 60 * HAFT_S, "" },
    { "news", 40 * HAFT_MS, 60 * HAFT_S, "" },
};

static int ask(struct request *r)
{
    HAFT_TIMEOUT(r->limit);
    int rc = haft_sleep(r->takes); /* connect, send, receive */
    if (rc == 0)
        snprintf(r->answer, sizeof r->answer, "%s!", r->service);
    return rc;
}

/* Asks all services at once, within a limit for the whole page. Counts the answers. */
static int gather(const struct request *asked, int64_t limit, int *late)
{
    haft_set *set = haft_set_new();
    if (set == NULL)
        return HAFT_ENOMEM;
    HAFT_DEFER(haft_set_drop, &set); /* aborts what is still being asked */
    HAFT_TIMEOUT(limit);
    int answers = 0, code;
    struct request r;
    for (int i = 0; i < SERVICES; i++)
        if (haft_set_spawn(set, ask, &asked[i], .name = asked[i].service) != 0)
            return HAFT_ENOMEM;
    while (haft_set_next(set, &r, &code) == 0) {
        answers += code == 0 && strchr(r.answer, '!') != NULL;
        *late += code == HAFT_ETIMEDOUT;
    }
    return answers;
}

int main(void)
{
    int late = 0, answers = 0;
    int64_t start = haft_now();
    for (int i = 0; i < SERVICES; i++) {
        struct request r = page[i];
        answers += ask(&r) == 0;
    }
    int64_t in_a_row = haft_now() - start;
    printf("in a row: %d answers\n", answers);

    start = haft_now();
    answers = gather(page, 60 * HAFT_S, &late);
    printf("at once: %d answers, in less than half the time: %d\n", answers, haft_now() - start < in_a_row / 2);

    struct request asked[SERVICES];
    memcpy(asked, page, sizeof asked);
    asked[1].takes = 3600 * HAFT_S;
    asked[1].limit = 50 * HAFT_MS;
    answers = gather(asked, 60 * HAFT_S, &late);
    printf("orders hang, their limit ends it: %d answers, %d late\n", answers, late);

    asked[1].limit = 3600 * HAFT_S;
    printf("orders hang, the page's limit ends it: %d answers\n", gather(asked, 500 * HAFT_MS, &late));
    return 0;
}
