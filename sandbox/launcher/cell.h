// A cell from the inside: what its init needs, and the report it sends back.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "cgroup.h"
#include "plan.h"

/// How this launcher runs; the same for all its cells.
struct mode {
    bool root;              // a uid per cell; else a user namespace per cell
    uint32_t landlock_abi;  // 0: the kernel has none
    bool allow_no_landlock;
    bool limits_memory;     // a memory cgroup holds the cells; else RLIMIT_DATA has to
    bool observes;          // for `policy learn`: init may look at path arguments
    bool keeps;             // cells can be kept: counters go back to zero, and so do pids
};

/// What a version's first cell leaves to those that come after it: a root that is filled and read-only, so that they can share
/// it.
struct version {
    uint64_t key;         // the supervisor's name for it
    char function[64];    // whose it is
    int plan;             // the sealed memfd
    int mounts, hostname, ipc;  // namespaces
    struct cgroup_limits limits, together;  // of a cell, and of all cells of the function
    uint32_t cpu_weight;
    bool shows_cgroups;
    bool keeps;             // its cells are kept for the next worker
};

/// What a cell's init is born with. Every descriptor here is open in init; every other one is closed first thing.
struct birth {
    const struct mode *mode;
    uid_t id;                       // uid and gid of the worker to come
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

enum report_kind { REPORT_FAILED = 1, REPORT_READY, REPORT_STARTED, REPORT_REFUSED, REPORT_DENIED, REPORT_EXITED, REPORT_LOCKED, REPORT_WORKER, REPORT_EMPTY };

/// Launcher to init, over `status`, once the worker runs: the lock is on. Any other message ends the cell.
struct order {
    uint32_t kind;
};
#define ORDER_LOCK 0x4c4f434bu
/// Launcher to init, that has reported that nobody else is left: another worker of the same version shall wait here.
#define ORDER_AGAIN 0x4147414eu

/// init to launcher, over `status`.
struct report {
    uint32_t kind;
    uint32_t stage;
    int32_t error;
    int32_t status;  // as from wait(2)
    uint32_t arch;
    int64_t syscall;
    uint64_t args[6];
    uint64_t cpu_ns;       // of the worker's process and those it reaped
    uint64_t max_rss;      // bytes
};

/// Takes every capability from what this process and its children may ever gain by an exec. Returns 0 or an errno.
int drop_bounding_set(void);

/// Gives a signal its default meaning. Returns 0 or an errno.
int default_signal(int signal);

/// The entry of a cell's init (PID 1 of the new pid namespace). Never returns.
_Noreturn void cell_main(const struct birth *birth);

/// Makes the cell's mount table private and pivots into a root that holds what all cells have (`made.h`, /dev): from here on no
/// path leads to the host. Returns the root's descriptor, or -1 with errno and `*stage` set.
int root_prepare(const struct birth *birth, uint32_t *stage);

/// Fills the root with the spec's mounts. Returns 0, or an errno with `*stage` set.
int root_fill(const struct cell_spec *spec, int root, uint32_t *stage);

/// Makes the root read-only. Returns 0, or an errno with `*stage` set.
int root_seal(uint32_t *stage);

/// The names of the device nodes every cell has.
#define DEVICE_COUNT 5
extern const struct device {
    const char *name;
    unsigned major, minor;
} devices[DEVICE_COUNT];

/// A ruleset that reaches what the root holds, and will hold, as far as this kernel's Landlock goes; of the folder that is the
/// cell's own (own.h), `tmp` and `shm` can be written. -1 with errno on failure.
int landlock_rules(uint32_t abi, int own_folder);

/// The kernel's Landlock ABI; 0 when it has none.
uint32_t landlock_abi(void);

/// What the worker needs between fork and exec.
struct worker_spec {
    const struct cell_spec *cell;
    int executable;
    int landlock;  // ruleset, -1 when allowed to be missing
    bool awaits;   // its streams: it is started ahead of need
    bool reports;  // that it is there, so that the launcher can tell it from others; else its init does, who may speak for it
    struct sock_fprog filter;  // what the kernel gets of the plan's
    // results, in memory shared with init until exec
    volatile uint32_t stage;
    volatile int error;
    volatile int listener;
};

/// The worker's checklist, ending in execveat. Runs on init's memory: raw system calls only, allocates nothing.
int worker_main(void *spec);

/// Takes every capability from init and installs its own system call filter. Returns 0 or an errno.
/// One that observes, or keeps locks, keeps CAP_SYS_PTRACE, to look at its processes' memory and descriptors.
int init_confine(bool observes, bool keeps_locks);

/// Takes one notification off the listener. A refused call is answered and counted, an observed one goes on, and so does one
/// that is allowed until the lock; a denied one is reported and ends the cell.
void on_notification(const struct cell_spec *spec, int listener);

/// Reports the refusals that were counted since their last report.
void report_refusals(int status);

/// Whether there are any.
bool has_refusals(void);

void send_report(int status, const struct report *report);

/// Reports that the cell could not be made, and ends.
_Noreturn void cell_fail(const struct birth *birth, uint32_t stage, int error);

/// What a watcher tells init, whose child both are, in memory that they share.
struct watched_worker {
    volatile pid_t pid;              // before it runs
    volatile uint32_t has_started;   // its exec has been seen
    volatile uint32_t has_refusals;  // that are still to be reported
};

/// Touches what starting a worker writes to.
void watcher_touch(void);

/// Starts the worker and watches it. `pristine`: a mount table to report along, or -1. `child` is NULL for the init that does so
/// itself: it reaps, and ends with the worker. Otherwise init reaps, and this process ends on SIGTERM.
_Noreturn void watch_worker(struct cell_spec *spec, struct worker_spec *worker, int pristine, struct watched_worker *child);

/// Reports the worker's end.
void report_exited(int status, int how, const struct rusage *usage);
