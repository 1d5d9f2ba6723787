/* SPDX-License-Identifier: MIT
 *
 * The interface as a newcomer first writes it: every call in its shortest form, with the codes that it promises, from
 * every kind of caller. What lies behind each promise is tested elsewhere. Longer
 * than other files, because it goes through all of it. */
#include <haft/haft.h>

#include <stdlib.h>
#include <string.h>

#include "callers.h"

/* check_int that does not spell the macros of the interface out. */
#define CK(value, wanted)                                                                                              \
    do {                                                                                                               \
        const intmax_t is_ = (intmax_t)(value), wanted_ = (intmax_t)(wanted);                                          \
        check_int(is_, ==, wanted_);                                                                                   \
    } while (0)

struct sum {
    uint64_t n, total;
};
static int sum_to(struct sum *s)
{
    for (uint64_t i = 1; i <= s->n; i++)
        s->total += i;
    return 0;
}
static int tick(void)
{
    return 7;
}
static int read_all(struct sum *f)
{
    f->total = 9;
    return -ENOENT;
}
static int reads(const struct sum *s)
{
    return (int)s->n;
}
struct probe {
    const char *url;
    int len;
};
static int measure(struct probe *c)
{
    c->len = (int)strlen(c->url);
    return c->len;
}
static int sleeps(void)
{
    return haft_sleep(10 * HAFT_S);
}
static int parse(int *n)
{
    if (*n > 3)
        haft_panic("bad port %d", *n);
    return *n;
}
static _Atomic int freed;
static void free_payload(void *p)
{
    freed++;
    free(p);
}
static int pays(void)
{
    haft_panic_with(malloc(3), free_payload);
}
static int selfjoin(void)
{
    haft_handle h = haft_self();
    return haft_join(&h);
}
struct pass {
    haft_handle h;
    int rc;
};
static int joins_other(struct pass *p)
{
    p->rc = haft_join(&p->h);
    return 0;
}
static _Atomic int dropped;
static void count_drop(void *p)
{
    (void)p;
    dropped++;
}
static int double_all(int *n)
{
    *n *= 2;
    return 0;
}
static int fails5(void)
{
    return -5;
}
static void hook(const haft_panic_info *i)
{
    (void)i;
}
static void unlock_log(int *n)
{
    *n += 1;
}
static int twice_timeout(void)
{
    HAFT_TIMEOUT(0);
    int a = haft_checkpoint(), b = haft_yield(), c = haft_sleep(0);
    return a == HAFT_ETIMEDOUT && b == HAFT_ETIMEDOUT && c == HAFT_ETIMEDOUT ? 0 : -1;
}
static int park_once(void)
{
    return haft_park();
}

