/* SPDX-License-Identifier: MIT
 *
 * Tokens: what a cancel reaches, who is woken and called, and that a signal handler may do it. */
#include <haft/haft.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "signals.h"
#include "sync.h"

static int wait_for(haft_token **t)
{
    return haft_token_wait(*t);
}

/* --- the tree ----------------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("tokio:token cancel_token: whoever waits goes on, and whoever comes later does not wait")
{
    for_each_kind(kind) {
        haft_token t = HAFT_TOKEN_INIT, *p = &t;
        haft_handle h = haft_spawn(wait_for, &p, .kind = kind);
        haft_handle many[40];
        for (int i = 0; i < 40; i++)
            many[i] = haft_spawn(wait_for, &p);
        check(!haft_token_is_cancelled(&t));
        haft_token_cancel(&t);
        check(haft_token_is_cancelled(&t));
        check_int(haft_join(&h), ==, 0);
        for (int i = 0; i < 40; i++)
            check_int(haft_join(&many[i]), ==, 0);
        HAFT_TIMEOUT(0);
        check_int(haft_token_wait(&t), ==, 0);
        haft_token_cancel(&t);
        haft_token_drop(&t);
        haft_token_drop(&t);
    }
}

TEST_FROM_EVERY_CALLER("tokio:token cancel_child_token_through_parent, cancel_child_token_without_cancelling_parent")
{
    haft_token parent = HAFT_TOKEN_INIT, a, b, below, late;
    check_int(haft_token_child(&parent, &a), ==, 0);
    check_int(haft_token_child(&parent, &b), ==, 0);
    check_int(haft_token_child(&a, &below), ==, 0);
    haft_token_cancel(&a);
    check(haft_token_is_cancelled(&a));
    check(haft_token_is_cancelled(&below));
    check(!haft_token_is_cancelled(&b));
    check(!haft_token_is_cancelled(&parent));
    check_int(haft_token_child(&a, &late), ==, 0); /* of one that is cancelled */
    check(haft_token_is_cancelled(&late));
    haft_token_drop(&a);
    haft_token_cancel(&parent);
    check(haft_token_is_cancelled(&b));
    haft_token_drop(&b);
    haft_token_drop(&below);
    haft_token_drop(&late);
    haft_token_drop(&parent);
}

TEST_FROM_EVERY_CALLER("tokio:token drop_parent_before_child: what is below a dropped token goes to the one above")
{
    haft_token top = HAFT_TOKEN_INIT, middle, leaf, other;
    check_int(haft_token_child(&top, &middle), ==, 0);
    check_int(haft_token_child(&middle, &leaf), ==, 0);
    check_int(haft_token_child(&middle, &other), ==, 0);
    haft_token_drop(&middle);
    memset(&middle, 0xff, sizeof middle);
    haft_token_drop(&other);
    check(!haft_token_is_cancelled(&leaf));
    haft_token_cancel(&top);
    check(haft_token_is_cancelled(&leaf));
    check(!haft_token_is_cancelled(&other));
    haft_token_drop(&leaf);

    haft_token root = HAFT_TOKEN_INIT;
    check_int(haft_token_child(&root, &leaf), ==, 0);
    haft_token_drop(&root); /* the leaf is on its own */
    haft_token_cancel(&root);
    check(!haft_token_is_cancelled(&leaf));
    haft_token_cancel(&leaf);
    check(haft_token_is_cancelled(&leaf));
    haft_token_drop(&leaf);
}

TEST_FROM_EVERY_CALLER("a deep and broad tree is cancelled as a whole")
{
    enum { N = 1000 };
    haft_token *t = calloc(N, sizeof *t);
    check_ptr(t, !=, NULL);
    for (int i = 1; i < N; i++)
        check_int(haft_token_child(&t[i % 3 == 0 ? i - 1 : i / 2], &t[i]), ==, 0);
    haft_token *p = &t[N - 1];
    haft_handle h = haft_spawn(wait_for, &p);
    haft_token_cancel(&t[0]);
    for (int i = 0; i < N; i++)
        check(haft_token_is_cancelled(&t[i]));
    check_int(haft_join(&h), ==, 0);
    for (int i = 0; i < N; i++)
        haft_token_drop(&t[i]);
    free(t);
}

TEST_FROM_EVERY_CALLER("one who waits for a token may be aborted or late")
{
    haft_token t = HAFT_TOKEN_INIT, *p = &t;
    for_each_kind(kind) {
        haft_handle h = haft_spawn(wait_for, &p, .kind = kind);
        for (int i = 0; i < 5; i++)
            check_int(haft_yield(), ==, 0); /* most are waiting by then */
        check_int(haft_abort(h), ==, 0);
        check_int(haft_join(&h), ==, HAFT_EABORTED);
    }
    {
        HAFT_TIMEOUT(HAFT_MS);
        check_int(haft_token_wait(&t), ==, HAFT_ETIMEDOUT);
    }
    haft_token_cancel(&t);
    haft_handle h = haft_spawn(wait_for, &p);
    check_int(haft_join(&h), ==, 0);
    haft_token_drop(&t);
}

