/* SPDX-License-Identifier: MIT
 *
 * What is looked at when no thread can run, and at the end. The library's records are read as they are: nothing runs
 * meanwhile.
 *
 * Whoever sleeps while nothing can run must have no reason to wake. A reason is:
 *
 *  - a thread that sleeps on a word: the word no longer has the value that it sleeps for. Whoever changes such a word
 *    wakes afterwards, and nobody is about to, because nobody can run;
 *  - a parked job that heeds aborts: it was aborted;
 *  - a parked job with a deadline: it has long passed. A worker stuck in a job leaves its timers to the rescuer, who is
 *    allowed his time;
 *  - whoever joins: every job that it has claimed has ended;
 *  - a worker: a task that it could run waits in a queue, and all workers of the scheduler sleep. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "job/job.h"
#include "sched/queue.h"
#include "trace/census.h"
#include "world.h"

struct text {
    size_t length;
    char bytes[7000];
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    size_t room = sizeof text->bytes - text->length;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->length += (size_t)n < room ? (size_t)n : room - 1;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static bool is_job(const haft__record *record)
{
    return haft__load_relaxed(&record->kind) < HAFT__KIND_PLAIN;
}

static bool is_parked(const haft__record *record)
{
    return haft__load_relaxed(&record->kind) != HAFT__KIND_FREE &&
           haft__word_is_parked(haft__load_relaxed(&record->word));
}

static void add_record(struct text *text, haft__record *record)
{
    static const char *const kinds[] = { "task", "thread", "blocking call", "plain thread", "free slot" };
    char name[64] = "";
    if (is_job(record))
        haft__job_describe(haft__job_of(record), name, sizeof name);
    add(text, "%s %u", kinds[haft__load_relaxed(&record->kind)], haft__record_index(record));
    if (name[0] != '\0')
        add(text, " (%s)", name);
    if (is_job(record) && haft__job_of(record)->place != NULL)
        add(text, " spawned at %s", haft__job_of(record)->place);
}

static void add_threads(struct text *text)
{
    for (uint32_t i = 0; i < sim_world.alive; i++) {
        const sim_thread *thread = sim_world.threads[i];
        if (thread->state == SIM_ENDED)
            continue;
        add(text, "\n    thread t%u %s: ", thread->id, thread->name);
        if (thread->state == SIM_JOINS)
            add(text, "joins t%u", thread->joins->id);
        else if (thread->state == SIM_SLEEPS && thread->deadline != SIM_FOREVER)
            add(text, "sleeps for %jd ns", (intmax_t)(thread->deadline - sim_now()));
        else
            add(text, "%s at %s", thread->state == SIM_SLEEPS ? "sleeps" : "can run,", thread->place);
    }
}

/* Whom a parked record waits for, as far as the jobs that it has claimed tell. */
struct waits {
    struct text *text;
    const haft__record *waiter;
};

static bool is_claimed_by(const haft__record *record, uint64_t state, const haft__record *waiter)
{
    return is_job(record) && (state & HAFT__CLAIMED) != 0 && (state & HAFT__DETACHED) == 0 &&
           haft__joiner(state) == haft__record_index(waiter);
}

static void add_claimed(haft__record *record, void *argument)
{
    struct waits *waits = argument;
    if (is_claimed_by(record, haft__load_relaxed(&record->state), waits->waiter)) {
        add(waits->text, ", joins ");
        add_record(waits->text, record);
    }
}

static void add_parked(haft__record *record, void *argument)
{
    struct text *text = argument;
    if (haft__load_relaxed(&record->kind) == HAFT__KIND_FREE ||
        (is_job(record) && (haft__load_relaxed(&record->state) & HAFT__DONE) != 0))
        return;
    add(text, "\n    ");
    add_record(text, record);
    if (!is_parked(record)) {
        add(text, ": could run");
        return;
    }
    const haft__root *root = record->root;
    add(text, ": waits for %s", root != NULL && root->waits_for != NULL ? root->waits_for : "something");
    if (root != NULL && root->waits_on != NULL) {
        add(text, " ");
        add_record(text, root->waits_on);
    }
    struct waits waits = { text, record };
    haft__record_each(add_claimed, &waits);
}

static void add_everybody(struct text *text)
{
    add_threads(text);
    haft__record_each(add_parked, text);
}

/* --- lost wake-ups ------------------------------------------------------------------------------------------------ */

struct claims {
    const haft__record *waiter;
    unsigned claimed, ended;
};

static void count_claims(haft__record *record, void *argument)
{
    struct claims *claims = argument;
    uint64_t state = haft__load_relaxed(&record->state);
    if (!is_claimed_by(record, state, claims->waiter))
        return;
    claims->claimed++;
    claims->ended += (state & HAFT__DONE) != 0;
}

/* Does it wait for jobs that it has claimed? What runs between a join's wait and its return, a .drop, may wait for anything
 * else. */
static bool waits_for_claims(const haft__root *root, const haft__record *waiter)
{
    if (root->waits_on != NULL)
        return is_claimed_by(root->waits_on, haft__load_relaxed(&root->waits_on->state), waiter);
    return root->waits_for == NULL || strstr(root->waits_for, "the ends of") != NULL ||
           strstr(root->waits_for, "a select") != NULL;
}

