/* SPDX-License-Identifier: MIT
 *
 * The announcements of arch/announce.h. Those around a switch are not instrumented themselves: what they would record
 * on the way out belongs to the stack being left, and the tool already believes in the other one. */
#include "arch/announce.h"

#include "os/os.h"

#ifdef HAFT__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HAFT__TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(low, high) ((void)(low), (void)(high), 0u)
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

void haft__announce_create(haft__fiber_note *note, void *low, size_t size)
{
    note->tsan_fiber = NULL;
    note->asan_fake_stack = NULL;
    note->low = low;
    note->size = size;
    note->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(low, (char *)low + size - 1);
#ifdef HAFT__TSAN
    note->tsan_fiber = __tsan_create_fiber(0);
#endif
}

void haft__announce_thread(haft__fiber_note *note)
{
    note->tsan_fiber = NULL;
    note->asan_fake_stack = NULL;
    note->low = NULL;
    note->size = 0;
    note->valgrind_id = 0;
#ifdef HAFT__ASAN
    void *low;
    if (haft__os->thread_stack(&low, &note->size) == 0)
        note->low = low;
#endif
#ifdef HAFT__TSAN
    note->tsan_fiber = __tsan_get_current_fiber();
#endif
}

void haft__announce_destroy(haft__fiber_note *note)
{
    (void)note; /* where Valgrind is not */
    VALGRIND_STACK_DEREGISTER(note->valgrind_id);
#ifdef HAFT__ASAN
    /* What is mapped there next is not to inherit this stack's poison. */
    __asan_unpoison_memory_region(note->low, note->size);
#endif
#ifdef HAFT__TSAN
    __tsan_destroy_fiber(note->tsan_fiber);
    note->tsan_fiber = NULL;
#endif
}

#ifdef HAFT__ANNOUNCED

HAFT__UNINSTRUMENTED void haft__announce_leave(haft__fiber_note *from, haft__fiber_note *to)
{
    (void)from;
#ifdef HAFT__ASAN
    __sanitizer_start_switch_fiber(&from->asan_fake_stack, to->low, to->size);
#endif
#ifdef HAFT__TSAN
    /* 0: what ran before the switch happens before what runs after it, as on one thread. */
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
}

HAFT__UNINSTRUMENTED void haft__announce_leave_final(haft__fiber_note *from, haft__fiber_note *to)
{
    from->asan_fake_stack = NULL;
#ifdef HAFT__ASAN
    __sanitizer_start_switch_fiber(NULL, to->low, to->size); /* null frees the frames of the stack being left */
#endif
#ifdef HAFT__TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
}

HAFT__UNINSTRUMENTED void haft__announce_arrive(haft__fiber_note *self)
{
    (void)self;
#ifdef HAFT__ASAN
    __sanitizer_finish_switch_fiber(self->asan_fake_stack, NULL, NULL);
#endif
}

HAFT__UNINSTRUMENTED void haft__announce_reuse(haft__fiber_note *note)
{
    (void)note;
#ifdef HAFT__ASAN
    __asan_unpoison_memory_region(note->low, note->size);
#endif
}

#endif
