/* SPDX-License-Identifier: MIT
 *
 * The C library's thread functions, as far as tests use them, for simulated threads. The linker's --wrap puts them in the
 * place of the real ones (CMakeLists.txt has the list), so a test needs not know where it runs. Outside of a run they
 * are the real ones. */
#include "world.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* --- threads ------------------------------------------------------------------------------------------------------ */

struct start {
    void *(*body)(void *);
    void *argument;
};

static void begin(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    sim_world.self->result = start.body(start.argument);
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*body)(void *), void *argument);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
    struct start *start = malloc(sizeof *start);
    int is_detached = PTHREAD_CREATE_JOINABLE;
    if (start == NULL)
        return EAGAIN;
    *start = (struct start){ body, argument };
    sim_call("pthread_create", 0);
    sim_thread *thread = sim_thread_new(begin, start, 0, "test");
    if (attributes != NULL)
        pthread_attr_getdetachstate(attributes, &is_detached);
    thread->is_joinable = is_detached == PTHREAD_CREATE_JOINABLE;
    *out = (pthread_t)sim_number(thread);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result)
{
    sim_call("pthread_join", (uint64_t)thread);
    return sim_join((uintptr_t)thread, result) ? 0 : ESRCH;
}

int __wrap_pthread_detach(pthread_t thread);
int __wrap_pthread_detach(pthread_t thread)
{
    sim_call("pthread_detach", (uint64_t)thread);
    return sim_detach((uintptr_t)thread) ? 0 : ESRCH;
}

pthread_t __real_pthread_self(void);
pthread_t __wrap_pthread_self(void);
pthread_t __wrap_pthread_self(void)
{
    return sim_is_running() ? (pthread_t)sim_number(sim_world.self) : __real_pthread_self();
}

/* The frames that it leaves are skipped; the destructors run on top of them. */
__attribute__((noreturn)) void __wrap_pthread_exit(void *result);
void __wrap_pthread_exit(void *result)
{
    sim_world.self->result = result;
    sim_run_destructors(sim_world.self);
    sim_thread_end();
}

static int stack_of(pthread_t thread, pthread_attr_t *out)
{
    const sim_thread *found = sim_thread_by_number((uintptr_t)thread);
    if (found == NULL)
        return ESRCH;
    pthread_attr_init(out);
    return pthread_attr_setstack(out, found->low, found->stack_size);
}

int __real_pthread_getattr_np(pthread_t thread, pthread_attr_t *out);
int __wrap_pthread_getattr_np(pthread_t thread, pthread_attr_t *out);
int __wrap_pthread_getattr_np(pthread_t thread, pthread_attr_t *out)
{
    return sim_is_running() ? stack_of(thread, out) : __real_pthread_getattr_np(thread, out);
}

int __wrap_pthread_setname_np(pthread_t thread, const char *name);
int __wrap_pthread_setname_np(pthread_t thread, const char *name)
{
    sim_thread *found = sim_thread_by_number((uintptr_t)thread);
    if (found == NULL || strlen(name) >= sizeof found->name)
        return found == NULL ? ESRCH : ERANGE;
    snprintf(found->name, sizeof found->name, "%s", name);
    return 0;
}

int __wrap_pthread_getname_np(pthread_t thread, char *name, size_t size);
int __wrap_pthread_getname_np(pthread_t thread, char *name, size_t size)
{
    const sim_thread *found = sim_thread_by_number((uintptr_t)thread);
    if (found == NULL)
        return ESRCH;
    return snprintf(name, size, "%s", found->name) < (int)size ? 0 : ERANGE;
}

/* Tests ask the kernel for the thread's number. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_gettid && sim_is_running())
        return (long)sim_number(sim_world.self);
    return __real_syscall(number, a, b, c, d, e, f);
}

/* --- what a thread has of its own --------------------------------------------------------------------------------- */

static struct {
    bool is_used;
    void (*destructor)(void *);
} keys[SIM_KEYS];

void sim_run_destructors(sim_thread *self)
{
    for (int round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS; round++) {
        bool again = false;
        for (unsigned i = 0; i < SIM_KEYS; i++) {
            void *value = self->values[i];
            self->values[i] = NULL;
            if (value != NULL && keys[i].is_used && keys[i].destructor != NULL) {
                keys[i].destructor(value);
                again = true;
            }
        }
        if (!again)
            break;
    }
    void *value = self->at_exit_value;
    self->at_exit_value = NULL;
    if (value != NULL)
        self->at_exit(value);
}

int __wrap_pthread_key_create(pthread_key_t *out, void (*destructor)(void *));
int __wrap_pthread_key_create(pthread_key_t *out, void (*destructor)(void *))
{
    for (unsigned i = 0; i < SIM_KEYS; i++)
        if (!keys[i].is_used) {
            keys[i].is_used = true;
            keys[i].destructor = destructor;
            for (uint32_t k = 0; k < sim_world.alive; k++)
                sim_world.threads[k]->values[i] = NULL;
            *out = i;
            return 0;
        }
    return EAGAIN;
}

int __wrap_pthread_key_delete(pthread_key_t key);
int __wrap_pthread_key_delete(pthread_key_t key)
{
    if (key >= SIM_KEYS || !keys[key].is_used)
        return EINVAL;
    keys[key].is_used = false;
    return 0;
}

