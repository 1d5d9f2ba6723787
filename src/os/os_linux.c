/* SPDX-License-Identifier: MIT
 *
 * The table that talks to Linux, the pointer through which everybody reaches a table, and the asymmetric fence, which
 * needs one system call. The entries are in the files named in os/linux.h. */
#include "os/linux.h"

const struct haft__os haft__os_linux = {
    .size = sizeof(struct haft__os),
    .allocate = haft__linux_allocate,
    .release = haft__linux_release,
    .map = haft__linux_map,
    .unmap = haft__linux_unmap,
    .protect_none = haft__linux_protect_none,
    .advise = haft__linux_advise,
    .advise_each = haft__linux_advise_each,
    .page_size = haft__linux_page_size,
    .now = haft__linux_now,
    .futex_wait = haft__linux_futex_wait,
    .futex_wake = haft__linux_futex_wake,
    .yield = haft__linux_yield,
    .membarrier_register = haft__linux_membarrier_register,
    .membarrier = haft__linux_membarrier,
    .thread_create = haft__linux_thread_create,
    .thread_join = haft__linux_thread_join,
    .thread_detach = haft__linux_thread_detach,
    .thread_self = haft__linux_thread_self,
    .thread_at_exit = haft__linux_thread_at_exit,
    .thread_set_name = haft__linux_thread_set_name,
    .thread_stack = haft__linux_thread_stack,
    .thread_errno = haft__linux_thread_errno,
    .alternate_stack_enter = haft__linux_alternate_stack_enter,
    .alternate_stack_leave = haft__linux_alternate_stack_leave,
    .cpu_count = haft__linux_cpu_count,
    .map_count_limit = haft__linux_map_count_limit,
    .thread_count = haft__linux_thread_count,
    .may_be_signalled = haft__linux_may_be_signalled,
    .at_fork_child = haft__linux_at_fork_child,
    .fault_handler_install = haft__linux_fault_handler_install,
    .write_error = haft__linux_write_error,
    .abort = haft__linux_abort,
    .random = haft__linux_random,
};

const struct haft__os *haft__os = &haft__os_linux;

haft__atomic(bool) haft__fence_is_asymmetric;
static haft__atomic(uint32_t) fence_setup;
enum { FENCE_UNDECIDED, FENCE_DECIDING, FENCE_DECIDED };

void haft__os_replace(const struct haft__os *table)
{
    static const char stale[] = "haft: haft__os_replace: the table is of another version\n";

    if (table == NULL)
        table = &haft__os_linux;
    if (table->size != sizeof(struct haft__os)) {
        haft__linux_write_error(stale, sizeof stale - 1);
        haft__linux_abort();
    }
    haft__os = table;
    haft__store_relaxed(&haft__fence_is_asymmetric, false);
    haft__store_relaxed(&fence_setup, FENCE_UNDECIDED);
}

void haft__fence_setup(void)
{
    uint32_t undecided = FENCE_UNDECIDED;
    if (haft__cas_relaxed(&fence_setup, &undecided, FENCE_DECIDING)) {
        haft__store_relaxed(&haft__fence_is_asymmetric, haft__os->membarrier_register() == 0);
        haft__store_release(&fence_setup, FENCE_DECIDED);
    }
    /* Acquire: partner of the release; whoever returns sees the decision. */
    while (haft__load_acquire(&fence_setup) != FENCE_DECIDED)
        haft__spin("another thread is asking the kernel");
}

/* Partner of haft__fence_light: with membarrier, every thread of the process that runs has executed a full fence at
 * some point between the call and the return, so one of the two sides sees what the other stored before its fence. */
void haft__fence_heavy(void)
{
    if (haft__load_relaxed(&haft__fence_is_asymmetric))
        haft__os->membarrier();
    else
        haft__fence_full();
}
