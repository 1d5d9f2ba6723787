/* SPDX-License-Identifier: MIT
 *
 * haft_set_spawn checks as haft_spawn does.
 * expect: haft: the frame is an array and would decay: pass &array
 */
#include <haft/haft.h>

static int raw(void *p)
{
    return p == NULL;
}

int spawn_it(haft_set *set);
int spawn_it(haft_set *set)
{
    int numbers[10] = { 0 };
    return haft_set_spawn(set, raw, numbers);
}
