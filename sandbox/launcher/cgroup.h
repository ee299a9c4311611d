// One small interface over cgroup v2 and v1. With neither, every call succeeds and does nothing; the launcher's HELLO
// says so and the supervisor decides whether that is allowed.
#pragma once

#include "bulkhead_launcher_abi.h"
#include "sys.h"

// Below wherever this process stands, in each hierarchy:
//   bulkhead-<pid>/cells                        all cells: what they may take together
//   bulkhead-<pid>/cells/f<N>                   one function (functions.h): all functions have the same share
//   bulkhead-<pid>/cells/f<N>/c<slot>-<number>  one cell: its own limits
//   bulkhead-<pid>/host                         the supervisor, where memory is counted and --host-memory is given
// A group is named by its path below `cells`.
#define CGROUP_HIERARCHIES 7  // v1: memory, pids, cpu, cpuacct, freezer, blkio, hugetlb; v2 uses the first entry only
#define CGROUP_VIEWS 5        // memory, pids, cpu, cpuacct; and of cpuset a file
#define CPUSET_FILE "cpuset.cpus"
#define CGROUP_ALL "cells"
#define CGROUP_NAME 48
#define CGROUP_HOST "host"
#define CGROUP_OF_CELLS (BH_FEATURE_MEMORY | BH_FEATURE_PIDS | BH_FEATURE_CPU)  // controllers that a cell is limited by

struct cgroups {
    uint32_t features;  // BH_FEATURE_CGROUP_*, and a bit for each controller
    int count;
    int base[CGROUP_HIERARCHIES];        // the directory above all cells, one a hierarchy
    int instance[CGROUP_HIERARCHIES];    // this instance's own, above it
    int parent[CGROUP_HIERARCHIES];
    uint32_t holds[CGROUP_HIERARCHIES];  // which controllers live there
    int home;       // where the supervisor was before it was moved to CGROUP_HOST; -1: it was not
    char name[CGROUP_NAME];  // see cgroup_instance_name
    int views;      // how many of the hierarchies a cell can be shown its part of
    int view[CGROUP_VIEWS];            // the directory above all cells once more, of a mount in the launcher's own table
    char view_name[CGROUP_VIEWS][16];  // where it belongs below /sys/fs/cgroup
    bool view_is_file[CGROUP_VIEWS];   // CPUSET_FILE in it, which no cell has of its own
};

struct cgroup_limits {
    uint64_t memory_max;
    uint32_t tasks_max;
};

static inline bool cgroup_same_limits(const struct cgroup_limits *a, const struct cgroup_limits *b) {
    return a->memory_max == b->memory_max && a->tasks_max == b->tasks_max;
}

/// What all cells may take together, and what the supervisor may. 0: not limited.
struct cgroup_totals {
    uint64_t memory_max, host_memory_max;
    uint32_t tasks_max;
};

/// Finds what the kernel offers by trying it, makes this instance's directories and sets `totals` as far as there is a
/// controller for them. Removes the directories of dead instances. Returns 0, or an errno with `*what` set; nothing is left
/// behind then.
int cgroups_open(struct cgroups *groups, const struct cgroup_totals *totals, const char **what);

/// Kills what is left in any cell of this instance and removes its directories.
void cgroups_sweep(struct cgroups *groups);

/// The same, and lets the supervisor, if it lives, go back to where it was. Nothing of this instance is left then.
void cgroups_close(struct cgroups *groups);

/// The inode of this process's pid namespace; 0: the machine's first one.
unsigned long cgroup_pid_namespace(void);

/// What an instance's directory is called: "bulkhead-<pid>", or "bulkhead-<pid>.<namespace>". Whoever shares a cgroup tree with
/// others, such as containers on one machine, must not take theirs for its own.
void cgroup_instance_name(char name[CGROUP_NAME], int pid, unsigned long pid_namespace);

/// Removes what instances of this pid namespace left in `parent` that are gone: there is no such process any more.
void cgroups_remove_stale(const struct cgroups *groups, int parent);

/// Hands `controllers` to the children of a v2 group. Returns 0, or an errno.
int cgroup_hand_down(struct cgroups *groups, const char *group, uint32_t controllers);

/// Gives the supervisor, this process's parent, a memory cgroup of its own. Returns 0, or an errno.
int cgroup_take_host(struct cgroups *groups, uint64_t memory_max);

