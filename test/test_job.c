/* SPDX-License-Identifier: MIT
 *
 * Frames, spawn and handles: what moves in and out, who owns it, and what every call on a handle answers. Over 600
 * lines: one handle has many calls, and each is tried in each state of a job of each kind. */
#include <haft/haft.h>

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "callers.h"

/* --- frames ------------------------------------------------------------------------------------------------------- */

struct sum {
    uint64_t n, total;
};

static int sum_to(struct sum *s)
{
    for (uint64_t i = 1; i <= s->n; i++)
        s->total += i;
    return 0;
}

TEST_FROM_EVERY_CALLER("join moves the frame out as the body left it")
{
    for_each_kind(kind) {
        struct sum s = { .n = 1000 };
        haft_handle h = haft_spawn(sum_to, &s, .kind = kind);
        check_int(s.total, ==, 0);
        check_int(haft_join(&h, &s), ==, 0);
        check_int(s.n, ==, 1000);
        check_int(s.total, ==, 500500);
        check(haft_is_null(h));
    }
}

/* A frame that counts how often it was given to its .drop, and with which contents. */
struct counted {
    _Atomic int *drops;
    _Atomic int *last;
    int value;
    int code;
};

static void drop_counted(void *object)
{
    struct counted *f = object;
    atomic_store(f->last, f->value);
    atomic_fetch_add(f->drops, 1);
}

static int counted_adds_one(struct counted *f)
{
    f->value++;
    return f->code;
}

static int counted_panics(struct counted *f)
{
    f->value++;
    haft_panic("on purpose");
}

static int counted_waits(struct counted *f)
{
    f->value++;
    int rc = haft_park();
    f->value++;
    return rc;
}

struct drops {
    _Atomic int drops;
    _Atomic int last;
};

#define COUNTED(d, v) ((struct counted){ .drops = &(d).drops, .last = &(d).last, .value = (v) })

static haft_handle spawn_from_a_stack_that_is_gone(haft_kind kind, _Atomic int *go)
{
    struct {
        struct sum sum;
    } local = { .sum = { .n = 10, .total = 7 } };
    (void)go;
    return haft_spawn(sum_to, &local.sum, .kind = kind);
}

static void overwrite_the_stack(void)
{
    volatile unsigned char bytes[2048];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 0xa5;
}

TEST_FROM_EVERY_CALLER("a frame on the stack of a function that has returned does no harm: it was copied")
{
    for_each_kind(kind) {
        _Atomic int go = 0;
        haft_handle h = spawn_from_a_stack_that_is_gone(kind, &go);
        overwrite_the_stack();
        struct sum s;
        check_int(haft_join(&h, &s), ==, 0);
        check_int(s.total, ==, 62);
    }
}

TEST_FROM_EVERY_CALLER("what the spawner writes into its frame after the spawn does not reach the job")
{
    for_each_kind(kind) {
        struct sum s = { .n = 4 };
        haft_handle h = haft_spawn(sum_to, &s, .kind = kind);
        s.n = 1000000;
        s.total = 1000000;
        struct sum out;
        check_int(haft_join(&h, &out), ==, 0);
        check_int(out.total, ==, 10);
    }
}

static _Atomic size_t sized_size;

static int flips_every_byte(void *frame)
{
    unsigned char *bytes = frame;
    size_t size = atomic_load(&sized_size);
    for (size_t i = 0; i < size; i++)
        bytes[i] ^= 0xff;
    return 0;
}

static void check_frame_of_size(haft_kind kind, size_t size)
{
    unsigned char in[4096 + 16], out[4096 + 16];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 31 + size);
    memset(out, 0x5a, sizeof out);
    atomic_store(&sized_size, size);
    haft_handle h = haft_spawn_raw(flips_every_byte, in, size, 1,
                                   &(haft_spawn_options){ .size_ = sizeof(haft_spawn_options), .kind = kind });
    check_int(haft_join_raw(&h, out, size), ==, 0);
    for (size_t i = 0; i < sizeof out; i++)
        check_int(out[i], ==, i < size ? (in[i] ^ 0xff) : 0x5a);
}

TEST_FROM_EVERY_CALLER("frames of every size from nothing to 4,096 bytes come back whole, and no byte more")
{
    size_t step = test_slowness() > 1 ? 17 : 1;
    for (size_t size = 0; size <= 4096; size += step)
        check_frame_of_size(HAFT_TASK, size);
    for (size_t size = 0; size <= 4096; size += 128 * step)
        for_each_kind(kind)
            check_frame_of_size(kind, size);
    for_each_kind(kind)
        check_frame_of_size(kind, 4096);
}

static int fills_its_frame(void *frame)
{
    memset(frame, 0x77, atomic_load(&sized_size));
    return 0;
}

TEST("a frame may have a megabyte")
{
    size_t size = 1 << 20;
    unsigned char *frame = calloc(1, size);
    check_ptr(frame, !=, NULL);
    atomic_store(&sized_size, size);
    for_each_kind(kind) {
        memset(frame, 0, size);
        haft_handle h = haft_spawn_raw(fills_its_frame, frame, size, 8,
                                       &(haft_spawn_options){ .size_ = sizeof(haft_spawn_options), .kind = kind });
        check_int(haft_join_raw(&h, frame, size), ==, 0);
        check_int(frame[0], ==, 0x77);
        check_int(frame[size - 1], ==, 0x77);
    }
    free(frame);
}

static int tells_its_address(void *frame)
{
    *(uintptr_t *)frame = (uintptr_t)frame;
    return 0;
}

TEST_FROM_EVERY_CALLER("a frame lies where its alignment asks, up to 64 bytes")
{
    static const size_t sizes[] = { 64, 128, 192, 1024, 4096 };
    for_each_kind(kind)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t alignment = sizeof(uintptr_t); alignment <= 64; alignment *= 2) {
                uintptr_t frame[4096 / sizeof(uintptr_t)] = { 0 };
                haft_handle h =
                    haft_spawn_raw(tells_its_address, frame, sizes[i], alignment,
                                   &(haft_spawn_options){ .size_ = sizeof(haft_spawn_options), .kind = kind });
                check_int(haft_join_raw(&h, frame, sizes[i]), ==, 0);
                check_int(frame[0], !=, 0);
                check_int(frame[0] % alignment, ==, 0);
            }
}

struct over_aligned {
    _Alignas(64) unsigned char bytes[64];
    const void *seen_at;
};

static int sees_itself(struct over_aligned *f)
{
    f->seen_at = f;
    return f->bytes[63];
}

TEST_FROM_EVERY_CALLER("an over-aligned struct is a frame like any other")
{
    for_each_kind(kind) {
        struct over_aligned f = { .bytes = { [63] = 9 } };
        haft_handle h = haft_spawn(sees_itself, &f, .kind = kind);
        check_int(haft_join(&h, &f), ==, 9);
        check_int((uintptr_t)f.seen_at % 64, ==, 0);
    }
}

struct too_aligned {
    _Alignas(128) unsigned char bytes[128];
};

static _Atomic int too_aligned_ran, too_aligned_dropped;

static int too_aligned_body(struct too_aligned *f)
{
    (void)f;
    return atomic_fetch_add(&too_aligned_ran, 1);
}

static void too_aligned_drop(void *frame)
{
    (void)frame;
    atomic_fetch_add(&too_aligned_dropped, 1);
}

TEST_FROM_EVERY_CALLER("a frame aligned to 128 is refused and was never taken")
{
    for_each_kind(kind) {
        struct too_aligned f = { .bytes = { 1 } };
        haft_handle h = haft_spawn(too_aligned_body, &f, .kind = kind, .drop = too_aligned_drop);
        check_int(haft_error(h), ==, HAFT_EINVAL);
        check_int(haft_join(&h), ==, HAFT_EINVAL);
        check(haft_is_null(h));
    }
    check_int(atomic_load(&too_aligned_ran), ==, 0);
    check_int(atomic_load(&too_aligned_dropped), ==, 0);
}

static int reads_only(const struct sum *s)
{
    return (int)s->n;
}

static int takes_anything(void *frame)
{
    return (int)((struct sum *)frame)->n;
}

