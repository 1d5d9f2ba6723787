/* SPDX-License-Identifier: MIT
 *
 * haft_both and haft_for_each: sides that are run in place, or by a thief. Over 600 lines, because both calls keep
 * the same promises and are held to them by the same bodies. */
#include <haft/haft.h>

#include <string.h>

#include "callers.h"
#include "fake_os.h"
#include "trace/census.h"

struct number {
    int in;
    int out;
};

static int doubles(struct number *n)
{
    n->out = 2 * n->in;
    return 0;
}

static int triples(struct number *n)
{
    n->out = 3 * n->in;
    return 0;
}

static int returns(const int *code)
{
    return *code;
}

static int returns_nine(void)
{
    return 9;
}

TEST_FROM_EVERY_CALLER("both sides work on their loans, and the first code that is not 0 is returned")
{
    struct number a = { .in = 2 }, b = { .in = 5 };
    check_int(haft_both(doubles, &a, triples, &b), ==, 0);
    check_int(a.out, ==, 4);
    check_int(b.out, ==, 15);
    const int seven = 7;
    int eight = 8;
    check_int(haft_both(returns, &seven, returns, &eight), ==, 7);
    check_int(haft_both(doubles, &a, returns, &eight), ==, 8);
    check_int(haft_both(returns, &seven, triples, &a), ==, 7);
    check_int(a.out, ==, 6);
    check_int(haft_both(returns_nine, HAFT_NO_FRAME, doubles, &a), ==, 9);
    check_int(haft_both(doubles, &a, returns_nine, HAFT_NO_FRAME), ==, 9);
}

struct fib {
    unsigned n;
    unsigned yields; /* one in so many calls, 0: none */
    uint64_t result;
};

static int fib(struct fib *f)
{
    if (f->n < 2) {
        f->result = f->n;
        return 0;
    }
    struct fib a = *f, b = *f;
    a.n = f->n - 1;
    b.n = f->n - 2;
    if (f->yields != 0 && f->n % f->yields == 0)
        (void)haft_yield();
    int rc = haft_both(fib, &a, fib, &b);
    f->result = a.result + b.result;
    return rc;
}

TEST_FROM_EVERY_CALLER("recursion splits down to the smallest sides")
{
    struct fib f = { .n = 20 };
    check_int(fib(&f), ==, 0);
    check_uint(f.result, ==, 6765);
}

TEST("several tasks split at once, suspend while they do, and do not disturb each other")
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        haft_runtime *rt = haft_runtime_new(.workers = workers);
        haft_handle hs[6];
        for (unsigned i = 0; i < 6; i++)
            hs[i] = haft_spawn(fib, (&(struct fib){ .n = 13, .yields = i + 3 }), .runtime = rt, .pinned = i % 2 == 0);
        for (unsigned i = 0; i < 6; i++) {
            struct fib f;
            check_int(haft_join(&hs[i], &f), ==, 0);
            check_uint(f.result, ==, 233);
        }
        check_int(haft_runtime_drop(&rt), ==, 0);
    }
}

/* --- sides that wait for each other ------------------------------------------------------------------------------- */

struct pair {
    _Atomic int first_is_here;
    _Atomic int second_is_here;
    haft_handle first;
    uint64_t first_id;
    uint64_t second_id;
    int code;
};

