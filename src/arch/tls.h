/* SPDX-License-Identifier: MIT
 *
 * Thread-local pointers that are read where the running computation may have moved to another thread since.
 *
 * A compiler may keep the address, or the value, of a _Thread_local variable across a switch, because no C function can
 * change threads. So these variables are read and written by volatile assembly alone, which the compiler neither
 * repeats nor removes nor moves over the switch's own assembly. Never name such a variable in plain C.
 *
 *   haft__arch_tls_declare(haft__here);                  in a header: void *, hidden, initial-exec
 *   haft__arch_tls_define(haft__here);                   in one file
 *   void *p = haft__arch_tls_load(haft__here);
 *   haft__arch_tls_store(haft__here, p);
 *
 * The definition is marked as used because whole-program optimisation does not see what assembly refers to.
 *
 * Initial-exec: one load of the variable's offset and one by the thread pointer; a library loaded at run time takes its
 * 8 bytes from the reserve that the loader keeps for this. */
#ifndef HAFT_ARCH_TLS_H
#define HAFT_ARCH_TLS_H

#include "arch/select.h"

#define HAFT__ARCH_TLS_ATTRIBUTES __attribute__((tls_model("initial-exec"), visibility("hidden")))

#if defined(HAFT__ARCH_GENERIC)

/* A function that is not inlined computes the address anew each time. */
#define haft__arch_tls_declare(symbol)                                                                                 \
    extern void *symbol##__load(void);                                                                                 \
    extern void symbol##__store(void *value)
#define haft__arch_tls_define(symbol)                                                                                  \
    static _Thread_local void *symbol;                                                                                 \
    __attribute__((noinline)) void *symbol##__load(void)                                                               \
    {                                                                                                                  \
        __asm__ volatile("");                                                                                          \
        return symbol;                                                                                                 \
    }                                                                                                                  \
    __attribute__((noinline)) void symbol##__store(void *value)                                                        \
    {                                                                                                                  \
        __asm__ volatile("");                                                                                          \
        symbol = value;                                                                                                \
    }                                                                                                                  \
    extern void *symbol##__load(void)
#define haft__arch_tls_load(symbol) symbol##__load()
#define haft__arch_tls_store(symbol, value) symbol##__store(value)

#else

#define haft__arch_tls_declare(symbol) extern _Thread_local void *symbol HAFT__ARCH_TLS_ATTRIBUTES
#define haft__arch_tls_define(symbol) __attribute__((used)) _Thread_local void *symbol HAFT__ARCH_TLS_ATTRIBUTES

#if defined(HAFT__ARCH_X86_64)

#define haft__arch_tls_load(symbol)                                                                                    \
    __extension__({                                                                                                    \
        void *haft__tls;                                                                                               \
        __asm__ volatile("movq " #symbol "@gottpoff(%%rip), %0\n\t"                                                    \
                         "movq %%fs:(%0), %0"                                                                          \
                         : "=r"(haft__tls));                                                                           \
        haft__tls;                                                                                                     \
    })
#define haft__arch_tls_store(symbol, value)                                                                            \
    __extension__({                                                                                                    \
        void *haft__tls;                                                                                               \
        __asm__ volatile("movq " #symbol "@gottpoff(%%rip), %0\n\t"                                                    \
                         "movq %1, %%fs:(%0)"                                                                          \
                         : "=&r"(haft__tls)                                                                            \
                         : "r"((void *)(value))                                                                        \
                         : "memory");                                                                                  \
    })

#elif defined(HAFT__ARCH_AARCH64)

#define haft__arch_tls_load(symbol)                                                                                    \
    __extension__({                                                                                                    \
        void *haft__tls, *haft__tp;                                                                                    \
        __asm__ volatile("mrs %1, tpidr_el0\n\t"                                                                       \
                         "adrp %0, :gottprel:" #symbol "\n\t"                                                          \
                         "ldr %0, [%0, #:gottprel_lo12:" #symbol "]\n\t"                                               \
                         "ldr %0, [%1, %0]"                                                                            \
                         : "=&r"(haft__tls), "=&r"(haft__tp));                                                         \
        haft__tls;                                                                                                     \
    })
#define haft__arch_tls_store(symbol, value)                                                                            \
    __extension__({                                                                                                    \
        void *haft__tls, *haft__tp;                                                                                    \
        __asm__ volatile("mrs %1, tpidr_el0\n\t"                                                                       \
                         "adrp %0, :gottprel:" #symbol "\n\t"                                                          \
                         "ldr %0, [%0, #:gottprel_lo12:" #symbol "]\n\t"                                               \
                         "str %2, [%1, %0]"                                                                            \
                         : "=&r"(haft__tls), "=&r"(haft__tp)                                                           \
                         : "r"((void *)(value))                                                                        \
                         : "memory");                                                                                  \
    })

#elif defined(HAFT__ARCH_RISCV64)

#define haft__arch_tls_load(symbol)                                                                                    \
    __extension__({                                                                                                    \
        void *haft__tls;                                                                                               \
        __asm__ volatile("la.tls.ie %0, " #symbol "\n\t"                                                               \
                         "add %0, %0, tp\n\t"                                                                          \
                         "ld %0, 0(%0)"                                                                                \
                         : "=&r"(haft__tls));                                                                          \
        haft__tls;                                                                                                     \
    })
#define haft__arch_tls_store(symbol, value)                                                                            \
    __extension__({                                                                                                    \
        void *haft__tls;                                                                                               \
        __asm__ volatile("la.tls.ie %0, " #symbol "\n\t"                                                               \
                         "add %0, %0, tp\n\t"                                                                          \
                         "sd %1, 0(%0)"                                                                                \
                         : "=&r"(haft__tls)                                                                            \
                         : "r"((void *)(value))                                                                        \
                         : "memory");                                                                                  \
    })

#endif
#endif
#endif
