// A cell's root: filled with its version's mounts, then sealed.
#pragma once

#include "birth.h"
#include "sys.h"

/// Fills the root with the spec's mounts.
struct step root_fill(const struct cell_spec *spec, int root);

/// Makes the root read-only.
struct step root_seal(int root);
