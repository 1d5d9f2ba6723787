/* SPDX-License-Identifier: MIT
 *
 * Spawn and join: a job works on a copy of a struct, its frame, and joining moves the frame back with the results in
 * it. So the spawner's variables are never shared with the job, and may even be gone while it runs. */
#include <haft/haft.h>

#include <inttypes.h>
#include <stdio.h>

struct sum {
    uint64_t from, to;
    uint64_t total;
};

static int add_up(struct sum *s)
{
    for (uint64_t i = s->from; i <= s->to; i++)
        s->total += i;
    return 0;
}

/* The frame is copied before this function returns and its variable ends. */
static haft_handle start(uint64_t from, uint64_t to)
{
    struct sum s = { .from = from, .to = to };
    return haft_spawn(add_up, &s, .name = "add_up");
}

static int hello(void)
{
    puts("a job without a frame");
    return 0;
}

int main(void)
{
    haft_handle h = haft_spawn(hello);
    int rc = haft_join(&h);
    printf("joined: %d, the handle is null: %d\n", rc, haft_is_null(h));

    haft_handle low = start(1, 500000);
    haft_handle high = start(500001, 1000000);
    struct sum a, b;
    if (haft_join(&low, &a) == 0 && haft_join(&high, &b) == 0)
        printf("%" PRIu64 " + %" PRIu64 " = %" PRIu64 "\n", a.total, b.total, a.total + b.total);

    /* A handle is spent once: the second join is an error, never a hang. */
    rc = haft_join(&low, &a);
    printf("joined again: %s (%s)\n", haft_errname(rc), haft_strerror(rc));
    return 0;
}
