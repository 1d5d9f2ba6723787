/* SPDX-License-Identifier: MIT
 *
 * An array would decay to a pointer to its first element, and one element be copied.
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
    int numbers[10] = { 0 };
    return haft_spawn(raw, numbers);
}
