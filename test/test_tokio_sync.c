/* SPDX-License-Identifier: MIT
 *
 * What the tests of Tokio's locks and of Go's package sync show, told in this library's terms. Others of theirs are
 * with what they are about, in test_mutex.c, test_rwlock.c, test_semaphore.c, test_notify.c, test_once.c, test_cond.c,
 * test_token.c and test_tracker.c; those of Tokio's channels and of Go's are in test_tokio_chan.c and test_go_chan.c.
 *
 * Not here, because there is nothing of the kind in C: guards that are owned, merged, mapped, formatted, sent or
 * downgraded, locks that own a value (into_inner, drop_cell, set_twice, from), futures that are polled, enabled or moved
 * (test_notify_one_not_enabled and its like, *_is_send, loom_*'s wakers), a largest number of permits or readers
 * (add_max_amount_permits, exhaust_reading), a locker of an interface (TestRLocker), and the detection of copies and of
 * alignment (TestCondCopy, TestWaitGroupAlign).
 *
 * Over 600 lines, in the order of what it compares with. */
#include <haft/haft.h>

#include "sync.h"

/* --- semaphore ---------------------------------------------------------------------------------------------------- */

struct taker {
    haft_sem *s;
    size_t n;
    haft_event *leave; /* or null: gives back at once */
};

static int take(struct taker *t)
{
    haft_permit p = { 0 };
    HAFT_DEFER(haft_permit_drop, &p);
    int rc = haft_sem_acquire_permit(t->s, t->n, &p);
    if (rc == 0 && t->leave != NULL)
        rc = haft_event_wait(t->leave);
    return rc;
}

TEST_FROM_EVERY_CALLER("tokio:semaphore acquire, acquire_many: one who waits goes on when a permit is dropped")
{
    for_each_kind(kind) {
        haft_sem s = HAFT_SEM_INIT(3);
        haft_permit p = { 0 };
        check_int(haft_sem_try_acquire_permit(&s, 2, &p), ==, 0);
        haft_handle h = haft_spawn(take, (&(struct taker){ &s, 3, NULL }), .kind = kind);
        until(waiting(&s) == 1);
        haft_permit_drop(&p);
        check_int(haft_join(&h), ==, 0);
        check_int(haft_sem_available(&s), ==, 3);
    }
}

TEST_FROM_EVERY_CALLER(
    "tokio:semaphore stress_test: a thousand take and give back, and as many permits are there as were")
{
    enum { N = 1000 };
    haft_sem s = HAFT_SEM_INIT(5);
    haft_set *set = haft_set_new();
    size_t n = rounds(N / 4, N);
    for (size_t i = 0; i < n; i++)
        check_int(haft_set_spawn(set, take, (&(struct taker){ &s, 1 + i % 2, NULL }),
                                 .kind = i % 50 == 0 ? HAFT_THREAD : HAFT_TASK),
                  ==, 0);
    int code;
    while (haft_set_next(set, HAFT_NO_FRAME, &code) == 0)
        check_int(code, ==, 0);
    haft_set_drop(&set);
    check_int(haft_sem_available(&s), ==, 5);
    check_int(haft_sem_try_acquire_many(&s, 5), ==, 0);
    check_int(haft_sem_try_acquire(&s), ==, HAFT_EAGAIN);
}

TEST_FROM_EVERY_CALLER(
    "tokio:semaphore cancel_acquire_releases_permits: what was gathered for one who goes is the next one's")
{
    haft_sem s = HAFT_SEM_INIT(1);
    for_each_kind(kind) {
        haft_handle two = haft_spawn(take, (&(struct taker){ &s, 2, NULL }), .kind = kind);
        until(waiting(&s) == 1);
        haft_handle one = haft_spawn(take, (&(struct taker){ &s, 1, NULL }));
        until(waiting(&s) == 2);
        check_int(haft_sem_try_acquire(&s), ==, HAFT_EAGAIN);
        check_int(haft_abort(two), ==, 0);
        check_int(haft_join(&two), ==, HAFT_EABORTED);
        check_int(haft_join(&one), ==, 0);
        check_int(haft_sem_try_acquire(&s), ==, 0);
        haft_sem_release(&s);
    }
}

