/* SPDX-License-Identifier: MIT
 *
 * The same checks in C++.
 * expect: haft: the frame is an array and would decay: pass &array
 */
#include <haft/haft.hpp>

static int raw(void *p)
{
    return p == nullptr;
}

haft_handle spawn_it();
haft_handle spawn_it()
{
    int numbers[10] = {};
    return haft::spawn<raw>(numbers);
}
