/* SPDX-License-Identifier: MIT
 *
 * Time, sleeping on a word, and the barrier on all threads. The futex calls go past the C library, which has none; they
 * are no cancellation points. */
#include "os/linux.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(long) == 8, "the futex and clock calls below take 64-bit times");

int64_t haft__linux_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time); /* cannot fail, so errno is left alone */
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int haft__linux_futex_wait(haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    int saved = errno;
    struct timespec until = { 0 };
    struct timespec *limit = NULL;
    int rc = 0;

    if (deadline != INT64_MAX) {
        if (deadline > 0) { /* the kernel refuses negative times; they are past like zero */
            until.tv_sec = deadline / 1000000000;
            until.tv_nsec = deadline % 1000000000;
        }
        limit = &until;
    }
    /* WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, where plain WAIT takes a span. */
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, limit, NULL,
                FUTEX_BITSET_MATCH_ANY) != 0)
        rc = errno == EAGAIN ? 0 : -errno;
    errno = saved;
    return rc;
}

void haft__linux_futex_wake(haft__atomic(uint32_t) *word, int count)
{
    int saved = errno;

    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved;
}

void haft__linux_yield(void)
{
    sched_yield(); /* always succeeds */
}

static int membarrier_call(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0 ? 0 : -errno;
}

int haft__linux_membarrier_register(void)
{
    int saved = errno;
    int rc = membarrier_call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);

    errno = saved;
    return rc;
}

/* A barrier that silently does nothing would break every protocol that relies on it, so failing is not an option. The
 * one error that can be mended is a registration that is missing. */
void haft__linux_membarrier(void)
{
    static const char broken[] = "haft: membarrier was registered but fails\n";
    int saved = errno;

    if (membarrier_call(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
        (membarrier_call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0 ||
         membarrier_call(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)) {
        haft__linux_write_error(broken, sizeof broken - 1);
        haft__linux_abort();
    }
    errno = saved;
}
