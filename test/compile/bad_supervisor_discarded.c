/* SPDX-License-Identifier: MIT
 *
 * A supervisor that nobody can drop.
 * expect: warn_unused_result
 */
#include <haft/haft.h>

void make_it(void);
void make_it(void)
{
    haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL);
}
