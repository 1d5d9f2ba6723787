/* SPDX-License-Identifier: MIT
 *
 * A variable of another type than the channel's.
 * expect: haft: the channel carries another type
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

int recv_from(int_receiver *rx, unsigned *value);
int recv_from(int_receiver *rx, unsigned *value)
{
    return haft_recv(rx, value);
}
