// What the supervisor takes from itself before it serves.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CHostSystem.h"

// Newer than Debian 12's header; the kernel's ABI says which of them it knows.
#define FS_REFER (1ull << 13)      // ABI 2
#define FS_TRUNCATE (1ull << 14)   // ABI 3
#define NET_BIND (1ull << 0)       // ABI 4
#define NET_CONNECT (1ull << 1)    // ABI 4
#define FS_IOCTL_DEV (1ull << 15)  // ABI 5
#define SCOPE_ALL 3ull             // ABI 6: abstract unix sockets, signals

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE                                                                                                        \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | FS_REFER | FS_TRUNCATE)
#define OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)

int bh_thread_count(void) {
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return 0;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static int allow(int ruleset, uint64_t known, const struct bh_reach *reach) {
    int fd = open(reach->path, O_PATH | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT || errno == EACCES ? 0 : errno;
    struct stat info;
    int error = fstat(fd, &info) < 0 ? errno : 0;
    uint64_t rights = READ | (reach->writes ? WRITE : 0);
    if (!S_ISDIR(info.st_mode)) rights &= OF_FILES;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & known, .parent_fd = fd};
    if (!error && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) error = errno;
    close(fd);
    return error;
}

int bh_restrict_reach(const struct bh_reach *reach, int count) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0) return errno;
    struct {
        uint64_t fs, net, scoped;
    } handled = {
        .fs = ((1ull << 13) - 1) | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0),
        .net = abi >= 4 ? NET_BIND | NET_CONNECT : 0,
        .scoped = abi >= 6 ? SCOPE_ALL : 0,
    };
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, abi >= 6 ? sizeof handled : abi >= 4 ? 16 : 8, 0);
    if (ruleset < 0) return errno;
    int error = 0;
    for (int i = 0; i < count && !error; i++) error = allow(ruleset, handled.fs, &reach[i]);
    if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) error = errno;
    if (!error && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) error = errno;
    close(ruleset);
    return error;
}

int bh_install_filter(const void *program, unsigned short count) {
    struct sock_fprog filter = {.len = count, .filter = (struct sock_filter *)program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) < 0 ? errno : 0;
}
