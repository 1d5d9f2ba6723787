/* SPDX-License-Identifier: MIT
 *
 * Supervisors: who is started again after which end, when, in what order children are stopped, and that nobody waits for
 * ever whatever happens meanwhile. Over 600 lines, because each end is tried with each rule, kind and caller. */
#include <haft/haft.h>

#include <string.h>

#include "actor/supervisor.h"
#include "callers.h"
#include "fake_os.h"

/* --- children that do as they are told ---------------------------------------------------------------------------- */

enum order { STAY, SUCCEED, FAIL, PANIC, PANIC_WITH_PAYLOAD };
enum { PARTS = 4, EVENTS = 256 };

/* What the children of one test share. Small letters are starts, large ones ends. */
struct stage {
    haft_supervisor *sup;
    _Atomic int starts[PARTS], ends[PARTS], orders[PARTS], drops[PARTS], stops[PARTS];
    _Atomic unsigned n;
    char events[EVENTS];
    _Atomic int payloads;
};

struct part {
    struct stage *stage;
    int id;
    int runs; /* a run counts in its own copy */
};

static void event(struct stage *s, char what)
{
    unsigned i = atomic_fetch_add(&s->n, 1);
    if (i < EVENTS - 1)
        s->events[i] = what;
}

static void part_ends(struct part *p)
{
    event(p->stage, (char)('A' + p->id));
    atomic_fetch_add(&p->stage->ends[p->id], 1);
}

static void free_payload(void *payload)
{
    struct stage *s = payload;
    atomic_fetch_add(&s->payloads, 1);
}

static int plays(struct part *p)
{
    check_int(++p->runs, ==, 1);
    event(p->stage, (char)('a' + p->id));
    atomic_fetch_add(&p->stage->starts[p->id], 1);
    HAFT_DEFER(part_ends, p);
    for (;;) {
        switch (atomic_exchange(&p->stage->orders[p->id], STAY)) {
        case SUCCEED:
            return 0;
        case FAIL:
            return -7;
        case PANIC:
            haft_panic("part %d", p->id);
        case PANIC_WITH_PAYLOAD:
            haft_panic_with(p->stage, free_payload);
        default:
            break;
        }
        int rc = haft_park();
        if (rc != 0)
            return rc;
    }
}

static void part_drop(void *part)
{
    struct part *p = part;
    check_int(p->runs, ==, 0); /* the template */
    atomic_fetch_add(&p->stage->drops[p->id], 1);
}

static const char *const names[PARTS] = { "a", "b", "c", "d" };

static int add_part(struct stage *s, int id, haft_kind kind, haft_restart restart)
{
    struct part p = { .stage = s, .id = id };
    return haft_supervise(s->sup, plays, &p, .name = names[id], .kind = kind, .restart = restart, .drop = part_drop);
}

static void until_started(struct stage *s, int id, int n)
{
    until(atomic_load(&s->starts[id]) >= n);
    check_int(atomic_load(&s->starts[id]), ==, n);
}

/* Adds that many, in their order. */
static void set_up(struct stage *s, int parts, haft_kind kind)
{
    check_ptr(s->sup, !=, NULL);
    for (int id = 0; id < parts; id++) {
        check_int(add_part(s, id, kind, HAFT_RESTART_ON_FAILURE), ==, 0);
        until_started(s, id, 1);
    }
}

static haft_child_info info_of(struct stage *s, int id)
{
    haft_child_info info;
    check_int(haft_supervisor_child(s->sup, names[id], &info), ==, 0);
    return info;
}

static void order(struct stage *s, int id, enum order what)
{
    atomic_store(&s->orders[id], what);
    haft_child_info info;
    /* It may have seen the order before its first wait, have ended, and even be forgotten. */
    if (haft_supervisor_child(s->sup, names[id], &info) == 0)
        haft_unpark(info.job);
}

static void check_events(struct stage *s, const char *expected)
{
    char seen[EVENTS] = "";
    memcpy(seen, s->events, EVENTS);
    check_str(seen, expected);
}

/* What was added is gone, and its template was dropped once. */
static void clear_up(struct stage *s, int parts)
{
    check_int(haft_supervisor_drop(&s->sup), ==, 0);
    check_ptr(s->sup, ==, NULL);
    for (int id = 0; id < parts; id++) {
        check_int(atomic_load(&s->ends[id]), ==, atomic_load(&s->starts[id]));
        check_int(atomic_load(&s->drops[id]), ==, 1);
    }
}

/* --- strategies --------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("one for one: the child that died is started again, and its siblings go on")
{
    silence_panics();
    for_each_kind(kind) {
        struct stage s = { .sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ONE) };
        set_up(&s, 3, kind);
        order(&s, 1, PANIC);
        until_started(&s, 1, 2);
        order(&s, 1, FAIL);
        until_started(&s, 1, 3);
        check_int(atomic_load(&s.starts[0]), ==, 1);
        check_int(atomic_load(&s.starts[2]), ==, 1);
        clear_up(&s, 3);
        check_events(&s, "abcBbBbCBA");
    }
}

TEST_FROM_EVERY_CALLER("one for all: the siblings are stopped, the last added first, and all are started again")
{
    silence_panics();
    for_each_kind(kind) {
        struct stage s = { .sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL) };
        set_up(&s, 3, kind);
        order(&s, 1, PANIC);
        for (int id = 0; id < 3; id++)
            until_started(&s, id, 2);
        check_int(memcmp(s.events, "abcBCA", 6), ==, 0);
        clear_up(&s, 3);
        check_int(memcmp(s.events + 9, "CBA", 4), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("rest for one: those added after the child that died are stopped and started again with it")
{
    silence_panics();
    for_each_kind(kind) {
        struct stage s = { .sup = haft_supervisor_new(.strategy = HAFT_REST_FOR_ONE) };
        set_up(&s, 4, kind);
        order(&s, 1, FAIL);
        for (int id = 1; id < 4; id++)
            until_started(&s, id, 2);
        check_int(atomic_load(&s.starts[0]), ==, 1);
        check_int(memcmp(s.events, "abcdBDC", 7), ==, 0);
        clear_up(&s, 4);
        check_int(memcmp(s.events + 10, "DCBA", 5), ==, 0);
    }
}

static int supervises_three(struct stage *s)
{
    s->sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL);
    for (int id = 0; id < 3; id++)
        check_int(add_part(s, id, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0);
    until_started(s, 2, 1);
    order(s, 1, FAIL);
    until_started(s, 2, 2);
    check_int(haft_supervisor_drop(&s->sup), ==, 0);
    return 0;
}

TEST("on one worker, children that are started one after the other reach their first wait in their order")
{
    struct stage s = { 0 };
    check_int(haft_run(supervises_three, &s, .workers = 1), ==, 0);
    check_events(&s, "abcBCAabcCBA");
}

/* --- what a death is ---------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("a child that returns 0 has ended, and the wait with the last of them")
{
    struct stage s = { .sup = haft_supervisor_new() };
    set_up(&s, 2, HAFT_TASK);
    order(&s, 0, SUCCEED);
    until(atomic_load(&s.drops[0]) == 1); /* its template is disposed of at once */
    haft_child_info info = info_of(&s, 0);
    check(haft_is_null(info.job));
    check_uint(info.restarts, ==, 0);
    check_int(info.last.end, ==, HAFT_RETURNED);
    {
        HAFT_TIMEOUT(0);
        check_int(haft_supervisor_wait(s.sup), ==, HAFT_ETIMEDOUT);
    }
    order(&s, 1, SUCCEED);
    check_int(haft_supervisor_wait(s.sup), ==, 0);
    check_int(atomic_load(&s.drops[1]), ==, 1);
    check_int(add_part(&s, 2, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0); /* it may be filled again */
    until_started(&s, 2, 1);
    clear_up(&s, 3);
}

