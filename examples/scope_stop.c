/* SPDX-License-Identifier: MIT
 *
 * A scope that a token stops. The listeners know nothing of tokens or signals: they wait, are told HAFT_ECANCELED, and
 * clean up. SIGTERM cancels the token, the token aborts the scope, and the block ends once all of them have. */
#include <haft/haft.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

static haft_token stop = HAFT_TOKEN_INIT;
static atomic_int listening;

static void on_term(int signal_number)
{
    (void)signal_number;
    haft_token_cancel(&stop); /* allowed in a handler */
}

struct listener {
    const char *what;
    bool is_closed;
};

static void close_listener(struct listener *l)
{
    l->is_closed = true;
}

static int listen_for_guests(struct listener *l)
{
    HAFT_DEFER(close_listener, l);
    atomic_fetch_add(&listening, 1);
    return haft_sleep(3600 * HAFT_S);
}

int main(void)
{
    signal(SIGTERM, on_term);
    struct listener listeners[] = { { "http", false }, { "metrics", false }, { "admin", false } };
    int rc;
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_abort_on(s, &stop);
        for (int i = 0; i < 3; i++)
            haft_scope_spawn(s, listen_for_guests, &listeners[i], .name = listeners[i].what);
        while (atomic_load(&listening) < 3)
            haft_yield();
        raise(SIGTERM);
    }
    printf("the scope: %s\n", haft_strerror(rc));
    for (int i = 0; i < 3; i++)
        printf("%s: %s\n", listeners[i].what, listeners[i].is_closed ? "closed" : "open");
    haft_token_drop(&stop);
    return 0;
}
