// The cgroups of one cell: made for it, or such as an earlier cell of its function has left as new. Making and removing them is a
// third of what a cell costs to build.
#pragma once

#include "cells.h"

/// Finds or makes the cgroups of a cell that is to be built, sets what limits them, and opens the ways in. `knows_version`: the
/// cell's limits are its version's; else they become those that are set already. Nothing is left behind where it fails.
struct step cell_group_open(struct cgroups *groups, struct cell *cell, bool knows_version, struct cgroup_entry *entry);

/// Leaves them to the function's next cell, if nothing lives in them, little memory is left in use, and there is room. False where not.
bool cell_group_leave(struct cgroups *groups, const struct cell *cell);