/* --- callbacks ---------------------------------------------------------------------------------------------------- */

static void count_call(void *count)
{
    atomic_fetch_add((_Atomic int *)count, 1);
}

TEST_FROM_EVERY_CALLER("a callback is called once, at once if it is too late, and not after it was dropped")
{
    haft_token t = HAFT_TOKEN_INIT, child;
    haft_token_callback kept, dropped, below, late;
    _Atomic int calls = 0, not_called = 0;
    check_int(haft_token_child(&t, &child), ==, 0);
    check_int(haft_token_on_cancel(&t, &kept, count_call, &calls), ==, 0);
    check_int(haft_token_on_cancel(&t, &dropped, count_call, &not_called), ==, 0);
    check_int(haft_token_on_cancel(&child, &below, count_call, &calls), ==, 0);
    haft_token_callback_drop(&dropped);
    haft_token_callback_drop(&dropped);
    check_int(atomic_load(&calls), ==, 0);
    haft_token_cancel(&t);
    haft_token_cancel(&t);
    check_int(atomic_load(&calls), ==, 2);
    check_int(haft_token_on_cancel(&t, &late, count_call, &calls), ==, 0);
    check_int(atomic_load(&calls), ==, 3);
    haft_token_callback_drop(&kept);
    haft_token_callback_drop(&below);
    haft_token_callback_drop(&late);
    check_int(atomic_load(&calls), ==, 3);
    check_int(atomic_load(&not_called), ==, 0);
    haft_token_drop(&child);
    haft_token_drop(&t);
}

TEST("a callback may be dropped again when its token is gone")
{
    haft_token *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    haft_token_callback c;
    _Atomic int calls = 0;
    check(t != MAP_FAILED);
    check_int(haft_token_on_cancel(t, &c, count_call, &calls), ==, 0);
    HAFT_DEFER(haft_token_callback_drop, &c);
    haft_token_callback_drop(&c);
    haft_token_drop(t);
    check_int(munmap(t, sizeof *t), ==, 0);
    haft_token_callback_drop(&c);
    check_int(atomic_load(&calls), ==, 0);
}

struct chain {
    haft_token *next;
    haft_token_callback own;
    haft_token_callback *other;
};

static void go_on(void *argument)
{
    struct chain *c = argument;
    haft_token_callback_drop(c->other);   /* which is not called any more */
    haft_token_callback_drop(&c->own);    /* itself */
    memset(&c->own, 0xff, sizeof c->own); /* it is ours again */
    haft_token_cancel(c->next);
}

TEST_FROM_EVERY_CALLER("a callback may drop itself and others, and cancel another token")
{
    haft_token t = HAFT_TOKEN_INIT, next = HAFT_TOKEN_INIT, below;
    haft_token_callback other;
    _Atomic int calls = 0;
    struct chain c = { .next = &next, .other = &other };
    check_int(haft_token_child(&t, &below), ==, 0);
    check_int(haft_token_on_cancel(&t, &c.own, go_on, &c), ==, 0);
    check_int(haft_token_on_cancel(&t, &other, count_call, &calls), ==, 0);
    haft_token_cancel(&t);
    check(haft_token_is_cancelled(&next));
    check(haft_token_is_cancelled(&below));
    check_int(atomic_load(&calls), ==, 0);
    haft_token_drop(&below);
    haft_token_drop(&t);
    haft_token_drop(&next);
}

static _Atomic int inside_callback, may_leave;

static void stay_inside(void *argument)
{
    (void)argument;
    atomic_store(&inside_callback, 1);
    while (!atomic_load(&may_leave))
        ;
    atomic_store(&inside_callback, 2);
}

static int cancel(haft_token **t)
{
    haft_token_cancel(*t);
    return 0;
}

static int drop_callback(haft_token_callback **c)
{
    haft_token_callback_drop(*c);
    return atomic_load(&inside_callback) == 2 ? 0 : -EIO;
}

