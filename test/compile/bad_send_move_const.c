/* SPDX-License-Identifier: MIT
 *
 * What is const cannot be emptied.
 * expect: haft: HAFT_MOVE empties the variable, and this one is const
 */
#include <haft/haft.h>

typedef HAFT_SENDER(int) int_sender;

int send_seven(int_sender *tx);
int send_seven(int_sender *tx)
{
    static const int seven = 7;
    return haft_send(tx, HAFT_MOVE(&seven));
}
