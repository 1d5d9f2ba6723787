/* SPDX-License-Identifier: MIT
 *
 * A signal handler that cancels a token, and a job that sends the signals, one after the other is handled. */
#ifndef HAFT_TEST_SIGNALS_H
#define HAFT_TEST_SIGNALS_H

#include <pthread.h>
#include <signal.h>

#include "callers.h"

static haft_token *_Atomic of_the_handler;
static _Atomic size_t handled;

static inline void handle(int signal_number)
{
    (void)signal_number;
    haft_token *t = atomic_load(&of_the_handler);
    if (t != NULL)
        haft_token_cancel(t);
    atomic_fetch_add(&handled, 1);
}

static inline int send_signals(pthread_t *target)
{
    while (!haft_is_aborted()) {
        size_t before = atomic_load(&handled);
        check_int(pthread_kill(*target, SIGUSR1), ==, 0);
        while (atomic_load(&handled) == before && !haft_is_aborted())
            (void)haft_yield();
    }
    return 0;
}

#endif