TEST_FROM_EVERY_CALLER("to drop a callback that is running waits for its end")
{
    for_each_kind(kind) {
        haft_token t = HAFT_TOKEN_INIT, *p = &t;
        haft_token_callback c, *pc = &c;
        atomic_store(&inside_callback, 0);
        atomic_store(&may_leave, 0);
        check_int(haft_token_on_cancel(&t, &c, stay_inside, NULL), ==, 0);
        haft_handle canceller = haft_spawn(cancel, &p, .kind = HAFT_THREAD);
        until(atomic_load(&inside_callback) == 1);
        haft_handle dropper = haft_spawn(drop_callback, &pc, .kind = kind);
        check(haft_token_is_cancelled(&t));
        check_int(haft_try_join(&dropper), ==, HAFT_EAGAIN);
        atomic_store(&may_leave, 1);
        check_int(haft_join(&dropper), ==, 0);
        check_int(haft_join(&canceller), ==, 0);
        haft_token_drop(&t);
    }
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

TEST_LONG("a signal handler cancels a token while its thread is anywhere in tokens, and nothing hangs or is lost")
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    check_int(sigaction(SIGUSR1, &action, NULL), ==, 0);
    haft_token root = HAFT_TOKEN_INIT;
    pthread_t self = pthread_self();
    haft_handle sender = haft_spawn(send_signals, &self, .kind = HAFT_THREAD);
    for (size_t i = 0; i < rounds(150, 20000); i++) {
        haft_token t, below, *p = &below, others[8];
        haft_token_callback c;
        _Atomic int calls = 0;
        check_int(haft_token_child(&root, &t), ==, 0);
        check_int(haft_token_child(&t, &below), ==, 0);
        check_int(haft_token_on_cancel(&below, &c, count_call, &calls), ==, 0);
        haft_handle h = haft_spawn(wait_for, &p, .kind = i % 16 == 0 ? HAFT_THREAD : HAFT_TASK);
        atomic_store(&of_the_handler, &t);
        do
            for (int j = 0; j < 8; j++) { /* the handler strikes somewhere in here */
                check_int(haft_token_child(&root, &others[j]), ==, 0);
                haft_token_drop(&others[j]);
            }
        while (!haft_token_is_cancelled(&t));
        check(haft_token_is_cancelled(&below) || atomic_load(&of_the_handler) == &t);
        atomic_store(&of_the_handler, NULL);
        check_int(haft_join(&h), ==, 0);
        haft_token_callback_drop(&c);
        check_int(atomic_load(&calls), ==, 1);
        haft_token_drop(&below);
        haft_token_drop(&t);
    }
    check_int(haft_abort(sender), ==, 0);
    check_int(haft_join(&sender), ==, 0);
    check_int(signal(SIGUSR1, SIG_DFL) == SIG_ERR, ==, 0);
    haft_token_drop(&root);
}

/* --- lifetime and storm ------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("whoever waited for a token may drop and free it at once")
{
    for (size_t i = 0; i < rounds(300, 30000); i++) {
        haft_token *t = calloc(1, sizeof *t);
        check_ptr(t, !=, NULL);
        haft_handle h = haft_spawn(cancel, &t, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        if (i % 2 == 0)
            check_int(haft_token_wait(t), ==, 0);
        else
            until(haft_token_is_cancelled(t));
        haft_token_drop(t);
        free(t);
        check_int(haft_join(&h), ==, 0);
    }
}

struct branch {
    haft_token *above;
    uint64_t chance;
    unsigned depth;
};

static int live_below(struct branch *s)
{
    haft_token own;
    haft_token_callback c;
    _Atomic int calls = 0;
    check_int(haft_token_child(s->above, &own), ==, 0);
    HAFT_DEFER(haft_token_drop, &own);
    check_int(haft_token_on_cancel(&own, &c, count_call, &calls), ==, 0);
    HAFT_DEFER(haft_token_callback_drop, &c);
    haft_handle hs[3] = { 0 };
    for (int i = 0; i < 3 && s->depth > 0; i++)
        hs[i] = haft_spawn(live_below, (&(struct branch){ &own, next_random(&s->chance), s->depth - 1 }));
    unsigned what = below(&s->chance, 8);
    if (what == 0)
        haft_token_cancel(&own);
    if (what < 6) {
        HAFT_TIMEOUT((int64_t)below(&s->chance, 200) * HAFT_US);
        int rc = haft_token_wait(&own);
        check(rc == 0 || rc == HAFT_ETIMEDOUT || rc == HAFT_ECANCELED);
    }
    for (int i = 0; i < 3 && s->depth > 0; i++)
        if (what == 7)
            haft_drop(&hs[i]);
        else {
            HAFT_SHIELD;
            int rc = haft_join(&hs[i]);
            check(rc == 0 || rc == HAFT_EABORTED);
        }
    if (haft_token_is_cancelled(s->above)) { /* by somebody who may just be on his way down */
        HAFT_SHIELD;
        check_int(haft_token_wait(&own), ==, 0);
    }
    haft_token_callback_drop(&c);
    check_int(atomic_load(&calls), <=, haft_token_is_cancelled(&own));
    return 0;
}

TEST_LONG("storm: trees that grow, are cancelled at any place, and are dropped while their parts are aborted")
{
    uint64_t chance = choose_seed();
    for (size_t i = 0; i < rounds(60, 3000); i++) {
        haft_token root = HAFT_TOKEN_INIT;
        haft_handle hs[4];
        for (int j = 0; j < 4; j++)
            hs[j] = haft_spawn(live_below, (&(struct branch){ &root, next_random(&chance), 3 }),
                               .kind = j == 0 ? HAFT_THREAD : HAFT_TASK);
        if (i % 3 == 0)
            (void)haft_sleep((int64_t)below(&chance, 300) * HAFT_US);
        if (i % 4 == 0)
            (void)haft_abort(hs[below(&chance, 4)]);
        haft_token_cancel(&root);
        for (int j = 0; j < 4; j++) {
            int rc = haft_join(&hs[j]);
            check(rc == 0 || rc == HAFT_EABORTED);
        }
        haft_token_drop(&root);
        check_ptr(root.children_, ==, NULL);
    }
}
