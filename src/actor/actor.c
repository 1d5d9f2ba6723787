/* SPDX-License-Identifier: MIT
 *
 * The beginning and end of actors and their servers, and their ends. The protocol stands in actor.h. */
#include "actor/supervisor.h"

#include <string.h>

#include "base/copy.h"
#include "wait/wait.h"

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void free_actor(haft__actor *a)
{
    haft__link *link;
    while ((link = haft__list_take(&a->spare)) != NULL)
        haft__actor_free_node(HAFT__CONTAINER(link, haft__message, link));
    if (a->sole.scratch != NULL)
        haft__os->release(a->sole.scratch);
    haft__os->release(a->state);
    haft__os->release(a);
}

void haft__actor_ref(haft__actor *a)
{
    haft__fetch_add_relaxed(&a->refs, 1); /* relaxed: whoever counts up holds an end, so this cannot be the last */
}

void haft__actor_unref(haft__actor *a)
{
    /* Release: what this end did happens before the end of the memory; acquire: for whoever frees it. */
    if (haft__fetch_sub_acq_rel(&a->refs, 1) != 1)
        return;
    if (!a->is_state_gone) /* the last server never began, for want of memory, and the owner had gone */
        haft__actor_dispose(a);
    if (a->outcome.panic.payload != NULL)
        haft__drop_object((haft_drop_fn *)(void (*)(void))haft_panic_drop, &a->outcome.panic);
    free_actor(a);
}

/* --- start -------------------------------------------------------------------------------------------------------- */

/* pthread_exit has left a body. Its call is answered as by a panic; what a cast had goes where a cast's goes that was
 * never begun, because what runs here is the end of a thread. */
static void message_left(haft__server *s)
{
    haft__actor *a = s->core;
    haft__lock_acquire(&a->lock);
    haft__message *cast = s->running;
    s->running = NULL;
    if (cast != NULL) {
        cast->due = INT64_MAX;
        haft__actor_set_timer(a, cast);
    }
    haft__lock_release(&a->lock);
    haft__record *caller = haft__actor_answer_left(s);
    if (caller != NULL)
        haft__wake(caller);
}

/* How much an end says about a whole pool. At most one has a payload, because only the first panic is raised. */
static int weight_of(const haft_outcome *outcome)
{
    switch (outcome->end) {
    case HAFT_PANICKED:
        return outcome->panic.payload != NULL ? 4 : 3;
    case HAFT_ABORTED:
        return 2;
    case HAFT_RETURNED:
        return 1;
    default:
        return 0;
    }
}

/* The server's job is no more. Is the actor dead with it? It is if the server, which then has not left its loop, was the
 * last and never began, or was left by pthread_exit. */
static bool kills_by_ending(haft__server *s, bool panicked)
{
    haft__actor *a = s->core;
    haft__lock_acquire(&a->lock);
    s->record = NULL; /* before the slot is recycled: an abort must not find somebody else in it */
    haft__list_remove(&s->link);
    bool kills = false;
    if (!s->has_left) {
        kills = --a->serving == 0 || panicked;
        a->is_worker_done = --a->present == 0;
        a->has_panicked = a->has_panicked || panicked;
        a->is_closing = a->is_closing || kills;
        a->is_dead = a->is_dead || kills;
    }
    haft__lock_release(&a->lock);
    return kills;
}

/* The last of a server. */
static void forget_server(haft__server *s, bool kills, const haft_outcome *outcome)
{
    haft__actor *a = s->core;
    if (kills) {
        message_left(s);
        haft__actor_refuse_all(a);
    }
    if (s != &a->sole) {
        if (s->scratch != NULL)
            haft__os->release(s->scratch);
        haft__os->release(s);
    }
    haft__lock_acquire(&a->lock);
    if (!a->has_outcome || weight_of(outcome) > weight_of(&a->outcome))
        a->outcome = *outcome; /* read by others once has_ended */
    a->has_outcome = true;
    a->has_ended = --a->jobs == 0;
    haft__record *joiner = a->has_ended ? a->joiner : NULL;
    haft__lock_release(&a->lock);
    if (joiner != NULL)
        haft__wake(joiner);
    haft__actor_unref(a);
}

