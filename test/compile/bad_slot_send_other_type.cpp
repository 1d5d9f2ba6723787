/* SPDX-License-Identifier: MIT
 *
 * A value of another type than the slot's.
 * expect: haft: the channel carries another type
 */
#include <haft/haft.hpp>

typedef HAFT_SLOT(int) int_slot;

int fill(int_slot *slot, long value);
int fill(int_slot *slot, long value)
{
    return haft::slot_send(slot, &value);
}
