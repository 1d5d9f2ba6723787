/* SPDX-License-Identifier: MIT
 *
 * The worker, and its owner. */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>

int do_write(const struct state *s, const struct line *l)
{
    char note[40];
    snprintf(note, sizeof note, "(%u debug lines were shed)", l->shed);
    if (l->shed != 0)
        s->sink(note);
    if (l->text[0] != 0)
        s->sink(l->text);
    return 0;
}

int do_nothing(const struct state *s)
{
    (void)s;
    return 0;
}

logger *logger_new(logger_sink *sink, unsigned capacity)
{
    logger *l = calloc(1, sizeof *l);
    struct state s = { sink };
    if (l != NULL && haft_actor_start(&l->actor, &s, .name = "logger", .kind = HAFT_THREAD, .capacity = capacity) != 0)
        logger_drop(&l);
    return l;
}

void logger_drop(logger **l)
{
    haft_actor_drop(&(*l)->actor);
    free(*l);
    *l = NULL;
}
