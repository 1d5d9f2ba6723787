/* SPDX-License-Identifier: MIT
 *
 * The child of a fork holds one thread of many and the locks of all. Every function that the library exports is called
 * there once, on objects that the parent is using: none waits, crashes, or touches what it cannot know. The list is
 * compared with the names in this program, so that none is forgotten: a new function needs a line below. Over 600 lines,
 * because there are many.
 *
 *     GIVES     an int: HAFT_EFORKED, whatever state the parent was in
 *     LOOKS     touches nothing that others have: the expression is true
 *     MAY_END   has no error to give, or looks under a lock: returns, or ends the child with a message */
#include <haft/haft.h>

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callers.h"

TEST_FILE_NEEDS_KERNEL("it is about processes");

/* --- the list ----------------------------------------------------------------------------------------------------- */

enum must { MUST_GIVE, MUST_LOOK, MUST_RETURN_OR_END };

struct line {
    const char *function;
    enum must must;
    int (*call)(void);
    struct line *next;
};
static struct line *lines;

#define LINE(function_, must_, ...)                                                                                    \
    static int child_##function_(void)                                                                                 \
    {                                                                                                                  \
        (void)function_; /* there is one of that name */                                                               \
        __VA_ARGS__;                                                                                                   \
    }                                                                                                                  \
    __attribute__((constructor)) static void enter_##function_(void)                                                   \
    {                                                                                                                  \
        static struct line line = { #function_, must_, child_##function_, NULL };                                      \
        line.next = lines;                                                                                             \
        lines = &line;                                                                                                 \
    }                                                                                                                  \
    struct line
#define GIVES(function, ...) LINE(function, MUST_GIVE, return (__VA_ARGS__))
#define LOOKS(function, ...) LINE(function, MUST_LOOK, return (__VA_ARGS__) ? 1 : 0)
#define MAY_END(function, ...) LINE(function, MUST_RETURN_OR_END, __VA_ARGS__; return 1)

/* --- what there was before the fork ------------------------------------------------------------------------------- */

struct state {
    int served;
};

struct frame {
    int value;
};

static struct {
    haft_handle parked, ended;
    haft_set *set;
    haft_scope *scope;
    haft_supervisor *supervisor;
    haft_runtime *runtime;
    HAFT_SENDER(int) tx;
    HAFT_RECEIVER(int) rx;
    HAFT_WEAK_SENDER(int) weak;
    HAFT_SLOT(int) slot;
    HAFT_BROADCAST_SENDER(int) broadcast;
    HAFT_BROADCAST_RECEIVER(int) listener;
    HAFT_WATCH_SENDER(int) watch;
    HAFT_WATCH_RECEIVER(int) watcher;
    HAFT_ACTOR(struct state) actor;
    HAFT_CLIENT(struct state) client;
    HAFT_WEAK_CLIENT(struct state) weak_client;
    HAFT_POOL(struct state) pool;
    haft_mutex mutex;
    haft_cond cond;
    haft_rwlock rwlock;
    haft_sem sem;
    haft_permit permit;
    haft_notify notify;
    haft_event event;
    haft_barrier barrier;
    haft_waitgroup waitgroup;
    haft_once once;
    haft_token token, token_below;
    haft_token_callback callback;
    haft_tracker tracker;
    haft_shared shared;
    haft_shared_weak weak_shared;
    haft_ticker ticker;
} b = { .sem = HAFT_SEM_INIT(2), .barrier = HAFT_BARRIER_INIT(2) };

/* Of the child. */
static HAFT_SENDER(int) tx;
static HAFT_RECEIVER(int) rx;
static HAFT_WEAK_SENDER(int) weak;
static HAFT_SLOT(int) slot;
static HAFT_BROADCAST_SENDER(int) broadcast;
static HAFT_BROADCAST_RECEIVER(int) listener;
static HAFT_WATCH_SENDER(int) watch;
static HAFT_WATCH_RECEIVER(int) watcher;
static HAFT_ACTOR(struct state) actor;
static HAFT_CLIENT(struct state) client;
static HAFT_WEAK_CLIENT(struct state) weak_client;
static HAFT_POOL(struct state) pool;
static haft_actor_statistics stats;
static haft_permit permit;
static haft_shared shared;
static haft_shared_weak weak_shared;
static haft_token token;
static haft_token_callback callback;
static haft_ticker ticker;
static haft_outcome out;
static haft_panic_info panic;
static haft_runtime_metrics metrics;
static haft_block block;
static haft_scope scope;
static haft_set *set;
static haft_supervisor *supervisor;
static haft_child_info child_info;
static const haft_local local = HAFT_LOCAL_INIT(NULL);
static struct state state;
static struct frame frame;
static int value, rcs[2];
static size_t n;
static uint64_t missed;
static bool is_leader;

static int serves(struct state *s, struct frame *f)
{
    s->served += f->value;
    return 0;
}

static int uses(struct frame *f)
{
    return f->value;
}

static void ignores(void *argument)
{
    (void)argument;
}

static int joins_several(void)
{
    haft_handle hs[] = { b.parked, b.ended };
    return haft_join_all(hs, 2, NULL);
}

static int joins_several_or_aborts(void)
{
    haft_handle hs[] = { b.parked, b.ended };
    return haft_join_all_or_abort(hs, 2, NULL);
}

static int joins_what_it_spawns(haft_handle h)
{
    int error = haft_error(h), rc = haft_join(&h);
    return error == rc ? rc : 1;
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

GIVES(haft_spawn_raw, joins_what_it_spawns(haft_spawn(return_nothing)));
GIVES(haft_spawn_blocking_raw, joins_what_it_spawns(haft_spawn_blocking(return_nothing)));
GIVES(haft_blocking_raw, haft_blocking(return_nothing, HAFT_NO_FRAME));
GIVES(haft_join_raw, haft_join(&b.ended));
GIVES(haft_try_join_raw, haft_try_join(&b.ended));
GIVES(haft_join_outcome_raw, haft_join_outcome(&b.parked, HAFT_NO_FRAME, &out));
GIVES(haft_join_all, joins_several());
GIVES(haft_join_all_or_abort, joins_several_or_aborts());
GIVES(haft_detach, haft_detach(&b.ended));
MAY_END(haft_drop, haft_drop(&b.parked));
GIVES(haft_wait, haft_wait(b.parked));
GIVES(haft_abort, haft_abort(b.parked));
GIVES(haft_abort_by, haft_abort_by(haft_abort_handle_of(b.parked)));
GIVES(haft_unpark, haft_unpark(b.parked));
GIVES(haft_park, haft_park());
GIVES(haft_yield, haft_yield());
GIVES(haft_checkpoint, haft_checkpoint());
LOOKS(haft_abort_handle_of, haft_abort_handle_of(b.parked).slot_ != NULL);
LOOKS(haft_is_finished, haft_is_finished(b.ended) && !haft_is_finished(b.parked));
LOOKS(haft_id, haft_id(b.parked) != 0);
LOOKS(haft_name, strcmp(haft_name(b.parked), "parked") == 0);
LOOKS(haft_self, haft_is_null(haft_self()));
LOOKS(haft_is_aborted, !haft_is_aborted());

/* --- panics, blocks, time, codes ---------------------------------------------------------------------------------- */

MAY_END(haft_panic_raw, haft_panic("in the child"));
MAY_END(haft_panic_with_raw, haft_panic_with(&frame, ignores));
MAY_END(haft_panic_resume, haft_panic_resume(&panic));
LOOKS(haft_panic_drop, (haft_panic_drop(&panic), true));
LOOKS(haft_on_panic, (haft_on_panic(ignore_panic), true));
GIVES(haft_catch_raw, haft_catch(return_nothing, HAFT_NO_FRAME, &panic));
MAY_END(haft_defer_raw, haft_defer_raw(&block, ignores, NULL));
MAY_END(haft_timeout_raw, haft_timeout_raw(&block, 1));
MAY_END(haft_shield_raw, haft_shield_raw(&block));
LOOKS(haft_block_end_, (haft_block_end_(&block), true));
GIVES(haft_sleep, haft_sleep(3600 * HAFT_S));
LOOKS(haft_now, haft_now() > 0);
LOOKS(haft_time_left, haft_time_left() == INT64_MAX);
GIVES(haft_ticker_start_raw, haft_ticker_start(&ticker, HAFT_S));
GIVES(haft_ticker_wait, haft_ticker_wait(&b.ticker));
LOOKS(haft_ticker_drop, (haft_ticker_drop(&b.ticker), true));
LOOKS(haft_strerror, *haft_strerror(HAFT_EFORKED) != '\0');
LOOKS(haft_errname, strcmp(haft_errname(HAFT_EFORKED), "HAFT_EFORKED") == 0);
LOOKS(haft_errno, (errno = 7, errno == 7));
LOOKS(haft_drop_free, (haft_drop_free(&(void *){ NULL }), true));
GIVES(haft_local_set, haft_local_set(&local, &value));
LOOKS(haft_local_get, haft_local_get(&local) == NULL);

/* --- runtimes ----------------------------------------------------------------------------------------------------- */

GIVES(haft_run_raw, haft_run(return_nothing, HAFT_NO_FRAME, .workers = 1));
LOOKS(haft_runtime_new_raw, haft_runtime_new(.workers = 1) == NULL);
GIVES(haft_runtime_drop, haft_runtime_drop(&b.runtime));
GIVES(haft_runtime_stop, haft_runtime_stop());
GIVES(haft_overflow_handler, haft_overflow_handler(false));
LOOKS(haft_cpu_count, haft_cpu_count() > 0);
GIVES(haft_metrics_raw, haft_metrics(b.runtime, &metrics));

/* --- groups ------------------------------------------------------------------------------------------------------- */

MAY_END(haft_scope_open_raw, haft_scope_open_raw(&scope, &(haft_scope_options){ .size_ = sizeof(haft_scope_options) }));
GIVES(haft_scope_spawn_raw, haft_scope_spawn(b.scope, return_nothing));
GIVES(haft_scope_join, haft_scope_join(b.scope));
MAY_END(haft_scope_abort, haft_scope_abort(b.scope));
GIVES(haft_scope_abort_on, haft_scope_abort_on(b.scope, &b.token));
MAY_END(haft_scope_end_, haft_scope_end_(b.scope));
GIVES(haft_all_raw, haft_all(rcs, HAFT_ARM(uses, &frame), HAFT_ARM(uses, &frame)));
GIVES(haft_all_or_abort_raw, haft_all_or_abort(rcs, HAFT_ARM(uses, &frame), HAFT_ARM(uses, &frame)));
GIVES(haft_both_raw, haft_both(uses, &frame, uses, &frame));
GIVES(haft_for_each_raw, haft_for_each(uses, (&frame), 1));
LOOKS(haft_set_new_raw, (set = haft_set_new()) == NULL);
GIVES(haft_set_spawn_raw, haft_set_spawn(b.set, return_nothing));
GIVES(haft_set_add, haft_set_add(b.set, &b.ended));
GIVES(haft_set_next_raw, haft_set_next(b.set, HAFT_NO_FRAME, NULL));
GIVES(haft_set_try_next_raw, haft_set_try_next(b.set, HAFT_NO_FRAME, NULL));
GIVES(haft_set_next_outcome_raw, haft_set_next_outcome(b.set, HAFT_NO_FRAME, &out));
MAY_END(haft_set_abort_all, haft_set_abort_all(b.set));
MAY_END(haft_set_detach_all, haft_set_detach_all(b.set));
MAY_END(haft_set_shutdown, haft_set_shutdown(b.set));
MAY_END(haft_set_len, haft_set_len(b.set));
MAY_END(haft_set_drop, haft_set_drop(&b.set));

/* --- channels ----------------------------------------------------------------------------------------------------- */

GIVES(haft_channel_raw, haft_channel(&tx, &rx, 4));
GIVES(haft_channel_unbounded_raw, haft_channel_unbounded(&tx, &rx));
GIVES(haft_oneshot_raw, haft_oneshot(&tx, &rx));
GIVES(haft_sender_clone_raw, haft_sender_clone(&b.tx, &tx));
GIVES(haft_receiver_clone_raw, haft_receiver_clone(&b.rx, &rx));
MAY_END(haft_sender_drop, haft_sender_drop(&b.tx));
MAY_END(haft_receiver_drop, haft_receiver_drop(&b.rx));
GIVES(haft_sender_downgrade_raw, haft_sender_downgrade(&b.tx, &weak));
GIVES(haft_sender_upgrade_raw, haft_sender_upgrade(&b.weak, &tx));
MAY_END(haft_weak_sender_drop, haft_weak_sender_drop(&b.weak));
MAY_END(haft_channel_close_raw, haft_channel_close(&b.tx));
MAY_END(haft_channel_is_closed_raw, haft_channel_is_closed(&b.tx));
MAY_END(haft_channel_len_raw, haft_channel_len(&b.tx));
LOOKS(haft_channel_capacity_raw, haft_channel_capacity(&b.tx) == 4);
GIVES(haft_send_raw, haft_send(&b.tx, &value));
GIVES(haft_try_send_raw, haft_try_send(&b.tx, &value));
GIVES(haft_recv_raw, haft_recv(&b.rx, &value));
GIVES(haft_try_recv_raw, haft_try_recv(&b.rx, &value));
GIVES(haft_recv_many_raw, haft_recv_many(&b.rx, &value, 1, &n));
GIVES(haft_reserve_raw, haft_reserve(&b.tx, &slot));
GIVES(haft_try_reserve_raw, haft_try_reserve(&b.tx, &slot));
GIVES(haft_slot_send_raw, haft_slot_send(&b.slot, &value));
MAY_END(haft_slot_drop, haft_slot_drop(&b.slot));
GIVES(haft_broadcast_raw, haft_broadcast(&broadcast, &listener, 4));
GIVES(haft_broadcast_subscribe_raw, haft_broadcast_subscribe(&b.broadcast, &listener));
GIVES(haft_broadcast_sender_clone_raw, haft_broadcast_sender_clone(&b.broadcast, &broadcast));
GIVES(haft_broadcast_send_raw, haft_broadcast_send(&b.broadcast, &value));
GIVES(haft_broadcast_recv_raw, haft_broadcast_recv(&b.listener, &value, &missed));
GIVES(haft_broadcast_try_recv_raw, haft_broadcast_try_recv(&b.listener, &value, &missed));
MAY_END(haft_broadcast_sender_drop, haft_broadcast_sender_drop(&b.broadcast));
MAY_END(haft_broadcast_receiver_drop, haft_broadcast_receiver_drop(&b.listener));
GIVES(haft_watch_raw, haft_watch(&watch, &watcher, &value));
GIVES(haft_watch_subscribe_raw, haft_watch_subscribe(&b.watch, &watcher));
GIVES(haft_watch_set_raw, haft_watch_set(&b.watch, &value));
GIVES(haft_watch_changed_raw, haft_watch_changed(&b.watcher));
GIVES(haft_watch_get_raw, haft_watch_get(&b.watcher, &value));
MAY_END(haft_watch_sender_drop, haft_watch_sender_drop(&b.watch));
MAY_END(haft_watch_receiver_drop, haft_watch_receiver_drop(&b.watcher));
GIVES(haft_select_raw, haft_select(HAFT_ON_RECV(&b.rx, &value), HAFT_ON_SEM(&b.sem, 1), HAFT_ON_JOIN(&b.ended)));

/* --- locks and the like ------------------------------------------------------------------------------------------- */

GIVES(haft_mutex_lock, haft_mutex_lock(&b.mutex));
GIVES(haft_mutex_try_lock, haft_mutex_try_lock(&b.mutex));
GIVES(haft_mutex_lock_abortable, haft_mutex_lock_abortable(&b.mutex));
MAY_END(haft_mutex_unlock, haft_mutex_unlock(&b.mutex));
GIVES(haft_mutex_heal, haft_mutex_heal(&b.mutex));
LOOKS(haft_mutex_is_poisoned, !haft_mutex_is_poisoned(&b.mutex));
GIVES(haft_cond_wait, haft_cond_wait(&b.cond, &b.mutex));
MAY_END(haft_cond_signal, haft_cond_signal(&b.cond));
MAY_END(haft_cond_broadcast, haft_cond_broadcast(&b.cond));
GIVES(haft_rwlock_read, haft_rwlock_read(&b.rwlock));
GIVES(haft_rwlock_write, haft_rwlock_write(&b.rwlock));
GIVES(haft_rwlock_try_read, haft_rwlock_try_read(&b.rwlock));
GIVES(haft_rwlock_try_write, haft_rwlock_try_write(&b.rwlock));
MAY_END(haft_rwlock_read_unlock, haft_rwlock_read_unlock(&b.rwlock));
MAY_END(haft_rwlock_write_unlock, haft_rwlock_write_unlock(&b.rwlock));
GIVES(haft_rwlock_heal, haft_rwlock_heal(&b.rwlock));
MAY_END(haft_rwlock_is_poisoned, haft_rwlock_is_poisoned(&b.rwlock));
GIVES(haft_sem_acquire, haft_sem_acquire(&b.sem));
GIVES(haft_sem_acquire_many, haft_sem_acquire_many(&b.sem, 2));
GIVES(haft_sem_acquire_permit, haft_sem_acquire_permit(&b.sem, 1, &permit));
GIVES(haft_sem_try_acquire, haft_sem_try_acquire(&b.sem));
GIVES(haft_sem_try_acquire_many, haft_sem_try_acquire_many(&b.sem, 2));
GIVES(haft_sem_try_acquire_permit, haft_sem_try_acquire_permit(&b.sem, 1, &permit));
MAY_END(haft_sem_release, haft_sem_release(&b.sem));
MAY_END(haft_sem_release_many, haft_sem_release_many(&b.sem, 2));
MAY_END(haft_sem_close, haft_sem_close(&b.sem));
MAY_END(haft_sem_is_closed, haft_sem_is_closed(&b.sem));
MAY_END(haft_sem_forget, haft_sem_forget(&b.sem, 1));
MAY_END(haft_sem_available, haft_sem_available(&b.sem));
MAY_END(haft_permit_drop, haft_permit_drop(&b.permit));
MAY_END(haft_permit_forget, haft_permit_forget(&b.permit));
GIVES(haft_notify_wait, haft_notify_wait(&b.notify));
MAY_END(haft_notify_one, haft_notify_one(&b.notify));
MAY_END(haft_notify_last, haft_notify_last(&b.notify));
MAY_END(haft_notify_all, haft_notify_all(&b.notify));
GIVES(haft_event_wait, haft_event_wait(&b.event));
MAY_END(haft_event_set, haft_event_set(&b.event));
MAY_END(haft_event_reset, haft_event_reset(&b.event));
MAY_END(haft_event_is_set, haft_event_is_set(&b.event));
GIVES(haft_barrier_wait, haft_barrier_wait(&b.barrier, &is_leader));
MAY_END(haft_waitgroup_add, haft_waitgroup_add(&b.waitgroup, 1));
MAY_END(haft_waitgroup_done, haft_waitgroup_done(&b.waitgroup));
GIVES(haft_waitgroup_wait, haft_waitgroup_wait(&b.waitgroup));
GIVES(haft_once_call_raw, haft_once_call(&b.once, uses, &frame));
LOOKS(haft_once_is_done, !haft_once_is_done(&b.once));
GIVES(haft_tracker_spawn_raw, haft_tracker_spawn(&b.tracker, return_nothing));
GIVES(haft_tracker_wait, haft_tracker_wait(&b.tracker));
MAY_END(haft_tracker_enter, haft_tracker_enter(&b.tracker));
MAY_END(haft_tracker_leave, haft_tracker_leave(&b.tracker));
MAY_END(haft_tracker_close, haft_tracker_close(&b.tracker));
MAY_END(haft_tracker_reopen, haft_tracker_reopen(&b.tracker));
MAY_END(haft_tracker_count, haft_tracker_count(&b.tracker));
MAY_END(haft_tracker_is_empty, haft_tracker_is_empty(&b.tracker));
MAY_END(haft_tracker_is_closed, haft_tracker_is_closed(&b.tracker));
GIVES(haft_token_child, haft_token_child(&b.token, &token));
GIVES(haft_token_wait, haft_token_wait(&b.token));
GIVES(haft_token_on_cancel, haft_token_on_cancel(&b.token, &callback, ignores, NULL));
MAY_END(haft_token_cancel, haft_token_cancel(&b.token));
LOOKS(haft_token_is_cancelled, !haft_token_is_cancelled(&b.token));
MAY_END(haft_token_drop, haft_token_drop(&b.token_below));
MAY_END(haft_token_callback_drop, haft_token_callback_drop(&b.callback));
GIVES(haft_shared_new_raw, haft_shared_new(&shared, &frame));
LOOKS(haft_shared_clone, haft_shared_clone(&b.shared, &shared) == 0);
MAY_END(haft_shared_drop, haft_shared_drop(&b.shared));
LOOKS(haft_shared_downgrade, haft_shared_downgrade(&b.shared, &weak_shared) == 0);
LOOKS(haft_shared_upgrade, haft_shared_upgrade(&b.weak_shared, &shared) == 0);
LOOKS(haft_shared_weak_drop, (haft_shared_weak_drop(&b.weak_shared), true));

/* --- actors ------------------------------------------------------------------------------------------------------- */

GIVES(haft_actor_start_raw, haft_actor_start(&actor, &state));
GIVES(haft_cast_raw, haft_cast(&b.client, serves, &frame));
GIVES(haft_try_cast_raw, haft_try_cast(&b.client, serves, &frame));
GIVES(haft_call_raw, haft_call(&b.client, serves, &frame));
GIVES(haft_call_outcome_raw, haft_call_outcome(&b.client, serves, &frame, &out));
GIVES(haft_actor_after_raw, haft_actor_after(&b.client, 1, serves, &frame));
GIVES(haft_actor_every_raw, haft_actor_every(&b.client, 1, serves, &frame));
GIVES(haft_actor_stop_raw, haft_actor_stop(&b.actor));
GIVES(haft_actor_abort_raw, haft_actor_abort(&b.actor));
GIVES(haft_actor_detach_raw, haft_actor_detach(&b.actor));
GIVES(haft_actor_join_raw, haft_actor_join(&b.actor, &state));
GIVES(haft_actor_join_outcome_raw, haft_actor_join_outcome(&b.actor, &state, &out));
GIVES(haft_actor_drop, haft_actor_drop(&b.actor));
MAY_END(haft_actor_is_alive_raw, haft_actor_is_alive(&b.client));
MAY_END(haft_actor_len_raw, haft_actor_len(&b.client));
GIVES(haft_actor_stats_raw, haft_actor_stats(&b.client, &stats));
GIVES(haft_client_of_raw, haft_client_of(&b.actor, &client));
GIVES(haft_client_downgrade_raw, haft_client_downgrade(&b.client, &weak_client));
GIVES(haft_client_upgrade_raw, haft_client_upgrade(&b.weak_client, &client));
GIVES(haft_client_drop, haft_client_drop(&b.client));
GIVES(haft_weak_client_drop, haft_weak_client_drop(&b.weak_client));
GIVES(haft_pool_start_raw, haft_pool_start(&pool, &state));
GIVES(haft_pool_resize_raw, haft_pool_resize(&b.pool, 3));
GIVES(haft_pool_cast_raw, haft_pool_cast(&b.pool, serves, &frame));
GIVES(haft_pool_try_cast_raw, haft_pool_try_cast(&b.pool, serves, &frame));
GIVES(haft_pool_call_raw, haft_pool_call(&b.pool, serves, &frame));
GIVES(haft_pool_call_outcome_raw, haft_pool_call_outcome(&b.pool, serves, &frame, &out));
GIVES(haft_pool_cast_keyed_raw, haft_pool_cast_keyed(&b.pool, 1, serves, &frame));
GIVES(haft_pool_try_cast_keyed_raw, haft_pool_try_cast_keyed(&b.pool, 1, serves, &frame));
GIVES(haft_pool_call_keyed_raw, haft_pool_call_keyed(&b.pool, 1, serves, &frame));
GIVES(haft_pool_call_keyed_outcome_raw, haft_pool_call_keyed_outcome(&b.pool, 1, serves, &frame, &out));
GIVES(haft_pool_stop_raw, haft_pool_stop(&b.pool));
GIVES(haft_pool_abort_raw, haft_pool_abort(&b.pool));
GIVES(haft_pool_detach_raw, haft_pool_detach(&b.pool));
GIVES(haft_pool_join_raw, haft_pool_join(&b.pool, &state));
GIVES(haft_pool_join_outcome_raw, haft_pool_join_outcome(&b.pool, &state, &out));
GIVES(haft_pool_drop, haft_pool_drop(&b.pool));
GIVES(haft_pool_client_of_raw, haft_pool_client_of(&b.pool, &client));

/* --- supervisors -------------------------------------------------------------------------------------------------- */

LOOKS(haft_supervisor_new_raw, (supervisor = haft_supervisor_new()) == NULL);
GIVES(haft_supervise_raw, haft_supervise(b.supervisor, return_nothing));
GIVES(haft_supervise_actor_raw, haft_supervise_actor(b.supervisor, &actor, &state));
GIVES(haft_supervisor_child, haft_supervisor_child(b.supervisor, "parked", &child_info));
GIVES(haft_supervisor_remove, haft_supervisor_remove(b.supervisor, "parked"));
GIVES(haft_supervisor_stop, haft_supervisor_stop(b.supervisor));
GIVES(haft_supervisor_wait, haft_supervisor_wait(b.supervisor));
GIVES(haft_supervisor_drop, haft_supervisor_drop(&b.supervisor));

/* --- is it whole? ------------------------------------------------------------------------------------------------- */

static bool is_listed(const char *function)
{
    for (const struct line *line = lines; line != NULL; line = line->next)
        if (strcmp(line->function, function) == 0)
            return true;
    return false;
}

/* What the library exports has names of this form, and no others have: see src/haft.map. */
static bool is_exported(const Elf64_Sym *symbol, const char *name)
{
    return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && ELF64_ST_BIND(symbol->st_info) == STB_GLOBAL &&
           ELF64_ST_VISIBILITY(symbol->st_other) == STV_DEFAULT && symbol->st_shndx != SHN_UNDEF &&
           strncmp(name, "haft_", 5) == 0 && name[5] != '_';
}

TEST("every function that the library exports has its line here")
{
    int fd = open("/proc/self/exe", O_RDONLY);
    struct stat status;
    check_int(fd, >=, 0);
    check_int(fstat(fd, &status), ==, 0);
    const char *file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    check_ptr(file, !=, MAP_FAILED);
    close(fd);
    const Elf64_Ehdr *header = (const void *)file;
    check_int(memcmp(header->e_ident, ELFMAG, SELFMAG), ==, 0);
    const Elf64_Shdr *sections = (const void *)(file + header->e_shoff);
    size_t functions = 0, missing = 0;
    for (size_t i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *symbols = (const void *)(file + sections[i].sh_offset);
        const char *names = file + sections[sections[i].sh_link].sh_offset;
        for (size_t k = 0; k < sections[i].sh_size / sizeof *symbols; k++) {
            const char *name = names + symbols[k].st_name;
            if (!is_exported(&symbols[k], name))
                continue;
            functions++;
            if (is_listed(name))
                continue;
            printf("%s\n", name);
            missing++;
        }
    }
    if (functions == 0)
        skip("this program has no names");
    munmap((void *)(uintptr_t)file, (size_t)status.st_size);
    fflush(stdout);
    check_msg(missing == 0, "%zu are exported and have none: say above what they do in the child of a fork", missing);
}

/* --- in the child ------------------------------------------------------------------------------------------------- */

static _Atomic bool stop;

/* These keep the locks and lists of all objects busy, so that forks find them in any state. */
static int keeps_jobs_busy(void)
{
    while (!atomic_load(&stop)) {
        haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .name = "short");
        check_int(haft_join(&h), ==, 0);
        check_uint(haft_set_len(b.set), ==, 1);
        haft_tracker_enter(&b.tracker);
        haft_tracker_leave(&b.tracker);
        haft_token below;
        check_int(haft_token_child(&b.token, &below), ==, 0);
        haft_token_drop(&below);
        check_int(haft_call(&b.client, serves, (&(struct frame){ 1 })), ==, 0);
        check_int(haft_pool_call_keyed(&b.pool, 1, serves, (&(struct frame){ 1 })), ==, 0);
    }
    return 0;
}

static int keeps_channels_busy(void)
{
    uint64_t lost;
    int one = 1;
    while (!atomic_load(&stop)) {
        check_int(haft_send(&b.tx, &one), ==, 0);
        check_int(haft_recv(&b.rx, &one), ==, 0);
        check_int(haft_broadcast_send(&b.broadcast, &one), >=, 0);
        check_int(haft_broadcast_recv(&b.listener, &one, &lost), ==, 0);
        check_int(haft_watch_set(&b.watch, &one), ==, 0);
        check_int(haft_watch_get(&b.watcher, &one), ==, 0);
        check_int(haft_yield(), ==, 0);
    }
    return 0;
}

static int keeps_locks_busy(void)
{
    while (!atomic_load(&stop)) {
        check_int(haft_mutex_lock(&b.mutex), ==, 0);
        haft_mutex_unlock(&b.mutex);
        check_int(haft_rwlock_write(&b.rwlock), ==, 0);
        haft_rwlock_write_unlock(&b.rwlock);
        check_int(haft_sem_acquire(&b.sem), ==, 0);
        haft_sem_release(&b.sem);
        haft_notify_all(&b.notify);
        haft_event_set(&b.event);
        haft_event_reset(&b.event);
        haft_waitgroup_add(&b.waitgroup, 1);
        haft_waitgroup_done(&b.waitgroup);
        haft_cond_signal(&b.cond);
        check_int(haft_yield(), ==, 0);
    }
    return 0;
}

static void make_all(void)
{
    b.runtime = haft_runtime_new(.workers = 1);
    check_ptr(b.runtime, !=, NULL);
    b.set = haft_set_new();
    check_ptr(b.set, !=, NULL);
    check_int(haft_set_spawn(b.set, wait_for_token), ==, 0);
    b.supervisor = haft_supervisor_new();
    check_int(haft_supervise(b.supervisor, wait_for_token, HAFT_NO_FRAME, .name = "parked"), ==, 0);
    b.parked = haft_spawn(wait_for_token, HAFT_NO_FRAME, .name = "parked");
    b.ended = haft_spawn(return_nothing);
    until(haft_is_finished(b.ended));
    check_int(haft_channel(&b.tx, &b.rx, 4), ==, 0);
    check_int(haft_sender_downgrade(&b.tx, &b.weak), ==, 0);
    check_int(haft_reserve(&b.tx, &b.slot), ==, 0);
    check_int(haft_broadcast(&b.broadcast, &b.listener, 4), ==, 0);
    check_int(haft_watch(&b.watch, &b.watcher, &value), ==, 0);
    check_int(haft_actor_start(&b.actor, &state), ==, 0);
    check_int(haft_client_of(&b.actor, &b.client), ==, 0);
    check_int(haft_client_downgrade(&b.client, &b.weak_client), ==, 0);
    check_int(haft_pool_start(&b.pool, &state, .workers = 2), ==, 0);
    check_int(haft_sem_acquire_permit(&b.sem, 1, &b.permit), ==, 0);
    check_int(haft_token_child(&b.token, &b.token_below), ==, 0);
    check_int(haft_token_on_cancel(&b.token, &b.callback, ignores, NULL), ==, 0);
    check_int(haft_shared_new(&b.shared, &frame), ==, 0);
    check_int(haft_shared_downgrade(&b.shared, &b.weak_shared), ==, 0);
    check_int(haft_ticker_start(&b.ticker, HAFT_S), ==, 0);
}

static void drop_all(void)
{
    haft_shared_weak_drop(&b.weak_shared);
    haft_shared_drop(&b.shared);
    haft_token_callback_drop(&b.callback);
    haft_token_drop(&b.token_below);
    haft_token_drop(&b.token);
    haft_permit_drop(&b.permit);
    haft_weak_client_drop(&b.weak_client);
    haft_client_drop(&b.client);
    check_int(haft_actor_drop(&b.actor), ==, 0);
    check_int(haft_pool_drop(&b.pool), ==, 0);
    haft_watch_receiver_drop(&b.watcher);
    haft_watch_sender_drop(&b.watch);
    haft_broadcast_receiver_drop(&b.listener);
    haft_broadcast_sender_drop(&b.broadcast);
    haft_slot_drop(&b.slot);
    haft_weak_sender_drop(&b.weak);
    haft_sender_drop(&b.tx);
    haft_receiver_drop(&b.rx);
    check_int(haft_unpark(b.parked), ==, 0);
    check_int(haft_join(&b.parked), ==, 0);
    check_int(haft_join(&b.ended), ==, 0);
    haft_set_drop(&b.set);
    check_int(haft_supervisor_drop(&b.supervisor), ==, 0);
    check_int(haft_runtime_drop(&b.runtime), ==, 0);
}

static bool is_as_it_must(enum must must, int result)
{
    return must == MUST_RETURN_OR_END || result == (must == MUST_GIVE ? HAFT_EFORKED : 1);
}

/* The child that ends itself says why, on `said`. */
static bool has_ended_itself(int status, int said)
{
    char text[4096] = "";
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && pread(said, text, sizeof text - 1, 0) > 0 &&
           (strstr(text, "haft: called in the child of a fork") != NULL || strstr(text, "panic") != NULL);
}

static bool call_in_a_child(const struct line *line, int said)
{
    check_int(ftruncate(said, 0), ==, 0);
    pid_t child = fork();
    check_int(child, >=, 0);
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(5 * test_slowness());
        dup2(said, STDERR_FILENO);
        lseek(said, 0, SEEK_SET);
        _exit(is_as_it_must(line->must, line->call()) ? 17 : 18);
    }
    int status;
    check_int(waitpid(child, &status, 0), ==, child);
    bool is_right = WIFEXITED(status) && WEXITSTATUS(status) == 17;
    bool may_end = line->must == MUST_RETURN_OR_END;
    if (is_right || (may_end && has_ended_itself(status, said)))
        return true;
    printf("%s: status %x\n", line->function, (unsigned)status);
    fflush(stdout);
    return false;
}

TEST_LONG("in the child of a fork every call is an error, or the end with a message, never a wait")
{
    make_all();
    HAFT_SCOPE(s);
    b.scope = s;
    check_int(haft_scope_spawn(s, wait_for_token), ==, 0);
    haft_handle busy[] = { haft_spawn(keeps_jobs_busy), haft_spawn(keeps_channels_busy), haft_spawn(keeps_locks_busy) };
    int said = memfd_create("said", 0);
    check_int(said, >=, 0);
    unsigned wrong = 0;
    for (size_t round = rounds(1, 100); round > 0; round--)
        for (const struct line *line = lines; line != NULL; line = line->next)
            wrong += !call_in_a_child(line, said);
    close(said);
    atomic_store(&stop, true);
    check_int(haft_join_all(busy, 3, NULL), ==, 0);
    haft_scope_abort(s);
    drop_all();
    check_uint(wrong, ==, 0);
}
