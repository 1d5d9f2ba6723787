/* SPDX-License-Identifier: MIT
 *
 * Locks for readers and writers: who may be in together, who comes next, and what a holder leaves that panics or ends. */
#include <haft/haft.h>

#include <string.h>

#include "sync.h"

static haft_rwlock the_lock = HAFT_RWLOCK_INIT;

struct user {
    haft_rwlock *l;
    haft_notify *leave; /* or null: leaves at once */
    bool writes;
    int number;
    int *order;
    _Atomic int *next;
};

static int use(struct user *u)
{
    int rc = u->writes ? haft_rwlock_write(u->l) : haft_rwlock_read(u->l);
    if (u->order != NULL)
        u->order[atomic_fetch_add(u->next, 1)] = u->number;
    if (u->leave != NULL)
        (void)haft_notify_wait(u->leave);
    if (u->writes)
        haft_rwlock_write_unlock(u->l);
    else
        haft_rwlock_read_unlock(u->l);
    return rc;
}

TEST_FROM_EVERY_CALLER("tokio:rwlock read_shared, write_shared_pending: readers are in together, a writer alone")
{
    haft_rwlock l = HAFT_RWLOCK_INIT;
    haft_notify leave = HAFT_NOTIFY_INIT;
    haft_handle hs[KINDS];
    for_each_kind(kind)
        hs[kind] = haft_spawn(use, (&(struct user){ .l = &l, .leave = &leave }), .kind = kind);
    until(waiting(&leave) == KINDS); /* all in */
    check_int(haft_rwlock_try_write(&l), ==, HAFT_EAGAIN);
    check_int(haft_rwlock_try_read(&l), ==, 0);
    haft_rwlock_read_unlock(&l);
    haft_notify_all(&leave);
    for_each_kind(kind)
        check_int(haft_join(&hs[kind]), ==, 0);

    for_each_kind(kind) {
        haft_handle writer =
            haft_spawn(use, (&(struct user){ .l = &l, .leave = &leave, .writes = true }), .kind = kind);
        until(waiting(&leave) == 1);
        check_int(haft_rwlock_try_read(&l), ==, HAFT_EAGAIN);
        check_int(haft_rwlock_try_write(&l), ==, HAFT_EAGAIN);
        haft_notify_one(&leave);
        check_int(haft_join(&writer), ==, 0);
    }
    check_int(haft_rwlock_try_write(&l), ==, 0);
    haft_rwlock_write_unlock(&l);
}

TEST_FROM_EVERY_CALLER("tokio:rwlock write_order: first come, first served; readers do not overtake a writer who waits")
{
    enum { N = 9 };
    static const bool writes[N] = { false, false, true, false, true, true, false, false, true };
    haft_rwlock l = HAFT_RWLOCK_INIT;
    int order[N];
    _Atomic int next = 0;
    haft_handle hs[N];
    check_int(haft_rwlock_write(&l), ==, 0);
    for (int i = 0; i < N; i++) {
        hs[i] =
            haft_spawn(use, (&(struct user){ &l, NULL, writes[i], i, order, &next }), .kind = (haft_kind)(i % KINDS));
        until(waiting(&l) == (unsigned)i + 1);
    }
    haft_rwlock_write_unlock(&l);
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
    for (int i = 0; i < N; i++) /* readers between two writers in any order */
        check_int(writes[i] ? order[i] : writes[order[i]], ==, writes[i] ? i : false);
}

TEST_FROM_EVERY_CALLER("a reader that comes while a writer waits, waits behind it; one that reads already does not")
{
    haft_rwlock l = HAFT_RWLOCK_INIT;
    check_int(haft_rwlock_read(&l), ==, 0);
    haft_handle writer = haft_spawn(use, (&(struct user){ .l = &l, .writes = true }));
    until(waiting(&l) == 1);
    haft_handle reader = haft_spawn(use, (&(struct user){ .l = &l }));
    until(waiting(&l) == 2);
    check_int(haft_rwlock_read(&l), ==, 0);
    check_int(haft_rwlock_try_read(&l), ==, 0);
    haft_rwlock_read_unlock(&l);
    haft_rwlock_read_unlock(&l);
    check_int(waiting(&l), ==, 2);
    haft_rwlock_read_unlock(&l);
    check_int(haft_join(&writer), ==, 0);
    check_int(haft_join(&reader), ==, 0);
}

