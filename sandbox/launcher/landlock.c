// Landlock: a second wall behind the mount namespace. https://docs.kernel.org/userspace-api/landlock.html
#include <stdio.h>
#include <string.h>

#include "cell.h"

// Rights and scopes newer than Debian 12's header; the kernel's ABI says which of them it knows.
#define FS_REFER (1ull << 13)      // ABI 2
#define FS_TRUNCATE (1ull << 14)   // ABI 3
#define NET_BIND (1ull << 0)       // ABI 4
#define NET_CONNECT (1ull << 1)    // ABI 4
#define FS_IOCTL_DEV (1ull << 15)  // ABI 5
#define SCOPE_ALL 3ull             // ABI 6: abstract unix sockets, signals

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define SCRATCH                                                                                                      \
    (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |         \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_FIFO |                      \
     LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_EXECUTE | FS_REFER | FS_TRUNCATE)

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

uint32_t landlock_abi(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (uint32_t)abi : 0;
}

static uint64_t known_rights(uint32_t abi) {
    uint64_t rights = (1ull << 13) - 1;  // ABI 1
    if (abi >= 2) rights |= FS_REFER;
    if (abi >= 3) rights |= FS_TRUNCATE;
    if (abi >= 5) rights |= FS_IOCTL_DEV;
    return rights;
}

static int allow(int ruleset, uint32_t abi, int folder, const char *path, uint64_t rights) {
    int fd = openat(folder, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & known_rights(abi), .parent_fd = fd};
    int error = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? errno : 0;
    close(fd);
    return error;
}

int landlock_rules(uint32_t abi, int own_folder) {
    struct ruleset_attr handled = {
        .fs = known_rights(abi),
        .net = abi >= 4 ? NET_BIND | NET_CONNECT : 0,  // no rule follows: no TCP at all
        .scoped = abi >= 6 ? SCOPE_ALL : 0,
    };
    size_t size = abi >= 6 ? sizeof handled : abi >= 4 ? 16 : 8;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
    if (ruleset < 0) return -1;

    // The root holds what the plan has mounted and what every cell has: all of it may be read and run. What a version may not
    // write has no /tmp and no /dev/shm by then.
    int error = allow(ruleset, abi, AT_FDCWD, "/", READ | LANDLOCK_ACCESS_FS_EXECUTE);
    if (!error) error = allow(ruleset, abi, AT_FDCWD, "/dev", READ | LANDLOCK_ACCESS_FS_WRITE_FILE);
    if (!error) error = allow(ruleset, abi, own_folder, "tmp", SCRATCH);
    if (!error) error = allow(ruleset, abi, own_folder, "shm", SCRATCH);
    if (!error) return ruleset;
    close(ruleset);
    errno = error;
    return -1;
}
