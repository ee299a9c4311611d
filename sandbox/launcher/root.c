// The cell's private root: a tmpfs that holds only mount points, built from descriptors, then made read-only.
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "made.h"
#include "own.h"
#include "root.h"

const struct device devices[DEVICE_COUNT] = {
    {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9},
};

/// Mounts a tmpfs with bounded bytes and inodes and returns it detached, or -1.
static int tmpfs(uint64_t bytes, uint32_t inodes, const char *mode, unsigned attributes) {
    char size[24], count[24];
    format_number(size, bytes);
    format_number(count, inodes);
    int fs = sys_fsopen("tmpfs");
    if (fs < 0) return -1;
    int mount = -1;
    if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "size", size) == 0 &&
        sys_fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", count) == 0 &&
        sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode) == 0 &&
        sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) == 0)
        mount = sys_fsmount(fs, attributes);
    int error = errno;
    close(fs);
    errno = error;
    return mount;
}

#define NO_LINKS (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

/// Opens the folder that `path` (absolute, plain) stands in, making what is missing, and points `*leaf` at its last name.
/// Through no link, though the host's tree is out of reach by now: a plan may hold any.
static int open_parent(int root, const char *path, const char **leaf) {
    char part[1024];  // plan_read has checked that no path is longer, and no name in it than 255
    const char *name = path + 1, *last = strrchr(path, '/');
    *leaf = last + 1;
    if (last == path) return fcntl(root, F_DUPFD_CLOEXEC, 3);
    memcpy(part, name, (size_t)(last - name));
    part[last - name] = 0;
    int folder = sys_openat2(root, part, O_PATH | O_DIRECTORY, NO_LINKS);
    if (folder >= 0 || errno != ENOENT) return folder;
    // One step at a time.
    folder = fcntl(root, F_DUPFD_CLOEXEC, 3);
    for (const char *slash; folder >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
        size_t length = (size_t)(slash - name);
        memcpy(part, name, length);
        part[length] = 0;
        int made = mkdirat(folder, part, 0755);
        int inner = made < 0 && errno != EEXIST && errno != EROFS
                        ? -1
                        : sys_openat2(folder, part, O_PATH | O_DIRECTORY, NO_LINKS);
        int error = errno;
        close(folder);
        errno = error;
        folder = inner;
    }
    return folder;
}

/// Opens a mount point. A link of ours that is in its way (/etc/passwd) gives way to what the manifest grants.
static int open_target(int parent, const char *name) {
    int target = sys_openat2(parent, name, O_PATH, NO_LINKS);
    if (target >= 0 || errno != ELOOP || unlinkat(parent, name, 0) < 0) return target;
    if (mknodat(parent, name, S_IFREG | 0444, 0) < 0) return -1;
    return sys_openat2(parent, name, O_PATH, NO_LINKS);
}

/// Attaches a detached mount at `path`, making a folder or an empty file to mount on.
static int attach(int root, int tree, const char *path) {
    struct stat info;
    if (fstatat(tree, "", &info, AT_EMPTY_PATH) < 0) return errno;
    const char *leaf;
    int parent = open_parent(root, path, &leaf);
    if (parent < 0) return errno;
    int made = S_ISDIR(info.st_mode) ? mkdirat(parent, leaf, 0755) : mknodat(parent, leaf, S_IFREG | 0444, 0);
    int target = made < 0 && errno != EEXIST && errno != EROFS ? -1 : open_target(parent, leaf);
    int error = target < 0 ? errno : 0;
    close(parent);
    if (error) return error;
    error = sys_move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? errno : 0;
    close(target);
    return error;
}

static int make_link(int root, const char *text, const char *path) {
    const char *leaf;
    int parent = open_parent(root, path, &leaf);
    if (parent < 0) return errno;
    int error = symlinkat(text, parent, leaf) < 0 ? errno : 0;
    close(parent);
    return error;
}

static int make_devices(const struct cell_spec *spec, int root) {
    for (int i = 0; i < DEVICE_COUNT; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/%s", devices[i].name);
        if (spec->birth->mode->root) {
            dev_t number = makedev(devices[i].major, devices[i].minor);
            if (mknodat(root, path + 1, S_IFCHR | 0666, number) < 0) return errno;
            if (fchmodat(root, path + 1, 0666, 0) < 0) return errno;
        } else {
            // A user namespace cannot make device nodes; the host's own are bound in instead.
            int error = attach(root, spec->devices[i], path);
            if (error) return error;
        }
    }
    return 0;
}

