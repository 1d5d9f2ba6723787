/* SPDX-License-Identifier: MIT
 *
 * Scopes: children that borrow from a block and have ended with it, however it ends. Over 600 lines: a scope can end
 * in that many ways. */
#include <haft/haft.h>

#include <string.h>

#include "callers.h"

/* --- the end of the block ----------------------------------------------------------------------------------------- */

struct half {
    const int *from;
    int *to;
    size_t n;
    int factor;
};

static int multiplies(struct half *h)
{
    for (size_t i = 0; i < h->n; i++) {
        h->to[i] = h->from[i] * h->factor;
        if (i % 16 == 0) {
            int rc = haft_yield();
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("both children have ended with the block, and what they wrote into its stack is there")
{
    for_each_kind(kind) {
        int in[200], out[200] = { 0 };
        for (int i = 0; i < 200; i++)
            in[i] = i;
        int rc = 1;
        {
            struct half left = { .from = in, .to = out, .n = 100, .factor = 2 };
            struct half right = { .from = in + 100, .to = out + 100, .n = 100, .factor = 10 };
            HAFT_SCOPE(s, .result = &rc);
            check_int(haft_scope_spawn(s, multiplies, &left, .kind = kind), ==, 0);
            check_int(haft_scope_spawn(s, multiplies, &right, .kind = kind), ==, 0);
        }
        check_int(rc, ==, 0);
        for (int i = 0; i < 200; i++)
            check_int(out[i], ==, i < 100 ? 2 * i : 10 * i);
    }
}

TEST_FROM_EVERY_CALLER("a scope without children ends at once with success")
{
    int rc = 1;
    {
        HAFT_SCOPE(s, .result = &rc);
    }
    check_int(rc, ==, 0);
    {
        HAFT_SCOPE(s);
        check_int(haft_scope_join(s), ==, 0);
        check_int(haft_scope_join(s), ==, 0);
        haft_scope_abort(s);
    }
}

static int tells_its_loan(const void **loan)
{
    *loan = loan;
    return 0;
}

static void never_called(void *object)
{
    (void)object;
    fail("the loan was dropped");
}

TEST_FROM_EVERY_CALLER("a child works on the loan itself, which goes to no .drop")
{
    for_each_kind(kind) {
        const void *loan = NULL;
        {
            HAFT_SCOPE(s);
            check_int(haft_scope_spawn(s, tells_its_loan, &loan, .kind = kind, .drop = never_called), ==, 0);
        }
        check_ptr(loan, ==, &loan);
    }
}

static int adds(_Atomic int *n)
{
    for (int i = 0; i < 3; i++)
        (void)haft_yield();
    atomic_fetch_add(n, 1);
    return 0;
}

static int returns_from_a_scope(_Atomic int *n, haft_kind kind)
{
    HAFT_SCOPE(s);
    for (int i = 0; i < 5; i++)
        if (haft_scope_spawn(s, adds, n, .kind = kind) != 0)
            return -1;
    return 17;
}

TEST_FROM_EVERY_CALLER("a scope waits for its children by every way out of its block")
{
    for_each_kind(kind) {
        _Atomic int n = 0;
        check_int(returns_from_a_scope(&n, kind), ==, 17);
        check_int(atomic_load(&n), ==, 5);

        for (int i = 0; i < 3; i++) {
            HAFT_SCOPE(s);
            check_int(haft_scope_spawn(s, adds, &n, .kind = kind), ==, 0);
            if (i == 0)
                continue;
            break;
        }
        check_int(atomic_load(&n), ==, 7);

        {
            HAFT_SCOPE(s);
            check_int(haft_scope_spawn(s, adds, &n, .kind = kind), ==, 0);
            goto out;
        }
    out:
        check_int(atomic_load(&n), ==, 8);
    }
}

TEST_FROM_EVERY_CALLER("scopes nest, and the inner one has ended before the outer goes on")
{
    _Atomic int outer = 0, inner = 0;
    {
        HAFT_SCOPE(s);
        check_int(haft_scope_spawn(s, adds, &outer), ==, 0);
        {
            HAFT_SCOPE(t);
            for (int i = 0; i < 10; i++)
                check_int(haft_scope_spawn(t, adds, &inner), ==, 0);
            check_int(haft_scope_spawn(s, adds, &outer), ==, 0);
        }
        check_int(atomic_load(&inner), ==, 10);
    }
    check_int(atomic_load(&outer), ==, 2);
}

TEST_LONG_FROM_EVERY_CALLER("many thousand children end with their scope")
{
    _Atomic int n = 0;
    size_t many = rounds(10000, 200000);
    int rc = 1;
    {
        HAFT_SCOPE(s, .result = &rc);
        for (size_t i = 0; i < many; i++)
            check_int(haft_scope_spawn(s, adds, &n), ==, 0);
    }
    check_int(rc, ==, 0);
    check_int(atomic_load(&n), ==, many);
}

static int stamp_child(_Atomic int *order)
{
    (void)haft_yield();
    atomic_store(order, 1);
    return 0;
}

static void sees_the_child_ended(_Atomic int *order)
{
    check_int(atomic_load(order), ==, 1);
    atomic_store(order, 2);
}

TEST_FROM_EVERY_CALLER("defers declared before a scope run after its children have ended")
{
    _Atomic int order = 0;
    {
        HAFT_DEFER(sees_the_child_ended, &order);
        HAFT_SCOPE(s);
        check_int(haft_scope_spawn(s, stamp_child, &order), ==, 0);
    }
    check_int(atomic_load(&order), ==, 2);
}

/* --- children that spawn ------------------------------------------------------------------------------------------ */

struct family {
    haft_scope *scope;
    _Atomic int *born;
    unsigned depth;
    struct family *children; /* two of them */
};

static int has_children(struct family *f)
{
    atomic_fetch_add(f->born, 1);
    if (f->depth == 0)
        return 0;
    for (int i = 0; i < 2; i++) {
        f->children[i] = (struct family){
            .scope = f->scope, .born = f->born, .depth = f->depth - 1, .children = malloc(2 * sizeof(struct family))
        };
        check_ptr(f->children[i].children, !=, NULL);
        int rc = haft_scope_spawn(f->scope, has_children, &f->children[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void bury(struct family *f)
{
    if (f->depth > 0)
        for (int i = 0; i < 2; i++)
            bury(&f->children[i]);
    free(f->children);
}

TEST_FROM_EVERY_CALLER("children may spawn into the scope; their children have ended with it too")
{
    for_each_kind(kind) {
        _Atomic int born = 0;
        struct family root = { .born = &born, .depth = 6, .children = malloc(2 * sizeof(struct family)) };
        int rc = 1;
        {
            HAFT_SCOPE(s, .result = &rc);
            root.scope = s;
            check_int(haft_scope_spawn(s, has_children, &root, .kind = kind), ==, 0);
        }
        check_int(rc, ==, 0);
        check_int(atomic_load(&born), ==, 127);
        bury(&root);
    }
}

static int joins_its_own_scope(haft_scope **s)
{
    return haft_scope_join(*s) == HAFT_EDEADLK ? 0 : -1;
}

TEST_FROM_EVERY_CALLER("a child that joins its own scope is told that it would wait for ever")
{
    for_each_kind(kind) {
        int rc = 1;
        {
            haft_scope *scope;
            HAFT_SCOPE(s, .result = &rc);
            scope = s;
            check_int(haft_scope_spawn(s, joins_its_own_scope, &scope, .kind = kind), ==, 0);
            check_int(haft_scope_join(s), ==, 0);
        }
        check_int(rc, ==, 0);
    }
}

/* --- failure ------------------------------------------------------------------------------------------------------ */

struct child {
    int code; /* what it returns */
    bool panics;
    bool waits;    /* for its token, or an abort */
    int park_code; /* what its wait returned */
    _Atomic int *ended;
    _Atomic int *started;
    haft_handle self;
};

static void child_has_ended(struct child *c)
{
    HAFT_SHIELD;
    for (int i = 0; i < 3; i++)
        (void)haft_yield();
    atomic_fetch_add(c->ended, 1);
}

static int lives(struct child *c)
{
    HAFT_DEFER(child_has_ended, c);
    c->self = haft_self();
    atomic_fetch_add(c->started, 1);
    if (c->waits) {
        c->park_code = haft_park();
        if (c->park_code != 0)
            return c->park_code;
    }
    if (c->panics)
        haft_panic("child %d", c->code);
    return c->code;
}

struct children {
    _Atomic int ended, started;
    struct child child[3];
};

static void prepare(struct children *c, int failing)
{
    memset(c, 0, sizeof *c);
    for (int i = 0; i < 3; i++)
        c->child[i] = (struct child){ .waits = i != failing, .ended = &c->ended, .started = &c->started };
}

TEST_FROM_EVERY_CALLER("the first failing child aborts its siblings, and its code is the scope's")
{
    for_each_kind(kind)
        for (int failing = 0; failing < 3; failing++) {
            struct children c;
            prepare(&c, failing);
            c.child[failing].code = -33;
            int rc = 1;
            {
                HAFT_SCOPE(s, .result = &rc);
                for (int i = 0; i < 3; i++)
                    if (i != failing)
                        check_int(haft_scope_spawn(s, lives, &c.child[i], .kind = kind), ==, 0);
                until(atomic_load(&c.started) == 2);
                check_int(haft_scope_spawn(s, lives, &c.child[failing], .kind = kind), ==, 0);
            }
            check_int(rc, ==, -33);
            check_int(atomic_load(&c.ended), ==, 3);
            for (int i = 0; i < 3; i++)
                if (i != failing)
                    check_int(c.child[i].park_code, ==, HAFT_ECANCELED);
        }
}

TEST_FROM_EVERY_CALLER("a child spawned into a scope that has failed is aborted as well")
{
    for_each_kind(kind) {
        struct children c;
        prepare(&c, 0);
        c.child[0].code = -1;
        int rc = 0;
        {
            HAFT_SCOPE(s, .result = &rc);
            check_int(haft_scope_spawn(s, lives, &c.child[0], .kind = kind), ==, 0);
            until(atomic_load(&c.ended) == 1);
            for (int i = 0; i < 10; i++)
                check_int(haft_yield(), ==, 0);
            /* Refused or begun and aborted: in no case does it wait for ever. */
            (void)haft_scope_spawn(s, lives, &c.child[1], .kind = kind);
        }
        check_int(rc, ==, -1);
    }
}

TEST_FROM_EVERY_CALLER("with HAFT_ON_ERROR_WAIT siblings end by themselves, and the first failure is the scope's")
{
    for_each_kind(kind) {
        struct children c;
        prepare(&c, 1);
        c.child[1].code = -44;
        c.child[2].code = -45;
        int rc = 1;
        {
            HAFT_SCOPE(s, .result = &rc, .on_error = HAFT_ON_ERROR_WAIT);
            /* The scope has counted the first failure before there is a second. */
            check_int(haft_scope_spawn(s, lives, &c.child[1], .kind = kind), ==, 0);
            check_int(haft_scope_join(s), ==, -44);
            check_int(haft_scope_spawn(s, lives, &c.child[0], .kind = kind), ==, 0);
            check_int(haft_scope_spawn(s, lives, &c.child[2], .kind = kind), ==, 0);
            until(atomic_load(&c.started) == 3 && atomic_load(&c.ended) == 1);
            {
                HAFT_TIMEOUT(HAFT_MS);
                check_int(haft_scope_join(s), ==, HAFT_ETIMEDOUT);
            }
            check_int(atomic_load(&c.ended), ==, 1);
            check_int(haft_unpark(c.child[0].self), ==, 0);
            check_int(haft_unpark(c.child[2].self), ==, 0);
        }
        check_int(rc, ==, -44);
        check_int(c.child[0].park_code, ==, 0);
        check_int(c.child[2].park_code, ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("a child that could not be spawned counts as a failure")
{
    struct children c;
    prepare(&c, 3);
    int rc = 1;
    {
        HAFT_SCOPE(s, .result = &rc);
        check_int(haft_scope_spawn(s, lives, &c.child[0]), ==, 0);
        until(atomic_load(&c.started) == 1);
        check_int(haft_scope_spawn(s, lives, &c.child[1], .kind = (haft_kind)99), ==, HAFT_EINVAL);
    }
    check_int(rc, ==, HAFT_EINVAL);
    check_int(c.child[0].park_code, ==, HAFT_ECANCELED);
    check_int(atomic_load(&c.started), ==, 1);
}

/* --- panics ------------------------------------------------------------------------------------------------------- */

struct owner {
    struct children *children;
    haft_kind kind;
    int failing;
    bool joins;
    int rc;
};

static int owns_a_panicking_child(struct owner *o)
{
    HAFT_SCOPE(s);
    for (int i = 0; i < 3; i++)
        if (i != o->failing)
            check_int(haft_scope_spawn(s, lives, &o->children->child[i], .kind = o->kind), ==, 0);
    until(atomic_load(&o->children->started) == 2);
    check_int(haft_scope_spawn(s, lives, &o->children->child[o->failing], .kind = o->kind), ==, 0);
    if (o->joins)
        o->rc = haft_scope_join(s);
    return 5;
}

TEST_FROM_EVERY_CALLER("one of three children panics: all have ended, then the panic is raised in the owner")
{
    silence_panics();
    for_each_kind(kind)
        for (int failing = 0; failing < 3; failing++) {
            struct children c;
            prepare(&c, failing);
            c.child[failing].panics = true;
            c.child[failing].code = failing;
            struct owner o = { .children = &c, .kind = kind, .failing = failing };
            haft_panic_info panic;
            check_int(haft_catch(owns_a_panicking_child, &o, &panic), ==, HAFT_EPANIC);
            char message[32];
            snprintf(message, sizeof message, "child %d", failing);
            check_str(panic.message, message);
            check_int(atomic_load(&c.ended), ==, 3);
            for (int i = 0; i < 3; i++)
                if (i != failing)
                    check_int(c.child[i].park_code, ==, HAFT_ECANCELED);
            haft_panic_drop(&panic);
        }
}

TEST_FROM_EVERY_CALLER("a child's panic that nobody looked at ends the job that owns the scope")
{
    silence_panics();
    for_each_kind(kind) {
        struct children c;
        prepare(&c, 1);
        c.child[1].panics = true;
        struct owner o = { .children = &c, .kind = HAFT_TASK, .failing = 1 };
        haft_outcome out;
        haft_handle h = haft_spawn(owns_a_panicking_child, &o, .kind = kind);
        check_int(haft_join_outcome(&h, HAFT_NO_FRAME, &out), ==, 0);
        check_int(out.end, ==, HAFT_PANICKED);
        check_str(out.panic.message, "child 0");
        check_int(atomic_load(&c.ended), ==, 3);
    }
}

TEST_FROM_EVERY_CALLER("a child's panic that scope_join looked at is a code, and is not raised again")
{
    silence_panics();
    struct children c;
    prepare(&c, 2);
    c.child[2].panics = true;
    struct owner o = { .children = &c, .kind = HAFT_TASK, .failing = 2, .joins = true };
    check_int(haft_catch(owns_a_panicking_child, &o, NULL), ==, 5);
    check_int(o.rc, ==, HAFT_EPANIC);
    check_int(atomic_load(&c.ended), ==, 3);
}

TEST_FROM_EVERY_CALLER("a child's panic with .result is that result, and is not raised again")
{
    silence_panics();
    for_each_kind(kind) {
        struct children c;
        prepare(&c, 0);
        c.child[0].panics = true;
        int rc = 1;
        {
            HAFT_SCOPE(s, .result = &rc);
            for (int i = 0; i < 3; i++)
                check_int(haft_scope_spawn(s, lives, &c.child[i], .kind = kind), ==, 0);
        }
        check_int(rc, ==, HAFT_EPANIC);
        check_int(atomic_load(&c.ended), ==, atomic_load(&c.started));
    }
}

static _Atomic int payloads_freed;

static void free_payload(void *payload)
{
    atomic_fetch_add(&payloads_freed, 1);
    free(payload);
}

static int panics_with_payload(int *unused)
{
    (void)unused;
    haft_panic_with(malloc(1), free_payload);
}

static int owns_panics_with_payloads(int *unused)
{
    HAFT_SCOPE(s, .on_error = HAFT_ON_ERROR_WAIT);
    for (int i = 0; i < 4; i++)
        check_int(haft_scope_spawn(s, panics_with_payload, unused), ==, 0);
    return 0;
}

TEST_FROM_EVERY_CALLER("of several panicking children the owner gets one payload and the others are freed")
{
    silence_panics();
    atomic_store(&payloads_freed, 0);
    int unused = 0;
    haft_panic_info panic;
    check_int(haft_catch(owns_panics_with_payloads, &unused, &panic), ==, HAFT_EPANIC);
    check_ptr(panic.payload, !=, NULL);
    check_int(atomic_load(&payloads_freed), ==, 3);
    haft_panic_drop(&panic);
    check_int(atomic_load(&payloads_freed), ==, 4);
    {
        int rc = 0;
        {
            HAFT_SCOPE(s, .result = &rc);
            check_int(haft_scope_spawn(s, panics_with_payload, &unused), ==, 0);
        }
        check_int(rc, ==, HAFT_EPANIC);
        check_int(atomic_load(&payloads_freed), ==, 5);
    }
}

static int owner_panics(struct owner *o)
{
    HAFT_SCOPE(s);
    for (int i = 0; i < 3; i++)
        check_int(haft_scope_spawn(s, lives, &o->children->child[i], .kind = o->kind), ==, 0);
    until(atomic_load(&o->children->started) == 3);
    haft_panic("the owner");
}

TEST_FROM_EVERY_CALLER("a panicking owner aborts its children and waits for them")
{
    silence_panics();
    for_each_kind(kind) {
        struct children c;
        prepare(&c, 3);
        struct owner o = { .children = &c, .kind = kind };
        haft_panic_info panic;
        check_int(haft_catch(owner_panics, &o, &panic), ==, HAFT_EPANIC);
        check_str(panic.message, "the owner");
        check_int(atomic_load(&c.ended), ==, 3);
        for (int i = 0; i < 3; i++)
            check_int(c.child[i].park_code, ==, HAFT_ECANCELED);
        haft_panic_drop(&panic);

        prepare(&c, 3);
        haft_handle h = haft_spawn(owner_panics, &o, .kind = kind);
        check_int(haft_join(&h), ==, HAFT_EPANIC);
        check_int(atomic_load(&c.ended), ==, 3);
    }
}

/* --- join and abort ----------------------------------------------------------------------------------------------- */

TEST_FROM_EVERY_CALLER("scope_join waits now, returns the first failure so far, and the scope may be filled again")
{
    for_each_kind(kind) {
        _Atomic int n = 0;
        int rc = 1;
        {
            HAFT_SCOPE(s, .result = &rc);
            for (int round = 1; round <= 3; round++) {
                for (int i = 0; i < 4; i++)
                    check_int(haft_scope_spawn(s, adds, &n, .kind = kind), ==, 0);
                check_int(haft_scope_join(s), ==, 0);
                check_int(atomic_load(&n), ==, 4 * round);
            }
        }
        check_int(rc, ==, 0);

        struct children c;
        prepare(&c, 0);
        c.child[0].code = -9;
        {
            HAFT_SCOPE(s, .result = &rc);
            for (int i = 0; i < 3; i++)
                check_int(haft_scope_spawn(s, lives, &c.child[i], .kind = kind), ==, 0);
            check_int(haft_scope_join(s), ==, -9);
            check_int(atomic_load(&c.ended), ==, atomic_load(&c.started));
        }
        check_int(rc, ==, -9);
    }
}

TEST_FROM_EVERY_CALLER("a scope_join that runs out of time has done nothing")
{
    for_each_kind(kind) {
        struct children c;
        prepare(&c, 3);
        int rc = 1;
        {
            HAFT_SCOPE(s, .result = &rc);
            for (int i = 0; i < 3; i++)
                check_int(haft_scope_spawn(s, lives, &c.child[i], .kind = kind), ==, 0);
            until(atomic_load(&c.started) == 3);
            {
                HAFT_TIMEOUT(HAFT_MS);
                check_int(haft_scope_join(s), ==, HAFT_ETIMEDOUT);
            }
            for (int i = 0; i < 20; i++)
                check_int(haft_yield(), ==, 0);
            check_int(atomic_load(&c.ended), ==, 0);
            for (int i = 0; i < 3; i++)
                check_int(haft_unpark(c.child[i].self), ==, 0);
            check_int(haft_scope_join(s), ==, 0);
        }
        check_int(rc, ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("scope_abort ends the children that wait")
{
    for_each_kind(kind) {
        struct children c;
        prepare(&c, 3);
        int rc = 1;
        {
            HAFT_SCOPE(s, .result = &rc);
            for (int i = 0; i < 3; i++)
                check_int(haft_scope_spawn(s, lives, &c.child[i], .kind = kind), ==, 0);
            until(atomic_load(&c.started) == 3);
            haft_scope_abort(s);
            haft_scope_abort(s);
        }
        check_int(atomic_load(&c.ended), ==, 3);
        for (int i = 0; i < 3; i++)
            check_int(c.child[i].park_code, ==, HAFT_ECANCELED);
        check_int(rc, ==, HAFT_EABORTED);
    }
}

/* --- the owner's own abort and deadline --------------------------------------------------------------------------- */

struct aborted_owner {
    struct children *children;
    haft_kind kind;
    _Atomic int *ready;
    int inside; /* what a wait inside the block was told */
    int after;  /* and one behind it */
    int result;
    int spawned;
};

static int owner_falls_to_the_end(struct aborted_owner *o)
{
    {
        HAFT_SCOPE(s, .result = &o->result);
        for (int i = 0; i < 3; i++)
            check_int(haft_scope_spawn(s, lives, &o->children->child[i], .kind = o->kind), ==, 0);
        until(atomic_load(&o->children->started) == 3);
        atomic_store(o->ready, 1);
    }
    o->after = haft_checkpoint();
    return 21;
}

TEST_FROM_EVERY_CALLER("an owner aborted while the end of its block waits: children are aborted, then it is told")
{
    for_each_kind(kind)
        for_each_kind(children) {
            struct children c;
            prepare(&c, 3);
            _Atomic int ready = 0;
            struct aborted_owner o = { .children = &c, .kind = children, .ready = &ready, .after = 1, .result = 1 };
            haft_handle h = haft_spawn(owner_falls_to_the_end, &o, .kind = kind);
            until(atomic_load(&ready) == 1);
            for (int i = 0; i < 10; i++)
                check_int(haft_yield(), ==, 0);
            check_int(atomic_load(&c.ended), ==, 0);
            check_int(haft_abort(h), ==, 0);
            haft_outcome out;
            check_int(haft_join_outcome(&h, &o, &out), ==, 0);
            check_int(atomic_load(&c.ended), ==, 3);
            for (int i = 0; i < 3; i++)
                check_int(c.child[i].park_code, ==, HAFT_ECANCELED);
            check_int(o.after, ==, HAFT_ECANCELED);
            check_int(out.end, ==, HAFT_ABORTED);
            check_int(out.code, ==, 21);
        }
}

static int owner_waits_inside(struct aborted_owner *o)
{
    {
        HAFT_SCOPE(s, .result = &o->result);
        for (int i = 0; i < 3; i++)
            check_int(haft_scope_spawn(s, lives, &o->children->child[i], .kind = o->kind), ==, 0);
        until(atomic_load(&o->children->started) == 3);
        atomic_store(o->ready, 1);
        o->inside = haft_scope_join(s);
        check_int(atomic_load(&o->children->ended), ==, 0);
        struct child late = { .ended = &o->children->ended, .started = &o->children->started };
        o->spawned = haft_scope_spawn(s, lives, &late, .kind = o->kind);
    }
    check_int(atomic_load(&o->children->ended), ==, 3);
    return o->inside;
}

TEST_FROM_EVERY_CALLER("an aborted owner's scope_join and scope_spawn do nothing; the end aborts the children")
{
    for_each_kind(kind)
        for_each_kind(children) {
            struct children c;
            prepare(&c, 3);
            _Atomic int ready = 0;
            struct aborted_owner o = { .children = &c, .kind = children, .ready = &ready, .inside = 1, .spawned = 1 };
            haft_handle h = haft_spawn(owner_waits_inside, &o, .kind = kind);
            until(atomic_load(&ready) == 1);
            check_int(haft_abort(h), ==, 0);
            check_int(haft_join(&h, &o), ==, HAFT_EABORTED);
            check_int(o.inside, ==, HAFT_ECANCELED);
            check_int(o.spawned, ==, HAFT_ECANCELED);
            check_int(atomic_load(&c.started), ==, 3);
            check_int(atomic_load(&c.ended), ==, 3);
            for (int i = 0; i < 3; i++)
                check_int(c.child[i].park_code, ==, HAFT_ECANCELED);
        }
}

TEST_FROM_EVERY_CALLER("an owner past a deadline from outside the block aborts its children at the end")
{
    for_each_kind(kind) {
        struct children c;
        prepare(&c, 3);
        int rc = 1;
        {
            HAFT_TIMEOUT(50 * HAFT_MS);
            HAFT_SCOPE(s, .result = &rc);
            for (int i = 0; i < 3; i++)
                (void)haft_scope_spawn(s, lives, &c.child[i], .kind = kind);
        }
        check_int(atomic_load(&c.ended), ==, atomic_load(&c.started));
        for (int i = 0; i < 3; i++)
            if (c.child[i].self.id_ != 0)
                check_int(c.child[i].park_code, ==, HAFT_ECANCELED);
        check_int(rc, !=, 0);
        check_int(haft_checkpoint(), ==, 0);
    }
}

static _Atomic int joined_in_vain; /* cleared by whoever spawns the waker */

static int unparks_three(struct children **c)
{
    while (atomic_load(&(*c)->started) < 3 || !atomic_load(&joined_in_vain))
        check_int(haft_yield(), ==, 0);
    for (int i = 0; i < 20; i++)
        check_int(haft_yield(), ==, 0);
    for (int i = 0; i < 3; i++)
        check_int(haft_unpark((*c)->child[i].self), ==, 0);
    return 0;
}

TEST_FROM_EVERY_CALLER("a deadline that ended inside the block does not hurry the end of the scope")
{
    for_each_kind(kind) {
        struct children c, *p = &c;
        prepare(&c, 3);
        int rc = 1;
        atomic_store(&joined_in_vain, 0);
        haft_handle waker = haft_spawn(unparks_three, &p);
        {
            HAFT_SCOPE(s, .result = &rc);
            for (int i = 0; i < 3; i++)
                check_int(haft_scope_spawn(s, lives, &c.child[i], .kind = kind), ==, 0);
            HAFT_TIMEOUT(0);
            check_int(haft_scope_join(s), ==, HAFT_ETIMEDOUT);
            atomic_store(&joined_in_vain, 1);
        }
        check_int(rc, ==, 0);
        for (int i = 0; i < 3; i++)
            check_int(c.child[i].park_code, ==, 0);
        check_int(haft_join(&waker), ==, 0);
    }
}

TEST_FROM_EVERY_CALLER("a scope may end behind a shield, its owner's deadline notwithstanding")
{
    struct children c, *p = &c;
    prepare(&c, 3);
    int rc = 1;
    atomic_store(&joined_in_vain, 1);
    haft_handle waker = haft_spawn(unparks_three, &p);
    {
        HAFT_TIMEOUT(0);
        HAFT_SHIELD;
        HAFT_SCOPE(s, .result = &rc);
        for (int i = 0; i < 3; i++)
            check_int(haft_scope_spawn(s, lives, &c.child[i]), ==, 0);
    }
    check_int(rc, ==, 0);
    for (int i = 0; i < 3; i++)
        check_int(c.child[i].park_code, ==, 0);
    check_int(haft_join(&waker), ==, 0);
}

/* --- on and on ---------------------------------------------------------------------------------------------------- */

static int scopes_within(const unsigned *depth)
{
    if (*depth == 0)
        return 0;
    unsigned below = *depth - 1;
    int rc = 1;
    {
        HAFT_SCOPE(s, .result = &rc);
        for (int i = 0; i < 3; i++)
            (void)haft_scope_spawn(s, scopes_within, &below);
    }
    return rc;
}

TEST_FROM_EVERY_CALLER("scopes within children of scopes, seven deep")
{
    unsigned depth = test_slowness() > 1 ? 4 : 7;
    check_int(scopes_within(&depth), ==, 0);
}

static void told_defer(int *defers)
{
    ++*defers;
}

static int owner_is_told(int *defers)
{
    HAFT_DEFER(told_defer, defers);
    return haft_sleep(3600 * HAFT_S);
}

TEST("a child that is aborted before it begins runs no defer, and its loan is the owner's")
{
    int defers = 0, rc;
    {
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_abort(s);
        check_int(haft_scope_spawn(s, owner_is_told, &defers), ==, 0);
    }
    check_int(rc, ==, HAFT_EABORTED);
    check_int(defers, ==, 0);
}

TEST("a timeout before a scope limits its wait")
{
    int defers = 0, rc;
    {
        HAFT_TIMEOUT(HAFT_MS);
        HAFT_SCOPE(s, .result = &rc);
        haft_scope_spawn(s, owner_is_told, &defers);
    }
    check_int(rc, ==, HAFT_EABORTED);
}