TEST_FROM_EVERY_CALLER("frames may be const, and a body may take a pointer to const or to void")
{
    for_each_kind(kind) {
        const struct sum constant = { .n = 5 };
        haft_handle a = haft_spawn(reads_only, &constant, .kind = kind);
        haft_handle b = haft_spawn(takes_anything, &constant, .kind = kind);
        struct sum plain = { .n = 6 };
        haft_handle c = haft_spawn(reads_only, &plain, .kind = kind);
        haft_handle d = haft_spawn(reads_only, (&(struct sum){ .n = 7, .total = 1 }), .kind = kind);
        check_int(haft_join(&a), ==, 5);
        check_int(haft_join(&b), ==, 5);
        check_int(haft_join(&c, &plain), ==, 6);
        check_int(haft_join(&d), ==, 7);
    }
}

static int nine(void)
{
    return 9;
}

TEST_FROM_EVERY_CALLER("a body without a frame is spawned with or without options")
{
    haft_handle h = haft_spawn(nine);
    check_int(haft_join(&h), ==, 9);
    haft_handle b = haft_spawn_blocking(nine);
    check_int(haft_join(&b), ==, 9);
    for_each_kind(kind) {
        haft_handle k = haft_spawn(nine, HAFT_NO_FRAME, .kind = kind, .name = "nine");
        check_int(haft_join(&k, HAFT_NO_FRAME), ==, 9);
    }
}

