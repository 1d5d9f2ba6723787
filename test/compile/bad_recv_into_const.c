/* SPDX-License-Identifier: MIT
 *
 * What is received must be stored.
 * expect: haft: the channel carries another type
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

int recv_from(int_receiver *rx, const int *value);
int recv_from(int_receiver *rx, const int *value)
{
    return haft_recv(rx, value);
}
