/* SPDX-License-Identifier: MIT
 *
 * Rings that go through actors and pools: A's worker calls B, whose worker calls C, whose worker calls A. None of them
 * would ever be answered, so whoever closes the ring is refused: see job/edge.h. In release builds only the servers of
 * actors and pools note their waits, and only they pay.
 *
 * Whoever waits for an actor, for an answer, for room or for its end, waits for its server, until the wait is over, which
 * is before he knows: one that has answered a call may call the caller in turn at once. Whoever waits for a pool waits for
 *
 *     the answer to a call that has begun: the server that runs it
 *     the answer to one with a key that another message runs with: the server that runs that; then it is free for this one
 *     any other answer, or room: any of the servers that have not left their loop
 *     its end: each of them
 *
 * A pool that is just being given more servers (fewer serve than are wanted) is waited for by nobody; one that could be given
 * more, but has been asked for no more, is as it is. Idle servers that cannot serve, because all that fills the mailbox
 * waits for keys of others, count as if they could.
 *
 * A note is made before the mailbox is entered, because nothing can be taken back afterwards without being seen. If the actor
 * is closed in between, the caller will be refused, so that is no wait. Who waits for the end closes the mailbox, which ends
 * the waits for room in it. */
#include "actor/actor.h"

enum kind { ANSWER, ROOM, END };

/* The wait is over or will be without a server's doing. The lock is held, here and below. */
static bool is_over(const haft__actor_wait *wait)
{
    const haft__actor *a = wait->a;
    if (wait->call != NULL) {
        uint32_t fate = haft__load_relaxed(&wait->call->fate);
        if (fate == HAFT__MESSAGE_QUEUED)
            return a->is_dead || (a->is_closing && wait->call->link.next == NULL);
        return fate != HAFT__MESSAGE_BEGUN;
    }
    if (wait->caster != NULL)
        return a->is_closing || wait->caster->is_settled || a->used < a->capacity;
    return a->has_ended;
}

/* The server that runs a message of that key, or null. */
static const haft__server *running(const haft__actor *a, const haft__lane *lane)
{
    for (const haft__link *at = a->servers.next; at != &a->servers; at = at->next) {
        const haft__server *s = HAFT__CONTAINER(at, haft__server, link);
        if (s->lane->at != NULL && s->lane->place == lane->place)
            return s;
    }
    return NULL;
}

/* The one server whose doing ends the wait, or null: there are several. */
static const haft__server *sole_of(const haft__actor_wait *wait)
{
    const haft__message *call = wait->call;
    if (!wait->a->is_pool)
        return &wait->a->sole;
    if (call == NULL)
        return NULL;
    if (haft__load_relaxed(&call->fate) == HAFT__MESSAGE_BEGUN)
        return call->server;
    return call->lane != NULL && call->lane->at == NULL ? running(wait->a, call->lane) : NULL;
}

static uint32_t server_waited_for(const haft__edge *edge)
{
    const haft__actor_wait *wait = edge->object;
    uint32_t number = 0;
    haft__lock_acquire(&wait->a->lock);
    const haft__server *s = is_over(wait) ? NULL : sole_of(wait);
    if (s != NULL && s->record != NULL)
        number = haft__record_index(s->record);
    haft__lock_release(&wait->a->lock);
    return number;
}

static haft__party *pool_waited_for(const haft__edge *edge, unsigned *enough)
{
    const haft__actor_wait *wait = edge->object;
    haft__actor *a = wait->a;
    haft__lock_acquire(&a->lock);
    bool is_end = wait->call == NULL && wait->caster == NULL;
    bool waits = a->is_pool && !is_over(wait) && sole_of(wait) == NULL;
    *enough = is_end ? 1 : a->serving;
    waits = waits && (is_end || (a->serving != 0 && a->serving >= a->wanted));
    haft__lock_release(&a->lock);
    return waits ? &a->party : NULL;
}

bool haft__actor_begin_wait(haft__actor_wait *wait, haft__actor *a, const haft__root *me, const haft__server *own,
                            const haft__message *call, const haft__caster *caster)
{
    static const char *const what[2][3] = {
        { "the answer of", "room in the mailbox of", "the end of" },
        { "the answer of a pool all of whose workers wait:", "room in the mailbox of a pool all of whose workers wait:",
          "the end of a pool a worker of which waits:" },
    };
    wait->edge.is_noted = false;
    if (me->deadline != INT64_MAX || (own == NULL && !HAFT__NOTES_ALL_WAITS))
        return true;
    wait->a = a;
    wait->call = call;
    wait->caster = caster;
    enum kind kind = call != NULL ? ANSWER : caster != NULL ? ROOM : END;
    wait->edge = (haft__edge){ .what = what[a->is_pool][kind],
                               .object = wait,
                               .whose = server_waited_for,
                               .party = pool_waited_for,
                               .closes = kind == END ? a : NULL,
                               .room_in = kind == ROOM ? a : NULL,
                               .heeds_abort = me->shields == 0 };
    return haft__edge_enter(&wait->edge, me);
}