TEST_FROM_EVERY_CALLER("handles: spawn, join, wait, abort, detach and drop as promised")
{
    dropped = freed = 0;
    struct sum s = { .n = 1000000 };
    haft_handle h = haft_spawn(sum_to, &s);
    int rc = haft_join(&h, &s);
    CK(rc, 0);
    CK(s.total == 500000500000, 1);
    CK(haft_is_null(h), 1);
    haft_handle t = haft_spawn(sum_to, &s, .kind = HAFT_THREAD, .name = "worker-1", .stack_size = 4 << 20);
    haft_handle u = haft_spawn(tick);
    haft_handle v = haft_spawn(tick, HAFT_NO_FRAME, .name = "tick");
    haft_handle b = haft_spawn_blocking(read_all, &s);
    CK(strcmp(haft_name(v), "tick"), 0);
    CK(haft_join(&t, &s), 0);
    CK(haft_join(&u), 7);
    CK(haft_join(&v), 7);
    CK(haft_join(&b, &s), -ENOENT);
    CK(haft_blocking(read_all, &s), -ENOENT);
    const struct sum k = { .n = 5 };
    h = haft_spawn(reads, &k);
    CK(haft_join(&h), 5);
    h = haft_spawn(sum_to, &k);
    CK(haft_join(&h), 0);
    /* stale, busy */
    h = haft_spawn(tick);
    haft_handle c = h;
    CK(haft_join(&h), 7);
    CK(haft_join(&c), HAFT_ESTALE);
    CK(haft_is_null(c), 0);
    CK(haft_wait(c), HAFT_ESTALE);
    CK(haft_is_finished(c), 1);
    CK(haft_abort(c), HAFT_ESTALE);
    CK(haft_try_join(&c), HAFT_ESTALE);
    CK(haft_detach(&c), HAFT_ESTALE);
    haft_drop(&c);
    haft_handle z = { 0 };
    CK(haft_join(&z), HAFT_ESTALE);
    haft_drop(&z);
    CK(haft_id(z), 0);
    h = haft_spawn(sleeps);
    CK(haft_try_join(&h), HAFT_EAGAIN);
    CK(haft_is_finished(h), 0);
    struct sum wrong;
    CK(haft_join(&h, &wrong), HAFT_EINVAL);
    {
        HAFT_TIMEOUT(HAFT_MS);
        CK(haft_join(&h), HAFT_ETIMEDOUT);
        CK(haft_is_null(h), 0);
        CK(haft_wait(h), HAFT_ETIMEDOUT);
    }
    haft_abort_handle a = haft_abort_handle_of(h);
    CK(haft_abort_by(a), 0);
    CK(haft_abort(h), 0);
    CK(haft_wait(h), 0);
    haft_outcome out;
    CK(haft_join_outcome(&h, HAFT_NO_FRAME, &out), 0);
    CK(out.end == HAFT_ABORTED || out.end == HAFT_NOT_STARTED, 1);
    if (out.end == HAFT_ABORTED)
        CK(out.code, HAFT_ECANCELED);
    h = haft_spawn(sleeps);
    haft_abort(h);
    CK(haft_join(&h), HAFT_EABORTED);
    h = haft_spawn(selfjoin);
    CK(haft_join(&h), HAFT_EDEADLK);
    h = haft_spawn(sleeps);
    struct pass p = { .h = h };
    haft_handle j = haft_spawn(joins_other, &p);
    until(haft_try_join(&h) == HAFT_EBUSY);
    CK(haft_join(&h), HAFT_EBUSY);
    haft_abort(h);
    CK(haft_join(&j, &p), 0);
    CK(p.rc, HAFT_EABORTED);
    {
        int n = 9;
        haft_handle d = haft_spawn(double_all, &n, .drop = count_drop);
        HAFT_DEFER(haft_drop, &d);
    }
    CK(dropped, 1);
    {
        int n = 9;
        haft_handle d = haft_spawn(double_all, &n, .drop = count_drop);
        CK(haft_join(&d), 0);
    }
    CK(dropped, 2);
    {
        int n = 9;
        haft_handle d = haft_spawn(double_all, &n, .drop = count_drop);
        CK(haft_join(&d, &n), 0);
        CK(n, 18);
    }
    CK(dropped, 2);
    {
        int n = 9;
        haft_handle d = haft_spawn(double_all, &n, .drop = count_drop), e = d;
        CK(haft_detach(&d), 0);
        CK(haft_is_null(d), 1);
        until(haft_is_finished(e));
    }
    CK(dropped, 3);
    dropped = 0;
    h = haft_spawn(park_once);
    CK(haft_unpark(h), 0);
    CK(haft_unpark(h), 0);
    CK(haft_join(&h), 0);
    CK(haft_unpark(h), HAFT_ESTALE);
    haft_handle hs[3] = { haft_spawn(tick), haft_spawn(fails5), haft_spawn(tick) };
    int rcs[3];
    CK(haft_join_all(hs, 3, rcs), 0);
    CK(rcs[0], 7);
    CK(rcs[1], -5);
    haft_handle hs2[2] = { haft_spawn(sleeps), haft_spawn(fails5) };
    CK(haft_join_all_or_abort(hs2, 2, rcs), -5);
    CK(rcs[0], HAFT_EABORTED);
    CK(rcs[1], -5);
    CK(haft_join_all_or_abort(NULL, 0, NULL), 0);
    h = haft_spawn(tick, HAFT_NO_FRAME, .kind = (haft_kind)77);
    CK(haft_error(h), HAFT_EINVAL);
    CK(haft_join(&h), HAFT_EINVAL);
    CK(haft_is_null(h), 1);
}

