/* SPDX-License-Identifier: MIT
 *
 * A cache: values by key, each for a limited time. All that a caller sees. Every call is safe from any thread and any
 * task. Each may wait for the cache's worker; if its caller is aborted or late meanwhile it returns one of haft's codes. */
#ifndef CACHE_H
#define CACHE_H

#include <stddef.h>
#include <stdint.h>

enum { CACHE_KEY = 32, CACHE_VALUE = 64 }; /* bytes, with the 0 at the end; -EMSGSIZE: it is too long */

typedef struct cache cache;               /* the owner */
typedef struct cache_client cache_client; /* many */

/* What has expired is swept out every `sweep` nanoseconds. Null: no memory. */
cache *cache_new(int64_t sweep);
cache_client *cache_connect(cache *c);

/* Keeps the value for ttl nanoseconds, in the place of what was there. */
int cache_put(cache_client *c, const char *key, const char *value, int64_t ttl);
/* -ENOENT: it is not there, or has expired. */
int cache_get(cache_client *c, const char *key, char value[CACHE_VALUE]);
/* Afterwards it is not there. */
int cache_remove(cache_client *c, const char *key);
/* How many take up memory. */
int cache_len(cache_client *c, size_t *n);

void cache_client_drop(cache_client **c);
/* Serves what was asked for before, and frees everything. Clients may still be there: they get HAFT_ECLOSED. */
void cache_drop(cache **c);

#endif
