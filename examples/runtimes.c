/* SPDX-License-Identifier: MIT
 *
 * Runtimes: most programs never name one. haft_run gives a program, or a part of it, one with a definite beginning
 * and end; haft_runtime_new makes more of them, side by side, to keep one kind of work from getting in the way of
 * another. */
#include <haft/haft.h>

#include <stdio.h>

struct job {
    int in, out;
};

static int square(struct job *j)
{
    j->out = j->in * j->in;
    return 0;
}

static int forget_me(struct job *j)
{
    (void)j;
    return haft_sleep(3600 * HAFT_S);
}

static void job_drop(void *object)
{
    struct job *j = object;
    printf("ended with its runtime: job %d\n", j->in);
}

static int main_job(struct job *j)
{
    struct job forgotten = { .in = 1 };
    haft_handle h = haft_spawn(forget_me, &forgotten, .drop = job_drop);
    haft_detach(&h);
    return square(j);
}

int main(void)
{
    /* This thread waits meanwhile; it would be the worker if there were only one. At the end, jobs get .grace to end by
     * themselves, then they are aborted. */
    struct job j = { .in = 12 };
    int rc = haft_run(main_job, &j, .workers = 2, .grace = 1 * HAFT_MS);
    printf("haft_run: %d, %d\n", rc, j.out);

    haft_runtime *front = haft_runtime_new(.workers = 1);
    haft_runtime *back = haft_runtime_new(.workers = 1);
    if (front == NULL || back == NULL)
        return 1;
    struct job a = { .in = 3 }, b = { .in = 4 };
    haft_handle ha = haft_spawn(square, &a, .runtime = front);
    haft_handle hb = haft_spawn(square, &b, .runtime = back);
    rc = haft_join(&ha, &a);
    printf("front: %d, %d\n", rc, a.out);

    /* A job's handle outlives its runtime. */
    haft_wait(hb);
    printf("drop: %d\n", haft_runtime_drop(&back));
    rc = haft_join(&hb, &b);
    printf("back: %d, %d\n", rc, b.out);

    haft_handle late = haft_spawn(square, &a, .runtime = front);
    haft_drop(&late);
    haft_runtime_drop(&front);
    printf("dropped: %d\n", front == NULL && back == NULL);
    return 0;
}
