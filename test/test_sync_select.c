/* SPDX-License-Identifier: MIT
 *
 * Semaphore, notify, event and token as arms of a select: exactly one takes effect, and the others have not begun. */
#include <haft/haft.h>

#include <string.h>

#include "sync.h"

struct all {
    haft_sem sem;
    haft_notify notify;
    haft_event event;
    haft_token token;
};

static const struct all at_rest = { .sem = HAFT_SEM_INIT(0) };

static int select_all(struct all **at)
{
    struct all *a = *at;
    return haft_select(HAFT_ON_SEM(&a->sem, 2), HAFT_ON_NOTIFY(&a->notify), HAFT_ON_EVENT(&a->event),
                       HAFT_ON_TOKEN(&a->token));
}

static void nothing_is_ready(struct all *a)
{
    check_int(haft_try_select(HAFT_ON_SEM(&a->sem, 2), HAFT_ON_NOTIFY(&a->notify), HAFT_ON_EVENT(&a->event),
                              HAFT_ON_TOKEN(&a->token)),
              ==, HAFT_EAGAIN);
    check_int(waiting(&a->sem) + waiting(&a->notify) + waiting(&a->event), ==, 0);
}

static void make_ready(struct all *a, int arm)
{
    switch (arm) {
    case 0:
        haft_sem_release_many(&a->sem, 2);
        break;
    case 1:
        haft_notify_one(&a->notify);
        break;
    case 2:
        haft_event_set(&a->event);
        break;
    default:
        haft_token_cancel(&a->token);
    }
}

TEST_FROM_EVERY_CALLER("an arm that is ready takes effect, and takes what its call would take")
{
    for (int arm = 0; arm < 4; arm++) {
        struct all a = at_rest, *p = &a;
        nothing_is_ready(&a);
        make_ready(&a, arm);
        check_int(select_all(&p), ==, arm);
        haft_event_reset(&a.event);
        if (arm < 3)
            nothing_is_ready(&a);
        haft_token_drop(&a.token);
    }
}

TEST_FROM_EVERY_CALLER("a select that waits goes on by whichever arm is made ready, tasks and threads alike")
{
    for_each_kind(kind)
        for (int arm = 0; arm < 4; arm++) {
            struct all a = at_rest, *p = &a;
            haft_handle h = haft_spawn(select_all, &p, .kind = kind);
            until(waiting(&a.sem) + waiting(&a.notify) + waiting(&a.event) == 3);
            if (arm == 0) {
                haft_sem_release(&a.sem); /* one of two is not enough */
                check_int(haft_try_join(&h), ==, HAFT_EAGAIN);
                haft_sem_release(&a.sem);
            } else {
                make_ready(&a, arm);
            }
            check_int(haft_join(&h), ==, arm);
            haft_event_reset(&a.event);
            if (arm < 3)
                nothing_is_ready(&a);
            haft_token_drop(&a.token);
        }
}

TEST_FROM_EVERY_CALLER("a closed semaphore is ready with its error, before and while a select waits")
{
    haft_sem s = HAFT_SEM_INIT(0), *p = &s;
    int rc = 0;
    haft_notify never = HAFT_NOTIFY_INIT;
    check_int(haft_select(HAFT_ON_SEM(&s, 1), HAFT_ON_TIMEOUT(HAFT_US)), ==, 1);
    haft_sem_close(p);
    check_int(haft_select(HAFT_ON_SEM(p, 1, .rc = &rc), HAFT_ON_NOTIFY(&never)), ==, 0);
    check_int(rc, ==, HAFT_ECLOSED);
    check_int(haft_select(HAFT_ON_SEM(p, 1), HAFT_ON_NOTIFY(&never)), ==, HAFT_ECLOSED);
    struct all a = at_rest, *pa = &a;
    haft_handle h = haft_spawn(select_all, &pa);
    until(waiting(&a.sem) + waiting(&a.event) == 2);
    haft_sem_close(&a.sem);
    check_int(haft_join(&h), ==, HAFT_ECLOSED);
}

struct wish {
    haft_sem *s;
    haft_notify *n;
};

static int want_five_or_notice(struct wish *w)
{
    return haft_select(HAFT_ON_SEM(w->s, 5), HAFT_ON_NOTIFY(w->n));
}

