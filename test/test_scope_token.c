/* SPDX-License-Identifier: MIT
 *
 * Scopes that a token aborts: whom it reaches, and every order in which the cancel, the end of the scope and the end of the
 * token may come. */
#include <haft/haft.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "job/job.h"
#include "signals.h"
#include "sync.h"

/* --- what a cancel does ------------------------------------------------------------------------------------------- */

/* Counts whether it was told of an abort, and how it ended. */
struct child {
    _Atomic int *waiting;
    int rc;
};

static int wait_until_told(struct child *c)
{
    atomic_fetch_add(c->waiting, 1);
    c->rc = haft_park();
    return c->rc;
}

static int cancel(haft_token **t)
{
    haft_token_cancel(*t);
    return 0;
}

TEST_FROM_EVERY_CALLER("a cancelled token aborts the scope's children, of every kind, and not its owner")
{
    haft_token t = HAFT_TOKEN_INIT, *p = &t;
    for_each_kind(canceller) {
        struct child children[KINDS];
        _Atomic int parked = 0;
        int rc;
        t = (haft_token)HAFT_TOKEN_INIT;
        {
            HAFT_SCOPE(s, .result = &rc);
            check_int(haft_scope_abort_on(s, &t), ==, 0);
            for_each_kind(kind) {
                children[kind] = (struct child){ .waiting = &parked };
                check_int(haft_scope_spawn(s, wait_until_told, &children[kind], .kind = kind), ==, 0);
            }
            until(atomic_load(&parked) == KINDS);
            haft_handle h = haft_spawn(cancel, &p, .kind = canceller);
            check_int(haft_join(&h), ==, 0);
        }
        check_int(rc, ==, HAFT_EABORTED);
        for_each_kind(kind)
            check_int(children[kind].rc, ==, HAFT_ECANCELED);
        check_int(haft_checkpoint(), ==, 0);
        haft_token_drop(&t);
    }
}

TEST_FROM_EVERY_CALLER("the end of a scope that waits is ended by the cancel of a token above its own")
{
    haft_token above = HAFT_TOKEN_INIT, t;
    check_int(haft_token_child(&above, &t), ==, 0);
    for_each_kind(kind) {
        _Atomic int parked = 0;
        struct child child = { .waiting = &parked };
        haft_token *p = &above;
        int rc;
        {
            HAFT_SCOPE(s, .result = &rc);
            check_int(haft_scope_abort_on(s, &t), ==, 0);
            check_int(haft_scope_spawn(s, wait_until_told, &child, .kind = kind), ==, 0);
            check_int(haft_scope_spawn(s, cancel, &p), ==, 0); /* a child may do it, while the owner waits here */
        }
        check_int(rc, ==, HAFT_EABORTED);
    }
    haft_token_drop(&t);
    haft_token_drop(&above);
}

TEST_FROM_EVERY_CALLER("a token that is cancelled already aborts those who are there and those who come")
{
    haft_token t = HAFT_TOKEN_INIT;
    haft_token_cancel(&t);
    _Atomic int parked = 0;
    struct child child = { .waiting = &parked }, late = { .waiting = &parked };
    int rc;
    {
        HAFT_SCOPE(s, .result = &rc);
        check_int(haft_scope_spawn(s, wait_until_told, &child), ==, 0);
        until(atomic_load(&parked) == 1);
        check_int(haft_scope_abort_on(s, &t), ==, 0);
        check_int(haft_scope_spawn(s, wait_until_told, &late), ==, 0);
        check_int(haft_scope_join(s), ==, HAFT_EABORTED);
        check_int(haft_scope_spawn(s, wait_until_told, &late), ==, 0); /* for as long as the scope lasts */
    }
    check_int(rc, ==, HAFT_EABORTED);
    check_int(child.rc, ==, HAFT_ECANCELED);
    check_int(atomic_load(&parked), ==, 1); /* aborted before its start: not begun */
    haft_token_drop(&t);
}

struct shielded {
    haft_handle self;
    _Atomic bool has_begun;
};

static int park_behind_a_shield(struct shielded *child)
{
    HAFT_SHIELD;
    child->self = haft_self();
    atomic_store(&child->has_begun, true);
    return haft_park();
}

