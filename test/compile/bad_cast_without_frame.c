/* SPDX-License-Identifier: MIT
 *
 * The body takes a frame, and there is none.
 * expect: haft: the body must be int body(S *, M *) for an actor of S and a frame M *
 */
#include <haft/haft.h>

struct state {
    int n;
};

static int serve(struct state *s, int *n)
{
    return s->n + *n;
}

int cast_it(void);
int cast_it(void)
{
    HAFT_CLIENT(struct state) c = { 0 };
    return haft_cast(&c, serve);
}
