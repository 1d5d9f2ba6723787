/* SPDX-License-Identifier: MIT
 *
 * Detach: the job goes on without an owner. Nobody will take its frame back, so the frame goes to .drop, exactly
 * once, after the body and its defers. The same happens to a frame whose handle is joined without one, or dropped. */
#include <haft/haft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct letter {
    char *text; /* owned by whoever holds the frame */
    haft_handle parent;
};

static void letter_drop(void *object)
{
    struct letter *l = object;
    printf("dropped: %s\n", l->text);
    free(l->text);
    haft_unpark(l->parent);
}

static int deliver(struct letter *l)
{
    printf("delivered: %s\n", l->text);
    return 0;
}

static struct letter letter(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        haft_panic("out of memory");
    return (struct letter){ .text = copy, .parent = haft_self() };
}

static int run(void)
{
    struct letter l = letter("to whom it may concern");
    haft_handle h = haft_spawn(deliver, &l, .drop = letter_drop);
    haft_detach(&h);
    haft_park(); /* for the drop: a detached job cannot be waited for by its handle */
    printf("the handle is null: %d\n", haft_is_null(h));

    l = letter("joined without a frame");
    h = haft_spawn(deliver, &l, .drop = letter_drop);
    haft_join(&h);

    l = letter("taken back");
    h = haft_spawn(deliver, &l, .drop = letter_drop);
    haft_join(&h, &l);
    printf("mine again: %s\n", l.text);
    free(l.text);

    /* Aborted before it began, since the one worker is busy here. Its frame is not lost for that. */
    l = letter("never sent");
    h = haft_spawn(deliver, &l, .drop = letter_drop);
    haft_drop(&h);
    return 0;
}

int main(void)
{
    return haft_run(run, HAFT_NO_FRAME, .workers = 1);
}
