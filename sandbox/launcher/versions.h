// Versions whose first cell has shown what the next ones can take over.
#pragma once

#include "cell.h"

/// The version that `key` names, known well enough to start a cell for it; NULL when it is not.
struct version *version_known(uint64_t key);

/// A namespace of a process that is our child and not waited for: its number is its own. -1 with errno on failure.
int namespace_open(pid_t process, const char *name);

/// Takes note of a version, of which key, function, plan, limits and maybe the mount namespace are given (they stay the
/// caller's), and of what its first cell, now running, has made. Takes
/// over the descriptors in `shared`: executable, then ruleset if there is one. Forgets the version that was used longest ago, when there are too many.
/// A version that cannot be kept costs its next cells only time: nothing is said of it.
/// Without a ruleset it is kept only where one may be missing.
void version_learn(const struct version *given, pid_t init, const int *shared, int count, bool may_lack_ruleset);
