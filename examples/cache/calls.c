/* SPDX-License-Identifier: MIT
 *
 * What a client may ask for: each is one message. */
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy(char *to, const char *from, size_t size)
{
    size_t length = strlen(from);
    if (length >= size)
        return -EMSGSIZE;
    memcpy(to, from, length + 1);
    return 0;
}

int cache_put(cache_client *c, const char *key, const char *value, int64_t ttl)
{
    struct put p = { .entry = malloc(sizeof *p.entry) };
    if (p.entry == NULL)
        return -ENOMEM;
    p.entry->expires = haft_now() + ttl;
    int rc = copy(p.entry->key, key, CACHE_KEY);
    if (rc == 0)
        rc = copy(p.entry->value, value, CACHE_VALUE);
    if (rc == 0)
        rc = haft_cast(&c->actor, do_put, &p, .drop = put_drop);
    if (rc != 0)
        put_drop(&p); /* it was not taken */
    return rc;
}

int cache_get(cache_client *c, const char *key, char value[CACHE_VALUE])
{
    struct get g;
    int rc = copy(g.key, key, CACHE_KEY);
    if (rc == 0)
        rc = haft_call(&c->actor, do_get, &g);
    return rc == 0 ? copy(value, g.value, CACHE_VALUE) : rc;
}

int cache_remove(cache_client *c, const char *key)
{
    struct get g;
    int rc = copy(g.key, key, CACHE_KEY);
    return rc == 0 ? haft_call(&c->actor, do_remove, &g) : rc;
}

int cache_len(cache_client *c, size_t *n)
{
    *n = 0;
    return haft_call(&c->actor, do_len, n);
}
