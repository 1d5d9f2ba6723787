/* SPDX-License-Identifier: MIT
 *
 * Values that several own: a counted block, disposed of with its last owner, whoever that is. Weak references find the
 * value as long as somebody owns it. Owners and weak references are small values, and travel in frames and channels. */
#ifndef HAFT_SHARED_H
#define HAFT_SHARED_H

#include <haft/codes.h>
#include <haft/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One ownership, or one weak reference. {0} is none. Assigning it moves it by convention; a copy comes from clone. One
 * may be read by many at once, as long as nobody drops it meanwhile. */
typedef struct haft_shared {
    void *value_;
} haft_shared;
typedef struct haft_shared_weak {
    void *value_;
} haft_shared_weak;

typedef struct haft_shared_options {
    size_t size_;
    haft_drop_fn *drop; /* disposes of the value, by address, once */
} haft_shared_options;

/* haft_shared_new(&out, &value, .drop = f): copies the value bytewise into a block of its own, of which *out is the first
 * owner. 0; HAFT_ENOMEM, HAFT_EINVAL (aligned to more than 64): the value is still the caller's, *out unchanged. Never
 * suspends. */
HAFT_API_ int haft_shared_new_raw(haft_shared *out, const void *value, size_t size, size_t alignment,
                                  const haft_shared_options *options);
#ifndef __cplusplus
#define haft_shared_new(...) haft_shared_new_at_(__VA_ARGS__, )
#define haft_shared_new_at_(out, value, ...)                                                                           \
    haft_shared_new_raw((out), (value), HAFT_FRAME_SIZE_(value), HAFT_FRAME_ALIGN_(value),                             \
                        &(haft_shared_options){ .size_ = sizeof(haft_shared_options), __VA_ARGS__ })
#endif

/* The value, null for none: valid while this ownership lasts. Changes of it are the owners' to order, by a mutex in it or
 * otherwise. Never suspends. */
static inline void *haft_shared_get(const haft_shared *s)
{
    return s->value_;
}

/* Makes *out another owner of the same value. 0; HAFT_EINVAL: s is none, and so is *out. Never suspends. */
HAFT_API_ int haft_shared_clone(const haft_shared *s, haft_shared *out);

/* Ends an ownership; *s is none afterwards. The last one gives the value to .drop, on the caller, which suspends if .drop
 * does. Nothing happens on none. Fits HAFT_DEFER. */
HAFT_API_ void haft_shared_drop(haft_shared *s);

/* Makes *out a weak reference, which keeps the value's memory, not the value. 0; HAFT_EINVAL as above. Never
 * suspends. */
HAFT_API_ int haft_shared_downgrade(const haft_shared *s, haft_shared_weak *out);

/* Makes *out an owner, if there still is one. 0; HAFT_ECLOSED: the value is gone, *out is none. Never suspends. */
HAFT_API_ int haft_shared_upgrade(const haft_shared_weak *weak, haft_shared *out);

/* Ends a weak reference. Nothing happens on none. Never suspends. Fits HAFT_DEFER. */
HAFT_API_ void haft_shared_weak_drop(haft_shared_weak *weak);

#ifdef __cplusplus
}
#endif

#endif
