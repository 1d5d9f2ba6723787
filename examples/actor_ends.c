/* SPDX-License-Identifier: MIT
 *
 * How an actor ends, and what those who wait for it are told. A message in the queue when the actor panics will never be
 * begun; a call that is too slow is taken back, or, once begun, left in doubt. */
#include <haft/haft.h>

#include <stdio.h>

struct state {
    int served;
};
typedef HAFT_ACTOR(struct state) actor;

struct request {
    int64_t takes;
};

static int serve(struct state *s, struct request *r)
{
    s->served++;
    if (r->takes < 0)
        haft_panic("a request of a negative length");
    return haft_sleep(r->takes);
}

static void call(const actor *a, int64_t takes, int64_t patience)
{
    struct request r = { takes };
    HAFT_TIMEOUT(patience);
    printf("  a call: %s\n", haft_errname(haft_call(a, serve, &r)));
}

static void no_line(const haft_panic_info *panic)
{
    printf("  panic: %s\n", panic->message);
}

int main(void)
{
    haft_on_panic(no_line);
    struct state s = { 0 };
    actor a;
    if (haft_actor_start(&a, &s, .name = "server") != 0)
        return 1;
    printf("it serves\n");
    call(&a, HAFT_MS, HAFT_S);
    call(&a, 400 * HAFT_MS, 200 * HAFT_MS); /* it had begun */
    call(&a, HAFT_MS, 5 * HAFT_MS);         /* it waited behind that one, and was taken back */
    haft_cast(&a, serve, &(struct request){ HAFT_MS });
    printf("join: %s, ", haft_errname(haft_actor_join(&a, &s))); /* drains */
    printf("served %d\n", s.served);

    if (haft_actor_start(&a, &s) != 0)
        return 1;
    printf("it panics\n");
    call(&a, -1, HAFT_S);
    call(&a, HAFT_MS, HAFT_S);
    printf("join: %s, ", haft_errname(haft_actor_join(&a, &s)));
    printf("served %d\n", s.served);
    return 0;
}
