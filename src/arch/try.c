/* SPDX-License-Identifier: MIT
 *
 * The wall by setjmp, for builds without assembly of their own and for the thread sanitizer, which intercepts setjmp
 * and longjmp to keep its shadow of the call stack right. Elsewhere this file is empty. */

/* The fortified longjmp is another function, unknown to the thread sanitizer. */
#undef _FORTIFY_SOURCE

#include "arch/arch.h"

#if defined(HAFT__ARCH_GENERIC) || defined(HAFT__TSAN)

#ifdef HAFT__ASAN
#include <sanitizer/asan_interface.h>
#endif

bool haft__arch_try(void (*fn)(void *), void *argument, haft__wall *wall)
{
    wall->sp = haft__arch_stack_pointer();
    if (_setjmp(wall->state) == 0) {
        fn(argument);
        return false;
    }
    return true;
}

_Noreturn void haft__arch_throw(haft__wall *wall)
{
#ifdef HAFT__ASAN
    __asan_handle_no_return();
#endif
    _longjmp(wall->state, 1);
}

#else
typedef int haft__arch_try_is_elsewhere;
#endif
