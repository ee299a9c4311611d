// Landlock, landlock(7): the files of a cell's worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

/// A ruleset that reaches what the root holds, and will hold, as far as this kernel's Landlock goes; of the folder that is the
/// cell's own (own.h), `tmp` and `shm` can be written. TCP only with
/// `network`, which ends at the cell. -1 with errno on failure.
int landlock_rules(uint32_t abi, int own_folder, bool network);
