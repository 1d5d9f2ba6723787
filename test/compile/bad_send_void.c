/* SPDX-License-Identifier: MIT
 *
 * A void * could be anything.
 * expect: haft: the channel carries another type
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

int send_to(int_sender *tx, void *value);
int send_to(int_sender *tx, void *value)
{
    return haft_send(tx, value);
}