/* The end of a server's job, told by its finisher; the job is ours. No user code: the job is gone already. */
static void server_ended(void *group, haft__job *job)
{
    haft__server *s = group;
    if (haft__load_relaxed(&job->record.kind) == HAFT__KIND_THREAD && job->record.root != NULL) {
        haft__os->thread_detach(haft__os->thread_self()); /* this is the thread; nobody else could join it */
        job->record.root = NULL;
    }
    bool kills = kills_by_ending(s, job->record.end == HAFT_PANICKED);
    haft_outcome outcome;
    haft__job_reap(job, NULL, 0, &outcome);
    if (s->core->child != NULL)
        haft__child_is_gone(s->core->child, &outcome);
    forget_server(s, kills, &outcome);
}

haft__server *haft__server_of(haft__job *job)
{
    haft__group_done **group = job->group;
    return *group == server_ended ? (haft__server *)job->group : NULL;
}

haft__actor *haft__actor_new(size_t room, const void *state, size_t size, size_t alignment,
                             const haft_actor_options *options)
{
    haft__actor *a = haft__os->allocate(room, _Alignof(haft__actor));
    if (a == NULL)
        return NULL;
    memset(a, 0, sizeof *a);
    a->state = haft__os->allocate(size, alignment < sizeof(void *) ? sizeof(void *) : alignment);
    if (a->state == NULL) {
        haft__os->release(a);
        return NULL;
    }
    haft__copy(a->state, state, size);
    a->state_size = size;
    a->state_drop = options->drop;
    a->capacity = options->capacity != 0 ? options->capacity : HAFT__ACTOR_CAPACITY;
    a->on_panic = options->on_panic;
    a->measures = options->measure;
    haft__atomic_init(&a->refs, 1);
    haft__list_init(&a->urgent);
    haft__list_init(&a->ordinary);
    haft__list_init(&a->casters);
    haft__list_init(&a->spare);
    haft__list_init(&a->servers);
    return a;
}

/* Enters a server whose job was made into the actor. */
static bool enter_server(haft__actor *a, haft__server *s, haft__job *job)
{
    s->done = server_ended;
    s->core = a;
    s->record = &job->record;
    haft__lock_acquire(&a->lock);
    bool is_closing = a->is_closing;
    if (!is_closing) {
        haft__list_append(&a->servers, &s->link);
        a->serving++;
        a->present++;
        a->jobs++;
        if (a->is_aborting)
            haft__job_mark_aborted(s->record, haft__generation(haft__load_relaxed(&s->record->state)));
    }
    haft__lock_release(&a->lock);
    return !is_closing;
}

int haft__actor_add_server(haft__actor *a, haft__server *s, const haft_spawn_options *options)
{
    const haft__job_spec spec = { .body = (haft_fn *)(void (*)(void))haft__actor_serve,
                                  .frame = &s,
                                  .size = sizeof s, /* NOLINT(bugprone-sizeof-expression): the frame is the pointer */
                                  .alignment = _Alignof(haft__server *),
                                  .options = options,
                                  .kind = options->kind,
                                  .group = s,
                                  .owner = HAFT__OWNED_BY_GROUP };
    haft__job *job = NULL;
    int rc = haft__job_make(&spec, &job);
    if (rc == 0 && !enter_server(a, s, job)) {
        haft__job_unmake(job);
        rc = HAFT_ECLOSED;
    }
    if (rc != 0) {
        if (s != &a->sole)
            haft__os->release(s);
        return rc;
    }
    haft__actor_ref(a);
    job->record.flags |= HAFT__ALWAYS_BEGINS;
    rc = haft__job_start(job);
    if (rc != 0) {
        bool kills = kills_by_ending(s, false);
        haft__job_unmake(job);
        forget_server(s, kills, &(haft_outcome){ .end = HAFT_NOT_STARTED, .code = rc });
    }
    return rc;
}

