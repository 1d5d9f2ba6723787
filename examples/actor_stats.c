/* SPDX-License-Identifier: MIT
 *
 * What an actor or a pool has done, asked from any of its ends. The counters are kept anyway; times are measured where
 * they were asked for at the start. */
#include <haft/haft.h>

#include <inttypes.h>
#include <stdio.h>

struct state {
    unsigned n;
};

static haft_event go = HAFT_EVENT_INIT;

static int waits(struct state *s)
{
    s->n++;
    return haft_event_wait(&go);
}

static int works(struct state *s, const int64_t *takes)
{
    s->n++;
    if (*takes < 0)
        haft_panic("a negative time");
    return haft_sleep(*takes);
}

static void no_line(const haft_panic_info *panic)
{
    (void)panic;
}

int main(void)
{
    haft_on_panic(no_line);
    struct state s = { 0 };
    HAFT_ACTOR(struct state) a;
    if (haft_actor_start(&a, &s, .on_panic = HAFT_KEEP_SERVING, .measure = true) != 0)
        return 1;
    int64_t takes = 5 * HAFT_MS, wrong = -1;
    int rc = haft_cast(&a, waits, HAFT_NO_FRAME);
    for (int i = 0; i < 4 && rc == 0; i++)
        rc = haft_cast(&a, works, &takes);
    if (rc == 0)
        rc = haft_sleep(3 * HAFT_MS); /* so long the last of them waits */
    haft_event_set(&go);
    if (rc == 0)
        haft_call(&a, works, &wrong); /* comes back when the others are done */

    haft_actor_statistics stats;
    if (rc == 0)
        rc = haft_actor_stats(&a, &stats);
    if (rc != 0)
        return 1;
    printf("served %" PRIu64 ", %" PRIu64 " of them panicked\n", stats.served, stats.panicked);
    printf("queued: %zu now, 4 or 5 at most: %s\n", stats.queued, stats.most_queued >= 4 ? "yes" : "no");
    printf("one waited at least 3 ms: %s\n", stats.longest_wait >= 3 * HAFT_MS ? "yes" : "no");
    printf("one took at least 5 ms: %s\n", stats.longest_work >= 5 * HAFT_MS ? "yes" : "no");
    printf("all together at least 20 ms: %s\n", stats.worked >= 20 * HAFT_MS ? "yes" : "no");
    haft_actor_drop(&a);
    return rc;
}
