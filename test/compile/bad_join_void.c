/* SPDX-License-Identifier: MIT
 *
 * How much would come back?
 * expect: haft: a void * has no size: pass &object, or HAFT_NO_FRAME
 */
#include <haft/haft.h>

int join_it(haft_handle *h, void *frame);
int join_it(haft_handle *h, void *frame)
{
    return haft_join(h, frame);
}
