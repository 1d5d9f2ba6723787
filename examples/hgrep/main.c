/* SPDX-License-Identifier: MIT
 *
 * A piece of work moves into a job with everything it needs, and comes back with its matches and with the paths it
 * found, which are cut into further pieces. So no job shares anything with another; the first job alone sees the
 * whole, and speaks to the terminal.
 *
 * Ctrl-C aborts the first job, --timeout is a deadline of it; either way it asks the others to stop, and prints what they
 * have found. */
#define _GNU_SOURCE 1 /* memrchr */
#include "hgrep.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_JOBS = 1000,      /* for -j; a runtime takes 1,024 workers */
    PIECE = 32,            /* paths that a job is given */
    SORT_ALONE = 8192,     /* lines that are not worth another job */
    INTERRUPTED = 130,     /* exit statuses: of a program that a SIGINT has ended, */
    OUT_OF_TIME = 124,     /* and that of timeout(1) */
    STACK = 256 * 1024,    /* libc's regular expressions ask for more than a task's usual 64 KiB, */
    STACK_OF_GROUP = 1024, /* and for so much more for each group in another */
    MOST_GROUPS = 4096,
};

struct run {
    const char *pattern;
    bool extended, name_arguments, show_progress, failed;
    size_t jobs;
    size_t stack_size;     /* of whoever compiles or searches */
    int64_t timeout;       /* INT64_MAX: none */
    bool is_left;          /* a piece hangs in a read */
    struct text backlog;   /* paths that no job was given yet */
    struct search **spare; /* searches that no job is using; never more than two for a job */
    size_t n_spare;
    struct text matches;
    size_t files;
    int64_t shown; /* when the progress line was written */
};

static void say(struct run *r, const char *text)
{
    fprintf(stderr, "%s%s", r->show_progress ? "\r\033[K" : "", text);
}

static void out_of_memory(struct run *r)
{
    say(r, "hgrep: out of memory\n");
    r->failed = true;
}

static void show_progress(struct run *r)
{
    if (r->show_progress && haft_now() - r->shown >= 100 * HAFT_MS) {
        fprintf(stderr, "\r\033[K%zu files, %zu bytes of matches", r->files, r->matches.len);
        r->shown = haft_now();
    }
}

/* --- The search --------------------------------------------------------------------------------------------------- */

/* The start of the last path of the backlog before `end`. */
static size_t start_of_last(const struct run *r, size_t end)
{
    const char *nul = end > 0 ? memrchr(r->backlog.at, '\0', end - 1) : NULL;
    return nul != NULL ? (size_t)(nul + 1 - r->backlog.at) : 0;
}

/* Cuts a piece from the end of the backlog. What the user named may be a pipe that says nothing, and is a piece of its
 * own, so that it holds up nobody else's matches. False if there is no memory for it. */
static bool take(struct run *r, struct piece *p)
{
    const char *why;
    struct search *s = r->n_spare > 0 ? r->spare[--r->n_spare] : search_new(r->pattern, r->extended, &why);
    if (s == NULL)
        return false;
    size_t cut = start_of_last(r, r->backlog.len);
    for (int i = 1; i < PIECE && cut > 0 && r->backlog.at[cut] == FOUND_ENTRY; i++) {
        size_t before = start_of_last(r, cut);
        if (r->backlog.at[before] != FOUND_ENTRY)
            break;
        cut = before;
    }
    *p = (struct piece){ .search = s, .name_arguments = r->name_arguments };
    text_add(&p->todo, r->backlog.at + cut, r->backlog.len - cut);
    r->backlog.len = cut;
    return true;
}

/* Takes over what a piece brought back. */
static void collect(struct run *r, struct piece *p)
{
    r->spare[r->n_spare++] = p->search;
    r->files += p->files;
    text_add(&r->backlog, p->left.at, p->left.len);
    text_add(&r->matches, p->matches.at, p->matches.len);
    if (p->errors.len > 0) {
        text_add(&p->errors, "", 1);
        say(r, p->errors.at);
        r->failed = true;
    }
    if (p->todo.lost || p->left.lost || p->matches.lost || p->errors.lost || r->backlog.lost || r->matches.lost)
        out_of_memory(r);
    r->backlog.lost = r->matches.lost = false;
    text_drop(&p->todo); /* of one that never began */
    text_drop(&p->left);
    text_drop(&p->matches);
    text_drop(&p->errors);
    show_progress(r);
}

