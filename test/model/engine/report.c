/* SPDX-License-Identifier: MIT
 *
 * What a failure looks like: what went wrong, how to see it again, and every visible step on the way, with its line. */
#include "inside.h"

#include <unistd.h>

const char *op_name(enum op op)
{
    static const char *const names[] = { "load",  "store",       "exchange",    "compare-exchange",
                                         "fence", "light fence", "heavy fence", "" };
    return names[op];
}

const char *order_name(int order)
{
    order &= ACQUIRE | RELEASE | SEQ_CST;
    if ((order & SEQ_CST) != 0)
        return "seq_cst";
    static const char *const names[] = { "relaxed", "acquire", "release", "acq_rel" };
    return names[order & 3];
}

void model_name(const volatile void *address, size_t size, const char *name)
{
    if (engine->name_count < NAMES)
        engine->names[engine->name_count++] = (struct named){ (uintptr_t)address, size, name };
}

/* The static object at an address, by nm. */
static bool static_name(uintptr_t address, char *text, size_t size)
{
    char exe[512], command[600], line[400], best[200] = "";
    uintptr_t best_at = 0;
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (length <= 0)
        return false;
    exe[length] = 0;
    snprintf(command, sizeof command, "nm -n '%s' 2>/dev/null", exe);
    FILE *from = popen(command, "r");
    if (from == NULL)
        return false;
    while (fgets(line, sizeof line, from) != NULL) {
        char *rest, type, name[200];
        unsigned long at = strtoul(line, &rest, 16);
        if (rest != line && sscanf(rest, " %c %199s", &type, name) == 2 && at <= address &&
            strchr("bBdD", type) != NULL) {
            best_at = at;
            snprintf(best, sizeof best, "%s", name);
        }
    }
    pclose(from);
    if (best_at == 0 || address - best_at > 65536)
        return false;
    if (address == best_at)
        snprintf(text, size, "%s", best);
    else
        snprintf(text, size, "%s+%zu", best, (size_t)(address - best_at));
    return true;
}

void describe_address(const volatile void *address, char *text, size_t size)
{
    uintptr_t at = (uintptr_t)address;
    for (int i = engine->name_count; i-- > 0;) {
        const struct named *n = &engine->names[i];
        if (at - n->address < n->size) {
            if (at == n->address)
                snprintf(text, size, "%s", n->name);
            else
                snprintf(text, size, "%s+%zu", n->name, (size_t)(at - n->address));
            return;
        }
    }
    if (at - (uintptr_t)engine->arena < ARENA_SIZE) {
        uint16_t owner = engine->arena_owner[(at - (uintptr_t)engine->arena) / 16];
        if (owner != 0) {
            snprintf(text, size, "block %d+%zu", owner, (size_t)(at - (uintptr_t)engine->blocks[owner - 1].memory));
            return;
        }
    }
    for (int i = 0; i < THREADS; i++)
        if (at - (uintptr_t)engine->threads[i].stack < STACK_SIZE) {
            snprintf(text, size, "stack of thread %d-%zu", i,
                     (size_t)((uintptr_t)engine->threads[i].stack + STACK_SIZE - at));
            return;
        }
    if (at - (uintptr_t)engine->map < MAP_SIZE)
        snprintf(text, size, "mapping+%zu", (size_t)(at - (uintptr_t)engine->map));
    else if (!static_name(at, text, size))
        snprintf(text, size, "%p", (void *)at);
}

void step_record(const step *s)
{
    if (engine->thread_count < 2)
        return; /* what the body prepares */
    engine->trace[engine->trace_count++ % TRACE] = *s;
}

