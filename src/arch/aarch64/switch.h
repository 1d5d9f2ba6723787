/* SPDX-License-Identifier: MIT
 *
 * aarch64: the switch is a function (switch.S), entered by a call and left by a return, which keeps the return predictor
 * in step: one call and one return for each suspension. A context is what it pushed, so a context's address is also the
 * stack pointer while it is suspended. FPCR and FPSR are written only when they differ from what the processor holds,
 * which is slow on many cores.
 *
 * Assembly knows the offsets; they are checked below. */
#ifndef HAFT_ARCH_AARCH64_SWITCH_H
#define HAFT_ARCH_AARCH64_SWITCH_H

#include <stddef.h>
#include <stdint.h>

struct haft__context {
    uint64_t fp;    /* x29 */
    void *resume;   /* x30 */
    uint64_t x[10]; /* x19 to x28 */
    uint64_t d[8];  /* d8 to d15 */
    uint64_t fpcr;
    uint64_t fpsr;
};

_Static_assert(offsetof(struct haft__context, resume) == 8, "known to assembly");
_Static_assert(offsetof(struct haft__context, x) == 16, "known to assembly");
_Static_assert(offsetof(struct haft__context, d) == 96, "known to assembly");
_Static_assert(offsetof(struct haft__context, fpcr) == 160, "known to assembly");
_Static_assert(sizeof(struct haft__context) == 176, "known to assembly; a multiple of 16");

extern void *haft__arch_switch_call(haft__context **save, haft__context *to, void *value);

static inline void *haft__arch_switch(haft__context **save, haft__context *to, void *value)
{
    return haft__arch_switch_call(save, to, value);
}

static inline haft__control haft__arch_control(void)
{
    uint64_t fpcr, fpsr;

    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(fpcr), "=r"(fpsr));
    return (haft__control){ (uint32_t)fpcr, (uint32_t)fpsr };
}

static inline void haft__arch_control_set(haft__control control)
{
    haft__control now = haft__arch_control();

    if (__builtin_expect(now.word != control.word, 0))
        __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)control.word));
    if (__builtin_expect(now.other != control.other, 0))
        __asm__ volatile("msr fpsr, %0" : : "r"((uint64_t)control.other));
}

static inline __attribute__((always_inline)) void *haft__arch_stack_pointer(void)
{
    void *sp;

    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

#endif
