/* SPDX-License-Identifier: MIT */
#include "crawler.h"

#include <stdio.h>
#include <stdlib.h>

#include "frontier.h"
#include "worker.h"

struct crawler {
    frontier_owner frontier;
    haft_supervisor *workers;
};

/* Starts the workers; each has ends of its own. */
static int hire(crawler *c, unsigned n, const todo_receiver *todo)
{
    for (; n > 0; n--) {
        struct worker w;
        haft_receiver_clone(todo, &w.todo);
        haft_client_of(&c->frontier, &w.frontier);
        int rc = haft_supervise(c->workers, crawl, &w, .name = "crawler", .drop = worker_drop);
        if (rc != 0) {
            worker_drop(&w);
            return rc;
        }
    }
    return 0;
}

crawler *crawler_new(const char *first, unsigned workers, crawler_reports *reports)
{
    crawler *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    struct frontier f = { .n_open = 0 };
    todo_receiver todo = { 0 };
    url page;
    snprintf(page.text, URL, "%s", first);
    *reports = (crawler_reports){ 0 };
    /* A page is given up by its worker's death, so there are no more deaths than pages. */
    c->workers = haft_supervisor_new(.restarts = HAFT_RESTARTS_UNLIMITED, .backoff = HAFT_MS);
    HAFT_DEFER(haft_receiver_drop, &todo);
    if (c->workers == NULL || haft_channel_unbounded(&f.todo, &todo) != 0 ||
        haft_channel(&f.reports, reports, 8) != 0 ||
        haft_actor_start(&c->frontier, &f, .name = "frontier", .drop = frontier_drop) != 0) {
        frontier_drop(&f); /* not taken */
        crawler_drop(&c);
    } else if (hire(c, workers, &todo) != 0 || haft_cast(&c->frontier, do_begin, &page) != 0) {
        crawler_drop(&c);
    }
    if (c == NULL)
        haft_receiver_drop(reports);
    return c;
}

int crawler_wait(crawler *c)
{
    return haft_supervisor_wait(c->workers);
}

void crawler_drop(crawler **c)
{
    haft_actor_abort(&(*c)->frontier); /* it may be waiting for a reader */
    haft_supervisor_drop(&(*c)->workers);
    haft_actor_drop(&(*c)->frontier);
    free(*c);
    *c = NULL;
}
