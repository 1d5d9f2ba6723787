/* SPDX-License-Identifier: MIT
 *
 * haft's side of the workloads about channels; haft.c has the list of all. */
#ifndef HAFT_BENCH_CHANNELS_H
#define HAFT_BENCH_CHANNELS_H

#include "sample.h"

int w5_ping_pong(struct sample_request *request); /* W5, W5t and W5x, by the workload's name */
int w6_throughput(struct sample_request *request);
int w13_select(struct sample_request *request);

#endif
