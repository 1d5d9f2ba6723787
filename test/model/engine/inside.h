/* SPDX-License-Identifier: MIT
 *
 * What the engine's files share. Everything that changes while models run is in *engine, which lies outside of static
 * data, because static data is put back before each run. */
#ifndef HAFT_TEST_MODEL_INSIDE_H
#define HAFT_TEST_MODEL_INSIDE_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define THREADS 6     /* of one model, the body included */
#define LOCATIONS 512 /* atomic objects that one run may touch */
#define HISTORY 16    /* stores to one object that loads may still choose from */
#define VIEWS 8192    /* that one run may publish */
#define STACK_SIZE (256u << 10)
#define ARENA_SIZE (1u << 20)
#define MAP_SIZE (4u << 20)
#define BLOCKS 1024
#define CHOICES 16384    /* of one run */
#define STEPS_MOST 12000 /* of one run: more is a livelock */
#define ROUNDS_MOST 40   /* of all threads spinning without a store */
#define SITES 8192
#define TRACE 4096 /* the last steps that a trace shows */

/* --- orders --------------------------------------------------------------------------------------------------------- */

/* An order is a set of properties, so that a mutant can take one of them away. */
enum { ACQUIRE = 1, RELEASE = 2, SEQ_CST = 4, ON_FAILURE = 8 /* as a mutant's target only: a failed exchange's */ };

enum op { OP_LOAD, OP_STORE, OP_RMW, OP_CAS, OP_FENCE, OP_LIGHT, OP_HEAVY, OP_PLAIN };

typedef struct clock_vector {
    uint32_t at[THREADS];
} clock_vector;

/* For each atomic object the oldest store that may still be seen. */
typedef struct view {
    uint16_t at[LOCATIONS];
} view;

typedef struct message {
    uint64_t value;
    clock_vector clock; /* what is published with it */
    int view;           /* in engine->views; -1: nothing but the store itself */
    int view_length;
    int thread;
    uintptr_t site;
} message;

typedef struct location {
    uintptr_t address;
    int size;
    uint32_t count;      /* stores so far, the initial value included; the newest is count - 1 */
    uint32_t floor;      /* nobody may see older ones */
    bool is_overwritten; /* by a plain store: memory holds a value that is no message yet */
    message messages[HISTORY];
} location;

/* --- threads -------------------------------------------------------------------------------------------------------- */

enum status { UNUSED, RUNNABLE, SLEEPING, JOINING, ENDED };

typedef struct thread {
    void *sp;
    char *stack;
    void (*body)(void *);
    void *argument;
    void *context; /* of the world's thread-local storage */
    const char *name;
    enum status status;
    const volatile uint32_t *sleeps_on;
    int joins;
    int64_t deadline;
    bool timed_out;
    bool has_spun; /* runs only when nobody else can, until somebody stores */
    int priority;
    clock_vector clock, to_acquire, released;
    view seen, seen_to_acquire, seen_released;
    uintptr_t last_site; /* of its last visible step */
    const volatile void *last_address;
    bool (*waits_for)(void *);
    void *waits_argument;
} thread;

/* --- memory --------------------------------------------------------------------------------------------------------- */

/* Who touched some of the eight bytes of a cell, and when by his own clock. */
typedef struct touch {
    uint32_t clock;
    uint32_t site; /* programs are linked below 4 GiB */
    uint8_t thread;
    uint8_t bytes;
    bool is_write;
    bool is_atomic;
} touch;

#define CELL_ACCESSES 40
typedef struct cell {
    uintptr_t address;
    int count;
    touch accesses[CELL_ACCESSES];
} cell;
#define CELLS 8192 /* that one run may touch */
struct cell_slot {
    uint32_t run;
    uint32_t cell;
};

typedef struct block {
    char *memory;
    size_t size;
    bool is_released, is_kept, is_reached;
    uintptr_t site, released_at;
} block;

/* Atomic objects that threads really contend for: only these are worth a choice. It grows; when it does, a search that
 * relied on the smaller set starts again. */
typedef struct shared_address {
    uintptr_t address;
    uint8_t readers, writers;
} shared_address;
#define SHARED (1u << 12)

typedef struct site {
    uintptr_t pc;
    enum op op;
    int order;
    int failure;                    /* order of a failed exchange */
    const struct model *last_model; /* that was listed as reaching it */
    int weakened;                   /* properties that the present mutant takes away */
} site;

typedef struct step {
    int thread;
    enum op op;
    int order;
    uintptr_t site;
    const volatile void *address;
    uint64_t value, old;
    int age; /* of a load: how many newer stores there were */
    const char *note;
} step;

struct named {
    uintptr_t address;
    size_t size;
    const char *name;
};
#define NAMES 64

enum mode { MODE_DEPTH_FIRST, MODE_RANDOM, MODE_PCT, MODE_REPLAY };

enum kind { KIND_THREAD = 's', KIND_MESSAGE = 'r', KIND_MODEL = 'm' };

/* Of one kind there is at most one choice in a step, so that step and kind name it in every run that came so far. */
struct choice {
    int step;
    uint16_t taken, allowed;
    enum kind kind;
};

struct engine {
    const struct model *model;
    enum mode mode;
    int bound, stale_bound;
    uint64_t seed, random;
    uint64_t run; /* number of the run, never used twice */

    thread threads[THREADS];
    int thread_count, current, alive;
    void *search_sp;

    location *locations;
    int location_count;
    uint16_t location_index[4 * LOCATIONS];
    view *views;
    int *view_lengths;
    int view_count;
    view sc, heavy, light; /* what fences have made common: full ones, heavy ones, light ones */

