/* SPDX-License-Identifier: MIT
 *
 * The process ends while jobs of every kind wait, in every way in which one can: it ends at once, with the status that was
 * asked for, whoever asked; and the checked build names each of them. */
#include <haft/haft.h>

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callers.h"

TEST_FILE_NEEDS_KERNEL("it is about processes");

/* --- what they wait for ------------------------------------------------------------------------------------------- */

struct state {
    int served;
};

static struct {
    HAFT_SENDER(int) tx, full, rendezvous;
    HAFT_RECEIVER(int) rx, not_read, nobody;
    HAFT_BROADCAST_SENDER(int) broadcast;
    HAFT_BROADCAST_RECEIVER(int) listener;
    HAFT_WATCH_SENDER(int) watch;
    HAFT_WATCH_RECEIVER(int) watcher;
    HAFT_ACTOR(struct state) actor;
    HAFT_CLIENT(struct state) client;
    haft_mutex held, free;
    haft_cond cond;
    haft_rwlock read, written;
    haft_sem sem;
    haft_notify notify;
    haft_event event;
    haft_barrier barrier;
    haft_waitgroup waitgroup;
    haft_once once;
    haft_token token;
    haft_tracker tracker;
    haft_handle joined[KINDS], watched;
} on = { .sem = HAFT_SEM_INIT(0), .barrier = HAFT_BARRIER_INIT(1000) };

static _Atomic int waiting;
static int value;

static int serves_for_ever(struct state *s)
{
    (void)s;
    return haft_park();
}

static int is_never_done(void)
{
    return haft_park();
}

static int in_recv(void)
{
    return haft_recv(&on.rx, &value);
}

static int in_recv_many(void)
{
    int values[2];
    size_t n;
    return haft_recv_many(&on.rx, values, 2, &n);
}

static int in_send(void)
{
    return haft_send(&on.full, &value);
}

static int in_reserve(void)
{
    HAFT_SLOT(int) slot;
    return haft_reserve(&on.full, &slot);
}

static int in_rendezvous(void)
{
    return haft_send(&on.rendezvous, &value);
}

static int in_broadcast(void)
{
    uint64_t missed;
    return haft_broadcast_recv(&on.listener, &value, &missed);
}

static int in_watch(void)
{
    return haft_watch_changed(&on.watcher);
}

static int in_select(void)
{
    return haft_select(HAFT_ON_RECV(&on.rx, &value), HAFT_ON_SEND(&on.full, &value), HAFT_ON_SEM(&on.sem, 1),
                       HAFT_ON_NOTIFY(&on.notify), HAFT_ON_EVENT(&on.event), HAFT_ON_TOKEN(&on.token),
                       HAFT_ON_TIMEOUT(3600 * HAFT_S));
}

static int in_lock(void)
{
    return haft_mutex_lock(&on.held);
}

static int in_lock_abortable(void)
{
    return haft_mutex_lock_abortable(&on.held);
}

static int in_cond(void)
{
    haft_mutex own = HAFT_MUTEX_INIT;
    check_int(haft_mutex_lock(&own), ==, 0);
    return haft_cond_wait(&on.cond, &own);
}

static int in_read(void)
{
    return haft_rwlock_read(&on.written);
}

static int in_write(void)
{
    return haft_rwlock_write(&on.read);
}

static int in_acquire(void)
{
    return haft_sem_acquire(&on.sem);
}

static int in_notify(void)
{
    return haft_notify_wait(&on.notify);
}

static int in_event(void)
{
    return haft_event_wait(&on.event);
}

static int in_barrier(void)
{
    return haft_barrier_wait(&on.barrier, NULL);
}

static int in_waitgroup(void)
{
    return haft_waitgroup_wait(&on.waitgroup);
}

static int in_once(void)
{
    return haft_once_call(&on.once, is_never_done);
}

static int in_token(void)
{
    return haft_token_wait(&on.token);
}

static int in_tracker(void)
{
    return haft_tracker_wait(&on.tracker);
}

