/* SPDX-License-Identifier: MIT
 *
 * haft's side of the workload of many actors. */
#include "actors.h"

#include <haft/haft.h>

#include <stdatomic.h>
#include <stdlib.h>

/* --- W14: many actors are alive, and each gets a message a second ------------------------------------------------- */

#define BATCHES ((size_t)1000) /* in a second */

struct ticked {
    uint64_t count;
};
typedef HAFT_ACTOR(struct ticked) ticked_actor;

struct tick {
    int64_t due;
    double *late; /* null: nobody asks */
    atomic_size_t *served;
};

static int take_tick(struct ticked *t, const struct tick *tick)
{
    t->count++;
    if (tick->late != NULL)
        *tick->late = (double)(haft_now() - tick->due);
    atomic_fetch_add_explicit(tick->served, 1, memory_order_relaxed);
    return 0;
}

/* Sends each actor its message of one second, evenly spread, a thousandth of them every millisecond. */
static void send_ticks(const ticked_actor *actors, size_t n, int64_t start, double *late, atomic_size_t *served)
{
    for (size_t batch = 0; batch < BATCHES; batch++) {
        int64_t due = start + (int64_t)batch * HAFT_MS, early = due - haft_now();
        if (early > 0)
            sample_check(haft_sleep(early) == 0);
        for (size_t i = batch * n / BATCHES; i < (batch + 1) * n / BATCHES; i++) {
            struct tick tick = { due, late != NULL ? &late[i] : NULL, served };
            sample_check(haft_cast(&actors[i], take_tick, &tick) == 0);
        }
    }
}

static void until_served(const atomic_size_t *served, size_t n)
{
    while (atomic_load_explicit(served, memory_order_relaxed) < n)
        sample_check(haft_sleep(HAFT_MS) == 0);
}

int w14_ticks(struct sample_request *request)
{
    const size_t n = request->n;
    ticked_actor *actors = sample_allocate(n, sizeof *actors);
    double *late = sample_allocate(n, sizeof *late);
    atomic_size_t served = 0;
    double before = sample_resident_bytes();
    for (size_t i = 0; i < n; i++)
        sample_check(haft_actor_start(&actors[i], (&(struct ticked){ 0 })) == 0);
    send_ticks(actors, n, haft_now(), NULL, &served);
    until_served(&served, n);
    sample_report("alive", "bytes", (sample_resident_bytes() - before) / (double)n);

    struct sample_moment start = sample_now();
    send_ticks(actors, n, haft_now(), late, &served);
    until_served(&served, 2 * n);
    sample_report_lateness(start, late, n);

    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct ticked t;
        sample_check(haft_actor_join(&actors[i], &t) == 0);
        count += t.count;
    }
    sample_check(count == 2 * n);
    free(late);
    free(actors);
    return 0;
}
