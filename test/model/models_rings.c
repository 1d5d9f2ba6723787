/* SPDX-License-Identifier: MIT
 *
 * Rings of waits: whoever closes one is refused, exactly he, and nobody is who closes none. Calls of actors note their
 * waits in every build. Locks do so in the checked build only, so they are compiled in once more, as that build has them
 * (checked_mutex.c, checked_rwlock.c); all other models are of the locks that note nothing. */
#include "world.h"

int checked_mutex_lock(haft_mutex *m);
void checked_mutex_unlock(haft_mutex *m);
int checked_rwlock_read(haft_rwlock *l);
void checked_rwlock_read_unlock(haft_rwlock *l);
int checked_rwlock_write(haft_rwlock *l);
void checked_rwlock_write_unlock(haft_rwlock *l);

WORLD_RUNTIME(runtime);

static haft_mutex mutexes[3] = { HAFT_MUTEX_INIT, HAFT_MUTEX_INIT, HAFT_MUTEX_INIT };
static haft_rwlock rwlock = HAFT_RWLOCK_INIT;
static haft__atomic(uint32_t) holding, refused, succeeded, done;
static int guarded[3];

/* Asleep, so that nobody's turn is tried in vain. Orders nothing. */
static void wait_for(haft__atomic(uint32_t) *word, uint32_t n)
{
    uint32_t now;
    while ((now = haft__load_relaxed(word)) != n)
        model_sleep((volatile uint32_t *)word, now, INT64_MAX);
}

static void count(haft__atomic(uint32_t) *word)
{
    haft__fetch_add_relaxed(word, 1);
    model_wake((volatile uint32_t *)word, 3);
}

static void wait_until_all_hold(uint32_t n)
{
    count(&holding);
    wait_for(&holding, n);
}

static void note(int rc)
{
    model_check(rc == 0 || rc == HAFT_EDEADLK);
    haft__fetch_add_relaxed(rc == 0 ? &succeeded : &refused, 1);
}

/* --- mutexes ----------------------------------------------------------------------------------------------------------------- */

/* By its flags: see mutex.c. */
static bool is_waited_for(const haft_mutex *m)
{
    return (haft__load_relaxed((const haft__atomic(uint32_t) *)(const void *)&m->state_) & 2) != 0;
}

static void hold_and_want_next(int i, int n)
{
    int next = (i + 1) % n;
    model_check(checked_mutex_lock(&mutexes[i]) == 0);
    wait_until_all_hold((uint32_t)n);
    if (n == 3 && i != 0) { /* once the first one waits */
        while (!is_waited_for(&mutexes[1]))
            model_spin();
        model_calm(false);
    }
    int rc = checked_mutex_lock(&mutexes[next]);
    note(rc);
    if (rc == 0) {
        guarded[next]++;
        checked_mutex_unlock(&mutexes[next]);
    }
    guarded[i]++;
    checked_mutex_unlock(&mutexes[i]);
}

static void one_of_two(void *argument)
{
    hold_and_want_next((int)(intptr_t)argument, 2);
}

static void one_of_three(void *argument)
{
    hold_and_want_next((int)(intptr_t)argument, 3);
}

MODEL("ring of locks: of two who each hold a mutex and lock the other's exactly one is refused", .is_large = true)
{
    int other = model_start(one_of_two, (void *)1);
    one_of_two((void *)0);
    model_join(other);
    model_check(haft__load_relaxed(&refused) == 1 && haft__load_relaxed(&succeeded) == 1);
}

MODEL("ring of locks: of three exactly one is refused", .is_large = true, .stale = -1)
{
    model_calm(true);
    int one = model_start(one_of_three, (void *)1), two = model_start(one_of_three, (void *)2);
    one_of_three((void *)0);
    model_join(one);
    model_join(two);
    model_check(haft__load_relaxed(&refused) == 1 && haft__load_relaxed(&succeeded) == 2);
}

static void lock_in_turn(void *argument)
{
    (void)argument;
    model_check(checked_mutex_lock(&mutexes[1]) == 0);
    guarded[1]++;
    checked_mutex_unlock(&mutexes[1]);
    wait_for(&done, 1);
    model_check(checked_mutex_lock(&mutexes[1]) == 0);
    model_check(checked_mutex_lock(&mutexes[0]) == 0);
    guarded[0]++;
    checked_mutex_unlock(&mutexes[0]);
    checked_mutex_unlock(&mutexes[1]);
}