TEST_FROM_EVERY_CALLER("defer, timeout, shield, panic and catch as promised")
{
    int n = 5, log = 0;
    haft_panic_info panic;
    haft_on_panic(hook);
    CK(haft_catch(parse, &n, &panic), HAFT_EPANIC);
    CK(strcmp(panic.message, "bad port 5"), 0);
    CK(panic.payload == NULL, 1);
    CK(panic.line > 0, 1);
    CK(panic.file != NULL, 1);
    haft_panic_drop(&panic);
    n = 2;
    CK(haft_catch(parse, &n, &panic), 2);
    freed = 0;
    CK(haft_catch(pays, HAFT_NO_FRAME, &panic), HAFT_EPANIC);
    CK(panic.payload != NULL, 1);
    haft_panic_drop(&panic);
    haft_panic_drop(&panic);
    CK(freed, 1);
    CK(haft_catch(pays, HAFT_NO_FRAME, NULL), HAFT_EPANIC);
    CK(freed, 2);
    haft_handle h = haft_spawn(pays, HAFT_NO_FRAME, .name = "payer");
    haft_outcome out;
    CK(haft_join_outcome(&h, HAFT_NO_FRAME, &out), 0);
    CK(out.end, HAFT_PANICKED);
    CK(strcmp(out.panic.job, "payer"), 0);
    CK(out.panic.spawned_at != NULL, 1);
    haft_panic_drop(&out.panic);
    CK(freed, 3);
    h = haft_spawn(pays);
    CK(haft_join(&h), HAFT_EPANIC);
    CK(freed, 4);
    haft_on_panic(NULL);
    for (int i = 0; i < 3; i++) {
        HAFT_DEFER(unlock_log, &log);
        if (i == 1)
            continue;
    }
    CK(log, 3);
    void *buf = malloc(3);
    {
        HAFT_DEFER(free, buf);
    }
    CK(haft_time_left() == INT64_MAX, 1);
    {
        HAFT_TIMEOUT(100 * HAFT_S);
        CK(haft_time_left() > 0 && haft_time_left() <= 100 * HAFT_S, 1);
        {
            HAFT_SHIELD;
            CK(haft_time_left() == INT64_MAX, 1);
            CK(haft_sleep(HAFT_MS), 0);
        }
        HAFT_TIMEOUT(HAFT_MS);
        CK(haft_sleep(HAFT_S), HAFT_ETIMEDOUT);
    }
    CK(twice_timeout(), 0);
    haft_handle r = haft_spawn(tick);
    haft_wait(r);
    {
        HAFT_TIMEOUT(0);
        CK(haft_join(&r), 7);
    }
    CK(haft_is_aborted(), 0);
}

static int spawn_more(haft_scope **s)
{
    return haft_scope_spawn(*s, tick);
}
static int scopejoin(haft_scope **s)
{
    return haft_scope_join(*s);
}
static int panics(void)
{
    haft_panic("x");
}
static int raises(void)
{
    {
        HAFT_SCOPE(s);
        haft_scope_spawn(s, panics);
    }
    return 0;
}
TEST_FROM_EVERY_CALLER("scopes, haft_all, haft_both and haft_for_each as promised")
{
    int left = 2, right = 3, rc = 99;
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, double_all, &left);
        haft_scope_spawn(s, double_all, &right);
    }
    CK(rc, 0);
    CK(left, 4);
    CK(right, 6);
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, sleeps);
        haft_scope_spawn(s, fails5);
    }
    CK(rc, -5);
    {
        HAFT_SCOPE(s, .result = &rc, .on_error = HAFT_ON_ERROR_WAIT);
        haft_scope_spawn(s, double_all, &left);
        haft_scope_spawn(s, fails5);
        CK(haft_scope_join(s), -5);
    }
    CK(left, 8);
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, spawn_more, &s);
        CK(haft_scope_join(s), 7);
    }
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope *x = s;
        haft_scope_spawn(s, scopejoin, &x);
        CK(haft_scope_join(s), HAFT_EDEADLK);
    }
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, sleeps);
        {
            HAFT_TIMEOUT(HAFT_MS);
            CK(haft_scope_join(s), HAFT_ETIMEDOUT);
        }
        haft_scope_abort(s);
    }
    CK(rc == HAFT_EABORTED, 1);
    haft_on_panic(hook);
    CK(haft_catch(raises, HAFT_NO_FRAME, NULL), HAFT_EPANIC);
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, panics);
    }
    CK(rc, HAFT_EPANIC);
    haft_on_panic(NULL);
    int rcs[2], a = 1, b = 2;
    CK(haft_all(rcs, HAFT_ARM(double_all, &a), HAFT_ARM(double_all, &b)), 0);
    CK(a, 2);
    CK(b, 4);
    CK(rcs[1], 0);
    CK(haft_all_or_abort(rcs, HAFT_ARM(fails5), HAFT_ARM(sleeps)), -5);
    CK(haft_both(double_all, &a, double_all, &b), 0);
    CK(a, 4);
    CK(b, 8);
    int items[5] = { 1, 2, 3, 4, 5 };
    CK(haft_for_each(double_all, items, 5), 0);
    CK(items[4], 10);
}

