/* SPDX-License-Identifier: MIT
 *
 * Items have a size.
 * expect: haft: a void * has no items: pass an array, or a pointer to its first item
 */
#include <haft/haft.h>

static int raw(void *item)
{
    return item == NULL;
}

int run_them(void *items);
int run_them(void *items)
{
    return haft_for_each(raw, items, 3);
}
