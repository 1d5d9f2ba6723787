/* SPDX-License-Identifier: MIT
 *
 * The body works on another struct.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

struct sum {
    uint64_t n, total;
};
struct other {
    int x;
};

static int sum_to(struct sum *s)
{
    return (int)s->n;
}

haft_handle spawn_it(void);
haft_handle spawn_it(void)
{
    struct other o = { 0 };
    return haft_spawn(sum_to, &o);
}
