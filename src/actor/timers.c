/* SPDX-License-Identifier: MIT
 *
 * An actor's timers: messages that wait for their time, of which the next one is wanted. They are a leftist heap, so that the
 * lock is held for a few steps even when there are very many: of two sides the way to a missing one is never longer on the
 * second, so it is no longer than the logarithm of their number, and setting and taking walk along second sides only.
 * Timers of the same time keep the order in which they were set. The lock is held in all of this. */
#include "actor/actor.h"

/* A message in `timers` is in no list: its link holds the two sides. */
static haft__message *side(haft__link *link)
{
    return link != NULL ? HAFT__CONTAINER(link, haft__message, link) : NULL;
}

static haft__link *link_of(haft__message *m)
{
    return m != NULL ? &m->link : NULL;
}

static unsigned way(const haft__link *link)
{
    return link != NULL ? HAFT__CONTAINER(link, const haft__message, link)->way : 0;
}

static bool is_before(const haft__message *a, const haft__message *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static haft__message *meld(haft__message *a, haft__message *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    haft__message *first = is_before(b, a) ? b : a, *other = first == a ? b : a;
    haft__link *melded = link_of(meld(side(first->link.previous), other));
    if (way(first->link.next) < way(melded)) {
        first->link.previous = first->link.next;
        first->link.next = melded;
    } else {
        first->link.previous = melded;
    }
    first->way = way(first->link.previous) + 1;
    return first;
}

void haft__actor_set_timer(haft__actor *a, haft__message *m)
{
    m->link = (haft__link){ NULL, NULL };
    m->way = 1;
    m->order = a->timers_set++;
    a->timers = meld(a->timers, m);
}

haft__message *haft__actor_take_timer(haft__actor *a)
{
    haft__message *m = a->timers;
    if (m == NULL)
        return NULL;
    a->timers = meld(side(m->link.next), side(m->link.previous));
    m->link = (haft__link){ NULL, NULL };
    return m;
}
