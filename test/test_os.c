/* SPDX-License-Identifier: MIT
 *
 * The Linux table: what os.h promises of each entry, and the control group quotas on trees that were made up. Over
 * 600 lines: one table, tested entry by entry. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sanitizer.h"
#include "os/linux.h"
#include "os/os.h"
#include "test.h"

TEST_FILE_NEEDS_KERNEL("it tests the functions that the simulator has in their place");

static const struct haft__os *const os = &haft__os_linux;

/* --- memory ------------------------------------------------------------------------------------------------------ */

TEST("allocations have the alignment that was asked for")
{
    for (size_t alignment = sizeof(void *); alignment <= 65536; alignment *= 2) {
        char *memory = os->allocate(alignment + 1, alignment);

        check_ptr(memory, !=, NULL);
        check_uint((uintptr_t)memory % alignment, ==, 0);
        memset(memory, 1, alignment + 1);
        os->release(memory);
    }
    os->release(NULL);
}

/* Not a constant, or compilers would warn that it cannot work. */
static volatile size_t absurd = PTRDIFF_MAX;

TEST("what cannot be had is null, and errno stays as it was")
{
    char *memory;

#ifdef HAFT__ANNOUNCED
    skip("a sanitizer ends the process instead");
#endif
    errno = 4711;
    check_ptr(memory = os->allocate(absurd - 4096, 16), ==, NULL);
    check_ptr(memory = os->allocate(absurd - 65536, 4096), ==, NULL);
    check_ptr(memory = os->map(absurd & ~(size_t)65535), ==, NULL);
    check_int(errno, ==, 4711);
}

TEST("mapped memory is cleared, and cleared again when it was discarded")
{
    size_t size = 16 * os->page_size();
    char *memory = os->map(size);

    check_ptr(memory, !=, NULL);
    check_int(os->advise(memory, size, HAFT__ADVISE_POPULATE), <=, 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < size; i++)
            check(memory[i] == 0);
        memset(memory, 1, size);
        check_int(os->advise(memory, size, HAFT__ADVISE_DISCARD), ==, 0);
    }
    os->unmap(memory, size);
}

TEST("a refused advice is a negative code and leaves errno alone")
{
    size_t page = os->page_size();
    char *memory = os->map(page);

    errno = 4711;
    check_int(os->advise(memory + 1, page, HAFT__ADVISE_DISCARD), ==, -EINVAL);
    check_int(os->protect_none(memory + 1, page), ==, -EINVAL);
    check_int(errno, ==, 4711);
    os->unmap(memory, page);
}

/* --- time and waiting -------------------------------------------------------------------------------------------- */

TEST("time does not run backwards")
{
    int64_t before = os->now();

    for (int i = 0; i < 10000; i++) {
        int64_t now = os->now();

        check_int(now, >=, before);
        before = now;
    }
}

TEST("waiting on a word that has another value returns at once")
{
    haft__atomic(uint32_t) word = 1;

    check_int(os->futex_wait(&word, 2, INT64_MAX), ==, 0);
}

TEST("a deadline that is past, be it negative, ends a wait")
{
    haft__atomic(uint32_t) word = 1;

    errno = 4711;
    check_int(os->futex_wait(&word, 1, os->now() - 1), ==, -ETIMEDOUT);
    check_int(os->futex_wait(&word, 1, 0), ==, -ETIMEDOUT);
    check_int(os->futex_wait(&word, 1, INT64_MIN), ==, -ETIMEDOUT);
    check_int(errno, ==, 4711);
}

TEST("a wait does not end before its deadline")
{
    haft__atomic(uint32_t) word = 1;
    int64_t deadline = os->now() + 20000000;
    int rc;

    do
        rc = os->futex_wait(&word, 1, deadline);
    while (rc == 0 || rc == -EINTR);
    check_int(rc, ==, -ETIMEDOUT);
    check_int(os->now(), >=, deadline);
}

struct waiter {
    haft__atomic(uint32_t) word;
    haft__atomic(int) rc;
    int64_t deadline;
};

static void wait_for_change(void *argument)
{
    struct waiter *waiter = argument;
    int rc = 0;

    while (haft__load_acquire(&waiter->word) == 0 && rc == 0)
        rc = os->futex_wait(&waiter->word, 0, waiter->deadline);
    haft__store_release(&waiter->rc, rc);
}

