/* SPDX-License-Identifier: MIT
 *
 * Are the models good for anything? Every atomic operation of the sources that is ordered, and every fence, is weakened
 * in turn, at its place in the sources and so in all copies that inlining made of it: one property at a time is taken
 * away, acquire, release or sequential consistency. Some model must fail then. What cannot make one fail is explained
 * in explained.txt, one line each: function, operation, property, and why it makes no difference.
 *
 * Which operations there are is asked of objdump; those that no model reaches survive. */
#include "inside.h"

#include <unistd.h>

struct mutant {
    struct place place;
    enum op op;
    int property;
    uintptr_t pcs[64];
    int pc_count;
    uint64_t reached_by[2]; /* models */
    char killer[200];
    bool is_killed;
    double seconds;
    uint64_t executions;
};
#define MUTANTS 2048

static struct mutant *mutants;
static int mutant_count;
static struct outcome *outcomes;
static int outcome_count;
static double seconds_for_each;
static int by_size[MODELS]; /* models that reach little know more about it, and end sooner */

static const char *property_name(int property)
{
    if ((property & ON_FAILURE) != 0)
        return "acquire-on-failure";
    return property == ACQUIRE ? "acquire" : property == RELEASE ? "release" : "seq_cst";
}

/* --- which there are ---------------------------------------------------------------------------------------------------- */

static struct mutant *mutant_of(const struct place *place, enum op op, int property)
{
    for (int i = 0; i < mutant_count; i++) {
        struct mutant *m = &mutants[i];
        if (m->property == property && m->op == op && m->place.line == place->line &&
            strcmp(m->place.file, place->file) == 0)
            return m;
    }
    if (mutant_count == MUTANTS)
        return &mutants[MUTANTS - 1];
    struct mutant *m = &mutants[mutant_count++];
    m->place = *place;
    m->op = op;
    m->property = property;
    return m;
}

static void add(const struct place *place, const site *s, int property, int model)
{
    struct mutant *m = mutant_of(place, s->op, property);
    m->reached_by[model / 64] |= UINT64_C(1) << (model % 64);
    for (int i = 0; i < m->pc_count; i++)
        if (m->pcs[i] == s->pc)
            return;
    if (m->pc_count < 64)
        m->pcs[m->pc_count++] = s->pc;
}

static bool is_source(const struct place *place)
{
    return strncmp(place->file, "src/", 4) == 0;
}

static void add_site(const struct place *place, const site *s, int model)
{
    if (s->op == OP_FENCE || s->op == OP_LIGHT || s->op == OP_HEAVY || (s->order & SEQ_CST) != 0) {
        add(place, s, SEQ_CST, model);
        return;
    }
    if ((s->order & ACQUIRE) != 0)
        add(place, s, ACQUIRE, model);
    if ((s->order & RELEASE) != 0)
        add(place, s, RELEASE, model);
    if (s->op == OP_CAS && (s->failure & ACQUIRE) != 0)
        add(place, s, ACQUIRE | ON_FAILURE, model);
}

static void gather_reached(const char *part)
{
    for (int i = 0; i < outcome_count; i++) {
        const struct outcome *o = &outcomes[i];
        if (o->site_count == 0 || o->model->options.expect != NULL)
            continue;
        uintptr_t *pcs = calloc((size_t)o->site_count, sizeof *pcs);
        struct place *places = calloc((size_t)o->site_count, sizeof *places);
        for (int k = 0; k < o->site_count; k++)
            pcs[k] = o->sites[k].pc;
        places_of(pcs, o->site_count, places);
        for (int k = 0; k < o->site_count; k++) {
            char at[300];
            snprintf(at, sizeof at, "%s:%d %s", places[k].file, places[k].line, places[k].function);
            if (is_source(&places[k]) && strstr(at, part) != NULL)
                add_site(&places[k], &o->sites[k], i);
        }
        free(pcs);
        free(places);
    }
}

/* --- which are not reached ---------------------------------------------------------------------------------------------- */

static bool is_ordered(const struct place *place)
{
    char line[400];
    static const char *const words[] = { "_acquire(", "_release(", "_acq_rel(", "_seq_cst(", "haft__fence_" };
    source_line(place->file, place->line, line, sizeof line);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(line, words[i]) != NULL)
            return true;
    return false;
}

static int static_sites(uintptr_t *pcs, int most)
{
    char exe[512], command[600], line[1024];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (length <= 0)
        return 0;
    exe[length] = 0;
    snprintf(command, sizeof command, "objdump -d --no-show-raw-insn -j .text '%s'", exe);
    FILE *from = popen(command, "r");
    if (from == NULL)
        return 0;
    int n = 0;
    bool was_call = false;
    while (fgets(line, sizeof line, from) != NULL) {
        unsigned long at;
        if (sscanf(line, " %lx:", &at) != 1)
            continue;
        if (was_call && n < most)
            pcs[n++] = at;
        was_call = strstr(line, "call") != NULL &&
                   (strstr(line, "<__tsan_atomic") != NULL || strstr(line, "<haft__fence_heavy") != NULL);
    }
    pclose(from);
    return n;
}

