#include "versions.h"

#include <stdio.h>
#include <string.h>

#define VERSIONS 64  // each holds six descriptors

static struct version versions[VERSIONS];
static uint64_t last_use[VERSIONS];

static void forget(struct version *version) {
    const int fds[] = {version->plan, version->mounts, version->hostname, version->ipc, version->landlock, version->executable};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0) close(fds[i]);
    version->key = 0;
}

struct version *version_known(uint64_t key) {
    for (size_t i = 0; i < VERSIONS; i++) {
        if (!key || versions[i].key != key) continue;
        last_use[i] = monotonic_ns();
        return &versions[i];
    }
    return NULL;
}

int namespace_open(pid_t process, const char *name) {
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/ns/%s", process, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void version_learn(const struct version *given, pid_t init, const int *shared, int count, bool may_lack_ruleset) {
    struct version learnt = {
        .key = given->key,
        .plan = fcntl(given->plan, F_DUPFD_CLOEXEC, 3),
        // Init is our child and not waited for yet: its number is still its own.
        .mounts = given->mounts >= 0 ? fcntl(given->mounts, F_DUPFD_CLOEXEC, 3) : namespace_open(init, "mnt"),
        .hostname = namespace_open(init, "uts"),
        .ipc = namespace_open(init, "ipc"),
        .executable = count > 0 ? shared[0] : -1,
        .landlock = count > 1 ? shared[1] : -1,
        .limits = given->limits,
        .together = given->together,
        .cpu_weight = given->cpu_weight,
    };
    memcpy(learnt.function, given->function, sizeof learnt.function);
    if (learnt.plan < 0 || learnt.mounts < 0 || learnt.hostname < 0 || learnt.ipc < 0 || learnt.executable < 0 ||
        (learnt.landlock < 0 && !may_lack_ruleset) || version_known(learnt.key))
        return forget(&learnt);
    size_t oldest = 0;
    for (size_t i = 1; i < VERSIONS; i++)
        if (last_use[i] < last_use[oldest]) oldest = i;
    if (versions[oldest].key) forget(&versions[oldest]);
    versions[oldest] = learnt;
    last_use[oldest] = monotonic_ns();
}
