// A launch plan, read from the supervisor's memfd and checked before anything of it is used.
#pragma once

#include <linux/filter.h>

#include "bulkhead_launcher_abi.h"

struct plan {
    const struct bh_plan *header;
    const char *hostname;
    const char *executable;  // absolute, as seen inside the cell
    char *argv[BH_ARGS_MAX + 1];
    char *envp[BH_ENV_MAX + 1];
    const char *mount_source[BH_MOUNTS_MAX];
    const char *mount_target[BH_MOUNTS_MAX];
    struct sock_fprog filter;
};

/// Reads and checks the plan in `fd`. The plan's strings live in one static buffer, valid until the next call.
/// Returns 0, or the errno that says what is wrong with it.
int plan_read(int fd, struct plan *plan);
