/* SPDX-License-Identifier: MIT
 *
 * The ring and the LIFO slot of a worker (sched/queue.h): whoever gets a job gets it alone, and sees what was written
 * into it before it was queued. */
#include "sched/queue.h"

#include "world.h"

enum { JOBS = 6 };
static haft__record jobs[JOBS];
static haft__worker workers[2];
static haft__sched sched;

static void begin(void)
{
    for (unsigned i = 0; i < 2; i++) {
        workers[i].sched = &sched;
        workers[i].number = i;
    }
    sched.workers = workers;
    sched.count = 2;
    model_name(workers, sizeof workers, "workers");
    model_name(&workers[0].head, 4, "head");
    model_name(&workers[0].tail, 4, "tail");
    model_name(&workers[0].lifo, 8, "lifo");
    model_name(&workers[0].lifo_busy, 4, "lifo_busy");
    model_name(&workers[0].lifo_want, 4, "lifo_want");
    model_name(jobs, sizeof jobs, "jobs");
}

static void push(int i)
{
    jobs[i].frame_size = 40;
    haft__ring_push(&workers[0], &jobs[i]);
}

/* Plain accesses: two takers of one job race. */
static void got(haft__record *record)
{
    if (record == NULL)
        return;
    model_check(record->frame_size == 40);
    record->frame_size++;
    record->code++;
}

static void check_each_once(int n)
{
    for (haft__record *record; (record = haft__ring_pop(&workers[0])) != NULL;)
        got(record);
    for (haft__record *record; (record = haft__ring_pop(&workers[1])) != NULL;)
        got(record);
    for (haft__record *record = sched.injection_first; record != NULL; record = record->next)
        got(record);
    got(haft__load_relaxed(&workers[0].lifo));
    for (int i = 0; i < n; i++)
        model_check(jobs[i].code == 1);
}

static void thief(void *argument)
{
    haft__worker *me = argument;
    got(haft__ring_steal(me, &workers[0]));
    got(haft__ring_pop(me));
}

static void thief_twice(void *argument)
{
    thief(argument);
    thief(argument);
}

MODEL("ring: the owner pushes and pops while a thief steals")
{
    begin();
    int other = model_start(thief_twice, &workers[1]);
    push(0);
    push(1);
    got(haft__ring_pop(&workers[0]));
    push(2);
    got(haft__ring_pop(&workers[0]));
    model_join(other);
    check_each_once(3);
}

MODEL("ring: a full one gives half away while a thief steals")
{
    begin();
    int other = model_start(thief, &workers[1]);
    for (int i = 0; i < JOBS; i++)
        push(i);
    got(haft__ring_pop(&workers[0]));
    model_join(other);
    check_each_once(JOBS);
}

MODEL("ring: it goes round under a slow thief")
{
    begin();
    for (int i = 0; i < 3; i++)
        push(i);
    int other = model_start(thief, &workers[1]);
    got(haft__ring_pop(&workers[0]));
    got(haft__ring_pop(&workers[0]));
    push(3);
    push(4);
    push(5);
    got(haft__ring_pop(&workers[0]));
    model_join(other);
    check_each_once(JOBS);
}

static haft__worker third;

MODEL("ring: two thieves at one ring, and one steals from the other", .is_large = true)
{
    begin();
    third.sched = &sched;
    push(0);
    push(1);
    push(2);
    int one = model_start(thief, &workers[1]), two = model_start(thief, &third);
    got(haft__ring_pop(&workers[0]));
    model_join(one);
    model_join(two);
    for (haft__record *record; (record = haft__ring_pop(&third)) != NULL;)
        got(record);
    check_each_once(3);
}

static void thief_of_a_thief(void *argument)
{
    (void)argument;
    got(haft__ring_steal(&third, &workers[1]));
    got(haft__ring_pop(&third));
}

MODEL("ring: what was stolen is stolen again")
{
    begin();
    third.sched = &sched;
    push(0);
    push(1);
    push(2);
    push(3);
    int one = model_start(thief, &workers[1]), two = model_start(thief_of_a_thief, NULL);
    model_join(one);
    model_join(two);
    for (haft__record *record; (record = haft__ring_pop(&third)) != NULL;)
        got(record);
    check_each_once(4);
}

/* --- the LIFO slot ------------------------------------------------------------------------------------------------------- */

static void put(int i)
{
    jobs[i].frame_size = 40;
    haft__lifo_put(&workers[0], &jobs[i]);
}

static void lifo_thief(void *argument)
{
    (void)argument;
    got(haft__lifo_steal(&workers[0]));
}

MODEL("LIFO slot: the owner takes while a thief steals")
{
    begin();
    put(0);
    int other = model_start(lifo_thief, NULL);
    got(haft__lifo_take(&workers[0]));
    put(1);
    got(haft__lifo_take(&workers[0]));
    model_join(other);
    check_each_once(2);
}

MODEL("LIFO slot: one owner and two thieves")
{
    begin();
    put(0);
    int one = model_start(lifo_thief, NULL), two = model_start(lifo_thief, NULL);
    got(haft__lifo_take(&workers[0]));
    put(1);
    model_join(one);
    model_join(two);
    check_each_once(2);
}

MODEL("LIFO slot: it is filled and emptied again under a thief", .is_large = true)
{
    begin();
    int other = model_start(lifo_thief, NULL);
    for (int i = 0; i < 3; i++) {
        put(i);
        got(haft__lifo_take(&workers[0]));
    }
    put(3);
    model_join(other);
    check_each_once(4);
}
