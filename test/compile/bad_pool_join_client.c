/* SPDX-License-Identifier: MIT
 *
 * A client cannot join; only the owner can.
 * expect: pool_
 */
#include <haft/haft.h>

struct state {
    int n;
};

int join_it(void);
int join_it(void)
{
    HAFT_CLIENT(struct state) c = { 0 };
    return haft_pool_join(&c);
}
