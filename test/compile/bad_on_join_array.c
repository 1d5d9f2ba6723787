/* SPDX-License-Identifier: MIT
 *
 * An arm checks as the call of its name.
 * expect: haft: the frame is an array and would decay: pass &array
 */
#include <haft/haft.h>

int wait_for(haft_handle *h);
int wait_for(haft_handle *h)
{
    int values[4];
    return haft_select(HAFT_ON_JOIN(h, values));
}
