/* SPDX-License-Identifier: MIT
 *
 * A buffer of characters is an array too.
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
    char text[32] = "hello";
    return haft_spawn(raw, text);
}
