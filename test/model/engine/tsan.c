/* SPDX-License-Identifier: MIT
 *
 * What code compiled with -fsanitize=thread calls, by gcc 12 and by clang 14. */
#include "inside.h"

#define HERE ((uintptr_t)__builtin_return_address(0))

static int order_of(int order)
{
    static const int orders[] = { 0, ACQUIRE, ACQUIRE, RELEASE, ACQUIRE | RELEASE, ACQUIRE | RELEASE | SEQ_CST };
    return orders[order & 0xf];
}

/* Outside of runs, in constructors for example, nothing is checked. */
static bool is_outside(void)
{
    return engine == NULL || !engine->is_inside;
}

/* --- atomics ----------------------------------------------------------------------------------------------------------- */

#define A(p) ((uintptr_t)(p))
#define RMW(bits, type, name, what, plain)                                                                             \
    type __tsan_atomic##bits##_##name(volatile type *p, type v, int order);                                            \
    type __tsan_atomic##bits##_##name(volatile type *p, type v, int order)                                             \
    {                                                                                                                  \
        if (is_outside())                                                                                              \
            return plain(p, v, __ATOMIC_SEQ_CST);                                                                      \
        return (type)atomic_rmw_(A(p), sizeof *p, what, (uint64_t)v, order_of(order), HERE);                           \
    }
#define CAS(bits, type, name, weak)                                                                                    \
    int __tsan_atomic##bits##_compare_exchange_##name(volatile type *p, type *e, type v, int order, int failure);      \
    int __tsan_atomic##bits##_compare_exchange_##name(volatile type *p, type *e, type v, int order, int failure)       \
    {                                                                                                                  \
        if (is_outside())                                                                                              \
            return __atomic_compare_exchange_n(p, e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                    \
        uint64_t expected = (uint64_t)*e;                                                                              \
        int done =                                                                                                     \
            atomic_cas_(A(p), sizeof *p, &expected, (uint64_t)v, order_of(order), order_of(failure), weak, HERE);      \
        *e = (type)expected;                                                                                           \
        return done;                                                                                                   \
    }
#define ATOMICS(bits, type)                                                                                            \
    type __tsan_atomic##bits##_load(const volatile type *p, int order);                                                \
    type __tsan_atomic##bits##_load(const volatile type *p, int order)                                                 \
    {                                                                                                                  \
        if (is_outside())                                                                                              \
            return *p;                                                                                                 \
        return (type)atomic_load_(A(p), sizeof *p, order_of(order), HERE);                                             \
    }                                                                                                                  \
    void __tsan_atomic##bits##_store(volatile type *p, type v, int order);                                             \
    void __tsan_atomic##bits##_store(volatile type *p, type v, int order)                                              \
    {                                                                                                                  \
        if (is_outside())                                                                                              \
            *p = v;                                                                                                    \
        else                                                                                                           \
            atomic_store_(A(p), sizeof *p, (uint64_t)v, order_of(order), HERE);                                        \
    }                                                                                                                  \
    RMW(bits, type, exchange, RMW_EXCHANGE, __atomic_exchange_n)                                                       \
    RMW(bits, type, fetch_add, RMW_ADD, __atomic_fetch_add)                                                            \
    RMW(bits, type, fetch_sub, RMW_SUB, __atomic_fetch_sub)                                                            \
    RMW(bits, type, fetch_and, RMW_AND, __atomic_fetch_and)                                                            \
    RMW(bits, type, fetch_or, RMW_OR, __atomic_fetch_or)                                                               \
    RMW(bits, type, fetch_xor, RMW_XOR, __atomic_fetch_xor)                                                            \
    RMW(bits, type, fetch_nand, RMW_NAND, __atomic_fetch_nand)                                                         \
    CAS(bits, type, strong, false)                                                                                     \
    CAS(bits, type, weak, true)                                                                                        \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type e, type v, int order, int failure);         \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type e, type v, int order, int failure)          \
    {                                                                                                                  \
        uint64_t expected = (uint64_t)e;                                                                               \
        if (is_outside())                                                                                              \
            __atomic_compare_exchange_n(p, &e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                          \
        else                                                                                                           \
            atomic_cas_(A(p), sizeof *p, &expected, (uint64_t)v, order_of(order), order_of(failure), false, HERE);     \
        return is_outside() ? e : (type)expected;                                                                      \
    }

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
    if (!is_outside())
        fence_(OP_FENCE, order_of(order), HERE);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
    if (!is_outside())
        fence_(OP_LIGHT, order_of(order), HERE);
}

