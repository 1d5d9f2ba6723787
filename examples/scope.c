/* SPDX-License-Identifier: MIT
 *
 * Scopes: the end of the block waits for every job started in it, by whatever way the block is left. So these jobs
 * may work on the spawner's own variables: they are lent, not copied, and nothing can outlive them. */
#include <haft/haft.h>

#include <stdio.h>
#include <stdlib.h>

struct part {
    int *at;
    size_t n;
};

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void merge(int *at, size_t half, size_t n, int *to)
{
    for (size_t i = 0, a = 0, b = half; i < n; i++)
        to[i] = b == n || (a < half && at[a] <= at[b]) ? at[a++] : at[b++];
    for (size_t i = 0; i < n; i++)
        at[i] = to[i];
}

static int sort(struct part *whole)
{
    if (whole->n <= 1000) {
        qsort(whole->at, whole->n, sizeof *whole->at, compare);
        return 0;
    }
    size_t half = whole->n / 2;
    struct part low = { whole->at, half }, high = { whole->at + half, whole->n - half };
    int rc;
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, sort, &low);
        haft_scope_spawn(s, sort, &high);
    } /* both halves are sorted here */
    int *room = rc == 0 ? malloc(whole->n * sizeof *room) : NULL;
    if (room == NULL)
        return rc != 0 ? rc : HAFT_ENOMEM;
    merge(whole->at, half, whole->n, room);
    free(room);
    return 0;
}

int main(void)
{
    enum { N = 100000 };
    static int numbers[N];
    for (int i = 0; i < N; i++)
        numbers[i] = (int)((i * INT64_C(7919)) % N); /* each number from 0 to N - 1 once */

    struct part all = { numbers, N };
    haft_handle h = haft_spawn(sort, &all);
    int rc = haft_join(&h, &all);

    int wrong = 0;
    for (int i = 0; i < N; i++)
        wrong += numbers[i] != i;
    printf("sorted: %s, %d out of place\n", haft_errname(rc), wrong);
    return 0;
}
