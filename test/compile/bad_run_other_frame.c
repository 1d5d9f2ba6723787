/* SPDX-License-Identifier: MIT
 *
 * haft_run checks as haft_spawn does.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *, or int body(void) for none
 */
#include <haft/haft.h>

static int main_body(int *n)
{
    return *n;
}

int run_it(void);
int run_it(void)
{
    char *n = NULL;
    return haft_run(main_body, &n, .workers = 2);
}
