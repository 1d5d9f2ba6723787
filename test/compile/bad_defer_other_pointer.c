/* SPDX-License-Identifier: MIT
 *
 * The function would be called with a pointer to something else.
 * expect: haft: HAFT_DEFER(f, pointer) needs void f(T *) or int f(T *) for a T *
 */
#include <haft/haft.h>

static void closes(int *fd)
{
    *fd = -1;
}

int use_it(void);
int use_it(void)
{
    long fd = 0;
    HAFT_DEFER(closes, &fd);
    return 0;
}
