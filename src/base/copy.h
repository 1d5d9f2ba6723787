/* SPDX-License-Identifier: MIT
 *
 * How frames and elements move. A call, not an assignment: compilers turn an assignment of structs into a memcpy that no
 * instrumentation sees, and a checker must see the whole range. */
#ifndef HAFT_BASE_COPY_H
#define HAFT_BASE_COPY_H

#include <stddef.h>
#include <string.h>

static inline void haft__copy(void *restrict to, const void *restrict from, size_t size)
{
    if (size != 0)
        memcpy(to, from, size);
}

#endif
