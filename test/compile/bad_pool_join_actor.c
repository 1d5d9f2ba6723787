/* SPDX-License-Identifier: MIT
 *
 * A pool is no actor: what takes one owner does not take the other.
 * expect: owner_
 */
#include <haft/haft.h>

struct state {
    int n;
};

int join_it(void);
int join_it(void)
{
    HAFT_POOL(struct state) p = { 0 };
    return haft_actor_join(&p);
}
