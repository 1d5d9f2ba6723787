/* SPDX-License-Identifier: MIT
 *
 * hgrep: what `grep -rnI | sort` prints, searched by many jobs at once.
 *
 * text.c        a buffer that grows
 * expression.c  extended regular expressions, as grep -E reads them (expression.h)
 * search.c      one open file: which of its lines match
 * walk.c        a piece of work, as one job does it: some paths in, their matches and what is still to do out
 * main.c        hands pieces to jobs until nothing is left to do, then sorts and prints */
#ifndef HGREP_H
#define HGREP_H

#include <haft/haft.h>

#include <stdbool.h>
#include <stddef.h>

/* --- text.c ------------------------------------------------------------------------------------------------------- */

/* Bytes that grow at the end. {0} is empty. Once memory ran out, lost is true and stays so; what was there remains. */
struct text {
    char *at;
    size_t len;
    size_t room;
    bool lost;
};

/* Makes room for n more bytes and returns where they go, or null, with lost set. The caller then adds to len. */
char *text_reserve(struct text *t, size_t n);
/* Adds n bytes, or nothing and sets lost. */
void text_add(struct text *t, const void *bytes, size_t n);
/* Frees the bytes; the text is empty again. */
void text_drop(struct text *t);

/* --- search.c ----------------------------------------------------------------------------------------------------- */

/* A pattern, ready to be searched for, with the buffers that this takes. For one job at a time, because libc's
 * compiled expressions hold a lock while they match. */
struct search;

/* Makes a search for fixed strings, one a line of the pattern, or for an extended regular expression. Returns null
 * with *why set to what is wrong, for a text that needs no freeing. */
struct search *search_new(const char *pattern, bool extended, const char **why);
void search_drop(struct search **s);
/* Searches the open file from where it stands to its end. Every matching line is added to matches as
 * "name:number:line" with a newline, without "name:" if name is null. Returns 0 or a negative errno. */
int search_file(struct search *s, int fd, const char *name, struct text *matches);

/* --- walk.c ------------------------------------------------------------------------------------------------------- */

/* A path is one byte that says how it was found, the path, and a NUL. */
enum found {
    FOUND_INPUT = 'i',    /* standard input */
    FOUND_HERE = 'h',     /* the directory that hgrep was started in; its entries are named without "./" */
    FOUND_ARGUMENT = 'a', /* named by the user: links are followed, devices read */
    FOUND_ENTRY = 'e',    /* an entry of a directory: a file or another directory */
};

/* What a job is given and gives back. It owns all that the members point to. */
struct piece {
    struct search *search;
    struct text todo;    /* paths */
    struct text left;    /* out: paths that are still to be done */
    struct text matches; /* out */
    struct text errors;  /* out: lines for standard error */
    size_t files;        /* out: how many were searched */
    bool name_arguments; /* print names for files that are arguments, too */
};

/* Does paths of todo, the first at least, until about a mebibyte was read or the job is aborted. Always 0. */
int walk(struct piece *p);
/* Adds a path; directory may be null, and the slashes at its end do not count. */
void path_add(struct text *paths, enum found found, const char *directory, const char *name);

#endif
