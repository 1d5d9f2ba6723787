/* SPDX-License-Identifier: MIT
 *
 * The memory model's one door. No other file may name _Atomic, stdatomic.h or a fence, so that a model checker which
 * replaces this header, or the compiler's instrumentation of it, sees every access that orders one thread against
 * another.
 *
 * Types are written haft__atomic(T). Operations carry their order in their name; an order weaker than sequentially
 * consistent is argued for where it is used, naming its partner.
 *
 * The pair of asymmetric fences: a thread that runs often calls haft__fence_light(), its rare partner calls
 * haft__fence_heavy(). Where the kernel offers membarrier(PRIVATE_EXPEDITED) the light one only stops the compiler, and
 * the heavy one makes every running thread of the process execute a full fence. Where it does not, both are full
 * fences. haft__fence_setup() decides once, before a second thread of ours exists. */
#ifndef HAFT_BASE_ATOMIC_H
#define HAFT_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define haft__atomic(T) _Atomic(T)

#define haft__atomic_init(p, v) atomic_init((p), (v))

#define haft__load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define haft__load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define haft__load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)

#define haft__store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define haft__store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define haft__store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

#define haft__exchange_relaxed(p, v) atomic_exchange_explicit((p), (v), memory_order_relaxed)
#define haft__exchange_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define haft__exchange_release(p, v) atomic_exchange_explicit((p), (v), memory_order_release)
#define haft__exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define haft__exchange_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)

#define haft__fetch_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define haft__fetch_add_release(p, v) atomic_fetch_add_explicit((p), (v), memory_order_release)
#define haft__fetch_add_acq_rel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define haft__fetch_add_seq_cst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define haft__fetch_sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define haft__fetch_sub_release(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_release)
#define haft__fetch_sub_acq_rel(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define haft__fetch_sub_seq_cst(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define haft__fetch_or_relaxed(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define haft__fetch_or_acquire(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acquire)
#define haft__fetch_or_release(p, v) atomic_fetch_or_explicit((p), (v), memory_order_release)
#define haft__fetch_or_acq_rel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define haft__fetch_and_relaxed(p, v) atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define haft__fetch_and_acquire(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acquire)
#define haft__fetch_and_acq_rel(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)

/* Compare-exchange: (object, address of the expected value, new value). The strong form fails only if the values differ;
 * the weak form may fail without reason and belongs into loops. On failure the expected value is reloaded: relaxed, for
 * whoever only tries again or only needs to know that it failed; acq_rel reloads with acquire order. */
#define haft__cas_relaxed(p, expected, v)                                                                              \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_relaxed, memory_order_relaxed)
#define haft__cas_weak_relaxed(p, expected, v)                                                                         \
    atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_relaxed, memory_order_relaxed)
#define haft__cas_acquire(p, expected, v)                                                                              \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire, memory_order_relaxed)
#define haft__cas_release(p, expected, v)                                                                              \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_release, memory_order_relaxed)
#define haft__cas_weak_acquire(p, expected, v)                                                                         \
    atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_acquire, memory_order_relaxed)
#define haft__cas_weak_release(p, expected, v)                                                                         \
    atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_release, memory_order_relaxed)
#define haft__cas_acq_rel_retry(p, expected, v)                                                                        \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_relaxed)
#define haft__cas_weak_acq_rel_retry(p, expected, v)                                                                   \
    atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_relaxed)
#define haft__cas_acq_rel(p, expected, v)                                                                              \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
#define haft__cas_weak_acq_rel(p, expected, v)                                                                         \
    atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
#define haft__cas_seq_cst(p, expected, v)                                                                              \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst, memory_order_seq_cst)

/* gcc warns that its thread sanitizer does not see stand-alone fences. Plain data here is published only by acquire and
 * release on an atomic object itself, so the sanitizer loses nothing. */
#if defined(__GNUC__) && !defined(__clang__)
#define HAFT__FENCE_BEGIN _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wtsan\"")
#define HAFT__FENCE_END _Pragma("GCC diagnostic pop")
#if __GNUC__ < 11
#undef HAFT__FENCE_BEGIN
#undef HAFT__FENCE_END
#define HAFT__FENCE_BEGIN
#define HAFT__FENCE_END
#endif
#else
#define HAFT__FENCE_BEGIN
#define HAFT__FENCE_END
#endif

/* A full fence. */
static inline void haft__fence_full(void)
{
    HAFT__FENCE_BEGIN
    atomic_thread_fence(memory_order_seq_cst);
    HAFT__FENCE_END
}

/* True once membarrier was registered; written once, before the first worker starts, by haft__fence_setup(), which
 * may be called again at no cost. Until then there is nobody whom an asymmetric fence could have for a partner. */
extern haft__atomic(bool) haft__fence_is_asymmetric;

static inline void haft__fence_light(void)
{
    if (__builtin_expect(haft__load_relaxed(&haft__fence_is_asymmetric), 1))
        atomic_signal_fence(memory_order_seq_cst);
    else
        haft__fence_full();
}

void haft__fence_heavy(void);
void haft__fence_setup(void);

/* One turn of a spin loop. The reason is for the reader, and for a checker that must know that this thread cannot go on
 * by itself. */
static inline void haft__spin(const char *reason)
{
    (void)reason;
#if defined(HAFT_SIM)
    sim_spin(reason); /* declared by the <stdatomic.h> of test/sim */
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