TEST_FROM_EVERY_CALLER("the frame comes back whatever the outcome")
{
    silence_panics();
    for_each_kind(kind) {
        struct drops d = { 0 };
        struct counted f = COUNTED(d, 1);
        f.code = -77;
        haft_handle h = haft_spawn(counted_adds_one, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_join(&h, &f), ==, -77);
        check_int(f.value, ==, 2);

        h = haft_spawn(counted_panics, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_join(&h, &f), ==, HAFT_EPANIC);
        check_int(f.value, ==, 3);

        h = haft_spawn(counted_waits, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h, &f), ==, HAFT_EABORTED);
        check(f.value == 3 || f.value == 5);
        check_int(atomic_load(&d.drops), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("join without a frame gives it to .drop once, by address, as the body left it")
{
    silence_panics();
    for_each_kind(kind) {
        struct drops d = { 0 };
        struct counted f = COUNTED(d, 10);
        haft_handle h = haft_spawn(counted_adds_one, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_join(&h), ==, 0);
        check_int(atomic_load(&d.drops), ==, 1);
        check_int(atomic_load(&d.last), ==, 11);

        f.value = 20;
        h = haft_spawn(counted_panics, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
        check_int(atomic_load(&d.drops), ==, 2);
        check_int(atomic_load(&d.last), ==, 21);

        haft_outcome out;
        f.value = 30;
        h = haft_spawn(counted_adds_one, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(atomic_load(&d.drops), ==, 3);
        check_int(atomic_load(&d.last), ==, 31);
    }
}

TEST_FROM_EVERY_CALLER("a detached job runs to its end, then its frame goes to .drop once")
{
    silence_panics();
    for_each_kind(kind) {
        struct drops d = { 0 };
        struct counted f = COUNTED(d, 40);
        haft_handle h = haft_spawn(counted_adds_one, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_detach(&h), ==, 0);
        check(haft_is_null(h));
        until(atomic_load(&d.drops) == 1);
        check_int(atomic_load(&d.last), ==, 41);

        h = haft_spawn(counted_panics, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_detach(&h), ==, 0);
        until(atomic_load(&d.drops) == 2);

        f.value = 50;
        h = haft_spawn(counted_adds_one, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_wait(h), ==, 0);
        check_int(haft_detach(&h), ==, 0);
        until(atomic_load(&d.drops) == 3);
        check_int(atomic_load(&d.last), ==, 51);
        for (int i = 0; i < 100; i++)
            check_int(haft_yield(), ==, 0);
        check_int(atomic_load(&d.drops), ==, 3);
    }
}

TEST_FROM_EVERY_CALLER("drop aborts the job, waits for its end and gives the frame to .drop once")
{
    for_each_kind(kind) {
        struct drops d = { 0 };
        struct counted f = COUNTED(d, 60);
        haft_handle h = haft_spawn(counted_waits, &f, .kind = kind, .drop = drop_counted);
        haft_drop(&h);
        check(haft_is_null(h));
        check_int(atomic_load(&d.drops), ==, 1);
        check(atomic_load(&d.last) == 60 || atomic_load(&d.last) == 62);

        f.value = 70;
        h = haft_spawn(counted_adds_one, &f, .kind = kind, .drop = drop_counted);
        check_int(haft_wait(h), ==, 0);
        haft_drop(&h);
        check_int(atomic_load(&d.drops), ==, 2);
        check_int(atomic_load(&d.last), ==, 71);
    }
}

TEST_FROM_EVERY_CALLER("drop of a null, spent or failed handle does nothing")
{
    haft_handle null = HAFT_NULL_HANDLE;
    haft_drop(&null);
    check(haft_is_null(null));
    for_each_kind(kind) {
        struct drops d = { 0 };
        struct counted f = COUNTED(d, 1);
        haft_handle h = haft_spawn(counted_adds_one, &f, .kind = kind, .drop = drop_counted);
        haft_handle copy = h;
        check_int(haft_join(&h, &f), ==, 0);
        haft_drop(&h);
        haft_drop(&copy);
        check_int(atomic_load(&d.drops), ==, 0);
    }
    haft_handle failed = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = (haft_kind)99);
    haft_drop(&failed);
}

static int drops_at_its_end(struct counted *f)
{
    haft_handle h = haft_spawn(counted_waits, f, .drop = drop_counted);
    HAFT_DEFER(haft_drop, &h);
    return 0;
}

TEST_FROM_EVERY_CALLER("haft_drop in a HAFT_DEFER ends a job with the block that started it")
{
    struct drops d = { 0 };
    struct counted f = COUNTED(d, 1);
    check_int(drops_at_its_end(&f), ==, 0);
    check_int(atomic_load(&d.drops), ==, 1);
}

struct relay {
    haft_handle inner;
    int code;
};

static int joins_what_it_was_given(struct relay *f)
{
    struct sum s;
    f->code = haft_join(&f->inner, &s);
    return (int)s.total;
}

TEST_FROM_EVERY_CALLER("a handle may travel in a frame and be joined by the job that received it")
{
    for_each_kind(outer)
        for_each_kind(inner) {
            struct sum s = { .n = 4 };
            struct relay f = { .inner = haft_spawn(sum_to, &s, .kind = inner), .code = 1 };
            haft_handle h = haft_spawn(joins_what_it_was_given, &f, .kind = outer);
            check_int(haft_join(&h, &f), ==, 10);
            check_int(f.code, ==, 0);
            check(haft_is_null(f.inner));
        }
}

/* --- failed spawns ------------------------------------------------------------------------------------------------ */

TEST_FROM_EVERY_CALLER("a spawn that fails hands back its error, and the frame was never taken")
{
    struct drops d = { 0 };
    struct counted f = COUNTED(d, 3);
    haft_handle h = haft_spawn(counted_adds_one, &f, .kind = (haft_kind)99, .drop = drop_counted);
    check(!haft_is_null(h));
    check_int(haft_error(h), ==, HAFT_EINVAL);
    check_int(haft_id(h), ==, 0);
    check_int(haft_wait(h), ==, HAFT_EINVAL);
    check_int(haft_join(&h, &f), ==, HAFT_EINVAL);
    check(haft_is_null(h));
    check_int(f.value, ==, 3);
    check_int(haft_join(&h, &f), ==, HAFT_ESTALE);

    haft_outcome out = { .code = 12345 };
    h = haft_spawn(counted_adds_one, &f, .kind = (haft_kind)99, .drop = drop_counted);
    check_int(haft_join_outcome(&h, &f, &out), ==, HAFT_EINVAL);
    check(haft_is_null(h));
    check_int(out.code, ==, 12345);

    h = haft_spawn(counted_adds_one, &f, .kind = (haft_kind)99, .drop = drop_counted);
    check_int(haft_try_join(&h), ==, HAFT_EINVAL);
    check(haft_is_null(h));

    h = haft_spawn(counted_adds_one, &f, .kind = (haft_kind)99, .drop = drop_counted);
    check_int(haft_detach(&h), ==, HAFT_EINVAL);
    check_int(atomic_load(&d.drops), ==, 0);
}

TEST_FROM_EVERY_CALLER("a thread whose stack no machine has is an error at its spawn, not a crash")
{
    struct drops d = { 0 };
    struct counted f = COUNTED(d, 3);
    haft_handle h =
        haft_spawn(counted_adds_one, &f, .kind = HAFT_THREAD, .stack_size = (size_t)1 << 56, .drop = drop_counted);
    int error = haft_error(h);
    check_msg(error == HAFT_EAGAIN || error == HAFT_ENOMEM || error == HAFT_EINVAL, "%s", haft_errname(error));
    check_int(haft_join(&h, &f), ==, error);
    check_int(f.value, ==, 3);
    check_int(atomic_load(&d.drops), ==, 0);
}

/* --- what runs a job ---------------------------------------------------------------------------------------------- */

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

TEST_FROM_EVERY_CALLER("a job of kind HAFT_THREAD has an OS thread of its own")
{
    haft_handle a = haft_spawn(thread_id, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    int here = thread_id();
    int there = haft_join(&a);
    check_int(there, >, 0);
    check_int(there, !=, here);
}

TEST_FROM_EVERY_CALLER("a task has 64 KiB of stack with its guard, and as much as it asks for")
{
    if (test_slowness() > 1)
        skip("the compiler's checks make stack frames larger");
    haft_handle h = haft_spawn(uses_stack, (&(size_t){ (size_t)57 << 10 }));
    check_int(haft_join(&h), ==, 0);
    static const size_t sizes[] = { (size_t)64 << 10, (size_t)100 << 10, (size_t)256 << 10, (size_t)1 << 20,
                                    (size_t)16 << 20 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t use = sizes[i] - ((size_t)2 << 10); /* what calls take */
        h = haft_spawn(uses_stack, &use, .stack_size = sizes[i]);
        check_int(haft_join(&h), ==, 0);
    }
}

static int stack_of_this_thread(size_t *size)
{
    pthread_attr_t attributes;
    void *low;
    int rc = pthread_getattr_np(pthread_self(), &attributes);
    if (rc == 0)
        rc = pthread_attr_getstack(&attributes, &low, size);
    pthread_attr_destroy(&attributes);
    return -rc;
}

TEST_FROM_EVERY_CALLER("a thread has the stack it asked for")
{
    static const size_t sizes[] = { 1, 20000, 256 << 10, 4 << 20 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = 0;
        haft_handle h = haft_spawn(stack_of_this_thread, &size, .kind = HAFT_THREAD, .stack_size = sizes[i]);
        check_int(haft_join(&h, &size), ==, 0);
        check_int(size, >=, sizes[i]);
    }
}

struct names {
    char kernel[32];
    char own[80];
};

static int reads_its_names(struct names *f)
{
    pthread_getname_np(pthread_self(), f->kernel, sizeof f->kernel);
    snprintf(f->own, sizeof f->own, "%s", haft_name(haft_self()));
    return 0;
}

static const char long_name[] = "a-name-that-is-much-longer-than-the-kernel-would-keep";

TEST_FROM_EVERY_CALLER("a job keeps its name whole, and a thread shows the first 15 bytes of it to the kernel")
{
    for_each_kind(kind) {
        char name[sizeof long_name];
        memcpy(name, long_name, sizeof name);
        struct names f = { 0 };
        haft_handle h = haft_spawn(reads_its_names, &f, .kind = kind, .name = name);
        memset(name, 'x', sizeof name - 1);
        check_str(haft_name(h), long_name);
        check_int(haft_wait(h), ==, 0);
        check_str(haft_name(h), long_name);
        haft_handle copy = h;
        check_int(haft_join(&h, &f), ==, 0);
        check_str(f.own, long_name);
        if (kind == HAFT_THREAD)
            check_str(f.kernel, "a-name-that-is-");
        check_str(haft_name(h), "");
        check_str(haft_name(copy), "");
    }
    haft_handle unnamed = haft_spawn(return_nothing);
    check_str(haft_name(unnamed), "");
    check_int(haft_join(&unnamed), ==, 0);
    check_str(haft_name(HAFT_NULL_HANDLE), "");
}

static int stays_on_its_thread(unsigned *yields)
{
    int first = thread_id();
    for (unsigned i = 0; i < *yields; i++) {
        int rc = i % 16 == 15 ? haft_sleep(1) : haft_yield();
        if (rc != 0)
            return rc;
        if (thread_id() != first)
            return -EXDEV;
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("a pinned task never changes its thread")
{
    enum { N = 16 };
    haft_handle hs[2 * N];
    unsigned yields = (unsigned)rounds(200, 20000);
    for (int i = 0; i < 2 * N; i++)
        hs[i] = i % 2 == 0 ? haft_spawn(stays_on_its_thread, &yields, .pinned = true) : haft_spawn(wait_for_token);
    for (int i = 1; i < 2 * N; i += 2)
        check_int(haft_unpark(hs[i]), ==, 0);
    for (int i = 0; i < 2 * N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
}

/* --- join --------------------------------------------------------------------------------------------------------- */

static int returns(const int *code)
{
    return *code;
}

TEST_FROM_EVERY_CALLER("join returns the body's code unchanged, whatever it is")
{
    static const int codes[] = { 0,           1,           -1,          INT_MAX,        INT_MIN,        -ENOENT,
                                 HAFT_EPANIC, HAFT_ESTALE, HAFT_EAGAIN, HAFT_ECANCELED, HAFT_ETIMEDOUT, HAFT_EABORTED };
    for_each_kind(kind)
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
            haft_handle h = haft_spawn(returns, &codes[i], .kind = kind);
            check_int(haft_join(&h), ==, codes[i]);
            check(haft_is_null(h));

            haft_outcome out;
            h = haft_spawn(returns, &codes[i], .kind = kind);
            check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
            check_int(out.end, ==, HAFT_RETURNED);
            check_int(out.code, ==, codes[i]);
            check(haft_is_null(h));
        }
}

TEST_FROM_EVERY_CALLER("a second join is an error and never a hang, by the same handle and by a copy")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind);
        haft_handle copy = h;
        check_int(haft_join(&h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_ESTALE);
        uint64_t id = copy.id_;
        check_int(haft_join(&copy), ==, HAFT_ESTALE);
        check(copy.id_ == id);
        haft_outcome out;
        check_int(haft_join_outcome(&copy, HAFT_NO_FRAME, &out), ==, HAFT_ESTALE);
        check_int(haft_try_join(&copy), ==, HAFT_ESTALE);
        check_int(haft_detach(&copy), ==, HAFT_ESTALE);
        check_int(haft_wait(copy), ==, HAFT_ESTALE);
        check_int(haft_abort(copy), ==, HAFT_ESTALE);
        check_int(haft_unpark(copy), ==, HAFT_ESTALE);
        check_int(haft_abort_by(haft_abort_handle_of(copy)), ==, HAFT_ESTALE);
        check(haft_is_finished(copy));
        check_int(haft_join_all(&copy, 1, NULL), ==, HAFT_ESTALE);
        haft_drop(&copy);
    }
}

TEST_FROM_EVERY_CALLER("every call on a null handle says so")
{
    haft_handle null = HAFT_NULL_HANDLE;
    haft_handle zero = { 0 };
    check(haft_is_null(null));
    check(haft_is_null(zero));
    check_int(haft_error(null), ==, 0);
    check_int(haft_id(null), ==, 0);
    check_int(haft_join(&null), ==, HAFT_ESTALE);
    check_int(haft_try_join(&null), ==, HAFT_ESTALE);
    check_int(haft_detach(&null), ==, HAFT_ESTALE);
    check_int(haft_wait(null), ==, HAFT_ESTALE);
    check_int(haft_abort(null), ==, HAFT_ESTALE);
    check_int(haft_unpark(null), ==, HAFT_ESTALE);
    check_int(haft_abort_by(haft_abort_handle_of(null)), ==, HAFT_ESTALE);
    check(haft_is_finished(null));
}

TEST_FROM_EVERY_CALLER("a frame of another size is refused and the handle is as before")
{
    for_each_kind(kind) {
        struct sum s = { .n = 4 };
        uint64_t wrong = 99;
        haft_handle h = haft_spawn(sum_to, &s, .kind = kind);
        haft_handle before = h;
        check_int(haft_join(&h, &wrong), ==, HAFT_EINVAL);
        check_int(haft_wait(h), ==, 0);
        check_int(haft_join(&h, &wrong), ==, HAFT_EINVAL);
        check_int(haft_try_join(&h, &wrong), ==, HAFT_EINVAL);
        haft_outcome out = { .code = 5 };
        check_int(haft_join_outcome(&h, &wrong, &out), ==, HAFT_EINVAL);
        check_int(out.code, ==, 5);
        check_int(wrong, ==, 99);
        check(h.slot_ == before.slot_ && h.id_ == before.id_);
        check_int(haft_join(&h, &s), ==, 0);
        check_int(s.total, ==, 10);

        h = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h, &wrong), ==, HAFT_EINVAL);
        check_int(haft_join(&h), ==, 0);
    }
}

struct joiner {
    haft_handle target;
    _Atomic int *begun;
};

static int joins_when_free(struct joiner *f)
{
    atomic_fetch_add(f->begun, 1);
    int rc;
    while ((rc = haft_join(&f->target)) == HAFT_EBUSY)
        check_int(haft_yield(), ==, 0);
    return rc;
}

TEST_FROM_EVERY_CALLER("while one joins, another is told that the job is busy")
{
    for_each_kind(target)
        for_each_kind(kind) {
            _Atomic int begun = 0;
            haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = target);
            struct joiner f = { .target = h, .begun = &begun };
            haft_handle other = haft_spawn(joins_when_free, &f, .kind = kind);
            until(atomic_load(&begun) == 1);
            int rc;
            while ((rc = haft_try_join(&h)) != HAFT_EBUSY) {
                check_int(rc, ==, HAFT_EAGAIN);
                check_int(haft_yield(), ==, 0);
            }
            check(!haft_is_null(h));
            check_int(haft_join(&h), ==, HAFT_EBUSY);
            haft_outcome out;
            check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, HAFT_EBUSY);
            check_int(haft_detach(&h), ==, HAFT_EBUSY);
            check_int(haft_join_all(&h, 1, NULL), ==, HAFT_EBUSY);
            check_int(haft_unpark(h), ==, 0);
            check_int(haft_join(&other), ==, 0);
            check_int(haft_join(&h), ==, HAFT_ESTALE);
        }
}

