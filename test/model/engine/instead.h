/* SPDX-License-Identifier: MIT
 *
 * What code that is checked calls in the place of what the compilers do not instrument. */
#ifndef HAFT_TEST_MODEL_ENGINE_INSTEAD_H
#define HAFT_TEST_MODEL_ENGINE_INSTEAD_H

#include <stddef.h>

void *model_memcpy(void *to, const void *from, size_t size);
void *model_memmove(void *to, const void *from, size_t size);
void *model_memset(void *to, int byte, size_t size);
/* A turn of a loop that waits for somebody else: other threads run first. */
void model_spin(void);

#endif
