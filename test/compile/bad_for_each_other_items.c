/* SPDX-License-Identifier: MIT
 *
 * The items are of the body's type.
 * expect: haft: the body must be int body(T *) for items of type T
 */
#include <haft/haft.h>

static int doubles(int *n)
{
    return *n *= 2;
}

int run_them(void);
int run_them(void)
{
    long items[3] = { 1, 2, 3 };
    return haft_for_each(doubles, items, 3);
}
