/* SPDX-License-Identifier: MIT
 *
 * A log that is written in the background. When it is asked for more than it can write, debug lines are shed, and it
 * says how many; all others wait for their turn. What was logged before the end is written. From any thread and task. */
#ifndef LOGGER_H
#define LOGGER_H

typedef struct logger logger;               /* the owner */
typedef struct logger_client logger_client; /* many */

typedef enum logger_level {
    LOGGER_DEBUG, /* is shed when the queue is full */
    LOGGER_INFO,
    LOGGER_ERROR,
} logger_level;

/* Writes one line; runs on the logger's own thread, so it may block. */
typedef void logger_sink(const char *line);

/* Null: no memory, or no thread. */
logger *logger_new(logger_sink *sink, unsigned capacity);
logger_client *logger_connect(logger *l);

/* 0: the line was taken or shed. HAFT_ECLOSED: there is no logger any more. HAFT_ENOMEM. */
int logger_log(logger_client *c, logger_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Returns once all that this caller has logged is written. HAFT_ECANCELED, HAFT_ETIMEDOUT: aborted or late meanwhile. */
int logger_flush(logger_client *c);

/* Tells, too, what it shed last. */
void logger_client_drop(logger_client **c);
/* Writes what is queued, and ends. */
void logger_drop(logger **l);

#endif