TEST_FROM_EVERY_CALLER("a join that runs out of time has done nothing and gives its claim back")
{
    for_each_kind(kind) {
        struct drops d = { 0 };
        struct counted f = COUNTED(d, 1), untouched = f;
        haft_handle h = haft_spawn(counted_waits, &f, .kind = kind, .drop = drop_counted);
        for (int i = 0; i < 3; i++) {
            HAFT_TIMEOUT(i * (100 * HAFT_US));
            check_int(haft_join(&h, &f), ==, HAFT_ETIMEDOUT);
            check(!haft_is_null(h));
            check_int(haft_join(&h), ==, HAFT_ETIMEDOUT);
            check_int(haft_wait(h), ==, HAFT_ETIMEDOUT);
            haft_outcome out = { .code = 8 };
            check_int(haft_join_outcome(&h, &f, &out), ==, HAFT_ETIMEDOUT);
            check_int(out.code, ==, 8);
        }
        check_int(f.value, ==, untouched.value);
        check_int(atomic_load(&d.drops), ==, 0);
        check_int(haft_unpark(h), ==, 0);
        check_int(haft_join(&h, &f), ==, 0);
        check_int(f.value, ==, 3);
    }
}

static int joins_and_is_aborted(struct joiner *f)
{
    atomic_fetch_add(f->begun, 1);
    int rc = haft_join(&f->target);
    return rc == HAFT_ECANCELED && !haft_is_null(f->target) ? 77 : rc;
}

TEST_FROM_EVERY_CALLER("a join whose caller is aborted has done nothing and gives its claim back")
{
    for_each_kind(target)
        for_each_kind(kind) {
            _Atomic int begun = 0;
            haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = target);
            struct joiner f = { .target = h, .begun = &begun };
            haft_handle other = haft_spawn(joins_and_is_aborted, &f, .kind = kind);
            until(atomic_load(&begun) == 1);
            check_int(haft_abort(other), ==, 0);
            haft_outcome out;
            check_int(haft_join_outcome(&other, HAFT_NO_FRAME, &out), ==, 0);
            check_int(out.end, ==, HAFT_ABORTED);
            check_int(out.code, ==, 77);
            check_int(haft_unpark(h), ==, 0);
            check_int(haft_join(&h), ==, 0);
        }
}

TEST_FROM_EVERY_CALLER("try_join never waits: the job is still owned until it has ended")
{
    for_each_kind(kind) {
        struct drops d = { 0 };
        struct counted f = COUNTED(d, 5);
        haft_handle h = haft_spawn(counted_waits, &f, .kind = kind);
        check_int(haft_try_join(&h), ==, HAFT_EAGAIN);
        check_int(haft_try_join(&h, &f), ==, HAFT_EAGAIN);
        check(!haft_is_null(h));
        check_int(f.value, ==, 5);
        check_int(haft_unpark(h), ==, 0);
        check_int(haft_wait(h), ==, 0);
        HAFT_TIMEOUT(-1);
        check_int(haft_try_join(&h, &f), ==, 0);
        check(haft_is_null(h));
        check_int(f.value, ==, 7);
    }
}

static int joins_itself(void)
{
    haft_handle self = haft_self();
    check_int(haft_join(&self), ==, HAFT_EDEADLK);
    check(!haft_is_null(self));
    check_int(haft_wait(self), ==, HAFT_EDEADLK);
    check_int(haft_detach(&self), ==, HAFT_EINVAL);
    check(!haft_is_finished(self));
    return 3;
}

static int joins_itself_by_its_handle(struct joiner *f)
{
    while (!atomic_load(f->begun))
        check_int(haft_yield(), ==, 0);
    haft_handle own = *(haft_handle *)(void *)f->target.slot_;
    check_int(haft_join(&own), ==, HAFT_EDEADLK);
    check_int(haft_join_all(&own, 1, NULL), ==, HAFT_EDEADLK);
    check_int(haft_wait(own), ==, HAFT_EDEADLK);
    return 4;
}

TEST_FROM_EVERY_CALLER("a job that joins itself is told that it would wait for ever")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(joins_itself, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, 3);

        _Atomic int published = 0;
        haft_handle own = HAFT_NULL_HANDLE;
        struct joiner f = { .target = { .slot_ = &own }, .begun = &published };
        own = haft_spawn(joins_itself_by_its_handle, &f, .kind = kind);
        h = own;
        atomic_store(&published, 1);
        check_int(haft_join(&h), ==, 4);
    }
}

struct tells_self {
    haft_handle *self;
    _Atomic int *told;
};

static int tells_who_it_is(struct tells_self *f)
{
    *f->self = haft_self();
    atomic_store(f->told, 1);
    return haft_park();
}

TEST_FROM_EVERY_CALLER("the handle of haft_self names the job but cannot end the ownership of it")
{
    for_each_kind(kind) {
        _Atomic int told = 0;
        haft_handle self = HAFT_NULL_HANDLE;
        struct tells_self f = { .self = &self, .told = &told };
        haft_handle h = haft_spawn(tells_who_it_is, &f, .kind = kind, .name = "me");
        until(atomic_load(&told));
        check_int(haft_id(self), ==, haft_id(h));
        check_str(haft_name(self), "me");
        check(!haft_is_finished(self));
        check_int(haft_join(&self), ==, HAFT_EINVAL);
        check_int(haft_try_join(&self), ==, HAFT_EINVAL);
        haft_outcome out;
        check_int(haft_join_outcome(&self, HAFT_NO_FRAME, &out), ==, HAFT_EINVAL);
        check_int(haft_detach(&self), ==, HAFT_EINVAL);
        check_int(haft_join_all(&self, 1, NULL), ==, HAFT_EINVAL);
        check_int(haft_unpark(self), ==, 0);
        check_int(haft_join(&h), ==, 0);
        check(haft_is_finished(self));
    }
}

