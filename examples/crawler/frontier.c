/* SPDX-License-Identifier: MIT */
#include "frontier.h"

#include <string.h>

static void add(struct frontier *f, const url *page)
{
    for (unsigned i = 0; i < f->n_seen; i++)
        if (strcmp(f->seen[i].text, page->text) == 0)
            return;
    if (f->n_seen == PAGES || haft_try_send(&f->todo, page) != 0)
        return;
    f->seen[f->n_seen++] = *page;
    f->n_open++;
}

/* Nothing is to be done any more: workers and reader are told by HAFT_ECLOSED. */
static void end_if_done(struct frontier *f)
{
    if (f->n_open == 0)
        frontier_drop(f);
}

int do_begin(struct frontier *f, const url *first)
{
    add(f, first);
    end_if_done(f);
    return 0;
}

int do_visited(struct frontier *f, const struct visited *v)
{
    haft_send(&f->reports, &v->report); /* waits for the reader, and the workers for it; nothing, if there is none */
    for (int i = 0; i < v->report.code; i++)
        add(f, &v->links[i]);
    f->n_open--;
    end_if_done(f);
    return 0;
}

void frontier_drop(void *frontier)
{
    struct frontier *f = frontier;
    haft_sender_drop(&f->todo);
    haft_sender_drop(&f->reports);
}
