/* SPDX-License-Identifier: MIT
 *
 * Are the models good for anything? Every atomic operation of the sources that is ordered, and every fence, is weakened
 * in turn, at its place in the sources and so in all copies that inlining made of it: one property at a time is taken
 * away, acquire, release or sequential consistency. Some model must fail then. What cannot make one fail is explained
 * in explained.txt, one line each: function, operation, property, a part of the line if the function has several, and
 * why it makes no difference.
 *
 * killers.txt remembers which model failed for which mutant. It decides nothing: that model is only tried first, so that
 * most mutants need one search of one model instead of a look at all that reach them.
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
    uint64_t reached_by[MODELS / 64];
    char text[160]; /* the line */
    const struct model *killer;
    char failure[80];
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
    source_line(place->file, place->line, m->text, sizeof m->text);
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

/* --- which are explained ----------------------------------------------------------------------------------------------- */

/* A line "function operation property: reason", or "function operation property `part of the line`: reason". */
static bool has_reason(const char *key, const char *text)
{
    char line[600];
    FILE *from = fopen(MODEL_SOURCES "/test/model/explained.txt", "r");
    bool found = false;
    while (from != NULL && !found && fgets(line, sizeof line, from) != NULL) {
        char *rest = line + strlen(key);
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        found = rest[0] == ':';
        if (strncmp(rest, " `", 2) == 0) {
            rest[2 + strcspn(rest + 2, "`")] = 0;
            found = strstr(text, rest + 2) != NULL;
        }
    }
    if (from != NULL)
        fclose(from);
    return found;
}

static bool is_explained(const struct mutant *m)
{
    char key[200];
    snprintf(key, sizeof key, "%s %s %s", m->place.function, op_name(m->op), property_name(m->property));
    return has_reason(key, m->text);
}

/* --- which are not reached ---------------------------------------------------------------------------------------------- */

/* By the name that stands in the line; locks have their own places. */
static bool is_ordered(const struct place *place)
{
    char line[400];
    static const char *const words[] = { "_acquire(",          "_release(",          "_acq_rel(",        "_seq_cst(",
                                         "haft__fence_light(", "haft__fence_heavy(", "haft__fence_full(" };
    source_line(place->file, place->line, line, sizeof line);
    if (strstr(line, "haft__lock_") != NULL)
        return false;
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
        char *rest;
        unsigned long at = strtoul(line, &rest, 16);
        if (rest == line)
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
        char line[160], key[120];
        snprintf(key, sizeof key, "%s unreached", p->function);
        bool explained = has_reason(key, source_line(p->file, p->line, line, sizeof line));
        printf("%s %s:%d %s, which no model reaches: %s\n", explained ? "explained" : "survived ", p->file, p->line,
               p->function, line);
        sum->mutants++;
        sum->explained += explained;
        sum->survived += !explained;
    }
    free(pcs);
    free(places);
    free(seen);
    return seen_count;
}

/* --- who killed it the last time ---------------------------------------------------------------------------------------- */

#define KILLERS MODEL_SOURCES "/test/model/killers.txt"
enum { HINTS = 2 * MUTANTS };
static struct hint {
    char key[700];
    const char *sentence; /* behind the key, in the same line; null: found anew */
} * hints;
static int hint_count;

static void key_of(const struct mutant *m, char *key, size_t size)
{
    snprintf(key, size, "%s %s %s %s `%s`", m->place.file, m->place.function, op_name(m->op),
             property_name(m->property), m->text);
}

/* A line is a key, " => " and a sentence. */
static void read_hints(void)
{
    char line[700];
    hints = calloc(HINTS, sizeof *hints);
    FILE *from = fopen(KILLERS, "r");
    while (from != NULL && hint_count < HINTS && fgets(line, sizeof line, from) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *between = strstr(line, "` => ");
        if (between == NULL)
            continue;
        struct hint *h = &hints[hint_count++];
        memcpy(h->key, line, sizeof line);
        h->key[between + 1 - line] = 0;
        h->sentence = h->key + (between + 5 - line);
    }
    if (from != NULL)
        fclose(from);
}

static struct hint *hint_of(const struct mutant *m)
{
    char key[600];
    key_of(m, key, sizeof key);
    for (int i = 0; i < hint_count; i++)
        if (strcmp(hints[i].key, key) == 0)
            return &hints[i];
    return NULL;
}