TEST("wake wakes those that wait, with and without a deadline")
{
    for (int with = 0; with < 2; with++) {
        struct waiter waiter = { .rc = 1, .deadline = with ? os->now() + INT64_C(3600000000000) : INT64_MAX };
        haft__os_thread thread[3];

        for (int i = 0; i < 3; i++)
            check_int(os->thread_create(&thread[i], NULL, wait_for_change, &waiter), ==, 0);
        haft__store_release(&waiter.word, 1);
        os->futex_wake(&waiter.word, INT_MAX);
        for (int i = 0; i < 3; i++)
            os->thread_join(thread[i]);
        check_int(haft__load_acquire(&waiter.rc), ==, 0);
    }
}

static void ignore_signal(int signal)
{
    (void)signal;
}

static void wait_for_signal(void *argument)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    wait_for_change(argument);
}

TEST("a signal that is handled interrupts a wait")
{
    struct sigaction action = { .sa_handler = ignore_signal };
    struct waiter waiter = { .rc = 1, .deadline = INT64_MAX };
    haft__os_thread thread;

    sigemptyset(&action.sa_mask);
    check_int(sigaction(SIGUSR1, &action, NULL), ==, 0);
    check_int(os->thread_create(&thread, NULL, wait_for_signal, &waiter), ==, 0);
    while (haft__load_acquire(&waiter.rc) == 1) {
        check_int(pthread_kill((pthread_t)thread.native, SIGUSR1), ==, 0);
        os->yield();
    }
    check_int(haft__load_acquire(&waiter.rc), ==, -EINTR);
    os->thread_join(thread);
}

/* --- fences ------------------------------------------------------------------------------------------------------ */

static int refuse(void)
{
    return -ENOSYS;
}

static void must_not_be_called(void)
{
    fail("membarrier without registration");
}

TEST("both forms of the heavy fence can be used")
{
    struct haft__os without = haft__os_linux;

    haft__fence_setup();
    haft__fence_light();
    haft__fence_heavy();
    without.membarrier_register = refuse;
    without.membarrier = must_not_be_called;
    haft__os_replace(&without);
    haft__fence_setup();
    check(!haft__fence_is_asymmetric);
    haft__fence_light();
    haft__fence_heavy();
    haft__os_replace(NULL);
    check_ptr(haft__os, ==, &haft__os_linux);
}

TEST_EXITS("a table of another version is refused", TEST_SIGNAL(SIGABRT), "another version")
{
    struct haft__os stale = haft__os_linux;

    stale.size -= sizeof(void *);
    haft__os_replace(&stale);
}

/* Each side stores, fences and loads. If both could miss the other's store, sleepers would miss wakes. */
struct dekker {
    pthread_barrier_t round;
    haft__atomic(int) light, heavy;
    int light_saw, heavy_saw;
    int rounds;
};

static void light_side(void *argument)
{
    struct dekker *dekker = argument;

    for (int i = 0; i < dekker->rounds; i++) {
        pthread_barrier_wait(&dekker->round);
        haft__store_relaxed(&dekker->light, 1);
        haft__fence_light();
        dekker->light_saw = haft__load_relaxed(&dekker->heavy);
        pthread_barrier_wait(&dekker->round);
        pthread_barrier_wait(&dekker->round);
    }
}

