/* SPDX-License-Identifier: MIT
 *
 * What only something that runs needs, and a queued or finished job does not: at the top of a task's stack, or in a
 * thread's own record. Read and written by its owner alone, but for the context, which the successor reads after a
 * switch.
 *
 * Who runs here: haft__here() is the one accessor to the calling OS thread's record, and through it to the running
 * job. A task may continue on another thread after any wait, so the pointer must be asked for again then; it is read
 * by assembly that no compiler caches. */
#ifndef HAFT_WAIT_ROOT_H
#define HAFT_WAIT_ROOT_H

#include <stdint.h>

#include "arch/announce.h"
#include "arch/arch.h"
#include "arch/tls.h"
#include "check/deadlock.h"
#include "haft/embed.h"
#include "haft/panic.h"
#include "wait/record.h"
#include "wait/turns.h"

struct haft__stack;
struct haft__worker;
struct haft__catch;
struct haft__panic;

/* Found in every root at every switch; anything else means that a stack was overwritten from its far end. */
#define HAFT__ROOT_MARK UINT64_C(0x68616674726f6f74)

struct haft__local;
struct haft__party;

/* A lock that is read, in the list of what a job holds. */
typedef struct haft__read {
    haft_held_ held;
    void *lock;
} haft__read;

typedef struct haft__root {
    uint64_t mark;                   /* HAFT__ROOT_MARK */
    haft__context *context;          /* where a suspended one continues */
    haft__record *record;            /* who it is; null for a worker that idles */
    struct haft__stack *stack;       /* a task's; null on a thread's own stack */
    const char *low;                 /* a task's: no frame lies below */
    const volatile uint64_t *canary; /* of a stack that has one in the place of a guard; else null */
    haft_block *blocks;              /* defers, timeouts, shields and scopes that are open, innermost first */
    struct haft__catch *catches;
    struct haft__panic *panicking; /* being raised now; null otherwise */
    haft_held_ *held;              /* what must be released at the end, newest first; see wait/held.h */
    int64_t deadline;              /* the nearest that counts; INT64_MAX: none */
    uint32_t shields;              /* how many are open */
    uint32_t index;                /* of the record */
    uint32_t worker;               /* a task's: the number of the worker that it last ran on */
    uint32_t lock_flags;           /* of the mutex that it last had trouble with; a guess: see sync/mutex.c */
    const char *waits_for;         /* while it is parked, for reports: "the end of", or null: not said */
    haft__record *waits_on;        /* and whose, or null */
    uint32_t passes;               /* how often its last worker passed it on; see src/sched */
    bool is_refused;               /* there was no memory for a stack: the job ends here without running */
    bool told;                     /* a call outside a shield returned HAFT_ECANCELED because of an abort */
    haft__fiber_note *note;        /* of the stack */
    struct haft__local *locals;    /* job-local values, newest first; see wait/held.h */
    struct haft__party *party;     /* whom it stands for when others wait, or null: see job/edge.h */
    uint32_t reads_used;           /* a bit for each of those below */
    uint32_t reads_beyond;         /* locks that are read and found no place there */
    haft__read reads[HAFT__READS];
} haft__root;

typedef struct haft__thread {
    haft__root *root;            /* of what runs here now */
    struct haft__worker *worker; /* null unless this thread is a scheduler's */
    int *errno_address;
    struct haft__thread *before; /* what haft__here gave before this record was put in place */
    haft__record_cache records;
    void *signal_stack;
    struct haft__sched *home; /* for jobs spawned here without a runtime; null: the default one */
    haft__sleeper sleeper;
    haft__root own; /* of the thread's own stack */
    haft__fiber_note note;
    uint64_t random; /* of the selects that run here */
    haft__habit habit;
} haft__thread;

haft__arch_tls_declare(haft__current_thread);

/* The calling thread's record, null if it never had one. */
static inline __attribute__((always_inline)) haft__thread *haft__here_or_null(void)
{
    return (haft__thread *)haft__arch_tls_load(haft__current_thread);
}

/* The calling thread's record, made at first use. Null when there is no memory for it, or in the child of a fork,
 * which holds one thread of many and the locks of all: it may only exec or _exit. Which of the two, haft__here_error
 * tells. */
haft__thread *haft__here_new(void);
int haft__here_error(void);
/* True in the child of a fork. Relaxed: written while the child has one thread. */
extern haft__atomic(bool) haft__has_forked;
static inline bool haft__is_forked(void)
{
    return __builtin_expect(haft__load_relaxed(&haft__has_forked), 0);
}
/* Ends the child of a fork with a message. */
_Noreturn void haft__end_forked(void);
static inline __attribute__((always_inline)) haft__thread *haft__here(void)
{
    haft__thread *thread = haft__here_or_null();
    return __builtin_expect(thread != NULL, 1) ? thread : haft__here_new();
}
/* The same for calls that cannot fail: ends the process with a message when there is no memory. */
haft__thread *haft__here_always(void);

/* A free slot from the thread's own cache, or null: see haft__record_new. */
static inline haft__record *haft__record_take_cached(haft__thread *here)
{
    haft__record *record = here->records.first;
    if (__builtin_expect(record == NULL, 0))
        return NULL;
    here->records.first = record->next;
    here->records.count--;
    return record;
}

/* haft__record_new and haft__record_free where the thread's own cache has what they need. */
static inline haft__record *haft__record_take(haft__thread *here)
{
    haft__record *record = haft__record_take_cached(here);
    return __builtin_expect(record != NULL, 1) ? record : haft__record_new();
}

static inline void haft__record_give(haft__thread *here, haft__record *record)
{
    uint64_t generation = haft__generation(haft__load_relaxed(&record->state));
    if (__builtin_expect(generation == UINT32_MAX || here->records.count >= 2 * HAFT__MAGAZINE, 0)) {
        haft__record_free(record);
        return;
    }
    record->root = NULL;
    haft__store_relaxed(&record->home, NULL);
    haft__store_relaxed(&record->kind, HAFT__KIND_FREE);
    /* Release: see haft__record_free. */
    haft__store_release(&record->state, (generation + 1) << HAFT__GENERATION_SHIFT);
    record->next = here->records.first;
    here->records.first = record;
    here->records.count++;
}

/* Gives a root that was in use to somebody new. What describes the stack stays; the context is the caller's to set. */
static inline void haft__root_renew(haft__root *root, haft__record *record)
{
    root->record = record;
    root->blocks = NULL;
    root->catches = NULL;
    root->panicking = NULL;
    root->held = NULL;
    root->locals = NULL;
    root->deadline = INT64_MAX;
    root->shields = 0;
    root->passes = 0;
    root->lock_flags = 0;
    root->is_refused = false;
    root->told = false;
    root->reads_used = root->reads_beyond = 0;
    if (record != NULL) {
        root->index = haft__record_index(record);
        record->root = root;
    }
}

/* Prepares a root that was never in use. The stack and the note are the caller's to set. */
static inline void haft__root_init(haft__root *root, haft__record *record)
{
    root->mark = HAFT__ROOT_MARK;
    root->context = NULL;
    root->party = NULL; /* whoever sets it clears it */
    haft__root_renew(root, record);
}

/* Puts thread in place as the calling thread's record, and takes it away again. */
void haft__thread_enter(haft__thread *thread);
void haft__thread_leave(haft__thread *thread);

/* Arranges that what() runs with thread when the calling OS thread ends. 0 or a negative code. */
int haft__thread_at_exit(haft__thread *thread, void (*what)(void *));

#endif
