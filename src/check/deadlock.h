/* SPDX-License-Identifier: MIT
 *
 * The whole program has come to a stop: every thread sleeps until another one wakes it. That is reported on standard
 * error, once each time it happens, in every build. There are no false reports; what makes it certain:
 *
 *  - Every OS thread that haft knows is in a list. It counts as asleep only while it waits on a word of haft's without a
 *    deadline, as a worker without a timer does, a thread of the pool without a call, and whoever waits in one of haft's
 *    calls. A thread that is anywhere else may yet wake somebody.
 *  - The kernel says how many threads the process has. If there is one more than those asleep, it may call haft.
 *  - A signal handler may unpark and abort. If any is installed for a signal that others send, one may come.
 *  - A sleeper leaves only when its word is changed, which only a thread that is awake does, and every sleep has a
 *    number. All are seen asleep, the kernel's number of threads and the handlers are looked at, and all are seen
 *    in the same sleeps again: in between nobody was awake but the one who looks, so nobody ever will be.
 *
 * What it cannot know: a process that shares this one's memory without being one of its threads, and a debugger.
 *
 * It costs nothing while anything runs. A thread that falls asleep looks at the list, and only if it was the last one
 * awake its first sleep is short: 50 ms, and up to a minute in all. If nobody has moved then, the kernel is asked.
 * Later it is not looked at again, so a program that is idle stays so; a report can be missed if a thread that haft
 * does not know ends after that. */
#ifndef HAFT_CHECK_DEADLOCK_H
#define HAFT_CHECK_DEADLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"

/* One for each OS thread that haft knows, for as long as it is known. */
typedef struct haft__sleeper {
    haft__link link;
    haft__atomic(uint32_t) naps; /* odd while it is asleep */
    haft__atomic(uint32_t) expected;
    haft__atomic(haft__atomic(uint32_t) *) word; /* asleep while it holds what is expected */
    bool is_covered;                             /* the same OS thread has another one now */
} haft__sleeper;

/* Enters one; `before`, or null, is the one that the same OS thread had until now, and has again afterwards. */
void haft__sleeper_enter(haft__sleeper *sleeper, haft__sleeper *before);
void haft__sleeper_leave(haft__sleeper *sleeper, haft__sleeper *before);

/* futex_wait for the thread of that sleeper. With is_idle it counts as asleep although it has a deadline: all it will do
 * then is end. */
int haft__sleep(haft__sleeper *sleeper, haft__atomic(uint32_t) *word, uint32_t expected, int64_t deadline,
                bool is_idle);

/* Says who tells what each waits for: print writes lines to standard error. */
void haft__deadlock_setup(void (*print)(void));

#endif
