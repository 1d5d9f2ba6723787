/* SPDX-License-Identifier: MIT
 *
 * Circular doubly linked lists whose links live in their members. An empty list is a link that points to itself; a
 * member that is in no list has a null next, so that removing it twice does nothing. The caller holds whatever lock
 * the list has. */
#ifndef HAFT_BASE_LIST_H
#define HAFT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct haft__link {
    struct haft__link *next;
    struct haft__link *previous;
} haft__link;

static inline void haft__list_init(haft__link *list)
{
    list->next = list->previous = list;
}

static inline bool haft__list_is_empty(const haft__link *list)
{
    return list->next == list;
}

static inline void haft__list_append(haft__link *list, haft__link *member)
{
    member->previous = list->previous;
    member->next = list;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a list has a first and a last, if only itself */
    list->previous->next = member;
    list->previous = member;
}

static inline void haft__list_remove(haft__link *member)
{
    if (member->next == NULL)
        return;
    member->previous->next = member->next;
    member->next->previous = member->previous;
    member->next = member->previous = NULL;
}

/* The first member, taken out, or null. */
static inline haft__link *haft__list_take(haft__link *list)
{
    haft__link *first = list->next;
    if (first == list)
        return NULL;
    haft__list_remove(first);
    return first;
}

/* Moves every member of a list to the end of another. */
static inline void haft__list_move(haft__link *from, haft__link *to)
{
    if (haft__list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    haft__list_init(from);
}

/* The object of that type whose member is at that address. */
#define HAFT__CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
