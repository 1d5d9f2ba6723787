/* SPDX-License-Identifier: MIT
 *
 * Everywhere else, and to check the others against: ucontext. Slow, because it makes a system call for a signal mask
 * that does not change, but right wherever the C library has it.
 *
 * A context is a ucontext_t on the suspended stack. The value travels in the target's context, which is written by
 * nobody but the one that resumes it. Of the control words those travel that the C library's getcontext saves, which is
 * all of them in glibc; they cannot be named here without the mathematics library, so haft__control says nothing. */
#ifndef HAFT_ARCH_GENERIC_SWITCH_H
#define HAFT_ARCH_GENERIC_SWITCH_H

extern void *haft__arch_switch_call(haft__context **save, haft__context *to, void *value);

static inline void *haft__arch_switch(haft__context **save, haft__context *to, void *value)
{
    return haft__arch_switch_call(save, to, value);
}

static inline haft__control haft__arch_control(void)
{
    return (haft__control){ 0, 0 };
}

static inline void haft__arch_control_set(haft__control control)
{
    (void)control;
}

static inline __attribute__((always_inline)) void *haft__arch_stack_pointer(void)
{
    return __builtin_frame_address(0);
}

#endif
