/* SPDX-License-Identifier: MIT
 *
 * What a body is to fill need not be filled before it is lent. */
#include <haft/haft.h>

struct pair {
    int left, right;
};

static int fills(struct pair *p)
{
    *p = (struct pair){ 1, 2 };
    return 0;
}

int all_fill(haft_once *once);
int all_fill(haft_once *once)
{
    struct pair a, b, c, d, e, f, g, h, many[2];
    int rc = 0;
    {
        HAFT_SCOPE(s, .result = &rc);
        rc |= haft_scope_spawn(s, fills, &a);
        rc |= haft_both(fills, &b, fills, &c) | haft_for_each(fills, many, 2) | haft_all(NULL, HAFT_ARM(fills, &d));
        rc |= haft_blocking(fills, &e) | haft_catch(fills, &f, NULL) | haft_run(fills, &g);
        rc |= haft_once_call(once, fills, &h);
    }
    return rc | a.left | b.left | c.left | d.left | e.left | f.left | g.left | h.left | many[1].left;
}
