/* SPDX-License-Identifier: MIT
 *
 * Panic, defer, catch: a panic ends one job at once, wherever it stands, and what was deferred is still done, last
 * first. haft_catch puts the same wall inside one job. */
#include <haft/haft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hook(const haft_panic_info *panic)
{
    printf("panic in %s: %s\n", panic->job, panic->message);
}

static void say(const char *what)
{
    printf("  %s\n", what);
}

struct order {
    int price; /* in cents; out */
    char text[16];
};

static int digit(char c)
{
    if (c < '0' || c > '9')
        haft_panic("not a digit: %c", c);
    return c - '0';
}

static int parse(struct order *o)
{
    char *copy = strdup(o->text);
    if (copy == NULL)
        return HAFT_ENOMEM;
    HAFT_DEFER(free, copy);
    HAFT_DEFER(say, "the first defer runs last");
    HAFT_DEFER(say, "the last defer runs first");
    o->price = 0;
    for (char *c = copy; *c != '\0'; c++)
        o->price = o->price * 10 + digit(*c);
    return 0;
}

/* A job that goes on after what would have ended it. */
static int parse_or_free_of_charge(struct order *o)
{
    haft_panic_info panic;
    int rc = haft_catch(parse, o, &panic);
    if (rc == HAFT_EPANIC) {
        printf("caught: %s\n", panic.message);
        o->price = 0;
        rc = 0;
    }
    return rc;
}

int main(void)
{
    haft_on_panic(hook);
    struct order good = { .text = "1250" }, bad = { .text = "12x0" };

    haft_handle h = haft_spawn(parse, &good, .name = "good");
    int rc = haft_join(&h, &good);
    printf("good: %s, %d cents\n", haft_errname(rc), good.price);

    h = haft_spawn(parse, &bad, .name = "bad");
    rc = haft_join(&h, &bad);
    printf("bad: %s; the frame came back as the panic left it: %d\n", haft_errname(rc), bad.price);

    h = haft_spawn(parse_or_free_of_charge, &bad, .name = "kind");
    rc = haft_join(&h, &bad);
    printf("kind: %s, %d cents\n", haft_errname(rc), bad.price);
    return 0;
}
