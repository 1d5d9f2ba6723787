/* SPDX-License-Identifier: MIT
 *
 * A panic's text is checked like that of printf.
 * expect: format
 */
#include <haft/haft.h>

void end_it(const char *name);
void end_it(const char *name)
{
    haft_panic("bad port %d", name);
}
