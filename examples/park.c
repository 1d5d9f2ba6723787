/* SPDX-License-Identifier: MIT
 *
 * Park and unpark: every job has a token. haft_unpark gives it, haft_park waits for it and takes it; a token given
 * early is not lost, and several count as one. The smallest way to wait for another job, and what others are built
 * of. */
#include <haft/haft.h>

#include <stdio.h>

struct player {
    const char *says;
    haft_handle other; /* a handle in a frame: names the other, to unpark it */
    int turns;
};

static int play(struct player *p)
{
    for (int i = 0; i < p->turns; i++) {
        int rc = haft_park(); /* my turn? */
        if (rc != 0)
            return rc;
        printf("%s\n", p->says);
        haft_unpark(p->other);
    }
    return 0;
}

static int run(void)
{
    struct player ping = { .says = "ping", .other = haft_self(), .turns = 3 };
    haft_handle task = haft_spawn(play, &ping);

    /* This job is the other player. */
    for (int i = 0; i < 3; i++) {
        haft_unpark(task);
        int rc = haft_park();
        if (rc != 0)
            return rc;
        printf("  pong\n");
    }
    haft_join(&task);

    haft_unpark(haft_self());
    haft_unpark(haft_self());
    printf("the first park: %s\n", haft_errname(haft_park()));
    HAFT_TIMEOUT(1 * HAFT_MS);
    printf("the second: %s\n", haft_errname(haft_park()));
    return 0;
}

int main(void)
{
    return haft_run(run);
}
