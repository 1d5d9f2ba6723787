/* SPDX-License-Identifier: MIT
 *
 * Making channels, and the ends' lives: clone, drop, weak senders, close. Small channels are kept for reuse, so that making
 * oneshots again and again allocates nothing. */
#include <stdlib.h>
#include <string.h>

#include "chan/channel.h"
#include "job/job.h"
#include "os/os.h"

/* --- Memory ------------------------------------------------------------------------------------------------------- */

#define SMALL_BYTES 448 /* a oneshot of up to 128 bytes, say */
#define SPARE_SMALL 256 /* kept at most */

_Static_assert((sizeof(haft__channel) + HAFT__CACHE_LINE - 1) / HAFT__CACHE_LINE * HAFT__CACHE_LINE + 128 <=
                   SMALL_BYTES,
               "a oneshot of 128 bytes is small, whatever its alignment");

/* Small channels that were freed. They are linked by their first word. */
static struct {
    haft__lock lock;
    unsigned count;
    void *first;
} spare;

static void *small_take(void)
{
    haft__lock_acquire(&spare.lock);
    void *memory = spare.first;
    if (memory != NULL) {
        spare.first = *(void **)memory;
        spare.count--;
    }
    haft__lock_release(&spare.lock);
    return memory;
}

static bool small_give(void *memory)
{
    haft__lock_acquire(&spare.lock);
    bool is_kept = spare.count < SPARE_SMALL;
    if (is_kept) {
        *(void **)memory = spare.first;
        spare.first = memory;
        spare.count++;
    }
    haft__lock_release(&spare.lock);
    return is_kept;
}

static size_t round_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static bool is_small(size_t bytes, size_t alignment)
{
    return bytes <= SMALL_BYTES && alignment <= HAFT__CACHE_LINE;
}

static size_t bytes_of(size_t size, size_t alignment, size_t places)
{
    size_t ring, bytes;
    if (__builtin_mul_overflow(size, places, &ring) ||
        __builtin_add_overflow(ring, round_up(sizeof(haft__channel), alignment), &bytes) || bytes > PTRDIFF_MAX)
        return SIZE_MAX;
    return bytes;
}

static haft__channel *channel_new(enum haft__channel_kind kind, size_t capacity, size_t size, size_t alignment)
{
    size_t places = kind == HAFT__UNBOUNDED ? 0 : capacity;
    size_t bytes = bytes_of(size, alignment, places);
    if (bytes == SIZE_MAX)
        return NULL;
    haft__channel *c = is_small(bytes, alignment) ? small_take() : NULL;
    if (c == NULL) {
        size_t least = is_small(bytes, alignment) ? SMALL_BYTES : bytes;
        c = haft__os->allocate(least, alignment > HAFT__CACHE_LINE ? alignment : HAFT__CACHE_LINE);
    }
    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof *c);
    c->kind = (uint8_t)kind;
    c->size = size;
    c->alignment = alignment > sizeof(void *) ? alignment : sizeof(void *);
    c->capacity = capacity;
    c->values = (unsigned char *)c + round_up(sizeof *c, alignment);
    haft__list_init(&c->takers);
    haft__list_init(&c->givers);
    return c;
}

/* About this many bytes of values in a block. */
#define BLOCK_BYTES 4000

static void plan_blocks(haft__channel *c)
{
    c->block_offset = round_up(sizeof(haft__block), c->alignment);
    c->block_places = c->size < BLOCK_BYTES / 4 ? BLOCK_BYTES / (c->size > 0 ? c->size : 1) : 4;
}

static void channel_free(haft__channel *c)
{
    size_t places = c->kind == HAFT__UNBOUNDED ? 0 : c->capacity;
    bool small = is_small(bytes_of(c->size, c->alignment, places), c->alignment);
    haft__blocks_free(c);
    if (!small || !small_give(c))
        haft__os->release(c);
}

/* --- Waits that cannot succeed any more --------------------------------------------------------------------------- */

void haft__channel_settle(haft__channel *c)
{
    if (!haft__channel_is_open(c))
        haft__arms_end_all(&c->givers, &c->lock, HAFT_ECLOSED);
    /* With values there are no takers. */
    if (haft__channel_has_ended(c))
        haft__arms_end_all(&c->takers, &c->lock, HAFT_ECLOSED);
}

void haft__channel_leave(haft__channel *c)
{
    haft__lock_acquire(&c->lock);
    haft__channel_settle(c);
    bool is_last = --c->refs == 0;
    haft__lock_release(&c->lock);
    if (is_last)
        channel_free(c);
}

/* --- Making ------------------------------------------------------------------------------------------------------- */

static int open_channel(enum haft__channel_kind kind, void *tx, void *rx, size_t capacity, size_t size,
                        size_t alignment, const haft_channel_options *options)
{
    haft__channel **sender = tx, **receiver = rx;
    *sender = *receiver = NULL;
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__channel *c = channel_new(kind, capacity, size, alignment);
    if (c == NULL)
        return HAFT_ENOMEM;
    if (kind == HAFT__UNBOUNDED)
        plan_blocks(c);
    c->drop = options->drop;
    c->senders = c->receivers = 1;
    c->refs = 2;
    *sender = *receiver = c;
    return 0;
}

