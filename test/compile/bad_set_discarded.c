/* SPDX-License-Identifier: MIT
 *
 * A set that nobody can drop.
 * expect: warn_unused_result
 */
#include <haft/haft.h>

void make_it(void);
void make_it(void)
{
    haft_set_new(.limit = 4);
}
