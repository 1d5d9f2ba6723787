/* SPDX-License-Identifier: MIT
 *
 * riscv64: the switch is a function (switch.S), entered by a call and left by a return, which keeps the return predictor
 * in step. A context is what it pushed, so a context's address is also the stack pointer while it is suspended. fcsr
 * (rounding mode and sticky flags) is written only when it differs from what the processor holds. The soft-float ABI
 * has no such registers and leaves their places unused.
 *
 * Assembly knows the offsets; they are checked below. */
#ifndef HAFT_ARCH_RISCV64_SWITCH_H
#define HAFT_ARCH_RISCV64_SWITCH_H

#include <stddef.h>
#include <stdint.h>

struct haft__context {
    void *resume;    /* ra */
    uint64_t s[12];  /* s0 to s11 */
    uint64_t fs[12]; /* fs0 to fs11 */
    uint64_t fcsr;
};

_Static_assert(offsetof(struct haft__context, s) == 8, "known to assembly");
_Static_assert(offsetof(struct haft__context, fs) == 104, "known to assembly");
_Static_assert(offsetof(struct haft__context, fcsr) == 200, "known to assembly");
_Static_assert(sizeof(struct haft__context) == 208, "known to assembly; a multiple of 16");

extern void *haft__arch_switch_call(haft__context **save, haft__context *to, void *value);

static inline void *haft__arch_switch(haft__context **save, haft__context *to, void *value)
{
    return haft__arch_switch_call(save, to, value);
}

static inline haft__control haft__arch_control(void)
{
    haft__control control = { 0, 0 };

#ifdef __riscv_flen
    __asm__ volatile("frcsr %0" : "=r"(control.word));
#endif
    return control;
}

static inline void haft__arch_control_set(haft__control control)
{
#ifdef __riscv_flen
    if (__builtin_expect(haft__arch_control().word != control.word, 0))
        __asm__ volatile("fscsr %0" : : "r"(control.word));
#else
    (void)control;
#endif
}

static inline __attribute__((always_inline)) void *haft__arch_stack_pointer(void)
{
    void *sp;

    __asm__ volatile("mv %0, sp" : "=r"(sp));
    return sp;
}

#endif
