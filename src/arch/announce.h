/* SPDX-License-Identifier: MIT
 *
 * Telling the tools that follow stacks about ours: the address sanitizer (which stack is in use, where its frames for
 * use-after-return live), the thread sanitizer (each stack is a fiber with a clock and a shadow of its calls) and
 * Valgrind (where stacks are).
 *
 * The protocol for one switch:
 *
 *   haft__announce_leave(mine, theirs);         the last act before haft__arch_switch, in the same function
 *   haft__arch_switch(...)
 *   haft__announce_arrive(mine);                the first act after it; also the first act of haft__sched_root
 *
 * A stack whose computation ends for good is left by haft__announce_leave_final, from haft__sched_announce. Between the
 * announcement and the switch no instrumented code may run, not even an instrumented function's return.
 *
 * A note belongs to a stack, not to a job; each thread has one for its own stack. In plain builds leave, arrive and
 * reuse are empty; create and destroy tell Valgrind. */
#ifndef HAFT_ARCH_ANNOUNCE_H
#define HAFT_ARCH_ANNOUNCE_H

#include <stddef.h>

#include "base/sanitizer.h"

typedef struct haft__fiber_note {
    void *tsan_fiber;
    void *asan_fake_stack; /* the suspended stack's frames for use-after-return; null: none yet */
    const void *low;
    size_t size;
    unsigned valgrind_id;
} haft__fiber_note;

/* A stack was carved: its usable bytes, guard excluded. */
void haft__announce_create(haft__fiber_note *note, void *low, size_t size);
/* Describes the calling thread's own stack. Not for haft__announce_destroy. */
void haft__announce_thread(haft__fiber_note *note);
/* The stack is about to be unmapped and nobody runs on it. */
void haft__announce_destroy(haft__fiber_note *note);

#ifdef HAFT__ANNOUNCED

void haft__announce_leave(haft__fiber_note *from, haft__fiber_note *to);
void haft__announce_leave_final(haft__fiber_note *from, haft__fiber_note *to);
void haft__announce_arrive(haft__fiber_note *self);
/* Another job is about to be prepared on a stack that was used before; nobody runs on it. */
void haft__announce_reuse(haft__fiber_note *note);

#else

static inline void haft__announce_leave(haft__fiber_note *from, haft__fiber_note *to)
{
    (void)from;
    (void)to;
}

static inline void haft__announce_leave_final(haft__fiber_note *from, haft__fiber_note *to)
{
    (void)from;
    (void)to;
}

static inline void haft__announce_arrive(haft__fiber_note *self)
{
    (void)self;
}

static inline void haft__announce_reuse(haft__fiber_note *note)
{
    (void)note;
}

#endif

#endif
