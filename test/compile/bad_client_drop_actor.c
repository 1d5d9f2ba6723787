/* SPDX-License-Identifier: MIT
 *
 * An owner is no client.
 * expect: client_
 */
#include <haft/haft.h>

struct state {
    int n;
};

int drop_it(void);
int drop_it(void)
{
    HAFT_ACTOR(struct state) a = { 0 };
    return haft_client_drop(&a);
}
