#include "own.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "root.h"

// -- /proc ------------------------------------------------------------------------------------------------------------

// What stands here is the whole of procfs that is not a process's. Everything else is hidden by the file system itself, which
// knows nothing but processes as soon as subset=pid is set: but what is mounted over, or held open, it still finds. So these are
// looked up before, and what a newer kernel may add is never there.
#define MEMINFO "/proc/meminfo"
static const char *const covered[] = {"/proc/stat", "/proc/loadavg", "/proc/cgroups", "/proc/cpuinfo"};  // by files of ours, where there are; and MEMINFO
// Links to self/mounts and self/net; how long the machine runs, which clock_gettime(2) tells as well.
static const char *const pinned[] = {"mounts", "net", "uptime"};

// Three that every kernel has. None may be there afterwards.
static const char *const hidden[] = {"sys", "filesystems", "version"};

static int proc_begin(const struct birth *birth, struct own *own) {
    if ((own->proc_fs = sys_fsopen("proc")) < 0) return errno;
    if (sys_fsconfig(own->proc_fs, FSCONFIG_SET_STRING, "hidepid", "invisible") < 0 ||
        sys_fsconfig(own->proc_fs, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
        return errno;
    own->proc = sys_fsmount(own->proc_fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    // A container that hides parts of its own procfs gives us none (mount_too_revealing of the kernel): /proc then holds our
    // files alone.
    if (own->proc < 0 && errno == EPERM && !birth->mode->root) return 0;
    return own->proc < 0 ? errno : 0;
}

/// With the file of the same name in the working directory.
static int cover(const char *path, bool is_sealed) {
    if (mount(path + sizeof "/proc", path, NULL, MS_BIND, NULL) < 0) return errno == ENOENT ? 0 : errno;
    if (is_sealed) return 0;
    // In a user namespace the worker owns them.
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    return mount(NULL, path, NULL, flags, NULL) < 0 ? errno : 0;
}

/// `is_sealed`: the root is read-only, and so is what is bound out of it.
static int proc_attach(const struct birth *birth, struct own *own, bool is_sealed) {
    int error = 0;
    if (own->proc < 0) return 0;
    if (sys_move_mount(own->proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0) return errno;
    for (size_t i = 0; i < sizeof pinned / sizeof *pinned; i++)
        if ((own->pins[i] = openat(own->proc, pinned[i], O_PATH | O_NOFOLLOW | O_CLOEXEC)) < 0) return errno;
    if (fchdir(own->version) < 0) return errno;
    error = cover(MEMINFO, is_sealed);
    if (!error && fchdir(own->folder) < 0) error = errno;
    for (size_t i = 0; !error && i < sizeof covered / sizeof *covered; i++)
        error = cover(covered[i], is_sealed);
    if (chdir("/") < 0 && !error) error = errno;
    if (error) return error;
    if (sys_fsconfig(own->proc_fs, FSCONFIG_SET_STRING, "subset", "pid") < 0 ||
        sys_fsconfig(own->proc_fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL) < 0)
        return errno;
    // What the kernel does is the same for all cells.
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden && !birth->version; i++)
        if (faccessat(own->proc, hidden[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) return EPERM;
    return 0;
}

static int write_text(int folder, const char *name, const char *text, size_t length) {
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (file < 0) return errno;
    int error = write(file, text, length) == (ssize_t)length ? 0 : errno ? errno : EIO;
    close(file);
    return error;
}

// Where few bytes are put together printf is not called: the pages that it needs are the launcher's, and each cell would have to
// make its own of them first.

static char usual_memory[512];  // of most plans, made once

/// Of the cell, whose swap is 0. What of it is free changes, and nobody is told: as much as there is, as it starts.
static void format_memory(char text[512], uint64_t bytes) {
    unsigned long long memory = bytes >> 10;
    snprintf(text, 512,
             "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\nBuffers:               0 kB\n"
             "Cached:                0 kB\nSwapCached:            0 kB\nActive:                0 kB\nInactive:              0 kB\n"
             "SwapTotal:             0 kB\nSwapFree:              0 kB\nShmem:                 0 kB\nSReclaimable:          0 kB\n",
             memory, memory, memory);
}

void own_open(void) { format_memory(usual_memory, BH_PLAN_MEMORY); }

/// No shorter than what stood there: nobody has less.
static int write_memory(const struct own *own, const char *text) {
    ssize_t length = (ssize_t)strlen(text);
    return pwrite(own->meminfo, text, (size_t)length, 0) == length ? 0 : errno;
}

/// Opens what the plan will be written into: by the table in which it stays writable until then.
static int made_begin(struct own *own) {
    if ((own->meminfo = openat(own->base, &OWN_MEMINFO[1], O_WRONLY | O_CLOEXEC)) < 0) return errno;
    own->hosts = openat(own->base, "etc/hosts", O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (own->hosts < 0 && errno != ENOENT) return errno;
    return write_memory(own, usual_memory);
}

int own_write_plan(const struct cell_spec *spec, const struct own *own) {
    int error = 0;
    if (spec->plan.header->memory_max != BH_PLAN_MEMORY) {
        char text[512];
        format_memory(text, spec->plan.header->memory_max);
        error = write_memory(own, text);
    }
    close(own->meminfo);
    if (error || own->hosts < 0) return error;
    // Who asks for the address of its own name (a JVM does) is to get one.
    char text[128];
    size_t length = (size_t)(stpcpy(stpcpy(stpcpy(text, "127.0.1.1\t"), spec->plan.hostname), "\n") - text);
    error = write(own->hosts, text, length) == (ssize_t)length ? 0 : errno;
    close(own->hosts);
    return error;
}

// -- /tmp, /dev/shm, names ---------------------------------------------------------------------------------------------

#define RUN_FILES 2u               // passwd and group, of a page each
#define RUN_INODES (RUN_FILES + 3)  // and the folders

/// Tells the tmpfs how much there may be in it.
static int set_size(struct own *own, uint64_t bytes, uint32_t inodes, unsigned command) {
    char size[24], count[24];
    format_number(size, bytes + RUN_FILES * (uint64_t)getpagesize());
    format_number(count, inodes + RUN_INODES);
    own->bytes = bytes;
    own->inodes = inodes;
    return sys_fsconfig(own->run_fs, FSCONFIG_SET_STRING, "size", size) < 0 ||
                   sys_fsconfig(own->run_fs, FSCONFIG_SET_STRING, "nr_inodes", count) < 0 ||
                   sys_fsconfig(own->run_fs, command, NULL, NULL) < 0
               ? errno
               : 0;
}

/// The names that its uid and gid have.
static int write_names(const struct birth *birth, int run) {
    char text[256], id[24], *end = text;
    format_number(id, birth->id);
    end = stpcpy(stpcpy(stpcpy(stpcpy(end, "root:x:0:0:root:/:/usr/sbin/nologin\nfunction:x:"), id), ":"), id);
    end = stpcpy(end, ":function:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    int error = write_text(run, "passwd", text, (size_t)(end - text));
    if (error) return error;
    end = stpcpy(stpcpy(stpcpy(text, "root:x:0:\nfunction:x:"), id), ":\nnogroup:x:65534:\n");
    return write_text(run, "group", text, (size_t)(end - text));
}

static int make_folder(int parent, const char *name, mode_t mode) {
    return mkdirat(parent, name, mode) < 0 || fchmodat(parent, name, mode, 0) < 0 ? errno : 0;  // whatever the umask
}

static int run_attach(const struct birth *birth, struct own *own, uint64_t bytes, uint32_t inodes) {
    if ((own->run_fs = sys_fsopen("tmpfs")) < 0) return errno;
    if (sys_fsconfig(own->run_fs, FSCONFIG_SET_STRING, "mode", "0755") < 0) return errno;
    int error = set_size(own, bytes, inodes, FSCONFIG_CMD_CREATE);
    if (error) return error;
    // What runs in it could as well run in anonymous memory; and nobody is to see when an earlier one looked at its own.
    own->run = sys_fsmount(own->run_fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME);
    if (own->run < 0) return errno;
    if (sys_move_mount(own->run, "", AT_FDCWD, OWN_FOLDER, MOVE_MOUNT_F_EMPTY_PATH) < 0) return errno;
    if ((error = make_folder(own->run, "tmp", 01777)) || (error = make_folder(own->run, "shm", 01777))) return error;
    own->tmp = sys_open_tree(own->run, "tmp", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return own->tmp < 0 ? errno : write_names(birth, own->run);
}

// -- The order of it --------------------------------------------------------------------------------------------------

struct step own_begin(const struct birth *birth, struct own *own) {
    *own = (struct own){.proc = -1, .proc_fs = -1, .run = -1, .run_fs = -1, .tmp = -1, .folder = -1, .version = -1, .meminfo = -1, .hosts = -1,
                        .pristine = {-1, -1}, .mounts = -1, .base = -1};
    return failed(BH_STAGE_PROC, proc_begin(birth, own));
}

struct step own_attach(const struct birth *birth, struct own *own, int root, bool keeps_pristine, uint64_t scratch_bytes, uint32_t scratch_inodes) {
    int error = 0;
    uint32_t stage = BH_STAGE_ROOT;
    if (keeps_pristine) {
        // What will be mounted there appears here, but not the other way round.
        own->pristine.mounts = openat(own->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (own->pristine.mounts < 0 || mount(NULL, "/", NULL, MS_SHARED, NULL) < 0) return failed(stage, errno);
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_SLAVE, NULL) < 0) return failed(stage, errno);
        if ((own->mounts = openat(own->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC)) < 0) return failed(stage, errno);
    }
    // Nobody else will take anything from there.
    if (!keeps_pristine && own->pristine.furniture >= 0) close(own->pristine.furniture), own->pristine.furniture = -1;
    own->base = root;
    // Of the furniture: a working directory goes along into a copied table.
    if ((own->folder = open("proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 || chdir("/") < 0) return failed(stage, errno);
    if ((own->version = open(OWN_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) return failed(stage, errno);
    if (!birth->version && (error = made_begin(own))) return failed(stage, error);
    if (keeps_pristine) {
        int copy = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (copy < 0) return failed(stage, errno);
        struct step sealed = root_seal(copy);
        close(copy);
        if (sealed.error) return sealed;
    }
    stage = BH_STAGE_SCRATCH;
    if ((error = run_attach(birth, own, scratch_bytes, scratch_inodes))) return failed(stage, error);
    return failed(BH_STAGE_PROC, proc_attach(birth, own, keeps_pristine || birth->version));
}

int own_enter_pristine(const struct own *own) { return setns(own->pristine.mounts, CLONE_NEWNS) < 0 ? errno : 0; }

int own_leave_pristine(const struct own *own) { return setns(own->mounts, CLONE_NEWNS) < 0 ? errno : 0; }

void own_forget_pristine(struct own *own) {
    close(own->pristine.mounts);
    close(own->pristine.furniture);
    own->pristine = (struct shared_table){-1, -1};
}

static int read_marks(const struct own *own, struct own_marks *marks) {
    struct statfs system;
    struct stat tmp = {0}, shm = {0};
    if (fstatfs(own->run, &system) < 0) return errno;
    if (own->bytes && (fstatat(own->run, "tmp", &tmp, 0) < 0 || fstatat(own->run, "shm", &shm, 0) < 0)) return errno;
    *marks = (struct own_marks){system.f_bfree, system.f_ffree, tmp.st_ctim, shm.st_ctim};
    return 0;
}

static bool is_same(struct timespec a, struct timespec b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

bool own_is_untouched(const struct own *own) {
    struct own_marks now;
    const struct own_marks *then = &own->untouched;
    // A file that came and went within one tick of the kernel's clock leaves the times as they were, and nothing else either.
    return read_marks(own, &now) == 0 && now.free_blocks == then->free_blocks && now.free_inodes == then->free_inodes &&
           is_same(now.tmp, then->tmp) && is_same(now.shm, then->shm);
}

int own_reset_pids(const struct birth *birth, pid_t last) {
    char text[24];
    size_t length = format_number(text, (uint64_t)last);
    return pwrite(birth->mode->last_pid, text, length, 0) == (ssize_t)length ? 0 : errno;
}

struct step own_finish(struct cell_spec *spec, struct own *own) {
    const struct bh_plan *plan = spec->plan.header;
    uint32_t stage = BH_STAGE_SCRATCH;
    if (!plan->scratch_bytes) {
        close(own->tmp);
        own->tmp = -1;
        if (unlinkat(own->run, "tmp", AT_REMOVEDIR) < 0 || unlinkat(own->run, "shm", AT_REMOVEDIR) < 0) return failed(stage, errno);
        if (sys_mount_setattr(own->run, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) < 0)
            return failed(stage, errno);
    } else {
        int error = 0;
        if (plan->scratch_bytes != own->bytes || plan->scratch_inodes != own->inodes)
            error = set_size(own, plan->scratch_bytes, plan->scratch_inodes, FSCONFIG_CMD_RECONFIGURE);
        if (error) return failed(stage, error);
        if (sys_move_mount(own->tmp, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0) return failed(stage, errno);
        close(own->tmp);
        own->tmp = -1;
    }
    stage = BH_STAGE_CGROUP_VIEW;
    for (int i = 0; i < CGROUP_VIEWS && spec->views[i] >= 0; i++) {
        char path[48];
        const struct cgroups *groups = spec->birth->groups;
        const char *file = groups->view_is_file[i] ? "/" CPUSET_FILE : "";
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s", groups->view_name[i], file);
        if (sys_move_mount(spec->views[i], "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0) return failed(stage, errno);
        close(spec->views[i]);
    }
    stage = BH_STAGE_PROC;
    // As root the streams' rights are its group's (streams.c). An owner could change them, and then write what the next
    // invocation would be asked.
    if (plan->flags & BH_PLAN_FORKS && !spec->birth->mode->root && own->proc >= 0 && umount2("/proc", MNT_DETACH) < 0) return failed(stage, errno);
    struct stat info;
    if (fstat(own->run, &info) < 0) return failed(stage, errno);
    spec->own_device = info.st_dev;
    spec->proc = own->proc;
    if (!plan->scratch_bytes) own->bytes = 0;
    int error = spec->birth->version ? read_marks(own, &own->untouched) : 0;  // no other cell is kept
    if (error) return failed(stage, error);
    if (own->mounts >= 0) close(own->mounts), own->mounts = -1;
    if (own->base >= 0) close(own->base), own->base = -1;
    return done;
}
