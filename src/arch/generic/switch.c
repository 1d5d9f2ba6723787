/* SPDX-License-Identifier: MIT
 *
 * The switch and the bottom of a stack by ucontext. Not instrumented: it runs between an announcement and the moment
 * that the announcement tells of.
 *
 * A prepared context stays at the top of its stack and is entered again by setcontext for the next job there, which
 * brings back the control words that it was prepared with. */
#include "arch/arch.h"

#ifdef HAFT__ARCH_GENERIC

#include <string.h>
#include <ucontext.h>

struct haft__context {
    ucontext_t registers;
    void *value;
};

/* makecontext takes the stack's low end only to compute the high one, and writes a few words below that. */
enum { FIRST_BYTES = 1024 };

static _Noreturn HAFT__UNINSTRUMENTED void resume(haft__context *to, void *value)
{
    to->value = value;
    setcontext(&to->registers);
    __builtin_trap();
}

/* The address of the context comes in two halves, because makecontext passes nothing but int. */
static HAFT__UNINSTRUMENTED void root(unsigned high, unsigned low)
{
    haft__context *self = (haft__context *)((uintptr_t)high << 32 | low);
    haft__next next = haft__sched_root(self->value);

#ifdef HAFT__ANNOUNCED
    if (next.to != NULL)
        haft__sched_announce(next.value);
#endif
    resume(next.to != NULL ? next.to : self, next.value);
}

HAFT__UNINSTRUMENTED haft__context *haft__arch_prepare_with(void *top, haft__control control)
{
    uintptr_t address = ((uintptr_t)top - sizeof(haft__context)) & ~(uintptr_t)63;
    haft__context *context = (haft__context *)address;

    (void)control;
    memset(context, 0, sizeof *context);
    getcontext(&context->registers);
    context->registers.uc_link = NULL;
    context->registers.uc_stack.ss_sp = (char *)context - FIRST_BYTES;
    context->registers.uc_stack.ss_size = FIRST_BYTES;
    makecontext(&context->registers, (void (*)(void))root, 2, (unsigned)((uint64_t)address >> 32), (unsigned)address);
    return context;
}

HAFT__UNINSTRUMENTED void *haft__arch_switch_call(haft__context **save, haft__context *to, void *value)
{
    haft__context here;

    /* The address sanitizer asks a context for its stack; swapcontext does not tell it. */
    memset(&here.registers.uc_stack, 0, sizeof here.registers.uc_stack);
    /* cppcheck-suppress autoVariables ; it lives while this stack is suspended in it */
    *save = &here;
    to->value = value;
    swapcontext(&here.registers, &to->registers);
    /* cppcheck-suppress uninitvar ; written by whoever resumes here */
    return here.value;
}

#else
typedef int haft__arch_generic_is_empty;
#endif
