// What all roots have alike, and nobody can change: the devices, the files of /proc that tell of a machine, what of the host is
// shown to everybody.
//
// As root it stands once, in a mount table that holds nothing else, and each cell starts from a copy of that: the host's own
// table, which may be long, is neither copied nor taken down for it. A table that belongs to another user namespace cannot be
// entered: there each cell makes all of it itself.
#pragma once

#include "birth.h"

/// As root: the mount table that cells start from; else -1.
extern int blank_table;

/// Makes it.
struct step furniture_open(void);

/// Makes it anew if a file of the host's that it shows is another one by now: a mount is of what there was. False where it is as it
/// was, also because a new one could not be made.
bool furniture_refresh(void);

/// Makes the cell's mount table its own, with a new root that holds what every cell has: from here on no path leads to the host.
/// `*root` is its descriptor; it can be written. As root the working directory is `*furniture`, which lies below the root, where no path
/// leads; else it is the root, and `*furniture` -1.
struct step furniture_take(const struct birth *birth, int *root, int *furniture);
