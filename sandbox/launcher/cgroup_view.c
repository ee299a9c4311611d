// What a cell may see of its own cgroups: so that a JVM, or whoever else sizes itself by them, finds the cell's limits.
#include "cgroup.h"
#include "cgroup_files.h"

#define SHOWN (BH_FEATURE_MEMORY | BH_FEATURE_PIDS | BH_FEATURE_CPU)

/// The name it is usually mounted by, below /sys/fs/cgroup.
static const char *name_of(const struct cgroups *groups, int hierarchy) {
    uint32_t holds = groups->holds[hierarchy];
    if (is_v2(groups)) return ".";
    if (holds & BH_FEATURE_MEMORY) return "memory";
    if (holds & BH_FEATURE_PIDS) return "pids";
    // Where accounting has a hierarchy of its own, it comes after cpu's.
    return hierarchy != hierarchy_with(groups, BH_FEATURE_CPU) ? "cpuacct" : "cpu";
}

static void add_view(struct cgroups *groups, int directory, const char *name, bool is_file) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || groups->views == CGROUP_VIEWS) return;
    path[length] = 0;
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    groups->view[groups->views] = folder;
    groups->view_is_file[groups->views] = is_file;
    snprintf(groups->view_name[groups->views++], sizeof groups->view_name[0], "%s", name);
}

void cgroups_open_views(struct cgroups *groups) {
    uint32_t ignored;
    for (int i = 0; i < groups->count; i++)
        if (groups->holds[i] & SHOWN) add_view(groups, groups->base[i], name_of(groups, i), false);
    if (!groups->views || is_v2(groups)) return;
    // A JVM believes in v1 only where it finds this one, too.
    int cpuset = cgroup_own_directory("cpuset", &ignored);
    if (cpuset < 0) return;
    add_view(groups, cpuset, "cpuset", true);
    close(cpuset);
}

int cgroup_view(const struct cgroups *groups, const char *cell, int trees[CGROUP_VIEWS]) {
    for (int i = 0; i < groups->views; i++) {
        trees[i] = sys_open_tree(groups->view[i], groups->view_is_file[i] ? CPUSET_FILE : cell, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        uint64_t flags = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
        if (trees[i] >= 0 && sys_seal_copy(trees[i], flags) == 0) continue;
        int error = errno;
        for (int j = 0; j <= i; j++)
            if (trees[j] >= 0) close(trees[j]);
        return error;
    }
    return 0;
}
