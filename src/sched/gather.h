/* SPDX-License-Identifier: MIT
 *
 * Tasks that fight for the lock of one object are brought together on one worker.
 *
 * Tasks that do little else than send through one channel, on several workers, spend their time on the way of the lock's
 * cache line between the processors, and on its back-off: a single worker that runs all of them is faster than several. A
 * scheduler sees none of that, because they never wait: nobody wakes them anywhere, and what was stolen once stays apart.
 *
 * Whoever had to wait for such a lock reports it while it holds it, haft__gathering_meet. Enough meetings of tasks of
 * different workers in a short time, at an object that serves many operations in it, are a reason to gather, for a short
 * stay, on the one worker with the lower number, provided that it goes from task to task quickly:
 *
 *  - whoever meets another one goes there (haft__gather_join), among its guests;
 *  - thieves leave that worker's ring alone as long as it is short, and it wakes nobody for what it puts there.
 *
 * Once the stay is over thieves take some away, and they meet again. Then both paces are known, that of the stay and that
 * since, and decide: another stay of twice the length, up to a limit, or, if they were slower by more than an eighth, none for
 * a while, for twice as long each time. So where it is no gain, as where the tasks do much between two operations, it soon
 * costs a thousandth. A stay after which they did not meet at once tells nothing, and the next is a first one.
 *
 * Nothing here is needed for a task to go on, and all words are relaxed but those of the guests, a lock-free stack that
 * anyone pushes to. Its owner looks at it at every second pick. What waits behind a task that keeps its worker all of a
 * sudden, guests or ring, is there for any worker that searches once the stay is over; one that goes to sleep meanwhile, as
 * that whose tasks have left does, sleeps until then at most. Whoever pushes is a worker, executes the light fence, and then
 * looks at the owner's sleep word: either the owner, behind its heavy fence, sees the guest before it sleeps, or it is
 * woken. */
#ifndef HAFT_SCHED_GATHER_H
#define HAFT_SCHED_GATHER_H

#include <stdbool.h>
#include <stdint.h>

struct haft__sched;
struct haft__worker;

/* An object's, guarded by its lock. Zeroed at first. Times in ns. */
typedef struct haft__gathering {
    uint64_t serial;   /* of the scheduler whose workers these are */
    unsigned last;     /* the worker of the last one who met another */
    unsigned at;       /* where they gather, or would */
    unsigned meetings; /* since `since` */
    unsigned pace;     /* of the last stay, in ns for so many operations; 0: unknown */
    int64_t stay;      /* the last one's length */
    int64_t until;     /* the stay's end; 0: it is over, and its pace known */
    int64_t since;     /* when the stay or the counting of meetings began, and how many operations then */
    uint64_t since_count;
    uint64_t ticks; /* of the worker `at`, when they last changed */
    int64_t ticks_since;
    int64_t not_before; /* no stay begins earlier */
    int64_t pause;      /* after the last one that was no gain; 0 after one that was */
} haft__gathering;

/* The decision alone: somebody on that worker had to wait for the lock. True if whoever waited belongs to the worker `at`. */
bool haft__gathering_decide(haft__gathering *g, const struct haft__sched *sched, unsigned worker, int64_t now,
                            uint64_t count);

/* The calling job had to wait for the object's lock, and holds it. now: when it found it held. count: operations that the
 * object has served. Returns the worker that the job is to join once it has released the lock, or null. */
struct haft__worker *haft__gathering_meet(haft__gathering *g, int64_t now, uint64_t count);

/* The calling task goes on on that worker. Suspends. */
void haft__gather_join(struct haft__worker *to);

#endif
