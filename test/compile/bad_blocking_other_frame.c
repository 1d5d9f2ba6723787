/* SPDX-License-Identifier: MIT
 *
 * haft_blocking checks as haft_spawn does.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

static int reads(int *fd)
{
    return *fd;
}

int call_it(void);
int call_it(void)
{
    long fd = 0;
    return haft_blocking(reads, &fd);
}
