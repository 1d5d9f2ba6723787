/* SPDX-License-Identifier: MIT
 *
 * What is told to the compiler about how often code runs. */
#ifndef HAFT_BASE_HINTS_H
#define HAFT_BASE_HINTS_H

/* Runs rarely: kept out of the functions that call it, and out of their way. */
#define HAFT__COLD __attribute__((cold, noinline))

#endif
