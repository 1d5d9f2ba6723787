/* SPDX-License-Identifier: MIT
 *
 * Which of the folders beside this file is in use: exactly one of HAFT__ARCH_X86_64, HAFT__ARCH_AARCH64,
 * HAFT__ARCH_RISCV64, HAFT__ARCH_GENERIC. All files of all folders are compiled in every build and are empty unless
 * they were chosen. HAFT_ARCH_GENERIC asks for the portable one anywhere. Included by assembly too. */
#ifndef HAFT_ARCH_SELECT_H
#define HAFT_ARCH_SELECT_H

#if defined(HAFT_ARCH_GENERIC)
#define HAFT__ARCH_GENERIC 1
#elif defined(__x86_64__) && defined(__LP64__)
#define HAFT__ARCH_X86_64 1
#elif defined(__aarch64__) && defined(__LP64__)
#define HAFT__ARCH_AARCH64 1
#elif defined(__riscv) && __riscv_xlen == 64 && !defined(__riscv_32e) &&                                               \
    (defined(__riscv_float_abi_double) || defined(__riscv_float_abi_soft))
#define HAFT__ARCH_RISCV64 1
#else
#define HAFT__ARCH_GENERIC 1
#endif

#endif
