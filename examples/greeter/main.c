/* SPDX-License-Identifier: MIT
 *
 * Who uses a greeter knows nothing of tasks and messages, and nothing of it can be used wrongly from two threads. */
#include "greeter.h"

#include <haft/haft.h>

#include <stdio.h>

static int greets_from_a_thread(greeter_client **c)
{
    return greeter_greet(*c, "thread");
}

int main(void)
{
    greeter *g = greeter_new();
    greeter_client *c = g != NULL ? greeter_connect(g) : NULL;
    if (c == NULL)
        return 1;
    unsigned count = 0;
    if (greeter_greet(c, "main") != 0)
        return 1;
    haft_handle h = haft_spawn(greets_from_a_thread, &c, .kind = HAFT_THREAD);
    int rc = haft_join(&h);
    if (rc == 0)
        rc = greeter_count(c, &count);
    printf("%s: %u greeted\n", haft_strerror(rc), count);
    greeter_greet(c, "last one");
    greeter_drop(&g); /* the last one is greeted first */
    printf("greet: %s\n", haft_errname(greeter_greet(c, "nobody")));
    greeter_client_drop(&c);
    return 0;
}
