// Versions whose first cell has shown what the next ones can take over.
#pragma once

#include "birth.h"

/// The version that `key` names, known well enough to start a cell for it; NULL when it is not.
struct version *version_known(uint64_t key);

/// Forgets all: their next cells are first ones.
void versions_forget(void);

/// Takes note of a version, of which key, function, plan and limits are given (they stay the caller's), and of what its first
/// cell, now running, has made. Takes over `table`. Forgets the version that was used longest ago, when there
/// are too many. A version that cannot be kept costs its next cells only time: nothing is said of it.
void version_learn(const struct version *given, pid_t init, const struct shared_table *table);
