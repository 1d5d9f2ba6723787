/* SPDX-License-Identifier: MIT
 *
 * The arms of haft_all work on loans, too.
 * expect: haft: the loan is const and the body would write to it: make it int body(const T *)
 */
#include <haft/haft.h>

static int writes(int *n)
{
    return ++*n;
}

int all_of_it(void);
int all_of_it(void)
{
    static const int fixed = 3;
    return haft_all(NULL, HAFT_ARM(writes, &fixed));
}
