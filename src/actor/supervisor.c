/* SPDX-License-Identifier: MIT
 *
 * Making and dropping supervisors, and what others ask of a keeper. The protocol stands in supervisor.h. */
#include "actor/supervisor.h"

#include <string.h>

#include "wait/wait.h"

#define DEFAULT_RESTARTS 3
#define DEFAULT_WITHIN (5 * HAFT_S)
#define DEFAULT_BACKOFF_MAX (30 * HAFT_S)

static haft__child *child_at(haft__link *link)
{
    return HAFT__CONTAINER(link, haft__child, link);
}

/* --- making and dropping ------------------------------------------------------------------------------------------ */

/* Waits, shielded, for one of the keeper's two flags, or for its end. */
static void await_keeper(haft_supervisor *sup, const bool *flag)
{
    haft__root *me = haft__here_always()->root;
    haft__shield shield = haft__shield_raise(me);
    haft__lock_acquire(&sup->lock);
    while (!*flag && !sup->has_ended) {
        sup->waits_for_keeper = me->record;
        haft__lock_release(&sup->lock);
        haft__park_for("the end of", sup->keeper);
        haft__lock_acquire(&sup->lock);
    }
    haft__lock_release(&sup->lock);
    haft__shield_lower(me, shield);
}

static void free_supervisor(haft_supervisor *sup)
{
    haft__link *link;
    while ((link = haft__list_take(&sup->children)) != NULL)
        haft__child_free(child_at(link));
    if (sup->deaths != NULL)
        haft__os->release(sup->deaths);
    haft__os->release(sup);
}

static bool may_be(const haft_supervisor_options *o)
{
    return (unsigned)o->strategy <= HAFT_REST_FOR_ONE && o->within >= 0 && o->backoff >= 0 && o->backoff_max >= 0;
}

static void fill_in(haft_supervisor_options *o)
{
    if (o->restarts == 0 && o->within == 0)
        o->restarts = DEFAULT_RESTARTS;
    if (o->within == 0)
        o->within = DEFAULT_WITHIN;
    if (o->backoff_max == 0)
        o->backoff_max = DEFAULT_BACKOFF_MAX;
    if (o->backoff_max < o->backoff)
        o->backoff_max = o->backoff;
}

static haft_supervisor *supervisor_new(const haft_supervisor_options *options)
{
    haft_supervisor *sup = haft__os->allocate(sizeof *sup, _Alignof(haft_supervisor));
    if (sup == NULL)
        return NULL;
    memset(sup, 0, sizeof *sup);
    sup->options = *options;
    fill_in(&sup->options);
    unsigned n = sup->options.restarts;
    if (n != 0 && n != HAFT_RESTARTS_UNLIMITED) {
        sup->deaths = haft__os->allocate(n * sizeof *sup->deaths, sizeof(void *));
        if (sup->deaths == NULL) {
            haft__os->release(sup);
            return NULL;
        }
    }
    sup->done = haft__keeper_ended;
    sup->random = haft__os->random();
    haft__list_init(&sup->children);
    haft__list_init(&sup->ended);
    haft__list_init(&sup->waiters);
    return sup;
}

static int start_keeper(haft_supervisor *sup)
{
    const haft_spawn_options options = { .size_ = sizeof options,
                                         .place_ = sup->options.place_,
                                         .name = sup->options.name != NULL ? sup->options.name : "supervisor",
                                         .runtime = sup->options.runtime };
    const haft__job_spec spec = { .body = (haft_fn *)(void (*)(void))haft__keeper,
                                  .frame = &sup,
                                  .size = sizeof sup, /* NOLINT(bugprone-sizeof-expression): the frame is the pointer */
                                  .alignment = _Alignof(haft_supervisor *),
                                  .options = &options,
                                  .kind = HAFT_TASK,
                                  .group = sup,
                                  .owner = HAFT__OWNED_BY_GROUP };
    haft__job *job = NULL;
    int rc = haft__job_make(&spec, &job);
    if (rc != 0)
        return rc;
    job->record.flags |= HAFT__ALWAYS_BEGINS;
    sup->keeper = &job->record;
    sup->runtime = haft__job_runtime(job);
    rc = haft__job_start(job);
    if (rc != 0) {
        haft__job_unmake(job);
        return rc;
    }
    await_keeper(sup, &sup->has_begun);
    return sup->has_begun ? 0 : HAFT_ENOMEM;
}

haft_supervisor *haft_supervisor_new_raw(const haft_supervisor_options *options)
{
    if (haft__here() == NULL || !may_be(options))
        return NULL;
    haft_supervisor *sup = supervisor_new(options);
    if (sup != NULL && start_keeper(sup) != 0) {
        free_supervisor(sup);
        sup = NULL;
    }
    return sup;
}

int haft_supervisor_stop(haft_supervisor *sup)
{
    if (sup == NULL)
        return HAFT_EINVAL;
    if (haft__here() == NULL)
        return haft__here_error();
    haft__lock_acquire(&sup->lock);
    sup->is_stopping = true;
    haft__record *record = sup->keeper;
    haft__lock_release(&sup->lock);
    haft__wake(record);
    return 0;
}