TEST("outside of any job there is no self")
{
    check(haft_is_null(haft_self()));
    check_int(haft_id(haft_self()), ==, 0);
    haft_handle h = haft_spawn(return_nothing);
    check_int(haft_join(&h), ==, 0);
    check(haft_is_null(haft_self()));
    check(!haft_is_aborted());
}

struct fallible {
    int code;
    bool panics;
    bool waits;
};

static int ends_somehow(struct fallible *f)
{
    if (f->waits)
        return haft_park() == HAFT_ECANCELED ? f->code : 0;
    if (f->panics)
        haft_panic("code %d", f->code);
    return f->code;
}

TEST_FROM_EVERY_CALLER("join_outcome tells how the job ended apart from what the caller did")
{
    silence_panics();
    for_each_kind(kind) {
        haft_outcome out;
        struct fallible f = { .code = -3 };
        haft_handle h = haft_spawn(ends_somehow, &f, .kind = kind);
        check_int(haft_join_outcome(&h, &f, &out), ==, 0);
        check_int(out.end, ==, HAFT_RETURNED);
        check_int(out.code, ==, -3);
        check(haft_is_null(h));

        f = (struct fallible){ .code = 4, .panics = true };
        h = haft_spawn(ends_somehow, &f, .kind = kind);
        check_int(haft_join_outcome(&h, &f, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "code 4");
        check(haft_is_null(h));
        haft_panic_drop(&out.panic);

        _Atomic int told = 0;
        haft_handle self;
        struct tells_self waiting = { .self = &self, .told = &told };
        h = haft_spawn(tells_who_it_is, &waiting, .kind = kind);
        until(atomic_load(&told));
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_ABORTED);
        check_int(out.code, ==, HAFT_ECANCELED);
        check(haft_is_null(h));
    }
}

/* --- two joiners, stale handles ----------------------------------------------------------------------------------- */

/* Two jobs race in rounds: the server spawns a job, passes a copy of its handle on, waits a moment of changing length,
 * and joins; the other joins as soon as it has the copy. Neither spins: the race is the same on a busy machine. */
struct race {
    haft_handle copy;
    haft_handle server, returner;
    _Atomic int ready;
    unsigned rounds;
    haft_kind jobs;
    haft_runtime *runtime; /* of the jobs; null: the joiners' own */
};

struct racer {
    struct race *race;
    bool serves;
    unsigned long wins, busy, stale;
};

static int forty_two(void)
{
    return 42;
}

static void join_a_copy(struct racer *f, haft_handle copy)
{
    int rc = haft_join(&copy);
    if (rc == 42) {
        check(haft_is_null(copy));
        f->wins++;
    } else {
        check_msg(rc == HAFT_EBUSY || rc == HAFT_ESTALE, "%s", haft_errname(rc));
        check(!haft_is_null(copy));
        if (rc == HAFT_EBUSY)
            f->busy++;
        else
            f->stale++;
    }
}

static int joins_copies(struct racer *f)
{
    struct race *race = f->race;
    until(atomic_load(&race->ready));
    for (unsigned round = 0; round < race->rounds; round++) {
        if (f->serves) {
            haft_handle h = haft_spawn(forty_two, HAFT_NO_FRAME, .kind = race->jobs, .runtime = race->runtime);
            check_int(haft_error(h), ==, 0);
            race->copy = h;
            check_int(haft_unpark(race->returner), ==, 0);
            for (volatile unsigned moment = 0; moment < round % 512 * (round % 3) * 16; moment++)
                ;
            if (round % 5 == 0)
                check_int(haft_yield(), ==, 0);
            join_a_copy(f, h);
            check_int(haft_park(), ==, 0);
        } else {
            check_int(haft_park(), ==, 0);
            join_a_copy(f, race->copy);
            check_int(haft_unpark(race->server), ==, 0);
        }
    }
    return 0;
}

static bool race_beside_one_worker;

static void race_joiners(haft_kind joiners, haft_kind jobs, unsigned n)
{
    haft_runtime *rt = race_beside_one_worker ? haft_runtime_new(.workers = 1) : NULL;
    struct race race = { .rounds = n, .jobs = jobs, .runtime = rt };
    struct racer fa = { .race = &race, .serves = true }, fb = { .race = &race };
    haft_handle a = race.server = haft_spawn(joins_copies, &fa, .kind = joiners);
    haft_handle b = race.returner = haft_spawn(joins_copies, &fb, .kind = joiners);
    atomic_store(&race.ready, 1);
    check_int(haft_join(&a, &fa), ==, 0);
    check_int(haft_join(&b, &fb), ==, 0);
    check_int(fa.wins + fb.wins, ==, n);
    check_int(fa.busy + fb.busy + fa.stale + fb.stale, ==, n);
    check_int(haft_runtime_drop(&rt), ==, 0);
}

TEST_LONG("two threads join copies of one handle: one wins, the other is told that it is busy or stale")
{
    race_joiners(HAFT_THREAD, HAFT_TASK, (unsigned)rounds(10000, 1000000));
}

TEST_LONG("two threads beside a runtime of one worker join copies of one handle: the same")
{
    race_beside_one_worker = true;
    race_joiners(HAFT_THREAD, HAFT_TASK, (unsigned)rounds(10000, 1000000));
}

TEST_LONG("two tasks join copies of one handle: one wins, the other is told that it is busy or stale")
{
    race_joiners(HAFT_TASK, HAFT_TASK, (unsigned)rounds(20000, 1000000));
}

TEST_LONG("two jobs join copies of the handle of a thread and of a call on the pool")
{
    race_joiners(HAFT_THREAD, HAFT_THREAD, (unsigned)rounds(500, 20000));
    race_joiners(HAFT_TASK, HAFT_THREAD, (unsigned)rounds(500, 20000));
    race_joiners(HAFT_THREAD, HAFT_BLOCKING, (unsigned)rounds(1000, 50000));
    race_joiners(HAFT_TASK, HAFT_BLOCKING, (unsigned)rounds(1000, 50000));
}

enum { COPIES = 50 };

struct crowd {
    haft_handle handles[COPIES];
    _Atomic unsigned arrived[COPIES];
    _Atomic unsigned wins;
};

struct place_in_crowd {
    struct crowd *crowd;
    size_t i;
};

static int parks_once(const struct place_in_crowd *f)
{
    return f != NULL ? haft_park() : -1;
}

static int joins_with_a_frame(struct place_in_crowd *f)
{
    struct crowd *crowd = f->crowd;
    for (size_t i = 0; i < COPIES; i++) {
        struct place_in_crowd frame;
        haft_handle copy = crowd->handles[i];
        if (atomic_fetch_add(&crowd->arrived[i], 1) == 1)
            check_int(haft_unpark(copy), ==, 0);
        else
            while (atomic_load(&crowd->arrived[i]) == 1)
                sched_yield();
        int rc = haft_join(&copy, &frame);
        check_msg(rc == 0 || rc == HAFT_EBUSY || rc == HAFT_ESTALE, "%s", haft_errname(rc));
        if (rc == 0) {
            check_uint(frame.i, ==, i);
            haft_handle next = haft_spawn(parks_once, &frame); /* in the same place */
            check_int(haft_unpark(next), ==, 0);
            check_int(haft_join(&next, &frame), ==, 0);
            atomic_fetch_add(&crowd->wins, 1);
        }
        /* Nothing orders the loser's join before what the winner does. */
        while (atomic_load(&crowd->wins) <= i)
            sched_yield();
    }
    return 0;
}

