/* SPDX-License-Identifier: MIT
 *
 * haft_try_join checks as haft_join does.
 * expect: haft: a string is not a frame: put it into a struct
 */
#include <haft/haft.h>

int join_it(haft_handle *h, char *frame);
int join_it(haft_handle *h, char *frame)
{
    return haft_try_join(h, frame);
}