int haft_supervisor_drop(haft_supervisor **sup)
{
    if (sup == NULL || *sup == NULL)
        return 0;
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (haft__child_is_here(*sup, haft__here_always()->root))
        return HAFT_EDEADLK;
    haft_supervisor_stop(*sup);
    await_keeper(*sup, &(*sup)->has_ended);
    free_supervisor(*sup);
    *sup = NULL;
    return 0;
}

/* --- adding, removing, asking -------------------------------------------------------------------------------------- */

/* Puts a new child in. True: the caller starts it. The lock is held. */
static bool append(haft_supervisor *sup, haft__child *c)
{
    haft__list_append(&sup->children, &c->link);
    sup->active++;
    c->state = HAFT__CHILD_DUE;
    if (sup->options.strategy != HAFT_ONE_FOR_ONE && sup->due != 0) {
        sup->due++;
        return false;
    }
    c->is_starting = true;
    sup->starting++;
    return true;
}

/* The caller has started the first run of a child, or not. */
static int settle_start(haft_supervisor *sup, haft__child *c, int rc)
{
    haft__lock_acquire(&sup->lock);
    c->is_starting = false;
    sup->starting--;
    if (rc != 0) {
        haft__list_remove(&c->link);
        sup->active--;
        if (c->is_leaving)
            sup->leaving--;
        haft__arms_end_all(&c->removers, &sup->lock, 0);
    }
    haft__record *record = sup->keeper;
    haft__lock_release(&sup->lock);
    haft__wake(record); /* it may wait for this, or for the end of the run, or for there to be no child */
    if (rc != 0) {
        c->drop = NULL; /* the frame is the caller's */
        haft__child_retire(c);
        haft__child_free(c);
    }
    return rc;
}

int haft_supervise_raw(haft_supervisor *sup, haft_fn *body, const void *frame, size_t size, size_t alignment,
                       const haft_child_options *options)
{
    if (sup == NULL || body == NULL || (frame == NULL && size != 0) || size > UINT32_MAX ||
        alignment > HAFT__FRAME_ALIGNMENT || (unsigned)options->restart > HAFT_RESTART_NEVER || options->grace < 0)
        return HAFT_EINVAL;
    if (haft__here() == NULL)
        return haft__here_error();
    haft__child *c = haft__child_new(sup, body, frame, size, alignment, options);
    if (c == NULL)
        return HAFT_ENOMEM;
    haft__lock_acquire(&sup->lock);
    bool is_closed = sup->is_stopping || sup->is_closing;
    bool is_mine = !is_closed && append(sup, c);
    haft__record *record = sup->keeper;
    haft__lock_release(&sup->lock);
    if (is_closed) {
        haft__child_free(c);
        return HAFT_ECLOSED;
    }
    if (!is_mine) {
        haft__wake(record);
        return 0;
    }
    int rc = settle_start(sup, c, haft__child_start(c));
    haft__thread *here = haft__here_or_null();
    if (rc == 0 && here->worker != NULL)
        haft__sched_yield(here->worker); /* as in start_again of keeper.c */
    return rc;
}

/* Nobody but the two who know it has the actor yet. */
static haft__child *child_of_actor(haft_supervisor *sup, haft__actor *a, const void *state, size_t size,
                                   size_t alignment, const haft_supervised_actor_options *options)
{
    const haft_child_options child_options = { .size_ = sizeof child_options,
                                               .place_ = options->place_,
                                               .name = options->name,
                                               .stack_size = options->stack_size,
                                               .grace = options->grace,
                                               .runtime = options->runtime,
                                               .kind = options->kind,
                                               .pinned = options->pinned };
    haft__child *c = haft__child_new(sup, NULL, state, size, alignment, &child_options);
    if (c == NULL)
        return NULL;
    haft__actor_ref(a);
    a->child = c;
    c->actor = a;
    return c;
}

/* Starts the actor's worker in the caller, whatever becomes of its siblings now. */
static int start_actor(haft_supervisor *sup, haft__actor *a, haft__child *c)
{
    haft__lock_acquire(&sup->lock);
    bool is_closed = sup->is_stopping || sup->is_closing;
    if (!is_closed) {
        haft__list_append(&sup->children, &c->link);
        sup->active++;
        sup->starting++;
        c->is_starting = true;
        c->state = HAFT__CHILD_RUNNING;
        c->runs = 1;
        c->started = haft__os->now();
    }
    haft__lock_release(&sup->lock);
    if (!is_closed)
        return settle_start(sup, c, haft__actor_add_server(a, &a->sole, &c->options));
    haft__child_retire(c);
    haft__child_free(c);
    return HAFT_ECLOSED;
}

