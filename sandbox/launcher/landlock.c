// Landlock: a second wall behind the mount namespace. https://docs.kernel.org/userspace-api/landlock.html
#include <stdio.h>
#include <string.h>

#include "../abi/landlock_abi.h"
#include "landlock.h"
#include "sys.h"

#define SCRATCH (BH_LANDLOCK_READ | BH_LANDLOCK_WRITE | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_EXECUTE)

static int allow(int ruleset, uint32_t abi, int folder, const char *path, uint64_t rights) {
    int fd = openat(folder, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & bh_landlock_all(abi).fs, .parent_fd = fd};
    int error = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? errno : 0;
    close(fd);
    return error;
}

int landlock_rules(uint32_t abi, int own_folder, bool network) {
    int ruleset = bh_landlock_ruleset(abi, network);
    if (ruleset < 0) return -1;

    // The root holds what the plan has mounted and what every cell has: all of it may be read and run. What a version may not
    // write has no /tmp and no /dev/shm by then.
    int error = allow(ruleset, abi, AT_FDCWD, "/", BH_LANDLOCK_READ | LANDLOCK_ACCESS_FS_EXECUTE);
    if (!error) error = allow(ruleset, abi, AT_FDCWD, "/dev", BH_LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE);
    if (!error) error = allow(ruleset, abi, own_folder, "tmp", SCRATCH);
    if (!error) error = allow(ruleset, abi, own_folder, "shm", SCRATCH);
    if (!error) return ruleset;
    close(ruleset);
    errno = error;
    return -1;
}
