/* SPDX-License-Identifier: MIT
 *
 * Sets: a number of jobs that is not known in advance, taken out in the order in which they end. Over 600 lines,
 * because each call on a set is tried in each state of its jobs. */
#include <haft/haft.h>

#include <string.h>

#include "callers.h"

/* --- what jobs of sets do ----------------------------------------------------------------------------------------- */

/* A frame that counts its ends, for jobs that wait until they are let go. */
struct item {
    int value;
    int code;
    _Atomic int *started;
    _Atomic int *drops;
    haft_handle *self; /* where the job tells who it is, or null */
};

struct counts {
    _Atomic int started, drops;
};

#define ITEM(c, v) ((struct item){ .value = (v), .started = &(c).started, .drops = &(c).drops })

static void drop_item(void *object)
{
    struct item *f = object;
    atomic_fetch_add(f->drops, 1);
}

static int returns_its_code(struct item *f)
{
    atomic_fetch_add(f->started, 1);
    f->value *= 10;
    return f->code;
}

static int waits(struct item *f)
{
    if (f->self != NULL)
        *f->self = haft_self();
    atomic_fetch_add(f->started, 1);
    int rc = haft_park();
    f->value *= 10;
    return rc != 0 ? rc : f->code;
}

static int panics(struct item *f)
{
    atomic_fetch_add(f->started, 1);
    haft_panic("item %d", f->value);
}

static haft_handle spawn_waiting(struct item *f, haft_kind kind)
{
    return haft_spawn(waits, f, .kind = kind, .drop = drop_item);
}

/* --- filling and taking out --------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("a set gives each job's frame and code back, then says that it is empty")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_set *set = haft_set_new();
        check_ptr(set, !=, NULL);
        check_int(haft_set_len(set), ==, 0);
        enum { N = 20 };
        for (int i = 0; i < N; i++) {
            struct item f = ITEM(c, i);
            f.code = -i;
            check_int(haft_set_spawn(set, returns_its_code, &f, .kind = kind, .drop = drop_item), ==, 0);
            check_int(haft_set_len(set), ==, i + 1);
        }
        bool seen[N] = { false };
        struct item done;
        int code;
        for (int i = 0; i < N; i++) {
            check_int(haft_set_next(set, &done, &code), ==, 0);
            check_int(done.value % 10, ==, 0);
            check_int(code, ==, -done.value / 10);
            check(!seen[done.value / 10]);
            seen[done.value / 10] = true;
            check_int(haft_set_len(set), ==, N - 1 - i);
        }
        check_int(haft_set_next(set, &done, &code), ==, HAFT_EEMPTY);
        check_int(haft_set_try_next(set, &done, &code), ==, HAFT_EEMPTY);
        haft_outcome out;
        check_int(haft_set_next_outcome(set, &done, &out), ==, HAFT_EEMPTY);
        check_int(atomic_load(&c.drops), ==, 0);
        haft_set_drop(&set);
        check_ptr(set, ==, NULL);
        haft_set_drop(&set);
    }
}

TEST_FROM_EVERY_CALLER("a set may be filled again after it was empty")
{
    struct counts c = { 0 };
    haft_set *set = haft_set_new(.limit = 2);
    struct item done;
    for (int round = 0; round < 5; round++) {
        check_int(haft_set_next(set, &done, NULL), ==, HAFT_EEMPTY);
        for (int i = 0; i < 4; i++)
            check_int(haft_set_spawn(set, returns_its_code, &ITEM(c, round)), ==, 0);
        for (int i = 0; i < 4; i++) {
            check_int(haft_set_next(set, &done, NULL), ==, 0);
            check_int(done.value, ==, 10 * round);
        }
    }
    haft_set_drop(&set);
}

TEST_FROM_EVERY_CALLER("jobs without frames go into a set and come out with HAFT_NO_FRAME")
{
    for_each_kind(kind) {
        haft_set *set = haft_set_new();
        check_int(haft_set_spawn(set, return_nothing), ==, 0);
        check_int(haft_set_spawn(set, return_nothing, HAFT_NO_FRAME, .kind = kind, .name = "nothing"), ==, 0);
        int code = 1;
        check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, 0);
        check_int(code, ==, 0);
        check_int(haft_set_next(set, HAFT_NO_FRAME, NULL), ==, 0);
        check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, HAFT_EEMPTY);
        haft_set_drop(&set);
    }
}

TEST_FROM_EVERY_CALLER("taking a job out without its frame gives the frame to .drop")
{
    struct counts c = { 0 };
    haft_set *set = haft_set_new();
    check_int(haft_set_spawn(set, returns_its_code, &ITEM(c, 1), .drop = drop_item), ==, 0);
    int code = 1;
    check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, 0);
    check_int(code, ==, 0);
    check_int(atomic_load(&c.drops), ==, 1);
    haft_set_drop(&set);
    check_int(atomic_load(&c.drops), ==, 1);
}

enum { ORDERED = 5 };
static const int order[ORDERED] = { 3, 0, 4, 2, 1 };

static haft_set *ordered_set(struct counts *c, haft_handle self[ORDERED], haft_kind kind)
{
    haft_set *set = haft_set_new();
    for (int i = 0; i < ORDERED; i++) {
        struct item f = ITEM(*c, i);
        f.self = &self[i];
        check_int(haft_set_spawn(set, waits, &f, .kind = kind), ==, 0);
    }
    until(atomic_load(&c->started) == ORDERED);
    struct item done;
    check_int(haft_set_try_next(set, &done, NULL), ==, HAFT_EAGAIN);
    return set;
}

TEST_FROM_EVERY_CALLER("next waits for whichever job ends first, not for the first that was spawned")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_handle self[ORDERED];
        haft_set *set = ordered_set(&c, self, kind);
        struct item done;
        for (int i = 0; i < ORDERED; i++) {
            check_int(haft_unpark(self[order[i]]), ==, 0);
            check_int(haft_set_next(set, &done, NULL), ==, 0);
            check_int(done.value, ==, 10 * order[i]);
        }
        haft_set_drop(&set);
    }
}

static int ends_before_it_is_taken(void)
{
    /* One worker: what has finished has been handed to the set before this body goes on. */
    struct counts c = { 0 };
    haft_handle self[ORDERED];
    haft_set *set = ordered_set(&c, self, HAFT_TASK);
    struct item done;
    for (int i = 0; i < ORDERED; i++) {
        check_int(haft_unpark(self[order[i]]), ==, 0);
        until(haft_is_finished(self[order[i]]));
    }
    HAFT_TIMEOUT(0);
    for (int i = 0; i < ORDERED; i++) {
        check_int(i % 2 == 0 ? haft_set_try_next(set, &done, NULL) : haft_set_next(set, &done, NULL), ==, 0);
        check_int(done.value, ==, 10 * order[i]);
    }
    haft_set_drop(&set);
    return 0;
}

