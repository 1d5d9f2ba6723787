/* SPDX-License-Identifier: MIT
 *
 * Status codes. Every function of haft that can fail returns int: 0, or one of these negative codes. A condition for
 * which errno has a name is that name's negative, so that a body may return -errno and its joiner can tell what it was;
 * haft's own conditions start at -5000, where no errno can ever be. errno itself is never used to report. */
#ifndef HAFT_CODES_H
#define HAFT_CODES_H

#include <errno.h>

#include <haft/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAFT_ECANCELED (-ECANCELED) /* the caller was aborted; what was waited for has not happened */
#define HAFT_ETIMEDOUT (-ETIMEDOUT) /* the caller's deadline passed; what was waited for has not happened */
#define HAFT_ENOMEM (-ENOMEM)       /* no memory; nothing was done */
#define HAFT_EAGAIN (-EAGAIN)       /* a try form would have had to wait, or a limit of the machine was reached */
#define HAFT_EINVAL (-EINVAL)       /* an argument that can never be right */
#define HAFT_EBUSY (-EBUSY)         /* somebody else is joining this job now */
#define HAFT_EDEADLK (-EDEADLK)     /* this wait could never end */

#define HAFT_ECLOSED (-5000)   /* the other side is gone */
#define HAFT_EPANIC (-5001)    /* the job panicked */
#define HAFT_EABORTED (-5002)  /* the job was aborted */
#define HAFT_ESTALE (-5003)    /* the handle was spent: joined, detached or dropped */
#define HAFT_EEMPTY (-5004)    /* nothing is left to wait for */
#define HAFT_ELAGGED (-5005)   /* messages were overwritten before they were received */
#define HAFT_EPOISONED (-5006) /* a holder panicked while it held the lock */
#define HAFT_EINDOUBT (-5007)  /* the call had begun when its caller left; whether it completes is not known */
#define HAFT_EFORKED                                                                                                   \
    (-5008) /* called in the child of a fork, where only exec and _exit are possible; nothing was done */
#define HAFT_ESHUTDOWN (-5009) /* the runtime is ending and accepts no new jobs */

/* Describes a code in a short English phrase, without a full stop: "the job panicked". A negative errno is described by
 * strerror's text, 0 is "success", anything else "unknown code". The text is static and never null. May be called from
 * anywhere, signal handlers included for haft's own codes. */
HAFT_API_ const char *haft_strerror(int code);

/* The code's name: "HAFT_EPANIC", or errno's own, "ENOENT", for a code that haft does not name; "0" for 0, "unknown"
 * otherwise. Static, never null, callable from anywhere. */
HAFT_API_ const char *haft_errname(int code);

#ifdef __cplusplus
}
#endif

/* A task may continue on another thread after it waited, and C libraries let a compiler keep the address of one
 * thread's errno across calls. haft_errno() may not be merged or moved, so that errno, read through it, is always
 * the running thread's; the scheduler carries its value along with the task. For this haft.h comes before any header
 * whose inline code reads errno. */
#ifdef __cplusplus
extern "C"
#endif
    HAFT_API_ int *
    haft_errno(void);

#undef errno
#define errno (*haft_errno())

#endif
