/* SPDX-License-Identifier: MIT
 *
 * The ends: the owner, who starts and ends the worker, and its clients. */
#include "worker.h"

#include <stdlib.h>

cache *cache_new(int64_t sweep)
{
    cache *c = calloc(1, sizeof *c);
    struct state empty = { 0 };
    if (c != NULL && (haft_actor_start(&c->actor, &empty, .name = "cache", .drop = state_drop) != 0 ||
                      haft_actor_every(&c->actor, sweep, do_sweep) != 0))
        cache_drop(&c);
    return c;
}

void cache_drop(cache **c)
{
    haft_actor_drop(&(*c)->actor); /* nothing, if it was not started */
    free(*c);
    *c = NULL;
}

cache_client *cache_connect(cache *c)
{
    cache_client *client = malloc(sizeof *client);
    if (client != NULL)
        haft_client_of(&c->actor, &client->actor);
    return client;
}

void cache_client_drop(cache_client **c)
{
    haft_client_drop(&(*c)->actor);
    free(*c);
    *c = NULL;
}
