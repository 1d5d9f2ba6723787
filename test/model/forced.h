/* SPDX-License-Identifier: MIT
 *
 * Included before everything else in what is checked. The compilers instrument neither the functions of the C library
 * that copy memory nor the processor's pause, so these come to the engine by name. */
#ifndef HAFT_TEST_MODEL_FORCED_H
#define HAFT_TEST_MODEL_FORCED_H
#ifndef __ASSEMBLER__

#include "engine/instead.h"

#include <string.h>

#define memcpy model_memcpy
#define memmove model_memmove
#define memset model_memset
#define __builtin_ia32_pause model_spin

#endif
#endif
