/* SPDX-License-Identifier: MIT
 *
 * One run of one child: start, stop, and what it left. The protocol stands in supervisor.h. */
#include "actor/supervisor.h"

#include <string.h>

#include "base/copy.h"
#include "wait/wait.h"

/* --- making ------------------------------------------------------------------------------------------------------- */

/* The lock is held on entry, not on return; its release is the last touch. */
static void tell_of_end(haft__child *c)
{
    haft_supervisor *sup = c->sup;
    if (!c->has_ended)
        haft__list_append(&sup->ended, &c->ended);
    c->has_ended = true;
    haft__record *keeper = sup->keeper;
    haft__lock_release(&sup->lock);
    haft__wake(keeper);
}

/* The end of a run, told by its finisher. */
static void run_ended(void *group, haft__job *job)
{
    haft__child *c = group;
    (void)job;
    haft__lock_acquire(&c->sup->lock);
    tell_of_end(c);
}

/* The outcome of an actor's run, without the payload of a panic, which stays with the actor. */
static void report(haft__child *c, const haft_outcome *out)
{
    c->report = *out;
    c->report.panic.payload = NULL;
    c->report.panic.payload_drop = NULL;
}

void haft__child_is_down(haft__child *c, const haft_outcome *out)
{
    haft__lock_acquire(&c->sup->lock);
    report(c, out);
    tell_of_end(c);
}

void haft__child_is_gone(haft__child *c, const haft_outcome *out)
{
    haft__lock_acquire(&c->sup->lock);
    report(c, out);
    c->is_gone = true;
    tell_of_end(c);
}

static char *copy_name(const char *name)
{
    size_t size = strlen(name) + 1;
    char *copy = haft__os->allocate(size, sizeof(void *));
    if (copy != NULL)
        memcpy(copy, name, size);
    return copy;
}

haft__child *haft__child_new(haft_supervisor *sup, haft_fn *body, const void *frame, size_t size, size_t alignment,
                             const haft_child_options *options)
{
    haft__child *c = haft__os->allocate(sizeof *c, _Alignof(haft__child));
    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof *c);
    c->done = run_ended;
    c->sup = sup;
    haft__list_init(&c->removers);
    c->body = body;
    c->size = size;
    c->alignment = alignment < sizeof(void *) ? sizeof(void *) : alignment;
    c->drop = options->drop;
    c->stop = options->stop;
    c->grace = options->grace;
    c->restart = options->restart;
    if (size != 0 && (c->template = haft__os->allocate(size, c->alignment)) == NULL)
        goto no_template;
    if (options->name != NULL && (c->name = copy_name(options->name)) == NULL)
        goto no_name;
    if (size != 0)
        haft__copy(c->template, frame, size);
    c->options = (haft_spawn_options){ .size_ = sizeof c->options,
                                       .place_ = options->place_,
                                       .name = c->name,
                                       .stack_size = options->stack_size,
                                       .runtime = options->runtime != NULL ? options->runtime : sup->runtime,
                                       .kind = options->kind,
                                       .pinned = options->pinned };
    return c;
no_name:
    if (c->template != NULL)
        haft__os->release(c->template);
no_template:
    haft__os->release(c);
    return NULL;
}

void haft__child_free(haft__child *c)
{
    if (c->template != NULL)
        haft__os->release(c->template);
    if (c->name != NULL)
        haft__os->release(c->name);
    haft__os->release(c);
}

void haft__child_retire(haft__child *c)
{
    haft__lock_acquire(&c->sup->lock);
    haft__actor *actor = c->actor;
    c->actor = NULL;
    haft__lock_release(&c->sup->lock);
    if (actor != NULL)
        haft__actor_unref(actor);
    if (c->drop != NULL && c->size != 0)
        haft__drop_object(c->drop, c->template);
    c->drop = NULL;
}

/* --- a run -------------------------------------------------------------------------------------------------------- */

