/* SPDX-License-Identifier: MIT
 *
 * The harness, tested by itself. This file is built twice: as harness_victims it holds tests that are meant to fail, each
 * in its way; as test_harness it runs them and looks at what is reported. */
#include <haft/haft.h>

#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

TEST_FILE_NEEDS_KERNEL("the simulator has a harness of its own");

#ifdef HARNESS_VICTIMS

static void *fails(void *argument)
{
    (void)argument;
    check_int(1 + 1, ==, 3);
    return NULL;
}

static void *spins(void *argument)
{
    (void)argument;
    for (volatile unsigned turns = 0;; turns++)
        ;
    return NULL;
}

TEST("passes")
{
    check(true);
    check_int(-1, <, 1);
    check_uint(2, >, 1);
    check_str("same", "same");
    check_str(NULL, NULL);
    check_ptr(NULL, ==, NULL);
    printf("this is not shown\n");
}

TEST("fails on the main thread")
{
    fprintf(stderr, "a word before\n");
    check(2 < 1);
}

TEST("fails on another thread")
{
    pthread_t thread;

    check_int(pthread_create(&thread, NULL, fails, NULL), ==, 0);
    pthread_join(thread, NULL);
}

static void fails_there(void)
{
    check_msg(false, "told from a stack of %d KiB", 64);
}

TEST("fails on a foreign stack")
{
    static char stack[64 << 10];
    ucontext_t there, here;

    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof(stack);
    there.uc_link = &here;
    makecontext(&there, fails_there, 0);
    swapcontext(&here, &there);
}

TEST("fails with the two strings")
{
    check_str("left", "right");
}

TEST("hangs")
{
    for (;;)
        pause();
}

TEST("leaves a thread spinning")
{
    pthread_t thread;

    check_int(pthread_create(&thread, NULL, spins, NULL), ==, 0);
    pthread_setname_np(thread, "spinner");
}

TEST("leaves a descriptor open")
{
    check_int(open("/dev/null", O_RDONLY), >=, 0);
}

TEST("closes a descriptor that it did not open")
{
    close(STDIN_FILENO);
}

TEST("cannot run here")
{
    skip("because of %s", "the moon");
}

TEST("is killed")
{
    raise(SIGKILL);
}

TEST("exits by itself")
{
    exit(7);
}

TEST_EXITS("was to abort and does", TEST_SIGNAL(SIGABRT), "famous last words")
{
    fprintf(stderr, "these are famous last words\n");
    abort();
}

TEST_EXITS("was to exit and does", TEST_STATUS(3), "three")
{
    fprintf(stderr, "three\n");
    _exit(3);
}

TEST_EXITS("was to abort and returns", TEST_SIGNAL(SIGABRT), "")
{
}

TEST_EXITS("was to abort and exits", TEST_SIGNAL(SIGABRT), "")
{
    _exit(3);
}

TEST_EXITS("was to speak and is silent", TEST_STATUS(3), "three")
{
    _exit(3);
}

TEST_EXITS("was to exit with one and fails", TEST_STATUS(1), "")
{
    fail("not as meant");
}

TEST_LONG("takes long")
{
}

static _Atomic bool has_run;

static int runs(void)
{
    atomic_store(&has_run, true);
    return 0;
}

