/* SPDX-License-Identifier: MIT
 *
 * A template that would decay.
 * expect: haft: the frame is an array and would decay: pass &array
 */
#include <haft/haft.h>

static int works(void *f)
{
    return f == NULL;
}

int add_it(haft_supervisor *sup);
int add_it(haft_supervisor *sup)
{
    int array[4] = { 0 };
    return haft_supervise(sup, works, array);
}