int __wrap_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
    if (key >= SIM_KEYS || !keys[key].is_used)
        return EINVAL;
    memcpy(&sim_world.self->values[key], &value, sizeof value);
    return 0;
}

void *__wrap_pthread_getspecific(pthread_key_t key);
void *__wrap_pthread_getspecific(pthread_key_t key)
{
    return key < SIM_KEYS && keys[key].is_used ? sim_world.self->values[key] : NULL;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* All simulated threads are one to the C library, and it does not look who locked: who finds a mutex locked gives way. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    sim_call("pthread_mutex_lock", 0);
    while (pthread_mutex_trylock(mutex) != 0)
        sim_give_way("pthread_mutex_lock", SIM_SPIN_NS);
    return 0;
}

/* The C library's barrier is not touched but for its size: a round is open as long as the same callers are missing. */
enum { BARRIERS = 16 };
static struct {
    pthread_barrier_t *barrier;
    unsigned size, arrived, round;
} barriers[BARRIERS];

int __wrap_pthread_barrier_init(pthread_barrier_t *barrier, const pthread_barrierattr_t *attributes, unsigned count);
int __wrap_pthread_barrier_init(pthread_barrier_t *barrier, const pthread_barrierattr_t *attributes, unsigned count)
{
    (void)attributes;
    for (unsigned i = 0; i < BARRIERS; i++)
        if (barriers[i].barrier == NULL || barriers[i].barrier == barrier) {
            barriers[i].barrier = barrier;
            barriers[i].size = count;
            barriers[i].arrived = 0;
            return 0;
        }
    return EAGAIN;
}

int __wrap_pthread_barrier_destroy(pthread_barrier_t *barrier);
int __wrap_pthread_barrier_destroy(pthread_barrier_t *barrier)
{
    for (unsigned i = 0; i < BARRIERS; i++)
        if (barriers[i].barrier == barrier)
            barriers[i].barrier = NULL;
    return 0;
}

int __wrap_pthread_barrier_wait(pthread_barrier_t *barrier);
int __wrap_pthread_barrier_wait(pthread_barrier_t *barrier)
{
    sim_call("pthread_barrier_wait", 0);
    for (unsigned i = 0; i < BARRIERS; i++) {
        if (barriers[i].barrier != barrier)
            continue;
        if (++barriers[i].arrived == barriers[i].size) {
            barriers[i].arrived = 0;
            barriers[i].round++;
            return PTHREAD_BARRIER_SERIAL_THREAD;
        }
        for (unsigned round = barriers[i].round; barriers[i].barrier == barrier && barriers[i].round == round;)
            sim_give_way("pthread_barrier_wait", SIM_SPIN_NS);
        return 0;
    }
    return EINVAL;
}

int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
    sim_give_way("sched_yield", SIM_SPIN_NS);
    return 0;
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void sleep_until(int64_t time)
{
    sim_thread *self = sim_world.self;
    self->state = SIM_SLEEPS;
    self->word = NULL;
    self->deadline = time;
    sim_block("a sleep");
}

int __real_nanosleep(const struct timespec *span, struct timespec *left);
int __wrap_nanosleep(const struct timespec *span, struct timespec *left);
int __wrap_nanosleep(const struct timespec *span, struct timespec *left)
{
    if (!sim_is_running())
        return __real_nanosleep(span, left);
    sim_call("nanosleep", (uint64_t)span->tv_nsec);
    sleep_until(sim_now() + (int64_t)span->tv_sec * 1000000000 + span->tv_nsec);
    return 0;
}

int __wrap_usleep(useconds_t span);
int __wrap_usleep(useconds_t span)
{
    sim_call("usleep", span);
    sleep_until(sim_now() + (int64_t)span * 1000);
    return 0;
}

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (!sim_is_running())
        return __real_clock_gettime(clock, out);
    sim_call("clock_gettime", 0);
    int64_t now = sim_now();
    *out = (struct timespec){ .tv_sec = now / 1000000000, .tv_nsec = now % 1000000000 };
    return 0;
}

/* --- what only a kernel can do ------------------------------------------------------------------------------------ */

/* A test that comes to one of these is left to the kernel: it is skipped, with the function as the reason. */
#define ONLY_A_KERNEL(type, name, parameters, arguments)                                                               \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        if (sim_is_running())                                                                                          \
            sim_finding(SIM_SKIPPED, "it calls %s", #name);                                                            \
        return __real_##name arguments;                                                                                \
    }

ONLY_A_KERNEL(pid_t, fork, (void), ())
ONLY_A_KERNEL(int, kill, (pid_t process, int number), (process, number))
ONLY_A_KERNEL(int, pthread_kill, (pthread_t thread, int number), (thread, number))
ONLY_A_KERNEL(unsigned, alarm, (unsigned seconds), (seconds))
ONLY_A_KERNEL(int, poll, (struct pollfd * fds, nfds_t count, int span), (fds, count, span))
ONLY_A_KERNEL(int, setitimer, (int which, const struct itimerval *span, struct itimerval *before),
              (which, span, before))
ONLY_A_KERNEL(int, timer_create, (clockid_t clock, struct sigevent *event, timer_t *timer), (clock, event, timer))