static void print_step(const step *s, int number, const struct place *place)
{
    char line[160], what[120] = "", value[80] = "", who[80];
    thread_describe(s->thread, who, sizeof who);
    if (s->address != NULL)
        describe_address(s->address, what, sizeof what);
    const char *op = s->note != NULL ? s->note : op_name(s->op);
    switch (s->op) {
    case OP_LOAD:
        snprintf(value, sizeof value, s->age != 0 ? " = %llu, %d newer" : " = %llu", (unsigned long long)s->value,
                 s->age);
        break;
    case OP_STORE:
        snprintf(value, sizeof value, " := %llu", (unsigned long long)s->value);
        break;
    case OP_RMW:
        snprintf(value, sizeof value, " %llu -> %llu", (unsigned long long)s->old, (unsigned long long)s->value);
        break;
    case OP_CAS:
        if ((s->order & ON_FAILURE) != 0)
            snprintf(value, sizeof value, " fails on %llu%s", (unsigned long long)s->value,
                     s->age != 0 ? ", which is not the newest" : "");
        else
            snprintf(value, sizeof value, " %llu -> %llu", (unsigned long long)s->old, (unsigned long long)s->value);
        break;
    default:
        break;
    }
    bool ordered = s->op <= OP_CAS;
    printf("    %4d  %*s%d  %s%s%s %s%s\n", number, 2 * s->thread, "", s->thread, op, ordered ? " " : "",
           ordered ? order_name(s->order) : "", what, value);
    printf("          %*s     %s:%d  %s\n", 2 * s->thread, "", place->file, place->line,
           source_line(place->file, place->line, line, sizeof line));
}

static void print_trace(void)
{
    int n = engine->trace_count < TRACE ? engine->trace_count : TRACE, first = engine->trace_count - n;
    if (n == 0)
        return;
    uintptr_t *pcs = calloc((size_t)n, sizeof *pcs);
    struct place *places = calloc((size_t)n, sizeof *places);
    for (int i = 0; i < n; i++)
        pcs[i] = engine->trace[(first + i) % TRACE].site;
    places_of(pcs, n, places);
    for (int i = 0; i < n; i++)
        print_step(&engine->trace[(first + i) % TRACE], first + i + 1, &places[i]);
    free(pcs);
    free(places);
}

/* "s12:1,r40:2": another thread at the 12th step, the second newest value at the 40th; m: a choice of the model. */
int schedule_print(char *text, size_t size)
{
    size_t at = 0;
    snprintf(text, size, "-");
    for (int i = 0; i < engine->again_count && at + 24 < size; i++) {
        const struct choice *c = &engine->again[i];
        at += (size_t)snprintf(text + at, size - at, "%s%c%d:%d", at != 0 ? "," : "", (char)c->kind, c->step, c->taken);
    }
    return engine->again_count;
}

bool schedule_read(const char *text)
{
    engine->again_count = 0;
    if (strcmp(text, "-") == 0)
        return true;
    while (*text != 0) {
        char kind = *text, *colon, *rest;
        int at = (int)strtol(text + 1, &colon, 10);
        if (colon == text + 1 || *colon != ':')
            return false;
        uint16_t taken = (uint16_t)strtol(colon + 1, &rest, 10);
        if (rest == colon + 1 || engine->again_count == CHOICES)
            return false;
        engine->again[engine->again_count++] = (struct choice){ .step = at, .taken = taken, .kind = (enum kind)kind };
        text = rest;
        if (*text == ',')
            text++;
    }
    return true;
}

void report_failure(const struct model *model, const struct verdict *verdict)
{
    char schedule[4000];
    static const char *const modes[] = { "depth first", "at random", "PCT", "replay" };
    if (verdict->mode != MODE_REPLAY)
        shrink(model);
    int deviations = schedule_print(schedule, sizeof schedule);
    bool again = replay(model, true);
    printf("    %s\n", engine->failure);
    printf("    found by the search %s", modes[verdict->mode]);
    if (verdict->mode == MODE_DEPTH_FIRST)
        printf(" with bound %d", verdict->bound);
    else
        printf(" with seed %llu", (unsigned long long)verdict->seed);
    printf(" in run %llu; shrunk to %d deviations%s\n", (unsigned long long)verdict->executions, deviations,
           again ? "" : "; IT DOES NOT FAIL AGAIN");
    printf("    again: models --replay %s '%s'\n", schedule, model->options.sentence);
    print_trace();
}
