/* SPDX-License-Identifier: MIT
 *
 * riscv64: the first frame of a stack: what the root needs while it runs (switch.S), and below it a context as the
 * switch would have pushed it. */
#include "arch/arch.h"

#ifdef HAFT__ARCH_RISCV64

extern void haft__arch_root(void);

struct root_frame {
    uint64_t fcsr;
    uint64_t scratch[3];
};

_Static_assert(sizeof(struct root_frame) == 32, "known to assembly; a multiple of 16");

/* Not instrumented: the stack may carry the poison of its last user. */
HAFT__UNINSTRUMENTED haft__context *haft__arch_prepare_with(void *top, haft__control control)
{
    struct root_frame *frame = (struct root_frame *)top - 1;
    haft__context *context = (haft__context *)frame - 1;

    frame->fcsr = control.word;
    *context = (haft__context){
        .resume = (void *)(uintptr_t)haft__arch_root,
        .fcsr = control.word,
    };
    return context;
}

#else
typedef int haft__arch_riscv64_prepare_is_empty;
#endif
