/* SPDX-License-Identifier: MIT
 *
 * A frame moves as bytes.
 * expect: haft: a frame moves as bytes and must be trivially copyable
 */
#include <haft/haft.hpp>

#include <string>

static int prints(std::string *s)
{
    return static_cast<int>(s->size());
}

haft_handle spawn_it();
haft_handle spawn_it()
{
    std::string s = "hello";
    return haft::spawn<prints>(&s);
}
