// What the launcher waits for.
#pragma once

#include "cells.h"

enum source { SOURCE_SUPERVISOR, SOURCE_STATUS, SOURCE_PIDFD };

struct watched {
    enum source source;
    uint32_t slot;  // the cell's, whose descriptor it is
};

/// Returns 0 or an errno.
int watch_open(void);

/// From now on `watch_wait` tells when `fd` has something to say.
void watch_add(int fd, enum source source, uint32_t slot);

/// Both descriptors of a cell that has just been started.
void watch_cell(uint32_t slot);

/// Closes a watched descriptor and sets it to -1.
void watch_close(int *fd);

/// Waits for up to `ms` milliseconds, -1: for ever. Returns how many of `events` (64 at most) are set.
int watch_wait(struct watched *events, int count, int ms);
