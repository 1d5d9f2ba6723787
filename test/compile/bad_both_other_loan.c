/* SPDX-License-Identifier: MIT
 *
 * Each side's loan is checked against its body.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

static int doubles(int *n)
{
    return *n *= 2;
}

int run_them(void);
int run_them(void)
{
    int n = 1;
    double other = 1;
    return haft_both(doubles, &n, doubles, &other);
}
