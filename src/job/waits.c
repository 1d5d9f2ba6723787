/* SPDX-License-Identifier: MIT
 *
 * Who waits for what, for the report of a program in which everything waits. Nothing moves while it is written, so
 * what parked records and their roots hold can be read as it is. */
#include "job/job.h"

#include <stdio.h>

#include "check/deadlock.h"

/* Lines that a report has at most; a program may have a million jobs. */
#define MOST_LINES 100

/* "reader (spawned at a.c:12)", or "a plain thread". */
static void describe(haft__record *record, char *text, size_t size)
{
    haft__sight sight;
    if (haft__job_peek(record, &sight))
        snprintf(text, size, "%s (spawned at %s)", sight.name, sight.place);
    else
        snprintf(text, size, "a plain thread");
}

static void print_wait(haft__record *record, void *argument)
{
    unsigned *lines = argument;
    uint8_t kind = haft__load_relaxed(&record->kind);
    /* Relaxed: src/check has seen every thread asleep, and with that all that it did before. */
    if (kind == HAFT__KIND_FREE || !haft__word_is_parked(haft__load_relaxed(&record->word)) || record->root == NULL)
        return;
    if (kind != HAFT__KIND_PLAIN && (haft__load_relaxed(&record->state) & HAFT__DONE) != 0)
        return;
    if (++*lines > MOST_LINES)
        return;
    char who[320], whose[320] = "";
    describe(record, who, sizeof who);
    const haft__root *root = record->root;
    const char *what = root->waits_for != NULL ? root->waits_for : "something that others do";
    if (root->waits_on != NULL)
        describe(root->waits_on, whose, sizeof whose);
    haft__report("haft:   %s waits for %s%s%s\n", who, what, *whose != '\0' ? " " : "", whose);
}

void haft__job_print_waits(void)
{
    unsigned lines = 0;
    haft__record_each(print_wait, &lines);
    if (lines > MOST_LINES)
        haft__report("haft:   and %u more\n", lines - MOST_LINES);
}
