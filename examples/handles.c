/* SPDX-License-Identifier: MIT
 *
 * Handles are small values. Copies may be passed around: any of them may wait, abort or unpark, one of them may join,
 * and from then on all of them are stale, whatever has become of the job's memory. */
#include <haft/haft.h>

#include <stdio.h>

struct answer {
    int number;
};

static int think(struct answer *a)
{
    int rc = haft_park();
    a->number = 42;
    return rc;
}

struct watch {
    haft_handle other;
    bool finished;
};

static int watch(struct watch *w)
{
    int rc = haft_wait(w->other); /* spends nothing; any number may wait */
    w->finished = haft_is_finished(w->other);
    return rc;
}

int main(void)
{
    struct answer a = { 0 };
    haft_handle thinker = haft_spawn(think, &a, .name = "thinker");
    haft_handle copy = thinker;
    struct watch w = { .other = thinker };
    haft_handle first = haft_spawn(watch, &w);
    haft_handle second = haft_spawn(watch, &w, .kind = HAFT_THREAD);

    printf("%s: finished %d, try_join %s\n", haft_name(copy), haft_is_finished(copy),
           haft_errname(haft_try_join(&copy, &a)));
    haft_unpark(copy);

    int rc = haft_join(&first, &w);
    printf("a task waited: %d, finished %d\n", rc, w.finished);
    rc = haft_join(&second, &w);
    printf("a thread waited: %d, finished %d\n", rc, w.finished);

    printf("abort after the end: %d\n", haft_abort(copy));
    rc = haft_join(&thinker, &a);
    printf("join: %d, the answer is %d\n", rc, a.number);

    printf("a copy, afterwards: name \"%s\", join %s, unpark %s, abort %s\n", haft_name(copy),
           haft_errname(haft_join(&copy, &a)), haft_errname(haft_unpark(copy)), haft_errname(haft_abort(copy)));

    haft_handle impossible = haft_spawn(think, &a, .kind = (haft_kind)99);
    printf("a failed spawn: %s", haft_errname(haft_error(impossible)));
    printf(", join returns %s\n", haft_errname(haft_join(&impossible, &a)));
    return 0;
}