TEST_FROM_EVERY_CALLER(
    "tokio:semaphore concurrent_close, release_during_acquire: each taker has a permit or is refused, and none is lost")
{
    for (size_t i = 0; i < rounds(100, 20000); i++) {
        haft_sem s = HAFT_SEM_INIT(0);
        haft_handle hs[4];
        for (int j = 0; j < 4; j++)
            hs[j] = haft_spawn(take, (&(struct taker){ &s, 1 + (size_t)j % 2, NULL }),
                               .kind = i % 8 == 0 && j == 0 ? HAFT_THREAD : HAFT_TASK);
        haft_sem_release_many(&s, 2);
        if (i % 3 != 0)
            (void)haft_yield();
        haft_sem_close(&s);
        for (int j = 0; j < 4; j++) {
            int rc = haft_join(&hs[j]);
            check(rc == 0 || rc == HAFT_ECLOSED);
        }
        check_int(haft_sem_available(&s), ==, 2);
    }
}

static int hammer_semaphore(struct taker *t)
{
    for (size_t i = 0; i < t->n; i++) {
        check_int(haft_sem_acquire(t->s), ==, 0);
        haft_sem_release(t->s);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("go:TestSemaphore: ten jobs take and give back one permit over and over, and none hangs")
{
    haft_sem s = HAFT_SEM_INIT(1);
    haft_handle hs[10];
    for (int i = 0; i < 10; i++)
        hs[i] = haft_spawn(hammer_semaphore, (&(struct taker){ .s = &s, .n = rounds(100, 1000) }),
                           .kind = i == 0 ? HAFT_THREAD : HAFT_TASK);
    for (int i = 0; i < 10; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(haft_sem_available(&s), ==, 1);
}

/* --- notify ------------------------------------------------------------------------------------------------------- */

static int wait_for_notify(haft_notify **n)
{
    return haft_notify_wait(*n);
}

TEST_FROM_EVERY_CALLER(
    "tokio:notify notify_notified_one, notified_one_notify: before or behind, one wait is for one notification")
{
    haft_notify n = HAFT_NOTIFY_INIT, *p = &n;
    haft_notify_one(&n);
    check_int(haft_notify_wait(&n), ==, 0);
    for_each_kind(kind) {
        haft_handle h = haft_spawn(wait_for_notify, &p, .kind = kind);
        until(waiting(&n) == 1);
        haft_notify_one(&n);
        check_int(haft_join(&h), ==, 0);
        HAFT_TIMEOUT(0);
        check_int(haft_notify_wait(&n), ==, HAFT_ETIMEDOUT);
    }
}

TEST_FROM_EVERY_CALLER(
    "tokio:notify notify_notified_multi: one that is kept is one waiter's, and the next is the other's")
{
    haft_notify n = HAFT_NOTIFY_INIT, *p = &n;
    for_each_kind(kind) {
        haft_notify_one(&n);
        haft_notify_one(&n);
        check_int(haft_notify_wait(&n), ==, 0);
        haft_handle h = haft_spawn(wait_for_notify, &p, .kind = kind);
        until(waiting(&n) == 1);
        haft_notify_one(&n);
        check_int(haft_join(&h), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER(
    "tokio:notify notified_multi_notify_drop_one: of two, one is aborted at the very moment, and the other goes on")
{
    for (size_t i = 0; i < rounds(100, 20000); i++) {
        haft_notify n = HAFT_NOTIFY_INIT, *p = &n;
        haft_handle a = haft_spawn(wait_for_notify, &p, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        until(waiting(&n) == 1);
        haft_handle b = haft_spawn(wait_for_notify, &p);
        until(waiting(&n) == 2);
        check_int(haft_abort(a), ==, 0);
        haft_notify_one(&n);
        int rc = haft_join(&a);
        check(rc == 0 || rc == HAFT_EABORTED);
        if (rc == 0) /* it had it first, and has it */
            haft_notify_one(&n);
        check_int(haft_join(&b), ==, 0);
        HAFT_TIMEOUT(0);
        check_int(haft_notify_wait(&n), ==, HAFT_ETIMEDOUT);
    }
}

TEST_FROM_EVERY_CALLER("tokio:notify notify_waiters_and_one: whoever waits has one of the two, and at most one is kept")
{
    for (size_t i = 0; i < rounds(100, 20000); i++) {
        haft_notify n = HAFT_NOTIFY_INIT, *p = &n;
        haft_handle hs[2];
        for (int j = 0; j < 2; j++)
            hs[j] = haft_spawn(wait_for_notify, &p, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        until(waiting(&n) >= 1);
        haft_notify_all(&n);
        haft_notify_one(&n);
        haft_notify_one(&n); /* for one who came in between */
        for (int j = 0; j < 2; j++)
            check_int(haft_join(&hs[j]), ==, 0);
        HAFT_TIMEOUT(0);
        check(haft_notify_wait(&n) == 0 || waiting(&n) == 0);
        check_int(haft_notify_wait(&n), ==, HAFT_ETIMEDOUT);
    }
}

/* --- mutex, locks for readers and writers ------------------------------------------------------------------------- */

static int lock_and_count(long *const *count)
{
    static haft_mutex m = HAFT_MUTEX_INIT;
    check_int(haft_mutex_lock(&m), ==, 0);
    long seen = **count;
    check_int(haft_yield(), ==, 0);
    **count = seen + 1;
    haft_mutex_unlock(&m);
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "tokio:mutex lock: what is done under the lock, with a suspension in it, is done by one at a time")
{
    enum { N = 20 };
    long count = 0, *p = &count;
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(lock_and_count, &p, .kind = (haft_kind)(i % KINDS));
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(count, ==, N);
}

struct user {
    haft_rwlock *l;
    haft_event *leave; /* or null: leaves at once */
    bool writes;
    _Atomic int *inside;
};

static int use(struct user *u)
{
    check_int(u->writes ? haft_rwlock_write(u->l) : haft_rwlock_read(u->l), ==, 0);
    if (u->inside != NULL)
        atomic_fetch_add(u->inside, 1);
    if (u->leave != NULL)
        check_int(haft_event_wait(u->leave), ==, 0);
    if (u->writes)
        haft_rwlock_write_unlock(u->l);
    else
        haft_rwlock_read_unlock(u->l);
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "tokio:rwlock read_uncontested, write_uncontested, write_shared_drop: alone it is had at once, and then by the next")
{
    haft_rwlock l = HAFT_RWLOCK_INIT;
    for_each_kind(kind)
        for (int held = 0; held < 2; held++)
            for (int wanted = 0; wanted < 2; wanted++) {
                if (held == 0 && wanted == 0)
                    continue;
                check_int(held != 0 ? haft_rwlock_write(&l) : haft_rwlock_read(&l), ==, 0);
                haft_handle h = haft_spawn(use, (&(struct user){ .l = &l, .writes = wanted != 0 }), .kind = kind);
                until(waiting(&l) == 1); /* read_exclusive_pending, write_exclusive_pending, write_shared_pending */
                if (held != 0)
                    haft_rwlock_write_unlock(&l);
                else
                    haft_rwlock_read_unlock(&l);
                check_int(haft_join(&h), ==, 0);
            }
}

TEST_FROM_EVERY_CALLER(
    "tokio:rwlock write_read_shared_pending, write_read_shared_drop_pending: behind a writer who waits readers wait, and follow it")
{
    haft_rwlock l = HAFT_RWLOCK_INIT;
    haft_event leave = HAFT_EVENT_INIT;
    _Atomic int inside = 0;
    haft_handle readers[2], late[3];
    for (int i = 0; i < 2; i++)
        readers[i] = haft_spawn(use, (&(struct user){ .l = &l, .leave = &leave, .inside = &inside }));
    until(atomic_load(&inside) == 2);
    haft_handle writer = haft_spawn(use, (&(struct user){ .l = &l, .writes = true, .inside = &inside }));
    until(waiting(&l) == 1);
    for (int i = 0; i < 3; i++)
        late[i] = haft_spawn(use, (&(struct user){ .l = &l, .inside = &inside }), .kind = (haft_kind)i);
    until(waiting(&l) == 4);
    check_int(haft_rwlock_try_read(&l), ==, HAFT_EAGAIN);
    check_int(haft_rwlock_try_write(&l), ==, HAFT_EAGAIN);
    check_int(atomic_load(&inside), ==, 2);
    haft_event_set(&leave);
    check_int(haft_join(&writer), ==, 0);
    for (int i = 0; i < 3; i++)
        check_int(haft_join(&late[i]), ==, 0);
    for (int i = 0; i < 2; i++)
        check_int(haft_join(&readers[i]), ==, 0);
}

TEST_FROM_EVERY_CALLER("tokio:rwlock try_write, try_read_try_write: a try has what a lock would have at once")
{
    haft_rwlock l = HAFT_RWLOCK_INIT;
    haft_event leave = HAFT_EVENT_INIT;
    for (int writes = 0; writes < 2; writes++) {
        _Atomic int inside = 0;
        haft_event_reset(&leave);
        haft_handle h =
            haft_spawn(use, (&(struct user){ .l = &l, .leave = &leave, .writes = writes != 0, .inside = &inside }));
        until(atomic_load(&inside) == 1);
        check_int(haft_rwlock_try_write(&l), ==, HAFT_EAGAIN);
        check_int(haft_rwlock_try_read(&l), ==, writes != 0 ? HAFT_EAGAIN : 0);
        if (writes == 0)
            haft_rwlock_read_unlock(&l);
        haft_event_set(&leave);
        check_int(haft_join(&h), ==, 0);
        check_int(haft_rwlock_try_write(&l), ==, 0);
        haft_rwlock_write_unlock(&l);
    }
}

static struct {
    haft_rwlock l;
    long sum;
} shared;

static int add_often(const long *what)
{
    for (size_t i = 0; i < rounds(100, 1000); i++) {
        check_int(haft_rwlock_write(&shared.l), ==, 0);
        shared.sum += *what;
        haft_rwlock_write_unlock(&shared.l);
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("tokio:rwlock multithreaded, concurrent_read_write: four who write lose nothing")
{
    static const long what[] = { 2, 3, 5, 7 };
    shared.sum = 0;
    haft_handle hs[4];
    for (int i = 0; i < 4; i++)
        hs[i] = haft_spawn(add_often, &what[i], .kind = i == 0 ? HAFT_THREAD : HAFT_TASK);
    for (int i = 0; i < 4; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    check_int(haft_rwlock_read(&shared.l), ==, 0);
    check_int(shared.sum, ==, 17 * (long)rounds(100, 1000));
    haft_rwlock_read_unlock(&shared.l);
}

TEST_FROM_EVERY_CALLER("go:TestParallelReaders: as many read at once as want to")
{
    static const int numbers[] = { 1, 3, 4, 40 };
    for (int i = 0; i < 4; i++) {
        haft_rwlock l = HAFT_RWLOCK_INIT;
        haft_event leave = HAFT_EVENT_INIT;
        _Atomic int inside = 0;
        haft_handle hs[40];
        for (int j = 0; j < numbers[i]; j++)
            hs[j] = haft_spawn(use, (&(struct user){ .l = &l, .leave = &leave, .inside = &inside }),
                               .kind = j < KINDS ? (haft_kind)j : HAFT_TASK);
        until(atomic_load(&inside) == numbers[i]);
        haft_event_set(&leave);
        for (int j = 0; j < numbers[i]; j++)
            check_int(haft_join(&hs[j]), ==, 0);
    }
}

/* --- barrier, once ------------------------------------------------------------------------------------------------ */

struct dancer {
    haft_barrier *b;
    bool leads;
};

static int dance(struct dancer *d)
{
    return haft_barrier_wait(d->b, &d->leads);
}

TEST_FROM_EVERY_CALLER("tokio:barrier tango: the first of two waits for the second, and one of them leads")
{
    haft_barrier b = HAFT_BARRIER_INIT(2);
    for_each_kind(kind) {
        struct dancer d = { .b = &b };
        haft_handle h = haft_spawn(dance, &d, .kind = kind);
        until(waiting(&b) == 1);
        bool leads;
        check_int(haft_barrier_wait(&b, &leads), ==, 0);
        check_int(haft_join(&h, &d), ==, 0);
        check(leads != d.leads);
    }
}

struct cell {
    haft_once once;
    _Atomic int made;
    int value;
};

static int make_slowly(struct cell *c)
{
    check(!haft_once_is_done(&c->once));
    atomic_fetch_add(&c->made, 1);
    int rc = haft_yield();
    c->value = 5;
    return rc;
}

static int get_or_make(struct cell **at)
{
    struct cell *c = *at;
    check_int(haft_once_call(&c->once, make_slowly, c), ==, 0);
    check_int(c->value, ==, 5);
    return 0;
}

TEST_FROM_EVERY_CALLER("tokio:once_cell get_or_init, get_uninit: ten want a value, one makes it, and all have it")
{
    for (size_t i = 0; i < rounds(20, 5000); i++) {
        struct cell c = { .once = HAFT_ONCE_INIT }, *p = &c;
        check(!haft_once_is_done(&c.once));
        haft_handle hs[10];
        for (int j = 0; j < 10; j++)
            hs[j] = haft_spawn(get_or_make, &p, .kind = i == 0 ? (haft_kind)(j % KINDS) : HAFT_TASK);
        for (int j = 0; j < 10; j++)
            check_int(haft_join(&hs[j]), ==, 0);
        check(haft_once_is_done(&c.once));
        check_int(atomic_load(&c.made), ==, 1);
    }
}

static int make_while_making(struct cell *c)
{
    check_int(haft_once_call(&c->once, make_slowly, c), ==, HAFT_EDEADLK);
    c->value = 7;
    return 0;
}

TEST_FROM_EVERY_CALLER("tokio:once_cell set_while_initializing: what is being made is not made another way meanwhile")
{
    struct cell c = { .once = HAFT_ONCE_INIT };
    check_int(haft_once_call(&c.once, make_while_making, &c), ==, 0);
    check_int(haft_once_call(&c.once, make_slowly, &c), ==, 0);
    check_int(c.value, ==, 7);
}

/* --- tokens ------------------------------------------------------------------------------------------------------- */

static int wait_for_cancel(haft_token **t)
{
    return haft_token_wait(*t);
}

TEST_FROM_EVERY_CALLER("tokio:token cancel_grandchild_token_through_parent_if_child_was_dropped")
{
    for_each_kind(kind) {
        haft_token parent = HAFT_TOKEN_INIT, child, grandchild, *p = &grandchild;
        check_int(haft_token_child(&parent, &child), ==, 0);
        check_int(haft_token_child(&child, &grandchild), ==, 0);
        haft_handle h = haft_spawn(wait_for_cancel, &p, .kind = kind);
        haft_token_drop(&child);
        check(!haft_token_is_cancelled(&grandchild));
        haft_token_cancel(&parent);
        check(haft_token_is_cancelled(&grandchild));
        check_int(haft_join(&h), ==, 0);
        haft_token_drop(&grandchild);
        haft_token_drop(&parent);
    }
}

TEST_FROM_EVERY_CALLER("tokio:token create_child_token_after_parent_was_cancelled: it is cancelled from the first")
{
    haft_token parent = HAFT_TOKEN_INIT, child, grandchild;
    haft_token_cancel(&parent);
    check_int(haft_token_child(&parent, &child), ==, 0);
    check_int(haft_token_child(&child, &grandchild), ==, 0);
    check(haft_token_is_cancelled(&child) && haft_token_is_cancelled(&grandchild));
    HAFT_TIMEOUT(0);
    check_int(haft_token_wait(&child), ==, 0);
    check_int(haft_token_wait(&grandchild), ==, 0);
    haft_token_drop(&grandchild);
    haft_token_drop(&child);
    haft_token_drop(&parent);
}

TEST_FROM_EVERY_CALLER("tokio:token drop_multiple_child_tokens: any of them may go, in any order")
{
    for (int first = 0; first < 3; first++)
        for (int step = 1; step < 3; step++) {
            haft_token parent = HAFT_TOKEN_INIT, children[3];
            for (int i = 0; i < 3; i++)
                check_int(haft_token_child(&parent, &children[i]), ==, 0);
            for (int i = 0, at = first; i < 3; i++, at = (at + step) % 3) {
                check(!haft_token_is_cancelled(&children[at]));
                haft_token_drop(&children[at]);
            }
            check(!haft_token_is_cancelled(&parent));
            haft_token_cancel(&parent);
            haft_token_drop(&parent);
        }
}

TEST_FROM_EVERY_CALLER("tokio:token cancel_only_all_descendants: all that is below, and nothing beside or above")
{
    haft_token root = HAFT_TOKEN_INIT, sibling, token, below[4], *waits[3] = { &token, &below[1], &below[3] };
    check_int(haft_token_child(&root, &sibling), ==, 0);
    check_int(haft_token_child(&root, &token), ==, 0);
    check_int(haft_token_child(&token, &below[0]), ==, 0);
    check_int(haft_token_child(&token, &below[1]), ==, 0);
    check_int(haft_token_child(&below[0], &below[2]), ==, 0);
    check_int(haft_token_child(&below[2], &below[3]), ==, 0);
    haft_handle hs[3];
    for (int i = 0; i < 3; i++)
        hs[i] = haft_spawn(wait_for_cancel, &waits[i], .kind = (haft_kind)i);
    haft_token_cancel(&token);
    check(!haft_token_is_cancelled(&root) && !haft_token_is_cancelled(&sibling));
    for (int i = 0; i < 4; i++)
        check(haft_token_is_cancelled(&below[i]));
    for (int i = 0; i < 3; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    for (int i = 3; i >= 0; i--)
        haft_token_drop(&below[i]);
    haft_token_drop(&token);
    haft_token_drop(&sibling);
    haft_token_drop(&root);
}

/* --- conditions --------------------------------------------------------------------------------------------------- */

static struct {
    haft_mutex m;
    haft_cond c;
    int woken;
    bool is_done;
} gate;

static int wait_in_turn(const int *number)
{
    check_int(haft_mutex_lock(&gate.m), ==, 0);
    check_int(haft_cond_wait(&gate.c, &gate.m), ==, 0);
    check_int(gate.woken, ==, *number);
    gate.woken++;
    haft_mutex_unlock(&gate.m);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:TestCondSignalGenerations: a signal is for one who waits, not for one who came behind it")
{
    enum { N = 40 };
    haft_handle before = HAFT_NULL_HANDLE;
    gate.woken = 0;
    for (int i = 0; i < N; i++) {
        haft_handle h = haft_spawn(wait_in_turn, &i, .kind = i % 10 == 0 ? HAFT_THREAD : HAFT_TASK);
        until(waiting(&gate.c) == 1 || (i > 0 && waiting(&gate.c) == 2));
        if (i > 0)
            check_int(haft_join(&before), ==, 0);
        check_int(haft_mutex_lock(&gate.m), ==, 0);
        check_int(waiting(&gate.c), ==, 1);
        haft_cond_signal(&gate.c);
        haft_mutex_unlock(&gate.m);
        before = h;
    }
    check_int(haft_join(&before), ==, 0);
}

static int wait_once(void)
{
    check_int(haft_mutex_lock(&gate.m), ==, 0);
    check_int(haft_cond_wait(&gate.c, &gate.m), ==, 0);
    haft_mutex_unlock(&gate.m);
    return 0;
}

static int wait_until_done(void)
{
    check_int(haft_mutex_lock(&gate.m), ==, 0);
    while (!gate.is_done)
        check_int(haft_cond_wait(&gate.c, &gate.m), ==, 0);
    haft_mutex_unlock(&gate.m);
    return 0;
}

static int broadcast(void)
{
    haft_cond_broadcast(&gate.c);
    return 0;
}

TEST_FROM_EVERY_CALLER(
    "go:TestCondSignalStealing: a broadcast reaches who waited before it, whoever comes at that moment")
{
    for (size_t i = 0; i < rounds(100, 10000); i++) {
        gate.is_done = false;
        haft_handle first = haft_spawn(wait_once, HAFT_NO_FRAME, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        until(waiting(&gate.c) == 1);
        haft_handle caller = haft_spawn(broadcast), second = haft_spawn(wait_until_done);
        check_int(haft_join(&first), ==, 0);
        check_int(haft_mutex_lock(&gate.m), ==, 0);
        gate.is_done = true;
        haft_mutex_unlock(&gate.m);
        haft_cond_broadcast(&gate.c);
        check_int(haft_join(&second), ==, 0);
        check_int(haft_join(&caller), ==, 0);
    }
}
