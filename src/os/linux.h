/* SPDX-License-Identifier: MIT
 *
 * What the files of the Linux table share with each other and with their tests: one declaration for each entry of
 * haft__os_linux, whose meaning is told in os.h, and the little that is needed to keep its promises. */
#ifndef HAFT_OS_LINUX_H
#define HAFT_OS_LINUX_H

#include <signal.h>

#include "os/os.h"

/* --- memory.c --------------------------------------------------------------------------------------------------- */
void *haft__linux_allocate(size_t size, size_t alignment);
void haft__linux_release(void *memory);
void *haft__linux_map(size_t size);
void haft__linux_unmap(void *memory, size_t size);
int haft__linux_protect_none(void *memory, size_t size);
int haft__linux_advise(void *memory, size_t size, enum haft__os_advice advice);
int haft__linux_advise_each(const haft__os_range *ranges, size_t count, enum haft__os_advice advice);
size_t haft__linux_page_size(void);

/* --- wait.c ------------------------------------------------------------------------------------------------------ */
int64_t haft__linux_now(void);
int haft__linux_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline);
void haft__linux_futex_wake(haft__atomic(uint32_t) *word, int count);
void haft__linux_yield(void);
int haft__linux_membarrier_register(void);
void haft__linux_membarrier(void);

/* --- thread.c ---------------------------------------------------------------------------------------------------- */
int haft__linux_thread_create(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                              void *argument);
void haft__linux_thread_join(haft__os_thread thread);
void haft__linux_thread_detach(haft__os_thread thread);
haft__os_thread haft__linux_thread_self(void);
int haft__linux_thread_at_exit(void (*destructor)(void *), void *value);
void haft__linux_thread_set_name(const char *name);
int haft__linux_thread_stack(void **low, size_t *size);
int *haft__linux_thread_errno(void);

/* All signals that somebody may send; those left out are raised by what the thread itself does, and blocking them would
 * turn a fault into an exit without a report. */
void haft__linux_asynchronous_signals(sigset_t *set);

/* --- fault.c ----------------------------------------------------------------------------------------------------- */
int haft__linux_alternate_stack_enter(void **memory);
void haft__linux_alternate_stack_leave(void *memory);
int haft__linux_fault_handler_install(bool (*handler)(const haft__os_fault *));

/* --- cpu.c ------------------------------------------------------------------------------------------------------- */
unsigned haft__linux_cpu_count(void);
/* The processors that the cgroup quotas of this process amount to, rounded up; 0 when there is no quota. root is put in
 * front of every path that is opened, so that a test can offer a tree of its own; "" is the machine. */
unsigned haft__linux_cpu_quota(const char *root);

/* --- process.c --------------------------------------------------------------------------------------------------- */
size_t haft__linux_map_count_limit(void);
unsigned haft__linux_thread_count(void);
bool haft__linux_may_be_signalled(void);
int haft__linux_at_fork_child(void (*what)(void));
void haft__linux_write_error(const char *text, size_t length);
void haft__linux_abort(void);
uint64_t haft__linux_random(void);

/* Reads a whole file, by system calls that are no cancellation points. The text ends with a null byte and is released
 * by haft__linux_release. Null when it cannot be read. */
char *haft__linux_read_file(const char *path);

#endif
