/* SPDX-License-Identifier: MIT
 *
 * A pool: several workers behind one handle. They share one state, so what they change in it is atomic here; what each
 * needs for itself is a value of its job. */
#include <haft/haft.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct state {
    unsigned step; /* only read */
    _Atomic unsigned primes;
    _Atomic unsigned sieves; /* made so far, one for each worker that had something to do */
};
typedef HAFT_POOL(struct state) pool;

struct range {
    unsigned from;
    unsigned found;
};

static haft_local sieve_key = HAFT_LOCAL_INIT(free);

/* The worker's own memory, made by the first message that finds none. */
static unsigned char *own_sieve(struct state *s)
{
    unsigned char *sieve = haft_local_get(&sieve_key);
    if (sieve == NULL && (sieve = malloc(s->step)) != NULL && haft_local_set(&sieve_key, sieve) == 0)
        atomic_fetch_add(&s->sieves, 1);
    return sieve;
}

static int find_primes(struct state *s, struct range *r)
{
    unsigned char *is_composite = own_sieve(s);
    if (is_composite == NULL)
        return HAFT_ENOMEM;
    for (unsigned i = 0; i < s->step; i++)
        is_composite[i] = r->from + i < 2;
    for (unsigned d = 2; d * d < r->from + s->step; d++)
        for (unsigned n = d * d; n < r->from + s->step; n += d)
            if (n >= r->from)
                is_composite[n - r->from] = 1;
    r->found = 0;
    for (unsigned i = 0; i < s->step; i++)
        r->found += is_composite[i] == 0;
    atomic_fetch_add(&s->primes, r->found);
    return 0;
}

int main(void)
{
    struct state s = { .step = 1000 };
    pool p;
    if (haft_pool_start(&p, &s, .workers = 3, .name = "sieve") != 0)
        return 1;
    for (unsigned from = 1000; from < 50000; from += 1000)
        if (haft_pool_cast(&p, find_primes, (&(struct range){ .from = from })) != 0)
            return 1;
    int rc = haft_pool_resize(&p, 2); /* one of them ends after its message */
    struct range first = { .from = 0 };
    if (rc == 0)
        rc = haft_pool_call(&p, find_primes, &first);
    printf("%s: %u below 1000\n", haft_strerror(rc), first.found);
    rc = haft_pool_join(&p, &s); /* serves all, and gives the state back */
    printf("%s: %u below 50000\n", haft_strerror(rc), s.primes);
    printf("at most one sieve for each worker: %s\n", s.sieves >= 1 && s.sieves <= 3 ? "yes" : "no");
    return 0;
}
