/* SPDX-License-Identifier: MIT
 *
 * Memory from the C library's allocator and from the kernel. */
#include "os/linux.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Newer than the C library's headers. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#define SELF (-10001) /* PIDFD_SELF_THREAD_GROUP, Linux 6.14 */

void *haft__linux_allocate(size_t size, size_t alignment)
{
    int saved = errno;
    void *memory;

    if (alignment <= _Alignof(max_align_t))
        memory = malloc(size);
    else if (posix_memalign(&memory, alignment, size) != 0)
        memory = NULL;
    errno = saved;
    return memory;
}

void haft__linux_release(void *memory)
{
    int saved = errno;

    free(memory);
    errno = saved;
}

void *haft__linux_map(size_t size)
{
    int saved = errno;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    errno = saved;
    return memory == MAP_FAILED ? NULL : memory;
}

void haft__linux_unmap(void *memory, size_t size)
{
    int saved = errno;

    munmap(memory, size);
    errno = saved;
}

int haft__linux_protect_none(void *memory, size_t size)
{
    int saved = errno;
    int rc = mprotect(memory, size, PROT_NONE) == 0 ? 0 : -errno;

    errno = saved;
    return rc;
}

/* Emulators of the system call interface accept any advice and ignore it. For all but a guard that does no harm, but a
 * guard that does not fault is worse than a refusal. A page behind a true guard cannot be populated. */
static bool guards_are_real(void)
{
    enum { UNKNOWN, REAL, ABSENT };
    static haft__atomic(int) state; /* relaxed: threads that race find the same answer, and nothing depends on it */
    int known = haft__load_relaxed(&state);

    if (known == UNKNOWN) {
        size_t size = haft__linux_page_size();
        void *page = haft__linux_map(size);

        if (page == NULL)
            return false;
        known = madvise(page, size, MADV_GUARD_INSTALL) == 0 && madvise(page, size, MADV_POPULATE_WRITE) != 0 ? REAL
                                                                                                              : ABSENT;
        haft__linux_unmap(page, size);
        haft__store_relaxed(&state, known);
    }
    return known == REAL;
}

static const int advice_of_linux[] = {
    [HAFT__ADVISE_DISCARD] = MADV_DONTNEED,
    [HAFT__ADVISE_NO_HUGE] = MADV_NOHUGEPAGE,
    [HAFT__ADVISE_GUARD] = MADV_GUARD_INSTALL,
    [HAFT__ADVISE_POPULATE] = MADV_POPULATE_WRITE,
};

int haft__linux_advise(void *memory, size_t size, enum haft__os_advice advice)
{
    int saved = errno;
    int rc;

    if (advice == HAFT__ADVISE_GUARD && !guards_are_real())
        rc = -EINVAL;
    else
        rc = madvise(memory, size, advice_of_linux[advice]) == 0 ? 0 : -errno;
    errno = saved;
    return rc;
}

/* process_madvise takes all parts at once since Linux 6.14 if the process is the caller's own; a guard then costs 430 ns
 * instead of 730. Whatever it refuses is done one by one. */
int haft__linux_advise_each(const haft__os_range *ranges, size_t count, enum haft__os_advice advice)
{
    enum { AT_ONCE = 64 };
    static haft__atomic(bool) is_refused; /* relaxed: threads that race find the same answer */
    struct iovec parts[AT_ONCE];
    int saved = errno;
    int rc = 0;

    if (advice == HAFT__ADVISE_GUARD && !guards_are_real())
        rc = -EINVAL;
    while (rc == 0 && count > 0) {
        size_t n = count < AT_ONCE ? count : AT_ONCE, size = 0;

        for (size_t i = 0; i < n; i++) {
            parts[i] = (struct iovec){ ranges[i].memory, ranges[i].size };
            size += ranges[i].size;
        }
        long done = haft__load_relaxed(&is_refused)
                        ? -1
                        : syscall(SYS_process_madvise, SELF, parts, n, advice_of_linux[advice], 0);
        if (done != (long)size)
            for (size_t i = 0; i < n && rc == 0; i++)
                rc = haft__linux_advise(ranges[i].memory, ranges[i].size, advice);
        if (done < 0 && rc == 0) /* not the ranges were at fault, but the call */
            haft__store_relaxed(&is_refused, true);
        ranges += n;
        count -= n;
    }
    errno = saved;
    return rc;
}

size_t haft__linux_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}
