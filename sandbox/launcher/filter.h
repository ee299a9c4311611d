// The cell's system call policy as the launcher sees it: a plan's program says what becomes of each call; the program
// that the kernel gets differs in one thing: where the policy refuses and counts, the kernel asks init.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "sys.h"

/// Writes the kernel's program to `installed`, with room for as many instructions as `policy` has.
/// Returns EINVAL for a program that asks for observing where that is not `observing`.
int filter_derive(const struct sock_fprog *policy, struct sock_filter *installed, bool observing);

/// What the policy says of this call: SECCOMP_RET_* with its data. Whatever it cannot make out is SECCOMP_RET_USER_NOTIF,
/// which ends the cell.
uint32_t filter_verdict(const struct sock_fprog *policy, const struct seccomp_data *call);
