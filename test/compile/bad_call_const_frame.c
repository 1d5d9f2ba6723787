/* SPDX-License-Identifier: MIT
 *
 * A call writes to its frame when it comes back.
 * expect: haft: a call moves its frame back, so it cannot be const
 */
#include <haft/haft.h>

struct state {
    int n;
};

static int serve(struct state *s, const int *n)
{
    return s->n + *n;
}

int call_it(void);
int call_it(void)
{
    HAFT_CLIENT(struct state) c = { 0 };
    static const int n = 1;
    return haft_call(&c, serve, &n);
}
