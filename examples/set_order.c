/* SPDX-License-Identifier: MIT
 *
 * A set yields jobs as they end, not as they were started. It may also be given jobs that exist already, of any kind,
 * and when it is dropped it aborts what has not ended and waits for it. */
#include <haft/haft.h>

#include <stdio.h>

struct runner {
    const char *name;
};

static int run(struct runner *r)
{
    (void)r;
    return haft_park();
}

static void runner_drop(void *object)
{
    struct runner *r = object;
    printf("%s never arrived\n", r->name);
}

int main(void)
{
    static const char *const names[] = { "Anna", "Bela", "Cora", "Dora" };
    haft_set *set = haft_set_new();
    if (set == NULL)
        return 1;

    haft_handle on[4];
    for (int i = 0; i < 4; i++) {
        struct runner r = { names[i] };
        haft_handle h = haft_spawn(run, &r, .kind = i % 2 ? HAFT_THREAD : HAFT_TASK, .drop = runner_drop);
        on[i] = h; /* a copy, to unpark it by */
        int rc = haft_set_add(set, &h);
        if (rc != 0) {
            printf("%s: %s\n", names[i], haft_strerror(rc));
            haft_drop(&h);
        }
    }
    struct runner r;
    int code;
    printf("%zu started, %s\n", haft_set_len(set), haft_errname(haft_set_try_next(set, &r, &code)));

    static const int order[] = { 2, 0, 3 };
    for (int i = 0; i < 3; i++) {
        haft_unpark(on[order[i]]);
        if (haft_set_next(set, &r, &code) == 0)
            printf("%d. %s: %s\n", i + 1, r.name, haft_errname(code));
    }

    {
        HAFT_TIMEOUT(10 * HAFT_MS);
        printf("no more for now: %s\n", haft_errname(haft_set_next(set, &r, &code)));
    }
    printf("%zu still on the way\n", haft_set_len(set));
    haft_set_drop(&set);
    return 0;
}