TEST_FROM_EVERY_CALLER("sets as promised")
{
    const char *urls[] = { "a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg" };
    size_t n = 7;
    int rc, code, seen = 0;
    haft_set *set = haft_set_new(.limit = 5);
    for (size_t i = 0; i < n; i++) {
        rc = haft_set_spawn(set, measure, &(struct probe){ .url = urls[i] });
        CK(rc, 0);
    }
    CK(haft_set_len(set), 7);
    struct probe done;
    while (haft_set_next(set, &done, &code) == 0) {
        CK(done.len, code);
        seen += code;
    }
    CK(seen, 28);
    CK(haft_set_next(set, &done, &code), HAFT_EEMPTY);
    CK(haft_set_try_next(set, &done, &code), HAFT_EEMPTY);
    CK(haft_set_spawn(set, sleeps), 0);
    CK(haft_set_try_next(set, &done, &code), HAFT_EAGAIN);
    {
        HAFT_TIMEOUT(HAFT_MS);
        CK(haft_set_next(set, HAFT_NO_FRAME, &code), HAFT_ETIMEDOUT);
    }
    haft_set_abort_all(set);
    haft_outcome out;
    CK(haft_set_next_outcome(set, HAFT_NO_FRAME, &out), 0);
    CK(out.end != HAFT_RETURNED, 1);
    haft_handle h = haft_spawn(tick, HAFT_NO_FRAME, .kind = HAFT_THREAD);
    CK(haft_set_add(set, &h), 0);
    CK(haft_is_null(h), 1);
    CK(haft_set_next(set, HAFT_NO_FRAME, &code), 0);
    CK(code, 7);
    CK(haft_set_spawn(set, measure, &(struct probe){ .url = "x" }), 0);
    {
        int wrong;
        CK(haft_set_next(set, &wrong, &code), HAFT_EINVAL);
    }
    CK(haft_set_next(set, &done, &code), 0);
    haft_set_spawn(set, sleeps);
    haft_set_shutdown(set);
    CK(haft_set_len(set), 0);
    haft_set_detach_all(set);
    haft_set_drop(&set);
    CK(set == NULL, 1);
    haft_set_drop(&set);
}

