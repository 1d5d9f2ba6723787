/* SPDX-License-Identifier: MIT
 *
 * What the worker does, one message at a time: plain code without a lock. */
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The link to the entry with that key, or the last link, which is null. */
static struct entry **find(struct state *s, const char *key)
{
    struct entry **at = &s->first;
    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

/* Also of none. */
static void remove_at(struct entry **at)
{
    struct entry *e = *at;
    if (e != NULL)
        *at = e->next;
    free(e);
}

int do_put(struct state *s, struct put *p)
{
    remove_at(find(s, p->entry->key));
    p->entry->next = s->first;
    s->first = p->entry;
    p->entry = NULL; /* it is the state's now */
    return 0;
}

void put_drop(void *put)
{
    free(((struct put *)put)->entry);
}

int do_get(struct state *s, struct get *g)
{
    const struct entry *e = *find(s, g->key);
    if (e == NULL || e->expires <= haft_now())
        return -ENOENT;
    memcpy(g->value, e->value, sizeof g->value);
    return 0;
}

int do_remove(struct state *s, struct get *g)
{
    remove_at(find(s, g->key));
    return 0;
}

int do_sweep(struct state *s)
{
    for (struct entry **at = &s->first; *at != NULL;)
        if ((*at)->expires <= haft_now())
            remove_at(at);
        else
            at = &(*at)->next;
    return 0;
}

int do_len(const struct state *s, size_t *n)
{
    for (const struct entry *e = s->first; e != NULL; e = e->next)
        ++*n;
    return 0;
}

void state_drop(void *state)
{
    struct state *s = state;
    while (s->first != NULL)
        remove_at(&s->first);
}