TEST("of a light and a heavy fence one side sees the other's store")
{
    struct dekker dekker = { .rounds = 2000 / (int)test_slowness() };
    haft__os_thread thread;

    haft__fence_setup();
    check_int(pthread_barrier_init(&dekker.round, NULL, 2), ==, 0);
    check_int(os->thread_create(&thread, NULL, light_side, &dekker), ==, 0);
    for (int i = 0; i < dekker.rounds; i++) {
        haft__store_relaxed(&dekker.light, 0);
        haft__store_relaxed(&dekker.heavy, 0);
        pthread_barrier_wait(&dekker.round);
        haft__store_relaxed(&dekker.heavy, 1);
        haft__fence_heavy();
        dekker.heavy_saw = haft__load_relaxed(&dekker.light);
        pthread_barrier_wait(&dekker.round);
        check(dekker.light_saw || dekker.heavy_saw);
        pthread_barrier_wait(&dekker.round);
    }
    os->thread_join(thread);
    pthread_barrier_destroy(&dekker.round);
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

struct seen {
    sigset_t mask;
    char name[32];
    void *low;
    size_t size;
    char *here;
    haft__os_thread self;
    int *error_address;
};

static void look_around(void *argument)
{
    struct seen *seen = argument;
    char here;

    pthread_sigmask(SIG_BLOCK, NULL, &seen->mask);
    pthread_getname_np(pthread_self(), seen->name, sizeof seen->name);
    check_int(os->thread_stack(&seen->low, &seen->size), ==, 0);
    seen->here = (char *)__builtin_frame_address(0);
    seen->self = os->thread_self();
    seen->error_address = os->thread_errno();
    check_ptr(seen->error_address, ==, &errno);
    (void)here;
}

TEST("a thread starts with asynchronous signals blocked, and its creator's mask stays")
{
    static const int open[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
    static const int shut[] = {
        SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGALRM, SIGPROF, SIGQUIT
    };
    struct seen seen;
    haft__os_thread thread;
    sigset_t mine, before, after;

    sigemptyset(&mine);
    sigaddset(&mine, SIGSEGV);
    sigaddset(&mine, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &mine, NULL);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    check_int(os->thread_create(&thread, NULL, look_around, &seen), ==, 0);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    os->thread_join(thread);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        check_int(sigismember(&seen.mask, open[i]), ==, 0);
    for (size_t i = 0; i < sizeof shut / sizeof *shut; i++)
        check_int(sigismember(&seen.mask, shut[i]), ==, 1);
    for (int signal = 1; signal < SIGRTMIN; signal++)
        check_int(sigismember(&after, signal), ==, sigismember(&before, signal));
}

TEST("a thread has its name, cut after 15 bytes, and knows itself and its stack")
{
    struct seen seen;
    haft__os_thread thread;
    haft__os_thread_options options = { .name = "a-name-that-is-too-long" };

    check_int(os->thread_create(&thread, &options, look_around, &seen), ==, 0);
    os->thread_join(thread);
    check_str(seen.name, "a-name-that-is-");
    check_uint(seen.self.native, ==, thread.native);
    check(seen.here > (char *)seen.low && seen.here < (char *)seen.low + seen.size);
    check_ptr(seen.error_address, !=, &errno);
}

TEST("the main thread knows its stack")
{
    void *low;
    size_t size;
    char *here = __builtin_frame_address(0);

    errno = 4711;
    check_int(os->thread_stack(&low, &size), ==, 0);
    check_int(errno, ==, 4711);
    check(here > (char *)low && here < (char *)low + size);
}

TEST("a stack that is too small is enlarged until a thread can run on it")
{
    for (size_t size = 1; size < 200000; size = size * 2 + 1) {
        struct seen seen;
        haft__os_thread thread;
        haft__os_thread_options options = { .stack_size = size };

        check_int(os->thread_create(&thread, &options, look_around, &seen), ==, 0);
        os->thread_join(thread);
        check_uint(seen.size, >=, size);
    }
}

static void must_not_run(void *argument)
{
    (void)argument;
    fail("a thread that was not created runs");
}

TEST("a thread whose stack cannot be had is an error, and errno stays as it was")
{
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2, (size_t)1 << 60 };

    errno = 4711;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        haft__os_thread thread;
        haft__os_thread_options options = { .stack_size = sizes[i] };

        check_int(os->thread_create(&thread, &options, must_not_run, NULL), <, 0);
    }
    check_int(errno, ==, 4711);
}

static void cancel_myself(void *argument)
{
    haft__atomic(uint32_t) word = 0;
    haft__os_thread thread;
    struct seen seen;
    void *low;
    size_t size;
    int state;

    check_int(pthread_cancel(pthread_self()), ==, 0);
    os->write_error("", 0);
    os->write_error("(nothing is wrong)\n", 19);
    os->futex_wait(&word, 0, os->now() + 1000);
    os->thread_stack(&low, &size);
    os->cpu_count();
    os->map_count_limit();
    os->random();
    os->yield();
    check_int(os->thread_create(&thread, NULL, look_around, &seen), ==, 0);
    os->thread_join(thread);
    os->release(os->allocate(100, 64));
    /* Really being cancelled would confuse the sanitizers. */
    check_int(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state), ==, 0);
    *(bool *)argument = true;
}

TEST("no function is a cancellation point")
{
    bool got_through = false;
    haft__os_thread thread;

    check_int(os->thread_create(&thread, NULL, cancel_myself, &got_through), ==, 0);
    os->thread_join(thread);
    check(got_through);
}

/* --- the end of a thread ----------------------------------------------------------------------------------------- */

enum { KEYS = 20 };

/* In how many rounds a destructor may set its key again for ours to be later; one less under the thread sanitizer, which
 * needs the last round for itself. */
#ifdef HAFT__TSAN
enum { SET_AGAIN = PTHREAD_DESTRUCTOR_ITERATIONS - 2 };
#else
enum { SET_AGAIN = PTHREAD_DESTRUCTOR_ITERATIONS - 1 };
#endif

