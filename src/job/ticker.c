/* SPDX-License-Identifier: MIT
 *
 * Tickers: a moment and a period. Waiting changes nothing but the moment, and that only once it has come. */
#include "job/job.h"
#include "wait/arm.h"

static int64_t sum(int64_t a, int64_t b)
{
    int64_t s;
    return __builtin_add_overflow(a, b, &s) ? INT64_MAX : s;
}

/* When the tick comes after the one that was due at t->next_ and is taken now. */
static int64_t after_this(const haft_ticker *t, int64_t now)
{
    int64_t late = now - t->next_;
    if (late >= t->period_ && t->missed_ == HAFT_TICK_DELAY)
        return sum(now, t->period_);
    if (late >= t->period_ && t->missed_ == HAFT_TICK_SKIP)
        return sum(now - late % t->period_, t->period_);
    return sum(t->next_, t->period_);
}

int haft_ticker_start_raw(haft_ticker *t, int64_t period, const haft_ticker_options *options)
{
    t->period_ = 0; /* a wait for one that could not be started is refused, too */
    if (haft__is_forked())
        return HAFT_EFORKED;
    if (period <= 0 || (unsigned)options->missed > HAFT_TICK_SKIP)
        return HAFT_EINVAL;
    *t = (haft_ticker){ .next_ = haft__os->now(), .period_ = period, .missed_ = options->missed };
    return 0;
}

int haft_ticker_wait(haft_ticker *t)
{
    haft__thread *here = haft__here();
    if (here == NULL)
        return haft__here_error();
    if (t->period_ <= 0)
        return HAFT_EINVAL;
    haft__root *me = here->root;
    int rc = haft__refusal_on_entry(me);
    if (rc != 0)
        return rc;
    /* One that is always late would never wait, and the tasks behind it would never run. */
    if (me->stack != NULL && haft__os->now() >= t->next_)
        haft__sched_yield(here->worker);
    rc = haft__sleep_until(me, t->next_);
    if (rc != 0)
        return haft__tell(me, rc);
    t->next_ = after_this(t, haft__os->now());
    return 0;
}

void haft_ticker_drop(haft_ticker *t)
{
    t->period_ = 0;
}

/* --- As an arm of a select: a select looks at it, and at its moment itself ----------------------------------------- */

static bool look(const haft_arm *arm, haft__arm *w)
{
    const haft_ticker *t = arm->object_;
    w->rc = t->period_ <= 0 ? HAFT_EINVAL : 0;
    return (w->rc != 0 || haft__os->now() >= t->next_) && haft__arm_claim(w);
}

static void nobody_wakes(const haft_arm *arm, haft__arm *w)
{
    (void)arm;
    (void)w;
}

static int finish(const haft_arm *arm, const haft__arm *w)
{
    haft_ticker *t = arm->object_;
    if (w->rc == 0)
        t->next_ = after_this(t, haft__os->now());
    return w->rc;
}

const haft__arm_ops haft__arm_tick = {
    .look = look, .enrol = nobody_wakes, .withdraw = nobody_wakes, .finish = finish
};
