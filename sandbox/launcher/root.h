// A cell's root: made before the version is known, filled with its mounts, sealed.
#pragma once

#include "birth.h"
#include "sys.h"

/// Makes the cell's mount table private and pivots into a root that holds what all cells have (`made.h`, /dev): from here on no
/// path leads to the host. `*root` is its descriptor.
struct step root_prepare(const struct birth *birth, int *root);

/// Fills the root with the spec's mounts.
struct step root_fill(const struct cell_spec *spec, int root);

/// Makes the root read-only.
struct step root_seal(void);