TEST("waits for its job, whatever became of it")
{
    haft_handle job = haft_spawn(runs, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    while (!atomic_load(&has_run))
        usleep(100);
    haft_join(&job);
}

static void make_and_drop_a_channel(int *rc)
{
    HAFT_SENDER(int) tx;
    HAFT_RECEIVER(int) rx;
    *rc = haft_channel(&tx, &rx, 1000);
    haft_sender_drop(&tx);
    haft_receiver_drop(&rx);
}

TEST("crashes if one of many channels is refused it, and no other")
{
    int rc;
    for (int i = 0; i < 100; i++)
        make_and_drop_a_channel(&rc);
    make_and_drop_a_channel(&rc);
    if (rc != 0)
        raise(SIGILL);
    for (int i = 0; i < 100; i++)
        make_and_drop_a_channel(&rc);
}

TEST("waits because it was refused a channel")
{
    HAFT_SENDER(int) tx;
    HAFT_RECEIVER(int) rx;
    if (haft_channel(&tx, &rx, 1) != 0)
        for (;;)
            pause();
    haft_sender_drop(&tx);
    haft_receiver_drop(&rx);
}

#else

/* Runs the victim of that name, by a command whose beginning may set variables and whose end may hold options, and
 * returns its exit status; output is what it printed. */
static int run_victim(const char *variables, const char *options, const char *name, char *output, size_t size)
{
    char command[1024];

    snprintf(command, sizeof(command), "%s %s '%s' %s 'victims: %s' 2>&1", variables, HARNESS_EMULATOR,
             HARNESS_VICTIMS_PROGRAM, options, name);
    FILE *pipe = popen(command, "r");
    check_ptr(pipe, !=, NULL);
    const size_t n = fread(output, 1, size - 1, pipe);
    output[n] = '\0';
    const int status = pclose(pipe);
    check(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The victim must fail, and its report must contain each text. */
#define check_fails(name, ...) check_victim(__LINE__, "", 1, "FAIL ", name, (const char *const[]){ __VA_ARGS__, NULL })
/* The same for one that takes all the time it is given. */
#define check_fails_late(name, ...)                                                                                    \
    check_victim(__LINE__, "HAFT_TEST_LIMIT=2", 1, "FAIL ", name, (const char *const[]){ __VA_ARGS__, NULL })
#define check_passes(name)                                                                                             \
    check_victim(__LINE__, "", 0, "pass ", name, (const char *const[]){ " 1 passed, 0 failed, 0 skipped", NULL })

static void check_victim(int line, const char *variables, int status, const char *word, const char *name,
                         const char *const *texts)
{
    static char output[256 << 10];
    const int ended = run_victim(variables, "", name, output, sizeof(output));

    check_msg(ended == status, "line %d: status %d, and\n%s", line, ended, output);
    check_msg(strncmp(output, word, strlen(word)) == 0, "line %d: no \"%s\" in\n%s", line, word, output);
    for (; *texts; texts++)
        check_msg(strstr(output, *texts), "line %d: no \"%s\" in\n%s", line, *texts, output);
}

TEST("what holds passes, and what it printed is not shown")
{
    char output[4096];

    check_int(run_victim("", "", "passes", output, sizeof(output)), ==, 0);
    check(strstr(output, "1 passed, 0 failed, 0 skipped"));
    check(!strstr(output, "this is not shown"));
}

TEST("a failing assertion is reported with its place, its expression and what the test printed")
{
    check_fails("fails on the main thread", "test/test_harness.c:", ": 2 < 1", "| a word before");
}

TEST("an assertion that fails on another thread is reported")
{
    check_fails("fails on another thread", "test/test_harness.c:", "1 + 1 == 3: 2, 3");
}

TEST("an assertion that fails on a foreign stack is reported")
{
    check_fails("fails on a foreign stack", "test/test_harness.c:", "told from a stack of 64 KiB");
}

TEST("strings that differ are both shown")
{
    check_fails("fails with the two strings", "\"left\"", "\"right\"");
}

TEST_LONG("a test that hangs is ended and its threads are shown")
{
    check_fails_late("hangs", "still running after", "thread ");
}

TEST_LONG("a thread that still spins at the end is a failure")
{
    check_fails_late("leaves a thread spinning", "something is left", "1 more threads", "spinner");
}

TEST_LONG("a descriptor that is left open is a failure")
{
    check_fails_late("leaves a descriptor open", "something is left", "/dev/null");
}

TEST_LONG("a foreign descriptor that is closed is a failure")
{
    check_fails_late("closes a descriptor that it did not open", "descriptor 0 was open before");
}

TEST("a test that ends the process is a failure")
{
    check_fails("is killed", "ignal 9");
    check_fails("exits by itself", "7");
}

TEST("a test may say that it cannot run")
{
    char output[4096];

    check_int(run_victim("", "", "cannot run here", output, sizeof(output)), ==, 0);
    check(strncmp(output, "skip ", 5) == 0);
    check(strstr(output, "because of the moon"));
    check(strstr(output, "0 passed, 0 failed, 1 skipped"));
}

TEST("a test that is to end the process passes when it does so")
{
    check_passes("was to abort and does");
    check_passes("was to exit and does");
}

TEST("a test that is to end the process fails when it ends otherwise")
{
    check_fails("was to abort and returns", "returned instead");
    check_fails("was to abort and exits", "3");
    check_fails("was to speak and is silent", "without saying \"three\"");
    check_fails("was to exit with one and fails", "not as meant");
}

TEST("tests can be listed, chosen by a part of their name, repeated, and the long ones left out")
{
    char output[16384];

    check_int(run_victim("", "--list", "", output, sizeof(output)), ==, 0);
    check(strstr(output, "harness_victims: passes\n"));
    check(strstr(output, "harness_victims: takes long\n"));
    check_int(run_victim("", "--quick --list", "", output, sizeof(output)), ==, 0);
    check(!strstr(output, "takes long"));
    check_int(run_victim("", "--repeat 3", "fails on the main thread", output, sizeof(output)), ==, 1);
    check(strstr(output, "in round 1"));
    check_int(run_victim("", "--repeat 3", "passes", output, sizeof(output)), ==, 0);
    check(strstr(output, "1 passed, 0 failed, 0 skipped"));
}

TEST_LONG("a sweep of refusals lets a test wait for a job that was refused, and for nothing else")
{
    static char output[256 << 10];

    check_int(run_victim("", "--faults 2", "waits for its job", output, sizeof(output)), ==, 0);
    check_msg(strstr(output, ": waited for a job that was refused\n"), "%s", output);
    check_int(run_victim("HAFT_TEST_LIMIT=2", "--faults 2", "waits because", output, sizeof(output)), ==, 1);
    check_msg(strstr(output, "still running after 2 s"), "%s", output);
    check_msg(strstr(output, "    HAFT_TEST_FAIL="), "%s", output);
}

TEST_LONG("a sweep of refusals refuses a request from each place, however many come from another one")
{
    static char output[256 << 10];

    check_int(run_victim("", "--faults 2", "crashes if one of many", output, sizeof(output)), ==, 1);
    check_msg(strstr(output, "    HAFT_TEST_FAIL=place:"), "%s", output);
    const char *text = strstr(output, "HAFT_TEST_FAIL=place:");
    char again[64];
    snprintf(again, sizeof(again), "%.*s", 21 + (int)strcspn(text + 21, ":"), text);
    check_int(run_victim(again, "", "crashes if one of many", output, sizeof(output)), ==, 1);
}

#endif
