/* SPDX-License-Identifier: MIT
 *
 * Programs to which memory, mappings and threads are refused now and then, at any call. Whatever fails says so with the
 * right code and has done nothing; every frame has exactly one end; nothing is left. */
#include <haft/haft.h>

#include "callers.h"
#include "sim.h"

/* A tracked frame: made counts it in, its one end counts it out. */
struct tracked {
    int value;
    bool panics;
    char weight[200]; /* too large for a descriptor */
};

static _Atomic int in_hand;

static struct tracked made(int value)
{
    atomic_fetch_add(&in_hand, 1);
    return (struct tracked){ .value = value, .panics = value % 5 == 4 };
}

static void ended(const struct tracked *f, int value)
{
    check_int(f->value, ==, value);
    atomic_fetch_sub(&in_hand, 1);
}

static void drops(void *frame)
{
    (void)frame;
    atomic_fetch_sub(&in_hand, 1);
}

static int works(struct tracked *f)
{
    if (haft_yield() != 0)
        return HAFT_ECANCELED;
    if (f->panics)
        haft_panic("frame %d", f->value);
    f->value += 1000;
    return 7;
}

static bool is_refusal(int rc)
{
    return rc == HAFT_ENOMEM || rc == HAFT_EAGAIN;
}

/* From here on, until certainty: this thread's own record has been made before. */
static void refuse_now_and_then(void)
{
    static const uint32_t rates[] = { 0, 2, 5, 20, 100 };
    check_int(haft_yield(), ==, 0);
    silence_panics();
    for (int kind = SIM_ALLOCATION; kind <= SIM_EXIT; kind++)
        sim_fault_rates[kind] = rates[sim_below(sizeof rates / sizeof rates[0])];
}

static void refuse_nothing(void)
{
    for (int kind = SIM_ALLOCATION; kind <= SIM_EXIT; kind++)
        sim_fault_rates[kind] = 0;
}

static void all_is_given_back(void)
{
    check_int(atomic_load(&in_hand), ==, 0);
}

/* --- jobs --------------------------------------------------------------------------------------------------------- */

static void spawn_and_join(int value)
{
    haft_kind kind = (haft_kind)sim_below(KINDS);
    struct tracked f = made(value);
    haft_handle h = haft_spawn(works, &f, .kind = kind, .name = "works", .drop = drops);
    if (haft_error(h) != 0) {
        check(is_refusal(haft_error(h)));
        int error = haft_error(h);
        check_int(haft_join(&h), ==, error);
        ended(&f, value);
        return;
    }
    switch (sim_below(4)) {
    case 0:
        check_int(haft_detach(&h), ==, 0);
        return;
    case 1:
        haft_drop(&h);
        return;
    default:
        break;
    }
    haft_outcome out;
    int rc = haft_join_outcome(&h, &f, &out);
    check_int(rc, ==, 0);
    if (out.end == HAFT_NOT_STARTED)
        check(is_refusal(out.code));
    else
        check_int(out.end, ==, f.panics ? HAFT_PANICKED : HAFT_RETURNED);
    if (out.end == HAFT_PANICKED)
        haft_panic_drop(&out.panic);
    ended(&f, out.end == HAFT_RETURNED ? value + 1000 : value);
}

TEST("jobs to which memory and threads are refused: every frame has one end")
{
    refuse_now_and_then();
    for (int i = 0; i < 12; i++)
        spawn_and_join(i);
    refuse_nothing();
    check_int(haft_runtime_stop(), ==, 0);
    all_is_given_back();
}

static int spawns_and_joins(void)
{
    for (int i = 0; i < 6; i++)
        spawn_and_join(i);
    return 0;
}

TEST("several at once to which they are refused")
{
    haft_handle hs[3];
    for_each_kind(kind)
        hs[kind] = haft_spawn(spawns_and_joins, HAFT_NO_FRAME, .kind = kind);
    refuse_now_and_then();
    for_each_kind(kind) {
        int rc = haft_join(&hs[kind]);
        check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
    }
    refuse_nothing();
    check_int(haft_runtime_stop(), ==, 0);
    all_is_given_back();
}