TEST_FROM_EVERY_CALLER("a child that was aborted by somebody else has died, however it ended")
{
    struct stage s = { .sup = haft_supervisor_new() };
    for_each_kind(kind) {
        int id = (int)kind;
        check_int(add_part(&s, id, kind, HAFT_RESTART_ON_FAILURE), ==, 0);
        until_started(&s, id, 1);
        check_int(haft_abort(info_of(&s, id).job), ==, 0);
        until_started(&s, id, 2);
        check_int(info_of(&s, id).last.end, ==, HAFT_ABORTED);
        check_uint(info_of(&s, id).restarts, ==, 1);
    }
    clear_up(&s, 3);
}

TEST_FROM_EVERY_CALLER("a child that is always started again is so after it has returned 0")
{
    struct stage s = { .sup = haft_supervisor_new(.restarts = 1, .within = INT64_MAX) };
    check_int(add_part(&s, 0, HAFT_TASK, HAFT_RESTART_ALWAYS), ==, 0);
    until_started(&s, 0, 1);
    order(&s, 0, SUCCEED);
    until_started(&s, 0, 2);
    order(&s, 0, SUCCEED); /* once too often */
    check_int(haft_supervisor_wait(s.sup), ==, HAFT_ECLOSED);
    clear_up(&s, 1);
}

TEST_FROM_EVERY_CALLER("a child that is never started again is forgotten with its end, which concerns nobody else")
{
    silence_panics();
    static const enum order ends[] = { SUCCEED, FAIL, PANIC };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct stage s = { .sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL, .restarts = 0, .within = HAFT_S) };
        check_int(add_part(&s, 0, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0);
        check_int(add_part(&s, 1, HAFT_TASK, HAFT_RESTART_NEVER), ==, 0);
        until_started(&s, 1, 1);
        order(&s, 1, ends[i]);
        haft_child_info info;
        until(haft_supervisor_child(s.sup, names[1], &info) == HAFT_EINVAL);
        until_started(&s, 0, 1);
        clear_up(&s, 2);
    }
}

TEST_FROM_EVERY_CALLER("one for all: who has returned 0, or is never started again, is not")
{
    struct stage s = { .sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL) };
    set_up(&s, 2, HAFT_TASK);
    check_int(add_part(&s, 2, HAFT_TASK, HAFT_RESTART_NEVER), ==, 0);
    until_started(&s, 2, 1);
    order(&s, 0, SUCCEED);
    until(atomic_load(&s.drops[0]) == 1);
    order(&s, 1, FAIL);
    until_started(&s, 1, 2);
    check_int(atomic_load(&s.ends[2]), ==, 1);
    check_int(atomic_load(&s.starts[0]), ==, 1);
    clear_up(&s, 3);
    check_int(atomic_load(&s.starts[2]), ==, 1);
}

TEST_FROM_EVERY_CALLER("the payload of a child's panic is freed, and the message can be asked for")
{
    silence_panics();
    struct stage s = { .sup = haft_supervisor_new() };
    set_up(&s, 1, HAFT_TASK);
    order(&s, 0, PANIC_WITH_PAYLOAD);
    until_started(&s, 0, 2);
    check_int(atomic_load(&s.payloads), ==, 1);
    order(&s, 0, PANIC);
    until_started(&s, 0, 3);
    haft_child_info info = info_of(&s, 0);
    check_int(info.last.end, ==, HAFT_PANICKED);
    check_str(info.last.panic.message, "part 0");
    check_ptr(info.last.panic.payload, ==, NULL);
    check_str(haft_name(info.job), "a"); /* names survive */
    check_str(info.last.panic.job, "a");
    clear_up(&s, 1);
}

/* --- how often ---------------------------------------------------------------------------------------------------- */

struct dies {
    _Atomic int *starts;
    int code;
};

static int dies_at_once(struct dies *d)
{
    atomic_fetch_add(d->starts, 1);
    if (d->code == 0)
        haft_panic("at once");
    return d->code;
}

TEST_FROM_EVERY_CALLER("the death after the last that is allowed ends the supervisor, which tells its code")
{
    silence_panics();
    for_each_kind(kind)
        for (int code = -1; code <= 0; code++)
            for (unsigned n = 0; n < 4; n++) {
                haft_supervisor *sup = haft_supervisor_new(.restarts = n, .within = 60 * HAFT_S);
                check_ptr(sup, !=, NULL);
                _Atomic int starts = 0;
                struct dies d = { &starts, code };
                check_int(haft_supervise(sup, dies_at_once, &d, .kind = kind, .name = "d"), ==, 0);
                int expected = code != 0 ? code : HAFT_EPANIC;
                check_int(haft_supervisor_wait(sup), ==, expected);
                check_int(haft_supervisor_wait(sup), ==, expected);
                check_int(starts, ==, (int)n + 1);
                check_int(haft_supervise(sup, dies_at_once, &d), ==, HAFT_ECLOSED);
                haft_child_info info;
                check_int(haft_supervisor_child(sup, "d", &info), ==, 0); /* it can still be asked */
                check_uint(info.restarts, ==, n);
                check(haft_is_null(info.job));
                check_int(haft_supervisor_drop(&sup), ==, 0);
            }
}

TEST_FROM_EVERY_CALLER("siblings that are stopped and started again are not counted as deaths")
{
    struct stage s = { .sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL, .restarts = 2, .within = INT64_MAX) };
    set_up(&s, 3, HAFT_TASK);
    for (int n = 2; n <= 3; n++) {
        order(&s, n - 2, FAIL);
        for (int id = 0; id < 3; id++)
            until_started(&s, id, n);
    }
    order(&s, 2, FAIL);
    check_int(haft_supervisor_wait(s.sup), ==, -7);
    clear_up(&s, 3);
}