/* The worker is down, and takes a fresh state; this cannot fail. */
static void start_actor_again(haft__child *c)
{
    c->started = haft__os->now();
    haft__lock_acquire(&c->sup->lock);
    c->state = HAFT__CHILD_RUNNING;
    c->runs++;
    c->sup->due--;
    haft__lock_release(&c->sup->lock);
    haft__actor_give_verdict(c->actor, HAFT__VERDICT_AGAIN);
}

int haft__child_start(haft__child *c)
{
    haft_supervisor *sup = c->sup;
    if (c->actor != NULL) {
        start_actor_again(c);
        return 0;
    }
    const haft__job_spec spec = { .body = c->body,
                                  .frame = c->template,
                                  .size = c->size,
                                  .alignment = c->alignment,
                                  .options = &c->options,
                                  .kind = c->options.kind,
                                  .group = c,
                                  .owner = HAFT__OWNED_BY_GROUP };
    haft__job *job = NULL;
    int rc = haft__job_make(&spec, &job);
    if (rc != 0)
        return rc;
    job->record.flags |= HAFT__SUPERVISED;
    c->started = haft__os->now();
    haft__lock_acquire(&sup->lock);
    c->state = HAFT__CHILD_RUNNING; /* before it starts, because it may have ended when that returns */
    c->job = job;
    c->runs++;
    sup->due -= c->is_starting ? 0 : 1;
    haft__lock_release(&sup->lock);
    rc = haft__job_start(job);
    if (rc == 0)
        return 0;
    haft__lock_acquire(&sup->lock);
    c->state = HAFT__CHILD_DUE;
    c->job = NULL;
    c->runs--;
    sup->due += c->is_starting ? 0 : 1;
    haft__lock_release(&sup->lock);
    haft__job_unmake(job);
    return rc;
}

void haft__child_reap(haft__child *c)
{
    haft_outcome out;
    haft__lock_acquire(&c->sup->lock);
    haft__job *job = c->job;
    c->job = NULL; /* before the slot is recycled: nobody may find somebody else in it */
    c->has_ended = false;
    if (c->actor != NULL)
        c->last = c->report;
    c->is_final = c->is_gone;
    haft__lock_release(&c->sup->lock);
    if (c->actor != NULL)
        return;
    haft__job_reap(job, NULL, 0, &out);
    if (out.panic.payload != NULL && out.panic.payload_drop != NULL)
        haft__drop_object(out.panic.payload_drop, out.panic.payload);
    out.panic.payload = NULL;
    out.panic.payload_drop = NULL;
    haft__lock_acquire(&c->sup->lock);
    c->last = out;
    haft__lock_release(&c->sup->lock);
}

int haft__child_code(const haft__child *c)
{
    switch (c->last.end) {
    case HAFT_PANICKED:
        return HAFT_EPANIC;
    case HAFT_ABORTED:
        return HAFT_EABORTED;
    case HAFT_NOT_STARTED:
        return c->last.code != 0 ? c->last.code : HAFT_EABORTED;
    default:
        return c->last.code;
    }
}

/* Aborts the run. A blocking call that nobody has begun ends here. */
static void abort_run(haft__child *c)
{
    if (c->actor != NULL) {
        haft__actor_abort_sole(c->actor);
        return;
    }
    haft__lock_acquire(&c->sup->lock);
    bool runs = !c->has_ended;
    haft__job *job = c->job;
    bool is_withdrawn = false;
    if (runs) {
        haft__job_mark_aborted(&job->record, haft__generation(haft__load_relaxed(&job->record.state)));
        is_withdrawn = haft__load_relaxed(&job->record.kind) == HAFT__KIND_BLOCKING && haft__pool_withdraw(job);
    }
    haft__lock_release(&c->sup->lock);
    if (!runs)
        return;
    haft__job_wake_marked(&job->record);
    if (is_withdrawn)
        haft__job_refuse(&job->record, 0);
}

/* Waits for the end of the run. False: it is late. */
static bool await_end(haft__child *c, haft__root *me, int64_t until)
{
    haft_supervisor *sup = c->sup;
    haft__lock_acquire(&sup->lock);
    while (!c->has_ended && (until == INT64_MAX || haft__os->now() < until))
        haft__keeper_sleep(sup, me, until);
    bool has_ended = c->has_ended;
    haft__lock_release(&sup->lock);
    return has_ended;
}

