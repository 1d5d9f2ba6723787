/* SPDX-License-Identifier: MIT
 *
 * In the place of src/check/deadlock.c, which has other names here and models of its own (models_deadlock.c): threads sleep, and nobody looks whether all do. Its full fence before each sleep
 * would hide a weak order in the protocols that models are about, and the engine finds deadlocks itself. */
#include "check/deadlock.h"
#include "os/os.h"

void haft__sleeper_enter(haft__sleeper *sleeper, haft__sleeper *before)
{
    (void)sleeper;
    (void)before;
}

void haft__sleeper_leave(haft__sleeper *sleeper, haft__sleeper *before)
{
    (void)sleeper;
    (void)before;
}

void haft__deadlock_setup(void (*print)(void))
{
    (void)print;
}

int haft__sleep(haft__sleeper *sleeper, haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline, bool is_idle)
{
    (void)sleeper;
    (void)is_idle;
    return haft__os->futex_wait(word, expected, deadline);
}
