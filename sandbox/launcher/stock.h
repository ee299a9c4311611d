// Cells that wait: ready for whichever function comes, for one that has just been served, or for the version that has been.
#pragma once

#include "cells.h"

/// `ready` cells for any version are kept built ahead of need.
void stock_open(const struct cell_options *options, struct cgroups *groups, unsigned ready);

/// A cell that waits for `version`. Returns its slot, or CELLS.
uint32_t stock_renewed(uint64_t version);

/// A cell for a launch of the function called `name`: one that waits for it, or for any when it has no cells yet, or else a new
/// one. Returns its slot, or CELLS with `*why` set.
uint32_t stock_take(uint64_t version, const char *name, bool needs_network, struct step *why);

/// A cell that waits could not be built to its end.
void stock_failed(struct cell *cell);

/// A cell that waited is no more.
void stock_lost(struct cell *cell);

/// Removes a cell whose init is gone, and says so; what cannot be removed yet is tried again.
void stock_remove(struct cell *cell);

/// Makes a cell in which nobody but its init is left ready for its version once more. False when it has to be made anew.
bool stock_again(struct cell *cell);

/// As `stock_remove`, for one that has served. If all went well, its version has one ready again: the same or another.
void stock_replace(struct cell *cell);

/// How long at most until `stock_keep` is to be called, in ms; -1: for ever, 0: as soon as nothing else is to be done.
int stock_patience(void);

/// Builds a ready cell, if one is missing and nothing else `is_idle`; lets go of those that nobody has needed.
void stock_keep(bool is_idle);
