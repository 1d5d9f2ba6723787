/* SPDX-License-Identifier: MIT
 *
 * Who logs: what waits, what is shed, and how that is told. */
#include "worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Tells with this line what was shed before it. */
static int send_line(logger_client *c, logger_level level, struct line *l)
{
    HAFT_SHIELD; /* a job that was aborted may say so */
    l->shed = atomic_exchange(&c->shed, 0);
    int rc = level == LOGGER_DEBUG ? haft_try_cast(&c->actor, do_write, l) : haft_cast(&c->actor, do_write, l);
    if (rc != 0)
        atomic_fetch_add(&c->shed, l->shed + (rc == HAFT_EAGAIN));
    return rc == HAFT_EAGAIN ? 0 : rc;
}

int logger_log(logger_client *c, logger_level level, const char *format, ...)
{
    static const char *const names[] = { "debug: ", "info: ", "error: " };
    struct line l;
    int n = snprintf(l.text, sizeof l.text, "%s", names[level]);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(l.text + n, sizeof l.text - (size_t)n, format, arguments);
    va_end(arguments);
    return send_line(c, level, &l);
}

int logger_flush(logger_client *c)
{
    return haft_call(&c->actor, do_nothing); /* comes back behind everything that was sent before */
}

logger_client *logger_connect(logger *l)
{
    logger_client *c = calloc(1, sizeof *c);
    if (c != NULL)
        haft_client_of(&l->actor, &c->actor);
    return c;
}

void logger_client_drop(logger_client **c)
{
    if (atomic_load(&(*c)->shed) != 0)
        send_line(*c, LOGGER_INFO, &(struct line){ 0 });
    haft_client_drop(&(*c)->actor);
    free(*c);
    *c = NULL;
}
