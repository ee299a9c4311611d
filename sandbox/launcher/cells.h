// Cells from the outside: a table of slots, each empty, ready (built, no function yet), bound, or being removed.
#pragma once

#include "cell.h"

#define CELLS 8192       // more than descriptors allow
#define IDS_PER_SLOT 16  // a uid comes back only after that many other cells in its slot

enum cell_state { CELL_EMPTY, CELL_READY, CELL_BOUND, CELL_REMOVING };

struct cell {
    enum cell_state state;
    bool started, ended, killed;
    uint64_t id;          // the supervisor's name for it, once bound
    uint32_t generation;  // of this slot
    uint32_t flags;
    uint32_t cpu_weight;  // the plan's
    int init, pidfd, status;
    int32_t pid;          // the worker's, in our view
    char group[32];
    struct report denied;
    uint64_t requested_ns;
};

struct cell_options {
    int store;         // directory of the bundles, each under its digest
    uid_t first_uid;   // root mode: cells take their ids from here on
    struct mode mode;
};

extern struct cell cells[CELLS];

/// Starts a cell's init in an empty slot; it builds itself and then waits for its binding.
/// Returns 0, or an errno with `*stage` set.
int cell_prepare(const struct cell_options *options, struct cgroups *groups, uint32_t slot, uint32_t *stage);

/// Gives a ready cell its version: limits, mounts, standard streams. `fds`: as in BH_REQUEST_LAUNCH, `fd_count` of them.
/// Returns 0, or an errno with `*stage` set; the cell is then to be killed.
int cell_bind(const struct cell_options *options, struct cgroups *groups, struct cell *cell, const int *fds,
              int fd_count, uint32_t *stage);
