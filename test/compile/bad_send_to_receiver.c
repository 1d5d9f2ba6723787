/* SPDX-License-Identifier: MIT
 *
 * Nothing is sent to a receiver.
 * expect: haft_sender_of_
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

int send_to(int_receiver *rx, int value);
int send_to(int_receiver *rx, int value)
{
    return haft_send(rx, &value);
}