static void ask(haft__child *c, bool for_good)
{
    if (c->actor != NULL && for_good)
        haft_actor_stop_raw(&(haft_actor_end){ c->actor });
    else if (c->actor != NULL)
        haft__actor_pause(c->actor);
    else if (c->stop != NULL)
        haft__drop_object(c->stop, c->template);
}

/* Takes out one who waits for a removal and belongs to that child, or null. The lock is held. */
static haft__arm *take_remover(const haft__child *c)
{
    for (haft__link *at = c->sup->children.next; at != &c->sup->children; at = at->next) {
        const haft__child *other = HAFT__CONTAINER(at, haft__child, link);
        for (haft__link *link = other->removers.next; link != &other->removers; link = link->next) {
            haft__arm *w = HAFT__CONTAINER(link, haft__arm, link);
            if (w->value != c)
                continue;
            haft__list_remove(link);
            return w;
        }
    }
    return NULL;
}

/* The keeper is about to wait for the end of that child, which then must not wait for the keeper. The lock is held on entry
 * and on return. */
static void begin_stop(const haft__child *c)
{
    haft__arm *w;
    c->sup->stopping = c;
    while ((w = take_remover(c)) != NULL) {
        haft__record *record = haft__arm_complete(w, HAFT_EDEADLK);
        haft__lock_release(&c->sup->lock);
        haft__wake(record);
        haft__lock_acquire(&c->sup->lock);
    }
}

bool haft__child_stop(haft__child *c, bool for_good)
{
    haft__root *me = haft__here_or_null()->root;
    haft__lock_acquire(&c->sup->lock);
    bool was_over = c->has_ended;
    if (!was_over)
        begin_stop(c);
    haft__lock_release(&c->sup->lock);
    if (!was_over) {
        ask(c, for_good);
        int64_t until;
        if (__builtin_add_overflow(haft__os->now(), c->grace, &until))
            until = INT64_MAX;
        if (c->grace <= 0 || !await_end(c, me, until)) {
            abort_run(c);
            await_end(c, me, INT64_MAX);
        }
    }
    haft__lock_acquire(&c->sup->lock);
    c->sup->stopping = NULL;
    haft__list_remove(&c->ended);
    haft__lock_release(&c->sup->lock);
    haft__child_reap(c);
    return was_over;
}

/* An actor whose worker is down will not be started again: it ends. */
static void dismiss(haft__child *c)
{
    haft_supervisor *sup = c->sup;
    haft__root *me = haft__here_or_null()->root;
    haft__lock_acquire(&sup->lock);
    bool was_gone = c->is_gone;
    haft__lock_release(&sup->lock);
    if (was_gone)
        return;
    haft__actor_give_verdict(c->actor, HAFT__VERDICT_END);
    haft__lock_acquire(&sup->lock);
    while (!c->is_gone)
        haft__keeper_sleep(sup, me, INT64_MAX);
    haft__list_remove(&c->ended);
    haft__lock_release(&sup->lock);
    haft__child_reap(c);
}

void haft__child_end(haft__child *c)
{
    if (c->state == HAFT__CHILD_RUNNING)
        haft__child_stop(c, true);
    if (c->state != HAFT__CHILD_DONE && c->actor != NULL)
        dismiss(c);
}

/* --- who is here -------------------------------------------------------------------------------------------------- */

haft__child *haft__child_here(const haft_supervisor *sup, const haft__root *me)
{
    const haft__job *job = haft__job_here(me);
    const haft__server *server = haft__server_here(me);
    haft__child *c = job != NULL && (job->record.flags & HAFT__SUPERVISED) != 0 ? job->group
                     : server != NULL                                           ? server->core->child
                                                                                : NULL;
    return c != NULL && c->sup == sup ? c : NULL;
}

bool haft__child_is_here(const haft_supervisor *sup, const haft__root *me)
{
    return me->record == sup->keeper || haft__child_here(sup, me) != NULL;
}
