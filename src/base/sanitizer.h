/* SPDX-License-Identifier: MIT
 *
 * Which sanitizer this translation unit is compiled for, as macros of one spelling for both compilers. Assembly files
 * include it too: gcc and clang describe the sanitizers to the preprocessor there as well.
 *
 * HAFT__ASAN, HAFT__TSAN: defined when that sanitizer instruments this file. HAFT__ANNOUNCED: defined when either does,
 * so that switches must be announced (arch/announce.h).
 * HAFT__UNINSTRUMENTED: an attribute for functions that run between an announcement and its switch, or on memory that a
 * sanitizer believes to be dead.
 * HAFT__TOLD_INITIALISED(at, n): what a bare system call or an instruction has written, which the memory sanitizer
 * does not see.
 * HAFT__CALLS_ANY_TYPE: an attribute for functions that call what a user gave by the type that a pointer has, not the
 * one that it was written with; see haft__call_body. */
#ifndef HAFT_BASE_SANITIZER_H
#define HAFT_BASE_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__)
#define HAFT__ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define HAFT__TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(HAFT__ASAN)
#define HAFT__ASAN 1
#endif
#if __has_feature(thread_sanitizer) && !defined(HAFT__TSAN)
#define HAFT__TSAN 1
#endif
#endif

#if defined(HAFT__ASAN) || defined(HAFT__TSAN)
#define HAFT__ANNOUNCED 1
#endif

#ifndef __ASSEMBLER__
/* clang's no_sanitize("thread") leaves the function's entry and exit instrumented; an exit after the announcement would
 * pop the shadow stack of the wrong fiber. */
#if defined(__clang__)
#if __has_attribute(disable_sanitizer_instrumentation)
#define HAFT__UNINSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define HAFT__UNINSTRUMENTED __attribute__((noinline, no_sanitize("address", "thread", "memory")))
#endif
#else
#define HAFT__UNINSTRUMENTED __attribute__((noinline, no_sanitize("address"), no_sanitize("thread")))
#endif

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define HAFT__TOLD_INITIALISED(at, n) __msan_unpoison((at), (n))
#endif
#endif
#ifndef HAFT__TOLD_INITIALISED
#define HAFT__TOLD_INITIALISED(at, n) ((void)0)
#endif

#if defined(__clang__)
#define HAFT__CALLS_ANY_TYPE __attribute__((no_sanitize("function")))
#else
#define HAFT__CALLS_ANY_TYPE
#endif
#endif

#endif
