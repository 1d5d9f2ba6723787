/* SPDX-License-Identifier: MIT
 *
 * A weak client is no client: its drop counts less.
 * expect: client_
 */
#include <haft/haft.h>

struct state {
    int n;
};

int drop_it(void);
int drop_it(void)
{
    HAFT_WEAK_CLIENT(struct state) w = { 0 };
    return haft_client_drop(&w);
}
