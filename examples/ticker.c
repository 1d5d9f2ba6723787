/* SPDX-License-Identifier: MIT
 *
 * A ticker ticks at once and then every period. When its owner was busy for longer than that, .missed says what becomes of
 * the ticks in between: taken one after the other, skipped, or a delay of all that follow. */
#include <haft/haft.h>

#include <stdio.h>

#define PERIOD (200 * HAFT_MS)

/* How many ticks are due now? */
static int ticks_due(haft_ticker *t)
{
    HAFT_TIMEOUT(0); /* a wait for one that is due succeeds */
    int n = 0;
    while (haft_ticker_wait(t) == 0)
        n++;
    return n;
}

/* Is busy for a little more than two periods after the first tick. */
static void watch(const char *name, haft_missed_ticks missed)
{
    haft_ticker t;
    haft_ticker_start(&t, PERIOD, .missed = missed);
    HAFT_DEFER(haft_ticker_drop, &t);
    haft_ticker_wait(&t);
    haft_sleep(2 * PERIOD + PERIOD / 5);
    int64_t late = haft_now();
    printf("%s: %s due\n", name, ticks_due(&t) > 1 ? "every missed tick is" : "one tick is");
    haft_ticker_wait(&t);
    if (missed == HAFT_TICK_DELAY)
        printf("  the next a period after it: %d\n", haft_now() - late >= PERIOD);
}

int main(void)
{
    watch("burst", HAFT_TICK_BURST);
    watch("delay", HAFT_TICK_DELAY);
    watch("skip", HAFT_TICK_SKIP);

    haft_ticker t;
    haft_ticker_start(&t, 3600 * HAFT_S);
    HAFT_TIMEOUT(1 * HAFT_MS);
    printf("the first at once: %s\n", haft_errname(haft_ticker_wait(&t)));
    printf("a wait with a limit: %s\n", haft_errname(haft_ticker_wait(&t)));
    return 0;
}
