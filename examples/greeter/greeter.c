/* SPDX-License-Identifier: MIT */
#include "greeter.h"

#include <haft/haft.h>
#include <stdio.h>
#include <stdlib.h>

struct state {
    unsigned count;
};
struct greeter {
    HAFT_ACTOR(struct state) actor;
};
struct greeter_client {
    HAFT_CLIENT(struct state) actor;
};

/* Messages: each is a frame and a body, which runs on the worker. */
struct greet {
    char name[32];
};

static int do_greet(struct state *s, struct greet *g)
{
    s->count++;
    printf("hello, %s\n", g->name);
    return 0;
}

static int do_count(const struct state *s, unsigned *count)
{
    *count = s->count;
    return 0;
}

greeter *greeter_new(void)
{
    greeter *g = malloc(sizeof *g);
    if (g != NULL && haft_actor_start(&g->actor, &(struct state){ 0 }, .name = "greeter") != 0) {
        free(g);
        g = NULL;
    }
    return g;
}

greeter_client *greeter_connect(greeter *g)
{
    greeter_client *c = malloc(sizeof *c);
    if (c != NULL && haft_client_of(&g->actor, &c->actor) != 0) {
        free(c);
        c = NULL;
    }
    return c;
}

int greeter_greet(greeter_client *c, const char *name)
{
    struct greet g;
    snprintf(g.name, sizeof g.name, "%s", name);
    return haft_cast(&c->actor, do_greet, &g);
}

int greeter_count(greeter_client *c, unsigned *count)
{
    return haft_call(&c->actor, do_count, count);
}

void greeter_client_drop(greeter_client **c)
{
    haft_client_drop(&(*c)->actor);
    free(*c);
    *c = NULL;
}

void greeter_drop(greeter **g)
{
    haft_actor_drop(&(*g)->actor);
    free(*g);
    *g = NULL;
}