static int count_unreached(const char *part, struct sum *sum)
{
    enum { MOST = 8192 };
    uintptr_t *pcs = calloc(MOST, sizeof *pcs);
    struct place *places = calloc(MOST, sizeof *places), *seen = calloc(MOST, sizeof *seen);
    int n = static_sites(pcs, MOST), seen_count = 0;
    places_of(pcs, n, places);
    for (int i = 0; i < n; i++) {
        const struct place *p = &places[i];
        char at[300];
        snprintf(at, sizeof at, "%s:%d %s", p->file, p->line, p->function);
        bool is_known = !is_source(p) || strstr(at, part) == NULL;
        for (int k = 0; k < mutant_count && !is_known; k++)
            is_known = mutants[k].place.line == p->line && strcmp(mutants[k].place.file, p->file) == 0;
        for (int k = 0; k < seen_count && !is_known; k++)
            is_known = seen[k].line == p->line && strcmp(seen[k].file, p->file) == 0;
        if (is_known || !is_ordered(p))
            continue;
        seen[seen_count++] = *p;
        char line[160];
        printf("survived  %s:%d %s, which no model reaches: %s\n", p->file, p->line, p->function,
               source_line(p->file, p->line, line, sizeof line));
        sum->mutants++;
        sum->survived++;
    }
    free(pcs);
    free(places);
    free(seen);
    return seen_count;
}

/* --- killing ------------------------------------------------------------------------------------------------------------- */

static bool kill_by(struct mutant *m, const struct search_plan *plan, double until)
{
    for (int i = 0; i < outcome_count && seconds_now() < until; i++) {
        int at = by_size[i];
        if ((m->reached_by[at / 64] >> (at % 64) & 1) == 0)
            continue;
        struct verdict verdict;
        search(outcomes[at].model, plan, &verdict);
        if (!verdict.has_failed)
            continue;
        m->is_killed = true;
        snprintf(m->killer, sizeof m->killer, "%s: %.80s", outcomes[at].model->options.sentence, engine->failure);
        m->killer[strcspn(m->killer, "\n")] = 0;
        return true;
    }
    return false;
}

/* Each time round all models that reach it search further. */
static void run_mutant(int n, FILE *out)
{
    struct mutant *m = &mutants[n];
    double start = seconds_now();
    statics_remember();
    for (int i = 0; i < m->pc_count; i++)
        site_weaken(m->pcs[i], m->property);
    engine->executions = 0;
    struct search_plan plan = {
        .bound_required = -1, .bound_last = 1, .limit = 300, .random_runs = 50, .pct_runs = 100, .seed = 1
    };
    while (!kill_by(m, &plan, start + seconds_for_each) && seconds_now() < start + seconds_for_each) {
        plan.bound_first = plan.bound_last < 3 ? plan.bound_last + 1 : 2;
        plan.bound_last = 3;
        plan.limit *= 8;
        plan.random_runs *= 4;
        plan.pct_runs *= 4;
        plan.seconds = seconds_for_each / 4;
        plan.seed += 1000000;
    }
    m->seconds = seconds_now() - start;
    m->executions = engine->executions;
    fwrite(m, sizeof *m, 1, out);
}

/* A line "function operation property: reason". */
static bool is_explained(const struct mutant *m)
{
    char key[200], line[600];
    snprintf(key, sizeof key, "%s %s %s:", m->place.function, op_name(m->op), property_name(m->property));
    FILE *from = fopen(MODEL_SOURCES "/test/model/explained.txt", "r");
    bool found = false;
    while (from != NULL && !found && fgets(line, sizeof line, from) != NULL)
        found = strncmp(line, key, strlen(key)) == 0;
    if (from != NULL)
        fclose(from);
    return found;
}

static void mutant_ended(int n, int status, FILE *text, FILE *out)
{
    struct mutant *m = &mutants[n];
    copy_text(text);
    if (status != 0) { /* it crashed, which is a failure of the weakened sources, too */
        m->is_killed = true;
        snprintf(m->killer, sizeof m->killer, "the process crashed");
    } else if (fread(m, sizeof *m, 1, out) != 1) {
        return;
    }
    bool explained = !m->is_killed && is_explained(m);
    if (m->is_killed && !models_are_verbose())
        return;
    char line[160];
    printf("%s  %s:%d %s, %s without %s: %s\n",
           m->is_killed ? "killed   "
           : explained  ? "explained"
                        : "survived ",
           m->place.file, m->place.line, m->place.function, op_name(m->op), property_name(m->property),
           m->is_killed ? m->killer : source_line(m->place.file, m->place.line, line, sizeof line));
    fflush(stdout);
}

void mutants_run(struct outcome *all, int n, int at_once, double seconds, const char *part, struct sum *sum)
{
    seconds_for_each = seconds;
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && all[by_size[at - 1]].site_count > all[i].site_count; at--)
            by_size[at] = by_size[at - 1];
        by_size[at] = i;
    }
    outcomes = all;
    outcome_count = n;
    mutants = calloc(MUTANTS, sizeof *mutants);
    gather_reached(part);
    struct jobs jobs = { .count = mutant_count, .at_once = at_once, .run = run_mutant, .ended = mutant_ended };
    jobs_run(&jobs);
    for (int i = 0; i < mutant_count; i++) {
        sum->mutants++;
        sum->executions += mutants[i].executions;
        if (mutants[i].is_killed)
            sum->killed++;
        else if (is_explained(&mutants[i]))
            sum->explained++;
        else
            sum->survived++;
    }
    count_unreached(part, sum);
}