static int in_tick(void)
{
    haft_ticker ticker;
    check_int(haft_ticker_start(&ticker, 3600 * HAFT_S), ==, 0);
    check_int(haft_ticker_wait(&ticker), ==, 0); /* the first is at once */
    return haft_ticker_wait(&ticker);
}

static int in_sleep(void)
{
    return haft_sleep(3600 * HAFT_S);
}

static int in_park(void)
{
    return haft_park();
}

static int in_park_in_time(void)
{
    HAFT_TIMEOUT(3600 * HAFT_S);
    return haft_park();
}

static int in_join(void)
{
    haft_handle h = haft_spawn(is_never_done, HAFT_NO_FRAME, .name = "child");
    return haft_join(&h);
}

static int in_wait(void)
{
    return haft_wait(on.watched);
}

static int in_drop(void)
{
    HAFT_SHIELD;
    haft_handle h = haft_spawn(is_never_done, HAFT_NO_FRAME, .name = "child");
    HAFT_DEFER(haft_drop, &h);
    return haft_park();
}

static int in_scope(void)
{
    HAFT_SCOPE(s);
    return haft_scope_spawn(s, is_never_done, HAFT_NO_FRAME, .name = "child");
}

static int in_set(void)
{
    haft_set *set = haft_set_new(.limit = 1);
    HAFT_DEFER(haft_set_drop, &set);
    check_int(haft_set_spawn(set, is_never_done, HAFT_NO_FRAME, .name = "child"), ==, 0);
    return haft_set_next(set, HAFT_NO_FRAME, NULL);
}

static int in_all(void)
{
    int rcs[2];
    return haft_all(rcs, HAFT_ARM(is_never_done, HAFT_NO_FRAME, .name = "child"),
                    HAFT_ARM(is_never_done, HAFT_NO_FRAME, .name = "child"));
}

static int parks_once(int *n)
{
    return *n == 0 ? haft_park() : 0;
}

static int in_both(void)
{
    int a = 0, b = 1;
    return haft_both(parks_once, &a, parks_once, &b);
}

static int in_call(void)
{
    return haft_call(&on.client, serves_for_ever, HAFT_NO_FRAME);
}

static int in_cast(void)
{
    return haft_cast(&on.client, serves_for_ever, HAFT_NO_FRAME); /* the mailbox is full */
}

static int in_blocking(void)
{
    return haft_blocking(is_never_done, HAFT_NO_FRAME);
}

#define WAITER(name)                                                                                                   \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
static const struct waiter {
    const char *name;
    int (*body)(void);
} waiters[] = {
    WAITER(in_recv),      WAITER(in_recv_many), WAITER(in_send),      WAITER(in_reserve), WAITER(in_rendezvous),
    WAITER(in_broadcast), WAITER(in_watch),     WAITER(in_select),    WAITER(in_lock),    WAITER(in_lock_abortable),
    WAITER(in_cond),      WAITER(in_read),      WAITER(in_write),     WAITER(in_acquire), WAITER(in_notify),
    WAITER(in_event),     WAITER(in_barrier),   WAITER(in_waitgroup), WAITER(in_once),    WAITER(in_token),
    WAITER(in_tracker),   WAITER(in_tick),      WAITER(in_sleep),     WAITER(in_park),    WAITER(in_park_in_time),
    WAITER(in_join),      WAITER(in_wait),      WAITER(in_drop),      WAITER(in_scope),   WAITER(in_set),
    WAITER(in_all),       WAITER(in_both),      WAITER(in_call),      WAITER(in_cast),    WAITER(in_blocking),
};
enum { WAITERS = sizeof waiters / sizeof *waiters };

/* --- the child that ends ------------------------------------------------------------------------------------------ */

struct wait {
    const struct waiter *waiter;
};

static int waits(const struct wait *w)
{
    atomic_fetch_add(&waiting, 1);
    int rc = w->waiter->body();
    check_msg(false, "%s returned %d", w->waiter->name, rc);
    return rc;
}

