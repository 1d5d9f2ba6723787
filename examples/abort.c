/* SPDX-License-Identifier: MIT
 *
 * Abort: a request, told to the job where it waits next, by HAFT_ECANCELED. So a job that is aborted ends by
 * returning, closes what it opened, and may take its time for it; when it shows as finished, its cleanup is done. */
#include <haft/haft.h>

#include <stdio.h>

struct work {
    haft_handle parent;
    bool saved;     /* out */
    uint64_t steps; /* out */
};

static void save(struct work *w)
{
    HAFT_SHIELD; /* else the abort would be told to this, too */
    w->saved = haft_sleep(1 * HAFT_MS) == 0;
}

static int sleeper(struct work *w)
{
    HAFT_DEFER(save, w);
    haft_unpark(w->parent);
    return haft_sleep(3600 * HAFT_S);
}

/* A computation that never waits asks from time to time. */
static int counter(struct work *w)
{
    haft_unpark(w->parent);
    int rc;
    while ((rc = haft_checkpoint()) == 0)
        w->steps++;
    return rc;
}

/* One that does not ask cannot be told; its own result stands. */
static int deaf(struct work *w)
{
    haft_unpark(w->parent);
    while (!haft_is_aborted()) /* looks, and tells nobody */
        w->steps++;
    return 0;
}

static int run(void)
{
    static int (*const bodies[])(struct work *) = { sleeper, counter, deaf };
    static const char *const names[] = { "sleeper", "counter", "deaf" };
    for (int i = 0; i < 3; i++) {
        struct work w = { .parent = haft_self() };
        haft_handle h = haft_spawn(bodies[i], &w, .kind = HAFT_THREAD);
        haft_abort_handle a = haft_abort_handle_of(h); /* may be given to those who shall only abort */
        haft_park();                                   /* until it has begun */
        haft_abort_by(a);
        haft_abort_by(a); /* once is enough, twice does no harm */
        haft_outcome out;
        int rc = haft_join_outcome(&h, &w, &out);
        printf("%s: join %d, %s, its code %s, saved %d\n", names[i], rc,
               out.end == HAFT_ABORTED ? "aborted" : "returned", haft_errname(out.code), w.saved);
    }
    return 0;
}

int main(void)
{
    return haft_run(run);
}
