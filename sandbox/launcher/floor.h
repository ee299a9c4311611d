// The most that any cell's system call policy may allow: what base.profile does.
#pragma once

#include <linux/filter.h>
#include <stdbool.h>

/// Whether the policy keeps to it. The supervisor writes policies, and it may have been taken over: so what a policy can
/// let through is found out here, from the program itself.
bool floor_holds(const struct sock_fprog *policy, bool has_network);