TEST("two tasks join copies of a handle with a frame, while the place is used again at once")
{
    haft_runtime *rt = haft_runtime_new(.workers = 3);
    static struct crowd crowd;
    for (size_t i = 0; i < COPIES; i++)
        crowd.handles[i] = haft_spawn(parks_once, (&(struct place_in_crowd){ &crowd, i }), .runtime = rt);
    haft_handle a = haft_spawn(joins_with_a_frame, (&(struct place_in_crowd){ &crowd, 0 }), .runtime = rt);
    haft_handle b = haft_spawn(joins_with_a_frame, (&(struct place_in_crowd){ &crowd, 1 }), .runtime = rt);
    struct place_in_crowd frame;
    check_int(haft_join(&a, &frame), ==, 0);
    check_int(haft_join(&b, &frame), ==, 0);
    check_uint(atomic_load(&crowd.wins), ==, COPIES);
    check_int(haft_runtime_drop(&rt), ==, 0);
}

TEST_LONG("a stale handle never matches a later job, however often its place is used again")
{
    haft_handle first = haft_spawn(return_nothing);
    haft_handle stale = first;
    uint64_t id = haft_id(first);
    check_int(haft_join(&first), ==, 0);
    size_t n = rounds(20000, 1000000), same_slot = 0;
    for (size_t i = 0; i < n; i++) {
        haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .name = "later");
        same_slot += h.slot_ == stale.slot_;
        check(haft_id(h) != id);
        haft_handle copy = stale;
        check_int(haft_join(&copy), ==, HAFT_ESTALE);
        check_int(haft_abort(stale), ==, HAFT_ESTALE);
        check_int(haft_unpark(stale), ==, HAFT_ESTALE);
        check(haft_is_finished(stale));
        check_str(haft_name(stale), "");
        haft_outcome out;
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_RETURNED);
    }
    if (same_slot == 0)
        skip("no slot was used again in %zu jobs", n);
}

struct leaked {
    haft_handle joined, unjoined, detached;
};

static int leaves_handles(struct leaked *f)
{
    haft_handle h = haft_spawn(return_nothing);
    f->joined = h;
    check_int(haft_join(&h), ==, 0);
    f->unjoined = haft_spawn(forty_two);
    check_int(haft_wait(f->unjoined), ==, 0);
    h = haft_spawn(return_nothing);
    f->detached = h;
    return haft_detach(&h);
}

TEST("handles outlive their runtime: what was spent stays stale, what had ended can be joined once")
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct leaked f;
        check_int(haft_run(leaves_handles, &f, .workers = workers), ==, 0);
        check_int(haft_join(&f.joined), ==, HAFT_ESTALE);
        check_int(haft_abort(f.joined), ==, HAFT_ESTALE);
        check_int(haft_wait(f.joined), ==, HAFT_ESTALE);
        check_int(haft_unpark(f.joined), ==, HAFT_ESTALE);
        check(haft_is_finished(f.joined));
        check_int(haft_join(&f.detached), ==, HAFT_ESTALE);
        haft_handle copy = f.unjoined;
        check(haft_is_finished(f.unjoined));
        check_int(haft_join(&f.unjoined), ==, 42);
        check_int(haft_join(&copy), ==, HAFT_ESTALE);
        haft_drop(&copy);
    }
}

/* --- wait, is_finished, abort, ids -------------------------------------------------------------------------------- */

static int waits_for(struct joiner *f)
{
    atomic_fetch_add(f->begun, 1);
    return haft_wait(f->target);
}

TEST_FROM_EVERY_CALLER("any number of waiters see the end of a job, and spend nothing")
{
    for_each_kind(kind) {
        enum { N = 12 };
        _Atomic int begun = 0;
        haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = kind);
        haft_handle waiters[N];
        struct joiner f = { .target = h, .begun = &begun };
        for (int i = 0; i < N; i++)
            waiters[i] = haft_spawn(waits_for, &f, .kind = i % 4 == 3 ? HAFT_THREAD : HAFT_TASK);
        until(atomic_load(&begun) == N);
        check(!haft_is_finished(h));
        check_int(haft_unpark(h), ==, 0);
        for (int i = 0; i < N; i++)
            check_int(haft_join(&waiters[i]), ==, 0);
        check(haft_is_finished(h));
        check_int(haft_wait(h), ==, 0);
        check_int(haft_wait(h), ==, 0);
        check_int(haft_join(&h), ==, 0);
        check_int(haft_wait(h), ==, HAFT_ESTALE);
        check(haft_is_finished(h));
    }
}

TEST_FROM_EVERY_CALLER("one joins while others wait for the same job")
{
    for_each_kind(kind) {
        enum { N = 4 };
        for (int round = 0; round < 20; round++) {
            _Atomic int begun = 0;
            haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = kind);
            haft_handle waiters[N];
            struct joiner f = { .target = h, .begun = &begun };
            for (int i = 0; i < N; i++)
                waiters[i] = haft_spawn(waits_for, &f);
            until(atomic_load(&begun) == N);
            check_int(haft_unpark(h), ==, 0);
            check_int(haft_join(&h), ==, 0);
            for (int i = 0; i < N; i++) {
                int rc = haft_join(&waiters[i]);
                check_msg(rc == 0 || rc == HAFT_ESTALE, "%s", haft_errname(rc));
            }
        }
    }
}

struct slow_end {
    _Atomic int *in_defer;
};

static void parks_in_its_defer(struct slow_end *f)
{
    atomic_store(f->in_defer, 1);
    HAFT_SHIELD;
    check_int(haft_park(), ==, 0);
    atomic_store(f->in_defer, 2);
}

static int has_a_slow_defer(struct slow_end *f)
{
    HAFT_DEFER(parks_in_its_defer, f);
    return 6;
}

TEST_FROM_EVERY_CALLER("a job is not finished before its defers have run")
{
    for_each_kind(kind) {
        _Atomic int in_defer = 0;
        struct slow_end f = { .in_defer = &in_defer };
        haft_handle h = haft_spawn(has_a_slow_defer, &f, .kind = kind);
        until(atomic_load(&in_defer) == 1);
        check(!haft_is_finished(h));
        check_int(haft_try_join(&h), ==, HAFT_EAGAIN);
        check_int(haft_unpark(h), ==, 0);
        until(haft_is_finished(h));
        check_int(atomic_load(&in_defer), ==, 2);
        check_int(haft_try_join(&h), ==, 6);
    }
}

static pthread_key_t slow_key;
static _Atomic int destructor_runs, destructor_may_end;

static void slow_destructor(void *value)
{
    (void)value;
    atomic_fetch_add(&destructor_runs, 1);
    while (!atomic_load(&destructor_may_end))
        sched_yield();
    atomic_fetch_add(&destructor_runs, 1);
}

static int has_thread_local_state(void)
{
    check_int(pthread_setspecific(slow_key, &slow_key), ==, 0);
    return 8;
}

TEST_FROM_EVERY_CALLER("a thread is not finished before the destructors of its thread-local state have run")
{
    atomic_store(&destructor_runs, 0);
    atomic_store(&destructor_may_end, 0);
    check_int(pthread_key_create(&slow_key, slow_destructor), ==, 0);
    haft_handle h = haft_spawn(has_thread_local_state, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    until(atomic_load(&destructor_runs) == 1);
    check(!haft_is_finished(h));
    check_int(haft_try_join(&h), ==, HAFT_EAGAIN);
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_wait(h), ==, HAFT_ETIMEDOUT);
    }
    atomic_store(&destructor_may_end, 1);
    until(haft_is_finished(h));
    check_int(atomic_load(&destructor_runs), ==, 2);
    check_int(haft_join(&h), ==, 8);
    pthread_key_delete(slow_key);
}

static pthread_key_t late_key;
static _Atomic int late_rounds;

/* Comes back as often as the system lets it, as destructors that free what others still use do. */
static void late_destructor(void *value)
{
    atomic_fetch_add(&late_rounds, 1);
    pthread_setspecific(late_key, value);
}

static int has_late_state(void)
{
    check_int(pthread_setspecific(late_key, &late_key), ==, 0);
    return 0;
}

TEST("a thread-local destructor that arms itself again has run as often as the system allows before the join")
{
    if (CALLERS_SANITIZED)
        skip("a sanitizer takes its leave of the thread in the last round");
    check_int(pthread_key_create(&late_key, late_destructor), ==, 0);
    for (int i = 0; i < 50; i++) {
        atomic_store(&late_rounds, 0);
        haft_handle h = haft_spawn(has_late_state, HAFT_NO_FRAME, .kind = HAFT_THREAD);
        check_int(haft_join(&h), ==, 0);
        int seen = atomic_load(&late_rounds);
        check_int(seen, >=, PTHREAD_DESTRUCTOR_ITERATIONS - 1);
        for (int j = 0; j < 10; j++)
            sched_yield();
        check_int(atomic_load(&late_rounds), ==, seen);
    }
    pthread_key_delete(late_key);
}

