/* SPDX-License-Identifier: MIT
 *
 * Visits every page that can be reached from a first one, once, with several workers. One that dies of a page is started
 * again, and goes on with others. */
#ifndef CRAWLER_H
#define CRAWLER_H

#include <haft/haft.h>

#include "web.h"

enum { PAGES = 100 }; /* it visits no more */

typedef struct crawler crawler;

struct report {
    url page;
    int code; /* how many links it has; -ENOENT; HAFT_EPANIC: a worker died of it */
};
typedef HAFT_RECEIVER(struct report) crawler_reports;

/* Reports come in any order, and then HAFT_ECLOSED. Null: no memory; no receiver then. */
crawler *crawler_new(const char *first, unsigned workers, crawler_reports *reports);
/* Waits until every page was visited and every worker has ended. 0, or why the workers were given up. */
int crawler_wait(crawler *c);
/* Also before that: what was not visited is not reported. */
void crawler_drop(crawler **c);

#endif
