/* SPDX-License-Identifier: MIT
 *
 * What is alive in the whole process, for tests that end by asserting that nothing is left. Walks the table of records:
 * exact only while nothing is being spawned or ended. */
#ifndef HAFT_TRACE_CENSUS_H
#define HAFT_TRACE_CENSUS_H

#include <stdint.h>

struct haft__census {
    uint64_t jobs_live;     /* made and not yet recycled: running, queued, or ended and not joined */
    uint64_t threads_live;  /* other plain threads that have called haft and have not ended */
    uint64_t stacks_live;   /* stacks bound to tasks */
    uint64_t mappings_live; /* runtimes that have not been ended */
};

void haft__census(struct haft__census *out);

/* How often the machine has refused a job since the process began: its spawn, or a stack or thread when it was to begin.
 * For a test that waits without an end: it may be for such a job. From anywhere, a signal handler included. */
uint64_t haft__census_refused(void);

#endif
