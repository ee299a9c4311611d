#include "furniture.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "made.h"
#include "own.h"
#include "place.h"

// Of a root: room for the mount points and what all cells have.
#define ROOT_BYTES (1024 * 1024)
#define ROOT_INODES 512
#define ROOT_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV)

const struct device devices[DEVICE_COUNT] = {
    {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9},
};

int blank_table = -1;

// -- The host's part --------------------------------------------------------------------------------------------------

/// What stands at the path of something shown; all zero where there is nothing.
static struct stat look_at(const struct made_file *file) {
    struct stat info;
    return stat(file->path, &info) < 0 ? (struct stat){0} : info;
}

/// Opens what every root shows of the host, while that is in sight. Missing: not shown.
static int open_shown(int trees[MADE_MAX]) {
    for (unsigned i = 0; i < made_count; i++) {
        if (made_files[i].kind != MADE_BIND) continue;
        made_files[i].shown = 0;
        struct stat found = look_at(&made_files[i]);
        made_files[i].device = found.st_dev;
        made_files[i].file = found.st_ino;
        trees[i] = sys_open_tree(AT_FDCWD, made_files[i].path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (trees[i] < 0 && errno == ENOENT) continue;
        struct stat info;
        if (trees[i] < 0 || sys_seal_copy(trees[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV) < 0) return errno;
        if (fstatat(trees[i], "", &info, AT_EMPTY_PATH) < 0) return errno;
        made_files[i].shown = info.st_mode & S_IFMT;
    }
    return 0;
}

/// A new tmpfs becomes the root; nothing done here may reach the host's mount table, nor the other way round.
static struct step leave_host(int *root, unsigned attributes) {
    uint32_t stage = BH_STAGE_ROOT;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return failed(stage, errno);
    // /tmp is only a handle to pivot from; any existing folder would do.
    *root = place_tmpfs(ROOT_BYTES, ROOT_INODES, "0755", attributes);
    if (*root < 0 || sys_move_mount(*root, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0) return failed(stage, errno);
    // Now, not once the version is known: letting go of the host's tree waits for an RCU grace period, and whatever a plan
    // says is then done where no path leads to the host any more.
    stage = BH_STAGE_PIVOT;
    if (fchdir(*root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return failed(stage, errno);
    return failed(stage, umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? errno : 0);
}

// -- What is made -----------------------------------------------------------------------------------------------------

/// Whether it is the same file for all, rather than one beside what a version may bring.
static bool is_furniture(const struct made_file *file) { return strncmp(file->path, "/proc/", 6) == 0; }

static int make_one(int root, const struct made_file *file) {
    return file->kind == MADE_LINK ? place_new_link(root, file->text, file->path)
                                   : place_new_file(root, file->path, file->text, file->length);
}

static int make_all(int root, bool furniture) {
    int error = 0;
    for (unsigned i = 0; i < made_count && !error; i++)
        if (made_files[i].kind != MADE_BIND && is_furniture(&made_files[i]) == furniture) error = make_one(root, &made_files[i]);
    return error;
}

static int make_folders(int root, const char *const *folders, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (mkdirat(root, folders[i], 0755) < 0) return errno;
    return 0;
}

/// What a root has of its own: the folders and files beside which a version's mounts will stand.
static int make_frame(int root) {
    static const char *const folders[] = {"dev", "etc", "proc", &OWN_FOLDER[1]};
    int error = make_folders(root, folders, sizeof folders / sizeof *folders);
    if (!error) error = place_new_link(root, OWN_FOLDER "/passwd", "/etc/passwd");
    if (!error) error = place_new_link(root, OWN_FOLDER "/group", "/etc/group");
    // Each version's own text is written into it once its plan is known.
    if (!error) error = place_new_point(root, OWN_MEMINFO, S_IFREG);
    if (!error) error = make_all(root, false);
    for (unsigned i = 0; i < made_count && !error; i++)
        if (made_files[i].shown) error = place_new_point(root, made_files[i].path, made_files[i].shown);
    return error;
}

/// In folders that are there.
static int make_furniture(int root) {
    static const struct {
        const char *path, *text;
    } links[] = {
        {"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"},  {"/dev/stdout", "/proc/self/fd/1"},
        {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/shm", OWN_FOLDER "/shm"},
    };
    int error = 0;
    for (size_t i = 0; !error && i < sizeof links / sizeof *links; i++) error = place_new_link(root, links[i].text, links[i].path);
    return error ? error : make_all(root, true);
}

/// A user namespace cannot make device nodes; the host's own are bound in once the cell is bound (root.c).
static int make_devices(int root) {
    for (int i = 0; i < DEVICE_COUNT; i++) {
        char path[32];
        snprintf(path, sizeof path, "dev/%s", devices[i].name);
        if (mknodat(root, path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0) return errno;
        if (fchmodat(root, path, 0666, 0) < 0) return errno;  // whatever the umask
    }
    return 0;
}

/// Makes a folder a mount, which can be moved.
static int make_movable(int root, const char *folder, uint64_t attributes) {
    int tree = sys_open_tree(root, folder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0) return errno;
    int error = sys_seal_copy(tree, attributes) < 0 || sys_move_mount(tree, "", root, folder, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? errno : 0;
    close(tree);
    return error;
}

// -- As root ----------------------------------------------------------------------------------------------------------

static struct step fill_blank(int root, const int trees[MADE_MAX]) {
    static const char *const folders[] = {"dev", "proc"};
    uint32_t stage = BH_STAGE_MADE;
    int error = make_folders(root, folders, sizeof folders / sizeof *folders);
    if (!error) error = make_furniture(root);
    for (unsigned i = 0; i < made_count && !error; i++)
        if (made_files[i].shown) error = place_mount(root, trees[i], made_files[i].path);
    if (error) return failed(stage, error);
    if ((error = make_devices(root))) return failed(BH_STAGE_DEVICES, error);
    const uint64_t sealed = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    // A device can be written on a read-only mount; its node's times, which all cells see, cannot.
    error = make_movable(root, "dev", sealed);
    if (!error && sys_mount_setattr(root, 0, sealed | MOUNT_ATTR_NODEV) < 0) error = errno;
    return failed(stage, error);
}

/// Whoever is not in its own table any more must not go on.
static void go_home(int home, int own_root) {
    if (setns(home, CLONE_NEWNS) == 0 && fchdir(own_root) == 0 && chroot(".") == 0) return;
    fprintf(stderr, "bulkhead-launcher: cannot go back to its own mount table: %s\n", strerror(errno));
    _exit(1);
}

static struct step make_blank(int *blank) {
    const uint32_t stage = BH_STAGE_MADE;
    int trees[MADE_MAX], root = -1;
    // A root that was changed by chroot(2) is lost on the way.
    int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), own_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct step made = failed(stage, home < 0 || own_root < 0 ? errno : 0);
    memset(trees, -1, sizeof trees);
    if (!made.error) made = failed(stage, open_shown(trees));
    if (!made.error && unshare(CLONE_NEWNS) < 0) made = failed(stage, errno);
    if (!made.error) {
        *blank = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        made = *blank < 0 ? failed(stage, errno) : leave_host(&root, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
        if (!made.error) made = fill_blank(root, trees);
        go_home(home, own_root);
    }
    for (unsigned i = 0; i < made_count; i++)
        if (trees[i] >= 0) close(trees[i]);
    const int own[] = {root, home, own_root};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] >= 0) close(own[i]);
    return made;
}

struct step furniture_open(void) { return make_blank(&blank_table); }

bool furniture_refresh(void) {
    bool is_old = false;
    for (unsigned i = 0; i < made_count && !is_old && blank_table >= 0; i++) {
        if (made_files[i].kind != MADE_BIND) continue;
        struct stat now = look_at(&made_files[i]);
        is_old = now.st_dev != made_files[i].device || now.st_ino != made_files[i].file;
    }
    int anew = -1;
    if (!is_old) return false;
    struct made_file before[MADE_MAX];
    memcpy(before, made_files, sizeof before);
    struct step made = make_blank(&anew);
    if (made.error) {
        fprintf(stderr, "bulkhead-launcher: stage %u of what all cells have alike, once more: %s\n", made.stage, strerror(made.error));
        memcpy(made_files, before, sizeof before);
        if (anew >= 0) close(anew);
        return false;
    }
    close(blank_table);
    blank_table = anew;
    return true;
}

/// A copy of the blank table, and over its root a new one. No pivot_root(2): that would have to let go of the old one, and wait.
static struct step take_blank(int *root, int *furniture) {
    const uint32_t stage = BH_STAGE_ROOT;
    if (setns(blank_table, CLONE_NEWNS) < 0 || unshare(CLONE_NEWNS) < 0) return failed(stage, errno);
    close(blank_table);
    if ((*furniture = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) return failed(stage, errno);
    *root = place_tmpfs(ROOT_BYTES, ROOT_INODES, "0755", ROOT_ATTRIBUTES);
    if (*root < 0 || sys_move_mount(*root, "", *furniture, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return failed(stage, errno);
    // Who enters this table later comes to stand on the new one at once (setns(2)).
    if (fchdir(*root) < 0 || chroot(".") < 0 || fchdir(*furniture) < 0) return failed(stage, errno);
    int error = make_frame(*root);
    if (!error && sys_move_mount(*furniture, "dev", *root, "dev", 0) < 0) error = errno;
    for (unsigned i = 0; i < made_count && !error; i++) {
        const char *path = made_files[i].path + 1;
        if (made_files[i].shown && sys_move_mount(*furniture, path, *root, path, 0) < 0) error = errno;
    }
    return failed(BH_STAGE_MADE, error);
}

// -- In a user namespace ----------------------------------------------------------------------------------------------

static struct step make_own(int *root) {
    int trees[MADE_MAX];
    memset(trees, -1, sizeof trees);
    int error = open_shown(trees);
    if (error) return failed(BH_STAGE_MADE, error);
    struct step left = leave_host(root, ROOT_ATTRIBUTES);
    if (left.error) return left;
    error = make_frame(*root);
    if (!error) error = make_furniture(*root);
    for (unsigned i = 0; i < made_count; i++) {
        if (trees[i] < 0) continue;
        if (!error) error = place_mount(*root, trees[i], made_files[i].path);
        close(trees[i]);
    }
    return failed(BH_STAGE_MADE, error);
}

struct step furniture_take(const struct birth *birth, int *root, int *furniture) {
    *furniture = -1;
    return birth->mode->root ? take_blank(root, furniture) : make_own(root);
}
