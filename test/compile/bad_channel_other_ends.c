/* SPDX-License-Identifier: MIT
 *
 * Two ends that carry different types.
 * expect: haft: the two ends are of channels that carry different types
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;
typedef HAFT_RECEIVER(int) int_receiver;

int make(int_sender *tx);
int make(int_sender *tx)
{
    HAFT_RECEIVER(long) rx;
    return haft_channel(tx, &rx, 1);
}
