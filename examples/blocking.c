/* SPDX-License-Identifier: MIT
 *
 * Calls that block, like read() on a pipe, would stop a worker and the tasks behind it. haft_spawn_blocking runs them
 * on a pool of threads that grows as needed; haft_blocking does the same and waits in place, lending its argument. */
#include <haft/haft.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct transfer {
    int fd;
    ssize_t n;
    char bytes[64];
};

static int read_some(struct transfer *t)
{
    t->n = read(t->fd, t->bytes, sizeof t->bytes);
    return t->n < 0 ? -errno : 0;
}

static int write_all(struct transfer *t)
{
    ssize_t n = write(t->fd, t->bytes, (size_t)t->n);
    return n < 0 ? -errno : n == t->n ? 0 : -EIO;
}

static int send(struct transfer *t)
{
    return haft_blocking(write_all, t); /* returns when it is written; the worker serves others meanwhile */
}

static int run(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        return -errno;

    /* Two tasks and two calls that wait for each other, on one worker. */
    struct transfer in = { .fd = ends[0] };
    haft_handle reader = haft_spawn_blocking(read_some, &in, .name = "reader");

    struct transfer out = { .fd = ends[1] };
    out.n = snprintf(out.bytes, sizeof out.bytes, "through the pipe");
    haft_handle writer = haft_spawn(send, &out);

    int rc = haft_join(&reader, &in);
    printf("read: %s, \"%.*s\"\n", haft_errname(rc), (int)in.n, in.bytes);
    rc = haft_join(&writer, &out);
    printf("written: %s\n", haft_errname(rc));

    close(ends[0]);
    close(ends[1]);
    in.fd = ends[0];
    printf("an error comes back as a code: %s\n", haft_errname(haft_blocking(read_some, &in)));
    return 0;
}

int main(void)
{
    return haft_run(run, HAFT_NO_FRAME, .workers = 1);
}
