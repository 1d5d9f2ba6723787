/* SPDX-License-Identifier: MIT
 *
 * Panic, defer and catch: how a job fails at once, what is run on its way out, and who hears of it. Over 600 lines,
 * because panics, defers and catches meet in every order. */
#include <haft/haft.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "callers.h"

/* --- what the joiner learns --------------------------------------------------------------------------------------- */

enum { PANIC_LINE = __LINE__ + 4 };

static int panics_with_a_port(const int *port)
{
    haft_panic("bad port %d", *port);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void place_of_line(char *out, size_t size, int line)
{
    snprintf(out, size, "test_panic.c:%d", line);
}

TEST_FROM_EVERY_CALLER("a panic is the joiner's error, with message, place, job and place of spawn")
{
    silence_panics();
    for_each_kind(kind) {
        int port = 70000, line = __LINE__ + 1;
        haft_handle h = haft_spawn(panics_with_a_port, &port, .kind = kind, .name = "listener");
        haft_outcome out;
        char place[64];
        place_of_line(place, sizeof place, line);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "bad port 70000");
        check_str(out.panic.job, "listener");
        check_ptr(out.panic.file, !=, NULL);
        check(ends_with(out.panic.file, "test_panic.c"));
        check_int(out.panic.line, ==, PANIC_LINE);
        check_ptr(out.panic.spawned_at, !=, NULL);
        check_msg(ends_with(out.panic.spawned_at, place), "%s", out.panic.spawned_at);
        check_ptr(out.panic.payload, ==, NULL);
        haft_panic_drop(&out.panic);

        h = haft_spawn(panics_with_a_port, &port, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
        check(haft_is_null(h));
    }
}

TEST_FROM_EVERY_CALLER("a job without a name is told by its kind and number")
{
    silence_panics();
    static const char *const words[] = { "task ", "thread ", "blocking " };
    for_each_kind(kind) {
        int port = 1;
        haft_outcome out;
        haft_handle h = haft_spawn(panics_with_a_port, &port, .kind = kind);
        uint64_t id = haft_id(h);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_msg(strncmp(out.panic.job, words[kind], strlen(words[kind])) == 0, "%s", out.panic.job);
        char number[32];
        snprintf(number, sizeof number, " %" PRIu64, id);
        check_msg(ends_with(out.panic.job, number), "%s is not job%s", out.panic.job, number);
    }
}

static int panics_at_length(const size_t *length)
{
    char text[600];
    memset(text, 'z', sizeof text);
    text[*length] = '\0';
    haft_panic("%s", text);
}

TEST_FROM_EVERY_CALLER("a message too long for the report is cut, not overrun")
{
    silence_panics();
    static const size_t lengths[] = { 0, 1, 190, 191, 192, 193, 599 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        haft_outcome out;
        haft_handle h = haft_spawn(panics_at_length, &lengths[i]);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        size_t room = sizeof out.panic.message - 1;
        check_int(strnlen(out.panic.message, sizeof out.panic.message), ==, lengths[i] < room ? lengths[i] : room);
        check_int(strspn(out.panic.message, "z"), ==, strlen(out.panic.message));
    }
}

static int panics_on_third(const int *i)
{
    for (int k = 0; k < *i % 5; k++)
        check_int(haft_yield(), ==, 0);
    if (*i % 3 == 0)
        haft_panic("number %d", *i);
    return *i;
}

TEST_FROM_EVERY_CALLER("a panic ends one job; the others and their workers go on")
{
    silence_panics();
    enum { N = 300 };
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(panics_on_third, &i,
                           .kind = i % 50 == 0   ? HAFT_THREAD
                                   : i % 50 == 1 ? HAFT_BLOCKING
                                                 : HAFT_TASK);
    for (int i = 0; i < N; i++) {
        haft_outcome out;
        check_int(haft_join_outcome(&hs[i], HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, i % 3 == 0 ? HAFT_PANICKED : HAFT_RETURNED);
        if (i % 3 != 0)
            check_int(out.code, ==, i);
        else
            check_int(strtol(out.panic.message + strlen("number "), NULL, 10), ==, i);
    }
    haft_handle after = haft_spawn(return_nothing);
    check_int(haft_join(&after), ==, 0);
}

/* --- payloads ----------------------------------------------------------------------------------------------------- */

static _Atomic int payloads_freed;

static void free_payload(void *payload)
{
    atomic_fetch_add(&payloads_freed, 1);
    free(payload);
}

static int panics_with_payload(const int *value)
{
    int *payload = malloc(sizeof *payload);
    check_ptr(payload, !=, NULL);
    *payload = *value;
    haft_panic_with(payload, free_payload);
}

TEST_FROM_EVERY_CALLER("a payload reaches the joiner that asks for the outcome, who frees it once")
{
    silence_panics();
    for_each_kind(kind) {
        atomic_store(&payloads_freed, 0);
        int value = 4711;
        haft_outcome out;
        haft_handle h = haft_spawn(panics_with_payload, &value, .kind = kind);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "");
        check_ptr(out.panic.payload, !=, NULL);
        check_int(*(int *)out.panic.payload, ==, 4711);
        check_int(atomic_load(&payloads_freed), ==, 0);
        haft_panic_drop(&out.panic);
        check_int(atomic_load(&payloads_freed), ==, 1);
        check_ptr(out.panic.payload, ==, NULL);
        haft_panic_drop(&out.panic);
        check_int(atomic_load(&payloads_freed), ==, 1);
    }
}

TEST_FROM_EVERY_CALLER("a payload that nobody asks for is freed once: by join, drop, detach and join_all")
{
    silence_panics();
    int value = 1;
    for_each_kind(kind) {
        atomic_store(&payloads_freed, 0);
        haft_handle h = haft_spawn(panics_with_payload, &value, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
        check_int(atomic_load(&payloads_freed), ==, 1);

        h = haft_spawn(panics_with_payload, &value, .kind = kind);
        check_int(haft_wait(h), ==, 0);
        check_int(atomic_load(&payloads_freed), ==, 1);
        haft_drop(&h);
        check_int(atomic_load(&payloads_freed), ==, 2);

        h = haft_spawn(panics_with_payload, &value, .kind = kind);
        check_int(haft_detach(&h), ==, 0);
        until(atomic_load(&payloads_freed) == 3);

        h = haft_spawn(panics_with_payload, &value, .kind = kind);
        check_int(haft_wait(h), ==, 0);
        check_int(haft_detach(&h), ==, 0);
        until(atomic_load(&payloads_freed) == 4);

        h = haft_spawn(panics_with_payload, &value, .kind = kind);
        int rc;
        check_int(haft_join_all(&h, 1, &rc), ==, 0);
        check_int(rc, ==, HAFT_EPANIC);
        check_int(atomic_load(&payloads_freed), ==, 5);
    }
}

static char static_payload[] = "static";

static int panics_with_static_payload(void)
{
    haft_panic_with(static_payload, NULL);
}

TEST_FROM_EVERY_CALLER("a payload without a destructor is handed over as it is")
{
    silence_panics();
    haft_outcome out;
    haft_handle h = haft_spawn(panics_with_static_payload);
    check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
    check_ptr(out.panic.payload, ==, static_payload);
    haft_panic_drop(&out.panic);
    h = haft_spawn(panics_with_static_payload);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
}

/* --- the hook ----------------------------------------------------------------------------------------------------- */

static _Atomic int hook_calls;
static _Atomic uint64_t hook_job;
static _Atomic int order; /* numbers what happens */
static _Atomic int hook_order;
static char hook_message[192];

static void counting_hook(const haft_panic_info *panic)
{
    atomic_fetch_add(&hook_calls, 1);
    atomic_store(&hook_job, haft_id(haft_self()));
    atomic_store(&hook_order, atomic_fetch_add(&order, 1) + 1);
    memcpy(hook_message, panic->message, sizeof hook_message);
}

static void takes_a_number(int *number)
{
    *number = atomic_fetch_add(&order, 1) + 1;
}

struct hooked {
    int *outer;
    int *inner;
};

static int panics_behind_defers(struct hooked *f)
{
    HAFT_DEFER(takes_a_number, f->outer);
    HAFT_DEFER(takes_a_number, f->inner);
    haft_panic("seen by the hook");
}

TEST_FROM_EVERY_CALLER("every panic first reaches the hook, on the panicking job, before any defer")
{
    haft_on_panic(counting_hook);
    for_each_kind(kind) {
        atomic_store(&hook_calls, 0);
        atomic_store(&order, 0);
        int outer = 0, inner = 0;
        struct hooked f = { .outer = &outer, .inner = &inner };
        haft_handle h = haft_spawn(panics_behind_defers, &f, .kind = kind);
        uint64_t id = haft_id(h);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
        check_int(atomic_load(&hook_calls), ==, 1);
        check_int(atomic_load(&hook_job), ==, id);
        check_str(hook_message, "seen by the hook");
        check_int(atomic_load(&hook_order), ==, 1);
        check_int(inner, ==, 2);
        check_int(outer, ==, 3);
    }
    haft_on_panic(NULL);
}

static int panics_plainly(void)
{
    haft_panic("the default line");
}

static void panic_by_default(haft_kind kind)
{
    haft_handle h = haft_spawn(panics_plainly, HAFT_NO_FRAME, .kind = kind, .name = "unlucky");
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    exit(7);
}

TEST_EXITS("without a hook the message of a panic is a line on standard error", TEST_STATUS(7), "the default line")
{
    panic_by_default(HAFT_TASK);
}

TEST_EXITS("without a hook the line names the job", TEST_STATUS(7), "unlucky")
{
    panic_by_default(HAFT_THREAD);
}

TEST_EXITS("without a hook the line names the place", TEST_STATUS(7), "test_panic.c:")
{
    panic_by_default(HAFT_BLOCKING);
}

TEST_EXITS("a null hook brings the default line back", TEST_STATUS(7), "the default line")
{
    silence_panics();
    haft_on_panic(NULL);
    panic_by_default(HAFT_TASK);
}

/* What standard error holds after a task has panicked by default. */
TEST("the default line is one line and holds message, job, place and place of spawn")
{
    int ends[2];
    check_int(pipe(ends), ==, 0);
    int saved = dup(STDERR_FILENO);
    check_int(saved, >=, 0);
    check_int(dup2(ends[1], STDERR_FILENO), ==, STDERR_FILENO);
    int line = __LINE__ + 1;
    haft_handle h = haft_spawn(panics_plainly, HAFT_NO_FRAME, .name = "unlucky");
    int rc = haft_join(&h);
    check_int(dup2(saved, STDERR_FILENO), ==, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    char text[2048];
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    check_int(rc, ==, HAFT_EPANIC);
    check_int(n, >, 0);
    text[n] = '\0';
    char place[64];
    place_of_line(place, sizeof place, line);
    check_msg(strstr(text, "the default line") != NULL, "%s", text);
    check_msg(strstr(text, "unlucky") != NULL, "%s", text);
    check_msg(strstr(text, place) != NULL, "%s", text);
    check_msg(text[n - 1] == '\n' && strchr(text, '\n') == text + n - 1, "%s", text);
}

/* --- outside of any job ------------------------------------------------------------------------------------------- */

static void writes(char *text)
{
    check_int(write(STDERR_FILENO, text, strlen(text)), ==, (ssize_t)strlen(text));
}

TEST_EXITS("a panic outside of any job ends the process with its message", TEST_SIGNAL(SIGABRT), "nobody to tell")
{
    haft_panic("nobody to tell");
}

TEST_EXITS("a panic outside of any job runs the defers, last first", TEST_SIGNAL(SIGABRT), "inner, outer.")
{
    HAFT_DEFER(writes, "outer.");
    HAFT_DEFER(writes, "inner, ");
    haft_panic("nobody to tell");
}

static void *panics_on_a_plain_thread(void *argument)
{
    HAFT_DEFER(writes, "the defer of a plain thread");
    (void)argument;
    haft_panic("nobody to tell");
}

TEST_EXITS("a panic on a plain thread ends the process after its defers", TEST_SIGNAL(SIGABRT),
           "the defer of a plain thread")
{
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, panics_on_a_plain_thread, NULL), ==, 0);
    pthread_join(thread, NULL);
}

/* --- defer -------------------------------------------------------------------------------------------------------- */

/* Records in which order defers ran. */
struct ran {
    char text[32];
};

static void note(struct ran *r, const char *what)
{
    size_t n = strlen(r->text);
    snprintf(r->text + n, sizeof r->text - n, "%s", what);
}

static void note_a(struct ran *r)
{
    note(r, "a");
}

static int note_b(struct ran *r)
{
    note(r, "b");
    return -1;
}

static void note_c(void *r)
{
    note(r, "c");
}

static void falls_off(struct ran *r)
{
    HAFT_DEFER(note_a, r);
    HAFT_DEFER(note_b, r);
    HAFT_DEFER(note_c, r);
    note(r, "-");
}

static int returns_from_the_middle(struct ran *r, int how)
{
    HAFT_DEFER(note_a, r);
    if (how == 1)
        return 1;
    HAFT_DEFER(note_b, r);
    {
        HAFT_DEFER(note_c, r);
        if (how == 2)
            return 2;
    }
    note(r, "-");
    return 3;
}

static void loops(struct ran *r, int how)
{
    for (int i = 0; i < 3; i++) {
        HAFT_DEFER(note_a, r);
        if (how == 1 && i == 1)
            break;
        if (how == 2)
            continue;
        HAFT_DEFER(note_b, r);
    }
    note(r, "-");
}

static void jumps_out(struct ran *r)
{
    {
        HAFT_DEFER(note_a, r);
        {
            HAFT_DEFER(note_b, r);
            goto out;
        }
    }
out:
    note(r, "-");
}

TEST_FROM_EVERY_CALLER("defers run last first by every way out of their block")
{
    struct ran r = { "" };
    falls_off(&r);
    check_str(r.text, "-cba");

    r = (struct ran){ "" };
    check_int(returns_from_the_middle(&r, 1), ==, 1);
    check_str(r.text, "a");
    r = (struct ran){ "" };
    check_int(returns_from_the_middle(&r, 2), ==, 2);
    check_str(r.text, "cba");
    r = (struct ran){ "" };
    check_int(returns_from_the_middle(&r, 3), ==, 3);
    check_str(r.text, "c-ba");

    r = (struct ran){ "" };
    loops(&r, 0);
    check_str(r.text, "bababa-");
    r = (struct ran){ "" };
    loops(&r, 1);
    check_str(r.text, "baa-");
    r = (struct ran){ "" };
    loops(&r, 2);
    check_str(r.text, "aaa-");

    r = (struct ran){ "" };
    jumps_out(&r);
    check_str(r.text, "ba-");
}

static void deep_panic(struct ran *r, int depth)
{
    HAFT_DEFER(note_a, r);
    if (depth < 0)
        return;
    if (depth == 0) {
        HAFT_DEFER(note_b, r);
        haft_panic("deep down");
    }
    deep_panic(r, depth - 1);
    note(r, "!");
}

static int panics_deep_down(struct ran **r)
{
    HAFT_DEFER(note_c, *r);
    deep_panic(*r, 9);
    return 0;
}

TEST_FROM_EVERY_CALLER("a panic runs the defers of all functions between it and the root, last first")
{
    silence_panics();
    for_each_kind(kind) {
        struct ran r = { "" }, *p = &r;
        haft_handle h = haft_spawn(panics_deep_down, &p, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
        check_str(r.text, "baaaaaaaaaac");
    }
}

static int panics_after_ended_blocks(struct ran **r)
{
    falls_off(*r);
    for (int i = 0; i < 2; i++) {
        HAFT_DEFER(note_a, *r);
    }
    HAFT_DEFER(note_c, *r);
    haft_panic("after some blocks have ended");
}

TEST_FROM_EVERY_CALLER("a panic does not run the defers of blocks that have ended")
{
    silence_panics();
    struct ran r = { "" }, *p = &r;
    haft_handle h = haft_spawn(panics_after_ended_blocks, &p);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    check_str(r.text, "-cbaaac");
}

static void store_seven(int *p)
{
    *p = 7;
}

TEST_FROM_EVERY_CALLER("the pointer of a defer is taken where it is declared")
{
    int first = 0, second = 0;
    {
        int *p = &first;
        HAFT_DEFER(store_seven, p);
        p = &second;
        check_ptr(p, ==, &second);
    }
    check_int(first, ==, 7);
    check_int(second, ==, 0);
}

static void waits_in_every_way(_Atomic int *done)
{
    check_int(haft_yield(), ==, 0);
    check_int(haft_sleep(1000), ==, 0);
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    check_int(haft_blocking(return_nothing, HAFT_NO_FRAME), ==, 0);
    atomic_fetch_add(done, 1);
}

struct defers_that_wait {
    _Atomic int *done;
    bool panics;
};

static int ends_with_waits(struct defers_that_wait *f)
{
    HAFT_DEFER(waits_in_every_way, f->done);
    HAFT_DEFER(waits_in_every_way, f->done);
    if (f->panics)
        haft_panic("the defers wait");
    return 0;
}

TEST_FROM_EVERY_CALLER("a defer may wait, while panicking too")
{
    silence_panics();
    for_each_kind(kind) {
        _Atomic int done = 0;
        struct defers_that_wait f = { .done = &done };
        haft_handle h = haft_spawn(ends_with_waits, &f, .kind = kind);
        check_int(haft_join(&h), ==, 0);
        check_int(atomic_load(&done), ==, 2);
        f.panics = true;
        h = haft_spawn(ends_with_waits, &f, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
        check_int(atomic_load(&done), ==, 4);
    }
}

static void panics_in_a_defer(struct ran *r)
{
    HAFT_DEFER(note_c, r);
    note(r, "p");
    haft_panic("second");
}

static int panics_twice(struct ran **r)
{
    HAFT_DEFER(note_a, *r);
    HAFT_DEFER(panics_in_a_defer, *r);
    HAFT_DEFER(note_b, *r);
    haft_panic("first");
}

TEST_FROM_EVERY_CALLER("a panic in a defer while panicking: the remaining defers run and both are reported")
{
    haft_on_panic(counting_hook);
    for_each_kind(kind) {
        atomic_store(&hook_calls, 0);
        struct ran r = { "" }, *p = &r;
        haft_outcome out;
        haft_handle h = haft_spawn(panics_twice, &p, .kind = kind);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(r.text, "bpca");
        check_int(atomic_load(&hook_calls), ==, 2);
        check_msg(strstr(out.panic.message, "first") != NULL || strstr(out.panic.message, "second") != NULL, "%s",
                  out.panic.message);
    }
    haft_on_panic(NULL);
}

static int panics_while_leaving(struct ran **r)
{
    HAFT_DEFER(note_a, *r);
    {
        HAFT_DEFER(note_b, *r);
        HAFT_DEFER(panics_in_a_defer, *r);
    }
    note(*r, "!");
    return 0;
}

TEST_FROM_EVERY_CALLER("a panic in a defer at an ordinary end of its block runs each remaining defer once")
{
    silence_panics();
    for_each_kind(kind) {
        struct ran r = { "" }, *p = &r;
        haft_handle h = haft_spawn(panics_while_leaving, &p, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
        check_str(r.text, "pcba");
    }
}

static int frees_two_payloads(void)
{
    int *outer = malloc(sizeof *outer);
    HAFT_DEFER(free, outer);
    haft_panic_with(malloc(1), free_payload);
}

static void panics_with_another_payload(int *unused)
{
    (void)unused;
    haft_panic_with(malloc(1), free_payload);
}

static int panics_twice_with_payloads(int *f)
{
    HAFT_DEFER(panics_with_another_payload, f);
    return frees_two_payloads();
}

TEST_FROM_EVERY_CALLER("of two panics at once no payload is lost or freed twice")
{
    silence_panics();
    atomic_store(&payloads_freed, 0);
    int unused = 0;
    haft_handle h = haft_spawn(panics_twice_with_payloads, &unused);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    check_int(atomic_load(&payloads_freed), ==, 2);
}

#ifndef __clang__
/* clang refuses the jump at compile time; with gcc it compiles with a warning that is an error in this project. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wjump-misses-init"
static void dirties_the_stack(void)
{
    volatile unsigned char bytes[1024];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 0x41;
}

__attribute__((noinline)) static void jumps_in(struct ran *r, bool jump)
{
    if (jump)
        goto in;
    {
        HAFT_DEFER(note_a, r);
    in:
        note(r, "-");
    }
}
#pragma GCC diagnostic pop

TEST_FROM_EVERY_CALLER("a defer that a jump has passed by does nothing rather than harm")
{
    struct ran r = { "" };
    {
        HAFT_DEFER(note_b, &r);
        dirties_the_stack();
        jumps_in(&r, true);
        check_str(r.text, "-");
        jumps_in(&r, false);
        check_str(r.text, "--a");
    }
    check_str(r.text, "--ab");
}
#endif

/* --- catch -------------------------------------------------------------------------------------------------------- */

struct attempt {
    int code;
    bool panics;
    const void *seen_at;
    struct ran ran;
};

static int attempts(struct attempt *f)
{
    HAFT_DEFER(note_a, &f->ran);
    f->seen_at = f;
    if (f->panics)
        haft_panic("attempt %d", f->code);
    return f->code;
}

TEST_FROM_EVERY_CALLER("catch returns the body's code, works on the loan itself and runs what is inside")
{
    silence_panics();
    struct attempt f = { .code = -12 };
    struct ran outside = { "" };
    {
        HAFT_DEFER(note_b, &outside);
        haft_panic_info panic;
        check_int(haft_catch(attempts, &f, &panic), ==, -12);
        check_ptr(f.seen_at, ==, &f);
        check_str(f.ran.text, "a");
        check_str(outside.text, "");

        f = (struct attempt){ .code = 3, .panics = true };
        check_int(haft_catch(attempts, &f, &panic), ==, HAFT_EPANIC);
        check_str(panic.message, "attempt 3");
        check(ends_with(panic.file, "test_panic.c"));
        check_ptr(f.seen_at, ==, &f);
        check_str(f.ran.text, "a");
        check_str(outside.text, "");
        haft_panic_drop(&panic);

        f = (struct attempt){ .code = 4, .panics = true };
        check_int(haft_catch(attempts, &f, NULL), ==, HAFT_EPANIC);
    }
    check_str(outside.text, "b");
}

TEST_FROM_EVERY_CALLER("catch hands a payload over, or frees it when nobody asks")
{
    silence_panics();
    atomic_store(&payloads_freed, 0);
    int value = 5;
    haft_panic_info panic;
    check_int(haft_catch(panics_with_payload, &value, &panic), ==, HAFT_EPANIC);
    check_ptr(panic.payload, !=, NULL);
    check_int(*(int *)panic.payload, ==, 5);
    check_int(atomic_load(&payloads_freed), ==, 0);
    haft_panic_drop(&panic);
    check_int(atomic_load(&payloads_freed), ==, 1);
    check_int(haft_catch(panics_with_payload, &value, NULL), ==, HAFT_EPANIC);
    check_int(atomic_load(&payloads_freed), ==, 2);
}

struct nest {
    int depth;
    int caught;
    struct ran ran;
};

static int nests(struct nest *f)
{
    HAFT_DEFER(note_a, &f->ran);
    if (f->depth == 0)
        haft_panic("innermost");
    f->depth--;
    haft_panic_info panic;
    int rc = haft_catch(nests, f, &panic);
    check_int(rc, ==, HAFT_EPANIC);
    f->caught++;
    note(&f->ran, "-");
    haft_panic("level %d after %s", f->caught, panic.message);
}

TEST_FROM_EVERY_CALLER("catches nest: each stops the panic raised inside it, and no other")
{
    silence_panics();
    struct nest f = { .depth = 4 };
    haft_panic_info panic;
    check_int(haft_catch(nests, &f, &panic), ==, HAFT_EPANIC);
    check_int(f.caught, ==, 4);
    check_str(panic.message, "level 4 after level 3 after level 2 after level 1 after innermost");
    check_str(f.ran.text, "a-a-a-a-a");
}

static int passes_it_on(struct attempt *f)
{
    HAFT_DEFER(note_b, &f->ran);
    haft_panic_info panic;
    int rc = haft_catch(attempts, f, &panic);
    if (rc == HAFT_EPANIC)
        haft_panic_resume(&panic);
    return rc;
}

TEST_FROM_EVERY_CALLER("a caught panic is passed on with its message and place, and the hook hears of it once")
{
    haft_on_panic(counting_hook);
    atomic_store(&hook_calls, 0);
    struct attempt f = { .code = 6, .panics = true };
    haft_panic_info panic;
    check_int(haft_catch(passes_it_on, &f, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "attempt 6");
    check(ends_with(panic.file, "test_panic.c"));
    int line = panic.line;
    check_str(f.ran.text, "ab");
    check_int(atomic_load(&hook_calls), ==, 1);

    for_each_kind(kind) {
        struct attempt g = { .code = 6, .panics = true };
        haft_outcome out;
        haft_handle h = haft_spawn(passes_it_on, &g, .kind = kind);
        check_int(haft_join_outcome(&h, &g, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "attempt 6");
        check_int(out.panic.line, ==, line);
        check_str(g.ran.text, "ab");
    }
    check_int(atomic_load(&hook_calls), ==, 1 + KINDS);
    haft_on_panic(NULL);
}

static int joins_and_passes_on(haft_handle *inner)
{
    haft_outcome out;
    int rc = haft_join_outcome(inner, HAFT_NO_FRAME, &out);
    if (rc == 0 && out.end == HAFT_PANICKED)
        haft_panic_resume(&out.panic);
    return rc;
}

TEST_FROM_EVERY_CALLER("a joiner passes a panic on, payload included, and it is freed once")
{
    haft_on_panic(counting_hook);
    for_each_kind(kind) {
        atomic_store(&hook_calls, 0);
        atomic_store(&payloads_freed, 0);
        int value = 8;
        haft_handle inner = haft_spawn(panics_with_payload, &value, .name = "inner");
        haft_handle outer = haft_spawn(joins_and_passes_on, &inner, .kind = kind, .name = "outer");
        haft_outcome out;
        check_int(haft_join_outcome(&outer, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_ptr(out.panic.payload, !=, NULL);
        check_int(*(int *)out.panic.payload, ==, 8);
        check_int(atomic_load(&payloads_freed), ==, 0);
        haft_panic_drop(&out.panic);
        check_int(atomic_load(&payloads_freed), ==, 1);
        check_int(atomic_load(&hook_calls), ==, 1);
    }
    haft_on_panic(NULL);
}

static int leaves_a_deadline_by_panic(void)
{
    HAFT_TIMEOUT(0);
    HAFT_SHIELD;
    HAFT_TIMEOUT(-HAFT_S);
    haft_panic("from within deadlines");
}

TEST_FROM_EVERY_CALLER("after a catch no deadline or shield of the body is left")
{
    silence_panics();
    check_int(haft_catch(leaves_a_deadline_by_panic, HAFT_NO_FRAME, NULL), ==, HAFT_EPANIC);
    check_int(haft_time_left(), ==, INT64_MAX);
    check_int(haft_checkpoint(), ==, 0);
    HAFT_TIMEOUT(HAFT_S * 1000);
    check_int(haft_catch(leaves_a_deadline_by_panic, HAFT_NO_FRAME, NULL), ==, HAFT_EPANIC);
    check_int(haft_time_left(), >, HAFT_S);
    check_int(haft_checkpoint(), ==, 0);
}

static int is_aborted_behind_a_shield_and_panics(void)
{
    check_int(haft_abort(haft_self()), ==, 0);
    HAFT_SHIELD;
    haft_panic("shielded");
}

static int looks_after_its_catch(void)
{
    check_int(haft_catch(is_aborted_behind_a_shield_and_panics, HAFT_NO_FRAME, NULL), ==, HAFT_EPANIC);
    check(haft_is_aborted());
    return haft_checkpoint();
}

TEST_FROM_EVERY_CALLER("a shield left by a panic masks no more")
{
    silence_panics();
    for_each_kind(kind) {
        haft_handle h = haft_spawn(looks_after_its_catch, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
    }
}

static void catches_in_a_defer(struct ran *r)
{
    struct attempt f = { .code = 1, .panics = true };
    check_int(haft_catch(attempts, &f, NULL), ==, HAFT_EPANIC);
    note(r, "k");
}

static int catches_while_panicking(struct ran **r)
{
    HAFT_DEFER(note_a, *r);
    HAFT_DEFER(catches_in_a_defer, *r);
    haft_panic("the outer one");
}

TEST_FROM_EVERY_CALLER("a catch in a defer stops only the panic raised inside it, while another goes on")
{
    silence_panics();
    for_each_kind(kind) {
        struct ran r = { "" }, *p = &r;
        haft_outcome out;
        haft_handle h = haft_spawn(catches_while_panicking, &p, .kind = kind);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "the outer one");
        check_str(r.text, "ka");
    }
}

static int suspends_and_panics(void)
{
    for (int i = 0; i < 5; i++)
        check_int(haft_yield(), ==, 0);
    check_int(haft_sleep(1000), ==, 0);
    haft_panic("after a move");
}

static int catches_across_suspensions(const unsigned *n)
{
    for (unsigned i = 0; i < *n; i++) {
        struct ran r = { "" };
        {
            HAFT_DEFER(note_a, &r);
            haft_panic_info panic;
            if (haft_catch(suspends_and_panics, HAFT_NO_FRAME, &panic) != HAFT_EPANIC)
                return -1;
            check_str(panic.message, "after a move");
            check_int(haft_yield(), ==, 0);
        }
        check_str(r.text, "a");
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("defers and catches belong to the job, whichever worker runs it")
{
    silence_panics();
    enum { N = 40 };
    unsigned n = (unsigned)rounds(20, 1000);
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(catches_across_suspensions, &n);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
}

static int panics_when_aborted(_Atomic int **told)
{
    atomic_store(*told, 1);
    int rc = haft_park();
    haft_panic("told %s", haft_errname(rc));
}

TEST_FROM_EVERY_CALLER("a job that panics after it was told of an abort has panicked")
{
    silence_panics();
    for_each_kind(kind) {
        _Atomic int told = 0, *p = &told;
        haft_outcome out;
        haft_handle h = haft_spawn(panics_when_aborted, &p, .kind = kind);
        until(atomic_load(&told));
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "told HAFT_ECANCELED");
    }
}

/* --- stack overflow ----------------------------------------------------------------------------------------------- */

#pragma GCC diagnostic push
#ifndef __clang__
#pragma GCC diagnostic ignored "-Winfinite-recursion" /* that is what it is for */
#endif
static int recurses(volatile unsigned char *before)
{
    volatile unsigned char bytes[512];
    bytes[0] = before == NULL ? 1 : before[0];
    bytes[sizeof bytes - 1] = bytes[0];
    if (bytes[sizeof bytes - 1] == 0)
        return 0;
    int below = recurses(bytes);
    return below + bytes[sizeof bytes - 1];
}
#pragma GCC diagnostic pop

static int overflows(void)
{
    return recurses(NULL);
}

static void overflow(size_t stack_size, haft_kind kind)
{
    haft_handle h = haft_spawn(overflows, HAFT_NO_FRAME, .kind = kind, .name = "endless", .stack_size = stack_size);
    haft_join(&h);
    exit(99);
}

TEST_EXITS("a task that overflows its stack ends the process, and its name is told", TEST_SIGNAL(SIGABRT), "endless")
{
    overflow(0, HAFT_TASK);
}

TEST_EXITS("a task that overflows its stack ends the process, and the stack's size is told", TEST_SIGNAL(SIGABRT),
           " bytes")
{
    overflow(0, HAFT_TASK);
}

TEST_EXITS("a task that overflows its stack ends the process, and where it was spawned is told", TEST_SIGNAL(SIGABRT),
           "test_panic.c:")
{
    overflow(0, HAFT_TASK);
}

TEST_EXITS("a task that overflows a stack of a size of its own is told from others", TEST_SIGNAL(SIGABRT), "endless")
{
    overflow(1 << 20, HAFT_TASK);
}

static int spawns_an_overflow(void)
{
    overflow(0, HAFT_TASK);
    return 0;
}

TEST_EXITS("a task beside one worker that overflows its stack is told as well", TEST_SIGNAL(SIGABRT), "endless")
{
    haft_run(spawns_an_overflow, HAFT_NO_FRAME, .workers = 1);
}

#if !CALLERS_SANITIZED /* they report a fault themselves and end otherwise */
TEST_EXITS("a fault that is no overflow ends the process as ever", TEST_SIGNAL(SIGSEGV), "about to fault")
{
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    writes("about to fault");
    raise(SIGSEGV);
}
#endif
