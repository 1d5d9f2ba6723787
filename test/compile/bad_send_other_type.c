/* SPDX-License-Identifier: MIT
 *
 * A value of another type than the channel's.
 * expect: haft: the channel carries another type
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

int send_to(int_sender *tx, long value);
int send_to(int_sender *tx, long value)
{
    return haft_send(tx, &value);
}
