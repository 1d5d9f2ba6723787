/* SPDX-License-Identifier: MIT
 *
 * What stands between haft and the engine: the table of src/os that models run on. Memory, sleeping and threads are the
 * engine's; the rest is refused or empty. */
#ifndef HAFT_TEST_MODEL_WORLD_H
#define HAFT_TEST_MODEL_WORLD_H

#include <haft/haft.h>

#include "engine/engine.h"
#include "job/job.h"

/* What a model may set before it begins; zero is the default. */
struct world {
    int thread_failures; /* so many creations of threads fail, from the next on */
    int absent;          /* the so-manieth thread that is created never begins */
    bool has_no_membarrier;
    unsigned threads; /* that the kernel counts */
    int reports;      /* written to standard error so far */
};
extern struct world world;

/* A runtime without workers: enough for threads and blocking calls. Static, so zero at first. */
#define WORLD_RUNTIME(name) static haft_runtime name

/* What the calling thread has of haft: a plain thread's record is made at its first call. */
static inline haft__root *world_root(void)
{
    return haft__here_always()->root;
}

#endif
