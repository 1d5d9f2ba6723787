/* SPDX-License-Identifier: MIT
 *
 * A frame is a copy, but what a pointer in it points to is not. haft cannot tell a pointer into a function that has
 * returned from bytes that look like one; AddressSanitizer can where it is used, and these tests see to it that jobs do
 * not get in its way: the variables of a function are told apart from those of the next on tasks' stacks too. */
#include <haft/haft.h>

#include "callers.h"

TEST_FILE_NEEDS_KERNEL("the sanitizer ends the process");

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

struct reader {
    int *value;
    int seen;
};

static int reads(struct reader *r)
{
    r->seen = *(volatile int *)r->value;
    return 0;
}

static int reads_when_told(struct reader *r)
{
    int rc = haft_park();
    return rc != 0 ? rc : reads(r);
}

#ifdef WITH_ASAN
static __attribute__((noinline)) haft_handle hands_out_its_own(haft_kind kind)
{
    int mine = 1;
    struct reader r = { .value = &mine };
    return haft_spawn(reads_when_told, &r, .kind = kind);
}

static int joins_too_late(haft_kind *kind)
{
    haft_handle h = hands_out_its_own(*kind);
    check_int(haft_unpark(h), ==, 0);
    return haft_join(&h);
}

#define TEXT "stack-use-after-return"

TEST_EXITS("a task's pointer into a function that has returned is reported", TEST_STATUS(1), TEXT)
{
    haft_kind kind = HAFT_TASK;
    joins_too_late(&kind);
}

TEST_EXITS("a thread's pointer into a function that has returned is reported", TEST_STATUS(1), TEXT)
{
    haft_kind kind = HAFT_THREAD;
    joins_too_late(&kind);
}

TEST_EXITS("a blocking call's pointer into a function that has returned is reported", TEST_STATUS(1), TEXT)
{
    haft_kind kind = HAFT_BLOCKING;
    joins_too_late(&kind);
}

TEST_EXITS("a task's pointer into a function of another task that has returned is reported", TEST_STATUS(1), TEXT)
{
    haft_kind kind = HAFT_TASK;
    haft_run(joins_too_late, &kind, .workers = 1);
}

static __attribute__((noinline)) int *returns_its_own(void)
{
    int mine = 1;
    int *volatile address = &mine;
    return address;
}

static int reads_its_own(void)
{
    struct reader r = { .value = returns_its_own() };
    check_int(haft_yield(), ==, 0);
    return reads(&r);
}

TEST_EXITS("a pointer into a function that has returned is reported behind a wait as well", TEST_STATUS(1), TEXT)
{
    haft_run(reads_its_own, HAFT_NO_FRAME, .workers = 1);
}
#endif

static int lends(haft_kind *kind)
{
    int mine = 3;
    struct reader r = { .value = &mine };
    haft_handle h = haft_spawn(reads_when_told, &r, .kind = *kind);
    check_int(haft_unpark(h), ==, 0);
    check_int(haft_join(&h, &r), ==, 0);
    check_int(r.seen, ==, 3);
    struct reader lent[2] = { { .value = &mine }, { .value = &r.seen } };
    {
        HAFT_SCOPE(s);
        for (int i = 0; i < 2; i++)
            check_int(haft_scope_spawn(s, reads, &lent[i], .kind = *kind), ==, 0);
    }
    check_int(lent[0].seen + lent[1].seen, ==, 6);
    return 0;
}

TEST("a pointer into a function that still stands is not reported")
{
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_BLOCKING; kind++) {
        lends(&kind);
        check_int(haft_run(lends, &kind, .workers = 2), ==, 0);
    }
}
