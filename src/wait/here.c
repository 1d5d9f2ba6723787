/* SPDX-License-Identifier: MIT
 *
 * Thread records: made at a thread's first call, given back by the destructor of a thread key at its end. */
#include "wait/held.h"

#include <string.h>

#include "haft/codes.h"
#include "os/os.h"

haft__arch_tls_define(haft__current_thread);

void haft__thread_enter(haft__thread *thread)
{
    thread->before = haft__here_or_null();
    thread->errno_address = haft__os->thread_errno();
    thread->root = &thread->own;
    haft__sleeper_enter(&thread->sleeper, thread->before != NULL ? &thread->before->sleeper : NULL);
    haft__arch_tls_store(haft__current_thread, thread);
}

void haft__thread_leave(haft__thread *thread)
{
    haft__record_cache_flush(&thread->records);
    haft__sleeper_leave(&thread->sleeper, thread->before != NULL ? &thread->before->sleeper : NULL);
    haft__arch_tls_store(haft__current_thread, thread->before);
}

static void plain_thread_ends(void *argument)
{
    haft__thread *thread = argument;
    if (haft__is_forked())
        return; /* whoever held locks is not here to release them */
    haft__locals_end(&thread->own);
    haft__held_abandon(&thread->own, NULL);
    haft__record_free(thread->own.record);
    haft__thread_leave(thread);
    haft__os->release(thread);
}

int haft__thread_at_exit(haft__thread *thread, void (*what)(void *))
{
    return haft__os->thread_at_exit(what, thread);
}

haft__atomic(bool) haft__has_forked;
static haft__atomic(uint32_t) watches_forks;

static void child_of_fork(void)
{
    haft__store_relaxed(&haft__has_forked, true);
    haft__arch_tls_store(haft__current_thread, NULL);
}

int haft__here_error(void)
{
    return haft__is_forked() ? HAFT_EFORKED : HAFT_ENOMEM;
}

haft__thread *haft__here_new(void)
{
    if (haft__is_forked())
        return NULL;
    uint32_t no = 0; /* relaxed: only one asks, and nobody else reads anything on account of it */
    if (haft__load_relaxed(&watches_forks) == 0 && haft__cas_relaxed(&watches_forks, &no, 1) &&
        haft__os->at_fork_child(child_of_fork) != 0) {
        haft__store_relaxed(&watches_forks, 0);
        return NULL;
    }
    haft__thread *thread = haft__os->allocate(sizeof *thread, _Alignof(haft__thread));
    if (thread == NULL)
        return NULL;
    memset(thread, 0, sizeof *thread);
    haft__record *record = haft__record_new();
    if (record == NULL) {
        haft__os->release(thread);
        return NULL;
    }
    haft__store_relaxed(&record->kind, HAFT__KIND_PLAIN);
    haft__root_init(&thread->own, record);
    haft__announce_thread(&thread->note);
    thread->own.note = &thread->note;
    if (haft__thread_at_exit(thread, plain_thread_ends) != 0) {
        haft__record_free(record);
        haft__os->release(thread);
        return NULL;
    }
    haft__thread_enter(thread);
    return thread;
}

void haft__end_forked(void)
{
    static const char text[] = "haft: called in the child of a fork, where only exec and _exit are possible\n";
    haft__os->write_error(text, sizeof text - 1);
    haft__os->abort();
    __builtin_trap();
}

haft__thread *haft__here_always(void)
{
    haft__thread *thread = haft__here();
    if (thread == NULL) {
        static const char text[] = "haft: no memory for the record of a thread that must wait\n";
        if (haft__is_forked())
            haft__end_forked();
        haft__os->write_error(text, sizeof text - 1);
        haft__os->abort();
    }
    return thread;
}
