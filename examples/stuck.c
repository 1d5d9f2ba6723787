/* SPDX-License-Identifier: MIT
 *
 * Shutdown: a program ends although somebody in it never looks up. When the main job has returned, the others get
 * .grace to end by themselves, are aborted, and what has not ended a second later is named and left behind. */
#include <haft/haft.h>

#include <stdatomic.h>
#include <stdio.h>

static _Atomic int begun;

/* Asks now and then whether it should go on. */
static int polite(void)
{
    atomic_fetch_add(&begun, 1);
    while (haft_checkpoint() == 0)
        (void)haft_yield();
    printf("polite: ended\n");
    return 0;
}

/* Never does: a library that spins, a call to a server that does not answer. */
static int stubborn(void)
{
    atomic_fetch_add(&begun, 1);
    while (atomic_load(&begun) > 0)
        ;
    return 0;
}

static void still_there(const char *name, const char *place)
{
    (void)place; /* "examples/stuck.c:42" */
    printf("%s: would not stop\n", name);
}

static int run(void)
{
    haft_handle p = haft_spawn(polite, HAFT_NO_FRAME, .name = "polite");
    haft_handle s = haft_spawn_blocking(stubborn, HAFT_NO_FRAME, .name = "stubborn");
    haft_detach(&p);
    haft_detach(&s);
    while (atomic_load(&begun) < 2)
        (void)haft_yield();
    printf("main: done\n");
    return 0;
}

int main(void)
{
    int rc = haft_run(run, HAFT_NO_FRAME, .workers = 2, .on_stuck = still_there);
    printf("haft_run: %d\n", rc);
    return rc;
}