static int null_member(void)
{
    return 0;
}

TEST("a null set is refused or empty, so that one that could not be made need not be asked for at once")
{
    haft_set *set = NULL;
    haft_handle h = haft_spawn(null_member), before = h;
    int code = 7;
    check_int(haft_set_spawn(set, null_member), ==, HAFT_EINVAL);
    check_int(haft_set_add(set, &h), ==, HAFT_EINVAL);
    check(h.id_ == before.id_);
    check_int(haft_set_next(set, HAFT_NO_FRAME, &code), ==, HAFT_EINVAL);
    check_int(haft_set_try_next(set, HAFT_NO_FRAME, &code), ==, HAFT_EINVAL);
    haft_outcome out;
    check_int(haft_set_next_outcome(set, HAFT_NO_FRAME, &out), ==, HAFT_EINVAL);
    check_int(code, ==, 7);
    haft_set_abort_all(set);
    haft_set_shutdown(set);
    haft_set_detach_all(set);
    check_int(haft_set_len(set), ==, 0);
    haft_set_drop(&set);
    check_int(haft_join(&h), ==, 0);
}

TEST("a set yields jobs that have ended in the order in which they did, also at a timeout of zero")
{
    check_int(haft_run(ends_before_it_is_taken, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

struct sleeper {
    int64_t until;
    int number;
    int place; /* which of them ended first, second, … */
    int *ended;
};

static int sleeps(struct sleeper *f)
{
    int rc = haft_sleep(f->until - haft_now());
    if (rc == 0)
        f->place = (*f->ended)++;
    return rc;
}

static int sleeps_in_a_set(void)
{
    /* One worker: the counter needs no lock, and whoever counts first has ended first. */
    int ended = 0;
    int64_t start = haft_now();
    haft_set *set = haft_set_new();
    for (int i = 3; i >= 1; i--) {
        struct sleeper f = { .until = start + i * (20 * HAFT_MS), .number = i, .ended = &ended };
        check_int(haft_set_spawn(set, sleeps, &f), ==, 0);
    }
    struct sleeper done;
    int code;
    for (int i = 0; i < 3; i++) {
        check_int(haft_set_next(set, &done, &code), ==, 0);
        check_int(code, ==, 0);
        check_int(done.place, ==, i);
        check_int(haft_now(), >=, done.until);
    }
    haft_set_drop(&set);
    return 0;
}

TEST("a set of sleeps yields the shortest first")
{
    check_int(haft_run(sleeps_in_a_set, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

TEST_FROM_EVERY_CALLER("a frame of another size is refused, and the job stays to be taken out")
{
    struct counts c = { 0 };
    haft_set *set = haft_set_new();
    check_int(haft_set_spawn(set, returns_its_code, &ITEM(c, 4), .drop = drop_item), ==, 0);
    uint16_t wrong = 77;
    int code = 55;
    check_int(haft_set_next(set, &wrong, &code), ==, HAFT_EINVAL);
    check_int(haft_set_try_next(set, &wrong, &code), ==, HAFT_EINVAL);
    haft_outcome out;
    check_int(haft_set_next_outcome(set, &wrong, &out), ==, HAFT_EINVAL);
    check_int(wrong, ==, 77);
    check_int(code, ==, 55);
    check_int(haft_set_len(set), ==, 1);
    check_int(atomic_load(&c.drops), ==, 0);
    struct item done;
    check_int(haft_set_next(set, &done, &code), ==, 0);
    check_int(done.value, ==, 40);
    check_int(code, ==, 0);
    haft_set_drop(&set);
    check_int(atomic_load(&c.drops), ==, 0);
}

TEST_FROM_EVERY_CALLER("a spawn into a set that fails leaves the frame with its caller")
{
    struct counts c = { 0 };
    struct item f = ITEM(c, 4);
    haft_set *set = haft_set_new(.limit = 1);
    check_int(haft_set_spawn(set, returns_its_code, &f, .kind = (haft_kind)99, .drop = drop_item), ==, HAFT_EINVAL);
    check_int(haft_set_len(set), ==, 0);
    struct item done;
    check_int(haft_set_next(set, &done, NULL), ==, HAFT_EEMPTY);
    check_int(haft_set_spawn(set, returns_its_code, &f), ==, 0);
    check_int(haft_set_next(set, &done, NULL), ==, 0);
    check_int(done.value, ==, 40);
    haft_set_drop(&set);
    check_int(atomic_load(&c.drops), ==, 0);
}

TEST_FROM_EVERY_CALLER("a panic in a set is one job's code; next_outcome tells the message; the others go on")
{
    silence_panics();
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_set *set = haft_set_new();
        int code = 0;
        struct item done;
        check_int(haft_set_spawn(set, panics, &ITEM(c, 1), .kind = kind), ==, 0);
        check_int(haft_set_next(set, &done, &code), ==, 0);
        check_int(code, ==, HAFT_EPANIC);
        check_int(done.value, ==, 1);

        haft_outcome out;
        check_int(haft_set_spawn(set, panics, &ITEM(c, 2), .kind = kind), ==, 0);
        check_int(haft_set_next_outcome(set, &done, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "item 2");
        haft_panic_drop(&out.panic);

        check_int(haft_set_spawn(set, returns_its_code, &ITEM(c, 3), .kind = kind), ==, 0);
        check_int(haft_set_next_outcome(set, &done, &out), ==, 0);
        check_int(out.end, ==, HAFT_RETURNED);
        check_int(done.value, ==, 30);
        haft_set_drop(&set);
    }
}

/* --- limits ------------------------------------------------------------------------------------------------------- */

struct crowd {
    _Atomic int now, most, started;
};

static int is_counted(struct crowd **crowd)
{
    struct crowd *c = *crowd;
    int now = atomic_fetch_add(&c->now, 1) + 1;
    int most = atomic_load(&c->most);
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    atomic_fetch_add(&c->started, 1);
    for (int i = 0; i < 4; i++)
        (void)haft_yield();
    atomic_fetch_sub(&c->now, 1);
    return 0;
}

TEST_FROM_EVERY_CALLER("never more jobs of a set run than its limit")
{
    for_each_kind(kind)
        for (size_t limit = 1; limit <= 3; limit += 2) {
            enum { N = 24 };
            struct crowd crowd = { 0 }, *p = &crowd;
            haft_set *set = haft_set_new(.limit = limit);
            for (int i = 0; i < N; i++)
                check_int(haft_set_spawn(set, is_counted, &p, .kind = kind), ==, 0);
            for (int i = 0; i < N; i++)
                check_int(haft_set_next(set, HAFT_NO_FRAME, NULL), ==, 0);
            check_int(haft_set_next(set, HAFT_NO_FRAME, NULL), ==, HAFT_EEMPTY);
            check_int(atomic_load(&crowd.started), ==, N);
            check_int(atomic_load(&crowd.most), <=, limit);
            haft_set_drop(&set);
        }
}

TEST_FROM_EVERY_CALLER("as many jobs of a set run at once as its limit allows, the rest is queued")
{
    for_each_kind(kind) {
        enum { N = 9, LIMIT = 3 };
        struct counts c = { 0 };
        haft_handle self[N];
        haft_set *set = haft_set_new(.limit = LIMIT);
        for (int i = 0; i < N; i++) {
            struct item f = ITEM(c, i);
            f.self = &self[i];
            check_int(haft_set_spawn(set, waits, &f, .kind = kind), ==, 0);
        }
        check_int(haft_set_len(set), ==, N);
        struct item done;
        for (int i = 0; i < N; i++) {
            int expected = i + LIMIT < N ? i + LIMIT : N;
            until(atomic_load(&c.started) == expected);
            for (int j = 0; j < 20; j++)
                check_int(haft_yield(), ==, 0);
            check_int(atomic_load(&c.started), ==, expected);
            /* Those that run are the first in line, so the one with the lowest number runs. */
            check_int(haft_unpark(self[i]), ==, 0);
            check_int(haft_set_next(set, &done, NULL), ==, 0);
            check_int(done.value, ==, 10 * i);
        }
        haft_set_drop(&set);
    }
}

TEST_FROM_EVERY_CALLER("a set without a limit runs all its jobs at once")
{
    enum { N = 2000 };
    struct counts c = { 0 };
    haft_set *set = haft_set_new();
    for (int i = 0; i < N; i++)
        check_int(haft_set_spawn(set, waits, &ITEM(c, i), .drop = drop_item), ==, 0);
    until(atomic_load(&c.started) == N);
    haft_set_drop(&set);
    check_int(atomic_load(&c.drops), ==, N);
}

TEST_FROM_EVERY_CALLER("a spawn into a set whose queue is full waits, and one that ran out of time has done nothing")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_handle self[4];
        struct item f[4];
        haft_set *set = haft_set_new(.limit = 1, .queue = 2);
        for (int i = 0; i < 4; i++) {
            f[i] = ITEM(c, i);
            f[i].self = &self[i];
        }
        for (int i = 0; i < 3; i++)
            check_int(haft_set_spawn(set, waits, &f[i], .kind = kind, .drop = drop_item), ==, 0);
        {
            HAFT_TIMEOUT(0);
            check_int(haft_set_spawn(set, waits, &f[3], .kind = kind, .drop = drop_item), ==, HAFT_ETIMEDOUT);
        }
        {
            HAFT_TIMEOUT(HAFT_MS);
            check_int(haft_set_spawn(set, waits, &f[3], .kind = kind, .drop = drop_item), ==, HAFT_ETIMEDOUT);
        }
        check_int(haft_set_len(set), ==, 3);
        check_int(atomic_load(&c.drops), ==, 0);
        until(atomic_load(&c.started) == 1);
        check_int(haft_unpark(self[0]), ==, 0);
        check_int(haft_set_spawn(set, waits, &f[3], .kind = kind, .drop = drop_item), ==, 0);
        struct item done;
        for (int i = 0; i < 4; i++) {
            if (i > 0) {
                until(atomic_load(&c.started) == i + 1);
                check_int(haft_unpark(self[i]), ==, 0);
            }
            check_int(haft_set_next(set, &done, NULL), ==, 0);
            check_int(done.value, ==, 10 * i);
        }
        check_int(haft_set_next(set, &done, NULL), ==, HAFT_EEMPTY);
        haft_set_drop(&set);
        check_int(atomic_load(&c.drops), ==, 0);
    }
}

struct filler {
    haft_set *set;
    struct counts *counts;
    int jobs;
    _Atomic int *filled;
    int rc;
};

static int fills(struct filler *f)
{
    for (int i = 0; i < f->jobs; i++) {
        struct item item = ITEM(*f->counts, i);
        int rc = haft_set_spawn(f->set, returns_its_code, &item, .drop = drop_item);
        if (rc != 0)
            return rc;
        atomic_fetch_add(f->filled, 1);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "several fill one set through a narrow queue while several take from it: each job comes out once")
{
    for_each_kind(kind) {
        enum { FILLERS = 3, EACH = 200 };
        struct counts c = { 0 };
        _Atomic int filled = 0;
        haft_set *set = haft_set_new(.limit = 2, .queue = 3);
        struct filler f = { .set = set, .counts = &c, .jobs = EACH, .filled = &filled };
        haft_handle fillers[FILLERS];
        for (int i = 0; i < FILLERS; i++)
            fillers[i] = haft_spawn(fills, &f, .kind = kind);
        int taken[EACH] = { 0 };
        for (int n = 0; n < FILLERS * EACH;) {
            struct item done;
            int code, rc = haft_set_next(set, &done, &code);
            if (rc == HAFT_EEMPTY) {
                check_int(haft_yield(), ==, 0);
                continue;
            }
            check_int(rc, ==, 0);
            check_int(code, ==, 0);
            taken[done.value / 10]++;
            n++;
        }
        for (int i = 0; i < EACH; i++)
            check_int(taken[i], ==, FILLERS);
        check_int(haft_join_all(fillers, FILLERS, NULL), ==, 0);
        check_int(haft_set_len(set), ==, 0);
        haft_set_drop(&set);
        check_int(atomic_load(&c.drops), ==, 0);
    }
}

struct taker {
    haft_set *set;
    int taken;
    int sum;
};

static int takes(struct taker *f)
{
    struct item done;
    int code, rc;
    while ((rc = haft_set_next(f->set, &done, &code)) == 0) {
        check_int(code, ==, 0);
        f->taken++;
        f->sum += done.value / 10;
    }
    return rc;
}

TEST_FROM_EVERY_CALLER("any number of callers may take from one set; the last job ends the wait of all")
{
    for_each_kind(kind) {
        enum { TAKERS = 4, N = 400 };
        struct counts c = { 0 };
        haft_set *set = haft_set_new(.limit = 3, .queue = N);
        haft_handle self;
        struct item gate = ITEM(c, 0);
        gate.self = &self;
        check_int(haft_set_spawn(set, waits, &gate), ==, 0);
        for (int i = 1; i < N; i++)
            check_int(haft_set_spawn(set, returns_its_code, &ITEM(c, i)), ==, 0);
        haft_handle takers[TAKERS];
        struct taker f = { .set = set };
        for (int i = 0; i < TAKERS; i++)
            takers[i] = haft_spawn(takes, &f, .kind = kind);
        until(haft_set_len(set) == 1 && atomic_load(&c.started) == N);
        check_int(haft_unpark(self), ==, 0);
        int taken = 0, sum = 0;
        for (int i = 0; i < TAKERS; i++) {
            check_int(haft_join(&takers[i], &f), ==, HAFT_EEMPTY);
            taken += f.taken;
            sum += f.sum;
        }
        check_int(taken, ==, N);
        check_int(sum, ==, N * (N - 1) / 2);
        haft_set_drop(&set);
    }
}

/* --- waiting that fails ------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("a next that runs out of time has taken nothing")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_handle self;
        struct item f = ITEM(c, 6), done = { .value = 3 };
        f.self = &self;
        haft_set *set = haft_set_new();
        check_int(haft_set_spawn(set, waits, &f, .kind = kind), ==, 0);
        until(atomic_load(&c.started) == 1);
        int code = 4;
        for (int i = 0; i < 3; i++) {
            HAFT_TIMEOUT(i * (200 * HAFT_US));
            check_int(haft_set_next(set, &done, &code), ==, HAFT_ETIMEDOUT);
        }
        check_int(done.value, ==, 3);
        check_int(code, ==, 4);
        check_int(haft_set_len(set), ==, 1);
        check_int(haft_unpark(self), ==, 0);
        check_int(haft_set_next(set, &done, &code), ==, 0);
        check_int(code, ==, 0);
        check_int(done.value, ==, 60);
        check_int(haft_set_next(set, &done, &code), ==, HAFT_EEMPTY);
        haft_set_drop(&set);
    }
}

struct aborted_user {
    haft_set *set;
    _Atomic int *ready;
    struct item item;
    int next, spawn, shielded;
};

static int uses_a_set_when_aborted(struct aborted_user *f)
{
    atomic_store(f->ready, 1);
    struct item done;
    f->next = haft_set_next(f->set, &done, NULL);
    atomic_store(f->ready, 2);
    f->spawn = haft_set_spawn(f->set, returns_its_code, &f->item, .drop = drop_item);
    HAFT_SHIELD;
    f->shielded = haft_set_next(f->set, &done, NULL);
    return 0;
}

TEST_FROM_EVERY_CALLER("an aborted caller takes nothing out and puts nothing in")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        _Atomic int ready = 0;
        haft_handle self;
        struct item inside = ITEM(c, 1);
        inside.self = &self;
        haft_set *set = haft_set_new();
        check_int(haft_set_spawn(set, waits, &inside), ==, 0);
        until(atomic_load(&c.started) == 1);
        struct aborted_user f = { .set = set, .ready = &ready, .item = ITEM(c, 2) };
        haft_handle h = haft_spawn(uses_a_set_when_aborted, &f, .kind = kind);
        until(atomic_load(&ready) == 1);
        check_int(haft_abort(h), ==, 0);
        until(atomic_load(&ready) == 2);
        check_int(haft_unpark(self), ==, 0);
        check_int(haft_join(&h, &f), ==, HAFT_EABORTED);
        check_int(f.next, ==, HAFT_ECANCELED);
        check_int(f.spawn, ==, HAFT_ECANCELED);
        check_int(f.shielded, ==, 0);
        check_int(f.item.value, ==, 2);
        check_int(atomic_load(&c.started), ==, 1);
        check_int(atomic_load(&c.drops), ==, 0);
        check_int(haft_set_len(set), ==, 0);
        haft_set_drop(&set);
    }
}

/* --- add ---------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("jobs of every kind may be added, and come out like those spawned into the set")
{
    struct counts c = { 0 };
    haft_set *set = haft_set_new(.limit = 1);
    haft_handle self[KINDS + 1];
    for_each_kind(kind) {
        struct item f = ITEM(c, 1 + (int)kind);
        f.self = &self[kind];
        haft_handle h = spawn_waiting(&f, kind);
        uint64_t id = haft_id(h);
        check_int(haft_set_add(set, &h), ==, 0);
        check(haft_is_null(h));
        check_int(haft_set_len(set), ==, (int)kind + 1);
        until(atomic_load(&c.started) == (int)kind + 1);
        check_int(haft_id(self[kind]), ==, id);
    }
    /* What was added does not count against the limit. */
    struct item f = ITEM(c, 9);
    f.self = &self[KINDS];
    check_int(haft_set_spawn(set, waits, &f), ==, 0);
    until(atomic_load(&c.started) == KINDS + 1);
    struct item done;
    int code;
    for (int i = KINDS; i >= 0; i--) {
        check_int(haft_unpark(self[i]), ==, 0);
        check_int(haft_set_next(set, &done, &code), ==, 0);
        check_int(code, ==, 0);
        check_int(done.value, ==, i == KINDS ? 90 : 10 * (1 + i));
    }
    check_int(haft_set_next(set, &done, &code), ==, HAFT_EEMPTY);
    haft_set_drop(&set);
    check_int(atomic_load(&c.drops), ==, 0);
}

TEST_FROM_EVERY_CALLER("a job that had ended may be added, and is there at once")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_set *set = haft_set_new();
        struct item f = ITEM(c, 7), done;
        f.code = -7;
        haft_handle h = haft_spawn(returns_its_code, &f, .kind = kind);
        check_int(haft_wait(h), ==, 0);
        check_int(haft_set_add(set, &h), ==, 0);
        int code;
        check_int(haft_set_try_next(set, &done, &code), ==, 0);
        check_int(done.value, ==, 70);
        check_int(code, ==, -7);
        haft_set_drop(&set);
    }
}

struct adds_itself {
    haft_set *set;
    int self;
};

static int adds_itself_to(struct adds_itself *f)
{
    haft_handle self = haft_self();
    f->self = haft_set_add(f->set, &self);
    return haft_is_null(self) ? -1 : 0;
}

struct busy {
    haft_handle target;
};

static int joins(struct busy *f)
{
    int rc;
    while ((rc = haft_join(&f->target)) == HAFT_EBUSY)
        check_int(haft_yield(), ==, 0);
    return rc;
}

TEST_FROM_EVERY_CALLER("a handle that cannot be given away stays as it was")
{
    haft_set *set = haft_set_new();
    haft_handle null = HAFT_NULL_HANDLE;
    check_int(haft_set_add(set, &null), ==, HAFT_ESTALE);

    haft_handle h = haft_spawn(return_nothing), copy = h, before = h;
    check_int(haft_join(&h), ==, 0);
    check_int(haft_set_add(set, &copy), ==, HAFT_ESTALE);
    check(copy.slot_ == before.slot_ && copy.id_ == before.id_);

    haft_handle failed = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = (haft_kind)99);
    check_int(haft_set_add(set, &failed), ==, HAFT_EINVAL);
    check_int(haft_error(failed), ==, HAFT_EINVAL);
    check_int(haft_join(&failed), ==, HAFT_EINVAL);

    struct adds_itself f = { .set = set };
    h = haft_spawn(adds_itself_to, &f);
    check_int(haft_join(&h, &f), ==, 0);
    check_int(f.self, ==, HAFT_EINVAL);

    haft_handle target = haft_spawn(wait_for_token);
    struct busy b = { .target = target };
    haft_handle joiner = haft_spawn(joins, &b);
    int rc;
    while ((rc = haft_try_join(&target)) != HAFT_EBUSY) {
        check_int(rc, ==, HAFT_EAGAIN);
        check_int(haft_yield(), ==, 0);
    }
    check_int(haft_set_add(set, &target), ==, HAFT_EBUSY);
    check(!haft_is_null(target));
    check_int(haft_unpark(target), ==, 0);
    check_int(haft_join(&joiner), ==, 0);

    check_int(haft_set_len(set), ==, 0);
    haft_set_drop(&set);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("dropping a set aborts what runs, waits for it, and every frame has one end")
{
    silence_panics();
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_handle self;
        haft_set *set = haft_set_new(.limit = 3);
        for (int i = 0; i < 8; i++) { /* three wait, five are queued */
            struct item f = ITEM(c, i);
            f.self = i == 0 ? &self : NULL;
            check_int(haft_set_spawn(set, waits, &f, .kind = kind, .drop = drop_item), ==, 0);
        }
        struct item f = ITEM(c, 50);
        haft_handle added = spawn_waiting(&f, kind);
        check_int(haft_set_add(set, &added), ==, 0);
        haft_handle ended = haft_spawn(returns_its_code, &f, .drop = drop_item);
        check_int(haft_wait(ended), ==, 0);
        check_int(haft_set_add(set, &ended), ==, 0);
        haft_handle panicked = haft_spawn(panics, &f, .drop = drop_item);
        check_int(haft_wait(panicked), ==, 0);
        check_int(haft_set_add(set, &panicked), ==, 0);
        until(atomic_load(&c.started) == 6);
        haft_set_drop(&set);
        check_ptr(set, ==, NULL);
        check_int(atomic_load(&c.drops), ==, 11);
        check_int(atomic_load(&c.started), ==, 6);
        check(haft_is_finished(self));
    }
}

TEST_FROM_EVERY_CALLER("abort_all ends what waits and prevents what is queued, still to be taken out")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_set *set = haft_set_new(.limit = 2);
        for (int i = 0; i < 6; i++)
            check_int(haft_set_spawn(set, waits, &ITEM(c, i), .kind = kind, .drop = drop_item), ==, 0);
        until(atomic_load(&c.started) == 2);
        haft_set_abort_all(set);
        haft_set_abort_all(set);
        check_int(haft_set_len(set), ==, 6);
        struct item done;
        haft_outcome out;
        int not_started = 0;
        for (int i = 0; i < 6; i++) {
            check_int(haft_set_next_outcome(set, &done, &out), ==, 0);
            check_msg(out.end == HAFT_ABORTED || out.end == HAFT_NOT_STARTED, "end %d", (int)out.end);
            not_started += out.end == HAFT_NOT_STARTED;
        }
        check_int(not_started, ==, 4);
        check_int(atomic_load(&c.started), ==, 2);
        check_int(haft_set_next(set, &done, NULL), ==, HAFT_EEMPTY);
        check_int(atomic_load(&c.drops), ==, 0);
        haft_set_drop(&set);
    }
}