/// Moves who is in the supervisor's cgroup back. Nobody there is ever killed. Returns false while somebody is left.
bool cgroup_release_host(struct cgroups *groups);

/// This process's own directory of the hierarchy that has `controller` (v1) or of v2 ("" as controller), and which
/// controllers live `together` there. -1 when there is none.
int cgroup_own_directory(const char *controller, uint32_t *together);

/// Makes a function's directories, with the share of block I/O that every function has. Returns 0, or an errno; nothing is left
/// behind then.
int cgroup_create_function(struct cgroups *groups, const char *function);

/// How a cell's init gets into its cgroups.
struct cgroup_entry {
    int directory;                  // v2: to be born in (CLONE_INTO_CGROUP); -1 on v1
    int procs[CGROUP_HIERARCHIES];  // v1: `tasks` files to join by, see cgroup_create
    int procs_count;
};

/// Makes a cell's cgroups, below its function's, and opens the ways into them. Returns 0, or an errno; nothing is left behind
/// then.
int cgroup_create(struct cgroups *groups, const char *cell, struct cgroup_entry *entry);

/// Opens the ways into a cell's cgroups that are there already. Returns 0, or an errno.
int cgroup_enter(struct cgroups *groups, const char *cell, struct cgroup_entry *entry);

/// Whether nothing but `init` (0: nothing) lives in the cell's cgroups and their counters stand at zero again, the memory in use
/// at little of `memory_max`; the OOM killer's, which never goes back, because it was never there. Always false on v2, where a peak
/// cannot be reset, and making a cgroup anew costs little.
bool cgroup_reset(struct cgroups *groups, const char *cell, pid_t init, uint64_t memory_max);

/// Ends processes of the cell other than its own three: init, watcher (which may be init) and `worker`. Returns how many threads the worker has when
/// it is alone; 0 while others are left; -1 when nobody can tell.
int cgroup_clear(struct cgroups *groups, const char *cell, pid_t init, pid_t watcher, pid_t worker);

/// Opens what `cgroup_view` needs, in the launcher's own mount table. What cannot be opened is shown to nobody.
void cgroups_open_views(struct cgroups *groups);

/// Makes detached, read-only mounts of a cell's own directories, `views` of them. Returns 0, or an errno.
int cgroup_view(const struct cgroups *groups, const char *cell, int trees[CGROUP_VIEWS]);

/// Closes the ways in.
void cgroup_close(struct cgroup_entry *entry);

/// Sets the limits of a cell, of a function, of all cells together, of the supervisor. Return 0, or an errno.
int cgroup_limit(struct cgroups *groups, const char *cell, const struct cgroup_limits *limits);
int cgroup_limit_function(struct cgroups *groups, const char *function, const struct cgroup_limits *limits);

/// Has the buffers of the cell's sockets count, too, where they do not count as memory: up to a fourth of it. Returns 0, or an
/// errno.
int cgroup_limit_network(struct cgroups *groups, const char *cell, uint64_t memory_max);

int cgroup_limit_all(struct cgroups *groups, const struct cgroup_totals *totals);
int cgroup_limit_host(struct cgroups *groups, uint64_t memory_max);

/// Sets how much CPU time a cell gets beside others of its function, or a function beside other functions, on v2's scale.
/// Returns 0, or an errno.
int cgroup_weigh(struct cgroups *groups, const char *group, uint32_t cpu_weight);

/// Sets a function's share of block I/O, where the kernel has shares of it. Returns 0, or an errno.
int cgroup_weigh_io(struct cgroups *groups, const char *function);

/// Opens the files that tell CPU time and peak memory. Returns how many descriptors `out` holds: 0 or 2.
int cgroup_usage_files(struct cgroups *groups, const char *cell, int out[2]);

/// The cell's CPU time in ns and its peak memory in bytes.
void cgroup_read(struct cgroups *groups, const char *cell, uint64_t *cpu_ns, uint64_t *peak);

/// Whether the kernel's OOM killer struck in the cell.
bool cgroup_saw_oom(struct cgroups *groups, const char *cell);

/// Ends every process of the cell, also stopped and forking ones.
void cgroup_kill(struct cgroups *groups, const char *cell);

/// Removes the directories of a cell or an empty function. Returns false while something still lives in one.
bool cgroup_remove(struct cgroups *groups, const char *cell);
