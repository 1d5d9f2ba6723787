/* SPDX-License-Identifier: MIT
 *
 * Values with several owners: when they end, by whom, and what weak references find. */
#include <haft/haft.h>

#include <string.h>

#include "sync.h"

struct value {
    haft_mutex m;
    int number;
    _Atomic int *drops;
};

static void drop_value(void *object)
{
    struct value *v = object;
    check_int(v->number, >=, 0);
    v->number = -1;
    atomic_fetch_add(v->drops, 1);
}

TEST_FROM_EVERY_CALLER("the value ends with its last owner, once; none is nothing")
{
    _Atomic int drops = 0;
    haft_shared a, b, none = { 0 };
    check_int(haft_shared_new(&a, (&(struct value){ .number = 7, .drops = &drops }), .drop = drop_value), ==, 0);
    check_int(haft_shared_clone(&a, &b), ==, 0);
    check_ptr(haft_shared_get(&a), ==, haft_shared_get(&b));
    check_int(((struct value *)haft_shared_get(&b))->number, ==, 7);
    haft_shared_drop(&a);
    haft_shared_drop(&a);
    check_ptr(haft_shared_get(&a), ==, NULL);
    check_int(atomic_load(&drops), ==, 0);
    haft_shared_drop(&b);
    check_int(atomic_load(&drops), ==, 1);
    check_int(haft_shared_clone(&none, &a), ==, HAFT_EINVAL);
    haft_shared_drop(&none);
    check_ptr(haft_shared_get(&a), ==, NULL);
    int number = 3;
    check_int(haft_shared_new(&a, &number), ==, 0);
    check_int(*(int *)haft_shared_get(&a), ==, 3);
    haft_shared_drop(&a);
}

TEST("a value may be aligned to a cache line, and no more")
{
    struct {
        _Alignas(64) char bytes[64];
    } line = { "aligned" };
    struct {
        _Alignas(128) char bytes[128];
    } lines = { "too much" };
    haft_shared s = { 0 };
    check_int(haft_shared_new(&s, &lines), ==, HAFT_EINVAL);
    check_int(haft_shared_new(&s, &line), ==, 0);
    check_int((uintptr_t)haft_shared_get(&s) % 64, ==, 0);
    check_str(haft_shared_get(&s), "aligned");
    haft_shared_drop(&s);
}

TEST_FROM_EVERY_CALLER("a weak reference finds the value as long as somebody owns it")
{
    _Atomic int drops = 0;
    haft_shared a, b;
    haft_shared_weak weak, other, none = { 0 };
    check_int(haft_shared_new(&a, (&(struct value){ .drops = &drops }), .drop = drop_value), ==, 0);
    check_int(haft_shared_downgrade(&a, &weak), ==, 0);
    haft_shared_downgrade(&a, &other);
    check_int(haft_shared_upgrade(&weak, &b), ==, 0);
    haft_shared_drop(&a);
    check_int(atomic_load(&drops), ==, 0);
    haft_shared_drop(&b);
    check_int(atomic_load(&drops), ==, 1);
    check_int(haft_shared_upgrade(&weak, &b), ==, HAFT_ECLOSED);
    check_ptr(haft_shared_get(&b), ==, NULL);
    haft_shared_weak_drop(&weak);
    haft_shared_weak_drop(&weak);
    check_int(haft_shared_upgrade(&other, &b), ==, HAFT_ECLOSED);
    check_int(haft_shared_upgrade(&none, &b), ==, HAFT_ECLOSED);
    haft_shared_weak_drop(&other);
}

static void drop_and_panic(void *object)
{
    (void)object;
    haft_panic("in .drop");
}

TEST_FROM_EVERY_CALLER("a .drop that panics is reported and is nobody's panic, and the memory is gone all the same")
{
    silence_panics();
    int number = 1;
    haft_shared s;
    check_int(haft_shared_new(&s, &number, .drop = drop_and_panic), ==, 0);
    haft_shared_drop(&s);
    check_ptr(haft_shared_get(&s), ==, NULL);
}

struct user {
    haft_shared s;
    haft_shared_weak weak;
    size_t turns;
};

static int use(struct user *u)
{
    for (size_t i = 0; i < u->turns; i++) {
        haft_shared again, clone;
        if (haft_shared_upgrade(&u->weak, &again) == 0) {
            struct value *v = haft_shared_get(&again);
            check_int(haft_mutex_lock(&v->m), ==, 0);
            v->number++;
            haft_mutex_unlock(&v->m);
            haft_shared_clone(&again, &clone);
            haft_shared_drop(&again);
            haft_shared_drop(&clone);
        }
        if (i == u->turns / 2)
            haft_shared_drop(&u->s);
        if (i % 64 == 0)
            (void)haft_yield();
    }
    haft_shared_drop(&u->s);
    haft_shared_weak_drop(&u->weak);
    return 0;
}

static void drop_user(void *frame)
{
    struct user *u = frame;
    haft_shared_drop(&u->s);
    haft_shared_weak_drop(&u->weak);
}

TEST_LONG("storm: owners and weak references in frames of every kind; the value ends once, after the last use")
{
    enum { JOBS = 8 };
    _Atomic int drops = 0;
    int values = (int)rounds(100, 5000);
    for (int i = 0; i < values; i++) {
        haft_shared s;
        haft_handle hs[JOBS];
        check_int(haft_shared_new(&s, (&(struct value){ .drops = &drops }), .drop = drop_value), ==, 0);
        for (int j = 0; j < JOBS; j++) {
            struct user u = { .turns = 200 };
            haft_shared_clone(&s, &u.s);
            haft_shared_downgrade(&s, &u.weak);
            hs[j] = haft_spawn(use, &u, .drop = drop_user, .kind = i % 4 == 0 && j == 0 ? HAFT_THREAD : HAFT_TASK);
        }
        haft_shared_drop(&s);
        for (int j = 0; j < JOBS; j++) {
            if (j == 0 && i % 2 == 0)
                haft_drop(&hs[j]);
            else
                check_int(haft_join(&hs[j]), ==, 0);
        }
        check_int(atomic_load(&drops), ==, i + 1);
    }
}
