/* SPDX-License-Identifier: MIT
 *
 * What the files of the simulator share. Everything here is touched by one OS thread alone. */
#ifndef HAFT_TEST_SIM_WORLD_H
#define HAFT_TEST_SIM_WORLD_H

#include "arch/arch.h"
#include "os/os.h"
#include "sim.h"

#define SIM_FOREVER INT64_MAX
#define SIM_BEGINNING INT64_C(1000000000000) /* what the clock shows at the beginning */

/* What a point, a turn of a spin loop, and a call of the table cost on the virtual clock. */
#define SIM_POINT_NS 5
#define SIM_SPIN_NS 200
#define SIM_CALL_NS 50

enum sim_state {
    SIM_RUNS,   /* or could */
    SIM_SLEEPS, /* on a word, perhaps until a time */
    SIM_JOINS,  /* waits for another thread's end */
    SIM_ENDED,
};

enum { SIM_KEYS = 32, SIM_TLS = 8192, SIM_NAME = 16 };

typedef struct sim_thread {
    uint32_t id; /* counted from 0, never used again */
    enum sim_state state;
    haft__context *context;
    bool is_born; /* its context is one that was suspended */
    bool is_joinable;
    uint64_t priority;  /* SIM_PCT: the highest runs */
    int64_t not_before; /* a delay: it cannot be let run before */
    const char *place;  /* of the point where it was suspended */
    char name[SIM_NAME];

    void (*entry)(void *);
    void *argument;
    void *result; /* of a pthread */
    char *low;    /* its stack */
    size_t stack_size;

    /* SIM_SLEEPS */
    haft__atomic(uint32_t) *word;
    uint32_t expected;
    int64_t deadline;
    int wait_result;
    uint64_t slept_at; /* orders those who sleep on one word */
    struct sim_thread *joins;

    /* What an OS thread has of its own. */
    int saved_errno;
    void *values[SIM_KEYS];
    void (*at_exit)(void *);
    void *at_exit_value;
    unsigned char *tls;
} sim_thread;

extern struct sim_world {
    bool is_running;
    struct sim_options options;
    struct sim_result *result;
    sim_thread *self;
    sim_thread **threads; /* all that were ever made and are not forgotten, by id */
    uint32_t thread_count;
    uint32_t alive;
    bool has_main_ended;

    uint64_t steps_given; /* points handed out, those still in sim_budget included */
    int64_t time;         /* beside what points cost */
    uint64_t hash;
    uint64_t switches;

    enum sim_strategy strategy;
    uint64_t mean;      /* SIM_RANDOM, SIM_ROUND_ROBIN: points between decisions */
    uint64_t low_count; /* SIM_PCT: priorities given out from below */
    uint64_t patience;  /* SIM_PCT: points until a thread that does not wait loses its rank */
    uint64_t changes[8];
    uint64_t quiet_since; /* the step in which somebody slept or woke */
    unsigned quiet_spans;
    unsigned change_count, next_change;
    bool is_interrupted; /* SIM_PCT: by somebody of higher priority */

    unsigned cpu_count;
    bool has_membarrier;
    unsigned guards;                    /* enum haft__guard */
    uint64_t schedule, faults, program; /* the generators */
} sim_world;

/* --- world.c ------------------------------------------------------------------------------------------------------ */

int64_t sim_now(void);
/* A point at which a decision is due in any case. What goes into the hash and the trace. */
void sim_call(const char *what, uint64_t number);
/* The calling thread cannot go on until somebody else has done something. */
void sim_give_way(const char *place, int64_t cost);
/* The calling thread's state is no longer SIM_RUNS: lets others run until it is again. */
void sim_block(const char *place);
sim_thread *sim_thread_new(void (*entry)(void *), void *argument, size_t stack_size, const char *name);
void sim_thread_end(void) __attribute__((noreturn));
/* It can run again, from now on. */
void sim_unblock(sim_thread *thread);
sim_thread *sim_thread_by_number(uintptr_t native);
static inline uintptr_t sim_number(const sim_thread *thread)
{
    return (uintptr_t)thread->id + 1;
}
bool sim_join(uintptr_t native, void **result);
bool sim_detach(uintptr_t native);
/* Draws: is there a fault of that kind now? */
bool sim_fault(enum sim_fault kind);
uint64_t sim_draw(uint64_t *generator);

/* --- posix.c ------------------------------------------------------------------------------------------------------ */

/* Runs the calling thread's destructors, the library's last. */
void sim_run_destructors(sim_thread *self);

/* --- os.c --------------------------------------------------------------------------------------------------------- */

void sim_memory_init(void);
/* What is wrong with the memory at the end, into text; false: nothing. */
bool sim_memory_is_wrong(char *text, size_t size);

/* --- report.c ----------------------------------------------------------------------------------------------------- */

/* No thread can run. Ends the run if somebody sleeps in spite of a reason to wake. */
void sim_look_for_lost_wake_ups(void);
/* Nobody can run or will: ends the run. */
void sim_report_deadlock(bool has_main_ended) __attribute__((noreturn));
void sim_report_livelock(void) __attribute__((noreturn));
/* Everything has ended: ends the run if something is left. */
void sim_look_for_leaks(void);

#endif
