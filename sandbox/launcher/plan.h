// A launch plan, read from the supervisor's memfd and checked before anything of it is used.
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>

#include "bulkhead_launcher_abi.h"
#include "sys.h"

/// The most that a plan may ask for. The supervisor's to choose while it is still trusted: on the command line.
extern struct plan_caps {
    uint64_t memory, scratch, tasks, files;
} plan_caps;

struct plan {
    const struct bh_plan *header;
    const char *hostname;
    const char *executable;  // absolute, as seen inside the cell
    char *argv[BH_ARGS_MAX + 1];
    char *envp[BH_ENV_MAX + 1];
    const char *mount_source[BH_MOUNTS_MAX];
    const char *mount_target[BH_MOUNTS_MAX];
    const char *secrets;  // as many bytes as the header says; NULL: none
    struct sock_fprog filter;
    uint64_t rlimits[RLIM_NLIMITS];  // what the worker gets
    bool limited[RLIM_NLIMITS];      // the others it has from the host
};

/// Whether `path` is absolute and has no empty, "." or ".." component, so that no mount can leave the cell's root.
bool is_plain_path(const char *path);

/// Reads and checks the plan in `fd`. The plan's strings live in one static buffer, valid until the next call.
/// Returns 0, or the errno that says what is wrong with it.
int plan_read(int fd, struct plan *plan);

/// Touches what reading a plan writes to.
void plan_touch(void);

/// Fills in the plan's resource limits. Returns 0, EINVAL for a list that makes no sense, EPERM for a limit above the
/// launcher's own.
int plan_limit(struct plan *plan);
