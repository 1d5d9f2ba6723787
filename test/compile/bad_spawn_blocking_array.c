/* SPDX-License-Identifier: MIT
 *
 * haft_spawn_blocking checks as haft_spawn does.
 * expect: haft: the frame is an array and would decay: pass &array
 */
#include <haft/haft.h>

static int raw(void *p)
{
    return p == NULL;
}

haft_handle spawn_it(void);
haft_handle spawn_it(void)
{
    long numbers[2] = { 0 };
    return haft_spawn_blocking(raw, numbers);
}
