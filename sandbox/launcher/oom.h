// Cells end before anything else of the host does, should memory run out (proc_pid_oom_score_adj(5)).
#pragma once

#include <stdbool.h>

/// Whether cells can be born with their place, which is a child's parent's: the launcher takes it for that moment. False where it
/// could not take its own back; then each cell's init goes to its place itself.
bool oom_open(void);

/// The launcher's place is a cell's. Returns 0, or an errno.
int oom_first(void);

/// It is its own again. A launcher that stays where cells are would take them all along: it ends.
void oom_last(void);

/// For a process itself. Returns 0, or an errno.
int oom_set(void);