/* Half of the keys were created before haft's, half after it. */
struct ending {
    pthread_key_t key[KEYS];
    int left[KEYS]; /* how often a key's destructor sets the key again */
    int running;    /* destructors that are still to come */
    int ended;      /* calls of ours */
    int missed;     /* destructors that came after ours */
};

struct ending_key {
    struct ending *ending;
    int index;
};

static void key_destructor(void *argument)
{
    struct ending_key *mine = argument;
    struct ending *ending = mine->ending;

    if (ending->ended)
        ending->missed++;
    ending->running--;
    if (ending->left[mine->index]-- > 0) {
        ending->running++;
        pthread_setspecific(ending->key[mine->index], mine);
    } else {
        free(mine);
    }
}

static void note_end(void *argument)
{
    struct ending *ending = argument;

    ending->ended++;
    check_int(ending->running, ==, 0);
}

static void end_with_keys(void *argument)
{
    struct ending *ending = argument;

    check_int(os->thread_at_exit(note_end, ending), ==, 0);
    for (int i = 0; i < KEYS; i++) {
        struct ending_key *mine = malloc(sizeof *mine);

        check(mine != NULL);
        *mine = (struct ending_key){ ending, i };
        ending->running++;
        check_int(pthread_setspecific(ending->key[i], mine), ==, 0);
    }
}

static void set_and_clear(void *argument)
{
    check_int(os->thread_at_exit(note_end, argument), ==, 0);
    check_int(os->thread_at_exit(note_end, NULL), ==, 0);
}

TEST("the value given for a thread's end is destroyed after those of all keys that were set again")
{
    struct ending ending = { .running = 0 };
    haft__os_thread thread;

    for (int i = 0; i < KEYS; i++) {
        if (i == KEYS / 2) {
            check_int(os->thread_create(&thread, NULL, set_and_clear, &ending), ==, 0);
            os->thread_join(thread);
            check_int(ending.ended, ==, 0);
        }
        check_int(pthread_key_create(&ending.key[i], key_destructor), ==, 0);
        ending.left[i] = i % SET_AGAIN;
    }
    check_int(os->thread_create(&thread, NULL, end_with_keys, &ending), ==, 0);
    os->thread_join(thread);
    check_int(ending.ended, ==, 1);
    check_int(ending.missed, ==, 0);
    for (int i = 0; i < KEYS; i++)
        pthread_key_delete(ending.key[i]);
}

static void replace_value(void *argument)
{
    struct ending *endings = argument;

    check_int(os->thread_at_exit(note_end, &endings[0]), ==, 0);
    check_int(os->thread_at_exit(note_end, &endings[1]), ==, 0);
}

TEST("a second value takes the place of the first")
{
    struct ending endings[2] = { { .running = 0 }, { .running = 0 } };
    haft__os_thread thread;

    check_int(os->thread_create(&thread, NULL, replace_value, endings), ==, 0);
    os->thread_join(thread);
    check_int(endings[0].ended, ==, 0);
    check_int(endings[1].ended, ==, 1);
}