void haft__actor_never_was(haft__actor *a)
{
    haft__lock_acquire(&a->lock);
    a->is_state_gone = true;
    a->is_closing = true;
    haft__lock_release(&a->lock);
    haft__actor_closed(a);
    haft__actor_unref(a);
}

int haft_actor_start_raw(haft_actor_end *actor, const void *state, size_t size, size_t alignment,
                         const haft_actor_options *options)
{
    actor->core_ = NULL;
    if (state == NULL || size == 0 || alignment > HAFT__FRAME_ALIGNMENT ||
        (options->kind != HAFT_TASK && options->kind != HAFT_THREAD))
        return HAFT_EINVAL;
    if (haft__here() == NULL)
        return haft__here_error();
    haft__actor *a = haft__actor_new(sizeof *a, state, size, alignment, options);
    if (a == NULL)
        return HAFT_ENOMEM;
    const haft_spawn_options job_options = { .size_ = sizeof job_options,
                                             .place_ = options->place_,
                                             .kind = options->kind,
                                             .name = options->name,
                                             .stack_size = options->stack_size,
                                             .pinned = options->pinned,
                                             .runtime = options->runtime };
    a->wanted = 1;
    int rc = haft__actor_add_server(a, &a->sole, &job_options);
    if (rc == 0)
        actor->core_ = a;
    else
        haft__actor_never_was(a);
    return rc;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

int haft_actor_stop_raw(const haft_actor_end *actor)
{
    haft__actor *a = actor->core_;
    if (a == NULL)
        return HAFT_ESTALE;
    if (haft__here() == NULL)
        return haft__here_error();
    haft__lock_acquire(&a->lock);
    a->is_closing = true;
    haft__lock_release(&a->lock);
    haft__actor_closed(a);
    return 0;
}

/* Under the lock the jobs are the servers' still; they are marked, and woken afterwards: a late wake is legal. False:
 * there are none. */
static bool mark_servers(haft__actor *a)
{
    haft__lock_acquire(&a->lock);
    a->is_aborting = true;
    for (haft__link *at = a->servers.next; at != &a->servers; at = at->next) {
        haft__server *s = HAFT__CONTAINER(at, haft__server, link);
        haft__job_mark_aborted(s->record, haft__generation(haft__load_relaxed(&s->record->state)));
        s->is_to_wake = true;
    }
    bool is_any = !haft__list_is_empty(&a->servers);
    haft__lock_release(&a->lock);
    return is_any;
}

/* A server that was marked and not woken yet, or null. */
static haft__record *take_marked(haft__actor *a)
{
    haft__record *record = NULL;
    haft__lock_acquire(&a->lock);
    haft__server *s = HAFT__CONTAINER(a->servers.next, haft__server, link);
    if (!haft__list_is_empty(&a->servers) && s->is_to_wake) {
        s->is_to_wake = false;
        haft__list_remove(&s->link);
        haft__list_append(&a->servers, &s->link); /* so that the marked ones stay in front */
        record = s->record;
    }
    haft__lock_release(&a->lock);
    return record;
}

int haft_actor_abort_raw(const haft_actor_end *actor)
{
    haft__actor *a = actor->core_;
    if (a == NULL)
        return HAFT_ESTALE;
    if (haft__here() == NULL)
        return haft__here_error();
    if (!mark_servers(a))
        return 0;
    haft__fence_heavy(); /* see haft__job_mark_aborted */
    haft__record *record;
    while ((record = take_marked(a)) != NULL)
        haft__wake(record);
    return 0;
}

/* Waits for the last server's end. 0, or why not: then *a is as it was, but asked to stop. */
static int await_end_noted(haft__actor *a, haft__root *me, const haft__server *own, size_t size)
{
    haft__lock_acquire(&a->lock);
    int rc = own != NULL && own->core == a        ? HAFT_EDEADLK
             : a->joiner != NULL                  ? HAFT_EBUSY
             : size != 0 && size != a->state_size ? HAFT_EINVAL
                                                  : 0;
    if (rc == 0) {
        a->joiner = me->record;
        a->is_closing = true;
    }
    haft__lock_release(&a->lock);
    if (rc != 0)
        return rc;
    haft__actor_closed(a);
    haft__lock_acquire(&a->lock);
    while (!a->has_ended && (rc = haft__refusal(me)) == 0) {
        haft__record *server = a->sole.record; /* null in a pool */
        haft__lock_release(&a->lock);
        haft__park_for(server != NULL ? "the end of" : "the end of a pool", server);
        haft__lock_acquire(&a->lock);
    }
    if (a->has_ended)
        rc = 0;
    a->joiner = NULL;
    haft__lock_release(&a->lock);
    return haft__tell(me, rc);
}

static int await_end(haft__actor *a, haft__root *me, size_t size)
{
    const haft__server *own = haft__server_here(me);
    haft__actor_wait wait;
    if (!haft__actor_begin_wait(&wait, a, me, own, NULL, NULL))
        return HAFT_EDEADLK;
    int rc = await_end_noted(a, me, own, size);
    haft__edge_leave(&wait.edge);
    return rc;
}

static int code_of(const haft_outcome *outcome)
{
    switch (outcome->end) {
    case HAFT_PANICKED:
        return HAFT_EPANIC;
    case HAFT_ABORTED:
        return HAFT_EABORTED;
    case HAFT_NOT_STARTED:
        return outcome->code != 0 ? outcome->code : HAFT_EABORTED;
    default:
        return outcome->code;
    }
}

/* The owner takes what the ended servers left, and goes. */
static int take_over(haft__actor *a, void *state, size_t size, haft_outcome *out)
{
    int rc = code_of(&a->outcome);
    if (state != NULL && size != 0) {
        haft__copy(state, a->state, size);
        a->is_state_gone = true;
    }
    haft__actor_dispose(a);
    if (out != NULL) {
        *out = a->outcome;
        a->outcome.panic.payload = NULL;
    } else if (a->outcome.panic.payload != NULL) { /* here, where user code may run, and not with the last end */
        haft__drop_object((haft_drop_fn *)(void (*)(void))haft_panic_drop, &a->outcome.panic);
    }
    haft__lock_acquire(&a->lock);
    a->is_owner_gone = true;
    a->is_panic_told = true;
    haft__lock_release(&a->lock);
    haft__actor_unref(a);
    return rc;
}

static int join(haft_actor_end *actor, void *state, size_t size, haft_outcome *out, bool *own)
{
    *own = true;
    haft__actor *a = actor->core_;
    if (a == NULL)
        return HAFT_ESTALE;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc == 0)
        rc = await_end(a, me, size);
    if (rc != 0)
        return rc;
    *own = false;
    actor->core_ = NULL;
    return take_over(a, state, size, out);
}

