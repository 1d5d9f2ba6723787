/* SPDX-License-Identifier: MIT
 *
 * Job-local values: one for each job, found by a key. A task's follow it between workers, which thread-local variables do
 * not. Plain threads have them, too. */
#ifndef HAFT_LOCAL_H
#define HAFT_LOCAL_H

#include <haft/codes.h>
#include <haft/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A key. Its address is what counts; it outlives every job that has a value for it. */
typedef struct haft_local {
    haft_drop_fn *drop_;
} haft_local;
/* = HAFT_LOCAL_INIT(f): f(value) disposes of a value at the end of its job, or when another takes its place; f may be
 * null. */
#define HAFT_LOCAL_INIT(f)                                                                                             \
    {                                                                                                                  \
        (f)                                                                                                            \
    }

/* The running job's value for that key; null if it has none. Never suspends. */
HAFT_API_ void *haft_local_get(const haft_local *key);

/* Sets it; null: none. The value that was there, if it is another one, is disposed of. When the job ends, after its defers
 * and before haft_is_finished, what is left is disposed of, the newest key first. 0; HAFT_ENOMEM, HAFT_EFORKED: the value is
 * still the caller's, nothing has changed. Never suspends by itself. */
HAFT_API_ int haft_local_set(const haft_local *key, void *value);

#ifdef __cplusplus
}
#endif

#endif
