/* SPDX-License-Identifier: MIT
 *
 * How frames and elements move. A call, not an assignment: compilers turn an assignment of structs into a memcpy
 * that no instrumentation sees, and a checker must see the whole range. Small sizes are constants: a call costs more
 * than the copy. */
#ifndef HAFT_BASE_COPY_H
#define HAFT_BASE_COPY_H

#include <stddef.h>
#include <string.h>

static inline void haft__copy(void *restrict to, const void *restrict from, size_t size)
{
    switch (size) {
    case 0:
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    case 24:
        memcpy(to, from, 24);
        break;
    default:
        memcpy(to, from, size);
        break;
    }
}

#endif
