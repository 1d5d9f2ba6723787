/* SPDX-License-Identifier: MIT
 *
 * A service that ends when its last request has been served. Nobody joins a request: each is a job of its own, which a
 * tracker counts until it has ended and its frame has been dropped. What is no job, such as a connection that stays
 * open, enters and leaves by itself. */
#include <haft/haft.h>

#include <stdatomic.h>
#include <stdio.h>

static haft_tracker requests = HAFT_TRACKER_INIT;
static atomic_int served, frames;

struct request {
    int number;
};

static int serve(struct request *r)
{
    int rc = haft_sleep(r->number * (10 * HAFT_US));
    if (r->number % 10 == 0)
        haft_panic("request %d makes no sense", r->number);
    if (rc == 0)
        atomic_fetch_add(&served, 1);
    return rc;
}

static void drop_request(void *request)
{
    (void)request;
    atomic_fetch_add(&frames, 1);
}

static int keep_a_connection(void)
{
    HAFT_DEFER(haft_tracker_leave, &requests);
    return haft_sleep(100 * HAFT_US);
}

static void say_nothing(const haft_panic_info *panic)
{
    (void)panic;
}

int main(void)
{
    haft_on_panic(say_nothing);
    for (int i = 0; i < 50; i++) {
        int rc = haft_tracker_spawn(&requests, serve, &(struct request){ i }, .name = "request", .drop = drop_request);
        if (rc != 0)
            return rc;
    }
    haft_tracker_enter(&requests); /* before it begins: a wait would not see it otherwise */
    haft_handle connection = haft_spawn(keep_a_connection);

    {
        HAFT_TIMEOUT(0);
        printf("open: %s\n", haft_errname(haft_tracker_wait(&requests))); /* more may come at any time */
    }
    haft_tracker_close(&requests);
    int rc = haft_tracker_wait(&requests);
    printf("closed: %s, %zu going on, %d served, %d frames dropped\n", haft_strerror(rc), haft_tracker_count(&requests),
           atomic_load(&served), atomic_load(&frames));
    return haft_join(&connection);
}
