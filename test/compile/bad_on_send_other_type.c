/* SPDX-License-Identifier: MIT
 *
 * An arm checks as the call of its name.
 * expect: haft: the channel carries another type
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

int wait_for(int_sender *tx, long value);
int wait_for(int_sender *tx, long value)
{
    return haft_select(HAFT_ON_SEND(tx, HAFT_MOVE(&value)));
}
