/* SPDX-License-Identifier: MIT */
#include "chan/fan.h"

#include <string.h>

#include "base/copy.h"
#include "haft/codes.h"
#include "os/os.h"

int haft__fan_new(void *tx, void *rx, size_t capacity, size_t size, size_t alignment)
{
    haft__fan_receiver *r = rx;
    *(haft__fan **)tx = NULL;
    *r = (haft__fan_receiver){ 0 };
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (capacity == 0)
        return HAFT_EINVAL;
    if (alignment < _Alignof(haft__fan))
        alignment = _Alignof(haft__fan);
    size_t offset = (sizeof(haft__fan) + alignment - 1) & ~(alignment - 1), bytes;
    if (__builtin_mul_overflow(capacity, size, &bytes) || __builtin_add_overflow(bytes, offset, &bytes) ||
        bytes > PTRDIFF_MAX)
        return HAFT_ENOMEM;
    haft__fan *f = haft__os->allocate(bytes, alignment);
    if (f == NULL)
        return HAFT_ENOMEM;
    memset(f, 0, sizeof *f);
    f->size = size;
    f->capacity = capacity;
    f->values = (unsigned char *)f + offset;
    f->senders = f->receivers = 1;
    f->refs = 2;
    haft__list_init(&f->waiting);
    r->fan = *(haft__fan **)tx = f;
    return 0;
}

int haft__fan_subscribe(const void *tx, void *rx)
{
    haft__fan *f = haft__is_forked() ? NULL : haft__fan_of(tx);
    haft__fan_receiver *r = rx;
    *r = (haft__fan_receiver){ .fan = f };
    if (f == NULL)
        return haft__is_forked() ? HAFT_EFORKED : HAFT_EINVAL;
    haft__lock_acquire(&f->lock);
    r->at = f->sent;
    f->receivers++;
    f->refs++;
    haft__lock_release(&f->lock);
    return 0;
}

int haft__fan_clone_sender(const void *from, void *to)
{
    haft__fan *f = haft__is_forked() ? NULL : haft__fan_of(from);
    *(haft__fan **)to = f;
    if (f == NULL)
        return haft__is_forked() ? HAFT_EFORKED : HAFT_EINVAL;
    haft__lock_acquire(&f->lock);
    f->senders++;
    f->refs++;
    haft__lock_release(&f->lock);
    return 0;
}

void haft__fan_drop(void *end, bool is_sender)
{
    haft__fan *f = haft__fan_of(end);
    if (f == NULL)
        return;
    *(haft__fan **)end = NULL;
    haft__lock_acquire(&f->lock);
    if (!is_sender)
        f->receivers--;
    else if (--f->senders == 0)
        haft__arms_end_all(&f->waiting, &f->lock, 0);
    bool is_last = --f->refs == 0;
    haft__lock_release(&f->lock);
    if (is_last)
        haft__os->release(f);
}

int haft__fan_send(const void *tx, const void *value)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__fan *f = haft__fan_of(tx);
    if (f == NULL)
        return HAFT_EINVAL;
    int rc = HAFT_ECLOSED;
    haft__lock_acquire(&f->lock);
    if (f->receivers != 0) {
        haft__copy(haft__fan_value(f, f->sent), value, f->size);
        f->sent++;
        haft__arms_end_all(&f->waiting, &f->lock, 0);
        rc = 0;
    }
    haft__lock_release(&f->lock);
    return rc;
}

int haft__fan_wait(haft__fan_receiver *r, haft__fan_look *look, void *value, uint64_t *missed, const char *what)
{
    haft__fan *f = r->fan;
    haft__thread *here = haft__here();
    if (here == NULL || f == NULL)
        return f == NULL ? HAFT_EINVAL : haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__lock_acquire(&f->lock);
    while ((rc = look(f, r, value, missed)) == HAFT_EAGAIN) {
        haft__arm self;
        haft__arm_init(&self, me, NULL);
        haft__list_append(&f->waiting, &self.link);
        if (!haft__arm_wait(&self, &f->lock, me, what)) {
            rc = haft__tell(me, self.rc);
            break;
        }
        haft__lock_acquire(&f->lock);
    }
    haft__lock_release(&f->lock);
    return rc;
}

int haft__fan_is_news(const haft__fan *f, const haft__fan_receiver *r)
{
    if (r->at != f->sent)
        return 0;
    return f->senders == 0 ? HAFT_ECLOSED : HAFT_EAGAIN;
}
