/* SPDX-License-Identifier: MIT
 *
 * A job without an owner.
 * expect-gcc: nodiscard
 * expect-clang: nodiscard
 */
#include <haft/haft.hpp>

static int nothing()
{
    return 0;
}

void spawn_it();
void spawn_it()
{
    haft::spawn<nothing>();
}
