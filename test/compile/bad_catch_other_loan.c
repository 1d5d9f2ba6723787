/* SPDX-License-Identifier: MIT
 *
 * haft_catch checks as haft_spawn does.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

static int parses(int *n)
{
    return *n;
}

int catch_it(haft_panic_info *panic);
int catch_it(haft_panic_info *panic)
{
    float n = 0;
    return haft_catch(parses, &n, panic);
}
