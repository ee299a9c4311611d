// The cell's system call policy as the launcher sees it: a plan's program says what becomes of each call; the program
// that the kernel gets differs in one thing: where the policy refuses and counts, or allows until the lock, the kernel asks
// init. But init cannot answer before the worker has called exec (worker.c): the few calls up to there go through when
// they bring a number in an argument that they do not have. It is drawn for each cell, and exec leaves nothing of it.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "sys.h"

/// Whether the policy allows something until the lock.
bool filter_locks(const struct sock_fprog *policy);

/// Writes the kernel's program to `installed`, which has room for BH_FILTER_MAX instructions and gets its length. `pass`, unless
/// it is 0, lets the worker come to its exec.
/// Returns EINVAL for a program that asks for observing where that is not `observing`, or is too long then.
int filter_derive(const struct sock_fprog *policy, struct sock_fprog *installed, uint64_t pass, bool observing);

/// What the policy says of this call: SECCOMP_RET_* with its data. Whatever it cannot make out is SECCOMP_RET_USER_NOTIF,
/// which ends the cell.
uint32_t filter_verdict(const struct sock_fprog *policy, const struct seccomp_data *call);
