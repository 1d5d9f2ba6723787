/* SPDX-License-Identifier: MIT
 *
 * Nor does a case label.
 * expect-gcc: switch jumps
 * expect-clang: cannot jump from switch statement to this case label
 */
#include <haft/haft.h>

static void closes(int *fd)
{
    *fd = -1;
}

int use_it(int how);
int use_it(int how)
{
    int fd = 0;
    switch (how) {
    case 0:;
        HAFT_DEFER(closes, &fd);
        return 1;
    case 1:
        return 2;
    default:
        return fd;
    }
}
