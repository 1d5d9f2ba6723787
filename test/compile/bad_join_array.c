/* SPDX-License-Identifier: MIT
 *
 * What comes back would go to the first element.
 * expect: haft: the frame is an array and would decay: pass &array
 */
#include <haft/haft.h>

int join_it(haft_handle *h);
int join_it(haft_handle *h)
{
    int numbers[10];
    return haft_join(h, numbers);
}
