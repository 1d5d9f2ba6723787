/* SPDX-License-Identifier: MIT
 *
 * Shared values. Two counts stand before the value: owners, and weak references, of which all owners together have one. The
 * last owner disposes of the value and ends that one; the last weak reference frees the block. An upgrade counts up only
 * from a count that is not zero. */
#include "haft/shared.h"

#include "base/copy.h"
#include "job/job.h"
#include "sync/waiter.h"

typedef struct block {
    haft__atomic(size_t) owners;
    haft__atomic(size_t) weak;
    haft_drop_fn *drop;
    void *memory; /* what was allocated */
} block;

static block *block_of(void *value)
{
    return (block *)value - 1;
}

int haft_shared_new_raw(haft_shared *out, const void *value, size_t size, size_t alignment,
                        const haft_shared_options *options)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (alignment > HAFT__FRAME_ALIGNMENT)
        return HAFT_EINVAL;
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    size_t offset = (sizeof(block) + alignment - 1) & ~(alignment - 1), all;
    char *memory = NULL;
    if (!__builtin_add_overflow(offset, size, &all))
        memory = haft__os->allocate(all, alignment);
    if (memory == NULL)
        return HAFT_ENOMEM;
    out->value_ = memory + offset;
    block *b = block_of(out->value_);
    haft__atomic_init(&b->owners, 1);
    haft__atomic_init(&b->weak, 1);
    b->drop = options->drop;
    b->memory = memory;
    haft__copy(out->value_, value, size);
    return 0;
}

int haft_shared_clone(const haft_shared *s, haft_shared *out)
{
    /* Relaxed: whoever clones is an owner, so the count is not zero and nobody else need see this first. */
    if (s->value_ != NULL)
        haft__fetch_add_relaxed(&block_of(s->value_)->owners, 1);
    out->value_ = s->value_;
    return out->value_ != NULL ? 0 : HAFT_EINVAL;
}

static void end_weak(void *value)
{
    /* Acquire and release: all that others did with the block is before its end. */
    if (haft__fetch_sub_acq_rel(&block_of(value)->weak, 1) == 1)
        haft__os->release(block_of(value)->memory);
}

void haft_shared_drop(haft_shared *s)
{
    void *value = s->value_;
    s->value_ = NULL;
    /* Acquire and release: what the other owners did with the value is before its end. */
    if (value == NULL || haft__fetch_sub_acq_rel(&block_of(value)->owners, 1) != 1)
        return;
    if (block_of(value)->drop != NULL)
        haft__drop_object(block_of(value)->drop, value);
    end_weak(value);
}

int haft_shared_downgrade(const haft_shared *s, haft_shared_weak *out)
{
    if (s->value_ != NULL)
        haft__fetch_add_relaxed(&block_of(s->value_)->weak, 1);
    out->value_ = s->value_;
    return out->value_ != NULL ? 0 : HAFT_EINVAL;
}

int haft_shared_upgrade(const haft_shared_weak *weak, haft_shared *out)
{
    out->value_ = NULL;
    if (weak->value_ == NULL)
        return HAFT_ECLOSED;
    block *b = block_of(weak->value_);
    /* Relaxed: as in haft_shared_clone; the value is as old as the weak one. */
    size_t owners = haft__load_relaxed(&b->owners);
    do {
        if (owners == 0)
            return HAFT_ECLOSED;
    } while (!haft__cas_weak_relaxed(&b->owners, &owners, owners + 1));
    out->value_ = weak->value_;
    return 0;
}

void haft_shared_weak_drop(haft_shared_weak *weak)
{
    void *value = weak->value_;
    weak->value_ = NULL;
    if (value != NULL)
        end_weak(value);
}
