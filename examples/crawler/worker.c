/* SPDX-License-Identifier: MIT */
#include "worker.h"

struct visit {
    const struct worker *worker;
    struct visited result;
};

/* Runs also if the visit panics, or its worker is aborted: the frontier counts on it. */
static void tell(struct visit *v)
{
    HAFT_SHIELD;
    haft_cast(&v->worker->frontier, do_visited, &v->result);
}

static void visit(const struct worker *w, const url *page)
{
    struct visit v = { .worker = w, .result.report = { .page = *page, .code = HAFT_EPANIC } };
    HAFT_DEFER(tell, &v);
    v.result.report.code = web_fetch(page, v.result.links);
}

int crawl(struct worker *w)
{
    url page;
    int rc;
    while ((rc = haft_recv(&w->todo, &page)) == 0)
        visit(w, &page);
    return rc == HAFT_ECLOSED ? 0 : rc;
}

void worker_drop(void *worker)
{
    struct worker *w = worker;
    haft_receiver_drop(&w->todo);
    haft_client_drop(&w->frontier);
}
