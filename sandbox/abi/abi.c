#include "bulkhead_launcher_abi.h"

_Static_assert(sizeof(struct bh_request) == 24, "a request is one fixed-size message");
_Static_assert(sizeof(struct bh_event) == 160, "an event is one fixed-size message");
_Static_assert(sizeof(struct bh_plan) % 8 == 0, "the seccomp program that may follow stays aligned");

static const char *const stage_names[BH_STAGE_COUNT] = {
    [BH_STAGE_NONE] = "none",
    [BH_STAGE_REQUEST] = "request",
    [BH_STAGE_PLAN] = "plan",
    [BH_STAGE_CAPACITY] = "capacity",
    [BH_STAGE_BUNDLE] = "bundle",
    [BH_STAGE_MOUNT_SOURCE] = "mount-source",
    [BH_STAGE_CGROUP_CREATE] = "cgroup-create",
    [BH_STAGE_CGROUP_LIMIT] = "cgroup-limit",
    [BH_STAGE_CLONE] = "clone",
    [BH_STAGE_CLOSE_FDS] = "close-fds",
    [BH_STAGE_PARENT_DEATH] = "parent-death",
    [BH_STAGE_USER_MAP] = "user-map",
    [BH_STAGE_CGROUP_JOIN] = "cgroup-join",
    [BH_STAGE_CGROUP_NAMESPACE] = "cgroup-namespace",
    [BH_STAGE_OOM_SCORE] = "oom-score",
    [BH_STAGE_ROOT] = "root",
    [BH_STAGE_MOUNT] = "mount",
    [BH_STAGE_DEVICES] = "devices",
    [BH_STAGE_PROC] = "proc",
    [BH_STAGE_CGROUP_VIEW] = "cgroup-view",
    [BH_STAGE_SCRATCH] = "scratch",
    [BH_STAGE_PIVOT] = "pivot",
    [BH_STAGE_MADE] = "made",
    [BH_STAGE_ENTER] = "enter",
    [BH_STAGE_READ_ONLY] = "read-only",
    [BH_STAGE_HOSTNAME] = "hostname",
    [BH_STAGE_BOUNDING_SET] = "bounding-set",
    [BH_STAGE_LANDLOCK_RULES] = "landlock-rules",
    [BH_STAGE_EXECUTABLE] = "executable",
    [BH_STAGE_STDIO] = "stdio",
    [BH_STAGE_NETWORK] = "network",
    [BH_STAGE_FORK] = "fork",
    [BH_STAGE_SESSION] = "session",
    [BH_STAGE_SECRETS_DESCRIPTOR] = "secrets-descriptor",
    [BH_STAGE_RLIMITS] = "rlimits",
    [BH_STAGE_PRIORITY] = "priority",
    [BH_STAGE_SECUREBITS] = "securebits",
    [BH_STAGE_IDENTITY] = "identity",
    [BH_STAGE_CAPABILITIES] = "capabilities",
    [BH_STAGE_SIGNALS] = "signals",
    [BH_STAGE_WORKING_DIRECTORY] = "working-directory",
    [BH_STAGE_NO_NEW_PRIVS] = "no-new-privs",
    [BH_STAGE_LANDLOCK] = "landlock",
    [BH_STAGE_SECCOMP] = "seccomp",
    [BH_STAGE_EXEC] = "exec",
    [BH_STAGE_INIT_CONFINE] = "init-confine",
    [BH_STAGE_INIT_DIED] = "init-died",
};

const char *bh_stage_name(uint32_t stage) {
    return stage < BH_STAGE_COUNT && stage_names[stage] ? stage_names[stage] : "unknown";
}
