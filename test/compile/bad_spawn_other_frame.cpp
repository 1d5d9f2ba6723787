/* SPDX-License-Identifier: MIT
 *
 * The body works on another struct.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body() for none
 */
#include <haft/haft.hpp>

struct sum {
    std::uint64_t n, total;
};

static int sum_to(sum *s)
{
    return static_cast<int>(s->n);
}

haft_handle spawn_it();
haft_handle spawn_it()
{
    int other = 0;
    return haft::spawn<sum_to>(&other);
}
