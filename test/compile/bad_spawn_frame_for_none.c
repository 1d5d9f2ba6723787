/* SPDX-License-Identifier: MIT
 *
 * The body takes none.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

static int nothing(void)
{
    return 0;
}

haft_handle spawn_it(void);
haft_handle spawn_it(void)
{
    int o = 0;
    return haft_spawn(nothing, &o);
}
