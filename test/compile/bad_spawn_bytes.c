/* SPDX-License-Identifier: MIT
 *
 * One byte of a buffer would be copied.
 * expect: haft: a string is not a frame: put it into a struct
 */
#include <haft/haft.h>

static int sends(unsigned char *bytes)
{
    return bytes == NULL;
}

haft_handle spawn_it(unsigned char *bytes);
haft_handle spawn_it(unsigned char *bytes)
{
    return haft_spawn(sends, bytes);
}
