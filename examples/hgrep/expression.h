/* SPDX-License-Identifier: MIT
 *
 * Extended regular expressions, as grep -E reads them. Needs _GNU_SOURCE. For one job at a time, because libc's compiled
 * expressions hold a lock while they match. */
#ifndef HGREP_EXPRESSION_H
#define HGREP_EXPRESSION_H

#include "hgrep.h"

#include <regex.h>

struct expressions {
    struct re_pattern_buffer *regexes; /* a line matches if one of them does; null if there are no expressions */
    size_t n;
    bool by_line; /* they cannot be shown several lines at once */
};

/* Compiles the lines of the pattern. Returns what is wrong, or null; *e is to be dropped either way. */
const char *expressions_new(const char *pattern, struct expressions *e);
void expressions_drop(struct expressions *e);
/* Where the first match of any of them begins, -1 if there is none, -2 if memory ran out. */
int first_match(struct expressions *e, const char *at, int length);

#endif
