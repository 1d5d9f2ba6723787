/* SPDX-License-Identifier: MIT
 *
 * Memory faults: one handler of ours for SIGSEGV and SIGBUS, in front of whatever was there before, and the alternate
 * stack that it runs on, because the usual fault it is asked about is that the stack is full.
 *
 * A fault that ours does not recognise must end as if ours did not exist. The action before is called with the mask and
 * flags it asked for; the default action is put back in place and the faulting instruction executed again, so that the
 * core shows the fault and not this file. */
#include "os/linux.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* --- alternate stacks ------------------------------------------------------------------------------------------- */

enum { REPORT_SPACE = 32 * 1024 }; /* for our handler and a modest one before it, beyond the kernel's own frame */

static size_t alternate_stack_size(void)
{
    size_t page = haft__linux_page_size();
    long frame = sysconf(_SC_MINSIGSTKSZ); /* grows with the processor's vector registers */

    return ((frame > 0 ? (size_t)frame : (size_t)16 * 1024) + REPORT_SPACE + page - 1) / page * page;
}

/* Stacks of threads that have ended, for the next ones: mapping and guarding one costs as much as a fifth of a thread. */
static haft__atomic(void *) spare_stacks[16];

static void *take_spare(void)
{
    for (size_t i = 0; i < sizeof spare_stacks / sizeof spare_stacks[0]; i++) {
        void *memory = haft__load_relaxed(&spare_stacks[i]);
        /* Acquire: partner of the release part in keep_spare. */
        if (memory != NULL && (memory = haft__exchange_acquire(&spare_stacks[i], NULL)) != NULL)
            return memory;
    }
    return NULL;
}

static bool keep_spare(void *memory)
{
    for (size_t i = 0; i < sizeof spare_stacks / sizeof spare_stacks[0]; i++) {
        void *none = NULL;
        if (haft__load_relaxed(&spare_stacks[i]) == NULL && haft__cas_release(&spare_stacks[i], &none, memory))
            return true;
    }
    return false;
}

/* A page without access lies below the stack. */
int haft__linux_alternate_stack_enter(void **memory)
{
    size_t page = haft__linux_page_size();
    size_t size = alternate_stack_size();
    int saved = errno;
    stack_t stack;
    char *mapping;
    int rc;

    *memory = NULL;
    if (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_DISABLE) == 0)
        return 0;
    mapping = take_spare();
    if (mapping == NULL) {
        mapping = haft__linux_map(page + size);
        if (mapping == NULL)
            return -ENOMEM;
        rc = haft__linux_protect_none(mapping, page);
        if (rc != 0)
            goto unmap;
    }
    stack = (stack_t){ .ss_sp = mapping + page, .ss_size = size };
    if (sigaltstack(&stack, NULL) != 0) {
        rc = -errno;
        goto unmap;
    }
    *memory = mapping;
    errno = saved;
    return 0;
unmap:
    haft__linux_unmap(mapping, page + size);
    errno = saved;
    return rc;
}

void haft__linux_alternate_stack_leave(void *memory)
{
    size_t page = haft__linux_page_size();
    int saved = errno;
    stack_t stack;

    if (memory == NULL)
        return;
    /* Somebody may have put another one in place since; that is his. */
    if (sigaltstack(NULL, &stack) == 0 && stack.ss_sp == (char *)memory + page) {
        stack = (stack_t){ .ss_flags = SS_DISABLE };
        if (sigaltstack(&stack, NULL) != 0) { /* called from a handler on this very stack: rather leak it */
            errno = saved;
            return;
        }
    }
    if (!keep_spare(memory))
        haft__linux_unmap(memory, page + alternate_stack_size());
    errno = saved;
}

/* --- the handler ------------------------------------------------------------------------------------------------ */

static bool (*fault_handler)(const haft__os_fault *);
static struct sigaction before_segv, before_bus;

static void *stack_pointer_of(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (void *)(uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (void *)(uintptr_t)context->uc_mcontext.sp;
#elif defined(__riscv)
    return (void *)(uintptr_t)context->uc_mcontext.__gregs[REG_SP];
#else
    (void)context;
    return NULL;
#endif
}

/* Codes above zero are the kernel's; others tell that a process sent the signal, which will not come back by itself. */
static bool is_a_fault(const siginfo_t *info)
{
    return info->si_code > 0;
}

static void die_by_default(int signal, const siginfo_t *info)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    sigaction(signal, &action, NULL);
    if (!is_a_fault(info))
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal); /* pending until we return */
}

static void call_the_one_before(int signal, siginfo_t *info, void *context)
{
    struct sigaction *before = signal == SIGSEGV ? &before_segv : &before_bus;
    struct sigaction action = *before;
    sigset_t mask;

    if (action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && is_a_fault(info))) {
        die_by_default(signal, info); /* the kernel does not let a fault be ignored either */
        return;
    }
    if (action.sa_handler == SIG_IGN)
        return;
    if ((action.sa_flags & (int)SA_RESETHAND) != 0)
        before->sa_handler = SIG_DFL;
    /* The kernel puts the interrupted mask back when the handler returns. */
    mask = action.sa_mask;
    if ((action.sa_flags & SA_NODEFER) == 0)
        sigaddset(&mask, signal);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    if ((action.sa_flags & SA_NODEFER) != 0 && !sigismember(&action.sa_mask, signal)) {
        sigemptyset(&mask);
        sigaddset(&mask, signal);
        pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    }
    if ((action.sa_flags & SA_SIGINFO) != 0)
        action.sa_sigaction(signal, info, context);
    else
        action.sa_handler(signal);
}

/* The signal is blocked meanwhile: a fault in here kills the process at once instead of coming back here. */
static void handle(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    bool done = false;

    if (is_a_fault(info)) {
        haft__os_fault fault = {
            .address = info->si_addr,
            .stack_pointer = stack_pointer_of(context),
            .signal = signal,
        };

        done = fault_handler(&fault);
    }
    if (!done)
        call_the_one_before(signal, info, context);
    errno = saved;
}

static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static bool (*handler_to_install)(const haft__os_fault *);
static int install_error;

static void install(void)
{
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    sigemptyset(&action.sa_mask);
    fault_handler = handler_to_install;
    /* The actions before are read first: a fault may come as soon as ours is in place. */
    if (sigaction(SIGSEGV, NULL, &before_segv) != 0 || sigaction(SIGBUS, NULL, &before_bus) != 0 ||
        sigaction(SIGSEGV, &action, NULL) != 0) {
        install_error = -errno;
        return;
    }
    if (sigaction(SIGBUS, &action, NULL) != 0) {
        install_error = -errno;
        sigaction(SIGSEGV, &before_segv, NULL);
    }
}

int haft__linux_fault_handler_install(bool (*handler)(const haft__os_fault *))
{
    static pthread_mutex_t installing = PTHREAD_MUTEX_INITIALIZER;
    int saved = errno;

    pthread_mutex_lock(&installing);
    handler_to_install = handler;
    pthread_once(&install_once, install);
    pthread_mutex_unlock(&installing);
    errno = saved;
    return install_error;
}
