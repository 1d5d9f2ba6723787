/* SPDX-License-Identifier: MIT
 *
 * x86-64: the bottom of a stack, and the wall. See arch/arch.h for what they do and x86_64/switch.h for the layout of a
 * context. Indirect jumps land on endbr64, so the object is marked for indirect branch tracking; shadow stacks are not
 * supported. */
#include "base/sanitizer.h"
#include "arch/select.h"

#ifdef HAFT__ARCH_X86_64

    .text

/* On entry: rdi the value, rsp at the struct root_frame of prepare.c: context at 0, scratch at 40. */
    .p2align 4
    .globl haft__arch_root
    .hidden haft__arch_root
    .hidden haft__sched_root
    .type haft__arch_root, @function
haft__arch_root:
    .cfi_startproc
    .cfi_undefined rip              /* nobody called: a backtrace ends here */
    .cfi_def_cfa_offset 64
    endbr64
.Lagain:
    call haft__sched_root           /* rax: next.to, rdx: next.value */
    stmxcsr 40(%rsp)
    fnstcw 44(%rsp)
    testq %rax, %rax
    jz .Lsame_stack
#ifdef HAFT__ANNOUNCED
    movq %rax, 48(%rsp)
    movq %rdx, 56(%rsp)
    movq %rdx, %rdi
    .hidden haft__sched_announce
    call haft__sched_announce
    movq 48(%rsp), %rax
    movq 56(%rsp), %rdx
#endif
    movl 40(%rsp), %ecx
    cmpl 32(%rax), %ecx
    jne .Lload_mxcsr
.Lmxcsr_is_right:
    movzwl 44(%rsp), %ecx
    cmpw 36(%rax), %cx
    jne .Lload_x87
.Lx87_is_right:
    movq %rdx, %rdi
    movq (%rax), %rsp
    movq 8(%rax), %rbp
    movq 16(%rax), %rbx
    jmp *24(%rax)

.Lload_mxcsr:
    ldmxcsr 32(%rax)
    jmp .Lmxcsr_is_right
.Lload_x87:
    fldcw 36(%rax)
    jmp .Lx87_is_right

/* The job that ran here may have changed the control words; the next one is not to inherit that. */
.Lsame_stack:
    movq %rdx, %rdi
    movl 40(%rsp), %ecx
    cmpl 32(%rsp), %ecx
    jne .Lreset_mxcsr
.Lmxcsr_is_reset:
    movzwl 44(%rsp), %ecx
    cmpw 36(%rsp), %cx
    je .Lagain
    fldcw 36(%rsp)
    jmp .Lagain
.Lreset_mxcsr:
    ldmxcsr 32(%rsp)
    jmp .Lmxcsr_is_reset
    .cfi_endproc
    .size haft__arch_root, . - haft__arch_root

#ifndef HAFT__TSAN

/* bool haft__arch_try(void (*fn)(void *), void *argument, haft__wall *wall)
 * The preserved registers stay where the body finds them; the copies below the return address are for a throw. */
    .p2align 4
    .globl haft__arch_try
    .hidden haft__arch_try
    .type haft__arch_try, @function
haft__arch_try:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    subq $8, %rsp                   /* for alignment */
    .cfi_adjust_cfa_offset 8
    movq %rsp, (%rdx)
    movq %rdi, %rax
    movq %rsi, %rdi
    call *%rax
    addq $56, %rsp
    .cfi_adjust_cfa_offset -56
    .cfi_same_value rbp
    .cfi_same_value rbx
    .cfi_same_value r12
    .cfi_same_value r13
    .cfi_same_value r14
    .cfi_same_value r15
    xorl %eax, %eax
    ret
    .cfi_endproc
    .size haft__arch_try, . - haft__arch_try

/* _Noreturn void haft__arch_throw(haft__wall *wall)
 * Returns from haft__arch_try in place of the body. */
    .p2align 4
    .globl haft__arch_throw
    .hidden haft__arch_throw
    .type haft__arch_throw, @function
haft__arch_throw:
    .cfi_startproc
    endbr64
#ifdef HAFT__ASAN
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    call __asan_handle_no_return@PLT    /* the skipped frames' red zones are gone with them */
    popq %rdi
    .cfi_adjust_cfa_offset -8
#endif
    movq (%rdi), %rsp
    .cfi_def_cfa rsp, 64
    .cfi_offset rbp, -16
    .cfi_offset rbx, -24
    .cfi_offset r12, -32
    .cfi_offset r13, -40
    .cfi_offset r14, -48
    .cfi_offset r15, -56
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    movl $1, %eax
    ret
    .cfi_endproc
    .size haft__arch_throw, . - haft__arch_throw

#endif /* HAFT__TSAN */

    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4, 16, 5                  /* length of the name, of the description; NT_GNU_PROPERTY_TYPE_0 */
    .asciz "GNU"
    .long 0xc0000002, 4, 1, 0       /* GNU_PROPERTY_X86_FEATURE_1_AND: IBT */

#endif /* HAFT__ARCH_X86_64 */

    .section .note.GNU-stack, "", @progbits
