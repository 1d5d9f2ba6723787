/* SPDX-License-Identifier: MIT
 *
 * Timeouts and shields hold to the end of their block, for every wait in it, however deep. A wait that is cut short
 * has done nothing, so it can simply be tried again. What is ready succeeds even at a timeout of nothing. */
#include <haft/haft.h>

#include <stdio.h>

struct worker {
    int result;
};

static int work(struct worker *w)
{
    int rc = haft_park();
    w->result = 42;
    return rc;
}

static void flush_log(void)
{
    HAFT_SHIELD; /* the deadlines outside do not count here */
    printf("  inside a shield: no deadline %d, sleep %s\n", haft_time_left() == INT64_MAX,
           haft_errname(haft_sleep(1 * HAFT_MS)));
    HAFT_TIMEOUT(1 * HAFT_MS); /* this one does */
    printf("  a timeout in a shield: sleep %s\n", haft_errname(haft_sleep(3600 * HAFT_S)));
}

int main(void)
{
    struct worker w = { 0 };
    haft_handle h = haft_spawn(work, &w);
    int rc;
    {
        HAFT_TIMEOUT(5 * HAFT_MS);
        rc = haft_join(&h, &w);
        printf("join in time? %s; still mine: %d\n", haft_errname(rc), !haft_is_null(h));
        printf("time left: %d\n", haft_time_left() > 0);
        flush_log();
    }

    {
        HAFT_TIMEOUT(3600 * HAFT_S);
        HAFT_TIMEOUT(1 * HAFT_MS); /* the nearest deadline wins */
        printf("sleep: %s\n", haft_errname(haft_sleep(60 * HAFT_S)));
    }

    haft_unpark(h);
    haft_wait(h);
    {
        HAFT_TIMEOUT(0);
        printf("sleep at a timeout of nothing: %s\n", haft_errname(haft_sleep(1)));
        rc = haft_join(&h, &w);
        printf("join what has ended: %s, %d\n", haft_errname(rc), w.result);
    }
    printf("no deadline any more: %d\n", haft_time_left() == INT64_MAX);
    return 0;
}
