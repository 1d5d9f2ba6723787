/* SPDX-License-Identifier: MIT
 *
 * What is deferred gets an address.
 * expect: haft: pass the address of the object: &object
 */
#include <haft/haft.h>

struct lease {
    int number;
};

static void give_back(struct lease *l)
{
    l->number = 0;
}

void defer_it(struct lease l);
void defer_it(struct lease l)
{
    HAFT_DEFER(give_back, l);
}
