/* SPDX-License-Identifier: MIT
 *
 * One character of a string would be copied.
 * expect: haft: a string is not a frame: put it into a struct
 */
#include <haft/haft.h>

static int prints(char *text)
{
    return text == NULL;
}

haft_handle spawn_it(char *text);
haft_handle spawn_it(char *text)
{
    return haft_spawn(prints, text);
}
