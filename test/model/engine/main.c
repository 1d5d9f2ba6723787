/* SPDX-License-Identifier: MIT
 *
 * The command line of a program of models; usage() tells. */
#include "inside.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct engine *engine;
struct model *models_first;

static struct options {
    const char *part;
    const char *schedule;
    const char *mutant;
    bool lists, is_quick, is_here, mutates, is_verbose, remembers;
    int bound, at_once;
    double seconds;
    uint64_t seed;
} options = { .part = "", .at_once = 1, .seconds = 20, .seed = 1 };

static struct outcome *outcomes;
static int outcome_count;

void model_register(struct model *model)
{
    struct model **end = &models_first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = model;
}

static struct model_world world_given; /* by a constructor, before the engine exists */

void model_set_world(const struct model_world *world)
{
    world_given = *world;
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return memory;
}

extern char __data_start[], _end[];

static void engine_begin(void)
{
    engine = map(sizeof *engine);
    engine->locations = map(LOCATIONS * sizeof *engine->locations);
    engine->views = map(VIEWS * sizeof *engine->views);
    engine->cells = map(CELLS * sizeof *engine->cells);
    engine->cell_slots = map(CELLS * sizeof *engine->cell_slots * 2);
    engine->arena = map(ARENA_SIZE);
    engine->arena_owner = map((ARENA_SIZE / 16 + 1) * sizeof *engine->arena_owner);
    engine->map = map(MAP_SIZE);
    engine->shared = map(SHARED * sizeof *engine->shared);
    engine->sites = map(SITES * sizeof *engine->sites);
    engine->trace = map(TRACE * sizeof *engine->trace);
    for (int i = 0; i < THREADS; i++)
        engine->threads[i].stack = map(STACK_SIZE);
    engine->world = world_given;
    engine->statics = map((size_t)(_end - __data_start));
}

/* From now on static data is what it is now whenever a run begins; the engine's own, too. */
void statics_remember(void)
{
    memcpy(engine->statics, __data_start, (size_t)(_end - __data_start));
}

/* --- running models ------------------------------------------------------------------------------------------------------ */

static struct search_plan plan_for(const struct model *model)
{
    int bound = model->options.bound != 0 ? model->options.bound : 2;
    struct search_plan plan = { .bound_required = bound,
                                .bound_last = bound,
                                .limit = UINT64_MAX,
                                .random_runs = 1000,
                                .pct_runs = 1000,
                                .seed = options.seed };
    if (options.is_quick) {
        plan.bound_required = -1; /* the limit of time holds from the first run on */
        plan.seconds = 1;
        plan.random_runs = plan.pct_runs = 200;
        if (options.mutates) { /* only what the models reach is to be known */
            plan.bound_last = 2;
            plan.limit = 1000;
        }
    } else if (model->options.expect == NULL) {
        plan.bound_last = bound < 3 ? 3 : bound;
        plan.seconds = 8;
    }
    if (options.bound >= 0)
        plan.bound_required = plan.bound_last = options.bound;
    return plan;
}

static void print_result(const struct outcome *o, bool failed)
{
    printf("%s %9.3f s  models: %s (%llu executions", failed ? "FAIL" : "pass", o->verdict.seconds,
           o->model->options.sentence, (unsigned long long)o->verdict.executions);
    if (o->model->options.expect != NULL)
        printf(")\n");
    else
        printf(", bound %d)\n", o->verdict.complete_to);
}

static bool is_as_expected(const struct outcome *o)
{
    const char *expect = o->model->options.expect;
    if (expect == NULL)
        return !o->verdict.has_failed;
    return o->verdict.has_failed && strncmp(o->failure, expect, strlen(expect)) == 0;
}

static void run_model(int n, FILE *out)
{
    struct outcome *o = &outcomes[n];
    statics_remember();
    engine->records_sites = true;
    struct search_plan plan = plan_for(o->model);
    search(o->model, &plan, &o->verdict);
    snprintf(o->failure, sizeof o->failure, "%.199s", o->verdict.has_failed ? engine->failure : "");
    bool failed = !is_as_expected(o), is_replayed = true;
    if (o->model->options.expect != NULL && !failed) {
        /* What was found is found again, and by fewer choices. */
        shrink(o->model);
        is_replayed = replay(o->model, false);
        o->verdict.has_failed = is_replayed; /* else it is not as expected, in the parent, too */
        failed = !is_replayed;
    }
    print_result(o, failed);
    if (!is_replayed)
        printf("    it does not fail again\n");
    else if (failed && !o->verdict.has_failed)
        printf("    it does not fail with \"%s\"\n", o->model->options.expect);
    else if (failed || options.is_verbose)
        if (o->verdict.has_failed)
            report_failure(o->model, &o->verdict);
    int count = 0;
    for (int i = 0; i < SITES; i++)
        count += engine->sites[i].pc != 0;
    fwrite(&o->verdict, sizeof o->verdict, 1, out);
    fwrite(o->failure, sizeof o->failure, 1, out);
    fwrite(&count, sizeof count, 1, out);
    for (int i = 0; i < SITES; i++)
        if (engine->sites[i].pc != 0)
            fwrite(&engine->sites[i], sizeof engine->sites[i], 1, out);
}

