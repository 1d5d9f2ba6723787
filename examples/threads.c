/* SPDX-License-Identifier: MIT
 *
 * Threads: the same body, frame, handle and join on an OS thread of its own, by one option. For code that keeps a
 * whole thread busy, needs a large stack, or calls libraries that belong to their thread. */
#include <haft/haft.h>

#include <stdio.h>
#include <string.h>

struct job {
    char name[32];
    size_t depth;
    size_t bytes;
};

/* Each level keeps a kilobyte on the stack. */
static size_t descend(size_t depth)
{
    volatile char level[1024];
    level[0] = 1;
    size_t below = depth > 1 ? descend(depth - 1) : 0;
    return below + (size_t)level[0] * sizeof level;
}

static int dig(struct job *j)
{
    snprintf(j->name, sizeof j->name, "%s", haft_name(haft_self()));
    j->bytes = descend(j->depth);
    return 0;
}

int main(void)
{
    struct job shallow = { .depth = 10 };
    struct job deep = { .depth = 3000 };

    haft_handle task = haft_spawn(dig, &shallow, .name = "task");
    haft_handle thread =
        haft_spawn(dig, &deep, .kind = HAFT_THREAD, .name = "a thread for deep holes", .stack_size = 8 << 20);

    int rc = haft_join(&task, &shallow);
    printf("%s: %d, %zu KiB deep\n", shallow.name, rc, shallow.bytes >> 10);
    rc = haft_join(&thread, &deep);
    printf("%s: %d, %zu KiB deep\n", deep.name, rc, deep.bytes >> 10);
    return 0;
}
