/* SPDX-License-Identifier: MIT
 *
 * Chance that follows from a printed seed.
 *
 * Environment: HAFT_TEST_SEED=n takes that seed again. */
#ifndef HAFT_TEST_CHANCE_H
#define HAFT_TEST_CHANCE_H

#include <haft/haft.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Steele, Lea and Flood's SplitMix. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(next_random(state) % n);
}

static inline uint64_t choose_seed(void)
{
    const char *given = getenv("HAFT_TEST_SEED");
    uint64_t seed = given != NULL && *given != '\0' ? strtoull(given, NULL, 0) : (uint64_t)haft_now();
    fprintf(stderr, "HAFT_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

#endif
