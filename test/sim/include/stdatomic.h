/* SPDX-License-Identifier: MIT
 *
 * Stands in front of the compiler's <stdatomic.h> for what is compiled for the simulator, library and tests alike: every
 * atomic operation first passes a point at which another thread may be let run. Nothing else differs, so the sources
 * need not know. The operations themselves are the compiler's builtins.
 *
 * A weak compare-exchange fails now and then without reason, as it may. */
#include_next <stdatomic.h>

#ifndef HAFT_SIM_STDATOMIC_H
#define HAFT_SIM_STDATOMIC_H

#include <stdbool.h>
#include <stdint.h>

/* How many points may pass until the next decision, and what decides then. */
extern int64_t sim_budget;
extern void sim_point_slowly(const char *place);
extern void sim_spin(const char *reason);
extern bool sim_weak_fails(void);

static inline __attribute__((always_inline)) void sim_point(const char *place)
{
    if (__builtin_expect(--sim_budget < 0, 0))
        sim_point_slowly(place);
}

#define SIM_LINE__(line) #line
#define SIM_LINE_(line) SIM_LINE__(line)
#define SIM_POINT sim_point(__FILE__ ":" SIM_LINE_(__LINE__))

/* The compilers' builtins. */
#ifdef __clang__
#define SIM_LOAD_(p, out, order) ((out) = __c11_atomic_load((p), (order)))
#define SIM_STORE_(p, v, order) __c11_atomic_store((p), (v), (order))
#define SIM_EXCHANGE_(p, v, out, order) ((out) = __c11_atomic_exchange((p), (v), (order)))
#define SIM_STRONG_(p, e, v, won, lost) __c11_atomic_compare_exchange_strong((p), (e), (v), (won), (lost))
#define SIM_FETCH_(what, p, v, order) __c11_atomic_fetch_##what((p), (v), (order))
#else
#define SIM_LOAD_(p, out, order) __atomic_load((p), &(out), (order))
#define SIM_STORE_(p, v, order) __atomic_store((p), &(v), (order))
#define SIM_EXCHANGE_(p, v, out, order) __atomic_exchange((p), &(v), &(out), (order))
#define SIM_STRONG_(p, e, v, won, lost) __atomic_compare_exchange((p), (e), &(v), 0, (won), (lost))
#define SIM_FETCH_(what, p, v, order) __atomic_fetch_##what((p), (v), (order))
#endif

/* The arguments, which may hold operations of their own, come before the point. */
#define SIM_VALUE_(p) __typeof__((void)0, *(p))

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and
#undef atomic_fetch_and_explicit
#undef atomic_fetch_xor
#undef atomic_fetch_xor_explicit

#define atomic_load_explicit(p, order)                                                                                 \
    __extension__({                                                                                                    \
        __auto_type sim_p = (p);                                                                                       \
        SIM_VALUE_(sim_p) sim_out;                                                                                     \
        SIM_POINT;                                                                                                     \
        SIM_LOAD_(sim_p, sim_out, order);                                                                              \
        sim_out;                                                                                                       \
    })
#define atomic_store_explicit(p, v, order)                                                                             \
    __extension__({                                                                                                    \
        __auto_type sim_p = (p);                                                                                       \
        SIM_VALUE_(sim_p) sim_v = (v);                                                                                 \
        SIM_POINT;                                                                                                     \
        SIM_STORE_(sim_p, sim_v, order);                                                                               \
    })
#define atomic_exchange_explicit(p, v, order)                                                                          \
    __extension__({                                                                                                    \
        __auto_type sim_p = (p);                                                                                       \
        SIM_VALUE_(sim_p) sim_v = (v), sim_out;                                                                        \
        SIM_POINT;                                                                                                     \
        SIM_EXCHANGE_(sim_p, sim_v, sim_out, order);                                                                   \
        sim_out;                                                                                                       \
    })
#define SIM_CAS_(p, e, v, won, lost, is_weak)                                                                          \
    __extension__({                                                                                                    \
        __auto_type sim_p = (p);                                                                                       \
        __auto_type sim_e = (e);                                                                                       \
        SIM_VALUE_(sim_p) sim_v = (v), sim_out;                                                                        \
        SIM_POINT;                                                                                                     \
        bool sim_fails = (is_weak) && sim_weak_fails();                                                                \
        if (sim_fails) {                                                                                               \
            SIM_LOAD_(sim_p, sim_out, lost);                                                                           \
            *sim_e = sim_out;                                                                                          \
        }                                                                                                              \
        !sim_fails &&SIM_STRONG_(sim_p, sim_e, sim_v, won, lost);                                                      \
    })
#define atomic_compare_exchange_strong_explicit(p, e, v, won, lost) SIM_CAS_(p, e, v, won, lost, false)
#define atomic_compare_exchange_weak_explicit(p, e, v, won, lost) SIM_CAS_(p, e, v, won, lost, true)
#define SIM_CHANGE_(what, p, v, order)                                                                                 \
    __extension__({                                                                                                    \
        __auto_type sim_p = (p);                                                                                       \
        __auto_type sim_v = (v);                                                                                       \
        SIM_POINT;                                                                                                     \
        SIM_FETCH_(what, sim_p, sim_v, order);                                                                         \
    })
#define atomic_fetch_add_explicit(p, v, order) SIM_CHANGE_(add, p, v, order)
#define atomic_fetch_sub_explicit(p, v, order) SIM_CHANGE_(sub, p, v, order)
#define atomic_fetch_or_explicit(p, v, order) SIM_CHANGE_(or, p, v, order)
#define atomic_fetch_and_explicit(p, v, order) SIM_CHANGE_(and, p, v, order)
#define atomic_fetch_xor_explicit(p, v, order) SIM_CHANGE_(xor, p, v, order)

#define atomic_load(p) atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store(p, v) atomic_store_explicit(p, v, memory_order_seq_cst)
#define atomic_exchange(p, v) atomic_exchange_explicit(p, v, memory_order_seq_cst)
#define atomic_compare_exchange_strong(p, e, v)                                                                        \
    atomic_compare_exchange_strong_explicit(p, e, v, memory_order_seq_cst, memory_order_seq_cst)
#define atomic_compare_exchange_weak(p, e, v)                                                                          \
    atomic_compare_exchange_weak_explicit(p, e, v, memory_order_seq_cst, memory_order_seq_cst)
#define atomic_fetch_add(p, v) atomic_fetch_add_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_sub(p, v) atomic_fetch_sub_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_or(p, v) atomic_fetch_or_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_and(p, v) atomic_fetch_and_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_xor(p, v) atomic_fetch_xor_explicit(p, v, memory_order_seq_cst)

#endif
