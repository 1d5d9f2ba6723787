/* SPDX-License-Identifier: MIT
 *
 * The processor's part that can be looked at next to a scheduler: walls, control words, thread-local pointers. Switching
 * needs a root of its own and is in arch_alone.c. */
#include <pthread.h>
#include <stdint.h>

#include "arch/arch.h"
#include "arch/tls.h"
#include "test.h"

TEST_FILE_NEEDS_KERNEL("it switches between stacks of its own");

/* --- walls ------------------------------------------------------------------------------------------------------- */

struct climb {
    haft__wall wall;
    int deepest;  /* frames below the wall when it throws */
    int frames;   /* entered */
    int returned; /* left by a return */
};

/* Every frame keeps values in preserved registers, so that a throw has to bring back those of the wall. */
__attribute__((noinline)) static uint64_t dig(struct climb *climb, int depth, uint64_t a, uint64_t b, double x)
{
    volatile char filler[64];
    uint64_t c = a * 3 + b, d = b * 5 + a, e = c ^ d;
    double y = x * 1.5;

    filler[0] = (char)depth;
    climb->frames++;
    if (depth == climb->deepest)
        haft__arch_throw(&climb->wall);
    if (depth < climb->deepest)
        c += dig(climb, depth + 1, c, d, y);
    climb->returned++;
    return c + d + e + (uint64_t)y + (uint64_t)filler[0];
}

static void climb_body(void *argument)
{
    dig(argument, 1, 1, 2, 1.0);
}

static void nothing(void *argument)
{
    (void)argument;
}

static volatile uint64_t seed = 17;
static volatile double real_seed = 0.5;

TEST("a body that returns makes try return false")
{
    haft__wall wall;

    check(!haft__arch_try(nothing, NULL, &wall));
}

TEST("a throw leaves a hundred frames at once and makes try return true")
{
    struct climb climb = { .deepest = 100 };

    check(haft__arch_try(climb_body, &climb, &climb.wall));
    check_int(climb.frames, ==, 100);
    check_int(climb.returned, ==, 0);
}

TEST("after a throw the caller of try finds its registers as they were")
{
    uint64_t a = seed, b = a * 3, c = b * 5, d = c * 7, e = d * 11, f = e * 13, g = f * 17, h = g * 19;
    uint64_t i = h * 23, j = i * 29, k = j * 31, l = k * 37;
    double p = real_seed, q = p * 3, r = q * 3, s = r * 3, t = s * 3, u = t * 3, v = u * 3, w = v * 3;
    double x = w * 3, y = x * 3, z = y * 3, o = z * 3;

    for (int round = 0; round < 1000; round++) {
        struct climb climb = { .deepest = 1 + round % 7 };

        check(haft__arch_try(climb_body, &climb, &climb.wall));
        a += 1, b += a, c += b, d += c, e += d, f += e, g += f, h += g, i += h, j += i, k += j, l += k;
        p += 1, q += 1, r += 1, s += 1, t += 1, u += 1, v += 1, w += 1, x += 1, y += 1, z += 1, o += 1;
    }
    {
        uint64_t a2 = seed, b2 = a2 * 3, c2 = b2 * 5, d2 = c2 * 7, e2 = d2 * 11, f2 = e2 * 13, g2 = f2 * 17;
        uint64_t h2 = g2 * 19, i2 = h2 * 23, j2 = i2 * 29, k2 = j2 * 31, l2 = k2 * 37;
        double scale = real_seed;

        for (int round = 0; round < 1000; round++) {
            a2 += 1, b2 += a2, c2 += b2, d2 += c2, e2 += d2, f2 += e2, g2 += f2, h2 += g2, i2 += h2, j2 += i2;
            k2 += j2, l2 += k2;
        }
        check(a == a2 && b == b2 && c == c2 && d == d2 && e == e2 && f == f2 && g == g2 && h == h2);
        check(i == i2 && j == j2 && k == k2 && l == l2);
        const double reals[] = { p, q, r, s, t, u, v, w, x, y, z, o };
        for (int n = 0; n < 12; n++) {
            check(reals[n] == scale + 1000);
            scale *= 3;
        }
    }
}

struct nested {
    haft__wall outer, inner;
    int caught_inside;
    int after_inside;
};

static void throw_to_inner(void *argument)
{
    haft__arch_throw(&((struct nested *)argument)->inner);
}

static void throw_to_outer(void *argument)
{
    haft__arch_throw(&((struct nested *)argument)->outer);
}

static void nest(void *argument)
{
    struct nested *nested = argument;

    nested->caught_inside += haft__arch_try(throw_to_inner, nested, &nested->inner);
    nested->caught_inside += haft__arch_try(throw_to_outer, nested, &nested->inner);
    nested->after_inside++;
}

TEST("walls nest, and a throw may pass over an inner one")
{
    struct nested nested = { .caught_inside = 0 };

    check(haft__arch_try(nest, &nested, &nested.outer));
    check_int(nested.caught_inside, ==, 1);
    check_int(nested.after_inside, ==, 0);
}

TEST("a wall can be used again")
{
    struct climb climb = { .deepest = 3 };

    for (int i = 0; i < 10000; i++)
        check(haft__arch_try(climb_body, &climb, &climb.wall));
    check_int(climb.frames, ==, 30000);
}

/* --- control words ----------------------------------------------------------------------------------------------- */

TEST("control words that were read can be set again")
{
    haft__control before = haft__arch_control();
    haft__control after;

    haft__arch_control_set(before);
    after = haft__arch_control();
    check_uint(after.word, ==, before.word);
    check_uint(after.other, ==, before.other);
}

TEST("the stack pointer is on the stack")
{
    char *sp = haft__arch_stack_pointer();
    char *frame = __builtin_frame_address(0);

    check(sp <= frame && frame - sp < 65536);
}

/* --- thread-local pointers --------------------------------------------------------------------------------------- */

haft__arch_tls_declare(haft__test_here);
haft__arch_tls_define(haft__test_here);

static void *have_one_of_my_own(void *argument)
{
    check_ptr(haft__arch_tls_load(haft__test_here), ==, NULL);
    haft__arch_tls_store(haft__test_here, argument);
    check_ptr(haft__arch_tls_load(haft__test_here), ==, argument);
    return NULL;
}

TEST("a thread-local pointer is null at first and each thread's own")
{
    int mine, theirs;
    pthread_t thread;

    check_ptr(haft__arch_tls_load(haft__test_here), ==, NULL);
    haft__arch_tls_store(haft__test_here, &mine);
    check_int(pthread_create(&thread, NULL, have_one_of_my_own, &theirs), ==, 0);
    check_int(pthread_join(thread, NULL), ==, 0);
    check_ptr(haft__arch_tls_load(haft__test_here), ==, &mine);
}
