/* SPDX-License-Identifier: MIT
 *
 * How much would be copied?
 * expect: haft: a void * has no size: pass &object, or HAFT_NO_FRAME
 */
#include <haft/haft.h>

static int raw(void *p)
{
    return p == NULL;
}

haft_handle spawn_it(void *p);
haft_handle spawn_it(void *p)
{
    return haft_spawn(raw, p);
}
