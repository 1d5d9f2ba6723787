/* SPDX-License-Identifier: MIT
 *
 * Lanes: messages of one key, one after the other. The protocol stands in actor.h.
 *
 * The lanes of an actor are a tree that needs no memory but theirs: a digital search tree (Coffman and Eve, 1970). A lane's
 * place is its key, mixed so that places look random and distinct keys have distinct ones. On its way down from the root
 * a lane goes left or right as the bits of its place say, the lowest first, and stands where it finds nobody. So the
 * bits on the way to a lane are the lowest of its place, and no two lanes that are both there can meet below the 64th;
 * most stand as deep as their number has bits. Any leaf below a lane may take its position. */
#include "actor/actor.h"

static uint64_t place_of(uint64_t key)
{
    /* The finalizer of Steele, Lea and Flood's SplitMix, which can be inverted. */
    key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
    return key ^ (key >> 31);
}

void haft__lane_of(haft__lane *lane, uint64_t key)
{
    lane->place = place_of(key);
    lane->at = NULL;
}

/* Puts a lane where another one is, or was. */
static void take_position(haft__lane *lane, const haft__lane *other)
{
    lane->at = other->at;
    *lane->at = lane;
    for (int side = 0; side < 2; side++) {
        lane->below[side] = other->below[side];
        if (lane->below[side] != NULL)
            lane->below[side]->at = &lane->below[side];
    }
}

static void replace(haft__lane *lane, haft__lane *other)
{
    take_position(lane, other);
    lane->place = other->place;
    haft__list_init(&lane->waiting);
    haft__list_move(&other->waiting, &lane->waiting);
    other->at = NULL;
}

static void take_out(haft__lane *lane)
{
    haft__lane *leaf = lane;
    while (leaf->below[0] != NULL || leaf->below[1] != NULL)
        leaf = leaf->below[leaf->below[0] == NULL];
    *leaf->at = NULL;
    if (leaf != lane)
        take_position(leaf, lane);
    lane->at = NULL;
}

bool haft__lane_enter(haft__actor *a, haft__message *m)
{
    haft__lane *lane = m->lane, **at = &a->lanes;
    for (uint64_t way = lane->place; *at != NULL; way >>= 1) {
        if ((*at)->place == lane->place) {
            haft__list_append(&(*at)->waiting, &m->link);
            return false;
        }
        at = &(*at)->below[way & 1];
    }
    *at = lane;
    lane->at = at;
    lane->below[0] = lane->below[1] = NULL;
    haft__list_init(&lane->waiting);
    return true;
}

void haft__lane_begin(haft__server *s, haft__message *m)
{
    if (m->lane->at != NULL) /* else the lanes were emptied */
        replace(s->lane, m->lane);
}

haft__message *haft__lane_leave(haft__lane *lane)
{
    if (lane->at == NULL)
        return NULL;
    haft__link *link = haft__list_take(&lane->waiting);
    if (link == NULL) {
        take_out(lane);
        return NULL;
    }
    haft__message *next = HAFT__CONTAINER(link, haft__message, link);
    replace(next->lane, lane);
    return next;
}

bool haft__lane_empty_one(haft__actor *a)
{
    haft__lane *lane = a->lanes;
    if (lane == NULL)
        return false;
    haft__list_move(&lane->waiting, &a->ordinary);
    take_out(lane);
    return true;
}