/* The number of a model; -1: not known. */
static int hint_for(const struct mutant *m)
{
    const struct hint *h = hint_of(m);
    for (int i = 0; i < outcome_count && h != NULL; i++)
        if (strcmp(outcomes[i].model->options.sentence, h->sentence) == 0 &&
            (m->reached_by[i / 64] >> (i % 64) & 1) != 0)
            return i;
    return -1;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What this run found, and what was known of the others. */
static void write_hints(void)
{
    char **lines = calloc(HINTS, 2 * sizeof *lines), text[900], key[600];
    int n = 0;
    for (int i = 0; i < mutant_count; i++) {
        if (mutants[i].killer == NULL)
            continue;
        key_of(&mutants[i], key, sizeof key);
        snprintf(text, sizeof text, "%.599s => %.200s", key, mutants[i].killer->options.sentence);
        lines[n++] = strdup(text);
        struct hint *h = hint_of(&mutants[i]);
        if (h != NULL)
            h->sentence = NULL;
    }
    for (int i = 0; i < hint_count; i++) {
        if (hints[i].sentence == NULL)
            continue;
        snprintf(text, sizeof text, "%.599s => %.200s", hints[i].key, hints[i].sentence);
        lines[n++] = strdup(text);
    }
    qsort(lines, (size_t)n, sizeof *lines, compare_lines);
    FILE *to = fopen(KILLERS, "w");
    if (to == NULL)
        return;
    fputs("# Which model failed for which weakened operation, as --remember found; only a hint where to look first.\n",
          to);
    for (int i = 0; i < n; i++)
        if (i == 0 || strcmp(lines[i], lines[i - 1]) != 0)
            fprintf(to, "%s\n", lines[i]);
    fclose(to);
}

/* --- killing ------------------------------------------------------------------------------------------------------------- */

static bool kill_with(struct mutant *m, int at, const struct search_plan *plan)
{
    struct verdict verdict;
    search(outcomes[at].model, plan, &verdict);
    if (!verdict.has_failed)
        return false;
    m->is_killed = true;
    m->killer = outcomes[at].model;
    snprintf(m->failure, sizeof m->failure, "%.79s", engine->failure);
    m->failure[strcspn(m->failure, "\n")] = 0;
    return true;
}

static bool kill_by(struct mutant *m, const struct search_plan *plan, int only, double until)
{
    for (int i = 0; i < outcome_count && seconds_now() < until; i++) {
        int at = by_size[i];
        if ((m->reached_by[at / 64] >> (at % 64) & 1) == 0 || (only >= 0 && at != only))
            continue;
        if (kill_with(m, at, plan))
            return true;
    }
    return false;
}

/* Each time round further. */
static bool kill(struct mutant *m, int only, double seconds)
{
    const double until = seconds_now() + seconds;
    struct search_plan plan = {
        .bound_required = -1, .bound_last = 1, .limit = 300, .random_runs = 50, .pct_runs = 100, .seed = 1
    };
    while (!kill_by(m, &plan, only, until)) {
        if (seconds_now() >= until)
            return false;
        plan.bound_first = 1;
        plan.bound_last = plan.bound_last < 3 ? plan.bound_last + 1 : 3;
        plan.limit *= 16;
        plan.random_runs *= 4;
        plan.pct_runs *= 4;
        plan.seconds = seconds / 2;
        plan.seed += 1000000;
    }
    return true;
}

static void run_mutant(int n, FILE *out)
{
    struct mutant *m = &mutants[n];
    double start = seconds_now();
    statics_remember();
    for (int i = 0; i < m->pc_count; i++)
        site_weaken(m->pcs[i], m->property);
    engine->executions = 0;
    int hint = hint_for(m);
    if ((hint < 0 || !kill(m, hint, seconds_for_each / 2)) && seconds_for_each > 0)
        kill(m, -1, seconds_for_each);
    m->seconds = seconds_now() - start;
    m->executions = engine->executions;
    fwrite(m, sizeof *m, 1, out);
}

static void mutant_ended(int n, int status, FILE *text, FILE *out)
{
    struct mutant *m = &mutants[n];
    copy_text(text);
    if (status != 0) { /* it crashed, which is a failure of the weakened sources, too */
        m->is_killed = true;
        snprintf(m->failure, sizeof m->failure, "the process crashed");
    } else if (fread(m, sizeof *m, 1, out) != 1) {
        return;
    }
    bool explained = !m->is_killed && is_explained(m);
    if (m->is_killed && !models_are_verbose())
        return;
    printf("%s  %s:%d %s, %s without %s: ",
           m->is_killed ? "killed   "
           : explained  ? "explained"
                        : "survived ",
           m->place.file, m->place.line, m->place.function, op_name(m->op), property_name(m->property));
    if (m->is_killed)
        printf("%.2f s, %s: %s\n", m->seconds, m->killer != NULL ? m->killer->options.sentence : "", m->failure);
    else
        printf("%s\n", m->text);
    fflush(stdout);
}

void mutants_run(struct outcome *all, int n, int at_once, double seconds, bool remembers, const char *part,
                 struct sum *sum)
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
    read_hints();
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
    if (remembers)
        write_hints();
}
