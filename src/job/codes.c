/* SPDX-License-Identifier: MIT */
#include "haft/codes.h"

#include <string.h>

#include "os/os.h"

static const struct code {
    int code;
    const char *name;
    const char *text;
} codes[] = {
    { 0, "0", "success" },
    { HAFT_ECANCELED, "HAFT_ECANCELED", "the caller was aborted" },
    { HAFT_ETIMEDOUT, "HAFT_ETIMEDOUT", "the caller's deadline passed" },
    { HAFT_ENOMEM, "HAFT_ENOMEM", "out of memory" },
    { HAFT_EAGAIN, "HAFT_EAGAIN", "not possible now, try again" },
    { HAFT_EINVAL, "HAFT_EINVAL", "invalid argument" },
    { HAFT_EBUSY, "HAFT_EBUSY", "somebody else is joining this job" },
    { HAFT_EDEADLK, "HAFT_EDEADLK", "this wait could never end" },
    { HAFT_ECLOSED, "HAFT_ECLOSED", "the other side is gone" },
    { HAFT_EPANIC, "HAFT_EPANIC", "the job panicked" },
    { HAFT_EABORTED, "HAFT_EABORTED", "the job was aborted" },
    { HAFT_ESTALE, "HAFT_ESTALE", "the handle was already spent" },
    { HAFT_EEMPTY, "HAFT_EEMPTY", "nothing is left to wait for" },
    { HAFT_ELAGGED, "HAFT_ELAGGED", "messages were overwritten before they were received" },
    { HAFT_EPOISONED, "HAFT_EPOISONED", "a holder panicked while it held the lock" },
    { HAFT_EINDOUBT, "HAFT_EINDOUBT", "the call had begun when its caller left" },
    { HAFT_EFORKED, "HAFT_EFORKED", "not possible in the child of a fork" },
    { HAFT_ESHUTDOWN, "HAFT_ESHUTDOWN", "the runtime is ending" },
};

static const struct code *find(int code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            return &codes[i];
    return NULL;
}

const char *haft_strerror(int code)
{
    const struct code *known = find(code);
    if (known != NULL)
        return known->text;
#ifdef __GLIBC__
    if (code < 0 && code > -4096) {
        const char *text = strerrordesc_np(-code);
        if (text != NULL)
            return text;
    }
#endif
    return "unknown code";
}

const char *haft_errname(int code)
{
    const struct code *known = find(code);
    if (known != NULL)
        return known->name;
#ifdef __GLIBC__
    if (code < 0 && code > -4096) {
        const char *name = strerrorname_np(-code);
        if (name != NULL)
            return name;
    }
#endif
    return "unknown";
}

int *haft_errno(void)
{
    return haft__os->thread_errno();
}