struct step root_fill(const struct cell_spec *spec, int root) {
    const struct plan *plan = &spec->plan;
    int error = 0;
    // As root they are there since `root_prepare`.
    uint32_t stage = BH_STAGE_DEVICES;
    if (!spec->birth->mode->root && (error = make_devices(spec, root))) return failed(stage, error);
    stage = BH_STAGE_MOUNT;
    for (unsigned i = 0; i < plan->header->mount_count; i++) {
        const char *target = plan->mount_target[i];
        if (plan->header->mounts[i].kind == BH_MOUNT_SYMLINK) {
            if ((error = make_link(root, plan->mount_source[i], target))) return failed(stage, error);
        } else if (spec->trees[i] >= 0 && (error = attach(root, spec->trees[i], target))) {
            return failed(stage, error);
        }
    }
    if (plan->header->scratch_bytes && mkdirat(root, "tmp", 0755) < 0 && errno != EEXIST) return failed(stage, errno);
    if (!(plan->header->flags & BH_PLAN_CGROUPS) || !spec->birth->groups->views) return done;
    // Where each cell will have its own.
    static const char *const folders[] = {"sys", "sys/fs", "sys/fs/cgroup"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdirat(root, folders[i], 0755) < 0 && errno != EEXIST) return failed(stage, errno);
    for (int i = 0; i < spec->birth->groups->views; i++) {
        char path[48];
        snprintf(path, sizeof path, "sys/fs/cgroup/%s", spec->birth->groups->view_name[i]);
        if (mkdirat(root, path, 0755) < 0 && errno != EEXIST) return failed(stage, errno);
        if (!spec->birth->groups->view_is_file[i]) continue;
        snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", CPUSET_FILE);
        if (mknodat(root, path, S_IFREG | 0444, 0) < 0 && errno != EEXIST) return failed(stage, errno);
    }
    return done;
}

static int make_text(int root, const struct made_file *file) {
    const char *leaf;
    int parent = open_parent(root, file->path, &leaf);
    if (parent < 0) return errno;
    int text = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    int error = text < 0 || write(text, file->text, file->length) != (ssize_t)file->length ? errno : 0;
    if (text >= 0) close(text);
    close(parent);
    return error;
}

static int make(int root, const struct made_file *file, int tree) {
    switch (file->kind) {
    case MADE_TEXT: return make_text(root, file);
    case MADE_LINK: return make_link(root, file->text, file->path);
    case MADE_BIND: return tree >= 0 ? attach(root, tree, file->path) : 0;
    }
    return EINVAL;
}

/// Opens what every root shows of the host, while that is in sight. Missing: not shown.
static int open_common(int trees[MADE_MAX]) {
    for (unsigned i = 0; i < made_count; i++) {
        trees[i] = -1;
        if (made_files[i].kind != MADE_BIND) continue;
        trees[i] = sys_open_tree(AT_FDCWD, made_files[i].path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (trees[i] < 0 && errno == ENOENT) continue;
        if (trees[i] < 0 || sys_mount_setattr(trees[i], 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV) < 0) return errno;
    }
    return 0;
}

/// What every root holds, whoever's it will be.
static int make_common(int root, const int trees[MADE_MAX]) {
    static const struct {
        const char *path, *text;
    } links[] = {
        {"/dev/fd", "/proc/self/fd"},           {"/dev/stdin", "/proc/self/fd/0"},
        {"/dev/stdout", "/proc/self/fd/1"},     {"/dev/stderr", "/proc/self/fd/2"},
        {"/dev/shm", OWN_FOLDER "/shm"},        {"/etc/passwd", OWN_FOLDER "/passwd"},
        {"/etc/group", OWN_FOLDER "/group"},
    };
    static const char *const folders[] = {"dev", "etc", "proc", &OWN_FOLDER[1]};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdirat(root, folders[i], 0755) < 0) return errno;
    int error = 0;
    for (size_t i = 0; !error && i < sizeof links / sizeof *links; i++) error = make_link(root, links[i].text, links[i].path);
    // Each cell's own text is written into it once its plan is known.
    if (!error && mknodat(root, "proc/meminfo", S_IFREG | 0444, 0) < 0) error = errno;
    for (unsigned i = 0; !error && i < made_count; i++) {
        error = make(root, &made_files[i], trees[i]);
        if (trees[i] >= 0) close(trees[i]);
    }
    return error;
}

struct step root_prepare(const struct birth *birth, int *root) {
    uint32_t stage = BH_STAGE_MADE;
    int trees[MADE_MAX];
    int error = open_common(trees);
    if (error) return failed(stage, error);
    stage = BH_STAGE_ROOT;
    // Nothing done here may reach the host's mount table, nor the other way round.
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return failed(stage, errno);
    // Room for the mount points and what all cells have. /tmp is only a handle to pivot from; any existing folder would do.
    *root = tmpfs(1024 * 1024, 512, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    if (*root < 0 || sys_move_mount(*root, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0) return failed(stage, errno);

    // Now, not once the version is known: letting go of the host's tree waits for an RCU grace period, and whatever a plan
    // says is then done where no path leads to the host any more.
    stage = BH_STAGE_PIVOT;
    if (fchdir(*root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return failed(stage, errno);
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) return failed(stage, errno);
    stage = BH_STAGE_MADE;
    if ((error = make_common(*root, trees))) return failed(stage, error);
    stage = BH_STAGE_DEVICES;
    struct cell_spec spec = {.birth = birth};
    if (birth->mode->root && (error = make_devices(&spec, *root))) return failed(stage, error);
    return done;
}

struct step root_seal(void) {
    const uint32_t stage = BH_STAGE_READ_ONLY;
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return failed(stage, errno);
    int error = sys_mount_setattr(root, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) < 0 ? errno : 0;
    close(root);
    return failed(stage, error);
}
