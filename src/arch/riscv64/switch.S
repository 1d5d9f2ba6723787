/* SPDX-License-Identifier: MIT
 *
 * riscv64: the switch, the bottom of a stack, and the wall. See arch/arch.h for what they do and riscv64/switch.h for
 * the layout of a context. */
#include "base/sanitizer.h"
#include "arch/select.h"

#ifdef HAFT__ARCH_RISCV64

    .text

    .macro function name
    .p2align 2
    .globl \name
    .hidden \name
    .type \name, %function
\name:
    .endm

/* Saves and restores, at an offset from a register, what the calling convention preserves besides ra and sp. */
    .macro save_preserved base, offset
    sd s0, \offset + 0(\base)
    sd s1, \offset + 8(\base)
    sd s2, \offset + 16(\base)
    sd s3, \offset + 24(\base)
    sd s4, \offset + 32(\base)
    sd s5, \offset + 40(\base)
    sd s6, \offset + 48(\base)
    sd s7, \offset + 56(\base)
    sd s8, \offset + 64(\base)
    sd s9, \offset + 72(\base)
    sd s10, \offset + 80(\base)
    sd s11, \offset + 88(\base)
#ifdef __riscv_float_abi_double
    fsd fs0, \offset + 96(\base)
    fsd fs1, \offset + 104(\base)
    fsd fs2, \offset + 112(\base)
    fsd fs3, \offset + 120(\base)
    fsd fs4, \offset + 128(\base)
    fsd fs5, \offset + 136(\base)
    fsd fs6, \offset + 144(\base)
    fsd fs7, \offset + 152(\base)
    fsd fs8, \offset + 160(\base)
    fsd fs9, \offset + 168(\base)
    fsd fs10, \offset + 176(\base)
    fsd fs11, \offset + 184(\base)
#endif
    .endm

    .macro load_preserved base, offset
    ld s0, \offset + 0(\base)
    ld s1, \offset + 8(\base)
    ld s2, \offset + 16(\base)
    ld s3, \offset + 24(\base)
    ld s4, \offset + 32(\base)
    ld s5, \offset + 40(\base)
    ld s6, \offset + 48(\base)
    ld s7, \offset + 56(\base)
    ld s8, \offset + 64(\base)
    ld s9, \offset + 72(\base)
    ld s10, \offset + 80(\base)
    ld s11, \offset + 88(\base)
#ifdef __riscv_float_abi_double
    fld fs0, \offset + 96(\base)
    fld fs1, \offset + 104(\base)
    fld fs2, \offset + 112(\base)
    fld fs3, \offset + 120(\base)
    fld fs4, \offset + 128(\base)
    fld fs5, \offset + 136(\base)
    fld fs6, \offset + 144(\base)
    fld fs7, \offset + 152(\base)
    fld fs8, \offset + 160(\base)
    fld fs9, \offset + 168(\base)
    fld fs10, \offset + 176(\base)
    fld fs11, \offset + 184(\base)
#endif
    .endm

/* Makes fcsr what the doubleword at offset(base) says. */
    .macro load_control base, offset
#ifdef __riscv_flen
    frcsr t0
    ld t1, \offset(\base)
    beq t0, t1, 1f
    fscsr t1
1:
#endif
    .endm

/* Resumes the context in a1 with the value in a0. */
    .macro resume
    load_control a1, 200
    ld ra, 0(a1)
    load_preserved a1, 8
    addi sp, a1, 208
    ret
    .endm

/* void *haft__arch_switch_call(haft__context **save, haft__context *to, void *value) */
    function haft__arch_switch_call
    .cfi_startproc
    addi sp, sp, -208
    .cfi_adjust_cfa_offset 208
    sd ra, 0(sp)
    .cfi_rel_offset ra, 0
    save_preserved sp, 8
    .cfi_rel_offset s0, 8
#ifdef __riscv_flen
    frcsr t0
    sd t0, 200(sp)