TEST_FROM_EVERY_CALLER("a supervisor that gives up stops the others first, the last added first")
{
    struct stage s = { .sup = haft_supervisor_new(.restarts = 0, .within = HAFT_S) };
    set_up(&s, 4, HAFT_TASK);
    order(&s, 1, FAIL);
    check_int(haft_supervisor_wait(s.sup), ==, -7);
    check_events(&s, "abcdBDCA");
    clear_up(&s, 4);
}

TEST_FROM_EVERY_CALLER("without a limit a child may die as often as it likes")
{
    haft_supervisor *sup = haft_supervisor_new(.restarts = HAFT_RESTARTS_UNLIMITED);
    _Atomic int starts = 0;
    check_int(haft_supervise(sup, dies_at_once, (&(struct dies){ &starts, -1 })), ==, 0);
    until(starts > 50);
    check_int(haft_supervisor_drop(&sup), ==, 0);
}

/* --- time, on a clock that moves only when nothing runs ------------------------------------------------------------ */

static void on_a_virtual_clock(void (*body)(void))
{
    struct caller caller = { .body = body };
    fake_os_enter((struct fake_os_options){ .guards = HAFT__GUARD_CANARY });
    check_int(haft_run(caller_run, &caller, .workers = 1), ==, 0);
    fake_os_leave();
}

#define TEST_ON_A_VIRTUAL_CLOCK(sentence) TEST_CALLERS__(TEST, on_a_virtual_clock, __LINE__, sentence)

/* Dies a while after it was started, and notes when that was. */
struct timed {
    int64_t *at;
    int *n;
    int64_t lives;
};

static int dies_later(struct timed *t)
{
    t->at[(*t->n)++] = haft_now();
    int rc = haft_sleep(t->lives);
    return rc != 0 ? rc : -1;
}

TEST_ON_A_VIRTUAL_CLOCK("only deaths within the time count")
{
    int64_t at[32];
    int n = 0;
    /* Four deaths in 3 s, and then some: each interval of 2,999 ms has three. */
    haft_supervisor *sup = haft_supervisor_new(.restarts = 3, .within = 2999 * HAFT_MS);
    check_int(haft_supervise(sup, dies_later, (&(struct timed){ at, &n, HAFT_S })), ==, 0);
    {
        HAFT_TIMEOUT(20 * HAFT_S);
        check_int(haft_supervisor_wait(sup), ==, HAFT_ETIMEDOUT);
    }
    check_int(n, >=, 19);
    check_int(haft_supervisor_drop(&sup), ==, 0);

    n = 0;
    sup = haft_supervisor_new(.restarts = 3, .within = 3010 * HAFT_MS);
    check_int(haft_supervise(sup, dies_later, (&(struct timed){ at, &n, HAFT_S })), ==, 0);
    check_int(haft_supervisor_wait(sup), ==, -1);
    check_int(n, ==, 4);
    check_int(haft_supervisor_drop(&sup), ==, 0);
}

static void check_delay(int64_t delay, int64_t whole)
{
    check_msg(delay >= whole / 2 && delay <= whole + HAFT_MS, "%lld ms for %lld", (long long)(delay / HAFT_MS),
              (long long)(whole / HAFT_MS));
}

TEST_ON_A_VIRTUAL_CLOCK("the delay before a start doubles up to its limit, each shortened by up to a half")
{
    int64_t at[12];
    int n = 0;
    haft_supervisor *sup =
        haft_supervisor_new(.restarts = 11, .within = HAFT_S * 3600, .backoff = 100 * HAFT_MS, .backoff_max = HAFT_S);
    check_int(haft_supervise(sup, dies_later, (&(struct timed){ at, &n, 0 })), ==, 0);
    check_int(haft_supervisor_wait(sup), ==, -1);
    check_int(n, ==, 12);
    int64_t whole = 100 * HAFT_MS;
    bool varies = false;
    for (int i = 1; i < 12; i++) {
        check_delay(at[i] - at[i - 1], whole);
        varies = varies || at[i] - at[i - 1] < whole - HAFT_MS;
        whole = 2 * whole < HAFT_S ? 2 * whole : HAFT_S;
    }
    check(varies);
    check_int(haft_supervisor_drop(&sup), ==, 0);
}

/* Dies at once, but for the fourth run, which lasts. */
static int lasts_the_fourth_time(struct timed *t)
{
    int run = *t->n;
    t->at[(*t->n)++] = haft_now();
    return run == 3 && haft_sleep(t->lives) != 0 ? HAFT_ECANCELED : -1;
}

TEST_ON_A_VIRTUAL_CLOCK("a run that lasts puts the delay back to the first")
{
    int64_t at[16];
    int n = 0;
    haft_supervisor *sup = haft_supervisor_new(.restarts = 5, .within = 60 * HAFT_S, .backoff = 100 * HAFT_MS);
    check_int(haft_supervise(sup, lasts_the_fourth_time, (&(struct timed){ at, &n, 100 * HAFT_S })), ==, 0);
    check_int(haft_supervisor_wait(sup), ==, -1);
    check_int(n, >=, 6);
    check_delay(at[3] - at[2], 400 * HAFT_MS);
    check_delay(at[4] - at[3] - 100 * HAFT_S, 100 * HAFT_MS);
    check_delay(at[5] - at[4], 200 * HAFT_MS);
    check_int(haft_supervisor_drop(&sup), ==, 0);
}

TEST_ON_A_VIRTUAL_CLOCK("a supervisor whose children wait sleeps without an end")
{
    struct stage s = { .sup = haft_supervisor_new(.backoff = HAFT_S) };
    set_up(&s, 2, HAFT_TASK);
    int64_t before = haft_now();
    check_int(haft_sleep(1000 * HAFT_S), ==, 0);
    check_uint(fake_os.sleeps, <, 10);
    check_int(haft_now() - before, <, 1001 * HAFT_S);
    clear_up(&s, 2);
}

TEST_ON_A_VIRTUAL_CLOCK("a child that waits to be started again can be stopped, and removed, at once")
{
    int64_t at[4];
    int n = 0;
    haft_supervisor *sup = haft_supervisor_new(.backoff = 1000 * HAFT_S);
    int64_t start = haft_now();
    struct timed t = { at, &n, 0 };
    check_int(haft_supervise(sup, dies_later, &t, .name = "first"), ==, 0);
    check_int(haft_supervise(sup, dies_later, &t, .name = "second"), ==, 0);
    check_int(haft_sleep(HAFT_S), ==, 0);
    check_int(n, ==, 2);
    check_int(haft_supervisor_remove(sup, "first"), ==, 0);
    haft_child_info info;
    check_int(haft_supervisor_child(sup, "first", &info), ==, HAFT_EINVAL);
    check_int(haft_supervisor_stop(sup), ==, 0);
    check_int(haft_supervisor_wait(sup), ==, 0);
    check_int(haft_supervisor_drop(&sup), ==, 0);
    check_int(n, ==, 2);
    check_int(haft_now() - start, <, 2 * HAFT_S);
}

