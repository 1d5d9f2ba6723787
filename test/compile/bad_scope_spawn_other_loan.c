/* SPDX-License-Identifier: MIT
 *
 * A loan is checked like a frame.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

static int doubles(int *n)
{
    return *n *= 2;
}

int spawn_it(void);
int spawn_it(void)
{
    double n = 1;
    HAFT_SCOPE(s);
    return haft_scope_spawn(s, doubles, &n);
}
