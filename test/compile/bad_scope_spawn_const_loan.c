/* SPDX-License-Identifier: MIT
 *
 * A loan is not copied, so a body that writes does not take a const one.
 * expect: haft: the loan is const and the body would write to it: make it int body(const T *)
 */
#include <haft/haft.h>

static int writes(int *n)
{
    return ++*n;
}

int spawn_it(haft_scope *s);
int spawn_it(haft_scope *s)
{
    static const int fixed = 3;
    return haft_scope_spawn(s, writes, &fixed);
}
