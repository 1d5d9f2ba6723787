/* SPDX-License-Identifier: MIT
 *
 * x86-64: the first frame of a stack. The root keeps the context it was prepared with at its stack pointer, to restore
 * the control words from, and 24 bytes of its own above it (root.S). */
#include "arch/arch.h"

#ifdef HAFT__ARCH_X86_64

extern void haft__arch_root(void);

/* Not instrumented: the stack may carry the poison of its last user. */
HAFT__UNINSTRUMENTED haft__context *haft__arch_prepare_with(void *top, haft__control control)
{
    struct haft__root_frame *frame = (struct haft__root_frame *)top - 1;

    frame->context.sp = frame;
    frame->context.rbp = NULL; /* ends the chain of frame pointers */
    frame->context.rbx = NULL;
    frame->context.resume = (void *)(uintptr_t)haft__arch_root;
    frame->context.mxcsr = control.word;
    frame->context.x87 = (uint16_t)control.other;
    return &frame->context;
}

#else
typedef int haft__arch_x86_64_prepare_is_empty;
#endif