TEST_FROM_EVERY_CALLER("the abort of a job that has ended changes nothing, and its result can still be joined")
{
    for_each_kind(kind) {
        struct sum s = { .n = 4 };
        haft_handle h = haft_spawn(sum_to, &s, .kind = kind);
        check_int(haft_wait(h), ==, 0);
        for (int i = 0; i < 3; i++)
            check_int(haft_abort(h), ==, 0);
        check_int(haft_abort_by(haft_abort_handle_of(h)), ==, 0);
        haft_outcome out;
        check_int(haft_join_outcome(&h, &s, &out), ==, 0);
        check_int(out.end, ==, HAFT_RETURNED);
        check_int(s.total, ==, 10);
    }
}

TEST_FROM_EVERY_CALLER("a copy that can only abort, aborts")
{
    for_each_kind(kind) {
        _Atomic int told = 0;
        haft_handle self;
        struct tells_self f = { .self = &self, .told = &told };
        haft_handle h = haft_spawn(tells_who_it_is, &f, .kind = kind);
        haft_abort_handle aborts = haft_abort_handle_of(h);
        until(atomic_load(&told));
        check_int(haft_abort_by(aborts), ==, 0);
        check_int(haft_abort_by(aborts), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        check_int(haft_abort_by(aborts), ==, HAFT_ESTALE);
    }
}

static int own_id(uint64_t *id)
{
    *id = haft_id(haft_self());
    return 0;
}

TEST_FROM_EVERY_CALLER("every job has a number that no other job has")
{
    uint64_t last = 0;
    for (int i = 0; i < 300; i++) {
        uint64_t inside = 0;
        haft_handle h = haft_spawn(own_id, &inside, .kind = (haft_kind)(i % KINDS));
        uint64_t id = haft_id(h);
        haft_handle copy = h;
        check_int(id, !=, 0);
        check_int(haft_id(copy), ==, id);
        check_int(id, !=, last);
        check_int(haft_join(&h, &inside), ==, 0);
        check_int(inside, ==, id);
        check_int(haft_id(h), ==, 0);
        last = id;
    }
    enum { N = 200 };
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(return_nothing);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++)
            check(haft_id(hs[i]) != haft_id(hs[j]));
    check_int(haft_join_all(hs, N, NULL), ==, 0);
}

/* --- park and unpark ---------------------------------------------------------------------------------------------- */

static int parks_three_times(struct tells_self *f)
{
    *f->self = haft_self();
    check_int(haft_park(), ==, 0);
    atomic_store(f->told, 1);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    }
    atomic_store(f->told, 2);
    return haft_park();
}

TEST_FROM_EVERY_CALLER("an unpark ends one park, whether it came before it or during it")
{
    for_each_kind(kind) {
        _Atomic int told = 0;
        haft_handle self;
        struct tells_self f = { .self = &self, .told = &told };
        haft_handle h = haft_spawn(parks_three_times, &f, .kind = kind);
        /* Before its first park, or during it: the token is there for that one and not for the second. */
        check_int(haft_unpark(h), ==, 0);
        until(atomic_load(&told) == 2);
        check(!haft_is_finished(h));
        check_int(haft_unpark(h), ==, 0);
        check_int(haft_join(&h), ==, 0);
    }
}

static int saves_up_tokens(void)
{
    for (int i = 0; i < 5; i++)
        check_int(haft_unpark(haft_self()), ==, 0);
    check_int(haft_park(), ==, 0);
    HAFT_TIMEOUT(0);
    return haft_park();
}

TEST_FROM_EVERY_CALLER("five unparks of oneself allow one park")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(saves_up_tokens, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_ETIMEDOUT);
    }
}

static int waits_in_every_way_but_by_its_token(void)
{
    check_int(haft_unpark(haft_self()), ==, 0);
    for (int i = 0; i < 20; i++) {
        haft_handle h = haft_spawn(nine, HAFT_NO_FRAME, .kind = i % 5 == 0 ? HAFT_THREAD : HAFT_TASK);
        check_int(haft_join(&h), ==, 9);
        check_int(haft_sleep(1000), ==, 0);
        check_int(haft_yield(), ==, 0);
        check_int(haft_blocking(nine, HAFT_NO_FRAME), ==, 9);
    }
    check_int(haft_park(), ==, 0);
    for (int i = 0; i < 20; i++) {
        haft_handle h = haft_spawn(nine);
        check_int(haft_join(&h), ==, 9);
        check_int(haft_sleep(1000), ==, 0);
        HAFT_TIMEOUT(100 * HAFT_US);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("waiting for other things neither takes the token nor leaves one")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(waits_in_every_way_but_by_its_token, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, 0);
    }
}

struct ball {
    haft_handle other;
    _Atomic int *ready;
    _Atomic unsigned *hits;
    unsigned rounds;
    bool serves;
};

static int plays(struct ball *f)
{
    while (!atomic_load(f->ready))
        check_int(haft_yield(), ==, 0);
    haft_handle other = *(haft_handle *)f->other.slot_;
    for (unsigned i = 0; i < f->rounds; i++) {
        if (f->serves || i > 0)
            check_int(haft_unpark(other), ==, 0);
        check_int(haft_park(), ==, 0);
        atomic_fetch_add(f->hits, 1);
    }
    if (!f->serves)
        check_int(haft_unpark(other), ==, 0);
    return 0;
}

TEST_FROM_EVERY_CALLER("two jobs of any kinds play ping-pong by park and unpark")
{
    for_each_kind(left)
        for_each_kind(right) {
            unsigned n = (unsigned)rounds(300, 100000);
            _Atomic int ready = 0;
            _Atomic unsigned hits = 0;
            haft_handle a = HAFT_NULL_HANDLE, b = HAFT_NULL_HANDLE;
            struct ball fa = { .other = { .slot_ = &b }, .ready = &ready, .hits = &hits, .rounds = n, .serves = true };
            struct ball fb = { .other = { .slot_ = &a }, .ready = &ready, .hits = &hits, .rounds = n };
            a = haft_spawn(plays, &fa, .kind = left);
            b = haft_spawn(plays, &fb, .kind = right);
            haft_handle ha = a, hb = b;
            atomic_store(&ready, 1);
            check_int(haft_join(&ha), ==, 0);
            check_int(haft_join(&hb), ==, 0);
            check_int(atomic_load(&hits), ==, 2 * n);
        }
}

