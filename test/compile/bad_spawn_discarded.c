/* SPDX-License-Identifier: MIT
 *
 * A job without an owner.
 * expect: warn_unused_result
 */
#include <haft/haft.h>

static int nothing(void)
{
    return 0;
}

void spawn_it(void);
void spawn_it(void)
{
    haft_spawn(nothing);
}
