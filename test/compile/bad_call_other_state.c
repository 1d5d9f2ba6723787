/* SPDX-License-Identifier: MIT
 *
 * The body serves another state.
 * expect: haft: the body must be int body(S *, M *) for an actor of S and a frame M *
 */
#include <haft/haft.h>

struct state {
    int n;
};
struct other {
    int x;
};

static int serve(struct other *s, struct other *m)
{
    return s->x + m->x;
}

int call_it(void);
int call_it(void)
{
    HAFT_ACTOR(struct state) a = { 0 };
    struct other o = { 0 };
    return haft_call(&a, serve, &o);
}
