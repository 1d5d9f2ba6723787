/* SPDX-License-Identifier: MIT
 *
 * How much would come back?
 * expect: haft: a void * has no size: pass &object
 */
#include <haft/haft.hpp>

int join_it(haft_handle *h, void *frame);
int join_it(haft_handle *h, void *frame)
{
    return haft::join(h, frame);
}
