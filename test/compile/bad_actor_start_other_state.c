/* SPDX-License-Identifier: MIT
 *
 * The state is not the one that the actor is declared with.
 * expect: haft: the state is of another type than HAFT_ACTOR(T) says
 */
#include <haft/haft.h>

struct state {
    int n;
};

int start_it(void);
int start_it(void)
{
    HAFT_ACTOR(struct state) a;
    int other = 0;
    return haft_actor_start(&a, &other);
}