int haft_channel_raw(void *tx, void *rx, size_t capacity, size_t element_size, size_t alignment,
                     const haft_channel_options *options)
{
    return open_channel(HAFT__BOUNDED, tx, rx, capacity, element_size, alignment, options);
}

int haft_channel_unbounded_raw(void *tx, void *rx, size_t element_size, size_t alignment,
                               const haft_channel_options *options)
{
    return open_channel(HAFT__UNBOUNDED, tx, rx, SIZE_MAX, element_size, alignment, options);
}

int haft_oneshot_raw(void *tx, void *rx, size_t element_size, size_t alignment, const haft_channel_options *options)
{
    return open_channel(HAFT__ONESHOT, tx, rx, 1, element_size, alignment, options);
}

void haft_drop_free(void *element)
{
    free(*(void **)element); /* the user's own, so not by haft__os */
}

/* --- Ends --------------------------------------------------------------------------------------------------------- */

enum end { SENDER, RECEIVER, WEAK };

static int clone_end(const void *from, void *to, enum end end)
{
    haft__channel *c = haft__is_forked() ? NULL : haft__channel_of(from);
    *(haft__channel **)to = c;
    if (c == NULL)
        return haft__is_forked() ? HAFT_EFORKED : HAFT_EINVAL;
    haft__lock_acquire(&c->lock);
    c->refs++;
    c->senders += end == SENDER;
    c->receivers += end == RECEIVER;
    haft__lock_release(&c->lock);
    return 0;
}

int haft_sender_clone_raw(const void *from, void *to)
{
    return clone_end(from, to, SENDER);
}

int haft_receiver_clone_raw(const void *from, void *to)
{
    return clone_end(from, to, RECEIVER);
}

int haft_sender_downgrade_raw(const void *tx, void *weak)
{
    return clone_end(tx, weak, WEAK);
}

int haft_sender_upgrade_raw(const void *weak, void *tx)
{
    haft__channel *c = haft__channel_of(weak);
    *(haft__channel **)tx = NULL;
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (c == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&c->lock);
    bool lives = c->senders != 0 || c->reserved != 0;
    if (lives) {
        c->senders++;
        c->refs++;
    }
    haft__lock_release(&c->lock);
    if (!lives)
        return HAFT_ECLOSED;
    *(haft__channel **)tx = c;
    return 0;
}

/* Takes the end out of the caller's hands. */
static haft__channel *spend(void *end)
{
    haft__channel *c = haft__channel_of(end);
    *(haft__channel **)end = NULL;
    return c;
}

void(haft_sender_drop)(void *tx)
{
    haft__channel *c = spend(tx);
    if (c == NULL)
        return;
    haft__lock_acquire(&c->lock);
    c->senders--;
    haft__lock_release(&c->lock);
    haft__channel_leave(c);
}

void(haft_weak_sender_drop)(void *weak)
{
    haft__channel *c = spend(weak);
    if (c != NULL)
        haft__channel_leave(c);
}

/* Gives every value that is left to .drop, where it lies: nobody takes or gives any more. */
static void drop_values(haft__channel *c)
{
    haft__lock_acquire(&c->lock);
    while (c->length != 0) {
        void *value = haft__channel_front(c);
        haft__lock_release(&c->lock);
        haft__drop_object(c->drop, value);
        haft__lock_acquire(&c->lock);
        haft__channel_pop(c);
    }
    haft__lock_release(&c->lock);
}

void(haft_receiver_drop)(void *rx)
{
    haft__channel *c = spend(rx);
    if (c == NULL)
        return;
    haft__lock_acquire(&c->lock);
    bool is_last = --c->receivers == 0;
    bool has_values = c->length != 0;
    if (is_last && c->drop == NULL)
        c->length = 0;
    if (is_last)
        haft__channel_settle(c);
    haft__lock_release(&c->lock);
    if (is_last && has_values && c->drop != NULL)
        drop_values(c);
    haft__channel_leave(c);
}

void haft_channel_close_raw(const void *end)
{
    haft__channel *c = haft__channel_of(end);
    if (c == NULL)
        return;
    haft__lock_acquire(&c->lock);
    c->is_closed = true;
    haft__channel_settle(c);
    haft__lock_release(&c->lock);
}

bool haft_channel_is_closed_raw(const void *end)
{
    haft__channel *c = haft__channel_of(end);
    if (c == NULL)
        return true;
    haft__lock_acquire(&c->lock);
    bool is_closed = !haft__channel_is_open(c);
    haft__lock_release(&c->lock);
    return is_closed;
}

size_t haft_channel_len_raw(const void *end)
{
    haft__channel *c = haft__channel_of(end);
    if (c == NULL)
        return 0;
    haft__lock_acquire(&c->lock);
    size_t length = c->length;
    haft__lock_release(&c->lock);
    return length;
}

size_t haft_channel_capacity_raw(const void *end)
{
    const haft__channel *c = haft__channel_of(end);
    return c != NULL ? c->capacity : 0;
}