static bool is_told_to_stop(int rc)
{
    return rc == HAFT_ECANCELED || rc == HAFT_ETIMEDOUT;
}

/* Hands out pieces while they are fewer than twice the jobs. 0, HAFT_ECANCELED or HAFT_ETIMEDOUT. */
static int hand_out(struct run *r, haft_set *set)
{
    struct piece p;
    int rc = 0;
    while (rc == 0 && r->backlog.len > 0 && haft_set_len(set) < 2 * r->jobs && take(r, &p)) {
        rc = haft_set_spawn(set, walk, &p, .name = "walk", .stack_size = r->stack_size);
        if (rc == 0)
            continue;
        if (!is_told_to_stop(rc)) {
            walk(&p); /* no job to be had: here, then */
            rc = 0;
        }
        collect(r, &p);
    }
    return rc;
}

/* Asks the jobs to stop and takes over what they have. They look up between two files; one that does not soon hangs in a
 * read, and nothing can be done about that but to go without it. */
static void stop(struct run *r, haft_set *set)
{
    HAFT_SHIELD;
    HAFT_TIMEOUT(200 * HAFT_MS);
    struct piece p;
    haft_set_abort_all(set);
    while (haft_set_next(set, &p, NULL) == 0)
        collect(r, &p);
    r->is_left = haft_set_len(set) > 0;
    if (r->is_left)
        haft_set_detach_all(set);
}

static int search_all(struct run *r)
{
    haft_set *set = haft_set_new(.limit = r->jobs);
    if (set == NULL)
        return HAFT_ENOMEM;
    HAFT_DEFER(haft_set_drop, &set);
    HAFT_TIMEOUT(r->timeout);
    struct piece p;
    int rc;
    do {
        rc = hand_out(r, set);
        if (rc == 0)
            rc = haft_checkpoint();
        if (rc == 0 && (rc = haft_set_next(set, &p, NULL)) == 0)
            collect(r, &p);
    } while (!is_told_to_stop(rc) && (haft_set_len(set) > 0 || (r->backlog.len > 0 && r->n_spare > 0)));
    if (is_told_to_stop(rc)) {
        stop(r, set);
        return rc;
    }
    return r->backlog.len > 0 ? HAFT_ENOMEM : 0;
}

/* --- The result --------------------------------------------------------------------------------------------------- */

struct line {
    const char *at;
    size_t len;
};

struct lines {
    struct line *at;
    struct line *room; /* for as many again */
    size_t n;
};

