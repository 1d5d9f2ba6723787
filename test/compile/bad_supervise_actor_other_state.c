/* SPDX-License-Identifier: MIT
 *
 * The state is not the one that the actor is declared with.
 * expect: haft: the state is of another type than HAFT_ACTOR(T) says
 */
#include <haft/haft.h>

struct state {
    int n;
};

int start_it(haft_supervisor *sup);
int start_it(haft_supervisor *sup)
{
    HAFT_ACTOR(struct state) a;
    int other = 0;
    return haft_supervise_actor(sup, &a, &other, .name = "other");
}
