/* SPDX-License-Identifier: MIT
 *
 * An arm's loan is checked like a frame.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

static int doubles(int *n)
{
    return *n *= 2;
}

int run_it(void);
int run_it(void)
{
    double n = 1;
    return haft_all(NULL, HAFT_ARM(doubles, &n));
}
