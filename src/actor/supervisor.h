/* SPDX-License-Identifier: MIT
 *
 * Supervisors: a list of children and one task, the keeper, that starts them again and stops them.
 *
 * A child is a template and at most one run at a time, a job that belongs to the child as its group:
 *
 *              ┌────────── dies, and is to run again ──────────┐
 *              v                                               │
 *     added ─> DUE ── its time has come ──> RUNNING ── ends ───┴─> DONE ─> template to .drop
 *                                              └── the keeper stops it ──> DUE or DONE
 *
 * The keeper makes every transition but one: whoever adds a child starts its first run, in the caller, so that what
 * keeps it from starting is the caller's to hear. Until that is settled the child is `is_starting`, and the keeper
 * neither looks at it nor stops anything else before `starting` is 0. Meanwhile `is_closing` refuses new ones, and with a
 * strategy for several a child that is `due` leaves their start to the keeper.
 *
 * One lock guards the lists and what the structs say of runs; no user code, allocation, wake or start happens under it.
 * The finisher of a run, which runs no user code, only puts its child into `ended` and wakes the keeper, which takes the
 * job over from there. Its release of the lock is its last touch of the supervisor. The list of children is changed by
 * adders, at its end, and by the keeper alone.
 *
 * Invariants. `active` counts the children that are RUNNING or DUE, and `due` those that are DUE and the keeper's to
 * start. A child in `ended` has no job running, and its state is still RUNNING. A child's template is alive while it is
 * not DONE; only the keeper reads it, and the adder before `is_starting` is cleared. With a strategy for several, a DUE
 * child waits for those DUE before it in the list.
 *
 * The end: the keeper refuses new children (`is_closing`), waits for starts that are under way, stops all in reverse,
 * shows `is_over`, completes all who wait, and returns; its own finisher shows `has_ended`, for whoever drops the
 * supervisor: from then on nobody touches it. The keeper is marked to begin even when it was aborted, as an actor's
 * worker is; haft_supervisor_new sees it begin, so that only a keeper that could be given a stack has children. */
#ifndef HAFT_ACTOR_SUPERVISOR_H
#define HAFT_ACTOR_SUPERVISOR_H

#include "actor/actor.h"
#include "haft/supervisor.h"
#include "wait/arm.h"

enum haft__child_state {
    HAFT__CHILD_DUE,
    HAFT__CHILD_RUNNING,
    HAFT__CHILD_DONE,
};

typedef struct haft__child {
    haft__group_done *done; /* first; of its runs */
    struct haft_supervisor *sup;
    haft__link link;  /* in `children` */
    haft__link ended; /* in `ended` */
    haft__link removers;
    enum haft__child_state state;
    bool is_starting; /* by the one who adds it */
    bool has_ended;   /* in `ended`, or on its way from there to the keeper */
    bool is_leaving;  /* to be removed */
    bool is_gone;     /* an actor: it has ended */
    haft__job *job;   /* while it runs, and then until the keeper has looked at it */
    int64_t due;
    /* The keeper's, and the adder's before. */
    bool is_final; /* is_gone, as the keeper has seen it */
    int64_t started;
    int64_t delay; /* the last one, before chance has shortened it; 0: none in this row */
    haft_fn *body;
    void *template;
    size_t size, alignment;
    char *name;
    haft_drop_fn *drop, *stop;
    int64_t grace;
    haft_restart restart;
    haft_spawn_options options; /* of its runs */
    haft__actor *actor;         /* a reference; null once DONE; or null: the runs are jobs */
    haft_outcome report;        /* an actor's, of the run that has ended */
    /* Told to others. */
    uint64_t runs; /* that were started */
    haft_outcome last;
} haft__child;

struct haft_supervisor {
    haft__group_done *done; /* first; of the keeper */
    haft__lock lock;
    haft__record *keeper;
    haft__record *waits_for_keeper; /* who makes or drops it */
    haft__link children;            /* in the order of adding */
    haft__link ended;               /* whose run has ended, in that order */
    haft__link waiters;
    size_t active, due, leaving, starting;
    bool has_begun, is_stopping, is_closing, is_over, has_ended;
    int code;                    /* why it gave up */
    const haft__child *stopping; /* for whose end the keeper waits, or null; it waits for no removal meanwhile */
    haft_runtime *runtime;
    haft_supervisor_options options; /* with the defaults filled in */
    /* The keeper's. */
    uint64_t random;
    unsigned deaths_count, deaths_first;
    int64_t *deaths; /* a ring of the times of the last .restarts deaths */
};

/* --- keeper.c --- */

int haft__keeper(haft_supervisor **frame);
void haft__keeper_ended(void *group, haft__job *job);
/* Sleeps until something has happened, or that time. The lock is held on entry and on return. The keeper's. */
void haft__keeper_sleep(haft_supervisor *sup, haft__root *me, int64_t until);

/* --- child.c: one run of one child --- */

/* A child with a template of its own. Null: no memory. Nobody else has it yet. */
haft__child *haft__child_new(haft_supervisor *sup, haft_fn *body, const void *frame, size_t size, size_t alignment,
                             const haft_child_options *options);
void haft__child_free(haft__child *c);
/* There will be no more runs: gives the template to .drop. The lock is not held. */
void haft__child_retire(haft__child *c);
/* Starts a run of a child that is DUE: RUNNING; or why not, and it is still DUE. Never called for two at once. The lock is not held. */
int haft__child_start(haft__child *c);
/* Stops the run, if it has not ended by itself; takes over what it left. True: it had ended by itself. The keeper's. */
bool haft__child_stop(haft__child *c, bool for_good);
/* Stops the run, if there is one, for good. The keeper's; the lock is not held. */
void haft__child_end(haft__child *c);
/* Takes over what an ended run left. The keeper's; the child is in no list of the ended. */
void haft__child_reap(haft__child *c);
/* The code of a run that has ended, as haft_join would have returned it. */
int haft__child_code(const haft__child *c);
/* An actor's worker has left its loop, and waits for the verdict; its job has ended. Without locks. */
void haft__child_is_down(haft__child *c, const haft_outcome *out);
void haft__child_is_gone(haft__child *c, const haft_outcome *out);
/* The child that runs here, or null. */
haft__child *haft__child_here(const haft_supervisor *sup, const haft__root *me);
/* True if that record's job, the keeper's user code included, is one that the supervisor would wait for. */
bool haft__child_is_here(const haft_supervisor *sup, const haft__root *me);

#endif
