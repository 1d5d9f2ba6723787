/* SPDX-License-Identifier: MIT
 *
 * haft's side of the workload of many actors; haft.c has the list of all. */
#ifndef HAFT_BENCH_ACTORS_H
#define HAFT_BENCH_ACTORS_H

#include "sample.h"

int w14_ticks(struct sample_request *request);

#endif