/* --- runtimes ----------------------------------------------------------------------------------------------------- */

TEST("runtimes that cannot be made, or whose jobs cannot, leave nothing")
{
    refuse_now_and_then();
    for (int i = 0; i < 4; i++) {
        int rc = haft_run(spawns_and_joins, HAFT_NO_FRAME, .workers = 1 + (unsigned)sim_below(3));
        check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
        haft_runtime *runtime = haft_runtime_new(.workers = 2);
        if (runtime == NULL)
            continue;
        haft_handle h = haft_spawn(spawns_and_joins, HAFT_NO_FRAME, .runtime = runtime);
        rc = haft_join(&h);
        check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
        check_int(haft_runtime_drop(&runtime), ==, 0);
    }
    refuse_nothing();
    all_is_given_back();
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

TEST("sets to which memory is refused give out what was put in, and nothing else")
{
    refuse_now_and_then();
    haft_set *set = haft_set_new(.limit = 2);
    if (set == NULL) {
        refuse_nothing();
        return;
    }
    int in = 0, out = 0;
    for (int i = 0; i < 10; i++) {
        struct tracked f = made(i);
        int rc = haft_set_spawn(set, works, &f, .kind = (haft_kind)sim_below(KINDS), .drop = drops);
        check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
        in += rc == 0;
        if (rc != 0)
            ended(&f, i);
    }
    if (sim_below(2) == 0) {
        struct tracked f;
        while (haft_set_next(set, &f, NULL) == 0) {
            out++;
            ended(&f, f.value);
        }
        check_int(out, ==, in);
    }
    haft_set_drop(&set);
    refuse_nothing();
    check_int(haft_runtime_stop(), ==, 0);
    all_is_given_back();
}

static int adds(_Atomic int **sum)
{
    atomic_fetch_add(*sum, 1);
    return 0;
}

TEST("scopes to which children are refused fail with that, and all that began have ended")
{
    refuse_now_and_then();
    _Atomic int sum = 0, *p = &sum;
    int spawned = 0, rc = 1;
    {
        HAFT_SCOPE(s, .result = &rc, .on_error = HAFT_ON_ERROR_WAIT);
        for (int i = 0; i < 8; i++)
            spawned += haft_scope_spawn(s, adds, &p, .kind = (haft_kind)sim_below(KINDS)) == 0;
    }
    check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
    check_int(atomic_load(&sum), <=, spawned);
    if (rc == 0)
        check_int(atomic_load(&sum), ==, 8);
    refuse_nothing();
}

static int calls(void)
{
    _Atomic int sum = 0, *p = &sum;
    for (int i = 0; i < 6; i++) {
        int before = atomic_load(&sum), rc = haft_blocking(adds, &p);
        check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
        check_int(atomic_load(&sum), ==, before + (rc == 0));
    }
    return 0;
}

TEST("blocking calls that are refused have not begun")
{
    haft_handle h = haft_spawn(calls), other = haft_spawn(calls);
    refuse_now_and_then();
    int rc = haft_join(&h), other_rc = haft_join(&other);
    check_msg(rc == 0 || is_refusal(rc), "%s", haft_errname(rc));
    check_msg(other_rc == 0 || is_refusal(other_rc), "%s", haft_errname(other_rc));
    refuse_nothing();
}

TEST("joining several to which memory was refused")
{
    refuse_now_and_then();
    haft_handle hs[6];
    int rcs[6];
    for (int i = 0; i < 6; i++)
        hs[i] = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = (haft_kind)(i % KINDS));
    int rc = haft_join_all(hs, 6, rcs);
    check_int(rc, ==, 0);
    for (int i = 0; i < 6; i++)
        check_msg(rcs[i] == 0 || is_refusal(rcs[i]), "%s", haft_errname(rcs[i]));
    refuse_nothing();
}