    cell *cells;
    int cell_count;
    struct cell_slot *cell_slots; /* twice as many */
    block blocks[BLOCKS];
    int block_count;
    char *arena;
    size_t arena_used;
    uint16_t *arena_owner; /* block of each 16 bytes, plus one */
    char *map;
    size_t map_used;
    int64_t now;

    shared_address *shared;
    bool shared_grew;

    struct choice choices[CHOICES];
    int choice_count, choice_next;
    struct choice again[CHOICES]; /* the deviations to replay, in the order of their steps */
    int again_count;
    int preemptions, stale_reads;
    bool is_calm; /* one order only */
    int steps, rounds;
    int change_at[8], changes;
    int longest; /* steps of the longest run of this model */

    site *sites;
    bool has_mutant;
    bool records_sites;

    bool has_failed;
    bool is_inside; /* a model's thread runs, not the engine */
    char failure[2048];
    struct named names[NAMES];
    int name_count;

    bool traces;
    bool describes; /* failures in full: it takes time */
    step *trace;
    int trace_count;

    char *statics; /* what static data was before the first run */
    struct model_world world;
    uint64_t executions;
};
extern struct engine *engine;

/* --- threads.c --- */
void threads_reset(void);
void thread_begin_first(void (*body)(void *));
/* A visible step begins: perhaps others go first. */
void scheduling_point(void);
/* One that nobody else can notice. */
void step_alone(void);
void progress_was_made(void);
_Noreturn void abandon_run(void);
void thread_describe(int number, char *text, size_t size);
static inline thread *self(void)
{
    return &engine->threads[engine->current];
}

/* --- memory.c --- */
void memory_reset(void);
uint64_t atomic_load_(uintptr_t address, int size, int order, uintptr_t pc);
void atomic_store_(uintptr_t address, int size, uint64_t value, int order, uintptr_t pc);
enum rmw { RMW_EXCHANGE, RMW_ADD, RMW_SUB, RMW_AND, RMW_OR, RMW_XOR, RMW_NAND };
uint64_t atomic_rmw_(uintptr_t address, int size, enum rmw what, uint64_t value, int order, uintptr_t pc);
bool atomic_cas_(uintptr_t address, int size, uint64_t *expected, uint64_t value, int order, int failure, bool weak,
                 uintptr_t pc);
void fence_(enum op kind, int order, uintptr_t pc);
/* The newest value, as the kernel sees it. */
uint64_t newest_value(uintptr_t address, int size);
void memory_was_written(uintptr_t address, size_t size);
location *location_find(uintptr_t address);
void clocks_join(clock_vector *into, const clock_vector *from);
void views_join(view *into, const view *from);

/* --- races.c --- */
void races_reset(void);
void access_range(uintptr_t address, size_t size, bool is_write, bool is_atomic, uintptr_t pc);
void leaks_check(void);

/* --- search.c --- */
/* One of n ways to go on; the first is the one without a deviation. Only `allowed` of them are within the bounds. */
int choose(enum kind kind, int n, int allowed);
int choose_by(enum kind kind, int n, int taken); /* decided elsewhere, to be recorded */
uint64_t random_next(void);
struct verdict {
    bool has_failed;
    int complete_to; /* the last bound whose search came to its end; -1: none */
    int bound;       /* the search that failed, or the last one */
    enum mode mode;
    uint64_t executions;
    uint64_t seed;
    double seconds;
};
struct search_plan {
    int bound_first, bound_required, bound_last; /* up to the required one there is no limit of time */
    uint64_t limit;                              /* runs of each search */
    double seconds;                              /* of all of them; 0: no end */
    uint64_t random_runs, pct_runs;
    uint64_t seed;
};
void search(const struct model *model, const struct search_plan *plan, struct verdict *verdict);
/* Runs once more with engine->again. True if it fails. */
bool replay(const struct model *model, bool traces);
/* Makes engine->again from the choices of the run that just failed, and as few as it can. */
void shrink(const struct model *model);
bool run_fails(const struct model *model);

/* --- report.c --- */
void step_record(const step *s);
void report_failure(const struct model *model, const struct verdict *verdict);
void describe_address(const volatile void *address, char *text, size_t size);
int schedule_print(char *text, size_t size);
bool schedule_read(const char *text);

/* --- sites.c: operations of the sources --- */
int site_order(uintptr_t pc, enum op op, int order, int failure, int *failure_out);
void site_weaken(uintptr_t pc, int properties);
struct place {
    char file[200], function[80];
    int line;
};
/* Where program counters are in the sources: the innermost place outside of the file with the names of the atomics. */
void places_of(const uintptr_t *pcs, int n, struct place *places);
const char *source_line(const char *file, int number, char *text, size_t size);

/* --- jobs.c: work in processes of its own, so that one that crashes is one that failed --- */
struct jobs {
    int count, at_once;
    /* In a child: does job number n, prints to standard output, and writes what the parent is to know to `out`. */
    void (*run)(int n, FILE *out);
    /* In the parent: it ended. status is waitpid's; the files are at their beginnings. */
    void (*ended)(int n, int status, FILE *text, FILE *out);
};
void jobs_run(const struct jobs *jobs);
void copy_text(FILE *from);

/* --- mutants.c --- */
#define MODELS 256
struct outcome {
    const struct model *model;
    struct verdict verdict;
    char failure[200];
    int site_count;
    site *sites;
    bool is_done;
};
struct sum {
    int mutants, killed, explained, survived;
    uint64_t executions;
};
/* Weakens every operation that the outcomes reached, one at a time, and looks for a model that fails, for so long. May
 * write down which one it was. */
void mutants_run(struct outcome *all, int n, int at_once, double seconds, bool remembers, const char *part,
                 struct sum *sum);

extern struct model *models_first;
bool models_are_verbose(void);
void statics_remember(void);
double seconds_now(void);
const char *op_name(enum op op);
const char *order_name(int order);

#endif
