// The launcher proper: takes requests, keeps cells, sends events.
#pragma once

#include "cells.h"

/// Serves one supervisor connection until it hangs up, then ends every cell. `ready` cells are kept built ahead of
/// need. Returns 0 when nothing is left behind, else an errno.
int server_run(int supervisor, const struct cell_options *options, struct cgroups *groups, unsigned ready);
