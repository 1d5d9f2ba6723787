/* SPDX-License-Identifier: MIT
 *
 * An actor that outlives its own death: a message that panics costs the state, which is made anew, but neither the mailbox
 * nor anybody's client. */
#include <haft/haft.h>

#include <stdio.h>

struct counter {
    int n;
};
typedef HAFT_ACTOR(struct counter) counter;
typedef HAFT_CLIENT(struct counter) client;

static int add(struct counter *c, int *n)
{
    if (*n < 0)
        haft_panic("cannot add %d", *n);
    *n = c->n += *n;
    return 0;
}

static void adds(client *c, int n)
{
    int sum = n, rc = haft_call(c, add, &sum);
    if (rc == 0)
        printf("add %d: %d\n", n, sum);
    else
        printf("add %d: %s\n", n, haft_errname(rc));
}

static void no_line(const haft_panic_info *panic)
{
    printf("%s panics: %s\n", panic->job, panic->message);
}

int main(void)
{
    haft_on_panic(no_line);
    haft_supervisor *sup = haft_supervisor_new(.restarts = 2, .within = HAFT_S, .backoff = HAFT_MS);
    HAFT_DEFER(haft_supervisor_drop, &sup);
    counter a;
    client c;
    if (haft_supervise_actor(sup, &a, &(struct counter){ 100 }, .name = "counter") != 0)
        return 1;
    haft_client_of(&a, &c);
    adds(&c, 1);
    adds(&c, 2);
    adds(&c, -1);
    adds(&c, 3); /* waits for the restart */
    adds(&c, -1);
    adds(&c, 4);
    adds(&c, -1); /* once too often */
    adds(&c, 5);
    printf("the supervisor: %s\n", haft_errname(haft_supervisor_wait(sup)));
    haft_client_drop(&c);
    printf("the actor: %s\n", haft_errname(haft_actor_join(&a)));
    return 0;
}
