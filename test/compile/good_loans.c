/* SPDX-License-Identifier: MIT
 *
 * What is lent may be const if the body only reads, and a scope may be lent to its own children. */
#include <haft/haft.h>

struct pair {
    int left, right;
};

static int reads(const struct pair *p)
{
    return p->left;
}

static int raw(void *p)
{
    return p == NULL;
}

static int nothing(void)
{
    return 0;
}

static int spawns(haft_scope **s)
{
    return haft_scope_spawn(*s, nothing);
}

static int only_reads(haft_scope *const *s)
{
    return haft_scope_spawn(*s, nothing);
}

static void says(const char *text)
{
    (void)text;
}

static void looks(const struct pair *p)
{
    (void)p;
}

int lends(const char *text, haft_once *once);
int lends(const char *text, haft_once *once)
{
    const struct pair fixed = { 1, 2 }, many[2] = { { 1, 2 }, { 3, 4 } };
    int rc = 0;
    HAFT_DEFER(says, text);
    HAFT_DEFER(looks, &fixed);
    HAFT_SCOPE(s, .result = &rc);
    rc |= haft_scope_spawn(s, reads, &fixed) | haft_scope_spawn(s, raw, &fixed, .kind = HAFT_THREAD);
    rc |= haft_scope_spawn(s, spawns, &s) | haft_scope_spawn(s, only_reads, &s);
    rc |= haft_both(reads, &fixed, raw, &fixed) | haft_for_each(reads, many, 2);
    rc |= haft_all(NULL, HAFT_ARM(reads, &fixed), HAFT_ARM(raw, &fixed));
    return rc | haft_once_call(once, reads, &fixed);
}

struct state {
    int count;
};

static int counts(const struct state *s, const struct pair *p)
{
    return s->count + p->left;
}

int serves(void);
int serves(void)
{
    struct {
        HAFT_ACTOR(struct state) actor;
    } g;
    struct state state = { 0 };
    const struct pair fixed = { 1, 2 };
    haft_outcome out;
    int rc = haft_actor_start(&g.actor, &state, .name = "server", .capacity = 32);
    rc |= haft_cast(&g.actor, counts, &fixed) | haft_cast(&g.actor, counts, &(struct pair){ .left = 1 });
    rc |= haft_actor_join(&g.actor, HAFT_NO_FRAME) | haft_actor_join(&g.actor) | haft_actor_join(&g.actor, &state);
    return rc | haft_actor_join_outcome(&g.actor, &state, &out) |
           haft_actor_join_outcome(&g.actor, HAFT_NO_FRAME, &out);
}
