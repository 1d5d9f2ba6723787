/* SPDX-License-Identifier: MIT
 *
 * A value is given by its address.
 * expect: haft: pass the address of the object: &object
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

int send_to(int_sender *tx, int value);
int send_to(int_sender *tx, int value)
{
    return haft_send(tx, value);
}