TEST_ON_A_VIRTUAL_CLOCK("a child that is added while those before it wait to be started again is started behind them")
{
    struct stage s = { .sup = haft_supervisor_new(.strategy = HAFT_REST_FOR_ONE, .backoff = 10 * HAFT_S) };
    set_up(&s, 2, HAFT_TASK);
    order(&s, 0, FAIL);
    until(atomic_load(&s.ends[1]) == 1);
    int64_t start = haft_now();
    check_int(add_part(&s, 2, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0);
    check_int(haft_sleep(HAFT_S), ==, 0);
    check_int(atomic_load(&s.starts[2]), ==, 0);
    while (atomic_load(&s.starts[2]) == 0)
        check_int(haft_sleep(HAFT_MS), ==, 0);
    check_int(haft_now() - start, >=, 5 * HAFT_S - HAFT_MS);
    check_uint(info_of(&s, 2).restarts, ==, 0);
    clear_up(&s, 3);
    check_events(&s, "abABabcCBA");
}

/* Too large for a descriptor, so that each run needs memory. */
struct large {
    int *n;
    bool lastingly;
    char more[80];
};

static int dies_for_want_of_memory(struct large *l)
{
    if (++*l->n == 1) {
        fake_os.is_out_of_memory = l->lastingly;
        fake_os.fail_allocation = 1;
    }
    return -1;
}

TEST_ON_A_VIRTUAL_CLOCK("a child that cannot be started again for want of memory has died once more")
{
    for (int lastingly = 0; lastingly < 2; lastingly++) {
        haft_supervisor *sup = haft_supervisor_new(.restarts = 3, .within = 3600 * HAFT_S, .backoff = 10 * HAFT_MS);
        int n = 0;
        struct large l = { .n = &n, .lastingly = lastingly };
        check_int(haft_supervise(sup, dies_for_want_of_memory, &l, .name = "l"), ==, 0);
        check_int(haft_supervisor_wait(sup), ==, lastingly ? HAFT_ENOMEM : -1);
        fake_os.is_out_of_memory = false;
        check_int(n, ==, lastingly ? 1 : 3); /* four deaths */
        haft_child_info info;
        check_int(haft_supervisor_child(sup, "l", &info), ==, 0);
        check_int(info.last.end, ==, lastingly ? HAFT_NOT_STARTED : HAFT_RETURNED);
        check_uint(info.restarts, ==, n - 1);
        check_int(haft_supervisor_drop(&sup), ==, 0);
    }
}

/* --- stopping ------------------------------------------------------------------------------------------------------ */

/* Ends a while after it was asked to, or when it is aborted. */
struct polite {
    haft_notify *asked;
    int64_t takes;
    int *end; /* what it came to */
    _Atomic int *stops;
};

static int ends_when_asked(struct polite *p)
{
    int rc = haft_notify_wait(p->asked);
    if (rc == 0)
        rc = haft_sleep(p->takes);
    *p->end = rc;
    return rc;
}

static void asks_politely(void *template)
{
    struct polite *p = template;
    atomic_fetch_add(p->stops, 1);
    haft_notify_one(p->asked);
}

TEST_ON_A_VIRTUAL_CLOCK("a child is asked to stop, given its grace, and then aborted")
{
    static const struct {
        int64_t takes, grace, expected;
        int end;
    } cases[] = {
        { 5 * HAFT_S, 10 * HAFT_S, 5 * HAFT_S, 0 },
        { 5 * HAFT_S, 2 * HAFT_S, 2 * HAFT_S, HAFT_ECANCELED },
        { 5 * HAFT_S, 0, 0, HAFT_ECANCELED },
        { 5 * HAFT_S, INT64_MAX, 5 * HAFT_S, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        haft_notify asked = HAFT_NOTIFY_INIT;
        int end = 1;
        _Atomic int stops = 0;
        haft_supervisor *sup = haft_supervisor_new();
        struct polite p = { &asked, cases[i].takes, &end, &stops };
        check_int(haft_supervise(sup, ends_when_asked, &p, .stop = asks_politely, .grace = cases[i].grace), ==, 0);
        check_int(haft_sleep(HAFT_MS), ==, 0);
        int64_t start = haft_now();
        check_int(haft_supervisor_drop(&sup), ==, 0);
        check_int(end, ==, cases[i].end);
        check_int(stops, ==, 1);
        check_int((haft_now() - start + HAFT_MS / 2) / HAFT_MS, ==, cases[i].expected / HAFT_MS);
    }
}

TEST_ON_A_VIRTUAL_CLOCK("graces follow each other, the last added first, and end early with their children")
{
    haft_notify asked[2] = { HAFT_NOTIFY_INIT, HAFT_NOTIFY_INIT };
    int end[2] = { 1, 1 };
    _Atomic int stops = 0;
    haft_supervisor *sup = haft_supervisor_new();
    for (int i = 0; i < 2; i++) {
        struct polite p = { &asked[i], (i + 1) * HAFT_S, &end[i], &stops };
        check_int(haft_supervise(sup, ends_when_asked, &p, .stop = asks_politely, .grace = 10 * HAFT_S), ==, 0);
    }
    check_int(haft_sleep(HAFT_MS), ==, 0);
    int64_t start = haft_now();
    check_int(haft_supervisor_stop(sup), ==, 0);
    check_int(haft_sleep(1900 * HAFT_MS), ==, 0);
    check_int(stops, ==, 1); /* the second one alone */
    check_int(haft_supervisor_wait(sup), ==, 0);
    check_int((haft_now() - start + HAFT_MS / 2) / HAFT_MS, ==, 3000);
    check_int(stops, ==, 2);
    check_int(end[0], ==, 0);
    check_int(end[1], ==, 0);
    check_int(haft_supervisor_drop(&sup), ==, 0);
}

TEST_FROM_EVERY_CALLER("a stop is idempotent, and a supervisor that was stopped takes no more children")
{
    struct stage s = { .sup = haft_supervisor_new() };
    set_up(&s, 3, HAFT_TASK);
    check_int(haft_supervisor_stop(s.sup), ==, 0);
    check_int(haft_supervisor_stop(s.sup), ==, 0);
    check_int(add_part(&s, 3, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, HAFT_ECLOSED);
    check_int(haft_supervisor_wait(s.sup), ==, 0);
    check_int(haft_supervisor_remove(s.sup, "a"), ==, HAFT_ECLOSED);
    clear_up(&s, 3);
    check_int(atomic_load(&s.drops[3]), ==, 0); /* still the caller's */
}

TEST_FROM_EVERY_CALLER("a child can be removed, and its siblings go on, whatever the strategy")
{
    for (haft_strategy strategy = HAFT_ONE_FOR_ONE; strategy <= HAFT_REST_FOR_ONE; strategy++) {
        struct stage s = { .sup = haft_supervisor_new(.strategy = strategy) };
        set_up(&s, 3, HAFT_TASK);
        check_int(haft_supervisor_remove(s.sup, "b"), ==, 0);
        check_int(atomic_load(&s.drops[1]), ==, 1);
        check_int(atomic_load(&s.ends[1]), ==, 1);
        haft_child_info info;
        check_int(haft_supervisor_child(s.sup, "b", &info), ==, HAFT_EINVAL);
        check_int(haft_supervisor_remove(s.sup, "b"), ==, HAFT_EINVAL);
        check_int(atomic_load(&s.starts[0]), ==, 1);
        check_int(atomic_load(&s.starts[2]), ==, 1);
        order(&s, 0, SUCCEED);
        until(haft_is_null(info_of(&s, 0).job));
        check_int(haft_supervisor_remove(s.sup, "a"), ==, 0);
        order(&s, 2, SUCCEED);
        check_int(haft_supervisor_wait(s.sup), ==, 0);
        clear_up(&s, 3);
    }
}

/* --- wrong callers ------------------------------------------------------------------------------------------------- */

struct misuse {
    haft_supervisor *sup;
    _Atomic int is_done;
};

static int calls_its_own_supervisor(struct misuse **frame)
{
    struct misuse *m = *frame;
    haft_supervisor *sup = m->sup;
    check_int(haft_supervisor_wait(sup), ==, HAFT_EDEADLK);
    check_int(haft_supervisor_drop(&sup), ==, HAFT_EDEADLK);
    check_ptr(sup, ==, m->sup);
    check_int(haft_supervisor_remove(sup, "self"), ==, HAFT_EDEADLK);
    check_int(haft_supervise(sup, return_nothing, HAFT_NO_FRAME, .name = "by a child"), ==, 0);
    atomic_store(&m->is_done, 1);
    return haft_park();
}

static void calls_from_a_drop(void *frame)
{
    struct misuse *m = *(struct misuse **)frame;
    haft_supervisor *sup = m->sup;
    check_int(haft_supervisor_wait(sup), ==, HAFT_EDEADLK);
    check_int(haft_supervisor_drop(&sup), ==, HAFT_EDEADLK);
    check_int(haft_supervisor_remove(sup, "self"), ==, HAFT_EDEADLK);
    atomic_store(&m->is_done, 2);
}

TEST_FROM_EVERY_CALLER("what would wait for itself is refused")
{
    for_each_kind(kind) {
        struct misuse m = { .sup = haft_supervisor_new() }, *frame = &m;
        check_int(haft_supervise(m.sup, calls_its_own_supervisor, &frame, .name = "self", .kind = kind,
                                 .drop = calls_from_a_drop),
                  ==, 0);
        until(atomic_load(&m.is_done) == 1);
        check_int(haft_supervisor_drop(&m.sup), ==, 0);
        check_int(atomic_load(&m.is_done), ==, 2);
    }
}

TEST_FROM_EVERY_CALLER("what can never be right is refused")
{
    check_ptr(haft_supervisor_new(.strategy = (haft_strategy)7), ==, NULL);
    check_ptr(haft_supervisor_new(.within = -1), ==, NULL);
    check_ptr(haft_supervisor_new(.backoff = -1), ==, NULL);
    haft_supervisor *sup = NULL;
    check_int(haft_supervise(sup, return_nothing), ==, HAFT_EINVAL);
    check_int(haft_supervisor_wait(sup), ==, HAFT_EINVAL);
    check_int(haft_supervisor_stop(sup), ==, HAFT_EINVAL);
    check_int(haft_supervisor_drop(&sup), ==, 0);
    sup = haft_supervisor_new();
    check_int(haft_supervise(sup, return_nothing, HAFT_NO_FRAME, .kind = (haft_kind)9), ==, HAFT_EINVAL);
    check_int(haft_supervise(sup, return_nothing, HAFT_NO_FRAME, .restart = (haft_restart)9), ==, HAFT_EINVAL);
    check_int(haft_supervise(sup, return_nothing, HAFT_NO_FRAME, .grace = -1), ==, HAFT_EINVAL);
    check_int(haft_supervisor_remove(sup, "nobody"), ==, HAFT_EINVAL);
    check_int(haft_supervisor_wait(sup), ==, 0); /* nothing was added */
    check_int(haft_supervisor_drop(&sup), ==, 0);
    check_int(haft_supervisor_drop(&sup), ==, 0);
}

/* --- trees, owners and runtimes ------------------------------------------------------------------------------------- */

/* A child that has children: small letters for the outer tree, and for the inner one those behind them. */
struct tree {
    struct stage *stage;
    haft_strategy strategy;
};

static int has_children(struct tree *t)
{
    struct stage *s = t->stage;
    haft_supervisor *sup = haft_supervisor_new(.strategy = t->strategy, .restarts = 1, .within = 3600 * HAFT_S);
    check_ptr(sup, !=, NULL);
    HAFT_DEFER(haft_supervisor_drop, &sup);
    for (int id = 1; id <= 2; id++) {
        struct part p = { .stage = s, .id = id };
        int before = atomic_load(&s->starts[id]);
        int rc = haft_supervise(sup, plays, &p, .name = names[id]);
        if (rc != 0)
            return rc;
        while (atomic_load(&s->starts[id]) == before)
            if ((rc = haft_yield()) != 0)
                return rc;
    }
    return haft_supervisor_wait(sup);
}

/* In the inner tree nobody can be unparked by name from outside. */
static int sees_order(struct part *p)
{
    event(p->stage, (char)('a' + p->id));
    atomic_fetch_add(&p->stage->starts[p->id], 1);
    HAFT_DEFER(part_ends, p);
    int rc;
    while ((rc = haft_sleep(HAFT_US)) == 0)
        if (atomic_exchange(&p->stage->orders[p->id], STAY) == FAIL)
            return -7;
    return rc;
}

static int has_children_that_see(struct tree *t)
{
    struct stage *s = t->stage;
    haft_supervisor *sup = haft_supervisor_new(.strategy = t->strategy, .restarts = 1, .within = 3600 * HAFT_S);
    check_ptr(sup, !=, NULL);
    HAFT_DEFER(haft_supervisor_drop, &sup);
    for (int id = 1; id <= 2; id++) {
        struct part p = { .stage = s, .id = id };
        int rc = granted(haft_supervise(sup, sees_order, &p, .name = names[id]));
        if (rc != 0)
            return rc;
    }
    return haft_supervisor_wait(sup);
}

TEST_FROM_EVERY_CALLER("a child that is stopped stops its own children, the last added first")
{
    for_each_kind(kind) {
        struct stage s = { .sup = haft_supervisor_new() };
        check_int(add_part(&s, 0, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0);
        until_started(&s, 0, 1);
        struct tree t = { &s, HAFT_ONE_FOR_ALL };
        check_int(haft_supervise(s.sup, has_children, &t, .name = "tree", .kind = kind), ==, 0);
        until_started(&s, 2, 1);
        check_int(add_part(&s, 3, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0);
        until_started(&s, 3, 1);
        check_int(haft_supervisor_drop(&s.sup), ==, 0);
        check_events(&s, "abcdDCBA");
    }
}

TEST_FROM_EVERY_CALLER("a supervisor that gives up is a death one level above, which starts the whole branch again")
{
    struct stage s = { .sup = haft_supervisor_new(.restarts = 1, .within = 3600 * HAFT_S) };
    struct tree t = { &s, HAFT_ONE_FOR_ONE };
    check_int(haft_supervise(s.sup, has_children_that_see, &t, .name = "tree"), ==, 0);
    for (int n = 1; n <= 4; n++) {
        until_started(&s, 1, n);
        until_started(&s, 2, (n + 1) / 2);
        haft_child_info info;
        check_int(haft_supervisor_child(s.sup, "tree", &info), ==, 0);
        check_uint(info.restarts, ==, n <= 2 ? 0 : 1);
        atomic_store(&s.orders[1], FAIL);
    }
    check_int(haft_supervisor_wait(s.sup), ==, -7);
    check_int(haft_supervisor_drop(&s.sup), ==, 0);
    check_int(atomic_load(&s.ends[1]), ==, atomic_load(&s.starts[1]));
    check_int(atomic_load(&s.ends[2]), ==, atomic_load(&s.starts[2]));
}

static int owns_a_supervisor(struct stage **stage)
{
    struct stage *s = *stage;
    s->sup = haft_supervisor_new(.strategy = HAFT_REST_FOR_ONE);
    HAFT_DEFER(haft_supervisor_drop, &s->sup);
    for (int id = 0; id < 3; id++)
        if (granted(add_part(s, id, HAFT_TASK, HAFT_RESTART_ON_FAILURE)) != 0)
            return HAFT_ENOMEM;
    return haft_supervisor_wait(s->sup);
}

TEST_FROM_EVERY_CALLER("the abort of an owner, which is told in its wait, stops the children in their order")
{
    struct stage stage = { 0 }, *s = &stage;
    haft_handle h = haft_spawn(owns_a_supervisor, &s);
    for (int id = 0; id < 3; id++)
        until(atomic_load(&s->starts[id]) == 1 || haft_is_finished(h)); /* which it is at once if it is refused one */
    check(!haft_is_finished(h));
    check_int(haft_abort(h), ==, 0);
    check_int(haft_join(&h), ==, HAFT_EABORTED);
    check_ptr(s->sup, ==, NULL);
    check_int(memcmp(s->events + 3, "CBA", 4), ==, 0);
    for (int id = 0; id < 3; id++)
        check_int(atomic_load(&s->drops[id]), ==, 1);
}

static int leaves_a_supervisor(struct stage *s)
{
    s->sup = haft_supervisor_new(.backoff = 3600 * HAFT_S);
    set_up(s, 3, HAFT_TASK);
    order(s, 1, FAIL);
    until(atomic_load(&s->ends[1]) == 1);
    check_int(add_part(s, 3, HAFT_BLOCKING, HAFT_RESTART_ALWAYS), ==, 0);
    return 0;
}

TEST("the end of its runtime ends a supervisor, which can be dropped then")
{
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int64_t grace = 0; grace <= HAFT_MS; grace += HAFT_MS) {
            struct stage s = { 0 };
            check_int(haft_run(leaves_a_supervisor, &s, .workers = workers, .grace = grace), ==, 0);
            check_int(haft_supervisor_wait(s.sup), ==, HAFT_ESHUTDOWN);
            check_int(add_part(&s, 0, HAFT_TASK, HAFT_RESTART_NEVER), ==, HAFT_ECLOSED);
            clear_up(&s, 4);
        }
}

TEST("children run on the supervisor's runtime, unless they have one of their own")
{
    haft_runtime *first = haft_runtime_new(.workers = 1), *second = haft_runtime_new(.workers = 1);
    check_ptr(first, !=, NULL);
    check_ptr(second, !=, NULL);
    struct stage s = { .sup = haft_supervisor_new(.runtime = first) };
    check_ptr(s.sup, !=, NULL);
    check_int(add_part(&s, 0, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0);
    struct part p = { .stage = &s, .id = 1 };
    check_int(haft_supervise(s.sup, plays, &p, .name = "b", .runtime = second, .drop = part_drop), ==, 0);
    until_started(&s, 0, 1);
    until_started(&s, 1, 1);
    check_int(haft_runtime_drop(&second), ==, 0); /* its child cannot be started again */
    check_int(haft_supervisor_wait(s.sup), ==, HAFT_ESHUTDOWN);
    clear_up(&s, 2);
    check_int(haft_runtime_drop(&first), ==, 0);
}

/* --- at the same time ----------------------------------------------------------------------------------------------- */

struct shielded {
    _Atomic int entered, is_open;
};

/* Heeds no abort until it is let go. */
static int heeds_nothing(struct shielded **frame)
{
    struct shielded *s = *frame;
    atomic_store(&s->entered, 1);
    HAFT_SHIELD;
    while (!atomic_load(&s->is_open))
        haft_yield();
    return 0;
}

TEST_FROM_EVERY_CALLER("a removal that is refused goes on, and nothing else is delayed by the wait for it")
{
    struct stage s = { .sup = haft_supervisor_new() };
    struct shielded h = { 0 }, *frame = &h;
    set_up(&s, 1, HAFT_TASK);
    check_int(haft_supervise(s.sup, heeds_nothing, &frame, .name = "stubborn"), ==, 0);
    until(atomic_load(&h.entered));
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_supervisor_remove(s.sup, "stubborn"), ==, HAFT_ETIMEDOUT);
    }
    haft_child_info info;
    check_int(haft_supervisor_child(s.sup, "stubborn", &info), ==, HAFT_EINVAL);
    check_int(haft_supervisor_remove(s.sup, "stubborn"), ==, HAFT_EINVAL);
    check_int(add_part(&s, 1, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0); /* not even by the keeper's wait */
    until_started(&s, 1, 1);
    atomic_store(&h.is_open, 1);
    check_int(haft_supervisor_remove(s.sup, "b"), ==, 0); /* behind the other */
    clear_up(&s, 2);
}

/* Removes a sibling; nothing but an answer ends its wait. */
struct remover {
    haft_supervisor *sup;
    const char *sibling;
    _Atomic int entered, is_stopped, rc;
};

static void tell_remover(void *frame)
{
    atomic_store(&(*(struct remover **)frame)->is_stopped, 1);
}

static int removes_in_a_shield(struct remover **frame)
{
    struct remover *r = *frame;
    HAFT_SHIELD;
    atomic_store(&r->entered, 1);
    while (!atomic_load(&r->is_stopped))
        haft_yield();
    atomic_store(&r->rc, haft_supervisor_remove(r->sup, r->sibling));
    return 0;
}

TEST_FROM_EVERY_CALLER("a child that is being stopped is refused the removal of a sibling, even under a shield")
{
    for_each_kind(kind) {
        struct stage s = { .sup = haft_supervisor_new() };
        struct remover r = { .sup = s.sup, .sibling = "a", .rc = 1 }, *frame = &r;
        set_up(&s, 1, HAFT_TASK);
        check_int(haft_supervise(s.sup, removes_in_a_shield, &frame, .name = "remover", .kind = kind,
                                 .stop = tell_remover, .grace = 3600 * HAFT_S),
                  ==, 0);
        until(atomic_load(&r.entered));
        check_int(haft_supervisor_remove(s.sup, "remover"), ==, 0);
        check_int(atomic_load(&r.rc), ==, HAFT_EDEADLK);
        haft_child_info info;
        check_int(haft_supervisor_child(s.sup, "a", &info), ==, 0); /* nothing happened */
        check_int(haft_supervisor_remove(s.sup, "a"), ==, 0);
        clear_up(&s, 1);
    }
}

TEST_FROM_EVERY_CALLER("two children that remove each other under a shield are both removed, and one is told")
{
    for_each_kind(kind) {
        haft_supervisor *sup = haft_supervisor_new();
        struct remover a = { .sup = sup, .sibling = "b", .rc = 1 }, b = { .sup = sup, .sibling = "a", .rc = 1 };
        struct remover *to_a = &a, *to_b = &b;
        check_int(haft_supervise(sup, removes_in_a_shield, &to_a, .name = "a", .kind = kind), ==, 0);
        check_int(haft_supervise(sup, removes_in_a_shield, &to_b, .name = "b"), ==, 0);
        until(atomic_load(&a.entered) && atomic_load(&b.entered));
        atomic_store(&a.is_stopped, 1);
        atomic_store(&b.is_stopped, 1);
        check_int(haft_supervisor_wait(sup), ==, 0);
        int ra = atomic_load(&a.rc), rb = atomic_load(&b.rc);
        /* One is told; the other has what it asked for, or comes too late. */
        check(ra == HAFT_EDEADLK || rb == HAFT_EDEADLK || ra == HAFT_EINVAL || rb == HAFT_EINVAL);
        check_int(haft_supervisor_drop(&sup), ==, 0);
    }
}

struct removal {
    haft_supervisor *sup;
    const char *name;
};

static int removes(const struct removal *r)
{
    return haft_supervisor_remove(r->sup, r->name);
}

static int parks(void)
{
    return haft_park();
}

static unsigned leaving(haft_supervisor *sup)
{
    haft__lock_acquire(&sup->lock);
    size_t n = sup->leaving;
    haft__lock_release(&sup->lock);
    return (unsigned)n;
}

TEST_FROM_EVERY_CALLER("a child whose stop begins while it waits for a removal is told, and the removal goes on")
{
    for_each_kind(kind) {
        haft_supervisor *sup = haft_supervisor_new();
        struct shielded busy = { 0 }, *to_busy = &busy;
        struct remover r = { .sup = sup, .sibling = "a", .rc = 1 }, *to_r = &r;
        check_int(haft_supervise(sup, heeds_nothing, &to_busy, .name = "busy"), ==, 0);
        until(atomic_load(&busy.entered));
        haft_handle first = haft_spawn(removes, (&(struct removal){ sup, "busy" }));
        until(leaving(sup) == 1);
        check_int(haft_supervise(sup, removes_in_a_shield, &to_r, .name = "remover", .kind = kind), ==, 0);
        check_int(haft_supervise(sup, parks, HAFT_NO_FRAME, .name = "a"), ==, 0);
        atomic_store(&r.is_stopped, 1);
        until(leaving(sup) == 2 || atomic_load(&r.rc) != 1);
        haft_handle second = haft_spawn(removes, (&(struct removal){ sup, "remover" }));
        until(leaving(sup) == 3 || atomic_load(&r.rc) != 1);
        atomic_store(&busy.is_open, 1);
        check_int(haft_join(&first), ==, 0);
        check_int(haft_join(&second), ==, 0);
        check_int(atomic_load(&r.rc), ==, HAFT_EDEADLK);
        check_int(haft_supervisor_wait(sup), ==, 0); /* a is gone, too */
        check_int(haft_supervisor_drop(&sup), ==, 0);
    }
}

static bool is_regrouping(haft_supervisor *sup)
{
    haft__lock_acquire(&sup->lock);
    bool is = sup->due != 0;
    haft__lock_release(&sup->lock);
    return is;
}

TEST_FROM_EVERY_CALLER("a child that is added while others are stopped is started behind them")
{
    struct stage s = { .sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL) };
    set_up(&s, 1, HAFT_TASK);
    struct shielded h = { 0 }, *frame = &h;
    check_int(haft_supervise(s.sup, heeds_nothing, &frame, .name = "stubborn"), ==, 0);
    until(atomic_load(&h.entered));
    order(&s, 0, FAIL);
    until(is_regrouping(s.sup));
    check_int(add_part(&s, 1, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0);
    for (int i = 0; i < 10; i++)
        haft_sleep(10 * HAFT_US);
    check_int(atomic_load(&s.starts[1]), ==, 0);
    atomic_store(&h.is_open, 1);
    until_started(&s, 1, 1);
    until_started(&s, 0, 2);
    clear_up(&s, 2);
}

/* Linux, but whoever creates the first thread called b stays in that until it is let go, and then may be refused. */
static struct {
    _Atomic int is_inside, is_open;
    bool refuses;
} creation;

static int creates_slowly(haft__os_thread *out, const haft__os_thread_options *options, void (*entry)(void *),
                          void *argument)
{
    /* The name goes with the job, which may have ended in a moment. */
    bool is_slow = options->name != NULL && strcmp(options->name, "b") == 0 && !atomic_load(&creation.is_inside);
    int rc = is_slow && creation.refuses ? -EAGAIN : haft__os_linux.thread_create(out, options, entry, argument);
    if (is_slow)
        atomic_store(&creation.is_inside, 1);
    while (is_slow && !atomic_load(&creation.is_open))
        haft__os_linux.yield();
    return rc;
}

static void create_slowly(bool refuses)
{
    static struct haft__os table;
    table = haft__os_linux;
    table.thread_create = creates_slowly;
    haft__os_replace(&table);
    creation.refuses = refuses;
}

static int adds_a_thread(struct stage **s)
{
    return add_part(*s, 1, HAFT_THREAD, HAFT_RESTART_ON_FAILURE);
}

TEST("a child whose first run has ended before its start is settled is looked at when it is")
{
    create_slowly(false);
    struct stage stage = { .sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL) }, *s = &stage;
    set_up(s, 1, HAFT_TASK);
    atomic_store(&s->orders[1], FAIL);
    haft_handle adder = haft_spawn(adds_a_thread, &s, .kind = HAFT_THREAD);
    until(atomic_load(&creation.is_inside));
    until(atomic_load(&s->ends[1]) == 1);
    order(s, 0, FAIL); /* nor is it regrouped before */
    until(haft_is_null(info_of(s, 0).job));
    haft_sleep(HAFT_MS);
    check_int(atomic_load(&s->starts[1]), ==, 1);
    check_int(atomic_load(&s->starts[0]), ==, 1);
    atomic_store(&creation.is_open, 1);
    check_int(haft_join(&adder), ==, 0);
    until_started(s, 1, 2);
    until_started(s, 0, 2);
    clear_up(s, 2);
    haft_runtime_stop();
    haft__os_replace(NULL);
}

static int drops_the_supervisor(struct stage **s)
{
    return haft_supervisor_drop(&(*s)->sup);
}

TEST("a start that is refused while the supervisor is dropped is the adder's, and the drop waits for it")
{
    create_slowly(true);
    struct stage stage = { .sup = haft_supervisor_new() }, *s = &stage;
    set_up(s, 1, HAFT_TASK);
    check_int(haft_supervise(s->sup, adds_a_thread, &s, .kind = HAFT_THREAD, .restart = HAFT_RESTART_NEVER), ==, 0);
    until(atomic_load(&creation.is_inside));
    haft_handle dropper = haft_spawn(drops_the_supervisor, &s);
    haft_sleep(HAFT_MS);
    check(!haft_is_finished(dropper));
    atomic_store(&creation.is_open, 1);
    check_int(haft_join(&dropper), ==, 0);
    check_int(atomic_load(&s->drops[1]), ==, 0); /* never taken */
    check_int(atomic_load(&s->starts[1]), ==, 0);
    haft_runtime_stop();
    haft__os_replace(NULL);
}

/* More calls than the pool has threads for: those behind wait in its queue. */
TEST("blocking calls that have not begun are stopped, too")
{
    enum { CALLS = 600 }; /* the pool has 512 threads */
    haft_supervisor *sup = haft_supervisor_new(.strategy = HAFT_ONE_FOR_ALL);
    struct stage s = { .sup = sup };
    for (int i = 0; i < CALLS / (int)test_slowness(); i++) {
        int rc = haft_supervise(sup, wait_for_token, HAFT_NO_FRAME, .kind = HAFT_BLOCKING);
        check(rc == 0 || rc == HAFT_EAGAIN);
    }
    check_int(add_part(&s, 0, HAFT_TASK, HAFT_RESTART_ON_FAILURE), ==, 0);
    until_started(&s, 0, 1);
    order(&s, 0, FAIL);
    until_started(&s, 0, 2);
    clear_up(&s, 1);
}

/* --- storms ---------------------------------------------------------------------------------------------------------- */

struct storm {
    haft_supervisor *sup;
    _Atomic int runs, drops;
};

struct storm_child {
    struct storm *storm;
    unsigned seed;
};

static void storm_drop(void *template)
{
    atomic_fetch_add(&((struct storm_child *)template)->storm->drops, 1);
}

/* Ends in any way, after some waits, and sometimes adds another like itself. */
static int does_anything(struct storm_child *c)
{
    int run = atomic_fetch_add(&c->storm->runs, 1);
    unsigned seed = (c->seed + (unsigned)run) * 2654435761u >> 8;
    for (unsigned i = seed % 4; i > 0; i--) {
        int rc = i % 2 == 0 ? haft_yield() : haft_sleep((int64_t)(seed % 64) * HAFT_US);
        if (rc != 0)
            return rc;
    }
    switch (seed / 4 % 8) {
    case 0:
        haft_panic("in a storm");
    case 1:
        haft_abort(haft_self());
        return haft_checkpoint();
    case 2:
        return haft_park();
    case 3:
        return haft_supervisor_remove(c->storm->sup, "x") == HAFT_EDEADLK ? -1 : 0;
    default:
        return (int)(seed % 3) - 1;
    }
}

static int adds_and_removes(struct storm *const *storm)
{
    struct storm *s = *storm;
    int added = 0;
    for (unsigned i = 0; i < 40; i++) {
        struct storm_child c = { s, i };
        int rc = haft_supervise(s->sup, does_anything, &c, .name = i % 2 == 0 ? "x" : "y", .drop = storm_drop,
                                .kind = (haft_kind)(i % 3), .restart = (haft_restart)(i / 3 % 3));
        check(rc == 0 || rc == HAFT_ECLOSED);
        if (rc != 0)
            break;
        added++;
        if (i % 4 == 3) {
            HAFT_TIMEOUT((int64_t)(i % 8) * 50 * HAFT_US);
            rc = haft_supervisor_remove(s->sup, i % 8 == 3 ? "x" : "y");
            check(rc == 0 || rc == HAFT_EINVAL || rc == HAFT_ECLOSED || rc == HAFT_ETIMEDOUT);
        }
    }
    return added;
}

static void storm(haft_strategy strategy, int how)
{
    struct storm s = { .sup = haft_supervisor_new(.strategy = strategy, .restarts = HAFT_RESTARTS_UNLIMITED,
                                                  .backoff = how == 1 ? 20 * HAFT_US : 0) };
    check_ptr(s.sup, !=, NULL);
    struct storm *storm = &s;
    haft_handle others[2];
    for (int i = 0; i < 2; i++)
        others[i] = haft_spawn(adds_and_removes, &storm, .kind = i == 0 ? HAFT_TASK : HAFT_THREAD);
    if (how == 2)
        check_int(haft_supervisor_stop(s.sup), ==, 0);
    int added = 0;
    for (int i = 0; i < 2; i++)
        added += haft_join(&others[i]);
    check_int(haft_sleep(HAFT_MS), ==, 0);
    check_int(haft_supervisor_drop(&s.sup), ==, 0);
    check_int(atomic_load(&s.drops), ==, added);
}

TEST_LONG_FROM_EVERY_CALLER("children that are added, removed and die in any way at once leave nothing behind")
{
    silence_panics();
    for (size_t round = rounds(1, 100); round > 0; round--)
        for (haft_strategy strategy = HAFT_ONE_FOR_ONE; strategy <= HAFT_REST_FOR_ONE; strategy++)
            for (int how = 0; how < 3; how++)
                storm(strategy, how);
}
