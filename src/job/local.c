/* SPDX-License-Identifier: MIT
 *
 * Job-local values: a list at the job's root, newest key first. It is short, and only its job touches it. A value that is
 * set while the list is disposed of is disposed of as well. */
#include "haft/local.h"

#include "job/job.h"
#include "wait/held.h"

typedef struct haft__local local;

static local *find(const haft__root *me, const haft_local *key)
{
    local *l = me->locals;
    while (l != NULL && l->key != key)
        l = l->next;
    return l;
}

static void dispose_first(void *argument)
{
    haft__root *me = argument;
    local *l = me->locals;
    const haft_local *key = l->key;
    void *value = l->value;
    me->locals = l->next;
    haft__os->release(l);
    if (value != NULL && key->drop_ != NULL)
        key->drop_(value);
}

/* At the end of a job: a panic of a dropper was reported, and nobody else can take it. */
static void end_all(haft__root *me)
{
    haft__shield shield = haft__shield_raise(me);
    while (me->locals != NULL) {
        haft__panic *panic = haft__catch_call(me, dispose_first, me);
        if (panic != NULL)
            haft__panic_free(panic);
    }
    haft__shield_lower(me, shield);
}

void *haft_local_get(const haft_local *key)
{
    haft__thread *here = haft__here_or_null();
    local *l = here != NULL ? find(here->root, key) : NULL;
    return l != NULL ? l->value : NULL;
}

int haft_local_set(const haft_local *key, void *value)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    local *l = find(me, key);
    if (l == NULL) {
        if (value == NULL)
            return 0;
        l = haft__os->allocate(sizeof *l, _Alignof(local));
        if (l == NULL)
            return HAFT_ENOMEM;
        *l = (local){ .end = end_all, .next = me->locals, .key = key };
        me->locals = l;
    }
    void *before = l->value;
    l->value = value;
    if (before != NULL && before != value && key->drop_ != NULL)
        key->drop_(before);
    return 0;
}
