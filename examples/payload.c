/* SPDX-License-Identifier: MIT
 *
 * A panic may carry an object to whoever joins the job, who then owns it: to look at it and drop it, or to pass the
 * panic on in the own job, by haft_panic_resume. */
#include <haft/haft.h>

#include <stdio.h>
#include <stdlib.h>

struct fault {
    const char *unit;
    int temperature;
};

static void fault_drop(void *object)
{
    struct fault *f = object;
    printf("dropped the report on the %s\n", f->unit);
    free(f);
}

static void quiet(const haft_panic_info *panic)
{
    (void)panic;
}

struct reading {
    const char *unit;
    int temperature;
};

static int inspect(struct reading *r)
{
    if (r->temperature < 100)
        return 0;
    struct fault *f = malloc(sizeof *f);
    if (f == NULL)
        haft_panic("%s: too hot, and out of memory", r->unit);
    *f = (struct fault){ .unit = r->unit, .temperature = r->temperature };
    haft_panic_with(f, fault_drop);
}

/* Takes care of what is merely hot; passes on what is not its business. */
static int supervise(struct reading *r)
{
    haft_outcome out;
    haft_handle h = haft_spawn(inspect, r);
    int rc = haft_join_outcome(&h, r, &out);
    if (rc != 0 || out.end != HAFT_PANICKED)
        return rc;
    const struct fault *f = out.panic.payload;
    if (f != NULL && f->temperature < 1000) {
        printf("cooling the %s at %d degrees\n", f->unit, f->temperature);
        haft_panic_drop(&out.panic);
        return 0;
    }
    haft_panic_resume(&out.panic);
}

int main(void)
{
    haft_on_panic(quiet);
    struct reading readings[] = { { "pump", 60 }, { "valve", 300 }, { "boiler", 2000 } };
    for (size_t i = 0; i < 3; i++) {
        haft_handle h = haft_spawn(supervise, &readings[i]);
        haft_outcome out;
        if (haft_join_outcome(&h, &readings[i], &out) != 0)
            return 1;
        printf("%s: %s\n", readings[i].unit, out.end == HAFT_PANICKED ? "still panicking" : "fine");
        haft_panic_drop(&out.panic);
    }
    return 0;
}
