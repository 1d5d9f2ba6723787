/* SPDX-License-Identifier: MIT
 *
 * LOCKED: how many locked instructions haft executes for one operation. A child runs each operation with one worker and
 * marks the measured part with two breakpoints; the parent executes what lies between them one instruction at a time and
 * looks at each before it runs. x86-64 only. Prints a table for README.md. */
#include <haft/haft.h>

#include "sample.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM 1000
#define MEASURED 16

#define BREAKPOINT 0xcc
#define mark() __asm__ volatile("int3" : : : "memory")

/* --- The child: operations, each WARM times freely and then MEASURED times between two marks ---------------------- */

static int nothing(void)
{
    return 0;
}

static void spawn_and_join(void)
{
    haft_handle h = haft_spawn(nothing);
    sample_check(haft_join(&h) == 0);
}

static void spawn_and_detach(void)
{
    haft_handle h = haft_spawn(nothing);
    sample_check(haft_detach(&h) == 0 && haft_yield() == 0);
}

static haft_set *set;

static void spawn_into_set_and_take(void)
{
    int code;
    sample_check(haft_set_spawn(set, nothing) == 0);
    sample_check(haft_set_next(set, HAFT_NO_FRAME, &code) == 0 && code == 0);
}

static void yield_there_and_back(void)
{
    sample_check(haft_yield() == 0);
}

static int yield_until_aborted(void)
{
    int rc;
    do
        rc = haft_yield();
    while (rc == 0);
    return rc;
}

static haft_handle partner;

static void unpark_and_park(void)
{
    sample_check(haft_unpark(partner) == 0 && haft_park() == 0);
}

static int answer_until_aborted(haft_handle *asker)
{
    int rc;
    while ((rc = haft_park()) == 0)
        haft_unpark(*asker);
    return rc;
}

static void checkpoint(void)
{
    sample_check(haft_checkpoint() == 0);
}

static void repeat(void (*operation)(void))
{
    for (int i = 0; i < WARM; i++)
        operation();
    mark();
    for (int i = 0; i < MEASURED; i++)
        operation();
    mark();
}

static int run_operations(void)
{
    repeat(spawn_and_join);
    repeat(spawn_and_detach);

    set = haft_set_new();
    sample_check(set != NULL);
    repeat(spawn_into_set_and_take);
    haft_set_drop(&set);

    partner = haft_spawn(yield_until_aborted);
    repeat(yield_there_and_back);
    haft_drop(&partner);

    haft_handle self = haft_self();
    partner = haft_spawn(answer_until_aborted, &self);
    repeat(unpark_and_park);
    haft_drop(&partner);

    repeat(checkpoint);
    return 0;
}

/* What the child measures, in that order, and how many of the named operations one repetition is. */
static const struct {
    const char *name;
    int operations;
} rows[] = {
    { "`haft_spawn`, run, `haft_join`", 1 },
    { "`haft_spawn`, `haft_detach`, run", 1 },
    { "`haft_set_spawn`, run, `haft_set_next`", 1 },
    { "`haft_yield` to another task", 2 },
    { "`haft_unpark` another task and `haft_park`", 2 },
    { "`haft_checkpoint`", 1 },
};

/* --- The parent: one instruction at a time ------------------------------------------------------------------------ */

/* A locked instruction: the lock prefix, an exchange with memory, or a full fence. */
static bool is_locked(const unsigned char *code)
{
    static const unsigned char prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65 };
    while (memchr(prefixes, *code, sizeof prefixes) != NULL)
        code++;
    if (*code == 0xf0)
        return true;
    if ((*code & 0xf0) == 0x40)
        code++; /* REX */
    if (code[0] == 0x86 || code[0] == 0x87)
        return code[1] < 0xc0;
    return code[0] == 0x0f && code[1] == 0xae && code[2] == 0xf0;
}

/* Reads the instruction that the child will execute next and returns its address. */
static unsigned long long next_instruction(pid_t child, unsigned char code[16])
{
    struct user_regs_struct registers;
    sample_check(ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0);
    memset(code, 0, 16);
    struct iovec here = { .iov_base = code, .iov_len = 16 };
    struct iovec there = { .iov_base = (void *)(uintptr_t)registers.rip, .iov_len = 16 };
    sample_check(process_vm_readv(child, &here, 1, &there, 1, 0) > 0);
    return registers.rip;
}

/* Lets the child run until it stops at a mark. Returns false when it has ended. */
static bool run_to_mark(pid_t child)
{
    int signal_to_pass = 0;
    for (;;) {
        int status;
        sample_check(ptrace(PTRACE_CONT, child, NULL, (void *)(uintptr_t)signal_to_pass) == 0);
        sample_check(waitpid(child, &status, 0) == child);
        if (!WIFSTOPPED(status)) {
            sample_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            return false;
        }
        if (WSTOPSIG(status) == SIGTRAP)
            return true;
        signal_to_pass = WSTOPSIG(status);
    }
}

static void step_to_mark(pid_t child, unsigned long *instructions, unsigned long *locked)
{
    unsigned char code[16];
    unsigned long long address;
    unsigned long long before = 0;
    *instructions = *locked = 0;
    while ((address = next_instruction(child, code)), code[0] != BREAKPOINT) {
        int status;
        /* A repeated string instruction stops after each repetition; it counts once. */
        *instructions += address != before;
        *locked += is_locked(code);
        before = address;
        sample_check(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
        sample_check(waitpid(child, &status, 0) == child);
        sample_check(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    }
    sample_check(run_to_mark(child));
}

int main(void)
{
    pid_t child = fork();
    sample_check(child >= 0);
    if (child == 0) {
        sample_check(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        raise(SIGSTOP);
        return haft_run(run_operations, HAFT_NO_FRAME, .workers = 1);
    }
    int status;
    sample_check(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    puts("| operation | locked instructions | all instructions |");
    puts("|---|---|---|");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned long instructions;
        unsigned long locked;
        sample_check(run_to_mark(child));
        step_to_mark(child, &instructions, &locked);
        double times = (double)(MEASURED * rows[i].operations);
        printf("| %s | %.1f | %.0f |\n", rows[i].name, (double)locked / times, (double)instructions / times);
    }
    sample_check(!run_to_mark(child));
    return 0;
}
