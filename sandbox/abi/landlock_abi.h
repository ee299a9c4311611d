// Landlock as far as each kernel knows it: landlock(7), https://docs.kernel.org/userspace-api/landlock.html. For the launcher's
// cells and for what the supervisor takes from itself. Debian 12's header ends at ABI 1; the kernel says which it has.
#pragma once

#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BH_LANDLOCK_FS_1 ((1ull << 13) - 1)     // ABI 1, Linux 5.13: all rights of files that there were
#define BH_LANDLOCK_REFER (1ull << 13)          // ABI 2
#define BH_LANDLOCK_TRUNCATE (1ull << 14)       // ABI 3
#define BH_LANDLOCK_NET_BIND (1ull << 0)        // ABI 4
#define BH_LANDLOCK_NET_CONNECT (1ull << 1)     // ABI 4
#define BH_LANDLOCK_IOCTL_DEV (1ull << 15)      // ABI 5
#define BH_LANDLOCK_SCOPE_ALL 3ull              // ABI 6: abstract unix sockets, signals

#define BH_LANDLOCK_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define BH_LANDLOCK_WRITE                                                                                            \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | BH_LANDLOCK_REFER |   \
     BH_LANDLOCK_TRUNCATE)

/// As the kernel takes it (`struct landlock_ruleset_attr` of a newer header).
struct bh_landlock_handled {
    uint64_t fs, net, scoped;
};

/// 0: the kernel has none.
static inline uint32_t bh_landlock_abi(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (uint32_t)abi : 0;
}

/// All that an ABI can forbid. Of the network no rule follows here: no TCP at all.
static inline struct bh_landlock_handled bh_landlock_all(uint32_t abi) {
    return (struct bh_landlock_handled){
        .fs = BH_LANDLOCK_FS_1 | (abi >= 2 ? BH_LANDLOCK_REFER : 0) | (abi >= 3 ? BH_LANDLOCK_TRUNCATE : 0) |
              (abi >= 5 ? BH_LANDLOCK_IOCTL_DEV : 0),
        .net = abi >= 4 ? BH_LANDLOCK_NET_BIND | BH_LANDLOCK_NET_CONNECT : 0,
        .scoped = abi >= 6 ? BH_LANDLOCK_SCOPE_ALL : 0,
    };
}

/// An empty ruleset that handles all of it; with `network` all but TCP. -1 with errno on failure.
static inline int bh_landlock_ruleset(uint32_t abi, int network) {
    struct bh_landlock_handled handled = bh_landlock_all(abi);
    if (network) handled.net = 0;
    size_t size = abi >= 6 ? sizeof handled : abi >= 4 ? 16 : 8;  // older kernels take no longer ones
    return (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
}
