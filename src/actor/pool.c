/* SPDX-License-Identifier: MIT
 *
 * Pools: actors whose servers come and go. The protocol stands in actor.h; here are the start, the size, and the interface,
 * most of which is the actor's.
 *
 * A resize sets how many servers are wanted, starts those that are missing, one by one, and wakes as many idle ones as are
 * too many; a server that finds itself surplus leaves. Two resizes at once may start one too many, which leaves, too. */
#include <string.h>

#include "actor/actor.h"
#include "haft/pool.h"
#include "wait/wait.h"

typedef struct pool {
    haft__actor actor;      /* first */
    haft_spawn_options job; /* of the servers */
    char name[];
} pool;

typedef struct pool_server {
    haft__server server; /* first */
    haft__lane lane;
} pool_server;

static int add_server(pool *p)
{
    pool_server *s = haft__os->allocate(sizeof *s, _Alignof(pool_server));
    if (s == NULL)
        return HAFT_ENOMEM;
    memset(s, 0, sizeof *s);
    s->server.lane = &s->lane;
    return haft__actor_add_server(&p->actor, &s->server, &p->job);
}

/* HAFT_EAGAIN: a server is missing. 0, or HAFT_ECLOSED: none. */
static int look(pool *p)
{
    haft__lock_acquire(&p->actor.lock);
    int rc = p->actor.is_closing ? HAFT_ECLOSED : p->actor.serving < p->actor.wanted ? HAFT_EAGAIN : 0;
    haft__lock_release(&p->actor.lock);
    return rc;
}

static void wake_surplus(pool *p)
{
    haft__actor *a = &p->actor;
    haft__lock_acquire(&a->lock);
    unsigned surplus = a->serving > a->wanted ? a->serving - a->wanted : 0;
    for (; surplus > 0; surplus--) {
        haft__record *record = haft__actor_take_idle(a);
        if (record == NULL)
            break; /* those that are busy look by themselves */
        haft__lock_release(&a->lock);
        haft__wake(record);
        haft__lock_acquire(&a->lock);
    }
    haft__lock_release(&a->lock);
}

static int resize(pool *p, unsigned workers)
{
    haft__lock_acquire(&p->actor.lock);
    unsigned before = p->actor.wanted;
    p->actor.wanted = workers;
    haft__lock_release(&p->actor.lock);
    int rc, failure = 0;
    while (failure == 0 && (rc = look(p)) == HAFT_EAGAIN)
        failure = add_server(p);
    if (failure != 0) {
        rc = failure;
        haft__lock_acquire(&p->actor.lock);
        p->actor.wanted = before;
        haft__lock_release(&p->actor.lock);
    }
    wake_surplus(p);
    return rc;
}

int haft_pool_start_raw(haft_actor_end *end, const void *state, size_t size, size_t alignment,
                        const haft_pool_options *options)
{
    end->core_ = NULL;
    if (state == NULL || size == 0 || alignment > HAFT__FRAME_ALIGNMENT ||
        (options->kind != HAFT_TASK && options->kind != HAFT_THREAD))
        return HAFT_EINVAL;
    if (haft__here() == NULL)
        return haft__here_error();
    const haft_actor_options actor_options = {
        .drop = options->drop, .capacity = options->capacity, .on_panic = options->on_panic, .measure = options->measure
    };
    size_t name_size = options->name != NULL ? strlen(options->name) + 1 : 0;
    haft__actor *a = haft__actor_new(sizeof(pool) + name_size, state, size, alignment, &actor_options);
    if (a == NULL)
        return HAFT_ENOMEM;
    pool *p = (pool *)a;
    a->is_pool = true;
    p->job = (haft_spawn_options){ .size_ = sizeof p->job,
                                   .place_ = options->place_,
                                   .kind = options->kind,
                                   .stack_size = options->stack_size,
                                   .pinned = options->pinned,
                                   .runtime = options->runtime };
    if (options->name != NULL) {
        memcpy(p->name, options->name, name_size);
        p->job.name = p->name;
    }
    int rc = resize(p, options->workers != 0 ? options->workers : haft_cpu_count());
    if (rc != 0 && rc != HAFT_ECLOSED) { /* closed: the first are dead already, as an actor may be; join will tell */
        haft__actor_never_was(a);
        return rc;
    }
    end->core_ = a;
    return 0;
}

int haft_pool_resize_raw(const haft_actor_end *end, unsigned workers)
{
    if (end->core_ == NULL)
        return HAFT_ESTALE;
    if (workers == 0)
        return HAFT_EINVAL;
    if (haft__here() == NULL)
        return haft__here_error();
    return resize((pool *)end->core_, workers);
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

int haft_pool_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size, size_t alignment,
                       const haft_message_options *options)
{
    return haft_cast_raw(end, body, frame, size, alignment, options);
}

int haft_pool_try_cast_raw(const haft_actor_end *end, haft_actor_fn *body, const void *frame, size_t size,
                           size_t alignment, const haft_message_options *options)
{
    return haft_try_cast_raw(end, body, frame, size, alignment, options);
}

int haft_pool_call_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size, size_t alignment,
                       const haft_message_options *options)
{
    return haft_call_raw(end, body, frame, size, alignment, options);
}

int haft_pool_call_outcome_raw(const haft_actor_end *end, haft_actor_fn *body, void *frame, size_t size,
                               size_t alignment, haft_outcome *out, const haft_message_options *options)
{
    return haft_call_outcome_raw(end, body, frame, size, alignment, out, options);
}

int haft_pool_cast_keyed_raw(const haft_actor_end *end, uint64_t key, haft_actor_fn *body, const void *frame,
                             size_t size, size_t alignment, const haft_message_options *options)
{
    haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    what.key = &key;
    return haft__actor_cast(end, &what, true);
}

int haft_pool_try_cast_keyed_raw(const haft_actor_end *end, uint64_t key, haft_actor_fn *body, const void *frame,
                                 size_t size, size_t alignment, const haft_message_options *options)
{
    haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    what.key = &key;
    return haft__actor_cast(end, &what, false);
}

int haft_pool_call_keyed_raw(const haft_actor_end *end, uint64_t key, haft_actor_fn *body, void *frame, size_t size,
                             size_t alignment, const haft_message_options *options)
{
    haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    what.key = &key;
    return haft__actor_call(end, &what);
}

int haft_pool_call_keyed_outcome_raw(const haft_actor_end *end, uint64_t key, haft_actor_fn *body, void *frame,
                                     size_t size, size_t alignment, haft_outcome *out,
                                     const haft_message_options *options)
{
    haft__sending what = haft__sending_of(body, frame, size, alignment, options);
    what.key = &key;
    return haft__actor_call_outcome(end, &what, out);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

int haft_pool_stop_raw(const haft_actor_end *end)
{
    return haft_actor_stop_raw(end);
}

int haft_pool_abort_raw(const haft_actor_end *end)
{
    return haft_actor_abort_raw(end);
}

int haft_pool_join_raw(haft_actor_end *end, void *state, size_t size)
{
    return haft_actor_join_raw(end, state, size);
}

int haft_pool_join_outcome_raw(haft_actor_end *end, void *state, size_t size, haft_outcome *out)
{
    return haft_actor_join_outcome_raw(end, state, size, out);
}

int(haft_pool_drop)(void *end)
{
    return haft_actor_drop(end);
}

int haft_pool_detach_raw(haft_actor_end *end)
{
    return haft_actor_detach_raw(end);
}

int haft_pool_client_of_raw(const haft_actor_end *end, haft_actor_end *client)
{
    return haft_client_of_raw(end, client);
}