int haft_actor_join_raw(haft_actor_end *actor, void *state, size_t size)
{
    bool own;
    return join(actor, state, size, NULL, &own);
}

int haft_actor_join_outcome_raw(haft_actor_end *actor, void *state, size_t size, haft_outcome *out)
{
    bool own;
    int rc = join(actor, state, size, out, &own);
    return own ? rc : 0;
}

int(haft_actor_drop)(void *actor)
{
    haft_actor_end *end = actor;
    if (end == NULL || end->core_ == NULL)
        return 0;
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__actor *a = end->core_;
    haft__root *me = haft__here_always()->root;
    haft__shield shield = haft__shield_raise(me);
    int rc = await_end(a, me, 0);
    haft__shield_lower(me, shield);
    if (rc != 0)
        return rc;
    end->core_ = NULL;
    return take_over(a, NULL, 0, NULL);
}

int haft_actor_detach_raw(haft_actor_end *actor)
{
    haft__actor *a = actor->core_;
    if (a == NULL)
        return HAFT_ESTALE;
    if (haft__here() == NULL)
        return haft__here_error();
    actor->core_ = NULL;
    haft__lock_acquire(&a->lock);
    a->is_owner_gone = true;
    bool is_mine = a->is_worker_done;
    bool closes = a->clients == 0;
    a->is_closing = a->is_closing || closes;
    haft__lock_release(&a->lock);
    if (closes)
        haft__actor_closed(a);
    if (is_mine)
        haft__actor_dispose(a);
    haft__actor_unref(a);
    return 0;
}

