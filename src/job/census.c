/* SPDX-License-Identifier: MIT */
#include "trace/census.h"

#include "job/job.h"

static void visit(haft__record *record, void *argument)
{
    struct haft__census *census = argument;
    switch (haft__load_relaxed(&record->kind)) {
    case HAFT__KIND_TASK:
        census->jobs_live++;
        census->stacks_live += record->root != NULL;
        break;
    case HAFT__KIND_THREAD:
    case HAFT__KIND_BLOCKING:
        census->jobs_live++;
        break;
    case HAFT__KIND_PLAIN:
        if (record != haft__here_always()->root->record)
            census->threads_live++;
        break;
    default:
        break;
    }
}

void haft__census(struct haft__census *out)
{
    *out = (struct haft__census){ .mappings_live = haft__runtimes_live() };
    haft__record_each(visit, out);
}
