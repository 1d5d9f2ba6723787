/* SPDX-License-Identifier: MIT
 *
 * A misspelt option is not silently ignored.
 * expect: stacksize
 */
#include <haft/haft.h>

static int nothing(void)
{
    return 0;
}

haft_handle spawn_it(void);
haft_handle spawn_it(void)
{
    return haft_spawn(nothing, HAFT_NO_FRAME, .stacksize = 4096);
}