static int want_one(haft_sem **s)
{
    return haft_sem_acquire(*s);
}

TEST_FROM_EVERY_CALLER("a select that waits for permits keeps its place in the order, and leaves it to the next")
{
    haft_sem s = HAFT_SEM_INIT(3), *p = &s;
    haft_notify n = HAFT_NOTIFY_INIT;
    for (int how = 0; how < 2; how++) {
        haft_handle five = haft_spawn(want_five_or_notice, (&(struct wish){ &s, &n }));
        until(waiting(&n) == 1);
        haft_handle one = haft_spawn(want_one, &p);
        until(waiting(&s) == 2);
        check_int(haft_sem_try_acquire(&s), ==, HAFT_EAGAIN);
        if (how == 0) {
            haft_notify_one(&n);
            check_int(haft_join(&five), ==, 1);
        } else {
            check_int(haft_abort(five), ==, 0);
            check_int(haft_join(&five), ==, HAFT_EABORTED);
        }
        check_int(haft_join(&one), ==, 0);
        check_int(haft_sem_available(&s), ==, 2);
        haft_sem_release(&s);
    }
}

TEST_FROM_EVERY_CALLER("whoever selected an event or a token may free it at once")
{
    for (size_t i = 0; i < rounds(200, 20000); i++) {
        struct all *a = malloc(sizeof *a);
        check_ptr(a, !=, NULL);
        *a = at_rest;
        haft_handle h = haft_spawn(select_all, &a);
        if (i % 2 == 0)
            check_int(haft_yield(), ==, 0);
        make_ready(a, 2 + (int)(i / 2 % 2));
        check_int(haft_join(&h), >=, 2);
        haft_token_drop(&a->token);
        free(a);
    }
}

/* --- storm -------------------------------------------------------------------------------------------------------- */

enum { PERMITS = 4 };

static struct {
    haft_sem a, b;
    haft_notify n;
    haft_token t;
    _Atomic size_t a_out, b_out, noticed, notified;
} storm;

static void count(_Atomic size_t *out, haft_sem *s)
{
    check_int(atomic_fetch_add(out, 1), <, PERMITS);
    {
        HAFT_SHIELD;
        (void)haft_yield();
    }
    atomic_fetch_sub(out, 1);
    haft_sem_release(s);
}

static int storm_job(struct stormer *s)
{
    while (s->turns-- > 0) {
        if (below(&s->chance, 8) == 0) {
            atomic_fetch_add(&storm.notified, 1);
            haft_notify_one(&storm.n);
        }
        int rc = haft_select(HAFT_ON_SEM(&storm.a, 1), HAFT_ON_SEM(&storm.b, 1), HAFT_ON_NOTIFY(&storm.n),
                             HAFT_ON_TOKEN(&storm.t), HAFT_ON_TIMEOUT((int64_t)below(&s->chance, 50) * HAFT_US));
        switch (rc) {
        case 0:
            count(&storm.a_out, &storm.a);
            break;
        case 1:
            count(&storm.b_out, &storm.b);
            break;
        case 2:
            atomic_fetch_add(&storm.noticed, 1);
            break;
        case 4:
            break;
        default:
            return rc == 3 ? 0 : rc;
        }
    }
    return 0;
}

TEST_LONG("storm: selects over semaphores, notify, token and time lose no permit and make up no notification")
{
    uint64_t chance = choose_seed();
    size_t turns = rounds(20000, 1000000);
    haft_handle hs[CROWD];
    memset(&storm, 0, sizeof storm);
    haft_sem_release_many(&storm.a, PERMITS);
    haft_sem_release_many(&storm.b, PERMITS);
    for (size_t done = 0; done < turns;) {
        done += spawn_crowd(hs, storm_job, &chance);
        if (done >= turns)
            haft_token_cancel(&storm.t);
        join_crowd(hs, false, &chance);
        check_int(haft_sem_available(&storm.a), ==, PERMITS);
        check_int(haft_sem_available(&storm.b), ==, PERMITS);
        check_int(waiting(&storm.a) + waiting(&storm.b) + waiting(&storm.n), ==, 0);
    }
    check_int(atomic_load(&storm.noticed), <=, atomic_load(&storm.notified));
    haft_token_drop(&storm.t);
}
