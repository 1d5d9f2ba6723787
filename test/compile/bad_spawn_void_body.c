/* SPDX-License-Identifier: MIT
 *
 * A body returns int: 0 or a negative error.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

struct sum {
    uint64_t n, total;
};

static void sum_to(struct sum *s)
{
    s->total = s->n;
}

haft_handle spawn_it(void);
haft_handle spawn_it(void)
{
    struct sum s = { 0 };
    return haft_spawn(sum_to, &s);
}
