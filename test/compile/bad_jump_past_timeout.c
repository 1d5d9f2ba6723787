/* SPDX-License-Identifier: MIT
 *
 * No jump enters a block behind such a declaration.
 * expect-gcc: jump
 * expect-clang: cannot jump from this goto statement to its label
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
    if (how != 0)
        goto in;
    {
        HAFT_TIMEOUT(HAFT_MS);
        fd = haft_yield();
    in:
        closes(&fd);
    }
    return fd;
}
