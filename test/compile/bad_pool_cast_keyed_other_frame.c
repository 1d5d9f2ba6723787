/* SPDX-License-Identifier: MIT
 *
 * The body takes another message.
 * expect: haft: the body must be int body(S *, M *) for an actor of S and a frame M *
 */
#include <haft/haft.h>

struct state {
    int n;
};
struct other {
    int x;
};

static int serve(struct state *s, struct other *m)
{
    return s->n + m->x;
}

int cast_it(void);
int cast_it(void)
{
    HAFT_POOL(struct state) p = { 0 };
    struct state wrong = { 0 };
    return haft_pool_cast_keyed(&p, 7, serve, &wrong);
}
