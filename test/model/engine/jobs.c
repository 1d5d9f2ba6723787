/* SPDX-License-Identifier: MIT
 *
 * A few processes at a time. */
#include "inside.h"

#include <sys/wait.h>
#include <unistd.h>

struct running {
    pid_t pid;
    int number;
    FILE *text, *out;
};

static void start(const struct jobs *jobs, int number, struct running *r)
{
    fflush(stdout);
    *r = (struct running){ .number = number, .text = tmpfile(), .out = tmpfile() };
    if (r->text == NULL || r->out == NULL) {
        perror("tmpfile");
        exit(2);
    }
    r->pid = fork();
    if (r->pid < 0) {
        perror("fork");
        exit(2);
    }
    if (r->pid > 0)
        return;
    dup2(fileno(r->text), STDOUT_FILENO);
    jobs->run(number, r->out);
    fflush(stdout);
    fflush(r->out);
    _exit(0);
}

void jobs_run(const struct jobs *jobs)
{
    struct running running[64];
    int next = 0, count = 0, at_once = jobs->at_once < 64 ? jobs->at_once : 64;
    while (next < jobs->count || count > 0) {
        while (count < at_once && next < jobs->count)
            start(jobs, next++, &running[count++]);
        int status;
        pid_t pid = wait(&status);
        for (int i = 0; i < count; i++) {
            if (running[i].pid != pid)
                continue;
            struct running r = running[i];
            running[i] = running[--count];
            rewind(r.text);
            rewind(r.out);
            jobs->ended(r.number, status, r.text, r.out);
            fclose(r.text);
            fclose(r.out);
            break;
        }
    }
}

void copy_text(FILE *from)
{
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, from)) > 0;)
        fwrite(buffer, 1, n, stdout);
    fflush(stdout);
}
