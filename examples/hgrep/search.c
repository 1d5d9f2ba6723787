/* SPDX-License-Identifier: MIT
 *
 * A file is read in blocks, and the whole lines of a block are searched at once; the rest of its last line moves to
 * the front of the next block. A NUL makes a file binary, as for grep -I: the search ends there, with the lines of
 * the blocks before it, of which a file shorter than a block has none. A hole counts as NULs that need not be read. */
#define _GNU_SOURCE 1 /* memmem, memrchr, re_search, SEEK_HOLE */
#include "expression.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK = 96 * 1024, /* grep's, so that files with late NULs give the same lines */
    WINDOW = 4096,     /* how much an expression is shown at once */
};

/* One of the fixed strings, and where it was last found. */
struct word {
    const char *at;
    size_t len;
    const char *hit; /* in the lines being searched; null if not yet known */
};

struct search {
    char *pattern;
    struct word *words; /* fixed strings, or null */
    size_t n_words;
    struct expressions expressions;
    char *block;
    size_t room;

    /* Of the file that is being searched. */
    const char *name;
    struct text *matches;
    size_t lines;
};

static bool words_new(struct search *s)
{
    s->n_words = 1;
    for (const char *p = s->pattern; (p = strchr(p, '\n')) != NULL; p++)
        s->n_words++;
    s->words = calloc(s->n_words, sizeof *s->words);
    if (s->words == NULL)
        return false;
    const char *at = s->pattern;
    for (struct word *w = s->words; w < s->words + s->n_words; w++) {
        *w = (struct word){ .at = at, .len = strcspn(at, "\n") };
        at += w->len + 1;
    }
    return true;
}

struct search *search_new(const char *pattern, bool extended, const char **why)
{
    *why = "out of memory";
    struct search *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->room = (size_t)2 * BLOCK;
    s->block = malloc(s->room);
    s->pattern = strdup(pattern);
    if (s->block == NULL || s->pattern == NULL)
        goto fail;
    if (extended ? (*why = expressions_new(pattern, &s->expressions)) != NULL : !words_new(s))
        goto fail;
    return s;
fail:
    search_drop(&s);
    return NULL;
}

void search_drop(struct search **search)
{
    struct search *s = *search;
    *search = NULL;
    if (s == NULL)
        return;
    expressions_drop(&s->expressions);
    free(s->words);
    free(s->pattern);
    free(s->block);
    free(s);
}

/* Both finders return a place in the first matching line, end if there is none, null if memory ran out. The text
 * consists of whole lines. */

static const char *find_word(struct search *s, const char *at, const char *end)
{
    const char *first = end;
    for (struct word *w = s->words; w < s->words + s->n_words; w++) {
        if (w->hit == NULL || w->hit < at) {
            const char *hit = memmem(at, (size_t)(end - at), w->at, w->len);
            w->hit = hit != NULL ? hit : end;
        }
        if (w->hit < first)
            first = w->hit;
    }
    return first;
}

static const char *line_end(const char *at, const char *end)
{
    return memchr(at, '\n', (size_t)(end - at));
}

/* The expression is shown several lines at once, since starting libc's search costs more than a line. A match may
 * then have crossed a newline, or hide another one in its line that does not: so the line where it begins is tried
 * alone. */
static const char *find_regex(struct search *s, const char *at, const char *end)
{
    while (at < end) {
        const char *stop = NULL;
        if (!s->expressions.by_line)
            stop = end - at > WINDOW ? memrchr(at, '\n', WINDOW) : end - 1;
        if (stop == NULL)
            stop = line_end(at, end);
        int length = (int)(stop - at);
        int hit = first_match(&s->expressions, at, length);
        if (hit == -2)
            return NULL;
        if (hit < 0) {
            at = stop + 1;
            continue;
        }
        const char *line = memrchr(at, '\n', (size_t)hit);
        line = line != NULL ? line + 1 : at;
        const char *eol = line_end(line, end);
        if (line == at && eol == stop)
            return line;
        length = (int)(eol - line);
        hit = first_match(&s->expressions, line, length);
        if (hit == -2)
            return NULL;
        if (hit >= 0)
            return line;
        at = eol + 1;
    }
    return end;
}

