/* SPDX-License-Identifier: MIT
 *
 * Panic, defer and catch: how a job fails at once and still cleans up.
 *
 * A panic runs the running job's defers and block ends, last first, on its own stack, and ends the job; its joiner gets
 * HAFT_EPANIC. It does not unwind: cleanup attributes of others, pthread_cleanup_push handlers and C++ destructors are
 * not run. Other jobs go on. Outside of any job the defers run and the process ends by abort(). A panic in a signal
 * handler is not allowed. */
#ifndef HAFT_PANIC_H
#define HAFT_PANIC_H

#include <haft/codes.h>
#include <haft/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is known of a panic. Longer texts are cut. */
typedef struct haft_panic_info {
    char message[192];          /* formatted; "" for a panic with a payload only */
    void *payload;              /* of haft_panic_with; owned by whoever holds this struct; or null */
    haft_drop_fn *payload_drop; /* what haft_panic_drop gives the payload to; or null */
    char job[48];               /* the job's name, or its kind and number: "task 17" */
    const char *spawned_at;     /* "file.c:12", or null when unknown */
    const char *file;           /* where the panic stands */
    int line;
} haft_panic_info;

/* haft_panic("bad port %d", port): ends the running job. The text is formatted as by printf. Does not return. */
HAFT_NORETURN_ HAFT_API_ void haft_panic_raw(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
#define haft_panic(...) haft_panic_raw(__FILE__, __LINE__, __VA_ARGS__)

/* haft_panic_with(payload, free_payload): ends the running job; the payload reaches its joiner in the outcome, or
 * goes to free_payload, if not null, when nobody asks for it. Does not return. */
HAFT_NORETURN_ HAFT_API_ void haft_panic_with_raw(const char *file, int line, void *payload, haft_drop_fn *drop)
    __attribute__((cold));
#define haft_panic_with(payload, drop) haft_panic_with_raw(__FILE__, __LINE__, (payload), (drop))

/* Passes a caught panic on in the running job, payload included; the hook is not called again. Does not return. */
HAFT_NORETURN_ HAFT_API_ void haft_panic_resume(haft_panic_info *panic) __attribute__((cold));

/* Frees the payload, if there is one, and clears the struct. Nothing happens the second time. */
HAFT_API_ void haft_panic_drop(haft_panic_info *panic);

/* Called with every panic when it is raised, on the panicking job, before its defers run. It must not panic or
 * suspend. Null: the default, one line on standard error. Applies to the whole process. */
typedef void haft_panic_hook(const haft_panic_info *);
HAFT_API_ void haft_on_panic(haft_panic_hook *hook);

/* haft_catch(body, &loan, &panic)
 *
 * Calls body(&loan) inside the running job, or plain thread, behind a wall: a panic in it ends the body, not the
 * job. Defers declared inside run, those outside do not. Returns the body's code or HAFT_EPANIC, then *panic (may be
 * null: the payload is freed) tells which. The loan is not copied. Suspends where the body does. Semantics: Rust's
 * catch_unwind, without unwinding. */
HAFT_API_ int haft_catch_raw(haft_fn *body, void *loan, size_t size, haft_panic_info *panic);
#ifndef __cplusplus
#define haft_catch(body, loan, panic)                                                                                  \
    haft_catch_raw(HAFT_BODY_(body), HAFT_LENT_(loan), HAFT_LOAN_SIZE_(body, loan), (panic))
#endif

/* --- To the end of the block -------------------------------------------------------------------------------------- */

/* What a block declaration leaves on the stack. The running job keeps a list of these, innermost first. */
typedef struct haft_block {
    struct haft_block *next_;
    void (*end_)(struct haft_block *);
    void *a_;
    void *b_;
    int64_t c_;
} haft_block;

HAFT_API_ void haft_block_end_(haft_block *block);

/* HAFT_DEFER(f, pointer): a declaration. Calls f(pointer) at the end of the enclosing block, by every way out of it:
 * falling off, return, break, goto, panic. Several run last first. f is void f(T *) or int f(T *), its result is
 * ignored; the pointer is evaluated here. f may suspend. No jump may enter the block behind the declaration. */
HAFT_API_ haft_block haft_defer_raw(haft_block *self, haft_drop_fn *f, void *argument);
#define HAFT_BLOCK_NAME_ HAFT_CAT_(haft_block_, __COUNTER__)
#define HAFT_BLOCK_(name, ...) haft_block name __attribute__((cleanup(haft_block_end_), unused)) = __VA_ARGS__
#ifndef __cplusplus
#define HAFT_DEFER(f, pointer) HAFT_DEFER__(f, pointer, HAFT_BLOCK_NAME_)
#define HAFT_DEFER__(f, pointer, name) HAFT_DEFER_(f, pointer, name)
#define HAFT_DEFER_(f, pointer, name)                                                                                  \
    HAFT_BLOCK_(name, haft_defer_raw(&name, HAFT_DEFER_FN_(f, pointer), HAFT_LENT_(pointer)))
#define HAFT_DEFER_FN_(f, p)                                                                                           \
    __extension__({                                                                                                    \
        HAFT_CHECK_ADDRESS_(p);                                                                                        \
        _Static_assert(HAFT_SAME_(f, void (*)(void *)) || HAFT_SAME_(f, int (*)(void *)) ||                            \
                           HAFT_SAME_(f, void (*)(__typeof__(&*(p)))) || HAFT_SAME_(f, int (*)(__typeof__(&*(p)))) ||  \
                           HAFT_SAME_(f, void (*)(const __typeof__(*(p)) *)) ||                                        \
                           HAFT_SAME_(f, int (*)(const __typeof__(*(p)) *)),                                           \
                       "haft: HAFT_DEFER(f, pointer) needs void f(T *) or int f(T *) for a T *");                      \
        (haft_drop_fn *)(void (*)(void))(f);                                                                           \
    })
#endif

#ifdef __cplusplus
}
#endif

#endif
