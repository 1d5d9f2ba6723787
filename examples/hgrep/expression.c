/* SPDX-License-Identifier: MIT
 *
 * libc's expressions, in grep's dialect. Each line of the pattern is an expression, and has to be a sound one by itself. Most
 * are then searched for together; one that refers back, to groups that are counted in its line, is searched for alone. */
#define _GNU_SOURCE 1 /* memmem, re_search */
#include "expression.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Behind the bracket expression that begins at `at`, or null if that has no end. *is_class: somebody wrote [:space:] who
 * meant [[:space:]]. */
static const char *bracket_end(const char *at, const char *end, bool *is_class)
{
    const char *first = at + 1 + (at[1] == '^'), *p = first;
    *is_class = *first == ':';
    if (*p == ']')
        p++;
    for (; p < end && *p != ']'; p++) {
        if (*p == '[' && p + 1 < end && strchr(":.=", p[1]) != NULL) {
            const char close[] = { p[1], ']' };
            p = memmem(p + 2, (size_t)(end - p - 2), close, 2);
            if (p == NULL)
                return NULL;
            *is_class = false;
            p++;
        }
    }
    *is_class = *is_class && p < end && p[-1] == ':' && p - first > 2;
    return p < end ? p + 1 : NULL;
}

/* Behind the interval that begins with the brace at `at`, or null if none does. *is_sound: its bounds are in order. */
static const char *interval_end(const char *at, bool *is_sound)
{
    char *rest;
    const char *p = at + 1;
    unsigned long low = 0, high = ULONG_MAX;
    if (*p >= '0' && *p <= '9') {
        low = high = strtoul(p, &rest, 10);
        p = rest;
    } else if (*p != ',') {
        return NULL;
    }
    if (*p == ',') {
        high = *++p >= '0' && *p <= '9' ? strtoul(p, &rest, 10) : ULONG_MAX;
        p = high != ULONG_MAX ? rest : p;
    }
    *is_sound = low <= high;
    return *p == '}' ? p + 1 : NULL;
}

/* What libc reads otherwise than grep is written as both read it: a brace that begins no interval stands for itself, and
 * an interval with nothing to repeat before it for nothing. *by_line: libc's search in a long text is slow with a reference
 * back, and would take the ends of what it is shown for \` and \'. Returns what is wrong, or null. */
static const char *translate(const char *at, size_t length, struct text *to, bool *by_line)
{
    bool is_start = true, is_class, is_sound = false;
    for (const char *end = at + length, *next; at < end; at = next) {
        next = at + 1;
        bool was_start = is_start;
        is_start = strchr("(|^$", *at) != NULL;
        if (*at == '\\' && next < end) {
            *by_line = *by_line || strchr("123456789`'", *next) != NULL;
            is_start = strchr("<>bB`'", *next) != NULL;
            next++;
        } else if (*at == '[') {
            const char *behind = bracket_end(at, end, &is_class);
            if (behind != NULL && is_class)
                return "character class syntax is [[:space:]], not [:space:]";
            next = behind != NULL ? behind : end;
        } else if (*at == '{') {
            const char *behind = interval_end(at, &is_sound);
            if (behind != NULL && behind <= end && was_start && is_sound) {
                next = behind;
                is_start = true;
                continue;
            }
            if (behind == NULL || behind > end || was_start || !is_sound) /* libc has let it pass */
                text_add(to, "\\", 1);
        }
        text_add(to, at, (size_t)(next - at));
    }
    return to->lost ? "out of memory" : NULL;
}

static const char *compile(const char *pattern, size_t length, struct re_pattern_buffer *to)
{
    *to = (struct re_pattern_buffer){ .fastmap = malloc(256) };
    if (to->fastmap == NULL)
        return "out of memory";
    re_set_syntax(RE_SYNTAX_EGREP);
    const char *why = re_compile_pattern(length != 0 ? pattern : "", length, to);
    to->newline_anchor = 1;
    return why;
}

/* As libc reads it, translated or not. */
static const char *check(const char *pattern, size_t length)
{
    struct re_pattern_buffer regex;
    const char *why = compile(pattern, length, &regex);
    regfree(&regex);
    return why;
}

/* Compiles one line of the pattern, or, if it can be searched for together with others, adds it to them. */
static const char *add_line(struct expressions *e, const char *at, size_t length, struct text *together)
{
    struct text line = { 0 };
    bool by_line = false;
    const char *why = check(at, length);
    if (why == NULL)
        why = translate(at, length, &line, &by_line);
    if (why == NULL && by_line) {
        why = compile(line.at, line.len, &e->regexes[e->n++]);
    } else if (why == NULL) {
        text_add(together, line.at, line.len);
        text_add(together, "\n", 1);
    }
    e->by_line = e->by_line || by_line;
    text_drop(&line);
    return why;
}

const char *expressions_new(const char *pattern, struct expressions *e)
{
    *e = (struct expressions){ 0 };
    size_t lines = 1;
    for (const char *p = pattern; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    e->regexes = calloc(lines + 1, sizeof *e->regexes);
    if (e->regexes == NULL)
        return "out of memory";
    const char *why = NULL;
    struct text together = { 0 };
    for (const char *at = pattern, *end; why == NULL && at != NULL; at = *end != '\0' ? end + 1 : NULL) {
        end = at + strcspn(at, "\n");
        why = add_line(e, at, (size_t)(end - at), &together);
    }
    if (together.lost)
        why = "out of memory";
    if (why == NULL && together.len != 0)
        why = compile(together.at, together.len - 1, &e->regexes[e->n++]);
    text_drop(&together);
    return why;
}

void expressions_drop(struct expressions *e)
{
    for (size_t i = 0; i < e->n; i++)
        regfree(&e->regexes[i]);
    free(e->regexes);
    *e = (struct expressions){ 0 };
}

int first_match(struct expressions *e, const char *at, int length)
{
    int first = -1;
    for (size_t i = 0; i < e->n && first != 0; i++) {
        int hit = re_search(&e->regexes[i], at, length, 0, first < 0 ? length : first - 1, NULL);
        if (hit == -2)
            return hit;
        first = hit >= 0 ? hit : first;
    }
    return first;
}
