// What sandbox/profiles/base.profile allows, as this launcher was built with it.
#pragma once

#include <linux/filter.h>

#include "sys.h"

/// One comparison on a way through a program: of an argument's lower half, masked, with `k`; and whether it held.
struct look {
    uint8_t argument;
    uint16_t operation;  // BPF_JEQ, JGT, JGE, JSET
    bool holds;
    uint32_t mask, k;
};

/// Whether the profile allows the call with every arguments that lead past all of `looks`. False when that cannot be shown
/// within `*steps`, which counts down.
bool profile_allows(uint32_t number, bool has_network, const struct look *looks, unsigned count, unsigned *steps);
