/* SPDX-License-Identifier: MIT
 *
 * The client is of another state.
 * expect: haft: ends of actors with different states
 */
#include <haft/haft.h>

struct state {
    int n;
};
struct other {
    int x;
};

int connect_it(void);
int connect_it(void)
{
    HAFT_POOL(struct state) p = { 0 };
    HAFT_CLIENT(struct other) c;
    return haft_pool_client_of(&p, &c);
}