typedef HAFT_SENDER(char *) line_sender;
typedef HAFT_RECEIVER(char *) line_receiver;
TEST_FROM_EVERY_CALLER("channels, broadcast, watch and tickers as promised")
{
    line_sender tx, tx2;
    line_receiver rx;
    char *line = malloc(4);
    int rc, n = 0;
    rc = haft_channel(&tx, &rx, 32, .drop = haft_drop_free);
    CK(rc, 0);
    CK(haft_send(&tx, &line), 0);
    line = malloc(4);
    CK(haft_send(&tx, HAFT_MOVE(&line)), 0);
    CK(line == NULL, 1);
    CK(haft_sender_clone(&tx, &tx2), 0);
    haft_sender_drop(&tx);
    haft_sender_drop(&tx);
    CK(haft_channel_len(&rx), 2);
    CK(haft_channel_capacity(&tx2), 32);
    HAFT_WEAK_SENDER(char *) weak;
    CK(haft_sender_downgrade(&tx2, &weak), 0);
    CK(haft_sender_upgrade(&weak, &tx), 0);
    HAFT_SLOT(char *) slot;
    CK(haft_reserve(&tx, &slot), 0);
    haft_sender_drop(&tx);
    haft_sender_drop(&tx2);
    char *other = malloc(2);
    CK(haft_slot_send(&slot, &other), 0);
    haft_slot_drop(&slot);
    CK(haft_sender_upgrade(&weak, &tx), HAFT_ECLOSED);
    haft_weak_sender_drop(&weak);
    while ((rc = haft_recv(&rx, &line)) == 0) {
        free(line);
        n++;
    }
    CK(rc, HAFT_ECLOSED);
    CK(n, 3);
    CK(haft_try_recv(&rx, &line), HAFT_ECLOSED);
    {
        HAFT_DEFER(haft_receiver_drop, &rx);
    }
    HAFT_SENDER(int) itx;
    HAFT_RECEIVER(int) irx;
    int v = 3, arr[4];
    size_t got;
    CK(haft_channel(&itx, &irx, 1), 0);
    CK(haft_send(&itx, &v), 0);
    CK(haft_try_send(&itx, &v), HAFT_EAGAIN);
    {
        HAFT_TIMEOUT(0);
        CK(haft_send(&itx, &v), HAFT_ETIMEDOUT);
        CK(haft_recv(&irx, &v), 0);
        CK(haft_recv(&irx, &v), HAFT_ETIMEDOUT);
        CK(haft_send(&itx, &v), 0);
    }
    CK(haft_recv_many(&irx, arr, 4, &got), 0);
    CK(got, 1);
    haft_channel_close(&irx);
    CK(haft_send(&itx, &v), HAFT_ECLOSED);
    CK(haft_recv(&irx, &v), HAFT_ECLOSED);
    {
        HAFT_DEFER(haft_sender_drop, &itx);
        HAFT_DEFER(haft_receiver_drop, &irx);
    }
    CK(haft_channel(&itx, &irx, 0), 0);
    CK(haft_try_send(&itx, &v), HAFT_EAGAIN);
    haft_receiver_drop(&irx);
    CK(haft_send(&itx, &v), HAFT_ECLOSED);
    haft_sender_drop(&itx);
    CK(haft_channel_unbounded(&itx, &irx), 0);
    for (int i = 0; i < 1000; i++)
        haft_send(&itx, &i);
    CK(haft_channel_len(&itx), 1000);
    haft_sender_drop(&itx);
    haft_receiver_drop(&irx);
    CK(haft_oneshot(&itx, &irx), 0);
    CK(haft_send(&itx, &v), 0);
    CK(haft_recv(&irx, &v), 0);
    haft_sender_drop(&itx);
    haft_receiver_drop(&irx);
    CK(haft_oneshot(&itx, &irx), 0);
    haft_sender_drop(&itx);
    CK(haft_recv(&irx, &v), HAFT_ECLOSED);
    haft_receiver_drop(&irx);
    HAFT_BROADCAST_SENDER(int) btx;
    HAFT_BROADCAST_RECEIVER(int) brx, brx2;
    uint64_t missed = 0;
    CK(haft_broadcast(&btx, &brx, 2), 0);
    CK(haft_broadcast_subscribe(&btx, &brx2), 0);
    for (v = 0; v < 5; v++)
        CK(haft_broadcast_send(&btx, &v), 0);
    CK(haft_broadcast_recv(&brx, &v, &missed), HAFT_ELAGGED);
    CK(missed, 3);
    CK(haft_broadcast_recv(&brx, &v, &missed), 0);
    CK(v, 3);
    CK(haft_broadcast_recv(&brx, &v, &missed), 0);
    CK(v, 4);
    {
        HAFT_TIMEOUT(0);
        CK(haft_broadcast_recv(&brx, &v, &missed), HAFT_ETIMEDOUT);
    }
    haft_broadcast_sender_drop(&btx);
    CK(haft_broadcast_recv(&brx, &v, &missed), HAFT_ECLOSED);
    haft_broadcast_receiver_drop(&brx);
    haft_broadcast_receiver_drop(&brx2);
    HAFT_WATCH_SENDER(int) wtx;
    HAFT_WATCH_RECEIVER(int) wrx;
    int first = 1;
    CK(haft_watch(&wtx, &wrx, &first), 0);
    {
        HAFT_TIMEOUT(0);
        CK(haft_watch_changed(&wrx), HAFT_ETIMEDOUT);
    }
    first = 2;
    CK(haft_watch_set(&wtx, &first), 0);
    CK(haft_watch_changed(&wrx), 0);
    CK(haft_watch_changed(&wrx), 0);
    CK(haft_watch_get(&wrx, &v), 0);
    CK(v, 2);
    haft_watch_sender_drop(&wtx);
    CK(haft_watch_changed(&wrx), HAFT_ECLOSED);
    CK(haft_watch_get(&wrx, &v), 0);
    haft_watch_receiver_drop(&wrx);
    haft_ticker t;
    CK(haft_ticker_start(&t, HAFT_MS, .missed = HAFT_TICK_SKIP), 0);
    CK(haft_ticker_wait(&t), 0);
    CK(haft_ticker_wait(&t), 0);
    {
        HAFT_DEFER(haft_ticker_drop, &t);
    }
}

