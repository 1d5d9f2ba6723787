/* SPDX-License-Identifier: MIT
 *
 * A receiver is dropped as one.
 * expect: haft_sender_of_
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

void drop(int_receiver *rx);
void drop(int_receiver *rx)
{
    haft_sender_drop(rx);
}
