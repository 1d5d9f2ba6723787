/* SPDX-License-Identifier: MIT
 *
 * Every public macro of pools and of statistics, used as it is meant to be. */
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

static int serve_bare(struct state *s)
{
    return s->n;
}

int pools(void);
int pools(void)
{
    HAFT_POOL(struct state) p;
    HAFT_CLIENT(struct state) c;
    const struct state constant = { 1 };
    struct state s = { 0 };
    struct message m = { 1, 2 };
    haft_outcome out;
    haft_actor_statistics stats;
    int rc = haft_pool_start(&p, &s);
    rc |= haft_pool_start(&p, &constant, .workers = 4, .kind = HAFT_THREAD, .name = "pool", .drop = haft_drop_free,
                          .capacity = 8, .on_panic = HAFT_KEEP_SERVING, .measure = true, .pinned = true);
    rc |= haft_pool_resize(&p, 2);
    rc |= haft_pool_client_of(&p, &c);
    rc |= haft_pool_cast(&p, serve, &m);
    rc |= haft_pool_cast(&c, serve_const, (&(struct message){ 1, 2 }), .urgent = true);
    rc |= haft_pool_cast(&p, serve_bare, HAFT_NO_FRAME);
    rc |= haft_pool_cast(&p, serve_bare) | haft_pool_try_cast(&c, serve_bare) | haft_pool_call(&p, serve_bare);
    rc |= haft_pool_cast_keyed(&p, 1, serve_bare) | haft_pool_call_keyed(&c, 1, serve_bare);
    rc |= haft_pool_try_cast(&p, serve, &m, .drop = haft_drop_free);
    rc |= haft_pool_call(&p, serve, &m);
    rc |= haft_pool_call_outcome(&p, serve, &m, &out);
    rc |= haft_pool_cast_keyed(&p, 7, serve, &m);
    rc |= haft_pool_cast_keyed(&c, UINT64_MAX, serve, (&(struct message){ 1, 2 }), .drop = haft_drop_free);
    rc |= haft_pool_try_cast_keyed(&p, 7, serve, &m);
    rc |= haft_pool_call_keyed(&c, 7, serve_bare, HAFT_NO_FRAME);
    rc |= haft_pool_call_keyed_outcome(&p, 7, serve, &m, &out, .urgent = true);
    rc |= haft_cast(&p, serve, &m);
    rc |= haft_call(&c, serve, &m);
    rc |= haft_actor_stats(&p, &stats);
    rc |= haft_actor_stats(&c, &stats);
    rc |= (int)haft_actor_len(&p);
    rc |= haft_actor_is_alive(&p);
    rc |= haft_pool_stop(&p);
    rc |= haft_pool_abort(&p);
    rc |= haft_pool_detach(&p);
    rc |= haft_pool_join(&p);
    rc |= haft_pool_join(&p, &s);
    rc |= haft_pool_join_outcome(&p, &s, &out);
    rc |= haft_pool_join_outcome(&p, HAFT_NO_FRAME, &out);
    rc |= haft_pool_drop(&p);
    HAFT_DEFER(haft_pool_drop, &p);
    return rc;
}
