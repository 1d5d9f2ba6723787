/* SPDX-License-Identifier: MIT
 *
 * Panics. A wall (haft__catch) stands at the root of every job and in haft_catch. Raising a panic runs the blocks
 * that are open inside of the innermost wall, last first, each taken off the list before it runs, and throws at the
 * wall.
 *
 * A panic raised by such a block is reported too; then the remaining blocks run and the first panic goes on. The
 * frames of the first raise below are simply left: everything they would still do is done by the second. */
#include "job/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/sanitizer.h"
#include "wait/held.h"

static haft__atomic(haft_panic_hook *) hook;

/* When there is no memory for a panic, this one stands in; what it says is lost, that it happened is not. It may be several
 * jobs' at once, so nothing is ever written to it. */
static haft__panic no_memory = { .info = { .message = "a panic, and no memory to say which" } };

static const char *kind_name(const haft__job *job)
{
    switch (haft__load_relaxed(&job->record.kind)) {
    case HAFT__KIND_THREAD:
        return "thread";
    case HAFT__KIND_BLOCKING:
        return "blocking call";
    default:
        return "task";
    }
}

void haft__job_describe(const haft__job *job, char *text, size_t size)
{
    /* Acquire: partner of the release in place_name; the record may be another job's by now. */
    const char *name = job != NULL ? haft__load_acquire(&job->name) : NULL;
    if (job == NULL) {
        snprintf(text, size, "a plain thread");
    } else if (name != NULL) {
        snprintf(text, size, "%s", name);
    } else {
        uint64_t id =
            (uint64_t)haft__generation(haft__load_relaxed(&job->record.state)) << 24 | haft__record_index(&job->record);
        snprintf(text, size, "%s %llu", kind_name(job), (unsigned long long)id);
    }
}

static void report(const haft_panic_info *info)
{
    /* Acquire: partner of the release in haft_on_panic; the hook sees what was done before. */
    haft_panic_hook *user = haft__load_acquire(&hook);
    if (user != NULL) {
        user(info);
        return;
    }
    haft__report("haft: %s panicked at %s:%d: %s%s%s\n", info->job, info->file != NULL ? info->file : "?", info->line,
                 info->message[0] != 0 || info->payload == NULL ? info->message : "(payload)",
                 info->spawned_at != NULL ? ", spawned at " : "", info->spawned_at != NULL ? info->spawned_at : "");
}

void haft_on_panic(haft_panic_hook *user)
{
    haft__store_release(&hook, user);
}

static void fill(haft_panic_info *info, const haft__root *root, const char *file, int line)
{
    memset(info, 0, sizeof *info);
    info->file = file;
    info->line = line;
    haft__job *job = haft__job_here(root);
    haft__job_describe(job, info->job, sizeof info->job);
    info->spawned_at = job != NULL ? job->place : NULL;
}

static haft__panic *panic_allocate(void)
{
    haft__panic *panic = haft__os->allocate(sizeof *panic, _Alignof(haft__panic));
    return panic != NULL ? panic : &no_memory;
}

haft__panic *haft__panic_new(const char *file, int line, const char *message)
{
    haft__panic *panic = panic_allocate();
    haft_panic_info info;
    fill(&info, haft__here_always()->root, file, line);
    snprintf(info.message, sizeof info.message, "%s", message);
    report(&info);
    if (panic != &no_memory)
        panic->info = info;
    return panic;
}

void haft__panic_free(haft__panic *panic)
{
    haft_panic_drop(&panic->info);
    if (panic != &no_memory)
        haft__os->release(panic);
}

haft_panic_info haft__panic_take(haft__panic *panic)
{
    haft_panic_info info = panic->info;
    if (panic != &no_memory)
        panic->info.payload = NULL;
    return info;
}

void haft__panic_append(haft__panic **chain, haft__panic *panic)
{
    if (*chain == &no_memory)
        *chain = NULL; /* the other one says more, or the same */
    else if (panic == &no_memory && *chain != NULL)
        return;
    if (panic != &no_memory)
        panic->next = NULL;
    while (*chain != NULL)
        chain = &(*chain)->next;
    *chain = panic;
}

void haft_panic_drop(haft_panic_info *panic)
{
    void *payload = panic->payload;
    if (payload == NULL)
        return;
    panic->payload = NULL;
    if (panic->payload_drop != NULL)
        panic->payload_drop(payload);
}

/* Runs the innermost open block. */
static void end_block(haft__root *root)
{
    haft_block *block = root->blocks;
    root->blocks = block->next_;
    block->end_(block);
}

void haft_block_end_(haft_block *block)
{
    haft__thread *here = haft__here_or_null();
    if (here != NULL && here->root->blocks == block) /* else it was jumped into, and never began */
        end_block(here->root);
}

static _Noreturn void die(void)
{
    static const char text[] = "haft: a panic outside of any job ends the process\n";
    haft__os->write_error(text, sizeof text - 1);
    haft__os->abort();
    __builtin_trap();
}

