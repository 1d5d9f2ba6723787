/* SPDX-License-Identifier: MIT */
#include "hgrep.h"

#include <stdlib.h>
#include <string.h>

char *text_reserve(struct text *t, size_t n)
{
    if (t->room - t->len < n) {
        size_t room = t->room < 4096 ? 4096 : t->room;
        while (room - t->len < n)
            room *= 2;
        char *at = realloc(t->at, room);
        if (at == NULL) {
            t->lost = true;
            return NULL;
        }
        t->at = at;
        t->room = room;
    }
    return t->at + t->len;
}

void text_add(struct text *t, const void *bytes, size_t n)
{
    char *to = n > 0 ? text_reserve(t, n) : NULL;
    if (to != NULL) {
        memcpy(to, bytes, n);
        t->len += n;
    }
}

void text_drop(struct text *t)
{
    free(t->at);
    *t = (struct text){ 0 };
}
