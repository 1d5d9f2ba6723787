/* SPDX-License-Identifier: MIT
 *
 * A frame is given by its address.
 * expect: haft: pass the address of the object: &object
 */
#include <haft/haft.h>

struct sum {
    long n, total;
};

static int add_up(struct sum *s)
{
    return s->n > s->total;
}

haft_handle spawn_it(void);
haft_handle spawn_it(void)
{
    struct sum s = { 0 };
    return haft_spawn(add_up, s);
}