int haft_supervise_actor_raw(haft_supervisor *sup, haft_actor_end *actor, const void *state, size_t size,
                             size_t alignment, const haft_supervised_actor_options *options)
{
    actor->core_ = NULL;
    if (sup == NULL || state == NULL || size == 0 || alignment > HAFT__FRAME_ALIGNMENT || options->grace < 0 ||
        (options->kind != HAFT_TASK && options->kind != HAFT_THREAD))
        return HAFT_EINVAL;
    if (haft__here() == NULL)
        return haft__here_error();
    const haft_actor_options actor_options = { .size_ = sizeof actor_options,
                                               .place_ = options->place_,
                                               .drop = options->drop,
                                               .capacity = options->capacity,
                                               .measure = options->measure };
    haft__actor *a = haft__actor_new(sizeof *a, state, size, alignment, &actor_options);
    if (a == NULL)
        return HAFT_ENOMEM;
    a->wanted = 1;
    haft__child *c = child_of_actor(sup, a, state, size, alignment, options);
    int rc = c != NULL ? start_actor(sup, a, c) : HAFT_ENOMEM;
    if (rc == 0)
        actor->core_ = a;
    else
        haft__actor_never_was(a);
    return rc;
}

/* The lock is held. */
static haft__child *find(haft_supervisor *sup, const char *name)
{
    for (haft__link *at = sup->children.next; at != &sup->children; at = at->next) {
        haft__child *c = child_at(at);
        if (c->name != NULL && !c->is_leaving && strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

/* The lock is held. */
static haft_handle job_of(const haft__child *c)
{
    if (c->job != NULL)
        return haft__job_self_handle(c->job);
    if (c->actor == NULL || c->state != HAFT__CHILD_RUNNING)
        return HAFT_NULL_HANDLE;
    haft__lock_acquire(&c->actor->lock);
    haft__record *worker = c->actor->sole.record;
    haft_handle h = worker != NULL ? haft__job_self_handle(haft__job_of(worker)) : HAFT_NULL_HANDLE;
    haft__lock_release(&c->actor->lock);
    return h;
}

int haft_supervisor_child(haft_supervisor *sup, const char *name, haft_child_info *info)
{
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (sup == NULL || name == NULL)
        return HAFT_EINVAL;
    haft__lock_acquire(&sup->lock);
    const haft__child *c = find(sup, name);
    if (c != NULL) {
        info->job = job_of(c);
        info->restarts = c->runs > 1 ? c->runs - 1 : 0;
        info->last = c->last;
    }
    haft__lock_release(&sup->lock);
    return c != NULL ? 0 : HAFT_EINVAL;
}

/* Why that child cannot be removed, or 0. The lock is held. */
static int check_removal(haft_supervisor *sup, const haft__child *c, const haft__root *me)
{
    const haft__server *server = haft__server_here(me);
    if (me->record == sup->keeper)
        return HAFT_EDEADLK;
    if (sup->is_stopping || sup->is_closing)
        return HAFT_ECLOSED;
    if (c == NULL)
        return HAFT_EINVAL;
    if (sup->stopping != NULL && haft__child_here(sup, me) == sup->stopping)
        return HAFT_EDEADLK;
    if (c->actor != NULL)
        return server != NULL && server->core == c->actor ? HAFT_EDEADLK : 0;
    return c->job != NULL && me->record == &c->job->record ? HAFT_EDEADLK : 0;
}

int haft_supervisor_remove(haft_supervisor *sup, const char *name)
{
    if (sup == NULL || name == NULL)
        return HAFT_EINVAL;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__arm self;
    haft__arm_init(&self, me, NULL);
    self.value = haft__child_here(sup, me);
    haft__lock_acquire(&sup->lock);
    haft__child *c = find(sup, name);
    rc = check_removal(sup, c, me);
    if (rc == 0) {
        c->is_leaving = true;
        sup->leaving++;
        haft__list_append(&c->removers, &self.link);
    }
    haft__record *record = sup->keeper;
    haft__lock_release(&sup->lock);
    if (rc != 0)
        return rc;
    haft__wake(record);
    haft__lock_acquire(&sup->lock);
    if (haft__load_relaxed(&self.is_done) != 0 || !haft__arm_wait(&self, &sup->lock, me, "a child to be removed"))
        haft__lock_release(&sup->lock);
    return haft__tell(me, self.rc);
}

int haft_supervisor_wait(haft_supervisor *sup)
{
    if (sup == NULL)
        return HAFT_EINVAL;
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    haft__root *me = here->root;
    if (haft__child_is_here(sup, me))
        return HAFT_EDEADLK;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    haft__arm self;
    haft__arm_init(&self, me, NULL);
    haft__lock_acquire(&sup->lock);
    if (sup->is_over || (sup->active == 0 && !sup->is_stopping)) {
        rc = sup->is_over ? sup->code : 0;
        haft__lock_release(&sup->lock);
        return rc;
    }
    haft__list_append(&sup->waiters, &self.link);
    if (haft__arm_wait(&self, &sup->lock, me, "the children of"))
        return self.rc;
    haft__lock_release(&sup->lock);
    return haft__tell(me, self.rc);
}
