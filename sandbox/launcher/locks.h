// File locks among the processes of one cell.
//
// The kernel's own are not for a tenant: on files that others see too they are a channel, and it keeps as many record locks as
// are asked for, which no limit counts. So the filter asks the watcher (notifications.c), which lets the kernel do a flock(2) on
// a file of the cell's own, on the caller's behalf, and keeps record locks itself, whatever they are on. Functions of one process
// have nobody to be locked from and need none of it.
#pragma once

#include <linux/seccomp.h>

#include "birth.h"

/// Whether the call is about a lock, and the cell keeps them.
bool locks_are_kept(const struct cell_spec *spec, const struct seccomp_data *call);

/// Answers the call, or has it wait for its lock. False: it is to be refused.
bool locks_ask(const struct cell_spec *spec, int listener, const struct seccomp_notif *call);

/// Looks again for those that wait. Returns after how many ms that is due once more; -1: nobody waits.
int locks_retry(int listener);