TEST_FROM_EVERY_CALLER(
    "a child behind a shield, or that has ended, keeps its own result, and siblings are not told twice")
{
    haft_token t = HAFT_TOKEN_INIT;
    for_each_kind(kind) {
        t = (haft_token)HAFT_TOKEN_INIT;
        struct shielded child = { .has_begun = false };
        int rc;
        {
            HAFT_SCOPE(s, .result = &rc, .on_error = HAFT_ON_ERROR_WAIT);
            check_int(haft_scope_abort_on(s, &t), ==, 0);
            check_int(haft_scope_spawn(s, return_nothing), ==, 0);
            check_int(haft_scope_join(s), ==, 0);
            haft_token_cancel(&t);
            check_int(haft_scope_join(s), ==, 0); /* the one that had ended is not touched */
        }
        check_int(rc, ==, 0);
        haft_token_drop(&t);

        t = (haft_token)HAFT_TOKEN_INIT;
        {
            HAFT_SCOPE(s, .result = &rc);
            check_int(haft_scope_spawn(s, park_behind_a_shield, &child, .kind = kind), ==, 0);
            until(atomic_load(&child.has_begun));
            check_int(haft_scope_abort_on(s, &t), ==, 0);
            haft_token_cancel(&t);
            haft_token_cancel(&t);
            {
                HAFT_TIMEOUT(HAFT_MS);
                check_int(haft_scope_join(s), ==, HAFT_ETIMEDOUT);
            }
            check_int(haft_unpark(child.self), ==, 0);
        }
        check_int(rc, ==, 0);
        haft_token_drop(&t);
    }
}

TEST_FROM_EVERY_CALLER(
    "a scope has one token, a token many scopes, and scopes within scopes are aborted from the outside")
{
    haft_token t = HAFT_TOKEN_INIT, other = HAFT_TOKEN_INIT;
    _Atomic int parked = 0;
    struct child a = { .waiting = &parked }, b = { .waiting = &parked };
    int outer, inner;
    {
        HAFT_SCOPE(s, .result = &outer);
        check_int(haft_scope_abort_on(s, &t), ==, 0);
        check_int(haft_scope_abort_on(s, &other), ==, HAFT_EBUSY);
        check_int(haft_scope_abort_on(s, &t), ==, HAFT_EBUSY);
        check_int(haft_scope_spawn(s, wait_until_told, &a), ==, 0);
        {
            HAFT_SCOPE(r, .result = &inner);
            check_int(haft_scope_abort_on(r, &t), ==, 0);
            check_int(haft_scope_spawn(r, wait_until_told, &b), ==, 0);
            until(atomic_load(&parked) == 2);
            haft_token_cancel(&other);
            check_int(a.rc, ==, 0);
            haft_token_cancel(&t);
        }
        check_int(inner, ==, HAFT_EABORTED);
    }
    check_int(outer, ==, HAFT_EABORTED);
    haft_token_drop(&t);
    haft_token_drop(&other);
}

/* --- who ends first ----------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("a scope that has ended is not touched by its token, by whatever way it was left")
{
    haft_token *t = calloc(1, sizeof *t);
    check_ptr(t, !=, NULL);
    for (int way = 0; way < 3; way++) {
        for (int i = 0; i < 2; i++) {
            HAFT_SCOPE(s);
            check_int(haft_scope_abort_on(s, t), ==, 0);
            check_int(haft_scope_spawn(s, return_nothing), ==, 0);
            if (way == 0)
                continue;
            if (way == 1)
                break;
        }
        check_ptr(t->callbacks_, ==, NULL); /* it was taken out of the list */
    }
    haft_token_cancel(t);
    haft_token_drop(t);
    free(t);
}

static int panics_with_a_scope(haft_token **t)
{
    HAFT_SCOPE(s);
    check_int(haft_scope_abort_on(s, *t), ==, 0);
    _Atomic int parked = 0;
    struct child child = { .waiting = &parked };
    check_int(haft_scope_spawn(s, wait_until_told, &child), ==, 0);
    haft_panic("on purpose");
}

TEST_FROM_EVERY_CALLER("a scope that a panic ends has left its token")
{
    silence_panics();
    haft_token t = HAFT_TOKEN_INIT, *p = &t;
    check_int(haft_catch(panics_with_a_scope, &p, NULL), ==, HAFT_EPANIC);
    check_ptr(t.callbacks_, ==, NULL);
    haft_token_cancel(&t);
    haft_token_drop(&t);
}

