/* SPDX-License-Identifier: MIT
 *
 * haft: one owned handle for everything that runs. Include it before any header whose inline code reads errno.
 *
 * What holds for every function unless its own words say otherwise: it may be called from any thread and from any job,
 * and from no signal handler; it does not suspend, if nothing is said of that. In the child of a fork, whatever does
 * more than look returns HAFT_EFORKED or what it returns without memory; if it returns nothing, it does nothing or ends
 * the child with a message. */
#ifndef HAFT_HAFT_H
#define HAFT_HAFT_H

#include <haft/actor.h>
#include <haft/channel.h>
#include <haft/codes.h>
#include <haft/frame.h>
#include <haft/group.h>
#include <haft/job.h>
#include <haft/local.h>
#include <haft/metrics.h>
#include <haft/mutex.h>
#include <haft/notify.h>
#include <haft/once.h>
#include <haft/panic.h>
#include <haft/pool.h>
#include <haft/runtime.h>
#include <haft/rwlock.h>
#include <haft/select.h>
#include <haft/sem.h>
#include <haft/shared.h>
#include <haft/supervisor.h>
#include <haft/time.h>
#include <haft/token.h>
#include <haft/tracker.h>

#define HAFT_VERSION_MAJOR 0
#define HAFT_VERSION_MINOR 1
#define HAFT_VERSION_PATCH 0

#endif
