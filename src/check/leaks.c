/* SPDX-License-Identifier: MIT */
#include "check/leaks.h"

#include <stdlib.h>

#include "base/atomic.h"

void haft__leaks_at_exit(void (*print)(void))
{
    static haft__atomic(uint32_t) arranged;
    if (haft__exchange_relaxed(&arranged, 1) == 0)
        (void)atexit(print); /* refused: no list */
}
