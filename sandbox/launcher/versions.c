#include "versions.h"

#include <stdio.h>
#include <string.h>

#define VERSIONS 64  // each holds five descriptors

static struct version versions[VERSIONS];
static uint64_t last_use[VERSIONS];

static void forget(struct version *version) {
    const int fds[] = {version->plan, version->mounts, version->furniture, version->hostname, version->ipc};
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

void versions_forget(void) {
    for (size_t i = 0; i < VERSIONS; i++)
        if (versions[i].key) forget(&versions[i]);
}

/// A namespace of a process that is our child and not waited for: its number is its own. -1 with errno on failure.
static int namespace_open(pid_t process, const char *name) {
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/ns/%s", process, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void version_learn(const struct version *given, pid_t init, const struct shared_table *table) {
    struct version learnt = {
        .key = given->key,
        .plan = fcntl(given->plan, F_DUPFD_CLOEXEC, 3),
        .mounts = table->mounts,
        .furniture = table->furniture,
        .hostname = namespace_open(init, "uts"),
        .ipc = namespace_open(init, "ipc"),
        .limits = given->limits,
        .together = given->together,
        .cpu_weight = given->cpu_weight,
        .shows_cgroups = given->shows_cgroups,
        .keeps = given->keeps,
    };
    memcpy(learnt.function, given->function, sizeof learnt.function);
    if (learnt.plan < 0 || learnt.mounts < 0 || learnt.furniture < 0 || learnt.hostname < 0 || learnt.ipc < 0 || version_known(learnt.key))
        return forget(&learnt);
    size_t oldest = 0;
    for (size_t i = 1; i < VERSIONS; i++)
        if (last_use[i] < last_use[oldest]) oldest = i;
    if (versions[oldest].key) forget(&versions[oldest]);
    versions[oldest] = learnt;
    last_use[oldest] = monotonic_ns();
}