static void model_ended(int n, int status, FILE *text, FILE *out)
{
    struct outcome *o = &outcomes[n];
    copy_text(text);
    o->is_done = status == 0 && fread(&o->verdict, sizeof o->verdict, 1, out) == 1 &&
                 fread(o->failure, sizeof o->failure, 1, out) == 1 &&
                 fread(&o->site_count, sizeof o->site_count, 1, out) == 1;
    if (o->is_done) {
        o->sites = calloc((size_t)o->site_count + 1, sizeof *o->sites);
        o->is_done = fread(o->sites, sizeof *o->sites, (size_t)o->site_count, out) == (size_t)o->site_count;
        return;
    }
    printf("FAIL     0.000 s  models: %s\n    the process ended with %s %d\n", o->model->options.sentence,
           WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    fflush(stdout);
}

static int run_models(void)
{
    struct jobs jobs = { .count = outcome_count, .at_once = options.at_once, .run = run_model, .ended = model_ended };
    jobs_run(&jobs);
    uint64_t executions = 0;
    int failed = 0;
    for (int i = 0; i < outcome_count; i++) {
        executions += outcomes[i].verdict.executions;
        failed += !outcomes[i].is_done || !is_as_expected(&outcomes[i]);
    }
    struct sum sum = { 0 };
    if (options.mutates)
        mutants_run(outcomes, outcome_count, options.at_once, options.seconds, options.remembers, options.mutant, &sum);
    printf("%d models, %llu executions, %d failed", outcome_count, (unsigned long long)executions, failed);
    if (options.mutates)
        printf("; %d mutants, %d killed, %d explained, %d survived", sum.mutants, sum.killed, sum.explained,
               sum.survived);
    printf("\n");
    return failed != 0 || sum.survived != 0;
}

static int run_again(void)
{
    if (outcome_count != 1 || !schedule_read(options.schedule)) {
        fprintf(stderr, "models: --replay needs a schedule and the sentence of one model\n");
        return 2;
    }
    struct verdict verdict = { .mode = MODE_REPLAY, .executions = 1 };
    statics_remember();
    bool fails = replay(outcomes[0].model, false);
    printf("%s: %s\n", outcomes[0].model->options.sentence, fails ? "fails" : "passes");
    if (fails)
        report_failure(outcomes[0].model, &verdict);
    return fails;
}

/* --- the command line ---------------------------------------------------------------------------------------------------- */

static int usage(void)
{
    fputs("usage: models [OPTION...] [PART OF A SENTENCE]\n"
          "  --list             the sentences\n"
          "  --quick            one second each, without the large ones; with --mutants a look at all\n"
          "  --jobs N           so many processes at a time\n"
          "  --bound N          preemptions; otherwise what the model asks for, and 3 where eight seconds suffice\n"
          "  --seed N           of the searches at random\n"
          "  --replay SCHEDULE  one run of one model, with its trace\n"
          "  --mutants [PART]   then weaken the operations, those whose place contains PART; some model must fail\n"
          "  --seconds N        at most for each mutant; 20\n"
          "  --remember         write killers.txt: which model failed for which mutant\n"
          "  --verbose          show failures that are expected, and who killed which mutant\n",
          stderr);
    return 2;
}

static bool parse(int argc, char **argv)
{
    options.bound = -1;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(a, "--list") == 0) {
            options.lists = true;
        } else if (strcmp(a, "--quick") == 0) {
            options.is_quick = true;
        } else if (strcmp(a, "--verbose") == 0) {
            options.is_verbose = true;
        } else if (strcmp(a, "--jobs") == 0) {
            options.at_once = (int)strtol(value, NULL, 10);
            if (options.at_once <= 0)
                options.at_once = 1;
            i++;
        } else if (strcmp(a, "--remember") == 0) {
            options.remembers = true;
        } else if (strcmp(a, "--seconds") == 0) {
            options.seconds = strtod(value, NULL);
            i++;
        } else if (strcmp(a, "--bound") == 0) {
            options.bound = (int)strtol(value, NULL, 10);
            i++;
        } else if (strcmp(a, "--seed") == 0) {
            options.seed = strtoull(value, NULL, 0);
            i++;
        } else if (strcmp(a, "--replay") == 0) {
            options.schedule = value;
            i++;
        } else if (strcmp(a, "--mutants") == 0) {
            options.mutates = true;
            options.mutant = value[0] != '-' ? value : "";
            i += value[0] != 0 && value[0] != '-';
        } else if (a[0] == '-') {
            return false;
        } else {
            options.part = a;
        }
    }
    return true;
}

bool models_are_verbose(void)
{
    return options.is_verbose;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    if (!parse(argc, argv))
        return usage();
    outcomes = map(MODELS * sizeof *outcomes);
    for (const struct model *m = models_first; m != NULL; m = m->next) {
        if (strstr(m->options.sentence, options.part) == NULL ||
            (options.is_quick && !options.mutates && m->options.is_large))
            continue;
        if (options.lists) {
            printf("models: %s\n", m->options.sentence);
            continue;
        }
        if (outcome_count == MODELS)
            break;
        outcomes[outcome_count++].model = m;
    }
    if (options.lists)
        return 0;
    engine_begin();
    return options.schedule != NULL ? run_again() : run_models();
}
