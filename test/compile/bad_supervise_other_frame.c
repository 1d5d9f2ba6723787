/* SPDX-License-Identifier: MIT
 *
 * A child's template that is not what its body takes.
 * expect: haft: the body must be int body(T *) or int body(void *) for a frame T *
 */
#include <haft/haft.h>

struct frame {
    int n;
};

static int works(struct frame *f)
{
    return f->n;
}

int add_it(haft_supervisor *sup);
int add_it(haft_supervisor *sup)
{
    int other = 0;
    return haft_supervise(sup, works, &other, .name = "child");
}