#endif
    sd sp, 0(a0)
    mv a0, a2
    resume
    .cfi_endproc
    .size haft__arch_switch_call, . - haft__arch_switch_call

/* On entry: a0 the value, sp at the struct root_frame of prepare.c: fcsr at 0, scratch at 8. Entered by a return. */
    .hidden haft__sched_root
    function haft__arch_root
    .cfi_startproc
    .cfi_undefined ra               /* nobody called: a backtrace ends here */
    .cfi_def_cfa_offset 32
.Lagain:
    call haft__sched_root           /* a0: next.to, a1: next.value */
    beqz a0, .Lsame_stack
#ifdef HAFT__ANNOUNCED
    sd a0, 8(sp)
    sd a1, 16(sp)
    mv a0, a1
    .hidden haft__sched_announce
    call haft__sched_announce
    ld a0, 8(sp)
    ld a1, 16(sp)
#endif
    mv t2, a0
    mv a0, a1
    mv a1, t2
    resume

/* The job that ran here may have changed fcsr; the next one is not to inherit that. */
.Lsame_stack:
    mv a0, a1
    load_control sp, 0
    j .Lagain
    .cfi_endproc
    .size haft__arch_root, . - haft__arch_root

#ifndef HAFT__TSAN

/* bool haft__arch_try(void (*fn)(void *), void *argument, haft__wall *wall)
 * The preserved registers stay where the body finds them; the copies are for a throw. */
    function haft__arch_try
    .cfi_startproc
    addi sp, sp, -208
    .cfi_adjust_cfa_offset 208
    sd ra, 0(sp)
    .cfi_rel_offset ra, 0
    save_preserved sp, 8
    .cfi_rel_offset s0, 8
    sd sp, 0(a2)
    mv t0, a0
    mv a0, a1
    jalr t0
    ld ra, 0(sp)
    .cfi_restore ra
    .cfi_same_value s0
    addi sp, sp, 208
    .cfi_adjust_cfa_offset -208
    li a0, 0
    ret
    .cfi_endproc
    .size haft__arch_try, . - haft__arch_try

/* _Noreturn void haft__arch_throw(haft__wall *wall)
 * Returns from haft__arch_try in place of the body. */
    function haft__arch_throw
    .cfi_startproc
#ifdef HAFT__ASAN
    addi sp, sp, -16
    .cfi_adjust_cfa_offset 16
    sd ra, 0(sp)
    .cfi_rel_offset ra, 0
    sd a0, 8(sp)
    call __asan_handle_no_return    /* the skipped frames' red zones are gone with them */
    ld ra, 0(sp)
    .cfi_restore ra
    ld a0, 8(sp)
    addi sp, sp, 16
    .cfi_adjust_cfa_offset -16
#endif
    ld sp, 0(a0)
    .cfi_def_cfa sp, 208
    .cfi_offset ra, -208
    .cfi_offset s0, -200
    .cfi_offset s1, -192
    .cfi_offset s2, -184
    .cfi_offset s3, -176
    .cfi_offset s4, -168
    .cfi_offset s5, -160
    .cfi_offset s6, -152
    .cfi_offset s7, -144
    .cfi_offset s8, -136
    .cfi_offset s9, -128
    .cfi_offset s10, -120
    .cfi_offset s11, -112
    ld ra, 0(sp)
    load_preserved sp, 8
    addi sp, sp, 208
    .cfi_def_cfa sp, 0
    .cfi_restore ra
    .cfi_restore s0
    .cfi_restore s1
    .cfi_restore s2
    .cfi_restore s3
    .cfi_restore s4
    .cfi_restore s5
    .cfi_restore s6
    .cfi_restore s7
    .cfi_restore s8
    .cfi_restore s9
    .cfi_restore s10
    .cfi_restore s11
    li a0, 1
    ret
    .cfi_endproc
    .size haft__arch_throw, . - haft__arch_throw

#endif /* HAFT__TSAN */

#endif /* HAFT__ARCH_RISCV64 */

    .section .note.GNU-stack, "", %progbits
