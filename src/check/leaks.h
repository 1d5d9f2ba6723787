/* SPDX-License-Identifier: MIT
 *
 * The checked build's list of what is still alive when the process exits. Exit never waits for jobs; it names them. */
#ifndef HAFT_CHECK_LEAKS_H
#define HAFT_CHECK_LEAKS_H

/* Arranges for it, once. The list itself comes from whoever knows jobs: print writes it to standard error. */
void haft__leaks_at_exit(void (*print)(void));

#endif
