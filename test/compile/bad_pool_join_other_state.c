/* SPDX-License-Identifier: MIT
 *
 * The state that is to come back is of another type.
 * expect: haft: the state is of another type than
 */
#include <haft/haft.h>

struct state {
    int n;
};

int join_it(void);
int join_it(void)
{
    HAFT_POOL(struct state) p = { 0 };
    int other;
    return haft_pool_join(&p, &other);
}