static void take_everything(void)
{
    check_int(haft_channel(&on.tx, &on.rx, 1), ==, 0);
    check_int(haft_channel(&on.full, &on.not_read, 1), ==, 0);
    check_int(haft_send(&on.full, &value), ==, 0);
    check_int(haft_channel(&on.rendezvous, &on.nobody, 0), ==, 0);
    check_int(haft_broadcast(&on.broadcast, &on.listener, 2), ==, 0);
    check_int(haft_watch(&on.watch, &on.watcher, &value), ==, 0);
    check_int(haft_actor_start(&on.actor, &(struct state){ 0 }, .capacity = 1), ==, 0);
    check_int(haft_client_of(&on.actor, &on.client), ==, 0);
    check_int(haft_mutex_lock(&on.held), ==, 0);
    check_int(haft_rwlock_read(&on.read), ==, 0);
    check_int(haft_rwlock_write(&on.written), ==, 0);
    haft_waitgroup_add(&on.waitgroup, 1);
    haft_tracker_enter(&on.tracker);
    on.watched = haft_spawn(is_never_done, HAFT_NO_FRAME, .name = "child");
    check_int(haft_error(on.watched), ==, 0);
    /* One that is served, and one that fills the mailbox. */
    check_int(haft_cast(&on.client, serves_for_ever, HAFT_NO_FRAME), ==, 0);
    check_int(haft_cast(&on.client, serves_for_ever, HAFT_NO_FRAME), ==, 0);
}

static int ends_the_process(void)
{
    /* LeakSanitizer does not find what only the stack of a task points to. */
    if (CALLERS_SANITIZED)
        _exit(5);
    exit(5);
}

static _Noreturn void wait_and_end(int ender)
{
    take_everything();
    for_each_kind(kind)
        for (int i = 0; i < WAITERS; i++) {
            haft_handle h = haft_spawn(waits, (&(struct wait){ &waiters[i] }), .kind = kind, .name = waiters[i].name);
            check_int(haft_error(h), ==, 0);
        }
    while (atomic_load(&waiting) < KINDS * WAITERS)
        poll(NULL, 0, 1);
    poll(NULL, 0, 10); /* most wait by now; what has not come so far does not change what is expected */
    if (ender < KINDS) {
        haft_handle h = haft_spawn(ends_the_process, HAFT_NO_FRAME, .kind = (haft_kind)ender, .name = "ender");
        haft_join(&h);
    }
    ends_the_process();
    abort();
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

/* By a task, a thread, a blocking call, or the main thread. */
static void the_process_ends(int ender)
{
    int fds[2], status = 0;
    check_int(pipe(fds), ==, 0);
    pid_t child = fork(); /* before haft is used: the child is a program of its own */
    check_int(child, >=, 0);
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        wait_and_end(ender);
    }
    close(fds[1]);
    static char text[1 << 16];
    size_t length = 0;
    for (ssize_t n; (n = read(fds[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)n;
    text[length] = '\0';
    close(fds[0]);
    check_int(waitpid(child, &status, 0), ==, child);
    check_msg(WIFEXITED(status) && WEXITSTATUS(status) == 5, "status %x: %s", (unsigned)status, text);
#ifdef HAFT_CHECKED
    for (int i = 0; i < WAITERS && !CALLERS_SANITIZED; i++) {
        char line[128];
        snprintf(line, sizeof line, "haft: still alive at exit: %s, spawned at ", waiters[i].name);
        check_msg(count(text, line) == KINDS, "%s was named %zu times", waiters[i].name, count(text, line));
    }
#else
    check_uint(count(text, "haft: "), ==, 0);
#endif
}

TEST("the process ends while jobs wait in every way there is, by its main thread")
{
    the_process_ends(KINDS);
}

TEST("the process ends while jobs wait in every way there is, by one of its jobs")
{
    for_each_kind(kind)
        the_process_ends((int)kind);
}
