// What the supervisor takes from itself before it serves.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../sandbox/abi/landlock_abi.h"
#include "CHostSystem.h"

#define OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | BH_LANDLOCK_TRUNCATE)

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
    uint64_t rights = BH_LANDLOCK_READ | (reach->writes ? BH_LANDLOCK_WRITE : 0);
    if (!S_ISDIR(info.st_mode)) rights &= OF_FILES;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & known, .parent_fd = fd};
    if (!error && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) error = errno;
    close(fd);
    return error;
}

int bh_restrict_reach(const struct bh_reach *reach, int count, bool connects) {
    uint32_t abi = bh_landlock_abi();
    if (!abi) return errno;
    int ruleset = bh_landlock_ruleset(abi, connects);
    if (ruleset < 0) return errno;
    int error = 0;
    for (int i = 0; i < count && !error; i++) error = allow(ruleset, bh_landlock_all(abi).fs, &reach[i]);
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

int bh_forbid_core(void) {
    struct rlimit none = {0, 0};
    // core(5): a pipe takes no notice of the limit, but asks this.
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0) return errno;
    return 0;
}
