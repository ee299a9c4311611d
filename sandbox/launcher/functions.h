// Functions as cgroups: each has one directory, whatever its number of cells and versions, so that the CPU is shared between
// functions first and between cells of one function then.
//
// A cell cannot change its directory (moving a process waits for the whole machine), nor can a directory be moved, and ready
// cells are built before anybody knows for whom. So each of those is built in a directory of its own, which is nobody's. The
// function that is given the cell takes the directory over, and all cells that are built for it from then on are built in
// there; stock.c keeps some of them ready ahead of need too.
//
// The other way, to give a function cells in any directory and each directory a part of the function's weight, would cost the
// next cells of a burst less. But a function with ten cells of which one is busy would have a tenth of its share.
#pragma once

#include "cgroup.h"

#define FUNCTIONS 8192  // as many as cells: each directory in use holds one at least
#define NOBODY FUNCTIONS

/// A cell's directories that nothing lives in and nothing is counted in any more.
struct kept_group {
    char name[24];                // below the function's
    struct cgroup_limits limits;  // as they are set
    uint32_t weight;
    uint64_t since;               // monotonic ns
};
#define KEPT_MAX 4  // of a function: making and removing a cell's directories costs more than looking whether they are as new

struct function {
    char name[64];     // "": nobody's
    bool made;         // its directories are there
    struct kept_group kept[KEPT_MAX];
    unsigned kept_count;
    uint32_t cells;    // directories of cells in them
    uint32_t running;  // cells that are bound
    uint32_t leading;  // those of them that have their head start still
    uint32_t weight;   // as it is set
    struct cgroup_limits limits;  // likewise; 0: none yet
    bool lapsed;                  // they were for cells that are gone
    uint64_t left;                // monotonic ns; when the last of these went
    bool torn;                    // they may not be what is set: that has failed
};

extern struct function functions[FUNCTIONS];

/// The function called `name`, or NOBODY when it has no cells.
uint32_t function_named(const char *name);

/// The directory of a function that has no cells any more and may have some again, or NOBODY.
uint32_t function_remembered(const char *name);

/// Makes room for one more cell: in the directory of `*function`, or for NOBODY in one that is nobody's, which it then is.
/// Returns 0, or an errno.
int function_add_cell(struct cgroups *groups, uint32_t *function);

/// A cell's directories are gone, or kept. After the last one's another function may take the directory over.
void function_lose_cell(struct cgroups *groups, uint32_t function);

/// Whether there is room for a cell's directories, and somebody who will want them.
bool function_may_keep(uint32_t function);

/// Keeps the directories of a cell, which are as new, for the function's next one. Where it may.
void function_keep(uint32_t function, const char *group, const struct cgroup_limits *limits, uint32_t weight);

/// Such directories, the path of which comes to stand in `group`. False where there are none.
bool function_reuse(uint32_t function, char group[32], struct cgroup_limits *limits, uint32_t *weight);

/// Gives a directory that is nobody's to the function called `name`.
void function_take(uint32_t function, const char *name);

/// Bounds what all of the function's cells take together: by the most that any of its versions may. Returns 0, or an errno.
int function_limit(struct cgroups *groups, uint32_t function, const struct cgroup_limits *limits);

/// The same for a directory that is nobody's yet: by what its owner probably may.
void function_expect(struct cgroups *groups, uint32_t function, const struct cgroup_limits *limits);

/// Removes what has been kept for longer than `age` ns. Returns whether something is kept still.
bool functions_expire(struct cgroups *groups, uint64_t age);

/// The path of a function's directory.
void function_path(uint32_t function, char out[16]);

// A cell's head start (BH_HEAD_START) would be worth nothing inside a function that has none: see functions.c. Each of these
// sets the function's weight where it changes, and returns 0 or an errno.

/// A cell of the function is bound, with a head start.
int function_started(struct cgroups *groups, uint32_t function);

/// One of its running cells has no head start any more.
int function_demoted(struct cgroups *groups, uint32_t function);

/// One of its running cells is none any more.
int function_ended(struct cgroups *groups, uint32_t function, bool was_demoted);
