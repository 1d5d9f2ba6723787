/* SPDX-License-Identifier: MIT */
#include "wait/held.h"

void haft__held_abandon(haft__root *me, const haft_held_ *mark)
{
    while (me->held != mark) {
        haft_held_ *held = me->held;
        me->held = held->next_;
        held->abandon_(held, me);
    }
}
