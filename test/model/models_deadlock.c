/* SPDX-License-Identifier: MIT
 *
 * The report of a program that has come to a stop (check/deadlock.h): it comes if nobody can be woken any more, and never
 * if somebody can. Naps end by the clock, which the search moves at will. */
#include "check/deadlock.h"

#include "world.h"

/* What src/check/deadlock.c is called here; see CMakeLists.txt. */
void model_sleeper_enter(haft__sleeper *sleeper, haft__sleeper *before);
void model_sleeper_leave(haft__sleeper *sleeper, haft__sleeper *before);
int model_watched_sleep(haft__sleeper *sleeper, haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline,
                        bool is_idle);
void model_deadlock_setup(void (*print)(void));

static haft__sleeper sleepers[2];
static haft__atomic(uint32_t) words[2];
static int printed, noted[2];

/* Reads what the sleepers did before they slept. */
static void print(void)
{
    printed++;
    model_check(noted[0] == 1 && noted[1] == 1);
    /* So that the model comes to an end. */
    for (int i = 0; i < 2; i++) {
        haft__store_relaxed(&words[i], 1);
        model_wake((volatile uint32_t *)&words[i], 1);
    }
}

static void sleep_for_ever(void *argument)
{
    int i = (int)(intptr_t)argument;
    noted[i] = 1;
    while (haft__load_relaxed(&words[i]) == 0)
        model_watched_sleep(&sleepers[i], &words[i], 0, INT64_MAX, false);
}

static bool must_report(void *argument)
{
    (void)argument;
    return printed == 0;
}

MODEL("deadlock: of two that fall asleep at once one sees that both do, and what both did before")
{
    world.threads = 2;
    model_deadlock_setup(print);
    for (int i = 0; i < 2; i++)
        model_sleeper_enter(&sleepers[i], NULL);
    model_waits_for(must_report, NULL);
    int other = model_start(sleep_for_ever, (void *)1);
    sleep_for_ever((void *)0);
    model_join(other);
    model_check(printed == 1 && world.reports == 1);
    for (int i = 0; i < 2; i++)
        model_sleeper_leave(&sleepers[i], NULL);
}

static void wake_first(void *argument)
{
    (void)argument;
    haft__store_relaxed(&words[0], 1);
    model_wake((volatile uint32_t *)&words[0], 1);
}

MODEL("deadlock: none is reported while a thread is awake that will wake another")
{
    world.threads = 2;
    model_sleeper_enter(&sleepers[0], NULL);
    model_sleeper_enter(&sleepers[1], NULL);
    int other = model_start(wake_first, NULL);
    sleep_for_ever((void *)0);
    model_join(other);
    model_check(world.reports == 0);
}

static void wake_first_and_leave(void *argument)
{
    wake_first(argument);
    model_sleeper_leave(&sleepers[1], NULL);
    world.threads = 1;
}

MODEL("deadlock: none is reported when who was to wake has done so and left")
{
    world.threads = 2;
    model_sleeper_enter(&sleepers[0], NULL);
    model_sleeper_enter(&sleepers[1], NULL);
    int other = model_start(wake_first_and_leave, NULL);
    sleep_for_ever((void *)0);
    model_join(other);
    model_check(world.reports == 0);
}
