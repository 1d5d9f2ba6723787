/* SPDX-License-Identifier: MIT
 *
 * Rings that go through actors: A's worker calls B, whose worker calls C, whose worker calls A. None of them would ever be
 * answered, so whoever closes the ring is refused: see job/edge.h. Whoever waits for an actor, for an answer, for room or
 * for its end, waits for its server, until the wait is over, which is before he knows: one that has answered a call may
 * call the caller in turn at once. In release builds only the servers of actors note their waits, and only they pay.
 *
 * Nobody is found to wait for a pool, one server of which does not stand for the others. */
#include "actor/actor.h"

bool haft__actor_begin_wait(haft__actor *a, const haft__root *me, const haft__server *own, const char *what,
                            haft__atomic(uint32_t) *fate, uint32_t over_at, haft__edge *edge)
{
    edge->is_noted = false;
    bool is_noted = HAFT__NOTES_ALL_WAITS || (own != NULL && !own->core->is_pool);
    if (me->deadline != INT64_MAX || !is_noted || a->is_pool)
        return true;
    haft__lock_acquire(&a->lock);
    haft__record *server = a->sole.record;
    uint32_t generation = server != NULL ? haft__generation(haft__load_relaxed(&server->state)) : 0;
    haft__lock_release(&a->lock);
    if (server == NULL)
        return true; /* it has ended, and will say so */
    *edge = haft__edge_to_job(what, server, generation);
    edge->fate = fate;
    edge->over_at = over_at;
    return haft__edge_enter(edge, me);
}