struct gated {
    struct item item;
    _Atomic int *open;
};

static int waits_at_the_gate(struct gated *f)
{
    atomic_fetch_add(f->item.started, 1);
    int rc = 0;
    while (rc == 0 && !atomic_load(f->open))
        rc = haft_yield();
    return rc;
}

static void drop_gated(void *object)
{
    drop_item(&((struct gated *)object)->item);
}

TEST_FROM_EVERY_CALLER("detach_all lets every job run on, queued ones included, and leaves the set empty")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        _Atomic int open = 0;
        enum { N = 6 };
        haft_set *set = haft_set_new(.limit = 2);
        for (int i = 0; i < N; i++) {
            struct gated f = { .item = ITEM(c, i), .open = &open };
            check_int(haft_set_spawn(set, waits_at_the_gate, &f, .kind = kind, .drop = drop_gated), ==, 0);
        }
        struct item f = ITEM(c, 1);
        haft_handle ended = haft_spawn(returns_its_code, &f, .drop = drop_item);
        check_int(haft_wait(ended), ==, 0);
        check_int(haft_set_add(set, &ended), ==, 0);
        until(atomic_load(&c.started) == 3);
        haft_set_detach_all(set);
        check_int(haft_set_len(set), ==, 0);
        check_int(haft_set_next(set, &f, NULL), ==, HAFT_EEMPTY);
        haft_set_drop(&set);
        atomic_store(&open, 1);
        until(atomic_load(&c.drops) == N + 1);
        check_int(atomic_load(&c.started), ==, N + 1);
    }
}

