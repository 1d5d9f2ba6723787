/* SPDX-License-Identifier: MIT
 *
 * Sets: a number of jobs that is not known in advance, of which so many run at a time. Their frames are taken out in
 * the order in which the jobs end, and finding one may lead to spawning more. */
#include <haft/haft.h>

#include <stdatomic.h>
#include <stdio.h>

static atomic_int running, most;

struct node {
    int number;
    int children; /* out: how many more there are below this one */
    int *visits;  /* of every node, by its number; each is touched by its own job only */
};

/* Nodes 1 to 1000 are a tree, in which n has the children 2n and 2n + 1. */
static int visit(struct node *n)
{
    int now = atomic_fetch_add(&running, 1) + 1;
    for (int before = atomic_load(&most); before < now && !atomic_compare_exchange_weak(&most, &before, now);)
        ;
    n->visits[n->number]++;
    n->children = (2 * n->number <= 1000) + (2 * n->number + 1 <= 1000);
    haft_yield();
    atomic_fetch_sub(&running, 1);
    return n->number % 100 == 0 ? -EIO : 0;
}

int main(void)
{
    haft_set *set = haft_set_new(.limit = 5);
    if (set == NULL)
        return 1;
    HAFT_DEFER(haft_set_drop, &set); /* aborts what still runs, and waits */

    static int visits[1001];
    struct node n = { .number = 1, .visits = visits };
    int rc = haft_set_spawn(set, visit, &n);

    int ended = 0, failed = 0, code;
    while (rc == 0 && (rc = haft_set_next(set, &n, &code)) == 0) {
        ended++;
        failed += code != 0;
        for (int i = 0; i < n.children && rc == 0; i++) {
            struct node child = { .number = 2 * n.number + i, .visits = visits };
            rc = haft_set_spawn(set, visit, &child);
        }
    }
    int once = 0;
    for (int i = 1; i <= 1000; i++)
        once += visits[i] == 1;
    printf("%d ended, %d of them with an error, %d visited once\n", ended, failed, once);
    printf("then: %s; never more than five at a time: %d\n", haft_errname(rc), atomic_load(&most) <= 5);
    return 0;
}