static int compare(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* Sorts by halving; the scope lends each half to a job and sees to it that both are back. */
static int sort(struct lines *all)
{
    if (all->n <= SORT_ALONE) {
        qsort(all->at, all->n, sizeof *all->at, compare);
        return 0;
    }
    size_t half = all->n / 2;
    struct lines a = { all->at, all->room, half };
    struct lines b = { all->at + half, all->room + half, all->n - half };
    {
        HAFT_SCOPE(halves);
        if (haft_scope_spawn(halves, sort, &a) != 0)
            sort(&a);
        sort(&b);
    }
    for (struct line *to = all->room; a.n + b.n > 0; to++) {
        struct lines *from = b.n == 0 || (a.n > 0 && compare(a.at, b.at) <= 0) ? &a : &b;
        *to = *from->at++;
        from->n--;
    }
    memcpy(all->at, all->room, all->n * sizeof *all->at);
    return 0;
}

/* Prints the matches as lines, sorted. A file's name may hold a newline, and sort would not know. */
static int print(const struct text *matches)
{
    struct lines lines = { 0 };
    const char *end = matches->at + matches->len;
    for (const char *at = matches->at; at < end; at = memchr(at, '\n', (size_t)(end - at)), at++)
        lines.n++;
    if (lines.n == 0)
        return 0;
    lines.at = calloc(2 * lines.n, sizeof *lines.at);
    if (lines.at == NULL)
        return HAFT_ENOMEM;
    HAFT_DEFER(free, lines.at);
    lines.room = lines.at + lines.n;
    struct line *line = lines.at;
    for (const char *at = matches->at; at < end; at = line->at + line->len + 1, line++)
        *line = (struct line){ at, (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at) };
    sort(&lines);
    for (size_t i = 0; i < lines.n; i++)
        fwrite(lines.at[i].at, 1, lines.at[i].len + 1, stdout);
    return fflush(stdout) != 0 ? -errno : 0;
}

/* Says how it ended. The exit status. */
static int conclude(struct run *r, int rc)
{
    say(r, "");
    if (rc == -EPIPE) /* whoever read it has had enough; haft's threads do not die of that */
        raise(SIGPIPE);
    if (rc == HAFT_ECANCELED || rc == HAFT_ETIMEDOUT)
        fprintf(stderr, "hgrep: %s: not everything was searched\n",
                rc == HAFT_ECANCELED ? "interrupted" : "out of time");
    else if (rc != 0)
        fprintf(stderr, "hgrep: %s\n", haft_strerror(rc));
    if (rc == HAFT_ECANCELED)
        return INTERRUPTED;
    if (rc == HAFT_ETIMEDOUT)
        return OUT_OF_TIME;
    return rc != 0 || r->failed ? 2 : r->matches.len > 0 ? 0 : 1;
}

static haft_abort_handle first_job;

static void interrupt(int number)
{
    (void)number;
    haft_abort_by(first_job);
}

/* Once: a second Ctrl-C ends the process where it is. Not if whoever started this one wants it to be ignored. */
static void heed_interrupts(void)
{
    struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND }, before;
    first_job = haft_abort_handle_of(haft_self());
    if (sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
}

static int run(struct run *r)
{
    heed_interrupts();
    int rc = search_all(r);
    HAFT_SHIELD;
    if (rc == 0 || is_told_to_stop(rc)) {
        int printed = print(&r->matches);
        rc = printed != 0 ? printed : rc;
    }
    if (r->is_left)
        _exit(conclude(r, rc)); /* the end of the process waits for nobody */
    return rc;
}

/* --- The command line --------------------------------------------------------------------------------------------- */

static int usage(void)
{
    fputs("usage: hgrep [-E] [-j JOBS] [--timeout SECONDS] PATTERN [PATH...]\n", stderr);
    return 2;
}

static bool read_seconds(const char *text, int64_t *out)
{
    char *rest;
    double seconds = strtod(text, &rest);
    if (rest == text || *rest != '\0' || !(seconds >= 0 && seconds <= 1e9))
        return false;
    *out = (int64_t)(seconds * (double)HAFT_S);
    return true;
}

int main(int argc, char **argv)
{
    const unsigned cpus = haft_cpu_count();
    struct run r = { .jobs = cpus < MOST_JOBS ? cpus : MOST_JOBS,
                     .show_progress = isatty(STDERR_FILENO),
                     .timeout = INT64_MAX };
    static const struct option options[] = { { "timeout", required_argument, NULL, 't' }, { 0 } };
    char *rest;
    for (int option; (option = getopt_long(argc, argv, "Ej:", options, NULL)) != -1;) {
        if (option == 'E')
            r.extended = true;
        else if (option == 't' && read_seconds(optarg, &r.timeout))
            continue;
        else if (option != 'j' || (r.jobs = strtoul(optarg, &rest, 10), *rest != '\0') || r.jobs - 1 >= MOST_JOBS)
            return usage();
    }
    if (optind == argc)
        return usage();
    r.pattern = argv[optind++];
    size_t groups = 0;
    for (const char *p = r.pattern; r.extended && (p = strchr(p, '(')) != NULL; p++)
        groups++;
    r.stack_size = r.extended ? STACK + groups * STACK_OF_GROUP : 0;
    r.name_arguments = argc - optind > 1;
    if (optind == argc)
        path_add(&r.backlog, FOUND_HERE, NULL, ".");
    while (argc > optind) {
        bool input = strcmp(argv[--argc], "-") == 0;
        path_add(&r.backlog, input ? FOUND_INPUT : FOUND_ARGUMENT, NULL, input ? "(standard input)" : argv[argc]);
    }
    const char *why = "out of memory";
    r.spare = calloc(2 * r.jobs, sizeof(struct search *));
    struct search *first = NULL;
    if (groups > MOST_GROUPS)
        why = "regular expression too big";
    else if (r.spare != NULL)
        first = search_new(r.pattern, r.extended, &why);
    int rc = 0;
    if (first == NULL) {
        fprintf(stderr, "hgrep: %s\n", why);
        r.failed = true;
    } else {
        r.spare[r.n_spare++] = first;
        /* One more than can hang in a read, for the first job. */
        rc = haft_run(run, &r, .workers = (unsigned)r.jobs + 1, .stack_size = r.stack_size);
    }
    int status = conclude(&r, rc);
    while (r.n_spare > 0)
        search_drop(&r.spare[--r.n_spare]);
    free(r.spare);
    text_drop(&r.backlog);
    text_drop(&r.matches);
    return status;
}
