/* SPDX-License-Identifier: MIT
 *
 * The values of an unbounded channel: a chain of blocks of equal size, filled at the end and emptied at the front. One
 * emptied block is kept, so that a channel that is used evenly allocates nothing; blocks are allocated and freed outside of
 * the lock. */
#include "chan/channel.h"
#include "os/os.h"

static unsigned char *place_in(const haft__channel *c, haft__block *block, size_t i)
{
    return (unsigned char *)block + c->block_offset + i * c->size;
}

bool haft__channel_has_place(const haft__channel *c)
{
    return c->kind != HAFT__UNBOUNDED || c->spare != NULL || (c->last != NULL && c->tail < c->block_places);
}

/* The lock is held on entry and on return, and released meanwhile. */
int haft__channel_grow(haft__channel *c)
{
    size_t size = c->block_offset + c->block_places * c->size;
    haft__lock_release(&c->lock);
    haft__block *block = haft__os->allocate(size, c->alignment);
    haft__lock_acquire(&c->lock);
    if (block == NULL)
        return HAFT_ENOMEM;
    block->next = c->spare;
    c->spare = block;
    return 0;
}

unsigned char *haft__block_front(haft__channel *c)
{
    return place_in(c, c->first, c->head);
}

unsigned char *haft__block_back(haft__channel *c)
{
    if (c->last == NULL || c->tail == c->block_places) {
        haft__block *block = c->spare;
        c->spare = block->next;
        block->next = NULL;
        if (c->last != NULL)
            c->last->next = block;
        else
            c->first = block;
        c->last = block;
        c->tail = 0;
    }
    return place_in(c, c->last, c->tail++);
}

void haft__block_pop(haft__channel *c)
{
    if (++c->head < c->block_places && c->length != 0)
        return;
    haft__block *block = c->first;
    c->head = 0;
    if (c->length == 0) {
        c->tail = 0; /* begins again in the same block */
        return;
    }
    c->first = block->next;
    block->next = c->spare;
    c->spare = block;
}

void haft__block_chain_free(haft__block *block)
{
    while (block != NULL) {
        haft__block *next = block->next;
        haft__os->release(block);
        block = next;
    }
}

void haft__blocks_free(haft__channel *c)
{
    haft__block_chain_free(c->first);
    haft__block_chain_free(c->spare);
}
