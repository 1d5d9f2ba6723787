/* SPDX-License-Identifier: MIT
 *
 * Tickers, on a clock that moves only when everybody waits, and so exactly. */
#include <haft/haft.h>

#include "channels.h"
#include "fake_os.h"

/* In milliseconds since the ticker was started, when the tick was taken. In a task it may be one look of the worker later
 * (see fake_os.h), which rounds away. */
static int64_t taken_at(haft_ticker *t, int64_t start)
{
    check_int(haft_ticker_wait(t), ==, 0);
    return (haft_now() - start) / HAFT_MS;
}

static void stalls_for(int64_t ns)
{
    fake_os.now += ns;
}

/* The plain thread, then the same as a task. */
static void on_a_virtual_clock(void (*body)(void))
{
    struct caller caller = { .body = body };
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
    body();
    check_int(haft_run(caller_run, &caller, .workers = 1), ==, 0);
    fake_os_leave();
}

#define TEST_ON_A_VIRTUAL_CLOCK(sentence) TEST_CALLERS__(TEST, on_a_virtual_clock, __LINE__, sentence)

static void check_ticks(haft_ticker *t, int64_t start, const int64_t *expected, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_int(taken_at(t, start), ==, expected[i]);
}

TEST_ON_A_VIRTUAL_CLOCK("the first tick comes at once, the others a period apart")
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, 10 * HAFT_MS), ==, 0);
    check_ticks(&t, haft_now(), (const int64_t[]){ 0, 10, 20, 30, 40 }, 5);
    haft_ticker_drop(&t);
}

/* The tick of 10 is taken at 35. */
static int64_t starts_and_stalls(haft_ticker *t)
{
    int64_t start = haft_now();
    check_int(taken_at(t, start), ==, 0);
    stalls_for(35 * HAFT_MS);
    check_int(taken_at(t, start), ==, 35);
    return start;
}

TEST_ON_A_VIRTUAL_CLOCK("missed ticks are made up for in a burst, and the schedule stays")
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, 10 * HAFT_MS), ==, 0);
    check_ticks(&t, starts_and_stalls(&t), (const int64_t[]){ 35, 35, 40, 50 }, 4);
    check_int(haft_ticker_start(&t, 10 * HAFT_MS, .missed = HAFT_TICK_BURST), ==, 0);
    check_ticks(&t, starts_and_stalls(&t), (const int64_t[]){ 35, 35, 40, 50 }, 4);
}

TEST_ON_A_VIRTUAL_CLOCK("missed ticks are skipped to the next multiple")
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, 10 * HAFT_MS, .missed = HAFT_TICK_SKIP), ==, 0);
    check_ticks(&t, starts_and_stalls(&t), (const int64_t[]){ 40, 50, 60 }, 3);
}

TEST_ON_A_VIRTUAL_CLOCK("missed ticks delay the next one to a period after the late one")
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, 10 * HAFT_MS, .missed = HAFT_TICK_DELAY), ==, 0);
    check_ticks(&t, starts_and_stalls(&t), (const int64_t[]){ 45, 55, 65 }, 3);
}

TEST_ON_A_VIRTUAL_CLOCK("a tick that is late, but taken before the next is due, moves nothing")
{
    for (haft_missed_ticks missed = HAFT_TICK_BURST; missed <= HAFT_TICK_SKIP; missed++) {
        haft_ticker t;
        check_int(haft_ticker_start(&t, 10 * HAFT_MS, .missed = missed), ==, 0);
        int64_t start = haft_now();
        check_int(taken_at(&t, start), ==, 0);
        stalls_for(19 * HAFT_MS);
        check_ticks(&t, start, (const int64_t[]){ 19, 20, 30 }, 3);
    }
}