TEST_FROM_EVERY_CALLER("select as promised")
{
    line_sender tx;
    line_receiver rx;
    char *line = NULL, *out = NULL;
    int rc = 1, frame = 4, code;
    haft_channel(&tx, &rx, 1);
    haft_handle h = haft_spawn(double_all, &frame, .kind = HAFT_THREAD);
    haft_wait(h);
    haft_set *set = haft_set_new();
    CK(haft_select(HAFT_ON_RECV(&rx, &line, .rc = &rc), HAFT_ON_JOIN(&h, &frame), HAFT_ON_SET(set, &frame, &code),
                   HAFT_ON_TIMEOUT(100 * HAFT_MS)),
       1);
    CK(frame, 8);
    CK(haft_is_null(h), 1);
    CK(haft_select(HAFT_ON_RECV(&rx, &line, .rc = &rc), HAFT_ON_SEND(&tx, &out), HAFT_ON_TIMEOUT(100 * HAFT_MS)), 1);
    CK(haft_select_biased(HAFT_ON_RECV(&rx, &line, .rc = &rc), HAFT_ON_SEND(&tx, &out)), 0);
    CK(rc, 0);
    CK(haft_try_select(HAFT_ON_RECV(&rx, &line)), HAFT_EAGAIN);
    CK(haft_select(HAFT_ON_SET(set, &frame, &code), HAFT_ON_TIMEOUT(HAFT_MS)), 1);
    {
        HAFT_TIMEOUT(HAFT_MS);
        CK(haft_select(HAFT_ON_RECV(&rx, &line, .rc = &rc)), HAFT_ETIMEDOUT);
        CK(rc, 0);
    }
    haft_sender_drop(&tx);
    CK(haft_select(HAFT_ON_RECV(&rx, &line)), HAFT_ECLOSED);
    CK(haft_select(HAFT_ON_RECV(&rx, &line, .rc = &rc)), 0);
    CK(rc, HAFT_ECLOSED);
    h = haft_spawn(fails5);
    CK(haft_select(HAFT_ON_JOIN(&h)), -5);
    h = haft_spawn(fails5);
    CK(haft_select(HAFT_ON_JOIN(&h, HAFT_NO_FRAME, .rc = &rc)), 0);
    CK(rc, -5);
    haft_arm arms[] = { HAFT_ON_RECV(&rx, &line, .rc = &rc), HAFT_ON_TIMEOUT(HAFT_S) };
    CK(haft_select_array(arms, 2), 0);
    haft_receiver_drop(&rx);
    haft_set_drop(&set);
    haft_sem sem = HAFT_SEM_INIT(1);
    haft_notify no = HAFT_NOTIFY_INIT;
    haft_event ev = HAFT_EVENT_INIT;
    haft_token tok = HAFT_TOKEN_INIT;
    CK(haft_select(HAFT_ON_SEM(&sem, 1), HAFT_ON_NOTIFY(&no), HAFT_ON_EVENT(&ev), HAFT_ON_TOKEN(&tok)), 0);
    haft_notify_one(&no);
    CK(haft_select(HAFT_ON_SEM(&sem, 1), HAFT_ON_NOTIFY(&no), HAFT_ON_EVENT(&ev), HAFT_ON_TOKEN(&tok)), 1);
    haft_event_set(&ev);
    CK(haft_select(HAFT_ON_SEM(&sem, 1), HAFT_ON_NOTIFY(&no), HAFT_ON_EVENT(&ev), HAFT_ON_TOKEN(&tok)), 2);
    haft_event_reset(&ev);
    haft_token_cancel(&tok);
    CK(haft_select(HAFT_ON_SEM(&sem, 1), HAFT_ON_NOTIFY(&no), HAFT_ON_EVENT(&ev), HAFT_ON_TOKEN(&tok)), 3);
}

