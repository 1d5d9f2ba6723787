/* SPDX-License-Identifier: MIT
 *
 * Every public macro of actors, used as it is meant to be. */
#include <haft/haft.h>

struct state {
    int n;
};

struct message {
    int a, b;
};

static int serve(struct state *s, struct message *m)
{
    return s->n + m->a + m->b;
}

static int serve_const(const struct state *s, const struct message *m)
{
    return s->n + m->a;
}

static int serve_array(struct state *s, int (*numbers)[3])
{
    return s->n + (*numbers)[0];
}

static int serve_bare(struct state *s)
{
    return s->n;
}

static void drop_any(void *end)
{
    haft_actor_drop(end);
    haft_client_drop(end);
    haft_weak_client_drop(end);
}

int actors(void);
int actors(void)
{
    HAFT_ACTOR(struct state) a;
    HAFT_CLIENT(struct state) c, d;
    HAFT_WEAK_CLIENT(struct state) w;
    const struct state constant = { 1 };
    struct state s = { 0 };
    struct message m = { 1, 2 };
    const struct message unchanging = { 1, 2 };
    int numbers[3] = { 0 };
    haft_outcome out;
    int rc = haft_actor_start(&a, &s);
    rc |= haft_actor_start(&a, &constant, .kind = HAFT_THREAD, .name = "actor", .drop = drop_any, .capacity = 8,
                           .on_panic = HAFT_KEEP_SERVING, .measure = true, .stack_size = 4 << 20);
    rc |= haft_client_of(&a, &c) | haft_client_clone(&c, &d);
    rc |= haft_client_downgrade(&c, &w) | haft_client_upgrade(&w, &d);
    rc |= haft_cast(&a, serve, &m);
    rc |= haft_cast(&c, serve_const, &unchanging);
    rc |= haft_cast(&a, serve, (&(struct message){ 1, 2 }), .urgent = true, .drop = haft_drop_free);
    rc |= haft_cast(&a, serve_bare);
    rc |= haft_cast(&a, serve_bare, HAFT_NO_FRAME, .urgent = true);
    rc |= haft_try_cast(&a, serve_bare);
    rc |= haft_try_cast(&c, serve_array, &numbers);
    rc |= haft_call(&a, serve, &m);
    rc |= haft_call(&c, serve_const, &m, .drop = haft_drop_free);
    rc |= haft_call(&c, serve_array, &numbers);
    rc |= haft_call(&c, serve_bare);
    rc |= haft_call_outcome(&c, serve, &m, &out, .urgent = true);
    rc |= haft_call_outcome(&c, serve_bare, HAFT_NO_FRAME, &out);
    rc |= haft_actor_after(&a, HAFT_S, serve, &m, .drop = haft_drop_free);
    rc |= haft_actor_after(&a, HAFT_S, serve_bare);
    rc |= haft_actor_every(&c, HAFT_S, serve_bare);
    rc |= haft_actor_every(&c, HAFT_S, serve_bare, HAFT_NO_FRAME, .urgent = true);
    rc |= (int)haft_actor_len(&a) | haft_actor_is_alive(&c);
    rc |= haft_actor_stop(&a) | haft_actor_abort(&a) | haft_actor_detach(&a);
    rc |= haft_actor_join(&a) | haft_actor_join(&a, &s) | haft_actor_join_outcome(&a, &s, &out);
    rc |= haft_actor_drop(&a) | haft_client_drop(&c) | haft_weak_client_drop(&w);
    HAFT_DEFER(haft_actor_drop, &a);
    HAFT_DEFER(haft_client_drop, &c);
    HAFT_DEFER(haft_weak_client_drop, &w);
    return rc;
}