TEST_ON_A_VIRTUAL_CLOCK("a machine that was suspended for hours ticks on as .missed says")
{
    const int64_t hours = 5 * (3600 * HAFT_S);
    haft_ticker t;
    check_int(haft_ticker_start(&t, HAFT_S, .missed = HAFT_TICK_SKIP), ==, 0);
    int64_t start = haft_now();
    check_int(taken_at(&t, start), ==, 0);
    stalls_for(hours + 250 * HAFT_MS);
    check_ticks(&t, start, (const int64_t[]){ 18000250, 18001000, 18002000 }, 3);

    check_int(haft_ticker_start(&t, HAFT_S, .missed = HAFT_TICK_DELAY), ==, 0);
    start = haft_now();
    check_int(taken_at(&t, start), ==, 0);
    stalls_for(hours + 250 * HAFT_MS);
    check_ticks(&t, start, (const int64_t[]){ 18000250, 18001250, 18002250 }, 3);

    check_int(haft_ticker_start(&t, HAFT_S), ==, 0);
    start = haft_now();
    check_int(taken_at(&t, start), ==, 0);
    stalls_for(hours + 250 * HAFT_MS);
    for (int i = 0; i < 18000; i++) { /* those of 1 s to 18,000 s; each may come a look of the worker later */
        int64_t at = taken_at(&t, start);
        check(at >= 18000250 && at < 18000350);
    }
    check_int(taken_at(&t, start), ==, 18001000);
}

TEST_ON_A_VIRTUAL_CLOCK("a wait that is refused takes no tick")
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, 10 * HAFT_MS), ==, 0);
    int64_t start = haft_now();
    check_int(taken_at(&t, start), ==, 0);
    for (int i = 1; i <= 3; i++) {
        HAFT_TIMEOUT(3 * HAFT_MS);
        check_int(haft_ticker_wait(&t), ==, HAFT_ETIMEDOUT);
        check_int((haft_now() - start) / HAFT_MS, ==, 3 * i);
    }
    check_ticks(&t, start, (const int64_t[]){ 10, 20 }, 2);
}

TEST_ON_A_VIRTUAL_CLOCK("a tick that is due is taken at a timeout of nothing")
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, 10 * HAFT_MS), ==, 0);
    HAFT_TIMEOUT(0);
    check_int(haft_ticker_wait(&t), ==, 0);
    check_int(haft_ticker_wait(&t), ==, HAFT_ETIMEDOUT);
    stalls_for(10 * HAFT_MS);
    check_int(haft_ticker_wait(&t), ==, 0);
}

TEST_ON_A_VIRTUAL_CLOCK("what cannot tick is refused")
{
    haft_ticker t = { 0 };
    check_int(haft_ticker_wait(&t), ==, HAFT_EINVAL);
    check_int(haft_ticker_start(&t, 0), ==, HAFT_EINVAL);
    check_int(haft_ticker_start(&t, -1, .missed = HAFT_TICK_SKIP), ==, HAFT_EINVAL);
    check_int(haft_ticker_start(&t, 1, .missed = (haft_missed_ticks)3), ==, HAFT_EINVAL);
    check_int(haft_ticker_start(&t, HAFT_S), ==, 0);
    check_int(haft_ticker_start(&t, -HAFT_S), ==, HAFT_EINVAL);
    check_int(haft_ticker_wait(&t), ==, HAFT_EINVAL); /* it is none now */
    check_int(haft_ticker_start(&t, HAFT_S), ==, 0);
    haft_ticker_drop(&t);
    haft_ticker_drop(&t);
    check_int(haft_ticker_wait(&t), ==, HAFT_EINVAL);
}

TEST_ON_A_VIRTUAL_CLOCK("a period longer than any time ticks once")
{
    haft_ticker t;
    check_int(haft_ticker_start(&t, INT64_MAX), ==, 0);
    check_int(haft_ticker_wait(&t), ==, 0);
    HAFT_TIMEOUT(3600 * HAFT_S);
    check_int(haft_ticker_wait(&t), ==, HAFT_ETIMEDOUT);
}

/* --- as an arm ---------------------------------------------------------------------------------------------------- */