static int set_one(int *x)
{
    *x = 1;
    return 0;
}
static int lockpanic(haft_mutex **m)
{
    haft_mutex_lock(*m);
    haft_panic("held");
}
TEST_FROM_EVERY_CALLER("shared state as promised")
{
    haft_mutex m = HAFT_MUTEX_INIT, *pm = &m;
    haft_cond c = HAFT_COND_INIT;
    haft_rwlock l = HAFT_RWLOCK_INIT;
    CK(haft_mutex_lock(&m), 0);
    CK(haft_mutex_lock(&m), HAFT_EDEADLK);
    CK(haft_mutex_try_lock(&m), HAFT_EAGAIN);
    {
        HAFT_TIMEOUT(HAFT_MS);
        CK(haft_cond_wait(&c, &m), HAFT_ETIMEDOUT);
    }
    haft_cond_signal(&c);
    haft_cond_broadcast(&c);
    haft_mutex_unlock(&m);
    {
        HAFT_TIMEOUT(0);
        CK(haft_mutex_lock_abortable(&m), 0);
        haft_mutex_unlock(&m);
    }
    haft_on_panic(hook);
    CK(haft_catch(lockpanic, &pm, NULL), HAFT_EPANIC);
    haft_on_panic(NULL);
    CK(haft_mutex_lock(&m), HAFT_EPOISONED);
    CK(haft_mutex_heal(&m), 0);
    haft_mutex_unlock(&m);
    CK(haft_mutex_lock(&m), 0);
    {
        HAFT_DEFER(haft_mutex_unlock, &m);
    }
    CK(haft_rwlock_read(&l), 0);
    CK(haft_rwlock_try_write(&l), HAFT_EAGAIN);
    CK(haft_rwlock_try_read(&l), 0);
    haft_rwlock_read_unlock(&l);
    haft_rwlock_read_unlock(&l);
    CK(haft_rwlock_write(&l), 0);
    haft_rwlock_write_unlock(&l);
    haft_sem s = HAFT_SEM_INIT(3);
    haft_permit p = { 0 };
    CK(haft_sem_acquire(&s), 0);
    CK(haft_sem_acquire_many(&s, 2), 0);
    CK(haft_sem_try_acquire(&s), HAFT_EAGAIN);
    haft_sem_release(&s);
    haft_sem_release_many(&s, 2);
    CK(haft_sem_acquire_permit(&s, 2, &p), 0);
    haft_permit_drop(&p);
    haft_permit_drop(&p);
    CK(haft_sem_acquire_permit(&s, 1, &p), 0);
    haft_permit_forget(&p);
    CK(haft_sem_available(&s), 2);
    CK(haft_sem_forget(&s, 1), 1);
    haft_sem_close(&s);
    CK(haft_sem_acquire(&s), HAFT_ECLOSED);
    haft_notify n = HAFT_NOTIFY_INIT;
    haft_notify_one(&n);
    haft_notify_all(&n);
    haft_notify_last(&n);
    CK(haft_notify_wait(&n), 0);
    haft_barrier b = HAFT_BARRIER_INIT(1);
    bool leader = false;
    CK(haft_barrier_wait(&b, &leader), 0);
    CK(leader, 1);
    haft_once o = HAFT_ONCE_INIT;
    int x = 0;
    CK(haft_once_call(&o, fails5), -5);
    CK(haft_once_call(&o, set_one, &x), 0);
    CK(x, 1);
    CK(haft_once_call(&o, fails5), 0);
    haft_waitgroup g = HAFT_WAITGROUP_INIT;
    haft_waitgroup_add(&g, 1);
    haft_waitgroup_done(&g);
    CK(haft_waitgroup_wait(&g), 0);
    haft_event e = HAFT_EVENT_INIT;
    haft_event_set(&e);
    CK(haft_event_wait(&e), 0);
    haft_event_reset(&e);
    haft_token t = HAFT_TOKEN_INIT, ch;
    CK(haft_token_child(&t, &ch), 0);
    CK(haft_token_is_cancelled(&ch), 0);
    haft_token_cancel(&t);
    CK(haft_token_is_cancelled(&ch), 1);
    CK(haft_token_wait(&ch), 0);
    haft_token_drop(&ch);
    haft_token_drop(&t);
    haft_shared sh, sh2;
    haft_shared_weak w;
    dropped = 0;
    CK(haft_shared_new(&sh, &x, .drop = count_drop), 0);
    CK(*(int *)haft_shared_get(&sh), 1);
    haft_shared_clone(&sh, &sh2);
    haft_shared_downgrade(&sh, &w);
    haft_shared_drop(&sh);
    CK(dropped, 0);
    haft_shared_drop(&sh2);
    CK(dropped, 1);
    CK(haft_shared_upgrade(&w, &sh), HAFT_ECLOSED);
    haft_shared_weak_drop(&w);
    haft_shared_drop(&sh);
    dropped = 0;
}

