/* SPDX-License-Identifier: MIT
 *
 * The kernel and the allocator, behind one table. Everything that haft asks of the outside goes through the pointer
 * haft__os, which a simulator or a test replaces as a whole, before any runtime exists, with haft__os_replace(). No
 * other folder makes a system call, allocates, reads a clock or creates a thread.
 *
 * Every function returns 0 or a negative error code unless it says otherwise, and leaves errno as it was. None is a
 * cancellation point; none suspends a task, those that block stop the thread. */
#ifndef HAFT_OS_OS_H
#define HAFT_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

/* A native thread, as the table's thread_create returned it. Never zero for a thread that exists. */
typedef struct haft__os_thread {
    uintptr_t native;
} haft__os_thread;

/* How a new thread is to be. */
typedef struct haft__os_thread_options {
    const char *name;  /* or null; the kernel keeps the first 15 bytes */
    size_t stack_size; /* bytes, 0: the system's default; rounded up to what the system accepts */
} haft__os_thread_options;

/* What madvise can do for a range of a mapping. */
enum haft__os_advice {
    HAFT__ADVISE_DISCARD,  /* give the memory back; it reads as zeros afterwards; guards stay */
    HAFT__ADVISE_NO_HUGE,  /* never back it by huge pages */
    HAFT__ADVISE_GUARD,    /* lightweight guard: an access faults, no mapping is split (MADV_GUARD_INSTALL) */
    HAFT__ADVISE_POPULATE, /* fault the pages in for writing now */
};

/* A part of a mapping, whole pages. */
typedef struct haft__os_range {
    void *memory;
    size_t size;
} haft__os_range;

/* A memory fault, as given to the handler installed by fault_handler_install. */
typedef struct haft__os_fault {
    void *address;       /* the address that faulted */
    void *stack_pointer; /* where the stack was */
    int signal;          /* SIGSEGV or SIGBUS */
} haft__os_fault;

struct haft__os {
    size_t size; /* sizeof(struct haft__os), so that a stale replacement is noticed */

    /* --- memory ------------------------------------------------------------------------------------------- */
    /* size bytes (not 0), at an address that is a multiple of alignment (a power of two, at least sizeof(void *)); null
     * when there is no memory. Not cleared. */
    void *(*allocate)(size_t size, size_t alignment);
    void (*release)(void *memory); /* null is nothing */
    /* Private anonymous read-write memory without reservation, whole pages, cleared; null when refused. */
    void *(*map)(size_t size);
    void (*unmap)(void *memory, size_t size);
    int (*protect_none)(void *memory, size_t size);
    /* Of a mapping; DISCARD and NO_HUGE also for whole pages inside of what allocate gave. */
    int (*advise)(void *memory, size_t size, enum haft__os_advice advice);
    /* The same for several parts, in one system call where the kernel has one. On error some may have been advised. */
    int (*advise_each)(const haft__os_range *ranges, size_t count, enum haft__os_advice advice);
    size_t (*page_size)(void);

    /* --- time --------------------------------------------------------------------------------------------- */
    /* Monotonic nanoseconds. Does not count while the machine is suspended (CLOCK_MONOTONIC). */
    int64_t (*now)(void);

    /* --- waiting ------------------------------------------------------------------------------------------ */
    /* Sleeps while *word == expected, until futex_wake, a signal, or deadline (absolute, by now(); INT64_MAX: none).
     * 0 when woken or when the value differed, -ETIMEDOUT, -EINTR. May return 0 without reason. */
    int (*futex_wait)(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline);
    void (*futex_wake)(haft__atomic(uint32_t) *word, int count); /* INT_MAX: all */
    void (*yield)(void);                                         /* sched_yield */
    int (*membarrier_register)(void);
    void (*membarrier)(void);

    /* --- threads ------------------------------------------------------------------------------------------ */
    /* Starts a thread that runs entry(argument), with every asynchronous signal blocked (all but SIGSEGV, SIGBUS,
     * SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS). On error there is none. -EAGAIN: the machine's limit. */
    int (*thread_create)(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                         void *argument);
    void (*thread_join)(haft__os_thread thread);
    void (*thread_detach)(haft__os_thread thread);
    haft__os_thread (*thread_self)(void);
    /* Gives the calling thread a value whose destructor runs at the thread's end, after the destructors of every
     * other key (it re-arms itself until the last round) and of C++ thread_local objects. Null: none any more. */
    int (*thread_at_exit)(void (*destructor)(void *), void *value);
    void (*thread_set_name)(const char *name); /* of the calling thread */
    /* Lowest address and size of the calling thread's stack. */
    int (*thread_stack)(void **low, size_t *size);
    int *(*thread_errno)(void); /* address of the calling thread's errno */
    /* Gives the calling thread an alternate signal stack if it has none. The stack is freed by alternate_stack_leave. */
    int (*alternate_stack_enter)(void **memory);
    void (*alternate_stack_leave)(void *memory);

    /* --- process ------------------------------------------------------------------------------------------ */
    unsigned (*cpu_count)(void);     /* that this process may really use: affinity and cgroup quotas; >= 1 */
    size_t (*map_count_limit)(void); /* vm.max_map_count, 0: unknown */
    unsigned (*thread_count)(void);  /* how many threads this process has, whoever made them; 0: unknown */
    /* True if a signal that others send, and not only a fault of the thread's own, would run a handler. */
    bool (*may_be_signalled)(void);
    /* what() runs in the child of every fork from now on, on its only thread. */
    int (*at_fork_child)(void (*what)(void));
    /* handler is called on the faulting thread's alternate stack for SIGSEGV and SIGBUS; when it returns false the
     * handler that was there before is called. Installs once; later calls change nothing. */
    int (*fault_handler_install)(bool (*handler)(const haft__os_fault *));
    void (*write_error)(const char *text, size_t length); /* to standard error, all of it, async-signal-safe */
    void (*abort)(void);                                  /* ends the process with SIGABRT; does not return */
    uint64_t (*random)(void);                             /* a seed; not for secrets */
};

extern const struct haft__os *haft__os;

/* The table that talks to Linux. */
extern const struct haft__os haft__os_linux;

/* Puts another table in place, null: Linux again. Only while no runtime exists and no other thread uses haft. */
void haft__os_replace(const struct haft__os *table);

#endif
