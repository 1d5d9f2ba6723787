/* SPDX-License-Identifier: MIT
 *
 * What src/select is made of: the kinds of arms that there are. A new kind is a value of haft_arm_kind, a macro in
 * haft/select.h that makes the arm, an ops struct in the room of its object, and a line in the table in select.c. */
#ifndef HAFT_SELECT_SELECT_H
#define HAFT_SELECT_SELECT_H

#include "wait/arm.h"

#endif