struct state {
    unsigned count;
};
struct greet {
    const char *name;
    unsigned count;
};
struct greeter {
    HAFT_ACTOR(struct state) actor;
};
struct greeter_client {
    HAFT_CLIENT(struct state) client;
};
static int do_greet(struct state *s, struct greet *g)
{
    (void)g;
    s->count++;
    return 0;
}
static int do_count(struct state *s, struct greet *g)
{
    g->count = s->count;
    return 3;
}
static int do_panic(struct state *s, struct greet *g)
{
    (void)s;
    (void)g;
    haft_panic("no");
}
static void state_drop(void *s)
{
    (void)s;
    dropped++;
}
TEST_FROM_EVERY_CALLER("actors as promised")
{
    struct greeter gg, *g = &gg;
    struct state state = { 0 };
    struct greet msg = { .name = "x" };
    struct greeter_client c, c2;
    int rc;
    rc = haft_actor_start(&g->actor, &state, .name = "greeter", .capacity = 32, .drop = state_drop);
    CK(rc, 0);
    rc = haft_cast(&g->actor, do_greet, &msg);
    CK(rc, 0);
    rc = haft_call(&g->actor, do_count, &msg);
    CK(rc, 3);
    CK(msg.count, 1);
    CK(haft_cast(&g->actor, do_greet, &(struct greet){ .name = "y" }), 0);
    CK(haft_client_of(&g->actor, &c.client), 0);
    CK(haft_client_clone(&c.client, &c2.client), 0);
    CK(haft_call(&c2.client, do_count, &msg), 3);
    CK(msg.count, 2);
    CK(haft_client_drop(&c2.client), 0);
    haft_client_drop(&c2.client);
    haft_outcome out;
    CK(haft_call_outcome(&c.client, do_count, &msg, &out), 0);
    CK(out.code, 3);
    CK(out.end, HAFT_RETURNED);
    CK(haft_actor_is_alive(&g->actor), 1);
    CK(haft_actor_after(&g->actor, HAFT_MS, do_greet, &msg), 0);
    until(haft_call(&c.client, do_count, &msg) == 3 && msg.count == 3);
    rc = haft_actor_join(&g->actor, &state);
    CK(rc, 0);
    CK(state.count, 3);
    CK(haft_call(&c.client, do_count, &msg), HAFT_ECLOSED);
    CK(haft_actor_is_alive(&c.client), 0);
    {
        HAFT_DEFER(haft_client_drop, &c.client);
    }
    haft_on_panic(hook);
    dropped = 0;
    CK(haft_actor_start(&g->actor, &state, .on_panic = HAFT_KEEP_SERVING, .kind = HAFT_THREAD), 0);
    CK(haft_call(&g->actor, do_panic, &msg), HAFT_EPANIC);
    CK(haft_call(&g->actor, do_count, &msg), 3);
    CK(haft_actor_drop(&g->actor), 0);
    CK(haft_actor_start(&g->actor, &state, .drop = state_drop), 0);
    CK(haft_call(&g->actor, do_panic, &msg), HAFT_EPANIC);
    CK(haft_call(&g->actor, do_count, &msg), HAFT_ECLOSED);
    CK(haft_actor_join(&g->actor), HAFT_EPANIC);
    CK(dropped, 1);
    CK(haft_actor_start(&g->actor, &state, .drop = state_drop), 0);
    CK(haft_client_of(&g->actor, &c.client), 0);
    CK(haft_actor_detach(&g->actor), 0);
    CK(haft_call(&c.client, do_panic, &msg), HAFT_EPANIC);
    (void)haft_client_drop(&c.client);
    until(dropped == 2); /* by the detached actor itself, in its own time */
    CK(haft_actor_start(&g->actor, &state), 0);
    CK(haft_actor_every(&g->actor, HAFT_MS, do_greet, &msg), 0);
    CK(haft_actor_stop(&g->actor), 0);
    CK(haft_cast(&g->actor, do_greet, &msg), HAFT_ECLOSED);
    {
        HAFT_DEFER(haft_actor_drop, &g->actor);
    }
    haft_on_panic(NULL);
}