/* --- the process ------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t forks_seen;

static void see_fork(void)
{
    forks_seen++;
}

TEST("the child of a fork is told, its parent is not")
{
    check_int(os->at_fork_child(see_fork), ==, 0);
    pid_t child = fork();
    check_int(child, >=, 0);
    if (child == 0)
        _exit(forks_seen);
    int status = -1;
    check_int(waitpid(child, &status, 0), ==, child);
    check(WIFEXITED(status));
    check_int(WEXITSTATUS(status), ==, 1);
    check_int(forks_seen, ==, 0);
}

TEST("two seeds differ")
{
    check(os->random() != os->random());
}

TEST("the limit of mappings is what the kernel says")
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    unsigned long limit = 0;

    if (file != NULL) {
        char line[40];
        if (fgets(line, sizeof line, file) != NULL)
            limit = strtoul(line, NULL, 10);
        fclose(file);
    }
    check_uint(os->map_count_limit(), ==, limit);
}

TEST_EXITS("last words reach standard error before the process aborts", TEST_SIGNAL(SIGABRT), "last words")
{
    os->write_error("last words\n", 11);
    os->abort();
}

struct reader {
    int fd;
    size_t got;
};

static void read_to_end(void *argument)
{
    struct reader *reader = argument;
    char buffer[1000];
    ssize_t got;

    while ((got = read(reader->fd, buffer, sizeof buffer)) > 0)
        reader->got += (size_t)got;
}

TEST("a long text is written as a whole, even when standard error does not block")
{
    enum { LENGTH = 1 << 20 };
    char *text = malloc(LENGTH);
    int ends[2];
    int before = dup(STDERR_FILENO);
    struct reader reader = { 0, 0 };
    haft__os_thread thread;

    check(text != NULL && before >= 0);
    check_int(pipe2(ends, O_CLOEXEC), ==, 0);
    check_int(fcntl(ends[1], F_SETFL, O_NONBLOCK), ==, 0);
    memset(text, 'x', LENGTH);
    reader.fd = ends[0];
    check_int(os->thread_create(&thread, NULL, read_to_end, &reader), ==, 0);
    check_int(dup2(ends[1], STDERR_FILENO), ==, STDERR_FILENO);
    close(ends[1]);
    os->write_error(text, LENGTH);
    check_int(dup2(before, STDERR_FILENO), ==, STDERR_FILENO);
    os->thread_join(thread);
    check_uint(reader.got, ==, LENGTH);
    close(ends[0]);
    close(before);
    free(text);
}

static void pin_and_count(void *argument)
{
    cpu_set_t set, one;
    size_t cpu = 0;

    CPU_ZERO(&set);
    CPU_ZERO(&one);
    check_int(sched_getaffinity(0, sizeof set, &set), ==, 0);
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    CPU_SET(cpu, &one);
    check_int(sched_setaffinity(0, sizeof one, &one), ==, 0);
    *(unsigned *)argument = os->cpu_count();
}

TEST("a thread that may run on one processor counts one")
{
    unsigned count = 0;
    haft__os_thread thread;

    check_uint(os->cpu_count(), >=, 1);
    check_int(os->thread_create(&thread, NULL, pin_and_count, &count), ==, 0);
    os->thread_join(thread);
    check_uint(count, ==, 1);
}

/* --- quotas ------------------------------------------------------------------------------------------------------ */

static char tree[PATH_MAX / 4];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void plant(void)
{
    snprintf(tree, sizeof tree, "/tmp/haft-test-XXXXXX");
    check(mkdtemp(tree) != NULL);
}