/* A worker that is stuck in a job has its timers fired by the rescuer. */
#define LATE (3 * (int64_t)HAFT__RESCUE_NS)

static const char *reason_of(haft__record *record)
{
    const haft__root *root = record->root;
    if (!is_parked(record) || root == NULL)
        return NULL;
    if (is_job(record) && haft__is_aborted_here(root))
        return "it was aborted";
    if (root->deadline != SIM_FOREVER && root->deadline + LATE < sim_now())
        return "its deadline has passed";
    struct claims claims = { .waiter = record };
    if (waits_for_claims(root, record))
        haft__record_each(count_claims, &claims);
    return claims.claimed != 0 && claims.claimed == claims.ended ? "what it joins has ended" : NULL;
}

static void look_at_record(haft__record *record, void *argument)
{
    const char *reason = reason_of(record);
    struct text text = { .length = 0 };
    (void)argument;
    if (reason == NULL)
        return;
    add_record(&text, record);
    add(&text, " waits, and %s", reason);
    add_everybody(&text);
    sim_finding(SIM_LOST_WAKE_UP, "%s", text.bytes);
}

static bool is_asleep(const haft__worker *w)
{
    for (uint32_t i = 0; i < sim_world.alive; i++)
        if (sim_world.threads[i]->state == SIM_SLEEPS && sim_world.threads[i]->word == &w->sleep_word)
            return true;
    return false;
}

static const char *queue_of(const haft__worker *w)
{
    if (haft__load_relaxed(&w->tail) != haft__load_relaxed(&w->head))
        return "ring";
    if (haft__load_relaxed(&w->lifo) != NULL)
        return "LIFO slot";
    return haft__load_relaxed(&w->inbox) != NULL || w->pinned != NULL ? "inbox" : NULL;
}

static void look_at_scheduler(const haft__sched *s)
{
    const char *queue =
        haft__load_relaxed(&s->injected) != NULL || s->injection_first != NULL ? "injection queue" : NULL;
    unsigned of = 0;
    for (unsigned i = 0; i < s->count; i++) {
        if (!is_asleep(&s->workers[i]))
            return; /* stuck in a job, or about to end */
        if (queue == NULL) {
            queue = queue_of(&s->workers[i]);
            of = i;
        }
    }
    if (queue == NULL)
        return;
    struct text text = { .length = 0 };
    add(&text, "all %u workers sleep, and a task waits in the %s of worker %u", s->count, queue, of);
    add_everybody(&text);
    sim_finding(SIM_LOST_WAKE_UP, "%s", text.bytes);
}

static void look_at_home(haft__record *record, void *argument)
{
    const haft__sched **seen = argument;
    const haft__sched *home = is_job(record) ? haft__load_relaxed(&record->home) : NULL;
    if (home == NULL || home == *seen)
        return;
    *seen = home;
    look_at_scheduler(home);
}

void sim_look_for_lost_wake_ups(void)
{
    for (uint32_t i = 0; i < sim_world.alive; i++) {
        const sim_thread *thread = sim_world.threads[i];
        if (thread->state != SIM_SLEEPS || thread->word == NULL || haft__load_relaxed(thread->word) == thread->expected)
            continue;
        struct text text = { .length = 0 };
        add(&text, "thread t%u %s sleeps on a word for as long as it is %u, and it is %u", thread->id, thread->name,
            thread->expected, haft__load_relaxed(thread->word));
        add_everybody(&text);
        sim_finding(SIM_LOST_WAKE_UP, "%s", text.bytes);
    }
    const haft__sched *seen = NULL;
    haft__record_each(look_at_record, NULL);
    haft__record_each(look_at_home, &seen);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

void sim_report_deadlock(bool has_main_ended)
{
    struct text text = { .length = 0 };
    add(&text, "%s, and nobody waits for the clock", has_main_ended ? "the main thread has ended" : "nothing can run");
    add_everybody(&text);
    sim_finding(has_main_ended ? SIM_LEAK : SIM_DEADLOCK, "%s", text.bytes);
}

void sim_report_livelock(void)
{
    struct text text = { .length = 0 };
    sim_world.is_running = false;
    add(&text, "still running after %ju steps, %jd ns", (uintmax_t)sim_steps(), (intmax_t)(sim_now() - SIM_BEGINNING));
    add_everybody(&text);
    sim_finding(SIM_LIVELOCK, "%s", text.bytes);
}

static void add_left(haft__record *record, void *argument)
{
    struct text *text = argument;
    if (haft__load_relaxed(&record->kind) == HAFT__KIND_FREE)
        return;
    add(text, "\n    ");
    add_record(text, record);
}

void sim_look_for_leaks(void)
{
    struct text text = { .length = 0 };
    haft__record_each(add_left, &text);
    for (uint32_t i = 0; i < sim_world.alive; i++)
        add(&text, "\n    thread t%u %s, which nobody joined", sim_world.threads[i]->id, sim_world.threads[i]->name);
    if (haft__runtimes_live() != 0)
        add(&text, "\n    %u runtimes", haft__runtimes_live());
    char memory[2000] = "";
    if (sim_memory_is_wrong(memory, sizeof memory))
        add(&text, "%s", memory);
    if (text.length != 0)
        sim_finding(SIM_LEAK, "something is left:%s", text.bytes);
}
