/* SPDX-License-Identifier: MIT
 *
 * The frontier: an actor that knows which pages were seen, and what is still to be visited. */
#ifndef FRONTIER_H
#define FRONTIER_H

#include "crawler.h"

typedef HAFT_RECEIVER(url) todo_receiver;

struct frontier {
    HAFT_SENDER(url) todo;
    HAFT_SENDER(struct report) reports;
    url seen[PAGES];
    unsigned n_seen, n_open; /* open: seen and not yet visited */
};
typedef HAFT_ACTOR(struct frontier) frontier_owner;
typedef HAFT_CLIENT(struct frontier) frontier_client;

struct visited {
    struct report report;
    url links[LINKS];
};

int do_visited(struct frontier *f, const struct visited *v);
int do_begin(struct frontier *f, const url *first);
void frontier_drop(void *frontier);

#endif