TEST_FROM_EVERY_CALLER("shutdown leaves the set empty and ready to be filled again")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_set *set = haft_set_new(.limit = 2);
        for (int round = 1; round <= 3; round++) {
            for (int i = 0; i < 5; i++)
                check_int(haft_set_spawn(set, waits, &ITEM(c, i), .kind = kind, .drop = drop_item), ==, 0);
            haft_set_shutdown(set);
            check_int(haft_set_len(set), ==, 0);
            check_int(atomic_load(&c.drops), ==, 5 * round);
            check_int(haft_set_next(set, HAFT_NO_FRAME, NULL), ==, HAFT_EEMPTY);
        }
        int code = 1;
        struct item done;
        check_int(haft_set_spawn(set, returns_its_code, &ITEM(c, 4), .kind = kind), ==, 0);
        check_int(haft_set_next(set, &done, &code), ==, 0);
        check_int(code, ==, 0);
        check_int(done.value, ==, 40);
        haft_set_shutdown(set);
        haft_set_drop(&set);
    }
}

static int drops_a_set_when_aborted(struct filler *f)
{
    check_int(haft_abort(haft_self()), ==, 0);
    check_int(haft_checkpoint(), ==, HAFT_ECANCELED);
    haft_set_drop(&f->set);
    return 0;
}