TEST_ON_A_VIRTUAL_CLOCK("a tick is an arm of a select: the nearest is first, and an arm that is not it takes none")
{
    haft_ticker often, seldom;
    int_sender tx;
    int_receiver rx;
    int value = 1, rc = 1;
    check_int(haft_channel(&tx, &rx, 1), ==, 0);
    int64_t start = haft_now();
    check_int(haft_ticker_start(&often, 10 * HAFT_MS, .missed = HAFT_TICK_SKIP), ==, 0);
    check_int(haft_ticker_start(&seldom, 25 * HAFT_MS), ==, 0);
    static const struct {
        int64_t at;
        int arm;
    } expected[] = { { 0, 0 }, { 0, 1 }, { 10, 0 }, { 20, 0 }, { 25, 1 }, { 30, 0 } };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        check_int(haft_select_biased(HAFT_ON_TICK(&often), HAFT_ON_TICK(&seldom), HAFT_ON_RECV(&rx, &value)), ==,
                  expected[i].arm);
        check_int((haft_now() - start) / HAFT_MS, ==, expected[i].at);
    }
    /* Another arm, a deadline, a try. */
    haft_ticker before = often;
    check_int(haft_send(&tx, &value), ==, 0);
    check_int(haft_select(HAFT_ON_TICK(&often), HAFT_ON_RECV(&rx, &value)), ==, 1);
    check_int(haft_select(HAFT_ON_TICK(&often), HAFT_ON_TIMEOUT(HAFT_MS)), ==, 1);
    check_int(haft_try_select(HAFT_ON_TICK(&often)), ==, HAFT_EAGAIN);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_select(HAFT_ON_TICK(&often), HAFT_ON_RECV(&rx, &value)), ==, HAFT_ETIMEDOUT);
    }
    check_int(often.next_, ==, before.next_);
    stalls_for(30 * HAFT_MS);
    check_int(haft_select(HAFT_ON_TICK(&often, .rc = &rc), HAFT_ON_RECV(&rx, &value)), ==, 0);
    check_int(rc, ==, 0);
    check_int(often.next_, >, before.next_ + 20 * HAFT_MS); /* what was missed is skipped */
    haft_ticker_drop(&often);
    check_int(haft_select_biased(HAFT_ON_TICK(&often), HAFT_ON_TICK(&seldom)), ==, HAFT_EINVAL);
    haft_sender_drop(&tx);
    haft_receiver_drop(&rx);
}

/* --- with a kernel ------------------------------------------------------------------------------------------------ */

TEST_FROM_EVERY_CALLER("ticks are never early")
{
    haft_ticker t;
    int64_t before = haft_now();
    check_int(haft_ticker_start(&t, HAFT_MS), ==, 0);
    HAFT_DEFER(haft_ticker_drop, &t);
    for (int i = 0; i < 5; i++) {
        check_int(haft_ticker_wait(&t), ==, 0);
        check_int(haft_now() - before, >=, i * HAFT_MS);
    }
}

static _Atomic int others;

static int yields_to_the_ticker(void)
{
    for (int i = 0; i < 5; i++)
        check_int(haft_yield(), ==, 0);
    atomic_fetch_add(&others, 1);
    return 0;
}

static int sleeps_beside_the_ticker(void)
{
    check_int(haft_sleep(HAFT_MS), ==, 0);
    atomic_fetch_add(&others, 1);
    return 0;
}

/* Every tick of it is due, for as long as this runs. */
static int is_always_late(void)
{
    haft_ticker t;
    haft_handle hs[] = { haft_spawn(yields_to_the_ticker), haft_spawn(sleeps_beside_the_ticker) };
    check_int(haft_ticker_start(&t, 1), ==, 0);
    while (atomic_load(&others) < 2)
        check_int(haft_ticker_wait(&t), ==, 0);
    haft_ticker_drop(&t);
    return haft_join_all(hs, 2, NULL);
}

TEST("a ticker that is always late lets the other tasks of its worker run, and their timers")
{
    check_int(haft_run(is_always_late, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

struct ticking {
    haft_ticker ticker;
    _Atomic int *waits;
    int rc;
};

static int waits_for_second_tick(struct ticking *t)
{
    check_int(haft_ticker_start(&t->ticker, 3600 * HAFT_S), ==, 0);
    check_int(haft_ticker_wait(&t->ticker), ==, 0);
    haft_ticker before = t->ticker;
    atomic_store(t->waits, 1);
    t->rc = haft_ticker_wait(&t->ticker);
    check_int(t->ticker.next_, ==, before.next_);
    return t->rc;
}

TEST_FROM_EVERY_CALLER("an abort ends the wait, and no tick is taken")
{
    for_each_kind(kind) {
        _Atomic int waits = 0;
        haft_handle h = haft_spawn(waits_for_second_tick, &(struct ticking){ .waits = &waits }, .kind = kind);
        until(atomic_load(&waits) != 0);
        check_int(haft_abort(h), ==, 0);
        struct ticking t;
        check_int(haft_join(&h, &t), ==, HAFT_EABORTED);
        check_int(t.rc, ==, HAFT_ECANCELED);
    }
}
