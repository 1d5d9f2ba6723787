/* SPDX-License-Identifier: MIT
 *
 * Tests of the engine: litmus tests, whose outcomes C11 allows or forbids, and for each detector a program that it must
 * report and a near miss that it must not. A model with .expect passes if the search finds that failure. Over 600
 * lines: two programs for each thing that the engine can say. */
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/engine.h"

#define RELAXED memory_order_relaxed
#define ACQUIRE memory_order_acquire
#define RELEASE memory_order_release
#define SEQ_CST memory_order_seq_cst

static _Atomic(int) x, y;
static int plain;
static int r[4];

static void run2(void (*a)(void *), void (*b)(void *))
{
    int first = model_start(a, NULL), second = model_start(b, NULL);
    model_join(first);
    model_join(second);
}

static void run4(void (*a)(void *), void (*b)(void *), void (*c)(void *), void (*d)(void *))
{
    int threads[] = { model_start(a, NULL), model_start(b, NULL), model_start(c, NULL), model_start(d, NULL) };
    for (int i = 0; i < 4; i++)
        model_join(threads[i]);
}

/* --- litmus: store buffering ---------------------------------------------------------------------------------------- */

#define STORE_BUFFERING(name, store_order, load_order, fence)                                                          \
    static void name##_a(void *u)                                                                                      \
    {                                                                                                                  \
        (void)u;                                                                                                       \
        atomic_store_explicit(&x, 1, store_order);                                                                     \
        fence;                                                                                                         \
        r[0] = atomic_load_explicit(&y, load_order);                                                                   \
    }                                                                                                                  \
    static void name##_b(void *u)                                                                                      \
    {                                                                                                                  \
        (void)u;                                                                                                       \
        atomic_store_explicit(&y, 1, store_order);                                                                     \
        fence;                                                                                                         \
        r[1] = atomic_load_explicit(&x, load_order);                                                                   \
    }                                                                                                                  \
    static void name(void)                                                                                             \
    {                                                                                                                  \
        run2(name##_a, name##_b);                                                                                      \
        model_check(r[0] == 1 || r[1] == 1);                                                                           \
    }

STORE_BUFFERING(sb_relaxed, RELAXED, RELAXED, (void)0)
STORE_BUFFERING(sb_ordered, RELEASE, ACQUIRE, (void)0)
STORE_BUFFERING(sb_seq_cst, SEQ_CST, SEQ_CST, (void)0)
STORE_BUFFERING(sb_fences, RELAXED, RELAXED, atomic_thread_fence(SEQ_CST))
STORE_BUFFERING(sb_weak_fences, RELAXED, RELAXED, atomic_thread_fence(memory_order_acq_rel))
STORE_BUFFERING(sb_light, RELAXED, RELAXED, atomic_signal_fence(SEQ_CST))

MODEL("store buffering: relaxed stores may both be missed", .expect = "assertion")
{
    sb_relaxed();
}
MODEL("store buffering: release and acquire do not help", .expect = "assertion")
{
    sb_ordered();
}
MODEL("store buffering: seq_cst forbids it", .bound = 3)
{
    sb_seq_cst();
}
MODEL("store buffering: full fences forbid it", .bound = 3)
{
    sb_fences();
}
MODEL("store buffering: acq_rel fences do not", .expect = "assertion")
{
    sb_weak_fences();
}
MODEL("store buffering: two light fences do not", .expect = "assertion")
{
    sb_light();
}

static void frequent(void *u)
{
    (void)u;
    atomic_store_explicit(&x, 1, RELAXED);
    atomic_signal_fence(SEQ_CST);
    r[0] = atomic_load_explicit(&y, RELAXED);
}

/* As src/base does: the engine takes the caller of the function that calls it for the place. */
static __attribute__((noinline)) void heavy(void)
{
    model_fence_heavy();
    __asm__ volatile("");
}

static void rare(void *u)
{
    (void)u;
    atomic_store_explicit(&y, 1, RELAXED);
    heavy();
    r[1] = atomic_load_explicit(&x, RELAXED);
}

static void rare_with_full(void *u)
{
    (void)u;
    atomic_store_explicit(&y, 1, RELAXED);
    atomic_thread_fence(SEQ_CST);
    r[1] = atomic_load_explicit(&x, RELAXED);
}

MODEL("store buffering: a light and a heavy fence forbid it", .bound = 3)
{
    run2(frequent, rare);
    model_check(r[0] == 1 || r[1] == 1);
}
MODEL("store buffering: a light and a full fence do not", .expect = "assertion")
{
    run2(frequent, rare_with_full);
    model_check(r[0] == 1 || r[1] == 1);
}

/* --- litmus: message passing ------------------------------------------------------------------------------------------ */

#define MESSAGE_PASSING(name, store_order, load_order)                                                                 \
    static void name##_a(void *u)                                                                                      \
    {                                                                                                                  \
        (void)u;                                                                                                       \
        atomic_store_explicit(&y, 42, RELAXED);                                                                        \
        atomic_store_explicit(&x, 1, store_order);                                                                     \
    }                                                                                                                  \
    static void name##_b(void *u)                                                                                      \
    {                                                                                                                  \
        (void)u;                                                                                                       \
        if (atomic_load_explicit(&x, load_order) == 1)                                                                 \
            model_check(atomic_load_explicit(&y, RELAXED) == 42);                                                      \
    }                                                                                                                  \
    static void name(void)                                                                                             \
    {                                                                                                                  \
        run2(name##_a, name##_b);                                                                                      \
    }
MESSAGE_PASSING(mp_relaxed, RELAXED, RELAXED)
MESSAGE_PASSING(mp_no_release, RELAXED, ACQUIRE)
MESSAGE_PASSING(mp_no_acquire, RELEASE, RELAXED)
MESSAGE_PASSING(mp_ordered, RELEASE, ACQUIRE)

MODEL("message passing: relaxed may show the flag without the message", .expect = "assertion")
{
    mp_relaxed();
}
MODEL("message passing: acquire alone is not enough", .expect = "assertion")
{
    mp_no_release();
}
MODEL("message passing: release alone is not enough", .expect = "assertion")
{
    mp_no_acquire();
}
MODEL("message passing: release and acquire forbid it", .bound = 3)
{
    mp_ordered();
}

static void mp_fence_writer(void *u)
{
    (void)u;
    plain = 42;
    atomic_thread_fence(RELEASE);
    atomic_store_explicit(&x, 1, RELAXED);
}
static void mp_fence_reader(void *u)
{
    (void)u;
    if (atomic_load_explicit(&x, RELAXED) == 0)
        return;
    atomic_thread_fence(ACQUIRE);
    model_check(plain == 42);
}
MODEL("message passing: by fences and relaxed accesses", .bound = 3)
{
    run2(mp_fence_writer, mp_fence_reader);
}

/* --- litmus: coherence, independent readers, release sequences ---------------------------------------------------------- */

static void write_twice(void *u)
{
    (void)u;
    atomic_store_explicit(&x, 1, RELAXED);
    atomic_store_explicit(&x, 2, RELAXED);
}
static void read_twice(void *u)
{
    (void)u;
    r[0] = atomic_load_explicit(&x, RELAXED);
    r[1] = atomic_load_explicit(&x, RELAXED);
}
MODEL("coherence: nobody sees one object go back", .bound = 3)
{
    run2(write_twice, read_twice);
    model_check(r[1] >= r[0]);
}

static void read_and_pass_on(void *u)
{
    (void)u;
    r[0] = atomic_load_explicit(&x, RELAXED);
    atomic_store_explicit(&y, 1, RELEASE);
}
static void take_and_read(void *u)
{
    (void)u;
    if (atomic_load_explicit(&y, ACQUIRE) == 0)
        return;
    model_check(atomic_load_explicit(&x, RELAXED) >= r[0]);
}
MODEL("coherence: what one has seen, whoever acquires from him sees", .bound = 3)
{
    int writer = model_start(write_twice, NULL);
    run2(read_and_pass_on, take_and_read);
    model_join(writer);
}

#define INDEPENDENT_READERS(name, order)                                                                               \
    static void name##_w1(void *u)                                                                                     \
    {                                                                                                                  \
        (void)u;                                                                                                       \
        atomic_store_explicit(&x, 1, order == SEQ_CST ? SEQ_CST : RELEASE);                                            \
    }                                                                                                                  \
    static void name##_w2(void *u)                                                                                     \
    {                                                                                                                  \
        (void)u;                                                                                                       \
        atomic_store_explicit(&y, 1, order == SEQ_CST ? SEQ_CST : RELEASE);                                            \
    }                                                                                                                  \
    static void name##_r1(void *u)                                                                                     \
    {                                                                                                                  \
        (void)u;                                                                                                       \
        r[0] = atomic_load_explicit(&x, order);                                                                        \
        r[1] = atomic_load_explicit(&y, order);                                                                        \
    }                                                                                                                  \
    static void name##_r2(void *u)                                                                                     \
    {                                                                                                                  \
        (void)u;                                                                                                       \
        r[2] = atomic_load_explicit(&y, order);                                                                        \
        r[3] = atomic_load_explicit(&x, order);                                                                        \
    }                                                                                                                  \
    static void name(void)                                                                                             \
    {                                                                                                                  \
        run4(name##_w1, name##_w2, name##_r1, name##_r2);                                                              \
        model_check(!(r[0] == 1 && r[1] == 0 && r[2] == 1 && r[3] == 0));                                              \
    }
INDEPENDENT_READERS(iriw_acquire, ACQUIRE)
INDEPENDENT_READERS(iriw_seq_cst, SEQ_CST)
MODEL("independent readers: acquire lets them disagree", .expect = "assertion")
{
    iriw_acquire();
}
MODEL("independent readers: seq_cst does not", .bound = 3)
{
    iriw_seq_cst();
}

static void sequence_begin(void *u)
{
    (void)u;
    plain = 42;
    atomic_store_explicit(&x, 1, RELEASE);
}
static void sequence_add(void *u)
{
    (void)u;
    int one = 1;
    atomic_compare_exchange_strong_explicit(&x, &one, 2, RELAXED, RELAXED);
}
static void sequence_break(void *u)
{
    (void)u;
    if (atomic_load_explicit(&x, RELAXED) == 1)
        atomic_store_explicit(&x, 2, RELAXED);
}
static void sequence_end(void)
{
    int adder = model_start(sequence_add, NULL);
    if (atomic_load_explicit(&x, ACQUIRE) == 2)
        model_check(plain == 42);
    model_join(adder);
}
MODEL("release sequence: it goes on through a relaxed exchange by another thread", .bound = 3)
{
    int writer = model_start(sequence_begin, NULL);
    sequence_end();
    model_join(writer);
}
MODEL("release sequence: it ends at another thread's store", .expect = "data race")
{
    int writer = model_start(sequence_begin, NULL), breaker = model_start(sequence_break, NULL);
    if (atomic_load_explicit(&x, ACQUIRE) == 2)
        model_check(plain == 42);
    model_join(writer);
    model_join(breaker);
}

static void stale_failure(void *u)
{
    (void)u;
    atomic_store_explicit(&x, 1, RELAXED);
    atomic_store_explicit(&y, 1, RELEASE);
}
MODEL("compare-exchange: a failed one may have seen an old value", .expect = "assertion")
{
    int writer = model_start(stale_failure, NULL);
    bool is_set = atomic_load_explicit(&y, RELAXED) == 1;
    int one = 1;
    if (is_set)
        model_check(atomic_compare_exchange_strong(&x, &one, 2));
    model_join(writer);
}
MODEL("compare-exchange: not one that acquired what came before", .bound = 3)
{
    int writer = model_start(stale_failure, NULL);
    bool is_set = atomic_load_explicit(&y, ACQUIRE) == 1;
    int one = 1;
    if (is_set)
        model_check(atomic_compare_exchange_strong(&x, &one, 2));
    model_join(writer);
}

static void increment(void *u)
{
    (void)u;
    atomic_fetch_add_explicit(&x, 1, RELAXED);
    atomic_fetch_add_explicit(&x, 1, RELAXED);
}
static void increment_badly(void *u)
{
    (void)u;
    atomic_store_explicit(&x, atomic_load_explicit(&x, RELAXED) + 1, RELAXED);
}
MODEL("a read-modify-write loses nothing", .bound = 3)
{
    run2(increment, increment);
    model_check(atomic_load_explicit(&x, RELAXED) == 4);
}
MODEL("a load and a store lose an increment", .expect = "assertion")
{
    run2(increment_badly, increment_badly);
    model_check(atomic_load_explicit(&x, RELAXED) == 2);
}

/* --- races -------------------------------------------------------------------------------------------------------------- */

static struct {
    unsigned char first, second;
    short third;
} bytes;

static void write_first(void *u)
{
    (void)u;
    bytes.first = 1;
}
static void write_second(void *u)
{
    (void)u;
    bytes.second = 1;
}
static void read_first(void *u)
{
    (void)u;
    int value = bytes.first;
    r[model_self()] = value;
}
MODEL("race: a load and a store of one byte", .expect = "data race")
{
    run2(write_first, read_first);
}
MODEL("race: neighbouring bytes are none")
{
    run2(write_first, write_second);
}
MODEL("race: two loads are none")
{
    run2(read_first, read_first);
}
static void copy_all(void *u)
{
    unsigned char copy[4];
    (void)u;
    memcpy(copy, &bytes, sizeof copy);
    r[0] = copy[0];
}
MODEL("race: a copy touches all that it copies", .expect = "data race")
{
    run2(write_second, copy_all);
}
static void plain_on_atomic(void *u)
{
    (void)u;
    memset((void *)&x, 0, sizeof x);
}
static void atomic_on_plain(void *u)
{
    (void)u;
    atomic_store_explicit(&x, 1, SEQ_CST);
}
MODEL("race: an atomic store and a plain one", .expect = "data race")
{
    run2(plain_on_atomic, atomic_on_plain);
}
MODEL("an atomic object may be cleared while nobody else has it")
{
    atomic_store_explicit(&x, 5, RELAXED);
    memset((void *)&x, 0, sizeof x);
    int other = model_start(increment, NULL);
    model_join(other);
    model_check(atomic_load_explicit(&x, RELAXED) == 2);
}

/* --- memory ------------------------------------------------------------------------------------------------------------- */

static int *_Atomic published;

static void use_published(void *u)
{
    (void)u;
    int *at = atomic_load_explicit(&published, ACQUIRE);
    if (at != NULL)
        r[0] = *at;
}
static void release_published(void *u)
{
    (void)u;
    int *at = atomic_exchange_explicit(&published, NULL, memory_order_acq_rel);
    model_release(at);
}
static void exchange_published(void *u)
{
    (void)u;
    int *at = atomic_exchange_explicit(&published, NULL, memory_order_acq_rel);
    if (at == NULL)
        return;
    r[0] = *at;
    model_release(at);
}
static void publish_one(void)
{
    int *at = model_allocate(sizeof *at, sizeof *at);
    *at = 7;
    atomic_store_explicit(&published, at, RELEASE);
}
MODEL("released memory: a use is found", .expect = "use of released")
{
    int user = model_start(use_published, NULL);
    publish_one();
    release_published(NULL);
    model_join(user);
}
MODEL("released memory: one owner at a time is right", .bound = 3)
{
    publish_one();
    run2(exchange_published, exchange_published);
}
MODEL("released memory: twice is once too often", .expect = "memory is released twice")
{
    int *at = model_allocate(8, 8);
    model_release(at);
    model_release(at);
}
MODEL("leak: what nothing refers to", .expect = "leak")
{
    model_allocate(8, 8);
}
MODEL("leak: what static data refers to is none")
{
    publish_one();
}
MODEL("leak: what a kept block refers to is none")
{
    void **keeper = model_allocate(sizeof *keeper, sizeof *keeper);
    *keeper = model_allocate(8, 8);
    model_keep(keeper);
}

/* --- deadlock, lost wake-up, livelock ------------------------------------------------------------------------------------- */

static _Atomic(uint32_t) lock_a, lock_b, word;

static void lock(_Atomic(uint32_t) *l)
{
    while (atomic_exchange_explicit(l, 1, ACQUIRE) != 0)
        model_spin();
}
static void unlock(_Atomic(uint32_t) *l)
{
    atomic_store_explicit(l, 0, RELEASE);
}
static void a_then_b(void *u)
{
    (void)u;
    lock(&lock_a);
    lock(&lock_b);
    unlock(&lock_b);
    unlock(&lock_a);
}
static void b_then_a(void *u)
{
    (void)u;
    lock(&lock_b);
    lock(&lock_a);
    unlock(&lock_a);
    unlock(&lock_b);
}
MODEL("livelock: two locks in two orders", .expect = "livelock")
{
    run2(a_then_b, b_then_a);
}
MODEL("livelock: two locks in one order are right", .bound = 3)
{
    run2(a_then_b, a_then_b);
}
static void spin_for_x(void *u)
{
    (void)u;
    while (atomic_load_explicit(&x, RELAXED) == 0)
        model_spin();
}
MODEL("livelock: nobody will store", .expect = "livelock")
{
    run2(spin_for_x, increment_badly);
    int other = model_start(spin_for_x, NULL);
    atomic_store(&x, 0);
    model_join(other);
}
MODEL("livelock: a spin ends when somebody stores", .bound = 3)
{
    run2(spin_for_x, increment);
}

static void sleep_for_word(void *u)
{
    (void)u;
    while (atomic_load_explicit(&word, ACQUIRE) == 0)
        model_sleep((volatile uint32_t *)&word, 0, INT64_MAX);
    model_check(plain == 42);
}
static void set_word_and_wake(void *u)
{
    (void)u;
    plain = 42;
    atomic_store_explicit(&word, 1, RELEASE);
    model_wake((volatile uint32_t *)&word, 1);
}
static void set_word_without_wake(void *u)
{
    (void)u;
    plain = 42;
    atomic_store_explicit(&word, 1, RELEASE);
}
static bool word_is_set(void *u)
{
    (void)u;
    return atomic_load(&word) != 0;
}
static void sleep_with_a_reason(void *u)
{
    model_waits_for(word_is_set, NULL);
    sleep_for_word(u);
    model_waits_for(NULL, NULL);
}
MODEL("deadlock: a sleeper whom nobody wakes", .expect = "deadlock")
{
    run2(sleep_for_word, set_word_without_wake);
}
MODEL("deadlock: a sleep that looks again is right", .bound = 3, .is_spurious = true)
{
    run2(sleep_for_word, set_word_and_wake);
}
MODEL("deadlock: whoever joins a sleeper waits, too", .expect = "deadlock")
{
    int sleeper = model_start(sleep_for_word, NULL);
    model_join(sleeper);
}
MODEL("lost wake-up: it has happened, and the sleeper sleeps", .expect = "lost wake-up")
{
    run2(sleep_with_a_reason, set_word_without_wake);
}
MODEL("lost wake-up: none, if the waker wakes", .bound = 3)
{
    run2(sleep_with_a_reason, set_word_and_wake);
}

static void sleep_with_deadline(void *u)
{
    (void)u;
    int64_t until = model_now() + 100;
    while (atomic_load_explicit(&word, ACQUIRE) == 0)
        if (model_sleep((volatile uint32_t *)&word, 0, until) != 0)
            break;
    r[0] = model_now() >= until;
    r[1] = atomic_load_explicit(&word, ACQUIRE) != 0;
}
MODEL("time: a sleep ends at its deadline when nobody wakes")
{
    int other = model_start(sleep_with_deadline, NULL);
    model_join(other);
    model_check(r[0] == 1 && r[1] == 0);
}
MODEL("time: a wake may come after the deadline has passed", .expect = "assertion")
{
    run2(sleep_with_deadline, set_word_and_wake);
    model_check(!(r[0] == 1 && r[1] == 0));
}

/* --- what is started begins with what came before, and ends with all that it did ------------------------------------------- */

static void read_plain(void *u)
{
    (void)u;
    model_check(plain == 42);
    plain = 43;
}
MODEL("start and join order plain memory", .bound = 3)
{
    plain = 42;
    int other = model_start(read_plain, NULL);
    model_join(other);
    model_check(plain == 43);
}
MODEL("a thread that is not joined is not ordered", .expect = "data race")
{
    plain = 42;
    model_start(read_plain, NULL);
    plain = 44;
}
MODEL("static data begins anew in each run", .bound = 3)
{
    model_check(plain == 0 && atomic_load(&x) == 0);
    plain = 1;
    run2(increment, increment);
}
