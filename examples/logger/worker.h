/* SPDX-License-Identifier: MIT
 *
 * Inside the logger: its state, its ends, its messages. */
#ifndef LOGGER_WORKER_H
#define LOGGER_WORKER_H

#include <haft/haft.h>
#include <stdatomic.h>

#include "logger.h"

struct state {
    logger_sink *sink;
};
struct logger {
    HAFT_ACTOR(struct state) actor;
};
struct logger_client {
    HAFT_CLIENT(struct state) actor;
    atomic_uint shed; /* since the last line that was taken */
};

struct line {
    unsigned shed; /* before this one */
    char text[100];
};
int do_write(const struct state *s, const struct line *l);
int do_nothing(const struct state *s);

#endif
