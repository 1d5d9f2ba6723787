/* SPDX-License-Identifier: MIT
 *
 * A client is no owner, also where its drop would take any pointer.
 * expect: owner_
 */
#include <haft/haft.h>

struct state {
    int n;
};

int drop_it(void);
int drop_it(void)
{
    HAFT_CLIENT(struct state) c = { 0 };
    return haft_actor_drop(&c);
}
