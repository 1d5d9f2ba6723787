/* SPDX-License-Identifier: MIT
 *
 * A logger whose disk stands still for a while. */
#include "logger.h"

#include <haft/haft.h>

#include <stdio.h>

static haft_event disk_works, disk_is_asked, job_runs;

static void write_line(const char *line)
{
    haft_event_set(&disk_is_asked);
    haft_event_wait(&disk_works);
    puts(line);
}

static int says_that_it_was_aborted(logger_client **c)
{
    haft_event_set(&job_runs);
    int rc = haft_park();
    return logger_log(*c, LOGGER_ERROR, "a job: %s", haft_errname(rc)); /* waits for its turn nevertheless */
}

int main(void)
{
    logger *l = logger_new(write_line, 4);
    logger_client *c = l != NULL ? logger_connect(l) : NULL;
    if (c == NULL)
        return 1;
    haft_event_set(&disk_works);
    for (int i = 0; i < 6; i++)
        logger_log(c, LOGGER_INFO, "number %d", i); /* waits while four are waiting */
    logger_flush(c);

    haft_event_reset(&disk_works);
    haft_event_reset(&disk_is_asked);
    logger_log(c, LOGGER_INFO, "the disk is slow");
    haft_event_wait(&disk_is_asked);
    for (int i = 0; i < 7; i++)
        logger_log(c, LOGGER_DEBUG, "detail %d", i); /* four find a place */
    haft_handle h = haft_spawn(says_that_it_was_aborted, &c);
    haft_event_wait(&job_runs);
    haft_abort(h);
    haft_event_set(&disk_works);
    haft_join(&h);

    logger_log(c, LOGGER_INFO, "the last words");
    logger_client_drop(&c);
    logger_drop(&l);
    puts("-- the end of the log --");
    return 0;
}