/* --- join_all ----------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("join_all joins every job, reports each code and gives each frame to .drop")
{
    silence_panics();
    enum { N = 30 };
    haft_handle hs[N];
    int rcs[N];
    struct drops d = { 0 };
    for (int i = 0; i < N; i++) {
        struct counted f = COUNTED(d, i);
        f.code = -i;
        haft_kind kind = (haft_kind)(i % KINDS);
        hs[i] = i % 7 == 6 ? haft_spawn(counted_panics, &f, .kind = kind, .drop = drop_counted)
                           : haft_spawn(counted_adds_one, &f, .kind = kind, .drop = drop_counted);
    }
    check_int(haft_join_all(hs, N, rcs), ==, 0);
    for (int i = 0; i < N; i++) {
        check_int(rcs[i], ==, i % 7 == 6 ? HAFT_EPANIC : -i);
        check(haft_is_null(hs[i]));
    }
    check_int(atomic_load(&d.drops), ==, N);
    check_int(haft_join_all(hs, 0, rcs), ==, 0);
    check_int(haft_join_all(NULL, 0, NULL), ==, 0);
}

TEST_FROM_EVERY_CALLER("join_all that is refused half way has spent none")
{
    enum { N = 9 };
    for (int bad = 0; bad < N; bad += 4) {
        haft_handle hs[N], copies[N];
        for (int i = 0; i < N; i++)
            hs[i] = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = (haft_kind)(i % KINDS));
        haft_handle spent = hs[bad];
        check_int(haft_unpark(spent), ==, 0);
        check_int(haft_join(&spent), ==, 0);
        memcpy(copies, hs, sizeof hs);
        check_int(haft_join_all(hs, N, NULL), ==, HAFT_ESTALE);
        check_int(memcmp(copies, hs, sizeof hs), ==, 0);
        for (int i = 0; i < N; i++)
            if (i != bad) {
                check_int(haft_try_join(&hs[i]), ==, HAFT_EAGAIN);
                check_int(haft_unpark(hs[i]), ==, 0);
                check_int(haft_join(&hs[i]), ==, 0);
            }
    }
}

TEST_FROM_EVERY_CALLER("join_all with one handle twice has spent none")
{
    haft_handle hs[3] = { haft_spawn(wait_for_token), haft_spawn(wait_for_token), HAFT_NULL_HANDLE };
    hs[2] = hs[0];
    int rc = haft_join_all(hs, 3, NULL);
    check_msg(rc == HAFT_EBUSY || rc == HAFT_ESTALE, "%s", haft_errname(rc));
    for (int i = 0; i < 2; i++) {
        check_int(haft_unpark(hs[i]), ==, 0);
        check_int(haft_join(&hs[i]), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("join_all that runs out of time has spent none, the ended ones included")
{
    enum { N = 6 };
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = (haft_kind)(i % KINDS));
    for (int i = 0; i < N - 1; i++) {
        check_int(haft_unpark(hs[i]), ==, 0);
        check_int(haft_wait(hs[i]), ==, 0);
    }
    int rcs[N];
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_join_all(hs, N, rcs), ==, HAFT_ETIMEDOUT);
        check_int(haft_join_all_or_abort(hs, N, rcs), ==, HAFT_ETIMEDOUT);
    }
    for (int i = 0; i < N; i++)
        check(!haft_is_null(hs[i]));
    check_int(haft_unpark(hs[N - 1]), ==, 0);
    check_int(haft_join_all(hs, N, rcs), ==, 0);
    for (int i = 0; i < N; i++)
        check_int(rcs[i], ==, 0);
}

TEST_FROM_EVERY_CALLER("join_all_or_abort ends everything at the first failure and returns it")
{
    silence_panics();
    for_each_kind(kind) {
        enum { N = 6 };
        haft_handle hs[N];
        int rcs[N];
        struct fallible fails = { .code = -55 };
        for (int i = 0; i < N; i++)
            hs[i] = i == 3 ? haft_spawn(ends_somehow, &fails, .kind = kind)
                           : haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join_all_or_abort(hs, N, rcs), ==, -55);
        for (int i = 0; i < N; i++) {
            check_int(rcs[i], ==, i == 3 ? -55 : HAFT_EABORTED);
            check(haft_is_null(hs[i]));
        }

        for (int i = 0; i < N; i++)
            hs[i] = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join_all_or_abort(hs, N, rcs), ==, 0);

        struct fallible panics = { .panics = true };
        hs[0] = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = kind);
        hs[1] = haft_spawn(ends_somehow, &panics, .kind = kind);
        check_int(haft_join_all_or_abort(hs, 2, rcs), ==, HAFT_EPANIC);
        check_int(rcs[0], ==, HAFT_EABORTED);
        check_int(rcs[1], ==, HAFT_EPANIC);
    }
}

/* --- many --------------------------------------------------------------------------------------------------------- */

struct tree {
    unsigned depth;
    unsigned long leaves;
};

static int grows(struct tree *f)
{
    if (f->depth == 0) {
        f->leaves = 1;
        return 0;
    }
    struct tree left = { .depth = f->depth - 1 }, right = left;
    haft_handle l = haft_spawn(grows, &left), r = haft_spawn(grows, &right);
    int rc = haft_join(&l, &left);
    int rc2 = haft_join(&r, &right);
    f->leaves = left.leaves + right.leaves;
    return rc != 0 ? rc : rc2;
}

TEST_FROM_EVERY_CALLER("jobs that spawn and join jobs, thirteen deep, all come back")
{
    struct tree f = { .depth = test_slowness() > 1 ? 9 : 13 };
    unsigned long leaves = 1ul << f.depth;
    haft_handle h = haft_spawn(grows, &f);
    check_int(haft_join(&h, &f), ==, 0);
    check_int(f.leaves, ==, leaves);
}

static int adds_one(unsigned long *n)
{
    ++*n;
    return 0;
}

TEST_LONG_FROM_EVERY_CALLER("many thousand tasks are spawned one after another and joined")
{
    size_t n = rounds(50000, 1000000);
    unsigned long count = 0;
    for (size_t i = 0; i < n; i++) {
        haft_handle h = haft_spawn(adds_one, &count);
        check_int(haft_join(&h, &count), ==, 0);
    }
    check_int(count, ==, n);
}

TEST_LONG_FROM_EVERY_CALLER("many thousand tasks are spawned at once, then joined")
{
    size_t n = rounds(50000, 1000000);
    haft_handle *hs = malloc(n * sizeof *hs);
    check_ptr(hs, !=, NULL);
    for (size_t i = 0; i < n; i++) {
        unsigned long own = i;
        hs[i] = haft_spawn(adds_one, &own);
        check_int(haft_error(hs[i]), ==, 0);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned long own = 0;
        check_int(haft_join(&hs[i], &own), ==, 0);
        check_int(own, ==, i + 1);
    }
    free(hs);
}

static _Atomic size_t waiting_now;

static int waits_among_many(void)
{
    atomic_fetch_add(&waiting_now, 1);
    int rc = haft_park();
    atomic_fetch_sub(&waiting_now, 1);
    return rc;
}

TEST_LONG("a hundred thousand tasks are alive and wait at once")
{
    size_t n = rounds(100000, 100000);
    if (n > 5000 && test_slowness() > 1)
        n = 5000;
    haft_handle *hs = malloc(n * sizeof *hs);
    check_ptr(hs, !=, NULL);
    for (size_t i = 0; i < n; i++) {
        hs[i] = haft_spawn(waits_among_many);
        check_int(haft_error(hs[i]), ==, 0);
    }
    until(atomic_load(&waiting_now) == n);
    for (size_t i = 0; i < n; i++)
        check_int(haft_unpark(hs[i]), ==, 0);
    for (size_t i = 0; i < n; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(atomic_load(&waiting_now), ==, 0);
    free(hs);
}

TEST_LONG("the machine's limit of threads is an error at a spawn, and the threads before it are whole")
{
    if (test_slowness() > 1 && !deep())
        skip("the address space cannot be limited under a sanitizer");
    size_t n = deep() ? 10000 : 300;
    size_t stack = deep() ? (size_t)64 << 10 : (size_t)16 << 20;
    struct rlimit before, limit;
    check_int(getrlimit(RLIMIT_AS, &before), ==, 0);
    haft_handle first = haft_spawn(return_nothing);
    check_int(haft_join(&first), ==, 0);
    if (!deep()) {
        limit = before;
        limit.rlim_cur = (rlim_t)3 << 30;
        check_int(setrlimit(RLIMIT_AS, &limit), ==, 0);
    }
    haft_handle *hs = malloc(n * sizeof *hs);
    check_ptr(hs, !=, NULL);
    size_t made = 0;
    int error = 0;
    for (size_t i = 0; i < n && error == 0; i++) {
        haft_handle h = haft_spawn(wait_for_token, HAFT_NO_FRAME, .kind = HAFT_THREAD, .stack_size = stack);
        error = haft_error(h);
        if (error == 0)
            hs[made++] = h;
        else
            check_int(haft_join(&h), ==, error);
    }
    if (error != 0)
        check_msg(error == HAFT_EAGAIN || error == HAFT_ENOMEM, "%s", haft_errname(error));
    else if (!deep())
        skip("300 threads with stacks of 16 MiB fit into 3 GiB");
    check_int(made, >, 0);
    for (size_t i = 0; i < made; i++)
        check_int(haft_unpark(hs[i]), ==, 0);
    for (size_t i = 0; i < made; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(setrlimit(RLIMIT_AS, &before), ==, 0);
    haft_handle again = haft_spawn(nine, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    check_int(haft_join(&again), ==, 9);
    free(hs);
}
