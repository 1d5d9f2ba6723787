/* SPDX-License-Identifier: MIT
 *
 * Bounded concurrency by a semaphore: there are a hundred downloads and three connections. A permit is the right to
 * use one. It travels in the job's frame, and comes back however the job ends. */
#include <haft/haft.h>

#include <stdatomic.h>
#include <stdio.h>

enum { CONNECTIONS = 3, DOWNLOADS = 100 };

static haft_sem connections = HAFT_SEM_INIT(CONNECTIONS);
static atomic_int open_now, most, done;

struct download {
    int number;
    haft_permit permit;
};

static int download(struct download *d)
{
    HAFT_DEFER(haft_permit_drop, &d->permit); /* by every way out */
    int now = atomic_fetch_add(&open_now, 1) + 1;
    for (int before = atomic_load(&most); before < now && !atomic_compare_exchange_weak(&most, &before, now);)
        ;
    int rc = haft_sleep(10 * HAFT_US);
    atomic_fetch_sub(&open_now, 1);
    if (d->number % 10 == 0)
        haft_panic("the connection broke");
    atomic_fetch_add(&done, 1);
    return rc;
}

static void drop_download(void *d)
{
    haft_permit_drop(&((struct download *)d)->permit); /* of one that never began */
}

static void say_nothing(const haft_panic_info *panic)
{
    (void)panic;
}

int main(void)
{
    haft_on_panic(say_nothing);
    haft_set *set = haft_set_new();
    HAFT_DEFER(haft_set_drop, &set);
    for (int i = 0; i < DOWNLOADS; i++) {
        struct download d = { .number = i };
        int rc = haft_sem_acquire_permit(&connections, 1, &d.permit); /* waits while all are in use */
        if (rc == 0 && haft_set_spawn(set, download, &d, .drop = drop_download) != 0)
            haft_permit_drop(&d.permit); /* not started: the frame is still ours */
    }
    haft_sem_acquire_many(&connections, CONNECTIONS); /* all have come back */
    printf("%d done, never more than %d at a time: %d\n", atomic_load(&done), CONNECTIONS,
           atomic_load(&most) <= CONNECTIONS);

    haft_sem_close(&connections); /* no more of them, for whoever waits and whoever comes */
    printf("then: %s\n", haft_errname(haft_sem_acquire(&connections)));
    return 0;
}
