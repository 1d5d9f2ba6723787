/* SPDX-License-Identifier: MIT
 *
 * Once: something is done by the first who needs it, and the others wait until it is. With a loan it is a once-cell, a
 * value that is made when it is first needed:
 *
 *     static struct { haft_once once; struct config value; } cell;
 *     rc = haft_once_call(&cell.once, load_config, &cell.value); */
#ifndef HAFT_ONCE_H
#define HAFT_ONCE_H

#include <haft/embed.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haft_once {
    uint32_t state_;
    uint32_t lock_;
    struct haft_waiter_ *waiters_;
    haft_held_ held_;
} haft_once;
#ifdef __cplusplus
#define HAFT_ONCE_INIT                                                                                                 \
    {                                                                                                                  \
    }
#else
#define HAFT_ONCE_INIT                                                                                                 \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif

/* haft_once_call(&once, body) or haft_once_call(&once, body, &loan)
 *
 * If it is done, returns 0 at once, whoever asks. Otherwise calls body, in the calling job and on a loan, not a copy, or
 * waits for the one who does. It is done when body returns 0, and then everybody returns 0 and sees what body wrote. If
 * body fails, its caller returns the code; if it panics, or its job ends, that is its caller's alone; the next calls its
 * own body. HAFT_ECANCELED, HAFT_ETIMEDOUT: aborted or late, and it is not done. HAFT_EDEADLK: called from within body.
 * Suspends. From any thread and any job. */
HAFT_API_ int haft_once_call_raw(haft_once *once, haft_fn *body, void *loan, size_t size);
#ifndef __cplusplus
#define haft_once_call(once, ...) HAFT_CAT_(haft_once_call_, HAFT_COUNT_(__VA_ARGS__))(once, __VA_ARGS__)
#define haft_once_call_1(once, body) haft_once_call_M(once, body, HAFT_NO_FRAME)
#define haft_once_call_M(once, body, ...)                                                                              \
    haft_once_call_raw((once), HAFT_BODY_(body), HAFT_LENT_((__VA_ARGS__)), HAFT_LOAN_SIZE_(body, (__VA_ARGS__)))
#endif

/* True once it is done; then what body wrote is seen. Never suspends. */
HAFT_API_ bool haft_once_is_done(const haft_once *once);

#ifdef __cplusplus
}
#endif

#endif
