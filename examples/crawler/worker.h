/* SPDX-License-Identifier: MIT
 *
 * A worker: takes pages that are to be visited, until there are no more. */
#ifndef WORKER_H
#define WORKER_H

#include "frontier.h"

/* The ends belong to the supervisor: each run of a worker uses them. */
struct worker {
    todo_receiver todo;
    frontier_client frontier;
};

int crawl(struct worker *w);
void worker_drop(void *worker);

#endif
