// The launcher is root, a cell is nobody: what root can reach is no measure for what a cell may read. So a grant is opened with
// the cell's own uid and without the capabilities that pass file permissions by; then it is looked at what was found.
#include "grants.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "ties.h"

// -- Another's rights -------------------------------------------------------------------------------------------------

// Pass permissions by, or act as a file's owner. In a user namespace they hold for the user's own files.
#define FILE_RIGHTS                                                                                                  \
    (1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER | 1u << CAP_FSETID)

static int use_capabilities(const struct __user_cap_data_struct data[2]) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capset, &header, data) < 0 ? errno : 0;
}

static int read_capabilities(struct __user_cap_data_struct data[2]) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &header, data) < 0 ? errno : 0;
}

/// setfsuid(2) tells no failure: what is set is asked for anew.
static bool is_file_user(uid_t id) { return (uid_t)setfsuid((uid_t)-1) == id && (gid_t)setfsgid((gid_t)-1) == id; }

/// Supplementary groups the launcher has none, see main.c.
static int become(const struct cell_options *options, uid_t id, const struct __user_cap_data_struct own[2]) {
    struct __user_cap_data_struct without[2] = {own[0], own[1]};
    if (options->mode.root) {
        setfsgid(id);
        setfsuid(id);
        if (!is_file_user(id)) return EPERM;
    }
    without[0].effective &= ~FILE_RIGHTS;
    return use_capabilities(without);
}

/// A launcher that is not itself again would build cells with another's rights: it ends, and every cell with it.
static void come_back(const struct cell_options *options, const struct __user_cap_data_struct own[2]) {
    if (options->mode.root) {
        setfsuid(0);
        setfsgid(0);
        if (!is_file_user(0) || tie_again()) abort();
    }
    struct __user_cap_data_struct now[2];
    if (use_capabilities(own) || read_capabilities(now) || memcmp(now, own, sizeof now) != 0) abort();
}

/// Whether the file may be read by whoever we are now; a folder, listed and searched.
static int may_be_read(int fd, const struct stat *info) {
    int mode = S_ISDIR(info->st_mode) ? R_OK | X_OK : R_OK;
    return syscall(SYS_faccessat2, fd, "", mode, AT_EACCESS | AT_EMPTY_PATH) < 0 ? errno : 0;
}

// -- What is never granted --------------------------------------------------------------------------------------------

/// File systems that are doors into the kernel, or that hold other processes' things rather than files.
static bool is_the_kernels(const struct statfs *system) {
    switch ((uint32_t)system->f_type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case SELINUX_MAGIC:
    case SMACK_MAGIC:
    case BPF_FS_MAGIC:
    case PSTOREFS_MAGIC:
    case EFIVARFS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case 0x07655821u:           // resctrl
    case BINDERFS_SUPER_MAGIC:
    case BINFMTFS_MAGIC:
    case XENFS_SUPER_MAGIC:
    case NSFS_MAGIC:
    case SOCKFS_MAGIC:
    case PIPEFS_MAGIC:
    case ANON_INODE_FS_MAGIC:
    case HOSTFS_SUPER_MAGIC:
    case AUTOFS_SUPER_MAGIC:    // a look at it starts a program of the host's
    case HUGETLBFS_MAGIC:
    case DAXFS_MAGIC:
    case OPENPROM_SUPER_MAGIC:
    case 0x62656570u:           // configfs
    case 0x19800202u:           // mqueue
    case 0x65735543u:           // fusectl
    case 0x67596969u:           // rpc_pipefs
    case 0x6e667364u:           // nfsd
    case 0x50494446u:           // pidfs
    case 0x5dca2df5u:           // secretmem
        return true;
    default: return false;
    }
}

/// devtmpfs calls itself a tmpfs: it is known by being what stands at /dev, unless that is a folder of the root's.
static bool is_on_dev(const struct stat *info) {
    struct stat dev, root;
    if (stat("/dev", &dev) < 0 || stat("/", &root) < 0) return false;
    return dev.st_dev != root.st_dev && info->st_dev == dev.st_dev;
}

/// Where a descriptor's file really is. False when the kernel cannot say.
static bool real_path(int fd, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length <= 0) return false;
    path[length] = 0;
    return true;
}

/// Whether `path` is `folder` or something below it.
static bool is_within(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

/// The root, and the host's data directory, are never granted, however they are reached; nor what else stands below the
/// kernel's own file systems, such as a tmpfs that holds them, or a /dev that is a mere folder.
static bool has_a_place(const struct cell_options *options, int fd) {
    static char real[4096], data[4096];
    if (!real_path(fd, real) || !real_path(options->store, data)) return false;
    char *store_name = strrchr(data, '/');
    if (store_name && store_name != data) *store_name = 0;  // the data directory, tokens and all
    return strcmp(real, "/") != 0 && !is_within(real, "/proc") && !is_within(real, "/sys") && !is_within(real, "/dev") &&
           !is_within(real, data) && !is_within(data, real);
}

/// Only the one mount that holds it is copied later (`read_only_tree`), so that its file system is all there is to look at.
static int may_be_granted(const struct cell_options *options, int fd, const struct stat *info) {
    struct statfs system;
    if (fstatfs(fd, &system) < 0) return errno;
    bool is_file = S_ISREG(info->st_mode) || S_ISDIR(info->st_mode);
    return is_file && !is_the_kernels(&system) && !is_on_dev(info) && has_a_place(options, fd) ? 0 : EACCES;
}

// -- Opening ----------------------------------------------------------------------------------------------------------

int grant_open(const struct cell_options *options, uid_t id, const char *path) {
    struct __user_cap_data_struct own[2];
    int error = read_capabilities(own), fd = -1;
    struct stat info;
    if (!error) {
        error = become(options, id, own);
        // Links are followed (/lib64 is one), magic links never.
        if (!error && (fd = sys_openat2(AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS)) < 0) error = errno;
        if (!error && fstat(fd, &info) < 0) error = errno;
        if (!error) error = may_be_read(fd, &info);
        come_back(options, own);
    }
    if (!error) error = may_be_granted(options, fd, &info);
    if (!error) return fd;
    if (fd >= 0) close(fd);
    errno = error;
    return -1;
}
