// One small interface over cgroup v2 and v1. With neither, every call succeeds and does nothing; the launcher's HELLO
// says so and the supervisor decides whether that is allowed.
#pragma once

#include "bulkhead_launcher_abi.h"
#include "sys.h"

#define CGROUP_HIERARCHIES 5  // v1: memory, pids, cpu, cpuacct, freezer; v2 uses the first entry only

struct cgroups {
    uint32_t features;  // BH_FEATURE_CGROUP_*, and a bit for each controller
    int count;
    int base[CGROUP_HIERARCHIES];        // this instance's own directory, one a hierarchy
    uint32_t holds[CGROUP_HIERARCHIES];  // which controllers live there
    int parent[CGROUP_HIERARCHIES];
    char name[32];  // "bulkhead-<pid>"
};

struct cgroup_limits {
    uint64_t memory_max;
    uint32_t tasks_max;
};

/// Finds what the kernel offers by trying it, and makes this instance's directories. Removes those of dead instances.
void cgroups_open(struct cgroups *groups);

/// Kills what is left in any cell of this instance and removes all its directories, its own too when `final`.
void cgroups_sweep(struct cgroups *groups, bool final);

/// How a cell's init gets into its cgroups.
struct cgroup_entry {
    int directory;                  // v2: to be born in (CLONE_INTO_CGROUP); -1 on v1
    int procs[CGROUP_HIERARCHIES];  // v1: `tasks` files to join by, see cgroup_create
    int procs_count;
};

/// Makes a cell's cgroups and opens the ways into them. Returns 0, or an errno; nothing is left behind then.
int cgroup_create(struct cgroups *groups, const char *cell, struct cgroup_entry *entry);

/// Opens the ways into a cell's cgroups that are there already. Returns 0, or an errno.
int cgroup_enter(struct cgroups *groups, const char *cell, struct cgroup_entry *entry);

/// Whether nothing lives in the cell's cgroups and their counters stand at zero again. Always false on v2, where a peak
/// cannot be reset, and making a cgroup anew costs little.
bool cgroup_reset(struct cgroups *groups, const char *cell);

/// Ends processes of the cell other than its init and `worker`, some at a time. Returns how many threads the worker has when
/// it is alone; 0 while others are left; -1 when nobody can tell.
int cgroup_clear(struct cgroups *groups, const char *cell, pid_t init, pid_t worker);

/// Closes the ways in.
void cgroup_close(struct cgroup_entry *entry);

/// Sets a cell's limits. Returns 0, or an errno.
int cgroup_limit(struct cgroups *groups, const char *cell, const struct cgroup_limits *limits);

/// Sets how much CPU time a cell gets beside others, on v2's scale. Returns 0, or an errno.
int cgroup_weigh(struct cgroups *groups, const char *cell, uint32_t cpu_weight);

/// Opens the files that tell CPU time and peak memory. Returns how many descriptors `out` holds: 0 or 2.
int cgroup_usage_files(struct cgroups *groups, const char *cell, int out[2]);

/// The cell's CPU time in ns and its peak memory in bytes.
void cgroup_read(struct cgroups *groups, const char *cell, uint64_t *cpu_ns, uint64_t *peak);

/// Whether the kernel's OOM killer struck in the cell.
bool cgroup_saw_oom(struct cgroups *groups, const char *cell);

/// Ends every process of the cell, also stopped and forking ones.
void cgroup_kill(struct cgroups *groups, const char *cell);

/// Removes the cell's directories. Returns false while something still lives in one.
bool cgroup_remove(struct cgroups *groups, const char *cell);
