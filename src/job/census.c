/* SPDX-License-Identifier: MIT */
#include "trace/census.h"

#include "job/job.h"

static void visit(haft__record *record, void *argument)
{
    struct haft__census *census = argument;
    /* A free slot whose page has turned to zeros since it was chosen looks like a task that has no home. */
    if (haft__load_relaxed(&record->kind) == HAFT__KIND_TASK && haft__load_relaxed(&record->home) == NULL)
        return;
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

uint64_t haft__census_refused(void)
{
    return haft__load_relaxed(&haft__jobs_refused);
}

void haft__census(struct haft__census *out)
{
    *out = (struct haft__census){ .mappings_live = haft__runtimes_live() };
    haft__record_each(visit, out);
}
