/* SPDX-License-Identifier: MIT
 *
 * Offers: the ways that are rarely gone. The protocol stands in offer.h. */
#include "sched/offer.h"

enum { SPINS = 100 }; /* then the owner was preempted */

bool haft__offers_enter_slowly(haft__worker *w)
{
    haft__store_release(&w->offers_busy, 0);
    haft__lock_acquire(&w->offers_lock);
    return true;
}

static void enter_elsewhere(haft__worker *w)
{
    haft__lock_acquire(&w->offers_lock);
    haft__fence_heavy(); /* partner: the light fence of haft__offers_enter */
    for (unsigned i = 1; haft__load_acquire(&w->offers_busy) != 0; i++) {
        haft__spin("a worker is changing its list of offers");
        if (i % SPINS == 0)
            haft__os->yield();
    }
}

static haft__offer *take_oldest(haft__worker *w)
{
    haft__offer *offer = haft__load_relaxed(&w->oldest_offer);
    if (offer != NULL) {
        haft__offer_remove(w, offer);
        offer->is_taken = true;
    }
    return offer;
}

haft__offer *haft__offer_steal(haft__worker *victim)
{
    if (haft__load_relaxed(&victim->oldest_offer) == NULL)
        return NULL;
    enter_elsewhere(victim);
    haft__offer *offer = take_oldest(victim);
    haft__lock_release(&victim->offers_lock);
    return offer;
}

haft__offer *haft__offer_take_own(haft__worker *w)
{
    if (haft__load_relaxed(&w->oldest_offer) == NULL)
        return NULL;
    bool is_locked = haft__offers_enter(w);
    haft__offer *offer = take_oldest(w);
    haft__offers_leave(w, is_locked);
    return offer;
}

bool haft__offer_withdraw_elsewhere(haft__offer *offer)
{
    haft__worker *w = offer->worker;
    enter_elsewhere(w);
    bool is_mine = !offer->is_taken;
    if (is_mine)
        haft__offer_remove(w, offer);
    haft__lock_release(&w->offers_lock);
    return is_mine;
}
