/* SPDX-License-Identifier: MIT
 *
 * Status codes: their values, names and texts, and errno, which haft never uses to report. */
#include <haft/haft.h>

#include <limits.h>
#include <string.h>

#include "callers.h"

static const struct {
    int code;
    const char *name;
} own_codes[] = {
    { HAFT_ECLOSED, "HAFT_ECLOSED" },     { HAFT_EPANIC, "HAFT_EPANIC" },     { HAFT_EABORTED, "HAFT_EABORTED" },
    { HAFT_ESTALE, "HAFT_ESTALE" },       { HAFT_EEMPTY, "HAFT_EEMPTY" },     { HAFT_ELAGGED, "HAFT_ELAGGED" },
    { HAFT_EPOISONED, "HAFT_EPOISONED" }, { HAFT_EINDOUBT, "HAFT_EINDOUBT" }, { HAFT_EFORKED, "HAFT_EFORKED" },
    { HAFT_ESHUTDOWN, "HAFT_ESHUTDOWN" },
};

static const struct {
    int code;
    int number;
    const char *name;
} shared_codes[] = {
    { HAFT_ECANCELED, ECANCELED, "HAFT_ECANCELED" }, { HAFT_ETIMEDOUT, ETIMEDOUT, "HAFT_ETIMEDOUT" },
    { HAFT_ENOMEM, ENOMEM, "HAFT_ENOMEM" },          { HAFT_EAGAIN, EAGAIN, "HAFT_EAGAIN" },
    { HAFT_EINVAL, EINVAL, "HAFT_EINVAL" },          { HAFT_EBUSY, EBUSY, "HAFT_EBUSY" },
    { HAFT_EDEADLK, EDEADLK, "HAFT_EDEADLK" },
};

enum {
    OWN_CODES = sizeof own_codes / sizeof *own_codes,
    SHARED_CODES = sizeof shared_codes / sizeof *shared_codes,
};

TEST("a code that errno has is its negative, under haft's name")
{
    for (size_t i = 0; i < SHARED_CODES; i++) {
        check_int(shared_codes[i].code, ==, -shared_codes[i].number);
        check_str(haft_errname(shared_codes[i].code), shared_codes[i].name);
    }
}

TEST("haft's own codes lie at -5000 and below, each with its name and a text of its own")
{
    for (size_t i = 0; i < OWN_CODES; i++) {
        check_int(own_codes[i].code, <=, -5000);
        check_str(haft_errname(own_codes[i].code), own_codes[i].name);
        const char *text = haft_strerror(own_codes[i].code);
        check(text != NULL && text[0] != '\0');
        check(text[strlen(text) - 1] != '.');
        check(strcmp(text, "unknown code") != 0);
        for (size_t j = 0; j < i; j++) {
            check_int(own_codes[i].code, !=, own_codes[j].code);
            check(strcmp(text, haft_strerror(own_codes[j].code)) != 0);
        }
    }
}

TEST("a negative errno that haft does not name keeps errno's name and text")
{
    check_str(haft_errname(-ENOENT), "ENOENT");
    check_str(haft_errname(-EPERM), "EPERM");
    check_str(haft_errname(-EXDEV), "EXDEV");
    check_str(haft_strerror(-ENOENT), strerror(ENOENT));
    check_str(haft_strerror(-ERANGE), strerror(ERANGE));
}

TEST("zero is success and anything else is unknown, never null")
{
    check_str(haft_errname(0), "0");
    check_str(haft_strerror(0), "success");
    static const int unknown[] = { 1, 42, -4999, -5999, INT_MAX, INT_MIN };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        check_str(haft_errname(unknown[i]), "unknown");
        check_str(haft_strerror(unknown[i]), "unknown code");
    }
}

TEST("naming a code leaves errno alone")
{
    for (int code = -6000; code <= 200; code++) {
        errno = EXDEV;
        check_ptr(haft_strerror(code), !=, NULL);
        check_ptr(haft_errname(code), !=, NULL);
        check_int(errno, ==, EXDEV);
    }
}

TEST_FROM_EVERY_CALLER("spawn, join, abort and their refusals leave errno alone")
{
    errno = EXDEV;
    for_each_kind(kind) {
        haft_handle h = haft_spawn(return_nothing, HAFT_NO_FRAME, .kind = kind);
        check_int(errno, ==, EXDEV);
        haft_handle copy = h;
        check_int(haft_abort(h), ==, 0);
        (void)haft_try_join(&copy);
        (void)haft_join(&h);
        check_int(errno, ==, EXDEV);
        check_int(haft_join(&copy), ==, HAFT_ESTALE);
        check_int(errno, ==, EXDEV);
    }
    {
        HAFT_TIMEOUT(0);
        check_int(haft_park(), ==, HAFT_ETIMEDOUT);
    }
    check_int(haft_sleep(1), ==, 0);
    check_int(errno, ==, EXDEV);
}

struct errno_of_its_own {
    int value;
    unsigned suspensions;
};

static int keeps_errno(struct errno_of_its_own *f)
{
    for (unsigned i = 0; i < f->suspensions; i++) {
        errno = f->value;
        int rc = i % 8 == 7 ? haft_sleep(1000) : haft_yield();
        if (rc != 0)
            return rc;
        if (errno != f->value)
            return -errno;
    }
    return 0;
}

TEST_FROM_EVERY_CALLER("each job has its own errno, which is right on whatever thread it goes on")
{
    enum { N = 32 };
    haft_handle hs[N];
    for (int i = 0; i < N; i++)
        hs[i] = haft_spawn(keeps_errno, (&(struct errno_of_its_own){ .value = i + 1, .suspensions = 100 }));
    for (int i = 0; i < N; i++)
        check_int(haft_join(&hs[i]), ==, 0);
}