TEST_FROM_EVERY_CALLER("a holder who would wait for himself is told")
{
    haft_rwlock l = HAFT_RWLOCK_INIT;
    check_int(haft_rwlock_write(&l), ==, 0);
    check_int(haft_rwlock_write(&l), ==, HAFT_EDEADLK);
    check_int(haft_rwlock_read(&l), ==, HAFT_EDEADLK);
    check_int(haft_rwlock_try_write(&l), ==, HAFT_EAGAIN);
    check_int(haft_rwlock_try_read(&l), ==, HAFT_EAGAIN);
    haft_rwlock_write_unlock(&l);
    check_int(haft_rwlock_read(&l), ==, 0);
    check_int(haft_rwlock_write(&l), ==, HAFT_EDEADLK);
    haft_rwlock_read_unlock(&l);
}

static int unlock_read(haft_rwlock **l)
{
    haft_rwlock_read_unlock(*l);
    return 0;
}

static int unlock_write(haft_rwlock **l)
{
    haft_rwlock_write_unlock(*l);
    return 0;
}

TEST_FROM_EVERY_CALLER("go:TestMutexMisuse, RWMutex: to unlock what one does not hold is a panic")
{
    silence_panics();
    haft_rwlock l = HAFT_RWLOCK_INIT, *p = &l;
    check_int(haft_catch(unlock_read, &p, NULL), ==, HAFT_EPANIC);
    check_int(haft_catch(unlock_write, &p, NULL), ==, HAFT_EPANIC);
    check_int(haft_rwlock_read(&l), ==, 0);
    check_int(haft_catch(unlock_write, &p, NULL), ==, HAFT_EPANIC);
    haft_rwlock_read_unlock(&l);
    check_int(haft_rwlock_write(&l), ==, 0);
    check_int(haft_catch(unlock_read, &p, NULL), ==, HAFT_EPANIC);
    haft_handle h = haft_spawn(unlock_write, &p);
    check_int(haft_join(&h), ==, HAFT_EPANIC);
    haft_rwlock_write_unlock(&l);
}

struct ending {
    haft_rwlock *l;
    bool writes, panics, defers;
};

static int lock_and_end(struct ending *e)
{
    check_int(e->writes ? haft_rwlock_write(e->l) : haft_rwlock_read(e->l), ==, 0);
    if (e->defers && e->writes) {
        HAFT_DEFER(haft_rwlock_write_unlock, e->l);
        haft_panic("writing");
    }
    if (e->defers) {
        HAFT_DEFER(haft_rwlock_read_unlock, e->l);
        haft_panic("reading");
    }
    if (e->panics)
        haft_panic("holding");
    return 0;
}

TEST_FROM_EVERY_CALLER("a writer that panics or ends poisons and releases; a reader only releases")
{
    silence_panics();
    for_each_kind(kind)
        for (int i = 0; i < 6; i++) {
            haft_rwlock l = HAFT_RWLOCK_INIT;
            struct ending e = { &l, i % 2 == 0, i / 2 == 1, i / 2 == 2 };
            haft_handle h = haft_spawn(lock_and_end, &e, .kind = kind);
            check_int(haft_join(&h), ==, i / 2 == 0 ? 0 : HAFT_EPANIC);
            int told = e.writes ? HAFT_EPOISONED : 0;
            check_int(haft_rwlock_is_poisoned(&l), ==, told != 0);
            check_int(haft_rwlock_read(&l), ==, told);
            check_int(haft_rwlock_heal(&l), ==, HAFT_EINVAL);
            haft_rwlock_read_unlock(&l);
            check_int(haft_rwlock_try_write(&l), ==, told);
            check_int(haft_rwlock_heal(&l), ==, 0);
            haft_rwlock_write_unlock(&l);
            check_int(haft_rwlock_write(&l), ==, 0);
            haft_rwlock_write_unlock(&l);
        }
}

TEST_FROM_EVERY_CALLER("a caught panic releases what was read inside of the wall, and nothing outside of it")
{
    silence_panics();
    haft_rwlock outer = HAFT_RWLOCK_INIT, inner = HAFT_RWLOCK_INIT;
    check_int(haft_rwlock_read(&outer), ==, 0);
    struct ending e = { &inner, false, true, false };
    check_int(haft_catch(lock_and_end, &e, NULL), ==, HAFT_EPANIC);
    check_int(haft_rwlock_write(&inner), ==, 0);
    haft_rwlock_write_unlock(&inner);
    check_int(haft_rwlock_write(&outer), ==, HAFT_EDEADLK);
    haft_rwlock_read_unlock(&outer);
    check_int(haft_rwlock_write(&outer), ==, 0);
    haft_rwlock_write_unlock(&outer);
}

