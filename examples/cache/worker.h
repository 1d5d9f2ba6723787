/* SPDX-License-Identifier: MIT
 *
 * Inside the cache: its state, its ends, and its messages, each a frame and a body. */
#ifndef CACHE_WORKER_H
#define CACHE_WORKER_H

#include <haft/haft.h>

#include "cache.h"

struct entry {
    struct entry *next;
    int64_t expires;
    char key[CACHE_KEY], value[CACHE_VALUE];
};

struct state {
    struct entry *first;
};

struct cache {
    HAFT_ACTOR(struct state) actor;
};
struct cache_client {
    HAFT_CLIENT(struct state) actor;
};

/* Frames own what they hold: when they are served, who sent them may be gone. */
struct put {
    struct entry *entry;
};
struct get {
    char key[CACHE_KEY], value[CACHE_VALUE];
};

int do_put(struct state *s, struct put *p);
int do_get(struct state *s, struct get *g);
int do_remove(struct state *s, struct get *g);
int do_len(const struct state *s, size_t *n);
int do_sweep(struct state *s);

void put_drop(void *put);
void state_drop(void *state);

#endif
