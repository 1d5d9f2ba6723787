/* SPDX-License-Identifier: MIT
 *
 * The state comes back into a variable of its own type.
 * expect: haft: the state is of another type than HAFT_ACTOR(T) says
 */
#include <haft/haft.h>

struct state {
    int count;
};

typedef HAFT_ACTOR(struct state) state_actor;

int join_it(state_actor *actor);
int join_it(state_actor *actor)
{
    haft_outcome out;
    int other;
    return haft_actor_join_outcome(actor, &other, &out);
}
