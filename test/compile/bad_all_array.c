/* SPDX-License-Identifier: MIT
 *
 * An array as an arm's loan would decay to its first element.
 * expect: haft: the frame is an array and would decay: pass &array
 */
#include <haft/haft.h>

static int doubles(int *n)
{
    return *n *= 2;
}

int run_it(void);
int run_it(void)
{
    int n[2] = { 1, 2 };
    return haft_all_or_abort(NULL, HAFT_ARM(doubles, n));
}
