/* SPDX-License-Identifier: MIT
 *
 * Outcomes: a job returns, panics, is aborted while it waits, or is aborted before it began. haft_join tells by its
 * code; haft_join_outcome keeps what the job did apart from what became of the join itself. */
#include <haft/haft.h>

#include <stdio.h>

struct job {
    haft_handle parent;
};

static int return_seven(struct job *j)
{
    (void)j;
    return 7;
}

static int fall_over(struct job *j)
{
    (void)j;
    haft_panic("no such port: %d", 70000);
}

static int sleep_long(struct job *j)
{
    haft_unpark(j->parent); /* "I have begun" */
    int rc = haft_sleep(3600 * HAFT_S);
    return rc == HAFT_ECANCELED ? 5 : rc; /* an aborted job may still say something */
}

static void quiet(const haft_panic_info *panic)
{
    (void)panic; /* the default hook writes a line on standard error */
}

static void report(const char *what, haft_handle *h)
{
    static const char *const ends[] = { "returned", "panicked", "was aborted", "did not start" };
    struct job j;
    haft_outcome out;
    int rc = haft_join_outcome(h, &j, &out);
    if (rc != 0) {
        printf("%s: cannot be joined: %s\n", what, haft_errname(rc));
        return;
    }
    printf("%s: %s, code %d%s%s\n", what, ends[out.end], out.code, out.end == HAFT_PANICKED ? ", message: " : "",
           out.end == HAFT_PANICKED ? out.panic.message : "");
    haft_panic_drop(&out.panic);
}

static int run(void)
{
    struct job j = { .parent = haft_self() };
    haft_handle returns = haft_spawn(return_seven, &j);
    haft_handle panics = haft_spawn(fall_over, &j);
    haft_handle sleeps = haft_spawn(sleep_long, &j);
    haft_park(); /* until the sleeper has begun */
    haft_abort(sleeps);

    haft_handle never = haft_spawn(return_seven, &j);
    haft_abort(never); /* there is one worker, and it is busy here */

    report("first", &returns);
    report("second", &panics);
    report("third", &sleeps);
    report("fourth", &never);
    report("fourth, again", &never);
    return 0;
}

int main(void)
{
    haft_on_panic(quiet);
    return haft_run(run, HAFT_NO_FRAME, .workers = 1);
}
