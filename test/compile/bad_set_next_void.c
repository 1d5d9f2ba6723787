/* SPDX-License-Identifier: MIT
 *
 * haft_set_next checks as haft_join does.
 * expect: haft: a void * has no size: pass &object, or HAFT_NO_FRAME
 */
#include <haft/haft.h>

int next_of(haft_set *set, void *frame);
int next_of(haft_set *set, void *frame)
{
    return haft_set_next(set, frame, NULL);
}
