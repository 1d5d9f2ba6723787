/* SPDX-License-Identifier: MIT */
#include "sched/timer.h"

#include "wait/wait.h"

void haft__timers_init(haft__timers *timers)
{
    haft__atomic_init(&timers->lock, 0);
    timers->top = NULL;
    haft__atomic_init(&timers->earliest, INT64_MAX);
    haft__atomic_init(&timers->fired, 0);
}

static haft__timer *merge(haft__timer *a, haft__timer *b)
{
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (b->deadline < a->deadline) {
        haft__timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next != NULL)
        b->next->previous = b;
    b->previous = a;
    a->child = b;
    a->next = a->previous = NULL;
    return a;
}

/* Merges siblings in pairs from the left, then the pairs from the right. */
static haft__timer *merge_siblings(haft__timer *first)
{
    haft__timer *pairs = NULL;
    while (first != NULL) {
        haft__timer *a = first, *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = a->previous = NULL;
        if (b != NULL)
            b->next = b->previous = NULL;
        a = merge(a, b);
        a->next = pairs;
        pairs = a;
    }
    haft__timer *top = NULL;
    while (pairs != NULL) {
        haft__timer *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        top = merge(top, pair);
    }
    return top;
}

static void take_out(haft__timers *timers, haft__timer *timer)
{
    haft__timer *below = merge_siblings(timer->child);
    timer->child = NULL;
    if (timer->previous == NULL) {
        timers->top = below;
    } else {
        if (timer->previous->child == timer)
            timer->previous->child = timer->next;
        else
            timer->previous->next = timer->next;
        if (timer->next != NULL)
            timer->next->previous = timer->previous;
        timers->top = merge(timers->top, below);
    }
    timer->next = timer->previous = NULL;
    timer->heap = NULL;
    if (timers->top != NULL)
        timers->top->previous = timers->top->next = NULL;
    haft__store_relaxed(&timers->earliest, timers->top != NULL ? timers->top->deadline : INT64_MAX);
}

void haft__timer_arm(haft__timers *timers, haft__timer *timer, haft__record *record, int64_t deadline)
{
    timer->child = timer->next = timer->previous = NULL;
    timer->heap = timers;
    timer->deadline = deadline;
    timer->record = record;
    haft__lock_acquire(&timers->lock);
    timers->top = merge(timers->top, timer);
    haft__store_relaxed(&timers->earliest, timers->top->deadline);
    haft__lock_release(&timers->lock);
}

void haft__timer_disarm(haft__timers *timers, haft__timer *timer)
{
    haft__lock_acquire(&timers->lock);
    if (timer->heap != NULL)
        take_out(timers, timer);
    haft__lock_release(&timers->lock);
}

void haft__timers_fire(haft__timers *timers, int64_t now)
{
    while (haft__load_relaxed(&timers->earliest) <= now) {
        haft__record *record = NULL;
        haft__lock_acquire(&timers->lock);
        haft__timer *timer = timers->top;
        if (timer != NULL && timer->deadline <= now) {
            record = timer->record;
            haft__store_relaxed(&timers->fired, haft__load_relaxed(&timers->fired) + 1);
            take_out(timers, timer);
        }
        haft__lock_release(&timers->lock);
        if (record == NULL)
            return;
        haft__wake(record);
    }
}
