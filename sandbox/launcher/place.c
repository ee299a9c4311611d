#include "place.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

int place_tmpfs(uint64_t bytes, uint32_t inodes, const char *mode, unsigned attributes) {
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

// -- In any root ------------------------------------------------------------------------------------------------------

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

int place_mount(int root, int tree, const char *path) {
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

int place_link(int root, const char *text, const char *path) {
    const char *leaf;
    int parent = open_parent(root, path, &leaf);
    if (parent < 0) return errno;
    int error = symlinkat(text, parent, leaf) < 0 ? errno : 0;
    close(parent);
    return error;
}

// -- In a new one -----------------------------------------------------------------------------------------------------

/// Makes the folders that `path` stands in. False where that is of no use: none is missing.
static bool make_way(int root, const char *path) {
    char part[1024];
    bool any = false;
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - path) - 1;
        if (length >= sizeof part) return false;
        memcpy(part, path + 1, length);
        part[length] = 0;
        if (mkdirat(root, part, 0755) == 0) any = true;
        else if (errno != EEXIST) return false;
    }
    if (!any) errno = ENOENT;
    return any;
}

int place_new_link(int root, const char *text, const char *path) {
    int made;
    do made = symlinkat(text, root, path + 1);
    while (made < 0 && errno == ENOENT && make_way(root, path));
    return made < 0 ? errno : 0;
}

int place_new_file(int root, const char *path, const char *text, size_t length) {
    int file;
    do file = openat(root, path + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    while (file < 0 && errno == ENOENT && make_way(root, path));
    if (file < 0) return errno;
    ssize_t written = write(file, text, length);
    int error = written < 0 ? errno : written == (ssize_t)length ? 0 : EIO;
    close(file);
    return error;
}

int place_new_point(int root, const char *path, mode_t kind) {
    int made;
    do made = kind == S_IFDIR ? mkdirat(root, path + 1, 0755) : mknodat(root, path + 1, S_IFREG | 0444, 0);
    while (made < 0 && errno == ENOENT && make_way(root, path));
    return made < 0 ? errno : 0;
}