bool haft_actor_is_alive_raw(const haft_actor_end *end)
{
    haft__actor *a = end->core_;
    if (a == NULL)
        return false;
    haft__lock_acquire(&a->lock);
    bool is_alive = !a->is_dead;
    haft__lock_release(&a->lock);
    return is_alive;
}

size_t haft_actor_len_raw(const haft_actor_end *end)
{
    haft__actor *a = end->core_;
    if (a == NULL)
        return 0;
    haft__lock_acquire(&a->lock);
    size_t n = a->queued;
    haft__lock_release(&a->lock);
    return n;
}

int haft_actor_stats_raw(const haft_actor_end *end, haft_actor_statistics *out, size_t size)
{
    haft__actor *a = end->core_;
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (a == NULL)
        return HAFT_ESTALE;
    haft__lock_acquire(&a->lock);
    haft_actor_statistics stats = a->stats;
    stats.queued = a->queued;
    stats.workers = a->serving;
    haft__lock_release(&a->lock);
    stats.size_ = size < sizeof stats ? size : sizeof stats;
    memcpy(out, &stats, stats.size_);
    return 0;
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

int haft_client_of_raw(const haft_actor_end *actor, haft_actor_end *client)
{
    haft__actor *a = actor->core_;
    client->core_ = NULL;
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (a == NULL)
        return HAFT_ESTALE;
    haft__actor_ref(a);
    haft__lock_acquire(&a->lock);
    a->clients++;
    haft__lock_release(&a->lock);
    client->core_ = a;
    return 0;
}

int haft_client_downgrade_raw(const haft_actor_end *client, haft_actor_end *weak)
{
    haft__actor *a = client->core_;
    weak->core_ = NULL;
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (a == NULL)
        return HAFT_ESTALE;
    haft__actor_ref(a);
    weak->core_ = a;
    return 0;
}

int haft_client_upgrade_raw(const haft_actor_end *weak, haft_actor_end *client)
{
    haft__actor *a = weak->core_;
    client->core_ = NULL;
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (a == NULL)
        return HAFT_ESTALE;
    haft__lock_acquire(&a->lock);
    bool is_closing = a->is_closing;
    if (!is_closing)
        a->clients++;
    haft__lock_release(&a->lock);
    if (is_closing)
        return HAFT_ECLOSED;
    haft__actor_ref(a);
    client->core_ = a;
    return 0;
}

int(haft_client_drop)(void *client)
{
    haft_actor_end *end = client;
    if (end == NULL || end->core_ == NULL)
        return 0;
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__here_always();
    haft__actor *a = end->core_;
    end->core_ = NULL;
    haft__lock_acquire(&a->lock);
    bool is_last = --a->clients == 0 && a->is_owner_gone;
    int rc = is_last && a->has_panicked && !a->is_panic_told ? HAFT_EPANIC : 0;
    a->is_panic_told = a->is_panic_told || rc != 0;
    a->is_closing = a->is_closing || is_last;
    haft__lock_release(&a->lock);
    if (is_last)
        haft__actor_closed(a);
    haft__actor_unref(a);
    return rc;
}

int(haft_weak_client_drop)(void *weak)
{
    haft_actor_end *end = weak;
    if (end == NULL || end->core_ == NULL)
        return 0;
    if (haft__is_forked())
        return HAFT_EFORKED;
    haft__here_always();
    haft__actor_unref(end->core_);
    end->core_ = NULL;
    return 0;
}
