/* SPDX-License-Identifier: MIT
 *
 * A result that is neither int nor nothing.
 * expect: haft: HAFT_DEFER(f, pointer) needs void f(T *) or int f(T *) for a T *
 */
#include <haft/haft.h>

static double closes(int *fd)
{
    return *fd;
}

int use_it(void);
int use_it(void)
{
    int fd = 0;
    HAFT_DEFER(closes, &fd);
    return 0;
}
