/* SPDX-License-Identifier: MIT
 *
 * The process as a whole: its limits, its identity, its last words. */
#include "os/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitizer.h"

/* open, read, write and poll of the C library are cancellation points; the bare system calls are not. */
static int open_for_reading(const char *path)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

static void close_file(int fd)
{
    syscall(SYS_close, fd);
}

/* Fills *text, grown as needed, from fd. False when reading or memory fails; *text is released by the caller. */
static bool read_all(int fd, char **text)
{
    size_t length = 0;
    size_t capacity = 0;

    for (;;) {
        long got;

        if (capacity - length < 2) { /* room for one byte and the null */
            char *larger = realloc(*text, capacity = capacity == 0 ? 4096 : capacity * 2);

            if (larger == NULL)
                return false;
            *text = larger;
        }
        got = syscall(SYS_read, fd, *text + length, capacity - length - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        HAFT__TOLD_INITIALISED(*text + length, (size_t)got);
        length += (size_t)got;
    }
    (*text)[length] = '\0';
    return true;
}

char *haft__linux_read_file(const char *path)
{
    int saved = errno;
    char *text = NULL;
    int fd = open_for_reading(path);

    if (fd >= 0) {
        if (!read_all(fd, &text)) {
            free(text);
            text = NULL;
        }
        close_file(fd);
    }
    errno = saved;
    return text;
}

size_t haft__linux_map_count_limit(void)
{
    char *text = haft__linux_read_file("/proc/sys/vm/max_map_count");
    size_t limit = 0;

    for (const char *c = text; c != NULL && *c >= '0' && *c <= '9' && limit <= INT_MAX; c++)
        limit = limit * 10 + (size_t)(*c - '0');
    haft__linux_release(text);
    return limit;
}

unsigned haft__linux_thread_count(void)
{
    static const char key[] = "\nThreads:\t";
    char *text = haft__linux_read_file("/proc/self/status");
    const char *found = text != NULL ? strstr(text, key) : NULL;
    unsigned count = 0;

    if (found != NULL)
        for (const char *c = found + sizeof key - 1; *c >= '0' && *c <= '9'; c++)
            count = count * 10 + (unsigned)(*c - '0');
    haft__linux_release(text);
    return count;
}

bool haft__linux_may_be_signalled(void)
{
    int saved = errno;
    sigset_t set;
    bool found = false;

    haft__linux_asynchronous_signals(&set);
    for (int number = 1; number <= SIGRTMAX && !found; number++) {
        struct sigaction action;

        /* The C library hides its own two signals. */
        if (sigismember(&set, number) == 1 && sigaction(number, NULL, &action) == 0)
            found =
                (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
    }
    errno = saved;
    return found;
}

int haft__linux_at_fork_child(void (*what)(void))
{
    return -pthread_atfork(NULL, NULL, what);
}

void haft__linux_write_error(const char *text, size_t length)
{
    int saved = errno;

    while (length > 0) {
        long put = syscall(SYS_write, STDERR_FILENO, text, length);

        if (put >= 0) {
            text += put;
            length -= (size_t)put;
        } else if (errno == EAGAIN) { /* somebody made it non-blocking */
            struct pollfd wait = { .fd = STDERR_FILENO, .events = POLLOUT };

            if (syscall(SYS_ppoll, &wait, 1, NULL, NULL, 0) < 0 && errno != EINTR)
                break;
        } else if (errno != EINTR) {
            break; /* closed: there is nobody left to tell */
        }
    }
    errno = saved;
}

void haft__linux_abort(void)
{
    abort();
}

uint64_t haft__linux_random(void)
{
    int saved = errno;
    uint64_t seed;
    enum { NONBLOCK = 1 }; /* GRND_NONBLOCK: early in boot, rather no entropy than no start */

    if (syscall(SYS_getrandom, &seed, sizeof seed, NONBLOCK) != (long)sizeof seed)
        seed =
            (uint64_t)haft__linux_now() * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)&seed ^ (uint64_t)getpid() << 32;
    HAFT__TOLD_INITIALISED(&seed, sizeof seed);
    errno = saved;
    return seed;
}
