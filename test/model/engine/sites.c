/* SPDX-License-Identifier: MIT
 *
 * Operations by where they stand in the sources, asked of binutils (addr2line), and what a mutant takes away from them. */
#include "inside.h"

#include <unistd.h>

/* A place in one of these is where something is defined that others use: their caller is meant. */
static bool is_only_a_name(const char *file)
{
    size_t n = strlen(file);
    return n > 13 && strcmp(file + n - 13, "base/atomic.h") == 0;
}

static void shorten(char *file)
{
    char *found = NULL;
    static const char *const folders[] = { "/src/", "/test/" };
    for (int i = 0; i < 2 && found == NULL; i++)
        for (char *at = file; (at = strstr(at, folders[i])) != NULL; at++)
            found = at;
    if (found != NULL)
        memmove(file, found + 1, strlen(found + 1) + 1);
}

static void parse_place(char *line, struct place *place)
{
    char *colon = strrchr(line, ':');
    if (colon == NULL)
        return;
    place->line = (int)strtol(colon + 1, NULL, 10);
    *colon = 0;
    snprintf(place->file, sizeof place->file, "%.199s", line);
}

static void read_places(FILE *from, int n, struct place *places)
{
    /* For each address: "0x...", then pairs of a function and a place, the innermost first. */
    char line[1024];
    int at = -1;
    bool is_done = true;
    while (fgets(line, sizeof line, from) != NULL && at < n) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "0x", 2) == 0) {
            at++;
            is_done = false;
            continue;
        }
        char function[80];
        snprintf(function, sizeof function, "%.79s", line);
        if (fgets(line, sizeof line, from) == NULL)
            break;
        if (is_done || at < 0 || at >= n)
            continue;
        snprintf(places[at].function, sizeof places[at].function, "%s", function);
        parse_place(line, &places[at]);
        is_done = !is_only_a_name(places[at].file);
    }
    for (int i = 0; i < n; i++)
        shorten(places[i].file);
}

void places_of(const uintptr_t *pcs, int n, struct place *places)
{
    memset(places, 0, (size_t)n * sizeof places[0]);
    char exe[512];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (length <= 0)
        return;
    exe[length] = 0;
    for (int first = 0; first < n; first += 500) {
        int some = n - first < 500 ? n - first : 500;
        char *command = malloc(1024 + (size_t)some * 24);
        size_t at = (size_t)sprintf(command, "addr2line -a -f -i -e '%s'", exe);
        for (int i = 0; i < some; i++)
            at += (size_t)sprintf(command + at, " %#zx", (size_t)pcs[first + i] - 1);
        sprintf(command + at, " 2>/dev/null");
        FILE *from = popen(command, "r");
        free(command);
        if (from == NULL)
            return;
        read_places(from, some, places + first);
        pclose(from);
    }
}

const char *source_line(const char *file, int number, char *text, size_t size)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", MODEL_SOURCES, file);
    FILE *from = fopen(path, "r");
    text[0] = 0;
    if (from == NULL)
        return text;
    char line[400];
    for (int i = 0; i < number && fgets(line, sizeof line, from) != NULL; i++)
        if (i == number - 1)
            snprintf(text, size, "%.*s", (int)strcspn(line + strspn(line, " "), "\n"), line + strspn(line, " "));
    fclose(from);
    return text;
}

static site *site_of(uintptr_t pc)
{
    for (unsigned h = (unsigned)(pc * UINT64_C(0x9E3779B97F4A7C15) >> 40) % SITES;; h = (h + 1) % SITES)
        if (engine->sites[h].pc == pc || engine->sites[h].pc == 0)
            return &engine->sites[h];
}

int site_order(uintptr_t pc, enum op op, int order, int failure, int *failure_out)
{
    if (!engine->records_sites && !engine->has_mutant)
        return order;
    site *s = site_of(pc);
    if (s->pc == 0 && engine->records_sites)
        *s = (site){ .pc = pc, .op = op, .order = order, .failure = failure };
    if (s->pc == 0 || s->weakened == 0)
        return order;
    if ((s->weakened & ON_FAILURE) != 0) {
        if (failure_out != NULL)
            *failure_out = failure & ~s->weakened;
        return order;
    }
    if ((s->weakened & SEQ_CST) != 0 && failure_out != NULL)
        *failure_out = failure & ~SEQ_CST;
    return order & ~s->weakened;
}

void site_weaken(uintptr_t pc, int properties)
{
    site *s = site_of(pc);
    s->pc = pc;
    s->weakened = properties;
    engine->has_mutant = true;
}
