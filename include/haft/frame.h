/* SPDX-License-Identifier: MIT
 *
 * Frames and bodies: the compile-time checks behind every call that starts something, and the few macros that all
 * public headers share. Names that end in an underscore are not for direct use.
 *
 * A frame is given as &object. It is copied bytewise, at most once in and once out, so it may hold pointers, handles
 * and channel ends, but no pointer into itself, and no mutex or other object whose address matters. A compound
 * literal with more than one member needs parentheses around it, because the preprocessor splits arguments at commas
 * inside braces: haft_spawn(f, (&(struct job){ .a = 1, .b = 2 })). */
#ifndef HAFT_FRAME_H
#define HAFT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__GNUC__)
#error "haft needs gcc or clang: it uses the cleanup attribute and statement expressions"
#endif
#if UINTPTR_MAX < UINT64_MAX
#error "haft needs a 64-bit machine"
#endif

/* What is public in the shared library. */
#define HAFT_API_ __attribute__((visibility("default")))
/* A result that must not be thrown away. */
#define HAFT_MUST_ __attribute__((warn_unused_result))

#ifdef __cplusplus
#define HAFT_NORETURN_ [[noreturn]]
#else
#define HAFT_NORETURN_ _Noreturn
#endif

/* "file.c:12" as one string literal: where a call stands. */
#define HAFT_TEXT__(x) #x
#define HAFT_TEXT_(x) HAFT_TEXT__(x)
#define HAFT_HERE_ __FILE__ ":" HAFT_TEXT_(__LINE__)

#define HAFT_CAT__(a, b) a##b
#define HAFT_CAT_(a, b) HAFT_CAT__(a, b)
/* 1 for one argument, M for two to sixteen. */
#define HAFT_COUNT__(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, N, ...) N
#define HAFT_COUNT_(...) HAFT_COUNT__(__VA_ARGS__, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, 1, 0)

/* A body as it is stored: int body(T *frame), called through one trampoline. */
typedef int haft_fn(void *frame);
/* Disposes of a frame or value, given its address. */
typedef void haft_drop_fn(void *object);

/* In the place of a frame: the body is int body(void). */
typedef struct haft_no_frame {
    char none_;
} haft_no_frame;
#define HAFT_NO_FRAME ((haft_no_frame *)0)

#ifndef __cplusplus

#define HAFT_SAME_(a, T) __builtin_types_compatible_p(__typeof__(&*(a)), T)
#define HAFT_IS_POINTER_(p) __builtin_types_compatible_p(__typeof__(p), __typeof__(&*(p)))
#define HAFT_IS_CHARACTER_(p) _Generic(*(p), char : 1, signed char : 1, unsigned char : 1, default : 0)
#define HAFT_IS_VOID_(p) (HAFT_SAME_(p, void *) || HAFT_SAME_(p, const void *))
#define HAFT_IS_BARE_(p) HAFT_SAME_(p, haft_no_frame *)
#define HAFT_TAKES_(fn, p)                                                                                             \
    (HAFT_SAME_(fn, int (*)(void *)) || HAFT_SAME_(fn, int (*)(__typeof__(p))) ||                                      \
     HAFT_SAME_(fn, int (*)(const __typeof__(*(p)) *)) || HAFT_SAME_(fn, int (*)(__typeof__(((void)0, *(p))) *)))

/* The first of the checks, so that a compiler says this first: what it says of the others then is noise. 5: a pointer. */
#define HAFT_CHECK_ADDRESS_(p)                                                                                         \
    _Static_assert(__builtin_classify_type(p) == 5, "haft: pass the address of the object: &object")
#define HAFT_CHECK_FRAME_(p)                                                                                           \
    HAFT_CHECK_ADDRESS_(p);                                                                                            \
    _Static_assert(HAFT_IS_POINTER_(p), "haft: the frame is an array and would decay: pass &array");                   \
    _Static_assert(!HAFT_IS_VOID_(p), "haft: a void * has no size: pass &object, or HAFT_NO_FRAME");                   \
    _Static_assert(!HAFT_IS_CHARACTER_(p), "haft: a string is not a frame: put it into a struct")

/* The size of a frame that goes to a body, 0 for none. A statement expression, because clang 14 cannot see a compound
 * literal of the caller's block from within a struct declaration. */
#define HAFT_BODY_FRAME_SIZE_(fn, p)                                                                                   \
    __extension__({                                                                                                    \
        HAFT_CHECK_FRAME_(p);                                                                                          \
        _Static_assert(HAFT_IS_BARE_(p) ? HAFT_SAME_(fn, int (*)(void)) : HAFT_TAKES_(fn, p),                          \
                       "haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) "  \
                       "for none");                                                                                    \
        HAFT_IS_BARE_(p) ? (size_t)0 : sizeof *(p);                                                                    \
    })
/* The same for a loan, which is not copied. */
#define HAFT_LOAN_SIZE_(fn, p)                                                                                         \
    __extension__({                                                                                                    \
        HAFT_CHECK_LOAN_(fn, p);                                                                                       \
        HAFT_BODY_FRAME_SIZE_(fn, p);                                                                                  \
    })
/* As the functions take it. Their parameters are not pointers to const, for which gcc would want every loan initialised. */
#define HAFT_LENT_(p) ((void *)(uintptr_t)(p))
#define HAFT_CHECK_LOAN_(fn, p)                                                                                        \
    _Static_assert(!HAFT_SAME_(fn, int (*)(__typeof__(((void)0, *(p))) *)) ||                                          \
                       HAFT_SAME_(p, __typeof__(((void)0, *(p))) *),                                                   \
                   "haft: the loan is const and the body would write to it: make it int body(const T *)")
#define HAFT_FRAME_SIZE_(p)                                                                                            \
    __extension__({                                                                                                    \
        HAFT_CHECK_FRAME_(p);                                                                                          \
        HAFT_IS_BARE_(p) ? (size_t)0 : sizeof *(p);                                                                    \
    })
#define HAFT_FRAME_ALIGN_(p) _Alignof(__typeof__(*(p)))
#define HAFT_BODY_(fn) ((haft_fn *)(void (*)(void))(fn))

#endif /* !__cplusplus */

#endif