TEST_FROM_EVERY_CALLER("a job may read under many locks at once")
{
    enum { N = 20 };
    haft_rwlock l[N] = { 0 };
    for (int i = 0; i < N; i++)
        check_int(haft_rwlock_read(&l[i]), ==, 0);
    for (int i = 0; i < N; i++)
        haft_rwlock_read_unlock(&l[(i + 7) % N]);
    for (int i = 0; i < N; i++) {
        check_int(haft_rwlock_write(&l[i]), ==, 0);
        haft_rwlock_write_unlock(&l[i]);
    }
}

static int read_aborted(haft_rwlock **l)
{
    int rc = haft_rwlock_write(*l);
    check(haft_is_aborted());
    haft_rwlock_write_unlock(*l);
    return rc;
}

TEST_FROM_EVERY_CALLER("locking heeds neither abort nor deadline")
{
    haft_rwlock l = HAFT_RWLOCK_INIT, *p = &l;
    HAFT_TIMEOUT(0);
    check_int(haft_rwlock_read(&l), ==, 0);
    haft_handle h = haft_spawn(read_aborted, &p);
    while (waiting(&l) != 1) {
        HAFT_SHIELD;
        (void)haft_yield();
    }
    check_int(haft_abort(h), ==, 0);
    haft_rwlock_read_unlock(&l);
    HAFT_SHIELD;
    check_int(haft_join(&h), ==, 0);
}

/* --- storm -------------------------------------------------------------------------------------------------------- */

static struct {
    int64_t value, copy; /* plain: guarded */
    _Atomic int readers, writers;
    _Atomic size_t written;
} guarded;

static void write_once(struct stormer *s, int rc)
{
    if (rc == HAFT_EPOISONED)
        check_int(haft_rwlock_heal(&the_lock), ==, 0);
    check_int(atomic_fetch_add(&guarded.writers, 1), ==, 0);
    check_int(atomic_load(&guarded.readers), ==, 0);
    guarded.value++;
    if (below(&s->chance, 8) == 0) {
        HAFT_SHIELD;
        (void)haft_yield();
    }
    guarded.copy = guarded.value;
    atomic_fetch_add(&guarded.written, 1);
    atomic_fetch_sub(&guarded.writers, 1);
}

static void read_once(struct stormer *s)
{
    atomic_fetch_add(&guarded.readers, 1);
    check_int(atomic_load(&guarded.writers), ==, 0);
    int64_t value = guarded.value;
    if (below(&s->chance, 8) == 0) {
        HAFT_SHIELD;
        (void)haft_yield();
    }
    check_int(guarded.copy, ==, value);
    atomic_fetch_sub(&guarded.readers, 1);
}

static int storm_job(struct stormer *s)
{
    while (s->turns-- > 0) {
        bool writes = below(&s->chance, 4) == 0, tries = below(&s->chance, 4) == 0;
        int rc = writes  ? tries ? haft_rwlock_try_write(&the_lock) : haft_rwlock_write(&the_lock)
                  : tries ? haft_rwlock_try_read(&the_lock)
                         : haft_rwlock_read(&the_lock);
        if (rc == HAFT_EAGAIN)
            continue;
        check(rc == 0 || rc == HAFT_EPOISONED);
        if (writes)
            write_once(s, rc);
        else
            read_once(s);
        unsigned end = below(&s->chance, 200);
        if (end == 0)
            haft_panic("holding");
        if (end == 1 || haft_checkpoint() != 0)
            return 0; /* holding */
        if (writes)
            haft_rwlock_write_unlock(&the_lock);
        else
            haft_rwlock_read_unlock(&the_lock);
    }
    return 0;
}

TEST_LONG("go:TestRWMutex, storm: readers and writers that panic, end or are aborted never meet, and leave it free")
{
    silence_panics();
    memset(&guarded, 0, sizeof guarded);
    uint64_t chance = choose_seed();
    size_t turns = rounds(20000, 1000000);
    haft_handle hs[CROWD];
    for (size_t done = 0; done < turns;) {
        done += spawn_crowd(hs, storm_job, &chance);
        join_crowd(hs, true, &chance);
        int rc = haft_rwlock_try_write(&the_lock);
        check(rc == 0 || rc == HAFT_EPOISONED);
        haft_rwlock_write_unlock(&the_lock);
    }
    check_int(guarded.value, ==, atomic_load(&guarded.written));
}
