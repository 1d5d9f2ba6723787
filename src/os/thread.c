/* SPDX-License-Identifier: MIT
 *
 * Native threads by pthreads.
 *
 * The value of thread_at_exit hangs on one key. Its destructor must run after those of all other keys, some of which
 * may use haft, but POSIX leaves the order open within a round and repeats rounds while a destructor has set a value
 * again, PTHREAD_DESTRUCTOR_ITERATIONS times at most. So ours sets its value again in every round and acts in the last.
 * What it cannot help: a key that is set again in every round too may be destroyed after it, and a value that is first
 * given while destructors already run may miss the last round and is then never destroyed. */
#include "base/sanitizer.h"
#include "os/linux.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_SIZE = 16 }; /* the kernel's, with the null byte */

_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a pthread_t is carried as a number");

/* --- creation --------------------------------------------------------------------------------------------------- */

/* What a new thread needs to know; the thread releases it. */
struct start {
    void (*entry)(void *);
    void *argument;
    char name[NAME_SIZE];
};

static void copy_name(char out[NAME_SIZE], const char *name)
{
    size_t length = strnlen(name, NAME_SIZE - 1);

    memcpy(out, name, length);
    out[length] = '\0';
}

static void *thread_main(void *argument)
{
    struct start start = *(struct start *)argument;

    free(argument);
    if (start.name[0] != '\0')
        haft__linux_thread_set_name(start.name);
    start.entry(start.argument);
    return NULL;
}

static int add_static_tls(struct dl_phdr_info *object, size_t size, void *sum)
{
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_TLS)
            *(size_t *)sum += object->dlpi_phdr[i].p_memsz + object->dlpi_phdr[i].p_align;
    return 0;
}

/* The C library takes thread-local storage and its own descriptor out of the stack, and refuses a stack that is too
 * small to hold them and the smallest frame. The loader's reserve for libraries loaded later is part of it. Returns 0
 * if the size cannot be expressed. */
static size_t usable_stack_size(size_t wanted)
{
    size_t page = haft__linux_page_size();
    long least = sysconf(_SC_THREAD_STACK_MIN);
    size_t reserve = (size_t)16 * 1024;
    size_t smallest;

    dl_iterate_phdr(add_static_tls, &reserve);
    smallest = (size_t)(least > 0 ? least : PTHREAD_STACK_MIN) + reserve;
    if (wanted < smallest)
        wanted = smallest;
    if (wanted > SIZE_MAX - page)
        return 0;
    return (wanted + page - 1) / page * page;
}

void haft__linux_asynchronous_signals(sigset_t *set)
{
    static const int synchronous[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };

    sigfillset(set);
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++)
        sigdelset(set, synchronous[i]);
}

static int create(haft__os_thread *out, size_t stack_size, struct start *start)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t blocked, before;
    int rc;

    rc = pthread_attr_init(&attributes);
    if (rc != 0)
        return rc;
    if (stack_size != 0) {
        stack_size = usable_stack_size(stack_size);
        rc = stack_size != 0 ? pthread_attr_setstacksize(&attributes, stack_size) : EAGAIN;
        if (rc != 0)
            goto destroy;
    }
    /* A thread starts with its creator's mask, so that no signal finds it before it could block anything. */
    haft__linux_asynchronous_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    rc = pthread_create(&thread, &attributes, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        out->native = (uintptr_t)thread;
destroy:
    pthread_attr_destroy(&attributes);
    return rc;
}

int haft__linux_thread_create(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                              void *argument)
{
    int saved = errno;
    int rc = ENOMEM;
    struct start *start = malloc(sizeof *start);

    if (start != NULL) {
        start->entry = entry;
        start->argument = argument;
        copy_name(start->name, options != NULL && options->name != NULL ? options->name : "");
        rc = create(out, options != NULL ? options->stack_size : 0, start);
        if (rc != 0)
            free(start);
    }
    errno = saved;
    return -rc;
}

/* --- the others ------------------------------------------------------------------------------------------------- */

void haft__linux_thread_join(haft__os_thread thread)
{
    int saved = errno;
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* pthread_join is a cancellation point */
    pthread_join((pthread_t)thread.native, NULL);
    pthread_setcancelstate(state, NULL);
    errno = saved;
}

void haft__linux_thread_detach(haft__os_thread thread)
{
    int saved = errno;

    pthread_detach((pthread_t)thread.native);
    errno = saved;
}

haft__os_thread haft__linux_thread_self(void)
{
    return (haft__os_thread){ (uintptr_t)pthread_self() };
}

void haft__linux_thread_set_name(const char *name)
{
    int saved = errno;
    char kept[NAME_SIZE];

    copy_name(kept, name); /* a longer name is refused, not cut */
    pthread_setname_np(pthread_self(), kept);
    errno = saved;
}

int haft__linux_thread_stack(void **low, size_t *size)
{
    int saved = errno;
    int state, rc;
    pthread_attr_t attributes;

    /* For the main thread the C library reads a file. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    rc = pthread_getattr_np(pthread_self(), &attributes);
    if (rc == 0) {
        rc = pthread_attr_getstack(&attributes, low, size);
        pthread_attr_destroy(&attributes);
    }
    pthread_setcancelstate(state, NULL);
    errno = saved;
    return -rc;
}

int *haft__linux_thread_errno(void)
{
    return &errno;
}

/* --- the end of a thread ---------------------------------------------------------------------------------------- */

struct at_exit {
    void (*destructor)(void *);
    void *value;
    int rounds; /* of destructors that ours took part in */
};

/* The round of destructors in which ours runs. The thread sanitizer takes its own state of the thread away in the last
 * one, after which no instrumented code may run. */
#ifdef HAFT__TSAN
#define AT_EXIT_ROUND (PTHREAD_DESTRUCTOR_ITERATIONS - 1)
#else
#define AT_EXIT_ROUND PTHREAD_DESTRUCTOR_ITERATIONS
#endif

static _Thread_local struct at_exit at_exit;
static pthread_once_t at_exit_once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit_key;
static int at_exit_error;

static void at_exit_destroy(void *argument)
{
    struct at_exit *mine = argument;

    /* If the value cannot be set again, now is the last chance. */
    if (++mine->rounds < AT_EXIT_ROUND && pthread_setspecific(at_exit_key, mine) == 0)
        return;
    if (mine->value != NULL) {
        void *value = mine->value;

        mine->value = NULL;
        mine->destructor(value);
    }
}

static void at_exit_make_key(void)
{
    at_exit_error = pthread_key_create(&at_exit_key, at_exit_destroy);
}

int haft__linux_thread_at_exit(void (*destructor)(void *), void *value)
{
    int saved = errno;
    int rc;

    pthread_once(&at_exit_once, at_exit_make_key);
    rc = at_exit_error;
    if (rc == 0) {
        rc = pthread_setspecific(at_exit_key, value != NULL ? &at_exit : NULL);
        if (rc == 0) {
            at_exit.destructor = destructor;
            at_exit.value = value;
        }
    }
    errno = saved;
    return -rc;
}