static void fell(void)
{
    check_int(nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
}

/* Puts text into a file of the tree, with the folders above it. */
static void put(const char *path, const char *text)
{
    char full[PATH_MAX];
    FILE *file;

    snprintf(full, sizeof full, "%s%s", tree, path);
    for (char *slash = full + strlen(tree) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        check(mkdir(full, 0700) == 0 || errno == EEXIST);
    }
    file = fopen(full, "w");
    check(file != NULL);
    check(fputs(text, file) >= 0);
    check_int(fclose(file), ==, 0);
}

#define MOUNT_2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

TEST("without control groups there is no quota")
{
    plant();
    check_uint(haft__linux_cpu_quota(tree), ==, 0);
    put("/proc/self/cgroup", "");
    put("/proc/self/mountinfo", "");
    check_uint(haft__linux_cpu_quota(tree), ==, 0);
    put("/proc/self/cgroup", "0::/a\nnonsense\n:\n::\n");
    put("/proc/self/mountinfo", "nonsense\n1 2 - cgroup2\n\n - \n1 2 3 / - cgroup2 x y\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 0);
    fell();
}

TEST("version 2: a quota is rounded up to whole processors")
{
    plant();
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", MOUNT_2);
    check_uint(haft__linux_cpu_quota(tree), ==, 0);
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 0);
    put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 1);
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 2);
    put("/sys/fs/cgroup/a/cpu.max", "200001 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);
    put("/sys/fs/cgroup/a/cpu.max", "300000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 0);
    fell();
}

TEST("version 2: the smallest quota of the groups above counts")
{
    plant();
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/proc/self/mountinfo", MOUNT_2);
    put("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 8);
    put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);
    put("/sys/fs/cgroup/a/b/cpu.max", "500000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);
    put("/sys/fs/cgroup/cpu.max", "40000 20000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 2);
    put("/sys/fs/cgroup/a/other/cpu.max", "100000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 2);
    fell();
}

TEST("version 1: the group of the cpu controller counts, and the groups above it")
{
    plant();
    put("/proc/self/cgroup", "9:cpuset:/wrong\n4:cpuacct,cpu:/a/b\n1:name=systemd:/wrong\n0::/wrong\n");
    put("/proc/self/mountinfo", "31 30 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                                "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n");
    put("/sys/fs/cgroup/cpuset/wrong/cpu.cfs_quota_us", "1\n");
    put("/sys/fs/cgroup/cpuset/wrong/cpu.cfs_period_us", "1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 0);
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "650000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 7);
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "20000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "5000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 4);
    fell();
}

TEST("a machine with both versions takes the smaller quota")
{
    plant();
    put("/proc/self/cgroup", "4:cpu:/a\n0::/b\n");
    put("/proc/self/mountinfo",
        "32 30 0:28 / /one rw - cgroup cgroup rw,cpu\n33 30 0:29 / /two rw - cgroup2 cgroup rw\n");
    put("/one/a/cpu.cfs_quota_us", "500000\n");
    put("/one/a/cpu.cfs_period_us", "100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 5);
    put("/two/b/cpu.max", "400000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 4);
    fell();
}

TEST("a container sees its group's quota where only a part of the hierarchy is mounted")
{
    plant();
    put("/proc/self/cgroup", "0::/docker/abc/inner\n");
    put("/proc/self/mountinfo", "33 30 0:29 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);
    put("/sys/fs/cgroup/inner/cpu.max", "200000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 2);

    /* The mount's own group: its name is all of the mount's root. */
    put("/proc/self/cgroup", "0::/docker/abc\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);

    /* A name that only begins alike is another group, and no mount shows it: its top is taken. */
    put("/proc/self/cgroup", "0::/docker/abcdef/inner\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);
    fell();
}

TEST("a group outside of the cgroup namespace falls back to the mount's top")
{
    plant();
    put("/proc/self/cgroup", "0::/../../elsewhere\n");
    put("/proc/self/mountinfo", MOUNT_2);
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    put("/elsewhere/cpu.max", "100000 100000\n");
    put("/sys/elsewhere/cpu.max", "100000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);
    fell();
}

TEST("another part of the hierarchy that is mounted as well does not count")
{
    plant();
    put("/proc/self/cgroup", "0::/mine\n");
    put("/proc/self/mountinfo", "33 30 0:29 /theirs /other rw - cgroup2 cgroup rw\n" MOUNT_2);
    put("/other/cpu.max", "100000 100000\n");
    put("/other/mine/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/mine/cpu.max", "300000 100000\n");
    check_uint(haft__linux_cpu_quota(tree), ==, 3);
    fell();
}

TEST("blanks in the path of a mount and a mountinfo of many lines are read")
{
    char *mountinfo;
    size_t length = 0;
    FILE *stream = open_memstream(&mountinfo, &length);

    check(stream != NULL);
    for (int i = 0; i < 2000; i++)
        fprintf(stream, "%d 23 0:%d / /mnt/%d rw - ext4 /dev/sda%d rw\n", 100 + i, i, i, i);
    fprintf(stream, "30 23 0:26 / /a\\040b\\134c rw - cgroup2 cgroup2 rw");
    check_int(fclose(stream), ==, 0);
    plant();
    put("/proc/self/cgroup", "0::/");
    put("/proc/self/mountinfo", mountinfo);
    put("/a b\\c/cpu.max", "600000 100000");
    check_uint(haft__linux_cpu_quota(tree), ==, 6);
    fell();
    free(mountinfo);
}

/* --- faults ------------------------------------------------------------------------------------------------------ */

static struct {
    char *page;
    size_t size;
    haft__os_fault fault;
    volatile sig_atomic_t ours, theirs;
    bool ours_mends;
    void *their_address;
    sigset_t their_mask;
} scene;

/* Puts a new page in place, whatever kept the old one from being accessed. */
static bool mend(void)
{
    return mmap(scene.page, scene.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
           scene.page;
}

static bool our_handler(const haft__os_fault *fault)
{
    scene.ours++;
    scene.fault = *fault;
    return scene.ours_mends && mend();
}

static void their_handler_with_info(int signal, siginfo_t *info, void *context)
{
    (void)context;
    check_int(signal, ==, SIGSEGV);
    scene.theirs++;
    scene.their_address = info->si_addr;
    pthread_sigmask(SIG_BLOCK, NULL, &scene.their_mask);
    mend();
}

static void their_plain_handler(int signal)
{
    check_int(signal, ==, SIGSEGV);
    scene.theirs++;
    pthread_sigmask(SIG_BLOCK, NULL, &scene.their_mask);
    mend();
}

static void prepare_scene(struct sigaction *before, bool ours_mends)
{
    scene.size = os->page_size();
    scene.page = os->map(scene.size);
    scene.ours_mends = ours_mends;
    check_ptr(scene.page, !=, NULL);
    check_int(os->protect_none(scene.page, scene.size), ==, 0);
    check_int(sigaction(SIGSEGV, before, NULL), ==, 0);
    check_int(os->fault_handler_install(our_handler), ==, 0);
}

static void store(char *address)
{
    *(volatile char *)address = 1;
}

/* Called through memory, because Valgrind remembers registers only as they were at the last jump that it could not
 * foresee, and an access that is repeated needs them. */
static void (*volatile touch)(char *) = store;

TEST("a fault is reported with its address and stack pointer, and the mended access is repeated")
{
    struct sigaction before = { .sa_handler = SIG_DFL };
    char *here = __builtin_frame_address(0);

    prepare_scene(&before, true);
    errno = 4711;
    touch(scene.page + 123);
    check_int(errno, ==, 4711);
    check_int(scene.page[123], ==, 1);
    check_int(scene.ours, ==, 1);
    check_ptr(scene.fault.address, ==, scene.page + 123);
    check_int(scene.fault.signal, ==, SIGSEGV);
    if (scene.fault.stack_pointer != NULL)
        check((char *)scene.fault.stack_pointer <= here && here - (char *)scene.fault.stack_pointer < 65536);
    os->unmap(scene.page, scene.size);
}

TEST("a guard of the light kind faults, also after discarding, and guards its own pages alone")
{
    size_t page = os->page_size();
    char *area = os->map(3 * page);
    int rc = os->advise(area + page, page, HAFT__ADVISE_GUARD);

    if (rc == -EINVAL)
        skip("this kernel has none");
    check_int(rc, ==, 0);
    check_int(os->advise(area, 3 * page, HAFT__ADVISE_DISCARD), ==, 0);
    scene.page = area + page;
    scene.size = page;
    scene.ours_mends = true;
    check_int(os->fault_handler_install(our_handler), ==, 0);
    touch(area + page - 1);
    touch(area + 2 * page);
    check_int(scene.ours, ==, 0);
    touch(area + 2 * page - 1);
    check_int(scene.ours, ==, 1);
    check_ptr(scene.fault.address, ==, area + 2 * page - 1);
    os->unmap(area, 3 * page);
}

TEST("what our handler does not take goes to the one before, with the same information")
{
    struct sigaction before = { .sa_sigaction = their_handler_with_info, .sa_flags = SA_SIGINFO };

    sigemptyset(&before.sa_mask);
    sigaddset(&before.sa_mask, SIGUSR2);
    prepare_scene(&before, false);
    touch(scene.page + 7);
    check_int(scene.ours, ==, 1);
    check_int(scene.theirs, ==, 1);
    check_ptr(scene.their_address, ==, scene.page + 7);
    check_int(sigismember(&scene.their_mask, SIGUSR2), ==, 1);
    check_int(sigismember(&scene.their_mask, SIGSEGV), ==, 1);
    pthread_sigmask(SIG_BLOCK, NULL, &scene.their_mask);
    check_int(sigismember(&scene.their_mask, SIGUSR2), ==, 0);
    check_int(sigismember(&scene.their_mask, SIGSEGV), ==, 0);
    os->unmap(scene.page, scene.size);
}

TEST("a plain handler before ours is called too, with the signal open if it asked for that")
{
    struct sigaction before = { .sa_handler = their_plain_handler, .sa_flags = SA_NODEFER };

    sigemptyset(&before.sa_mask);
    prepare_scene(&before, false);
    touch(scene.page);
    check_int(scene.theirs, ==, 1);
    check_int(sigismember(&scene.their_mask, SIGSEGV), ==, 0);
    os->unmap(scene.page, scene.size);
}

static bool another_handler(const haft__os_fault *fault)
{
    (void)fault;
    fail("the second handler was installed");
}

TEST("the handler is installed once")
{
    struct sigaction before = { .sa_handler = SIG_DFL };

    prepare_scene(&before, true);
    check_int(os->fault_handler_install(another_handler), ==, 0);
    touch(scene.page);
    check_int(scene.ours, ==, 1);
    os->unmap(scene.page, scene.size);
}

TEST_EXITS("a fault that nobody takes ends the process as if there were no handler", TEST_SIGNAL(SIGSEGV), "")
{
    struct sigaction before = { .sa_handler = SIG_DFL };

    prepare_scene(&before, false);
    touch(scene.page);
}

TEST_EXITS("a fault cannot be ignored", TEST_SIGNAL(SIGSEGV), "")
{
    struct sigaction before = { .sa_handler = SIG_IGN };

    prepare_scene(&before, false);
    touch(scene.page);
}

TEST("a signal that somebody sent can be ignored, and is not taken for a fault")
{
    struct sigaction before = { .sa_handler = SIG_IGN };

    prepare_scene(&before, false);
    check_int(raise(SIGSEGV), ==, 0);
    check_int(scene.ours, ==, 0);
    os->unmap(scene.page, scene.size);
}

TEST_EXITS("a signal that somebody sent ends the process by default", TEST_SIGNAL(SIGSEGV), "")
{
    struct sigaction before = { .sa_handler = SIG_DFL };

    prepare_scene(&before, true);
    raise(SIGSEGV);
}

TEST_EXITS("a handler that wanted to be called once is called once", TEST_SIGNAL(SIGSEGV), "once\n")
{
    struct sigaction before = { .sa_handler = their_plain_handler, .sa_flags = (int)SA_RESETHAND };

    sigemptyset(&before.sa_mask);
    prepare_scene(&before, false);
    touch(scene.page);
    if (scene.theirs == 1)
        os->write_error("once\n", 5);
    check_int(os->protect_none(scene.page, scene.size), ==, 0);
    touch(scene.page);
}

static int file_of_scene;

static bool enlarge_file(const haft__os_fault *fault)
{
    scene.ours++;
    scene.fault = *fault;
    return ftruncate(file_of_scene, (off_t)scene.size) == 0;
}

TEST("an access behind the end of a mapped file is reported as a bus error")
{
    scene.size = os->page_size();
    file_of_scene = memfd_create("haft-test", MFD_CLOEXEC);
    check_int(file_of_scene, >=, 0);
    scene.page = mmap(NULL, scene.size, PROT_READ | PROT_WRITE, MAP_SHARED, file_of_scene, 0);
    check(scene.page != MAP_FAILED);
    check_int(os->fault_handler_install(enlarge_file), ==, 0);
    touch(scene.page + 5);
    check_int(scene.ours, ==, 1);
    check_int(scene.fault.signal, ==, SIGBUS);
    check_ptr(scene.fault.address, ==, scene.page + 5);
    os->unmap(scene.page, scene.size);
    close(file_of_scene);
}

/* --- alternate stacks -------------------------------------------------------------------------------------------- */

static void enter_and_leave(void *argument)
{
    void *first, *second;
    stack_t stack;

    (void)argument;
    check_int(sigaltstack(NULL, &stack), ==, 0);
    if ((stack.ss_flags & SS_DISABLE) == 0) {
        check_int(os->alternate_stack_enter(&first), ==, 0);
        check_ptr(first, ==, NULL); /* a sanitizer's own is left in place */
        return;
    }
    check_int(os->alternate_stack_enter(&first), ==, 0);
    check_ptr(first, !=, NULL);
    check_int(os->alternate_stack_enter(&second), ==, 0);
    check_ptr(second, ==, NULL);
    os->alternate_stack_leave(second);
    check_int(sigaltstack(NULL, &stack), ==, 0);
    check((stack.ss_flags & SS_DISABLE) == 0);
    os->alternate_stack_leave(first);
    check_int(sigaltstack(NULL, &stack), ==, 0);
    check((stack.ss_flags & SS_DISABLE) != 0);
}

TEST("a thread gets an alternate stack if it has none, and gives back its own")
{
    haft__os_thread thread;

    check_int(os->thread_create(&thread, NULL, enter_and_leave, NULL), ==, 0);
    os->thread_join(thread);
}

static bool report_overflow(const haft__os_fault *fault)
{
    char *address = fault->address;
    char *sp = fault->stack_pointer;

    if (sp == NULL || (address - sp < 65536 && sp - address < 65536))
        os->write_error("the stack is full\n", 18);
    _exit(3);
}

static volatile int without_end = 1;

__attribute__((noinline)) static int recurse(int depth)
{
    volatile char area[1024];

    area[0] = (char)depth;
    /* The whole of it is wanted: the thread sanitizer's own stack of calls has room for 65,536 of them. */
    __asm__ volatile("" ::"r"(area) : "memory");
    if (without_end)
        area[0] = (char)(area[0] + recurse(depth + 1));
    return area[0];
}

static void overflow(void *argument)
{
    void *memory;

    (void)argument;
    check_int(os->alternate_stack_enter(&memory), ==, 0);
    recurse(0);
}

TEST_EXITS("an overflow of a thread's stack is reported from the alternate stack", TEST_STATUS(3), "the stack is full")
{
    haft__os_thread thread;

    check_int(os->fault_handler_install(report_overflow), ==, 0);
    check_int(os->thread_create(&thread, NULL, overflow, NULL), ==, 0);
    os->thread_join(thread);
}
