/* SPDX-License-Identifier: MIT
 *
 * The processor: switching between computations on different stacks, and leaving a deep call at once (try and throw).
 *
 * A suspended computation is a haft__context on its own stack, written by the switch that suspended it. Whoever resumes
 * it passes one pointer, which that switch returns. Nothing here is atomic: a context may be handed to another thread
 * only by whoever runs after the switch, with a release that the resuming thread acquires.
 *
 * What belongs to a computation and travels with it: the registers that the calling convention preserves, the floating
 * point control words (rounding, masks, flush to zero) and, where they share a register with these or sit beside them
 * (all but the x87 status word), the sticky exception flags. What stays with the thread: signal mask, thread pointer,
 * errno.
 *
 * The bottom of every prepared stack is haft__arch_root, in assembly, at call depth zero:
 *
 *   again: next = haft__sched_root(value)
 *          if next.to is null: restore the control words the stack was prepared with; value = next.value; goto again
 *          in sanitized builds: haft__sched_announce(next.value)
 *          resume next.to with next.value; this stack is dead from here on
 *
 * so a finished job neither returns through a switch nor leaves the processor's return predictor out of step. The
 * processor predicts returns by a stack of its own, which calls push and returns pop. The switch itself is inlined
 * where a computation suspends and jumps instead of returning: each computation's calls and returns then pair up.
 *
 * x86-64, aarch64 and riscv64 (LP64, LP64D) have assembly; everything else, and HAFT_ARCH_GENERIC, uses ucontext. */
#ifndef HAFT_ARCH_ARCH_H
#define HAFT_ARCH_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/select.h"
#include "base/sanitizer.h"

#if defined(HAFT__ARCH_GENERIC) || defined(HAFT__TSAN)
#include <setjmp.h>
#endif

typedef struct haft__context haft__context;

/* What the scheduler wants after a job: another context, or, when to is null, haft__sched_root(value) once more on the
 * same stack. Returned in two registers. */
typedef struct haft__next {
    haft__context *to;
    void *value;
} haft__next;

/* Provided by src/sched: runs jobs on a prepared stack. The value is what the switch handed over. */
extern haft__next haft__sched_root(void *value);

/* Provided by src/sched, called by the root in sanitized builds alone: the last act before the root's switch. It must
 * be HAFT__UNINSTRUMENTED and end with haft__announce_leave_final(). */
extern void haft__sched_announce(void *value);

/* Floating point control words of a computation. */
typedef struct haft__control {
    uint32_t word;  /* x86-64: mxcsr; aarch64: FPCR; riscv64: fcsr */
    uint32_t other; /* x86-64: the x87 control word; aarch64: FPSR; else 0 */
} haft__control;

/* Those of the caller, and loading others, which costs a comparison when they are the same:
 *
 * static inline haft__control haft__arch_control(void);
 * static inline void haft__arch_control_set(haft__control control);
 * static inline void *haft__arch_stack_pointer(void); */

/* Prepares the memory below top, the exclusive high end of a stack aligned to 16 bytes, so that the first switch to
 * the result runs haft__arch_root, with the given control words. A stack that is bound late is prepared by whoever
 * happens to run then, whose own control words say nothing about the new job. */
haft__context *haft__arch_prepare_with(void *top, haft__control control);

/* The same for a stack that was prepared before, below the same top, and whose root has made its last switch or is
 * about to:
 *
 * static inline haft__context *haft__arch_prepare_again(void *top, haft__control control); */

/* Saves the caller, stores its context to *save, resumes `to` and hands it value. Returns when the context stored in
 * *save is resumed, possibly on another thread, with the value handed over then.
 *
 * static inline void *haft__arch_switch(haft__context **save, haft__context *to, void *value); */

/* A wall stops a throw. It lives on the stack of the function that calls haft__arch_try and is valid during it. */
typedef struct haft__wall {
    void *sp;
#if defined(HAFT__ARCH_GENERIC) || defined(HAFT__TSAN)
    jmp_buf state;
#endif
} haft__wall;

/* Calls fn(argument). False: it returned. True: it, or something it called, threw at this wall. Preserved registers
 * then are as before the call; the control words are as at the throw, as with longjmp (reading mxcsr would double
 * the cost of every try; the root restores them for the next job in any case). A throw skips frames without running
 * anything in them. The body may suspend and throw on another thread: what counts is that it is the same stack. */
bool haft__arch_try(void (*fn)(void *), void *argument, haft__wall *wall);
_Noreturn void haft__arch_throw(haft__wall *wall);

#if defined(HAFT__ARCH_X86_64)
#include "arch/x86_64/switch.h"
#elif defined(HAFT__ARCH_AARCH64)
#include "arch/aarch64/switch.h"
#elif defined(HAFT__ARCH_RISCV64)
#include "arch/riscv64/switch.h"
#else
#include "arch/generic/switch.h"
#endif

#ifndef HAFT__ARCH_PREPARES_AGAIN
static inline haft__context *haft__arch_prepare_again(void *top, haft__control control)
{
    return haft__arch_prepare_with(top, control);
}
#endif

/* haft__arch_prepare_with the control words of the caller. */
static inline haft__context *haft__arch_prepare(void *top)
{
    return haft__arch_prepare_with(top, haft__arch_control());
}

#endif
