// What every cell has to itself in a root that it may share: its processes in /proc, and a folder with its user's name, /tmp and
// /dev/shm. Made ahead of need, in a mount table that no other cell sees.
#pragma once

#include <time.h>

#include "birth.h"

#define OWN_FOLDER "/etc/bulkhead"
#define OWN_MEMINFO OWN_FOLDER "/meminfo"  // of the version's root: hidden as soon as the cell's own folder is there

/// Detached mounts and what belongs to them; each descriptor -1 where there is none.
struct own {
    int proc, proc_fs;      // procfs, and its context for changing it
    int run, run_fs;        // a tmpfs: at OWN_FOLDER, and by its folders at /tmp and /dev/shm
    int tmp;                // what belongs at /tmp
    int folder;             // of the files of /proc that all cells have
    int version;            // of OWN_FOLDER in the version's root, which is hidden later
    int meminfo, hosts;     // to be written; not where a version's first cell has done so
    int pins[4];            // entries of procfs that stay because somebody holds them
    struct shared_table pristine;  // as the version's next cells shall find it
    int mounts;             // this cell's own mount table
    int base;               // root of the first of the two tables
    uint64_t bytes;         // of the tmpfs
    uint32_t inodes;
    struct own_marks {
        uint64_t free_blocks, free_inodes;
        struct timespec tmp, shm;
    } untouched;            // the tmpfs as the worker found it
};

/// In the launcher: what all cells have alike.
void own_open(void);

/// Makes what must be made while the host's own procfs is in sight (in a user namespace no other can be made).
struct step own_begin(const struct birth *birth, struct own *own);

/// Fills in what has been begun, around `root`; the working directory is where the furniture is, which `pristine` comes to hold.
/// With `keeps_pristine` the root that a version may leave to its next cells stays behind in a table of its own. `scratch_bytes` is
/// a guess.
struct step own_attach(const struct birth *birth, struct own *own, int root, bool keeps_pristine, uint64_t scratch_bytes, uint32_t scratch_inodes);

/// Whether the tmpfs is as the worker found it: nothing has been made in it since.
bool own_is_untouched(const struct own *own);

/// Lets the next process of this pid namespace have the number after `last`, however many there were. Returns 0, or an errno.
int own_reset_pids(const struct birth *birth, pid_t last);

/// Ends it, now that the plan is known and the root is read-only.
struct step own_finish(struct cell_spec *spec, struct own *own);

/// Goes to the mount table that the version's next cells shall share, and comes back. Return 0, or an errno.
int own_enter_pristine(const struct own *own);
int own_leave_pristine(const struct own *own);

/// Nobody shares it.
void own_forget_pristine(struct own *own);

/// Writes what the plan says into files that are made for every cell: how much memory there is, what its name means. Before the
/// root is read-only. Returns 0, or an errno.
int own_write_plan(const struct cell_spec *spec, const struct own *own);
