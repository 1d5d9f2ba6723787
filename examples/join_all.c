/* SPDX-License-Identifier: MIT
 *
 * Several handles at once: haft_join_all waits for every job and tells each one's code; haft_join_all_or_abort aborts
 * the others when one fails, and still waits for all of them. */
#include <haft/haft.h>

#include <stdio.h>

struct step {
    int number;
};

static int take(struct step *s)
{
    switch (s->number) {
    case 2:
        return -ENOSPC;
    case 4:
        return haft_sleep(3600 * HAFT_S);
    default:
        return 0;
    }
}

static haft_handle start(int number)
{
    struct step s = { .number = number };
    return haft_spawn(take, &s);
}

static void show(const char *call, int rc, const int *rcs, int n)
{
    printf("%s: %s\n", call, haft_errname(rc));
    for (int i = 0; i < n; i++)
        printf("    %s\n", haft_errname(rcs[i]));
}

int main(void)
{
    int rcs[3];

    haft_handle three[] = { start(1), start(2), start(3) };
    int rc = haft_join_all(three, 3, rcs);
    show("haft_join_all of 1, 2, 3", rc, rcs, 3);

    haft_handle two[] = { start(4), start(2) };
    rc = haft_join_all_or_abort(two, 2, rcs);
    show("haft_join_all_or_abort of 4, 2", rc, rcs, 2);
    return 0;
}