TEST_FROM_EVERY_CALLER("dropping a set waits, shielded from its caller's own abort")
{
    for_each_kind(kind) {
        struct counts c = { 0 };
        haft_set *set = haft_set_new();
        for (int i = 0; i < 5; i++)
            check_int(haft_set_spawn(set, waits, &ITEM(c, i), .kind = kind, .drop = drop_item), ==, 0);
        struct filler f = { .set = set };
        haft_handle h = haft_spawn(drops_a_set_when_aborted, &f, .kind = kind);
        check_int(haft_join(&h, &f), ==, HAFT_EABORTED);
        check_ptr(f.set, ==, NULL);
        check_int(atomic_load(&c.drops), ==, 5);
    }
}

TEST_FROM_EVERY_CALLER("a job may fill the set it runs in")
{
    struct counts c = { 0 };
    _Atomic int filled = 0;
    haft_set *set = haft_set_new();
    struct filler f = { .set = set, .counts = &c, .jobs = 10, .filled = &filled };
    check_int(haft_set_spawn(set, fills, &f), ==, 0);
    int n = 0, rc;
    while ((rc = haft_set_next(set, HAFT_NO_FRAME, NULL)) == 0)
        n++;
    check_int(rc, ==, HAFT_EEMPTY);
    check_int(n, ==, 11);
    check_int(atomic_load(&c.drops), ==, 10);
    haft_set_drop(&set);
}

TEST_LONG_FROM_EVERY_CALLER("many thousand jobs go through a set with a limit")
{
    struct counts c = { 0 };
    size_t n = rounds(20000, 500000), out = 0;
    haft_set *set = haft_set_new(.limit = 16);
    for (size_t i = 0; i < n; i++) {
        check_int(haft_set_spawn(set, returns_its_code, &ITEM(c, 1)), ==, 0);
        struct item done;
        while (haft_set_try_next(set, &done, NULL) == 0)
            out++;
    }
    struct item done;
    while (haft_set_next(set, &done, NULL) == 0)
        out++;
    check_int(out, ==, n);
    check_int(atomic_load(&c.started), ==, n);
    haft_set_drop(&set);
}
