// Cells from the outside: a table of slots, each empty, ready (built, for no version yet or for one), bound, or being
// removed.
#pragma once

#include "functions.h"
#include "report.h"
#include "versions.h"

#define CELLS 8192       // more than descriptors allow
#define OWN_TASKS 1      // init, beside a tenant's
#define KEPT_TASKS 2     // in a cell that is kept for its version's next worker, the watcher as well
#define IDS_PER_SLOT 16  // a uid comes back only after that many other cells in its slot

enum cell_state { CELL_EMPTY, CELL_READY, CELL_BOUND, CELL_REMOVING };

struct cell {
    enum cell_state state;
    bool started, ended, killed;
    bool spare;           // ready for whichever function comes
    uint64_t id;          // the supervisor's name for it, once bound
    uint32_t generation;  // of this slot
    uint32_t flags;
    uint32_t cpu_weight;  // the plan's
    bool demoted;         // it has lost its head start
    bool is_awaited;      // a launch waits for it to be built
    bool shows_cgroups, serves_once;  // of a version that is not known yet
    struct cgroup_limits limits, together;  // as they are set
    uint64_t version;     // what it is ready for or bound to and may serve again; 0: none
    int plan;             // of a version that is not known yet; -1: none
    int network;          // a network namespace of the cell's own; -1: none
    bool is_marred;       // its cgroups may hold what others' do not, and are for no other cell
    int listener;         // in there, until the supervisor has it; -1: none
    uint64_t since;       // monotonic ns; when it became ready for its version
    int init, pidfd, status;
    int32_t pid;          // the worker's, in our view
    int32_t watcher;      // likewise who watches it: init, or a child of that
    uint32_t function;    // in whose directory its cgroups are
    char group[32];
    struct report denied, exit;
    bool to_be_locked;    // as soon as the worker runs
    uint64_t clear_until, clear_next, clear_wait;  // monotonic ns; while what is beside the worker is being ended
    uint64_t requested_ns;
};

struct cell_options {
    int store;         // directory of the bundles, each under its digest
    uid_t first_uid;   // root mode: cells take their ids from here on
    struct mode mode;
};

extern struct cell cells[CELLS];

/// Starts a cell's init in an empty slot, for `function` or NOBODY; it builds itself and then waits for its binding. With a
/// `version` it takes over what an earlier cell of that has made, and waits for streams only.
/// `network`: of the cell's own, which it takes over, even where this fails; -1: the one that all share. `is_awaited`: somebody
/// waits for this very cell.
struct step cell_prepare(const struct cell_options *options, struct cgroups *groups, uint32_t slot, uint32_t function,
                         const struct version *version, int network, bool is_awaited);

/// Removes the cell's cgroups, or leaves them to its function's next cell. Returns false while something still lives in one.
bool cell_remove(struct cgroups *groups, struct cell *cell);

/// The cell is bound, loses its head start, runs no more: what its function may take beside others follows from that.
/// Returns 0, or an errno.
int cell_begin(struct cgroups *groups, struct cell *cell);
int cell_demote(struct cgroups *groups, struct cell *cell);
void cell_end(struct cgroups *groups, struct cell *cell);

/// Whether the cell, whose init has been waited for, has ended as it should, so that its version may have another one ahead
/// of need: not killed, by no signal, with no call denied.
bool cell_ended_well(const struct cell *cell);

/// Whether the cell itself may serve its version again: its cgroup is empty and counts from zero again.
bool cell_is_as_new(struct cgroups *groups, struct cell *cell);

/// Starts another init in a cell that is as new; from then on it is ready for its version.
/// Returns false when that did not work: the cell is then to be removed.
bool cell_renew(const struct cell_options *options, struct cgroups *groups, uint32_t slot, const struct version *version);

/// Has the init of a cell that is as new, and in which nobody else is left, start another worker; from then on it is ready for
/// its version.
void cell_again(struct cell *cell);

/// Closes what leads into the cell's network.
void cell_forget_network(struct cell *cell);

/// Closes what was kept of a version that is not known yet.
void cell_forget_version(struct cell *cell);

/// Gives a ready cell its version: limits, mounts, standard streams. `plan` is what `fds` begins with, which are as in
/// BH_REQUEST_LAUNCH, `fd_count` of them; `version`: the request's. Where it fails the cell is
/// to be killed.
struct step cell_bind(const struct cell_options *options, struct cgroups *groups, struct cell *cell, const struct plan *plan,
                      const int *fds, int fd_count, uint64_t version);

/// Tells the cell's init, once it watches its worker, that the lock is on. Where that cannot be told, the cell ends.
void cell_lock(struct cell *cell);

/// Ends everything in the cell.
void cell_kill(struct cell *cell);

/// Gives a cell that is ready for its version the standard streams in `fds`. As `cell_bind`.
struct step cell_reuse(const struct cell_options *options, struct cell *cell, const int *fds);
