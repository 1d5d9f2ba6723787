/* SPDX-License-Identifier: MIT
 *
 * Crawls a small web in which one page is not there and one is fatal. */
#include "crawler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void no_line(const haft_panic_info *panic)
{
    (void)panic;
}

static int by_page(const void *a, const void *b)
{
    return strcmp(((const struct report *)a)->page.text, ((const struct report *)b)->page.text);
}

/* Reads n reports at most; how many there were. */
static size_t read_reports(unsigned workers, struct report *r, size_t n)
{
    crawler_reports reports;
    crawler *c = crawler_new("/", workers, &reports);
    if (c == NULL)
        return 0;
    HAFT_DEFER(haft_receiver_drop, &reports);
    HAFT_DEFER(crawler_drop, &c);
    int rc = 0;
    size_t i = 0;
    while (i < n && (rc = haft_recv(&reports, &r[i])) == 0)
        i++;
    if (rc == HAFT_ECLOSED)
        printf("all was read, and the workers say: %s\n", haft_strerror(crawler_wait(c)));
    return i;
}

int main(void)
{
    haft_on_panic(no_line);
    struct report r[PAGES + 1];
    size_t n = read_reports(1, r, PAGES + 1);
    qsort(r, n, sizeof *r, by_page);
    for (size_t i = 0; i < n; i++)
        if (r[i].code >= 0)
            printf("  %-12s %d links\n", r[i].page.text, r[i].code);
        else
            printf("  %-12s %s\n", r[i].page.text, haft_strerror(r[i].code));
    printf("with three workers: %zu pages\n", read_reports(3, r, PAGES + 1));
    printf("given up after %zu pages\n", read_reports(3, r, 2));
    return 0;
}