static size_t count_lines(const char *at, const char *end)
{
    size_t n = 0;
    for (; at < end; at = line_end(at, end) + 1)
        n++;
    return n;
}

static void add_match(struct search *s, const char *line, size_t length)
{
    char digits[32];
    size_t n = (size_t)snprintf(digits, sizeof digits, "%zu:", s->lines);
    size_t name_length = s->name != NULL ? strlen(s->name) : 0;
    if (text_reserve(s->matches, name_length + 1 + n + length) == NULL)
        return;
    text_add(s->matches, s->name, name_length);
    text_add(s->matches, ":", s->name != NULL);
    text_add(s->matches, digits, n);
    text_add(s->matches, line, length);
}

/* Searches whole lines. Counts them only as far as a number may still be asked for. */
static int search_lines(struct search *s, const char *at, const char *end, bool last)
{
    for (size_t i = 0; i < s->n_words; i++)
        s->words[i].hit = NULL;
    while (at < end) {
        const char *hit = s->words != NULL ? find_word(s, at, end) : find_regex(s, at, end);
        if (hit == NULL)
            return -ENOMEM;
        if (hit == end) {
            s->lines += last ? 0 : count_lines(at, end);
            break;
        }
        const char *line = memrchr(at, '\n', (size_t)(hit - at));
        line = line != NULL ? line + 1 : at;
        s->lines += count_lines(at, line) + 1;
        at = line_end(line, end) + 1;
        add_match(s, line, (size_t)(at - line));
    }
    return 0;
}

/* A negative errno, or how many bytes were read: fewer than n at the end of the file only. */
static ssize_t read_full(int fd, char *to, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = read(fd, to + done, n - done);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return -errno;
        done += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)done;
}

/* True if part of the regular file behind the place where it stands is not even stored. */
static bool has_hole(int fd)
{
    struct stat st;
    off_t here = lseek(fd, 0, SEEK_CUR);
    if (here < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= here + 1)
        return false;
    off_t hole = lseek(fd, here, SEEK_HOLE);
    lseek(fd, here, SEEK_SET);
    return hole >= 0 && hole < st.st_size;
}

int search_file(struct search *s, int fd, const char *name, struct text *matches)
{
    s->name = name;
    s->matches = matches;
    s->lines = 0;
    size_t kept = 0; /* bytes of an unfinished line, at the front of the block */
    for (bool first = true, last = false; !last; first = false) {
        if (s->room - kept <= BLOCK) { /* one byte is for the newline that the file may lack at its end */
            if (s->words == NULL && s->room > INT_MAX / 2)
                return -EOVERFLOW; /* a line longer than libc can search */
            char *block = realloc(s->block, 2 * s->room);
            if (block == NULL)
                return -ENOMEM;
            s->block = block;
            s->room *= 2;
        }
        char *fresh = s->block + kept;
        ssize_t got = read_full(fd, fresh, BLOCK);
        if (got < 0)
            return (int)got;
        last = got < BLOCK;
        if (memchr(fresh, '\0', (size_t)got) != NULL || (first && !last && has_hole(fd)))
            return 0;
        char *end = fresh + got;
        if (last && end > s->block && end[-1] != '\n')
            *end++ = '\n';
        char *newline = memrchr(fresh, '\n', (size_t)(end - fresh));
        char *rest = newline != NULL ? newline + 1 : s->block;
        int rc = search_lines(s, s->block, rest, last);
        if (rc != 0)
            return rc;
        kept = (size_t)(end - rest);
        memmove(s->block, rest, kept);
    }
    return 0;
}
