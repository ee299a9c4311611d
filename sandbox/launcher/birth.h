// A cell from the inside: what its init is born with, and what it is told when it becomes somebody's.
#pragma once

#include <sys/types.h>

#include "cgroup.h"
#include "plan.h"

/// The names of the device nodes every cell has.
#define DEVICE_COUNT 5
extern const struct device {
    const char *name;
    unsigned major, minor;
} devices[DEVICE_COUNT];

/// How this launcher runs; the same for all its cells.
struct mode {
    bool root;              // a uid per cell; else a user namespace per cell
    uint32_t landlock_abi;  // 0: the kernel has none
    bool allow_no_landlock;
    bool limits_memory;     // a memory cgroup holds the cells; else RLIMIT_DATA has to
    bool observes;          // for `policy learn`: init may look at path arguments
    bool keeps;             // cells can be kept: counters go back to zero, and so do pids
    int last_pid;           // as root: where the kernel keeps the pid that a namespace gave last; -1: it may not be written
};

/// What a version's first cell leaves to those that come after it: a root that is filled and read-only, so that they can share
/// it.
struct version {
    uint64_t key;         // the supervisor's name for it
    char function[64];    // whose it is
    int plan;             // the sealed memfd
    int mounts, hostname, ipc;  // namespaces
    int furniture;              // a folder in the first of them, below its root (furniture.h)
    struct cgroup_limits limits, together;  // of a cell, and of all cells of the function
    uint32_t cpu_weight;
    bool shows_cgroups;
    bool keeps;             // its cells are kept for the next worker
};

/// What init sends along when it reports that the worker runs, where its version's next cells can share it.
struct shared_table {
    int mounts, furniture;  // as in struct version; both -1: nothing
};
#define SHARED_FDS 2

/// What a cell's init is born with. Every descriptor here is open in init; every other one is closed first thing.
struct birth {
    const struct mode *mode;
    uid_t id;                       // uid and gid of the worker to come
    bool has_network;               // born in a network namespace of the cell's own
    int status;                     // SEQPACKET to the launcher
    int procs[CGROUP_HIERARCHIES];  // v1: `tasks` files
    int procs_count;
    const struct version *version;  // NULL: none yet, the binding will bring one
    // This process stays behind its worker, to hold the cell's namespaces for the next one. It keeps some rights for that, and so
    // it never looks at anything of a tenant's: a child of it watches the worker and has none. Where somebody waits for the cell,
    // that child would be one more step to wait for: such a cell is renewed afterwards, and that one kept.
    bool keeps;
    const struct cgroups *groups;
    int views[CGROUP_VIEWS];        // with a version that is shown its cgroups: mounts of them
};

/// Makes a ready cell into one version's cell. Launcher to init, over `status`, with descriptors in this order: plan,
/// stdin, stdout, stderr, (when it observes) the observer, then one detached mount for each entry whose `present` is set,
/// then (user namespaces only) one for each device node, then `views` of the cell's cgroups. To the init of a cell that knows its version: the three streams.
struct binding {
    uint32_t mounts;
    uint32_t shares;  // init sends the mount table with the filled root along when it reports that the worker runs
    uint32_t views;   // as many come last
    uint8_t present[BH_MOUNTS_MAX];
};
#define LAUNCH_FDS 5  // at most: plan, stdin, stdout, stderr, observer
#define BINDING_FDS (LAUNCH_FDS + BH_MOUNTS_MAX + DEVICE_COUNT + CGROUP_VIEWS)

/// The cell as init sees it once it is bound.
struct cell_spec {
    const struct birth *birth;
    struct plan plan;
    int stdio[3];
    int observer;               // -1: none
    uint64_t pass;              // what the worker shows the filter until it has called exec, see filter.h
    pid_t worker;
    bool is_locked;             // BH_REQUEST_LOCK holds
    int trees[BH_MOUNTS_MAX];   // detached mounts, -1 for symlinks and absent optional ones
    int devices[8];             // only with user namespaces: detached mounts of the host's device nodes
    int views[CGROUP_VIEWS];    // detached mounts of its cgroups; -1: none
    int proc;                   // the cell's procfs; -1: none
    dev_t own_device;           // of /tmp and /dev/shm
};
