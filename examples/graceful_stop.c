/* SPDX-License-Identifier: MIT
 *
 * The graceful stop of a service by a tree of tokens. SIGTERM cancels the root. Below it each worker has a token of its
 * own: one can be stopped alone, the service stops them all, and each finishes what it has begun. One that only waits
 * and knows of no token is aborted by a callback. */
#include <haft/haft.h>

#include <signal.h>
#include <stdio.h>

static haft_token service = HAFT_TOKEN_INIT;

static void on_term(int signal_number)
{
    (void)signal_number;
    haft_token_cancel(&service); /* allowed in a handler */
}

struct worker {
    haft_token *stop;
    int begun, finished;
};

static int work(struct worker *w)
{
    while (!haft_token_is_cancelled(w->stop)) {
        w->begun++;
        haft_yield(); /* a piece of work, in several steps */
        w->finished++;
    }
    return 0;
}

static int wait_for_guests(void)
{
    return haft_sleep(3600 * HAFT_S);
}

static void abort_job(void *handle)
{
    haft_abort(*(haft_handle *)handle); /* allowed in a handler, too, and so in a callback of this token */
}

int main(void)
{
    haft_token stop[2];
    haft_handle h[2];
    for (int i = 0; i < 2; i++) {
        haft_token_child(&service, &stop[i]);
        h[i] = haft_spawn(work, &(struct worker){ .stop = &stop[i] });
    }
    haft_handle porter = haft_spawn(wait_for_guests);
    haft_token_callback at_stop;
    haft_token_on_cancel(&service, &at_stop, abort_job, &porter);
    signal(SIGTERM, on_term);

    struct worker w;
    haft_token_cancel(&stop[0]); /* this one alone */
    int rc = haft_join(&h[0], &w);
    printf("first worker: %s, half done: %d\n", haft_strerror(rc), w.begun - w.finished);
    printf("service stopped: %d\n", haft_token_is_cancelled(&service));

    raise(SIGTERM);
    haft_token_wait(&service);
    rc = haft_join(&h[1], &w);
    printf("second worker: %s, half done: %d\n", haft_strerror(rc), w.begun - w.finished);
    haft_token_callback_drop(&at_stop);
    printf("porter: %s\n", haft_strerror(haft_join(&porter)));
    printf("service stopped: %d\n", haft_token_is_cancelled(&service));
    haft_token_drop(&stop[0]);
    haft_token_drop(&stop[1]);
    return 0;
}
