/* SPDX-License-Identifier: MIT
 *
 * How a thread passes the time before it sleeps: it pauses, if whom it waits for runs on another processor, or gives its
 * time slice away, if that one has to run here. A thread cannot know which; it remembers what helped. As long as pauses do
 * it pauses first. Where only a yield did, it yields first, and tries pauses again every so many waits. If they go on failing it
 * sleeps for once, because only a wake lets the kernel choose another processor for two that share one and yield to each
 * other.
 *
 * On a busy machine a yield gives the processor to somebody else, for milliseconds, where a sleep would end with the wake.
 * So after some yields in a row that took long there is none in many waits. Where they are long only now and then it was
 * one of those who talk to each other that had the processor, and did what was waited for. */
#ifndef HAFT_WAIT_TURNS_H
#define HAFT_WAIT_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sizes.h"
#include "os/os.h"

/* What a thread remembers. */
typedef struct haft__habit {
    uint16_t crowded;     /* waits to come without a yield, because the last ones took long */
    uint8_t long_yields;  /* in a row */
    uint8_t yields_first; /* in so many waits, the next one included */
    uint8_t in_vain;      /* trials of pauses that failed in a row */
    bool sleeps;          /* does not yield before it has slept */
} haft__habit;

enum haft__turn {
    HAFT__PAUSE,
    HAFT__YIELD,
    HAFT__ENOUGH,
};

/* One wait. */
typedef struct haft__turns {
    haft__habit *habit;
    unsigned pauses, yields; /* turns that are left */
    bool yields_first;
    enum haft__turn now;
} haft__turns;

static inline haft__turns haft__turns_begin(haft__habit *habit, unsigned pauses, unsigned yields)
{
    haft__turns turns = { .habit = habit, .pauses = pauses, .yields = yields };
    if (habit->yields_first != 0) {
        turns.yields_first = --habit->yields_first != 0;
        if (!turns.yields_first && ++habit->in_vain == HAFT__HABIT_TRIALS)
            habit->sleeps = true;
    }
    if (habit->crowded != 0) {
        habit->crowded--;
        turns.yields = 0;
    }
    return turns;
}

static inline enum haft__turn haft__turns_next(haft__turns *turns)
{
    bool may_yield = turns->yields != 0 && !turns->habit->sleeps;
    turns->now = HAFT__ENOUGH;
    if (turns->pauses != 0 && !(turns->yields_first && may_yield)) {
        turns->pauses--;
        turns->now = HAFT__PAUSE;
    } else if (may_yield) {
        turns->yields--;
        turns->now = HAFT__YIELD;
    }
    return turns->now;
}

/* What is done in the turn of a yield. */
static inline void haft__turns_yield(haft__turns *turns)
{
    int64_t start = haft__os->now();
    haft__os->yield();
    if (haft__os->now() - start < HAFT__LONG_YIELD_NS) {
        turns->habit->long_yields = 0;
    } else if (turns->habit->long_yields < HAFT__LONG_YIELDS - 1) {
        turns->habit->long_yields++;
    } else {
        turns->habit->crowded = HAFT__HABIT_CROWDED;
        turns->yields = 0;
    }
}

/* What it waited for has happened in the present turn. */
static inline void haft__turns_end(const haft__turns *turns)
{
    haft__habit *habit = turns->habit;
    if (turns->now == HAFT__PAUSE) {
        *habit = (haft__habit){ .crowded = habit->crowded, .long_yields = habit->long_yields };
    } else if (!turns->yields_first) {
        habit->yields_first = HAFT__HABIT_WAITS;
    }
}

/* It goes to sleep. */
static inline void haft__turns_sleep(const haft__turns *turns)
{
    haft__habit *habit = turns->habit;
    if (habit->sleeps)
        *habit = (haft__habit){ .crowded = habit->crowded, .long_yields = habit->long_yields };
}

#endif
