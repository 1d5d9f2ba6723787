/* SPDX-License-Identifier: MIT
 *
 * A scope fails as its first failing job does. By default the others are aborted then; .on_error = HAFT_ON_ERROR_WAIT
 * lets them end by themselves. A panic that nobody looks at, by .result or haft_scope_join, goes on in the owner of
 * the scope. */
#include <haft/haft.h>

#include <stdio.h>

static void quiet(const haft_panic_info *panic)
{
    (void)panic;
}

struct child {
    haft_scope *scope;    /* a job may start others in its own scope */
    struct child *second; /* the one it starts */
    bool told;            /* out: it was aborted */
    bool done;            /* out: it came to its end */
};

static int fail(struct child *c)
{
    (void)c;
    return -EIO;
}

static int fall(void)
{
    haft_panic("a child fell");
}

static int start_second(struct child *c)
{
    int rc = haft_scope_spawn(c->scope, fail, c->second);
    if (rc == 0)
        rc = haft_sleep(3600 * HAFT_S);
    c->told = rc == HAFT_ECANCELED;
    return rc;
}

static int finish(struct child *c)
{
    c->done = haft_yield() == 0;
    return 0;
}

static int unwatched(void)
{
    HAFT_SCOPE(s);
    return haft_scope_spawn(s, fall);
}

int main(void)
{
    haft_on_panic(quiet);
    int rc;

    struct child failing = { 0 }, first = { .second = &failing };
    {
        HAFT_SCOPE(s, .result = &rc);
        first.scope = s;
        haft_scope_spawn(s, start_second, &first);
    }
    printf("abort the others: %s, told: %d\n", haft_errname(rc), first.told);

    struct child finishing = { 0 };
    {
        HAFT_SCOPE(s, .result = &rc, .on_error = HAFT_ON_ERROR_WAIT);
        haft_scope_spawn(s, fail, &failing);
        haft_scope_spawn(s, finish, &finishing);
    }
    printf("wait for the others: %s, done: %d\n", haft_errname(rc), finishing.done);

    haft_panic_info info;
    rc = haft_catch(unwatched, HAFT_NO_FRAME, &info);
    printf("nobody looked: %s, \"%s\"\n", haft_errname(rc), info.message);
    return 0;
}