static int waits_for_second(struct pair *p)
{
    p->first_id = haft_id(haft_self());
    atomic_store(&p->first_is_here, 1);
    while (atomic_load(&p->second_is_here) == 0) {
        int rc = haft_yield();
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int comes_second(struct pair *p)
{
    p->second_id = haft_id(haft_self());
    atomic_store(&p->second_is_here, 1);
    return p->code;
}

TEST_FROM_EVERY_CALLER("a first side that yields lets the second run meanwhile, as a job of its own")
{
    struct pair p = { .code = 5 };
    check_int(haft_both(waits_for_second, &p, comes_second, &p), ==, 5);
    check_uint(p.first_id, !=, p.second_id);
}

static int parks(struct pair *p)
{
    p->first = haft_self();
    atomic_store(&p->first_is_here, 1);
    return haft_park();
}

static int unparks(struct pair *p)
{
    while (atomic_load(&p->first_is_here) == 0) {
        int rc = haft_yield();
        if (rc != 0)
            return rc;
    }
    return haft_unpark(p->first);
}

TEST_FROM_EVERY_CALLER("a first side that waits for the second does not wait for ever")
{
    struct pair p = { 0 };
    check_int(haft_both(parks, &p, unparks, &p), ==, 0);
}

static int spins_until(_Atomic int *stop)
{
    while (atomic_load(stop) == 0) {
        int rc = haft_yield();
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int beside_a_busy_task(void)
{
    struct pair p = { 0 };
    _Atomic int stop = 0;
    _Atomic int *frame = &stop;
    HAFT_SCOPE(s);
    check_int(haft_scope_spawn(s, spins_until, frame), ==, 0);
    check_int(haft_both(parks, &p, unparks, &p), ==, 0);
    atomic_store(&stop, 1);
    return 0;
}

TEST("nor does it where another task keeps the worker busy")
{
    for (unsigned workers = 1; workers <= 2; workers++)
        check_int(haft_run(beside_a_busy_task, HAFT_NO_FRAME, .workers = workers), ==, 0);
}

/* --- in place ----------------------------------------------------------------------------------------------------- */

static int is_in_place(const uint64_t *id)
{
    check_uint(haft_id(haft_self()), ==, *id);
    return 0;
}

static int alone(void)
{
    uint64_t id = haft_id(haft_self());
    check_int(haft_both(is_in_place, &id, is_in_place, &id), ==, 0);
    size_t before = fake_os.live_allocations;
    struct haft__census counted;
    haft__census(&counted);
    uint64_t jobs = counted.jobs_live, mappings = fake_os.live_mappings;
    struct fib f = { .n = 16 };
    fake_os.is_out_of_memory = true;
    check_int(fib(&f), ==, 0);
    fake_os.is_out_of_memory = false;
    check_uint(f.result, ==, 987);
    haft__census(&counted);
    check_uint(counted.jobs_live, ==, jobs);
    check_uint(fake_os.live_allocations, ==, before);
    check_uint(fake_os.live_mappings, ==, mappings);
    check_uint(fake_os.refusals, ==, 0);
    return 0;
}

TEST("sides that nobody takes are run by the caller itself and allocate nothing")
{
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
    check_int(haft_run(alone, HAFT_NO_FRAME, .workers = 1), ==, 0);
    fake_os_leave();
}

static int yields_without_memory(int *n)
{
    fake_os.is_out_of_memory = true;
    for (int i = 0; i < 10; i++)
        check_int(haft_yield(), ==, 0);
    fake_os.is_out_of_memory = false;
    ++*n;
    return 0;
}

static int counts(int *n)
{
    ++*n;
    return 0;
}

static int without_memory(void)
{
    int n = 0, depth[64];
    (void)depth;
    haft_handle hs[64]; /* every stack that is cached is in use */
    for (size_t i = 0; i < 64; i++)
        hs[i] = haft_spawn(wait_for_token);
    for (int i = 0; i < 100; i++)
        check_int(haft_yield(), ==, 0);
    check_int(haft_both(yields_without_memory, &n, counts, &n), ==, 0);
    check_int(n, ==, 2);
    for (size_t i = 0; i < 64; i++)
        haft_drop(&hs[i]);
    return 0;
}

TEST("a side that was taken, and cannot be given a job or a stack, is run by the caller after all")
{
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
    check_int(haft_run(without_memory, HAFT_NO_FRAME, .workers = 1), ==, 0);
    fake_os_leave();
}

static _Atomic bool has_no_mappings;

static void *refused_map(size_t size)
{
    return atomic_load(&has_no_mappings) ? NULL : haft__os_linux.map(size);
}

static _Atomic size_t parked;

static int parks_at_once(void)
{
    atomic_fetch_add(&parked, 1);
    return wait_for_token();
}

TEST("a thread for whose sides there is no stack runs them itself")
{
    static struct haft__os os;
    os = haft__os_linux;
    os.map = refused_map;
    haft__os_replace(&os);
    enum { MOST = 4096 };
    static haft_handle hs[MOST];
    size_t n = 0;
    do { /* until every stack is in use */
        check_uint(n, <, MOST);
        hs[n] = haft_spawn(parks_at_once);
        atomic_store(&has_no_mappings, true);
        until(atomic_load(&parked) > n || haft_is_finished(hs[n]));
    } while (!haft_is_finished(hs[n++]));
    check_int(haft_join(&hs[n - 1]), ==, HAFT_ENOMEM);
    int first = 0, second = 0;
    check_int(haft_both(counts, &first, counts, &second), ==, 0);
    check_int(first, ==, 1);
    check_int(second, ==, 1);
    int items[10] = { 0 };
    check_int(haft_for_each(counts, items, 10), ==, 0);
    for (int i = 0; i < 10; i++)
        check_int(items[i], ==, 1);
    atomic_store(&has_no_mappings, false);
    for (size_t i = 0; i + 1 < n; i++)
        haft_drop(&hs[i]);
}

/* --- panics ------------------------------------------------------------------------------------------------------- */

struct fall {
    struct pair pair;
    int when;
    _Atomic int ended;
};

static int falls(void)
{
    haft_panic("fell");
}

static int notes_that_it_ran(_Atomic int *n)
{
    atomic_fetch_add(n, 1);
    return 0;
}

static int first_falls(_Atomic int *n)
{
    return haft_both(falls, HAFT_NO_FRAME, notes_that_it_ran, n);
}

static int second_falls(_Atomic int *n)
{
    return haft_both(notes_that_it_ran, n, falls, HAFT_NO_FRAME);
}

static int in_one_worker(void)
{
    _Atomic int n = 0;
    haft_panic_info panic;
    check_int(haft_catch(first_falls, &n, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "fell");
    check_int(atomic_load(&n), ==, 0);
    check_int(haft_catch(second_falls, &n, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "fell");
    check_int(atomic_load(&n), ==, 1);
    struct fib f = { .n = 10 };
    check_int(fib(&f), ==, 0);
    check_uint(f.result, ==, 55);
    return 0;
}

TEST("a panic is raised in the caller; a second side that has not begun never does")
{
    silence_panics();
    check_int(haft_run(in_one_worker, HAFT_NO_FRAME, .workers = 1), ==, 0);
}

TEST_FROM_EVERY_CALLER("a panic of either side reaches the caller")
{
    silence_panics();
    _Atomic int n = 0;
    haft_panic_info panic;
    check_int(haft_catch(first_falls, &n, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "fell");
    check_int(haft_catch(second_falls, &n, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "fell");
}

static int comes_and_falls(struct fall *f)
{
    (void)comes_second(&f->pair);
    haft_panic("the second fell");
}

static int waits_and_goes_on(struct fall *f)
{
    int rc = waits_for_second(&f->pair);
    for (int i = 0; i < 5; i++)
        check_int(haft_yield(), ==, 0);
    atomic_fetch_add(&f->ended, 1);
    return rc;
}

static int second_falls_beside(struct fall *f)
{
    return haft_both(waits_and_goes_on, f, comes_and_falls, f);
}

TEST_FROM_EVERY_CALLER("a panic of a side that was taken is raised in the caller once the first side has ended")
{
    silence_panics();
    struct fall f = { 0 };
    haft_panic_info panic;
    check_int(haft_catch(second_falls_beside, &f, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "the second fell");
    check_int(atomic_load(&f.ended), ==, 1);
}

static int comes_and_waits(struct fall *f)
{
    (void)comes_second(&f->pair);
    int rc = haft_park();
    HAFT_SHIELD;
    for (int i = 0; i < 5; i++)
        check_int(haft_yield(), ==, 0);
    f->when = rc;
    atomic_fetch_add(&f->ended, 1);
    return rc;
}

static int waits_and_falls(struct fall *f)
{
    (void)waits_for_second(&f->pair);
    haft_panic("the first fell");
}

static int first_falls_beside(struct fall *f)
{
    return haft_both(waits_and_falls, f, comes_and_waits, f);
}

TEST_FROM_EVERY_CALLER("a panic of the first side aborts the second that was taken, and waits for its end")
{
    silence_panics();
    struct fall f = { 0 };
    haft_panic_info panic;
    check_int(haft_catch(first_falls_beside, &f, &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "the first fell");
    check_int(atomic_load(&f.ended), ==, 1);
    check_int(f.when, ==, HAFT_ECANCELED);
}

/* --- callers that are aborted or late ----------------------------------------------------------------------------- */

static int returns_what_both_say(struct fall **f)
{
    (*f)->pair.code = haft_both(waits_for_second, &(*f)->pair, comes_and_waits, *f);
    return (*f)->pair.code;
}

TEST_FROM_EVERY_CALLER("an abort of the caller reaches the side that was taken, and the caller is told after its end")
{
    for (haft_kind kind = HAFT_TASK; kind <= HAFT_THREAD; kind++) {
        struct fall f = { 0 }, *frame = &f;
        haft_handle h = haft_spawn(returns_what_both_say, &frame, .kind = kind);
        until(atomic_load(&f.pair.second_is_here) != 0);
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
        check_int(f.pair.code, ==, HAFT_ECANCELED);
        check_int(atomic_load(&f.ended), ==, 1);
        check_int(f.when, ==, HAFT_ECANCELED);
    }
}

TEST_FROM_EVERY_CALLER("a late caller aborts the side that was taken")
{
    struct fall f = { 0 };
    {
        HAFT_TIMEOUT(2 * HAFT_MS);
        check_int(haft_both(waits_for_second, &f.pair, comes_and_waits, &f), ==, HAFT_ETIMEDOUT);
    }
    check_int(atomic_load(&f.ended), <=, 1); /* none: the caller was late before it had begun */
}

static int never_begins(void)
{
    fail("began in an aborted caller");
}

static int is_aborted_before(void)
{
    check_int(haft_abort(haft_self()), ==, 0);
    int n = 0;
    {
        HAFT_SHIELD;
        check_int(haft_both(counts, &n, return_nothing, HAFT_NO_FRAME), ==, 0);
        check_int(n, ==, 1);
    }
    check_int(haft_both(never_begins, HAFT_NO_FRAME, never_begins, HAFT_NO_FRAME), ==, HAFT_ECANCELED);
    check_int(haft_for_each(counts, &n, 1), ==, HAFT_ECANCELED);
    check_int(n, ==, 1);
    return 0;
}

TEST("neither side begins in a caller that was aborted before, unless it is shielded")
{
    for_each_kind(kind) {
        haft_handle h = haft_spawn(is_aborted_before, HAFT_NO_FRAME, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
    }
}

/* --- haft_for_each ------------------------------------------------------------------------------------------------ */

struct item {
    unsigned visits;
    int code;
    uint8_t odd_size[3];
};

static int visits(struct item *i)
{
    i->visits++;
    return i->code;
}

TEST_FROM_EVERY_CALLER("every item is visited once, however many there are")
{
    static struct item items[1000];
    memset(items, 0, sizeof items);
    check_int(haft_for_each(visits, items, 0), ==, 0);
    unsigned visited = 0;
    for (size_t n = 1; n <= 1000; n = n < 20 ? n + 1 : n * 3 - 7) {
        check_int(haft_for_each(visits, items, n), ==, 0);
        visited++;
        check_uint(items[0].visits, ==, visited);
        check_uint(items[n - 1].visits, ==, n == 1 ? visited : 1);
        for (size_t i = 1; i < 1000; i++) {
            check_uint(items[i].visits, ==, i < n ? 1 : 0);
            items[i].visits = 0;
        }
    }
}

TEST_FROM_EVERY_CALLER("the first failure by place is returned, and every item is done")
{
    struct item items[50] = { 0 };
    items[49].code = -EIO;
    check_int(haft_for_each(visits, items, 50), ==, -EIO);
    items[31].code = 31;
    items[30].code = 30;
    check_int(haft_for_each(visits, items, 50), ==, 30);
    for (size_t i = 0; i < 50; i++)
        check_uint(items[i].visits, ==, 2);
}

static int falls_at_code(struct item *i)
{
    if (i->code != 0)
        haft_panic("item %d", i->code);
    i->visits++;
    (void)haft_yield();
    return 0;
}

static int falls_somewhere(struct item *items)
{
    return haft_for_each(falls_at_code, items, 64);
}

TEST_FROM_EVERY_CALLER("a panic at one item is raised in the caller once all that had begun have ended")
{
    silence_panics();
    struct item items[64] = { 0 };
    items[40].code = 40;
    haft_panic_info panic;
    check_int(haft_catch(falls_somewhere, &items[0], &panic), ==, HAFT_EPANIC);
    check_str(panic.message, "item 40");
    for (size_t i = 0; i < 64; i++)
        check_uint(items[i].visits, <=, 1);
}

struct gate {
    _Atomic int *inside;
    int wanted;
};

static int meets(struct gate *g)
{
    atomic_fetch_add(g->inside, 1);
    while (atomic_load(g->inside) < g->wanted) {
        int rc = haft_yield();
        if (rc != 0)
            return rc;
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("items that wait for each other all run at once")
{
    _Atomic int inside = 0;
    struct gate gates[17];
    for (int i = 0; i < 17; i++)
        gates[i] = (struct gate){ &inside, 17 };
    check_int(haft_for_each(meets, gates, 17), ==, 0);
}

/* --- storm -------------------------------------------------------------------------------------------------------- */

struct tree {
    uint64_t seed;
    unsigned depth;
    _Atomic int *inside;
};

static int grows(struct tree *t)
{
    atomic_fetch_add(t->inside, 1);
    HAFT_DEFER(notes_that_it_ran, t->inside);
    uint64_t dice = t->seed * UINT64_C(0x9e3779b97f4a7c15) >> 40;
    if (dice % 7 == 0)
        (void)haft_yield();
    if (dice % 31 == 0)
        (void)haft_sleep((int64_t)(dice % 64) * HAFT_US);
    if (dice % 101 == 0)
        haft_panic("storm");
    if (t->depth == 0)
        return dice % 37 == 0 ? -EIO : 0;
    struct tree left = { t->seed * 3 + 1, t->depth - 1, t->inside };
    struct tree right = { t->seed * 5 + 2, t->depth - 1, t->inside };
    return haft_both(grows, &left, grows, &right);
}

static int plants(struct tree *t)
{
    _Atomic int inside = 0; /* begun and ended, each counts */
    t->inside = &inside;
    int rc = haft_catch(grows, t, NULL);
    check_int(atomic_load(&inside) % 2, ==, 0);
    check(rc == 0 || rc == -EIO || rc == HAFT_EPANIC || rc == HAFT_ECANCELED);
    return rc;
}

TEST("a storm of sides that suspend, fail, fall and are aborted leaves nobody behind")
{
    silence_panics();
    for (unsigned workers = 1; workers <= 4; workers++) {
        haft_runtime *rt = haft_runtime_new(.workers = workers);
        for (size_t r = 0; r < rounds(12, 1500); r++) {
            haft_handle hs[8];
            for (uint64_t i = 0; i < 8; i++)
                hs[i] = haft_spawn(plants, (&(struct tree){ .seed = r * 8 + i, .depth = 6 }), .runtime = rt);
            for (size_t i = 0; i < 8; i += 3)
                check_int(haft_abort(hs[i]), ==, 0);
            for (size_t i = 0; i < 8; i++)
                (void)haft_join(&hs[i]);
        }
        check_int(haft_runtime_drop(&rt), ==, 0);
    }
}