MODEL("ring of locks: nobody is refused for what another has waited for and let go", .is_large = true)
{
    int other = model_start(lock_in_turn, NULL);
    model_check(checked_mutex_lock(&mutexes[0]) == 0);
    model_check(checked_mutex_lock(&mutexes[1]) == 0);
    guarded[0]++;
    guarded[1]++;
    checked_mutex_unlock(&mutexes[1]);
    count(&done);
    checked_mutex_unlock(&mutexes[0]);
    model_join(other);
}

/* --- readers and writers ------------------------------------------------------------------------------------------------------ */

static void read_and_want_mutex(void *argument)
{
    (void)argument;
    model_check(checked_rwlock_read(&rwlock) == 0);
    wait_until_all_hold(2);
    int rc = checked_mutex_lock(&mutexes[0]);
    note(rc);
    if (rc == 0)
        checked_mutex_unlock(&mutexes[0]);
    checked_rwlock_read_unlock(&rwlock);
}

static void write_and_want_mutex(void *argument)
{
    (void)argument;
    model_check(checked_rwlock_write(&rwlock) == 0);
    wait_until_all_hold(2);
    int rc = checked_mutex_lock(&mutexes[0]);
    note(rc);
    if (rc == 0)
        checked_mutex_unlock(&mutexes[0]);
    guarded[0]++;
    checked_rwlock_write_unlock(&rwlock);
}

static void hold_mutex_and_write(void)
{
    model_check(checked_mutex_lock(&mutexes[0]) == 0);
    wait_until_all_hold(2);
    int rc = checked_rwlock_write(&rwlock);
    note(rc);
    if (rc == 0) {
        guarded[0]++;
        checked_rwlock_write_unlock(&rwlock);
    }
    checked_mutex_unlock(&mutexes[0]);
}

MODEL("ring of locks: one reads and wants the mutex of one who wants to write", .is_large = true)
{
    int other = model_start(read_and_want_mutex, NULL);
    hold_mutex_and_write();
    model_join(other);
    model_check(haft__load_relaxed(&refused) == 1 && haft__load_relaxed(&succeeded) == 1);
}

MODEL("ring of locks: one writes and wants the mutex of one who wants to write", .is_large = true)
{
    int other = model_start(write_and_want_mutex, NULL);
    hold_mutex_and_write();
    model_join(other);
    model_check(haft__load_relaxed(&refused) == 1 && haft__load_relaxed(&succeeded) == 1);
}

/* --- actors ------------------------------------------------------------------------------------------------------------------ */

struct state {
    int served;
};
struct request {
    int to;
};
typedef HAFT_ACTOR(struct state) owner;
typedef HAFT_CLIENT(struct state) client;

static owner actors[2];
static client clients[2];

static int serve(struct state *s, struct request *r)
{
    s->served++;
    return 7 + r->to - r->to;
}

/* Once both are here. */
static int call_other(struct state *s, struct request *r)
{
    wait_until_all_hold(2);
    model_calm(false);
    int rc = haft_call(&clients[r->to], serve, r);
    model_check(rc == 7 || rc == HAFT_EDEADLK);
    haft__fetch_add_relaxed(rc == 7 ? &succeeded : &refused, 1);
    s->served++;
    count(&done);
    return 0;
}

MODEL("ring of calls: of two actors that call each other at once one is refused, and nobody who calls later",
      .is_large = true, .stale = -1)
{
    struct state s[2] = { { 0 }, { 0 } };
    model_calm(true);
    for (int i = 0; i < 2; i++)
        model_check(haft_actor_start(&actors[i], &s[i], .kind = HAFT_THREAD, .runtime = &runtime, .capacity = 1) == 0);
    for (int i = 0; i < 2; i++)
        model_check(haft_client_of(&actors[i], &clients[i]) == 0);
    for (int i = 0; i < 2; i++) {
        struct request r = { 1 - i };
        model_check(haft_cast(&actors[i], call_other, &r) == 0);
    }
    wait_for(&done, 2);
    model_calm(true);
    for (int i = 0; i < 2; i++)
        model_check(haft_actor_join(&actors[i], &s[i]) == 0);
    for (int i = 0; i < 2; i++)
        haft_client_drop(&clients[i]);
    model_check((uint32_t)(s[0].served + s[1].served) == 2 + haft__load_relaxed(&succeeded));
    model_check(haft__load_relaxed(&refused) <= 1);
    model_join_all();
}
