// A cell's init: its entry, and the rights that it gives up.
#pragma once

#include "birth.h"

/// The entry of a cell's init (PID 1 of the new pid namespace). Never returns.
_Noreturn void cell_main(const struct birth *birth);

/// Takes every capability from what this process and its children may ever gain by an exec. Returns 0 or an errno.
int drop_bounding_set(void);

/// Gives a signal its default meaning. Returns 0 or an errno.
int default_signal(int signal);

/// Takes every capability from init and installs its own system call filter. Returns 0 or an errno.
/// One that observes, or keeps locks, keeps CAP_SYS_PTRACE, to look at its processes' memory and descriptors.
int init_confine(bool observes, bool keeps_locks);