/* The caller is the function of the code under test that only passes on: its own caller is the place. */
void model_fence_heavy(void)
{
    const uintptr_t *frame = __builtin_frame_address(0);
    const uintptr_t *caller = (const uintptr_t *)frame[0];
    if (!is_outside())
        fence_(OP_HEAVY, ACQUIRE | RELEASE | SEQ_CST, caller[1]);
}

/* --- plain accesses ----------------------------------------------------------------------------------------------------- */

static void plain(const void *address, size_t size, bool is_write, uintptr_t pc)
{
    if (!is_outside())
        access_range((uintptr_t)address, size, is_write, false, pc);
}

#define PLAIN(prefix, n)                                                                                               \
    void __tsan_##prefix##read##n(void *address);                                                                      \
    void __tsan_##prefix##read##n(void *address)                                                                       \
    {                                                                                                                  \
        plain(address, n, false, HERE);                                                                                \
    }                                                                                                                  \
    void __tsan_##prefix##write##n(void *address);                                                                     \
    void __tsan_##prefix##write##n(void *address)                                                                      \
    {                                                                                                                  \
        plain(address, n, true, HERE);                                                                                 \
    }
#define PLAIN_ALL(prefix) PLAIN(prefix, 1) PLAIN(prefix, 2) PLAIN(prefix, 4) PLAIN(prefix, 8) PLAIN(prefix, 16)

PLAIN_ALL()
PLAIN_ALL(unaligned_)
PLAIN_ALL(volatile_)
PLAIN_ALL(unaligned_volatile_)

#define READ_WRITE(n)                                                                                                  \
    void __tsan_read_write##n(void *address);                                                                          \
    void __tsan_read_write##n(void *address)                                                                           \
    {                                                                                                                  \
        plain(address, n, true, HERE);                                                                                 \
    }
READ_WRITE(1)
READ_WRITE(2)
READ_WRITE(4)
READ_WRITE(8)
READ_WRITE(16)

void __tsan_read_range(void *address, unsigned long size);
void __tsan_read_range(void *address, unsigned long size)
{
    plain(address, size, false, HERE);
}

void __tsan_write_range(void *address, unsigned long size);
void __tsan_write_range(void *address, unsigned long size)
{
    plain(address, size, true, HERE);
}

void *model_memcpy(void *to, const void *from, size_t size)
{
    plain(from, size, false, HERE);
    plain(to, size, true, HERE);
    return memcpy(to, from, size);
}

void *model_memmove(void *to, const void *from, size_t size)
{
    plain(from, size, false, HERE);
    plain(to, size, true, HERE);
    return memmove(to, from, size);
}

void *model_memset(void *to, int byte, size_t size)
{
    plain(to, size, true, HERE);
    return memset(to, byte, size);
}

/* --- the rest ----------------------------------------------------------------------------------------------------------- */

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
    (void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

/* What code asks for that thinks it runs under the real sanitizer. */
void *__tsan_get_current_fiber(void);
void *__tsan_get_current_fiber(void)
{
    return NULL;
}

void *__tsan_create_fiber(unsigned flags);
void *__tsan_create_fiber(unsigned flags)
{
    (void)flags;
    return NULL;
}

void __tsan_destroy_fiber(void *fiber);
void __tsan_destroy_fiber(void *fiber)
{
    (void)fiber;
}

void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_switch_to_fiber(void *fiber, unsigned flags)
{
    (void)fiber;
    (void)flags;
}
