// Host paths that a cell may be given.
#pragma once

#include "cells.h"

/// Opens `path` as the user `id` of a cell, who has no rights, would: refused to the cell is what is refused to that user, at
/// whichever step. Returns a descriptor to mount from, or -1 with errno: EACCES also for what is never granted.
int grant_open(const struct cell_options *options, uid_t id, const char *path);
