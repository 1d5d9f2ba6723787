/* SPDX-License-Identifier: MIT
 *
 * haft_join_outcome checks as haft_join does.
 * expect: haft: the frame is an array and would decay: pass &array
 */
#include <haft/haft.h>

int join_it(haft_handle *h, haft_outcome *out);
int join_it(haft_handle *h, haft_outcome *out)
{
    int numbers[10];
    return haft_join_outcome(h, numbers, out);
}