void haft__panic_raise(haft__root *root, haft__panic *panic)
{
    if (root->panicking == NULL)
        root->panicking = panic;
    else if (panic != root->panicking)
        haft__panic_free(panic); /* raised by a block that ran because of the first */
    haft__catch *wall = root->catches;
    haft_block *outside = wall != NULL ? wall->blocks : NULL;
    while (root->blocks != outside)
        end_block(root);
    if (wall == NULL) {
        die();
        __builtin_unreachable();
    }
    wall->caught = root->panicking;
    haft__arch_throw(&wall->wall);
}

haft__panic *haft__catch_call(haft__root *root, void (*what)(void *), void *argument)
{
    haft__catch wall;
    wall.outer = root->catches;
    wall.blocks = root->blocks;
    wall.outer_panicking = root->panicking;
    wall.caught = NULL;
    uint32_t shields = root->shields;
    int64_t deadline = root->deadline;
    root->panicking = NULL;
    haft_held_ mark;
    haft_held_ *marked = NULL;
    if (__builtin_expect(root->held != NULL, 0)) {
        marked = &mark;
        haft__held_push(root, marked, NULL);
    }
    root->catches = &wall;
    bool thrown = haft__arch_try(what, argument, &wall.wall);
    root->catches = wall.outer;
    root->panicking = wall.outer_panicking;
    if (thrown && root->held != marked)
        haft__held_abandon(root, marked);
    if (marked != NULL)
        haft__held_remove(root, marked);
    if (!thrown)
        return NULL;
    /* Every block inside has ended and put these back; a library wait left half way has not. */
    root->shields = shields;
    root->deadline = deadline;
    return wall.caught;
}

static haft__root *panicking_root(void)
{
    return haft__here_always()->root;
}

void haft_panic_raw(const char *file, int line, const char *format, ...)
{
    haft__root *root = panicking_root();
    haft__panic *panic = panic_allocate();
    haft_panic_info info;
    fill(&info, root, file, line);
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): begun in the line above; the analyzer of clang 14 loses it */
    vsnprintf(info.message, sizeof info.message, format, arguments);
    va_end(arguments);
    report(&info);
    if (panic != &no_memory)
        panic->info = info;
    haft__panic_raise(root, panic);
}

void haft_panic_with_raw(const char *file, int line, void *payload, haft_drop_fn *drop)
{
    haft__root *root = panicking_root();
    haft__panic *panic = panic_allocate();
    haft_panic_info info;
    fill(&info, root, file, line);
    info.payload = payload;
    info.payload_drop = drop;
    report(&info);
    if (panic != &no_memory)
        panic->info = info;
    else if (payload != NULL && drop != NULL)
        drop(payload);
    haft__panic_raise(root, panic);
}

void haft_panic_resume(haft_panic_info *info)
{
    haft__root *root = panicking_root();
    haft__panic *panic = panic_allocate();
    if (panic != &no_memory)
        panic->info = *info;
    else
        haft_panic_drop(info);
    info->payload = NULL;
    haft__panic_raise(root, panic);
}

struct catch_call {
    haft_fn *body;
    void *loan;
    size_t size;
    int code;
};

static void catch_body(void *argument)
{
    struct catch_call *call = argument;
    call->code = haft__call_body(call->body, call->loan, call->size);
}

int haft_catch_raw(haft_fn *body, void *loan, size_t size, haft_panic_info *out)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    struct catch_call call = { .body = body, .loan = loan, .size = size };
    if (out != NULL) { /* a body may return HAFT_EPANIC of its own: then there is nothing to drop */
        out->message[0] = 0;
        out->payload = NULL;
        out->payload_drop = NULL;
    }
    haft__panic *panic = haft__catch_call(here->root, catch_body, &call);
    if (panic == NULL)
        return call.code;
    if (out != NULL)
        *out = haft__panic_take(panic);
    haft__panic_free(panic);
    return HAFT_EPANIC;
}

/* --- Droppers ----------------------------------------------------------------------------------------------------- */

typedef struct drop_call {
    haft_drop_fn *drop;
    void *object;
} drop_call;

HAFT__CALLS_ANY_TYPE
static void call_drop(void *argument)
{
    drop_call *call = argument;
    call->drop(call->object);
}

void haft__drop_object(haft_drop_fn *drop, void *object)
{
    drop_call call = { drop, object };
    haft__root *me = haft__here_always()->root;
    haft__shield shield = haft__shield_raise(me);
    haft__panic *panic = haft__catch_call(me, call_drop, &call);
    haft__shield_lower(me, shield);
    if (panic != NULL)
        haft__panic_free(panic);
}

/* --- Defers ------------------------------------------------------------------------------------------------------- */

HAFT__CALLS_ANY_TYPE
static void run_defer(haft_block *block)
{
    haft_drop_fn *f;
    memcpy(&f, &block->b_, sizeof f);
    f(block->a_);
}

haft_block haft_defer_raw(haft_block *self, haft_drop_fn *f, void *argument)
{
    haft__root *root = haft__here_always()->root;
    haft_block block = { .next_ = root->blocks, .end_ = run_defer, .a_ = argument };
    memcpy(&block.b_, &f, sizeof f);
    root->blocks = self;
    return block;
}
