/* SPDX-License-Identifier: MIT
 *
 * Divide and conquer: haft_both runs one half in place and offers the other to idle workers, haft_for_each does that for
 * an array. What nobody takes costs neither a job nor a stack, so the pieces may be small. */
#include <haft/haft.h>

#include <stdio.h>

enum { COUNT = 100000, SMALL = 64 };

struct part {
    int *values;
    size_t n;
};

static void swap(int *a, int *b)
{
    int t = *a;
    *a = *b;
    *b = t;
}

static void insertion_sort(int *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && v[k] < v[k - 1]; k--)
            swap(&v[k], &v[k - 1]);
}

/* Quicksort: the two sides of the pivot are sorted at once. */
static int sort(const struct part *p)
{
    if (p->n <= SMALL) {
        insertion_sort(p->values, p->n);
        return 0;
    }
    int pivot = p->values[p->n / 2];
    size_t i = 0, k = p->n - 1;
    for (;; i++, k--) {
        while (p->values[i] < pivot)
            i++;
        while (p->values[k] > pivot)
            k--;
        if (i >= k)
            break;
        swap(&p->values[i], &p->values[k]);
    }
    struct part left = { p->values, k + 1 }, right = { p->values + k + 1, p->n - k - 1 };
    return haft_both(sort, &left, sort, &right);
}

static int square(int *value)
{
    *value *= *value;
    return 0;
}

static int refuse_odd(const int *value)
{
    return *value % 2 != 0 ? -EDOM : 0;
}

static int values[COUNT];

int main(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        values[i] = (int)(i * 7919u % 1009u);
    struct part all = { values, COUNT };
    int rc = sort(&all);
    size_t unsorted = 0;
    for (size_t i = 1; i < COUNT; i++)
        unsorted += values[i] < values[i - 1];
    printf("sort: %s, out of order: %zu, from %d to %d\n", haft_errname(rc), unsorted, values[0], values[COUNT - 1]);

    printf("square: %s\n", haft_errname(haft_for_each(square, values, COUNT)));
    printf("greatest: %d\n", values[COUNT - 1]);
    printf("refuse odd ones: %s\n", haft_errname(haft_for_each(refuse_odd, values, COUNT)));
    return 0;
}
