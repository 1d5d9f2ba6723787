/* SPDX-License-Identifier: MIT
 *
 * aarch64: the switch, the bottom of a stack, and the wall. See arch/arch.h for what they do and aarch64/switch.h for
 * the layout of a context. Marked for branch target identification; return addresses are not signed, because a context
 * may be resumed by the root as well as by the switch and a signature would bind it to one of them. */
#include "base/sanitizer.h"
#include "arch/select.h"

#ifdef HAFT__ARCH_AARCH64

    .text

/* bti c, in the hint space, so that every assembler and every core takes it. */
    .macro landing
    hint #34
    .endm

    .macro function name
    .p2align 4
    .globl \name
    .hidden \name
    .type \name, %function
\name:
    .endm

/* Resumes the context in x1 with the value in x0. x9 and x10 hold the present FPCR and FPSR. */
    .macro resume
    ldp x11, x12, [x1, #160]
    cmp x9, x11
    b.eq 1f
    msr fpcr, x11
1:
    cmp x10, x12
    b.eq 2f
    msr fpsr, x12
2:
    ldp x29, x30, [x1, #0]
    ldp x19, x20, [x1, #16]
    ldp x21, x22, [x1, #32]
    ldp x23, x24, [x1, #48]
    ldp x25, x26, [x1, #64]
    ldp x27, x28, [x1, #80]
    ldp d8, d9, [x1, #96]
    ldp d10, d11, [x1, #112]
    ldp d12, d13, [x1, #128]
    ldp d14, d15, [x1, #144]
    add sp, x1, #176
    ret
    .endm

/* void *haft__arch_switch_call(haft__context **save, haft__context *to, void *value) */
    function haft__arch_switch_call
    .cfi_startproc
    landing
    sub sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp x29, x30, [sp, #0]
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    mrs x10, fpsr
    stp x9, x10, [sp, #160]
    mov x11, sp
    str x11, [x0]
    mov x0, x2
    resume
    .cfi_endproc
    .size haft__arch_switch_call, . - haft__arch_switch_call

/* On entry: x0 the value, sp at the struct root_frame of prepare.c: control words at 0, scratch at 16. Entered by a
 * return. */
    .hidden haft__sched_root
    function haft__arch_root
    .cfi_startproc
    .cfi_undefined x30                  /* nobody called: a backtrace ends here */
    .cfi_def_cfa_offset 32
    landing
.Lagain:
    bl haft__sched_root                 /* x0: next.to, x1: next.value */
    cbz x0, .Lsame_stack
#ifdef HAFT__ANNOUNCED
    stp x0, x1, [sp, #16]
    mov x0, x1
    .hidden haft__sched_announce
    bl haft__sched_announce
    ldp x0, x1, [sp, #16]
#endif
    mrs x9, fpcr
    mrs x10, fpsr
    mov x2, x0
    mov x0, x1
    mov x1, x2
    resume

/* The job that ran here may have changed the control words; the next one is not to inherit that. */
.Lsame_stack:
    mov x0, x1
    ldp x11, x12, [sp, #0]
    mrs x9, fpcr
    mrs x10, fpsr
    cmp x9, x11
    b.eq 3f
    msr fpcr, x11
3:
    cmp x10, x12
    b.eq .Lagain
    msr fpsr, x12
    b .Lagain
    .cfi_endproc
    .size haft__arch_root, . - haft__arch_root

#ifndef HAFT__TSAN

/* bool haft__arch_try(void (*fn)(void *), void *argument, haft__wall *wall)
 * The preserved registers stay where the body finds them; the copies are for a throw. */
    function haft__arch_try
    .cfi_startproc
    landing
    stp x29, x30, [sp, #-160]!
    .cfi_adjust_cfa_offset 160
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    mov x29, sp
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    str x29, [x2]
    mov x9, x0
    mov x0, x1
    blr x9
    ldp x29, x30, [sp], #160
    .cfi_restore x29
    .cfi_restore x30
    .cfi_adjust_cfa_offset -160
    mov w0, #0
    ret
    .cfi_endproc
    .size haft__arch_try, . - haft__arch_try

/* _Noreturn void haft__arch_throw(haft__wall *wall)
 * Returns from haft__arch_try in place of the body. */
    function haft__arch_throw
    .cfi_startproc
    landing
#ifdef HAFT__ASAN
    stp x30, x0, [sp, #-16]!
    .cfi_adjust_cfa_offset 16
    .cfi_rel_offset x30, 0
    bl __asan_handle_no_return          /* the skipped frames' red zones are gone with them */
    ldp x30, x0, [sp], #16
    .cfi_restore x30
    .cfi_adjust_cfa_offset -16
#endif
    ldr x9, [x0]
    mov sp, x9
    .cfi_def_cfa sp, 160
    .cfi_offset x29, -160
    .cfi_offset x30, -152
    .cfi_offset x19, -144
    .cfi_offset x20, -136
    .cfi_offset x21, -128
    .cfi_offset x22, -120
    .cfi_offset x23, -112
    .cfi_offset x24, -104
    .cfi_offset x25, -96
    .cfi_offset x26, -88
    .cfi_offset x27, -80
    .cfi_offset x28, -72
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    mov w0, #1
    ldp x29, x30, [sp], #160
    .cfi_def_cfa sp, 0
    .cfi_restore x29
    .cfi_restore x30
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    ret
    .cfi_endproc
    .size haft__arch_throw, . - haft__arch_throw

#endif /* HAFT__TSAN */

    .section .note.gnu.property, "a", %note
    .p2align 3
    .long 4, 16, 5                      /* length of the name, of the description; NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .long 0xc0000000, 4, 1, 0           /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */

#endif /* HAFT__ARCH_AARCH64 */

    .section .note.GNU-stack, "", %progbits
