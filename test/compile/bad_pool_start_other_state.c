/* SPDX-License-Identifier: MIT
 *
 * The state is not the one that the pool is declared with.
 * expect: haft: the state is of another type than
 */
#include <haft/haft.h>

struct state {
    int n;
};

int start_it(void);
int start_it(void)
{
    HAFT_POOL(struct state) p;
    int other = 0;
    return haft_pool_start(&p, &other, .workers = 2);
}
