/* SPDX-License-Identifier: MIT
 *
 * x86-64: the inlined switch.
 *
 * The compiler saves what it keeps in registers, because all of them are named as clobbered; only what cannot be named
 * is saved by hand: rsp, rbp (the frame pointer), rbx (a base pointer in clang's frames with variable-length arrays)
 * and the control words. The context is a local variable, so nothing is pushed and the red zone stays whole.
 *
 * mxcsr and the x87 control word are compared with those of the target and loaded only when they differ, each in the
 * width it was stored in: a wider load would wait until both stores have left the store buffer. The x87 register stack
 * is empty at every call, by convention, and its status word is not kept.
 *
 * Assembly knows the offsets; they are checked below. */
#ifndef HAFT_ARCH_X86_64_SWITCH_H
#define HAFT_ARCH_X86_64_SWITCH_H

#include <stddef.h>
#include <stdint.h>

struct haft__context {
    void *sp;
    void *rbp;
    void *rbx;
    void *resume;
    uint32_t mxcsr;
    uint16_t x87;
    uint16_t unused;
};

_Static_assert(offsetof(struct haft__context, sp) == 0, "known to assembly");
_Static_assert(offsetof(struct haft__context, rbp) == 8, "known to assembly");
_Static_assert(offsetof(struct haft__context, rbx) == 16, "known to assembly");
_Static_assert(offsetof(struct haft__context, resume) == 24, "known to assembly");
_Static_assert(offsetof(struct haft__context, mxcsr) == 32, "known to assembly");
_Static_assert(offsetof(struct haft__context, x87) == 36, "known to assembly");
_Static_assert(sizeof(struct haft__context) == 40, "known to assembly");

/* The first frame of a prepared stack. */
struct haft__root_frame {
    struct haft__context context;
    uint64_t scratch[3];
};

_Static_assert(sizeof(struct haft__root_frame) == 64, "known to assembly; aligns the stack to 16 at the root's calls");

#define HAFT__ARCH_PREPARES_AGAIN
/* The root changes nothing of the context that it was entered with. */
static inline struct haft__context *haft__arch_prepare_again(void *top, haft__control control)
{
    struct haft__root_frame *frame = (struct haft__root_frame *)top - 1;

    frame->context.mxcsr = control.word;
    frame->context.x87 = (uint16_t)control.other;
    return &frame->context;
}

#if defined(__AVX512F__)
#define HAFT__CLOBBER_AVX512                                                                                           \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",      \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define HAFT__CLOBBER_AVX512
#endif
#if defined(__APX_F__)
#define HAFT__CLOBBER_APX                                                                                              \
    , "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31"
#else
#define HAFT__CLOBBER_APX
#endif

static inline __attribute__((always_inline)) void *haft__arch_switch(haft__context **save, haft__context *to,
                                                                     void *value)
{
    haft__context context;
    haft__context *here = &context;

    /* The resumed side finds its value in rdi, like the first argument of a function: the root is entered so too. */
    __asm__ volatile("stmxcsr 32(%%rcx)\n\t"
                     "fnstcw 36(%%rcx)\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rsp, (%%rcx)\n\t"
                     "movq %%rbp, 8(%%rcx)\n\t"
                     "movq %%rbx, 16(%%rcx)\n\t"
                     "movq %%rax, 24(%%rcx)\n\t"
                     "movq %%rcx, (%%rsi)\n\t"
                     "movl 32(%%rcx), %%eax\n\t"
                     "cmpl 32(%%rdx), %%eax\n\t"
                     "jne 3f\n"
                     "2:\n\t"
                     "movzwl 36(%%rcx), %%eax\n\t"
                     "cmpw 36(%%rdx), %%ax\n\t"
                     "jne 5f\n"
                     "4:\n\t"
                     "movq (%%rdx), %%rsp\n\t"
                     "movq 8(%%rdx), %%rbp\n\t"
                     "movq 16(%%rdx), %%rbx\n\t"
                     "jmp *24(%%rdx)\n\t"
                     ".subsection 1\n"
                     "3:\n\t"
                     "ldmxcsr 32(%%rdx)\n\t"
                     "jmp 2b\n"
                     "5:\n\t"
                     "fldcw 36(%%rdx)\n\t"
                     "jmp 4b\n\t"
                     ".previous\n\t"
                     ".p2align 4\n"
                     "1:\n\t"
                     "endbr64"
                     : "+D"(value), "+S"(save), "+d"(to), "+c"(here), "=m"(context)
                     :
                     : "rax", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",
                       "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)", "st(2)", "st(3)",
                       "st(4)", "st(5)", "st(6)", "st(7)", "memory", "cc" HAFT__CLOBBER_AVX512 HAFT__CLOBBER_APX);
    return value;
}

static inline haft__control haft__arch_control(void)
{
    haft__control control;
    uint16_t x87;

    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(control.word), "=m"(x87));
    HAFT__TOLD_INITIALISED(&control.word, sizeof control.word);
    HAFT__TOLD_INITIALISED(&x87, sizeof x87);
    control.other = x87;
    return control;
}

static inline void haft__arch_control_set(haft__control control)
{
    haft__control now = haft__arch_control();
    uint16_t x87 = (uint16_t)control.other;

    if (__builtin_expect(now.word != control.word, 0))
        __asm__ volatile("ldmxcsr %0" : : "m"(control.word));
    if (__builtin_expect(now.other != control.other, 0))
        __asm__ volatile("fldcw %0" : : "m"(x87));
}

static inline __attribute__((always_inline)) void *haft__arch_stack_pointer(void)
{
    void *sp;

    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

#endif