TEST_FROM_EVERY_CALLER("a token may be dropped, and its memory used again, while its scope goes on")
{
    haft_token *t = calloc(1, sizeof *t);
    check_ptr(t, !=, NULL);
    _Atomic int parked = 0;
    struct child child = { .waiting = &parked };
    int rc;
    {
        HAFT_SCOPE(s, .result = &rc);
        check_int(haft_scope_abort_on(s, t), ==, 0);
        haft_token_drop(t);
        memset(t, 0xee, sizeof *t);
        check_int(haft_scope_spawn(s, wait_until_told, &child), ==, 0);
        until(atomic_load(&parked) == 1);
        check_int(child.rc, ==, 0);
        haft_scope_abort(s);
    }
    check_int(rc, ==, HAFT_EABORTED);
    haft_token untouched;
    memset(&untouched, 0xee, sizeof untouched);
    check_int(memcmp(t, &untouched, sizeof *t), ==, 0);
    free(t);
}

/* --- at once ------------------------------------------------------------------------------------------------------ */

static struct {
    haft_token tokens[2]; /* the second below the first */
    _Atomic bool goes;
} race;

static int cancel_or_drop(const unsigned *how)
{
    until(atomic_load(&race.goes));
    for (unsigned i = *how / 4; i > 0; i--)
        if (haft_yield() != 0)
            break;
    if (*how % 4 < 2)
        haft_token_cancel(&race.tokens[*how % 2]);
    else if (*how % 4 == 2)
        haft_token_drop(&race.tokens[1]);
    else
        haft_token_cancel(&race.tokens[0]);
    return 0;
}

struct racer {
    haft_scope *s;
    uint64_t chance;
    unsigned depth;
};

static int race_along(struct racer *r)
{
    struct racer child = { .s = r->s, .chance = r->chance, .depth = r->depth - 1 };
    if (below(&r->chance, 2) == 0)
        (void)haft_yield();
    if (r->depth > 0) {
        HAFT_SCOPE(own);
        if (below(&r->chance, 2) == 0)
            check_int(haft_scope_abort_on(own, &race.tokens[0]), ==, 0);
        child.s = own;
        (void)haft_scope_spawn(own, race_along, &child);
    }
    switch (below(&r->chance, 4)) {
    case 0:
        return haft_park();
    case 1:
        return haft_yield();
    case 2:
        return -1;
    default:
        return 0;
    }
}

TEST_LONG("storm: cancel, drop and the ends of scopes in every order, and every scope ends")
{
    uint64_t chance = choose_seed();
    for (size_t i = 0; i < rounds(300, 100000); i++) {
        race.tokens[0] = (haft_token)HAFT_TOKEN_INIT;
        check_int(haft_token_child(&race.tokens[0], &race.tokens[1]), ==, 0);
        atomic_store(&race.goes, false);
        unsigned how[3];
        haft_handle hs[3];
        for (int j = 0; j < 3; j++) {
            how[j] = below(&chance, 40);
            hs[j] = haft_spawn(cancel_or_drop, &how[j], .kind = below(&chance, 20) == 0 ? HAFT_THREAD : HAFT_TASK);
        }
        int rc = 0;
        {
            HAFT_SCOPE(s, .result = &rc);
            struct racer racers[8];
            bool is_early = below(&chance, 2) == 0;
            if (is_early)
                check_int(haft_scope_abort_on(s, &race.tokens[1]), ==, 0);
            for (int j = 0; j < 8; j++) {
                racers[j] = (struct racer){ .s = s, .chance = next_random(&chance), .depth = below(&chance, 3) };
                if (j == 4)
                    atomic_store(&race.goes, true);
                check_int(haft_scope_spawn(s, race_along, &racers[j],
                                           .kind = below(&chance, 20) == 0 ? HAFT_THREAD : HAFT_TASK),
                          ==, 0);
            }
            if (!is_early && below(&chance, 2) == 0)
                check_int(haft_scope_abort_on(s, &race.tokens[0]), ==, 0);
            haft_token_cancel(&race.tokens[1]);
            haft_scope_abort(s); /* so that it ends even if the token was dropped */
        }
        for (int j = 0; j < 3; j++)
            check_int(haft_join(&hs[j]), ==, 0);
        check_ptr(race.tokens[0].callbacks_, ==, NULL);
        check_ptr(race.tokens[1].callbacks_, ==, NULL);
        haft_token_drop(&race.tokens[1]);
        haft_token_drop(&race.tokens[0]);
    }
}

