/* SPDX-License-Identifier: MIT
 *
 * A worker that is started again when it dies. Its frame is a template: each run gets a copy, so the end of the channel in
 * it is the supervisor's, and .drop disposes of it once. What is queued waits for the next run. */
#include <haft/haft.h>

#include <stdio.h>

typedef HAFT_RECEIVER(int) orders;

struct worker {
    orders rx;
};

static int works(struct worker *w)
{
    int order;
    int rc;
    printf("  the worker begins\n");
    while ((rc = haft_recv(&w->rx, &order)) == 0) {
        if (order < 0)
            haft_panic("an order of %d", order);
        printf("  %d done\n", order);
    }
    return rc == HAFT_ECLOSED ? 0 : rc; /* all is done */
}

static void worker_drop(void *template)
{
    struct worker *w = template;
    haft_receiver_drop(&w->rx);
}

static void no_line(const haft_panic_info *panic)
{
    printf("  %s panics: %s\n", panic->job, panic->message);
}

static void work_on(const int *list, size_t n)
{
    HAFT_SENDER(int) tx;
    struct worker w;
    if (haft_channel(&tx, &w.rx, 8) != 0)
        return;
    for (size_t i = 0; i < n; i++)
        haft_send(&tx, &list[i]);
    haft_sender_drop(&tx);

    haft_supervisor *sup = haft_supervisor_new(.restarts = 2, .within = HAFT_S, .backoff = HAFT_MS);
    HAFT_DEFER(haft_supervisor_drop, &sup);
    if (haft_supervise(sup, works, &w, .name = "worker", .drop = worker_drop) != 0) {
        worker_drop(&w);
        return;
    }
    int rc = haft_supervisor_wait(sup);
    haft_child_info info;
    haft_supervisor_child(sup, "worker", &info);
    printf("  %s after %d restarts\n", haft_errname(rc), (int)info.restarts);
}

int main(void)
{
    haft_on_panic(no_line);
    printf("two bad orders\n");
    work_on((const int[]){ 1, -2, 3, -4, 5 }, 5);
    printf("three, and two restarts are allowed\n");
    work_on((const int[]){ -1, -2, -3, 4 }, 4);
    return 0;
}
