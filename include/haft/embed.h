/* SPDX-License-Identifier: MIT
 *
 * What the objects that a user embeds have in common: a mutex, a semaphore and the like are plain values, initialised by
 * = HAFT_..._INIT, statically or not, and never destroyed. Their members are the library's; their address matters: an
 * object that is in use is neither copied nor moved, and does not travel in a frame. Waiting allocates nothing. Any of
 * them may be freed once nobody will call it any more: the last call to return from it leaves nothing behind. */
#ifndef HAFT_EMBED_H
#define HAFT_EMBED_H

#include <haft/codes.h>
#include <haft/frame.h>

/* One that waits; lies on the stack of the waiter. */
struct haft_waiter_;

/* In the list of what a job or plain thread holds, newest first. When the holder ends with it, or a panic passes the
 * wall inside which it was taken, it is taken off that list and given to abandon_. */
typedef struct haft_held_ {
    struct haft_held_ *next_;
    void (*abandon_)(struct haft_held_ *, void *root);
} haft_held_;

#endif