TEST_FROM_EVERY_CALLER("when a scope has ended, the callback that aborted it has returned")
{
    for (size_t i = 0; i < rounds(300, 30000); i++) {
        haft_token t = HAFT_TOKEN_INIT, *p = &t;
        haft_handle h = haft_spawn(cancel, &p, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        {
            HAFT_SCOPE(s);
            check_int(haft_scope_abort_on(s, &t), ==, 0);
            check_int(haft_scope_spawn(s, return_nothing), ==, 0);
            if (i % 2 == 0)
                (void)haft_yield();
        }
        check_int(haft_join(&h), ==, 0);
        haft_token_drop(&t);
    }
}

TEST_FROM_EVERY_CALLER("a cancel that finds the scope locked is not lost: nothing else would end those who wait")
{
    for (size_t i = 0; i < rounds(200, 30000); i++) {
        haft_token t = HAFT_TOKEN_INIT, *p = &t;
        haft_handle h = haft_spawn(cancel, &p, .kind = i % 8 == 0 ? HAFT_THREAD : HAFT_TASK);
        {
            HAFT_SCOPE(s, .on_error = HAFT_ON_ERROR_WAIT);
            check_int(haft_scope_abort_on(s, &t), ==, 0);
            for (int j = 0; j < 4; j++) {
                check_int(haft_scope_spawn(s, wait_for_token), ==, 0);
                check_int(haft_scope_spawn(s, return_nothing), ==, 0);
            }
        }
        check_int(haft_join(&h), ==, 0);
        haft_token_drop(&t);
    }
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

static haft_token interrupting;

static void cancel_in_between(void)
{
    haft_token_cancel(&interrupting);
}

TEST("a cancel within a call that holds the scope's lock, as of a handler, returns at once")
{
    interrupt_wakes();
    interrupting = (haft_token)HAFT_TOKEN_INIT;
    _Atomic int parked = 0;
    struct child children[2] = { { .waiting = &parked }, { .waiting = &parked } };
    {
        HAFT_SCOPE(s);
        check_int(haft_scope_abort_on(s, &interrupting), ==, 0);
        for (int i = 0; i < 2; i++) {
            check_int(haft_scope_spawn(s, wait_until_told, &children[i], .kind = HAFT_THREAD), ==, 0);
        }
        until(atomic_load(&parked) == 2);
        for (haft__link *at = s->children_.next_; at != (haft__link *)(void *)&s->children_; at = at->next)
            while (haft__load_relaxed(&HAFT__CONTAINER(at, haft__job, link)->record.word) != HAFT__SLEEPS)
                haft_yield();
        between_wakes = cancel_in_between;
        haft_scope_abort(s);
        check_ptr((void *)(uintptr_t)between_wakes, ==, NULL);
    }
    check(haft_token_is_cancelled(&interrupting));
    haft_token_drop(&interrupting);
}

TEST_LONG("a signal handler cancels the token of a scope whose lock its thread may hold, and the children are aborted")
{
    test_needs_kernel("signals");
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    check_int(sigaction(SIGUSR1, &action, NULL), ==, 0);
    pthread_t self = pthread_self();
    haft_handle sender = haft_spawn(send_signals, &self, .kind = HAFT_THREAD);
    for (size_t i = 0; i < rounds(150, 20000); i++) {
        haft_token t = HAFT_TOKEN_INIT;
        _Atomic int parked = 0;
        struct child waits = { .waiting = &parked };
        int rc;
        {
            HAFT_SCOPE(s, .result = &rc, .on_error = HAFT_ON_ERROR_WAIT);
            check_int(haft_scope_abort_on(s, &t), ==, 0);
            check_int(haft_scope_spawn(s, wait_until_told, &waits), ==, 0);
            atomic_store(&of_the_handler, &t);
            while (!haft_token_is_cancelled(&t)) /* the handler strikes somewhere in here */
                for (int j = 0; j < 4; j++)
                    (void)haft_scope_spawn(s, return_nothing);
            atomic_store(&of_the_handler, NULL);
        }
        check_int(rc, ==, HAFT_EABORTED);
        haft_token_drop(&t);
    }
    check_int(haft_abort(sender), ==, 0);
    check_int(haft_join(&sender), ==, 0);
    check_int(signal(SIGUSR1, SIG_DFL) == SIG_ERR, ==, 0);
}
