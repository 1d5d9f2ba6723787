/* SPDX-License-Identifier: MIT
 *
 * Sleeps finer than a millisecond, on a clock that moves only when everybody waits: their order, and how late they end. */
#include <haft/haft.h>

#include "callers.h"
#include "fake_os.h"

enum { SLEEPERS = 997, STEP = 2 * FAKE_OS_LOOK };

struct sleeper {
    int64_t until;
    size_t *ended;
    size_t place; /* in the order of the deadlines */
};

static int sleeps(struct sleeper *s)
{
    check_int(haft_sleep(s->until - haft_now()), ==, 0);
    check_int(haft_now(), >=, s->until);
    check_int(haft_now(), <=, s->until + FAKE_OS_LOOK);
    check_uint((*s->ended)++, ==, s->place);
    return 0;
}

static int all_sleep(void)
{
    size_t ended = 0;
    int64_t start = haft_now();
    HAFT_SCOPE(s);
    static struct sleeper sleepers[SLEEPERS];
    for (size_t i = 0; i < SLEEPERS; i++) {
        size_t place = i * 7919 % SLEEPERS; /* every place once */
        sleepers[i] = (struct sleeper){ start + (int64_t)(place + 1) * STEP, &ended, place };
        check_int(haft_scope_spawn(s, sleeps, &sleepers[i]), ==, 0);
    }
    check_int(haft_scope_join(s), ==, 0);
    check_uint(ended, ==, SLEEPERS);
    return 0;
}

TEST("sleeps ten microseconds apart end in order, never early, and no later than the worker looks")
{
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
    check_int(haft_run(all_sleep, HAFT_NO_FRAME, .workers = 1), ==, 0);
    fake_os_leave();
}

struct limited {
    struct sleeper sleeper;
    size_t *late;
};

static int is_cut_short(struct limited *l)
{
    int64_t limit = l->sleeper.until - haft_now();
    HAFT_TIMEOUT(limit);
    check_int(haft_sleep(HAFT_S), ==, HAFT_ETIMEDOUT);
    check_int(haft_now(), >=, l->sleeper.until);
    check_uint((*l->late)++, ==, l->sleeper.place);
    return 0;
}

static int all_are_cut_short(void)
{
    size_t late = 0;
    int64_t start = haft_now();
    HAFT_SCOPE(s);
    static struct limited limited[SLEEPERS];
    for (size_t i = 0; i < SLEEPERS; i++) {
        size_t place = i * 7919 % SLEEPERS;
        limited[i] = (struct limited){ { start + (int64_t)(place + 1) * STEP, NULL, place }, &late };
        check_int(haft_scope_spawn(s, is_cut_short, &limited[i]), ==, 0);
    }
    check_int(haft_scope_join(s), ==, 0);
    check_uint(late, ==, SLEEPERS);
    check_int(haft_now(), <, start + HAFT_S);
    return 0;
}

TEST("limits ten microseconds apart cut sleeps short in order")
{
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
    check_int(haft_run(all_are_cut_short, HAFT_NO_FRAME, .workers = 1), ==, 0);
    fake_os_leave();
}
